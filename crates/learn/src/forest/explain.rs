//! Why a row scores as it does.
//!
//! Each split on a row's way through a tree changes how deep a row that comes this far is to be expected to end: from the
//! mean depth of the sample's rows at the split to that of the child the row goes to. That change belongs to the column
//! compared (Saabas, 2014, for regression trees). Summed over a way the changes are exactly the mean depth of the rows learnt
//! from less the depth of this row, so nothing is lost or invented; the sum is then shared out in the unit of the score.

use super::{IsolationForest, Node, WidthMismatch, expected_depth};
use crate::Rows;

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
    /// Takes the score of `row` apart. A row with a NaN has no score and no contributions. O(trees × depth), some microseconds.
    ///
    /// # Errors
    /// [`WidthMismatch`] when the row has another width than the forest was trained on.
    pub fn explain(&self, row: &[f32]) -> Result<Explanation, WidthMismatch> {
        if row.len() != self.width {
            return Err(WidthMismatch { expected: self.width, found: row.len() });
        }
        let mut credit = vec![0.0; self.width];
        let (mut usual, mut depth) = (0.0, 0.0);
        for (tree, means) in self.trees.iter().zip(&self.mean_depths) {
            let mut node = 0;
            while let Node::Split { column, threshold, right } = tree.nodes()[node] {
                let child = if row[usize::from(column)] <= threshold { node + 1 } else { right as usize };
                credit[usize::from(column)] += f64::from(means[node]) - f64::from(means[child]);
                node = child;
            }
            usual += f64::from(means[0]);
            depth += f64::from(means[node]);
        }
        let unit = self.exponent();
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
    /// `threshold`, all else equal; `None` when no value up to `usual` does. The score changes only where the forest has
    /// thresholds, so all values are tried; some ten microseconds.
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
        if row.len() != self.width {
            return Err(WidthMismatch { expected: self.width, found: row.len() });
        }
        let value = row[column];
        if value.is_nan() {
            return Ok(None);
        }
        let Profile { bounds, depths } = self.profile(row, column);
        let candidates: Vec<(f32, f64)> = if usual < value {
            let down = bounds.iter().zip(&depths).rev().skip_while(|&(&bound, _)| bound >= value);
            down.take_while(|&(&bound, _)| bound >= usual).map(|(&bound, &depth)| (bound, depth)).collect()
        } else {
            let up = bounds.iter().zip(&depths[1..]).skip_while(|&(&bound, _)| bound < value);
            up.take_while(|&(&bound, _)| bound < usual).map(|(&bound, &depth)| (bound.next_up(), depth)).collect()
        };
        let deep_enough = f64::from(threshold).log2() / self.exponent();
        let (mut row, mut scores) = (row.to_vec(), Vec::new());
        for (candidate, depth) in candidates {
            // Scoring rounds the sum of the depths otherwise, so it has the last word.
            if depth > deep_enough * ROUNDING {
                row[column] = candidate;
                scores.clear();
                self.score_into(Rows::new(self.width, &row).expect("the row was as wide as the forest"), &mut scores)?;
                if scores[0] < threshold {
                    return Ok(Some(candidate));
                }
            }
        }
        Ok(None)
    }

    /// How deep `row` would end with other values of `column`.
    fn profile(&self, row: &[f32], column: usize) -> Profile {
        // At which value the depth changes, and by how much; the first entry holds for the least value.
        let mut changes = vec![(f32::NEG_INFINITY, 0.0)];
        let mut waiting = Vec::new();
        for (tree, means) in self.trees.iter().zip(&self.mean_depths) {
            // A node with the values that lead to it: above the first, up to the second.
            waiting.push((0, f32::NEG_INFINITY, f32::INFINITY));
            while let Some((node, above, up_to)) = waiting.pop() {
                match tree.nodes()[node] {
                    Node::Leaf { .. } => {
                        changes.push((above, f64::from(means[node])));
                        changes.push((up_to, -f64::from(means[node])));
                    }
                    Node::Split { column: compared, threshold, right } if usize::from(compared) == column => {
                        if above < threshold {
                            waiting.push((node + 1, above, up_to.min(threshold)));
                        }
                        if threshold < up_to {
                            waiting.push((right as usize, above.max(threshold), up_to));
                        }
                    }
                    Node::Split { column: compared, threshold, right } => {
                        let goes_left = row[usize::from(compared)] <= threshold;
                        waiting.push((if goes_left { node + 1 } else { right as usize }, above, up_to));
                    }
                }
            }
        }
        changes.retain(|&(at, _)| at < f32::INFINITY);
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut profile = Profile { bounds: Vec::new(), depths: Vec::new() };
        let mut depth = 0.0;
        for changes in changes.chunk_by(|a, b| a.0 == b.0) {
            depth += changes.iter().map(|(_, change)| change).sum::<f64>();
            profile.depths.push(depth);
            profile.bounds.push(changes[0].0);
        }
        profile.bounds.remove(0);
        profile
    }

    /// Score = 2^(depth summed over trees × this).
    fn exponent(&self) -> f64 {
        -1.0 / (self.trees.len() as f64 * expected_depth(self.sample))
    }
}

/// Summed depth over the value of one column: `depths[i]` for values above `bounds[i - 1]`, up to `bounds[i]`.
struct Profile {
    bounds: Vec<f32>,
    depths: Vec<f64>,
}

/// How much less than the depth wanted may suffice: more than summed depths differ for being rounded at other places.
const ROUNDING: f64 = 0.999;

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
