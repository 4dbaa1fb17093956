//! Every capture of the corpus through the real binary: the alerts must be exactly those of `expected.jsonl` beside it,
//! which are reviewed by hand. `LAPWING_BLESS=1 cargo test -p lapwing --test corpus` writes them anew, for review.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// Folders that hold a scenario, by name.
fn scenarios() -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus()).unwrap();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.join("scenario.toml").exists()).collect();
    folders.sort();
    assert!(folders.len() > 50, "the corpus has lost its captures");
    folders
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_capture = |path: &PathBuf| path.to_string_lossy().contains(".pcap");
    let mut captures: Vec<PathBuf> = entries.filter(is_capture).collect();
    captures.sort();
    captures
}

fn scan(arguments: &[&OsStr]) -> String {
    let output =
        Command::cargo_bin("lapwing").unwrap().arg("scan").args(["--format", "jsonl"]).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn check(found: &str, expected: &Path) -> Option<String> {
    if std::env::var_os("LAPWING_BLESS").is_some() {
        fs::write(expected, found).unwrap();
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    let first = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    (found != wanted).then(|| format!("{}: alerts differ; first difference: {first:?}", expected.display()))
}

#[test]
fn every_capture_gives_its_expected_alerts() {
    let mut wrong = Vec::new();
    for folder in scenarios() {
        let mut found = String::new();
        for capture in captures(&folder) {
            found.push_str(&scan(&[capture.as_os_str()]));
        }
        wrong.extend(check(&found, &folder.join("expected.jsonl")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_first_look_tells_its_story() {
    let folder = corpus().join("first-look");
    let (clean, suspicious) = (folder.join("clean.pcap"), folder.join("suspicious.pcap"));
    let found = scan(&[suspicious.as_os_str(), OsStr::new("--baseline"), clean.as_os_str()]);
    assert_eq!(check(&found, &folder.join("expected-with-baseline.jsonl")), None);
    for kind in ["port-scan", "brute-force", "botnet-propagation", "beacon", "arp-spoofing", "anomaly"] {
        assert!(found.contains(&format!("\"kind\":\"{kind}\"")), "no {kind}");
    }
}

#[test]
fn benign_captures_raise_nothing_above_low_and_at_most_one_alert() {
    let benign =
        |folder: &PathBuf| fs::read_to_string(folder.join("scenario.toml")).unwrap().contains("kind = \"benign\"");
    let mut device_hours = 0.0;
    for folder in scenarios().into_iter().filter(benign) {
        let scenario = fs::read_to_string(folder.join("scenario.toml")).unwrap();
        let stated = scenario.lines().find_map(|line| line.strip_prefix("device_hours = "));
        device_hours += stated.map_or(0.0, |hours| hours.trim().parse::<f64>().unwrap());
        let expected = fs::read_to_string(folder.join("expected.jsonl")).unwrap();
        assert!(expected.lines().count() <= 1, "{}", folder.display());
        assert!(!expected.contains("\"severity\":\"medium\""), "{}", folder.display());
        assert!(!expected.contains("\"severity\":\"high\""), "{}", folder.display());
        assert!(!expected.contains("\"severity\":\"critical\""), "{}", folder.display());
    }
    assert!(device_hours >= 6.0, "{device_hours} benign device-hours");
}
