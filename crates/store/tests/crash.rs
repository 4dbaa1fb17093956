//! Kills: whatever was kept when a call returned is there afterwards, once, and the store opens.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_alert::{Alert, AlertConfig, Merger};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, Subject, kind_info};
use lapwing_flow::{Endpoint, Flow};
use lapwing_store::{AlertQuery, FlowQuery, Store, StoreSettings, TimeRange};

/// Names the store to the program that is killed.
const VICTIM: &str = "LAPWING_KILLED_STORE";

const KILLS: u64 = 200;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + micros)
}

/// The alert of that number, in its first or second revision.
fn alert(number: u64, revision: u32) -> Alert {
    let address = Address::v4([192, 168, (number >> 8) as u8, number as u8]);
    let mut merger = Merger::new(AlertConfig::default());
    for step in 0..i64::from(revision) {
        let kind = kind_info("port-scan").unwrap();
        let mut detection = Detection::new(kind, Subject::Host(address), "test", at(number as i64 * 1_000 + step));
        detection.explanation = format!("{number} knocks at {step} doors");
        merger.take_in(&detection);
    }
    merger.into_alerts().remove(0)
}

fn flow(uid: u64) -> Flow {
    let end = |last| Endpoint { address: Address::v4([192, 168, 0, last]), port: 443 };
    // An hour every 500 flows, so that segments are made all the time.
    let last = at(uid as i64 * 7_200_000);
    Flow { uid, originator: end(uid as u8), responder: end(1), protocol: 17, start: last, last, ..Flow::default() }
}

/// Writes alerts and flows until it is killed, and says what was kept.
#[test]
#[ignore = "is the victim of the test below"]
fn victim() {
    let Some(place) = std::env::var_os(VICTIM) else { return };
    let first: u64 = std::env::var("LAPWING_KILLED_FIRST").unwrap().parse().unwrap();
    let store = Store::open(Path::new(&place), StoreSettings::default()).unwrap();
    let mut out = std::io::stdout();
    for number in first.. {
        for revision in 1..=2 {
            let alert = alert(number, revision);
            store.put_alert(&alert).unwrap();
            writeln!(out, "alert {} {}", alert.id, alert.revision).unwrap();
        }
        let flows: Vec<Flow> = (number * 100..number * 100 + 100).map(flow).collect();
        store.put_flows(&flows).unwrap();
        writeln!(out, "flows {}", flows.len()).unwrap();
    }
}

#[test]
#[ignore = "kills a program 200 times: half a minute"]
fn two_hundred_kills_lose_nothing_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut alerts: HashMap<String, u32> = HashMap::new();
    let (mut flows, mut unsure, mut slowest) = (0, 0, Duration::ZERO);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for kill in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["victim", "--exact", "--ignored", "--nocapture"])
            .env(VICTIM, folder.path())
            .env("LAPWING_KILLED_FIRST", (kill * 1_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(victim.stdout.take().unwrap());
        let said = thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<String>>());
        thread::sleep(Duration::from_micros((random >> 33) % 200_000));
        victim.kill().unwrap();
        victim.wait().unwrap();
        for line in said.join().unwrap() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["alert", id, revision] => drop(alerts.insert(id.to_owned(), revision.parse().unwrap())),
                ["flows", count] => flows += count.parse::<u64>().unwrap(),
                _ => {}
            }
        }
        unsure += 1;
        let begun = Instant::now();
        let store = Store::open(folder.path(), StoreSettings::default()).unwrap();
        slowest = slowest.max(begun.elapsed());
        let kept = store.alerts(&AlertQuery::default()).unwrap().items;
        let ids: HashSet<&str> = kept.iter().map(|alert| alert.id.as_str()).collect();
        assert_eq!(ids.len(), kept.len(), "each once");
        let kept: HashMap<&str, u32> = kept.iter().map(|alert| (alert.id.as_str(), alert.revision)).collect();
        for (id, revision) in &alerts {
            assert!(kept.get(id.as_str()).is_some_and(|kept| kept >= revision), "kill {kill}: {id} is lost");
        }
        assert!(kept.len() as u64 <= alerts.len() as u64 + unsure, "one alert a kill may be kept without a word");
    }
    let store = Store::open(folder.path(), StoreSettings::default()).unwrap();
    let mut uids = HashSet::new();
    let mut rows = 0;
    let mut each = |row: lapwing_store::FlowRow| {
        rows += 1;
        uids.insert(row.cell("uid").text());
        Ok(())
    };
    store.each_flow(&FlowQuery::default(), &mut each).unwrap();
    assert!(rows >= flows && rows == uids.len() as u64, "{rows} rows of {} flows, {flows} were kept", uids.len());
    let rolled: u64 = store.traffic(TimeRange::ALL, 1_440).unwrap().iter().map(|day| day.flows).sum();
    assert_eq!(rolled, rows, "the roll-ups are those of the flows");
    println!(
        "{KILLS} kills: {} alerts and {flows} flows were kept, none lost or doubled; the slowest opening took {slowest:?}",
        alerts.len()
    );
}
