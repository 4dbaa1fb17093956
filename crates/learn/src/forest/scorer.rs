//! Scores rows in batches.
//!
//! Every tree is laid out as a perfect binary tree, breadth-first from index 1: the children of node `i` are `2i` and
//! `2i + 1`, so a step is one comparison and no branch, and eight rows step in turn so that the processor overlaps their
//! loads. Floats are compared as whole numbers that sort alike, because comparing those sets the carry that the step adds.
//! A node is one 64-bit word: the column in the top bits, the threshold in the low 32.
//!
//! Where the processor can compare many rows at once, `sweep` takes all but the last few rows; the scores are the same, bit
//! for bit.

#[cfg(target_arch = "x86_64")]
use super::sweep::Sweep;
use super::{Node, Tree, depth_limit, expected_depth};
use crate::Rows;

/// Rows scored against one tree before the next: the rows and a tree together stay in the first-level cache.
const BLOCK: usize = 64;
/// Rows that step through a tree in turn: as many as there are registers for.
const LANES: usize = 8;
/// Cells of a tree of the default sample of 256 rows.
const SMALL: usize = 1 << 8;
const MEDIUM: usize = 1 << 12;
const LARGE: usize = 1 << 15;

/// Cells of a tree grown from `sample` rows: a power of two that there is code for, at least 2^levels.
pub(super) fn cells(sample: usize) -> usize {
    match depth_limit(sample) {
        0..=8 => SMALL,
        9..=12 => MEDIUM,
        _ => LARGE,
    }
}

/// A forest laid out for scoring.
#[derive(Clone, Debug)]
pub(super) struct Scorer {
    width: usize,
    /// Columns of a scratch row: `width` rounded up to a power of two that there is code for.
    stride: usize,
    /// Cells per tree.
    cells: usize,
    /// Nodes of all trees; the first cell of a tree is unused.
    nodes: Vec<u64>,
    /// What a row that ends in a cell of the last level adds to its depth, for all trees.
    leaves: Vec<f32>,
    /// Score = 2^(depth summed over trees × this).
    exponent: f32,
    #[cfg(target_arch = "x86_64")]
    sweep: Option<Sweep>,
}

impl Scorer {
    /// Lays out `trees`, which must be valid for `width` and `sample`.
    pub(super) fn new(trees: &[Tree], width: usize, sample: usize) -> Self {
        let stride = width.next_power_of_two().max(16);
        let stride = if stride > 128 { super::MAX_WIDTH } else { stride };
        let cells = cells(sample);
        // Samples are of at least two rows, so that the expected depth is at least one.
        let exponent = (-1.0 / (trees.len() as f64 * expected_depth(sample))) as f32;
        let mut scorer = Self {
            width,
            stride,
            cells,
            nodes: vec![u64::from(u32::MAX); trees.len() * cells],
            leaves: vec![0.0; trees.len() * cells],
            exponent,
            #[cfg(target_arch = "x86_64")]
            sweep: Sweep::new(trees, sample),
        };
        for (index, tree) in trees.iter().enumerate() {
            scorer.lay_out(index * cells, tree.nodes());
        }
        scorer
    }

    fn lay_out(&mut self, base: usize, nodes: &[Node]) {
        let levels = self.cells.trailing_zeros();
        let shift = 64 - self.stride.trailing_zeros();
        // Every node with its level and its place in the perfect tree.
        let mut waiting = vec![(0, 0, 1)];
        while let Some((node, level, place)) = waiting.pop() {
            match nodes[node] {
                Node::Split { column, threshold, right } => {
                    self.nodes[base + place] = (u64::from(column) << shift) | u64::from(sort_key(threshold + 0.0));
                    waiting.push((node + 1, level + 1, 2 * place));
                    waiting.push((right as usize, level + 1, 2 * place + 1));
                }
                // The cells below stay as they are, with a threshold above every key, so that the way leads left.
                Node::Leaf { rows } => {
                    let cell = (place << (levels - level)) - self.cells;
                    self.leaves[base + cell] = (f64::from(level) + expected_depth(rows as usize)) as f32;
                }
            }
        }
    }

