//! Counting distinct things in a sliding window, in little memory.

/// Things remembered one by one; beyond, a sketch counts.
const REMEMBERED: usize = 32;

/// Registers of the sketch: relative error 1.04 / √256 = 6.5 %.
const REGISTERS: usize = 256;

/// How many different things came lately.
///
/// The last [`REMEMBERED`] things are kept with their time, so small counts are exact in any window. When all of those
/// came within the window that is asked for, HyperLogLog sketches (Flajolet et al. 2007) count: one for each half of that window,
/// so that a count covers between half a window and a whole one. The halves begin at times that all counters share; so two counters
/// can be compared ([`share`]). Memory: 56 bytes for up to two things, at most 850.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    first: [Seen; 2],
    more: Vec<Seen>,
    length: u8,
    sketches: Option<Box<Sketches>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    thing: u32,
    second: u32,
}

#[derive(Debug)]
struct Sketches {
    /// When a thing came last that had no place among those remembered.
    spilled: u32,
    /// Seconds that one sketch covers.
    half: u32,
    halves: [Sketch; 2],
}

#[derive(Clone, Copy, Debug)]
struct Sketch {
    /// Which half window since the beginning of time.
    slot: u32,
    registers: [u8; REGISTERS],
}

impl Distinct {
    /// Takes `thing` in at `second`; `window` (seconds), the same at every call, is the longest window that will be asked for.
    /// Returns whether it is new in that window, as far as is remembered.
    pub(crate) fn insert(&mut self, thing: u32, second: u32, window: u32) -> bool {
        let is_new_to_sketch = self.sketches.as_mut().is_some_and(|sketches| sketches.insert(thing, second));
        let length = usize::from(self.length);
        let mut oldest = (0, u32::MAX);
        for index in 0..length {
            let seen = self.at(index);
            if seen.thing == thing {
                let new = second.saturating_sub(seen.second) > window;
                seen.second = second.max(seen.second);
                return new;
            }
            if seen.second < oldest.1 {
                oldest = (index, seen.second);
            }
        }
        if length < REMEMBERED {
            if length >= self.first.len() {
                self.more.push(Seen { thing, second });
            } else {
                self.first[length] = Seen { thing, second };
            }
            self.length += 1;
            return true;
        }
        if second.saturating_sub(oldest.1) > window {
            *self.at(oldest.0) = Seen { thing, second };
            return true;
        }
        if let Some(sketches) = &mut self.sketches {
            sketches.spilled = sketches.spilled.max(second);
            return is_new_to_sketch;
        }
        let mut sketches = Box::new(Sketches::new(second, window));
        self.iter().for_each(|seen| _ = sketches.insert(seen.thing, seen.second));
        let is_new = sketches.insert(thing, second);
        self.sketches = Some(sketches);
        is_new
    }

    /// Different things that came in the `window` seconds up to `second`; exact up to [`REMEMBERED`].
    pub(crate) fn count(&self, second: u32, window: u32) -> u32 {
        self.count_from(second, second.saturating_sub(window))
    }

    /// Different things that came from `begin` to `second`.
    fn count_from(&self, second: u32, begin: u32) -> u32 {
        let remembered = self.iter().filter(|seen| seen.second >= begin).count() as u32;
        match &self.sketches {
            Some(sketches) if sketches.spilled >= begin => remembered.max(sketches.estimate(second, begin)),
            _ => remembered,
        }
    }

    /// When the first of the things remembered came that came in the `window` seconds up to `second`.
    pub(crate) fn since(&self, second: u32, window: u32) -> Option<u32> {
        self.iter().map(|seen| seen.second).filter(|seen| second.saturating_sub(*seen) <= window).min()
    }

    fn has_spilled(&self, second: u32, window: u32) -> bool {
        self.sketches.as_ref().is_some_and(|sketches| second.saturating_sub(sketches.spilled) <= window)
    }

    /// Things remembered, oldest entry first.
    pub(crate) fn things(&self) -> impl Iterator<Item = u32> {
        self.iter().map(|seen| seen.thing)
    }

    fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.first.iter().take(usize::from(self.length)).chain(&self.more)
    }

    fn at(&mut self, index: usize) -> &mut Seen {
        if index < self.first.len() { &mut self.first[index] } else { &mut self.more[index - self.first.len()] }
    }
}

/// The share of `of` in `of` and `besides` together, both counted over the same time within `window` seconds up to `second`: a
/// whole window where both are exact, else the halves that sketches cover.
pub(crate) fn share(of: &Distinct, besides: &Distinct, second: u32, window: u32) -> f64 {
    let half = half_of(window);
    let begin = if of.has_spilled(second, window) || besides.has_spilled(second, window) {
        (second / half).saturating_sub(1) * half
    } else {
        second.saturating_sub(window)
    };
    let (of, besides) = (of.count_from(second, begin), besides.count_from(second, begin));
    f64::from(of) / f64::from(of.saturating_add(besides).max(1))
}

fn half_of(window: u32) -> u32 {
    (window / 2).max(1)
}

impl Sketches {
    fn new(second: u32, window: u32) -> Self {
        Self { spilled: second, half: half_of(window), halves: [Sketch { slot: 0, registers: [0; REGISTERS] }; 2] }
    }

