//! Which splats share a leaf, and which leaves a parent: a k-d tree whose every second level is left out.
//!
//! Leaves are full (up to rounding): a node gets as many pages as its splats need and shares them among its children
//! as evenly as possible.

use super::REDUCTION;
use std::ops::Range;

/// Splats that are looked at to find the axis along which a node extends farthest.
const SAMPLE: usize = 1024;

/// The shape of a tree over splats.
#[derive(Debug)]
pub struct Partition {
    /// `[N]`, indices of splats: those of a node are neighbours.
    pub order: Vec<u32>,
    /// In the order of [`super::TileTree`].
    pub nodes: Vec<PartitionNode>,
}

/// A node of a [`Partition`].
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionNode {
    /// Of [`Partition::order`].
    pub splats: Range<usize>,
    /// Of [`Partition::nodes`]; empty for leaves.
    pub children: Range<u32>,
}

impl Partition {
    /// The leaves in the order in which their splats come.
    pub fn leaves(&self) -> Vec<u32> {
        let mut leaves: Vec<u32> =
            (0..self.nodes.len() as u32).filter(|&i| self.nodes[i as usize].children.is_empty()).collect();
        leaves.sort_by_key(|&i| self.nodes[i as usize].splats.start);
        leaves
    }

    /// For every splat the number of its leaf, in the order of [`Self::leaves`].
    pub fn leaf_of_splats(&self) -> Vec<u32> {
        let mut leaf_of = vec![0; self.order.len()];
        for (number, &leaf) in self.leaves().iter().enumerate() {
            for &splat in &self.order[self.nodes[leaf as usize].splats.clone()] {
                leaf_of[splat as usize] = number as u32;
            }
        }
        leaf_of
    }
}

/// Divides splats with these means (`[N, 3]`, finite) into leaves of at most `page_splats`. The result depends on nothing else.
///
/// # Panics
/// When there are 2³² means or more, or `page_splats` is 0.
pub fn partition(means: &[[f32; 3]], page_splats: usize) -> Partition {
    assert!(u32::try_from(means.len()).is_ok() && page_splats > 0, "splats are counted in 32 bits");
    let mut order: Vec<u32> = (0..means.len() as u32).collect();
    let pages = means.len().div_ceil(page_splats).max(1);
    let root = Branch::grow(means, &mut order, 0, pages);
    Partition { order, nodes: by_levels(root) }
}

/// A node while the tree is made.
struct Branch {
    splats: Range<usize>,
    children: Vec<Branch>,
}

impl Branch {
    /// A node over `order`, which begins at splat `start` of all, with `pages` leaves.
    fn grow(means: &[[f32; 3]], order: &mut [u32], start: usize, pages: usize) -> Self {
        let splats = start..start + order.len();
        let children = if pages == 1 { Vec::new() } else { Self::divide(means, order, start, pages, REDUCTION) };
        Self { splats, children }
    }

    /// Up to `most` (a power of two) nodes over `order`.
    fn divide(means: &[[f32; 3]], order: &mut [u32], start: usize, pages: usize, most: usize) -> Vec<Self> {
        if most == 1 || pages == 1 {
            return vec![Self::grow(means, order, start, pages)];
        }
        let low_pages = pages / 2;
        let middle = order.len() * low_pages / pages;
        if middle > 0 {
            let axis = longest_axis(means, order);
            let key = |&i: &u32| (means[i as usize][axis], i);
            order.select_nth_unstable_by(middle, |a, b| {
                let ((a, i), (b, j)) = (key(a), key(b));
                a.total_cmp(&b).then(i.cmp(&j))
            });
        }
        let (low, high) = order.split_at_mut(middle);
        let (mut low, high) = rayon::join(
            || Self::divide(means, low, start, low_pages, most / 2),
            || Self::divide(means, high, start + middle, pages - low_pages, most / 2),
        );
        low.extend(high);
        low
    }
}

/// Along which axis the bulk of the splats extends farthest: from the tenth to the ninetieth percentile, so that a few far
/// splats do not decide.
fn longest_axis(means: &[[f32; 3]], order: &[u32]) -> usize {
    // What was selected before has left an order that depends on the splats only, so the sample does as well.
    let stride = order.len().div_ceil(SAMPLE);
    let extent = |axis: usize| {
        let mut sample: Vec<f32> = order.iter().step_by(stride).map(|&i| means[i as usize][axis]).collect();
        sample.sort_unstable_by(f32::total_cmp);
        sample[sample.len() * 9 / 10] - sample[sample.len() / 10]
    };
    let extents = [0, 1, 2].map(extent);
    (1..3).fold(0, |best, k| if extents[k] > extents[best] { k } else { best })
}

fn by_levels(root: Branch) -> Vec<PartitionNode> {
    let mut nodes = Vec::new();
    let mut level = vec![root];
    while !level.is_empty() {
        let mut next = nodes.len() + level.len();
        let mut below = Vec::new();
        for branch in level {
            let children = branch.children.len();
            nodes.push(PartitionNode { splats: branch.splats, children: next as u32..(next + children) as u32 });
            next += children;
            below.extend(branch.children);
        }
        level = below;
    }
    nodes
}

/// Whether an order holds every index below its length once.
#[cfg(test)]
pub(super) fn is_permutation(order: &[u32]) -> bool {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    sorted.iter().enumerate().all(|(i, &v)| i == v as usize)
}
