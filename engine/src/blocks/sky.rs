//! Whose the sky is. It lies in no cell, and each block learns all of it that its photos see; of every direction the block is kept
//! that most photos show it to. So the joined scene has the sky once.

use super::plan::Plan;
use crate::frames::mean_up;
use crate::splats::init::sky::{Shell, directions};
use nalgebra::Vector3;
use std::collections::HashMap;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::{Capture, Point};
use tessera_datasets::format::tiles::StartCamera;
use tessera_datasets::scene::Frusta;

/// Directions that are told apart.
const DIRECTIONS: usize = 1000;

/// The sky of a capture in blocks.
#[derive(Clone, Debug)]
pub(crate) struct Sky {
    pub shell: Shell,
    /// Where to begin looking from, and up there: from before the scene one would see the sky from behind.
    pub start: Option<(StartCamera, [f32; 3])>,
    /// Each direction, and the number of its block.
    owners: Vec<(Vector3<f64>, usize)>,
}

impl Sky {
    pub fn of(capture: &Capture, plan: &Plan) -> Self {
        let shell = Shell::of(capture);
        let frusta = Frusta::new(
            capture.frames.iter().map(|frame| (frame.camera, frame.camera_from_world)),
            &Similarity::identity(),
        );
        let numbers: HashMap<&str, usize> =
            capture.frames.iter().enumerate().map(|(i, frame)| (frame.name.as_str(), i)).collect();
        let photos: Vec<Vec<usize>> = plan
            .blocks
            .iter()
            .map(|block| block.photos.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect())
            .collect();
        let owner = |direction: &Vector3<f64>| {
            let place: [f64; 3] = shell.place(direction).into();
            let sees: Vec<bool> = (0..frusta.len()).map(|photo| frusta.sees(photo, place)).collect();
            let seeing = |block: &usize| photos[*block].iter().filter(|photo| sees[**photo]).count();
            // Of equals the first.
            (0..photos.len()).rev().max_by_key(seeing).unwrap_or(0)
        };
        let owners = directions(DIRECTIONS).map(|direction| (direction, owner(&direction))).collect();
        Self { shell, start: of_first_photo(capture), owners }
    }

    /// The block that a place in the world belongs to if it is part of the sky.
    pub fn owner(&self, world: [f64; 3]) -> Option<usize> {
        let direction = self.shell.direction(world)?;
        let nearest = self.owners.iter().max_by(|a, b| direction.dot(&a.0).total_cmp(&direction.dot(&b.0)));
        nearest.map(|(_, owner)| *owner)
    }
}

/// Where the first photo was taken, looking at the middle one of the sparse points ahead of it, and what is up in all photos.
fn of_first_photo(capture: &Capture) -> Option<(StartCamera, [f32; 3])> {
    let frame = capture.frames.first()?;
    let pose = frame.camera_from_world.inverse();
    let (eye, forward) = (pose.translation.vector, pose.rotation * Vector3::z());
    let ahead = |point: &Point| (Vector3::from(point.position) - eye).dot(&forward);
    let mut depths: Vec<f64> = capture.points.iter().map(ahead).filter(|depth| *depth > 0.0).collect();
    depths.sort_unstable_by(f64::total_cmp);
    let target = eye + forward * depths.get(depths.len() / 2).copied().unwrap_or(1.0);
    let [position, target] = [eye, target].map(|place| place.map(|x| x as f32).into());
    let camera = &frame.camera;
    let fov_y = 2.0 * (0.5 * f64::from(camera.height) / camera.lens.focal[1]).atan();
    let up = mean_up(&capture.frames).try_normalize(1e-6)?;
    Some((StartCamera { position, target, fov_y: fov_y as f32 }, up.map(|x| x as f32).into()))
}
