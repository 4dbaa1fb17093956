//! A log as it is written: seconds or minutes after its connections ended, with time that goes on without records.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapwing_alert::AlertConfig;
use lapwing_capture::Inputs;
use lapwing_detect::signature::shipped;
use lapwing_protocol::{ConnLog, LocalNetworks, LogFormat};

use super::*;
use crate::{Detecting, PipelineConfig};

/// How far behind the clock time goes on without records, as [`Followed::reached`] says.
const BEHIND: i64 = 65;

/// Writes flows down as they end, and notes when that is.
struct Sensor {
    log: ConnLog,
    text: Vec<u8>,
    written: Vec<Timestamp>,
}

impl Stage for Sensor {
    fn observe(&mut self, observed: &[Observed<'_>], _scored: &[Scored<'_>]) {
        for observed in observed {
            if let Observation::FlowEnded(flow) = observed.fact {
                self.log.row(flow, &mut self.text);
                self.written.push(observed.time);
            }
        }
    }

    fn looks_at(&self) -> Reported {
        Reported::Ends
    }
}

/// What a sensor writes of a capture, each record with the moment at which it does, in the order of that.
fn written(capture: &Path) -> Vec<(Timestamp, Record)> {
    let log = ConnLog::new(LogFormat::Zeek, LocalNetworks::default());
    let mut sensor = Sensor { log, text: Vec::new(), written: Vec::new() };
    sensor.log.header(Timestamp::default(), &mut sensor.text);
    let mut source = Inputs::open(&[capture.to_owned()]).unwrap();
    crate::run(&mut source, &PipelineConfig::default(), &Scoring::default(), &mut sensor, &Control::default());
    let mut inputs = LogInputs::from_reader("conn.log", Cursor::new(sensor.text)).unwrap();
    let mut records = Vec::new();
    while inputs.read(&mut records) {}
    assert_eq!(records.len(), sensor.written.len());
    let mut written: Vec<_> = sensor.written.into_iter().zip(records).collect();
    written.sort_by_key(|(time, _)| *time);
    written
}

/// Kinds and subjects of what is found in records that come as `feed` is given them.
fn found(give: impl FnOnce(&mut Feed<'_>)) -> BTreeSet<String> {
    let local = Arc::default();
    let (mut stage, scoring, _) = Detecting::new(&local, &shipped(), Vec::new(), AlertConfig::default());
    let mut feed = Feed::new(&scoring, &mut stage);
    give(&mut feed);
    let last = feed.finish(0).span.map(|(_, last)| last);
    stage.finish(last).alerts.iter().map(|alert| format!("{} of {}", alert.kind, alert.device)).collect()
}

fn captures() -> impl Iterator<Item = PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let folders = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.to_string_lossy().contains(".pcap"))
}

#[test]
fn a_log_followed_as_it_is_written_gives_the_kinds_and_subjects_of_a_scan() {
    let (mut wrong, mut alerts) = (Vec::new(), 0);
    for capture in captures() {
        let written = written(&capture);
        let Some((mut now, _)) = written.first().cloned() else { continue };
        let scanned = found(|feed| {
            let mut records: Vec<Record> = written.iter().map(|(_, record)| record.clone()).collect();
            records.sort_by_key(Record::time);
            feed.deliver(&mut records);
        });
        let followed = found(|feed| {
            let mut rest = written.as_slice();
            while !rest.is_empty() {
                now = now.plus(PATIENCE);
                let (come, later) = rest.split_at(rest.partition_point(|(time, _)| *time <= now));
                rest = later;
                if come.is_empty() {
                    feed.pass(Timestamp::from_seconds(now.seconds() - BEHIND));
                }
                let mut records: Vec<Record> = come.iter().map(|(_, record)| record.clone()).collect();
                records.sort_by_key(Record::time);
                feed.deliver(&mut records);
            }
        });
        alerts += scanned.len();
        let different = scanned.symmetric_difference(&followed).map(|what| format!("{}: {what}", capture.display()));
        wrong.extend(different);
    }
    assert!(alerts > 40, "{alerts}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
