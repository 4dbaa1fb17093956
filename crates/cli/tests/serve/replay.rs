//! A replay finds what a scan finds.

use std::collections::BTreeSet;
use std::process::Command;

use crate::server::{Server, corpus};

/// The ids of what `scan` finds with these arguments.
fn scanned(arguments: &[&str]) -> BTreeSet<String> {
    let printed =
        Command::new(env!("CARGO_BIN_EXE_lapwing")).arg("scan").args(arguments).args(["--format", "jsonl"]).output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    printed.lines().map(id).collect()
}

#[test]
fn what_is_played_is_judged_as_what_is_scanned_baseline_and_all() {
    let capture = corpus("first-look/suspicious.pcap");
    let (capture, baseline) = (capture.to_str().unwrap(), corpus("first-look/clean.pcap"));
    let baseline = ["--baseline", baseline.to_str().unwrap()];
    for judged in [&[][..], &baseline] {
        let server = Server::with_admin(&[&["--replay", capture, "--speed", "max"], judged].concat());
        server.ended();
        let alerts = server.get("/api/v1/alerts?limit=500", &server.admin).given();
        let found: BTreeSet<String> =
            alerts["data"].as_array().unwrap().iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect();
        let scanned = scanned(&[&[capture], judged].concat());
        assert!(scanned.len() >= 8, "{scanned:?}");
        assert_eq!(found, scanned, "{judged:?}");
    }
}
