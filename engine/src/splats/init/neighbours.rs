//! Distances to the nearest neighbours, by a k-d tree: clouds are dense at the subject and sparse behind it, which no
//! regular grid fits.

use rayon::prelude::*;
use std::ops::Range;

/// Points in a leaf.
const LEAF: usize = 8;
/// How many neighbours the mean is over.
const NEIGHBOURS: usize = 3;

/// For each point the mean distance to its three nearest neighbours (to all others when there are fewer; 0 for a
/// single point). Coordinates must be finite.
pub(super) fn mean_neighbour_distances(points: &[[f32; 3]]) -> Vec<f32> {
    let tree = Tree::new(points);
    let mut distances = vec![0.0; points.len()];
    let found: Vec<f32> = (0..points.len()).into_par_iter().with_min_len(256).map(|slot| tree.mean(slot)).collect();
    for (&index, distance) in tree.order.iter().zip(found) {
        distances[index as usize] = distance;
    }
    distances
}

/// The middle point of every range splits it; both halves are ranges again.
struct Tree {
    /// Index of the point at each slot.
    order: Vec<u32>,
    points: Vec<[f32; 3]>,
    /// Along which axis the range that has its middle at this slot is split.
    axes: Vec<u8>,
}

/// The squared distances of the nearest points so far, ascending.
struct Nearest([f32; NEIGHBOURS]);

impl Nearest {
    fn offer(&mut self, squared: f32) {
        if squared < self.0[NEIGHBOURS - 1] {
            self.0[NEIGHBOURS - 1] = squared;
            self.0.sort_unstable_by(f32::total_cmp);
        }
    }
}

impl Tree {
    fn new(points: &[[f32; 3]]) -> Self {
        let mut order: Vec<u32> = (0..points.len() as u32).collect();
        let mut axes = vec![0; points.len()];
        split(points, &mut order, &mut axes);
        let points = order.iter().map(|&i| points[i as usize]).collect();
        Self { order, points, axes }
    }

    /// Mean distance of the point at `slot` to its nearest neighbours.
    fn mean(&self, slot: usize) -> f32 {
        let mut nearest = Nearest([f32::INFINITY; NEIGHBOURS]);
        self.search(0..self.points.len(), slot, &mut nearest);
        let found = nearest.0.iter().filter(|s| s.is_finite());
        let (count, sum) = found.fold((0, 0.0), |(n, sum), s| (n + 1, sum + s.sqrt()));
        if count == 0 { 0.0 } else { sum / count as f32 }
    }

    fn search(&self, range: Range<usize>, query: usize, nearest: &mut Nearest) {
        let point = self.points[query];
        let mut offer = |slot: usize| {
            if slot != query {
                let other = self.points[slot];
                nearest.offer((0..3).map(|k| (point[k] - other[k]).powi(2)).sum());
            }
        };
        if range.len() <= LEAF {
            range.for_each(offer);
            return;
        }
        let middle = range.start + range.len() / 2;
        offer(middle);
        let axis = usize::from(self.axes[middle]);
        let offset = point[axis] - self.points[middle][axis];
        let (low, high) = (range.start..middle, middle + 1..range.end);
        let (near, far) = if offset < 0.0 { (low, high) } else { (high, low) };
        self.search(near, query, nearest);
        if offset * offset < nearest.0[NEIGHBOURS - 1] {
            self.search(far, query, nearest);
        }
    }
}

fn split(points: &[[f32; 3]], order: &mut [u32], axes: &mut [u8]) {
    if order.len() <= LEAF {
        return;
    }
    let extent = |axis: usize| {
        let values = order.iter().map(|&i| points[i as usize][axis]);
        let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        high - low
    };
    let extents = [extent(0), extent(1), extent(2)];
    let axis = (0..3).fold(0, |best, k| if extents[k] > extents[best] { k } else { best });
    let middle = order.len() / 2;
    order.select_nth_unstable_by(middle, |&a, &b| points[a as usize][axis].total_cmp(&points[b as usize][axis]));
    axes[middle] = axis as u8;
    let (low, high) = order.split_at_mut(middle);
    let (low_axes, high_axes) = axes.split_at_mut(middle);
    rayon::join(|| split(points, low, low_axes), || split(points, &mut high[1..], &mut high_axes[1..]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn the_tree_finds_what_a_search_through_all_points_finds() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut points: Vec<[f32; 3]> =
            (0..700).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        points.extend((0..50).map(|i| [100.0 + i as f32, 0.0, 0.0])); // far away and on a line
        points.extend([[0.25; 3]; 20]); // all in one place
        let distances = mean_neighbour_distances(&points);
        for (i, p) in points.iter().enumerate() {
            let others = points.iter().enumerate().filter(|(j, _)| *j != i);
            let mut all: Vec<f32> =
                others.map(|(_, q)| (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f32>().sqrt()).collect();
            all.sort_unstable_by(f32::total_cmp);
            let mean = all[..3].iter().sum::<f32>() / 3.0;
            assert!((mean - distances[i]).abs() < 1e-5, "point {i}: {} instead of {mean}", distances[i]);
        }
    }

    #[test]
    fn few_points_have_few_neighbours() {
        assert!(mean_neighbour_distances(&[]).is_empty());
        assert_eq!(mean_neighbour_distances(&[[1.0; 3]]), [0.0]);
        assert_eq!(mean_neighbour_distances(&[[0.0; 3], [2.0, 0.0, 0.0]]), [2.0, 2.0]);
    }
}
