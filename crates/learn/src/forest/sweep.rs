//! Scores whole blocks of rows against small trees without walking them, on processors with AVX2.
//!
//! Every node of a tree is evaluated for all rows of a block at once, children first: where a row's value lies above the
//! node's threshold it takes what the right child came to, elsewhere what the left child came to, and at the root that is the
//! depth at which the row ends, as a number into the table of the tree's depths. No memory address depends on data and
//! nothing waits for anything, whereas a walk waits some ten cycles per level and row. It comes out bit for bit as the walk.
//!
//! Nodes whose children come to the same depth (two rows set apart: nearly a third of all nodes) need not be evaluated.

use std::arch::x86_64::{
    __m256i, _CMP_GT_OQ, _mm256_blendv_epi8, _mm256_castps_si256, _mm256_cmp_ps, _mm256_extract_epi64,
    _mm256_packs_epi16, _mm256_packs_epi32, _mm256_set1_epi8, _mm256_set1_ps, _mm256_setr_ps, _mm256_setzero_si256,
};

use super::{Node, Tree, expected_depth};
use crate::Rows;

/// Rows in a register of bytes.
const LANES: usize = 32;
/// Depths that a byte can number.
const MAX_DEPTHS: usize = 1 << 8;
/// Intermediate results alive at a time in a tree of at most 256 rows: one per level.
const LEVELS: usize = 8;
/// Nodes to evaluate per tree, on average, above which walking is as fast.
const WORTH_EVALUATING: usize = 110;

/// A forest laid out for blocks of rows. Exists only where the processor has AVX2.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    trees: Vec<SweepTree>,
    /// Depths of the tree that has most.
    most_depths: usize,
}

#[derive(Clone, Debug)]
struct SweepTree {
    /// Children before their parents.
    nodes: Vec<SweepNode>,
    /// Where the tree's result stands.
    root: Place,
    /// The different depths at which rows end.
    depths: Box<[f32; MAX_DEPTHS]>,
}

#[derive(Clone, Copy, Debug)]
struct SweepNode {
    column: u16,
    threshold: f32,
    left: Place,
    right: Place,
    result: Place,
}

/// Where the depth number of each row is found: first come the intermediate results, one per level, then for each number one
/// place that says this number for every row.
type Place = u16;

/// The values of one column in the rows of a block, see [`position`]; aligned so that no load spans two cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Column<const VECTORS: usize>([[[f32; 8]; 4]; VECTORS]);

impl Sweep {
    /// Lays out `trees`, which must be valid for `sample` rows; `None` where that is not possible or would not be faster.
    pub(super) fn new(trees: &[Tree], sample: usize) -> Option<Self> {
        if super::depth_limit(sample) as usize > LEVELS || !is_x86_feature_detected!("avx2") {
            return None;
        }
        let trees: Vec<_> = trees.iter().map(SweepTree::new).collect();
        let nodes: usize = trees.iter().map(|(tree, _)| tree.nodes.len()).sum();
        let most_depths = trees.iter().map(|&(_, depths)| depths).max()?;
        let worth = nodes <= WORTH_EVALUATING * trees.len();
        worth.then(|| Self { trees: trees.into_iter().map(|(tree, _)| tree).collect(), most_depths })
    }

