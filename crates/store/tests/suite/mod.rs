//! What a store promises, whatever it is kept in: each claim is a function that takes an empty store.

mod access;
mod figures;
mod pages;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lapwing_alert::{Alert, AlertConfig, Matcher, Merger, Status, Suppression};
use lapwing_asset::{Inventory, InventorySettings};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, EvidenceFlow, Severity, Subject, kind_info};
use lapwing_flow::{ConnState, Endpoint, Flow, Half};
use lapwing_protocol::{Observation, Observed};
use lapwing_store::{
    AlertQuery, AuditQuery, Change, DeviceQuery, DeviceRecord, DeviceWords, FlowQuery, FlowRow, Keep, Pressure,
    Recorder, Store, StoreError, StoreSettings, TimeRange, TrafficPoint,
};

pub(crate) use access::*;
pub(crate) use figures::*;
pub(crate) use pages::*;

/// Hands the names of all claims to a macro that makes a test of each.
macro_rules! for_each_claim {
    ($claims:ident) => {
        $claims! {
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
            a_file_that_is_read_again_adds_nothing
            old_alerts_expire
            what_is_real_outlives_a_capture_from_the_future
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
            open_alerts_are_told_of_every_run
        }
    };
}
pub(crate) use for_each_claim;

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
    assert_eq!(store.put_alerts(std::slice::from_ref(&young)).unwrap(), 1);
    assert_eq!(store.put_alerts(&[grown.clone(), young]).unwrap(), 1, "an older revision changes nothing");
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
    store.put_alerts(&alerts).unwrap();
    let id = |place: usize| alerts[place].id.clone();
    let query = AlertQuery::default;
    assert_eq!(ids(store, &query()), [id(2), id(1), id(0)], "latest first");
    let device = Some("192.168.0.7".to_owned());
    assert_eq!(ids(store, &AlertQuery { device: device.clone(), ..query() }), [id(2), id(0)]);
    assert_eq!(ids(store, &AlertQuery { kinds: vec!["beacon".into()], device, ..query() }), [id(2)]);
    assert_eq!(ids(store, &AlertQuery { severity: Some(Severity::Critical), ..query() }), [id(1)]);
    let severities = vec![Severity::Informational, alerts[1].severity];
    assert_eq!(ids(store, &AlertQuery { severities, ..query() }), [id(1)]);
    let kinds = vec!["beacon".into(), "port-scan".into(), "x".into()];
    assert_eq!(ids(store, &AlertQuery { kinds, ..query() }), [id(2), id(0)]);
    assert_eq!(ids(store, &AlertQuery { peer: Some("198.51.100.7".into()), ..query() }).len(), 3);
    assert_eq!(ids(store, &AlertQuery { peer: Some("198.51.100".into()), ..query() }).len(), 0);
    assert_eq!(ids(store, &AlertQuery { text: Some("0.8 TRIED 100%".into()), ..query() }), [id(1)]);
    let time = TimeRange::between(at(50), at(150));
    assert_eq!(ids(store, &AlertQuery { time, ..query() }), [id(1)]);
    let page = store.alerts(&AlertQuery { limit: Some(2), ..query() }).unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (2, true));
    assert!(store.alerts(&AlertQuery { limit: Some(3), ..query() }).unwrap().next.is_none());
}

