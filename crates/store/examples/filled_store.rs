//! Fills a store with made-up flows and alerts of a month, and asks it what a dashboard asks: one JSON object on standard output.
//! `benches/store.py` runs it.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use lapwing_alert::{AlertConfig, Merger};
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, KINDS, Subject};
use lapwing_flow::{Endpoint, Flow, Half};
use lapwing_store::{
    AlertGroup, AlertQuery, DeviceRecord, FlowQuery, Keep, Pressure, Recorder, Store, StoreSettings, TimeRange,
};

const DAY: u64 = 86_400;
const DAYS: u64 = 30;
const DEVICES: u64 = 200;
const SERVERS: u64 = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (flows, alerts, megabytes) = (number(5_000_000)?, number(100_000)?, number(0)?);
    let folder = PathBuf::from(std::env::var_os("LAPWING_BENCH_STORE").ok_or("LAPWING_BENCH_STORE names no folder")?);
    let keep = Keep { bytes: (megabytes > 0).then_some(megabytes * 1_000_000), ..Keep::default() };
    let store = Arc::new(Store::open(&folder, StoreSettings { keep, ..StoreSettings::default() })?);

    let made = (0..flows).map(|uid| flow(uid, flows)).map(|flow| std::hint::black_box(&flow).uid & 1);
    let begun = Instant::now();
    std::hint::black_box(made.sum::<u64>());
    let making = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let mut recorder = Recorder::start(Arc::clone(&store), Pressure::Wait, |problem| eprintln!("{problem}"));
    for uid in 0..flows {
        recorder.flow(&flow(uid, flows));
        // Where room is short, alerts come among the flows, so that what is let go makes room for both.
        if megabytes > 0 && uid * alerts / flows != (uid + 1) * alerts / flows {
            recorder.alert(&alert(uid * alerts / flows, alerts));
        }
    }
    let recorded = recorder.finish()?;
    let keeping = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let mut batch = Vec::new();
    for place in if megabytes > 0 { 0..0 } else { 0..alerts } {
        batch.push(alert(place, alerts));
        if batch.len() == 100 || place + 1 == alerts {
            store.put_alerts(&batch)?;
            batch.clear();
        }
    }
    let alerting = begun.elapsed().as_secs_f64();

    let last_day = TimeRange::between(at((DAYS - 1) * DAY), at(DAYS * DAY));
    let month = TimeRange::between(at(0), at(DAYS * DAY));
    let last_hour = TimeRange::between(at(DAYS * DAY - 3_600), at(DAYS * DAY));
    let device = "192.168.0.7".to_owned();
    let address = device.parse().ok();
    let of_device = AlertQuery { device: Some(device), limit: Some(1_000), ..AlertQuery::default() };
    let of = |address: &str| FlowQuery { device: address.parse().ok(), limit: Some(1_000), ..FlowQuery::default() };
    let (recent, quiet, unknown) = (of("192.168.0.7"), of("192.168.0.190"), of("198.51.100.99"));
    let hour = FlowQuery { device: address, time: last_hour, ..FlowQuery::default() };
    let devices: Vec<DeviceRecord> = (0..DEVICES).map(device_record).collect();
    let mut asked = Vec::new();
    let mut ask = |name: &str, count: &dyn Fn() -> Result<usize, lapwing_store::StoreError>| {
        let mut times = [0.0; 5];
        let mut rows = 0;
        for time in &mut times {
            let begun = Instant::now();
            rows = count()?;
            *time = begun.elapsed().as_secs_f64() * 1e3;
        }
        let first = times[0];
        times.sort_by(f64::total_cmp);
        asked.push(format!(
            "{{\"what\": \"{name}\", \"rows\": {rows}, \"first_ms\": {first:.1}, \"median_ms\": {:.1}, \"most_ms\": {:.1}}}",
            times[2], times[4]
        ));
        Ok::<_, lapwing_store::StoreError>(())
    };
    ask("last day by minute", &|| Ok(store.traffic(last_day, 1)?.len()))?;
    ask("month by hour", &|| Ok(store.traffic(month, 60)?.len()))?;
    ask("top 20 talkers of the month", &|| Ok(store.talkers(month, 20)?.len()))?;
    ask("top 20 talkers of the last day", &|| Ok(store.talkers(last_day, 20)?.len()))?;
    ask("alerts of a device", &|| Ok(store.alerts(&of_device)?.items.len()))?;
    for (name, group) in [
        ("kind", AlertGroup::Kind),
        ("severity", AlertGroup::Severity),
        ("technique", AlertGroup::Attack),
        ("device", AlertGroup::Device),
    ] {
        ask(&format!("alerts by {name}"), &|| Ok(store.count_alerts(&AlertQuery::default(), group)?.len()))?;
    }
    let of_last_day = AlertQuery { time: last_day, ..AlertQuery::default() };
    ask("alerts of the last day by kind", &|| Ok(store.count_alerts(&of_last_day, AlertGroup::Kind)?.len()))?;
    ask("alerts of the month by three hours", &|| Ok(store.alerts_over_time(month, 180)?.len()))?;
    ask("alerts of the last day by five minutes", &|| Ok(store.alerts_over_time(last_day, 5)?.len()))?;
    ask("open alerts of 200 devices", &|| Ok(store.alerts_of_devices(&devices)?.len()))?;
    let first = AlertQuery { limit: Some(50), ..AlertQuery::default() };
    let after = store.alerts(&AlertQuery { limit: Some(50_000), ..AlertQuery::default() })?.next;
    let rare = AlertQuery { kinds: vec!["no-such-kind".to_owned()], ..first.clone() };
    let middle = AlertQuery { after, ..first.clone() };
    for (name, query) in [("first", first), ("50,000th", middle), ("no", rare)] {
        ask(&format!("50 alerts from the {name} on"), &|| Ok(store.alerts(&query)?.items.len()))?;
    }
    ask("last 1000 flows of a device", &|| Ok(store.flows(&recent)?.items.len()))?;
    ask("last 1000 flows of a quiet device", &|| Ok(store.flows(&quiet)?.items.len()))?;
    ask("flows of an address never seen", &|| Ok(store.flows(&unknown)?.items.len()))?;
    ask("flows of a device in an hour", &|| Ok(store.flows(&hour)?.items.len()))?;
    println!(
        "{{\"flows\": {}, \"flows_per_second\": {:.0}, \"making_seconds\": {making:.2}, \"keeping_seconds\": {keeping:.2}, \
         \"alerts\": {alerts}, \"alerts_per_second\": {:.0}, \"bytes\": {}, \"asked\": [{}]}}",
        recorded.flows,
        flows as f64 / keeping,
        alerts as f64 / alerting.max(1e-9),
        store.size()?,
        asked.join(", ")
    );
    Ok(())
}

