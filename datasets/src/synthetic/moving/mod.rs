//! A stage for long videos, cheap enough for thousands of frames of two dozen cameras: things that move, things that repeat what
//! they did, and things that rest, on textured ground under a dome.
//!
//! What rests is traced once for each camera; every frame traces only the pixels in which something moves. All follows from
//! the seed and the options, bit for bit. Every third of six cameras is held out.

mod render;
mod stage;
mod write;

pub use write::write_moving;

use super::cameras::look_at;
use crate::camera::{Camera, Pose};
use crate::capture::Split;
use crate::{DataError, Result};
use nalgebra::Vector3;
use std::f64::consts::TAU;

/// Frames per second.
pub const MOVING_FRAME_RATE: u32 = 30;
/// Metres from the middle of the stage to the cameras.
const RING: f64 = 4.2;
const FIELD_OF_VIEW: f64 = 50.0;

/// How a moving capture is made.
#[derive(Clone, Debug, PartialEq)]
pub struct MovingOptions {
    /// Width and height of the pictures in pixels, 8 to 16384; 320 by 240 by default. Even with `video`.
    pub size: [u32; 2],
    /// Cameras in a ring around the stage, 2 to 1000; 24 by default.
    pub cameras: u32,
    /// Frames of each camera, [`MOVING_FRAME_RATE`] a second, 1 to 1,000,000; 300 by default.
    pub frames: u32,
    /// Chooses what comes by, and where things stand; 0 by default.
    pub seed: u64,
    /// Number of sparse points on what rests, at most ten million; 10,000 by default.
    pub points: usize,
    /// Writes videos with an EasyVolcap calibration instead of photos with a `transforms.json`. Off by default.
    pub video: bool,
}

impl Default for MovingOptions {
    fn default() -> Self {
        Self { size: [320, 240], cameras: 24, frames: 300, seed: 0, points: 10_000, video: false }
    }
}

impl MovingOptions {
    /// # Errors
    /// When an option is out of the range that it states.
    fn check(&self) -> Result<()> {
        let [width, height] = self.size;
        let problem = if !(8..=16_384).contains(&width) || !(8..=16_384).contains(&height) {
            format!("pictures of {width}x{height} can't be made: sides go from 8 to 16384")
        } else if self.video && (width % 2 == 1 || height % 2 == 1) {
            format!("videos of {width}x{height} can't be made: their sides are even")
        } else if !(2..=1000).contains(&self.cameras) {
            format!("cameras can't be {}: their number goes from 2 to 1000", self.cameras)
        } else if !(1..=1_000_000).contains(&self.frames) {
            format!("frames can't be {}: their number goes from 1 to 1000000", self.frames)
        } else if self.points > 10_000_000 {
            format!("points can't be {}: their number goes to 10000000", self.points)
        } else {
            return Ok(());
        };
        Err(DataError::new("synthetic moving", problem))
    }

    /// The lens that all cameras share.
    fn camera(&self) -> Camera {
        let [width, height] = self.size;
        Camera::from_horizontal_fov(width, height, FIELD_OF_VIEW.to_radians())
    }

    /// From the world to each camera, and the part of the capture that it is for.
    fn stands(&self) -> Vec<(Pose, Split)> {
        let target = Vector3::new(0.0, 0.0, 0.6);
        (0..self.cameras)
            .map(|i| {
                let turn = TAU * f64::from(i) / f64::from(self.cameras);
                let height = if i % 2 == 0 { 1.4 } else { 2.7 };
                let pose = look_at(Vector3::new(RING * turn.cos(), RING * turn.sin(), height), target);
                (pose, if self.is_held_out(i) { Split::Test } else { Split::Train })
            })
            .collect()
    }

    fn is_held_out(&self, camera: u32) -> bool {
        camera % 6 == 3 || self.cameras < 4 && camera == 0
    }
}

#[cfg(test)]
mod tests;
