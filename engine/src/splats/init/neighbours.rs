//! Distances to the nearest neighbours.

use rayon::prelude::*;
use tessera_datasets::scene::{NearestPoints, Neighbour};

/// How many neighbours the mean is over.
const NEIGHBOURS: usize = 3;

/// For each point the mean distance to its three nearest neighbours (to all others when there are fewer; 0 for a
/// single point). Coordinates must be finite.
pub(super) fn mean_neighbour_distances(points: &[[f32; 3]]) -> Vec<f32> {
    let tree = NearestPoints::new(points);
    let slots = (0..points.len()).into_par_iter().with_min_len(256);
    let found: Vec<f32> = slots.map(|slot| mean(&tree.nearest::<NEIGHBOURS>(slot))).collect();
    let mut distances = vec![0.0; points.len()];
    for (&index, distance) in tree.order().iter().zip(found) {
        distances[index as usize] = distance;
    }
    distances
}

fn mean(nearest: &[Neighbour]) -> f32 {
    let found = nearest.iter().filter(|(squared, _)| squared.is_finite());
    let (count, sum) = found.fold((0, 0.0), |(n, sum), (squared, _)| (n + 1, sum + squared.sqrt()));
    if count == 0 { 0.0 } else { sum / count as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_over_three_neighbours_or_those_that_there_are() {
        assert!(mean_neighbour_distances(&[]).is_empty());
        assert_eq!(mean_neighbour_distances(&[[1.0; 3]]), [0.0]);
        assert_eq!(mean_neighbour_distances(&[[0.0; 3], [2.0, 0.0, 0.0]]), [2.0, 2.0]);
        let line: Vec<[f32; 3]> = [0.0, 1.0, 3.0, 7.0, 100.0].map(|x| [x, 0.0, 0.0]).into();
        assert_eq!(mean_neighbour_distances(&line), [11.0 / 3.0, 3.0, 3.0, 17.0 / 3.0, (93.0 + 97.0 + 99.0) / 3.0]);
    }
}
