//! Writing SOG: a bundle, or files in a folder beside their `meta.json`. The palette depends on all splats, so that the
//! whole scene is kept in memory until the end.

use super::encode::{SogFile, encode};
use crate::format::input::bad_splat;
use crate::format::stream::{SplatHeader, SplatSink, check_chunk};
use crate::format::{AtomicFile, Existing, WriteOptions};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
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
    let is_folder = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if existing == Existing::Keep && path.exists() {
        return Err(DataError::new(path, "exists already").remedy("choose another name, or overwrite it with --force"));
    }
    // Finds out early whether files can be made here; it vanishes when the scene has none.
    let bundle = (!is_folder).then(|| AtomicFile::create(path, existing)).transpose()?;
    Ok(Box::new(Writer {
        path: path.to_owned(),
        existing,
        bundle,
        keep_order: options.keep_order,
        cloud: header.empty_cloud(0),
    }))
}

struct Writer {
    path: PathBuf,
    existing: Existing,
    /// None when the scene becomes files in a folder.
    bundle: Option<AtomicFile>,
    keep_order: bool,
    cloud: SplatCloud,
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.cloud.sh_degree, &self.path)?;
        if let Some(bad) = chunk.means.iter().position(|mean| !mean.iter().all(|v| v.is_finite())) {
            return Err(bad_splat(&self.path, (self.cloud.len() + bad) as u64, "a position that is not finite"));
        }
        self.cloud.append(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.cloud.is_empty() {
            return Err(DataError::new(&self.path, "would hold no splats, and SOG has no way to say that")
                .remedy("write a .ply file, or keep at least one splat"));
        }
        let files = encode(&self.cloud, self.keep_order)
            .map_err(|e| DataError::new(&self.path, format!("cannot be written ({e})")).remedy("write fewer splats"))?;
        match self.bundle {
            Some(file) => write_bundle(file, &files),
            None => write_folder(&self.path, &files, self.existing),
        }
    }
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

/// All files take their names at the end, `meta.json` last: without it they are no scene.
fn write_folder(meta: &Path, files: &[SogFile], existing: Existing) -> Result<()> {
    let folder = meta.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made_folder = !folder.exists();
    if made_folder {
        std::fs::create_dir(folder).map_err(|e| DataError::new(folder, format!("cannot be created ({e})")))?;
    }
    let write = || -> Result<()> {
        let mut begun = Vec::new();
        for (i, (name, bytes)) in files.iter().enumerate() {
            let path = if i == 0 { meta.to_owned() } else { folder.join(name) };
            let mut file = AtomicFile::create(path, existing)?;
            file.put(bytes)?;
            begun.push(file);
        }
        begun.into_iter().rev().try_for_each(AtomicFile::commit)
    };
    let written = write();
    if written.is_err() && made_folder {
        std::fs::remove_dir(folder).ok();
    }
    written
}