pub(crate) fn what_people_set_outlives_new_revisions(store: &Store) {
    let first = detection("port-scan", "192.168.0.7", 22, at(0));
    let alerts = |more: &[Detection]| alert(&[std::slice::from_ref(&first), more].concat());
    let id = alerts(&[]).id;
    store.put_alerts(&[alerts(&[])]).unwrap();
    store.set_status(std::slice::from_ref(&id), Status::Closed, KIM).unwrap();
    let same = detection("port-scan", "192.168.0.7", 23, at(5));
    store.put_alerts(&[alerts(std::slice::from_ref(&same))]).unwrap();
    let kept = store.alert(&id).unwrap();
    assert_eq!((kept.status, kept.status_by.as_deref(), kept.count), (Status::Closed, Some("kim"), 2));
    assert_eq!(kept.status_at, Some(KIM.at));

    let mut worse = detection("port-scan", "192.168.0.7", 24, at(6));
    worse.severity = Severity::Critical;
    store.put_alerts(&[alerts(&[same, worse])]).unwrap();
    let kept = store.alert(&id).unwrap();
    assert_eq!(
        (kept.status, kept.status_by, kept.status_at),
        (Status::Open, None, None),
        "what grew worse is open again"
    );
    let actions: Vec<String> =
        store.audit(&AuditQuery::default()).unwrap().items.into_iter().map(|entry| entry.detail).collect();
    assert_eq!(actions, ["closed", "grew worse: critical"]);
}

