//! Where the first anchors stand: one in each voxel that holds points.

use std::collections::BTreeMap;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Point;
use tessera_datasets::scene::NearestPoints;

/// Voxels grow by this until there are few enough.
const GROWTH: f32 = 1.25;
/// Of the most anchors, the share with which a block begins at most.
const FIRST_SHARE: f64 = 0.5;
/// Anchors nearer than this share of a voxel are as large as if they were that far.
const NEAREST: f32 = 0.1;

/// Voxels with something in them, in scene coordinates.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Voxels {
    /// Their side.
    pub cell: f32,
    /// Their middles.
    pub places: Vec<[f32; 3]>,
    /// The mean colour of the points in each, 0 to 1.
    pub colours: Vec<[f32; 3]>,
}

/// The voxel that a place is in.
pub(super) fn voxel_at(place: [f32; 3], cell: f32) -> [i32; 3] {
    place.map(|x| (x / cell).round() as i32)
}

/// The middle of a voxel.
pub(super) fn middle(voxel: [i32; 3], cell: f32) -> [f32; 3] {
    voxel.map(|x| x as f32 * cell)
}

impl Voxels {
    /// The voxels of some points.
    fn of(points: &[([f32; 3], [f32; 3])], cell: f32) -> Self {
        let mut found: BTreeMap<[i32; 3], ([f32; 3], f32)> = BTreeMap::new();
        for (place, colour) in points {
            let (sum, count) = found.entry(voxel_at(*place, cell)).or_default();
            sum.iter_mut().zip(colour).for_each(|(sum, c)| *sum += c);
            *count += 1.0;
        }
        let places = found.keys().map(|&voxel| middle(voxel, cell)).collect();
        let colours = found.values().map(|(sum, count)| sum.map(|c| c / count)).collect();
        Self { cell, places, colours }
    }

    /// The voxels of each block's points, all of the same size: `asked` if it is positive, else the median distance between
    /// neighbouring points; larger when a block would have too many.
    pub fn of_blocks(blocks: &[Vec<Point>], scene_from_world: &Similarity, asked: f64, most: usize) -> Vec<Self> {
        let in_scene = |point: &Point| {
            let place = scene_from_world * nalgebra::Point3::from(point.position);
            (place.coords.map(|x| x as f32).into(), point.colour.map(|c| f32::from(c) / 255.0))
        };
        let blocks: Vec<Vec<_>> = blocks.iter().map(|points| points.iter().map(in_scene).collect()).collect();
        let mut cell = if asked > 0.0 {
            (asked * scene_from_world.scaling()) as f32
        } else {
            let places: Vec<[f32; 3]> = blocks.iter().flatten().map(|(place, _)| *place).collect();
            median_distance(&places)
        };
        let first = ((FIRST_SHARE * most as f64) as usize).max(1);
        loop {
            let voxels: Vec<Self> = blocks.iter().map(|points| Self::of(points, cell)).collect();
            if voxels.iter().all(|voxels| voxels.places.len() <= first) {
                return voxels;
            }
            cell *= GROWTH;
        }
    }

    /// For each voxel the root of the mean squared distance to the three that are nearest.
    pub fn spacing(&self) -> Vec<f32> {
        let tree = NearestPoints::new(&self.places);
        let mut spacing = vec![self.cell; self.places.len()];
        for (slot, &index) in tree.order().iter().enumerate() {
            let squares: Vec<f32> =
                tree.nearest::<3>(slot).into_iter().map(|(squared, _)| squared).filter(|d| d.is_finite()).collect();
            if !squares.is_empty() {
                let mean = squares.iter().sum::<f32>() / squares.len() as f32;
                spacing[index as usize] = mean.sqrt().max(NEAREST * self.cell);
            }
        }
        spacing
    }
}

/// The median distance of a place to the nearest other one; points of several blocks stand there several times and count once.
fn median_distance(places: &[[f32; 3]]) -> f32 {
    let mut single: Vec<[u32; 3]> = places.iter().map(|place| place.map(f32::to_bits)).collect();
    single.sort_unstable();
    single.dedup();
    let single: Vec<[f32; 3]> = single.into_iter().map(|place| place.map(f32::from_bits)).collect();
    let tree = NearestPoints::new(&single);
    let mut distances: Vec<f32> = (0..single.len()).map(|slot| tree.nearest::<1>(slot)[0].0.sqrt()).collect();
    distances.retain(|d| d.is_finite() && *d > 0.0);
    let half = distances.len() / 2;
    // A single point stands in a voxel of any size.
    if distances.is_empty() { 1.0 } else { *distances.select_nth_unstable_by(half, f32::total_cmp).1 }
}
