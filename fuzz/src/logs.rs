//! Reading a log of connections in every way there is: whole, in drops, compressed, followed, written and read again.

use std::fs;
use std::io::{Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use lapwing_capture::Timestamp;
use lapwing_flow::Endpoint;
use lapwing_protocol::{ConnLog, LocalNetworks, LogFormat};
use lapwing_records::{FollowConfig, Followed, LogInputs, LogKind, LogReport, Record, Window};

use crate::capture::Dribble;

/// What is compared of a record: times, ends, protocol, packets, whether it goes on.
type Seen = (i64, i64, Endpoint, Endpoint, u8, [u64; 2], bool);

fn seen(record: &Record) -> Seen {
    let flow = &record.flow;
    let packets = [flow.orig.packets, flow.resp.packets];
    (flow.start.nanos(), flow.last.nanos(), flow.originator, flow.responder, flow.protocol, packets, record.open)
}

/// Reads `bytes` as a log; whatever they hold, everything in the report adds up, and every way of reading gives the same records.
pub fn read_every_way(bytes: &[u8], step: usize) {
    let Some((records, report)) = read(Cursor::new(bytes.to_vec())) else { return };
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    if report.compression.is_none() {
        assert!(report.records + report.other + report.malformed <= lines);
    }
    assert!(records.len() as u64 <= report.records);
    assert!(report.problems.len() <= LogReport::PROBLEMS);
    assert!(records.iter().all(|record| record.flow.start <= record.flow.last));
    let expected: Vec<Seen> = records.iter().map(seen).collect();

    let (dribbled, in_drops) = read(Dribble(Cursor::new(bytes.to_vec()), step.max(1))).expect("it was a log before");
    assert_eq!(dribbled.iter().map(seen).collect::<Vec<_>>(), expected);
    assert_eq!(in_drops, report);

    if report.compression.is_none() {
        let (unpacked, _) = read(Cursor::new(compress(bytes))).expect("it was a log before");
        assert_eq!(unpacked.iter().map(seen).collect::<Vec<_>>(), expected);
        if bytes.ends_with(b"\n") && !matches!(report.kind, Some(LogKind::Csv | LogKind::Argus)) {
            assert_eq!(followed(bytes), expected);
        }
    }
    order(&records);
    write(&records);
}

/// Records to the end; `None` when it is no log.
fn read(reader: impl Read + Send + 'static) -> Option<(Vec<Record>, LogReport)> {
    let mut inputs = LogInputs::from_reader("hostile", reader).ok()?;
    let mut records = Vec::new();
    while inputs.read(&mut records) {}
    Some((records, inputs.reports().remove(0)))
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory does not fail to write")
}

/// The same log, followed from its beginning.
fn followed(bytes: &[u8]) -> Vec<Seen> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let log = folder.path().join("eve.json");
    fs::write(&log, bytes).expect("a file can be written");
    let config = FollowConfig { eve: vec![log], ..FollowConfig::default() };
    let mut followed = Followed::open(&config, |_| {}).expect("something is named");
    let mut records = Vec::new();
    while followed.poll(&mut records) {}
    followed.finish(&mut records);
    followed.acknowledge();
    records.iter().map(seen).collect()
}

/// Through a window too small for them.
fn order(records: &[Record]) {
    let (mut window, mut count) = (Window::new(3), 0);
    window.push(&mut records.to_vec(), &mut |_| count += 1);
    window.finish(&mut |_| count += 1);
    assert_eq!(count, records.len());
}

/// What was read is written in every form, and read again alike.
fn write(records: &[Record]) {
    if records.is_empty() {
        return;
    }
    for format in [LogFormat::Zeek, LogFormat::Json, LogFormat::Csv] {
        let (mut log, mut text) = (ConnLog::new(format, LocalNetworks::default()), Vec::new());
        log.header(Timestamp::default(), &mut text);
        records.iter().for_each(|record| log.row(&record.flow, &mut text));
        log.footer(Timestamp::default(), &mut text);
        let (again, report) = read(Cursor::new(text)).expect("what is written is a log");
        assert_eq!(report.problems, Vec::<String>::new());
        let ends = |record: &Record| (record.flow.protocol, record.flow.originator, record.flow.responder);
        let [again, first] = [&again, records].map(|records| records.iter().map(ends).collect::<Vec<_>>());
        assert_eq!(again, first);
    }
}
