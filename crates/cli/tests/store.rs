//! Scan into a store, ask it, acknowledge, suppress.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;
use std::path::Path;

use assert_cmd::Command;

const CAPTURE: &str = "../../corpus/first-look/suspicious.pcap";

/// Runs the program with `--store` and returns what it printed.
fn lapwing(store: &Path, arguments: &[&str]) -> String {
    let run = Command::cargo_bin("lapwing").unwrap().args(arguments).arg("--store").arg(store).assert().success();
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

#[test]
fn what_a_scan_found_is_kept_and_can_be_acknowledged_and_suppressed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let scanned = lapwing(store, &["scan", CAPTURE, "--format", "jsonl"]);
    assert_eq!(lapwing(store, &["scan", CAPTURE, "--format", "jsonl"]), scanned, "a second scan adds nothing");
    let kept = lapwing(store, &["query", "alerts", "--format", "jsonl"]);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&kept), sorted(&scanned));

    let alert: serde_json::Value = serde_json::from_str(kept.lines().next().unwrap()).unwrap();
    let (id, kind) = (alert["id"].as_str().unwrap(), alert["kind"].as_str().unwrap());
    lapwing(store, &["alerts", "ack", id, "--by", "kim"]);
    let acknowledged = lapwing(store, &["query", "alerts", "--status", "acknowledged", "--json"]);
    let acknowledged: serde_json::Value = serde_json::from_str(&acknowledged).unwrap();
    assert_eq!((acknowledged[0]["id"].as_str(), acknowledged[0]["status_by"].as_str()), (Some(id), Some("kim")));

    let preview = lapwing(store, &["suppress", "preview", "--kind", kind]);
    assert!(preview.starts_with("would hide "), "{preview}");
    let added = lapwing(store, &["suppress", "add", "--kind", kind, "--reason", "a test", "--by", "kim"]);
    let suppression = added.split(':').next().unwrap();
    let shown = lapwing(store, &["query", "alerts", "--format", "jsonl"]);
    assert!(!shown.contains(&format!("\"kind\":\"{kind}\"")), "{shown}");
    let scanned = lapwing(store, &["scan", CAPTURE, "--format", "jsonl"]);
    assert!(!scanned.contains(&format!("\"kind\":\"{kind}\"")), "what is suppressed is not written");
    assert!(lapwing(store, &["suppress", "list"]).contains("a test"));
    lapwing(store, &["suppress", "remove", suppression, "--by", "kim"]);
    assert_eq!(lapwing(store, &["query", "alerts", "--format", "jsonl"]).lines().count(), kept.lines().count());
    assert_eq!(lapwing(store, &["query", "audit", "--format", "jsonl"]).lines().count(), 3);
}

#[test]
fn flows_and_devices_are_kept_as_the_verbs_on_captures_show_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    lapwing(store, &["scan", CAPTURE, "--format", "jsonl"]);
    let run = Command::cargo_bin("lapwing").unwrap().args(["flows", CAPTURE, "--format", "json"]).assert().success();
    let flows = String::from_utf8(run.get_output().stdout.clone()).unwrap().lines().count();
    let kept = lapwing(store, &["query", "flows", "--format", "jsonl", "--limit", "0"]);
    assert_eq!(kept.lines().count(), flows);
    let flow: serde_json::Value = serde_json::from_str(kept.lines().last().unwrap()).unwrap();
    let latest: serde_json::Value =
        serde_json::from_str(&lapwing(store, &["query", "flows", "--json", "--limit", "1"])).unwrap();
    assert_eq!(latest.as_array().unwrap().len(), 1);
    let uid = flow["uid"].as_str().unwrap();
    let csv = lapwing(store, &["query", "flows", "--uid", uid, "--format", "csv"]);
    assert!(csv.starts_with("ts,uid,id.orig_h,") && csv.lines().count() == 2 && csv.contains(uid), "{csv}");

    let run = Command::cargo_bin("lapwing").unwrap().args(["devices", CAPTURE, "--json"]).assert().success();
    let seen: Vec<serde_json::Value> = serde_json::from_slice(&run.get_output().stdout).unwrap();
    // A second scan of the same capture counts nothing twice.
    lapwing(store, &["scan", CAPTURE, "--format", "jsonl"]);
    let kept: Vec<serde_json::Value> = serde_json::from_str(&lapwing(store, &["query", "devices", "--json"])).unwrap();
    let counts = |devices: &[serde_json::Value]| -> BTreeSet<String> {
        devices.iter().map(|device| format!("{} {} {}", device["id"], device["flows"], device["sent_bytes"])).collect()
    };
    assert_eq!(counts(&kept), counts(&seen));
    let traffic = lapwing(store, &["query", "traffic", "--by", "day", "--format", "csv"]);
    assert!(traffic.starts_with("time,flows,packets,bytes,bytes_in,bytes_out\n") && traffic.lines().count() > 1);
    assert_eq!(lapwing(store, &["query", "talkers", "--limit", "3", "--format", "jsonl"]).lines().count(), 3);
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_asking() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    for store in [folder.path().join("none"), other.clone()] {
        let run = Command::cargo_bin("lapwing").unwrap().args(["query", "alerts", "--store"]).arg(&store).assert();
        let said = String::from_utf8(run.code(2).get_output().stderr.clone()).unwrap();
        assert!(said.contains("there is no store"), "{said}");
    }
    assert!(!folder.path().join("none").exists() && std::fs::read_dir(&other).unwrap().next().is_none());
}
