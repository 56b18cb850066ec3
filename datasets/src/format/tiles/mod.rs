//! Scenes at many levels of detail, to be streamed: a folder `NAME.tiles` with a manifest and the pages.
//!
//! - `tiles.json`, the [`Manifest`]: the scene, the tree ([`crate::scene::tile_tree`]) and where each page lies.
//! - `pages.bin`: the pages ([`page`]) one after the other, coarse to fine, so that any file host that answers range requests
//!   streams the scene, and whatever arrives first shows all of it. The manifest may name several files instead of one.
//!
//! The whole layout is written down in `docs/guide/level-of-detail.md`, for others to implement.
//!
//! Manifests and pages are decoded without files, threads or clocks, so in a browser as well.

mod manifest;
pub mod page;
#[cfg(feature = "files")]
mod read;
#[cfg(feature = "files")]
mod write;

#[cfg(all(test, feature = "files"))]
mod tests;

pub use manifest::{Manifest, PageLocation, StartCamera};
#[cfg(feature = "files")]
pub(in crate::format) use read::open_splats;
#[cfg(feature = "files")]
pub use read::{PageFiles, open_manifest};
#[cfg(feature = "files")]
pub(in crate::format) use write::create_splats;

/// The name of the manifest in its folder.
pub const MANIFEST: &str = "tiles.json";
/// The name of the file with the pages, as we write it.
pub const PAGES: &str = "pages.bin";
