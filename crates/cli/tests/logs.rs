//! Logs through the real binary: what a log says is found as it is in the capture it was written from.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod carried;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use carried::NotCarried;
use serde_json::Value;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

fn lapwing(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("lapwing").unwrap();
    command.args(arguments);
    command
}

fn document(arguments: &[&str]) -> Value {
    let output = lapwing(&[&["scan", "--format", "json"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Kinds and subjects.
fn found(document: &Value) -> BTreeSet<(String, String)> {
    let text = |alert: &Value, name: &str| alert[name].as_str().unwrap_or_default().to_owned();
    document["alerts"].as_array().unwrap().iter().map(|alert| (text(alert, "kind"), text(alert, "device"))).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn captures() -> Vec<PathBuf> {
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut captures: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.to_string_lossy().contains(".pcap"))
        .collect();
    captures.sort();
    captures
}

/// What lies in the one part of a detector that needs more than a log carries.
const SEEN_IN_PACKETS_ALONE: [(&str, &str); 1] = [("beacon-long-connection", "beacon")];

#[test]
fn a_capture_and_the_conn_log_of_it_give_the_same_kinds_about_the_same_subjects() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("conn.log");
    let (mut wrong, mut unseen) = (Vec::new(), BTreeSet::new());
    for capture in captures() {
        lapwing(&["flows", text(&capture), "--format", "zeek", "--output", text(&log)]).assert().success();
        let (direct, logged) = (document(&[text(&capture)]), document(&[text(&log)]));
        let name = capture.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let (direct, not_carried, logged) = (found(&direct), NotCarried::of(&logged), found(&logged));
        wrong.extend(logged.difference(&direct).map(|(kind, of)| format!("{name}: {kind} of {of} in the log alone")));
        for (kind, of) in direct.difference(&logged) {
            if not_carried.partly(kind) {
                unseen.insert((name.clone(), kind.clone()));
            } else if !not_carried.wholly(kind) {
                wrong.push(format!("{name}: {kind} of {of} in the capture alone"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(unseen, SEEN_IN_PACKETS_ALONE.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into());
}

#[test]
fn every_form_of_a_log_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus().join("first-look/suspicious.pcap");
    let flows = |input: &Path, format: &str| {
        let output = lapwing(&["flows", text(input), "--format", format]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let direct = sorted(&flows(&capture, "csv"));
    for format in ["zeek", "json", "csv"] {
        let log = folder.path().join(format);
        fs::write(&log, flows(&capture, format)).unwrap();
        assert_eq!(sorted(&flows(&log, "csv")), direct, "{format}");
    }
}

#[test]
fn a_folder_a_pipe_and_a_compressed_log_are_read_like_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("current/conn.log");
    fs::create_dir(folder.path().join("current")).unwrap();
    let capture = corpus().join("port-scan-connect/capture.pcap");
    lapwing(&["flows", text(&capture), "--output", text(&log)]).assert().success();
    fs::write(folder.path().join("current/dns.log"), "#separator \\x09\n#path\tdns\n#fields\tts\n").unwrap();
    let file = found(&document(&[text(&log)]));
    assert!(file.iter().any(|(kind, _)| kind == "port-scan"));
    assert_eq!(found(&document(&[text(folder.path())])), file);
    let piped = lapwing(&["scan", "-", "--format", "json"]).write_stdin(fs::read(&log).unwrap()).output().unwrap();
    assert_eq!(found(&serde_json::from_slice(&piped.stdout).unwrap()), file);
    let mixed = lapwing(&["scan", text(&log), text(&capture), "--format", "json"]).output().unwrap();
    assert_eq!(found(&serde_json::from_slice(&mixed.stdout).unwrap()), file);
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("one after the other"));
}

#[test]
fn malformed_lines_are_counted_and_the_first_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("conn.log");
    let capture = corpus().join("port-scan-connect/capture.pcap");
    lapwing(&["flows", text(&capture), "--output", text(&log)]).assert().success();
    let mut lines: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    lines[9] = lines[9].replace("tcp", "avian");
    lines.insert(11, "cut\tshort".to_owned());
    fs::write(&log, lines.join("\n")).unwrap();
    let output = lapwing(&["scan", text(&log), "--format", "json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["summary"]["inputs"][0]["malformed_lines"], 2);
    assert_eq!(document["summary"]["coverage"]["malformed_lines"], 2);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("conn.log:10: proto: 'avian' is not a transport protocol"), "{told}");
    assert!(told.contains("conn.log:12: 2 values for 27 columns"), "{told}");
    assert!(found(&document).iter().any(|(kind, _)| kind == "port-scan"));
}

#[test]
fn a_model_learnt_from_a_capture_judges_its_log_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (model, log) = (folder.path().join("home.lapwing"), folder.path().join("conn.log"));
    let (clean, suspicious) = (corpus().join("first-look/clean.pcap"), corpus().join("first-look/suspicious.pcap"));
    for schema in ["connection", "connection-9"] {
        lapwing(&["train", text(&clean), "--schema", schema, "--force", "--output", text(&model)]).assert().success();
        lapwing(&["flows", text(&suspicious), "--output", text(&log)]).assert().success();
        let rows = |input: &Path| {
            let output = lapwing(&["features", text(input), "--schema", schema]).output().unwrap();
            let mut rows: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
            rows.sort();
            rows
        };
        assert_eq!(rows(&suspicious).len(), rows(&log).len());
        let anomalies = |input: &Path| {
            let found = found(&document(&[text(input), "--model", text(&model)]));
            found.into_iter().filter(|(kind, _)| kind == "anomaly").collect::<Vec<_>>()
        };
        assert_eq!(anomalies(&suspicious), anomalies(&log), "{schema}");
    }
}

/// The folder of logs that `LAPWING_DATA` names.
fn data() -> Option<PathBuf> {
    let folder =
        std::env::var_os("LAPWING_DATA").map(|data| PathBuf::from(data).join("connlog")).filter(|path| path.is_dir());
    if folder.is_none() {
        eprintln!("skipped: LAPWING_DATA names no folder with connlog/");
    }
    folder
}

fn lines(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let bytes = if bytes.starts_with(b"\x28\xb5\x2f\xfd") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

#[test]
fn every_connection_log_of_the_sample_data_is_read_completely() {
    let Some(folder) = data() else { return };
    let document = document(&[text(&folder)]);
    let inputs = document["summary"]["inputs"].as_array().unwrap();
    assert!(inputs.len() >= 20, "{}", inputs.len());
    let mut wrong = Vec::new();
    for input in inputs {
        let path = Path::new(input["path"].as_str().unwrap());
        let count = |name: &str| input[name].as_u64().unwrap_or(0);
        let kind = input["kind"].as_str().unwrap_or_default();
        let has_header = !kind.contains("Zeek") && !kind.contains("EVE");
        let rows = lines(path).iter().filter(|line| !line.is_empty() && !line.starts_with('#')).count() as u64;
        let rows = rows - u64::from(has_header);
        let (records, other, malformed) = (count("records"), count("other_lines"), count("malformed_lines"));
        if malformed > 0 || records + other != rows {
            wrong.push(format!(
                "{}: {rows} rows, {records} records, {other} other, {malformed} malformed",
                path.display()
            ));
        }
        // Only EVE and binetflow hold lines that tell of no connection.
        if other > 0 && !kind.contains("EVE") && !kind.contains("binetflow") {
            wrong.push(format!("{}: {other} rows were passed over", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
