//! Logs that grow, are rotated, compressed and truncated while they are followed, and the follower that dies at any moment.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use lapwing_records::{FollowConfig, FollowEvent, Followed};
use proptest::prelude::*;

/// Writes a log as Zeek does.
struct Writer {
    folder: PathBuf,
    json: bool,
    /// Records that were begun.
    rows: u64,
    /// The end of a line of which the beginning was written.
    rest: Vec<u8>,
    rotations: u64,
}

impl Writer {
    fn new(folder: &Path, json: bool) -> Self {
        let writer = Self { folder: folder.to_owned(), json, rows: 0, rest: Vec::new(), rotations: 0 };
        writer.header();
        writer
    }

    fn log(&self) -> PathBuf {
        self.folder.join("conn.log")
    }

    fn append(&self, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(self.log()).unwrap().write_all(bytes).unwrap();
    }

    /// Every second log has its columns in another order.
    fn header(&self) {
        let fields = if self.turned() { "id.orig_p\tid.orig_h\tts" } else { "ts\tid.orig_h\tid.orig_p" };
        let header = format!(
            "#separator \\x09\n#unset_field\t-\n#path\tconn\n#open\t{}\n#fields\t{fields}\tid.resp_h\tproto\n",
            self.rotations
        );
        self.append(if self.json { b"" } else { header.as_bytes() });
    }

    fn turned(&self) -> bool {
        self.rotations % 2 == 1
    }

    fn row(&mut self) -> Vec<u8> {
        self.rows += 1;
        let number = self.rows;
        let text = match (self.json, self.turned()) {
            (true, _) => format!(
                r#"{{"ts":{number},"id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","proto":"tcp","conn_state":"S0"}}"#
            ),
            (false, false) => format!("{number}\t10.0.0.1\t1\t10.0.0.2\ttcp"),
            (false, true) => format!("1\t10.0.0.1\t{number}\t10.0.0.2\ttcp"),
        };
        (text + "\n").into_bytes()
    }

    /// Rows, and the first bytes of another one.
    fn grow(&mut self, rows: usize, cut: usize) {
        let mut bytes = std::mem::take(&mut self.rest);
        (0..rows).for_each(|_| bytes.extend(self.row()));
        if cut > 0 {
            let last = self.row();
            let cut = cut.min(last.len() - 1);
            bytes.extend(&last[..cut]);
            self.rest = last[cut..].to_vec();
        }
        self.append(&bytes);
    }

    fn end_line(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.append(&rest);
    }

    fn rotate(&mut self, compress: bool) {
        self.end_line();
        self.rotations += 1;
        let plain = self.folder.join(format!("conn-{:04}.log", self.rotations));
        fs::rename(self.log(), &plain).unwrap();
        self.header();
        if compress {
            let day = self.folder.join("2026-11-21");
            fs::create_dir_all(&day).unwrap();
            let archive = fs::File::create(day.join(format!("conn.{:04}.log.gz", self.rotations))).unwrap();
            let mut encoder = GzEncoder::new(archive, Compression::fast());
            encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
            encoder.finish().unwrap();
            fs::remove_file(plain).unwrap();
        }
    }

    fn truncate(&mut self) {
        fs::write(self.log(), "").unwrap();
        self.rotations += 1;
        self.header();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Grow(usize, usize),
    Rotate {
        compress: bool,
    },
    Truncate,
    Look,
    Acknowledge,
    /// The follower dies: what it had not acknowledged counts for nothing.
    Die,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..40, 0_usize..60).prop_map(|(rows, cut)| Step::Grow(rows, cut)),
        1 => any::<bool>().prop_map(|compress| Step::Rotate { compress }),
        1 => Just(Step::Truncate),
        4 => Just(Step::Look),
        3 => Just(Step::Acknowledge),
        2 => Just(Step::Die),
    ];
    proptest::collection::vec(step, 1..40)
}

type Events = Arc<Mutex<Vec<FollowEvent>>>;

fn follow(folder: &Path) -> (Followed, Events) {
    let events = Events::default();
    let noted = Arc::clone(&events);
    let config =
        FollowConfig { zeek: vec![folder.to_owned()], state: Some(folder.join("state")), ..FollowConfig::default() };
    (Followed::open(&config, move |event| noted.lock().unwrap().push(event)).unwrap(), events)
}

/// What is new, by the numbers of the rows.
fn look(followed: &mut Followed) -> Vec<u64> {
    let mut records = Vec::new();
    while followed.poll(&mut records) {}
    let number = |record: &lapwing_records::Record| {
        (record.flow.start.seconds() as u64).max(u64::from(record.flow.originator.port))
    };
    records.iter().map(number).collect()
}

