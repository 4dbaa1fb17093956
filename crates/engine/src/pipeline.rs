//! The stages, spread over threads.
//!
//! Work moves through a board of jobs that any thread may take: read a batch and decode it; put decoded batches in order
//! (clock, fragments, lanes); run a lane (its flow tables, in batch order); run the last stage over the batches whose lanes
//! are all done. What a job needs (the reader, a lane, the stage) is taken off the board while it runs, so no two threads
//! ever hold the same one, and results are the same for any number of threads: flows live in [`Packet::SHARDS`] logical
//! shards, batches are cut at the same frames, and the last stage sees observations ordered by frame, time and kind.
//! One thread runs the same code without ever waiting.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_capture::{Source, SourceError};
use lapwing_decode::{DecodeCounts, Decoder};
use lapwing_flow::{FlowCounters, ReassemblyCounters, Reported};

use crate::lane::Lane;
use crate::order::Orderer;
use crate::reader::Reader;
use crate::stage::{Gathered, Stage};
use crate::timings::{Step, Timings};
use crate::work::{LaneOutput, Work};
use crate::{Control, Counted, PipelineConfig, Scoring};

/// What the run counted, whatever the stage made of it.
#[derive(Debug)]
pub struct PipelineReport {
    /// Frames that were looked at: read, within the limit, and taken by the filter.
    pub frames: u64,
    /// Bytes they had on the wire.
    pub bytes: u64,
    /// What was and was not decoded.
    pub decode: DecodeCounts,
    /// What became of the flows.
    pub flows: FlowCounters,
    /// Frames whose time ran back by more than a second.
    pub late_frames: u64,
    /// Frames whose time jumped ahead by more than a day, alone.
    pub held_frames: u64,
    /// What became of fragments.
    pub reassembly: ReassemblyCounters,
    /// Time of the first frame and the largest time seen.
    pub span: Option<(lapwing_capture::Timestamp, lapwing_capture::Timestamp)>,
    /// What stopped the source before its end; everything read before it was used.
    pub error: Option<SourceError>,
    /// Where the time went.
    pub timings: Timings,
}

/// Runs `source` through decode, flow and `scoring` into `stage`, on `config.threads` threads, until the source ends,
/// fails, or `control` says stop.
pub fn run(
    source: &mut dyn Source,
    config: &PipelineConfig,
    scoring: &Scoring,
    stage: &mut dyn Stage,
    control: &Control,
) -> PipelineReport {
    let threads = config.threads.clamp(1, PipelineConfig::MOST_THREADS);
    let mut config = config.clone();
    config.flow.reported = match stage.looks_at() {
        // What is scored is every flow that finishes.
        Reported::Judged if !scoring.judges().schemas.is_empty() => Reported::Finished,
        reported => reported,
    };
    let config = &config;
    let decoder = Decoder::new(config.decode);
    let board = Board {
        state: Mutex::new(State {
            reader: Some(Reader::new(source, config)),
            decoded: BTreeMap::new(),
            orderer: Some(Orderer::new(config, threads)),
            lanes: (0..threads).map(|lane| Some(Box::new(Lane::new(lane, threads, config)))).collect(),
            queues: vec![VecDeque::new(); threads],
            gathered: VecDeque::new(),
            stage: Some(stage),
            pool: Vec::new(),
            outputs: Vec::new(),
            in_flight: 0,
            input_over: false,
            finishing: false,
            done: false,
            frames: 0,
            bytes: 0,
            decode: DecodeCounts::default(),
            timings: Timings::default(),
            flows: vec![FlowCounters::default(); threads],
            counted: Instant::now(),
        }),
        changed: Condvar::new(),
        threads,
        scoring,
        decoder: &decoder,
        control,
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| board.work());
        }
        board.work();
    });
    board.into_report()
}

/// Batches between reader and last stage, however many threads there are: each holds up to a megabyte with what was made
/// of it.
const MOST_IN_FLIGHT: usize = 12;

/// How often what was counted is told to who watches.
const COUNTING: Duration = Duration::from_secs(1);

struct Board<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
    threads: usize,
    scoring: &'a Scoring,
    decoder: &'a Decoder,
    control: &'a Control,
}

