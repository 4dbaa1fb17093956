//! One capture file, read batch by batch.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::framing::{Framing, Step};
use crate::stream::{Stream, ZSTD_WINDOW};
use crate::{FrameBatch, InputReport, Problem, Progress, SourceError};

/// A batch is filled by this many calls to the system; where 1,024 small frames end it early, little has to move to the
/// next one.
const CALLS_PER_BATCH: usize = 4;

/// One input that is being read. The bytes go from the system into the caller's batch, and the frames are found there;
/// only the part of a record that a batch does not take moves, to the start of the next.
pub(crate) struct CaptureFile {
    stream: Stream,
    framing: Framing,
    /// Bytes read but not given out.
    tail: Vec<u8>,
    /// Bytes to pass over before the next record.
    skip: u64,
    /// Where the record starts of which these are the rest.
    skipped: u64,
    /// Where the next record starts, less `skip`, counted in bytes after decompression.
    offset: u64,
    /// A batch covers at most this many bytes of input.
    batch_bytes: usize,
    state: State,
    pub report: InputReport,
}

/// A place in a file, between two batches.
#[derive(Clone)]
pub(crate) struct Bookmark {
    offset: u64,
    skip: u64,
    skipped: u64,
    framing: Framing,
    pub report: InputReport,
}

enum State {
    Reading,
    /// The frames before the error were given out, it has yet to be told.
    Failed(SourceError),
    Ended,
}

