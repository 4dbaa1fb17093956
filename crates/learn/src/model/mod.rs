//! What training leaves behind: an algorithm, its calibration, and the card that says where both came from.

mod card;
mod error;
mod file;
#[cfg(test)]
mod hostile;

use std::{num::NonZeroUsize, ops::Range};

pub use card::{Input, ModelCard, SchemaId, Training};
pub use error::{FileError, ModelError};
pub use file::MAX_FILE;

use crate::{
    Calibration, ForestSettings, HeldBack, IsolationForest, Matrix, Rows,
    calibration::CalibrationError,
    forest::{Explanation, ForestError, WidthMismatch},
};

/// A trained model. Read-only: any number of threads score with one.
#[derive(Clone, Debug)]
pub struct Model {
    card: ModelCard,
    algorithm: Algorithm,
    usual: Vec<f32>,
    calibration: Calibration,
}

/// How a model scores. Every algorithm scores rows in `0.0..=1.0`, 1 most unusual.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Algorithm {
    /// Rows that random splits set apart early.
    IsolationForest(IsolationForest),
}

/// Rows to learn from, and rows to calibrate on that came after them.
#[derive(Clone, Copy, Debug)]
pub struct Baseline<'a> {
    /// Rows to learn from.
    pub rows: Rows<'a>,
    /// Rows held back: by rule the last quarter by time, of whole flows.
    pub held_back: Rows<'a>,
    /// See [`HeldBack::alerts`].
    pub alerts: Option<&'a [u64]>,
    /// See [`HeldBack::device_days`].
    pub device_days: f64,
}

/// Why no model came of a baseline.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The forest did not grow.
    #[error(transparent)]
    Forest(#[from] ForestError),
    /// The rows held back do not fit.
    #[error("held-back rows: {0}")]
    HeldBack(#[from] WidthMismatch),
    /// The calibration failed.
    #[error("calibration: {0}")]
    Calibration(#[from] CalibrationError),
    /// The card describes other rows.
    #[error("the model card names {names} columns, the rows have {width}")]
    Columns {
        /// Columns the card names.
        names: usize,
        /// Columns of the rows.
        width: usize,
    },
}

impl Model {
    /// Grows an isolation forest on `baseline.rows`, calibrates it on `baseline.held_back` for `budget` alerts per device and
    /// week, and fills in the card's row counts, seed and settings. The result depends on the rows, their order, the settings
    /// and the budget only.
    ///
    /// # Errors
    /// [`TrainError`] when there are too few rows or values that are not finite, or no exposure to calibrate on.
    pub fn train(
        mut card: ModelCard,
        baseline: Baseline<'_>,
        settings: ForestSettings,
        budget: f64,
        threads: NonZeroUsize,
    ) -> Result<Self, TrainError> {
        let width = baseline.rows.width();
        if card.columns.len() != width {
            return Err(TrainError::Columns { names: card.columns.len(), width });
        }
        let forest = IsolationForest::train(baseline.rows, settings, threads)?;
        let mut scores = Vec::new();
        forest.score_into(baseline.held_back, &mut scores)?;
        let held_back = HeldBack { scores: &scores, alerts: baseline.alerts, device_days: baseline.device_days };
        let calibration = Calibration::fit(held_back, budget)?;
        card.training.rows = baseline.rows.len() as u64;
        card.training.rows_held_back = baseline.held_back.len() as u64;
        card.training.seed = settings.seed;
        card.training.metrics.extend(held_back_metrics(&scores, &calibration));
        card.training.settings.extend(
            [("trees", settings.trees), ("sample", settings.sample)]
                .map(|(name, value)| (name.into(), value.to_string())),
        );
        Ok(Self { card, algorithm: Algorithm::IsolationForest(forest), usual: medians(baseline.rows), calibration })
    }

    /// Where the model came from.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// How it scores.
    #[must_use]
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// What its scores mean.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The median of each column over the rows learnt from (of more than 4,096, over as many evenly spaced ones).
    #[must_use]
    pub fn usual(&self) -> &[f32] {
        &self.usual
    }

    /// Columns of the rows it scores.
    #[must_use]
    pub fn width(&self) -> usize {
        self.usual.len()
    }

    /// Appends one score per row to `scores`; returns how many rows were not evaluated (a NaN in, a NaN out). See
    /// [`IsolationForest::score_into`].
    ///
    /// # Errors
    /// [`WidthMismatch`] when the rows have another width than the model was trained on; `scores` is then untouched.
    pub fn score_into(&self, rows: Rows<'_>, scores: &mut Vec<f32>) -> Result<usize, WidthMismatch> {
        match &self.algorithm {
            Algorithm::IsolationForest(forest) => forest.score_into(rows, scores),
        }
    }

    /// How likely traffic like the baseline scores at least `score`. See [`Calibration::p_value`].
    #[must_use]
    pub fn p_value(&self, score: f32) -> f64 {
        self.calibration.p_value(score)
    }

    /// The least score that alerts.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.calibration.threshold()
    }

    /// What each column adds to the score of `row`, largest first.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the row has another width than the model was trained on.
    pub fn explain(&self, row: &[f32]) -> Result<Explanation, WidthMismatch> {
        match &self.algorithm {
            Algorithm::IsolationForest(forest) => forest.explain(row),
        }
    }

    /// The value of `column` nearest to the one in `row`, towards the usual one, with which `row` would not have alerted;
    /// `None` when no single value of that column suffices.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the row has another width than the model was trained on.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn would_not_alert(&self, row: &[f32], column: usize) -> Result<Option<f32>, WidthMismatch> {
        let usual = self.usual[column];
        match &self.algorithm {
            Algorithm::IsolationForest(forest) => forest.nearest_value_below(row, column, usual, self.threshold()),
        }
    }

    /// The same for a feature written as one column per class: the column of the class with which `row` would score lowest, if
    /// it would not have alerted with that.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the row has another width than the model was trained on.
    ///
    /// # Panics
    /// When `columns` reaches beyond the model's.
    pub fn class_that_would_not_alert(
        &self,
        row: &[f32],
        columns: Range<usize>,
    ) -> Result<Option<usize>, WidthMismatch> {
        if row.len() != self.width() {
            return Err(WidthMismatch { expected: self.width(), found: row.len() });
        }
        let mut rows = Matrix::new(row.len());
        for class in columns.clone() {
            let changed = rows.push_zeros();
            changed.copy_from_slice(row);
            changed[columns.clone()].fill(0.0);
            changed[class] = 1.0;
        }
        let mut scores = Vec::new();
        self.score_into(rows.view(), &mut scores)?;
        let lowest = columns.zip(scores).min_by(|a, b| a.1.total_cmp(&b.1));
        Ok(lowest.filter(|&(_, score)| score < self.threshold()).map(|(class, _)| class))
    }
}

