//! What the spool holds: segments on disk, records in memory, the places of the sinks.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Limits;
use super::cursor::Cursor;
use super::segment::{self, HEADER_BYTES, SegmentReader};

/// How long a disk that refused is left alone before it is tried again.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// One file of the spool.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Number of its first record.
    pub(super) first: u64,
    /// Number after its last.
    pub(super) end: u64,
    pub(super) bytes: u64,
}

/// All that changes, behind the spool's one lock.
pub(super) struct State {
    /// Where segments and cursors are; the lock is held as long as the spool lives.
    pub(super) directory: Option<(PathBuf, File)>,
    pub(super) segments: VecDeque<Segment>,
    /// The last segment, open for appending.
    pub(super) active: Option<File>,
    /// The newest records, as far as they are not on disk.
    pub(super) held: VecDeque<Vec<u8>>,
    pub(super) held_bytes: u64,
    /// Number of the next record.
    pub(super) next: u64,
    pub(super) cursors: BTreeMap<String, Place>,
    pub(super) dirty: bool,
    /// A segment was created since the folder was synced.
    pub(super) folder_dirty: bool,
    pub(super) synced: Instant,
    pub(super) fault: Option<String>,
    pub(super) retry_at: Option<Instant>,
    pub(super) dropped: u64,
    pub(super) closed: bool,
}

/// How far one sink is.
pub(super) struct Place {
    pub(super) next: u64,
    pub(super) file: Option<Cursor>,
}

impl State {
    pub(super) fn empty() -> Self {
        Self {
            directory: None,
            segments: VecDeque::new(),
            active: None,
            held: VecDeque::new(),
            held_bytes: 0,
            next: 0,
            cursors: BTreeMap::new(),
            dirty: false,
            folder_dirty: false,
            synced: Instant::now(),
            fault: None,
            retry_at: None,
            dropped: 0,
            closed: false,
        }
    }

