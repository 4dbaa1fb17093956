//! `monitor` between network namespaces: real tools on real interfaces. Needs root and `ip`, so `.ci/run` asks for it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod carried;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use carried::NotCarried;
use serde_json::Value;

const LAPWING: &str = env!("CARGO_BIN_EXE_lapwing");

fn run(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

/// Two namespaces, an attacker's and a watched one, and a cable between them. Nothing of the machine's network is touched.
struct Network {
    name: String,
}

impl Network {
    fn new(name: &str) -> Option<Self> {
        let user = Command::new("id").arg("-u").output().unwrap().stdout;
        if user != b"0\n" || !has("ip") {
            eprintln!("skipped: network namespaces take root and iproute2");
            return None;
        }
        let network = Self { name: format!("{name}{}", std::process::id()) };
        for side in ["a", "b"] {
            let name = format!("{}{side}", network.name);
            run(&format!("ip netns add {name}"));
            // So that nothing is sent but what the test sends.
            run(&format!("ip netns exec {name} sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'"));
            run(&format!("ip netns exec {name} sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'"));
            run(&format!("ip -n {name} link set lo up"));
        }
        network.plug_in("wire");
        Some(network)
    }

    /// A cable; the attacker is 192.168.77.1, the watched one 192.168.77.2.
    fn plug_in(&self, cable: &str) {
        let name = &self.name;
        run(&format!("ip link add {cable} netns {name}a type veth peer name {cable} netns {name}b"));
        for (side, host) in [("a", 1), ("b", 2)] {
            run(&format!("ip -n {name}{side} addr add 192.168.77.{host}/24 dev {cable}"));
            run(&format!("ip -n {name}{side} link set {cable} up"));
        }
    }

    fn ip(&self, side: &str, arguments: &str) {
        run(&format!("ip -n {}{side} {arguments}", self.name));
    }

    /// Runs a tool of the attacker's.
    fn attack(&self, line: &str) {
        run(&format!("ip netns exec {}a {line} >/dev/null 2>&1 || true", self.name));
    }

    /// Packets that went through the cable, in both directions.
    fn sent(&self, cable: &str) -> u64 {
        let folder = format!("/sys/class/net/{cable}/statistics");
        let line = format!("cat {folder}/tx_packets {folder}/rx_packets");
        let output = Command::new("ip").args(["netns", "exec", &format!("{}a", self.name), "sh", "-c", &line]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().lines().map(|line| line.parse::<u64>().unwrap()).sum()
    }

    fn monitor(&self, arguments: &[&str]) -> Monitor {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &format!("{}b", self.name), LAPWING, "monitor"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let alerts = lines(child.stdout.take().unwrap());
        let said = lines(child.stderr.take().unwrap());
        let mut monitor = Monitor { child, alerts, said, heard: Vec::new() };
        monitor.wait_for("listening to");
        monitor
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for side in ["a", "b"] {
            let _ = Command::new("ip").args(["netns", "del", &format!("{}{side}", self.name)]).status();
        }
    }
}

/// Lines, each with the time at which it came.
fn lines(reader: impl std::io::Read + Send + 'static) -> Receiver<(SystemTime, String)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let _ = sender.send((SystemTime::now(), line));
        }
    });
    receiver
}

struct Monitor {
    child: Child,
    alerts: Receiver<(SystemTime, String)>,
    said: Receiver<(SystemTime, String)>,
    heard: Vec<String>,
}

/// What a monitor came to.
struct Ended {
    alerts: Vec<(SystemTime, Value)>,
    said: Vec<String>,
    took: Duration,
}

impl Monitor {
    fn wait_for(&mut self, words: &str) {
        let begun = Instant::now();
        while !self.heard.iter().any(|line| line.contains(words)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "waited for {words:?}: {:?}", self.heard);
            if let Ok((_, line)) = self.said.recv_timeout(Duration::from_millis(100)) {
                self.heard.push(line);
            }
        }
    }

    fn signal(&self, name: &str) {
        // `ip netns exec` has become the program itself.
        run(&format!("kill -{name} {}", self.child.id()));
    }

    fn status(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect()
    }

    fn end(mut self) -> Ended {
        self.signal("TERM");
        let begun = Instant::now();
        assert!(self.child.wait().unwrap().success());
        let took = begun.elapsed();
        self.heard.extend(self.said.iter().map(|(_, line)| line));
        let alerts = self.alerts.iter().map(|(time, line)| (time, serde_json::from_str(&line).unwrap()));
        Ended { alerts: alerts.collect(), said: self.heard, took }
    }
}

impl Ended {
    fn says(&self, words: &str) -> bool {
        self.said.iter().any(|line| line.contains(words))
    }

    /// Packets of an interface that were seen, and that were dropped.
    fn counted(&self, interface: &str) -> (u64, u64) {
        let line =
            self.said.iter().find(|line| line.starts_with(&format!("{interface}: ")) && line.contains(" packets, "));
        let numbers = line.unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
        (numbers[0], numbers[1])
    }

