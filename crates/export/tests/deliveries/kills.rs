//! `kill -9` while alerts are offered and delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::common::{LONG, alert, start, until};
use lapwing_export::ExportConfig;

const KILLS: u32 = 40;
const FOLDER: &str = "LAPWING_TEST_KILLED_IN";

/// Alerts go to a file; the spool is beside it.
fn config(folder: &Path) -> ExportConfig {
    let path = folder.join("out.jsonl");
    serde_json::from_str(&format!(r#"{{"sinks": {{"file": {{"file": {{"path": "{}"}}}}}}}}"#, path.display())).unwrap()
}

/// Offers one alert after the other, and notes which of them are said to outlive the process.
fn offer_until_killed(folder: &Path) {
    let exporter = start(&config(folder), &folder.join("spool"), |_| {});
    let mut kept = File::options().append(true).create(true).open(folder.join("kept")).unwrap();
    for number in 0.. {
        let id = format!("{}-{number}", std::process::id());
        assert!(exporter.offer(&alert(&id)).unwrap() && exporter.persist(LONG));
        kept.write_all(format!("{id}\n").as_bytes()).unwrap();
    }
}

#[test]
fn what_was_persisted_is_delivered_whatever_kills_the_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return offer_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    for round in 0..KILLS {
        let before = read("kept").len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::what_was_persisted_is_delivered_whatever_kills_the_process"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the child works", || read("kept").len() > before);
        thread::sleep(Duration::from_millis(u64::from(round * 7 % 30)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let exporter = start(&config(folder.path()), &folder.path().join("spool"), |notice| panic!("{notice}"));
    assert!(exporter.flush(LONG));
    // A batch whose delivery was not noted comes again, the same.
    let mut delivered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in read("out.jsonl").lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        delivered.entry(alert["id"].as_str().unwrap().to_owned()).or_default().insert(line.to_owned());
    }
    assert!(delivered.values().all(|forms| forms.len() == 1));
    let kept = read("kept");
    let lost: Vec<&str> = kept.lines().filter(|id| !delivered.contains_key(*id)).collect();
    assert!(lost.is_empty() && kept.lines().count() > KILLS as usize, "{lost:?}");
}
