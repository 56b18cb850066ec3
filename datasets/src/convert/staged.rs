//! An output that is looked at before it takes its place.

use crate::format::Existing;
use crate::{DataError, Result};
use std::path::{Path, PathBuf};

/// A file with its own name in a temporary folder beside its place. It vanishes unless it is committed.
pub struct StagedFile {
    place: PathBuf,
    existing: Existing,
    folder: tempfile::TempDir,
}

impl StagedFile {
    /// Prepares for a file at `place`.
    ///
    /// # Errors
    /// When there is one that is to be kept, or its folder is missing or read-only.
    pub fn new(place: &Path, existing: Existing) -> Result<Self> {
        if existing == Existing::Keep && place.exists() {
            return Err(exists(place));
        }
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = tempfile::Builder::new().prefix(".tessera-").suffix(".tmp").tempdir_in(parent);
        let folder = folder.map_err(|e| DataError::new(place, format!("cannot be written ({e})")))?;
        Ok(Self { place: place.to_owned(), existing, folder })
    }

    /// Where the file is to be written for now.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.place.file_name().unwrap_or_default())
    }

    /// Brings the file to its place.
    ///
    /// # Errors
    /// When a file has appeared there that is to be kept, or the disk refuses.
    pub fn commit(self) -> Result<()> {
        if self.existing == Existing::Keep && self.place.exists() {
            return Err(exists(&self.place));
        }
        std::fs::rename(self.path(), &self.place)
            .map_err(|e| DataError::new(&self.place, format!("cannot be written ({e})")))
    }
}

fn exists(place: &Path) -> DataError {
    DataError::new(place, "exists already").remedy("choose another name, or overwrite it with --force")
}
