//! What a raw score means: a p-value against rows held back from training, and the score from which to alert.
//!
//! A row's *conformal p-value* is the share of held-back rows at least as unusual, the row itself counted in (Vovk, Gammerman
//! and Shafer, "Algorithmic Learning in a Random World", 2005). For traffic like the baseline it is at most p in a share of p
//! of the rows, whatever the model. It cannot fall below 1/(n + 1); beyond that a tail is fitted, if there is enough of one.
//!
//! The *threshold* follows from a budget of alerts per device and week: as many of the held-back rows' alerts may lie above
//! it as the budget grants their device-days.

mod tail;

use serde::{Deserialize, Serialize};

pub use tail::Tail;

/// Held-back scores kept for p-values. Of more, evenly spaced ones of the sorted scores are kept, the largest among them.
pub const MAX_SCORES: usize = 1 << 20;

/// Held-back rows with which a p-value can be as low as 5 %: whoever has fewer can call nothing unusual.
pub const LEAST_ROWS: u64 = 19;

const DAYS_PER_WEEK: f64 = 7.0;

/// What the rows held back from training came to.
#[derive(Clone, Copy, Debug)]
pub struct HeldBack<'a> {
    /// Their scores, in any order; NaN (not evaluated) is left out.
    pub scores: &'a [f32],
    /// For each score the alert that its row would be merged into: only the largest score of an alert counts against the
    /// budget. Without it every row is taken for an alert of its own.
    pub alerts: Option<&'a [u64]>,
    /// Devices seen times the days they were watched.
    pub device_days: f64,
}

/// What the threshold rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Enough held-back rows: the budget is met by counting.
    Counted,
    /// A tail fitted beyond the held-back rows.
    Tail,
    /// Too few held-back rows for the budget: whatever exceeds them all.
    Floor,
}

/// Turns scores into p-values and alerts. Read-only once fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Sorted, the smallest first.
    scores: Vec<f32>,
    rows: u64,
    device_days: f64,
    budget: f64,
    threshold: f32,
    expected: f64,
    basis: Basis,
    tail: Option<Tail>,
}

