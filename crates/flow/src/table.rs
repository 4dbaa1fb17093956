//! The flow table of one logical shard.

use lapwing_capture::Timestamp;
use lapwing_decode::{Buffers, Packet, flag};

use crate::config::{Checksums, FlowConfig, Reported, TCP_SYN_TIMEOUT};
use crate::entry::{Entry, bit};
use crate::extras::Extras;
use crate::index::Index;
use crate::ports::{ICMP, ICMP6, SCTP, TCP, UDP, is_likely_server};
use crate::prefetch;
use crate::queue::{NONE, Queues};
use crate::settling::{SETTLE_NANOS, Settling};
use crate::tcp::{self, Blocks};
use crate::{EndReason, FlowCounters, FlowEvent, FlowEventKind, Settled};

/// Flows settled and ended at most by one call of [`FlowTable::advance`] or [`FlowTable::finish`].
const REPORTS_PER_CALL: usize = 256;
/// Flows whose timers are looked at in between packets, at most per packet.
const TIMERS_PER_PACKET: usize = 4;
/// Out-of-order intervals that a table may hold per flow it may hold.
const INTERVALS_PER_FLOW: usize = 2;
const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// The live flows of one logical shard.
///
/// What it reports depends on the packets and on the calls of [`FlowTable::advance`] between them, and on nothing else.
#[derive(Debug)]
pub struct FlowTable {
    config: FlowConfig,
    /// Flows held at most.
    capacity: usize,
    slab: Vec<Entry>,
    extras: Extras,
    /// Places in the slab that no flow uses.
    free: Vec<u32>,
    index: Index,
    queues: Queues,
    settling: Settling,
    blocks: Blocks,
    counters: FlowCounters,
    /// The latest moment seen, in nanoseconds: Zeek's network time. Never goes back.
    now: i64,
}

