//! The tail of the scores beyond what was held back: a generalised Pareto distribution of the excesses over a high score
//! (Pickands, 1975), fitted by probability-weighted moments (Hosking and Wallis, 1987), which stay sound for a few hundred
//! excesses where maximum likelihood does not.

use serde::{Deserialize, Serialize};

use super::CalibrationError;

/// The share of the rows whose scores make the tail.
const SHARE: f64 = 0.1;
/// Excesses that a fit needs more than.
const LEAST: usize = 100;
/// How far below 1/(n + 1) a fitted tail may carry a probability: a fit of some hundred excesses says little beyond.
pub(super) const REACH: f64 = 0.01;

/// Scores above `from` exceed it by an amount of generalised Pareto distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Where the tail begins.
    pub from: f32,
    /// The share of rows above `from`.
    pub share: f64,
    /// Shape ξ: below zero the tail ends, above it is heavier than exponential.
    pub shape: f64,
    /// Scale σ.
    pub scale: f64,
}

impl Tail {
    /// Fits the most unusual tenth of the sorted `scores`; `None` unless that is more than a hundred scores.
    pub(super) fn fit(scores: &[f32]) -> Option<Self> {
        let from = scores[((scores.len() as f64 * (1.0 - SHARE)) as usize).min(scores.len() - 1)];
        let above = &scores[scores.partition_point(|&score| score <= from)..];
        if above.len() <= LEAST {
            return None;
        }
        let count = above.len() as f64;
        let excess = |score: f32| f64::from(score) - f64::from(from);
        let mean = above.iter().map(|&score| excess(score)).sum::<f64>() / count;
        // The mean of excess times probability of being exceeded.
        let weighted = (above.iter().enumerate())
            .map(|(rank, &score)| excess(score) * (count - 1.0 - rank as f64) / (count - 1.0))
            .sum::<f64>()
            / count;
        let spread = mean - 2.0 * weighted;
        if spread <= 0.0 {
            return None;
        }
        let scale = 2.0 * mean * weighted / spread;
        // A tail that ended before the largest score seen is stretched to reach it (Dupuis and Tsao, 1998).
        let shape = (2.0 - mean / spread).max(-scale / excess(above[above.len() - 1]));
        let tail = Self { from, share: count / scores.len() as f64, shape, scale };
        tail.validate().ok().map(|()| tail)
    }

    /// The probability of a score of at least `score`, which lies in the tail.
    pub(super) fn probability(self, score: f32) -> f64 {
        let scaled = (f64::from(score) - f64::from(self.from)).max(0.0) / self.scale;
        let beyond = if self.shape.abs() < NEARLY_EXPONENTIAL {
            (-scaled).exp()
        } else {
            (1.0 + self.shape * scaled).max(0.0).powf(-1.0 / self.shape)
        };
        self.share * beyond
    }

    /// The score that is reached with `probability`, which is at most [`Tail::share`].
    pub(super) fn score(self, probability: f64) -> f32 {
        let ratio = self.share / probability;
        let scaled = if self.shape.abs() < NEARLY_EXPONENTIAL {
            ratio.ln()
        } else {
            (ratio.powf(self.shape) - 1.0) / self.shape
        };
        (f64::from(self.from) + self.scale * scaled) as f32
    }

    pub(super) fn validate(self) -> Result<(), CalibrationError> {
        let sound = self.from.is_finite()
            && self.share > 0.0
            && self.share <= 1.0
            && self.shape.abs() < 10.0
            && self.scale > 0.0
            && self.scale.is_finite();
        if sound { Ok(()) } else { Err(CalibrationError::Malformed("the tail's parameters are out of range")) }
    }
}

/// Shapes this near to zero are taken for zero, where the formula has its limit.
const NEARLY_EXPONENTIAL: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    fn drawn(shape: f64, count: usize) -> Vec<f32> {
        let mut random = Random::new(3);
        let mut scores: Vec<f32> =
            (0..count).map(|_| (0.2 + 0.01 * ((1.0 - random.unit()).powf(-shape) - 1.0) / shape) as f32).collect();
        scores.sort_unstable_by(f32::total_cmp);
        scores
    }

    #[test]
    fn the_fit_finds_the_shape_it_was_drawn_from() {
        for shape in [-0.3, -0.1, 0.2] {
            let tail = Tail::fit(&drawn(shape, 100_000)).unwrap();
            assert!((tail.shape - shape).abs() < 0.05, "{shape}: {tail:?}");
        }
    }

    #[test]
    fn score_and_probability_undo_each_other() {
        for shape in [-0.3, 0.0, 0.2] {
            let tail = Tail { from: 0.5, share: 0.1, shape, scale: 0.03 };
            for probability in [0.1, 0.01, 1e-4] {
                let back = tail.probability(tail.score(probability));
                assert!((back / probability - 1.0).abs() < 1e-2, "{shape} {probability} {back}");
            }
        }
    }

    #[test]
    fn a_hundred_excesses_are_too_few() {
        assert_eq!(Tail::fit(&drawn(0.1, 1_000)), None);
        assert!(Tail::fit(&drawn(0.1, 1_100)).is_some());
        assert_eq!(Tail::fit(&[0.5; 5_000]), None);
        assert_eq!(Tail::fit(&[0.5]), None);
    }

    #[test]
    fn the_largest_score_seen_lies_inside_the_tail() {
        let scores = drawn(-0.9, 3_000);
        let tail = Tail::fit(&scores).unwrap();
        assert!(tail.probability(scores[scores.len() - 1].next_down()) >= 0.0);
        if tail.shape < 0.0 {
            let end = f64::from(tail.from) - tail.scale / tail.shape;
            assert!(end >= f64::from(scores[scores.len() - 1]) - 1e-6);
        }
    }
}
