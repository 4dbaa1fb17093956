//! Many capture files as one timeline.
//!
//! Each file keeps its own order; the next frame is always the earliest of the files' next ones, of equal ones that of the
//! file named first. A file holds a small batch of its own, from which frames are copied. Files that the timeline has not
//! reached yet, and those used longest ago when too many overlap, are closed and remembered by a bookmark, so that memory
//! and open files stay bounded whatever the number of inputs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::file::{Bookmark, CaptureFile};
use crate::{FrameBatch, InputReport, Progress, SourceError, Timestamp};

/// Files open at once: below the 256 descriptors that a process may have by default on some systems.
const OPEN_FILES: usize = 192;
/// Memory for the files open at once, their decompressors included. One file is open in any case.
const OPEN_MEMORY: u64 = 32 * 1024 * 1024;
/// Bytes of input that the batch of one file covers.
const FILE_BATCH: usize = 32 * 1024;

/// The files that are merged.
pub(crate) struct Merge {
    inputs: Vec<Input>,
    /// Time of the next frame of each file that has one, earliest first.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    open: usize,
    open_memory: u64,
    /// Counts the turns, to tell which file was used longest ago.
    turn: u64,
    /// A failure of the disk, told when all else was read.
    failed: Option<SourceError>,
    count: Arc<AtomicU64>,
}

/// One of the files, with what was read of it.
struct Input {
    report: InputReport,
    state: State,
}

enum State {
    Open(Box<Open>),
    /// Closed, to go on with frame number `next` of the batch that starts at the bookmark.
    Parked {
        bookmark: Box<Bookmark>,
        next: usize,
    },
    Ended,
}

struct Open {
    file: CaptureFile,
    batch: FrameBatch,
    /// Where `batch` starts.
    bookmark: Bookmark,
    /// The next frame of `batch`.
    next: usize,
    /// When it was last used.
    turn: u64,
    /// Whether it can be closed and opened again: a file, not a pipe.
    can_park: bool,
}

impl Merge {
    pub(crate) fn new(count: Arc<AtomicU64>) -> Self {
        let (inputs, heads) = (Vec::new(), BinaryHeap::new());
        Self { inputs, heads, open: 0, open_memory: 0, turn: 0, failed: None, count }
    }

    /// Adds the next input; its first frames are read, then it may be closed.
    pub(crate) fn add(&mut self, file: CaptureFile) {
        let file = file.with_batches_of(FILE_BATCH);
        let (report, bookmark) = (file.report.clone(), file.bookmark());
        self.make_room(file.memory());
        self.opened(&file);
        let can_park = std::fs::metadata(&report.path).is_ok_and(|found| found.is_file());
        let open = Open { file, batch: FrameBatch::default(), bookmark, next: 0, turn: self.turn, can_park };
        self.inputs.push(Input { report, state: State::Open(Box::new(open)) });
        self.refill(self.inputs.len() - 1);
    }

    /// Adds an input of which there is only a report.
    pub(crate) fn add_refused(&mut self, report: InputReport) {
        self.inputs.push(Input { report, state: State::Ended });
    }

    pub(crate) fn reports(&self) -> Vec<InputReport> {
        self.inputs.iter().map(|input| input.report.clone()).collect()
    }