impl CaptureFile {
    /// Opens the file at `path` as input number `input`, adding the bytes read from the disk to `count`.
    pub(crate) fn open(path: &Path, input: u16, count: &Arc<AtomicU64>) -> Result<Self, SourceError> {
        let stream = Stream::open(path, count).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::IsADirectory => SourceError::EmptyFolder { path },
                _ => SourceError::Open { path, source },
            }
        })?;
        Self::new(stream, path.to_owned(), input)
    }

    pub(crate) fn new(mut stream: Stream, path: PathBuf, input: u16) -> Result<Self, SourceError> {
        if let Some(window) = stream.window.filter(|window| *window > ZSTD_WINDOW) {
            return Err(SourceError::Window { path, window, limit: ZSTD_WINDOW });
        }
        let mut report = InputReport::new(path);
        report.compression = stream.compression;
        let mut tail = std::mem::take(&mut stream.head);
        let mut have = tail.len();
        tail.resize(Framing::HEADER, 0);
        while have < tail.len() {
            match stream.read(&mut tail[have..]) {
                Ok(0) => break,
                Ok(read) => have += read,
                Err(error) => return Err(failure(&report, have as u64, error)),
            }
        }
        tail.truncate(have);
        let (framing, header) = Framing::recognise(&tail, input, &mut report)
            .map_err(|reason| SourceError::NotACapture { path: report.path.clone(), reason })?;
        report.format = Some(framing.format());
        tail.drain(..header);
        let (offset, batch_bytes) = (header as u64, FrameBatch::BYTES);
        Ok(Self { stream, framing, tail, skip: 0, skipped: 0, offset, batch_bytes, state: State::Reading, report })
    }

    /// The same with batches that cover at most `bytes` of the input.
    pub(crate) fn with_batches_of(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// What it takes to go on here later, with the file closed in the meantime.
    pub(crate) fn bookmark(&self) -> Bookmark {
        let (framing, report) = (self.framing.clone(), self.report.clone());
        Bookmark { offset: self.offset, skip: self.skip, skipped: self.skipped, framing, report }
    }

    /// Opens a file again and goes on at a bookmark.
    pub(crate) fn resume(bookmark: Bookmark, count: &Arc<AtomicU64>) -> Result<Self, SourceError> {
        let Bookmark { offset, skip, skipped, framing, report } = bookmark;
        let stream = Stream::open_at(&report.path, offset, count)
            .map_err(|source| SourceError::Open { path: report.path.clone(), source })?;
        let (tail, batch_bytes) = (Vec::new(), FrameBatch::BYTES);
        Ok(Self { stream, framing, tail, skip, skipped, offset, batch_bytes, state: State::Reading, report })
    }

    /// Bytes of memory it takes, batch not counted.
    pub(crate) fn memory(&self) -> u64 {
        self.stream.memory + self.batch_bytes as u64
    }

    /// Fills `batch`. An error comes after the frames before it: the batch is empty then.
    pub(crate) fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Ok(Progress::End),
            State::Failed(error) => return Err(error),
            State::Reading => {}
        }
        let outcome = self.fill(batch);
        self.report.count(&batch.frames);
        match outcome {
            Ok(Progress::More) => self.state = State::Reading,
            Ok(Progress::End) => return Ok(Progress::End),
            Err(error) => {
                self.report.warn(error.to_string());
                self.report.truncated_at = Some(self.offset);
                if batch.is_empty() {
                    return Err(error);
                }
                self.state = State::Failed(error);
            }
        }
        Ok(Progress::More)
    }

    fn fill(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        let FrameBatch { buffer, frames, .. } = batch;
        let mut filled = self.tail.len();
        let chunk = self.batch_bytes / CALLS_PER_BATCH;
        if buffer.len() < filled {
            buffer.resize(filled, 0);
        }
        buffer[..filled].copy_from_slice(&self.tail);
        let last = self.offset + self.batch_bytes as u64; // the batch takes no frame that ends behind it, but for its first
        let mut at = 0; // where the next record starts in the buffer, `self.offset` in the input
        let progress = loop {
            if self.skip > 0 {
                let here = self.skip.min((filled - at) as u64);
                at += here as usize;
                self.offset += here;
                self.skip -= here;
                if self.skip > 0 {
                    // All that was read is behind us: what follows overwrites itself.
                    let read = self.receive(buffer, at, &mut filled, at + chunk)?;
                    if read == 0 {
                        self.cut_off(self.skipped, self.skip);
                        break Progress::End;
                    }
                    let dropped = self.skip.min(read as u64);
                    self.offset += dropped;
                    self.skip -= dropped;
                    if self.skip > 0 {
                        filled = at;
                    } else {
                        at += dropped as usize;
                    }
                    continue;
                }
            }
            match self.framing.step(&buffer[at..filled], &mut self.report) {
                Ok(Step::Frame { mut frame, size }) => {
                    let fits = (filled - at) as u64 >= size;
                    if self.offset + size > last && !frames.is_empty() {
                        break Progress::More;
                    }
                    frame.offset += at as u32;
                    frames.push(frame);
                    if fits {
                        at += size as usize;
                        self.offset += size;
                    } else {
                        (self.skip, self.skipped) = (size, self.offset);
                    }
                    if frames.len() == FrameBatch::FRAMES {
                        break Progress::More;
                    }
                }
                Ok(Step::Skip { size }) => {
                    (self.skip, self.skipped) = (size, self.offset);
                    // Without a frame, too: a file of nothing else can be stopped in its midst.
                    if self.offset + size > last {
                        break Progress::More;
                    }
                }
                Ok(Step::Need { size }) => {
                    if frames.is_empty() {
                        // Nothing points into the buffer yet: what was passed over need not stay.
                        buffer.copy_within(at..filled, 0);
                        filled -= at;
                        at = 0;
                    }
                    let wanted = (filled + chunk).min(self.batch_bytes).max(at + size);
                    if self.receive(buffer, filled, &mut filled, wanted)? == 0 {
                        if filled > at {
                            self.cut_off(self.offset, (at + size - filled) as u64);
                        }
                        break Progress::End;
                    }
                }
                Err(problem) => {
                    let path = self.report.path.clone();
                    return Err(SourceError::Damaged { path, offset: self.offset, problem });
                }
            }
        };
        self.tail.clear();
        self.tail.extend_from_slice(&buffer[at..filled]);
        Ok(progress)
    }

    /// Reads what there is into `buffer[from..to]`, which it makes long enough, and sets `filled` to its end.
    fn receive(
        &mut self,
        buffer: &mut Vec<u8>,
        from: usize,
        filled: &mut usize,
        to: usize,
    ) -> Result<usize, SourceError> {
        if buffer.len() < to {
            buffer.resize(to, 0);
        }
        match self.stream.read(&mut buffer[from..to]) {
            Ok(read) => {
                *filled = from + read;
                Ok(read)
            }
            Err(error) => Err(failure(&self.report, self.offset, error)),
        }
    }

    /// The file ends inside the record at `offset`: `missing` bytes of it at least are not there.
    fn cut_off(&mut self, offset: u64, missing: u64) {
        self.report.truncated_at = Some(offset);
        self.report.warn(format!(
            "{}: cut off in the record at byte {offset}: at least {missing} bytes of it are missing; the frames before it \
             are kept; copy the file again if the original is whole",
            self.report.path.display()
        ));
    }
}

/// Tells damaged compressed data, which the decompressors report without a system error, from a failing disk.
fn failure(report: &InputReport, offset: u64, error: io::Error) -> SourceError {
    let path = report.path.clone();
    if report.compression.is_some() && error.raw_os_error().is_none() {
        SourceError::Damaged { path, offset, problem: Problem::Compression(error.to_string()) }
    } else {
        SourceError::Read { path, offset, source: error }
    }
}
