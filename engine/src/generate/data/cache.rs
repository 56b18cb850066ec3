//! Distances of meshes, kept in files: taking them from a mesh is slow, and meshes seldom change.
//!
//! A file for each mesh, named after a hash of the mesh's file, little-endian:
//!
//! ```text
//! "TSHP", version, bytes of the mesh's file (u64), blocks near the surface | distances [16³], [blocks, 64] (f32) | CRC-32 of all before
//! ```

use super::Sample;
use super::sample::{COARSE, VOXELS, blocks_near};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::format::{Existing, write_atomically};

/// The folder's name where none is said.
const BESIDE: &str = ".tessera-shapes";
const MAGIC: [u8; 4] = *b"TSHP";
/// Raised whenever the same mesh gives other distances, or files look different.
const VERSION: u32 = 1;
const HEADER: usize = 20;
const CHECKSUM: usize = 4;

/// A folder of such files.
pub struct Cache<'a> {
    folder: PathBuf,
    warn: &'a (dyn Fn(String) + Sync),
    /// Whether the user knows that nothing can be written.
    complained: AtomicBool,
}

/// A mesh's file by its contents.
#[derive(Clone, Copy)]
pub struct Key {
    hash: u64,
    bytes: u64,
}

impl Key {
    /// That of these contents: FNV-1a and the length.
    pub fn of(contents: &[u8]) -> Self {
        let hash = contents.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { hash, bytes: contents.len() as u64 }
    }
}

impl<'a> Cache<'a> {
    /// That in `named`, or beside `meshes`. `warn` is told what cannot be used.
    pub fn new(meshes: &Path, named: Option<&Path>, warn: &'a (dyn Fn(String) + Sync)) -> Self {
        let folder = named.map_or_else(|| meshes.join(BESIDE), Path::to_owned);
        Self { folder, warn, complained: AtomicBool::new(false) }
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(format!("{:016x}-{:x}.v{VERSION}", key.hash, key.bytes))
    }

    /// What is kept of a mesh.
    pub fn get(&self, key: Key, label: u32) -> Option<Sample> {
        let path = self.path(key);
        let bytes = std::fs::read(&path).ok()?;
        let sample = parse(&bytes, key, label);
        if sample.is_none() {
            (self.warn)(format!("{}: is damaged; the mesh's distances are computed anew", path.display()));
        }
        sample
    }

    /// Keeps a mesh's distances. Where that cannot be done the user is told once.
    pub fn put(&self, key: Key, sample: &Sample) {
        if let Err(error) = self.write(key, sample)
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            (self.warn)(format!(
                "distances of meshes are not kept ({error}); name another folder for them with --cache"
            ));
        }
    }

    fn write(&self, key: Key, sample: &Sample) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::write(&self.folder, &e))?;
        let mut bytes = Vec::with_capacity(HEADER + 4 * (sample.coarse.len() + sample.fine.len()) + CHECKSUM);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(key.bytes.to_le_bytes());
        bytes.extend(((sample.fine.len() / VOXELS) as u32).to_le_bytes());
        bytes.extend(sample.coarse.iter().chain(&sample.fine).flat_map(|x| x.to_le_bytes()));
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Ok(write_atomically(self.path(key), Existing::Replace, |out| out.write_all(&bytes))?)
    }
}

/// The sample in a file, if it is whole.
fn parse(bytes: &[u8], key: Key, label: u32) -> Option<Sample> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
    let (header, values) = body.split_first_chunk::<HEADER>()?;
    let is_whole = crc32fast::hash(body) == u32::from_le_bytes(*checksum);
    let expected = [&MAGIC[..], &VERSION.to_le_bytes(), &key.bytes.to_le_bytes()].concat();
    let (numbers, rest) = values.as_chunks::<4>();
    if !is_whole || header[..16] != expected || !rest.is_empty() || numbers.len() < COARSE.pow(3) {
        return None;
    }
    let mut coarse: Vec<f32> = numbers.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let fine = coarse.split_off(COARSE.pow(3));
    let blocks = u32::from_le_bytes(*header.last_chunk()?) as usize;
    let fits = fine.len() == blocks * VOXELS && blocks_near(&coarse).len() == blocks;
    fits.then_some(Sample { label, coarse, fine })
}

