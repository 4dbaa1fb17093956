//! What a store promises of pages: walking a list page after page shows every row once, whatever comes in the meantime.

use std::cell::Cell;
use std::collections::BTreeMap;

use lapwing_store::{AlertQuery, AuditQuery, Change, Cursor, DeviceQuery, FlowQuery, Page, Store, StoreError};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};

use super::{alert, at, detection, device, flow};

/// Rows of a list, made at these seconds; every one has another number.
type Make<'a> = &'a dyn Fn(&[(u64, i64)]);

/// Up to so many rows of the list; `None` for all.
type Ask<'a> = &'a dyn Fn(Option<usize>, Option<Cursor>) -> Result<Page<String>, StoreError>;

/// For rows that come at random seconds, many of them at the same, and pages of random size: walks the list while more rows
/// come, and sees that each row that was there is shown as often as it is there.
fn every_row_is_shown_once(make: Make<'_>, ask: Ask<'_>) {
    let config = Config { cases: 8, failure_persistence: None, ..Config::default() };
    let seconds = |most| vec(0_i64..6, 0..most);
    let number = Cell::new(0);
    let numbered = |seconds: &[i64]| -> Vec<(u64, i64)> {
        let next = |second: &i64| {
            number.set(number.get() + 1);
            (number.get(), *second)
        };
        seconds.iter().map(next).collect()
    };
    let walked = TestRunner::new(config).run(&(seconds(20), vec(seconds(3), 4), 1_usize..9), |(first, more, limit)| {
        make(&numbered(&first));
        let there = counted(ask(None, None).unwrap().items);
        let (mut shown, mut after) = (Vec::new(), None);
        for page in 0.. {
            let Page { items, next } = ask(Some(limit), after).unwrap();
            assert!(items.len() == limit || next.is_none(), "a page that is not the last is full");
            shown.extend(items);
            let Some(next) = next else { break };
            // As it is passed on.
            after = Some(next.to_string().parse().unwrap());
            more.get(page).into_iter().for_each(|seconds| make(&numbered(seconds)));
        }
        let (shown, all) = (counted(shown), counted(ask(None, None).unwrap().items));
        assert!(there.iter().all(|(row, count)| shown.get(row) == Some(count)), "{there:?} {shown:?}");
        assert!(shown.iter().all(|(row, count)| all.get(row) == Some(count)), "{shown:?} {all:?}");
        Ok(())
    });
    walked.unwrap();
}

fn counted(rows: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    rows.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
    counts
}

fn told<T>(page: Page<T>, tell: impl Fn(T) -> String) -> Page<String> {
    Page { items: page.items.into_iter().map(tell).collect(), next: page.next }
}

pub(crate) fn pages_of_alerts_show_each_once(store: &Store) {
    let make = |rows: &[(u64, i64)]| {
        let made = rows.iter().map(|(number, second)| {
            let host = format!("10.0.{}.{}", number / 256, number % 256);
            alert(&[detection("port-scan", &host, 22, at(*second))])
        });
        store.put_alerts(&made.collect::<Vec<_>>()).unwrap();
    };
    every_row_is_shown_once(&make, &|limit, after| {
        let query = AlertQuery { limit, after, kinds: vec!["port-scan".into()], ..AlertQuery::default() };
        Ok(told(store.alerts(&query)?, |alert| alert.id))
    });
}

pub(crate) fn pages_of_devices_show_each_once(store: &Store) {
    let make = |rows: &[(u64, i64)]| {
        let made =
            rows.iter().map(|(number, second)| device(&format!("10.0.{}.{}", number / 256, number % 256), *second));
        store.put_devices(at(0), &made.collect::<Vec<_>>()).unwrap();
    };
    every_row_is_shown_once(&make, &|limit, after| {
        let query = DeviceQuery { limit, after, ..DeviceQuery::default() };
        Ok(told(store.devices(&query)?, |device| device.id))
    });
}

pub(crate) fn pages_of_the_audit_trail_show_each_once(store: &Store) {
    let make = |rows: &[(u64, i64)]| {
        for (number, second) in rows {
            store.note(Change { who: "kim", at: at(*second) }, "test", &number.to_string(), "").unwrap();
        }
    };
    every_row_is_shown_once(&make, &|limit, after| {
        let query = AuditQuery { limit, after, who: Some("kim".into()), ..AuditQuery::default() };
        Ok(told(store.audit(&query)?, |entry| entry.subject))
    });
}

/// Flows may be kept twice, as when a capture is read twice.
pub(crate) fn pages_of_flows_show_each_once(store: &Store) {
    let make = |rows: &[(u64, i64)]| {
        let twice = rows.iter().flat_map(|(number, second)| {
            let flow = flow(*number, 7, 1_300 * second);
            std::iter::repeat_n(flow, if number % 3 == 0 { 2 } else { 1 })
        });
        store.put_flows(&twice.collect::<Vec<_>>()).unwrap();
        if rows.first().is_some_and(|(number, _)| number % 5 == 0) {
            store.settle().unwrap();
        }
    };
    every_row_is_shown_once(&make, &|limit, after| {
        let query = FlowQuery { limit, after, port: Some(443), ..FlowQuery::default() };
        Ok(told(store.flows(&query)?, |row| row.cell("uid").text()))
    });
}

pub(crate) fn a_cursor_of_another_list_is_refused(store: &Store) {
    let after: Option<Cursor> = Some("a1.0.id".parse().unwrap());
    let refused = |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Refused(_))), "{done:?}");
    refused(store.flows(&FlowQuery { after: after.clone(), ..FlowQuery::default() }).map(drop));
    refused(store.devices(&DeviceQuery { after: after.clone(), ..DeviceQuery::default() }).map(drop));
    refused(store.audit(&AuditQuery { after: after.clone(), ..AuditQuery::default() }).map(drop));
    let after = Some("u1.0.7".parse().unwrap());
    refused(store.alerts(&AlertQuery { after, ..AlertQuery::default() }).map(drop));
}
