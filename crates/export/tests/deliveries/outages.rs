//! What outages, refusals and restarts do to deliveries.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::{LONG, alert, ids, offer, one_sink, start, until};
use lapwing_export::metrics::{Metrics, MetricsListener, names};
use lapwing_export::{Notice, check_sinks, synthetic_alert};

/// An HTTP receiver that can be stopped, and started again at the same address.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Receiver {
    fn start(status: &'static str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut receiver = Self { address, got: Arc::default(), running: None };
        receiver.start_again(status);
        receiver
    }

    fn start_again(&mut self, status: &'static str) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        let (ended, got) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.got));
        let end = Arc::clone(&ended);
        let serve = move || {
            for stream in listener.incoming().take_while(|_| !end.load(Ordering::Relaxed)) {
                answer(stream.unwrap(), status, &got);
            }
        };
        self.running = Some((ended, thread::spawn(serve)));
    }

    fn stop(&mut self) {
        if let Some((ended, thread)) = self.running.take() {
            ended.store(true, Ordering::Relaxed);
            drop(TcpStream::connect(self.address));
            thread.join().unwrap();
        }
    }

    /// Ids in the order in which they came.
    fn ids(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }

    fn sink(&self) -> String {
        format!(r#""webhook": {{"url": "http://{}/"}}"#, self.address)
    }
}

/// Answers one request; the connection is closed, so that a receiver that was stopped is noticed.
fn answer(mut stream: TcpStream, status: &str, got: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut id) = (0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some((name, value)) if name.eq_ignore_ascii_case("x-lapwing-id") => id = Some(value.to_owned()),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).unwrap();
    got.lock().unwrap().extend(id);
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

fn set(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(String::as_str).collect()
}

#[test]
fn what_a_stopped_receiver_missed_comes_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start("200 OK");
    let exporter = start(&one_sink(&receiver.sink()), folder.path(), |_| {});
    let (before, during, after) = (ids("before", 5), ids("during", 5), ids("after", 5));
    offer(&exporter, &before);
    assert!(exporter.flush(LONG));
    receiver.stop();
    offer(&exporter, &during);
    until("the outage is noticed", || exporter.status()[0].failing);
    receiver.start_again("200 OK");
    offer(&exporter, &after);
    assert!(exporter.flush(LONG));
    assert_eq!(set(&receiver.ids()), set(&[before, during, after].concat()));
    let status = &exporter.status()[0];
    assert_eq!((status.delivered, status.queued, status.failing), (15, 0, false));
    assert!(status.retried > 0);
}

#[test]
fn what_was_taken_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start("200 OK");
    receiver.stop();
    let config = one_sink(&receiver.sink());
    let mut exporter = start(&config, folder.path(), |_| {});
    offer(&exporter, &ids("early", 20));
    assert!(exporter.persist(LONG));
    exporter.close(LONG);
    drop(exporter);
    receiver.start_again("200 OK");
    let exporter = start(&config, folder.path(), |_| {});
    offer(&exporter, &ids("late", 1));
    assert!(exporter.flush(LONG));
    assert_eq!(receiver.ids(), [ids("early", 20), ids("late", 1)].concat());
}

#[test]
fn a_receiver_that_hangs_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // Connections are accepted by the kernel, and never answered.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = folder.path().join("alerts.jsonl");
    let settings = format!(
        r#"{{"sinks": {{"hanging": {{"webhook": {{"url": "http://{}/"}}}}, "file": {{"file": {{"path": "{}"}}}}}}}}"#,
        hanging.local_addr().unwrap(),
        path.display()
    );
    let config = serde_json::from_str(&settings).unwrap();
    let mut exporter = start(&config, &folder.path().join("spool"), |_| {});
    offer(&exporter, &ids("alert", 50));
    until("the file has all", || fs::read_to_string(&path).is_ok_and(|text| text.lines().count() == 50));
    let status = exporter.status();
    assert_eq!((status[1].name.as_str(), status[1].delivered), ("hanging", 0));
    exporter.close(Duration::ZERO);
}

#[test]
fn a_refusal_is_told_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("400 Bad Request");
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&told);
    let exporter =
        start(&one_sink(&receiver.sink()), folder.path(), move |notice| notices.lock().unwrap().push(notice.clone()));
    offer(&exporter, &ids("alert", 3));
    assert!(exporter.flush(LONG));
    assert_eq!((exporter.status()[0].rejected, receiver.ids().len()), (3, 3));
    let told = told.lock().unwrap();
    assert!(matches!(told.as_slice(), [Notice::Rejected { id, .. }] if id == "alert-0"), "{told:?}");
}

