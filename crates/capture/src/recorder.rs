//! Frames kept in a folder: classic pcap files with times in nanoseconds, a new one by size and time, the oldest removed.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{
    FrameBatch, InputReport, LinkType, PcapWriter, Position, Progress, Resolution, Source, SourceError, Timestamp,
    WriteError,
};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 18;

/// After this long, what is gathered is written though it is little, so that others can read along.
const FLUSH: Duration = Duration::from_secs(1);

/// How long after a failure a new file is tried: a full disk may have been emptied.
const RETRY: Duration = Duration::from_secs(10);

const ENDING: &str = "pcap";

/// When a new file begins, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// What the names of the files begin with.
    pub name: String,
    /// Bytes after which a new file begins.
    pub size: u64,
    /// Capture time after which a new file begins.
    pub time: Duration,
    /// Files kept; with one more, the oldest is removed. `None` removes none.
    pub files: Option<usize>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { name: "capture".to_owned(), size: 256 << 20, time: Duration::from_secs(60 * 60), files: None }
    }
}

/// What a recorder tells of, while frames go on.
#[derive(Debug)]
pub enum RecorderEvent {
    /// Frames cannot be kept from now on; it is tried again.
    Failed {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: WriteError,
    },
    /// Frames are kept again.
    Recovered {
        /// Frames that are missing, since the recorder began.
        lost: u64,
    },
}

/// A source whose frames are kept as they are read.
///
/// What cannot be written is counted and told, and reading goes on: to keep frames is less than to look at them. Files of one
/// link type each, as the format wants it. Those that an earlier run left under the same name count among the files kept.
pub struct Recorder<S> {
    source: S,
    folder: PathBuf,
    rotation: Rotation,
    /// One for each link type.
    open: Vec<Open>,
    /// Closed ones, oldest first.
    closed: VecDeque<PathBuf>,
    flushed: Instant,
    failed: Option<Instant>,
    lost: Arc<AtomicU64>,
    events: Box<dyn FnMut(RecorderEvent) + Send>,
}

struct Open {
    link: LinkType,
    path: PathBuf,
    begun: Timestamp,
    writer: PcapWriter<BufWriter<File>>,
}

impl<S: Source> Recorder<S> {
    /// Keeps what `source` reads in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written into.
    pub fn new(
        source: S,
        folder: &Path,
        rotation: Rotation,
        events: impl FnMut(RecorderEvent) + Send + 'static,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut closed = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| is_ours(name, &rotation.name)) {
                closed.push(entry.path());
            }
        }
        // The names hold the time, so their order is that of time.
        closed.sort();
        let trial = folder.join(format!(".{}.{}", rotation.name, std::process::id()));
        File::create(&trial)?;
        fs::remove_file(&trial)?;
        Ok(Self {
            source,
            folder: folder.to_owned(),
            rotation,
            open: Vec::new(),
            closed: closed.into(),
            flushed: Instant::now(),
            failed: None,
            lost: Arc::default(),
            events: Box::new(events),
        })
    }

    /// Frames that could not be kept; can be read while the recorder is in use elsewhere.
    #[must_use]
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn keep(&mut self, batch: &FrameBatch) {
        if self.failed.is_some_and(|failed| failed.elapsed() < RETRY) {
            self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
            return;
        }
        let mut kept = 0;
        let written = batch.iter().try_for_each(|frame| {
            let place = self.file_for(frame.link, frame.time)?;
            self.open[place].writer.write(&frame).map_err(|error| (self.open[place].path.clone(), error))?;
            kept += 1;
            Ok(())
        });
        if let Err((path, error)) = written {
            self.lost.fetch_add(batch.len() as u64 - kept, Ordering::Relaxed);
            self.fail(path, error);
        } else if kept > 0 && self.failed.take().is_some() {
            (self.events)(RecorderEvent::Recovered { lost: self.lost.load(Ordering::Relaxed) });
        }
    }

    /// Gives up the open files, whose last bytes may be missing; tells the first time.
    fn fail(&mut self, path: PathBuf, error: WriteError) {
        self.closed.extend(self.open.drain(..).map(|open| open.path));
        if self.failed.replace(Instant::now()).is_none() {
            (self.events)(RecorderEvent::Failed { path, error });
        }
    }

    /// The place of the file that a frame of that time goes into.
    fn file_for(&mut self, link: LinkType, time: Timestamp) -> Result<usize, (PathBuf, WriteError)> {
        if let Some(place) = self.open.iter().position(|open| open.link == link) {
            let Open { begun, writer, .. } = &self.open[place];
            if writer.written() < self.rotation.size && time < begun.plus(self.rotation.time) {
                return Ok(place);
            }
            let Open { path, writer, .. } = self.open.remove(place);
            self.closed.push_back(path.clone());
            writer.finish().map_err(|error| (path, error.into()))?;
        }
        let path = self.folder.join(file_name(&self.rotation.name, link, time));
        let named = |error: io::Error| (path.clone(), WriteError::from(error));
        let file = create(&path).map_err(named)?;
        let writer = PcapWriter::new(BufWriter::with_capacity(BUFFER, file), link, Resolution::Nanoseconds);
        let writer = writer.map_err(named)?;
        self.closed.retain(|closed| *closed != path);
        self.open.push(Open { link, path, begun: time, writer });
        self.let_go();
        Ok(self.open.len() - 1)
    }

    fn let_go(&mut self) {
        let Some(most) = self.rotation.files else { return };
        while self.closed.len() + self.open.len() > most.max(self.open.len()) {
            let Some(oldest) = self.closed.pop_front() else { return };
            // Somebody else removed it, or it stays: the next run finds it.
            let _ = fs::remove_file(oldest);
        }
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        let flushed = self.open.iter_mut().try_for_each(|open| {
            let Open { path, writer, .. } = open;
            writer.flush().map_err(|error| (path.clone(), error.into()))
        });
        if let Err((path, error)) = flushed {
            self.fail(path, error);
        }
    }
}

