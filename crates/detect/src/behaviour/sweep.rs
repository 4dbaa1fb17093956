//! When a detector looks over all it holds.

use lapwing_capture::Timestamp;

/// Capture seconds between two sweeps: so long after the last observation, every detector has said what it had to say.
pub const SWEEP_SECONDS: i64 = 60;

/// A sweep a minute, for what grew by less than a step of a measurement or ended between two; none where nothing stirred.
#[derive(Debug)]
pub(super) struct Sweep {
    next: i64,
    stirred: bool,
}

impl Sweep {
    pub(super) fn new() -> Self {
        Self { next: i64::MIN, stirred: false }
    }

    /// Notes whether something came that a sweep may have to tell of.
    pub(super) fn stir_if(&mut self, worth_telling: bool) {
        self.stirred |= worth_telling;
    }

    /// Whether to sweep at `now`; the next sweep is a minute later.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        if now.seconds() < self.next {
            return false;
        }
        self.next = now.seconds().saturating_add(SWEEP_SECONDS);
        std::mem::take(&mut self.stirred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_a_minute_where_something_stirred() {
        let mut sweep = Sweep::new();
        assert!(!sweep.is_due(Timestamp::from_seconds(100)));
        sweep.stir_if(true);
        assert!(!sweep.is_due(Timestamp::from_seconds(101)));
        assert!(sweep.is_due(Timestamp::from_seconds(160)));
        assert!(!sweep.is_due(Timestamp::from_seconds(220)));
    }
}