/// Why a calibration was not fitted or is not one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// Nothing to compare with.
    #[error("no row was held back that could be scored; hold back at least one, better a quarter of the baseline")]
    NoScores,
    /// No exposure.
    #[error("{0} device-days are no exposure; it must be a positive number")]
    DeviceDays(f64),
    /// No budget.
    #[error("a budget of {0} alerts per device and week is none; it must be a positive number")]
    Budget(f64),
    /// Alerts do not belong to scores one by one.
    #[error("{alerts} alerts given for {scores} scores; give one for each")]
    Alerts {
        /// Alerts given.
        alerts: usize,
        /// Scores given.
        scores: usize,
    },
    /// A stored calibration contradicts itself.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Calibration {
    /// Fits p-values and the threshold that keeps to `budget` alerts per device and week.
    ///
    /// # Errors
    /// [`CalibrationError`] when there is no score, or exposure or budget is not positive.
    pub fn fit(held_back: HeldBack<'_>, budget: f64) -> Result<Self, CalibrationError> {
        let HeldBack { scores, alerts, device_days } = held_back;
        if !(device_days > 0.0 && device_days.is_finite()) {
            return Err(CalibrationError::DeviceDays(device_days));
        }
        if !(budget > 0.0 && budget.is_finite()) {
            return Err(CalibrationError::Budget(budget));
        }
        if let Some(alerts) = alerts.filter(|alerts| alerts.len() != scores.len()) {
            return Err(CalibrationError::Alerts { alerts: alerts.len(), scores: scores.len() });
        }
        let peaks = sorted(alerts.map_or_else(|| scores.to_vec(), |alerts| peaks(scores, alerts)));
        let scores = sorted(scores.to_vec());
        if scores.is_empty() {
            return Err(CalibrationError::NoScores);
        }
        let (threshold, expected, basis) = threshold(&peaks, device_days, budget);
        let tail = Tail::fit(&scores);
        let rows = scores.len() as u64;
        Ok(Self { scores: thinned(scores), rows, device_days, budget, threshold, expected, basis, tail })
    }

    /// How likely a row like the baseline's scores at least `score`: in `0.0..=1.0`, small is unusual. NaN for NaN.
    ///
    /// O(log of the held-back rows).
    #[must_use]
    pub fn p_value(&self, score: f32) -> f64 {
        if score.is_nan() {
            return f64::NAN;
        }
        let kept = self.scores.len();
        let at_least = kept - self.scores.partition_point(|&held| held < score);
        let at_least = at_least as f64 * (self.rows as f64 / kept as f64);
        let counted = (1.0 + at_least) / (self.rows as f64 + 1.0);
        match self.tail {
            Some(tail) if at_least == 0.0 => counted.min(tail.probability(score)).max(counted * tail::REACH),
            _ => counted,
        }
    }

    /// Whether a row with this score is worth an alert; NaN (not evaluated) is not.
    #[must_use]
    pub fn alerts(&self, score: f32) -> bool {
        score >= self.threshold
    }

    /// The least score that alerts.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Alerts granted per device and week.
    #[must_use]
    pub fn budget(&self) -> f64 {
        self.budget
    }

    /// Alerts per device and week to be expected from traffic like the baseline.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// What the threshold rests on.
    #[must_use]
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// Rows held back that were scored.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Devices times days of the rows held back.
    #[must_use]
    pub fn device_days(&self) -> f64 {
        self.device_days
    }

    /// The tail fitted beyond the held-back rows, if there were enough.
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Whether the held-back rows suffice to keep to the budget; anomalies of one that does not are at most medium.
    #[must_use]
    pub fn budget_is_verifiable(&self) -> bool {
        self.basis == Basis::Counted || (self.basis == Basis::Tail && self.expected <= self.budget)
    }

    /// Whether there are rows enough to call anything unusual.
    #[must_use]
    pub fn suffices(&self) -> bool {
        self.rows >= LEAST_ROWS
    }

    /// What a reader must know about the budget, if anything.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let Self { rows, device_days, .. } = self;
        if !self.suffices() {
            return Some(format!("too few rows to calibrate: {rows} were held back, {LEAST_ROWS} are needed"));
        }
        (!self.budget_is_verifiable())
            .then(|| format!("budget not verifiable: {rows} rows, {device_days:.3} device-days"))
    }

    /// Checks a calibration that was read from a file.
    pub(crate) fn validate(&self) -> Result<(), CalibrationError> {
        let malformed = |what| Err(CalibrationError::Malformed(what));
        if self.scores.is_empty() || self.scores.len() > MAX_SCORES || self.rows < self.scores.len() as u64 {
            return malformed("the number of held-back scores is out of range");
        }
        if !self.scores.is_sorted() || self.scores.iter().any(|score| !(0.0..=1.0).contains(score)) {
            return malformed("the held-back scores are not sorted numbers from 0 to 1");
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !positive(self.device_days) || !positive(self.budget) || !positive(self.expected) {
            return malformed("device-days, budget and expected alerts are not positive numbers");
        }
        if !self.threshold.is_finite() {
            return malformed("the threshold is not a number");
        }
        self.tail.map_or(Ok(()), Tail::validate)
    }
}