impl FlowTable {
    /// An empty table with one shard's share of the capacity.
    #[must_use]
    pub fn new(config: &FlowConfig) -> Self {
        let capacity = config.capacity.div_ceil(Packet::SHARDS).clamp(1, NONE as usize / 2);
        Self {
            config: config.clone(),
            capacity,
            slab: Vec::new(),
            extras: Extras::new(config),
            free: Vec::new(),
            index: Index::new(),
            queues: Queues::new(),
            settling: Settling::new(capacity),
            blocks: Blocks::new(capacity.saturating_mul(INTERVALS_PER_FLOW)),
            counters: FlowCounters::default(),
            now: i64::MIN,
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> FlowCounters {
        self.counters
    }

    /// Flows live now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// Whether no flow is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves time on to `now`, and settles and ends flows whose timers ran out: at most 256 in one call, so that the tick after
    /// a flood does not burst memory. Tells whether more wait.
    pub fn advance(&mut self, now: Timestamp, frame: u64, events: &mut Vec<FlowEvent>) -> bool {
        self.move_on(now);
        self.expire(frame, REPORTS_PER_CALL, events);
        self.next_check() <= self.now
    }

    /// Ends the flows still live at `now`, the end of the input: at most 256 in one call. Tells whether more wait.
    pub fn finish(&mut self, now: Timestamp, frame: u64, events: &mut Vec<FlowEvent>) -> bool {
        if self.advance(now, frame, events) {
            return true;
        }
        for _ in 0..REPORTS_PER_CALL {
            let Some(slot) = self.queues.first() else { return false };
            self.end(slot, self.now, EndReason::EndOfInput, frame, events);
        }
        !self.is_empty()
    }

    /// Asks the memory for where the flow with this hash is noted.
    #[inline]
    pub(crate) fn expect_note(&self, hash: u64) {
        self.index.prefetch(hash as u32);
    }

    /// Asks the memory for the packet's flow, once where it is noted has come, or for the place that a new flow gets; and for
    /// the flow whose timer will have run out by then.
    #[inline]
    pub(crate) fn expect_flow(&self, packet: &Packet) {
        let known = self.slab.get(self.index.guess(packet.hash as u32) as usize);
        let entry = known.or_else(|| self.slab.get(*self.free.last()? as usize));
        if let Some(entry) = entry {
            prefetch::whole(entry);
        }
        if self.queues.next_check <= packet.time.nanos() {
            self.queues.expect_due(&self.slab, packet.time.nanos());
        }
        if self.settling.next_check <= packet.time.nanos() {
            self.settling.expect_due(&self.slab);
        }
    }

    /// No timer runs out before this moment, in nanoseconds.
    #[inline]
    pub(crate) fn next_check(&self) -> i64 {
        self.queues.next_check.min(self.settling.next_check)
    }

    /// Time never reaches the latest moment there is, which stands for timers that never run out: a capture file may claim
    /// any.
    fn move_on(&mut self, now: Timestamp) {
        self.now = self.now.max(now.nanos().min(i64::MAX - 1));
    }

    /// Takes in a packet of this shard. Appends what happened to `events`, oldest first. `buffers` holds its payload.
    pub fn take(&mut self, packet: &Packet, buffers: Buffers<'_>, events: &mut Vec<FlowEvent>) {
        let verify = self.config.checksums == Checksums::Verify;
        if verify && packet.has(flag::BAD_IP_CHECKSUM) {
            self.counters.bad_ip_checksums += 1;
            return;
        }
        let has_transport = !packet.has(flag::NO_TRANSPORT);
        if !has_transport && packet.source_port == 0 && packet.destination_port == 0 {
            self.counters.without_transport += 1;
            return;
        }
        self.count_protocol(packet.protocol);
        self.move_on(packet.time);
        if self.next_check() <= self.now {
            self.expire(packet.frame, TIMERS_PER_PACKET, events);
        }
        let (slot, is_new) = match self.find(packet, events) {
            Some(slot) => (slot, false),
            None => (self.start(packet, events), true),
        };
        let deadline = self.slab[slot as usize].deadline;
        let is_bad = verify && packet.has(flag::BAD_CHECKSUM);
        if has_transport && !is_bad {
            self.update(slot, packet, buffers);
        } else if has_transport {
            self.discard(slot, packet);
        }
        let tells = self.config.reported >= Reported::Judged;
        if tells && packet.protocol == TCP {
            self.settle_later(slot, packet.time.nanos());
        }
        if is_new {
            self.queues.push(&mut self.slab, slot);
            if self.config.reported >= Reported::All {
                self.report(slot, packet.time.nanos(), packet.frame, FlowEventKind::Started, events);
            }
        } else if self.slab[slot as usize].deadline == deadline {
            self.queues.touch(&mut self.slab, slot);
        } else {
            self.queues.remove(&mut self.slab, slot);
            self.queues.push(&mut self.slab, slot);
        }
        if tells && has_transport && !is_bad && self.is_time_for_progress(slot) {
            self.report(slot, packet.time.nanos(), packet.frame, FlowEventKind::Progress, events);
        }
    }

    /// A packet that counts.
    fn update(&mut self, slot: u32, packet: &Packet, buffers: Buffers<'_>) {
        let entry = &mut self.slab[slot as usize];
        let side = entry.side_of(packet);
        if packet.protocol == TCP {
            tcp::take(entry, &mut self.blocks, side, packet);
        } else {
            entry.last = packet.time.nanos();
            if packet.protocol == UDP {
                entry.note_datagram(side);
            }
            if entry.counts_payload() {
                entry.sides[side].bytes += u64::from(packet.payload_length);
            }
        }
        entry.count(side, packet);
        self.extras.note(slot, entry, side, packet, buffers);
    }

    /// A packet whose checksum is wrong: of TCP and UDP the history tells of it.
    fn discard(&mut self, slot: u32, packet: &Packet) {
        self.counters.bad_checksums += 1;
        if matches!(packet.protocol, TCP | UDP) {
            let entry = &mut self.slab[slot as usize];
            let side = entry.side_of(packet);
            entry.note_bad_checksum(side);
        }
    }

    /// The live flow the packet belongs to. One whose timer ran out by now, or whose five-tuple the packet takes for a new
    /// connection, ends first.
    fn find(&mut self, packet: &Packet, events: &mut Vec<FlowEvent>) -> Option<u32> {
        let (slab, by_vlan) = (&self.slab, self.config.vlan_in_key);
        let slot = self.index.find(packet.hash as u32, |slot| slab[slot as usize].matches(packet, by_vlan))?;
        let entry = &mut self.slab[slot as usize];
        let deadline = entry.deadline;
        if let Some((time, reason)) = entry.ended(self.now) {
            self.end(slot, time, reason, packet.frame, events);
            return None;
        }
        let is_segment = packet.protocol == TCP && !packet.has(flag::NO_TRANSPORT);
        if is_segment && entry.is_reused(packet.tcp_flags, packet.sequence) {
            self.end(slot, packet.time.nanos(), EndReason::Closed, packet.frame, events);
            return None;
        }
        entry.note_tunnel(packet);
        if entry.deadline != deadline {
            self.queues.remove(&mut self.slab, slot);
            self.queues.push(&mut self.slab, slot);
        }
        Some(slot)
    }

    /// Begins a flow; not yet in a queue.
    fn start(&mut self, packet: &Packet, events: &mut Vec<FlowEvent>) -> u32 {
        if self.len() >= self.capacity
            && let Some(slot) = self.queues.idlest(&mut self.slab)
        {
            let (time, reason) = self.slab[slot as usize].ended(self.now).unwrap_or((self.now, EndReason::Evicted));
            self.end(slot, time, reason, packet.frame, events);
        }
        let flipped = begins_flipped(packet);
        let mut entry = Entry::new(packet, flipped);
        if flipped {
            entry.history.push(b'^');
        }
        if packet.protocol == TCP {
            entry.deadline = entry.start.saturating_add(TCP_SYN_TIMEOUT.as_nanos() as i64);
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = entry;
                slot
            }
            None => {
                if self.slab.len() == self.slab.capacity() {
                    let room = self.capacity.saturating_sub(self.slab.len());
                    self.slab.reserve_exact(self.slab.len().clamp(64, room.max(64)));
                }
                self.slab.push(entry);
                (self.slab.len() - 1) as u32
            }
        };
        self.extras.start(slot);
        if self.config.reported >= Reported::Judged {
            self.settling.begin(slot, packet.time.nanos());
        }
        self.index.insert(packet.hash as u32, slot);
        self.counters.started += 1;
        self.counters.active = self.len() as u64;
        self.counters.active_peak = self.counters.active_peak.max(self.counters.active);
        slot
    }

    /// Settles and ends up to `most` flows whose timers ran out by now.
    fn expire(&mut self, frame: u64, most: usize, events: &mut Vec<FlowEvent>) {
        let mut left = most;
        while left > 0
            && let Some((slot, since)) = self.settling.due(&self.slab, self.now)
        {
            self.settle(slot, since, frame, events);
            left -= 1;
        }
        for _ in 0..left {
            let Some(slot) = self.queues.due(&self.slab, self.now) else { return };
            match self.slab[slot as usize].ended(self.now) {
                Some((time, reason)) => self.end(slot, time, reason, frame, events),
                None => {
                    self.queues.remove(&mut self.slab, slot);
                    self.queues.push(&mut self.slab, slot);
                }
            }
        }
    }

    /// Looks at what a packet did to its TCP connection: one that is answered goes on, one that is closed settles a moment later,
    /// when the last acknowledgments have come.
    fn settle_later(&mut self, slot: u32, now: i64) {
        let entry = &mut self.slab[slot as usize];
        if entry.settled != Settled::No {
            return;
        }
        if entry.is_closed() {
            if !entry.has(bit::CLOSE_NOTED) {
                entry.set(bit::CLOSE_NOTED, true);
                self.settling.begin(slot, now);
            }
        } else if !entry.has(bit::ANSWER_NOTED) && entry.is_answered() {
            entry.set(bit::ANSWER_NOTED, true);
            self.settling.done(slot);
        }
    }

    /// Tells what came of a flow that began or was closed a moment ago, if it can be told.
    fn settle(&mut self, slot: u32, since: i64, frame: u64, events: &mut Vec<FlowEvent>) {
        let entry = &mut self.slab[slot as usize];
        if entry.settle() {
            let time = since.saturating_add(SETTLE_NANOS);
            self.report(slot, time, frame, FlowEventKind::Settled, events);
        }
    }

    /// Reports a flow's end and forgets it.
    fn end(&mut self, slot: u32, time: i64, reason: EndReason, frame: u64, events: &mut Vec<FlowEvent>) {
        self.index.prefetch(self.slab[slot as usize].hash);
        if let Some(since) = self.settling.done(slot).filter(|since| since.saturating_add(SETTLE_NANOS) <= time) {
            self.settle(slot, since, frame, events);
        }
        if self.slab[slot as usize].end_is_told(self.config.reported) {
            self.report(slot, time, frame, FlowEventKind::Ended(reason), events);
        }
        self.queues.remove(&mut self.slab, slot);
        let entry = &mut self.slab[slot as usize];
        self.index.remove(entry.hash, slot);
        for side in &mut entry.sides {
            self.blocks.clear(&mut side.tcp.blocks);
        }
        self.free.push(slot);
        match reason {
            EndReason::Closed => self.counters.closed += 1,
            EndReason::Idle => self.counters.idle += 1,
            EndReason::Evicted => self.counters.evicted += 1,
            EndReason::EndOfInput => self.counters.end_of_input += 1,
        }
        self.counters.active = self.len() as u64;
    }

    fn report(&mut self, slot: u32, time: i64, frame: u64, kind: FlowEventKind, events: &mut Vec<FlowEvent>) {
        let entry = &self.slab[slot as usize];
        let is_end = matches!(kind, FlowEventKind::Ended(_));
        let extras = self.extras.of(slot, entry.has(bit::FROM_HIGHER), is_end);
        events.push(FlowEvent { time: Timestamp::from_nanos(time), frame, kind, flow: entry.flow(extras) });
        if kind != FlowEventKind::Started {
            let entry = &mut self.slab[slot as usize];
            entry.told = entry.packets() as u32;
        }
    }

    /// At 8, 64, 512 … packets, and with the first packet of each minute since the start.
    fn is_time_for_progress(&mut self, slot: u32) -> bool {
        let entry = &mut self.slab[slot as usize];
        let packets = entry.packets();
        let is_power_of_eight = packets >= 8 && packets.is_power_of_two() && packets.trailing_zeros().is_multiple_of(3);
        let since_start = entry.last.saturating_sub(entry.start);
        let minute_over = since_start >= (i64::from(entry.minutes) + 1).saturating_mul(NANOS_PER_MINUTE);
        if minute_over {
            entry.minutes = u32::try_from(since_start / NANOS_PER_MINUTE).unwrap_or(u32::MAX - 1);
        }
        is_power_of_eight || minute_over
    }

    fn count_protocol(&mut self, protocol: u8) {
        let count = match protocol {
            TCP => &mut self.counters.tcp_packets,
            UDP => &mut self.counters.udp_packets,
            ICMP | ICMP6 => &mut self.counters.icmp_packets,
            SCTP => &mut self.counters.sctp_packets,
            _ => &mut self.counters.other_packets,
        };
        *count += 1;
    }
}

/// Whether a flow's first packet looks like an answer by its ports: Zeek's rule with `likely_server_ports`.
fn begins_flipped(packet: &Packet) -> bool {
    let likely = |port| is_likely_server(packet.protocol, port);
    let (source, destination) = (packet.source_port, packet.destination_port);
    if !likely(source) || packet.destination == BROADCAST {
        return false;
    }
    if packet.protocol != TCP {
        return !likely(destination);
    }
    if packet.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN {
        return false;
    }
    // Both look like servers: the lower port rather, but a SYN-ACK may be a stealth scan.
    !likely(destination) || packet.tcp_flags & tcp::SYN == 0 && source < destination
}

/// 255.255.255.255 answers nobody.
const BROADCAST: lapwing_decode::Address = lapwing_decode::Address::v4([255; 4]);

#[cfg(test)]
mod tests;
