//! How well scores tell two classes apart.
//!
//! `positive` marks the rows to be found (malicious); higher scores should belong to them. Rows with the score NaN were not
//! evaluated and are left out: count them beside the figure.

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties counting half.
/// `None` unless there are rows of both classes.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn roc_auc(scores: &[f32], positive: &[bool]) -> Option<f64> {
    let (mut above, mut negatives, mut positives) = (0.0, 0.0, 0.0);
    // From the lowest score up: every positive stands above the negatives so far and beside those of its own score.
    for (_, group) in groups(scores, positive, f32::total_cmp) {
        above += group.positives * (negatives + group.negatives / 2.0);
        negatives += group.negatives;
        positives += group.positives;
    }
    (negatives > 0.0 && positives > 0.0).then(|| above / (negatives * positives))
}

/// Area under the precision-recall curve as average precision: precision at each score, weighted by the recall gained there,
/// without interpolation (as scikit-learn's `average_precision_score`). `None` unless there is a positive row.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn pr_auc(scores: &[f32], positive: &[bool]) -> Option<f64> {
    let (mut found, mut alerted, mut area) = (0.0, 0.0, 0.0);
    for (_, group) in groups(scores, positive, |a, b| b.total_cmp(a)) {
        found += group.positives;
        alerted += group.positives + group.negatives;
        area += group.positives * found / alerted;
    }
    (found > 0.0).then(|| area / found)
}

/// Rows by what they are and what was said of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Positive rows at or above the threshold.
    pub true_positives: u64,
    /// Negative rows at or above the threshold.
    pub false_positives: u64,
    /// Negative rows below it.
    pub true_negatives: u64,
    /// Positive rows below it.
    pub false_negatives: u64,
    /// Rows without a score.
    pub not_evaluated: u64,
}

impl Confusion {
    /// Counts rows, those with a score of at least `threshold` as alerted.
    ///
    /// # Panics
    /// When the slices differ in length.
    #[must_use]
    pub fn at(threshold: f32, scores: &[f32], positive: &[bool]) -> Self {
        assert_eq!(scores.len(), positive.len(), "every score has its label");
        let mut counts = Self::default();
        for (&score, &positive) in scores.iter().zip(positive) {
            *match (score >= threshold, positive) {
                _ if score.is_nan() => &mut counts.not_evaluated,
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            } += 1;
        }
        counts
    }

    /// Share of the alerted rows that are positive; `None` when none is alerted.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.false_positives)
    }

    /// Share of the positive rows that are alerted; `None` when there are none.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.false_negatives)
    }

    /// Share of the negative rows that are alerted; `None` when there are none.
    #[must_use]
    pub fn false_positive_rate(&self) -> Option<f64> {
        share(self.false_positives, self.true_negatives)
    }

    /// Harmonic mean of precision and recall; `None` when there is neither a positive nor an alerted row.
    #[must_use]
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.true_positives, self.false_positives + self.false_negatives)
    }

    /// Share of rows judged right; `None` when there are none. Says little where one class is rare.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        share(self.true_positives + self.true_negatives, self.false_positives + self.false_negatives)
    }
}

fn share(part: u64, others: u64) -> Option<f64> {
    let whole = part + others;
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Rows of one score.
#[derive(Default)]
struct Group {
    positives: f64,
    negatives: f64,
}

/// The rows with equal scores together, in the given order of scores.
fn groups(scores: &[f32], positive: &[bool], order: impl Fn(&f32, &f32) -> std::cmp::Ordering) -> Vec<(f32, Group)> {
    assert_eq!(scores.len(), positive.len(), "every score has its label");
    let mut rows: Vec<_> = scores.iter().copied().zip(positive).filter(|(score, _)| !score.is_nan()).collect();
    rows.sort_unstable_by(|a, b| order(&a.0, &b.0));
    let mut groups: Vec<(f32, Group)> = Vec::new();
    for (score, &positive) in rows {
        if groups.last().is_none_or(|(last, _)| *last != score) {
            groups.push((score, Group::default()));
        }
        let group = &mut groups.last_mut().expect("a group was just pushed").1;
        *if positive { &mut group.positives } else { &mut group.negatives } += 1.0;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_areas_are_those_of_scikit_learn() {
        // roc_auc_score and average_precision_score of scikit-learn 1.9.1 for the same rows.
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9, 0.2, 0.8];
        let positive = [false, false, true, true, true, true, false, false];
        assert!((roc_auc(&scores, &positive).unwrap() - 0.75).abs() < 1e-12);
        assert!((pr_auc(&scores, &positive).unwrap() - 0.733_333_333_333_333_3).abs() < 1e-12);
    }

    #[test]
    fn perfect_useless_and_absent_scores() {
        assert_eq!(roc_auc(&[0.1, 0.2, 0.3], &[false, false, true]), Some(1.0));
        assert_eq!(roc_auc(&[0.5, 0.5, 0.5], &[false, false, true]), Some(0.5));
        assert_eq!(roc_auc(&[0.5, f32::NAN], &[false, true]), None);
        assert_eq!(pr_auc(&[0.5], &[false]), None);
        assert_eq!(pr_auc(&[0.5, f32::NAN, 0.7], &[false, false, true]), Some(1.0));
    }

    #[test]
    fn the_confusion_counts_every_row_once() {
        let scores = [0.9, 0.9, 0.1, 0.1, 0.5, f32::NAN];
        let confusion = Confusion::at(0.5, &scores, &[true, false, true, false, true, true]);
        let expected = Confusion {
            true_positives: 2,
            false_positives: 1,
            true_negatives: 1,
            false_negatives: 1,
            not_evaluated: 1,
        };
        assert_eq!(confusion, expected);
        assert_eq!(confusion.precision(), Some(2.0 / 3.0));
        assert_eq!(confusion.recall(), Some(2.0 / 3.0));
        assert_eq!(confusion.f1(), Some(2.0 / 3.0));
        assert_eq!(confusion.false_positive_rate(), Some(0.5));
        assert_eq!(confusion.accuracy(), Some(0.6));
        assert_eq!(Confusion::default().precision(), None);
    }
}