/// What the scores of the rows held back say of the model.
fn held_back_metrics(scores: &[f32], calibration: &Calibration) -> Vec<(String, f64)> {
    let mut sorted: Vec<f32> = scores.iter().copied().filter(|score| !score.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| f64::from(sorted[((sorted.len() - 1) as f64 * share) as usize]);
    let alerting = sorted.iter().filter(|&&score| calibration.alerts(score)).count() as f64;
    let metrics = [
        ("held-back rows: median score", at(0.5)),
        ("held-back rows: 99th percentile of scores", at(0.99)),
        ("held-back rows: largest score", at(1.0)),
        ("held-back rows: share at or above the threshold", alerting / sorted.len() as f64),
        ("held-back rows: not evaluated", (scores.len() - sorted.len()) as f64),
    ];
    metrics.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The median of each column.
fn medians(rows: Rows<'_>) -> Vec<f32> {
    const ENOUGH: usize = 4_096;
    let step = rows.len().div_ceil(ENOUGH).max(1);
    let mut values = Vec::new();
    (0..rows.width())
        .map(|column| {
            values.clear();
            values.extend((0..rows.len()).step_by(step).map(|row| rows.row(row)[column]));
            let middle = values.len() / 2;
            *values.select_nth_unstable_by(middle, f32::total_cmp).1
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Random;

    pub(crate) fn card(width: usize) -> ModelCard {
        let schema = SchemaId { name: "example".to_owned(), version: 1, hash: [7; 32] };
        let columns = (0..width).map(|column| format!("column {column}")).collect();
        let training = Training { program: "lapwing 0.1.0".to_owned(), ..Training::default() };
        ModelCard { schema, columns, training }
    }

    pub(crate) fn model() -> Model {
        let mut random = Random::new(5);
        let values = (0..3 * 2_000).map(|_| (0..6).map(|_| random.unit() as f32).sum()).collect();
        let matrix = Matrix::from_values(3, values).unwrap();
        let (rows, held_back) = matrix.view().split_at(1_500);
        let baseline = Baseline { rows, held_back, alerts: None, device_days: 14.0 };
        let settings = ForestSettings { trees: 20, ..ForestSettings::default() };
        Model::train(card(3), baseline, settings, 5.0, NonZeroUsize::MIN).unwrap()
    }

    #[test]
    fn a_trained_model_scores_explains_and_says_what_would_do() {
        let model = model();
        let row = [3.0, 9.0, 3.0];
        let mut scores = Vec::new();
        assert_eq!(model.score_into(Rows::new(3, &row).unwrap(), &mut scores), Ok(0));
        assert!(model.calibration().alerts(scores[0]) && model.p_value(scores[0]) < 0.02);
        assert_eq!(model.explain(&row).unwrap().contributions[0].column, 1);
        let value = model.would_not_alert(&row, 1).unwrap().unwrap();
        assert!(value > 3.0 && value < 6.0, "{value}");
    }

    #[test]
    fn a_strange_class_names_the_one_that_would_not_have_alerted() {
        let mut random = Random::new(6);
        let mut matrix = Matrix::new(4);
        for _ in 0..2_000 {
            let class = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3][random.below(10)];
            let row = matrix.push_zeros();
            row[0] = (0..6).map(|_| random.unit() as f32).sum();
            row[class] = 1.0;
        }
        let (rows, held_back) = matrix.view().split_at(1_500);
        let baseline = Baseline { rows, held_back, alerts: None, device_days: 14.0 };
        let model = Model::train(card(4), baseline, ForestSettings::default(), 5.0, NonZeroUsize::MIN).unwrap();
        let instead = |value| model.class_that_would_not_alert(&[value, 0.0, 0.0, 1.0], 1..4).unwrap();
        assert_eq!((instead(4.5), instead(90.0)), (Some(1), None));
    }

    #[test]
    fn medians_are_usual_values() {
        assert!(model().usual().iter().all(|usual| (2.9..3.1).contains(usual)));
    }

    #[test]
    fn a_card_of_other_columns_is_refused() {
        let rows = Rows::new(2, &[1.0; 20]).unwrap();
        let baseline = Baseline { rows, held_back: rows, alerts: None, device_days: 1.0 };
        let refused = Model::train(card(3), baseline, ForestSettings::default(), 1.0, NonZeroUsize::MIN);
        assert_eq!(refused.unwrap_err(), TrainError::Columns { names: 3, width: 2 });
    }
}
