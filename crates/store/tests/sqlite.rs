//! The suite over SQLite, and what only SQLite has.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod suite;

use std::path::Path;

use lapwing_protocol::LocalNetworks;
use lapwing_store::{AlertQuery, Store};

fn open(folder: &Path) -> Store {
    Store::open(folder, LocalNetworks::default()).unwrap()
}

macro_rules! claims {
    ($($claim:ident)*) => {$(
        #[test]
        fn $claim() {
            let folder = tempfile::tempdir().unwrap();
            suite::$claim(&open(folder.path()));
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
    what_is_seen_of_a_device_adds_up
    old_alerts_expire
}

#[test]
fn what_was_kept_is_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let alert = suite::alert(&[suite::detection("beacon", "192.168.0.7", 443, suite::at(0))]);
    open(folder.path()).keep_alerts(std::slice::from_ref(&alert)).unwrap();
    assert_eq!(open(folder.path()).alerts(&AlertQuery::default()).unwrap().items[0].id, alert.id);
}

#[test]
fn two_programs_may_have_the_same_store_open() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()), open(folder.path()));
    for (store, host) in [(&one, 1), (&other, 2), (&one, 3)] {
        let device = format!("192.168.0.{host}");
        store.keep_alerts(&[suite::alert(&[suite::detection("beacon", &device, 443, suite::at(host))])]).unwrap();
    }
    assert_eq!(one.alerts(&AlertQuery::default()).unwrap().items.len(), 3);
}
