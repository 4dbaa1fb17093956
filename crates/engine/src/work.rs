//! What travels through the pipeline.

use std::sync::Arc;

use lapwing_capture::{Filter, FrameBatch, Timestamp};
use lapwing_decode::PacketBatch;
use lapwing_flow::{FlowEvent, FlowEventKind};
use lapwing_protocol::Observation;

use crate::lane::Judges;

/// A point in the order of frames at which tables are swept, and at which detectors hear of a new second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    /// It lies before this frame.
    pub(crate) frame: u64,
    /// Capture time has come this far, in whole steps of [`FrameBatch::STEP`].
    pub(crate) time: Timestamp,
    /// Whether a whole second just began, which `time` is then; if not, tables are swept and detectors hear nothing.
    pub(crate) begins: bool,
}

/// One batch on its way: read, decoded, put in order.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) sequence: u64,
    pub(crate) frames: FrameBatch,
    pub(crate) packets: PacketBatch,
    pub(crate) ticks: Vec<Tick>,
    /// For each lane the indices of its packets, in order.
    pub(crate) lanes: Vec<Vec<u32>>,
    /// This batch's own copy of the filter: it keeps notes while it works.
    pub(crate) filter: Option<Filter>,
    /// The input is over: lanes give back their remaining flows.
    pub(crate) finish: Option<Timestamp>,
}

impl Work {
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.packets.clear();
        self.ticks.clear();
        self.lanes.iter_mut().for_each(Vec::clear);
        self.finish = None;
    }
}

/// Events for which a lane's output keeps its room from batch to batch. When a full table runs out at once there are a hundred
/// times as many, and several batches are on their way.
const KEPT_EVENTS: usize = 2 * FrameBatch::FRAMES;

/// What one lane made of one batch.
#[derive(Debug, Default)]
pub(crate) struct LaneOutput {
    pub(crate) events: Vec<FlowEvent>,
    /// Flows that finished.
    pub(crate) ended: usize,
    /// Per schema the rows of the flows that finished, in the order of `events`.
    pub(crate) rows: Vec<Vec<f32>>,
    /// Per model the scores of those rows.
    pub(crate) scores: Vec<Vec<f32>>,
    /// What wrote and scored them.
    pub(crate) judges: Arc<Judges>,
    /// After a finishing batch: flows remain.
    pub(crate) more: bool,
}

impl LaneOutput {
    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.events.shrink_to(KEPT_EVENTS);
        self.ended = 0;
        self.rows.iter_mut().for_each(Vec::clear);
        self.scores.iter_mut().for_each(Vec::clear);
        self.more = false;
    }
}

/// What detectors are shown of the event.
pub(crate) fn observation(event: &FlowEvent) -> Observation<'_> {
    let flow = &event.flow;
    match event.kind {
        FlowEventKind::Started => Observation::FlowStarted(flow),
        FlowEventKind::Progress => Observation::FlowProgress(flow),
        FlowEventKind::Settled => Observation::FlowSettled(flow),
        FlowEventKind::Ended(_) => Observation::FlowEnded(flow),
    }
}
