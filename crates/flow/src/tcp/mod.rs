//! A TCP connection as Zeek follows one: endpoint states, history, sequence numbers, gaps, and when it is over.
//!
//! The rules are Zeek's (`TCPSessionAdapter`, `TCP_Endpoint`, `TCP_Reassembler`), so that records compare; odd ones too, such
//! as a role flip in the middle of a packet. `docs/zeek-differences.md` lists where we differ.

mod blocks;
mod delivery;
mod quick;
mod side;
mod state;
mod timer;

use lapwing_decode::Packet;

pub(crate) use blocks::Blocks;
pub(crate) use side::TcpSide;
pub(crate) use state::State;

use crate::ConnState;
use crate::config::{HISTORY_SCALE, TOO_LARGE_SEQUENCE_JUMP};
use crate::entry::{Entry, bit};
use side::{Sequence, ahead};

/// FIN of the flag byte (RFC 9293 section 3.1).
pub(crate) const FIN: u8 = 1;
/// SYN of the flag byte.
pub(crate) const SYN: u8 = 2;
/// RST of the flag byte.
pub(crate) const RST: u8 = 4;
/// ACK of the flag byte.
pub(crate) const ACK: u8 = 16;

/// Letters that come at most once a side, as bits of [`Entry::history_seen`]; the responder's lie 16 higher.
mod letter {
    pub(super) const SYN: u32 = 1;
    pub(super) const FIN: u32 = 1 << 1;
    pub(super) const RST: u32 = 1 << 2;
    pub(super) const FIN_AND_RST: u32 = 1 << 3;
    pub(super) const DATA: u32 = 1 << 4;
    pub(super) const ACK: u32 = 1 << 5;
    pub(super) const MANY_FLAGS: u32 = 1 << 6;
}

/// One segment, in the words of the state machine.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// The side that sent it.
    side: usize,
    /// Whether that side was the originator when the segment came; a flip while it is looked at does not change this.
    from_originator: bool,
    flags: u8,
    sequence: u32,
    acknowledgment: u32,
    /// Payload bytes by the headers.
    length: u32,
    /// Whether all of them were captured.
    whole: bool,
    time: i64,
}

impl Segment {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What it takes up in the sequence space.
    fn span(&self) -> u32 {
        let data = if self.has(RST) { 0 } else { self.length };
        data.wrapping_add(u32::from(self.has(SYN))).wrapping_add(u32::from(self.has(FIN)))
    }
}

/// Takes in a segment of the flow that came from `side`.
pub(crate) fn take(entry: &mut Entry, blocks: &mut Blocks, side: usize, packet: &Packet) {
    if !quick::take(entry, side, packet) {
        take_any(entry, blocks, side, packet);
    }
}

fn take_any(entry: &mut Entry, blocks: &mut Blocks, side: usize, packet: &Packet) {
    let segment = Segment {
        side,
        from_originator: side == entry.originator(),
        flags: packet.tcp_flags,
        sequence: packet.sequence,
        acknowledgment: packet.acknowledgment,
        length: packet.payload_length,
        whole: packet.payload_captured >= packet.payload_length,
        time: packet.time.nanos(),
    };
    entry.note_partial(&segment);
    let end = segment.sequence.wrapping_add(segment.span());
    entry.begin_side(&segment, end);
    let sender = &entry.sides[side].tcp;
    let start = sender.place(segment.sequence, sender.last, sender.last_wraps);
    entry.note_flags(&segment, start.place);
    if packet.window == 0 {
        entry.note_zero_window(&segment);
    }
    if !entry.both_closed() {
        entry.last = segment.time;
    }
    if segment.has(FIN) {
        let sender = &mut entry.sides[side].tcp;
        sender.bits |= side::bit::FIN;
        sender.fin = start.place.wrapping_add(u64::from(segment.span()));
    }
    let acknowledged = if segment.has(ACK) { entry.take_acknowledgment(&segment) } else { 0 };
    entry.advance_sender(&segment, end);
    let closes = entry.change_state(&segment);
    if segment.has(ACK) {
        // Only now, so that a gap shown by the acknowledgment of a FIN or RST is not believed.
        entry.acknowledged(blocks, 1 - side, acknowledged);
    }
    entry.set(if segment.from_originator { bit::ORIGINATOR_SEEN } else { bit::RESPONDER_SEEN }, true);
    if segment.length > 0 && !segment.has(RST) && !start.before_start && segment.whole {
        let first = start.place.wrapping_add(u64::from(segment.has(SYN)));
        entry.sent(blocks, side, first, u64::from(segment.length));
    }
    entry.check_end(blocks, side);
    if closes {
        entry.close(blocks, side);
    }
}

