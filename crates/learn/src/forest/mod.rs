//! The isolation forest (Liu, Ting and Zhou, "Isolation Forest", ICDM 2008): rows that random splits set apart after few
//! steps are unusual.
//!
//! Values that are not numbers: training refuses a row with a NaN or an infinity. Scoring takes an infinity as what it is,
//! beyond every threshold; a row with a NaN gets the score NaN and is counted, so that it never passes for normal.

mod explain;
mod grow;
mod scorer;
#[cfg(target_arch = "x86_64")]
mod sweep;
mod tree;

use std::num::NonZeroUsize;

use crate::Rows;
use scorer::Scorer;

pub use explain::{Contribution, Explanation};
pub use tree::{Node, Tree, TreeError};

/// Rows wider than this are refused, so that a model file cannot ask for any amount of memory.
pub const MAX_WIDTH: usize = 1_024;
/// Most trees in a forest.
pub const MAX_TREES: usize = 10_000;
/// Most rows a tree is grown from: trees of at most 15 levels.
pub const MAX_SAMPLE: usize = 1 << 15;
/// Most cells of the scoring tables, 12 bytes each: 256 per tree for samples of up to 256 rows, 4,096 for up to 4,096, 32,768
/// for larger ones.
pub const MAX_CELLS: usize = 1 << 22;

/// How a forest is grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForestSettings {
    /// Number of trees.
    pub trees: usize,
    /// Rows that each tree is grown from, drawn without replacement; all of them when there are fewer.
    pub sample: usize,
    /// Names the forest: the same rows and seed give the same forest.
    pub seed: u64,
}

impl Default for ForestSettings {
    /// The values of the paper: 100 trees of 256 rows.
    fn default() -> Self {
        Self { trees: 100, sample: 256, seed: 0 }
    }
}

impl ForestSettings {
    /// Whether a forest can be grown so.
    ///
    /// # Errors
    /// [`ForestError::Size`] with the range that a size must lie in.
    pub fn check(&self) -> Result<(), ForestError> {
        check_sizes(1, self.trees, self.sample)
    }
}

/// A trained forest. Scoring takes `&self`: any number of threads may share one.
#[derive(Clone, Debug)]
pub struct IsolationForest {
    width: usize,
    sample: usize,
    trees: Vec<Tree>,
    /// See [`Tree::mean_depths`].
    mean_depths: Vec<Vec<f32>>,
    scorer: Scorer,
}

/// Why a forest was not grown or assembled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForestError {
    /// Too few rows to tell usual from unusual.
    #[error("{rows} rows to learn from; an isolation forest needs at least 2")]
    TooFewRows {
        /// Rows given.
        rows: usize,
    },
    /// A value that no threshold can be drawn for.
    #[error(
        "row {row}, column {column} to learn from is {value}, not a finite number; leave the row out or mend the feature"
    )]
    NotFinite {
        /// Index of the row.
        row: usize,
        /// Index of the column.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// A size outside what is supported.
    #[error("{what} is {value}; it must lie between {least} and {most}")]
    Size {
        /// Which size.
        what: &'static str,
        /// What it is.
        value: usize,
        /// Its least value.
        least: usize,
        /// Its largest value.
        most: usize,
    },
    /// A tree of a stored forest is not one.
    #[error("tree {tree}: {source}")]
    Tree {
        /// Index of the tree.
        tree: usize,
        /// What is wrong with it.
        source: TreeError,
    },
}

/// Why rows were not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rows have {found} columns, the model was trained on {expected}; extract them with the schema that the model names"
)]
pub struct WidthMismatch {
    /// Columns the model was trained on.
    pub expected: usize,
    /// Columns given.
    pub found: usize,
}

impl IsolationForest {
    /// Grows a forest from `rows` on up to `threads` threads. The forest depends on the rows, their order and the settings
    /// only, never on the number of threads.
    ///
    /// # Errors
    /// [`ForestError`] when there are under two rows, a value is not finite, or a size is out of range.
    pub fn train(rows: Rows<'_>, settings: ForestSettings, threads: NonZeroUsize) -> Result<Self, ForestError> {
        if rows.len() < 2 {
            return Err(ForestError::TooFewRows { rows: rows.len() });
        }
        let sample = settings.sample.min(rows.len());
        check_sizes(rows.width(), settings.trees, sample)?;
        check_finite(rows)?;
        let trees = grow::grow(rows, ForestSettings { sample, ..settings }, threads);
        Ok(Self::assembled(rows.width(), sample, trees))
    }

