//! A lane: the flow tables of some shards, with the rows and scores of the flows that end in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapwing_decode::Buffers;
use lapwing_feature::Schema;
use lapwing_flow::{Flow, FlowCounters, FlowTables};
use lapwing_learn::{Model, Rows};
use lapwing_protocol::LocalNetworks;

use crate::PipelineConfig;
use crate::work::{LaneOutput, Work, ended};

/// What is computed for every flow that ends.
#[derive(Clone, Debug, Default)]
pub struct Scoring {
    /// Schemas whose rows are written.
    pub schemas: Vec<&'static Schema>,
    /// Models, each with the index of its schema.
    pub models: Vec<(usize, Arc<Model>)>,
    /// What counts as local.
    pub local: Arc<LocalNetworks>,
}

pub(crate) struct Lane {
    lane: usize,
    tables: FlowTables,
}

impl Scoring {
    /// The index of `schema`, which is added if it is not there.
    pub fn add_schema(&mut self, schema: &'static Schema) -> usize {
        self.schemas.iter().position(|known| std::ptr::eq(*known, schema)).unwrap_or_else(|| {
            self.schemas.push(schema);
            self.schemas.len() - 1
        })
    }

    /// Writes the rows of flows that ended, in their order, behind those in `output`, and scores all of them.
    pub(crate) fn score<'a>(&self, flows: impl Iterator<Item = &'a Flow>, output: &mut LaneOutput) {
        const FITS: &str = "a model is only paired with the schema it was trained on";
        if self.schemas.is_empty() {
            return;
        }
        let LaneOutput { rows, scores, ended, .. } = output;
        rows.resize_with(self.schemas.len(), Vec::new);
        scores.resize_with(self.models.len(), Vec::new);
        for flow in flows {
            *ended += 1;
            for (schema, rows) in self.schemas.iter().zip(rows.iter_mut()) {
                schema.append_row(flow, &self.local, rows);
            }
        }
        for ((schema, model), scores) in self.models.iter().zip(scores) {
            let rows = Rows::new(model.width(), &rows[*schema]).expect(FITS);
            model.score_into(rows, scores).expect(FITS);
        }
    }
}

/// How long scoring took, and how many rows it scored.
pub(crate) struct ScoringTime {
    /// Packets that went through the tables.
    pub(crate) packets: u64,
    pub(crate) time: Duration,
    pub(crate) rows: u64,
}

impl Lane {
    pub(crate) fn new(lane: usize, lanes: usize, config: &PipelineConfig) -> Self {
        Self { lane, tables: FlowTables::new(&config.flow, lane, lanes) }
    }

    /// Runs this lane's packets of one batch through its tables.
    pub(crate) fn run(&mut self, work: &Work, scoring: &Scoring, output: &mut LaneOutput) -> ScoringTime {
        match work.finish {
            Some(now) => output.more = self.tables.finish(now, work.frames.first_number, &mut output.events),
            None => self.packets(work, output),
        }
        let begun = Instant::now();
        let events = std::mem::take(&mut output.events);
        scoring.score(events.iter().filter(|event| ended(event)).map(|event| &event.flow), output);
        output.events = events;
        let rows = output.ended as u64;
        let packets = work.lanes.get(self.lane).map_or(0, Vec::len) as u64;
        ScoringTime { packets, time: begun.elapsed(), rows }
    }

    pub(crate) fn add_counters(&self, total: &mut FlowCounters) {
        total.add(&self.tables.counters());
    }

    fn packets(&mut self, work: &Work, output: &mut LaneOutput) {
        let buffers = Buffers { frames: &work.frames.buffer, reassembled: &work.packets.reassembled };
        let packets = &work.packets.packets;
        let mut rest = work.lanes[self.lane].as_slice();
        for tick in &work.ticks {
            let until = rest.partition_point(|index| packets[*index as usize].frame < tick.frame);
            let (before, after) = rest.split_at(until);
            self.tables.process(packets, before, buffers, &mut output.events);
            self.tables.advance(tick.second, tick.frame, &mut output.events);
            rest = after;
        }
        self.tables.process(packets, rest, buffers, &mut output.events);
    }
}
