//! The source that fills a tap.

use std::sync::atomic::Ordering;
use std::time::Instant;

use lapwing_capture::{Filter, Frame, FrameBatch, FrameIndex, InputReport, Position, Progress, Source, SourceError};
use lapwing_detect::packets::Judgement;

use super::Tap;
use super::budget::Budget;
use crate::packets::glance::glance;
use crate::packets::ring::CUT;
use crate::packets::subscription::lock;
use crate::packets::{PacketReader, Totals};

/// A source that is looked at through a [`Tap`] while it is read.
pub struct Tapped<S> {
    source: S,
    tap: Tap,
    filter: Option<Filter>,
    reader: PacketReader,
    budget: Budget,
    /// The places in the batch of the frames that the filter takes.
    taken: Vec<u32>,
    judgements: Vec<Judgement>,
    /// Frames were left out since some were looked at.
    skipped: bool,
}

impl<S: Source> Tapped<S> {
    /// Looks at what `source` reads, as far as `filter` takes it, from now on; what `tap` knew of an earlier source is forgotten. Frames
    /// that the filter leaves are handed on all the same: it is for a pipeline that filters behind.
    pub fn new(source: S, tap: &Tap, filter: Option<Filter>) -> Self {
        tap.begin_anew();
        let budget = Budget::new(Instant::now());
        let (reader, taken, judgements) = (PacketReader::default(), Vec::new(), Vec::new());
        Self { source, tap: tap.clone(), filter, reader, budget, taken, judgements, skipped: false }
    }

    /// The source itself.
    pub fn source(&self) -> &S {
        &self.source
    }

    fn look(&mut self, batch: &FrameBatch) {
        let taken = match &mut self.filter {
            Some(filter) => {
                filter.select(batch, &mut self.taken);
                self.count(batch, self.taken.iter().map(|place| &batch.frames[*place as usize]));
                self.taken.len()
            }
            None => {
                self.count(batch, batch.frames.iter());
                batch.len()
            }
        };
        let granted = self.budget.grant(taken, Instant::now());
        let left_out = taken - granted;
        if left_out > 0 {
            self.tap.shared.left_out.fetch_add(left_out as u64, Ordering::Relaxed);
        }
        if granted > 0 {
            if self.filter.is_none() {
                self.taken.clear();
                self.taken.extend(0..granted as u32);
            }
            self.taken.truncate(granted);
            self.keep(batch);
        }
        // What was left out lies behind what was looked at.
        self.skipped = left_out > 0 || self.skipped && granted == 0;
    }

    fn count<'a>(&self, batch: &FrameBatch, taken: impl Iterator<Item = &'a FrameIndex>) {
        let mut traffic = lock(&self.tap.shared.traffic);
        let mut totals = Totals::default();
        for index in taken {
            if !traffic.is_now(index.time) {
                traffic.add(&std::mem::take(&mut totals));
                traffic.observe(index.time);
            }
            totals.count(glance(index.link, batch.data(index)), index.length.max(index.captured));
        }
        traffic.add(&totals);
        if let Some(reached) = batch.reached.filter(|reached| !traffic.is_now(*reached)) {
            traffic.pass(reached);
        }
    }

    /// Keeps the frames that are taken, and looks into them where somebody is interested.
    fn keep(&mut self, batch: &FrameBatch) {
        let frames = || self.taken.iter().map(|place| batch.at(*place as usize));
        self.judgements.clear();
        self.judgements.resize(self.taken.len(), Judgement::default());
        let mut judge = lock(&self.tap.shared.judge);
        let has_subscribers = self.tap.has_subscribers();
        if let Some(judge) = judge.as_mut().filter(|_| self.skipped) {
            judge.left_out();
        }
        if has_subscribers || judge.is_some() {
            let payload = self.tap.payload().filter(|_| has_subscribers);
            for (frame, judgement) in frames().zip(&mut self.judgements) {
                // As it would be read later.
                let cut = Frame { data: &frame.data[..frame.data.len().min(CUT)], ..frame };
                let (mut record, facts) = self.reader.read(cut, payload);
                if let (Some(judge), Some(facts)) = (judge.as_mut(), facts) {
                    *judgement = judge.judge(&facts);
                    record.set(*judgement);
                }
                if has_subscribers {
                    self.tap.tell(frame, record);
                }
            }
        }
        drop(judge);
        let anomalies = self.judgements.iter().filter(|judgement| judgement.is_anomaly).count();
        if anomalies > 0 {
            let mut totals = Totals::default();
            totals.anomalies = anomalies as u64;
            lock(&self.tap.shared.traffic).add(&totals);
        }
        let mut ring = lock(&self.tap.shared.ring);
        frames().zip(&self.judgements).for_each(|(frame, judgement)| ring.push(frame, *judgement));
    }
}

impl<S: Source> Source for Tapped<S> {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        let progress = self.source.read(batch)?;
        self.look(batch);
        Ok(progress)
    }

    fn reports(&self) -> Vec<InputReport> {
        self.source.reports()
    }

    fn position(&self) -> Position {
        self.source.position()
    }
}