/// Threshold, alerts to be expected per device and week, and what they rest on, from the sorted peaks of the held-back alerts.
fn threshold(peaks: &[f32], device_days: f64, budget: f64) -> (f32, f64, Basis) {
    let count = peaks.len() as f64;
    let per_week = DAYS_PER_WEEK / device_days;
    let granted = budget / per_week;
    // Of as many new alerts as were held back, (above + 1)/(count + 1) are expected beyond the `above` largest: at most
    // `granted` of them, if this many lie above the threshold.
    let above = (granted * (count + 1.0) / count).floor() - 1.0;
    if above >= 0.0 {
        let above = (above as usize).min(peaks.len() - 1);
        let threshold = peaks[peaks.len() - 1 - above].next_up();
        let expected = (above as f64 + 1.0) / (count + 1.0) * count * per_week;
        return (threshold, expected, Basis::Counted);
    }
    let beyond_all = peaks[peaks.len() - 1].next_up();
    let floor = 1.0 / (count + 1.0);
    match Tail::fit(peaks) {
        Some(tail) => {
            let probability = (granted / count).max(floor * tail::REACH);
            (tail.score(probability).max(beyond_all), probability * count * per_week, Basis::Tail)
        }
        None => (beyond_all, floor * count * per_week, Basis::Floor),
    }
}

/// The largest score of each alert.
fn peaks(scores: &[f32], alerts: &[u64]) -> Vec<f32> {
    let mut pairs: Vec<_> = alerts.iter().copied().zip(scores.iter().copied()).collect();
    pairs.retain(|(_, score)| !score.is_nan());
    // The largest score of an alert comes first and stays.
    pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    pairs.dedup_by_key(|(alert, _)| *alert);
    pairs.into_iter().map(|(_, score)| score).collect()
}

fn sorted(mut scores: Vec<f32>) -> Vec<f32> {
    scores.retain(|score| !score.is_nan());
    scores.sort_unstable_by(f32::total_cmp);
    scores
}

