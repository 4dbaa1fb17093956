//! Logs into the same stage as captures: records in the order of time, their rows and scores, the clock.
//!
//! A record becomes known when its connection ends, so it is observed at `ts + duration`. Whatever it does not carry is counted, and
//! [`LogRun::not_evaluated`] says what was therefore not judged. A flow of which a schema's facts are missing or estimated gets no
//! row, hence no score.

#[cfg(test)]
mod written;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_capture::Timestamp;
use lapwing_detect::DETECTORS;
use lapwing_flow::Reported;
use lapwing_protocol::{Fact, Observation, Observed};
use lapwing_records::{Followed, LogInputs, Record, Window};

use crate::clock::{Clock, Tick};
use crate::stage::Rows;
use crate::timings::{Step, Timings};
use crate::work::LaneOutput;
use crate::{Control, Counted, Scored, Scoring, Stage};

/// Records that a stage sees at once.
const AT_ONCE: usize = 1_024;

/// What a run over logs counted, whatever the stage made of it.
#[derive(Debug, Default)]
pub struct LogRun {
    /// Records of connections that ended.
    pub ended: u64,
    /// Records of connections that went on.
    pub open: u64,
    /// Records that came after later ones had been judged.
    pub late: u64,
    /// Records whose time jumped ahead by more than a day, alone.
    pub held: u64,
    /// Ended connections that got no row because a schema's facts are not there.
    pub without_row: u64,
    /// Start of the earliest connection and the largest time seen.
    pub span: Option<(Timestamp, Timestamp)>,
    /// For each of [`Fact::ALL`] how many records do not carry it, and how many only as an estimate.
    missing: [u64; Fact::ALL.len()],
    estimated: [u64; Fact::ALL.len()],
    /// Schemas of which rows were missing, with the first fact that was.
    schemas: Vec<(&'static str, Fact)>,
    /// Where the time went.
    pub timings: Timings,
}

impl LogRun {
    /// What nothing was said about because the logs do not carry what it takes, and what rests on estimates.
    #[must_use]
    pub fn not_evaluated(&self) -> Vec<String> {
        let records = self.ended + self.open;
        let share =
            |count: u64| if count < records { format!(" in {count} of {records} records") } else { String::new() };
        let mut reasons = Vec::new();
        for entry in DETECTORS {
            for need in entry.info.needs {
                let missing = self.missing[need.fact as usize];
                if missing > 0 {
                    let what = if need.what.is_empty() { String::new() } else { format!(" ({})", need.what) };
                    let (name, fact, share) = (entry.info.name, need.fact.as_str(), share(missing));
                    reasons.push(format!("{name}{what}: the logs do not carry {fact}{share}"));
                }
            }
        }
        for (schema, fact) in &self.schemas {
            let (fact, count) = (fact.as_str(), self.without_row);
            reasons.push(format!("rows of {schema} for {count} flows: the logs do not carry {fact} as it was"));
        }
        reasons
    }

    /// Facts that were estimated, with the number of records.
    #[must_use]
    pub fn estimates(&self) -> Vec<(Fact, u64)> {
        Fact::ALL.into_iter().zip(self.estimated).filter(|(_, count)| *count > 0).collect()
    }

