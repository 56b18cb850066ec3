//! Opening, creating, reading and writing splat files of whatever format their extension names.

use super::stream::{self, CloudSource, SplatHeader, SplatSink, SplatSource};
use super::{Existing, SplatFormat, WriteOptions};
use crate::Result;
use crate::scene::SplatCloud;
use std::path::Path;

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
        return Err(stream::inconsistent(path));
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
