//! The cut that a view deserves: worst errors refined first, until none is worse than asked or the splats are used up.

use super::{LodView, TileNode, TileTree};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What a cut may cost and must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CutLimits {
    /// The most splats that are drawn. The root is drawn whatever it holds, and when it is lost, what stands for it.
    pub splats: u64,
    /// In pixels: errors up to this are left.
    pub screen_error: f64,
}

/// Nodes of which one is refined into its children.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    screen_error: f64,
    node: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.screen_error.total_cmp(&other.screen_error).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The cut of a tree of which every page is there, finer for what is near and in sight: its nodes in the order of the tree.
pub fn cut(tree: &TileTree, view: &LodView, limits: &CutLimits) -> Vec<u32> {
    let refined = refine(tree, view, limits, &|_| 1.0, &|_| false);
    let mut nodes = Vec::new();
    visit_cut(tree, &|node| refined.is_refined[node as usize], &mut |node| nodes.push(node));
    nodes.sort_unstable();
    nodes
}

/// Which nodes are replaced by their children.
pub(super) struct Refined {
    /// By node.
    pub is_refined: Vec<bool>,
    /// The nodes that the cut needs, most important first, each after its parent.
    pub needed: Vec<u32>,
}

/// Refines the node with the largest error on the screen, times its `weight`, again and again. A node that is `lost` costs what
/// stands for it further down, and is refined with its parent.
pub(super) fn refine(
    tree: &TileTree,
    view: &LodView,
    limits: &CutLimits,
    weight: &dyn Fn(u32) -> f64,
    lost: &dyn Fn(u32) -> bool,
) -> Refined {
    let mut refined = Refined { is_refined: vec![false; tree.len()], needed: Vec::new() };
    let mut heap = BinaryHeap::new();
    let mut splats = 0;
    let enter = |node: u32, refined: &mut Refined, heap: &mut BinaryHeap<Candidate>| {
        // What is lost is passed over, down to the first nodes that are not.
        let mut pending = vec![node];
        while let Some(node) = pending.pop() {
            refined.needed.push(node);
            if lost(node) && !tree.node(node).is_leaf() {
                refined.is_refined[node as usize] = true;
                pending.extend(tree.node(node).children.clone().rev());
            } else {
                heap.push(Candidate { screen_error: view.screen_error(tree.node(node)) * weight(node), node });
            }
        }
    };
    splats += cost(tree, 0, lost);
    enter(0, &mut refined, &mut heap);
    while let Some(Candidate { screen_error, node }) = heap.pop() {
        if screen_error <= limits.screen_error {
            break;
        }
        let children = tree.node(node).children.clone();
        if children.is_empty() || children.clone().any(|child| is_gone(tree, child, lost)) {
            continue;
        }
        let finer: u64 = children.clone().map(|child| cost(tree, child, lost)).sum();
        let after = splats - u64::from(tree.node(node).splats) + finer;
        // Another node, with a smaller error, may still fit.
        if after > limits.splats {
            continue;
        }
        splats = after;
        refined.is_refined[node as usize] = true;
        for child in children {
            enter(child, &mut refined, &mut heap);
        }
    }
    refined
}

/// Splats that are drawn for a node: its own, or those of the first nodes below it that are not lost.
fn cost(tree: &TileTree, node: u32, lost: &dyn Fn(u32) -> bool) -> u64 {
    let mut pending = vec![node];
    let mut splats = 0;
    while let Some(node) = pending.pop() {
        let TileNode { children, splats: own, .. } = tree.node(node);
        if !lost(node) {
            splats += u64::from(*own);
        } else {
            pending.extend(children.clone());
        }
    }
    splats
}

/// Whether some part of what a node shows can be drawn neither by itself nor by what is below.
fn is_gone(tree: &TileTree, node: u32, lost: &dyn Fn(u32) -> bool) -> bool {
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        if lost(node) {
            let children = &tree.node(node).children;
            if children.is_empty() {
                return true;
            }
            pending.extend(children.clone());
        }
    }
    false
}

/// Calls `each` with the nodes of a cut: the first on every way down that is not refined.
pub(super) fn visit_cut(tree: &TileTree, is_refined: &dyn Fn(u32) -> bool, each: &mut dyn FnMut(u32)) {
    let mut pending = vec![0];
    while let Some(node) = pending.pop() {
        if is_refined(node) {
            pending.extend(tree.node(node).children.clone().rev());
        } else {
            each(node);
        }
    }
}
