//! One sink's thread: reads the spool, routes, delivers, waits and tries again.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::route::{Route, Sent};
use crate::sink::Built;
use crate::spool::{Reader, Spool};
use crate::status::Counters;
use crate::{Delivery, Notice, Outcome, Report, Sink};

/// Bytes of records that one batch holds, about.
const BATCH_BYTES: usize = 1 << 20;
/// How often a sink with nothing to send looks after itself.
const IDLE: Duration = Duration::from_secs(1);
/// Different reasons for rejecting that are told; beyond it they are only counted.
const REASONS_TOLD: usize = 16;

pub(crate) struct Worker {
    name: String,
    sink: Box<dyn Sink>,
    route: Route,
    sent: Sent,
    reader: Reader,
    spool: Arc<Spool>,
    backoff: Backoff,
    counters: Arc<Counters>,
    report: Report,
    reasons: BTreeSet<String>,
}

impl Worker {
    pub(crate) fn new(
        built: Built,
        route: Route,
        spool: &Arc<Spool>,
        longest_retry: Duration,
        counters: Arc<Counters>,
        report: Report,
    ) -> Self {
        Self {
            backoff: Backoff::new(longest_retry, u64::from(crc32fast::hash(built.name.as_bytes()))),
            reader: spool.reader(&built.name),
            spool: Arc::clone(spool),
            sent: Sent::new(built.updates),
            name: built.name,
            sink: built.sink,
            route,
            counters,
            report,
            reasons: BTreeSet::new(),
        }
    }

    /// Works until the spool closes. What is not confirmed by then stays in the spool.
    pub(crate) fn run(mut self) {
        while !self.spool.closed() {
            let read = self.reader.read(self.sink.batch_limit(), BATCH_BYTES);
            if read.lost > 0 {
                Counters::add(&self.counters.dropped, read.lost);
                (self.report)(&Notice::Lost { sink: self.name.clone(), records: read.lost });
            }
            let batch = self.routed(read.records);
            if !batch.is_empty() && !self.deliver(&batch) {
                return;
            }
            if read.next > self.reader.committed() {
                self.reader.commit(read.next);
            } else {
                self.sink.idle();
                self.spool.wait(self.reader.place(), IDLE);
            }
        }
    }

    fn routed(&mut self, records: Vec<(u64, Vec<u8>)>) -> Vec<Delivery> {
        let mut batch = Vec::new();
        for (_, record) in records {
            // A record of another version's form: nothing can be done with it.
            let Ok(delivery) = Delivery::decode(&record) else {
                Counters::add(&self.counters.dropped, 1);
                continue;
            };
            if self.route.takes(&delivery) && self.sent.wants(&delivery) {
                self.sent.remember(&delivery);
                batch.push(delivery);
            }
        }
        batch
    }

    /// Delivers a batch, whatever it takes; `false` when the spool closed before.
    fn deliver(&mut self, batch: &[Delivery]) -> bool {
        loop {
            match self.sink.deliver(batch) {
                Outcome::Delivered => {
                    Counters::add(&self.counters.delivered, batch.len() as u64);
                    self.works();
                    return true;
                }
                Outcome::Rejected { reason } if batch.len() == 1 => {
                    self.reject(&batch[0], reason);
                    return true;
                }
                Outcome::Rejected { .. } => return batch.chunks(1).all(|one| self.deliver(one)),
                Outcome::Retry { reason, after } => {
                    Counters::add(&self.counters.retried, 1);
                    self.fails(reason);
                    let wait = self.backoff.next().max(after.unwrap_or_default());
                    self.spool.sleep(wait);
                    if self.spool.closed() {
                        return false;
                    }
                }
            }
        }
    }

    fn works(&mut self) {
        self.backoff.reset();
        let since = self.counters.failing.lock().unwrap_or_else(PoisonError::into_inner).since.take();
        if let Some(since) = since {
            (self.report)(&Notice::Recovered { sink: self.name.clone(), after: since.elapsed() });
        }
    }

    fn fails(&mut self, reason: String) {
        let mut failing = self.counters.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.last_error = Some(reason.clone());
        if failing.since.is_none() {
            failing.since = Some(Instant::now());
            drop(failing);
            (self.report)(&Notice::Failing { sink: self.name.clone(), reason });
        }
    }

    fn reject(&mut self, delivery: &Delivery, reason: String) {
        Counters::add(&self.counters.rejected, 1);
        // The receiver answers: it is the record that is at fault.
        self.works();
        self.counters.failing.lock().unwrap_or_else(PoisonError::into_inner).last_error = Some(reason.clone());
        if self.reasons.len() < REASONS_TOLD && self.reasons.insert(without_numbers(&reason)) {
            (self.report)(&Notice::Rejected { sink: self.name.clone(), id: delivery.id.clone(), reason });
        }
    }
}

/// Reasons that differ in a number (a line, a time) are one.
fn without_numbers(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_ascii_digit()).collect()
}