    pub(crate) fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        let mut bytes = 0;
        while let Some(Reverse((_, index))) = self.heads.peek().copied() {
            self.turn += 1;
            if let Err(error) = self.reopen(index) {
                self.inputs[index].report.warn(error.to_string());
                self.end(index, Some(error));
            }
            self.heads.pop();
            let State::Open(open) = &mut self.inputs[index].state else { continue };
            open.turn = self.turn;
            let others = self.heads.peek().map_or((Timestamp::MAX, usize::MAX), |head| head.0);
            let frames = open.batch.frames.get(open.next..).unwrap_or_default();
            for frame in frames {
                let full = batch.len() == FrameBatch::FRAMES || bytes + frame.captured as usize > FrameBatch::BYTES;
                if full && !batch.is_empty() {
                    self.heads.push(Reverse((frame.time, index)));
                    return Ok(Progress::More);
                }
                if (frame.time, index) > others {
                    break;
                }
                bytes += frame.captured as usize;
                batch.push(frame.time, frame.link, frame.length, frame.input, open.batch.data(frame));
                open.next += 1;
            }
            match open.batch.frames.get(open.next) {
                Some(frame) => self.heads.push(Reverse((frame.time, index))),
                None => self.refill(index),
            }
        }
        match self.failed.take() {
            None => Ok(Progress::End),
            Some(error) if batch.is_empty() => Err(error),
            Some(error) => {
                self.failed = Some(error);
                Ok(Progress::More)
            }
        }
    }

    /// Reads the next batch of an open file whose batch was used up, and puts its first frame among the heads.
    fn refill(&mut self, index: usize) {
        let input = &mut self.inputs[index];
        let State::Open(open) = &mut input.state else { return };
        loop {
            open.bookmark = open.file.bookmark();
            open.next = 0;
            if open.batch.buffer.len() > 2 * FILE_BATCH {
                open.batch.buffer = Vec::new(); // a long frame was in it; usual ones need less
            }
            let progress = open.file.read(&mut open.batch);
            input.report.clone_from(&open.file.report);
            match (open.batch.frames.first(), progress) {
                (Some(frame), _) => return self.heads.push(Reverse((frame.time, index))),
                (None, Ok(Progress::More)) => {}
                (None, Ok(Progress::End)) => return self.end(index, None),
                (None, Err(error)) => return self.end(index, Some(error)),
            }
        }
    }

    /// Forgets a file. Damage is in its report already; the first failure of the disk is kept to be told.
    fn end(&mut self, index: usize, error: Option<SourceError>) {
        let state = std::mem::replace(&mut self.inputs[index].state, State::Ended);
        if let State::Open(open) = state {
            self.closed(&open.file);
        }
        match error {
            None | Some(SourceError::Damaged { .. }) => {}
            Some(error) => self.failed = self.failed.take().or(Some(error)),
        }
    }

    fn reopen(&mut self, index: usize) -> Result<(), SourceError> {
        let (bookmark, next) = match &self.inputs[index].state {
            State::Parked { bookmark, next } => (Bookmark::clone(bookmark), *next),
            State::Open(_) | State::Ended => return Ok(()),
        };
        let mut file = CaptureFile::resume(bookmark.clone(), &self.count)?.with_batches_of(FILE_BATCH);
        self.make_room(file.memory());
        let mut batch = FrameBatch::default();
        file.read(&mut batch)?;
        self.opened(&file);
        self.inputs[index].state =
            State::Open(Box::new(Open { file, batch, bookmark, next, turn: self.turn, can_park: true }));
        Ok(())
    }

    /// Closes files, those used longest ago first, until one more that takes `memory` may be open.
    fn make_room(&mut self, memory: u64) {
        while self.open > 0 && (self.open >= OPEN_FILES || self.open_memory + memory > OPEN_MEMORY) {
            let oldest = self.inputs.iter_mut().filter_map(|input| match &input.state {
                State::Open(open) if open.can_park => Some((open.turn, input)),
                _ => None,
            });
            let Some((_, input)) = oldest.min_by_key(|(turn, _)| *turn) else { return };
            let State::Open(open) = std::mem::replace(&mut input.state, State::Ended) else { return };
            input.state = State::Parked { bookmark: Box::new(open.bookmark), next: open.next };
            self.closed(&open.file);
        }
    }

    fn opened(&mut self, file: &CaptureFile) {
        self.open += 1;
        self.open_memory += file.memory();
    }

    fn closed(&mut self, file: &CaptureFile) {
        self.open -= 1;
        self.open_memory -= file.memory();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::{Inputs, Source};

    /// A capture with a frame of one byte, `mark`, at each of `seconds`.
    fn pcap(mark: u8, seconds: &[u32]) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut bytes = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
        for second in seconds {
            bytes.extend(words(&[*second, 0, 1, 1]));
            bytes.push(mark);
        }
        bytes
    }

    fn read_all(inputs: &mut Inputs) -> Vec<(u64, i64, u16, u8)> {
        let (mut batch, mut seen) = (FrameBatch::default(), Vec::new());
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            let sources = batch.frames.iter().map(|frame| frame.input);
            seen.extend(
                batch
                    .iter()
                    .zip(sources)
                    .map(|(frame, input)| (frame.number, frame.time.seconds(), input, frame.data[0])),
            );
            if progress == Progress::End {
                return seen;
            }
        }
    }

    #[test]
    fn frames_come_by_time_and_equal_times_by_input() {
        let folder = tempfile::tempdir().unwrap();
        let captures = [pcap(b'a', &[5, 9, 9]), pcap(b'b', &[1, 9, 2, 30]), pcap(b'c', &[])];
        let paths: Vec<PathBuf> = (0..3).map(|index| folder.path().join(index.to_string())).collect();
        for (path, bytes) in paths.iter().zip(&captures) {
            fs::write(path, bytes).unwrap();
        }
        let seen = read_all(&mut Inputs::open(&paths).unwrap());
        let expected = [
            (1, 1, 1, b'b'),
            (2, 5, 0, b'a'),
            (3, 9, 0, b'a'),
            (4, 9, 0, b'a'),
            (5, 9, 1, b'b'),
            (6, 2, 1, b'b'), // a file keeps its own order
            (7, 30, 1, b'b'),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn more_overlapping_files_than_may_be_open_are_all_read() {
        let folder = tempfile::tempdir().unwrap();
        let count = OPEN_FILES as u32 + 60;
        let mut paths = Vec::new();
        for index in 0..count {
            let path = folder.path().join(index.to_string());
            let bytes = pcap(index as u8, &[index, 1_000 + index, 2_000 - index]);
            let bytes = if index % 3 == 0 { zstd::encode_all(&bytes[..], 1).unwrap() } else { bytes };
            fs::write(&path, bytes).unwrap();
            paths.push(path);
        }
        let mut inputs = Inputs::open(&paths).unwrap();
        let seen = read_all(&mut inputs);
        assert_eq!(seen.len() as u32, 3 * count);
        assert!(seen.is_sorted_by_key(|frame| frame.1));
        assert!(inputs.reports().iter().all(|report| report.packets == 3 && report.warnings.is_empty()));
    }

    #[test]
    fn bad_input_among_several_is_refused_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["good", "bad", "missing"].map(|name| folder.path().join(name));
        fs::write(&paths[0], pcap(b'a', &[1])).unwrap();
        fs::write(&paths[1], "no capture").unwrap();
        let mut inputs = Inputs::open(&paths).unwrap();
        assert_eq!(read_all(&mut inputs).len(), 1);
        let refused: Vec<bool> = inputs.reports().iter().map(|report| report.refused.is_some()).collect();
        assert_eq!(refused, [false, true, true]);
    }
}