    fn tally(&mut self, record: &Record) {
        for (fact, (missing, estimated)) in Fact::ALL.iter().zip(self.missing.iter_mut().zip(&mut self.estimated)) {
            if record.facts.has_estimate(*fact) {
                *estimated += 1;
            } else if !record.facts.has(*fact) {
                *missing += 1;
            }
        }
        *if record.open { &mut self.open } else { &mut self.ended } += 1;
    }
}

/// Runs logs through `scoring` into `stage`, until they end, `limit` records are read, or `control` says stop.
pub fn run_logs(
    source: &mut LogInputs,
    limit: Option<u64>,
    scoring: &Scoring,
    stage: &mut dyn Stage,
    control: &Control,
) -> LogRun {
    let mut feed = Feed::new(scoring, stage);
    let (mut window, mut read, mut ready) = (Window::default(), Vec::new(), Vec::new());
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 && !control.stopped() {
        let begun = Instant::now();
        if !source.read(&mut read) {
            break;
        }
        read.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let count = read.len() as u64;
        left -= count;
        control.report(source.position(), count);
        window.push(&mut read, &mut |record| ready.push(take(record)));
        feed.run.timings.add(Step::Log, begun.elapsed(), count, 0);
        feed.deliver(&mut ready);
    }
    window.finish(&mut |record| ready.push(take(record)));
    feed.deliver(&mut ready);
    feed.finish(window.late())
}

/// How often logs are looked at that do not grow.
const LOOK: Duration = Duration::from_millis(250);

/// How long records wait for others that ended before them: sensors write what ended within a second in any order.
const PATIENCE: Duration = Duration::from_secs(1);

/// Records that wait at most: those of a log that was written before it was followed, about 17 MB.
const WAITING: usize = 1 << 15;

/// Runs logs that grow through `scoring` into `stage` until `stop` is set. What the stage has seen is acknowledged: a later
/// run does not see it again, and sees everything else.
///
/// Records are put in the order of time a second's worth at once; what comes later than its successors is used all the same,
/// and counted. When nothing comes, time goes on a minute behind the wall clock. Records that claim to be more than a day ahead
/// of it have broken times, however well two agree: they are held, as [`LogRun::held`] counts, unless a hundred in a row do.
pub fn run_followed(
    source: &mut Followed,
    scoring: &Scoring,
    stage: &mut dyn Stage,
    control: &Control,
    stop: &AtomicBool,
) -> LogRun {
    let mut feed = Feed::new(scoring, stage);
    let (mut records, mut since, mut late) = (Vec::new(), Instant::now(), 0);
    loop {
        let stopping = stop.load(Ordering::Relaxed) || control.stopped();
        let (begun, before) = (Instant::now(), records.len());
        let more = source.poll(&mut records);
        if stopping {
            source.finish(&mut records);
        }
        if before == 0 {
            since = begun;
        }
        let count = (records.len() - before) as u64;
        control.report(source.position(), count);
        feed.run.timings.add(Step::Log, begun.elapsed(), count, 0);
        if stopping || records.is_empty() || records.len() >= WAITING || since.elapsed() >= PATIENCE {
            records.sort_by_key(Record::time);
            let latest = feed.latest;
            late += records.iter().filter(|record| latest.is_some_and(|latest| record.time() < latest)).count() as u64;
            feed.clock.now_is(source.reached());
            feed.deliver(&mut records);
            source.acknowledge();
        }
        if stopping {
            return feed.finish(late);
        }
        if control.is_watched() {
            control.count(Counted {
                logs: source.reports(),
                not_evaluated: feed.run.not_evaluated(),
                late,
                held: feed.clock.held_frames,
                now: feed.clock.now(),
                ..Counted::default()
            });
        }
        if !more {
            if records.is_empty() {
                feed.pass(source.reached());
            }
            feed.stage.idle();
            thread::sleep(LOOK);
        }
    }
}

fn take(record: &mut Record) -> Record {
    Record { flow: std::mem::take(&mut record.flow), label: record.label.take(), ..*record }
}

struct Feed<'a> {
    run: LogRun,
    clock: Clock,
    scoring: &'a Scoring,
    stage: &'a mut dyn Stage,
    output: LaneOutput,
    /// Records so far: what frame numbers are to a capture.
    number: u64,
    /// The latest time of a record that was believed.
    latest: Option<Timestamp>,
}

impl<'a> Feed<'a> {
    fn new(scoring: &'a Scoring, stage: &'a mut dyn Stage) -> Self {
        let (run, clock, output) = (LogRun::default(), Clock::default(), LaneOutput::default());
        Self { run, clock, scoring, stage, output, number: 0, latest: None }
    }

