//! Which bytes of a TCP stream were seen, which are missing, and whether a close may be believed yet.

use super::side::{TcpSide, bit as side_bit};
use super::{Blocks, State, is_worth_a_letter};
use crate::config::{
    TCP_CLOSE_DELAY, TCP_EXCESSIVE_DATA, TCP_MAX_ABOVE_HOLE, TCP_MAX_INITIAL_WINDOW, TCP_SESSION_TIMER,
};
use crate::entry::{Entry, bit};

impl Entry {
    fn side_mut(&mut self, side: usize) -> &mut TcpSide {
        &mut self.sides[side].tcp
    }

    /// `side` sent `length` bytes from `start` of its stream on.
    pub(super) fn sent(&mut self, blocks: &mut Blocks, side: usize, start: u64, length: u64) {
        let tcp = &mut self.sides[side].tcp;
        let end = start.wrapping_add(length);
        let acknowledged = tcp.acknowledged_full().wrapping_sub(u64::from(tcp.start));
        if tcp.has(side_bit::GIVEN_UP) || end <= acknowledged || end <= tcp.trimmed || end < start {
            return;
        }
        let start = start.max(acknowledged).max(tcp.trimmed);
        if start > tcp.delivered {
            if !blocks.insert(&mut tcp.blocks, start, end) {
                self.give_up(blocks, side);
                return;
            }
        } else if end > tcp.delivered {
            tcp.delivered = end;
            tcp.absorb(blocks);
            self.release(side);
        }
        let tcp = &self.sides[side].tcp;
        let above = blocks.get(tcp.blocks);
        let reach = above.last().map_or(0, |last| last.1 - tcp.delivered);
        let held = tcp.delivered.saturating_sub(tcp.trimmed)
            + if above.is_empty() { 0 } else { above.iter().map(|block| block.1 - block.0).sum() };
        if tcp.nothing_acknowledged() && reach > TCP_MAX_ABOVE_HOLE || held > TCP_EXCESSIVE_DATA {
            self.give_up(blocks, side);
        }
    }

    fn give_up(&mut self, blocks: &mut Blocks, side: usize) {
        let tcp = self.side_mut(side);
        tcp.bits |= side_bit::GIVEN_UP;
        blocks.clear(&mut tcp.blocks);
    }

    /// Does not hold delivered data of a side whose peer's acknowledgments seem not to be captured.
    fn release(&mut self, side: usize) {
        if self.sides[side].tcp.nothing_acknowledged() && self.tcp_size(side) > TCP_MAX_INITIAL_WINDOW {
            let tcp = self.side_mut(side);
            tcp.trimmed = tcp.trimmed.max(tcp.delivered);
        }
    }

    /// The peer of `side` acknowledged its stream up to `place`.
    pub(super) fn acknowledged(&mut self, blocks: &mut Blocks, side: usize, place: u64) {
        let tcp = &self.sides[side].tcp;
        let place = if tcp.has(side_bit::FIN) && place >= tcp.fin { tcp.fin.wrapping_sub(1) } else { place };
        if place <= tcp.trimmed {
            return;
        }
        if place > tcp.delivered {
            self.miss(blocks, side, place);
        }
        let tcp = self.side_mut(side);
        while let Some((_, end)) = blocks.get(tcp.blocks).first()
            && *end <= place
        {
            blocks.pop_first(&mut tcp.blocks);
        }
        let delivered = tcp.delivered;
        tcp.absorb(blocks);
        if tcp.delivered > delivered {
            self.release(side);
        }
        let tcp = self.side_mut(side);
        tcp.trimmed = tcp.trimmed.max(place);
        self.check_end(blocks, side);
    }

    /// What `side` sent up to `place` was acknowledged, yet not all of it seen.
    fn miss(&mut self, blocks: &mut Blocks, side: usize, place: u64) {
        if place <= 2 && self.has(bit::PARTIAL) {
            // Picked up on the way: the SYN that seems missing is our invention, the byte behind it a keep-alive.
            return;
        }
        if !self.sides[side].tcp.has(side_bit::GIVEN_UP) {
            while let Some(&(start, end)) = blocks.get(self.sides[side].tcp.blocks).first()
                && start < place
            {
                self.note_gap(side, start.saturating_sub(self.sides[side].tcp.delivered));
                let tcp = self.side_mut(side);
                blocks.pop_first(&mut tcp.blocks);
                tcp.delivered = tcp.delivered.max(end);
                self.release(side);
            }
            let delivered = self.sides[side].tcp.delivered;
            if place > delivered {
                self.note_gap(side, place - delivered);
            }
        }
        let tcp = self.side_mut(side);
        tcp.delivered = tcp.delivered.max(place);
    }

