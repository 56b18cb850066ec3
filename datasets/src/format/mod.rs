//! Scene files: one file or folder per format, reader beside writer.
//!
//! [`SplatFormat`] knows all splat formats, by extension and by what each can hold. [`open_splats`] and [`create_splats`]
//! work on chunks ([`stream`]), [`read_splats`] and [`write_splats`] on whole clouds. [`MeshFormat`], [`read_mesh`] and
//! [`write_mesh`] are the same for meshes, [`MeshSequence`] and [`SequenceWriter`] for meshes of several moments. Whatever is written appears whole or
//! not at all ([`AtomicFile`]). What the web page needs too is compiled without the feature `files`.

#[cfg(feature = "files")]
mod atomic;
#[cfg(feature = "files")]
mod compressed_ply;
#[cfg(feature = "files")]
mod contents;
#[cfg(feature = "files")]
mod corners;
#[cfg(feature = "files")]
mod gltf;
#[cfg(feature = "files")]
mod input;
#[cfg(feature = "files")]
mod ksplat;
#[cfg(feature = "files")]
mod lod_meta;
#[cfg(all(test, feature = "files"))]
mod made;
#[cfg(feature = "files")]
mod matlab;
#[cfg(feature = "files")]
mod mesh;
#[cfg(feature = "files")]
pub(crate) mod npy;
#[cfg(feature = "files")]
mod obj;
#[cfg(feature = "files")]
mod off;
#[cfg(feature = "files")]
mod open;
#[cfg(feature = "files")]
mod pieces;
mod placement;
#[cfg(feature = "files")]
pub mod ply;
pub mod quantise;
#[cfg(feature = "files")]
mod registry;
#[cfg(feature = "files")]
mod rows;
#[cfg(feature = "files")]
mod sequence;
#[cfg(feature = "files")]
mod sog;
#[cfg(feature = "files")]
mod spill;
#[cfg(feature = "files")]
mod splat;
#[cfg(feature = "files")]
mod spz;
#[cfg(feature = "files")]
mod staged;
pub mod stream;
pub mod tiles;
pub mod volumetric;
#[cfg(feature = "files")]
pub mod weights;

#[cfg(feature = "files")]
pub use atomic::{AtomicFile, AtomicFolder, Existing, write_atomically};
#[cfg(feature = "files")]
pub use contents::{Contents, is_scene_name};
#[cfg(feature = "files")]
pub use gltf::{SequencePlaces, SequenceWriter};
#[cfg(feature = "files")]
pub use matlab::{MatlabArray, read_matlab};
#[cfg(feature = "files")]
pub use mesh::{MeshFormat, ReadMesh, read_mesh, write_mesh};
#[cfg(feature = "files")]
pub use open::{create_splats, open_splats, read_splats, write_splats};
#[cfg(feature = "files")]
pub use registry::{SplatFormat, WriteOptions};
#[cfg(feature = "files")]
pub use sequence::{MeshSequence, SEQUENCE_FILE, SequenceMesh};
#[cfg(feature = "files")]
pub use sog::{SogFile, SogVersion, encode as encode_sog};
#[cfg(feature = "files")]
pub use spz::SpzVersion;
#[cfg(feature = "files")]
pub use staged::Staged;
