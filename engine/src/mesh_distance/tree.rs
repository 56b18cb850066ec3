//! Triangles in a hierarchy of boxes, and what each box looks like from far away.

use super::V3;
use nalgebra::Matrix3;
use std::ops::Range;
use tessera_datasets::scene::box_tree::{Bounds, BoxNode, BoxTree};

/// What a group of triangles looks like from far away.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patch {
    /// The middle, weighted by area.
    pub centre: V3,
    /// Half the sum of the triangles' cross products: area times normal.
    pub oriented_area: V3,
    /// The square of the farthest corner's distance from the centre.
    pub squared_radius: f32,
    /// `Σ A (c - centre) n ᵀ`, how oriented areas are spread about the centre.
    pub spread: Matrix3<f32>,
}

/// Triangles in the order of the leaves, and the boxes around them. The root comes first.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<BoxNode>,
    /// One for each node.
    patches: Vec<Patch>,
    triangles: Vec<[V3; 3]>,
    order: Vec<u32>,
}

impl Tree {
    /// # Panics
    /// When there is no triangle.
    pub fn new(triangles: &[[V3; 3]]) -> Self {
        assert!(!triangles.is_empty(), "a tree of at least one triangle");
        let boxes: Vec<Bounds> = triangles.iter().map(|t| Bounds::of(t)).collect();
        let BoxTree { nodes, order } = BoxTree::new(&boxes);
        let triangles: Vec<[V3; 3]> = order.iter().map(|&t| triangles[t as usize]).collect();
        let patches = ranges(&nodes).into_iter().map(|range| Patch::of(&triangles[range])).collect();
        Self { nodes, patches, triangles, order }
    }

    pub fn nodes(&self) -> &[BoxNode] {
        &self.nodes
    }

    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }

    pub fn triangles(&self) -> &[[V3; 3]] {
        &self.triangles
    }

    /// Which number each triangle had among those that the tree was made of.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The triangles of a leaf, none of another node.
    pub fn leaf(&self, node: &BoxNode) -> Range<usize> {
        node.first as usize..node.first as usize + usize::from(node.count)
    }
}

/// Which triangles lie in each node. Children come after their parents, and the right one's triangles after the left one's.
fn ranges(nodes: &[BoxNode]) -> Vec<Range<usize>> {
    let mut ranges = vec![0..0; nodes.len()];
    for (i, node) in nodes.iter().enumerate().rev() {
        let first = node.first as usize;
        ranges[i] = if node.count > 0 {
            first..first + usize::from(node.count)
        } else {
            ranges[first].start..ranges[first + 1].end
        };
    }
    ranges
}

impl Patch {
    fn of(triangles: &[[V3; 3]]) -> Self {
        let mut patch = Self::default();
        let mut area = 0.0;
        for [a, b, c] in triangles {
            let oriented = 0.5 * (b - a).cross(&(c - a));
            patch.oriented_area += oriented;
            patch.centre += oriented.norm() * (a + b + c) / 3.0;
            area += oriented.norm();
        }
        patch.centre /= area;
        for [a, b, c] in triangles {
            let offset = (a + b + c) / 3.0 - patch.centre;
            patch.spread += offset * (0.5 * (b - a).cross(&(c - a))).transpose();
        }
        let squared = triangles.iter().flatten().map(|v| (v - patch.centre).norm_squared());
        patch.squared_radius = squared.fold(0.0, f32::max);
        patch
    }
}