    fn finish(self, late: u64) -> LogRun {
        let span = self.run.span.map(|(first, _)| first).zip(self.clock.now());
        LogRun { late, held: self.clock.held_frames, span, ..self.run }
    }

    /// Notes that time has come to `second` without a record, once there was one.
    fn pass(&mut self, second: Timestamp) {
        if self.clock.now().is_some() && self.clock.pass(second) == Some(true) {
            self.stage.advance(second);
        }
    }

    fn deliver(&mut self, records: &mut Vec<Record>) {
        for batch in records.chunks(AT_ONCE) {
            self.batch(batch);
        }
        records.clear();
    }

    fn batch(&mut self, records: &[Record]) {
        let begun = Instant::now();
        let scored_flows = self.score(records);
        self.run.timings.add(Step::Score, begun.elapsed(), scored_flows.len() as u64, 0);
        let begun = Instant::now();
        let with_starts = self.stage.looks_at() == Reported::All;
        let mut observed = Vec::with_capacity(records.len());
        let mut scored = Vec::with_capacity(scored_flows.len());
        let mut next_row = scored_flows.iter().enumerate().peekable();
        for (record, place) in records.iter().zip(0_usize..) {
            self.number += 1;
            self.run.tally(record);
            let start = record.flow.start;
            let (first, last) = self.run.span.unwrap_or((start, start));
            self.run.span = Some((first.min(start), last));
            let tick = self.clock.observe(record.time());
            let time = match tick {
                Tick::Same => record.time(),
                Tick::Held(now) => now,
                Tick::Second(second) | Tick::Restart(second) => {
                    if matches!(tick, Tick::Restart(_)) {
                        self.latest = None;
                    }
                    if !observed.is_empty() {
                        self.stage.observe(&observed, &scored);
                        observed.clear();
                        scored.clear();
                    }
                    self.stage.advance(Timestamp::from_seconds(second.seconds()));
                    record.time()
                }
            };
            if time == record.time() {
                self.latest = self.latest.max(Some(time));
            }
            let flow = &record.flow;
            if with_starts && !record.open {
                observed.push(Observed { time: start, frame: self.number, fact: Observation::FlowStarted(flow) });
            }
            let fact = if record.open { Observation::FlowProgress(flow) } else { Observation::FlowEnded(flow) };
            observed.push(Observed { time, frame: self.number, fact });
            if let Some((row, _)) = next_row.next_if(|(_, of)| **of == place) {
                scored.push(Scored { time, flow, rows: Rows::new(&self.output, row) });
            }
        }
        if !observed.is_empty() {
            self.stage.observe(&observed, &scored);
        }
        self.run.timings.add(Step::Detect, begun.elapsed(), records.len() as u64, 0);
    }

    /// Writes and scores the rows of the connections that ended and carry what every schema needs; returns their places.
    fn score(&mut self, records: &[Record]) -> Vec<usize> {
        let (mut places, judges) = (Vec::new(), self.scoring.judges());
        for (record, place) in records.iter().zip(0..).filter(|(record, _)| !record.open) {
            let mut schemas = judges.schemas.iter();
            let Some(lacking) = schemas.find_map(|schema| Some((schema.name, schema.lacks(record.facts)?))) else {
                places.push(place);
                continue;
            };
            self.run.without_row += 1;
            if !self.run.schemas.contains(&lacking) {
                self.run.schemas.push(lacking);
            }
        }
        self.output.clear();
        self.scoring.score(judges, places.iter().map(|place| &records[*place].flow), &mut self.output);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapwing_feature::CONNECTION;
    use lapwing_records::FollowConfig;
    use std::io::Cursor;
    use std::time::SystemTime;

    /// Notes what it is shown.
    #[derive(Default)]
    struct Notes {
        seen: Vec<(i64, usize)>,
        seconds: Vec<i64>,
        rows: usize,
    }

    impl Stage for Notes {
        fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
            self.seen.extend(observed.iter().map(|observed| (observed.time.seconds(), self.seconds.len())));
            self.rows += scored.len();
            assert!(scored.iter().all(|scored| scored.rows.row(0).len() == CONNECTION.width()));
        }

        fn looks_at(&self) -> Reported {
            Reported::Ends
        }

        fn advance(&mut self, second: Timestamp) {
            self.seconds.push(second.seconds());
        }
    }

