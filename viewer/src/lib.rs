//! Looking at scenes: one wgpu renderer for the desktop and the browser, cameras, and the desktop window.
//!
//! - [`renderer`]: splats, meshes and point clouds on any adapter that wgpu can use;
//! - [`camera`]: orbiting, flying and framing as pure logic;
//! - `window` (feature `window`): the desktop program around them.
//!
//! Without features this crate is what the web page is built from: it compiles to WebAssembly and opens no files.

pub mod camera;
pub mod error;
pub mod renderer;
#[cfg(feature = "window")]
pub mod window;

pub use error::ViewerError;
