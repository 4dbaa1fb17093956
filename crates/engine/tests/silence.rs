//! Live, time passes without frames; in a capture it jumps from one frame to the next. Neither must show in the alerts.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapwing_alert::{Alert, AlertConfig};
use lapwing_capture::{
    FrameBatch, InputReport, Inputs, LinkType, Paced, Position, Progress, Source, SourceError, Timestamp,
};
use lapwing_detect::signature::shipped;
use lapwing_engine::{Control, Detecting, Heard, PipelineConfig, Watcher, Watching, run};

/// A frame of a capture.
#[derive(Clone)]
struct Kept {
    time: Timestamp,
    link: LinkType,
    length: u32,
    data: Vec<u8>,
}

fn read(capture: &Path) -> Vec<Kept> {
    let mut inputs = Inputs::open(&[capture.to_owned()]).unwrap();
    let (mut batch, mut frames) = (FrameBatch::default(), Vec::new());
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        let kept = |frame: lapwing_capture::Frame<'_>| Kept {
            time: frame.time,
            link: frame.link,
            length: frame.length,
            data: frame.data.to_vec(),
        };
        frames.extend(batch.iter().map(kept));
        if progress == Progress::End {
            return frames;
        }
    }
}

/// How frames are handed over.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// As many as fit, as from a file.
    File,
    /// As from an interface that is looked at every so many milliseconds: what came since, and how far time has come. It is
    /// listened to for so many seconds after the last frame.
    Live { every: u64, after: u64 },
}

/// Hands frames over in one manner or the other.
struct Frames {
    frames: Vec<Kept>,
    next: usize,
    now: Timestamp,
    reached: Timestamp,
    manner: Manner,
}

/// How far behind an interface says that time is, as the real one does: frames of several rings come that late.
const LATENESS: u64 = 200;

fn milliseconds(count: u64) -> std::time::Duration {
    std::time::Duration::from_millis(count)
}

impl Frames {
    fn new(frames: &[Kept], manner: Manner) -> Self {
        let now = frames.iter().map(|frame| frame.time).min().unwrap_or_default();
        Self { frames: frames.to_vec(), next: 0, now, reached: Timestamp::MIN, manner }
    }
}

impl Source for Frames {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        batch.first_number = self.next as u64 + 1;
        if let Manner::Live { every, .. } = self.manner {
            self.now = self.now.plus(milliseconds(every));
        }
        let here = |frame: &Kept| matches!(self.manner, Manner::File) || frame.time <= self.now;
        while let Some(frame) = self.frames.get(self.next).filter(|frame| here(frame)) {
            if batch.len() == FrameBatch::FRAMES {
                return Ok(Progress::More);
            }
            batch.push(frame.time, frame.link, frame.length, 0, &frame.data);
            self.next += 1;
        }
        if let Manner::Live { .. } = self.manner {
            let reached = self.now.minus(milliseconds(LATENESS)).floor(FrameBatch::STEP);
            if reached > self.reached {
                self.reached = reached;
                batch.reached = Some(reached);
            }
        }
        let last = self.frames.last().map_or(self.now, |frame| frame.time);
        let over = match self.manner {
            Manner::File => true,
            Manner::Live { after, .. } => self.now >= last.plus(milliseconds(after * 1_000)),
        };
        Ok(if over && self.next == self.frames.len() { Progress::End } else { Progress::More })
    }

    fn reports(&self) -> Vec<InputReport> {
        Vec::new()
    }

    fn position(&self) -> Position {
        Position::default()
    }
}

/// Keeps the last revision of each alert.
#[derive(Default)]
struct LastRevisions(BTreeMap<String, Alert>);

impl Watcher for LastRevisions {
    fn alerts(&mut self, alerts: &mut [Alert]) {
        self.0.extend(alerts.iter().map(|alert| (alert.id.clone(), alert.clone())));
    }

    fn reload(&mut self, _detecting: &mut Detecting) {}
}

fn watched(frames: &[Kept], manner: Manner) -> BTreeMap<String, Alert> {
    watched_from(&mut Frames::new(frames, manner))
}

fn watched_from(source: &mut dyn Source) -> BTreeMap<String, Alert> {
    let local = Arc::default();
    let (detecting, scoring, _) = Detecting::new(&local, &shipped(), Vec::new(), AlertConfig::default());
    let mut stage = Watching::new(detecting, LastRevisions::default(), Arc::default(), Heard::default);
    let ran = run(source, &PipelineConfig::default(), &scoring, &mut stage, &Control::default());
    assert!(ran.error.is_none());
    stage.finish(ran.span.map(|(_, last)| last)).0.0
}

