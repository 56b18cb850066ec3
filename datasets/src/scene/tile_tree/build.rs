//! Building a tree, from the leaves up: the splats of a node's children are merged, which makes those of the node.
//!
//! What is in memory at a time are the children of one node on each level, however large the scene is.

use super::{Bounds, MAX_PAGE_SPLATS, Partition, REDUCTION, TileNode, TileTree};
use crate::scene::{Simplified, SplatCloud, simplify_and_measure, total_mass};
use crate::{DataError, Result};
use rayon::prelude::*;

/// Where the splats of the leaves come from.
pub trait Leaves: Sync {
    /// The splats of a leaf, in any order that is always the same.
    ///
    /// # Errors
    /// When they cannot be read.
    fn leaf(&self, node: u32) -> Result<SplatCloud>;
}

/// Where finished pages go: called once for every node, children before their parents, from several threads.
pub trait PageSink: Sync {
    /// Takes the splats of a node.
    ///
    /// # Errors
    /// When they cannot be written.
    fn page(&self, node: u32, splats: &SplatCloud) -> Result<()>;
}

/// Builds the tree over a partition. The result does not depend on the number of threads.
///
/// # Errors
/// Those of `leaves` and `pages`.
pub fn build(partition: &Partition, leaves: &dyn Leaves, pages: &dyn PageSink) -> Result<TileTree> {
    let empty = TileNode { bounds: Bounds::EMPTY, error: 0.0, children: 0..0, splats: 0 };
    let mut builder = Builder { partition, leaves, pages, nodes: vec![empty; partition.nodes.len()] };
    let root = builder.node(0)?;
    pages.page(0, &root.splats)?;
    TileTree::new(builder.nodes).map_err(|reason| DataError::new("the scene", reason).remedy("convert it again"))
}

struct Builder<'a> {
    partition: &'a Partition,
    leaves: &'a dyn Leaves,
    pages: &'a dyn PageSink,
    nodes: Vec<TileNode>,
}

/// A node that is finished but for its page.
struct Finished {
    splats: SplatCloud,
    /// What the scene's own splats below it cover.
    mass: f64,
    /// [`TileNode::error`], before it is made at least as large as those below.
    moved: f64,
}

impl Builder<'_> {
    /// A node whose page is not yet written, while all below it are.
    fn node(&mut self, node: u32) -> Result<Finished> {
        let partition = &self.partition.nodes[node as usize];
        if partition.children.is_empty() {
            let splats = self.leaves.leaf(node)?;
            let bounds = Bounds::of_splats(&splats);
            self.nodes[node as usize] = TileNode { bounds, error: 0.0, children: 0..0, splats: splats.len() as u32 };
            return Ok(Finished { mass: total_mass(&splats), splats, moved: 0.0 });
        }
        let children = partition.children.clone();
        let below = children.clone().map(|child| self.node(child)).collect::<Result<Vec<Finished>>>()?;
        let (written, merged) = rayon::join(
            || {
                let pages = below.par_iter().zip(children.clone());
                pages.try_for_each(|(child, number)| self.pages.page(number, &child.splats))
            },
            || merge(&below),
        );
        written?;
        let below_nodes = &self.nodes[children.start as usize..children.end as usize];
        let bounds = below_nodes.iter().fold(Bounds::of_splats(&merged.splats), |all, child| all.joined(&child.bounds));
        let error = below_nodes.iter().fold(merged.moved as f32, |error, child| error.max(child.error)).min(f32::MAX);
        self.nodes[node as usize] = TileNode { bounds, error, children, splats: merged.splats.len() as u32 };
        Ok(merged)
    }
}

/// The splats of a node from those of its children.
fn merge(below: &[Finished]) -> Finished {
    let total = below.iter().map(|child| child.splats.len()).sum::<usize>();
    let mut all = SplatCloud::with_capacity(total, below.first().map_or(0, |child| child.splats.sh_degree));
    for Finished { splats, .. } in below {
        (all.antialiased, all.scene_from_world) = (splats.antialiased, splats.scene_from_world);
        all.append(splats);
    }
    let Simplified { cloud, moved } = simplify_and_measure(&all, total.div_ceil(REDUCTION).min(MAX_PAGE_SPLATS));
    // What is shown moves on every level anew; independent distances add up as squares.
    let mass = below.iter().map(|child| child.mass).sum::<f64>();
    let before = below.iter().map(|child| child.mass * child.moved.powi(2)).sum::<f64>();
    let before = if mass > 0.0 { before / mass } else { 0.0 };
    Finished { splats: cloud, mass, moved: (before + moved.powi(2)).sqrt() }
}
