//! What the table holds of one live flow.
//!
//! A [`Flow`] is made to be read; an [`Entry`] is made to be small and touched at every packet: what every packet needs
//! lies in its first 64 bytes and in one [`Side`].

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Packet, Tunnel, flag};

use crate::extras::FlowExtras;
use crate::ports::{ICMP, ICMP6, TCP, UDP};
use crate::queue::Place;
use crate::side::Side;
use crate::{ConnState, Endpoint, Flow, Half, History, Reported, Settled};

/// Bits of [`Entry::bits`].
pub(crate) mod bit {
    /// The originator is the higher endpoint.
    pub(crate) const FROM_HIGHER: u16 = 1;
    /// Both endpoints are the same address and port.
    pub(crate) const SAME_ENDS: u16 = 1 << 1;
    pub(crate) const IPV6: u16 = 1 << 2;
    pub(crate) const ONE_WAY: u16 = 1 << 3;
    pub(crate) const VLAN: u16 = 1 << 4;
    pub(crate) const INNER_VLAN: u16 = 1 << 5;
    pub(crate) const MAC: u16 = 1 << 6;
    /// TCP: Zeek's `is_partial`, the connection was picked up on the way.
    pub(crate) const PARTIAL: u16 = 1 << 7;
    /// TCP: the originator's first packet has been seen (Zeek's `first_packet_seen`).
    pub(crate) const ORIGINATOR_SEEN: u16 = 1 << 8;
    /// TCP: the responder's first packet has been seen.
    pub(crate) const RESPONDER_SEEN: u16 = 1 << 9;
    /// TCP: the connection was reset; only the idle and close timers end it (Zeek's `is_active` is off).
    pub(crate) const RESET: u16 = 1 << 10;
    /// TCP: a close waits for data still missing.
    pub(crate) const CLOSE_DEFERRED: u16 = 1 << 11;
    /// TCP: the close is complete, `deadline` is the moment the flow ends.
    pub(crate) const CLOSING: u16 = 1 << 12;
    /// The packet before came from the higher endpoint.
    pub(crate) const LAST_FROM_HIGHER: u16 = 1 << 13;
    /// TCP: that the connection is closed was noted.
    pub(crate) const CLOSE_NOTED: u16 = 1 << 14;
    /// TCP: that the connection was answered was noted.
    pub(crate) const ANSWER_NOTED: u16 = 1 << 15;
}

/// Changes of the tunnels around a flow that Zeek reports before it stops: `Tunnel::max_changes_per_connection`.
const MOST_TUNNEL_CHANGES: u8 = 5;
/// Bit of [`Entry::history_seen`] for `X`: Zeek's `HIST_ANALYZER_LIMIT_REACHED`.
const LIMIT_REACHED: u32 = 1 << 10;

/// One live flow.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Entry {
    /// The lower endpoint's address; of a one-way flow the source's.
    pub(crate) low: Address,
    pub(crate) high: Address,
    pub(crate) low_port: u16,
    pub(crate) high_port: u16,
    pub(crate) protocol: u8,
    /// Idle timeout: an index into [`crate::queue::IDLE_NANOS`].
    pub(crate) idle_class: u8,
    pub(crate) bits: u16,
    /// Time of the last packet that counts for the duration, in nanoseconds: Zeek's `last_time`.
    pub(crate) last: i64,
    /// When a timer other than the idle timer must be looked at.
    pub(crate) deadline: i64,
    pub(crate) hash: u32,
    pub(crate) last_frame_delta: u32,

    pub(crate) place: Place,
    pub(crate) start: i64,
    pub(crate) first_frame: u64,
    pub(crate) history: History,
    /// Letters that come once, as bits: Zeek's `hist_seen`.
    pub(crate) history_seen: u32,
    /// Whole minutes since the start for which a progress event was made.
    pub(crate) minutes: u32,
    /// Low bits of the packets at the last report, which is never 2³² packets ago.
    pub(crate) told: u32,
    pub(crate) vlan: u16,
    pub(crate) inner_vlan: u16,
    pub(crate) tunnel: Tunnel,
    pub(crate) settled: Settled,
    tunnel_changes: u8,
    tunnel_path: u16,

    /// What the lower and what the higher endpoint sent.
    pub(crate) sides: [Side; 2],
}

/// Which of [`Entry::sides`] a packet's source is, before any flow is known.
pub(crate) fn key_side(packet: &Packet) -> usize {
    // One-way ICMP is told apart by direction: its source takes the lower place.
    usize::from(packet.flags & (flag::FROM_HIGHER | flag::ONE_WAY) == flag::FROM_HIGHER)
}