    /// Bytes of `side` are missing; believed only of connections in a clean state.
    fn note_gap(&mut self, side: usize, length: u64) {
        if !self.sides.iter().all(|side| side.tcp.is_clean()) {
            return;
        }
        self.sides[side].bytes = self.sides[side].bytes.saturating_add(length);
        let tcp = self.side_mut(side);
        tcp.gaps = tcp.gaps.saturating_add(1);
        if is_worth_a_letter(tcp.gaps.into()) {
            self.add_letter(side, b'G');
        }
    }

    /// Whether data of `side` is still to be seen before its close can be believed.
    fn is_pending(&self, blocks: &Blocks, side: usize) -> bool {
        let (tcp, peer) = (&self.sides[side].tcp, &self.sides[1 - side].tcp);
        if tcp.has(side_bit::GIVEN_UP) {
            return false;
        }
        let delivered = u64::from(tcp.start).wrapping_add(tcp.delivered);
        let last = tcp.last_full();
        if last < delivered {
            return false;
        }
        // A FIN takes a place in the sequence space, a RST does not.
        if delivered != last && delivered != last - 1 {
            return true;
        }
        tcp.state != State::Reset && peer.holds_data(blocks)
    }

    /// Notes that `side` closed and all its data was seen; then a close that waited goes on.
    pub(super) fn check_end(&mut self, blocks: &Blocks, side: usize) {
        let tcp = &self.sides[side].tcp;
        let ends = tcp.has(side_bit::FIN) || matches!(tcp.state, State::Closed | State::Reset);
        if !ends || tcp.has(side_bit::AT_END) || self.is_pending(blocks, side) {
            return;
        }
        self.side_mut(side).bits |= side_bit::AT_END;
        if self.has(bit::CLOSE_DEFERRED) {
            self.close(blocks, side);
            self.set(bit::CLOSE_DEFERRED, false);
        }
    }

    /// `side` closed or reset the connection.
    pub(super) fn close(&mut self, blocks: &Blocks, side: usize) {
        if self.is_pending(blocks, side) {
            self.set(bit::CLOSE_DEFERRED, true);
            return;
        }
        self.set(bit::CLOSE_DEFERRED, false);
        let peer = &self.sides[1 - side].tcp;
        let (peer_closed, peer_state) = (peer.has(side_bit::CLOSED), peer.state);
        let last = self.last;
        let tcp = self.side_mut(side);
        if tcp.has(side_bit::CLOSED) {
            return;
        }
        tcp.bits |= side_bit::CLOSED;
        if tcp.state == State::Reset || peer_closed || peer_state == State::Inactive {
            self.set(bit::CLOSING, true);
            self.deadline = last.saturating_add(TCP_CLOSE_DELAY.as_nanos() as i64);
        } else if tcp.previous != State::Inactive && !self.has(bit::CLOSING) {
            self.deadline = last.saturating_add(TCP_SESSION_TIMER.as_nanos() as i64);
        }
    }
}

impl TcpSide {
    /// Takes in blocks that the data in order has reached.
    fn absorb(&mut self, blocks: &mut Blocks) {
        while let Some(&(start, end)) = blocks.get(self.blocks).first()
            && start <= self.delivered
        {
            self.delivered = self.delivered.max(end);
            blocks.pop_first(&mut self.blocks);
        }
    }

    fn holds_data(&self, blocks: &Blocks) -> bool {
        !self.has(side_bit::GIVEN_UP) && (self.delivered > self.trimmed || !blocks.get(self.blocks).is_empty())
    }

    /// Established, or closed from there.
    fn is_clean(&self) -> bool {
        self.state == State::Established || self.state == State::Closed && self.previous == State::Established
    }
}
