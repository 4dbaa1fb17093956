//! Threads change nothing but the time: alerts, flows and features are the same to the byte, with tables so small that
//! caps and eviction are at work.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;

const CAPTURES: [&str; 5] = [
    "first-look/suspicious.pcap",
    "syn-flood-spoofed/capture.pcap.zst",
    "mirai-propagation/capture.pcap.zst",
    "amplification-dns/capture.pcap.zst",
    "benign-web-crowd/capture.pcap.zst",
];

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(name)
}

fn run(arguments: &[&str], capture: &Path, threads: u32) -> Vec<u8> {
    let mut command = Command::cargo_bin("lapwing").unwrap();
    let output = command.args(arguments).arg(capture).args(["--threads", &threads.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn same_for_any_threads(arguments: &[&str]) {
    for name in CAPTURES {
        let capture = corpus(name);
        let one = run(arguments, &capture, 1);
        assert!(!one.is_empty());
        for threads in [2, 8] {
            let many = run(arguments, &capture, threads);
            assert!(one == many, "{name}: {threads} threads give another {}", arguments[0]);
        }
    }
}

#[test]
fn alerts_do_not_depend_on_threads() {
    same_for_any_threads(&["scan", "--format", "json"]);
}

#[test]
fn alerts_do_not_depend_on_threads_while_flows_are_evicted() {
    same_for_any_threads(&["scan", "--format", "json", "--flow-capacity", "128"]);
    let output = run(&["scan", "--format", "json", "--flow-capacity", "128"], &corpus(CAPTURES[1]), 2);
    let document: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert!(document["summary"]["coverage"]["flows_evicted"].as_u64().unwrap() > 100);
}

#[test]
fn learned_alerts_do_not_depend_on_threads() {
    let clean = corpus("first-look/clean.pcap");
    same_for_any_threads(&["scan", "--format", "json", "--baseline", clean.to_str().unwrap()]);
}

#[test]
fn flows_do_not_depend_on_threads() {
    same_for_any_threads(&["flows", "--format", "zeek"]);
    same_for_any_threads(&["flows", "--format", "json", "--flow-capacity", "128"]);
}

#[test]
fn features_do_not_depend_on_threads() {
    same_for_any_threads(&["features", "--flow-capacity", "128"]);
}
