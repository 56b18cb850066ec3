//! Writing SOG: a bundle, or files in a folder beside their `meta.json`. The palette depends on all splats, so that the
//! whole scene is kept in memory until the end.

use super::SogVersion;
use super::encode::{SogFile, encode};
use crate::format::input::bad_splat;
use crate::format::stream::{SplatHeader, SplatSink, check_chunk};
use crate::format::{AtomicFile, Existing, SplatFormat, Staged, WriteOptions};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use image::ImageError;
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Begins a SOG scene: in a bundle, or in the folder of `path` when that is a `meta.json`.
///
/// # Errors
/// When a file is in the way and to be kept, or the disk refuses.
pub(in crate::format) fn create_splats(
    path: &Path,
    header: &SplatHeader,
    options: &WriteOptions,
    existing: Existing,
) -> Result<Box<dyn SplatSink>> {
    // Finds out early whether files can be made here; it vanishes when the scene has none.
    let place = if SplatFormat::Sog.has_companions(path) {
        Place::Folder(Staged::new(path, existing)?)
    } else {
        Place::Bundle(AtomicFile::create(path, existing)?)
    };
    let WriteOptions { keep_order, sog_version: version, .. } = *options;
    Ok(Box::new(Writer { path: path.to_owned(), place, version, keep_order, cloud: header.empty_cloud(0) }))
}

struct Writer {
    path: PathBuf,
    place: Place,
    version: SogVersion,
    keep_order: bool,
    cloud: SplatCloud,
}

enum Place {
    Bundle(AtomicFile),
    Folder(Staged),
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_splats(chunk, self.cloud.sh_degree, self.cloud.len() as u64, &self.path)?;
        self.cloud.append(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.cloud.is_empty() {
            return Err(empty(&self.path));
        }
        let files = encode(&self.cloud, self.version, self.keep_order).map_err(|e| unencodable(&self.path, &e))?;
        match self.place {
            Place::Bundle(file) => write_bundle(file, &files),
            Place::Folder(staged) => write_folder(staged, &files),
        }
    }
}

/// Refuses splats that cannot be encoded; `before` is how many came before them.
pub(in crate::format) fn check_splats(chunk: &SplatCloud, sh_degree: u8, before: u64, path: &Path) -> Result<()> {
    check_chunk(chunk, sh_degree, path)?;
    match chunk.means.iter().position(|mean| !mean.iter().all(|v| v.is_finite())) {
        Some(bad) => Err(bad_splat(path, before + bad as u64, "a position that is not finite")),
        None => Ok(()),
    }
}

/// What is said about a scene without splats.
pub(in crate::format) fn empty(path: &Path) -> DataError {
    DataError::new(path, "would hold no splats, and SOG has no way to say that")
        .remedy("write a .ply file, or keep at least one splat")
}

/// What is said when images cannot hold a scene.
pub(in crate::format) fn unencodable(path: &Path, error: &ImageError) -> DataError {
    DataError::new(path, format!("cannot be written ({error})")).remedy("write fewer splats")
}

/// A zip archive whose entries are not compressed again.
fn write_bundle(mut file: AtomicFile, files: &[SogFile]) -> Result<()> {
    let mut zip = ZipWriter::new(&mut file);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut write = || -> zip::result::ZipResult<()> {
        for (name, bytes) in files {
            zip.start_file(*name, options)?;
            zip.write_all(bytes)?;
        }
        Ok(())
    };
    let written = write().and_then(|()| zip.finish().map(drop));
    written.map_err(|e| file.unwritable(&std::io::Error::other(e)))?;
    file.commit()
}

/// The files of a scene in a folder, under the names that they have there.
fn write_folder(staged: Staged, files: &[SogFile]) -> Result<()> {
    for (i, (name, bytes)) in files.iter().enumerate() {
        let path = if i == 0 { staged.path() } else { staged.folder().join(name) };
        std::fs::write(path, bytes).map_err(|e| DataError::unwritable(staged.place(), &e))?;
    }
    staged.commit()
}