pub(crate) fn what_is_not_there_is_said(store: &Store) {
    let nobody = ["0123".to_owned()];
    assert!(matches!(store.alert("0123"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.set_status(&nobody, Status::Closed, KIM), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.remove_suppression("0123", KIM), Err(StoreError::NotFound { .. })));
    assert!(store.audit(&AuditQuery::default()).unwrap().items.is_empty(), "what did not happen is not noted");
}

fn suppression(port: u16, expires: Option<Timestamp>) -> Suppression {
    let matcher = Matcher { port: Some(port), ..Matcher::default() };
    Suppression::new(matcher, "kim".into(), "our scanner".into(), at(i64::from(port)), expires)
}

pub(crate) fn a_suppression_hides_past_and_future_alerts_until_it_goes(store: &Store) {
    store.put_alerts(&[scan("192.168.0.7", 0), scan("192.168.0.8", 0)]).unwrap();
    let other = alert(&[detection("port-scan", "192.168.0.9", 23, at(0))]);
    store.put_alerts(std::slice::from_ref(&other)).unwrap();
    let ssh = suppression(22, Some(at(1_000)));
    assert_eq!(store.preview(&ssh).unwrap().to_string(), "would hide 2 alerts");
    assert_eq!(store.add_suppression(&ssh, KIM).unwrap().total(), 2);
    store.put_alerts(&[scan("192.168.0.10", 999), scan("192.168.0.11", 1_000)]).unwrap();
    assert_eq!(ids(store, &AlertQuery::default()), [scan("192.168.0.11", 1_000).id, other.id.clone()]);
    let all = store.alerts(&AlertQuery { suppressed: true, ..AlertQuery::default() }).unwrap().items;
    assert_eq!(all.iter().filter(|alert| alert.suppressed_by.as_deref() == Some(&ssh.id)).count(), 3);
    let list = store.list_suppressions().unwrap();
    assert_eq!((list.len(), list[0].hits), (1, 3));
    assert!(list[0].last_hit.is_some());

    assert_eq!(store.remove_suppression(&ssh.id, KIM).unwrap(), 3);
    assert_eq!(ids(store, &AlertQuery::default()).len(), 5);
    assert_eq!(store.audit(&AuditQuery::default()).unwrap().items.len(), 2);
}

pub(crate) fn a_suppression_of_everything_is_refused(store: &Store) {
    let all = Suppression::new(Matcher::default(), "kim".into(), "quiet".into(), at(0), None);
    assert!(matches!(store.add_suppression(&all, KIM), Err(StoreError::Refused(_))));
}

pub(crate) fn another_suppression_takes_over_what_one_let_go(store: &Store) {
    store.put_alerts(&[scan("192.168.0.7", 0)]).unwrap();
    let (first, second) = (suppression(22, Some(at(500))), suppression(22, Some(at(600))));
    let second = Suppression { id: "second".into(), ..second };
    store.add_suppression(&first, KIM).unwrap();
    store.add_suppression(&second, KIM).unwrap();
    assert_eq!(store.remove_suppression(&first.id, KIM).unwrap(), 0);
    assert_eq!(store.list_suppressions().unwrap()[0].hits, 1);
}

/// Alerts go after 100 seconds.
pub(crate) fn settings() -> StoreSettings {
    let keep = Keep { alerts: Some(Duration::from_secs(100)), ..Keep::default() };
    StoreSettings { keep, ..StoreSettings::default() }
}

fn device(id: &str, last: i64) -> DeviceRecord {
    DeviceRecord {
        id: id.into(),
        address: Some(id.into()),
        mac: None,
        random_mac: false,
        maker: None,
        router: false,
        addresses: vec![id.into()],
        first_seen: at(0),
        last_seen: at(last),
        flows: 1,
        sent_bytes: 10,
        received_bytes: 20,
        offers: Vec::new(),
        uses: vec!["tcp/443".into()],
        outside_networks: 1,
        peers: Vec::new(),
        hours: Vec::new(),
        name: None,
        note: None,
        memory: None,
    }
}

pub(crate) fn what_runs_see_of_a_device_adds_up(store: &Store) {
    let seen = |flows, first, last| DeviceRecord {
        id: "02:00:00:00:00:01".into(),
        mac: Some("02:00:00:00:00:01".into()),
        random_mac: true,
        first_seen: at(first),
        flows,
        sent_bytes: 10 * flows,
        received_bytes: 20 * flows,
        ..device("192.168.0.7", last)
    };
    store.put_devices(at(5), &[seen(2, 5, 8)]).unwrap();
    store.put_devices(at(5), &[seen(3, 5, 9)]).unwrap();
    store.put_devices(at(0), &[seen(4, 0, 7)]).unwrap();
    assert_eq!(store.devices(&DeviceQuery::default()).unwrap().items, [seen(7, 0, 9)]);
    let count = |query: DeviceQuery| store.devices(&query).unwrap().items.len();
    assert_eq!(count(DeviceQuery { text: Some("02:00:00".into()), ..DeviceQuery::default() }), 1);
    assert_eq!(count(DeviceQuery { text: Some("camera".into()), ..DeviceQuery::default() }), 0);
    assert_eq!(count(DeviceQuery { device: Some("192.168.0.7".into()), ..DeviceQuery::default() }), 1);
    assert_eq!(count(DeviceQuery { device: Some("192.168.0".into()), ..DeviceQuery::default() }), 0);
}

pub(crate) fn what_people_call_a_device_outlives_what_is_seen_of_it(store: &Store) {
    store.put_devices(at(0), &[device("192.168.0.7", 0), device("192.168.0.8", 1)]).unwrap();
    let words = |name, note| DeviceWords { name, note };
    let camera = store.describe_device("192.168.0.7", words(Some(" Türkamera "), None), KIM).unwrap();
    assert_eq!((camera.name.as_deref(), camera.note), (Some("Türkamera"), None));
    store.describe_device("192.168.0.7", words(None, Some("Over the door.\n<b>Old</b>")), KIM).unwrap();
    store.put_devices(at(5), &[device("192.168.0.7", 9)]).unwrap();
    let camera = store.device("192.168.0.7").unwrap();
    assert_eq!((camera.name.as_deref(), camera.last_seen), (Some("Türkamera"), at(9)));
    for text in ["türK", "the DOOR", "192.168.0.7"] {
        let query = DeviceQuery { text: Some(text.into()), ..DeviceQuery::default() };
        assert_eq!(store.devices(&query).unwrap().items, std::slice::from_ref(&camera), "{text}");
    }
    let names = store.device_names().unwrap();
    assert_eq!((names.len(), names["192.168.0.7"].as_str()), (1, "Türkamera"));

    assert!(matches!(store.device("192.168.0"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.describe_device("x", words(Some("x"), None), KIM), Err(StoreError::NotFound { .. })));
    let long = "x".repeat(65);
    for name in ["two\nlines", &long] {
        let refused = store.describe_device("192.168.0.7", words(Some(name), None), KIM);
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{name}");
    }
    store.describe_device("192.168.0.7", words(Some("Türkamera"), Some("")), KIM).unwrap();
    let bare = store.describe_device("192.168.0.7", words(Some(""), None), KIM).unwrap();
    assert_eq!((bare.name, bare.note), (None, None));
    let noted =
        store.audit(&AuditQuery { subject: Some("192.168.0.7".into()), ..AuditQuery::default() }).unwrap().items;
    let noted: Vec<_> = noted.iter().rev().map(|entry| (entry.action.as_str(), entry.detail.as_str())).collect();
    let expected = [
        ("device name", "Türkamera"),
        ("device note", "Over the door.\n<b>Old</b>"),
        ("device note", ""),
        ("device name", ""),
    ];
    assert_eq!(noted, expected, "what stays as it was is no change");
}

pub(crate) fn the_audit_trail_is_found_by_everything_that_is_asked(store: &Store) {
    for (who, seconds, detail) in [("kim", 0, "one 100%"), ("lee", 1, "two"), ("kim", 2, "three")] {
        store.note(Change { who, at: at(seconds) }, "test", "subject", detail).unwrap();
    }
    let details = |query: AuditQuery| -> Vec<String> {
        store.audit(&query).unwrap().items.into_iter().map(|entry| entry.detail).collect()
    };
    let all = AuditQuery::default;
    assert_eq!(details(all()), ["three", "two", "one 100%"]);
    assert_eq!(details(AuditQuery { who: Some("kim".into()), ..all() }), ["three", "one 100%"]);
    assert_eq!(details(AuditQuery { text: Some("0%".into()), ..all() }), ["one 100%"]);
    assert_eq!(details(AuditQuery { text: Some("LEE".into()), ..all() }), ["two"]);
    assert_eq!(details(AuditQuery { time: TimeRange::between(at(1), at(2)), ..all() }), ["two"]);
    assert_eq!(details(AuditQuery { limit: Some(1), ..all() }), ["three"]);
}

/// Runs that watched live are remembered, not captures that were read; of them the latest.
pub(crate) fn the_latest_live_run_is_remembered(store: &Store) {
    assert!(store.remembered(10).unwrap().is_none());
    let device = |host, seconds, live: bool| {
        let mut inventory = Inventory::new(InventorySettings::default());
        let flow = Flow { state: ConnState::Sf, ..flow(1, host, seconds) };
        inventory
            .observe(&Observed { time: flow.last, frame: 1, fact: Observation::FlowEnded(&flow) }, &mut Vec::new());
        let device = &inventory.devices()[0];
        DeviceRecord { memory: live.then(|| inventory.memory(device)), ..DeviceRecord::new(device) }
    };
    store.put_devices(at(1), &[device(1, 1, false)]).unwrap();
    assert!(store.remembered(10).unwrap().is_none());
    for run in [2, 3] {
        store.note_live(at(run)).unwrap();
        store.note_live(at(run)).unwrap();
    }
    store.put_devices(at(2), &[device(2, 2, true)]).unwrap();
    let devices = [device(3, 3, true), device(4, 5, true)];
    store.put_devices(at(3), &devices).unwrap();
    // A scan of what the run kept knows no better.
    store.put_devices(at(3), &[device(3, 3, false)]).unwrap();
    let [first, last] = devices.map(|device| device.memory.unwrap());
    assert_eq!(store.remembered(10).unwrap(), Some((at(3), vec![last.clone(), first])));
    assert_eq!(store.remembered(1).unwrap(), Some((at(3), vec![last])));
}

pub(crate) fn old_alerts_expire(store: &Store) {
    store.put_alerts(&[scan("192.168.0.7", 0), scan("192.168.0.8", 100)]).unwrap();
    assert_eq!(store.retain(at(150)).unwrap().alerts, 1);
    assert_eq!(store.total_alerts().unwrap(), 1);
    assert_eq!(ids(store, &AlertQuery::default()), [scan("192.168.0.8", 100).id]);
    assert!(!store.retain(at(150)).unwrap().any());
}

pub(crate) fn what_is_real_outlives_a_capture_from_the_future(store: &Arc<Store>) {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = Timestamp::from_seconds(since.as_secs() as i64);
    let future = now.plus(Duration::from_secs(365 * 86_400));
    let alerts = [now, future].map(|time| alert(&[detection("beacon", "192.168.0.7", 443, time)]));
    store.put_alerts(&alerts[..1]).unwrap();
    let recorder = Recorder::start(Arc::clone(store), Pressure::Wait, |problem| assert_eq!(problem, ""));
    recorder.alert(&alerts[1]);
    recorder.finish().unwrap();
    assert_eq!(store.total_alerts().unwrap(), 2);
}

/// A flow of ten seconds and 1,500 bytes from `192.168.0.HOST` to port 443 of a server outside.
pub(crate) fn flow(uid: u64, host: u8, seconds: i64) -> Flow {
    Flow {
        uid,
        originator: Endpoint { address: Address::v4([192, 168, 0, host]), port: 40_000 },
        responder: Endpoint { address: address("198.51.100.7"), port: 443 },
        protocol: 6,
        start: at(seconds - 10),
        last: at(seconds),
        orig: Half { packets: 4, ip_bytes: 300, payload_bytes: 100, ..Half::default() },
        resp: Half { packets: 5, ip_bytes: 1_200, payload_bytes: 900, ..Half::default() },
        ..Flow::default()
    }
}

pub(crate) fn flows_are_found_by_everything_that_is_asked(store: &Store) {
    let state = |uid| if uid % 4 == 1 { ConnState::Sf } else { ConnState::S0 };
    let service = |uid| (uid % 4 == 2).then(|| "gssapi,smb".into());
    let made = |uid| Flow { state: state(uid), service: service(uid), ..flow(uid, (uid % 4) as u8, 400 * uid as i64) };
    let flows: Vec<Flow> = (0..100).map(made).collect();
    store.put_flows(&flows[..50]).unwrap();
    store.put_flows(&flows[50..]).unwrap();
    for settled in [false, true] {
        let find = |query: FlowQuery| store.flows(&query).unwrap();
        let all = FlowQuery::default;
        let last = find(FlowQuery { limit: Some(3), ..all() });
        let ends: Vec<_> = last.items.iter().map(|row| row.span().1).collect();
        assert_eq!((ends, last.next.is_some()), (vec![at(39_600), at(39_200), at(38_800)], true), "settled: {settled}");
        assert_eq!(find(all()).items.len(), 100);
        let device = "192.168.0.3".parse().ok();
        assert_eq!(find(FlowQuery { device, ..all() }).items.len(), 25);
        let time = TimeRange::between(at(4_000), at(8_000));
        assert_eq!(
            find(FlowQuery { time, ..all() }).items.len(),
            11,
            "one ends at its beginning, one begins before its end"
        );
        assert_eq!(find(FlowQuery { device, time, ..all() }).items.len(), 3);
        assert_eq!(find(FlowQuery { protocol: Some("udp".into()), ..all() }).items.len(), 0);
        assert_eq!(find(FlowQuery { state: Some("SF".into()), ..all() }).items.len(), 25);
        for (service, flows) in [("http", 0), ("smb", 25), ("gssapi", 25), ("gssapi,smb", 25), ("s", 0)] {
            let service = Some(service.to_owned());
            assert_eq!(find(FlowQuery { service, ..all() }).items.len(), flows);
        }
        assert_eq!(find(FlowQuery { text: Some("API,S".into()), ..all() }).items.len(), 25);
        assert_eq!(find(FlowQuery { text: Some("168.0.3".into()), ..all() }).items.len(), 25);
        let shouted = last.items[1].cell("uid").text().to_uppercase();
        assert!(find(FlowQuery { text: Some(shouted), ..all() }).items.contains(&last.items[1]));
        let uid = last.items[1].cell("uid").text();
        assert_eq!(find(FlowQuery { uid: Some(uid), ..all() }).items, last.items[1..2]);
        let mut count = 0;
        let mut each = |_: FlowRow| {
            count += 1;
            Ok(())
        };
        store.each_flow(&FlowQuery { port: Some(443), ..all() }, &mut each).unwrap();
        assert_eq!(count, 100);
        store.settle().unwrap();
    }
}

pub(crate) fn traffic_and_talkers_are_those_of_the_flows(store: &Store) {
    let flows: Vec<Flow> = (0..100).map(|uid| flow(uid, (uid % 4) as u8, 3_600 * uid as i64)).collect();
    flows.chunks(7).for_each(|flows| store.put_flows(flows).unwrap());
    let days = store.traffic(TimeRange::ALL, 1_440).unwrap();
    let sum = |what: fn(&TrafficPoint) -> u64| days.iter().map(what).sum::<u64>();
    assert_eq!((sum(|day| day.flows), sum(|day| day.bytes), sum(|day| day.packets)), (100, 150_000, 900));
    assert_eq!((sum(|day| day.bytes_in), sum(|day| day.bytes_out)), (120_000, 30_000));
    assert_eq!(days.len(), 6, "100 hours from 22:13 on are on six days");
    let minutes = store.traffic(TimeRange::between(at(3_600), at(7_200)), 1).unwrap();
    assert_eq!(minutes.iter().map(|minute| minute.flows).sum::<u64>(), 2, "the minutes at both ends are whole");

    let all = store.talkers(TimeRange::ALL, 2).unwrap();
    assert_eq!((all[0].host.as_str(), all[0].flows, all[0].sent_bytes), ("198.51.100.7", 100, 120_000));
    assert_eq!((all[1].flows, all.len()), (25, 2));
    let hours = store.talkers(TimeRange::between(at(0), at(3_700)), 9).unwrap();
    assert_eq!(hours.iter().map(|talker| talker.flows).max(), Some(2));
}

pub(crate) fn a_recorder_writes_everything_it_was_handed(store: &Arc<Store>) {
    let mut recorder = Recorder::start(Arc::clone(store), Pressure::Wait, |problem| assert_eq!(problem, ""));
    for uid in 0..20_000 {
        recorder.flow(&flow(uid, 7, uid as i64 / 100));
    }
    recorder.alert(&scan("192.168.0.7", 0));
    recorder.alert(&scan("192.168.0.8", 200));
    let recorded = recorder.finish().unwrap();
    assert_eq!((recorded.flows, recorded.flows_left_out, recorded.alerts), (20_000, 0, 2));
    assert_eq!(store.flows(&FlowQuery::default()).unwrap().items.len(), 20_000);
    assert_eq!(ids(store, &AlertQuery::default()), [scan("192.168.0.8", 200).id], "retention goes by capture time");
}

pub(crate) fn a_file_that_is_read_again_adds_nothing(store: &Arc<Store>) {
    let read = |count: u64| {
        let mut recorder = Recorder::start(Arc::clone(store), Pressure::Wait, |problem| assert_eq!(problem, ""));
        (0..count).for_each(|uid| recorder.flow(&flow(uid, (uid % 4) as u8, uid as i64 * 20)));
        let recorded = recorder.finish().unwrap();
        (recorded.flows, recorded.flows_known)
    };
    let told = || {
        let flows = store.flows(&FlowQuery::default()).unwrap().items;
        (flows, store.traffic(TimeRange::ALL, 1).unwrap(), store.talkers(TimeRange::ALL, 9).unwrap())
    };
    assert_eq!(read(1_000), (1_000, 0));
    let before = told();
    assert_eq!(read(1_000), (0, 1_000));
    assert!(told() == before, "neither flows nor roll-ups");
    assert_eq!(read(1_500), (500, 1_000), "what ended too early the first time goes on");
    assert_eq!(told().0.len(), 1_500);
}