impl Entry {
    /// A flow whose first packet this is, and who counts as originator: the source, or the destination if `flipped`.
    pub(crate) fn new(packet: &Packet, flipped: bool) -> Self {
        let side = key_side(packet);
        let (low, high) = if side == 0 {
            ((packet.source, packet.source_port), (packet.destination, packet.destination_port))
        } else {
            ((packet.destination, packet.destination_port), (packet.source, packet.source_port))
        };
        let mut bits = 0;
        for (from, to) in [
            (flag::IPV6, bit::IPV6),
            (flag::ONE_WAY, bit::ONE_WAY),
            (flag::VLAN, bit::VLAN),
            (flag::INNER_VLAN, bit::INNER_VLAN),
            (flag::MAC, bit::MAC),
        ] {
            if packet.has(from) {
                bits |= to;
            }
        }
        if low == high {
            bits |= bit::SAME_ENDS;
        }
        if (side == 1) != flipped {
            bits |= bit::FROM_HIGHER;
        }
        let mut sides = [Side::default(), Side::default()];
        sides[side].mac = packet.source_mac;
        sides[1 - side].mac = packet.destination_mac;
        Self {
            low: low.0,
            high: high.0,
            low_port: low.1,
            high_port: high.1,
            protocol: packet.protocol,
            idle_class: 0,
            bits,
            last: packet.time.nanos(),
            deadline: i64::MAX,
            hash: packet.hash as u32,
            last_frame_delta: 0,
            place: Place::default(),
            start: packet.time.nanos(),
            first_frame: packet.frame,
            history: History::default(),
            history_seen: 0,
            minutes: 0,
            told: 0,
            vlan: packet.vlan,
            inner_vlan: packet.inner_vlan,
            tunnel: packet.tunnel,
            settled: Settled::No,
            tunnel_changes: 0,
            tunnel_path: packet.tunnel_path,
            sides,
        }
    }

    /// Whether a packet belongs to this flow.
    pub(crate) fn matches(&self, packet: &Packet, vlan_in_key: bool) -> bool {
        let same_order = self.low == packet.source
            && self.high == packet.destination
            && self.low_port == packet.source_port
            && self.high_port == packet.destination_port;
        let other_order = || {
            self.low == packet.destination
                && self.high == packet.source
                && self.low_port == packet.destination_port
                && self.high_port == packet.source_port
        };
        let ends = if key_side(packet) == 0 { same_order } else { other_order() };
        ends && self.protocol == packet.protocol
            && self.has(bit::ONE_WAY) == packet.has(flag::ONE_WAY)
            && (!vlan_in_key || self.same_vlan(packet))
    }

    fn same_vlan(&self, packet: &Packet) -> bool {
        (self.has(bit::VLAN), self.vlan, self.has(bit::INNER_VLAN), self.inner_vlan)
            == (packet.has(flag::VLAN), packet.vlan, packet.has(flag::INNER_VLAN), packet.inner_vlan)
    }

    pub(crate) fn has(&self, mask: u16) -> bool {
        self.bits & mask != 0
    }

    pub(crate) fn set(&mut self, mask: u16, on: bool) {
        if on {
            self.bits |= mask;
        } else {
            self.bits &= !mask;
        }
    }

    /// The side that is the originator.
    pub(crate) fn originator(&self) -> usize {
        usize::from(self.has(bit::FROM_HIGHER))
    }

    /// The side a packet of this flow came from.
    pub(crate) fn side_of(&self, packet: &Packet) -> usize {
        if self.has(bit::SAME_ENDS) { self.originator() } else { key_side(packet) }
    }

    /// Originator and responder change places: Zeek's `FlipRoles`, `^` in the history.
    pub(crate) fn flip(&mut self) {
        self.bits ^= bit::FROM_HIGHER;
        let (originator, responder) = (self.has(bit::ORIGINATOR_SEEN), self.has(bit::RESPONDER_SEEN));
        self.set(bit::ORIGINATOR_SEEN, responder);
        self.set(bit::RESPONDER_SEEN, originator);
        self.set(bit::PARTIAL, false);
        self.history.push(b'^');
    }

    pub(crate) fn originator_port(&self) -> u16 {
        if self.originator() == 0 { self.low_port } else { self.high_port }
    }

    pub(crate) fn responder_port(&self) -> u16 {
        if self.originator() == 0 { self.high_port } else { self.low_port }
    }

    /// Whether the connection was closed by both sides, or reset.
    pub(crate) fn is_closed(&self) -> bool {
        self.has(bit::RESET) || self.has(bit::CLOSING) && self.is_answered()
    }

    /// Whether the flow settles now, a moment after it began or was closed. Of TCP an attempt that nobody answered does, and what
    /// was closed; what was answered goes on.
    pub(crate) fn settle(&mut self) -> bool {
        self.settled = match self.protocol {
            TCP if self.is_closed() => Settled::Closed,
            TCP if !self.is_attempt() && !self.has(bit::CLOSING) => return false,
            _ => Settled::Tried,
        };
        true
    }

