//! An output of one file, of a folder, or of several files beside each other, that is complete before it takes its place.

use super::atomic::{exists, folder_of};
use super::{Existing, SplatFormat};
use crate::{DataError, Result};
use std::io;
use std::path::{Path, PathBuf};

/// A temporary folder beside an output's place, in which the output is made under its own name together with all that belongs
/// to it. Everything vanishes unless it is committed.
pub struct Staged {
    place: PathBuf,
    existing: Existing,
    /// Some until it is dropped.
    folder: Option<tempfile::TempDir>,
    /// A folder that was made for the output.
    made: Option<PathBuf>,
    /// Names beside the place that belong to the output that is replaced.
    obsolete: Vec<String>,
}

impl Staged {
    /// Prepares for an output at `place`. The folder of a file that describes others is made if it is missing.
    ///
    /// # Errors
    /// When there is one that is to be kept, or its folder is missing or read-only.
    pub fn new(place: &Path, existing: Existing) -> Result<Self> {
        if existing == Existing::Keep && place.exists() {
            return Err(exists(place));
        }
        let parent = folder_of(place);
        let makes = SplatFormat::of(place).is_some_and(|format| format.has_companions(place)) && !parent.exists();
        if makes {
            std::fs::create_dir(parent).map_err(|e| DataError::unwritable(place, &e))?;
        }
        let replaced = Some(place).filter(|_| existing == Existing::Replace);
        let obsolete = replaced.and_then(|place| Some(SplatFormat::of(place)?.companions(place))).unwrap_or_default();
        let mut staged =
            Self { place: place.to_owned(), existing, folder: None, made: makes.then(|| parent.to_owned()), obsolete };
        let folder = tempfile::Builder::new().prefix(".tessera-").suffix(".tmp").tempdir_in(parent);
        staged.folder = Some(folder.map_err(|e| DataError::unwritable(place, &e))?);
        Ok(staged)
    }

    /// The temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), |folder| folder.path())
    }

    /// Where the output is to be written for now.
    pub fn path(&self) -> PathBuf {
        self.folder().join(self.place.file_name().unwrap_or_default())
    }

    /// Where the output will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Brings everything to its place, the output itself last: without it, what belongs to it is nothing.
    ///
    /// # Errors
    /// When something has appeared there that is to be kept, or the disk refuses.
    pub fn commit(mut self) -> Result<()> {
        let parent = folder_of(&self.place).to_owned();
        let main = self.place.file_name().unwrap_or_default().to_owned();
        let unwritable = |e: io::Error| DataError::unwritable(&self.place, &e);
        let entries = std::fs::read_dir(self.folder()).map_err(unwritable)?;
        let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names.map_err(unwritable)?;
        names.sort_by_key(|name| *name == main);
        let in_the_way: Vec<_> = names.iter().filter(|name| parent.join(name).exists()).collect();
        if let Some(name) = in_the_way.first().filter(|_| self.existing == Existing::Keep) {
            return Err(exists(&parent.join(name)));
        }
        let old =
            tempfile::Builder::new().prefix(".tessera-").suffix(".old").tempdir_in(&parent).map_err(unwritable)?;
        // What describes the others goes first, so that nothing describes a mixture.
        for name in in_the_way.into_iter().rev() {
            std::fs::rename(parent.join(name), old.path().join(name)).map_err(unwritable)?;
        }
        for name in &names {
            std::fs::rename(self.folder().join(name), parent.join(name)).map_err(unwritable)?;
        }
        for name in self.obsolete.iter().filter(|name| !names.iter().any(|new| new == name.as_str())) {
            // They are in nobody's way.
            std::fs::rename(parent.join(name), old.path().join(name)).ok();
        }
        self.made = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.folder = None;
        if let Some(made) = &self.made {
            std::fs::remove_dir(made).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("folder");
        let mut names: Vec<_> = entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("new/meta.json");
        let staged = Staged::new(&place, Existing::Keep).expect("staged");
        std::fs::write(staged.path(), "{}").expect("write");
        drop(staged);
        assert!(names(folder.path()).is_empty());
        let missing = Staged::new(&folder.path().join("new/scene.ply"), Existing::Keep).err().expect("no folder");
        assert!(missing.to_string().contains("folder does not exist"), "{missing}");
    }

    #[test]
    fn companions_come_along_and_replace_what_is_obsolete() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("new/lod-meta.json");
        let write = |existing, parts: &[&str]| {
            let staged = Staged::new(&place, existing)?;
            for part in parts {
                std::fs::create_dir(staged.folder().join(part)).expect("folder");
                std::fs::write(staged.folder().join(part).join("file"), part).expect("write");
            }
            let filenames: Vec<String> = parts.iter().map(|part| format!("{part}/meta.json")).collect();
            let description = serde_json::json!({"filenames": filenames, "tree": {}}).to_string();
            std::fs::write(staged.path(), &description).expect("write");
            staged.commit().map(|()| description)
        };
        write(Existing::Keep, &["0_0", "0_1", "other"]).expect("written");
        let parent = folder.path().join("new");
        assert_eq!(names(&parent), ["0_0", "0_1", "lod-meta.json", "other"]);
        let error = write(Existing::Keep, &["0_0"]).expect_err("in the way").to_string();
        assert!(error.contains("exists already"), "{error}");
        // What the old description names goes with it, as far as its name is that of a level.
        let description = write(Existing::Replace, &["0_0", "1_0"]).expect("replaced");
        assert_eq!(names(&parent), ["0_0", "1_0", "lod-meta.json", "other"]);
        assert_eq!(std::fs::read_to_string(&place).expect("read"), description);
        // A companion that is somebody else's is kept too.
        std::fs::remove_file(&place).expect("removed");
        let error = write(Existing::Keep, &["1_0"]).expect_err("in the way").to_string();
        assert!(error.contains("new/1_0: exists already"), "{error}");
        assert_eq!(names(&parent), ["0_0", "1_0", "other"]);
    }
}
