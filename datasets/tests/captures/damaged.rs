//! Damaged files: whatever is cut off or changed, opening gives a capture or one clear sentence, soon and without
//! panic.

use crate::colmap::small;
use crate::rigs::with_photos;
use crate::support::Folder;
use crate::transforms::two_frames;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::time::{Duration, Instant};
use tessera_datasets::capture::Capture;

/// A change to a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Cut(at) => bytes.truncate(at % (bytes.len() + 1)),
            Self::Insert(at, new) => {
                let at = at % (bytes.len() + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Replace(at, new) => {
                let at = at % (bytes.len() + 1);
                let end = (at + new.len()).min(bytes.len());
                bytes.splice(at..end, new.iter().copied());
            }
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let piece = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..12),
            Just(u64::MAX.to_le_bytes().to_vec()),
            Just((u64::MAX / 24).to_le_bytes().to_vec()),
            Just(f64::NAN.to_le_bytes().to_vec()),
            Just(b"1e400".to_vec()),
            Just(b"-9999999999999999999999".to_vec()),
            Just(b"null".to_vec()),
            Just(b"../../".to_vec()),
        ]
    };
    prop_oneof![
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), piece()).prop_map(|(at, new)| Damage::Insert(at, new)),
        (any::<usize>(), piece()).prop_map(|(at, new)| Damage::Replace(at, new)),
    ]
}

/// Opens `folder` with `files` damaged in many ways, for at most two seconds.
fn survives(folder: &Folder, files: &[&str]) {
    let originals: Vec<_> = files.iter().map(|rel| std::fs::read(folder.path().join(rel)).expect("read")).collect();
    let started = Instant::now();
    let mut runner = TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() });
    let changes = (0..files.len(), prop::collection::vec(damage(), 1..4));
    let outcome = runner.run(&changes, |(which, changes)| {
        if started.elapsed() > Duration::from_secs(2) {
            return Ok(());
        }
        let damaged = changes.iter().fold(originals[which].clone(), |bytes, change| change.apply(&bytes));
        folder.put(files[which], damaged);
        let opened = Capture::open(folder.path());
        folder.put(files[which], &originals[which]);
        if let Err(error) = opened {
            let words = error.to_string();
            prop_assert!(words.contains(": ") && !words.trim().contains('\n'), "unclear: {words}");
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn binary_models_survive_damage() {
    let folder = Folder::new();
    small().put_binary(&folder, "sparse/0");
    small().put_images(&folder, "images");
    survives(&folder, &["sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.bin"]);
}

#[test]
fn text_models_survive_damage() {
    let folder = Folder::new();
    small().put_text(&folder, "sparse/0");
    small().put_images(&folder, "images");
    survives(&folder, &["sparse/0/cameras.txt", "sparse/0/images.txt", "sparse/0/points3D.txt"]);
}

#[test]
fn transforms_files_and_photos_survive_damage() {
    let folder = two_frames(json!({ "fl_x": 70, "w": 64, "h": 48, "k1": 0.01, "camera_model": "OPENCV" }));
    survives(&folder, &["transforms.json", "images/a.png"]);
}

#[test]
fn calibrations_of_rigs_survive_damage() {
    survives(&with_photos(), &["intri.yml", "extri.yml", "images/00/000001.png"]);
}

#[test]
fn archives_survive_damage() {
    let folder = two_frames(json!({ "fl_x": 70 }));
    let archive = std::fs::read(folder.zipped("fox/").path()).expect("read");
    let started = Instant::now();
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let file = tempfile::Builder::new().suffix(".zip").tempfile().expect("a temporary file");
    let outcome = runner.run(&prop::collection::vec(damage(), 1..4), |changes| {
        if started.elapsed() < Duration::from_secs(2) {
            let damaged = changes.iter().fold(archive.clone(), |bytes, change| change.apply(&bytes));
            std::fs::write(file.path(), damaged).expect("written");
            // Only that it returns matters here: an archive may well be readable in spite of the damage.
            let _opened = Capture::open(file.path());
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn every_truncation_of_a_binary_model_is_refused() {
    let folder = Folder::new();
    small().put_images(&folder, "images");
    small().put_binary(&folder, "sparse/0");
    for (name, bytes) in ["cameras", "images", "points3D"].iter().zip(small().binary()) {
        let rel = format!("sparse/0/{name}.bin");
        for length in 0..bytes.len() {
            folder.put(&rel, &bytes[..length]);
            let error = folder.error();
            assert!(error.contains("truncated") && error.contains(name), "{length} bytes of {name}: {error}");
        }
        folder.put(&rel, bytes);
    }
}
