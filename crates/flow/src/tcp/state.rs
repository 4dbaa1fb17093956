//! The state machine of a TCP connection's endpoints.

use super::{ACK, FIN, RST, SYN, Segment};
use crate::config::TCP_ATTEMPT_DELAY;
use crate::entry::{Entry, bit};
use crate::ports::{TCP, is_interactive, is_likely_server};

/// Zeek's `TCP_ENDPOINT_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing came from this side.
    #[default]
    Inactive,
    /// A SYN came.
    SynSent,
    /// A SYN-ACK came from the side that counts as originator.
    SynAckSent,
    /// Something came, but no SYN.
    Partial,
    /// The handshake is done.
    Established,
    /// A FIN came.
    Closed,
    /// A RST came.
    Reset,
}

/// Index of the idle timeout of established TCP in [`crate::queue::IDLE_NANOS`].
const ESTABLISHED_CLASS: u8 = 1;
const INTERACTIVE_CLASS: u8 = 2;

impl State {
    fn is_handshake(self) -> bool {
        matches!(self, Self::Inactive | Self::SynSent | Self::SynAckSent)
    }
}

impl Entry {
    fn state_of(&self, side: usize) -> State {
        self.sides[side].tcp.state
    }

    fn set_state(&mut self, side: usize, state: State) {
        let old = self.state_of(side);
        if old == state {
            return;
        }
        if !state.is_handshake() && old.is_handshake() && self.state_of(1 - side).is_handshake() {
            self.idle_class = ESTABLISHED_CLASS;
        }
        let tcp = &mut self.sides[side].tcp;
        tcp.previous = old;
        tcp.state = state;
    }

    /// Moves the sender's state by the segment's flags; tells whether the sender closes.
    pub(super) fn change_state(&mut self, segment: &Segment) -> bool {
        match self.state_of(segment.side) {
            State::Inactive => self.leave_inactive(segment),
            State::SynSent | State::SynAckSent => self.leave_syn_sent(segment),
            State::Partial | State::Established => self.leave_established(segment),
            State::Closed => self.leave_closed(segment),
            State::Reset => false,
        }
    }

    fn leave_inactive(&mut self, segment: &Segment) -> bool {
        let (side, peer) = (segment.side, 1 - segment.side);
        let mut closes = false;
        if segment.has(SYN) {
            if segment.from_originator {
                self.set_state(side, if segment.has(ACK) { State::SynAckSent } else { State::SynSent });
                self.deadline = segment.time.saturating_add(TCP_ATTEMPT_DELAY.as_nanos() as i64);
            } else {
                self.answer_syn(segment);
            }
        }
        if segment.has(FIN) {
            self.set_state(side, State::Closed);
            closes = true;
        }
        if segment.has(RST) {
            self.set_state(side, State::Reset);
            closes = true;
        }
        if self.state_of(side) == State::Inactive {
            // No flag changed it.
            let originator = self.originator();
            if !segment.from_originator && segment.length == 0 && self.state_of(originator) == State::SynSent {
                // Some acknowledge a SYN before they answer it.
            } else if segment.has(ACK) && self.state_of(peer) == State::Established {
                // A SYN-ACK from the other side, now its acknowledgment: only the SYN was missed.
                self.set_state(side, State::Established);
                self.set(bit::PARTIAL, false);
                self.set(seen(segment.from_originator), true);
            } else {
                self.set_state(side, State::Partial);
            }
        }
        closes
    }

    /// A SYN or SYN-ACK from a responder that had sent nothing.
    fn answer_syn(&mut self, segment: &Segment) {
        let (side, peer) = (segment.side, 1 - segment.side);
        if !segment.has(ACK)
            && self.state_of(peer) == State::SynAckSent
            && segment.sequence == self.sides[side].tcp.start
        {
            // SYN and SYN-ACK came in the wrong order.
            self.set(bit::PARTIAL, false);
            self.flip();
            self.set_state(peer, State::Established);
            self.set(bit::ORIGINATOR_SEEN, true);
        }
        if self.state_of(peer) == State::SynSent {
            self.set_state(peer, State::Established);
        }
        self.set_state(side, State::Established);
        if self.state_of(peer) != State::Partial {
            self.note_established();
        }
    }

    /// Gives connections to interactive services their hour.
    fn note_established(&mut self) {
        let (originator, responder) = (self.originator_port(), self.responder_port());
        let half = self.state_of(self.originator()) == State::Inactive;
        let service = if half && !is_likely_server(TCP, responder) && is_likely_server(TCP, originator) {
            originator
        } else {
            responder
        };
        if is_interactive(service) {
            self.idle_class = INTERACTIVE_CLASS;
        }
    }

    fn leave_syn_sent(&mut self, segment: &Segment) -> bool {
        let mut closes = false;
        if segment.has(FIN) {
            self.set_state(segment.side, State::Closed);
            closes = true;
        }
        if segment.has(RST) {
            self.set_state(segment.side, State::Reset);
            self.set(bit::RESET, true);
            closes = true;
        }
        closes
    }

    fn leave_established(&mut self, segment: &Segment) -> bool {
        let (side, peer) = (segment.side, 1 - segment.side);
        let mut closes = false;
        if segment.flags & (SYN | ACK) == SYN
            && self.state_of(side) == State::Partial
            && self.state_of(peer) == State::Inactive
        {
            self.set_state(side, State::SynSent);
        }
        if segment.flags & (FIN | RST) == FIN {
            self.set_state(side, State::Closed);
            if self.state_of(peer) == State::Reset && self.sides[peer].tcp.previous == State::Closed {
                // The peer sent a FIN and then a RST: that was a normal end after all.
                self.set_state(peer, State::Closed);
            }
            closes = true;
        }
        if segment.has(RST) {
            self.set_state(side, State::Reset);
            closes = true;
            if self.state_of(peer) != State::Reset || self.sides[peer].tcp.previous != State::Established {
                self.set(bit::RESET, true);
            }
        }
        closes
    }

    fn leave_closed(&mut self, segment: &Segment) -> bool {
        if segment.has(RST) && self.state_of(1 - segment.side) != State::Closed {
            self.set_state(segment.side, State::Reset);
            return !self.sides[segment.side].tcp.has(super::side::bit::CLOSED);
        }
        false
    }

    /// Whether a SYN begins a new connection on the five-tuple of this one.
    pub(crate) fn is_reused(&self, flags: u8, sequence: u32) -> bool {
        if flags & SYN == 0 {
            return false;
        }
        let (originator, responder) = (self.originator(), 1 - self.originator());
        let mut starter = originator;
        if flags & ACK != 0 {
            if self.state_of(originator) != State::Inactive {
                return false;
            }
            starter = responder;
        }
        if self.any_closed() {
            return true;
        }
        if sequence == self.sides[starter].tcp.start {
            return false;
        }
        let reversed = flags & ACK == 0
            && self.state_of(starter) == State::SynAckSent
            && self.state_of(responder) == State::Inactive
            && sequence == self.sides[responder].tcp.start;
        !reversed
    }
}

fn seen(originator: bool) -> u16 {
    if originator { bit::ORIGINATOR_SEEN } else { bit::RESPONDER_SEEN }
}
