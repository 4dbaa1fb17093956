//! Why a row scores as it does.
//!
//! Each split on a row's way through a tree changes how deep a row that comes this far is to be expected to end: from the
//! mean depth of the sample's rows at the split to that of the child the row goes to. That change belongs to the column
//! compared (Saabas, 2014, for regression trees). Summed over a way the changes are exactly the mean depth of the rows learnt
//! from less the depth of this row, so nothing is lost or invented; the sum is then shared out in the unit of the score.

use super::{IsolationForest, Node, WidthMismatch, expected_depth};

/// The score of one row taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Score of the row.
    pub score: f32,
    /// Score of a row that ends at the mean depth of the rows learnt from.
    pub usual_score: f32,
    /// One entry per column, largest amount first (equal ones in column order). The amounts add up to `score - usual_score`.
    pub contributions: Vec<Contribution>,
}

/// What one column adds to the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// Index of the column.
    pub column: usize,
    /// Share of the score's excess, in the unit of the score; negative where the value speaks for a usual row.
    pub amount: f32,
}

impl Explanation {
    /// The same with columns that encode one feature added up; `feature_of_column` names the feature of each column.
    ///
    /// # Panics
    /// When `feature_of_column` is shorter than the row.
    #[must_use]
    pub fn by_feature(&self, feature_of_column: &[usize]) -> Vec<Contribution> {
        let features = feature_of_column.iter().max().map_or(0, |last| last + 1);
        let mut amounts = vec![0.0; features];
        for contribution in &self.contributions {
            amounts[feature_of_column[contribution.column]] += contribution.amount;
        }
        largest_first(amounts)
    }
}

impl IsolationForest {
    /// Takes the score of `row` apart. A row with a NaN has no score and no contributions. O(trees × nodes): for the rows that
    /// someone reads about, not for all.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the row has another width than the forest was trained on.
    pub fn explain(&self, row: &[f32]) -> Result<Explanation, WidthMismatch> {
        if row.len() != self.width {
            return Err(WidthMismatch { expected: self.width, found: row.len() });
        }
        let mut credit = vec![0.0; self.width];
        let (mut usual, mut depth) = (0.0, 0.0);
        for tree in &self.trees {
            let means = tree.mean_depths();
            let mut node = 0;
            while let Node::Split { column, threshold, right } = tree.nodes()[node] {
                let child = if row[usize::from(column)] <= threshold { node + 1 } else { right as usize };
                credit[usize::from(column)] += means[node] - means[child];
                node = child;
            }
            usual += means[0];
            depth += means[node];
        }
        let unit = -1.0 / (self.trees.len() as f64 * expected_depth(self.sample));
        let usual_score = (usual * unit).exp2();
        let has_nan = row.iter().any(|value| value.is_nan());
        let score = if has_nan { f64::NAN } else { (depth * unit).exp2() };
        // Score units per unit of depth; its limit where the row is exactly as deep as usual.
        let gained = usual - depth;
        let scale =
            if gained == 0.0 { -usual_score * unit * std::f64::consts::LN_2 } else { (score - usual_score) / gained };
        let amounts = if has_nan { Vec::new() } else { credit.iter().map(|credit| (credit * scale) as f32).collect() };
        Ok(Explanation { score: score as f32, usual_score: usual_score as f32, contributions: largest_first(amounts) })
    }

    /// The value of `column` nearest to the one in `row`, on the way to `usual`, with which `row` would score below
    /// `threshold`, all else equal; `None` when no value up to `usual` does. The score changes only at the forest's own
    /// thresholds, so these and `usual` are all there is to try.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the row has another width than the forest was trained on.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn nearest_value_below(
        &self,
        row: &[f32],
        column: usize,
        usual: f32,
        threshold: f32,
    ) -> Result<Option<f32>, WidthMismatch> {
        assert!(column < self.width, "the column is one of the model's");
        let mut candidates = self.steps_between(row.get(column).copied().unwrap_or(usual), usual, column);
        candidates.push(usual);
        let mut rows = crate::Matrix::new(row.len().max(1));
        let mut scores = Vec::new();
        for candidates in candidates.chunks(CANDIDATES_AT_ONCE) {
            rows.clear();
            scores.clear();
            for &candidate in candidates {
                rows.push(row);
                let last = rows.len() - 1;
                rows.row_mut(last)[column] = candidate;
            }
            self.score_into(rows.view(), &mut scores)?;
            if let Some(found) = scores.iter().position(|&score| score < threshold) {
                return Ok(Some(candidates[found]));
            }
        }
        Ok(None)
    }

    /// One value from each stretch between thresholds of `column` that lies between `value` and `usual`: the one nearest to
    /// `value`, nearest stretch first.
    fn steps_between(&self, value: f32, usual: f32, column: usize) -> Vec<f32> {
        let mut steps: Vec<f32> = (self.trees.iter().flat_map(super::Tree::nodes))
            .filter_map(|node| match *node {
                Node::Split { column: of, threshold, .. } if usize::from(of) == column => Some(threshold),
                _ => None,
            })
            .filter_map(|threshold| {
                if usual <= threshold && threshold < value {
                    Some(threshold)
                } else if value <= threshold && threshold < usual {
                    Some(threshold.next_up())
                } else {
                    None
                }
            })
            .collect();
        steps.sort_unstable_by(f32::total_cmp);
        steps.dedup();
        if usual < value {
            steps.reverse();
        }
        steps
    }
}

