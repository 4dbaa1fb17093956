//! `monitor --zeek` and `--eve` over logs that grow: they find what `scan` finds in the finished ones, whatever kills them on the way.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

fn lapwing() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lapwing"))
}

/// Waits for what must come, for a minute.
fn until(what: &str, mut come: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !come() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for {what}");
        sleep(Duration::from_millis(50));
    }
}

/// A folder with a log that grows, and who watches it.
struct Scene {
    folder: tempfile::TempDir,
    log: PathBuf,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { log: folder.path().join(name), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, bytes: &[u8]) {
        let mut log = OpenOptions::new().append(true).create(true).open(&self.log).unwrap();
        log.write_all(bytes).unwrap();
    }

    fn monitor(&self, arguments: &[&str]) -> Child {
        let mut command = lapwing();
        command.arg("monitor").arg("--state").arg(self.path("state"));
        if self.log.ends_with("conn.log") {
            command.arg("--zeek").arg(self.folder.path());
        } else {
            command.arg("--eve").arg(&self.log);
        }
        command.arg("--output").arg(self.path("alerts.jsonl")).args(arguments);
        command.stderr(File::create(self.path("said")).unwrap()).stdout(Stdio::null()).spawn().unwrap()
    }

    /// Asks the watcher to end, once it listens to that.
    fn stop(&self, mut child: Child) {
        until("the beginning", || fs::read_to_string(self.path("said")).unwrap().contains("following"));
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let ended = child.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", fs::read_to_string(self.path("said")).unwrap());
    }

    /// Bytes of the live log that are acknowledged.
    fn offset(&self) -> u64 {
        let Ok(bytes) = fs::read(self.path("state/positions.json")) else { return 0 };
        let positions: Value = serde_json::from_slice(&bytes).unwrap();
        positions["logs"].as_array().unwrap().iter().map(|log| log["offset"].as_u64().unwrap()).sum()
    }

