//! What a store promises, whatever it is kept in: each claim is a function that takes an empty store.

use std::net::IpAddr;

use lapwing_alert::{Alert, AlertConfig, Matcher, Merger, Status, Suppression};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, EvidenceFlow, Severity, Subject, kind_info};
use lapwing_flow::{Endpoint, Flow};
use lapwing_store::{AlertQuery, Change, DeviceQuery, DeviceRecord, Store, StoreError, TimeRange};

pub(crate) fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

const KIM: Change<'_> = Change { who: "kim", at: Timestamp::from_seconds(1_800_000_000) };

/// A claim about `device`, with one flow to `port` of a server outside.
pub(crate) fn detection(kind: &str, device: &str, port: u16, time: Timestamp) -> Detection {
    let source = address(device);
    let target = address("198.51.100.7");
    let kind = kind_info(kind).unwrap();
    let mut detection = Detection::new(kind, Subject::HostPair { source, target }, "test", time);
    detection.explanation = format!("{device} tried 100% of the doors");
    detection.evidence.push(EvidenceFlow {
        originator: Endpoint { address: source, port: 40_000 },
        responder: Endpoint { address: target, port },
        protocol: 6,
        ..EvidenceFlow::from(&Flow { uid: u64::from(port), start: time, last: time, ..Flow::default() })
    });
    detection
}

/// The alert that merges them.
pub(crate) fn alert(detections: &[Detection]) -> Alert {
    let mut merger = Merger::new(AlertConfig::default());
    detections.iter().for_each(|detection| merger.take_in(detection));
    merger.into_alerts().remove(0)
}

fn scan(device: &str, seconds: i64) -> Alert {
    alert(&[detection("port-scan", device, 22, at(seconds))])
}

fn ids(store: &Store, query: &AlertQuery) -> Vec<String> {
    store.alerts(query).unwrap().items.into_iter().map(|alert| alert.id).collect()
}

pub(crate) fn an_alert_is_kept_once_in_its_last_revision(store: &Store) {
    let first = detection("port-scan", "192.168.0.7", 22, at(0));
    let second = detection("port-scan", "192.168.0.7", 23, at(9));
    let (young, grown) = (alert(std::slice::from_ref(&first)), alert(&[first, second]));
    assert_eq!(young.id, grown.id);
    assert_eq!(store.keep_alerts(std::slice::from_ref(&young)).unwrap(), 1);
    assert_eq!(store.keep_alerts(&[grown.clone(), young]).unwrap(), 1, "an older revision changes nothing");
    let kept = store.alerts(&AlertQuery::default()).unwrap().items;
    assert_eq!(kept.len(), 1);
    assert_eq!(serde_json::to_string(&kept[0]).unwrap(), serde_json::to_string(&grown).unwrap());
}

pub(crate) fn alerts_are_found_by_everything_that_is_asked(store: &Store) {
    let alerts = [
        scan("192.168.0.7", 0),
        alert(&[detection("syn-flood", "192.168.0.8", 80, at(100))]),
        alert(&[detection("beacon", "192.168.0.7", 443, at(200))]),
    ];
    store.keep_alerts(&alerts).unwrap();
    let id = |place: usize| alerts[place].id.clone();
    let query = AlertQuery::default;
    assert_eq!(ids(store, &query()), [id(2), id(1), id(0)], "latest first");
    let device = Some("192.168.0.7".to_owned());
    assert_eq!(ids(store, &AlertQuery { device: device.clone(), ..query() }), [id(2), id(0)]);
    assert_eq!(ids(store, &AlertQuery { kind: Some("beacon".into()), device, ..query() }), [id(2)]);
    assert_eq!(ids(store, &AlertQuery { severity: Some(Severity::Critical), ..query() }), [id(1)]);
    assert_eq!(ids(store, &AlertQuery { peer: Some("198.51.100.7".into()), ..query() }).len(), 3);
    assert_eq!(ids(store, &AlertQuery { peer: Some("198.51.100".into()), ..query() }).len(), 0);
    assert_eq!(ids(store, &AlertQuery { text: Some("0.8 TRIED 100%".into()), ..query() }), [id(1)]);
    let time = TimeRange::between(at(50), at(150));
    assert_eq!(ids(store, &AlertQuery { time, ..query() }), [id(1)]);
    let page = store.alerts(&AlertQuery { limit: Some(2), ..query() }).unwrap();
    assert_eq!((page.items.len(), page.cut), (2, true));
    assert!(!store.alerts(&AlertQuery { limit: Some(3), ..query() }).unwrap().cut);
}

pub(crate) fn what_people_set_outlives_new_revisions(store: &Store) {
    let first = detection("port-scan", "192.168.0.7", 22, at(0));
    let alerts = |more: &[Detection]| alert(&[std::slice::from_ref(&first), more].concat());
    let id = alerts(&[]).id;
    store.keep_alerts(&[alerts(&[])]).unwrap();
    store.set_status(std::slice::from_ref(&id), Status::Closed, KIM).unwrap();
    let same = detection("port-scan", "192.168.0.7", 23, at(5));
    store.keep_alerts(&[alerts(std::slice::from_ref(&same))]).unwrap();
    let kept = store.alert(&id).unwrap();
    assert_eq!((kept.status, kept.status_by.as_deref(), kept.count), (Status::Closed, Some("kim"), 2));
    assert_eq!(kept.status_at, Some(KIM.at));

    let mut worse = detection("port-scan", "192.168.0.7", 24, at(6));
    worse.severity = Severity::Critical;
    store.keep_alerts(&[alerts(&[same, worse])]).unwrap();
    let kept = store.alert(&id).unwrap();
    assert_eq!(
        (kept.status, kept.status_by.as_deref()),
        (Status::Open, Some("lapwing")),
        "what grew worse is open again"
    );
    let actions: Vec<String> = store.audit(None).unwrap().into_iter().map(|entry| entry.detail).collect();
    assert_eq!(actions, ["closed"]);
}