/// A thread that panics takes what it holds with it, so the others would wait for ever: it ends the run for all of them, and the
/// panic goes on.
struct PanicGuard<'b, 'a>(&'b Board<'a>);

impl Drop for PanicGuard<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().done = true;
            self.0.changed.notify_all();
        }
    }
}

struct State<'a> {
    reader: Option<Reader<'a>>,
    /// Decoded batches that wait for their turn, by sequence.
    decoded: BTreeMap<u64, Work>,
    orderer: Option<Orderer>,
    lanes: Vec<Option<Box<Lane>>>,
    /// Ordered batches that wait for each lane.
    queues: Vec<VecDeque<Arc<Work>>>,
    /// Ordered batches with what lanes have made of them so far, oldest first.
    gathered: VecDeque<Gathered>,
    stage: Option<&'a mut dyn Stage>,
    /// Empty batches and outputs to use again.
    pool: Vec<Work>,
    outputs: Vec<LaneOutput>,
    in_flight: usize,
    input_over: bool,
    /// A finishing batch is under way.
    finishing: bool,
    done: bool,
    /// Frames decoded so far, and their bytes on the wire.
    frames: u64,
    bytes: u64,
    decode: DecodeCounts,
    timings: Timings,
    /// What each lane had counted when it was seen idle last, for who watches.
    flows: Vec<FlowCounters>,
    counted: Instant,
}