/// What a scan of the capture finds.
fn scanned(frames: &[Kept]) -> BTreeMap<String, Alert> {
    let local = Arc::default();
    let (mut stage, scoring, _) = Detecting::new(&local, &shipped(), Vec::new(), AlertConfig::default());
    let mut source = Frames::new(frames, Manner::File);
    let ran = run(&mut source, &PipelineConfig::default(), &scoring, &mut stage, &Control::default());
    let alerts = stage.finish(ran.span.map(|(_, last)| last)).alerts;
    alerts.into_iter().map(|alert| (alert.id.clone(), alert)).collect()
}

/// What differs, in a few words: alerts are long.
fn differences(one: &BTreeMap<String, Alert>, other: &BTreeMap<String, Alert>) -> Vec<String> {
    let text = |alert: Option<&Alert>| alert.map(|alert| serde_json::to_string(alert).unwrap());
    let ids = one.keys().chain(other.keys());
    let mut different: Vec<String> = ids
        .filter(|id| text(one.get(*id)) != text(other.get(*id)))
        .map(|id| {
            let told = |alerts: &BTreeMap<String, Alert>| match alerts.get(id) {
                Some(alert) => format!("revision {} of {} seen {} times", alert.revision, alert.kind, alert.count),
                None => "nothing".to_owned(),
            };
            format!("{id}: {} and {}", told(one), told(other))
        })
        .collect();
    different.sort();
    different.dedup();
    different
}

fn captures() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let folders = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut captures: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().contains(".pcap")).collect();
    captures.sort();
    captures
}

/// Kinds and subjects.
fn kinds(alerts: &BTreeMap<String, Alert>) -> BTreeSet<String> {
    alerts.values().map(|alert| format!("{} of {}", alert.kind, alert.device)).collect()
}

#[test]
fn what_is_heard_live_gives_the_alerts_of_its_capture() {
    let (mut wrong, mut alerts) = (Vec::new(), 0);
    for capture in captures() {
        let frames = read(&capture);
        let name = capture.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let expected = scanned(&frames);
        alerts += expected.len();
        let live = watched(&frames, Manner::Live { every: 100, after: 0 });
        wrong.extend(differences(&live, &expected).into_iter().map(|what| format!("{name}: {what}")));
        // A capture does not say what came after it: flows that fell silent end there at once, and here one by one.
        let longer = watched(&frames, Manner::Live { every: 770, after: 700 });
        let (longer, expected) = (kinds(&longer), kinds(&expected));
        wrong.extend(
            longer.symmetric_difference(&expected).map(|what| format!("{name}, listened to for longer: {what}")),
        );
    }
    assert!(alerts > 50, "{alerts}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_capture_at_its_own_pace_gives_the_alerts_of_its_scan() {
    let mut wrong = Vec::new();
    for capture in captures() {
        let frames = read(&capture);
        let name = capture.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        for speed in ["max", "2000"] {
            let source = Frames::new(&frames, Manner::File);
            let paced = watched_from(&mut Paced::new(source, speed.parse().unwrap(), Arc::default(), |_| {}));
            let different = differences(&paced, &scanned(&frames)).into_iter();
            wrong.extend(different.map(|what| format!("{name} at {speed}: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Captures one after the other, with up to a day of silence between them.
#[test]
fn long_silences_do_not_show() {
    let names =
        ["port-scan-syn", "udp-flood-out", "beacon-jitter-20", "brute-force-ssh", "arp-spoofing", "port-scan-syn"];
    let silences = [70_u64, 3_500, 3_700, 7_300, 86_000];
    let mut frames: Vec<Kept> = Vec::new();
    for (name, silence) in names.iter().zip([0].into_iter().chain(silences)) {
        let capture = captures().into_iter().find(|path| path.parent().unwrap().ends_with(name)).unwrap();
        let more = read(&capture);
        let first = more.first().unwrap().time;
        let begin = frames.last().map_or(first, |frame| frame.time.plus(milliseconds(silence * 1_000)));
        let shift =
            |time: Timestamp| begin.plus(std::time::Duration::from_nanos(time.nanos_since(first).max(0) as u64));
        frames.extend(more.into_iter().map(|frame| Kept { time: shift(frame.time), ..frame }));
    }
    let expected = scanned(&frames);
    assert!(expected.len() > 6, "{}", expected.len());
    let different = differences(&watched(&frames, Manner::Live { every: 430, after: 0 }), &expected);
    assert!(different.is_empty(), "{different:#?}");
}
