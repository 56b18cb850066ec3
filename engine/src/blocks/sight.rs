//! What photos see of the ground, by the capture's sparse points. Nothing hides anything: a photo may be said to see what stands
//! behind a wall, which costs a block some time and no quality.

use super::ground::Ground;
use rayon::prelude::*;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::{Capture, Frame, Point};
use tessera_datasets::scene::Frusta;

/// Points that decide what photos see; more do not change shares by a percent.
const MOST_POINTS: usize = 30_000;

/// Which of some points each photo sees.
pub(super) struct Sight {
    /// The places on the ground of the points that are looked at.
    pub places: Vec<[f64; 2]>,
    /// For each photo, the indices of the places that it sees, ascending.
    pub seen: Vec<Vec<u32>>,
}

impl Sight {
    /// Looks with all photos at an even choice of the points.
    pub fn of(capture: &Capture, ground: &Ground) -> Self {
        let step = capture.points.len().div_ceil(MOST_POINTS).max(1);
        let points: Vec<[f64; 3]> = capture.points.iter().step_by(step).map(|point| point.position).collect();
        let frusta = frusta(&capture.frames);
        let seen_by = |photo: usize| {
            let indices = 0..points.len() as u32;
            indices.filter(|&i| frusta.sees(photo, points[i as usize])).collect()
        };
        let seen = (0..capture.frames.len()).into_par_iter().map(seen_by).collect();
        Self { places: points.into_iter().map(|point| ground.place(point).0).collect(), seen }
    }

    /// Where on the ground the middle of what a photo sees is; `None` when it sees no points.
    pub fn footprint(&self, photo: usize) -> Option<[f64; 2]> {
        let seen = &self.seen[photo];
        let middle = |axis: usize| {
            let mut values: Vec<f64> = seen.iter().map(|&i| self.places[i as usize][axis]).collect();
            *values.select_nth_unstable_by(seen.len() / 2, f64::total_cmp).1
        };
        (!seen.is_empty()).then(|| [middle(0), middle(1)])
    }

    /// The places that some photo sees.
    pub fn seen_places(&self) -> impl Iterator<Item = [f64; 2]> + '_ {
        let mut is_seen = vec![false; self.places.len()];
        self.seen.iter().flatten().for_each(|&i| is_seen[i as usize] = true);
        self.places.iter().zip(is_seen).filter(|(_, seen)| *seen).map(|(place, _)| *place)
    }
}

/// The points that at least two of these photos see, or one if there is only one.
pub(super) fn points_seen_by(frames: &[Frame], points: &[Point]) -> Vec<Point> {
    let frusta = frusta(frames);
    let enough = frames.len().min(2);
    let is_seen = |point: &&Point| {
        (0..frusta.len()).filter(|&photo| frusta.sees(photo, point.position)).take(enough).count() == enough
    };
    points.par_iter().filter(is_seen).copied().collect()
}

fn frusta(frames: &[Frame]) -> Frusta {
    Frusta::new(frames.iter().map(|frame| (frame.camera, frame.camera_from_world)), &Similarity::identity())
}
