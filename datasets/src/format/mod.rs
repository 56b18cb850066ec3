//! Scene files: one file or folder per format, reader beside writer.
//!
//! [`SplatFormat`] knows all splat formats, by extension and by what each can hold. [`open_splats`] and [`create_splats`]
//! work on chunks ([`stream`]), [`read_splats`] and [`write_splats`] on whole clouds. Whatever is written appears whole or
//! not at all ([`AtomicFile`]). What the web page needs too is compiled without the feature `files`.

#[cfg(feature = "files")]
mod atomic;
#[cfg(feature = "files")]
mod gltf;
#[cfg(feature = "files")]
pub(crate) mod npy;
#[cfg(feature = "files")]
mod open;
#[cfg(feature = "files")]
pub mod ply;
pub mod quantise;
#[cfg(feature = "files")]
mod registry;
#[cfg(feature = "files")]
mod sog;
pub mod stream;
pub mod tiles;

#[cfg(feature = "files")]
pub use atomic::{AtomicFile, AtomicFolder, Existing, write_atomically};
#[cfg(feature = "files")]
pub use open::{create_splats, open_splats, read_splats, write_splats};
#[cfg(feature = "files")]
pub use registry::{SplatFormat, WriteOptions};
