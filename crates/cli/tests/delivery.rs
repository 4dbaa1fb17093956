//! Delivery from the program: only when asked, and with a word about whom it did not reach.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
    assert!(told.contains("1 of 2") && told.contains("`siem`") && !told.contains("`archive`"), "{told}");
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
        ("[geo]\ncountry = '/no/such.mmdb'\n", &["geo", "/no/such.mmdb: No such file"]),
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

/// A live run on the loopback interface; what it says goes into a file.
struct Monitor {
    child: Child,
    said: PathBuf,
}

impl Monitor {
    fn start(config: &Path, said: PathBuf) -> Self {
        let program = assert_cmd::cargo::cargo_bin("lapwing");
        let child = std::process::Command::new(program)
            .args(["monitor", "--interface", "lo", "--local", "127.0.0.0/8", "--metrics", "127.0.0.1:0", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let monitor = Self { child, said };
        until("it listens", || monitor.said().contains("listening to lo"));
        monitor
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    fn metrics(&self) -> String {
        let said = self.said();
        let address = said.split_once("metrics at http://").unwrap().1.split_once('/').unwrap().0;
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Asks it to end; says how long that took.
    fn end(mut self) -> Duration {
        let begun = Instant::now();
        std::process::Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.said());
        begun.elapsed()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _has_ended = self.child.kill();
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Kinds of alerts in a file with an alert a line.
fn kinds(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let alerts = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    alerts.map(|alert| alert["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "listens to the loopback interface: needs root"]
fn a_live_run_delivers_as_it_goes_and_the_next_what_was_left() {
    let siem = deserted();
    let spool = tempfile::tempdir().unwrap();
    let more = format!(
        "[sinks.siem.syslog]\naddress = '{siem}'\ntransport = 'tcp'\n[delivery]\nspool = '{}'\n",
        spool.path().join("spool").display()
    );
    let (folder, config, alerts) = folder(&more);
    let monitor = Monitor::start(&config, folder.path().join("first"));
    for port in 20_000..20_300 {
        drop(TcpStream::connect(("127.0.0.5", port)));
    }
    until("the scan is delivered", || kinds(&alerts).iter().any(|kind| kind == "port-scan"));
    let shown = |name: &str| monitor.metrics().lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
    for name in [
        "lapwing_up",
        "lapwing_capture_packets_total{iface=\"lo\"}",
        "lapwing_alerts_total{",
        "lapwing_export_queue_depth{sink=\"siem\"}",
    ] {
        // Frames are counted for others to see once a second.
        until(name, || shown(name));
    }
    assert!(monitor.end() < Duration::from_secs(5));

    let receiver = TcpListener::bind(&siem).unwrap();
    let monitor = Monitor::start(&config, folder.path().join("second"));
    receiver.set_nonblocking(true).unwrap();
    let accepted = RefCell::new(None);
    until("what was left is delivered", || {
        receiver.accept().is_ok_and(|(stream, _)| accepted.replace(Some(stream)).is_none())
    });
    let mut stream = accepted.into_inner().unwrap();
    stream.set_nonblocking(false).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    assert!(text.contains(" port-scan [origin software=\"lapwing\""), "{text}");
    assert!(monitor.end() < Duration::from_secs(5));
}