    /// Puts a stored forest together again, trusting nothing about it.
    ///
    /// # Errors
    /// [`ForestError`] when a size is out of range or a tree is malformed.
    pub fn from_trees(width: usize, sample: usize, trees: Vec<Tree>) -> Result<Self, ForestError> {
        check_sizes(width, trees.len(), sample)?;
        for (index, tree) in trees.iter().enumerate() {
            tree.validate(width, sample).map_err(|source| ForestError::Tree { tree: index, source })?;
        }
        Ok(Self::assembled(width, sample, trees))
    }

    fn assembled(width: usize, sample: usize, trees: Vec<Tree>) -> Self {
        let mean_depths = trees.iter().map(Tree::mean_depths).collect();
        Self { width, sample, mean_depths, scorer: Scorer::new(&trees, width, sample), trees }
    }

    /// Columns of the rows it scores.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows each tree was grown from.
    #[must_use]
    pub fn sample(&self) -> usize {
        self.sample
    }

    /// Its trees.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// Appends one score in `0.0..=1.0` per row to `scores`; 1 is most unusual, about 0.5 says nothing either way (equation 2
    /// of the paper). Returns how many rows hold a NaN and so got the score NaN: neither usual nor unusual, not evaluated.
    ///
    /// O(rows · trees · depth) whatever the rows are like; allocates only to grow `scores` and one block of scratch space.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the rows have another width than the forest was trained on; `scores` is then untouched.
    pub fn score_into(&self, rows: Rows<'_>, scores: &mut Vec<f32>) -> Result<usize, WidthMismatch> {
        if rows.width() != self.width {
            return Err(WidthMismatch { expected: self.width, found: rows.width() });
        }
        Ok(self.scorer.score_into(rows, scores))
    }
}

/// Expected number of steps to an absent key in a binary search tree of `rows` keys: what a leaf with that many rows adds to
/// its depth, and what the mean depth is measured against (equation 1 of the paper).
#[must_use]
pub fn expected_depth(rows: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let others = (rows - 1) as f64;
            2.0 * (others.ln() + EULER) - 2.0 * others / rows as f64
        }
    }
}

/// Levels below which a tree of `sample` rows is not split further: its expected height.
fn depth_limit(sample: usize) -> u32 {
    sample.max(2).next_power_of_two().trailing_zeros()
}

fn check_sizes(width: usize, trees: usize, sample: usize) -> Result<(), ForestError> {
    let sizes = [
        ("number of columns", width, 1, MAX_WIDTH),
        ("number of trees", trees, 1, MAX_TREES),
        ("sample of a tree", sample, 2, MAX_SAMPLE),
        (
            "number of scoring cells (trees times sample, rounded up)",
            trees.saturating_mul(scorer::cells(sample)),
            2,
            MAX_CELLS,
        ),
    ];
    match sizes.into_iter().find(|&(_, value, least, most)| value < least || value > most) {
        Some((what, value, least, most)) => Err(ForestError::Size { what, value, least, most }),
        None => Ok(()),
    }
}

fn check_finite(rows: Rows<'_>) -> Result<(), ForestError> {
    // Without an early end within a block, so that many values are looked at at once.
    let has_other = |block: &Rows<'_>| !block.values().iter().fold(true, |finite, value| finite & value.is_finite());
    for (number, block) in rows.blocks(CHECKED_AT_ONCE).enumerate().filter(|(_, block)| has_other(block)) {
        for (index, row) in block.iter().enumerate() {
            if let Some(column) = row.iter().position(|value| !value.is_finite()) {
                return Err(ForestError::NotFinite {
                    row: number * CHECKED_AT_ONCE + index,
                    column,
                    value: row[column],
                });
            }
        }
    }
    Ok(())
}