    /// Takes stock of the segments that an earlier process left.
    pub(super) fn recover(&mut self, directory: &Path) -> io::Result<()> {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| segment::number_in(path).is_some())
            .collect();
        paths.sort();
        for path in paths {
            let Some(mut reader) = SegmentReader::open(&path)? else {
                // A header that was being written when the process died: nothing was in it yet.
                fs::remove_file(&path)?;
                continue;
            };
            while reader.read()?.is_some() {}
            let bytes = fs::metadata(&path)?.len();
            self.segments.push_back(Segment { path, first: reader.first(), end: reader.next(), bytes });
            self.next = self.next.max(reader.next());
            if bytes > reader.good_bytes() {
                // Behind a record that was cut off nothing can be appended: cut it off for good.
                let last = self.segments.back_mut().expect("just pushed");
                OpenOptions::new().write(true).open(&last.path)?.set_len(reader.good_bytes())?;
                last.bytes = reader.good_bytes();
            }
        }
        Ok(())
    }

    pub(super) fn open_cursors(&mut self, directory: &Path, sinks: &[String]) -> io::Result<()> {
        for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == "cursor") && !sinks.iter().any(|sink| sink == stem)
            {
                fs::remove_file(&path)?;
            }
        }
        let mut opened = Vec::new();
        for sink in sinks {
            let (cursor, place) = Cursor::open(directory, sink)?;
            // A power cut can take records that a sink had delivered already; their numbers are not given out again.
            self.next = self.next.max(place.unwrap_or(0));
            opened.push((sink, cursor, place));
        }
        for (sink, mut cursor, place) in opened {
            let next = place.unwrap_or(self.next);
            cursor.write(next)?;
            self.cursors.insert(sink.clone(), Place { next, file: Some(cursor) });
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Number of the first record that is held in memory.
    pub(super) fn held_first(&self) -> u64 {
        self.next - self.held.len() as u64
    }

    /// The place of the sink that is furthest behind.
    pub(super) fn slowest(&self) -> u64 {
        self.cursors.values().map(|place| place.next).min().unwrap_or(self.next)
    }

    pub(super) fn write_held(&mut self, limits: &Limits) {
        while let Some(payload) = self.held.pop_front() {
            let number = self.next - self.held.len() as u64 - 1;
            match self.write(number, &payload, limits) {
                Ok(()) => self.held_bytes -= payload.len() as u64,
                Err(error) => {
                    self.held.push_front(payload);
                    self.fault = Some(error.to_string());
                    self.retry_at = Some(Instant::now() + DISK_RETRY);
                    return;
                }
            }
        }
        self.fault = None;
        self.retry_at = None;
        if self.dirty && limits.sync_interval.is_zero() {
            self.sync();
        }
    }

    fn write(&mut self, number: u64, payload: &[u8], limits: &Limits) -> io::Result<()> {
        let framed = segment::frame(number, payload);
        let length = framed.len() as u64;
        let last = self.segments.back();
        if self.active.is_none()
            || last.is_none_or(|last| last.end != number || last.bytes + length > limits.segment_bytes)
        {
            self.sync();
            self.begin_segment(number)?;
        }
        while self.bytes() + length > limits.capacity_bytes && self.segments.len() > 1 {
            self.drop_oldest();
        }
        let file = self.active.as_mut().expect("begin_segment left one open");
        let last = self.segments.back_mut().expect("begin_segment pushed one");
        if let Err(error) = file.write_all(&framed) {
            // Half a record may be there: cut it off, or leave the segment as it is and begin another.
            if file.set_len(last.bytes).is_err() {
                self.active = None;
            }
            return Err(error);
        }
        last.end = number + 1;
        last.bytes += length;
        self.dirty = true;
        Ok(())
    }

    fn begin_segment(&mut self, first: u64) -> io::Result<()> {
        let (directory, _) = self.directory.as_ref().expect("only a spool with a folder writes");
        let path = directory.join(segment::file_name(first));
        // An empty segment of that number may be there: it is begun anew.
        self.segments.retain(|segment| segment.first != first);
        self.active = None;
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        if let Err(error) = segment::write_header(&mut file, first) {
            drop(file);
            // What cannot be deleted is found at the next start, and is empty.
            let _ignored = fs::remove_file(&path);
            return Err(error);
        }
        self.active = Some(file);
        self.segments.push_back(Segment { path, first, end: first, bytes: HEADER_BYTES });
        self.folder_dirty = true;
        Ok(())
    }

    /// Deletes segments that every sink is done with; the one that is written stays, unless the disk needs its room.
    pub(super) fn forget_read(&mut self) {
        let slowest = self.slowest();
        while self.segments.front().is_some_and(|oldest| oldest.end <= slowest)
            && (self.segments.len() > 1 || self.active.is_none() || self.retry_at.is_some())
        {
            if self.segments.len() == 1 {
                self.active = None;
            }
            self.drop_oldest();
        }
        while !self.held.is_empty() && self.held_first() < slowest {
            let payload = self.held.pop_front().expect("not empty");
            self.held_bytes -= payload.len() as u64;
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            self.dropped += oldest.end.saturating_sub(oldest.first.max(self.slowest()));
            if let Err(error) = fs::remove_file(&oldest.path) {
                self.fault = Some(format!("{}: {error}", oldest.path.display()));
            }
        }
    }

    pub(super) fn drop_held(&mut self) {
        let first = self.held_first();
        if let Some(payload) = self.held.pop_front() {
            self.held_bytes -= payload.len() as u64;
            self.dropped += u64::from(first >= self.slowest());
        }
    }

    pub(super) fn sync(&mut self) {
        if self.dirty
            && let Some(file) = &self.active
            && let Err(error) = file.sync_data()
        {
            self.fault = Some(format!("sync: {error}"));
        }
        if self.folder_dirty
            && let Some((directory, _)) = &self.directory
        {
            // A folder that cannot be synced (some network file systems) is no loss: its files are.
            let _ignored = File::open(directory).and_then(|folder| folder.sync_all());
        }
        self.dirty = false;
        self.folder_dirty = false;
        self.synced = Instant::now();
    }
}