    fn alerts(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("alerts.jsonl")).unwrap_or_default();
        // A kill may cut the last line.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// The last revision of each alert, by id.
fn last_revisions(alerts: Vec<Value>) -> BTreeMap<String, Value> {
    alerts.into_iter().map(|alert| (alert["id"].as_str().unwrap().to_owned(), alert)).collect()
}

fn scan(log: &Path) -> BTreeMap<String, Value> {
    let output = lapwing().arg("scan").arg(log).args(["--format", "jsonl"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    last_revisions(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Where the logs begin: long ago, so that what follows is not taken for what was late.
const BEGIN: f64 = 1_700_000_000.0;

/// The flows of captures of the corpus, hours apart, as Zeek's JSON in the order in which a sensor writes them.
fn flows(names: &[&str]) -> Vec<Value> {
    let mut all = Vec::new();
    for (name, hours) in names.iter().zip((0..).step_by(3)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(name);
        let output = lapwing().arg("flows").arg(folder).args(["--format", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut flows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let start = |flow: &Value| flow["ts"].as_f64().unwrap();
        let first = flows.iter().map(start).fold(f64::INFINITY, f64::min);
        for flow in &mut flows {
            flow["ts"] = (start(flow) - first + BEGIN + f64::from(hours) * 3_600.0).into();
        }
        all.extend(flows);
    }
    all
}

/// A flow as Suricata tells it.
fn eve(flow: &Value) -> Value {
    let start = flow["ts"].as_f64().unwrap();
    let time = |seconds: f64| {
        let (minutes, seconds) = ((seconds / 60.0).floor(), seconds % 60.0);
        format!("2023-11-14T{:02}:{:02}:{seconds:09.6}+0000", (minutes / 60.0).floor(), minutes % 60.0)
    };
    let flags = |of: fn(&char) -> bool| {
        let letters = flow["history"].as_str().unwrap_or_default().chars().filter(of);
        let flags = letters.map(|letter| match letter.to_ascii_uppercase() {
            'S' => 0x02,
            'H' => 0x12,
            'F' => 0x01,
            'R' => 0x04,
            'A' | 'D' => 0x10,
            _ => 0,
        });
        format!("{:02x}", flags.fold(0, |all, flag| all | flag))
    };
    json!({
        "timestamp": time(start - BEGIN), "event_type": "flow",
        "src_ip": flow["id.orig_h"], "src_port": flow["id.orig_p"],
        "dest_ip": flow["id.resp_h"], "dest_port": flow["id.resp_p"],
        "proto": flow["proto"].as_str().unwrap().to_uppercase(),
        "flow": {
            "pkts_toserver": flow["orig_pkts"], "bytes_toserver": flow["orig_ip_bytes"],
            "pkts_toclient": flow["resp_pkts"], "bytes_toclient": flow["resp_ip_bytes"],
            "start": time(start - BEGIN), "end": time(start - BEGIN + flow["duration"].as_f64().unwrap_or(0.0)),
        },
        "tcp": {"tcp_flags_ts": flags(char::is_ascii_uppercase), "tcp_flags_tc": flags(char::is_ascii_lowercase)},
    })
}

fn lines(rows: &[Value]) -> Vec<u8> {
    rows.iter().flat_map(|row| format!("{row}\n").into_bytes()).collect()
}

#[test]
fn a_log_that_grows_gives_what_a_scan_of_the_finished_one_gives() {
    let flows = flows(&["port-scan-connect", "udp-flood-out", "brute-force-ssh"]);
    for name in ["conn.log", "eve.json"] {
        let rows = if name == "conn.log" { flows.clone() } else { flows.iter().map(eve).collect() };
        let (scene, bytes) = (Scene::new(name), lines(&rows));
        let child = scene.monitor(&[]);
        for piece in bytes.chunks(bytes.len() / 7 + 1) {
            scene.append(piece);
            sleep(Duration::from_millis(120));
        }
        until("the last line", || scene.offset() == bytes.len() as u64);
        scene.stop(child);
        let (followed, scanned) = (last_revisions(scene.alerts()), scan(&scene.log));
        assert!(scanned.len() >= 3, "{:?}", scanned.keys());
        assert_eq!(followed, scanned, "{name}");
    }
}

#[test]
fn a_kill_between_two_attacks_changes_neither() {
    let attacks = ["port-scan-connect", "udp-flood-out"];
    let scene = Scene::new("conn.log");
    let mut bytes = 0;
    for (attack, rows) in attacks.iter().zip([&attacks[..1], &attacks].map(flows)) {
        let mut child = scene.monitor(&[]);
        let text = lines(&rows);
        scene.append(&text[bytes..]);
        bytes = text.len();
        until(attack, || scene.offset() == bytes as u64);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ids = |alerts: &BTreeMap<String, Value>| alerts.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(ids(&last_revisions(scene.alerts())), ids(&scan(&scene.log)));
}

/// Fires once for each host: which alerts there are says which records were looked at.
const RULE: &str = "title: Seen\nid: 6b7f0a3e-2a51-4a0e-9d63-7e2f0a9b1c11\nlogsource: {product: zeek, service: conn}\n\
                    detection: {selection: {id.resp_p: 4444}, condition: selection}\nlevel: low\n";

fn host(number: u64) -> String {
    format!("10.1.{}.{}", number / 200, number % 200 + 1)
}

#[test]
fn kills_lose_no_record_and_repeat_none_that_was_acknowledged() {
    let scene = Scene::new("conn.log");
    fs::create_dir(scene.path("rules")).unwrap();
    fs::write(scene.path("rules/seen.yml"), RULE).unwrap();
    let header =
        "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n";
    scene.append(header.as_bytes());
    // A fixed sequence of waits and pieces (a linear congruence).
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let (mut hosts, mut ends) = (0, vec![header.len() as u64]);
    let rules = scene.path("rules");
    for _ in 0..5 {
        let mut child = scene.monitor(&["--no-shipped-signatures", "--signatures", rules.to_str().unwrap()]);
        let (acknowledged, before) = (scene.offset(), scene.alerts().len());
        for _ in 0..4 + next(6) {
            for _ in 0..1 + next(12) {
                let row = format!("{}\t{}\t1\t10.0.0.1\t4444\ttcp\tSF\n", 1_700_000_000 + hosts, host(hosts));
                scene.append(row.as_bytes());
                ends.push(ends.last().unwrap() + row.len() as u64);
                hosts += 1;
            }
            sleep(Duration::from_millis(next(300)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let repeated = ends.iter().filter(|end| **end <= acknowledged).count().saturating_sub(1) as u64;
        let old: BTreeSet<String> = (0..repeated).map(host).collect();
        for alert in &scene.alerts()[before..] {
            let text = alert["device"].to_string();
            assert!(
                !old.iter().any(|host| text.contains(&format!("\"{host}\""))),
                "again: {text}, {repeated} acknowledged"
            );
        }
    }
    let child = scene.monitor(&["--no-shipped-signatures", "--signatures", rules.to_str().unwrap()]);
    until("the last line", || scene.offset() == *ends.last().unwrap());
    scene.stop(child);
    let alerts = last_revisions(scene.alerts());
    let text: String = alerts.values().map(|alert| alert["device"].to_string()).collect();
    let lost: Vec<String> = (0..hosts).map(host).filter(|host| !text.contains(&format!("\"{host}\""))).collect();
    assert!(lost.is_empty(), "{lost:?} of {hosts}");
    // What was judged again because the kill came before it was acknowledged is the same alert.
    assert_eq!(alerts.len() as u64, hosts);
}

#[test]
fn without_a_folder_the_usual_ones_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = lapwing().args(["monitor", "--zeek", "--duration", "0", "--state"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    // Where Zeek is not installed there are none.
    assert!(run.status.success() || said.contains("no folder of Zeek's was found where it is usual"), "{said}");
}

#[test]
fn a_log_that_cannot_be_read_is_in_the_summary() {
    let scene = Scene::new("conn.log");
    fs::create_dir(&scene.log).unwrap();
    scene.stop(scene.monitor(&[]));
    let said = fs::read_to_string(scene.path("said")).unwrap();
    assert!(said.contains("0 alerts in 0 records"), "{said}");
    assert!(said.contains("conn.log: not read at the end: not a file"), "{said}");
    assert!(said.contains("coverage: logs that cannot be read: 1"), "{said}");
}