#[test]
fn a_sink_gets_what_its_route_says() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("200 OK");
    let route = format!(r#""minimum_severity": "low", "kinds": ["self*"], "updates": "none", {}"#, receiver.sink());
    let exporter = start(&one_sink(&route), folder.path(), |_| {});
    let mut other = alert("another-kind");
    other.kind = "port-scan".to_owned();
    let mut again = alert("wanted");
    again.revision += 1;
    for alert in [&other, &alert("wanted"), &again] {
        assert!(exporter.offer(alert).unwrap());
    }
    assert!(exporter.flush(LONG));
    assert_eq!(receiver.ids(), ["wanted"]);
}

#[test]
fn the_self_test_says_for_each_sink_whether_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let (good, mut bad) = (Receiver::start("200 OK"), Receiver::start("200 OK"));
    bad.stop();
    let settings = format!(
        r#"{{"sinks": {{"bad": {{{}}}, "good": {{"minimum_severity": "critical", {}}}, "file": {{"file": {{"path": "{}"}}}}}}}}"#,
        bad.sink(),
        good.sink(),
        folder.path().join("alerts.jsonl").display()
    );
    let alert = synthetic_alert(lapwing_capture::Timestamp::from_seconds(1));
    let checks = check_sinks(&serde_json::from_str(&settings).unwrap(), &alert, LONG).unwrap();
    let failed: Vec<(&str, bool)> = checks.iter().map(|check| (check.sink.as_str(), check.failed.is_some())).collect();
    assert_eq!(failed, [("bad", true), ("file", false), ("good", false)]);
    assert_eq!(good.ids(), [alert.id]);
}

#[test]
fn deliveries_are_shown_among_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start("200 OK");
    let exporter = start(&one_sink(&receiver.sink()), folder.path(), |_| {});
    let metrics = Arc::new(Metrics::default());
    exporter.show_in(&metrics);
    let listener = MetricsListener::start(SocketAddr::from(([127, 0, 0, 1], 0)), metrics).unwrap();
    offer(&exporter, &ids("alert", 4));
    assert!(exporter.flush(LONG));
    let mut stream = TcpStream::connect(listener.address()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("lapwing_export_delivered_total{sink=\"receiver\"} 4\n"), "{text}");
    assert!(text.contains("lapwing_export_queue_depth{sink=\"receiver\"} 0\n"), "{text}");
}

#[test]
fn the_dashboards_name_only_what_there_is() {
    let read = |name: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/grafana/");
        let text = fs::read_to_string(format!("{path}{name}.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string()
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = read("prometheus");
    let named: BTreeSet<&str> = named.split(|c| !is_word(c)).filter(|word| word.starts_with("lapwing_")).collect();
    let known: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let missing: Vec<_> = named.iter().filter(|name| !known.contains(name.trim_end_matches("_bucket"))).collect();
    assert!(missing.is_empty() && named.len() > 10, "{missing:?}");
    assert!(read("influxdb").contains("lapwing_alert"));
}

#[test]
fn every_metric_is_documented() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/delivery.md")).unwrap();
    let missing: Vec<_> = names::ALL.iter().filter(|metric| !text.contains(&format!("`{}`", metric.name))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A file system with room for few alerts, mounted until dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where that is not allowed.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&path).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _left_behind = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "mounts a small file system: needs root"]
fn a_full_disk_is_told_bridged_and_made_good() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(folder.path().join("spool")) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let mut receiver = Receiver::start("200 OK");
    receiver.stop();
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&told);
    let report = move |notice: &Notice| notices.lock().unwrap().push(notice.clone());
    let exporter = start(&one_sink(&receiver.sink()), &small.0, report);
    let is_told = |wanted: fn(&Notice) -> bool| told.lock().unwrap().iter().any(wanted);
    let (many, few) = (ids("many", 200), ids("few", 5));
    offer(&exporter, &many);
    until("it is told", || {
        is_told(|notice| matches!(notice, Notice::SpoolFault { reason } if reason.contains("space")))
    });
    receiver.start_again("200 OK");
    assert!(exporter.flush(LONG));
    // What was delivered has made room.
    until("the disk is written again", || {
        offer(&exporter, &few);
        assert!(exporter.flush(LONG));
        is_told(|notice| matches!(notice, Notice::SpoolMended))
    });
    assert_eq!(set(&receiver.ids()), set(&[many, few].concat()));
    assert_eq!((exporter.status()[0].dropped, exporter.spool_status().held), (0, 0));
}