enum Job<'a> {
    Read(Reader<'a>, Work),
    Order(Orderer, Work),
    Finish(Orderer, Work),
    Lane(usize, Box<Lane>, Arc<Work>, LaneOutput),
    Stage(&'a mut dyn Stage, Gathered),
}

impl<'a> Board<'a> {
    fn work(&self) {
        let _guard = PanicGuard(self);
        let mut state = self.lock();
        loop {
            if state.done {
                return;
            }
            let Some(job) = self.take(&mut state) else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            state = self.perform(job);
            if self.threads > 1 {
                self.changed.notify_all();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job nearest the end of the pipeline that can run now: what drains comes before what fills.
    fn take(&self, state: &mut State<'a>) -> Option<Job<'a>> {
        if state.gathered.front().is_some_and(Gathered::complete)
            && let Some(stage) = state.stage.take()
        {
            let gathered = state.gathered.pop_front().expect("the front was just looked at");
            return Some(Job::Stage(stage, gathered));
        }
        for lane in 0..self.threads {
            if !state.queues[lane].is_empty()
                && let Some(tables) = state.lanes[lane].take()
            {
                let work = state.queues[lane].pop_front().expect("the queue was just found not empty");
                let output = state.outputs.pop().unwrap_or_default();
                return Some(Job::Lane(lane, tables, work, output));
            }
        }
        if let Some(orderer) = state.orderer.take_if(|orderer| state.decoded.contains_key(&orderer.next())) {
            let work = state.decoded.remove(&orderer.next()).expect("the key was just found");
            return Some(Job::Order(orderer, work));
        }
        if state.input_over {
            let drained = state.in_flight == 0 && !state.finishing;
            let orderer = if drained { state.orderer.take() } else { None };
            return orderer.map(|orderer| {
                state.finishing = true;
                Job::Finish(orderer, state.pool.pop().unwrap_or_default())
            });
        }
        if state.in_flight < (self.threads + 2).min(MOST_IN_FLIGHT)
            && let Some(reader) = state.reader.take()
        {
            state.in_flight += 1;
            return Some(Job::Read(reader, state.pool.pop().unwrap_or_default()));
        }
        None
    }

    fn perform(&self, job: Job<'a>) -> MutexGuard<'_, State<'a>> {
        let begun = Instant::now();
        match job {
            Job::Read(reader, work) => self.read(reader, work, begun),
            Job::Order(mut orderer, mut work) => {
                orderer.order(&mut work, self.decoder);
                let packets = work.packets.packets.len() as u64;
                let mut state = self.publish(orderer, work);
                state.timings.add(Step::Order, begun.elapsed(), packets, 0);
                state
            }
            Job::Finish(mut orderer, mut work) => {
                orderer.finish(&mut work);
                self.publish(orderer, work)
            }
            Job::Lane(lane, mut tables, work, mut output) => {
                let scored = tables.run(&work, self.scoring, &mut output);
                let samples = scored.packets;
                let sequence = work.sequence;
                drop(work);
                let mut state = self.lock();
                state.timings.add(Step::Flow, begun.elapsed().saturating_sub(scored.time), samples, 0);
                state.timings.add(Step::Score, scored.time, scored.rows, 0);
                state.lanes[lane] = Some(tables);
                let first = state.gathered.front().map_or(sequence, Gathered::sequence);
                let place = usize::try_from(sequence - first).expect("batches in flight are few");
                state.gathered[place].deliver(lane, output);
                state
            }
            Job::Stage(stage, gathered) => {
                let samples = gathered.run(stage);
                let more = gathered.more();
                let finishing = gathered.finishing();
                let (work, outputs) = gathered.into_parts();
                let mut state = self.lock();
                state.timings.add(Step::Detect, begun.elapsed(), samples, 0);
                state.stage = Some(stage);
                state.outputs.extend(outputs);
                if let Some(work) = work {
                    state.decode.add(&work.packets.counts);
                    state.pool.push(work);
                }
                if finishing {
                    state.finishing = false;
                    state.done = !more;
                } else {
                    state.in_flight -= 1;
                }
                self.tell_counted(&mut state);
                state
            }
        }
    }

    fn tell_counted(&self, state: &mut State<'a>) {
        if !self.control.is_watched() || !state.done && state.counted.elapsed() < COUNTING {
            return;
        }
        state.counted = Instant::now();
        let mut flows = FlowCounters::default();
        for (lane, seen) in state.lanes.iter().zip(&mut state.flows) {
            if let Some(lane) = lane {
                *seen = FlowCounters::default();
                lane.add_counters(seen);
            }
            flows.add(seen);
        }
        let now = state.orderer.as_ref().and_then(|orderer| orderer.clock().now());
        self.control.count(Counted { decode: state.decode.clone(), flows, now, ..Counted::default() });
    }

    fn read(&self, mut reader: Reader<'a>, mut work: Work, begun: Instant) -> MutexGuard<'_, State<'a>> {
        work.clear();
        let over = reader.read(&mut work) || self.control.stopped();
        self.control.report(reader.position(), work.frames.len() as u64);
        let sequence = work.sequence;
        let read_in = begun.elapsed();
        let mut state = self.lock();
        state.input_over |= over;
        state.reader = Some(reader);
        state.timings.add(Step::Read, read_in, work.frames.len() as u64, work.frames.buffer.len() as u64);
        if self.threads > 1 {
            self.changed.notify_all();
        }
        drop(state);

        let begun = Instant::now();
        let Work { frames, packets, filter, .. } = &mut work;
        let (mut looked_at, mut bytes) = (0, 0);
        for frame in frames.iter() {
            if filter.as_mut().is_none_or(|filter| filter.matches(frame.link, frame.data, frame.length)) {
                self.decoder.decode(frame, packets);
                looked_at += 1;
                bytes += u64::from(frame.length);
            }
        }
        let decoded_in = begun.elapsed();
        let mut state = self.lock();
        state.frames += looked_at;
        state.bytes += bytes;
        state.timings.add(Step::Decode, decoded_in, work.frames.len() as u64, 0);
        state.decoded.insert(sequence, work);
        state
    }

    /// Hands an ordered batch to the lanes.
    fn publish(&self, orderer: Orderer, work: Work) -> MutexGuard<'_, State<'a>> {
        let work = Arc::new(work);
        let mut state = self.lock();
        state.orderer = Some(orderer);
        state.gathered.push_back(Gathered::new(Arc::clone(&work), self.threads));
        for queue in &mut state.queues {
            queue.push_back(Arc::clone(&work));
        }
        state
    }

    fn into_report(self) -> PipelineReport {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut flows = FlowCounters::default();
        for lane in state.lanes.iter().flatten() {
            lane.add_counters(&mut flows);
        }
        let orderer = state.orderer.expect("every job puts back what it took");
        let reader = state.reader.expect("every job puts back what it took");
        PipelineReport {
            frames: state.frames,
            bytes: state.bytes,
            decode: state.decode,
            flows,
            late_frames: orderer.clock().late_frames,
            held_frames: orderer.clock().held_frames,
            reassembly: orderer.reassembly(),
            span: orderer.span(),
            error: reader.into_error(),
            timings: state.timings,
        }
    }
}