/// Rows built at once when looking for a value: bounds the memory.
const CANDIDATES_AT_ONCE: usize = 256;

fn largest_first(amounts: Vec<f32>) -> Vec<Contribution> {
    let mut contributions: Vec<_> =
        amounts.into_iter().enumerate().map(|(column, amount)| Contribution { column, amount }).collect();
    contributions.sort_by(|a, b| b.amount.total_cmp(&a.amount));
    contributions
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use crate::Rows;

    #[test]
    fn contributions_add_up_to_the_excess() {
        let matrix = tests::cloud(2_000, 6, 1);
        let forest = tests::train(&matrix, 1);
        for row in matrix.view().iter().step_by(199) {
            let explanation = forest.explain(row).unwrap();
            let sum: f32 = explanation.contributions.iter().map(|contribution| contribution.amount).sum();
            assert!((sum - (explanation.score - explanation.usual_score)).abs() < 1e-5);
            let mut score = Vec::new();
            forest.score_into(Rows::new(6, row).unwrap(), &mut score).unwrap();
            assert!((score[0] - explanation.score).abs() < 1e-5);
        }
    }

    #[test]
    fn the_strange_column_comes_first() {
        let matrix = tests::cloud(3_000, 8, 2);
        let forest = tests::train(&matrix, 2);
        for column in 0..8 {
            for strange in [-9.0, 30.0] {
                let mut row = [2.0; 8];
                row[column] = strange;
                let explanation = forest.explain(&row).unwrap();
                assert_eq!(explanation.contributions[0].column, column);
                assert!(explanation.contributions[0].amount > 0.0);
                assert!(explanation.contributions.is_sorted_by(|a, b| a.amount >= b.amount));
            }
        }
    }

    #[test]
    fn columns_of_one_feature_are_added_up() {
        let matrix = tests::cloud(1_000, 3, 3);
        let explanation = tests::train(&matrix, 3).explain(&[2.0, 9.0, 2.0]).unwrap();
        let by_feature = explanation.by_feature(&[0, 1, 1]);
        assert_eq!((by_feature.len(), by_feature[0].column), (2, 1));
        let sum: f32 = by_feature.iter().map(|contribution| contribution.amount).sum();
        assert!((sum - (explanation.score - explanation.usual_score)).abs() < 1e-5);
    }

    #[test]
    fn a_row_with_a_nan_has_no_contributions() {
        let explanation = tests::train(&tests::cloud(500, 2, 4), 4).explain(&[f32::NAN, 1.0]).unwrap();
        assert!(explanation.score.is_nan() && explanation.contributions.is_empty());
    }

    #[test]
    fn the_value_that_would_not_have_alerted_is_the_nearest_that_does_not() {
        let matrix = tests::cloud(3_000, 4, 5);
        let forest = tests::train(&matrix, 5);
        let score = |row: [f32; 4]| {
            let mut scores = Vec::new();
            forest.score_into(Rows::new(4, &row).unwrap(), &mut scores).unwrap();
            scores[0]
        };
        let usual = score([2.0; 4]);
        for strange in [-5.0, 12.0] {
            let row = [2.0, strange, 2.0, 2.0];
            let threshold = (score(row) + usual) / 2.0;
            let found = forest.nearest_value_below(&row, 1, 2.0, threshold).unwrap().unwrap();
            assert!(score([2.0, found, 2.0, 2.0]) < threshold);
            let back = if strange < 2.0 { found.next_down() } else { found.next_up() };
            assert!(score([2.0, back, 2.0, 2.0]) >= threshold);
        }
    }

    #[test]
    fn no_single_value_may_suffice() {
        let matrix = tests::cloud(3_000, 4, 6);
        let forest = tests::train(&matrix, 6);
        let usual = forest.explain(&[2.0; 4]).unwrap().score;
        assert_eq!(forest.nearest_value_below(&[30.0; 4], 0, 2.0, usual), Ok(None));
    }
}
