//! A lane: the flow tables of some shards, with the rows and scores of the flows that end in them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapwing_decode::Buffers;
use lapwing_detect::Anomaly;
use lapwing_feature::Schema;
use lapwing_flow::{Flow, FlowCounters, FlowTables, Sweep};
use lapwing_learn::Rows;
use lapwing_protocol::LocalNetworks;

use crate::PipelineConfig;
use crate::work::{LaneOutput, Work, observation};

/// What is computed for every flow that finishes. Models can be replaced while a run goes on: rows go with the judges that scored them.
#[derive(Debug, Default)]
pub struct Scoring {
    local: Arc<LocalNetworks>,
    judges: Mutex<Arc<Judges>>,
}

/// The schemas whose rows are written, and the judges of their models.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judges {
    pub(crate) schemas: Vec<&'static Schema>,
    /// Each with the index of its schema.
    pub(crate) anomalies: Vec<(usize, Anomaly)>,
}

impl Judges {
    fn add_schema(&mut self, schema: &'static Schema) -> usize {
        self.schemas.iter().position(|known| std::ptr::eq(*known, schema)).unwrap_or_else(|| {
            self.schemas.push(schema);
            self.schemas.len() - 1
        })
    }
}

pub(crate) struct Lane {
    lane: usize,
    tables: FlowTables,
}

impl Scoring {
    /// Without schemas and models; `local` is what counts as local.
    #[must_use]
    pub fn new(local: Arc<LocalNetworks>) -> Self {
        Self { local, judges: Mutex::default() }
    }

    /// The index of `schema`, which is added if it is not there.
    pub fn add_schema(&mut self, schema: &'static Schema) -> usize {
        Arc::make_mut(&mut self.judges_mut()).add_schema(schema)
    }

    /// Puts these judges in the place of those in use, and the schemas of their models in the place of all schemas.
    pub fn replace(&self, anomalies: Vec<Anomaly>) {
        let mut judges = Judges::default();
        for anomaly in anomalies {
            let schema = judges.add_schema(anomaly.schema());
            judges.anomalies.push((schema, anomaly));
        }
        *self.judges_mut() = Arc::new(judges);
    }

    fn judges_mut(&self) -> MutexGuard<'_, Arc<Judges>> {
        self.judges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those in use now.
    pub(crate) fn judges(&self) -> Arc<Judges> {
        Arc::clone(&self.judges_mut())
    }

    /// Writes the rows of flows that finished, in their order, into `output`, which has none, and has `judges` score them.
    pub(crate) fn score<'a>(
        &self,
        judges: Arc<Judges>,
        flows: impl Iterator<Item = &'a Flow>,
        output: &mut LaneOutput,
    ) {
        const FITS: &str = "a model is only paired with the schema it was trained on";
        output.judges = judges;
        let LaneOutput { rows, scores, ended, judges, .. } = output;
        if judges.schemas.is_empty() {
            return;
        }
        rows.resize_with(judges.schemas.len(), Vec::new);
        scores.resize_with(judges.anomalies.len(), Vec::new);
        for flow in flows {
            *ended += 1;
            for (schema, rows) in judges.schemas.iter().zip(rows.iter_mut()) {
                schema.append_row(flow, &self.local, rows);
            }
        }
        for ((schema, anomaly), scores) in judges.anomalies.iter().zip(scores) {
            let model = anomaly.model();
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
        scoring.score(scoring.judges(), events.iter().filter_map(|event| observation(event).finished()), output);
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
        let sweeps = work.ticks.iter().map(|tick| Sweep { frame: tick.frame, time: tick.time });
        self.tables.process(packets, &work.lanes[self.lane], buffers, sweeps, &mut output.events);
    }
}
