//! Reading zip archives from many threads, without trusting the sizes and names that they state.

use super::clean;
use crate::{DataError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use zip::ZipArchive;

/// The largest uncompressed entry that is read, in bytes.
pub(super) const MAX_ENTRY_BYTES: u64 = 1 << 30;

/// A zip archive with an index by cleaned path.
#[derive(Debug)]
pub(super) struct Archive {
    zip: ZipArchive<SharedFile>,
    /// Entry number by path.
    files: BTreeMap<String, usize>,
    dirs: BTreeSet<String>,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| DataError::unreadable(path, &e))?;
        let shared = SharedFile { file: Arc::new(Mutex::new(file)), position: 0 };
        let zip = ZipArchive::new(shared).map_err(|e| {
            DataError::new(path, format!("is not a readable zip archive ({e})"))
                .remedy("give a capture's folder or a .zip of it")
        })?;
        let mut files = BTreeMap::new();
        for index in 0..zip.len() {
            let Some(Ok(name)) = zip.name_for_index(index) else { continue };
            let is_dir = name.ends_with('/') || name.ends_with('\\');
            let Some(path) = clean(&name).filter(|_| !is_dir) else { continue };
            // Finder's resource forks and other hidden files would spoil the single top-level folder.
            let hidden = path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
            if !hidden && !path.is_empty() {
                files.insert(path, index);
            }
        }
        let files = without_common_folder(files);
        let mut dirs = BTreeSet::from([String::new()]);
        for path in files.keys() {
            dirs.extend(path.match_indices('/').map(|(end, _)| path[..end].to_owned()));
        }
        Ok(Self { zip, files, dirs })
    }

    pub(super) fn read(&self, rel: &str, limit: u64, path: &Path) -> Result<Vec<u8>> {
        let missing = || DataError::new(path, "is not in the archive").remedy("make the archive again, with that file");
        let index = *self.files.get(rel).ok_or_else(missing)?;
        let unreadable = |e: &dyn std::fmt::Display| {
            DataError::new(path, format!("cannot be unpacked ({e})")).remedy("make the archive again")
        };
        // The clone shares the index and the file; only the position is its own.
        let mut zip = self.zip.clone();
        let entry = zip.by_index(index).map_err(|e| unreadable(&e))?;
        let stated = entry.size();
        let mut bytes = Vec::with_capacity(stated.min(limit).min(16 << 20) as usize);
        let limit = limit.min(MAX_ENTRY_BYTES + 1);
        if stated <= MAX_ENTRY_BYTES {
            entry.take(limit).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
        }
        if stated > MAX_ENTRY_BYTES || bytes.len() as u64 > MAX_ENTRY_BYTES {
            let error = DataError::new(path, "is larger than 1 GiB when unpacked");
            return Err(error.remedy("unpack the archive and give its folder"));
        }
        Ok(bytes)
    }

    pub(super) fn has_file(&self, rel: &str) -> bool {
        self.files.contains_key(rel)
    }

    pub(super) fn has_dir(&self, rel: &str) -> bool {
        self.dirs.contains(rel)
    }

    pub(super) fn files_below<'a>(&'a self, rel: &'a str) -> impl Iterator<Item = String> + 'a {
        self.files.keys().filter(move |path| strip_folder(path, rel).is_some()).cloned()
    }

    pub(super) fn names_in(&self, rel: &str) -> Vec<String> {
        let all = self.files.keys().chain(&self.dirs);
        all.filter_map(|path| strip_folder(path, rel))
            .filter(|rest| !rest.is_empty() && !rest.contains('/'))
            .map(str::to_owned)
            .collect()
    }
}

/// The part of `path` below the folder `rel`.
fn strip_folder<'a>(path: &'a str, rel: &str) -> Option<&'a str> {
    if rel.is_empty() { Some(path) } else { path.strip_prefix(rel)?.strip_prefix('/') }
}

fn without_common_folder(files: BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let Some((folder, _)) = files.keys().next().and_then(|path| path.split_once('/')) else { return files };
    if !files.keys().all(|path| strip_folder(path, folder).is_some()) {
        return files;
    }
    let skip = folder.len() + 1;
    files.into_iter().map(|(path, index)| (path[skip..].to_owned(), index)).collect()
}

/// One open file read at many positions at once.
#[derive(Clone, Debug)]
struct SharedFile {
    file: Arc<Mutex<File>>,
    position: u64,
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let SeekFrom::Current(_) = to {
            file.seek(SeekFrom::Start(self.position))?;
        }
        self.position = file.seek(to)?;
        Ok(self.position)
    }
}
