//! The last stage's view: observations in order, with the scores of the flows that finished.

use std::sync::Arc;

use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_detect::Anomaly;
use lapwing_flow::{Flow, FlowEvent, FlowEventKind, Reported};
use lapwing_protocol::{Observation, Observed};

use crate::work::{LaneOutput, Tick, Work, observation};

/// What is known of a flow that finished: the flow, its row under each schema, its score from each model.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// When it did.
    pub time: Timestamp,
    /// The flow.
    pub flow: &'a Flow,
    /// Its rows, one slice per schema of the run.
    pub rows: Rows<'a>,
}

impl<'a> Scored<'a> {
    /// The judges of the run, each with its model's score of the flow.
    pub fn scores(&self) -> impl Iterator<Item = (&'a Anomaly, f32)> {
        self.rows.judged().map(|(anomaly, _, score)| (anomaly, score))
    }
}

/// Rows and scores of one flow, in the columns of the lane that made them.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    output: &'a LaneOutput,
    /// Which of the lane's finished flows.
    index: usize,
}

impl<'a> Rows<'a> {
    /// Those of the `index`-th flow that finished in `output`.
    pub(crate) fn new(output: &'a LaneOutput, index: usize) -> Self {
        Self { output, index }
    }

    /// The row under the schema of that index.
    #[must_use]
    pub fn row(&self, schema: usize) -> &'a [f32] {
        let rows = &self.output.rows[schema];
        let width = rows.len() / self.output.ended;
        &rows[self.index * width..(self.index + 1) * width]
    }

    /// The judges of the run, each with the row that its model scored, and the score.
    pub(crate) fn judged(self) -> impl Iterator<Item = (&'a Anomaly, &'a [f32], f32)> {
        let judges = self.output.judges.anomalies.iter().zip(&self.output.scores);
        judges.map(move |((schema, anomaly), scores)| (anomaly, self.row(*schema), scores[self.index]))
    }
}

/// Consumes what the pipeline finds, in an order that does not depend on threads.
pub trait Stage: Send {
    /// Looks at observations, oldest first; `scored` are the flows that finished among them, in the same order.
    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]);
    /// Which moments of flows it looks at: others are not reported.
    fn looks_at(&self) -> Reported;
    /// The devices it keeps an inventory of, if it does.
    fn inventory(&self) -> Option<&Inventory> {
        None
    }
    /// Nothing comes for now, of a source that goes on, and capture time may stand still: a moment for what does not depend on it.
    fn idle(&mut self) {}
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
        let places = in_order(&self.work, &outputs);
        let mut observed = Vec::with_capacity(places.len());
        let mut scored = Vec::new();
        // For each observation how many flows had finished up to it.
        let mut finishes = Vec::with_capacity(places.len());
        for place in &places {
            let index = place.index as usize;
            let (frame, fact) = match outputs.get(usize::from(place.lane)) {
                Some(output) => {
                    let event = &output.events[index];
                    let fact = observation(event);
                    if let Some(flow) = fact.finished() {
                        let rows = Rows { output, index: place.finish as usize };
                        scored.push(Scored { time: event.time, flow, rows });
                    }
                    (event.frame, fact)
                }
                None => {
                    let arp = &self.work.packets.arps[index];
                    (arp.frame, Observation::Arp(arp))
                }
            };
            observed.push(Observed { time: place.time, frame, fact });
            finishes.push(scored.len());
        }
        let (mut from, mut scored_from) = (0, 0);
        for tick in self.work.ticks.iter().filter(|tick| tick.begins) {
            let until = from + observed[from..].partition_point(|observed| before(observed, tick));
            if until > from {
                let scored_until = finishes[until - 1];
                stage.observe(&observed[from..until], &scored[scored_from..scored_until]);
                (from, scored_from) = (until, scored_until);
            }
            stage.advance(tick.time);
        }
        if from < observed.len() {
            stage.observe(&observed[from..], &scored[scored_from..]);
        }
        observed.len() as u64
    }
}

/// Where an observation lies, with what it is ordered by: frame, capture time, kind, flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    frame: u64,
    time: Timestamp,
    rank: u8,
    uid: u64,
    /// Which of the events, or of the ARP packets, it is. Those of one flow are in one lane, in order.
    index: u32,
    /// The lane; one past the last for ARP packets.
    lane: u8,
    /// For a flow that finishes: which of its lane's.
    finish: u32,
}

/// Everything that became known in a batch, in the order in which detectors see it.
fn in_order(work: &Work, outputs: &[&LaneOutput]) -> Vec<Place> {
    let events = outputs.iter().map(|output| output.events.len()).sum::<usize>();
    let mut places = Vec::with_capacity(events + work.packets.arps.len());
    for (output, lane) in outputs.iter().zip(0_u8..) {
        let mut finish = 0;
        for (event, index) in output.events.iter().zip(0_u32..) {
            let rank = match event.kind {
                FlowEventKind::Ended(_) => 0,
                FlowEventKind::Started => 1,
                FlowEventKind::Progress => 2,
                FlowEventKind::Settled => 3,
            };
            let FlowEvent { frame, time, ref flow, .. } = *event;
            places.push(Place { frame, time, rank, uid: flow.uid, index, lane, finish });
            finish += u32::from(observation(event).finished().is_some());
        }
    }
    let lane = u8::try_from(outputs.len()).expect("there are at most 64 lanes");
    for (arp, index) in work.packets.arps.iter().zip(0_u32..) {
        places.push(Place { frame: arp.frame, time: arp.time, rank: 4, uid: 0, index, lane, finish: 0 });
    }
    // A lane's events are nearly in order already, which a stable sort makes use of.
    places.sort();
    places
}

/// Whether the observation belongs before the tick: what was noticed at the tick's own frame does if its time had come.
fn before(observed: &Observed<'_>, tick: &Tick) -> bool {
    observed.frame < tick.frame || (observed.frame == tick.frame && observed.time <= tick.time)
}
