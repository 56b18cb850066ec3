//! A scene at many levels of detail: a tree of pages, cut where a view needs it.
//!
//! Leaves hold the scene's own splats, inner nodes fewer splats that stand for all that is below them: neighbours merged
//! by their moments ([`super::simplify_to`]), so that nothing shrinks or becomes transparent. A picture is drawn from a
//! *cut*, a set of nodes that covers every leaf exactly once: coarse nodes far away, fine ones near.
//!
//! - [`TileTree`] and [`TileNode`]: the tree without its splats, small enough to be held whole. Checked once, when it is made.
//! - [`build`]: from splats to the tree, page by page.
//! - [`partition`]: which splats share a leaf, and which leaves a parent.
//! - [`PageStream`]: the cut of a view among the pages that have arrived, and which to fetch next. No files and no network
//!   here: it hands out requests and is told of their results.
//!
//! Files of such trees are in [`crate::format::tiles`].

mod bounds;
mod build;
mod cut;
mod partition;
mod stream;
mod view;

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

pub use bounds::Bounds;
pub use build::{Leaves, PageSink, build};
pub use cut::{CutLimits, cut};
pub use partition::{Partition, PartitionNode, partition};
pub use stream::{PageRequest, PageStream, StreamLimits, StreamProblem, seconds_to_wait};
pub use view::LodView;

use std::ops::Range;

/// The most splats in a page.
pub const MAX_PAGE_SPLATS: usize = 65_536;
/// Splats in the pages of leaves that we write: a root of that many is there soon, and cuts come close to their budgets.
pub const PAGE_SPLATS: usize = 16_384;
/// How many times fewer splats a node has than its children together.
pub const REDUCTION: usize = 4;
/// The most children of a node.
pub const MAX_CHILDREN: usize = 64;
/// The most nodes of a tree: more than any scene needs, few enough to be held in memory.
pub const MAX_NODES: usize = 1 << 20;

/// A node of a [`TileTree`]: a page of splats and what it takes to decide whether to draw it.
#[derive(Clone, Debug, PartialEq)]
pub struct TileNode {
    /// Around all that the node's splats and those below it show.
    pub bounds: Bounds,
    /// How far merging moved what the splats below show, as root mean square in scene units; 0 for leaves. Seen from a
    /// distance d with a focal length of f pixels, that is `error f / d` pixels.
    pub error: f32,
    /// The nodes that show the same in more detail; empty for leaves.
    pub children: Range<u32>,
    /// Splats in the page.
    pub splats: u32,
}

/// The nodes of a scene, coarse to fine: the root comes first, and children in the order of their parents.
#[derive(Clone, Debug, PartialEq)]
pub struct TileTree {
    nodes: Vec<TileNode>,
    parents: Vec<u32>,
}

/// The parent of the root.
pub const NO_PARENT: u32 = u32::MAX;

impl TileTree {
    /// Checks that the nodes are a tree in the order of its levels, with sound numbers.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub fn new(nodes: Vec<TileNode>) -> Result<Self, String> {
        if nodes.is_empty() || nodes.len() > MAX_NODES {
            return Err(format!("has {} nodes, and a tree has 1 to {MAX_NODES}", nodes.len()));
        }
        let mut parents = vec![NO_PARENT; nodes.len()];
        // In the order of levels, the children of each node follow those of the node before it: no cycles, nothing twice.
        let mut next = 1;
        for (i, node) in nodes.iter().enumerate() {
            let Range { start, end } = node.children;
            let children = end.saturating_sub(start) as usize;
            if children > 0 {
                if start as usize != next || start as usize <= i || children > nodes.len() - next {
                    return Err(format!("is no tree at node {i}: its children are not the next nodes"));
                }
                if children > MAX_CHILDREN {
                    return Err(format!("has {children} children at node {i}, more than {MAX_CHILDREN}"));
                }
                parents[next..next + children].fill(i as u32);
                next += children;
            }
            if !node.bounds.is_sound() {
                return Err(format!("has bounds at node {i} that are not finite or inside out"));
            }
            if !(node.error >= 0.0 && node.error.is_finite()) {
                return Err(format!("has an error at node {i} that is negative or not finite"));
            }
            if node.splats as usize > MAX_PAGE_SPLATS {
                return Err(format!("has {} splats in a page, more than {MAX_PAGE_SPLATS}", node.splats));
            }
            let below = &nodes[next - children..next];
            if children > 0 && below.iter().map(|child| u64::from(child.splats)).sum::<u64>() < u64::from(node.splats) {
                return Err(format!("has fewer splats below node {i} than in it"));
            }
        }
        if next != nodes.len() {
            return Err(format!("is no tree: {} of its nodes belong to no other", nodes.len() - next));
        }
        Ok(Self { nodes, parents })
    }

    /// All nodes, the root first.
    pub fn nodes(&self) -> &[TileNode] {
        &self.nodes
    }

    /// A node.
    ///
    /// # Panics
    /// When there is none with this number.
    pub fn node(&self, node: u32) -> &TileNode {
        &self.nodes[node as usize]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: there is a root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node of which a node shows a part; `None` for the root.
    pub fn parent(&self, node: u32) -> Option<u32> {
        Some(self.parents[node as usize]).filter(|&parent| parent != NO_PARENT)
    }

    /// Splats in all leaves: those of the scene.
    pub fn leaf_splats(&self) -> u64 {
        self.nodes.iter().filter(|node| node.is_leaf()).map(|node| u64::from(node.splats)).sum()
    }
}

impl TileNode {
    /// Whether nothing shows the same in more detail.
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }
}
