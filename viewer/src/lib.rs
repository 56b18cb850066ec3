//! Looking at scenes: one wgpu renderer for the desktop and the browser, cameras, and the desktop window.
//!
//! - [`renderer`]: splats, meshes and point clouds on any adapter that wgpu can use;
//! - [`camera`]: orbiting, flying and framing as pure logic;
//! - [`streamed`]: a scene that arrives page by page;
//! - [`moving`]: a moving scene that is played;
//! - `window` (feature `window`): the desktop program around them;
//! - `page` (feature `serve`): the files of the web page;
//! - `export` (feature `serve`): scenes as pages that need no server;
//! - `serve` (feature `serve`): the web server;
//! - `web` (WebAssembly only): what the page runs.
//!
//! Without features this crate is what the web page is built from: it compiles to WebAssembly and opens no files.

pub mod camera;
pub mod error;
#[cfg(feature = "serve")]
pub mod export;
pub mod moving;
#[cfg(feature = "serve")]
pub mod page;
pub mod renderer;
#[cfg(feature = "serve")]
pub mod serve;
pub mod streamed;
#[cfg(target_arch = "wasm32")]
mod web;
#[cfg(feature = "window")]
pub mod window;

pub use error::ViewerError;
