//! Moving scenes in one file, `NAME.t4d`, to be played from any moment while it is fetched.
//!
//! What is seen at a moment is the global bucket and one segment of each level ([`TimeHierarchy`](crate::scene::TimeHierarchy)), and each of these lies in
//! one piece: whoever plays needs so many ranges of the file, however long the scene is.
//!
//! | at | what |
//! |---|---|
//! | 0 | `TESS4D01` |
//! | 8 | u64, little-endian: bytes of the manifest |
//! | 16 | the manifest, JSON ([`VideoManifest`]) |
//! | after it | pages, by place: the global bucket, then level by level from the longest segments to the shortest, in time |
//!
//! A page holds at most 65,536 splats in three deflate streams without a header: *core* and *harmonics* are those of
//! [`tiles::page`](crate::format::tiles::page), the splats as they are at their own times; *motion* says where they go.
//! Motion, 80 bytes of header and 13 bytes a splat, numbers little-endian, planes of one byte of every splat:
//!
//! | at | type | what |
//! |---|---|---|
//! | 0 | f64 × 2 | `time_low`, `time_step`, seconds after the first frame |
//! | 16 | f64 × 3 | `velocity_low`, stored units a second |
//! | 40 | f64 × 3 | `velocity_step` |
//! | 64 | f32 × 2 | `log_time_scale_low`, `log_time_scale_step`: natural logarithm of the standard deviation in seconds |
//! | 72 | u64 | 0 |
//! | 80 | 3 planes | time: low, middle and high byte of q; low + step q |
//! | | 9 planes | velocity along x, y and z in the same way |
//! | | 1 plane | logarithm of the deviation in time: low + step q; 255 for splats that never move and never end |
//!
//! At t, a splat is at its place + velocity (t - time), and its opacity is times exp(-(t - time)² / 2 deviation²). Times are
//! rounded to a 256th of a frame, velocities so that a splat strays by no more than its position is rounded by.
//! How far anything is off at most is measured when the file is written and stated in its manifest ([`Precision`]).
//!
//! Manifests and pages are decoded without files, threads or clocks, so in a browser as well.

mod manifest;
mod motion;
#[cfg(feature = "files")]
mod read;
#[cfg(feature = "files")]
mod write;

pub use manifest::{Precision, Segment, SegmentPage, VideoManifest};
#[cfg(feature = "files")]
pub use read::VideoFile;
#[cfg(feature = "files")]
pub use write::{VideoWriter, write_video};

use std::path::Path;

/// The end of the files' names.
pub const ENDING: &str = "t4d";
/// The first bytes of every file.
pub const MAGIC: [u8; 8] = *b"TESS4D01";
/// Bytes before the manifest.
pub const PREFIX_BYTES: u64 = 16;

/// Whether a name is that of a moving scene.
pub fn is_video_scene_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ENDING))
}

#[cfg(all(test, feature = "files"))]
mod tests;
