//! What a user types and sees: results, exit codes, and errors that say what to do.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(name)
}

fn lapwing(arguments: &[&str]) -> Assert {
    Command::cargo_bin("lapwing").unwrap().args(arguments).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_file_that_is_no_capture_is_refused_with_its_name() {
    let refused = lapwing(&["scan", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]).code(2);
    assert!(stderr(&refused).contains("Cargo.toml: not a capture"), "{}", stderr(&refused));
    let missing = lapwing(&["scan", "no-such-file.pcap"]).code(2);
    assert!(stderr(&missing).contains("no-such-file.pcap"), "{}", stderr(&missing));
}

#[test]
fn a_truncated_capture_gives_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcap");
    let whole = fs::read(corpus("port-scan-connect/capture.pcap")).unwrap();
    fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
    let done = lapwing(&["scan", text(&cut), "--format", "json"]).code(0);
    let document: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert!(document["summary"]["inputs"][0]["truncated_at"].as_u64().is_some());
    assert_eq!(document["alerts"][0]["kind"], "port-scan");
}

#[test]
fn standard_input_is_read() {
    let capture = fs::read(corpus("port-scan-connect/capture.pcap")).unwrap();
    let mut command = Command::cargo_bin("lapwing").unwrap();
    let done = command.args(["scan", "-", "--format", "csv"]).write_stdin(capture).assert().code(0);
    assert!(stdout(&done).contains("port-scan"));
}

#[test]
fn fail_on_decides_the_exit_status() {
    let capture = corpus("port-scan-connect/capture.pcap");
    lapwing(&["scan", text(&capture), "--fail-on", "medium"]).code(1);
    lapwing(&["scan", text(&capture), "--fail-on", "critical"]).code(0);
    lapwing(&["scan", text(&capture)]).code(0);
    lapwing(&["scan", text(&capture), "--fail-on", "terrible"]).code(2);
}

#[test]
fn a_severity_of_never_is_the_default_said_aloud() {
    let capture = corpus("port-scan-connect/capture.pcap");
    lapwing(&["scan", text(&capture), "--fail-on", "never"]).code(0);
    lapwing(&["scan", text(&capture), "--fail-on", "always"]).code(2);
}

#[test]
fn a_baseline_of_itself_is_refused() {
    let capture = corpus("first-look/clean.pcap");
    let refused = lapwing(&["scan", text(&capture), "--baseline", text(&capture)]).code(2);
    assert!(stderr(&refused).contains("same content as the baseline"), "{}", stderr(&refused));
}

#[test]
fn a_model_is_trained_shown_verified_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("home.lapwing");
    let clean = corpus("first-look/clean.pcap");
    lapwing(&["train", text(&clean), "--output", text(&model), "--set", "seed=7"]).code(0);
    let again = lapwing(&["train", "--pcap", text(&clean), "--output", text(&model)]).code(2);
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    let card = stdout(&lapwing(&["models", "show", text(&model)]).code(0));
    for word in ["connection version 1", "clean.pcap sha256", "budget", "threshold"] {
        assert!(card.contains(word), "{word} is missing: {card}");
    }
    lapwing(&["models", "verify", text(&model)]).code(0);
    let suspicious = corpus("first-look/suspicious.pcap");
    let found = lapwing(&["scan", text(&suspicious), "--model", text(&model), "--format", "jsonl"]).code(0);
    assert!(stdout(&found).contains("\"kind\":\"anomaly\""));

    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, bytes).unwrap();
    let damaged = lapwing(&["models", "verify", text(&model)]).code(2);
    assert!(stderr(&damaged).contains("home.lapwing"), "{}", stderr(&damaged));
}

#[test]
fn without_a_baseline_the_summary_says_that_nothing_learned_was_evaluated() {
    let done = lapwing(&["scan", text(&corpus("port-scan-connect/capture.pcap")), "--format", "json"]).code(0);
    let document: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert!(document["summary"]["not_evaluated"][0].as_str().unwrap().starts_with("anomaly"));
}

