//! A folder or a zip archive behind one interface, so that every capture layout can be read from both.
//!
//! Paths are relative to the root, with forward slashes on every system: `images/left/0001.jpg`. Nothing outside
//! the root can be reached: `..` is resolved within it and refused where it would leave it. An archive whose
//! entries all lie in one top-level folder is read as if that folder were the root, since that is how people zip.

mod archive;

use crate::video::VideoInfo;
use crate::{DataError, Result};
use archive::Archive;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many files a folder may hold before listing it is refused: a guard against being pointed at a whole disk.
const MAX_LISTED_FILES: usize = 1_000_000;
/// How deep a folder is listed, which also ends cycles of symbolic links.
const MAX_DEPTH: usize = 16;

/// Where a capture's files come from: a folder or a zip archive. Share it as `Arc<Files>`; reading takes no lock
/// that is held while decompressing, so many threads can read at once.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    source: Source,
    /// What was looked up of videos, since that reads them from end to end.
    videos: Mutex<HashMap<String, Arc<VideoInfo>>>,
}

#[derive(Debug)]
enum Source {
    Folder,
    Archive(Archive),
}

impl Files {
    /// Opens a folder, or a file that is a zip archive.
    ///
    /// # Errors
    /// When there is nothing at `path`, or it is a file but no readable zip archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(|e| DataError::unreadable(path, &e))?;
        let source = if metadata.is_dir() { Source::Folder } else { Source::Archive(Archive::open(path)?) };
        Ok(Self { root: path.to_owned(), source, videos: Mutex::default() })
    }

    /// The folder or the archive itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the folder, or of the archive without `.zip`.
    pub fn name(&self) -> String {
        let full = fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
        let name = if self.is_archive() { full.file_stem() } else { full.file_name() };
        name.map_or_else(|| "capture".to_owned(), |n| n.to_string_lossy().into_owned())
    }

    /// Whether the files lie in a zip archive rather than a folder.
    pub fn is_archive(&self) -> bool {
        matches!(self.source, Source::Archive(_))
    }

    /// The whole content of a file.
    ///
    /// # Errors
    /// When it is missing, unreadable, outside the root, or an archive entry of more than 1 GiB.
    pub fn read(&self, rel: &str) -> Result<Vec<u8>> {
        self.read_prefix(rel, u64::MAX)
    }

    /// The first `limit` bytes of a file, or all of it when it is shorter.
    ///
    /// # Errors
    /// As [`Files::read`].
    pub fn read_prefix(&self, rel: &str, limit: u64) -> Result<Vec<u8>> {
        let path = self.display_path(rel);
        let rel = self.inside(rel)?;
        match &self.source {
            Source::Folder => {
                let file = File::open(&path).map_err(|e| DataError::unreadable(&path, &e))?;
                let metadata = file.metadata().map_err(|e| DataError::unreadable(&path, &e))?;
                if !metadata.is_file() {
                    return Err(DataError::new(&path, "is not a regular file").remedy("put a file in its place"));
                }
                let capacity = metadata.len().min(limit).min(archive::MAX_ENTRY_BYTES);
                let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or(0));
                file.take(limit).read_to_end(&mut bytes).map_err(|e| DataError::unreadable(&path, &e))?;
                Ok(bytes)
            }
            Source::Archive(archive) => archive.read(&rel, limit, &path),
        }
    }

    /// The whole content of a text file.
    ///
    /// # Errors
    /// As [`Files::read`], and when it is not UTF-8.
    pub fn read_text(&self, rel: &str) -> Result<String> {
        String::from_utf8(self.read(rel)?)
            .map_err(|_| DataError::new(self.display_path(rel), "is not UTF-8 text").remedy("save it as UTF-8"))
    }

    /// What the video `rel` holds. It is looked into once.
    ///
    /// # Errors
    /// As [`VideoInfo::of`], and when the files lie in an archive, from which ffmpeg cannot read.
    pub fn video(&self, rel: &str) -> Result<Arc<VideoInfo>> {
        let path = self.display_path(&self.inside(rel)?);
        if self.is_archive() {
            return Err(
                DataError::new(path, "is a video in a zip archive").remedy("unpack the archive and name its folder")
            );
        }
        let known = || self.videos.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(info) = known().get(rel) {
            return Ok(info.clone());
        }
        let info = Arc::new(VideoInfo::of(path)?);
        known().insert(rel.to_owned(), info.clone());
        Ok(info)
    }

    /// Whether the path `rel` stays within the root, whether or not there is anything.
    pub fn is_inside(&self, rel: &str) -> bool {
        clean(rel).is_some()
    }

    /// Whether there is a file (not a folder) at `rel`.
    pub fn exists(&self, rel: &str) -> bool {
        let Some(clean) = clean(rel) else { return false };
        match &self.source {
            Source::Folder => self.root.join(clean).is_file(),
            Source::Archive(archive) => archive.has_file(&clean),
        }
    }

    /// Whether there is a folder at `rel`; `""` is the root.
    pub fn is_dir(&self, rel: &str) -> bool {
        let Some(clean) = clean(rel) else { return false };
        match &self.source {
            Source::Folder => self.root.join(clean).is_dir(),
            Source::Archive(archive) => archive.has_dir(&clean),
        }
    }

    /// All files at any depth, sorted by path. Hidden files and folders are left out.
    ///
    /// # Errors
    /// When a folder cannot be read or holds more than a million files.
    pub fn list(&self) -> Result<Vec<String>> {
        self.list_below("")
    }

    /// All files at any depth below the folder `rel`, as paths from the root, sorted; none when there is no such
    /// folder. Hidden files and folders are left out.
    ///
    /// # Errors
    /// As [`Files::list`].
    pub fn list_below(&self, rel: &str) -> Result<Vec<String>> {
        let rel = self.inside(rel)?;
        let mut found = Vec::new();
        match &self.source {
            Source::Folder if self.is_dir(&rel) => self.walk(&rel, 0, &mut found)?,
            Source::Folder => {}
            Source::Archive(archive) => found.extend(archive.files_below(&rel)),
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The names (not paths) of the files and folders directly in the folder `rel`, sorted; `""` is the root. None
    /// when there is no such folder. Hidden ones are left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_dir(&self, rel: &str) -> Result<Vec<String>> {
        let rel = self.inside(rel)?;
        if !self.is_dir(&rel) {
            return Ok(Vec::new());
        }
        let mut names = match &self.source {
            Source::Folder => self.folder_entries(&rel)?,
            Source::Archive(archive) => archive.names_in(&rel),
        };
        names.sort_unstable();
        Ok(names)
    }

    /// Where a file lies, for messages: `capture.zip/images/1.jpg` names an entry of an archive.
    pub fn display_path(&self, rel: &str) -> PathBuf {
        let rel = clean(rel).unwrap_or_else(|| rel.to_owned());
        if rel.is_empty() { self.root.clone() } else { self.root.join(rel) }
    }

    fn inside(&self, rel: &str) -> Result<String> {
        clean(rel).ok_or_else(|| {
            DataError::new(&self.root, format!("the path '{rel}' leads outside of the folder"))
                .remedy("name files in the folder only")
        })
    }

    fn folder_entries(&self, rel: &str) -> Result<Vec<String>> {
        let path = self.display_path(rel);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(|e| DataError::unreadable(&path, &e))? {
            let name = entry.map_err(|e| DataError::unreadable(&path, &e))?.file_name();
            // A name that is not Unicode cannot be mentioned in any capture file either.
            if let Some(name) = name.to_str().filter(|n| !n.starts_with('.')) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn walk(&self, rel: &str, depth: usize, found: &mut Vec<String>) -> Result<()> {
        for name in self.folder_entries(rel)? {
            let path = join(rel, &name);
            if self.is_dir(&path) {
                if depth < MAX_DEPTH {
                    self.walk(&path, depth + 1, found)?;
                }
            } else {
                found.push(path);
            }
            if found.len() > MAX_LISTED_FILES {
                let reason = format!("holds more than {MAX_LISTED_FILES} files");
                return Err(DataError::new(&self.root, reason).remedy("name the folder of one capture"));
            }
        }
        Ok(())
    }
}

/// `folder/name`, or `name` alone in the root.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The path without `.`, `..`, doubled and backward slashes; `None` when it would leave the root.
fn clean(rel: &str) -> Option<String> {
    let rel = rel.replace('\\', "/");
    if rel.starts_with('/') || rel.contains('\0') || rel.split('/').next().is_some_and(|first| first.ends_with(':')) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in rel.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