impl Entry {
    fn tcp(&self, side: usize) -> &TcpSide {
        &self.sides[side].tcp
    }

    pub(crate) fn both_closed(&self) -> bool {
        self.sides.iter().all(|side| side.tcp.has(side::bit::CLOSED))
    }

    pub(crate) fn any_closed(&self) -> bool {
        self.sides.iter().any(|side| side.tcp.has(side::bit::CLOSED))
    }

    fn note_partial(&mut self, segment: &Segment) {
        if segment.from_originator {
            if !self.has(bit::ORIGINATOR_SEEN) {
                self.set(bit::PARTIAL, segment.flags & (SYN | ACK) != SYN);
            }
        } else if !self.has(bit::RESPONDER_SEEN) && !self.has(bit::PARTIAL) {
            self.set(bit::PARTIAL, !segment.has(SYN));
        }
    }

    /// Begins the sender's numbering, or begins it anew where a SYN says so.
    fn begin_side(&mut self, segment: &Segment, end: u32) {
        let sender = &mut self.sides[segment.side].tcp;
        let syn = segment.has(SYN);
        match sender.state {
            State::Inactive if syn => sender.begin(segment.sequence, end),
            // As if a SYN had come just before, so that places in the stream count alike.
            State::Inactive => sender.begin(segment.sequence.wrapping_sub(1), segment.sequence),
            State::SynSent | State::SynAckSent if syn && segment.sequence != sender.start => {
                sender.begin(segment.sequence, end);
            }
            State::Established | State::Partial if syn => sender.begin(segment.sequence, end),
            // The reset that began the numbering may have been forged.
            State::Reset if syn && sender.previous == State::Inactive => sender.begin(segment.sequence, end),
            _ => {}
        }
    }

    /// The letters of SYN, FIN, RST, data and acknowledgment.
    fn note_flags(&mut self, segment: &Segment, place: u64) {
        let side = segment.side;
        let place = place as u32;
        match segment.flags & (SYN | FIN | RST) {
            0 => {
                if segment.length > 0 {
                    self.once(side, letter::DATA, b'D');
                } else if segment.has(ACK) {
                    self.once(side, letter::ACK, b'A');
                }
            }
            SYN => {
                let code = if segment.has(ACK) { b'H' } else { b'S' };
                if self.once(side, letter::SYN, code) && self.tcp(side).last_syn != place {
                    self.add_letter(side, code);
                }
                self.sides[side].tcp.last_syn = place;
            }
            FIN => {
                let end = place.wrapping_add(segment.length);
                if self.once(side, letter::FIN, b'F') && self.tcp(side).last_fin != end {
                    self.add_letter(side, b'F');
                }
                self.sides[side].tcp.last_fin = end;
            }
            RST => {
                if self.once(side, letter::RST, b'R') && self.tcp(side).last_rst != place {
                    self.add_letter(side, b'R');
                }
                self.sides[side].tcp.last_rst = place;
            }
            several if several & (FIN | RST) == FIN | RST => {
                self.once(side, letter::FIN_AND_RST, b'I');
            }
            _ => {
                self.once(side, letter::MANY_FLAGS, b'Q');
            }
        }
    }

    /// Writes a letter the first time; tells whether it had come before.
    fn once(&mut self, side: usize, mask: u32, code: u8) -> bool {
        if matches!(code, b'A' | b'D') && self.history.is_only(b'H') {
            // It began with a SYN-ACK. Those are not flipped, for they may be a stealth scan; but a scan would not be
            // answered like this.
            self.flip();
            self.history = crate::History::default();
            self.history.push(b'^');
            self.history.push(b'h');
            self.set(bit::ORIGINATOR_SEEN, true);
        }
        let mask = if side == self.originator() { mask } else { mask << 16 };
        if self.history_seen & mask != 0 {
            return true;
        }
        self.history_seen |= mask;
        self.add_letter(side, code);
        false
    }

    /// Writes a letter, in upper case for the originator.
    pub(crate) fn add_letter(&mut self, side: usize, code: u8) {
        self.history.push(if side == self.originator() { code } else { code.to_ascii_lowercase() });
    }

    fn note_zero_window(&mut self, segment: &Segment) {
        let side = segment.side;
        // After a reset, or once the peer has closed, no window means nothing.
        if segment.has(RST) || self.tcp(1 - side).state == State::Closed || self.tcp(side).state == State::Reset {
            return;
        }
        let sender = &mut self.sides[side].tcp;
        sender.zero_windows = sender.zero_windows.saturating_add(1);
        if is_worth_a_letter(sender.zero_windows.into()) {
            self.add_letter(side, b'W');
        }
    }

