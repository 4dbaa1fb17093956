//! The last stage's view: observations in order, with the scores of the flows that ended.

use std::cmp::Ordering;
use std::sync::Arc;

use lapwing_capture::Timestamp;
use lapwing_flow::{Flow, FlowEventKind};
use lapwing_protocol::{Observation, Observed};

use crate::work::{LaneOutput, Tick, Work, ended};

/// What is known of a flow that ended: the flow, its row under each schema, its score from each model.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// When it ended.
    pub time: Timestamp,
    /// The flow.
    pub flow: &'a Flow,
    /// Its rows, one slice per schema of the run.
    pub rows: Rows<'a>,
}

/// Rows and scores of one flow, in the columns of the lane that made them.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    output: &'a LaneOutput,
    /// Which of the lane's ended flows.
    index: usize,
    ended: usize,
}

impl<'a> Rows<'a> {
    /// The row under the schema of that index.
    #[must_use]
    pub fn row(&self, schema: usize) -> &'a [f32] {
        let rows = &self.output.rows[schema];
        let width = rows.len() / self.ended;
        &rows[self.index * width..(self.index + 1) * width]
    }

    /// The score of the model of that index.
    #[must_use]
    pub fn score(&self, model: usize) -> f32 {
        self.output.scores[model][self.index]
    }
}

/// Consumes what the pipeline finds, in an order that does not depend on threads.
pub trait Stage: Send {
    /// Looks at observations, oldest first; `scored` are the flows that ended among them, in the same order.
    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]);
    /// Capture time has reached this whole second.
    fn advance(&mut self, _second: Timestamp) {}
}

/// One ordered batch with what the lanes made of it.
pub(crate) struct Gathered {
    work: Arc<Work>,
    outputs: Vec<Option<LaneOutput>>,
}

impl Gathered {
    pub(crate) fn new(work: Arc<Work>, lanes: usize) -> Self {
        Self { work, outputs: (0..lanes).map(|_| None).collect() }
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.work.sequence
    }

    pub(crate) fn deliver(&mut self, lane: usize, output: LaneOutput) {
        self.outputs[lane] = Some(output);
    }

    pub(crate) fn complete(&self) -> bool {
        self.outputs.iter().all(Option::is_some)
    }

    pub(crate) fn finishing(&self) -> bool {
        self.work.finish.is_some()
    }

    /// Whether a lane has flows left after a finishing batch.
    pub(crate) fn more(&self) -> bool {
        self.outputs.iter().flatten().any(|output| output.more)
    }

    pub(crate) fn into_parts(self) -> (Option<Work>, impl Iterator<Item = LaneOutput>) {
        let outputs = self.outputs.into_iter().flatten().map(|mut output| {
            output.clear();
            output
        });
        (Arc::into_inner(self.work), outputs)
    }

    /// Runs the stage over the batch; returns how many observations it saw.
    pub(crate) fn run(&self, stage: &mut dyn Stage) -> u64 {
        let outputs: Vec<&LaneOutput> = self.outputs.iter().flatten().collect();
        let facts = facts(&self.work, &outputs);
        let observed: Vec<Observed<'_>> = facts.iter().map(|fact| fact.observed).collect();
        let scored: Vec<Scored<'_>> = facts.iter().filter_map(|fact| fact.scored).collect();
        let (mut from, mut scored_from) = (0, 0);
        for tick in &self.work.ticks {
            let until = from + observed[from..].partition_point(|observed| before(observed, tick));
            if until > from {
                let ends = facts[from..until].iter().filter(|fact| fact.scored.is_some()).count();
                stage.observe(&observed[from..until], &scored[scored_from..scored_from + ends]);
                (from, scored_from) = (until, scored_from + ends);
            }
            if tick.begins {
                stage.advance(tick.second);
            }
        }
        if from < observed.len() {
            stage.observe(&observed[from..], &scored[scored_from..]);
        }
        observed.len() as u64
    }
}

struct Fact<'a> {
    observed: Observed<'a>,
    rank: u8,
    uid: u64,
    scored: Option<Scored<'a>>,
}

/// Everything that became known in a batch, in the order in which detectors see it: frame, capture time, kind, flow.
fn facts<'a>(work: &'a Work, outputs: &[&'a LaneOutput]) -> Vec<Fact<'a>> {
    let mut facts =
        Vec::with_capacity(outputs.iter().map(|output| output.events.len()).sum::<usize>() + work.packets.arps.len());
    for output in outputs {
        let ends = output.events.iter().filter(|event| ended(event)).count();
        let mut index = 0;
        for event in &output.events {
            let mut scored = None;
            if ended(event) {
                let rows = Rows { output, index, ended: ends };
                scored = Some(Scored { time: event.time, flow: &event.flow, rows });
                index += 1;
            }
            let (rank, fact) = match event.kind {
                FlowEventKind::Ended(_) => (0, Observation::FlowEnded(&event.flow)),
                FlowEventKind::Started => (1, Observation::FlowStarted(&event.flow)),
                FlowEventKind::Progress => (2, Observation::FlowProgress(&event.flow)),
            };
            let observed = Observed { time: event.time, frame: event.frame, fact };
            facts.push(Fact { observed, rank, uid: event.flow.uid, scored });
        }
    }
    for arp in &work.packets.arps {
        let observed = Observed { time: arp.time, frame: arp.frame, fact: Observation::Arp(arp) };
        facts.push(Fact { observed, rank: 3, uid: 0, scored: None });
    }
    facts.sort_by(compare);
    facts
}

fn compare(left: &Fact<'_>, right: &Fact<'_>) -> Ordering {
    let key = |fact: &Fact<'_>| (fact.observed.frame, fact.observed.time, fact.rank, fact.uid);
    key(left).cmp(&key(right))
}

/// Whether the observation belongs before the tick: what was noticed at the tick's own frame does if its time had come.
fn before(observed: &Observed<'_>, tick: &Tick) -> bool {
    observed.frame < tick.frame || (observed.frame == tick.frame && observed.time <= tick.second)
}