const CHECKED_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, Random};

    pub(super) fn cloud(rows: usize, width: usize, seed: u64) -> Matrix {
        let mut random = Random::new(seed);
        let values = (0..rows * width).map(|_| (0..4).map(|_| random.unit() as f32).sum()).collect();
        Matrix::from_values(width, values).unwrap()
    }

    pub(super) fn train(matrix: &Matrix, seed: u64) -> IsolationForest {
        let settings = ForestSettings { seed, ..ForestSettings::default() };
        IsolationForest::train(matrix.view(), settings, NonZeroUsize::MIN).unwrap()
    }

    fn scores(forest: &IsolationForest, rows: Rows<'_>) -> Vec<f32> {
        let mut scores = Vec::new();
        forest.score_into(rows, &mut scores).unwrap();
        scores
    }

    #[test]
    fn a_far_row_scores_above_every_row_learnt_from() {
        let matrix = cloud(2_000, 5, 1);
        let forest = train(&matrix, 1);
        let highest = scores(&forest, matrix.view()).into_iter().fold(0.0, f32::max);
        let far = scores(&forest, Rows::new(5, &[40.0; 5]).unwrap())[0];
        assert!(far > highest && far <= 1.0, "{far} against {highest}");
    }

    #[test]
    fn the_forest_depends_on_the_seed_not_on_the_threads() {
        let matrix = cloud(1_000, 4, 2);
        let settings = ForestSettings { seed: 9, ..ForestSettings::default() };
        let grown = |threads| {
            IsolationForest::train(matrix.view(), settings, NonZeroUsize::new(threads).unwrap()).unwrap().trees
        };
        assert_eq!(grown(1), grown(2));
        assert_eq!(grown(1), grown(7));
        assert_ne!(grown(1), train(&matrix, 10).trees);
    }

    #[test]
    fn a_row_alone_scores_as_in_any_batch() {
        let matrix = cloud(1_000, 6, 3);
        let forest = train(&matrix, 3);
        let together = scores(&forest, matrix.view());
        for (index, row) in matrix.view().iter().enumerate().step_by(97) {
            assert_eq!(scores(&forest, Rows::new(6, row).unwrap())[0].to_bits(), together[index].to_bits());
        }
    }

    #[test]
    fn other_widths_are_refused_and_leave_the_scores_alone() {
        let forest = train(&cloud(300, 4, 4), 4);
        let mut scores = vec![0.25];
        let refused = forest.score_into(Rows::new(3, &[0.0; 3]).unwrap(), &mut scores);
        assert_eq!(refused, Err(WidthMismatch { expected: 4, found: 3 }));
        assert_eq!(scores, [0.25]);
    }

    #[test]
    fn a_row_with_a_nan_is_not_evaluated_and_infinities_are_extreme() {
        let matrix = cloud(1_000, 2, 5);
        let forest = train(&matrix, 5);
        let mut given = Vec::new();
        let odd = [2.0, f32::NAN, 2.0, f32::INFINITY, 2.0, f32::MAX, 2.0, 2.0];
        assert_eq!(forest.score_into(Rows::new(2, &odd).unwrap(), &mut given), Ok(1));
        assert!(given[0].is_nan() && !given[3].is_nan());
        assert_eq!(given[1], given[2]);
        assert!(given[1] > given[3]);
    }

    #[test]
    fn training_refuses_what_it_cannot_learn_from() {
        let train = |width, values: &[f32]| {
            let rows = Rows::new(width, values).unwrap();
            IsolationForest::train(rows, ForestSettings::default(), NonZeroUsize::MIN).unwrap_err()
        };
        assert_eq!(train(2, &[1.0, 2.0]), ForestError::TooFewRows { rows: 1 });
        let mut values = [1.0; 2 * 200];
        values[2 * 150 + 1] = f32::INFINITY;
        assert!(matches!(train(2, &values), ForestError::NotFinite { row: 150, column: 1, .. }));
        assert!(matches!(train(2_000, &[0.0; 4_000]), ForestError::Size { what: "number of columns", .. }));
    }

    #[test]
    fn rows_all_alike_score_one_half() {
        let forest = train(&Matrix::from_values(3, vec![7.0; 900]).unwrap(), 6);
        assert!((scores(&forest, Rows::new(3, &[9.0; 3]).unwrap())[0] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn expected_depth_follows_the_paper() {
        assert_eq!([expected_depth(0), expected_depth(1), expected_depth(2)], [0.0, 0.0, 1.0]);
        assert!((expected_depth(256) - 10.244_770_920_116_851).abs() < 1e-9);
    }
}