    /// Appends a score per row; returns how many rows hold a NaN and got NaN.
    pub(super) fn score_into(&self, rows: Rows<'_>, scores: &mut Vec<f32>) -> usize {
        scores.reserve(rows.len());
        #[cfg(target_arch = "x86_64")]
        let (swept, rows) = self.sweep_into(rows, scores);
        #[cfg(not(target_arch = "x86_64"))]
        let swept = 0;
        swept + self.walk_into(rows, scores)
    }

    /// Scores as many of the first rows as the sweep is good for; returns how many got NaN, and the rest.
    #[cfg(target_arch = "x86_64")]
    fn sweep_into<'a>(&self, rows: Rows<'a>, scores: &mut Vec<f32>) -> (usize, Rows<'a>) {
        /// Rows of a block for which the sweep takes as long as walking them.
        const WORTH_A_BLOCK: usize = 32;
        let Some(sweep) = &self.sweep else { return (0, rows) };
        let mut not_evaluated = 0;
        let mut finish = |block: Rows<'_>, depths: &[f32]| not_evaluated += self.finish(block, depths, scores);
        let (wide, rest) = rows.split_at(rows.len() - rows.len() % 128);
        sweep.depths::<4>(wide, &mut finish);
        let over = rest.len() % 64;
        let (narrow, rest) = rest.split_at(if over < WORTH_A_BLOCK { rest.len() - over } else { rest.len() });
        sweep.depths::<2>(narrow, &mut finish);
        (not_evaluated, rest)
    }

    fn walk_into(&self, rows: Rows<'_>, scores: &mut Vec<f32>) -> usize {
        match self.stride {
            16 => self.walk_wide::<16>(rows, scores),
            32 => self.walk_wide::<32>(rows, scores),
            64 => self.walk_wide::<64>(rows, scores),
            128 => self.walk_wide::<128>(rows, scores),
            _ => self.walk_wide::<{ super::MAX_WIDTH }>(rows, scores),
        }
    }

    fn walk_wide<const STRIDE: usize>(&self, rows: Rows<'_>, scores: &mut Vec<f32>) -> usize {
        match self.cells {
            SMALL => self.walk_blocks::<STRIDE, SMALL>(rows, scores),
            MEDIUM => self.walk_blocks::<STRIDE, MEDIUM>(rows, scores),
            _ => self.walk_blocks::<STRIDE, LARGE>(rows, scores),
        }
    }

    fn walk_blocks<const STRIDE: usize, const CELLS: usize>(&self, rows: Rows<'_>, scores: &mut Vec<f32>) -> usize {
        let mut keys = vec![[[0; STRIDE]; LANES]; rows.len().min(BLOCK).div_ceil(LANES)];
        let (nodes, _) = self.nodes.as_chunks::<CELLS>();
        let (leaves, _) = self.leaves.as_chunks::<CELLS>();
        let mut not_evaluated = 0;
        for block in rows.blocks(BLOCK) {
            for (keys, row) in keys.as_flattened_mut().iter_mut().zip(block.iter()) {
                for (key, &value) in keys[..self.width].iter_mut().zip(row) {
                    *key = sort_key(value);
                }
            }
            let mut depths = [[0.0; LANES]; BLOCK / LANES];
            for (nodes, leaves) in nodes.iter().zip(leaves) {
                for (keys, depths) in keys.iter().zip(&mut depths) {
                    walk(nodes, leaves, keys, depths);
                }
            }
            not_evaluated += self.finish(block, depths.as_flattened(), scores);
        }
        not_evaluated
    }

    /// Turns the summed depths of `rows` into scores; returns how many rows hold a NaN.
    fn finish(&self, rows: Rows<'_>, depths: &[f32], scores: &mut Vec<f32>) -> usize {
        let mut not_evaluated = 0;
        for (row, depth) in rows.iter().zip(depths) {
            let has_nan = row.iter().fold(false, |has_nan, value| has_nan | value.is_nan());
            not_evaluated += usize::from(has_nan);
            scores.push(if has_nan { f32::NAN } else { (depth * self.exponent).exp2() });
        }
        not_evaluated
    }
}

