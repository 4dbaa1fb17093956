//! How much of what passes is looked at.

use std::time::{Duration, Instant};

use super::Tap;

/// How many frames may be looked at.
pub(super) struct Budget {
    /// What may be spent, in frames.
    left: f64,
    filled: Instant,
}

impl Budget {
    /// Where not all frames of a batch can be looked at, as many in a row as this are, or none: what packets are like shows in
    /// those that follow each other.
    const RUN: f64 = 250.0;

    /// A second's worth may be spent at once.
    const MOST: f64 = Tap::PACKETS_PER_SECOND as f64;

    pub(super) fn new(now: Instant) -> Self {
        Self { left: Self::MOST, filled: now }
    }

    /// How many of `wanted` frames may be looked at.
    pub(super) fn grant(&mut self, wanted: usize, now: Instant) -> usize {
        const FILLED_EVERY: Duration = Duration::from_millis(10);
        let since = now.saturating_duration_since(self.filled);
        if since >= FILLED_EVERY {
            self.filled = now;
            self.left = (self.left + since.as_secs_f64() * Self::MOST).min(Self::MOST);
        }
        let granted = if wanted as f64 <= self.left {
            wanted
        } else if self.left >= Self::RUN {
            self.left as usize
        } else {
            0
        };
        self.left -= granted as f64;
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_looked_at_in_runs() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        let granted: Vec<usize> =
            (0..1_000).map(|batch| budget.grant(1_024, begun + Duration::from_millis(batch))).collect();
        let all: usize = granted.iter().sum();
        assert!((3_700..=4_000).contains(&all), "{all}");
        assert!(granted.iter().all(|run| *run == 0 || *run >= 250));
    }
}
