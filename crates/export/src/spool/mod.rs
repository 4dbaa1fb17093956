//! Deliveries on their way, on disk until every sink is done with them.
//!
//! One writer appends; every sink reads at its own pace from its own place (its *cursor*). A record is on disk for the
//! kernel when [`Spool::append`] returns: `kill -9` loses nothing. Against a power cut the files are synced every
//! [`Limits::sync_interval`], and when a segment is full. A record that was cut off by either is not read, and what is
//! appended next goes to a new place. The spool is bounded: when full, the oldest segment goes and what no sink has read of
//! it is counted.
//!
//! While the disk refuses (full, gone, read-only), records are *held* in memory, bounded as well, delivered from there, and
//! written as soon as the disk takes them. A spool without a folder holds everything in memory.

mod cursor;
mod reader;
mod segment;
mod state;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::SpoolError;
pub(crate) use reader::Reader;
pub(crate) use segment::MAX_PAYLOAD;
use state::{Place, State};

/// Bounds of a spool.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Bytes on disk at most.
    pub(crate) capacity_bytes: u64,
    /// Bytes of one segment, about: what is deleted at once when the spool is full.
    pub(crate) segment_bytes: u64,
    /// Bytes held in memory at most, while the disk refuses or without a folder.
    pub(crate) held_bytes: u64,
    /// How often files are synced; zero syncs before an append counts as done.
    pub(crate) sync_interval: Duration,
}

/// What the spool shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Bytes on disk.
    pub bytes: u64,
    /// Records held in memory because the disk refuses them, or because there is no folder.
    pub held: u64,
    /// Records that were deleted to make room before every sink had read them.
    pub dropped: u64,
    /// Why the disk refuses, while it does.
    pub fault: Option<String>,
}

/// The spool; see the module.
pub(crate) struct Spool {
    limits: Limits,
    state: Mutex<State>,
    /// Told when a record came, a cursor moved or the spool closed.
    changed: Condvar,
}

impl Spool {
    /// Opens the spool in `directory`, creating it; without one, everything is held in memory.
    ///
    /// `sinks` are those that read it: the places of others are forgotten.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or another process has it.
    pub(crate) fn open(directory: Option<&Path>, limits: Limits, sinks: &[String]) -> Result<Arc<Self>, SpoolError> {
        let mut state = State::empty();
        if let Some(path) = directory {
            let failed = |source| SpoolError::Io { path: path.to_owned(), source };
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path.join("lock"))
                .map_err(failed)?;
            lock.try_lock().map_err(|error| match error {
                fs::TryLockError::WouldBlock => SpoolError::InUse { path: path.to_owned() },
                fs::TryLockError::Error(source) => failed(source),
            })?;
            state.recover(path).map_err(failed)?;
            state.directory = Some((path.to_owned(), lock));
            state.open_cursors(path, sinks).map_err(failed)?;
        }
        let next = state.next;
        for sink in sinks {
            state.cursors.entry(sink.clone()).or_insert(Place { next, file: None });
        }
        state.forget_read();
        Ok(Arc::new(Self { limits, state: Mutex::new(state), changed: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record and gives its number. When this returns, the record outlives the process, unless the disk refuses:
    /// then it is held in memory ([`SpoolStatus::fault`]).
    pub(crate) fn append(&self, payload: Vec<u8>) -> u64 {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.held_bytes += payload.len() as u64;
        state.held.push_back(payload);
        if state.directory.is_some() && state.retry_at.is_none_or(|at| Instant::now() >= at) {
            state.write_held(&self.limits);
        }
        while state.held_bytes > self.limits.held_bytes && state.held.len() > 1 {
            state.drop_held();
        }
        drop(state);
        self.changed.notify_all();
        number
    }

    /// Whether the records held in memory leave room for another `bytes`.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let state = self.lock();
        state.directory.is_some() || state.held.is_empty() || state.held_bytes + bytes <= self.limits.held_bytes
    }

    /// What has to be done now and then: write what is held, sync what is due.
    pub(crate) fn maintain(&self) {
        let mut state = self.lock();
        if !state.held.is_empty() && state.directory.is_some() && state.retry_at.is_none_or(|at| Instant::now() >= at) {
            state.write_held(&self.limits);
        }
        if state.dirty && state.synced.elapsed() >= self.limits.sync_interval {
            state.sync();
        }
    }

    /// Number of the record that is appended next.
    pub(crate) fn end(&self) -> u64 {
        self.lock().next
    }

    /// A sink's place: the number of the next record it has to deliver.
    pub(crate) fn place(&self, sink: &str) -> u64 {
        let state = self.lock();
        state.cursors.get(sink).map_or(state.next, |place| place.next)
    }

    /// A reader for a sink, at its place.
    pub(crate) fn reader(self: &Arc<Self>, sink: &str) -> Reader {
        Reader::new(Arc::clone(self), sink.to_owned(), self.place(sink))
    }

    /// Waits until there is a record at `place`, the spool closes, or the time is over.
    pub(crate) fn wait(&self, place: u64, timeout: Duration) {
        let state = self.lock();
        let _unused = self
            .changed
            .wait_timeout_while(state, timeout, |state| state.next <= place && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Sleeps; ends early when the spool closes.
    pub(crate) fn sleep(&self, duration: Duration) {
        let state = self.lock();
        let _unused = self
            .changed
            .wait_timeout_while(state, duration, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Waits until every sink is done with all records before `end`, or the time is over; says whether they are.
    pub(crate) fn wait_delivered(&self, end: u64, timeout: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| state.slowest() < end)
            .unwrap_or_else(PoisonError::into_inner);
        state.slowest() >= end
    }

    /// A sink is done with everything before `next`.
    pub(crate) fn commit(&self, sink: &str, next: u64) {
        let mut state = self.lock();
        let Some(place) = state.cursors.get_mut(sink) else { return };
        place.next = place.next.max(next);
        if let Some(file) = &mut place.file
            && let Err(error) = file.write(next)
        {
            // The place in memory stands; should the process die before the next commit, a batch comes twice.
            state.fault = Some(format!("cursor of {sink}: {error}"));
        }
        state.forget_read();
        drop(state);
        self.changed.notify_all();
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.sync();
        drop(state);
        self.changed.notify_all();
    }

    /// Whether [`Spool::close`] was called.
    pub(crate) fn closed(&self) -> bool {
        self.lock().closed
    }

    /// What there is to show.
    pub(crate) fn status(&self) -> SpoolStatus {
        let state = self.lock();
        SpoolStatus {
            bytes: state.bytes(),
            held: state.held.len() as u64,
            dropped: state.dropped,
            fault: state.fault.clone(),
        }
    }
}