/// The record of a device of which only its address is known.
fn device_record(host: u64) -> DeviceRecord {
    let address = format!("192.168.0.{host}");
    let (first_seen, last_seen) = (at(0), at(DAYS * DAY));
    DeviceRecord {
        id: address.clone(),
        address: Some(address.clone()),
        mac: None,
        random_mac: false,
        maker: None,
        router: false,
        addresses: vec![address],
        first_seen,
        last_seen,
        flows: 0,
        sent_bytes: 0,
        received_bytes: 0,
        offers: Vec::new(),
        uses: Vec::new(),
        outside_networks: 0,
        peers: Vec::new(),
        hours: Vec::new(),
        name: None,
        note: None,
        memory: None,
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(*BEGIN + seconds as i64)
}

/// When the month begins: so that it ends when `LAPWING_BENCH_STORE_END` says, in seconds of Unix time.
static BEGIN: LazyLock<i64> = LazyLock::new(|| {
    let end = std::env::var("LAPWING_BENCH_STORE_END").ok().and_then(|end| end.parse::<i64>().ok());
    end.map_or(1_700_006_400, |end| end - (DAYS * DAY) as i64)
});

/// Well-mixed bits of a number (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Devices and servers differ in how busy they are: the product of two uniform numbers favours small ones.
fn flow(uid: u64, of: u64) -> Flow {
    let bits = mixed(uid);
    let favoured = |most: u64, bits: u64| ((bits & 0xffff) * ((bits >> 16) & 0xffff) * most) >> 32;
    let device = favoured(DEVICES, bits);
    let server = favoured(SERVERS, bits >> 32).to_be_bytes();
    let last = at(0).plus(std::time::Duration::from_micros(uid * (DAYS * DAY * 1_000_000 / of.max(1))));
    let packets = 2 + bits % 30;
    Flow {
        uid: bits,
        originator: Endpoint { address: Address::v4([192, 168, 0, device as u8]), port: 32_768 + (bits >> 49) as u16 },
        responder: Endpoint {
            address: Address::v4([203, 0, server[6], server[7]]),
            port: [443, 443, 53, 123, 1_883][(bits % 5) as usize],
        },
        protocol: if bits % 5 < 2 { 6 } else { 17 },
        start: last.minus(std::time::Duration::from_micros((bits >> 20) % 20_000_000)),
        last,
        orig: Half { packets, ip_bytes: packets * 90, payload_bytes: packets * 50, ..Half::default() },
        resp: Half { packets, ip_bytes: packets * (bits % 1_300), payload_bytes: packets * 40, ..Half::default() },
        ..Flow::default()
    }
}

fn alert(place: u64, of: u64) -> lapwing_alert::Alert {
    let bits = mixed(place);
    let kind = &KINDS[(bits % KINDS.len() as u64) as usize];
    let host = Address::v4([192, 168, 0, (bits >> 8) as u8 % DEVICES as u8]);
    let mut detection = Detection::new(kind, Subject::Host(host), "bench", at(place * (DAYS * DAY) / of.max(1)));
    detection.explanation =
        format!("alert {place} of a made-up month, with an explanation of usual length about what was seen");
    let mut merger = Merger::new(AlertConfig::default());
    merger.take_in(&detection);
    merger.into_alerts().remove(0)
}