impl<S: Source> Source for Recorder<S> {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        let progress = self.source.read(batch);
        self.keep(batch);
        if self.flushed.elapsed() >= FLUSH || !matches!(progress, Ok(Progress::More)) {
            self.flush();
        }
        progress
    }

    fn reports(&self) -> Vec<InputReport> {
        self.source.reports()
    }

    fn position(&self) -> Position {
        self.source.position()
    }
}

/// A file that nobody else may read: it holds what others said.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// `NAME-SECONDS.NANOS-LINK.pcap`: the time of the first frame since 1970, which sorts as text like as a number.
fn file_name(name: &str, link: LinkType, time: Timestamp) -> String {
    let (seconds, nanos) = (time.seconds(), time.nanos().rem_euclid(1_000_000_000));
    format!("{name}-{seconds:010}.{nanos:09}-{}.{ENDING}", link.0)
}

fn is_ours(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    let rest = rest.and_then(|rest| rest.strip_suffix(ENDING)?.strip_suffix('.'));
    let parts = rest.and_then(|rest| rest.split_once('.'));
    let Some((seconds, (nanos, link))) = parts.and_then(|(seconds, rest)| Some((seconds, rest.split_once('-')?)))
    else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    seconds.len() >= 10 && nanos.len() == 9 && digits(seconds) && digits(nanos) && digits(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inputs, expand};

    /// Hands out frames of 100 bytes, ten to a batch, one each second.
    struct Seconds {
        next: i64,
        end: i64,
    }

    impl Source for Seconds {
        fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
            batch.clear();
            for _ in 0..10.min(self.end - self.next) {
                let link = if self.next % 50 == 49 { LinkType::RAW } else { LinkType::ETHERNET };
                batch.push(Timestamp::from_nanos(self.next * 1_000_000_000 + 7), link, 100, 0, &[0; 100]);
                self.next += 1;
            }
            Ok(if self.next < self.end { Progress::More } else { Progress::End })
        }

        fn reports(&self) -> Vec<InputReport> {
            Vec::new()
        }

        fn position(&self) -> Position {
            Position::default()
        }
    }

    fn record(folder: &Path, from: i64, frames: i64, rotation: Rotation) -> Recorder<Seconds> {
        let source = Seconds { next: from, end: from + frames };
        let mut recorder = Recorder::new(source, folder, rotation, |_| {}).unwrap();
        let mut batch = FrameBatch::default();
        while recorder.read(&mut batch).unwrap() == Progress::More {}
        recorder
    }

    fn frames(folder: &Path) -> Vec<i64> {
        let mut inputs = Inputs::open(&expand(&[folder.to_owned()]).files).unwrap();
        let (mut batch, mut times) = (FrameBatch::default(), Vec::new());
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            times.extend(batch.iter().map(|frame| frame.time.nanos()));
            if progress == Progress::End {
                return times;
            }
        }
    }

    #[test]
    fn all_frames_are_kept_over_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { size: 1_000, time: Duration::from_secs(5), ..Rotation::default() };
        let recorder = record(folder.path(), 1_000, 100, rotation);
        assert_eq!((recorder.lost().load(Ordering::Relaxed), frames(folder.path()).len()), (0, 100));
        assert!(fs::read_dir(folder.path()).unwrap().count() > 20);
        assert_eq!(frames(folder.path())[3], 1_003_000_000_007);
    }

    #[test]
    fn the_oldest_files_go_those_of_an_earlier_run_too_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for foreign in ["capture-notes.pcap", "other-0000001000.000000007-1.pcap", "capture-1.pcap"] {
            fs::write(folder.path().join(foreign), "x").unwrap();
        }
        let rotation = Rotation { time: Duration::from_secs(10), files: Some(3), ..Rotation::default() };
        record(folder.path(), 1_000, 45, rotation.clone());
        record(folder.path(), 2_000, 15, rotation);
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let kept = ["0000001040", "0000002000", "0000002010"].map(|time| format!("capture-{time}.000000007-1.pcap"));
        assert_eq!(names.len(), 6);
        assert!(kept.iter().all(|name| names.contains(name)), "{names:?}");
    }

    #[test]
    fn a_folder_that_went_away_is_told_once_and_what_is_missing_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("kept");
        let (told, count) = std::sync::mpsc::channel();
        let source = Seconds { next: 1_000, end: 1_100 };
        let rotation = Rotation { time: Duration::from_secs(10), ..Rotation::default() };
        let mut recorder = Recorder::new(source, &inside, rotation, move |event| told.send(event).unwrap()).unwrap();
        let mut batch = FrameBatch::default();
        recorder.read(&mut batch).unwrap();
        fs::remove_dir_all(&inside).unwrap();
        while recorder.read(&mut batch).unwrap() == Progress::More {}
        assert_eq!(recorder.lost().load(Ordering::Relaxed), 90);
        assert!(matches!(count.try_iter().collect::<Vec<_>>().as_slice(), [RecorderEvent::Failed { .. }]));
    }
}
