//! What lies on disk: captures (posed photos and video), scenes and meshes, and every file format.
//!
//! - [`capture`]: posed photos with masks, depth and sparse points; one file per source layout.
//! - [`image`]: decoding behind a bounded cache.
//! - [`convert`]: from scene files to a scene file, edited on the way.
//! - [`scene`]: plain data types that other crates share.
//! - [`format`](mod@format): one file per scene format, reader beside writer.
//! - [`synthetic`]: made captures with exact ground truth.
//! - [`video`]: single frames of videos, decoded by ffmpeg when they are asked for.
//! - [`files`]: a folder or a zip archive behind one interface.
//!
//! Without the feature `files` (on by default) only [`scene`] and what needs no disk remain: that part compiles to
//! WebAssembly for the web page.

#[cfg(feature = "files")]
pub mod capture;
#[cfg(feature = "files")]
pub mod convert;
mod error;
#[cfg(feature = "files")]
pub mod files;
pub mod format;
#[cfg(feature = "files")]
pub mod image;
#[cfg(feature = "files")]
mod program;
pub mod scene;
#[cfg(feature = "files")]
pub mod synthetic;
#[cfg(feature = "files")]
pub mod video;

pub use error::{DataError, Result};
pub use tessera_camera as camera;
