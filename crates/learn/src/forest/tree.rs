//! One tree as it is grown, stored and explained: a flat array of nodes.

use serde::{Deserialize, Serialize};

use super::expected_depth;

/// A node; the left child of a split is the next node of the array.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// Rows whose value in `column` is at most `threshold` go left, the others right.
    Split {
        /// Column compared.
        column: u16,
        /// Value it is compared with; finite.
        threshold: f32,
        /// Index of the right child.
        right: u32,
    },
    /// No further split.
    Leaf {
        /// Rows of the sample that ended here.
        rows: u32,
    },
}

/// A tree in pre-order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// What makes an array of nodes no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// More nodes than the sample can need.
    #[error("has {nodes} nodes; a tree of {sample} rows has at most {most}")]
    TooManyNodes {
        /// Nodes found.
        nodes: usize,
        /// Rows of the sample.
        sample: usize,
        /// Most nodes it can need.
        most: usize,
    },
    /// A node that cannot stand where it stands.
    #[error("node {node} {fault}")]
    Node {
        /// Index of the node.
        node: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Nodes that no split leads to.
    #[error("has {nodes} nodes, of which {reached} are reached")]
    Unreached {
        /// Nodes found.
        nodes: usize,
        /// Nodes reached from the root.
        reached: usize,
    },
    /// The leaves do not hold the sample.
    #[error("its leaves hold {found} rows; the sample has {sample}")]
    Rows {
        /// Rows found in the leaves.
        found: u64,
        /// Rows of the sample.
        sample: usize,
    },
}

impl Tree {
    /// Takes nodes in pre-order; [`super::IsolationForest::from_trees`] checks them.
    #[must_use]
    pub fn new(nodes: Vec<Node>) -> Self {
        Self { nodes }
    }

    /// Its nodes in pre-order, the root first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Checks that the nodes form a tree in pre-order of at most the depth that `sample` allows, over `width` columns: after
    /// this no walk along it can leave the array or go on for ever.
    pub(super) fn validate(&self, width: usize, sample: usize) -> Result<(), TreeError> {
        let most = 2 * sample - 1;
        if self.nodes.len() > most {
            return Err(TreeError::TooManyNodes { nodes: self.nodes.len(), sample, most });
        }
        // Where pre-order must go on after a leaf: the right children not yet visited, with their depth.
        let mut waiting = Vec::new();
        let mut depth = 0;
        let mut rows = 0u64;
        for (index, node) in self.nodes.iter().enumerate() {
            let fault = |fault| TreeError::Node { node: index, fault };
            match *node {
                Node::Split { column, threshold, right } => {
                    if usize::from(column) >= width {
                        return Err(fault("compares a column that the rows do not have"));
                    }
                    if !threshold.is_finite() {
                        return Err(fault("has a threshold that is not finite"));
                    }
                    if depth >= super::depth_limit(sample) {
                        return Err(fault("is a split below the deepest level"));
                    }
                    depth += 1;
                    waiting.push((right, depth));
                }
                Node::Leaf { rows: here } => {
                    if here == 0 {
                        return Err(fault("is a leaf without rows"));
                    }
                    rows += u64::from(here);
                    match waiting.pop() {
                        None if index + 1 == self.nodes.len() => {
                            return if rows == sample as u64 {
                                Ok(())
                            } else {
                                Err(TreeError::Rows { found: rows, sample })
                            };
                        }
                        None => return Err(TreeError::Unreached { nodes: self.nodes.len(), reached: index + 1 }),
                        Some((right, below)) if right as usize == index + 1 => depth = below,
                        Some(_) => return Err(fault("is not followed by the right child that is due")),
                    }
                }
            }
        }
        Err(TreeError::Node { node: self.nodes.len(), fault: "is missing" })
    }

    /// For each node the mean depth at which the rows of the sample that pass it end, leaf corrections included.
    pub(super) fn mean_depths(&self) -> Vec<f32> {
        let mut rows = vec![0.0; self.nodes.len()];
        let mut below = vec![0.0; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            match *node {
                Node::Leaf { rows: here } => {
                    rows[index] = f64::from(here);
                    below[index] = expected_depth(here as usize);
                }
                Node::Split { right, .. } => {
                    let (left, right) = (index + 1, right as usize);
                    rows[index] = rows[left] + rows[right];
                    below[index] = 1.0 + (rows[left] * below[left] + rows[right] * below[right]) / rows[index];
                }
            }
        }
        let mut depth = vec![0.0; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if let Node::Split { right, .. } = *node {
                depth[index + 1] = depth[index] + 1.0;
                depth[right as usize] = depth[index] + 1.0;
            }
        }
        depth.iter().zip(&below).map(|(depth, below)| (depth + below) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(column: u16, right: u32) -> Node {
        Node::Split { column, threshold: 0.5, right }
    }

    fn check(nodes: &[Node]) -> Result<(), TreeError> {
        Tree::new(nodes.to_vec()).validate(2, 4)
    }

    const ONE: Node = Node::Leaf { rows: 1 };
    const TWO: Node = Node::Leaf { rows: 2 };

    #[test]
    fn a_tree_in_pre_order_passes() {
        assert_eq!(check(&[split(0, 4), split(1, 3), ONE, ONE, TWO]), Ok(()));
        assert_eq!(check(&[Node::Leaf { rows: 4 }]), Ok(()));
    }

    #[test]
    fn anything_else_is_refused() {
        let faulty: [&[Node]; 9] = [
            &[],
            &[split(2, 2), TWO, TWO],
            &[split(0, 1), TWO, TWO],
            &[split(0, 9), TWO, TWO],
            &[split(0, 2), TWO],
            &[split(0, 2), TWO, TWO, TWO],
            &[split(0, 2), TWO, ONE],
            &[split(0, 6), split(0, 5), split(0, 4), ONE, ONE, ONE, ONE],
            &[Node::Split { column: 0, threshold: f32::NAN, right: 2 }, TWO, TWO],
        ];
        for nodes in faulty {
            assert!(check(nodes).is_err(), "{nodes:?}");
        }
    }

    #[test]
    fn mean_depths_weigh_children_by_their_rows() {
        let tree = Tree::new(vec![split(0, 4), split(1, 3), ONE, ONE, TWO]);
        assert_eq!(tree.mean_depths(), [2.0, 2.0, 2.0, 2.0, 2.0]);
    }
}
