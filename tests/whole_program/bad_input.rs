//! Captures that are damaged or contradict themselves: one sentence that names the file, exit status 1, and nothing
//! half-written.

use crate::{small_training, tessera};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tessera_datasets::capture::Capture;
use tessera_tests::colmap::Model;
use tessera_tests::{Program, copy_folder, files_below, shared_small_capture};

/// A capture of its own for a test to spoil.
struct Spoiled {
    root: TempDir,
}

impl Spoiled {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        copy_folder(shared_small_capture(), &root.path().join("capture"));
        Self { root }
    }

    /// As a COLMAP model with the changes that `spoil` makes.
    fn colmap(spoil: impl FnOnce(&mut Model)) -> Self {
        let spoiled = Self::new();
        let mut model = Model::of(&Capture::open(spoiled.capture()).expect("a good capture"));
        fs::remove_file(spoiled.file("transforms.json")).expect("it is there");
        spoil(&mut model);
        model.write(&spoiled.capture());
        spoiled
    }

    /// With a changed `transforms.json`.
    fn transforms(spoil: impl FnOnce(String) -> String) -> Self {
        let spoiled = Self::new();
        let path = spoiled.file("transforms.json");
        let text = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, spoil(text)).expect("writable");
        spoiled
    }

    fn capture(&self) -> PathBuf {
        self.root.path().join("capture")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.capture().join(name)
    }

    fn cut(&self, name: &str, length: usize) {
        let bytes = fs::read(self.file(name)).expect("it is there");
        fs::write(self.file(name), &bytes[..length]).expect("writable");
    }

    /// Demands that training is refused with `words`, and that no run folder was begun.
    fn refused(&self, words: &[&str]) {
        let run = self.root.path().join("run");
        tessera().run(&small_training(&self.capture(), &run, "5")).failure(words);
        assert!(!run.exists(), "a refused capture left {:?} behind", files_below(&run));
    }

    /// Demands that training fails with `words`, and that nothing half-written is left.
    fn fails(&self, words: &[&str]) {
        let run = self.root.path().join("run");
        tessera().run(&small_training(&self.capture(), &run, "60")).failure(words);
        if run.exists() {
            let left = files_below(&run);
            let half = |path: &Path| path.to_string_lossy().contains(".tmp") || path.ends_with("scene.ply");
            assert!(!left.iter().any(|path| half(path)), "{left:?}");
        }
    }
}

#[test]
fn an_unspoiled_colmap_model_trains() {
    let good = Spoiled::colmap(|_| {});
    tessera().run(&small_training(&good.capture(), &good.root.path().join("run"), "5")).success();
}

#[test]
fn truncated_colmap_files() {
    for (name, length) in [("cameras.bin", 30), ("images.bin", 200), ("points3D.bin", 100), ("images.bin", 3)] {
        let spoiled = Spoiled::colmap(|_| {});
        spoiled.cut(&format!("sparse/0/{name}"), length);
        spoiled.refused(&[name, "truncated"]);
    }
}

#[test]
fn corrupt_counts_in_colmap_files() {
    for name in ["cameras.bin", "images.bin", "points3D.bin"] {
        let spoiled = Spoiled::colmap(|_| {});
        let path = spoiled.file(&format!("sparse/0/{name}"));
        let mut bytes = fs::read(&path).expect("it is there");
        bytes[..8].fill(0xff);
        fs::write(&path, bytes).expect("writable");
        spoiled.refused(&[name]);
    }
}

#[test]
fn truncated_json() {
    Spoiled::transforms(|text| text[..text.len() / 2].to_owned()).refused(&["transforms.json"]);
    Spoiled::transforms(|_| String::new()).refused(&["transforms.json"]);
}

#[test]
fn poses_that_are_not_numbers() {
    Spoiled::transforms(|text| text.replacen("\"transform_matrix\": [", "\"transform_matrix\": [NaN, ", 1))
        .refused(&["transforms.json", "NaN"]);
    Spoiled::colmap(|model| model.images[3].1[1] = f64::NAN).refused(&["images.bin", "not a finite"]);
    Spoiled::colmap(|model| model.images[0].0 = [f64::INFINITY; 4]).refused(&["images.bin"]);
}