    /// Whether somebody who looks at `reported` is told of the flow's end.
    pub(crate) fn end_is_told(&self, reported: Reported) -> bool {
        let adds = || self.settled == Settled::No || self.packets() != self.told_packets() || self.is_answered();
        match reported {
            Reported::Judged => self.settled != Settled::Closed && adds(),
            Reported::Finished => self.settled != Settled::Closed,
            Reported::Ends | Reported::Progress | Reported::All => true,
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.sides.iter().all(|side| side.packets > 0)
    }

    /// Notes the tunnels a packet came through: `X` in the history once they have changed too often.
    pub(crate) fn note_tunnel(&mut self, packet: &Packet) {
        if self.tunnel_path == packet.tunnel_path {
            return;
        }
        self.tunnel_path = packet.tunnel_path;
        if self.tunnel_changes < MOST_TUNNEL_CHANGES {
            self.tunnel_changes += 1;
        } else if self.history_seen & LIMIT_REACHED == 0 {
            self.history_seen |= LIMIT_REACHED;
            self.history.push(b'X');
        }
    }

    /// Packets counted so far, of both sides.
    pub(crate) fn packets(&self) -> u64 {
        self.sides[0].packets + self.sides[1].packets
    }

    /// Packets at the last report.
    fn told_packets(&self) -> u64 {
        let packets = self.packets();
        packets - u64::from((packets as u32).wrapping_sub(self.told))
    }

    /// Counts a packet that `side` sent.
    pub(crate) fn count(&mut self, side: usize, packet: &Packet) {
        let turned = (side == 1) != self.has(bit::LAST_FROM_HIGHER);
        self.set(bit::LAST_FROM_HIGHER, side == 1);
        self.last_frame_delta = u32::try_from(packet.frame.saturating_sub(self.first_frame)).unwrap_or(u32::MAX);
        self.sides[side].count(packet, turned);
    }

    /// The flow as it stands, to be read. Inlined so that it is written where it stays: it is 500 bytes.
    #[inline(always)]
    pub(crate) fn flow(&self, extras: FlowExtras) -> Flow {
        let originator = self.originator();
        let ends = [
            Endpoint { address: self.low, port: self.low_port },
            Endpoint { address: self.high, port: self.high_port },
        ];
        let mac = self.has(bit::MAC);
        Flow {
            uid: self.uid(),
            originator: ends[originator],
            responder: ends[1 - originator],
            protocol: self.protocol,
            ipv6: self.has(bit::IPV6),
            one_way: self.has(bit::ONE_WAY),
            tunnel: self.tunnel,
            vlan: self.has(bit::VLAN).then_some(self.vlan),
            inner_vlan: self.has(bit::INNER_VLAN).then_some(self.inner_vlan),
            start: Timestamp::from_nanos(self.start),
            last: Timestamp::from_nanos(self.last),
            first_frame: self.first_frame,
            last_frame: self.first_frame + u64::from(self.last_frame_delta),
            orig: self.half(originator, mac, extras.entropy[originator]),
            resp: self.half(1 - originator, mac, extras.entropy[1 - originator]),
            state: self.state(),
            history: self.history,
            service: None,
            series: extras.series,
            settled: self.settled,
            told_packets: self.told_packets(),
        }
    }

    #[inline(always)]
    fn half(&self, side: usize, mac: bool, entropy: Option<f32>) -> Half {
        let counted = &self.sides[side];
        let mut half = counted.half(mac);
        half.entropy = entropy;
        if self.protocol == TCP {
            half.payload_bytes = self.tcp_size(side);
            half.retransmissions = counted.tcp.retransmissions;
            half.missed_bytes = counted.bytes;
        } else {
            half.payload_bytes = counted.bytes;
        }
        half
    }

    fn state(&self) -> ConnState {
        let originator = self.originator();
        match self.protocol {
            TCP => self.tcp_state(),
            UDP => match (self.has_sent(originator), self.has_sent(1 - originator)) {
                (true, true) => ConnState::Sf,
                (true, false) => ConnState::S0,
                (false, true) => ConnState::Shr,
                (false, false) => ConnState::Oth,
            },
            _ => ConnState::Oth,
        }
    }

    fn has_sent(&self, side: usize) -> bool {
        self.sides[side].packets > 0
    }

    /// Whether Zeek counts the payload of this flow's protocol.
    pub(crate) fn counts_payload(&self) -> bool {
        matches!(self.protocol, UDP | ICMP | ICMP6)
    }

    /// Hash of five-tuple and start: the same in every run. Rounds as in SplitMix64 (Steele, Lea and Flood 2014).
    fn uid(&self) -> u64 {
        let words = |address: &Address| {
            let value = u128::from_be_bytes(address.0);
            [(value >> 64) as u64, value as u64]
        };
        let ([a, b], [c, d]) = (words(&self.low), words(&self.high));
        let rest = u64::from(self.low_port) << 32
            | u64::from(self.high_port) << 16
            | u64::from(self.protocol) << 8
            | u64::from(self.bits & (bit::ONE_WAY | bit::IPV6));
        [a, b, c, d, rest, self.start as u64].iter().fold(UID_SEED, |hash, word| scramble(hash ^ word))
    }
}

const UID_SEED: u64 = 0x6c61_7077_696e_6731;

fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
