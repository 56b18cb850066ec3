//! Compiled kernels on disk.
//!
//! An entry is named by a hash of all that went into it and contains that text again, so a collision of hashes is noticed.
//! It appears by renaming, whole or not at all, so programs that run at the same time do not disturb each other; a
//! damaged entry is not used and replaced. When the folder cannot be written, kernels are compiled anew each time.
//!
//! ```text
//! magic u32 · bytes of the key u32 · bytes of the image u32 · CRC-32 of key and image u32 · key · image
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Overrides the folder.
const VARIABLE: &str = "TESSERA_CACHE";
const MAGIC: u32 = 0x4b53_5431;
const HEADER: usize = 16;

/// A folder of compiled kernels.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in this folder, which is made when something is stored.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is kept: `$TESSERA_CACHE`, or `tessera/kernels` in the user's folder of caches. `None` if there is none.
    pub fn default_folder() -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let system = || {
            if cfg!(windows) {
                variable("LOCALAPPDATA")
            } else if cfg!(target_os = "macos") {
                std::env::home_dir().map(|home| home.join("Library/Caches"))
            } else {
                variable("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            }
        };
        variable(VARIABLE)
            .or_else(|| system().map(|caches| caches.join("tessera")))
            .map(|folder| folder.join("kernels"))
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was stored with this key, if it is there and whole.
    pub fn load(&self, key: &str) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(4 * at..4 * at + 4)?.try_into().ok()?));
        let (key_bytes, image_bytes) = (word(1)? as usize, word(2)? as usize);
        let whole = word(0)? == MAGIC
            && bytes.len() == HEADER.checked_add(key_bytes)?.checked_add(image_bytes)?
            && crc32fast::hash(&bytes[HEADER..]) == word(3)?
            && &bytes[HEADER..HEADER + key_bytes] == key.as_bytes();
        whole.then(|| bytes[HEADER + key_bytes..].to_vec())
    }

    /// Stores an image. True if that succeeded: the cache is a convenience, nothing depends on it.
    pub fn store(&self, key: &str, image: &[u8]) -> bool {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (Ok(key_bytes), Ok(image_bytes)) = (u32::try_from(key.len()), u32::try_from(image.len())) else {
            return false;
        };
        let content = [key.as_bytes(), image].concat();
        let mut bytes: Vec<u8> =
            [MAGIC, key_bytes, image_bytes, crc32fast::hash(&content)].into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend(content);
        let path = self.path(key);
        let unique = format!("{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let temporary = path.with_extension(unique);
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(&temporary, bytes))
            .and_then(|()| std::fs::rename(&temporary, &path));
        if written.is_err() {
            // Nothing to tell if this fails as well.
            let _ = std::fs::remove_file(&temporary);
        }
        written.is_ok()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{:016x}.kernels", fnv(key.as_bytes())))
    }
}

/// The 64-bit hash FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path().join("kernels"));
        (folder, cache)
    }

    #[test]
    fn what_is_stored_is_found_again_under_its_key_only() {
        let (_folder, cache) = cache();
        assert_eq!(cache.load("a"), None);
        assert!(cache.store("a", b"image"));
        assert_eq!(cache.load("a").as_deref(), Some(&b"image"[..]));
        assert_eq!(cache.load("b"), None);
        // As if both keys had the same hash.
        std::fs::rename(cache.path("a"), cache.path("b")).expect("a rename");
        assert_eq!(cache.load("b"), None);
    }

    #[test]
    fn damaged_entries_are_not_used_and_can_be_replaced() {
        let (_folder, cache) = cache();
        assert!(cache.store("key", b"machine code"));
        let whole = std::fs::read(cache.path("key")).expect("the entry");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(cache.path("key"), &damaged).expect("a file");
            assert_eq!(cache.load("key"), None, "byte {at} was damaged");
            std::fs::write(cache.path("key"), &whole[..at]).expect("a file");
            assert_eq!(cache.load("key"), None, "only {at} bytes are left");
        }
        assert!(cache.store("key", b"machine code"));
        assert!(cache.load("key").is_some());
    }

    #[test]
    fn many_may_store_and_load_at_once() {
        let (folder, cache) = cache();
        let image = vec![7u8; 100_000];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        assert!(cache.store("key", &image));
                        assert!(cache.load("key").is_some_and(|found| found == image));
                    }
                });
            }
        });
        let left = std::fs::read_dir(folder.path().join("kernels")).expect("the folder").count();
        assert_eq!(left, 1, "temporary files stay behind");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let (folder, _) = cache();
        std::fs::write(folder.path().join("file"), "").expect("a file");
        let cache = Cache::new(folder.path().join("file/kernels"));
        assert!(!cache.store("key", b"image"));
        assert_eq!(cache.load("key"), None);
    }
}