pub(crate) fn what_is_not_there_is_said(store: &Store) {
    let nobody = ["0123".to_owned()];
    assert!(matches!(store.alert("0123"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.set_status(&nobody, Status::Closed, KIM), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.remove_suppression("0123", KIM), Err(StoreError::NotFound { .. })));
    assert!(store.audit(None).unwrap().is_empty(), "what did not happen is not noted");
}

fn suppression(port: u16, expires: Option<Timestamp>) -> Suppression {
    let matcher = Matcher { port: Some(port), ..Matcher::default() };
    Suppression::new(matcher, "kim".into(), "our scanner".into(), at(i64::from(port)), expires)
}

pub(crate) fn a_suppression_hides_past_and_future_alerts_until_it_goes(store: &Store) {
    store.keep_alerts(&[scan("192.168.0.7", 0), scan("192.168.0.8", 0)]).unwrap();
    let other = alert(&[detection("port-scan", "192.168.0.9", 23, at(0))]);
    store.keep_alerts(std::slice::from_ref(&other)).unwrap();
    let ssh = suppression(22, Some(at(1_000)));
    assert_eq!(store.preview(&ssh).unwrap().to_string(), "would hide 2 alerts");
    assert_eq!(store.add_suppression(&ssh, KIM).unwrap().total(), 2);
    store.keep_alerts(&[scan("192.168.0.10", 999), scan("192.168.0.11", 1_000)]).unwrap();
    assert_eq!(ids(store, &AlertQuery::default()), [scan("192.168.0.11", 1_000).id, other.id.clone()]);
    let all = store.alerts(&AlertQuery { suppressed: true, ..AlertQuery::default() }).unwrap().items;
    assert_eq!(all.iter().filter(|alert| alert.suppressed_by.as_deref() == Some(&ssh.id)).count(), 3);
    let list = store.list_suppressions().unwrap();
    assert_eq!((list.len(), list[0].hits), (1, 3));
    assert!(list[0].last_hit.is_some());

    assert_eq!(store.remove_suppression(&ssh.id, KIM).unwrap(), 3);
    assert_eq!(ids(store, &AlertQuery::default()).len(), 5);
    assert_eq!(store.audit(None).unwrap().len(), 2);
}

pub(crate) fn a_suppression_of_everything_is_refused(store: &Store) {
    let all = Suppression::new(Matcher::default(), "kim".into(), "quiet".into(), at(0), None);
    assert!(matches!(store.add_suppression(&all, KIM), Err(StoreError::Refused(_))));
}

pub(crate) fn another_suppression_takes_over_what_one_let_go(store: &Store) {
    store.keep_alerts(&[scan("192.168.0.7", 0)]).unwrap();
    let (first, second) = (suppression(22, Some(at(500))), suppression(22, Some(at(600))));
    let second = Suppression { id: "second".into(), ..second };
    store.add_suppression(&first, KIM).unwrap();
    store.add_suppression(&second, KIM).unwrap();
    assert_eq!(store.remove_suppression(&first.id, KIM).unwrap(), 0);
    assert_eq!(store.list_suppressions().unwrap()[0].hits, 1);
}

pub(crate) fn what_is_seen_of_a_device_adds_up(store: &Store) {
    let seen = |first, last, mac: Option<&str>| DeviceRecord {
        id: "192.168.0.7".into(),
        mac: mac.map(Into::into),
        name: None,
        vendor: None,
        first_seen: at(first),
        last_seen: at(last),
        flows: 2,
        bytes_sent: 10,
        bytes_received: 20,
        document: None,
    };
    store.add_devices(&[seen(5, 9, Some("02:00:00:00:00:01"))]).unwrap();
    store.add_devices(&[seen(0, 7, None)]).unwrap();
    let expected =
        DeviceRecord { flows: 4, bytes_sent: 20, bytes_received: 40, ..seen(0, 9, Some("02:00:00:00:00:01")) };
    assert_eq!(store.devices(&DeviceQuery::default()).unwrap().items, [expected]);
    let named = |text: &str| DeviceQuery { text: Some(text.into()), ..DeviceQuery::default() };
    assert_eq!(store.devices(&named("02:00:00")).unwrap().items.len(), 1);
    assert_eq!(store.devices(&named("camera")).unwrap().items.len(), 0);
}

pub(crate) fn old_alerts_expire(store: &Store) {
    store.keep_alerts(&[scan("192.168.0.7", 0), scan("192.168.0.8", 100)]).unwrap();
    assert_eq!(store.expire_alerts(at(50)).unwrap(), 1);
    assert_eq!(ids(store, &AlertQuery::default()), [scan("192.168.0.8", 100).id]);
    assert_eq!(store.expire_alerts(at(50)).unwrap(), 0);
}