/// Adds to each of `depths` the depth at which its row ends in one tree.
#[inline]
fn walk<const STRIDE: usize, const CELLS: usize>(
    nodes: &[u64; CELLS],
    leaves: &[f32; CELLS],
    keys: &[[u32; STRIDE]; LANES],
    depths: &mut [f32; LANES],
) {
    let mut places = [1; LANES];
    for _ in 0..const { CELLS.trailing_zeros() } {
        for (place, keys) in places.iter_mut().zip(keys) {
            // The mask changes nothing: above the last level a place is below CELLS. It spares a check.
            let node = nodes[*place & (CELLS - 1)];
            let key = keys[(node >> const { 64 - STRIDE.trailing_zeros() }) as usize];
            *place = 2 * *place + usize::from((node as u32) < key);
        }
    }
    for (depth, place) in depths.iter_mut().zip(places) {
        *depth += leaves[place & (CELLS - 1)];
    }
}

/// A whole number that sorts as the float does.
#[inline]
fn sort_key(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ (((bits as i32) >> 31) as u32 | 0x8000_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::{ForestSettings, IsolationForest, tests};
    use std::num::NonZeroUsize;

    #[test]
    fn keys_sort_as_floats_do() {
        let values = [f32::NEG_INFINITY, f32::MIN, -1.5, -f32::MIN_POSITIVE, 0.0, 1e-45, 2.5, f32::MAX, f32::INFINITY];
        assert!(values.is_sorted_by(|&a, &b| sort_key(a) < sort_key(b)));
        assert!(sort_key(-0.0) < sort_key(0.0) && sort_key(f32::INFINITY) < u32::MAX);
    }

    /// The definition, node by node.
    fn depth(tree: &Tree, row: &[f32]) -> f32 {
        let (mut node, mut level) = (0, 0);
        loop {
            match tree.nodes()[node] {
                Node::Leaf { rows } => return (f64::from(level) + expected_depth(rows as usize)) as f32,
                Node::Split { column, threshold, right } => {
                    node = if row[usize::from(column)] <= threshold { node + 1 } else { right as usize };
                    level += 1;
                }
            }
        }
    }

    #[test]
    fn the_layout_gives_bit_for_bit_what_the_trees_give() {
        for (width, sample) in [(1, 2), (5, 60), (16, 256), (17, 256), (40, 1_000), (100, 256), (200, 5_000)] {
            let matrix = tests::cloud(5_000, width, width as u64);
            let settings = ForestSettings { trees: 7, sample, seed: 1 };
            let forest = IsolationForest::train(matrix.view(), settings, NonZeroUsize::MIN).unwrap();
            let (rows, _) = matrix.view().split_at(203);
            let mut scores = Vec::new();
            forest.score_into(rows, &mut scores).unwrap();
            for (row, score) in rows.iter().zip(scores) {
                let sum = forest.trees.iter().fold(0.0, |sum, tree| sum + depth(tree, row));
                assert_eq!(score.to_bits(), (sum * forest.scorer.exponent).exp2().to_bits());
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_sweep_gives_bit_for_bit_what_the_walk_gives() {
        let mut values: Vec<f32> = tests::cloud(700, 6, 1).view().iter().flatten().copied().collect();
        let odd = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, 0.0, f32::MAX, f32::MIN, 1e-45, -1e-45];
        for (index, value) in values.iter_mut().step_by(11).enumerate() {
            *value = odd[index % odd.len()];
        }
        let rows = Rows::new(6, &values).unwrap();
        for sample in [2, 20, 256] {
            let mut learnt = tests::cloud(600, 6, 2);
            for row in 0..600 {
                learnt.row_mut(row)[0] = [0.0, -0.0, 1e-45, 3.0][row % 4];
            }
            let settings = ForestSettings { trees: 30, sample, seed: 3 };
            let forest = IsolationForest::train(learnt.view(), settings, NonZeroUsize::MIN).unwrap();
            if forest.scorer.sweep.is_none() {
                return eprintln!("skipped: this processor has no AVX2");
            }
            for count in [0, 1, 31, 32, 64, 100, 128, 129, 191, 200, 700] {
                let (rows, _) = rows.split_at(count);
                let (mut swept, mut walked) = (Vec::new(), Vec::new());
                let not_evaluated = forest.scorer.score_into(rows, &mut swept);
                assert_eq!(not_evaluated, forest.scorer.walk_into(rows, &mut walked));
                let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&swept), bits(&walked), "{count} rows, sample {sample}");
            }
        }
    }
}
