//! Grows trees by random splits.

use std::{collections::BTreeSet, num::NonZeroUsize, ops::Range};

use super::{ForestSettings, Node, Tree, depth_limit};
use crate::{Random, Rows};

/// Grows the trees of `settings`, each from its own stream of random numbers, so that the threads do not matter.
pub(super) fn grow(rows: Rows<'_>, settings: ForestSettings, threads: NonZeroUsize) -> Vec<Tree> {
    let threads = threads.get().min(settings.trees);
    let share = settings.trees.div_ceil(threads);
    let grow_range = |range: Range<usize>| {
        let mut grower = Grower::new(rows, settings.sample);
        range.map(|tree| grower.grow(Random::for_part(settings.seed, tree as u64))).collect::<Vec<_>>()
    };
    if threads == 1 {
        return grow_range(0..settings.trees);
    }
    std::thread::scope(|scope| {
        let grow_range = &grow_range;
        let ranges =
            (0..threads).map(|thread| (thread * share).min(settings.trees)..((thread + 1) * share).min(settings.trees));
        let workers: Vec<_> = ranges.map(|range| scope.spawn(move || grow_range(range))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("growing a tree does not panic")).collect()
    })
}

/// Memory for growing one tree after another.
struct Grower<'a> {
    rows: Rows<'a>,
    sample: usize,
    limit: u32,
    /// The sample's rows in the order in which the splits so far arrange them, copied so that they lie close together.
    values: Vec<f32>,
    /// Columns that may still differ come first, those known to be constant from the current node down come last.
    columns: Vec<u16>,
    nodes: Vec<Node>,
}

impl<'a> Grower<'a> {
    fn new(rows: Rows<'a>, sample: usize) -> Self {
        Self {
            rows,
            sample,
            limit: depth_limit(sample),
            values: Vec::new(),
            columns: (0..rows.width() as u16).collect(),
            nodes: Vec::new(),
        }
    }

    fn grow(&mut self, mut random: Random) -> Tree {
        self.values.clear();
        for row in draw(&mut random, self.rows.len(), self.sample) {
            self.values.extend_from_slice(self.rows.row(row));
        }
        // The order of the columns is part of what the random numbers decide, so every tree starts from the same.
        self.columns.sort_unstable();
        let columns = self.columns.len();
        self.grow_node(&mut random, 0..self.sample, 0, columns);
        Tree::new(std::mem::take(&mut self.nodes))
    }

    /// Appends the subtree over the `rows` of the sample; the first `varying` of `columns` may differ among them.
    /// Recurses at most as deep as the depth limit.
    fn grow_node(&mut self, random: &mut Random, rows: Range<usize>, depth: u32, mut varying: usize) {
        if depth < self.limit && rows.len() > 1 {
            while varying > 0 {
                let drawn = random.below(varying);
                let column = self.columns[drawn];
                let (least, most) = self.range_of(rows.clone(), column);
                if least < most {
                    let threshold = draw_threshold(random, least, most);
                    self.split(random, rows, depth, varying, column, threshold);
                    return;
                }
                // Constant here, hence in all nodes below: out of the way, for this subtree only as the prefix shrinks.
                varying -= 1;
                self.columns.swap(drawn, varying);
            }
        }
        self.nodes.push(Node::Leaf { rows: rows.len() as u32 });
    }

    fn split(
        &mut self,
        random: &mut Random,
        rows: Range<usize>,
        depth: u32,
        varying: usize,
        column: u16,
        threshold: f32,
    ) {
        let node = self.nodes.len();
        self.nodes.push(Node::Split { column, threshold, right: 0 });
        let middle = self.partition(rows.clone(), column, threshold);
        self.grow_node(random, rows.start..middle, depth + 1, varying);
        let right = self.nodes.len() as u32;
        self.nodes[node] = Node::Split { column, threshold, right };
        self.grow_node(random, middle..rows.end, depth + 1, varying);
    }

    fn range_of(&self, rows: Range<usize>, column: u16) -> (f32, f32) {
        let width = self.rows.width();
        let values = &self.values[rows.start * width..rows.end * width];
        let column = values[usize::from(column)..].iter().step_by(width);
        column.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)))
    }

    /// Moves the rows that go left to the front and returns where the others start.
    fn partition(&mut self, rows: Range<usize>, column: u16, threshold: f32) -> usize {
        let width = self.rows.width();
        let (mut left, mut end) = (rows.start, rows.end);
        while left < end {
            if self.values[left * width + usize::from(column)] <= threshold {
                left += 1;
            } else {
                end -= 1;
                let (front, back) = self.values.split_at_mut(end * width);
                if left < end {
                    front[left * width..][..width].swap_with_slice(&mut back[..width]);
                }
            }
        }
        left
    }
}

/// A threshold in `least..most`, so that both sides of it have a row.
fn draw_threshold(random: &mut Random, least: f32, most: f32) -> f32 {
    let (low, high) = (f64::from(least), f64::from(most));
    let threshold = (low + (high - low) * random.unit()) as f32;
    // Rounding to f32 can reach `most`. Adding zero turns -0.0 into 0.0: scoring compares bit patterns.
    (if threshold < most { threshold } else { least }) + 0.0
}

/// `sample` different numbers below `rows`, in random order enough for growing (Floyd's method; Bentley, 1987).
fn draw(random: &mut Random, rows: usize, sample: usize) -> Vec<usize> {
    let mut drawn = BTreeSet::new();
    for last in rows - sample..rows {
        let row = random.below(last + 1);
        if !drawn.insert(row) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_no_row_twice() {
        let drawn = draw(&mut Random::new(1), 300, 256);
        assert_eq!(drawn.len(), 256);
        assert!(drawn.iter().all(|&row| row < 300));
        assert_eq!(draw(&mut Random::new(1), 5, 5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_threshold_always_parts_its_range() {
        let mut random = Random::new(2);
        let next = 1.0f32.next_up();
        for _ in 0..100 {
            assert_eq!(draw_threshold(&mut random, 1.0, next), 1.0);
            assert!(draw_threshold(&mut random, f32::MIN, f32::MAX).is_finite());
        }
    }

    #[test]
    fn grown_trees_are_valid_whatever_the_values() {
        let mut random = Random::new(3);
        // Few distinct values, a constant column, huge and tiny ones.
        let values: Vec<f32> = (0..700 * 4)
            .map(|index| match index % 4 {
                0 => random.below(3) as f32,
                1 => 5.0,
                2 => f32::MAX * (random.unit() as f32 - 0.5),
                _ => f32::MIN_POSITIVE * random.unit() as f32 - 0.0,
            })
            .collect();
        let rows = Rows::new(4, &values).unwrap();
        for sample in [2, 3, 255, 256, 700] {
            let settings = ForestSettings { trees: 5, sample, seed: 4 };
            for tree in grow(rows, settings, NonZeroUsize::MIN) {
                assert_eq!(tree.validate(4, sample), Ok(()));
            }
        }
    }
}
