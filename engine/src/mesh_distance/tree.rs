//! The hierarchy of boxes.

use super::V3;

/// Most triangles of a leaf.
const LEAF: usize = 4;
/// Bins along an axis where a node may be split.
const BINS: usize = 16;
/// From this depth on nodes are split in the middle, so that walks need no more than so many places and 32 for the rest.
const BINNED_DEPTH: usize = 40;
/// Places on the stack of a walk.
pub(super) const STACK: usize = 2 * (BINNED_DEPTH + 32);

/// A box of triangles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub min: V3,
    pub max: V3,
    /// The first triangle of a leaf, or the left child, which the right one follows.
    pub first: u32,
    /// Triangles of a leaf, 0 for others.
    pub count: u32,
    pub patch: Patch,
}

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
    pub spread: nalgebra::Matrix3<f32>,
}

/// Triangles in the order of the leaves, and the boxes around them. The root comes first.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    triangles: Vec<[V3; 3]>,
}

impl Tree {
    /// # Panics
    /// When there is no triangle.
    pub fn new(triangles: Vec<[V3; 3]>) -> Self {
        assert!(!triangles.is_empty(), "a tree of at least one triangle");
        let mut tree = Self { nodes: Vec::new(), triangles };
        let empty = Node { min: V3::zeros(), max: V3::zeros(), first: 0, count: 0, patch: Patch::default() };
        tree.nodes.push(empty);
        let mut open = vec![(0usize, 0..tree.triangles.len(), 0usize)];
        while let Some((node, range, depth)) = open.pop() {
            let triangles = &mut tree.triangles[range.clone()];
            let (min, max) = bounds(triangles.iter().flatten());
            let patch = Patch::of(triangles);
            if triangles.len() <= LEAF {
                let (first, count) = (range.start as u32, triangles.len() as u32);
                tree.nodes[node] = Node { min, max, first, count, patch };
                continue;
            }
            let middle = range.start + split(triangles, depth);
            let left = tree.nodes.len();
            tree.nodes[node] = Node { min, max, first: left as u32, count: 0, patch };
            tree.nodes.extend([empty; 2]);
            open.push((left, range.start..middle, depth + 1));
            open.push((left + 1, middle..range.end, depth + 1));
        }
        tree
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn triangles(&self) -> &[[V3; 3]] {
        &self.triangles
    }
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

fn bounds<'a>(points: impl Iterator<Item = &'a V3>) -> (V3, V3) {
    let start = (V3::repeat(f32::MAX), V3::repeat(f32::MIN));
    points.fold(start, |(min, max), p| (min.inf(p), max.sup(p)))
}

fn middle(triangle: &[V3; 3]) -> V3 {
    (triangle[0] + triangle[1] + triangle[2]) / 3.0
}

/// Reorders triangles so that those of the left child come first, and says how many they are.
fn split(triangles: &mut [[V3; 3]], depth: usize) -> usize {
    let middles: Vec<V3> = triangles.iter().map(middle).collect();
    let (min, max) = bounds(middles.iter());
    let axis = (max - min).imax();
    let extent = max[axis] - min[axis];
    let half = triangles.len() / 2;
    if depth < BINNED_DEPTH && extent > 0.0 {
        let bin = |t: &[V3; 3]| (((middle(t)[axis] - min[axis]) / extent * BINS as f32) as usize).min(BINS - 1);
        let border = cheapest_border(triangles, bin);
        let mut left = 0;
        for i in 0..triangles.len() {
            if bin(&triangles[i]) < border {
                triangles.swap(i, left);
                left += 1;
            }
        }
        if (1..triangles.len()).contains(&left) {
            return left;
        }
    }
    triangles.select_nth_unstable_by(half, |a, b| middle(a)[axis].total_cmp(&middle(b)[axis]));
    half
}

/// The number of bins on the left for which triangles times area of the box is least, summed over both children.
fn cheapest_border(triangles: &[[V3; 3]], bin: impl Fn(&[V3; 3]) -> usize) -> usize {
    let mut bins = [(V3::repeat(f32::MAX), V3::repeat(f32::MIN), 0usize); BINS];
    for t in triangles {
        let (min, max, count) = &mut bins[bin(t)];
        for v in t {
            (*min, *max) = (min.inf(v), max.sup(v));
        }
        *count += 1;
    }
    let cost = |side: &[(V3, V3, usize)]| {
        let all = side.iter().filter(|b| b.2 > 0);
        let start = (V3::repeat(f32::MAX), V3::repeat(f32::MIN), 0usize);
        let (min, max, count) = all.fold(start, |a, b| (a.0.inf(&b.0), a.1.sup(&b.1), a.2 + b.2));
        let d = max - min;
        if count == 0 { 0.0 } else { (d.x * d.y + d.y * d.z + d.z * d.x) * count as f32 }
    };
    let total = |border: usize| cost(&bins[..border]) + cost(&bins[border..]);
    (1..BINS).min_by(|&a, &b| total(a).total_cmp(&total(b))).unwrap_or(BINS / 2)
}