/// Evenly spaced ones of more than [`MAX_SCORES`], the last among them.
fn thinned(scores: Vec<f32>) -> Vec<f32> {
    if scores.len() <= MAX_SCORES {
        return scores;
    }
    let length = scores.len();
    (1..=MAX_SCORES).map(|kept| scores[(kept * length).div_ceil(MAX_SCORES) - 1]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Random;

    fn even(count: usize) -> Vec<f32> {
        (1..=count).map(|index| index as f32 / (count + 1) as f32).collect()
    }

    fn fit(scores: &[f32], device_days: f64, budget: f64) -> Calibration {
        Calibration::fit(HeldBack { scores, alerts: None, device_days }, budget).unwrap()
    }

    #[test]
    fn p_values_count_the_row_itself() {
        let calibration = fit(&even(9), 7.0, 1.0);
        assert_eq!(calibration.p_value(0.0), 1.0);
        assert_eq!(calibration.p_value(0.5), 0.6);
        assert_eq!(calibration.p_value(1.0), 0.1);
        assert!(calibration.p_value(f32::NAN).is_nan());
    }

    #[test]
    fn p_values_of_like_rows_are_uniform() {
        let mut random = Random::new(1);
        let held: Vec<f32> = (0..2_000).map(|_| random.unit() as f32 * 0.8).collect();
        let calibration = fit(&held, 7.0, 1.0);
        let small = (0..10_000).filter(|_| calibration.p_value(random.unit() as f32 * 0.8) <= 0.05).count();
        assert!((400..600).contains(&small), "{small}");
    }

    #[test]
    fn the_budget_decides_how_many_held_back_rows_alert() {
        // 70 device-days at one alert a week grant ten alerts: nine held-back rows and the next one.
        let scores = even(100);
        let calibration = fit(&scores, 70.0, 1.0);
        assert_eq!(scores.iter().filter(|&&score| calibration.alerts(score)).count(), 9);
        assert_eq!(calibration.basis(), Basis::Counted);
        assert!(calibration.expected() <= 1.0 && calibration.expected() > 0.9);
        assert!(calibration.budget_is_verifiable() && calibration.note().is_none());
    }

    #[test]
    fn rows_of_one_alert_count_once() {
        let scores = even(100);
        // The twenty most unusual rows are two alerts.
        let alerts: Vec<u64> = (0..100).map(|row| if row < 80 { row } else { 100 + row / 90 }).collect();
        let held_back = HeldBack { scores: &scores, alerts: Some(&alerts), device_days: 21.0 };
        let calibration = Calibration::fit(held_back, 1.0).unwrap();
        assert_eq!(scores.iter().filter(|&&score| calibration.alerts(score)).count(), 20);
        assert!(Calibration::fit(HeldBack { alerts: Some(&alerts[1..]), ..held_back }, 1.0).is_err());
    }

    #[test]
    fn too_few_rows_for_the_budget_are_said() {
        let calibration = fit(&even(20), 0.5, 1.0);
        assert_eq!(calibration.basis(), Basis::Floor);
        assert_eq!(calibration.note().as_deref(), Some("budget not verifiable: 20 rows, 0.500 device-days"));
        assert_eq!(calibration.p_value(1.0), 1.0 / 21.0);
        assert!(even(20).iter().all(|&score| !calibration.alerts(score)) && calibration.alerts(1.0));
    }

    #[test]
    fn a_long_tail_reaches_beyond_the_held_back_rows() {
        let mut random = Random::new(2);
        // Exponential excesses: the probability beyond s is exp(-20 (s - 0.3)).
        let scores: Vec<f32> =
            (0..5_000).map(|_| (0.3 - (1.0 - random.unit()).ln() / 20.0) as f32).filter(|&score| score < 1.0).collect();
        let calibration = fit(&scores, 3.5, 1.0);
        assert_eq!(calibration.basis(), Basis::Tail);
        let largest = scores.iter().copied().fold(0.0, f32::max);
        assert!(calibration.threshold() > largest && calibration.budget_is_verifiable());
        let beyond = [largest + 0.01, largest + 0.05, 1.0].map(|score| calibration.p_value(score));
        assert!(beyond.is_sorted_by(|a, b| a >= b) && beyond[2] < 1.0 / 5_001.0 && beyond[2] > 0.0);
    }

    #[test]
    fn thinning_keeps_the_largest_and_the_shape() {
        let calibration = fit(&even(3 * MAX_SCORES), 7.0, 1.0);
        assert_eq!((calibration.scores.len(), calibration.rows), (MAX_SCORES, 3 * MAX_SCORES as u64));
        assert_eq!(calibration.scores.last(), even(3 * MAX_SCORES).last());
        assert!((calibration.p_value(0.25) - 0.75).abs() < 1e-5);
    }

    proptest! {
        #[test]
        fn p_values_fall_as_scores_rise_and_the_largest_seen_are_few(
            scores in proptest::collection::vec(0.0f32..1.0, 1..3_000),
            device_days in 0.01f64..100.0,
            budget in 0.01f64..100.0,
        ) {
            let calibration = fit(&scores, device_days, budget);
            prop_assert_eq!(calibration.validate(), Ok(()));
            let p_values: Vec<_> = (0..=100).map(|step| calibration.p_value(step as f32 / 100.0)).collect();
            prop_assert!(p_values.is_sorted_by(|a, b| a >= b) && p_values.iter().all(|p| *p > 0.0 && *p <= 1.0));
            let alerting = scores.iter().filter(|&&score| calibration.alerts(score)).count();
            prop_assert!(alerting as f64 <= budget * device_days / 7.0);
        }
    }

    #[test]
    fn nothing_to_calibrate_on_is_refused() {
        let fit = |scores: &[f32], device_days, budget| {
            Calibration::fit(HeldBack { scores, alerts: None, device_days }, budget).unwrap_err()
        };
        assert_eq!(fit(&[f32::NAN], 1.0, 1.0), CalibrationError::NoScores);
        assert_eq!(fit(&[0.5], 0.0, 1.0), CalibrationError::DeviceDays(0.0));
        assert_eq!(fit(&[0.5], 1.0, f64::INFINITY), CalibrationError::Budget(f64::INFINITY));
    }
}
