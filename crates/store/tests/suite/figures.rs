//! What a store promises of what it counts: the counts are those of the lists.

use std::collections::BTreeMap;

use lapwing_alert::{Alert, Status};
use lapwing_detect::KINDS;
use lapwing_store::{AlertGroup, AlertPoint, AlertQuery, Store, TimeRange};

use super::{KIM, alert, at, detection, device, suppression};

/// Alerts of all kinds about five devices, in 100 hours; some closed by a person, some suppressed.
fn fill(store: &Store) {
    let made = (0..200_u16).map(|place| {
        let kind = &KINDS[usize::from(place * 7) % KINDS.len()];
        let port = if place % 9 == 0 { 22 } else { 443 };
        alert(&[detection(kind.name, &format!("192.168.0.{}", place % 5), port, at(i64::from(place) * 1_801))])
    });
    let made: Vec<Alert> = made.collect();
    store.put_alerts(&made).unwrap();
    let ids: Vec<String> = made.iter().step_by(6).map(|alert| alert.id.clone()).collect();
    store.set_status(&ids, Status::Closed, KIM).unwrap();
    store.add_suppression(&suppression(22, None), KIM).unwrap();
}

fn counted(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

pub(crate) fn alerts_are_counted_as_they_are_listed(store: &Store) {
    fill(store);
    let all = AlertQuery::default;
    let queries = [
        all(),
        AlertQuery { suppressed: true, ..all() },
        AlertQuery { time: TimeRange::between(at(50_000), at(200_000)), ..all() },
        AlertQuery { device: Some("192.168.0.3".into()), ..all() },
        AlertQuery { status: Some(Status::Closed), ..all() },
        AlertQuery { kinds: vec!["port-scan".into(), "beacon".into()], unseen: true, ..all() },
        AlertQuery { text: Some("0.3 tried".into()), limit: Some(1), ..all() },
    ];
    for query in queries {
        let alerts = store.alerts(&AlertQuery { limit: None, ..query.clone() }).unwrap().items;
        assert!(!alerts.is_empty(), "{query:?}");
        for name in ["kind", "severity", "device", "status", "attack"] {
            let names = |alert: &Alert| match name {
                "kind" => vec![alert.kind.clone()],
                "severity" => vec![alert.severity.to_string()],
                "device" => vec![alert.device.clone()],
                "status" => vec![alert.status.as_str().to_owned()],
                _ => alert.attack.clone(),
            };
            let counts = store.count_alerts(&query, AlertGroup::from_name(name).unwrap()).unwrap();
            assert!(counts.is_sorted_by_key(|(_, count)| std::cmp::Reverse(*count)), "{counts:?}");
            assert_eq!(
                counts.into_iter().collect::<BTreeMap<_, _>>(),
                counted(alerts.iter().flat_map(names)),
                "{name}"
            );
        }
    }
    assert_eq!(store.total_alerts().unwrap(), 200);
}

pub(crate) fn alerts_over_time_are_those_that_began(store: &Store) {
    fill(store);
    let ranges = [TimeRange::ALL, TimeRange::between(at(7_000), at(90_000)), TimeRange::between(at(7_000), at(9_000))];
    for time in ranges {
        let began = |alert: &Alert| {
            time.from.is_none_or(|from| alert.first_seen >= from)
                && time.until.is_none_or(|until| alert.first_seen < until)
        };
        let alerts = store.alerts(&AlertQuery::default()).unwrap().items;
        let alerts: Vec<&Alert> = alerts.iter().filter(|alert| began(alert)).collect();
        for minutes in [1, 7, 60, 180, 1_440] {
            let points = store.alerts_over_time(time, minutes).unwrap();
            let step = i64::from(minutes) * 60;
            let expected = counted(
                alerts
                    .iter()
                    .map(|alert| format!("{} {}", alert.first_seen.seconds().div_euclid(step) * step, alert.severity)),
            );
            let told = |point: &AlertPoint| {
                let counts = [point.informational, point.low, point.medium, point.high, point.critical];
                let names = ["informational", "low", "medium", "high", "critical"];
                let seconds = point.time.seconds();
                names.into_iter().zip(counts).map(move |(name, count)| (format!("{seconds} {name}"), count))
            };
            let found: BTreeMap<_, _> = points.iter().flat_map(told).filter(|(_, count)| *count > 0).collect();
            assert_eq!(found, expected, "{minutes} minutes of {time:?}");
            assert!(points.is_sorted_by_key(|point| point.time));
        }
    }
}

pub(crate) fn open_alerts_are_told_of_every_device(store: &Store) {
    fill(store);
    let devices: Vec<_> = (0..7).map(|host| device(&format!("192.168.0.{host}"), 0)).collect();
    let found = store.alerts_of_devices(&devices).unwrap();
    for (device, found) in devices.iter().zip(found) {
        let query = AlertQuery { device: Some(device.id.clone()), status: Some(Status::Open), ..AlertQuery::default() };
        let alerts = store.alerts(&query).unwrap().items;
        assert_eq!(found.open, alerts.len() as u64);
        assert_eq!(found.worst, alerts.iter().map(|alert| alert.severity).max());
    }
    let query = AlertQuery { status: Some(Status::Open), ..AlertQuery::default() };
    let alerts = store.alerts(&query).unwrap().items;
    let open = store.open_alerts().unwrap();
    let told = open.iter().map(|open| (format!("{} {}", open.severity, open.kind), open.count)).collect();
    assert_eq!(counted(alerts.iter().map(|alert| format!("{} {}", alert.severity, alert.kind))), told);
    assert!(open.is_sorted_by_key(|open| std::cmp::Reverse((open.severity, open.count))));
    store.put_devices(at(0), &devices).unwrap();
    assert_eq!(store.count_devices(Some(at(1))).unwrap(), (7, 0));
    assert_eq!(store.count_devices(Some(at(0))).unwrap(), (7, 7));
}

pub(crate) fn open_alerts_are_told_of_every_run(store: &Store) {
    let scan = |host: u8| alert(&[detection("port-scan", &format!("192.168.0.{host}"), 443, at(0))]);
    store.put_alerts(&[scan(1)]).unwrap();
    store.put_alerts_of(Some(at(1)), &[scan(2)]).unwrap();
    store.put_alerts_of(Some(at(2)), &[scan(3), scan(4)]).unwrap();
    let count = |run| store.open_alerts_of(run).unwrap().iter().map(|alerts| alerts.count).sum::<u64>();
    assert_eq!((count(at(1)), count(at(2)), count(at(3))), (2, 3, 1), "whose run is not known counts always");
    assert_eq!(store.open_alerts().unwrap()[0].count, 4);
    let of_run = AlertQuery { run: Some(at(2)), ..AlertQuery::default() };
    assert_eq!(store.alerts(&of_run).unwrap().items.len(), 3);
    store.put_alerts(&[scan(2)]).unwrap();
    assert_eq!(count(at(1)), 2, "it stays what it was");
    store.put_alerts_of(Some(at(2)), &[scan(2)]).unwrap();
    assert_eq!((count(at(1)), count(at(2))), (1, 4), "who goes on with it has it");
}
