//! Decoded batches put in order: the clock, the fragments, the lanes.

use std::collections::VecDeque;

use lapwing_capture::{FrameBatch, Timestamp};
use lapwing_decode::{Buffers, Decoder, PacketBatch};
use lapwing_flow::{Reassembler, ReassemblyCounters};

use crate::PipelineConfig;
use crate::clock::{self, Clock};
use crate::work::{Tick, Work};

/// Flow tables are swept for flows that settled or ran out at every step of capture time ([`FrameBatch::STEP`]), so that what
/// came of them is told in time, and every so many frames, so that a flood does not pile up what could be let go.
const SWEEP_EVERY_FRAMES: u64 = 1_024;

/// Frames are counted from 1.
const FIRST_FRAME: u64 = 1;

/// The one place that sees every batch in order before lanes share it out: it moves the clock, puts fragments together
/// and says which packets go to which lane.
pub(crate) struct Orderer {
    next: u64,
    lanes: usize,
    clock: Clock,
    first: Option<Timestamp>,
    reassembler: Reassembler,
    /// Where tables were swept last: before which frame, and when.
    swept: (u64, Timestamp),
    frames: u64,
}

impl Orderer {
    pub(crate) fn new(config: &PipelineConfig, lanes: usize) -> Self {
        Self {
            next: 0,
            lanes,
            clock: Clock::default(),
            first: None,
            reassembler: Reassembler::new(config.reassembly),
            swept: (0, Timestamp::MIN),
            frames: 0,
        }
    }

    /// Sequence of the batch whose turn it is.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn reassembly(&self) -> ReassemblyCounters {
        self.reassembler.counters()
    }

    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.first.zip(self.clock.now())
    }

    /// Puts `work` in its place: ticks, whole datagrams, lanes.
    pub(crate) fn order(&mut self, work: &mut Work, decoder: &Decoder) {
        self.next += 1;
        let held = self.tick(work);
        for (frame, now) in held {
            hold_back(&mut work.packets, frame, now);
        }
        if !work.packets.fragments.is_empty() {
            self.reassemble(work, decoder);
        }
        spread(work, self.lanes);
    }

    /// Turns an empty batch into one that asks the lanes for their remaining flows.
    pub(crate) fn finish(&mut self, work: &mut Work) {
        work.clear();
        work.sequence = self.next;
        self.next += 1;
        work.finish = Some(self.clock.now().unwrap_or_default());
        work.frames.first_number = self.frames + 1;
    }

    /// Moves the clock over the batch's frames; returns the frames whose time is not believed, with the time they get.
    fn tick(&mut self, work: &mut Work) -> VecDeque<(u64, Timestamp)> {
        let mut held = VecDeque::new();
        let first_number = work.frames.first_number;
        for (index, number) in work.frames.frames.iter().zip(first_number..) {
            self.frames = number;
            match self.clock.observe(index.time) {
                clock::Tick::Second(second) => {
                    self.first.get_or_insert(index.time);
                    self.sweep(&mut work.ticks, number, second, true);
                    self.sweep_if_due(&mut work.ticks, number, index.time);
                }
                clock::Tick::Held(now) => held.push_back((number, now)),
                clock::Tick::Restart(begin) => {
                    // Captures hand over far more than the few frames of a restart at once, so the first frame's packets and
                    // the ticks it caused are still here; where they are not, one flow keeps a broken start.
                    self.first = Some(begin);
                    work.ticks.clear();
                    self.sweep(&mut work.ticks, first_number, clock::whole_second(begin), true);
                    if first_number == FIRST_FRAME {
                        held.push_back((FIRST_FRAME, begin));
                    }
                }
                clock::Tick::Same => self.sweep_if_due(&mut work.ticks, number, self.clock.now().unwrap_or(index.time)),
            }
        }
        if let Some(time) = work.frames.reached
            && let Some(begins) = self.clock.pass(time)
        {
            self.frames = first_number.saturating_add(work.frames.len() as u64) - 1;
            // As if the next frame had brought it: what is kept of this run is swept at the same frames.
            self.sweep(&mut work.ticks, self.frames + 1, if begins { clock::whole_second(time) } else { time }, begins);
        }
        held
    }

    fn sweep_if_due(&mut self, ticks: &mut Vec<Tick>, frame: u64, now: Timestamp) {
        let (last_frame, last) = self.swept;
        let time = now.floor(FrameBatch::STEP);
        if time > last || frame >= last_frame + SWEEP_EVERY_FRAMES {
            self.sweep(ticks, frame, time, false);
        }
    }

    fn sweep(&mut self, ticks: &mut Vec<Tick>, frame: u64, time: Timestamp, begins: bool) {
        self.swept = (frame, time);
        ticks.push(Tick { frame, time, begins });
    }

    fn reassemble(&mut self, work: &mut Work, decoder: &Decoder) {
        let before = work.packets.packets.len();
        // A datagram may hold fragments again (a tunnel inside fragments); they queue behind, and each costs bytes of a
        // datagram that was put together, so the work is bounded by what was captured.
        let mut next = 0;
        while let Some(fragment) = work.packets.fragments.get(next) {
            next += 1;
            let buffers = Buffers { frames: &work.frames.buffer, reassembled: &work.packets.reassembled };
            if let Some(datagram) = self.reassembler.push(fragment, fragment.packet.payload(buffers)) {
                let start = work.packets.reassembled.len();
                work.packets.reassembled.extend_from_slice(&datagram.payload);
                decoder.decode_datagram(&datagram.packet, start, &mut work.packets);
            }
        }
        if work.packets.packets.len() > before {
            work.packets.packets.sort_by_key(|packet| packet.frame);
        }
    }
}

/// Gives what came out of a frame whose time is not believed the time of the clock.
fn hold_back(batch: &mut PacketBatch, frame: u64, now: Timestamp) {
    let packets = batch.packets.iter_mut().chain(batch.fragments.iter_mut().map(|fragment| &mut fragment.packet));
    packets.filter(|packet| packet.frame == frame).for_each(|packet| packet.time = now);
    batch.arps.iter_mut().filter(|arp| arp.frame == frame).for_each(|arp| arp.time = now);
}

/// Lists for each lane the packets of its shards.
fn spread(work: &mut Work, lanes: usize) {
    work.lanes.resize_with(lanes, Vec::new);
    let indices = 0..work.packets.packets.len() as u32;
    if let [all] = work.lanes.as_mut_slice() {
        all.extend(indices);
        return;
    }
    for (packet, index) in work.packets.packets.iter().zip(indices) {
        work.lanes[usize::from(packet.shard) % lanes].push(index);
    }
}
