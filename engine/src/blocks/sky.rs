//! Whose the sky is. It lies in no cell, and each block learns all of it that its photos see; of every direction the block is kept
//! that most photos show it to. So the joined scene has the sky once.

use super::plan::Plan;
use crate::splats::init::sky::{Shell, directions};
use nalgebra::Vector3;
use std::collections::HashMap;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::Frusta;

/// Directions that are told apart.
const DIRECTIONS: usize = 1000;

/// The sky of a capture in blocks.
#[derive(Clone, Debug)]
pub(crate) struct Sky {
    pub shell: Shell,
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
        Self { shell, owners: directions(DIRECTIONS).map(|direction| (direction, owner(&direction))).collect() }
    }

    /// The block that a place in the world belongs to if it is part of the sky.
    pub fn owner(&self, world: [f64; 3]) -> Option<usize> {
        let direction = self.shell.direction(world)?;
        let nearest = self.owners.iter().max_by(|a, b| direction.dot(&a.0).total_cmp(&direction.dot(&b.0)));
        nearest.map(|(_, owner)| *owner)
    }
}
