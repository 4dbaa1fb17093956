//! The one source of randomness: a seed.

/// The SplitMix64 generator (Steele, Lea and Flood, 2014): 64 bits of state, equidistributed, and good enough to pick samples
/// and thresholds. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream that `seed` names.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream for part `index` of a work seeded by `seed`, so that parts may run on any thread.
    #[must_use]
    pub fn for_part(seed: u64, index: u64) -> Self {
        let mut start = Self(seed);
        let offset = start.next_u64();
        let mut part = Self(offset ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(part.next_u64())
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `0..bound`, each equally likely up to one part in 2^64 / `bound` (multiply-shift).
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing lies below zero");
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number in `0.0..1.0`, a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs of SplitMix64 for seed 1234567, as printed by the authors' reference program.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn parts_differ_and_numbers_stay_in_range() {
        let mut first = Random::for_part(7, 0);
        let mut second = Random::for_part(7, 1);
        assert_ne!(first.next_u64(), second.next_u64());
        assert!((0..1_000).all(|_| first.below(3) < 3 && (0.0..1.0).contains(&first.unit())));
    }
}