fn run(steps: Vec<Step>, json: bool) -> (Vec<u64>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), json);
    let (mut followed, _) = follow(folder.path());
    let (mut pending, mut acknowledged) = (Vec::new(), Vec::new());
    // A run that has not acknowledged anything leaves no trace: what is rotated after it is none of the next one's business.
    followed.acknowledge();
    for step in steps {
        match step {
            Step::Grow(rows, cut) => writer.grow(rows, cut),
            Step::Rotate { compress } => writer.rotate(compress),
            Step::Truncate => {
                // Whoever truncates takes away what was not read.
                writer.end_line();
                pending.extend(look(&mut followed));
                followed.acknowledge();
                acknowledged.append(&mut pending);
                writer.truncate();
            }
            Step::Look => pending.extend(look(&mut followed)),
            Step::Acknowledge => {
                followed.acknowledge();
                acknowledged.append(&mut pending);
            }
            Step::Die => {
                pending.clear();
                followed = follow(folder.path()).0;
            }
        }
    }
    writer.end_line();
    (0..3).for_each(|_| pending.extend(look(&mut followed)));
    followed.acknowledge();
    acknowledged.append(&mut pending);
    acknowledged.sort_unstable();
    (acknowledged, writer.rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_acknowledged_once_whatever_happens_to_log_and_follower(steps in steps(), json in any::<bool>()) {
        let (acknowledged, rows) = run(steps, json);
        prop_assert_eq!(acknowledged, (1..=rows).collect::<Vec<_>>());
    }
}

#[test]
fn a_half_line_waits_and_is_read_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), true);
    let (mut followed, _) = follow(folder.path());
    writer.grow(2, 30);
    assert_eq!(look(&mut followed), [1, 2]);
    assert_eq!(look(&mut followed), [0_u64; 0]);
    writer.end_line();
    assert_eq!(look(&mut followed), [3]);
}

#[test]
fn a_log_that_appears_later_is_found_and_trouble_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut followed, events) = follow(folder.path());
    assert_eq!(look(&mut followed), [0_u64; 0]);
    fs::create_dir(folder.path().join("conn.log")).unwrap();
    (0..10).for_each(|_| assert_eq!(look(&mut followed), [0_u64; 0]));
    let told = events.lock().unwrap().clone();
    assert!(matches!(&told[..], [FollowEvent::Unreadable { .. }]), "{told:?}");
    fs::remove_dir(folder.path().join("conn.log")).unwrap();
    Writer::new(folder.path(), false).grow(3, 0);
    assert_eq!(look(&mut followed), [1, 2, 3]);
    assert_eq!(followed.reports()[0].records, 3);
}

#[test]
fn what_was_rotated_before_the_first_run_is_left_alone_ever_after() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), false);
    writer.grow(5, 0);
    writer.rotate(true);
    writer.grow(5, 0);
    let (mut followed, _) = follow(folder.path());
    assert_eq!(look(&mut followed), [6, 7, 8, 9, 10]);
    followed.acknowledge();
    assert_eq!(look(&mut follow(folder.path()).0), [0_u64; 0]);
}

#[test]
fn a_log_that_went_away_is_told() {
    let folder = tempfile::tempdir().unwrap();
    Writer::new(folder.path(), true).grow(5, 0);
    let (mut followed, _) = follow(folder.path());
    look(&mut followed);
    followed.acknowledge();
    drop(followed);
    fs::remove_file(folder.path().join("conn.log")).unwrap();
    let (_, events) = follow(folder.path());
    let told = events.lock().unwrap().clone();
    assert!(matches!(&told[..], [FollowEvent::Missing { offset, .. }] if *offset > 0), "{told:?}");
}

#[test]
fn positions_that_cannot_be_read_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("positions.json"), r#"{"version":9,"logs":[],"finished":[]}"#).unwrap();
    let config =
        FollowConfig { eve: vec![folder.path().join("eve.json")], state: Some(state), ..FollowConfig::default() };
    let error = Followed::open(&config, |_| {}).err().unwrap().to_string();
    assert!(error.contains("version 9, and this build reads 1"), "{error}");
}

