//! `monitor --simulate`: something is found soon, and nobody can take it for real.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn simulate(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("lapwing").unwrap();
    command.current_dir(folder).args(["monitor", "--simulate", "--seed", "3", "--duration", "4", "--speed", "20"]);
    command.args(arguments).output().unwrap()
}

#[test]
fn an_attack_comes_soon_and_every_line_says_that_it_is_simulated() {
    let folder = tempfile::tempdir().unwrap();
    let run = simulate(folder.path(), &["--output", "alerts.jsonl"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    assert!(said.contains("nothing of it is real"), "{said}");
    let alerts = std::fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap();
    let alerts: Vec<Value> = alerts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(alerts.iter().any(|alert| ["high", "medium", "critical"].contains(&alert["severity"].as_str().unwrap())));
    for alert in &alerts {
        assert_eq!(alert["simulated"], true);
        assert!(alert["title"].as_str().unwrap().starts_with("Simulated: "), "{}", alert["title"]);
    }
}

#[test]
fn what_is_simulated_is_kept_only_where_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lapwing.toml"), "[store]\nplace = \"real\"\n").unwrap();
    let run = simulate(folder.path(), &["--config", "lapwing.toml", "--format", "eve"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success() && said.contains("nothing is kept in the store of the settings"), "{said}");
    assert!(!folder.path().join("real").exists());
    assert!(String::from_utf8(run.stdout).unwrap().contains("\"signature\":\"Simulated: "));

    let run = simulate(folder.path(), &["--config", "lapwing.toml", "--store", "play"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut query = Command::cargo_bin("lapwing").unwrap();
    let kept =
        query.current_dir(folder.path()).args(["query", "alerts", "--store", "play", "--json"]).output().unwrap();
    let kept = String::from_utf8(kept.stdout).unwrap();
    assert!(kept.contains("Simulated: ") && kept.contains("\"simulated\": true"), "{kept}");
}

#[test]
fn an_interface_and_a_simulation_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let run = simulate(folder.path(), &["--interface", "lo"]);
    assert_eq!(run.status.code(), Some(2));
}
