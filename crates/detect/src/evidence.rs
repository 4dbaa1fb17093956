//! The flows that a measurement rests on.

use lapwing_flow::Flow;

use crate::EvidenceFlow;

/// Flows kept for one measured thing: the first half stays, the second half holds the latest.
const KEPT: usize = 6;

/// A few flows that show what was measured; empty until the first is noted. At most 6 × 120 bytes.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    flows: Vec<EvidenceFlow>,
    next: u8,
}

impl Evidence {
    /// Notes a flow.
    pub(crate) fn note(&mut self, flow: &Flow) {
        if self.flows.len() < KEPT {
            self.flows.push(flow.into());
            return;
        }
        let slot = KEPT / 2 + usize::from(self.next);
        self.flows[slot] = flow.into();
        self.next = (self.next + 1) % (KEPT - KEPT / 2) as u8;
    }

    /// The flows noted, by their start.
    pub(crate) fn flows(&self) -> Vec<EvidenceFlow> {
        let mut flows = self.flows.clone();
        flows.sort_unstable();
        flows.dedup_by_key(|flow| flow.uid);
        flows
    }
}

/// Says when a growing value is worth reporting again: at `floor`, then whenever it grew by a quarter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    reported: u32,
}

impl Steps {
    /// Whether `value` should be reported now.
    pub(crate) fn reached(&mut self, value: u32, floor: u32) -> bool {
        let due = if self.reported < floor { floor } else { self.reported.saturating_add(self.reported.div_ceil(4)) };
        let reached = value >= due;
        if reached {
            self.reported = value;
        } else if value < self.reported / 2 {
            // The window slid on: what grows again is reported again.
            self.reported = value;
        }
        reached
    }

    /// Whether `value` is above what was reported last: what a window's end should report.
    pub(crate) fn unreported(&mut self, value: u32, floor: u32) -> bool {
        let unreported = value >= floor && value > self.reported;
        if unreported {
            self.reported = value;
        }
        unreported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_reported_at_the_floor_and_in_steps_of_a_quarter() {
        let mut steps = Steps::default();
        let reported: Vec<u32> = (1..=40).filter(|&value| steps.reached(value, 10)).collect();
        assert_eq!(reported, [10, 13, 17, 22, 28, 35]);
    }

    #[test]
    fn a_value_that_fell_is_reported_when_it_grows_again() {
        let mut steps = Steps::default();
        assert!(steps.reached(100, 10));
        assert!(!steps.reached(4, 10));
        assert!(steps.reached(10, 10));
    }
}