    /// Calls `each` with blocks of up to `32 * VECTORS` of the `rows` and the depths of each row summed over the trees. A block
    /// that is not full takes as long as one that is.
    pub(super) fn depths<const VECTORS: usize>(&self, rows: Rows<'_>, each: impl FnMut(Rows<'_>, &[f32])) {
        if rows.is_empty() {
            return;
        }
        #[expect(unsafe_code, reason = "functions compiled for one kind of processor may only be called on it")]
        // SAFETY: the function needs AVX2, and `Sweep::new` makes a `Sweep` only where it is there.
        unsafe {
            self.depths_with_avx2::<VECTORS>(rows, each);
        }
    }

    #[target_feature(enable = "avx2")]
    fn depths_with_avx2<const VECTORS: usize>(&self, rows: Rows<'_>, mut each: impl FnMut(Rows<'_>, &[f32])) {
        let mut columns = vec![Column([[[0.0; 8]; 4]; VECTORS]); rows.width()];
        let mut places = vec![[_mm256_setzero_si256(); VECTORS]; LEVELS + self.most_depths];
        for (number, place) in places[LEVELS..].iter_mut().enumerate() {
            *place = [_mm256_set1_epi8(number as u8 as i8); VECTORS];
        }
        for block in rows.blocks(LANES * VECTORS) {
            for (index, row) in block.iter().enumerate() {
                let (part, lane) = position(index % LANES);
                for (column, &value) in columns.iter_mut().zip(row) {
                    column.0[index / LANES][part][lane] = value;
                }
            }
            let mut sums = [[0.0; LANES]; VECTORS];
            for tree in &self.trees {
                for node in &tree.nodes {
                    let result = evaluate(node, &columns[usize::from(node.column)], &places);
                    places[usize::from(node.result)] = result;
                }
                let numbers = places[usize::from(tree.root)].map(|vector| bytes(vector));
                for (sum, number) in sums.as_flattened_mut().iter_mut().zip(numbers.as_flattened()) {
                    *sum += tree.depths[usize::from(*number)];
                }
            }
            each(block, &sums.as_flattened()[..block.len()]);
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn evaluate<const VECTORS: usize>(
    node: &SweepNode,
    column: &Column<VECTORS>,
    places: &[[__m256i; VECTORS]],
) -> [__m256i; VECTORS] {
    let threshold = _mm256_set1_ps(node.threshold);
    let mut result = places[usize::from(node.left)];
    let right = &places[usize::from(node.right)];
    for ((result, &right), values) in result.iter_mut().zip(right).zip(column.0) {
        let goes_right = values.map(|[a, b, c, d, e, f, g, h]| {
            let values = _mm256_setr_ps(a, b, c, d, e, f, g, h);
            _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(values, threshold))
        });
        // Narrows 32 answers of four bytes to 32 of one, in the order that `position` undoes.
        let first = _mm256_packs_epi32(goes_right[0], goes_right[1]);
        let second = _mm256_packs_epi32(goes_right[2], goes_right[3]);
        *result = _mm256_blendv_epi8(*result, right, _mm256_packs_epi16(first, second));
    }
    result
}

/// Which of the four parts of 32 values, and where in it, a row's value must stand for its answer to come out as byte `row`:
/// narrowing takes four bytes of every part in turn, first from the lower halves, then from the upper ones.
fn position(row: usize) -> (usize, usize) {
    (row / 4 % 4, row / 16 * 4 + row % 4)
}

#[target_feature(enable = "avx2")]
#[inline]
fn bytes(vector: __m256i) -> [u8; LANES] {
    let quarters = [
        _mm256_extract_epi64::<0>(vector),
        _mm256_extract_epi64::<1>(vector),
        _mm256_extract_epi64::<2>(vector),
        _mm256_extract_epi64::<3>(vector),
    ];
    let mut bytes = [0; LANES];
    for (bytes, quarter) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(quarters) {
        *bytes = quarter.to_le_bytes();
    }
    bytes
}

impl SweepTree {
    /// The tree and the number of its depths.
    fn new(tree: &Tree) -> (Self, usize) {
        let mut swept = Self { nodes: Vec::new(), root: 0, depths: Box::new([0.0; MAX_DEPTHS]) };
        let mut depths = Vec::new();
        swept.root = swept.lay_out(tree.nodes(), 0, 0, 0, &mut depths);
        swept.depths[..depths.len()].copy_from_slice(&depths);
        (swept, depths.len())
    }

    /// Appends the subtree at `node`, whose results go to the levels from `free` up; returns where its own is found.
    fn lay_out(&mut self, nodes: &[Node], node: usize, level: u32, free: Place, depths: &mut Vec<f32>) -> Place {
        let (column, threshold, right) = match nodes[node] {
            Node::Split { column, threshold, right } => (column, threshold, right as usize),
            Node::Leaf { rows } => {
                let depth = (f64::from(level) + expected_depth(rows as usize)) as f32;
                let number = depths.iter().position(|&known| known == depth).unwrap_or_else(|| {
                    depths.push(depth);
                    depths.len() - 1
                });
                return (LEVELS + number) as Place;
            }
        };
        let left = self.lay_out(nodes, node + 1, level + 1, free, depths);
        // The left child's result must stay until it is used.
        let above = if left == free { free + 1 } else { free };
        let right = self.lay_out(nodes, right, level + 1, above, depths);
        if left == right {
            return left;
        }
        self.nodes.push(SweepNode { column, threshold, left, right, result: free });
        free
    }
}