#[test]
fn evidence_is_a_small_capture_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus("port-scan-connect/capture.pcap");
    lapwing(&["scan", text(&capture), "--evidence", text(folder.path())]).code(0);
    let files: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let flows = stdout(&lapwing(&["flows", text(&files[0]), "--format", "csv"]).code(0));
    assert!(flows.lines().count() > 1);
}

#[test]
fn evidence_holds_the_packets_of_its_flows() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = text(folder.path());
    let capture = corpus("brute-force-ssh/capture.pcap.zst");
    let alerts = stdout(&lapwing(&["scan", text(&capture), "--evidence", evidence, "--format", "jsonl"]).code(0));
    for line in alerts.lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        let file =
            folder.path().join(format!("{}-{}.pcap", alert["kind"].as_str().unwrap(), alert["id"].as_str().unwrap()));
        let flows = stdout(&lapwing(&["flows", text(&file), "--format", "json"]).code(0));
        let held: BTreeSet<u64> =
            flows.lines().map(|line| port(&serde_json::from_str(line).unwrap(), "id.orig_p")).collect();
        let named = alert["evidence"].as_array().unwrap();
        assert!(named.len() > 5, "{}", file.display());
        let missing = named.iter().filter(|flow| !held.contains(&port(flow, "originator_port"))).count();
        assert_eq!(missing, 0, "{}: {} flows are named", file.display(), named.len());
    }
}

fn port(flow: &serde_json::Value, name: &str) -> u64 {
    flow[name].as_u64().unwrap()
}

#[test]
fn an_alert_that_rests_on_no_flow_gets_its_arp_packets() {
    let folder = tempfile::tempdir().unwrap();
    let (clean, suspicious) = (corpus("first-look/clean.pcap"), corpus("first-look/suspicious.pcap"));
    let evidence = text(folder.path());
    lapwing(&["scan", text(&suspicious), "--baseline", text(&clean), "--evidence", evidence]).code(0);
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    for kind in ["arp-spoofing-", "address-conflict-", "new-device-"] {
        assert!(names.iter().any(|name| name.starts_with(kind)), "{kind}: {names:?}");
    }
}

#[test]
fn every_line_of_eve_has_the_fields_that_its_consumers_read() {
    for name in ["first-look/suspicious.pcap", "icmp-flood/capture.pcap.zst", "amplification-dns/capture.pcap.zst"] {
        let done = lapwing(&["scan", text(&corpus(name)), "--format", "eve"]).code(0);
        for line in stdout(&done).lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["event_type"], "alert");
            assert!(record["timestamp"].as_str().unwrap().ends_with("+0000"));
            assert!(record["proto"].is_string());
            for field in ["src_ip", "dest_ip"] {
                let known = record[field].as_str().map(str::parse::<std::net::IpAddr>);
                assert!(known.map_or(record["ether"]["src_mac"].is_string(), |ip| ip.is_ok()), "{field}: {line}");
            }
            let alert = &record["alert"];
            assert_eq!((&alert["action"], &alert["gid"]), (&"allowed".into(), &9000.into()));
            assert!((1..=4).contains(&alert["severity"].as_u64().unwrap()));
            for field in ["signature_id", "rev"] {
                assert!(alert[field].as_u64().unwrap() > 0);
            }
            assert!(alert["signature"].is_string() && alert["category"].is_string());
            assert!(record["lapwing"]["id"].is_string());
            if record["flow_id"].is_null() {
                assert!(record["flow"].is_null() && record["direction"].is_null());
                continue;
            }
            assert!(record["flow_id"].as_u64().unwrap() < 1 << 51, "it is exact as a number of JavaScript");
            assert_eq!((&record["ip_v"], &record["direction"]), (&4.into(), &"to_server".into()));
            let flow = &record["flow"];
            let total = |field: &str| flow[field].as_u64().unwrap();
            assert!(total("pkts_toserver") + total("pkts_toclient") > 0, "{line}");
            assert!(total("bytes_toserver") + total("bytes_toclient") > 0, "{line}");
            assert_eq!((&flow["src_ip"], &flow["dest_port"]), (&record["src_ip"], &record["dest_port"]));
            assert!(flow["start"].as_str().unwrap().ends_with("+0000"));
        }
    }
}

