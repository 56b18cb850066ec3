//! Pictures and videos of a scene.
//!
//! - [`Painter`]: what can be drawn from anywhere; [`SplatPainter`]: a cloud.
//! - [`PathCamera`] with [`orbit`], [`orbit_of_capture`], [`orbit_past_photos`], [`of_frames`], [`from_file`] and [`interpolated`]: where to look from.
//! - [`DetailedPainter`]: with details from [`PhotoDetails`].
//! - [`render_path`]: a folder of PNG files, or a video.

mod camera_path;
mod details;
mod orbit;
mod output;
mod painter;
mod picture;
mod video;

pub use camera_path::{PathCamera, from_file, interpolated, of_frames};
pub use details::{DetailedPainter, PhotoDetails};
pub use orbit::{orbit, orbit_of_capture, orbit_of_points, orbit_past_photos};
pub use output::{Layer, PathOptions, is_video, render_path};
pub use painter::{Painter, SplatPainter, scene_of_cloud};
pub use picture::{beside, difference, from_planes, to_image};
pub use video::VideoWriter;

#[cfg(test)]
mod tests;
