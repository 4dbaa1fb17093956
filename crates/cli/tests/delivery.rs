//! Delivery from the program: only when asked, and with a word about whom it did not reach.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

const CAPTURE: &str = "../../corpus/port-scan-connect/capture.pcap";

/// A folder with a `lapwing.toml` that delivers into `alerts.jsonl` beside it, and whatever else is given.
fn folder(more: &str) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (config, alerts) = (folder.path().join("lapwing.toml"), folder.path().join("alerts.jsonl"));
    let file = format!("[sinks.archive.file]\npath = '{}'\n{more}", alerts.display());
    fs::write(&config, file).unwrap();
    (folder, config, alerts)
}

/// Exit status, standard output, standard error.
fn lapwing(arguments: &[&str], config: &Path) -> (i32, String, String) {
    let mut command = Command::cargo_bin("lapwing").unwrap();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).arg(config);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// An address where nobody answers.
fn deserted() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_scan_delivers_when_asked_and_only_then() {
    let (_folder, config, alerts) = folder("");
    assert_eq!(lapwing(&["scan", CAPTURE, "--format", "jsonl", "--config"], &config).0, 0);
    assert!(!alerts.exists());
    let (status, printed, told) = lapwing(&["scan", CAPTURE, "--format", "jsonl", "--deliver", "--config"], &config);
    assert_eq!(status, 0, "{told}");
    assert!(!printed.is_empty());
    assert_eq!(fs::read_to_string(&alerts).unwrap(), printed);
    assert!(told.contains("delivered to `archive`"), "{told}");
}

#[test]
fn a_scan_says_whom_it_did_not_reach() {
    let more = format!("[sinks.chat.webhook]\nurl = 'http://{}/'\n[delivery]\npatience_seconds = 1\n", deserted());
    let (_folder, config, alerts) = folder(&more);
    let (status, printed, told) = lapwing(&["scan", CAPTURE, "--format", "jsonl", "--deliver", "--config"], &config);
    assert_eq!(status, 2);
    assert!(told.contains("`chat` lacks") && !told.contains("`archive` lacks"), "{told}");
    assert_eq!(fs::read_to_string(&alerts).unwrap(), printed);
}

#[test]
fn delivering_to_nobody_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lapwing.toml");
    fs::write(&config, "").unwrap();
    let (status, printed, told) = lapwing(&["scan", CAPTURE, "--deliver", "--config"], &config);
    assert_eq!((status, printed.as_str()), (2, ""));
    assert!(told.contains("[sinks]"), "{told}");
}

#[test]
fn the_self_test_tells_the_result_of_each_receiver() {
    let more = format!("[sinks.siem.syslog]\naddress = '{}'\ntransport = 'tcp'\n", deserted());
    let (_folder, config, alerts) = folder(&more);
    let (status, printed, told) = lapwing(&["selftest", "--json", "--config"], &config);
    let result: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((status, &result["sinks"][0]["failed"]), (2, &serde_json::Value::Null));
    assert!(result["sinks"][1]["failed"].as_str().unwrap().contains("refused"), "{result}");
    assert!(told.contains("1 of 2"), "{told}");
    let alert: serde_json::Value = serde_json::from_str(&fs::read_to_string(&alerts).unwrap()).unwrap();
    assert_eq!((&alert["kind"], &alert["id"]), (&serde_json::json!("selftest"), &result["alert"]));
}

#[test]
fn settings_are_checked_without_a_trace_and_shown_as_they_can_be_read() {
    let (folder, config, alerts) = folder("[delivery]\nsensor = 'barn'\n");
    assert_eq!(lapwing(&["config", "check"], &config).0, 0);
    assert!(!alerts.exists());
    let (status, shown, told) = lapwing(&["config", "show"], &config);
    assert_eq!(status, 0, "{told}");
    let again = folder.path().join("again.toml");
    fs::write(&again, &shown).unwrap();
    assert_eq!(lapwing(&["config", "show"], &again).1, shown);
    assert!(shown.contains("sensor = \"barn\"") && shown.contains("quiet_seconds = 3600"), "{shown}");
}

#[test]
fn settings_of_receivers_are_refused_with_their_place() {
    for (settings, words) in [
        ("[sinks.a]\n", &["`a`", "exactly one"][..]),
        ("[sinks.a.file]\npath = '/no/such/folder/a'\n", &["`a`", "/no/such/folder"]),
        ("[sinks.a.syslog]\naddress = 'b'\nport = 3\n", &[":3: sinks.a.syslog", "unknown field `port`"]),
        ("[sinks.a.syslog]\naddress = 'b'\ntimeout_seconds = 0\n", &[":3: sinks.a.syslog.timeout_seconds", "nonzero"]),
        ("[sinks.'A B'.syslog]\naddress = 'b'\n", &["1 to 32"]),
        ("[sinks.a.webhook]\nurl_env = 'LAPWING_TEST_UNSET'\n", &["`a`", "LAPWING_TEST_UNSET"]),
        ("[metrics]\nlisten = 'here'\n", &[":2: metrics.listen"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("lapwing.toml");
        fs::write(&config, settings).unwrap();
        let (status, _, told) = lapwing(&["config", "check"], &config);
        assert_eq!(status, 2, "{settings}");
        for word in words {
            assert!(told.contains(word), "{settings} does not say {word}: {told}");
        }
    }
}
