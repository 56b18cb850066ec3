//! Pictures and videos of a scene.
//!
//! - [`SplatPainter`]: draws a cloud from anywhere.
//! - [`PathCamera`] with [`orbit`], [`orbit_of_capture`], [`of_frames`], [`from_file`] and [`interpolated`]: where to look from.
//! - [`render_path`]: a folder of PNG files, or a video.

mod camera_path;
mod orbit;
mod output;
mod painter;
mod picture;
mod video;

pub use camera_path::{PathCamera, from_file, interpolated, of_frames};
pub use orbit::{orbit, orbit_of_capture, orbit_of_points};
pub use output::{Layer, PathOptions, is_video, render_path};
pub use painter::{SplatPainter, scene_of_cloud};
pub use picture::{beside, difference, from_planes, to_image};
pub use video::VideoWriter;

#[cfg(test)]
mod tests;
