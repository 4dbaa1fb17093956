//! The timers of a TCP flow other than its idle timer.

use super::State;
use crate::EndReason;
use crate::config::{TCP_CONNECTION_LINGER, TCP_SESSION_TIMER};
use crate::entry::{Entry, bit};
use crate::queue::IDLE_NANOS;

impl Entry {
    /// When and why the flow ended, if it did by `now` (nothing having come since its last packet).
    pub(crate) fn ended(&mut self, now: i64) -> Option<(i64, EndReason)> {
        let idle = self.last.saturating_add(IDLE_NANOS[usize::from(self.idle_class)]);
        let ended = if self.deadline <= now { self.run_timer(now) } else { None };
        match ended {
            Some((time, _)) if time <= idle => ended,
            _ if idle <= now => Some((idle, EndReason::Idle)),
            _ => ended,
        }
    }

    /// Looks at what the timer that ran out was for; sets it again if needed.
    fn run_timer(&mut self, now: i64) -> Option<(i64, EndReason)> {
        let deadline = std::mem::replace(&mut self.deadline, i64::MAX);
        if self.has(bit::CLOSING) {
            return Some((deadline, EndReason::Closed));
        }
        if self.has(bit::RESET) {
            return None;
        }
        if self.is_attempt() {
            return Some((deadline, EndReason::Idle));
        }
        let lingers = self.last.saturating_add(TCP_CONNECTION_LINGER.as_nanos() as i64) >= now;
        if self.any_closed() {
            if !lingers && (self.both_closed() || self.any_in(State::Reset) || self.any_in(State::Inactive)) {
                return Some((deadline, EndReason::Closed));
            }
        } else if !self.is_untouched() {
            return None;
        } else if !lingers {
            return Some((deadline, EndReason::Idle));
        }
        self.deadline = now.saturating_add(TCP_SESSION_TIMER.as_nanos() as i64);
        None
    }

    /// A SYN or SYN-ACK that nobody has answered.
    pub(crate) fn is_attempt(&self) -> bool {
        let originator = self.originator();
        matches!(self.sides[originator].tcp.state, State::SynSent | State::SynAckSent)
            && self.sides[1 - originator].tcp.state == State::Inactive
    }

    /// Nothing came that counts, only packets with a wrong checksum.
    pub(crate) fn is_untouched(&self) -> bool {
        self.sides.iter().all(|side| side.tcp.state == State::Inactive)
    }

    fn any_in(&self, state: State) -> bool {
        self.sides.iter().any(|side| side.tcp.state == state)
    }

    /// Whether the flow waits for a timer that has nothing to say any more.
    pub(crate) fn outlived_its_attempt(&self) -> bool {
        !(self.has(bit::CLOSING) || self.is_attempt() || self.any_closed() || self.is_untouched())
    }
}