    fn last_revisions(&self) -> BTreeMap<String, Value> {
        let alerts = self.alerts.iter();
        alerts.map(|(_, alert)| (alert["id"].as_str().unwrap().to_owned(), alert.clone())).collect()
    }
}

/// Alerts by id as `scan` tells them.
fn scan(input: &Path) -> BTreeMap<String, Value> {
    let output = Command::new(LAPWING).args(["scan", "--format", "jsonl"]).arg(input).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alerts = String::from_utf8(output.stdout).unwrap();
    let alerts = alerts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    alerts.map(|alert| (alert["id"].as_str().unwrap().to_owned(), alert)).collect()
}

fn kinds_and_devices(alerts: &BTreeMap<String, Value>) -> BTreeSet<(String, String)> {
    let text = |alert: &Value, field: &str| alert[field].as_str().unwrap().to_owned();
    alerts.values().map(|alert| (text(alert, "kind"), text(alert, "device"))).collect()
}

/// Seconds since 1970 of an RFC 3339 time, by the tool that everybody has.
fn seconds(time: &str) -> f64 {
    let output = Command::new("date").args(["-u", "-d", time, "+%s.%N"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "makes network namespaces: needs root"]
fn what_is_sent_is_seen_or_counted_and_alerts_come_in_time() {
    if !has("nmap") {
        return;
    }
    let Some(network) = Network::new("lwt") else { return };
    // Nobody answers there: the watched one does not forward.
    network.ip("a", "route add 10.99.0.0/24 via 192.168.77.2");
    let sources: Vec<String> = (10..30).map(|host| format!("192.168.77.{host}")).collect();
    sources.iter().for_each(|source| network.ip("a", &format!("addr add {source}/24 dev wire")));
    let monitor = network.monitor(&["--interface", "wire", "--format", "jsonl"]);
    let before = network.sent("wire");
    network.attack("nmap -sn -n --max-rate 300 192.168.77.0/24");
    for four in sources.chunks(4) {
        let refused = four
            .iter()
            .map(|source| format!("nmap -e wire -S {source} -sS -Pn -n --max-rate 200 -p 1-200 192.168.77.2 & "));
        let unanswered = four.iter().map(|source| {
            format!("nmap -e wire -S {source} -sS -Pn -n --max-retries 0 --max-rate 50 -p 2323 10.99.0.1-40 & ")
        });
        network.attack(&format!("sh -c '{} wait'", refused.chain(unanswered).collect::<String>()));
    }
    thread::sleep(Duration::from_secs(2));
    let sent = network.sent("wire") - before;
    let ended = monitor.end();
    let (seen, dropped) = ended.counted("wire");
    assert_eq!(sent, seen + dropped);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);

    let kinds: BTreeSet<&str> = ended.alerts.iter().map(|(_, alert)| alert["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains("port-scan") && kinds.contains("arp-sweep"), "{kinds:?}");
    let (mut late, mut known) = (Vec::new(), BTreeSet::new());
    // When it opened: an alert that goes on is told again at most once a second.
    for (told, alert) in ended.alerts.iter().filter(|(_, alert)| known.insert(alert["id"].as_str().unwrap())) {
        let complete = seconds(alert["last_seen"].as_str().unwrap());
        let told = told.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        late.push(told - complete);
    }
    let in_time = late.iter().filter(|late| **late <= 1.0).count();
    late.sort_by(f64::total_cmp);
    eprintln!("{} alerts, told so many seconds after the packet that completed them: {late:?}", late.len());
    assert!(late.len() >= 40, "{kinds:?}");
    assert!(in_time * 100 >= late.len() * 99, "{late:?}");
}

#[test]
#[ignore = "makes network namespaces: needs root"]
fn live_the_kept_capture_and_its_log_give_the_same_alerts() {
    if !has("nmap") {
        return;
    }
    let Some(network) = Network::new("lwe") else { return };
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let kept_name = kept.display().to_string();
    let monitor =
        network.monitor(&["--interface", "wire", "--format", "jsonl", "--write", &kept_name, "--write-seconds", "2"]);
    network.attack("nmap -sS -Pn -n -T4 -p 1-600 192.168.77.2");
    thread::sleep(Duration::from_secs(3));
    network.attack("nmap -sn -n --max-rate 300 192.168.77.0/24");
    network.attack("nmap -sT -Pn -n --max-rate 300 -p 2000-2300 192.168.77.2");
    thread::sleep(Duration::from_secs(1));
    let ended = monitor.end();
    let live = ended.last_revisions();
    assert!(live.len() >= 2, "{:?}", kinds_and_devices(&live));
    assert!(fs::read_dir(&kept).unwrap().count() >= 2);
    let scanned = scan(&kept);
    assert_eq!(live, scanned);

    let log = folder.path().join("conn.log");
    let flows = Command::new(LAPWING).args(["flows", "--format", "zeek", "--output"]).args([&log, &kept]).status();
    assert!(flows.unwrap().success());
    let output = Command::new(LAPWING).args(["scan", "--format", "json"]).arg(&log).output().unwrap();
    let not_carried = NotCarried::of(&serde_json::from_slice(&output.stdout).unwrap());
    let live = kinds_and_devices(&live).into_iter();
    let expected: BTreeSet<_> = live.filter(|(kind, _)| !not_carried.wholly(kind)).collect();
    assert!(!expected.is_empty());
    assert_eq!(kinds_and_devices(&scan(&log)), expected);
}

#[test]
#[ignore = "makes network namespaces: needs root"]
fn rings_that_share_an_interface_lose_no_fragment_and_keep_the_order() {
    if !has("nmap") || !has("ping") {
        return;
    }
    let Some(network) = Network::new("lwr") else { return };
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let kept_name = kept.display().to_string();
    let monitor = network.monitor(&["--interface", "wire", "--format", "jsonl", "--rings", "3", "--write", &kept_name]);
    let before = network.sent("wire");
    // Each in three fragments, and a flow of its own kind.
    network.attack("ping -q -c 40 -i 0.02 -s 4000 192.168.77.2");
    network.attack("nmap -sS -Pn -n --max-rate 400 -p 1-400 192.168.77.2");
    thread::sleep(Duration::from_secs(1));
    let sent = network.sent("wire") - before;
    let ended = monitor.end();
    let (seen, dropped) = ended.counted("wire");
    assert_eq!((sent, dropped), (seen, 0), "{:?}", ended.said);
    assert!(seen >= 40 * 3 * 2 + 800, "{seen}");
    assert_eq!(ended.last_revisions(), scan(&kept));
    let times: Vec<(u32, u32)> =
        fs::read_dir(&kept).unwrap().flat_map(|file| times(&fs::read(file.unwrap().path()).unwrap())).collect();
    assert_eq!(times.len() as u64, seen);
    let backwards = times.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert_eq!(backwards, 0, "of {seen}");
}

/// Seconds and nanoseconds of each frame of a capture that `--write` kept.
fn times(capture: &[u8]) -> Vec<(u32, u32)> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
    let (mut at, mut times) = (24, Vec::new());
    while at < capture.len() {
        times.push((word(at), word(at + 4)));
        at += 16 + word(at + 8) as usize;
    }
    times
}

#[test]
#[ignore = "makes network namespaces: needs root"]
fn an_interface_that_goes_and_comes_back_is_heard_again_without_rights() {
    if !has("ping") {
        return;
    }
    let Some(network) = Network::new("lwi") else { return };
    network.plug_in("other");
    let mut monitor = network.monitor(&["--interface", "wire", "--interface", "other", "--format", "jsonl"]);
    network.attack("ping -q -c 3 -i 0.1 -I wire 192.168.77.2");
    network.ip("b", "link set wire down");
    monitor.wait_for("wire: not heard any more");
    network.ip("b", "link set wire up");
    monitor.wait_for("wire: heard again");
    network.ip("b", "link del wire");
    thread::sleep(Duration::from_secs(3));
    network.plug_in("wire");
    thread::sleep(Duration::from_secs(3));
    let before = network.sent("wire");
    network.attack("ping -q -c 5 -i 0.1 -I wire 192.168.77.2");
    thread::sleep(Duration::from_millis(500));
    let sent = network.sent("wire") - before;
    let ended = monitor.end();
    assert_eq!(ended.said.iter().filter(|line| line.contains("wire: heard again")).count(), 2, "{:?}", ended.said);
    assert!(ended.says("coverage: interface outages: 2"), "{:?}", ended.said);
    assert!(sent >= 5 && ended.counted("wire").0 >= sent, "{sent} {:?}", ended.said);
}

#[test]
#[ignore = "makes network namespaces: needs root"]
fn rules_that_cannot_be_read_change_nothing_and_a_file_moved_away_gets_a_successor() {
    let Some(network) = Network::new("lwr") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (rules, alerts) = (folder.path().join("rules"), folder.path().join("alerts.jsonl"));
    fs::create_dir(&rules).unwrap();
    let [rules_name, alerts_name] = [&rules, &alerts].map(|path| path.display().to_string());
    let mut monitor = network.monitor(&["--interface", "wire", "--signatures", &rules_name, "--output", &alerts_name]);
    fs::write(rules.join("broken.yml"), "title: [broken").unwrap();
    fs::rename(&alerts, folder.path().join("alerts.1")).unwrap();
    monitor.signal("HUP");
    monitor.wait_for("broken.yml");
    monitor.wait_for("the rules stay as they were");
    fs::remove_file(rules.join("broken.yml")).unwrap();
    monitor.signal("HUP");
    monitor.wait_for("rules read anew");
    assert!(alerts.exists());
    let ended = monitor.end();
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
#[ignore = "makes network namespaces: needs root"]
fn once_it_listens_it_has_no_rights_in_any_thread() {
    let Some(network) = Network::new("lws") else { return };
    let monitor = network.monitor(&["--interface", "wire", "--threads", "3"]);
    thread::sleep(Duration::from_secs(1));
    let threads = monitor.status();
    assert!(threads.len() >= 3);
    for status in threads {
        for expected in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.contains(expected), "{expected}: {status}");
        }
    }
    assert!(monitor.end().says("no capability kept"));
}
