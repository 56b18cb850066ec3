//! Captures: posed photos with what belongs to them, from any layout that people use.
//!
//! A [`Capture`] holds descriptions only; pixels are decoded when [`crate::image::ImageCache`] is asked for them.

mod assemble;
mod colmap;
mod detect;
mod hypernerf;
mod idr;
mod images;
mod in_order;
mod llff;
mod normalise;
mod not_a_number;
mod part;
pub mod photos;
mod problems;
mod rig;
mod strecha;
mod times;
mod transforms_json;

pub use detect::OpenOptions;
pub use rig::{CameraReport, Coverage, RigCamera, RigReport, rig_cameras};
pub use transforms_json::{StatedCamera, read_cameras};

use crate::camera::{Camera, Pose, Similarity};
use crate::files::Files;
use std::sync::Arc;

/// Posed photos of one scene.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The name of the folder or archive.
    pub name: String,
    /// Where the photos, masks and depth images are read from.
    pub files: Arc<Files>,
    /// Which layout was detected, in words for the user: "COLMAP binary model in sparse/0".
    pub layout: String,
    /// The photos, sorted by name.
    pub frames: Vec<Frame>,
    /// Sparse points from structure from motion, in the file's world; empty when there are none.
    pub points: Vec<Point>,
    /// From the file's world to the centred, scaled one that methods work in.
    pub scene_from_world: Similarity,
    /// What the user should know about this capture: missing images, skipped frames.
    pub warnings: Vec<String>,
}

impl Capture {
    /// The mean colour of its sparse points, in [0, 1], and never near black or white; grey where there are none.
    pub fn mean_colour(&self) -> [f32; 3] {
        let mean = |c: usize| {
            self.points.iter().map(|point| f64::from(point.colour[c])).sum::<f64>() / self.points.len() as f64
        };
        let colour = std::array::from_fn(|c| (mean(c) / 255.0).clamp(0.1, 0.9) as f32);
        if self.points.is_empty() { [0.5; 3] } else { colour }
    }
}

/// One photo and what belongs to it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Unique within the capture; the image's path without what all share.
    pub name: String,
    /// Path of the photo, or of the video that holds it, within [`Capture::files`].
    pub image: String,
    /// Which frame of the video `image`, counted from 0 in the order in which they are shown; `None` for a photo.
    pub video_frame: Option<u32>,
    /// Mask, if there is one.
    pub mask: Option<MaskSource>,
    /// Depth along the camera's z axis, if there is some.
    pub depth: Option<DepthSource>,
    /// Path of its normal map within [`Capture::files`], if there is one.
    pub normals: Option<String>,
    /// Lens and size of the photo as stored (upright after EXIF orientation).
    pub camera: Camera,
    /// From the file's world to the camera.
    pub camera_from_world: Pose,
    /// Seconds or any other unit, when the capture moves.
    pub time: Option<f64>,
    /// Which camera of a rig took it.
    pub rig_camera: Option<u32>,
    /// The part that the file itself assigns it to.
    pub split: Option<Split>,
}

/// A mask image and what it means.
#[derive(Clone, Debug)]
pub struct MaskSource {
    /// Path within [`Capture::files`].
    pub path: String,
    /// What black means.
    pub kind: MaskKind,
}

/// What the black pixels of a mask mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskKind {
    /// Nothing is known there: a passer-by, the tripod.
    Ignore,
    /// The object is not there: the pixel is background.
    Foreground,
}

/// A depth image.
#[derive(Clone, Debug)]
pub struct DepthSource {
    /// Path within [`Capture::files`]: 16-bit PNG, or one-channel EXR. Zero means unknown.
    pub path: String,
    /// World units per stored unit.
    pub scale: f64,
}

/// A part of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Seen in training.
    Train,
    /// For choosing settings.
    Validation,
    /// Held out.
    Test,
}

/// A sparse point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Position in the file's world.
    pub position: [f64; 3],
    /// sRGB colour.
    pub colour: [u8; 3],
}