#[test]
fn no_images() {
    Spoiled::colmap(|model| model.images.clear()).refused(&["images.bin", "no images"]);
    let empty = Spoiled::new();
    fs::remove_dir_all(empty.capture()).expect("removable");
    fs::create_dir(empty.capture()).expect("writable");
    empty.refused(&["capture"]);
}

#[test]
fn missing_images() {
    let spoiled = Spoiled::new();
    fs::remove_dir_all(spoiled.file("images")).expect("removable");
    spoiled.refused(&["transforms.json", "none of its 12 images exists"]);

    // A single one is left out, and said so.
    let spoiled = Spoiled::new();
    let name = files_below(&spoiled.file("images")).remove(0);
    fs::remove_file(spoiled.file("images").join(&name)).expect("removable");
    let run = spoiled.root.path().join("run");
    let finished = tessera().run(&small_training(&spoiled.capture(), &run, "5"));
    finished.success();
    let warning = finished.stderr.lines().find(|line| line.starts_with("warning: "));
    assert!(warning.is_some_and(|w| w.contains(&name.display().to_string())), "{finished:?}");
}

#[test]
fn an_unknown_camera_model() {
    Spoiled::colmap(|model| model.cameras[0].1 = 99).refused(&["cameras.bin", "99"]);
    Spoiled::transforms(|text| text.replace("\"PINHOLE\"", "\"CRYSTAL_BALL\""))
        .refused(&["transforms.json", "CRYSTAL_BALL"]);
}

#[test]
fn duplicate_names() {
    Spoiled::colmap(|model| model.images[1].3 = model.images[0].3.clone()).refused(&["images.bin", "twice"]);
}

#[test]
fn images_that_disagree_with_the_intrinsics() {
    Spoiled::colmap(|model| model.cameras[0].2 = [64, 64]).refused(&["images", "64x48", "64x64"]);
}

#[test]
fn damaged_photos() {
    let first = |spoiled: &Spoiled| {
        let name = files_below(&spoiled.file("images")).remove(1);
        (name.display().to_string(), spoiled.file("images").join(name))
    };
    // The header is looked at first.
    let spoiled = Spoiled::new();
    let (name, path) = first(&spoiled);
    fs::write(&path, b"these are no pixels").expect("writable");
    spoiled.refused(&[&name]);
    // The pixels only when they are needed.
    let spoiled = Spoiled::new();
    let (name, path) = first(&spoiled);
    let bytes = fs::read(&path).expect("it is there");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable");
    spoiled.fails(&[&name]);
}

#[test]
fn captures_that_are_none() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let missing = root.path().join("nowhere");
    tessera().run(&small_training(&missing, &run, "5")).failure(&["nowhere"]);
    let file = root.path().join("notes.txt");
    fs::write(&file, "shopping list").expect("writable");
    tessera().run(&small_training(&file, &run, "5")).failure(&["notes.txt"]);
    assert!(!run.exists());
}

#[test]
fn photos_without_colmap() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let photos = shared_small_capture().join("images");
    let mut command = tessera().command(&small_training(&photos, &run, "5"));
    command.env("PATH", root.path());
    Program::finish(command).failure(&["COLMAP", "install"]);
    assert!(!run.exists(), "a refused command left {:?} behind", files_below(&run));
}

#[test]
fn nothing_is_left_to_train_on() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut arguments = small_training(shared_small_capture(), &run, "5");
    arguments.extend(["--set", "test_every=1"]);
    tessera().run(&arguments).failure(&["no photos are left to train on"]);
    assert!(!run.exists(), "a refused command left {:?} behind", files_below(&run));
}

#[test]
fn wrong_settings_files() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (run, file) = (root.path().join("run"), root.path().join("settings.toml"));
    for (content, word) in [("steps = = 3", "line 1"), ("stepz = 3", "steps"), ("steps = \"many\"", "steps")] {
        fs::write(&file, content).expect("writable");
        let mut arguments = small_training(shared_small_capture(), &run, "5");
        arguments.extend(["--config", crate::text(&file)]);
        tessera().run(&arguments).failure(&["settings.toml", word]);
    }
    assert!(!run.exists());
}
