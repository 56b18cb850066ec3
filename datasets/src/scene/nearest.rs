//! Nearest neighbours by a k-d tree: scenes are dense at the subject and sparse behind it, which no regular grid fits.

use rayon::prelude::*;
use std::ops::Range;

/// Points in a leaf.
const LEAF: usize = 8;
/// The slot of a neighbour that there is not.
pub const NOBODY: u32 = u32::MAX;

/// Points ordered so that the middle point of every range splits it into two ranges. Who is near whom in space is near
/// in this order too.
pub struct NearestPoints {
    order: Vec<u32>,
    points: Vec<[f32; 3]>,
    /// Along which axis the range that has its middle at this slot is split.
    axes: Vec<u8>,
}

/// A neighbour: the square of its distance, and its slot.
pub type Neighbour = (f32, u32);

impl NearestPoints {
    /// Builds the tree. Coordinates must be finite, and there are fewer than 2³² - 1 points.
    pub fn new(points: &[[f32; 3]]) -> Self {
        let mut order: Vec<u32> = (0..points.len() as u32).collect();
        let mut axes = vec![0; points.len()];
        split(points, &mut order, &mut axes);
        let points = order.par_iter().map(|&i| points[i as usize]).collect();
        Self { order, points, axes }
    }

    /// Which point lies at each slot.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The slots of the `K` nearest neighbours of every slot, nearest first; [`NOBODY`] where there are fewer.
    pub fn all_nearest<const K: usize>(&self) -> Vec<[u32; K]> {
        let slots = (0..self.points.len()).into_par_iter().with_min_len(256);
        slots.map(|slot| self.nearest::<K>(slot).map(|(_, neighbour)| neighbour)).collect()
    }

    /// The `K` nearest neighbours of a slot, nearest first; at infinity where there are fewer.
    pub fn nearest<const K: usize>(&self, slot: usize) -> [Neighbour; K] {
        let mut nearest = [(f32::INFINITY, NOBODY); K];
        self.search(0..self.points.len(), self.points[slot], slot as u32, &mut nearest);
        nearest
    }

    /// The `K` points that are nearest to a place, nearest first; at infinity where there are fewer.
    pub fn nearest_to<const K: usize>(&self, place: [f32; 3]) -> [Neighbour; K] {
        let mut nearest = [(f32::INFINITY, NOBODY); K];
        self.search(0..self.points.len(), place, NOBODY, &mut nearest);
        nearest
    }

    /// All but the point at the slot `except`.
    fn search<const K: usize>(&self, range: Range<usize>, point: [f32; 3], except: u32, nearest: &mut [Neighbour; K]) {
        let mut offer = |slot: usize| {
            if slot as u32 != except {
                let other = self.points[slot];
                insert(nearest, ((0..3).map(|k| (point[k] - other[k]).powi(2)).sum(), slot as u32));
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
        self.search(near, point, except, nearest);
        if offset * offset < nearest[K - 1].0 {
            self.search(far, point, except, nearest);
        }
    }
}

#[inline(always)]
fn insert<const K: usize>(nearest: &mut [Neighbour; K], found: Neighbour) {
    if found.0 >= nearest[K - 1].0 {
        return;
    }
    let mut at = K - 1;
    while at > 0 && nearest[at - 1].0 > found.0 {
        nearest[at] = nearest[at - 1];
        at -= 1;
    }
    nearest[at] = found;
}

fn split(points: &[[f32; 3]], order: &mut [u32], axes: &mut [u8]) {
    if order.len() <= LEAF {
        return;
    }
    let axis = longest_axis(points, order);
    let middle = order.len() / 2;
    order.select_nth_unstable_by(middle, |&a, &b| points[a as usize][axis].total_cmp(&points[b as usize][axis]));
    axes[middle] = axis as u8;
    let (low, high) = order.split_at_mut(middle);
    let (low_axes, high_axes) = axes.split_at_mut(middle);
    let (high, high_axes) = (&mut high[1..], &mut high_axes[1..]);
    rayon::join(|| split(points, low, low_axes), || split(points, high, high_axes));
}

/// Along which axis the points with these indices extend farthest.
pub(super) fn longest_axis(points: &[[f32; 3]], indices: &[u32]) -> usize {
    let mut bounds = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    for &i in indices {
        for (k, v) in points[i as usize].into_iter().enumerate() {
            bounds[0][k] = bounds[0][k].min(v);
            bounds[1][k] = bounds[1][k].max(v);
        }
    }
    let extent = |k: usize| bounds[1][k] - bounds[0][k];
    (1..3).fold(0, |best, k| if extent(k) > extent(best) { k } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn the_tree_finds_what_a_search_through_all_points_finds() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut points: Vec<[f32; 3]> =
            (0..700).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
        points.extend((0..50).map(|i| [100.0 + i as f32, 0.0, 0.0])); // far away and on a line
        points.extend([[0.25; 3]; 20]); // all in one place
        let tree = NearestPoints::new(&points);
        for slot in 0..points.len() {
            let at = points[tree.order()[slot] as usize];
            let squared = |other: u32| (0..3).map(|k| (at[k] - points[other as usize][k]).powi(2)).sum::<f32>();
            let mut all: Vec<f32> =
                (0..points.len()).filter(|&s| s != slot).map(|s| squared(tree.order()[s])).collect();
            all.sort_unstable_by(f32::total_cmp);
            let found = tree.nearest::<5>(slot);
            assert_eq!(found.map(|(distance, _)| distance), all[..5], "at {at:?}");
            assert!(found.iter().all(|&(distance, s)| squared(tree.order()[s as usize]) == distance));
            let here = tree.nearest_to::<6>(at);
            assert_eq!((here[0].0, here[5].0), (0.0, all[4]), "the point itself, then its neighbours");
        }
    }

    #[test]
    fn few_points_have_few_neighbours() {
        assert!(NearestPoints::new(&[]).all_nearest::<3>().is_empty());
        assert_eq!(NearestPoints::new(&[[1.0; 3]]).all_nearest::<1>(), [[NOBODY]]);
        assert_eq!(NearestPoints::new(&[[0.0; 3], [2.0; 3]]).all_nearest::<2>(), [[1, NOBODY], [0, NOBODY]]);
    }
}
