//! What tests of the whole program need: running it, made captures, folders to spoil, shared data.
//!
//! The tests themselves are in `whole_program/`. They are compiled as a test of the package `tessera-cli`, for which
//! cargo builds the program; run them with `cargo test --release -p tessera-cli --test whole_program`.

pub mod colmap;
mod program;
pub mod published;
pub mod weights;

pub use program::{Finished, Program};

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;
use tessera_datasets::synthetic::{self, Options, SceneKind};

/// Number of photos of [`small_capture`].
pub const SMALL_CAPTURE_PHOTOS: usize = 12;

/// Makes a still life of twelve photos of 64x48 pixels with 400 sparse points, in well under a second.
///
/// # Panics
/// When it cannot be written.
pub fn small_capture(folder: &Path) {
    let options = Options {
        width: 64,
        height: 48,
        views: Some(SMALL_CAPTURE_PHOTOS as u32),
        points: 400,
        samples_per_pixel: 4,
        ..Options::default()
    };
    synthetic::write(SceneKind::StillLife, &options, folder, false, &|_, _| {}).expect("a capture can be made");
}

/// The capture of [`small_capture`], made once for all tests of a process. It must not be changed.
pub fn shared_small_capture() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        small_capture(&folder.path().join("capture"));
        folder
    });
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| FOLDER.path().join("capture"));
    &PATH
}

/// Copies a folder with everything in it.
///
/// # Panics
/// When something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}

/// All files below a folder, as sorted paths relative to it.
///
/// # Panics
/// When a folder cannot be read.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("below the folder").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A folder of the shared test data (`TESSERA_DATA`, or `../shared/data` beside the repository). When it is not there,
/// says so and returns nothing.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("TESSERA_DATA").map_or_else(beside, PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}