    fn insert(&mut self, thing: u32, second: u32) -> bool {
        let slot = second / self.half;
        let sketch = &mut self.halves[slot as usize % 2];
        if sketch.slot < slot {
            *sketch = Sketch { slot, registers: [0; REGISTERS] };
        }
        sketch.slot == slot && sketch.insert(thing)
    }

    /// Things in the halves that reach from `begin` to `second`.
    fn estimate(&self, second: u32, begin: u32) -> u32 {
        let (newest, oldest) = (second / self.half, begin / self.half);
        let oldest = oldest.max(newest.saturating_sub(1));
        let mut registers = [0; REGISTERS];
        for sketch in self.halves.iter().filter(|sketch| (oldest..=newest).contains(&sketch.slot)) {
            registers.iter_mut().zip(sketch.registers).for_each(|(most, rank)| *most = rank.max(*most));
        }
        Sketch { slot: newest, registers }.estimate()
    }
}

impl Sketch {
    fn insert(&mut self, thing: u32) -> bool {
        let hash = mix(thing);
        let register = (hash >> 56) as usize;
        let rank = ((hash << 8) | 1 << 7).leading_zeros() as u8 + 1;
        let new = rank > self.registers[register];
        self.registers[register] = self.registers[register].max(rank);
        new
    }

    fn estimate(&self) -> u32 {
        let size = REGISTERS as f64;
        let empty = self.registers.iter().filter(|&&rank| rank == 0).count();
        let raw =
            0.7213 / (1.0 + 1.079 / size) * size * size / self.registers.iter().map(|&rank| halved(rank)).sum::<f64>();
        // Linear counting where it is the better estimate.
        let estimate = if raw <= 2.5 * size && empty > 0 { size * (size / empty as f64).ln() } else { raw };
        estimate.round() as u32
    }
}

/// One, halved `times` times; a rank is 57 at most, so its exponent fits.
fn halved(times: u8) -> f64 {
    f64::from_bits((1_023 - u64::from(times)) << 52)
}

/// Spreads the bits of `thing` over 64 (the finaliser of splitmix64).
pub(crate) fn mix(thing: u32) -> u64 {
    let mut word = u64::from(thing).wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// An address as a thing to count; two addresses fall together once in 2³².
pub(crate) fn address_thing(address: &lapwing_decode::Address) -> u32 {
    let word =
        |range: std::ops::Range<usize>| address.0[range].iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte));
    if address.is_v4() {
        return word(12..16);
    }
    let halves = mix(word(0..4)) ^ mix(word(4..8)).rotate_left(17) ^ mix(word(8..12)).rotate_left(31);
    (halves >> 32) as u32 ^ halves as u32 ^ word(12..16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_are_exact_and_slide() {
        let mut distinct = Distinct::default();
        for thing in 0..20 {
            assert!(distinct.insert(thing, 100 + thing, 60));
            assert!(!distinct.insert(thing, 100 + thing, 60));
        }
        assert_eq!(distinct.count(119, 60), 20);
        assert_eq!(distinct.count(119, 9), 10);
        assert_eq!(distinct.count(500, 60), 0);
    }

    #[test]
    fn large_counts_are_within_a_fifth() {
        for size in [100_u32, 1_000, 20_000, 200_000] {
            let mut distinct = Distinct::default();
            for thing in 0..size {
                distinct.insert(thing, 7, 60);
            }
            let error = (f64::from(distinct.count(7, 60)) - f64::from(size)).abs() / f64::from(size);
            assert!(error < 0.2, "{size}: {}", distinct.count(7, 60));
        }
    }

    #[test]
    fn two_counters_are_compared_over_the_same_time() {
        let (mut failed, mut answered) = (Distinct::default(), Distinct::default());
        for second in 1_000..4_000 {
            for step in 0..5 {
                let thing = second * 5 + step;
                let kept = if step == 0 { &mut failed } else { &mut answered };
                kept.insert(thing, second, 300);
            }
            if second > 1_100 {
                let share = share(&failed, &answered, second, 300);
                assert!((0.13..0.27).contains(&share), "{second}: {share}");
            }
        }
    }

    #[test]
    fn few_failures_are_compared_with_many_answers_over_the_same_time() {
        let (mut failed, mut answered) = (Distinct::default(), Distinct::default());
        for second in 1_000..4_000 {
            answered.insert(second, second, 300);
            if second % 12 == 0 {
                failed.insert(second, second, 300);
            }
            if second > 1_400 {
                let share = share(&failed, &answered, second, 300);
                assert!((0.05..0.11).contains(&share), "{second}: {share}");
            }
        }
    }

    #[test]
    fn the_first_of_a_burst_is_known() {
        let mut distinct = Distinct::default();
        distinct.insert(7, 10, 60);
        (0..100).for_each(|thing| _ = distinct.insert(100 + thing, 500, 60));
        assert_eq!(distinct.since(505, 60), Some(500));
    }

    #[test]
    fn the_sketch_is_forgotten_after_its_window() {
        let mut distinct = Distinct::default();
        for thing in 0..1_000 {
            distinct.insert(thing, 7, 60);
        }
        for thing in 5_000..5_010 {
            distinct.insert(thing, 500, 60);
        }
        assert_eq!(distinct.count(500, 60), 10);
    }
}
