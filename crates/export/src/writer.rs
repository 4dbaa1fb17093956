//! The thread between the exporter and the spool: the only one that waits for the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use crate::spool::Spool;
use crate::{Notice, Report};

/// How often the spool is looked after while nothing comes.
const MAINTENANCE: Duration = Duration::from_millis(500);
/// How often room is looked for in a spool that is full.
const ROOM: Duration = Duration::from_millis(5);

/// What goes to the spool's writer.
pub(crate) enum Item {
    /// A record to append.
    Record(Vec<u8>),
    /// Answered once everything before it is in the spool.
    Mark(SyncSender<()>),
}

/// Carries records from the queue into the spool.
pub(crate) struct Writer {
    spool: Arc<Spool>,
    items: Receiver<Item>,
    report: Report,
    in_memory: bool,
    faulty: bool,
}

impl Writer {
    pub(crate) fn new(spool: &Arc<Spool>, items: Receiver<Item>, report: &Report, in_memory: bool) -> Self {
        Self { spool: Arc::clone(spool), items, report: Arc::clone(report), in_memory, faulty: false }
    }

    /// Works until the spool closes or the exporter is gone.
    pub(crate) fn run(mut self) {
        loop {
            match self.items.recv_timeout(MAINTENANCE) {
                Ok(Item::Record(record)) => {
                    self.wait_for_room(record.len() as u64);
                    self.spool.append(record);
                }
                // Whoever asked may have given up.
                Ok(Item::Mark(answer)) => answer.send(()).unwrap_or(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.spool.closed() {
                return;
            }
            self.spool.maintain();
            self.tell_faults();
        }
    }

    /// Without a folder nothing is dropped while the sinks may yet make room; the queue fills, and `deliver` says so.
    fn wait_for_room(&self, bytes: u64) {
        while self.in_memory && !self.spool.has_room(bytes) && !self.spool.closed() {
            thread::sleep(ROOM);
        }
    }

    fn tell_faults(&mut self) {
        let fault = self.spool.status().fault;
        if fault.is_some() != self.faulty {
            self.faulty = fault.is_some();
            (self.report)(&fault.map_or(Notice::SpoolMended, |reason| Notice::SpoolFault { reason }));
        }
    }
}