#[cfg(test)]
mod tests {
    use super::super::Data;
    use super::*;
    use std::sync::Mutex;

    /// A folder with a cube, and what reading it says.
    fn read(folder: &Path, cache: Option<&Path>) -> (Data, Vec<String>) {
        let warnings = Mutex::new(Vec::new());
        let warn = |text: String| warnings.lock().expect("warnings").push(text);
        let stop = AtomicBool::new(false);
        let data = Data::of_folder(folder, 0, &stop, &|_, _| (), &Cache::new(folder, cache, &warn)).expect("a shape");
        (data, warnings.into_inner().expect("warnings"))
    }

    fn folder_with_a_cube() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let mut text = String::from("OFF\n8 12 0\n");
        (0..8).for_each(|i| text += &format!("{} {} {}\n", i & 1, i >> 1 & 1, i >> 2));
        for face in [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]] {
            let [a, b, c, d] = face;
            text += &format!("3 {a} {b} {c}\n3 {a} {c} {d}\n");
        }
        std::fs::write(folder.path().join("cube.off"), text).expect("a mesh");
        folder
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect()
    }

    #[test]
    fn what_was_kept_is_what_was_computed() {
        let folder = folder_with_a_cube();
        let (first, warnings) = read(folder.path(), None);
        assert!(warnings.is_empty(), "nothing is wrong: {warnings:?}");
        let kept = files(&folder.path().join(BESIDE));
        assert_eq!(kept.len(), 1, "a file for the mesh");
        let (second, warnings) = read(folder.path(), None);
        assert!(warnings.is_empty() && first.train == second.train && first.classes == second.classes);

        // It is the file that is read: another distance in it is another distance.
        let mut bytes = std::fs::read(&kept[0]).expect("a file");
        let end = bytes.len() - CHECKSUM;
        bytes[end - 4..end].copy_from_slice(&0.125f32.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        std::fs::write(&kept[0], &bytes).expect("a file");
        assert_eq!(read(folder.path(), None).0.train[0].fine.last(), Some(&0.125));

        // Damage is found, said and repaired.
        for damaged in [&bytes[..end], &bytes[..7], &[]] {
            std::fs::write(&kept[0], damaged).expect("a file");
            let (again, warnings) = read(folder.path(), None);
            assert!(warnings.len() == 1 && warnings[0].contains("damaged"), "{warnings:?}");
            assert_eq!(again.train, first.train);
        }
        assert!(read(folder.path(), None).1.is_empty(), "it was written anew");
    }

    #[test]
    fn another_mesh_is_another_file() {
        let folder = folder_with_a_cube();
        let cache = tempfile::tempdir().expect("a folder");
        read(folder.path(), Some(cache.path()));
        let path = folder.path().join("cube.off");
        let text = std::fs::read_to_string(&path).expect("a mesh").replace("1 1 1", "1 1 3");
        std::fs::write(&path, text).expect("a mesh");
        let (_, warnings) = read(folder.path(), Some(cache.path()));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(files(cache.path()).len(), 2);
        assert!(!folder.path().join(BESIDE).exists(), "another folder was named");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_once() {
        let folder = folder_with_a_cube();
        std::fs::copy(folder.path().join("cube.off"), folder.path().join("same.off")).expect("a mesh");
        std::fs::write(folder.path().join(BESIDE), "no folder").expect("a file");
        let (data, warnings) = read(folder.path(), None);
        assert_eq!((data.train.len(), warnings.len()), (2, 1), "{warnings:?}");
        assert!(warnings[0].contains("--cache"), "{warnings:?}");
    }
}
