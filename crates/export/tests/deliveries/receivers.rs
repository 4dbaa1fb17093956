//! Deliveries to real receivers, each stopped for a while and started again, and hanging for a while: nothing is lost, and what
//! comes twice carries the same id and is the same. The programs are Debian packages that `.ci/run` installs; each test starts its own on a loopback port.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::common::{LONG, ids, offer, one_sink, start, until};
use crate::tls::Identity;
use lapwing_export::metrics::{Metrics, MetricsListener, names};
use lapwing_export::{ExportConfig, Exporter};
use serde_json::Value;

/// A program that is ended with the test, whatever comes of it.
struct Program {
    command: Command,
    child: Option<Child>,
    port: u16,
}

impl Program {
    fn new(name: &str, port: u16, arguments: &[&str]) -> Self {
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { command, child: None, port }
    }

    /// Starts it, and waits until its port answers.
    fn start(&mut self) {
        self.child = Some(self.command.spawn().unwrap());
        until("the receiver listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Ends it as a service manager does, and waits for its end.
    fn stop(&mut self) {
        self.signal("CONT");
        self.signal("TERM");
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a program is missing, with a word about it.
fn missing(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    !found
}

/// Every query of a dashboard, with what Grafana puts in.
fn queries(dashboard: &str, key: &str, put_in: &[(&str, &str)]) -> Vec<String> {
    let path = format!("{}/../../packaging/grafana/{dashboard}.json", env!("CARGO_MANIFEST_DIR"));
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let filled = |target: &Value| {
        put_in.iter().fold(target[key].as_str().unwrap().to_owned(), |text, (name, value)| text.replace(name, value))
    };
    targets.map(filled).collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The body of the answer.
fn http(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap_or_default().1.to_owned()
}

/// Delivers before, during and after an outage of the receiver, and while it hangs, if that can be noticed; gives the ids.
fn through_an_outage(config: &ExportConfig, receiver: &mut Program, notices_hanging: bool) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut exporter = start(config, folder.path(), |_| {});
    let stages = ["before", "during", "after", "hanging"].map(|stage| ids(stage, 40));
    let is_failing = |exporter: &Exporter| exporter.status()[0].failing;
    offer(&exporter, &stages[0]);
    assert!(exporter.flush(LONG));
    receiver.stop();
    offer(&exporter, &stages[1]);
    until("the outage is noticed", || is_failing(&exporter));
    receiver.start();
    offer(&exporter, &stages[2]);
    assert!(exporter.flush(LONG), "{:?}", exporter.status());
    if notices_hanging {
        receiver.signal("STOP");
    }
    offer(&exporter, &stages[3]);
    if notices_hanging {
        until("the hanging is noticed", || is_failing(&exporter));
        receiver.signal("CONT");
    }
    assert!(exporter.flush(LONG), "{:?}", exporter.status());
    let status = &exporter.status()[0];
    assert_eq!((status.rejected, status.dropped, status.queued), (0, 0, 0));
    exporter.close(LONG);
    stages.concat().into_iter().collect()
}

/// The ids of alerts, one a line; an alert that came twice has to be the same.
fn ids_of<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut alerts: BTreeMap<String, &str> = BTreeMap::new();
    for line in lines {
        let Ok(alert) = serde_json::from_str::<Value>(line) else { continue };
        let known = alerts.insert(alert["id"].as_str().unwrap().to_owned(), line);
        assert!(known.is_none_or(|known| known == line));
    }
    alerts.into_keys().collect()
}

#[test]
#[ignore = "needs rsyslog"]
fn rsyslog_gets_everything() {
    if missing("rsyslogd") {
        return;
    }
    for transport in ["tcp", "udp"] {
        let folder = tempfile::tempdir().unwrap();
        let (settings, out) = (folder.path().join("rsyslog.conf"), folder.path().join("out"));
        let (pid, port) = (folder.path().join("pid"), free_port());
        // It listens to both: the TCP port says when it is there.
        fs::write(
            &settings,
            format!(
                "global(maxMessageSize=\"64k\")\nmodule(load=\"imtcp\")\nmodule(load=\"imudp\")\n\
                 input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
                 input(type=\"imudp\" port=\"{port}\" address=\"127.0.0.1\")\n\
                 template(name=\"message\" type=\"string\" string=\"%msg%\\n\")\n\
                 action(type=\"omfile\" file=\"{}\" template=\"message\")\n",
                out.display()
            ),
        )
        .unwrap();
        let mut rsyslog = Program::new("rsyslogd", port, &["-n", "-f", text(&settings), "-i", text(&pid)]);
        rsyslog.start();
        let sink =
            format!(r#""syslog": {{"address": "127.0.0.1:{port}", "transport": "{transport}", "timeout_seconds": 1}}"#);
        // The kernel keeps datagrams for a receiver that hangs.
        let sent = through_an_outage(&one_sink(&sink), &mut rsyslog, transport == "tcp");
        let got = || ids_of(fs::read_to_string(&out).unwrap().lines());
        until("rsyslog has written everything", || got().is_superset(&sent));
        assert_eq!(got(), sent);
    }
}

#[test]
#[ignore = "needs influxdb (1.6)"]
fn influxdb_gets_everything_once() {
    if missing("influxd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (settings, port) = (folder.path().join("influxdb.conf"), free_port());
    let data = folder.path().display();
    fs::write(
        &settings,
        format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n[meta]\ndir = \"{data}/meta\"\n\
             [data]\ndir = \"{data}/data\"\nwal-dir = \"{data}/wal\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n",
            free_port()
        ),
    )
    .unwrap();
    let mut influxdb = Program::new("influxd", port, &["-config", text(&settings)]);
    influxdb.start();
    http(port, "POST /query?q=CREATE%20DATABASE%20lapwing");
    let sink =
        format!(r#""influx": {{"url": "http://127.0.0.1:{port}", "database": "lapwing", "timeout_seconds": 1}}"#);
    let points = || -> Vec<String> {
        let answer = http(port, "GET /query?db=lapwing&q=SELECT%20id%20FROM%20lapwing_alert");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let rows = answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row[1].as_str().unwrap().to_owned()).collect()
    };
    // The same twice: what came again has replaced what was there.
    for _ in 0..2 {
        let sent = through_an_outage(&one_sink(&sink), &mut influxdb, true);
        assert_eq!(points().len(), sent.len());
        assert_eq!(points().into_iter().collect::<BTreeSet<_>>(), sent);
    }
    let put_in = [("$timeFilter", "time > 0"), ("$sensor", ".*"), ("$__interval", "52w")];
    for query in queries("influxdb", "query", &put_in) {
        let answer = http(port, &format!("GET /query?db=lapwing&q={}", percent(&query)));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        // The self-test's alerts are of low severity.
        let found = answer["results"][0]["series"].is_array() || query.contains("critical");
        assert!(found && answer["results"][0]["error"].is_null(), "{query}: {answer}");
    }
}

#[test]
#[ignore = "needs mosquitto and mosquitto-clients"]
fn mosquitto_gets_everything() {
    if missing("mosquitto") || missing("mosquitto_sub") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (settings, out, port) = (folder.path().join("mosquitto.conf"), folder.path().join("out"), free_port());
    // The subscriber's session outlives the broker, as does what waits for it.
    fs::write(
        &settings,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {}/\n",
            folder.path().display()
        ),
    )
    .unwrap();
    let mut mosquitto = Program::new("mosquitto", port, &["-c", text(&settings)]);
    mosquitto.start();
    let port_text = port.to_string();
    let arguments = [
        "-oL",
        "mosquitto_sub",
        "-h",
        "127.0.0.1",
        "-p",
        &port_text,
        "-t",
        "#",
        "-q",
        "1",
        "-i",
        "test",
        "-c",
        "-F",
        "%t\t%p",
    ];
    let mut subscriber = Program::new("stdbuf", port, &arguments);
    subscriber.command.stdout(File::create(&out).unwrap());
    subscriber.start();
    let received = |topic: &str| -> Vec<String> {
        let text = fs::read_to_string(&out).unwrap();
        text.lines()
            .filter_map(|line| line.split_once('\t'))
            .filter(|(of, _)| *of == topic)
            .map(|(_, payload)| payload.to_owned())
            .collect()
    };
    // Its subscription is there once it hears itself being asked.
    until("the subscriber listens", || {
        Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port_text, "-t", "ready", "-m", "1"])
            .status()
            .unwrap();
        !received("ready").is_empty()
    });
    let sink = format!(r#""mqtt": {{"address": "127.0.0.1:{port}", "timeout_seconds": 1}}"#);
    let sent = through_an_outage(&one_sink(&sink), &mut mosquitto, true);
    let got = || ids_of(received("lapwing/barn/alert").iter().map(String::as_str));
    until("the subscriber has everything", || got().is_superset(&sent));
    assert_eq!(got(), sent);
    until("the sensor has left", || received("lapwing/barn/status").last().is_some_and(|status| status == "offline"));
    assert!(!received("homeassistant/event/lapwing_barn/alert/config").is_empty());
}

#[test]
#[ignore = "needs mosquitto"]
fn mosquitto_over_tls_gets_everything_from_who_trusts_it() {
    if missing("mosquitto") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (broker, other) = (Identity::new(folder.path(), "broker"), Identity::new(folder.path(), "other"));
    let (settings, port) = (folder.path().join("mosquitto.conf"), free_port());
    let identity = format!("certfile {}\nkeyfile {}\n", text(&broker.certificate), text(&broker.key));
    fs::write(&settings, format!("listener {port}\nallow_anonymous true\nuser root\n{identity}")).unwrap();
    let mut mosquitto = Program::new("mosquitto", port, &["-c", text(&settings)]);
    mosquitto.start();
    let exporter = |trusted: &Identity, spool: &str| {
        let tls = format!(r#""tls": {{"ca_file": "{}"}}"#, text(&trusted.certificate));
        let sink = format!(r#""mqtt": {{"address": "localhost:{port}", "timeout_seconds": 2, {tls}}}"#);
        let exporter = start(&one_sink(&sink), &folder.path().join(spool), |_| {});
        offer(&exporter, &ids("alert", 20));
        exporter
    };
    let trusting = exporter(&broker, "trusting");
    assert!(trusting.flush(LONG));
    assert_eq!(trusting.status()[0].delivered, 20);
    let doubting = exporter(&other, "doubting");
    until("the certificate is refused", || doubting.status()[0].failing);
    assert_eq!(doubting.status()[0].delivered, 0);
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_reads_the_metrics_and_misses_nothing_while_it_is_away() {
    if missing("prometheus") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let listener = MetricsListener::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&metrics)).unwrap();
    let (settings, port) = (folder.path().join("prometheus.yml"), free_port());
    fs::write(
        &settings,
        format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: lapwing\n  static_configs:\n  - targets: ['{}']\n",
            listener.address()
        ),
    )
    .unwrap();
    let arguments = [
        &format!("--config.file={}", settings.display()),
        &format!("--storage.tsdb.path={}", folder.path().join("data").display()),
        &format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let mut prometheus = Program::new("prometheus", port, &arguments.map(String::as_str));
    prometheus.start();
    let known = || -> Option<String> {
        let answer = http(port, "GET /api/v1/query?query=lapwing_alerts_total");
        let answer: Value = serde_json::from_str(&answer).ok()?;
        let series =
            answer["data"]["result"].as_array()?.iter().find(|series| series["metric"]["severity"] == "high")?;
        series["value"][1].as_str().map(str::to_owned)
    };
    metrics.add(&names::ALERTS, &["vertical-scan", "port-scan", "high"], 3.0);
    until("Prometheus knows of three alerts", || known().as_deref() == Some("3"));
    prometheus.stop();
    metrics.add(&names::ALERTS, &["vertical-scan", "port-scan", "high"], 4.0);
    prometheus.start();
    until("Prometheus knows of seven alerts", || known().as_deref() == Some("7"));
    let put_in = [("$__range", "1h"), ("$__rate_interval", "5m"), ("$__interval", "5m"), ("$instance", ".*")];
    for query in queries("prometheus", "expr", &put_in) {
        let answer = http(port, &format!("GET /api/v1/query?query={}", percent(&query)));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }
}
