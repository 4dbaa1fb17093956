//! Reading the spool from a sink's place.

use std::path::PathBuf;
use std::sync::Arc;

use super::Spool;
use super::segment::SegmentReader;
use super::state::State;

/// Reads on from a sink's place. What was read is kept in mind by the caller until it calls [`Reader::commit`].
pub(crate) struct Reader {
    spool: Arc<Spool>,
    sink: String,
    place: u64,
    committed: u64,
    open: Option<SegmentReader>,
}

/// What one reading gave.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Records with their numbers, oldest first.
    pub(crate) records: Vec<(u64, Vec<u8>)>,
    /// Records before or between them that are gone: dropped when the spool was full, or damaged.
    pub(crate) lost: u64,
    /// The place behind them.
    pub(crate) next: u64,
}

/// Where the next record is.
enum Found {
    /// There is none yet.
    Nothing,
    /// In a segment that ends before this number.
    File(PathBuf, u64),
    /// In memory, here copied out.
    Memory(Vec<Vec<u8>>),
    /// Not there any more; the next one is at this place.
    Gap(u64),
}

impl Reader {
    pub(super) fn new(spool: Arc<Spool>, sink: String, place: u64) -> Self {
        Self { spool, sink, place, committed: place, open: None }
    }

    /// The next records, at most `limit` of them and about `bytes` bytes.
    pub(crate) fn read(&mut self, limit: usize, bytes: usize) -> Batch {
        let mut batch = Batch { next: self.place, ..Batch::default() };
        let mut taken = 0;
        while batch.records.len() < limit && taken < bytes {
            let found = self.spool.lock().find(self.place, limit - batch.records.len());
            match found {
                Found::Nothing => break,
                Found::Gap(next) => {
                    // Numbers are not given out twice, so that only what was there once can be missing.
                    batch.lost += next - self.place;
                    self.place = next;
                }
                Found::Memory(payloads) => {
                    // The disk refuses: a file that is deleted gives its room back only when nobody holds it open.
                    self.open = None;
                    for payload in payloads {
                        taken += payload.len();
                        batch.records.push((self.place, payload));
                        self.place += 1;
                        if taken >= bytes {
                            break;
                        }
                    }
                }
                Found::File(path, end) => match self.read_file(&path) {
                    Some(payload) => {
                        taken += payload.len();
                        batch.records.push((self.place, payload));
                        self.place += 1;
                    }
                    None => {
                        // Deleted to make room while it was read, or damaged: go on behind it.
                        self.open = None;
                        batch.lost += end - self.place;
                        self.place = end;
                    }
                },
            }
        }
        batch.next = self.place;
        batch
    }

    /// The sink is done with everything before `next`.
    pub(crate) fn commit(&mut self, next: u64) {
        self.committed = next;
        self.spool.commit(&self.sink, next);
    }

    /// The place that was committed last.
    pub(crate) fn committed(&self) -> u64 {
        self.committed
    }

    /// The place that is read next.
    pub(crate) fn place(&self) -> u64 {
        self.place
    }

    /// The record at the reader's place. What was read ahead may have been cut off and written anew since (a write that the
    /// disk refused half way), so a failure counts only with the file opened afresh.
    fn read_file(&mut self, path: &PathBuf) -> Option<Vec<u8>> {
        self.read_open(path).or_else(|| {
            self.open = None;
            self.read_open(path)
        })
    }

    fn read_open(&mut self, path: &PathBuf) -> Option<Vec<u8>> {
        let number = super::segment::number_in(path)?;
        let usable = self.open.as_ref().is_some_and(|open| open.first() == number && open.next() <= self.place);
        if !usable {
            self.open = SegmentReader::open(path).ok().flatten();
        }
        let open = self.open.as_mut()?;
        while open.next() < self.place {
            open.read().ok().flatten()?;
        }
        open.read().ok().flatten()
    }
}

impl State {
    fn find(&self, place: u64, limit: usize) -> Found {
        if place >= self.next {
            return Found::Nothing;
        }
        let held_first = self.held_first();
        if place >= held_first {
            let skip = usize::try_from(place - held_first).unwrap_or(usize::MAX);
            return Found::Memory(self.held.iter().skip(skip).take(limit).cloned().collect());
        }
        match self.segments.iter().find(|segment| segment.end > place) {
            Some(segment) if segment.first <= place => Found::File(segment.path.clone(), segment.end),
            Some(segment) => Found::Gap(segment.first),
            None => Found::Gap(held_first),
        }
    }
}