#[test]
fn a_filter_and_a_limit_choose_frames() {
    let capture = corpus("first-look/suspicious.pcap");
    let flows = stdout(&lapwing(&["flows", text(&capture), "--format", "csv", "--filter", "udp port 53"]).code(0));
    assert!(flows.lines().skip(1).all(|line| line.contains(",53,udp,")), "{flows}");
    let wrong = lapwing(&["flows", text(&capture), "--filter", "udp prot 53"]).code(2);
    assert!(stderr(&wrong).contains("prot"), "{}", stderr(&wrong));
    let done = stdout(&lapwing(&["scan", text(&capture), "--limit", "100", "--format", "json"]).code(0));
    let document: serde_json::Value = serde_json::from_str(&done).unwrap();
    assert!(document["summary"]["flows"].as_u64().unwrap() < 100);
    assert_eq!(document["summary"]["packets"], 100);
    assert_eq!(document["summary"]["packets_read"], document["summary"]["inputs"][0]["packets"]);
}

#[test]
fn shipped_signatures_load_and_do_as_their_cases_say() {
    lapwing(&["signatures", "check"]).code(0);
    lapwing(&["signatures", "test"]).code(0);
    assert!(stdout(&lapwing(&["signatures", "list"]).code(0)).contains("port-scan"));
}

#[test]
fn a_broken_rule_is_reported_and_the_others_load() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.yml"), "title: [unclosed\n").unwrap();
    let good = "title: Any connection\nstatus: test\nlogsource: {product: zeek, service: conn}\n\
                detection: {selection: {proto: tcp}, condition: selection}\nlevel: low\n";
    fs::write(folder.path().join("good.yml"), good).unwrap();
    let checked = lapwing(&["signatures", "check", text(folder.path())]).code(2);
    assert!(stderr(&checked).contains("broken.yml:"), "{}", stderr(&checked));
    let capture = corpus("port-scan-connect/capture.pcap");
    let done = lapwing(&["scan", text(&capture), "--signatures", text(folder.path()), "--format", "csv"]).code(0);
    assert!(stdout(&done).contains("Any connection") && stderr(&done).contains("broken.yml:"));
}

#[test]
fn the_published_schema_is_that_of_the_alerts() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alert.schema.json");
    let schema = lapwing_alert::format::json_schema();
    if std::env::var_os("LAPWING_BLESS").is_some() {
        fs::write(&published, &schema).unwrap();
    }
    assert_eq!(fs::read_to_string(published).unwrap(), schema, "LAPWING_BLESS=1 writes it anew");
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let done = lapwing(&["scan", text(&corpus("first-look/suspicious.pcap")), "--format", "jsonl"]).code(0);
    for line in stdout(&done).lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        let alert = alert.as_object().unwrap();
        for required in schema["required"].as_array().unwrap() {
            assert!(alert.contains_key(required.as_str().unwrap()), "{required} is missing");
        }
        let known = schema["properties"].as_object().unwrap();
        assert!(alert.keys().all(|key| known.contains_key(key)));
    }
}

#[test]
fn a_broken_time_in_the_very_first_frame_changes_nothing_but_a_count() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pcap");
    let mut bytes = fs::read(corpus("port-scan-connect/capture.pcap")).unwrap();
    // The seconds of the first record, behind the file's header of 24 bytes: the year 2096.
    bytes[24..28].copy_from_slice(&4_000_000_000_u32.to_le_bytes());
    fs::write(&broken, bytes).unwrap();
    let scan = |path: &Path| -> serde_json::Value {
        serde_json::from_str(&stdout(&lapwing(&["scan", text(path), "--format", "json"]).code(0))).unwrap()
    };
    let (whole, broken) = (scan(&corpus("port-scan-connect/capture.pcap")), scan(&broken));
    assert_eq!(broken["summary"]["coverage"]["frames_with_unbelievable_time"], 1);
    assert_eq!(broken["summary"]["coverage"]["late_frames"], serde_json::Value::Null);
    assert_eq!(broken["summary"]["last"], whole["summary"]["last"]);
    assert_eq!(broken["alerts"][0]["explanation"], whole["alerts"][0]["explanation"]);
}
