//! Real captures of every layout load and train for a few steps at low resolution.

use crate::{tessera, text};
use tessera_tests::shared_data;

/// Trains on a folder of the shared data and evaluates.
fn trains(name: &str, layout: &str) {
    let Some(capture) = shared_data(name) else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut arguments = vec!["reconstruct", text(&capture), "-o", text(&run), "--steps", "20"];
    arguments.extend(["--max-splats", "4000", "--resolution", "160", "--test-every", "8"]);
    let finished = tessera().run(&arguments);
    finished.success();
    assert!(finished.stderr.contains(layout), "the layout is not called {layout}: {finished:?}");
    assert!(run.join("scene.ply").is_file());
    let report = tessera().run(&["eval", text(&run), text(&capture), "--split", "test", "--json"]).json();
    assert!(report["images"].as_u64().is_some_and(|n| n > 0), "{report}");
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 5.0), "{report}");
}

#[test]
fn fox_has_no_points() {
    trains("posed/fox", "transforms.json");
}

#[test]
fn snowmiku_is_a_binary_colmap_model() {
    trains("colmap/snowmiku_plush", "COLMAP");
}

#[test]
fn nerf_chair_is_transparent() {
    trains("synthetic/nerf_chair", "Blender");
}

#[test]
fn ethiopian_head_has_masks() {
    trains("llff_masked/ethiopian_head", "LLFF");
}

#[test]
fn dtu_has_spheres_and_masks() {
    trains("surface/dtu_scan24", "IDR");
}

#[test]
fn fountain_has_few_photos() {
    trains("posed/strecha_fountain_P11", "transforms.json");
}
