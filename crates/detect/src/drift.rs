//! How far what a model sees has moved from what it was calibrated on.

/// Parts that the range of p-values is cut into.
const PARTS: usize = 10;

/// Scores below which nothing is said.
const LEAST: u64 = 200;

/// Counts the p-values that a model gives. Against its own baseline every value is as likely as any other; how far the counts
/// are from that is told by the population stability index over ten parts (Siddiqi, *Credit Risk Scorecards*, 2006): below 0.1 nothing has
/// moved, above 0.25 much has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    parts: [u64; PARTS],
}

impl Drift {
    /// Takes in the p-value of one score: 0 to 1.
    pub fn take_in(&mut self, p: f64) {
        let part = (p.clamp(0.0, 1.0) * PARTS as f64) as usize;
        self.parts[part.min(PARTS - 1)] += 1;
    }

    /// The index; `None` while there are few scores.
    #[must_use]
    pub fn index(&self) -> Option<f64> {
        let total: u64 = self.parts.iter().sum();
        let expected = 1.0 / PARTS as f64;
        // A part without any counts as half of one, so that its logarithm exists.
        let share = |count: &u64| (*count as f64).max(0.5) / total as f64;
        let moved = |share: f64| (share - expected) * (share / expected).ln();
        (total >= LEAST).then(|| self.parts.iter().map(share).map(moved).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(values: impl Iterator<Item = f64>) -> Option<f64> {
        let mut drift = Drift::default();
        values.for_each(|p| drift.take_in(p));
        drift.index()
    }

    #[test]
    fn even_values_have_not_moved_and_small_ones_have() {
        let even = index((0..1_000).map(|number| f64::from(number) / 1_000.0)).unwrap();
        assert!(even < 0.01, "{even}");
        let small = index((0..1_000).map(|number| f64::from(number) / 3_000.0)).unwrap();
        assert!(small > 0.25, "{small}");
        assert_eq!(index([0.5; 10].into_iter()), None);
    }
}