    /// Notes a UDP datagram: its letter comes once a side.
    pub(crate) fn note_datagram(&mut self, side: usize) {
        let mask = 1 << (side == self.originator()) as u32;
        if self.history_seen & mask == 0 {
            self.history_seen |= mask;
            self.add_letter(side, b'D');
        }
    }

    /// Notes a packet that was not used because its checksum is wrong.
    pub(crate) fn note_bad_checksum(&mut self, side: usize) {
        let sender = &mut self.sides[side].tcp;
        sender.bad_checksums = sender.bad_checksums.saturating_add(1);
        if is_worth_a_letter(sender.bad_checksums.into()) {
            self.add_letter(side, b'C');
        }
    }

    /// What the segment's acknowledgment says of the other side: its place in that side's stream.
    fn take_acknowledgment(&mut self, segment: &Segment) -> u64 {
        let peer = &mut self.sides[1 - segment.side].tcp;
        let number = segment.acknowledgment;
        if peer.state == State::Inactive {
            peer.begin(number.wrapping_sub(1), number.wrapping_sub(1));
            return 1;
        }
        let Sequence { place, before_start } = peer.place(number, peer.acknowledged, peer.acknowledged_wraps);
        if before_start {
            return 0;
        }
        let advance = ahead(number, peer.acknowledged);
        // A reset's acknowledgment is not trusted; a far zero is more likely a broken one than a large stream's.
        if !segment.has(RST) && advance > 0 && !(number == 0 && advance > TOO_LARGE_SEQUENCE_JUMP) {
            peer.advance_acknowledged(number);
        }
        place
    }

    /// Moves the end of what the sender has sent, or notes a retransmission.
    fn advance_sender(&mut self, segment: &Segment, end: u32) {
        let sender = &mut self.sides[segment.side].tcp;
        let advance = ahead(end, sender.last);
        if segment.flags & (SYN | RST) != 0 && advance.unsigned_abs() > TOO_LARGE_SEQUENCE_JUMP.unsigned_abs() {
            return;
        }
        if segment.has(FIN) && sender.last == sender.start.wrapping_add(1) {
            // Of a stream over 2 GB only SYN and FIN may have been seen.
            sender.advance_last(end);
        } else if sender.state == State::Reset {
            // Numbers after a reset are not trusted.
        } else if advance > 0 {
            sender.advance_last(end);
        } else if segment.length > 0 {
            sender.retransmissions = sender.retransmissions.saturating_add(1);
            if is_worth_a_letter(sender.retransmissions) {
                self.add_letter(segment.side, b'T');
            }
        }
    }

    /// Zeek's `conn_state`.
    pub(crate) fn tcp_state(&self) -> ConnState {
        let (orig, resp) = (self.tcp(self.originator()), self.tcp(1 - self.originator()));
        let is_idle = |side: &TcpSide| matches!(side.state, State::Inactive | State::Partial);
        let half_open = matches!(orig.state, State::SynSent | State::SynAckSent);
        match (orig.state, resp.state) {
            (_, State::Reset) if half_open => ConnState::Rej,
            (State::Reset, State::Reset) if self.tcp_size(0) == 0 && self.tcp_size(1) == 0 => ConnState::Rej,
            (_, State::Reset) if is_idle(orig) => ConnState::Rstrh,
            (_, State::Reset) => ConnState::Rstr,
            (State::Reset, _) if !is_idle(resp) => ConnState::Rsto,
            (State::Reset, _) if self.history.is_syn_then_reset() => ConnState::Rstos0,
            (State::Reset, _) => ConnState::Oth,
            (State::Closed, State::Closed) => ConnState::Sf,
            (State::Closed, _) if is_idle(resp) => ConnState::Sh,
            (State::Closed, _) => ConnState::S2,
            (_, State::Closed) if is_idle(orig) => ConnState::Shr,
            (_, State::Closed) => ConnState::S3,
            (State::SynSent, State::Inactive) => ConnState::S0,
            (State::Established, State::Established) => ConnState::S1,
            _ => ConnState::Oth,
        }
    }

    /// Payload bytes that a side of a TCP connection sent.
    pub(crate) fn tcp_size(&self, side: usize) -> u64 {
        self.tcp(side).size(self.tcp(1 - side).state == State::Inactive)
    }
}

/// Whether the n-th of a repeated event is written: the first, tenth, hundredth …
pub(crate) fn is_worth_a_letter(count: u32) -> bool {
    let mut threshold = 1_u32;
    while threshold < count {
        match threshold.checked_mul(HISTORY_SCALE) {
            Some(next) => threshold = next,
            None => return false,
        }
    }
    threshold == count
}

#[cfg(test)]
mod tests;