    const HEADER: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.resp_h\tproto\tduration\torig_bytes\tresp_bytes\t\
        conn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";

    fn run(rows: &[&str]) -> (Notes, LogRun) {
        let text = format!("{HEADER}{}\n", rows.join("\n"));
        let mut source = LogInputs::from_reader("conn.log", Cursor::new(text)).unwrap();
        let (mut notes, mut scoring) = (Notes::default(), Scoring::default());
        scoring.add_schema(&CONNECTION);
        let run = run_logs(&mut source, None, &scoring, &mut notes, &Control::default());
        (notes, run)
    }

    #[test]
    fn records_are_observed_when_their_connections_end() {
        let (notes, run) = run(&[
            "100\t10.0.0.1\t10.0.0.2\tudp\t50\t10\t10\tSF\tDd\t1\t38\t1\t38",
            "110\t10.0.0.1\t10.0.0.2\tudp\t5\t10\t10\tSF\tDd\t1\t38\t1\t38",
        ]);
        assert_eq!(notes.seen, [(115, 1), (150, 2)]);
        assert_eq!(notes.seconds, [115, 150]);
        assert_eq!((notes.rows, run.ended, run.without_row), (2, 2, 0));
        assert_eq!(run.span.map(|(first, last)| (first.seconds(), last.seconds())), Some((100, 150)));
    }

    #[test]
    fn records_ahead_of_the_wall_clock_do_not_take_time_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        let end = "\t10.0.0.1\t10.0.0.2\tudp\t1\t10\t10\tSF\tDd\t1\t38\t1\t38\n";
        let rows: String = [now - 9, now + 900_000, now + 900_001, now - 8].map(|time| format!("{time}{end}")).concat();
        let log = folder.path().join("conn.log");
        std::fs::write(&log, format!("{HEADER}{rows}")).unwrap();
        let config = FollowConfig { zeek: vec![log], ..FollowConfig::default() };
        let mut source = Followed::open(&config, |_| {}).unwrap();
        let (mut notes, stop) = (Notes::default(), AtomicBool::new(true));
        let mut scoring = Scoring::default();
        scoring.add_schema(&CONNECTION);
        let run = run_followed(&mut source, &scoring, &mut notes, &Control::default(), &stop);
        assert_eq!((run.held, run.late, run.ended), (2, 0, 4));
        assert_eq!(run.span.map(|(_, last)| last.seconds()), Some(now - 7));
        assert!(notes.seen.iter().all(|(second, _)| *second <= now - 7), "{:?}", notes.seen);
    }

    #[test]
    fn what_a_log_does_not_carry_is_said_and_gets_no_row() {
        let (notes, run) = run(&[
            "100\t10.0.0.1\t10.0.0.2\tudp\t50\t10\t10\tSF\tDd\t1\t38\t1\t38",
            "100\t10.0.0.1\t10.0.0.2\tudp\t50\t10\t10\tSF\tDd\t1\t-\t1\t-",
        ]);
        assert_eq!((notes.seen.len(), notes.rows, run.without_row), (2, 1, 1));
        let reasons = run.not_evaluated();
        assert!(reasons.contains(&"arp: the logs do not carry ARP packets".to_owned()), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.starts_with("rows of connection for 1 flows")), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains("in 1 of 2 records")), "{reasons:?}");
    }
}
