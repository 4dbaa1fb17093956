//! How long to wait before trying again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);

/// Doubles from half a second up to the longest, each time somewhere between half of it and all of it: sinks that failed
/// together do not come back together. The jitter follows from a seed, so that a test sees what it expects.
#[derive(Debug)]
pub(crate) struct Backoff {
    longest: Duration,
    current: Duration,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(longest: Duration, seed: u64) -> Self {
        Self { longest, current: FIRST.min(longest), random: seed }
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.current;
        self.current = whole.saturating_mul(2).min(self.longest);
        whole / 2 + whole.mul_f64(self.fraction() / 2.0)
    }

    /// It worked: begin anew.
    pub(crate) fn reset(&mut self) {
        self.current = FIRST.min(self.longest);
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014), as a number in 0.0..1.0.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(60), 7);
        let mut whole = 0.5;
        for _ in 0..20 {
            let wait = backoff.next().as_secs_f64();
            assert!(wait >= whole / 2.0 && wait <= whole, "{wait} of {whole}");
            whole = f64::min(whole * 2.0, 60.0);
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(500));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(60), seed);
            (0..8).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
