//! What `monitor` keeps and remembers, shown with logs that it follows: that takes no rights.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const LAPWING: &str = env!("CARGO_BIN_EXE_lapwing");

/// The longest that `SIGTERM` may take.
const FAREWELL: Duration = Duration::from_secs(5);

const HEADER: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\t\
    orig_bytes\tresp_bytes\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";

/// A place with the log of a sensor, a store and a state folder.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("zeek")).unwrap();
        fs::write(folder.path().join("zeek/conn.log"), HEADER).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends what `host` did: it was refused at so many ports of another one.
    fn scan(&self, host: &str, second: u64, ports: u16) {
        let line = |port| {
            let uid = format!("C{second}p{port}h{}", host.replace('.', "x"));
            format!(
                "{second}.{port:06}\t{uid}\t{host}\t40000\t192.168.7.9\t{port}\ttcp\t0.000100\t0\t0\tREJ\tSr\t1\t40\t1\t40\n"
            )
        };
        self.append(&(1..=ports).map(line).collect::<String>());
    }

    /// Appends that `host` had an answer from a server of the network.
    fn talk(&self, host: &str, second: u64) {
        let uid = format!("C{second}h{}", host.replace('.', "x"));
        self.append(&format!(
            "{second}.000001\t{uid}\t{host}\t40000\t192.168.7.1\t80\ttcp\t0.5\t100\t200\tSF\tShADadFf\t6\t400\t5\t500\n"
        ));
    }

    fn append(&self, lines: &str) {
        let mut log = OpenOptions::new().append(true).open(self.path("zeek/conn.log")).unwrap();
        log.write_all(lines.as_bytes()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(LAPWING);
        command.arg("monitor").arg("--zeek").arg(self.path("zeek")).arg("--state").arg(self.path("state"));
        command.args(arguments);
        command
    }

    /// Starts to follow the log, with the store.
    fn monitor(&self, arguments: &[&str]) -> Monitor {
        let mut command = self.command(arguments);
        let command = command.arg("--store").arg(self.path("store"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let alerts = lines(child.stdout.take().unwrap());
        let said = lines(child.stderr.take().unwrap());
        let mut monitor = Monitor { child, alerts, said, heard: Vec::new() };
        monitor.wait_for("following");
        monitor
    }

    /// What another verb says about the store.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new(LAPWING).args(arguments).arg("--store").arg(self.path("store")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn alerts(&self) -> Vec<Value> {
        json_lines(&self.ask(&["query", "alerts", "--format", "jsonl", "--limit", "0"]))
    }

    /// Waits until the store says so.
    fn wait_until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !(self.path("store/lapwing.db").exists() && done(self)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "waited for {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(reader: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

struct Monitor {
    child: Child,
    alerts: Receiver<String>,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Monitor {
    fn wait_for(&mut self, words: &str) {
        let begun = Instant::now();
        while !self.heard.iter().any(|line| line.contains(words)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "waited for {words:?}: {:?}", self.heard);
            if let Ok(line) = self.said.recv_timeout(Duration::from_millis(100)) {
                self.heard.push(line);
            }
        }
    }

    /// Waits for a revision of an alert about that device, with that status.
    fn wait_for_alert(&self, device: &str, status: &str) -> Value {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_secs(30), "waited for {device} {status}");
            let Ok(line) = self.alerts.recv_timeout(Duration::from_millis(100)) else { continue };
            let alert: Value = serde_json::from_str(&line).unwrap();
            if text(&alert, "device") == device && text(&alert, "status") == status {
                return alert;
            }
        }
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Ends it; returns the last revision of each alert that was told, and everything it said.
    fn end(mut self) -> (BTreeMap<String, Value>, Vec<String>) {
        self.signal("TERM");
        let begun = Instant::now();
        let status = self.child.wait().unwrap();
        assert!(begun.elapsed() < FAREWELL, "{:?}", begun.elapsed());
        self.heard.extend(self.said.iter());
        assert!(status.success(), "{:?}", self.heard);
        let alerts = self.alerts.iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        (alerts.map(|alert| (text(&alert, "id"), alert)).collect(), self.heard)
    }

    fn kill(mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn says(said: &[String], words: &str) -> bool {
    said.iter().any(|line| line.contains(words))
}

#[test]
fn what_is_told_is_kept_with_flows_and_devices() {
    let place = Place::new();
    place.scan("192.168.7.20", 1_700_000_000, 300);
    let monitor = place.monitor(&[]);
    place.wait_until("the scan", |place| !place.alerts().is_empty());
    place.scan("192.168.7.21", 1_700_000_100, 300);
    place.wait_until("the other scan", |place| place.alerts().len() == 2);
    let (told, said) = monitor.end();
    let kept: BTreeMap<String, Value> = place.alerts().into_iter().map(|alert| (text(&alert, "id"), alert)).collect();
    assert_eq!(kept, told, "each once, in its last revision");
    assert_eq!(place.ask(&["query", "flows", "--format", "jsonl", "--limit", "0"]).lines().count(), 600);
    assert!(!says(&said, "not kept"), "{said:?}");
}

#[test]
fn a_second_monitor_is_told_who_has_the_folder_and_a_killed_one_lets_go() {
    let place = Place::new();
    let first = place.monitor(&[]);
    let refusals = [vec![], vec!["--store", "elsewhere"], vec!["--state", "elsewhere"]];
    for arguments in refusals {
        let elsewhere = tempfile::tempdir().unwrap();
        let mut command = Command::new(LAPWING);
        command.current_dir(elsewhere.path()).arg("monitor").arg("--zeek").arg(place.path("zeek"));
        for (option, folder) in [("--state", place.path("state")), ("--store", place.path("store"))] {
            if !arguments.contains(&option) {
                command.arg(option).arg(folder);
            }
        }
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("another monitor uses this folder (process {})", first.child.id())), "{said}");
        assert!(!output.status.success());
    }
    first.kill();
    place.monitor(&[]).end();
}

#[test]
fn who_follows_logs_cannot_read_outside_their_folders() {
    let place = Place::new();
    place.scan("192.168.7.20", 1_700_000_000, 30);
    let mut monitor = place.monitor(&[]);
    place.wait_until("the scan", |place| !place.alerts().is_empty());
    let status = fs::read_to_string(format!("/proc/{}/status", monitor.child.id())).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((line("CapPrm:"), line("NoNewPrivs:")), ("0".repeat(16), "1".to_owned()));
    if monitor.heard.iter().any(|line| line.contains("landlock on")) {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("conn.log"), HEADER).unwrap();
        fs::rename(place.path("zeek/conn.log"), place.path("zeek/conn.1.log")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("conn.log"), place.path("zeek/conn.log")).unwrap();
        monitor.wait_for("Permission denied");
    } else {
        eprintln!("skipped: this kernel has no landlock");
    }
    monitor.end();
}

/// The folder may be made before the sensor has ever run.
#[test]
fn a_log_that_comes_later_is_read_in_the_sandbox_too() {
    let place = Place::new();
    let log = Path::new("zeek/conn.log");
    fs::rename(place.folder.path().join(log), place.path("later.log")).unwrap();
    fs::remove_dir(place.path("zeek")).unwrap();
    let monitor = place.monitor(&[]);
    fs::create_dir(place.path("zeek")).unwrap();
    fs::rename(place.path("later.log"), place.folder.path().join(log)).unwrap();
    place.scan("192.168.7.20", 1_700_000_000, 30);
    place.wait_until("the scan", |place| !place.alerts().is_empty());
    monitor.end();
}

/// The time at which the traffic of these tests begins.
const BEGIN: u64 = 1_700_000_000;

#[test]
fn a_device_that_was_new_yesterday_is_not_new_after_a_restart() {
    let place = Place::new();
    let new_devices = |alerts: BTreeMap<String, Value>| -> Vec<String> {
        alerts.values().filter(|alert| alert["kind"] == "new-device").map(|alert| text(alert, "device")).collect()
    };
    (0..30).for_each(|hour| place.talk("192.168.7.20", BEGIN + 3_600 * hour));
    place.talk("192.168.7.30", BEGIN + 3_600 * 30);
    let monitor = place.monitor(&[]);
    place.wait_until("the new device", |place| !place.alerts().is_empty());
    assert_eq!(new_devices(monitor.end().0), ["192.168.7.30"]);

    // What was learnt counts: without it neither would be new.
    place.talk("192.168.7.30", BEGIN + 3_600 * 31);
    place.talk("192.168.7.40", BEGIN + 3_600 * 32);
    let monitor = place.monitor(&[]);
    place.wait_until("the other new device", |place| place.alerts().len() == 2);
    // Killed after it was kept: it is remembered too.
    place.talk("192.168.7.20", BEGIN + 3_600 * 33);
    place.wait_until("the devices", |place| {
        place.ask(&["query", "devices", "--format", "jsonl"]).lines().any(|line| line.contains("\"192.168.7.40\""))
    });
    monitor.kill();

    place.talk("192.168.7.40", BEGIN + 3_600 * 34);
    let monitor = place.monitor(&[]);
    place.scan("192.168.7.40", BEGIN + 3_600 * 35, 300);
    monitor.wait_for_alert("192.168.7.40", "open");
    assert_eq!(new_devices(monitor.end().0), [""; 0]);
    let devices = json_lines(&place.ask(&["query", "devices", "--format", "jsonl"]));
    let counted = devices.iter().find(|device| text(device, "id") == "192.168.7.30").unwrap();
    assert_eq!(counted["flows"], 2, "what both runs counted, each flow once");
}

#[test]
fn what_an_earlier_run_left_damaged_keeps_nobody_from_watching() {
    let place = Place::new();
    place.talk("192.168.7.20", BEGIN);
    let monitor = place.monitor(&[]);
    place.wait_until("the flow", |place| !place.ask(&["query", "flows"]).is_empty());
    monitor.end();
    let path = place.path("store/lapwing.db");
    let mut database = fs::read(&path).unwrap();
    let at = database.windows(10).position(|bytes| bytes == b"is_settled").unwrap();
    database[at] = b'x';
    fs::write(&path, database).unwrap();

    place.scan("192.168.7.20", BEGIN + 60, 300);
    let monitor = place.monitor(&[]);
    monitor.wait_for_alert("192.168.7.20", "open");
    assert!(says(&monitor.end().1, "this one begins anew: device"));
}

#[test]
fn an_alert_goes_on_under_its_id_after_a_restart() {
    let place = Place::new();
    let monitor = place.monitor(&[]);
    place.scan("192.168.7.20", BEGIN, 300);
    let before = monitor.wait_for_alert("192.168.7.20", "open");
    place.wait_until("the scan", |place| !place.alerts().is_empty());
    monitor.kill();
    let mut monitor = place.monitor(&[]);
    monitor.wait_for("1 open alerts");
    place.scan("192.168.7.20", BEGIN + 60, 300);
    place.talk("192.168.7.21", BEGIN + 62);
    let after = monitor.wait_for_alert("192.168.7.20", "open");
    assert_eq!(after["id"], before["id"]);
    assert!(after["revision"].as_u64() > before["revision"].as_u64());
    // An hour without it, and it is over, though this run never saw it open.
    place.talk("192.168.7.21", BEGIN + 7_200);
    assert_eq!(monitor.wait_for_alert("192.168.7.20", "closed")["id"], before["id"]);
    monitor.end();
    let kept = place.alerts();
    assert_eq!((kept.len(), text(&kept[0], "status")), (1, "closed".to_owned()));
}

#[test]
fn what_is_suppressed_while_it_runs_is_kept_counted_and_not_told() {
    let place = Place::new();
    let monitor = place.monitor(&[]);
    place.scan("192.168.7.20", BEGIN, 300);
    let told = monitor.wait_for_alert("192.168.7.20", "open");
    place.wait_until("the scan", |place| !place.alerts().is_empty());
    place.ask(&["suppress", "add", "--device", "192.168.7.20", "--reason", "our scanner", "--by", "kim"]);
    // Read every two seconds.
    thread::sleep(Duration::from_secs(4));
    place.scan("192.168.7.20", BEGIN + 60, 300);
    let last = monitor.wait_for_alert("192.168.7.20", "closed");
    assert_eq!(last["id"], told["id"], "whoever shows it as open is told");
    assert!(last["suppressed_by"].is_string());
    // Another one of it, after the first is over; then one that nobody suppressed.
    place.scan("192.168.7.20", BEGIN + 10_000, 300);
    place.scan("192.168.7.21", BEGIN + 10_060, 300);
    monitor.wait_for_alert("192.168.7.21", "open");
    place.wait_until("both", |place| {
        let suppressed = place.ask(&["query", "alerts", "--suppressed", "--format", "jsonl"]);
        suppressed.lines().count() == 3
    });
    let (told, said) = monitor.end();
    assert!(told.values().all(|alert| text(alert, "device") == "192.168.7.21"), "{told:?}");
    assert!(says(&said, "1 alerts are suppressed"), "{said:?}");
    let list: Vec<Value> = serde_json::from_str(&place.ask(&["suppress", "list", "--json"])).unwrap();
    assert_eq!(list[0]["hits"], 2);
}

#[test]
fn rules_models_and_suppressions_are_read_anew_and_what_is_broken_stays_as_it_was() {
    let place = Place::new();
    let (rules, model) = (place.path("rules"), place.path("judge/home.lapwing"));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../signatures/device.yml");
    fs::create_dir(&rules).unwrap();
    fs::create_dir(model.parent().unwrap()).unwrap();
    let rule = fs::read_to_string(shipped)
        .unwrap()
        .split("---")
        .next()
        .unwrap()
        .replace("9f01", "9fff")
        .replace("kind: new-device", "kind: my-device");
    fs::write(rules.join("mine.yml"), &rule).unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/first-look/clean.pcap");
    let trained = Command::new(LAPWING).arg("train").arg(capture).arg("--output").arg(&model).output().unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));

    let judged = ["--signatures", rules.to_str().unwrap(), "--model", model.to_str().unwrap()];
    let mut monitor = place.monitor(&judged);
    place.scan("192.168.7.20", BEGIN, 300);
    let before = monitor.wait_for_alert("192.168.7.20", "open");
    monitor.signal("HUP");
    for words in ["rules read anew", "models read anew", "0 suppressions read anew"] {
        monitor.wait_for(words);
    }
    fs::write(rules.join("mine.yml"), "title: [").unwrap();
    fs::write(&model, "no model").unwrap();
    monitor.signal("HUP");
    for words in ["the rules stay as they were", "the models stay as they were"] {
        monitor.wait_for(words);
    }
    // It goes on as before, with what it knows: the alert is the same.
    place.scan("192.168.7.20", BEGIN + 60, 300);
    place.talk("192.168.7.21", BEGIN + 62);
    let after = monitor.wait_for_alert("192.168.7.20", "open");
    assert_eq!(after["id"], before["id"]);
    monitor.end();
}
