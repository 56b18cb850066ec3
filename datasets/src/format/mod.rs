//! Scene files: one file or folder per format, reader beside writer.
//!
//! [`SplatFormat`] knows all splat formats, by extension and by what each can hold. [`open_splats`] and [`create_splats`]
//! work on chunks ([`stream`]), [`read_splats`] and [`write_splats`] on whole clouds. Whatever is written appears whole or
//! not at all ([`AtomicFile`]).

mod atomic;
mod gltf;
pub(crate) mod npy;
pub mod ply;
pub mod quantise;
mod registry;
mod sog;
pub mod stream;

pub use atomic::{AtomicFile, AtomicFolder, Existing, write_atomically};
pub use registry::{SplatFormat, WriteOptions};

use crate::scene::SplatCloud;
use crate::{DataError, Result};
use std::path::Path;
use stream::{CloudSource, SplatHeader, SplatSink, SplatSource};

/// Opens a splat file of any format that can be read.
///
/// # Errors
/// When the extension is unknown, or the file is missing, damaged, or not of that format.
pub fn open_splats(path: impl AsRef<Path>) -> Result<Box<dyn SplatSource>> {
    let path = path.as_ref();
    SplatFormat::to_read(path)?.open(path)
}

/// Begins a splat file in the format that its extension names.
///
/// # Errors
/// When the extension is unknown or of a format that is only read, the file exists and is to be kept, or the disk
/// refuses.
pub fn create_splats(
    path: impl AsRef<Path>,
    header: &SplatHeader,
    options: &WriteOptions,
    existing: Existing,
) -> Result<Box<dyn SplatSink>> {
    let path = path.as_ref();
    SplatFormat::to_write(path)?.create(path, header, options, existing)
}

/// Reads a whole splat file of any supported format.
///
/// # Errors
/// As [`open_splats`] and [`stream::collect`].
pub fn read_splats(path: impl AsRef<Path>) -> Result<SplatCloud> {
    stream::collect(open_splats(path)?.as_mut())
}

/// Writes a whole splat file in the format that its extension names.
///
/// # Errors
/// As [`create_splats`], and when the cloud's arrays differ in length.
pub fn write_splats(path: impl AsRef<Path>, cloud: &SplatCloud, force: bool) -> Result<()> {
    let path = path.as_ref();
    if !cloud.is_consistent() {
        return Err(DataError::new(path, "is not written, because the scene's arrays differ in length"));
    }
    let existing = if force { Existing::Replace } else { Existing::Keep };
    let mut sink = create_splats(path, &SplatHeader::of(cloud), &WriteOptions::default(), existing)?;
    let mut source = CloudSource::new(cloud);
    let mut chunk = source.header().empty_cloud(stream::CHUNK_SPLATS);
    while source.next_chunk(&mut chunk)? {
        sink.put(&chunk)?;
    }
    sink.finish()
}
