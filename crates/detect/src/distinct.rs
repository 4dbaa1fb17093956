//! Counting distinct things in a sliding window, in little memory.

/// Things remembered one by one; beyond, a sketch counts.
const REMEMBERED: usize = 32;

/// Registers of the sketch: relative error 1.04 / √256 = 6.5 %.
const REGISTERS: usize = 256;

/// How many different things came lately.
///
/// The last [`REMEMBERED`] things are kept with their time, so small counts are exact in any window. When all of those
/// came within the window that is asked for, further things go into a HyperLogLog sketch (Flajolet et al. 2007) that
/// starts afresh once it is older than that window. Memory: 56 bytes for up to two things, at most 600.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    first: [Seen; 2],
    more: Vec<Seen>,
    length: u8,
    sketch: Option<Box<Sketch>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    thing: u32,
    second: u32,
}

#[derive(Debug)]
struct Sketch {
    began: u32,
    registers: [u8; REGISTERS],
}

impl Distinct {
    /// Takes `thing` in at `second`; `window` (seconds) is the shortest window that will be asked for. Returns whether it is
    /// new in that window, as far as is remembered.
    pub(crate) fn insert(&mut self, thing: u32, second: u32, window: u32) -> bool {
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
        let sketch = self.sketch.get_or_insert_with(|| Box::new(Sketch { began: second, registers: [0; REGISTERS] }));
        if second.saturating_sub(sketch.began) > window {
            **sketch = Sketch { began: second, registers: [0; REGISTERS] };
        }
        sketch.insert(thing)
    }

    /// Different things that came in the `window` seconds up to `second`; exact up to [`REMEMBERED`].
    pub(crate) fn count(&self, second: u32, window: u32) -> u32 {
        let recent = self.iter().filter(|seen| second.saturating_sub(seen.second) <= window).count() as u32;
        match &self.sketch {
            Some(sketch) if second.saturating_sub(sketch.began) <= window => recent + sketch.estimate(),
            _ => recent,
        }
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
