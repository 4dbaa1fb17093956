//! The suite over PostgreSQL: `.ci/with-postgres cargo test -p lapwing-store --test postgres -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod suite;

use std::path::Path;
use std::sync::Arc;

use lapwing_store::Store;

/// The URL of an empty database of that name on the server that `LAPWING_POSTGRES` names.
fn database(name: &str) -> Option<String> {
    let Ok(server) = std::env::var("LAPWING_POSTGRES") else {
        eprintln!("skipped: LAPWING_POSTGRES names no server");
        return None;
    };
    let mut client = postgres::Client::connect(&server, postgres::NoTls).unwrap();
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    Some(format!("{}/{name}", server.rsplit_once('/').unwrap().0))
}

fn open(url: &str) -> Store {
    Store::open(Path::new(url), suite::settings()).unwrap()
}

macro_rules! claims {
    ($($claim:ident)*) => {$(
        #[test]
        #[ignore = "needs a PostgreSQL server, named by LAPWING_POSTGRES"]
        fn $claim() {
            let Some(url) = database(stringify!($claim)) else { return };
            suite::$claim(&Arc::new(open(&url)));
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
    old_alerts_expire
    flows_are_found_by_everything_that_is_asked
    traffic_and_talkers_are_those_of_the_flows
    a_recorder_writes_everything_it_was_handed
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
#[ignore = "needs a PostgreSQL server, named by LAPWING_POSTGRES"]
fn several_programs_may_write_at_once() {
    let Some(url) = database("several_programs") else { return };
    std::thread::scope(|scope| {
        for program in 1..=4 {
            let url = &url;
            scope.spawn(move || {
                let store = open(url);
                for time in 0..20 {
                    let device = format!("192.168.{program}.{time}");
                    let found = suite::detection("beacon", &device, 443, suite::at(time));
                    store.put_alert(&suite::alert(&[found])).unwrap();
                }
            });
        }
    });
    assert_eq!(open(&url).alerts(&lapwing_store::AlertQuery::default()).unwrap().items.len(), 80);
}