#[test]
fn halves_of_netflows_are_joined_over_a_restart_and_a_lone_one_is_not_held_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let half = |from: &str, to: &str, id: u32| {
        let time = "2021-06-06T17:34:31.140759+0200";
        format!(
            "{{\"timestamp\":\"{time}\",\"event_type\":\"netflow\",\"flow_id\":{id},\"src_ip\":\"{from}\",\"src_port\":1,\
             \"dest_ip\":\"{to}\",\"dest_port\":1,\"proto\":\"UDP\",\"netflow\":{{\"pkts\":1,\"bytes\":60,\"start\":\"{time}\",\
             \"end\":\"{time}\"}}}}\n"
        )
    };
    let log = folder.path().join("eve.json");
    let config =
        FollowConfig { eve: vec![log.clone()], state: Some(folder.path().join("state")), ..FollowConfig::default() };
    let append = |text: &str| {
        OpenOptions::new().append(true).create(true).open(&log).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let (mut followed, mut records) = (Followed::open(&config, |_| {}).unwrap(), Vec::new());
    append(&half("10.0.0.1", "10.0.0.2", 7));
    followed.poll(&mut records);
    assert!(records.is_empty());
    // The half that waits is not dealt with: whoever dies now reads it again.
    followed.acknowledge();
    let mut followed = Followed::open(&config, |_| {}).unwrap();
    append(&half("10.0.0.2", "10.0.0.1", 7));
    followed.poll(&mut records);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].flow.orig.packets, records[0].flow.resp.packets), (1, 1));
    append(&half("10.0.0.1", "10.0.0.2", 8));
    (0..10).for_each(|_| {
        followed.poll(&mut records);
    });
    assert_eq!(records.len(), 2);
}

#[test]
fn what_one_path_reads_from_an_archive_that_two_share_is_read_once() {
    // `current/conn.log` is looked for too, and takes what was rotated between two runs; the log itself is `conn.log`.
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), true);
    let (mut followed, _) = follow(folder.path());
    followed.acknowledge();
    writer.grow(3, 0);
    writer.rotate(true);
    let (mut followed, _) = follow(folder.path());
    writer.rotate(false);
    let archived = fs::File::open(folder.path().join("2026-11-21/conn.0001.log.gz")).unwrap();
    archived.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(1)).unwrap();
    followed.acknowledge();
    assert_eq!(look(&mut followed), [1, 2, 3]);
}

#[test]
fn a_log_that_was_truncated_and_is_as_long_again_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), true);
    writer.grow(3, 0);
    let (mut followed, _) = follow(folder.path());
    assert_eq!(look(&mut followed), [1, 2, 3]);
    writer.truncate();
    writer.grow(3, 0);
    assert_eq!(look(&mut followed), [4, 5, 6]);
}

/// Some of what is reported of the one log of a folder that matters.
fn reported(followed: &mut Followed) -> (Option<String>, bool, u64) {
    // What is written at once is read at once; what is not understood may be the half of something.
    (0..6).for_each(|_| drop(look(followed)));
    let reports = followed.reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    (reports[0].refused.clone(), reports[0].there, reports[0].malformed)
}

#[test]
fn what_keeps_a_log_from_being_read_is_reported_as_long_as_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("conn.log");
    let (mut followed, events) = follow(folder.path());
    assert!(followed.reports().iter().all(|report| !report.there && report.refused.is_none()));
    fs::create_dir(&log).unwrap();
    assert_eq!(reported(&mut followed), (Some("not a file".into()), false, 0));
    fs::remove_dir(&log).unwrap();
    fs::write(&log, "#separator \\x09\nno header\tat all\n").unwrap();
    let (reason, there, _) = reported(&mut followed);
    assert!(there && reason.as_ref().is_some_and(|reason| reason.contains("no line of it")), "{reason:?}");
    fs::write(&log, "#separator \\x09\n#path\tdns\n#fields\tts\n1\n2\n3\n").unwrap();
    let (reason, ..) = reported(&mut followed);
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("a Zeek dns log")), "{reason:?}");
    let told = events.lock().unwrap().iter().filter(|event| matches!(event, FollowEvent::Unreadable { .. })).count();
    assert_eq!(told, 2, "each once, and what it is instead as a problem");
    fs::remove_file(&log).unwrap();
    let mut writer = Writer::new(folder.path(), false);
    writer.grow(3, 0);
    writer.append(b"rubbish\n");
    assert_eq!(reported(&mut followed), (None, true, 1));
    fs::remove_file(&log).unwrap();
    assert_eq!(reported(&mut followed), (None, false, 1));
}

#[test]
fn a_rotated_log_that_cannot_be_read_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), false);
    let (mut followed, _) = follow(folder.path());
    followed.acknowledge();
    drop(followed);
    writer.grow(3, 0);
    writer.rotate(true);
    let archived = folder.path().join("2026-11-21/conn.0001.log.gz");
    let bytes = fs::read(&archived).unwrap();
    fs::write(&archived, [&bytes[..12], &[0xff; 40]].concat()).unwrap();
    let (followed, events) = follow(folder.path());
    let lost: u64 = followed.reports().iter().map(|report| report.lost_files).sum();
    let told = events.lock().unwrap().clone();
    assert!(told.iter().any(|event| matches!(event, FollowEvent::Unreadable { path, .. } if *path == archived)));
    // It is not known to be the one that was being read, so that one is told to be missing too.
    assert_eq!(lost, 2, "{told:?}");
}
