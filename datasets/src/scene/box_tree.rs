//! A hierarchy of boxes around things: what is near a place, or in a ray's way, is found without looking at everything.

use nalgebra::Vector3;

type V3 = Vector3<f32>;

const BINS: usize = 12;
const LEAF_SIZE: usize = 4;
/// Below this depth splits are by count, so that no walk's stack overflows.
const BINNED_DEPTH: usize = 32;
/// The most nodes that a walk has to remember: two for each binned level and for each of 32 halvings of what is left, and some to spare.
pub const STACK_SIZE: usize = 72;

/// A box along the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The lowest corner.
    pub min: V3,
    /// The highest corner.
    pub max: V3,
}

impl Bounds {
    /// A box around nothing.
    pub const EMPTY: Self =
        Self { min: V3::new(f32::MAX, f32::MAX, f32::MAX), max: V3::new(f32::MIN, f32::MIN, f32::MIN) };

    /// The box around some points.
    pub fn of(points: &[V3]) -> Self {
        points.iter().fold(Self::EMPTY, |b, p| Self { min: b.min.inf(p), max: b.max.sup(p) })
    }

    fn add(&mut self, other: &Self) {
        self.min = self.min.inf(&other.min);
        self.max = self.max.sup(&other.max);
    }

    fn half_area(&self) -> f32 {
        let d = self.max - self.min;
        if d.x < 0.0 { 0.0 } else { d.x * d.y + d.y * d.z + d.z * d.x }
    }
}

/// A box of the hierarchy.
#[derive(Clone, Copy, Debug)]
pub struct BoxNode {
    /// Around all that is in it.
    pub bounds: Bounds,
    /// First thing of a leaf, in the tree's order; left child (the right one follows) of an inner node.
    pub first: u32,
    /// Number of things in a leaf, zero for an inner node.
    pub count: u16,
    /// The axis along which an inner node's children lie.
    pub axis: u16,
}

/// The hierarchy.
#[derive(Clone, Debug)]
pub struct BoxTree {
    /// The root comes first; children come after their parents.
    pub nodes: Vec<BoxNode>,
    /// Which thing lies at each place of the leaves.
    pub order: Vec<u32>,
}

impl BoxTree {
    /// Builds by the surface area heuristic. Without boxes there is one empty leaf.
    pub fn new(boxes: &[Bounds]) -> Self {
        let mut order: Vec<u32> = (0..boxes.len() as u32).collect();
        let mut nodes = vec![BoxNode { bounds: Bounds::EMPTY, first: 0, count: 0, axis: 0 }];
        if !order.is_empty() {
            build(&mut nodes, 0, boxes, &mut order, 0, 0);
        }
        Self { nodes, order }
    }
}

fn build(nodes: &mut Vec<BoxNode>, node: usize, boxes: &[Bounds], order: &mut [u32], first: usize, depth: usize) {
    let mut bounds = Bounds::EMPTY;
    let mut centres = Bounds::EMPTY;
    for &t in order.iter() {
        let b = &boxes[t as usize];
        bounds.add(b);
        let centre = (b.min + b.max) * 0.5;
        centres.add(&Bounds { min: centre, max: centre });
    }
    let extent = centres.max - centres.min;
    let axis = extent.imax();
    if order.len() <= LEAF_SIZE {
        nodes[node] = BoxNode { bounds, first: first as u32, count: order.len() as u16, axis: axis as u16 };
        return;
    }
    let middle = match best_split(boxes, order, &centres, axis) {
        Some(split) if depth < BINNED_DEPTH => partition(order, |t| bin(&boxes[t as usize], &centres, axis) < split),
        _ => {
            let half = order.len() / 2;
            let key = |t: &u32| boxes[*t as usize].min[axis] + boxes[*t as usize].max[axis];
            order.select_nth_unstable_by(half, |a, b| key(a).total_cmp(&key(b)).then(a.cmp(b)));
            half
        }
    };
    let left = nodes.len();
    nodes[node] = BoxNode { bounds, first: left as u32, count: 0, axis: axis as u16 };
    nodes.extend([nodes[node]; 2]);
    let (low, high) = order.split_at_mut(middle);
    build(nodes, left, boxes, low, first, depth + 1);
    build(nodes, left + 1, boxes, high, first + middle, depth + 1);
}

fn bin(b: &Bounds, centres: &Bounds, axis: usize) -> usize {
    let position = 0.5 * (b.min[axis] + b.max[axis]) - centres.min[axis];
    let width = centres.max[axis] - centres.min[axis];
    ((position / width * BINS as f32) as usize).min(BINS - 1)
}

/// The number of bins to the left of the cheapest cut; `None` when all centres coincide.
fn best_split(boxes: &[Bounds], order: &[u32], centres: &Bounds, axis: usize) -> Option<usize> {
    let mut bins = [(Bounds::EMPTY, 0usize); BINS];
    if centres.max[axis] - centres.min[axis] <= 0.0 {
        return None;
    }
    for &t in order {
        let (bounds, count) = &mut bins[bin(&boxes[t as usize], centres, axis)];
        bounds.add(&boxes[t as usize]);
        *count += 1;
    }
    let cost = |side: &[(Bounds, usize)]| {
        let mut bounds = Bounds::EMPTY;
        let mut count = 0;
        for (b, n) in side.iter().filter(|s| s.1 > 0) {
            bounds.add(b);
            count += n;
        }
        if count == 0 { f32::INFINITY } else { bounds.half_area() * count as f32 }
    };
    let split_cost = |split: usize| cost(&bins[..split]) + cost(&bins[split..]);
    (1..BINS).min_by(|&a, &b| split_cost(a).total_cmp(&split_cost(b))).filter(|&s| split_cost(s).is_finite())
}

fn partition(order: &mut [u32], is_left: impl Fn(u32) -> bool) -> usize {
    let mut middle = 0;
    for i in 0..order.len() {
        if is_left(order[i]) {
            order.swap(i, middle);
            middle += 1;
        }
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn every_thing_lies_in_one_leaf_and_in_all_boxes_around_it() {
        let seed = tessera_test_seed::test_seed();
        let mut rng = rand_pcg::Pcg32::seed_from_u64(seed);
        for count in [0, 1, 5, 300] {
            let mut point = || V3::from_fn(|_, _| rng.random_range(-1.0..1.0));
            // Some of them coincide.
            let boxes: Vec<Bounds> = (0..count)
                .map(|i| if i % 3 == 0 { Bounds::of(&[V3::zeros()]) } else { Bounds::of(&[point(), point()]) })
                .collect();
            let tree = BoxTree::new(&boxes);
            let mut seen = vec![0; count];
            let mut open = vec![(0u32, Bounds { min: V3::repeat(-2.0), max: V3::repeat(2.0) })];
            while let Some((node, around)) = open.pop() {
                let node = &tree.nodes[node as usize];
                if node.count == 0 && count > 0 {
                    open.extend([(node.first, node.bounds), (node.first + 1, node.bounds)]);
                }
                for &thing in &tree.order[node.first as usize..][..usize::from(node.count)] {
                    seen[thing as usize] += 1;
                    let b = &boxes[thing as usize];
                    for outer in [node.bounds, around] {
                        assert!(outer.min <= b.min && b.max <= outer.max, "seed {seed}: {b:?} sticks out of {outer:?}");
                    }
                }
            }
            assert!(seen.iter().all(|&n| n == 1), "seed {seed}: {seen:?}");
        }
    }
}
