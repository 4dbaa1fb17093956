//! A disk that is full for a while: said, survived, made up for.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_alert::{Alert, AlertConfig, Merger};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, Subject, kind_info};
use lapwing_flow::{Endpoint, Flow};
use lapwing_store::{AlertQuery, Pressure, Recorded, Recorder, Store, StoreSettings};

/// A file system of a few megabytes in memory, gone with this.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(place).status();
        assert!(mounted.unwrap().success(), "only root may mount");
        Self(place)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

fn alert(host: u8) -> Alert {
    let subject = Subject::Host(Address::v4([192, 168, 0, host]));
    let mut merger = Merger::new(AlertConfig::default());
    merger.take_in(&Detection::new(kind_info("port-scan").unwrap(), subject, "test", Timestamp::from_seconds(1_000)));
    merger.into_alerts().remove(0)
}

fn flow(uid: u64) -> Flow {
    let end = |last| Endpoint { address: Address::v4([192, 168, 0, last]), port: uid as u16 };
    let last = Timestamp::from_seconds(1_000 + uid as i64 / 100);
    Flow { uid, originator: end(uid as u8), responder: end(1), protocol: 17, start: last, last, ..Flow::default() }
}

fn wait(what: &str, recorder: &Recorder, reached: impl Fn(Recorded) -> bool) {
    let begun = Instant::now();
    while !reached(recorder.recorded()) {
        assert!(begun.elapsed() < Duration::from_secs(15), "{what}: {:?}", recorder.recorded());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "mounts a small file system: needs root"]
fn a_full_disk_is_said_survived_and_made_up_for() {
    let place = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(place.path());
    let store = Arc::new(Store::open(&place.path().join("kept"), StoreSettings::default()).unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let tell = move |text: &str| telling.lock().unwrap().push(text.to_owned());
    let mut recorder = Recorder::start(Arc::clone(&store), Pressure::LeaveOut, tell);
    let hand_over = |recorder: &mut Recorder, uids: std::ops::Range<u64>| {
        let begun = Instant::now();
        uids.for_each(|uid| recorder.flow(&flow(uid)));
        recorder.flush();
        assert!(begun.elapsed() < Duration::from_millis(500), "nobody waits for the disk");
    };
    recorder.alert(&alert(1));
    hand_over(&mut recorder, 0..500);
    wait("before", &recorder, |recorded| (recorded.alerts, recorded.flows) == (1, 500));

    let filler = place.path().join("filler");
    // As large as there is room: the write fails at the end.
    fs::write(&filler, vec![7; 16 << 20]).unwrap_err();
    recorder.alert(&alert(2));
    hand_over(&mut recorder, 500..1_000);
    wait("full", &recorder, |recorded| recorded.flows_left_out >= 500);
    recorder.alert(&alert(3));
    hand_over(&mut recorder, 1_000..1_500);
    wait("still full", &recorder, |recorded| recorded.flows_left_out == 1_000);
    assert!(store.alerts(&AlertQuery::default()).is_ok(), "what was kept can be read");
    let said = told.lock().unwrap().clone();
    assert!(said.len() == 1 && said[0].contains("full"), "said once: {said:?}");

    fs::remove_file(&filler).unwrap();
    wait("room again", &recorder, |recorded| recorded.alerts == 3);
    hand_over(&mut recorder, 1_500..2_000);
    let recorded = recorder.finish().unwrap();
    assert_eq!((recorded.alerts, recorded.alerts_lost, recorded.flows, recorded.flows_left_out), (3, 0, 1_000, 1_000));
    let said = told.lock().unwrap().clone();
    assert!(said.len() == 2 && said[1].contains("written again"), "{said:?}");
    drop(store);
    let store = Store::open(&place.path().join("kept"), StoreSettings::default()).unwrap();
    assert_eq!(store.alerts(&AlertQuery::default()).unwrap().items.len(), 3);
    assert_eq!(store.flows(&lapwing_store::FlowQuery::default()).unwrap().items.len(), 1_000);
    drop((store, disk));
}
