//! The suite over SQLite, and what only SQLite has.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod suite;

use std::path::Path;
use std::sync::Arc;

use lapwing_store::{AlertQuery, FlowQuery, Store, StoreSettings};

fn open(folder: &Path) -> Store {
    Store::open(folder, suite::settings()).unwrap()
}

macro_rules! claims {
    ($($claim:ident)*) => {$(
        #[test]
        fn $claim() {
            let folder = tempfile::tempdir().unwrap();
            suite::$claim(&Arc::new(open(folder.path())));
        }
    )*};
}

suite::for_each_claim!(claims);

#[test]
fn what_was_kept_is_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let alert = suite::alert(&[suite::detection("beacon", "192.168.0.7", 443, suite::at(0))]);
    open(folder.path()).put_alerts(std::slice::from_ref(&alert)).unwrap();
    assert_eq!(open(folder.path()).alerts(&AlertQuery::default()).unwrap().items[0].id, alert.id);
}

#[test]
fn two_programs_may_have_the_same_store_open() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()), open(folder.path()));
    for (store, host) in [(&one, 1), (&other, 2), (&one, 3)] {
        let device = format!("192.168.0.{host}");
        store.put_alerts(&[suite::alert(&[suite::detection("beacon", &device, 443, suite::at(host))])]).unwrap();
    }
    assert_eq!(one.alerts(&AlertQuery::default()).unwrap().items.len(), 3);
}

#[test]
fn what_a_killed_program_had_not_added_to_the_roll_ups_is_added_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put_flows(&[suite::flow(1, 7, 0), suite::flow(2, 7, 1)]).unwrap();
    // As after a kill: nothing is finished, and the lock of the journal goes with its file.
    let copy = tempfile::tempdir().unwrap();
    let run =
        |command: &str| assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
    run(&format!("cp -r {}/. {}", folder.path().display(), copy.path().display()));
    for _ in 0..2 {
        let recovered = open(copy.path());
        assert_eq!(recovered.flows(&FlowQuery::default()).unwrap().items.len(), 2);
        assert_eq!(recovered.talkers(Default::default(), 1).unwrap()[0].flows, 2);
    }
    // Marks that say less than the journal has, as when the kill came in between.
    let copy = tempfile::tempdir().unwrap();
    run(&format!("cp -r {}/. {}", folder.path().display(), copy.path().display()));
    let database = rusqlite::Connection::open(copy.path().join("lapwing.db")).unwrap();
    database.execute("UPDATE flow_marks SET row_count = 1", []).unwrap();
    drop(database);
    for _ in 0..2 {
        assert_eq!(open(copy.path()).talkers(Default::default(), 1).unwrap()[0].flows, 3);
    }
}

#[test]
fn the_files_keep_within_the_cap() {
    const CAP: u64 = 16_000_000;
    let folder = tempfile::tempdir().unwrap();
    let keep = lapwing_store::Keep { bytes: Some(CAP), ..Default::default() };
    let settings = StoreSettings { keep, ..StoreSettings::default() };
    let store = Arc::new(Store::open(folder.path(), settings).unwrap());
    let pressure = lapwing_store::Pressure::Wait;
    let mut recorder = lapwing_store::Recorder::start(Arc::clone(&store), pressure, |problem| assert_eq!(problem, ""));
    let mut largest = 0;
    for uid in 0..800_000 {
        let mut flow = suite::flow(u64::wrapping_mul(uid, 0x9E37_79B9_7F4A_7C15), (uid % 200) as u8, uid as i64 / 40);
        flow.originator.port = (uid * 7_919) as u16;
        recorder.flow(&flow);
        if uid % 5_000 == 0 {
            largest = largest.max(store.size().unwrap());
        }
    }
    recorder.finish().unwrap();
    let size = store.size().unwrap();
    assert!(largest < CAP + CAP / 10 && size <= CAP, "{largest}, {size} of {CAP}");
    assert!(size > CAP / 2, "{size} of {CAP}");
    let last = store.flows(&FlowQuery { limit: Some(1), ..FlowQuery::default() }).unwrap();
    assert_eq!(last.items[0].span().1, suite::at(799_999 / 40), "the earliest went");
}
