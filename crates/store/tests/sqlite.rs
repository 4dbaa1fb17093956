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

claims! {
    an_alert_is_kept_once_in_its_last_revision
    alerts_are_found_by_everything_that_is_asked
    what_people_set_outlives_new_revisions
    what_is_not_there_is_said
    a_suppression_hides_past_and_future_alerts_until_it_goes
    a_suppression_of_everything_is_refused
    another_suppression_takes_over_what_one_let_go
    what_runs_see_of_a_device_adds_up
    the_latest_live_run_is_remembered
    flows_are_found_by_everything_that_is_asked
    traffic_and_talkers_are_those_of_the_flows
    a_recorder_writes_everything_it_was_handed
    old_alerts_expire
    an_account_has_a_plain_name_that_nobody_else_has
    the_last_admin_stays
    a_session_ends_with_what_it_rests_on
    a_refresh_token_that_comes_twice_ends_its_session
    a_token_may_what_its_owner_may_and_no_more
    uploads_are_kept_until_they_expire
    what_people_call_a_device_outlives_what_is_seen_of_it
    the_audit_trail_is_found_by_everything_that_is_asked
    pages_of_alerts_show_each_once
    pages_of_devices_show_each_once
    pages_of_flows_show_each_once
    pages_of_the_audit_trail_show_each_once
    a_cursor_of_another_list_is_refused
    alerts_are_counted_as_they_are_listed
    alerts_over_time_are_those_that_began
    open_alerts_are_told_of_every_device
}

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
