//! Shapes of pictures with published weights: made ones at a fraction of the size, with the true names, files and settings.

use crate::{tessera, text};
use std::path::{Path, PathBuf};
use tessera_tests::published::{Made, Version};
use tessera_tests::weights::Stored;

/// A picture of an object that was cut out, or of one that was not.
fn picture(folder: &Path, name: &str, is_cut_out: bool) -> PathBuf {
    let pixel = |x: u32, y: u32| {
        let inside = (8..40).contains(&x) && (12..36).contains(&y);
        image::Rgba([(5 * x) as u8, (4 * y) as u8, 120, if inside || !is_cut_out { 255 } else { 0 }])
    };
    let path = folder.join(name);
    image::RgbaImage::from_fn(48, 48, pixel).save(&path).expect("a picture");
    path
}

#[test]
fn a_mesh_is_made_of_a_picture_with_checkpoints_of_pytorch() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [weights, first, second] = ["weights", "first.glb", "second.glb"].map(|name| root.path().join(name));
    Made::new(Version::V11, 6).write(&weights, false, Stored::Float16);
    let photo = picture(root.path(), "photo.png", true);
    let report = tessera().run(&["generate", "check", text(&weights), "--json"]).json();
    assert_eq!(report["parts"].as_array().map(Vec::len), Some(7), "{report}");
    assert_eq!(report["parts"][1]["numbers"].as_str(), Some("float16"), "{report}");
    let quick = ["structure_steps=2", "detail_steps=2", "fine_steps=1", "level=0.0"];
    let quick: Vec<&str> = quick.iter().flat_map(|setting| ["--set", setting]).collect();
    let make = |output: &Path, more: &[&str]| {
        let all = ["generate", "image", text(&photo), "--weights", text(&weights), "-o", text(output), "--json"];
        tessera().run(&[&all[..], &quick, more].concat())
    };
    for output in [&first, &second] {
        let report = make(output, &["--resolution", "1024"]).json();
        assert!(report["triangles"].as_u64() > Some(0), "{report}");
    }
    let [a, b] = [&first, &second].map(|path| std::fs::read(path).expect("a mesh"));
    assert!(a == b, "the same seed makes the same mesh");
    make(&first, &[]).failure(&["exists already", "--force"]);
    make(&first, &["--force", "--set", "occupancy=0.999999"]).failure(&["photo.png", "no surface"]);
    make(&first, &["--force", "--set", "steps=3"]).wrong_usage(&["there is no setting 'steps'"]);
}

#[test]
fn what_cannot_be_made_a_shape_of_is_said_before_anything_is_computed() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [weights, output] = ["weights", "out.glb"].map(|name| root.path().join(name));
    let photo = picture(root.path(), "photo.png", true);
    let make = |photo: &Path| {
        tessera().run(&["generate", "image", text(photo), "--weights", text(&weights), "-o", text(&output)])
    };
    make(&photo).failure(&["config.yaml", "does not exist"]);
    let mut made = Made::new(Version::V10, 2);
    made.write(&weights, true, Stored::Bfloat16);
    make(&picture(root.path(), "whole.png", false)).failure(&["whole.png", "no transparency", "cut the object out"]);
    std::fs::remove_file(weights.join("model_dense.safetensors")).expect("removed");
    make(&photo).failure(&["model_dense.ckpt", "does not exist", "generation.md"]);
    made.tensors_mut("model_dense").retain(|tensor| !tensor.0.contains("to_qkv"));
    made.write(&weights, true, Stored::Bfloat16);
    make(&photo).failure(&["model_dense.safetensors", "lacks 4 tensors", "dit.blocks.0.self_attn.to_qkv.bias"]);
    tessera().run(&["generate", "check", text(&weights)]).failure(&["lacks 4 tensors"]);
    std::fs::write(weights.join("model_dense.safetensors"), b"\x80\x02}.").expect("a file");
    make(&photo).failure(&["model_dense.safetensors", "before version 1.6"]);
    assert!(!output.exists(), "nothing half-written");
}

#[test]
fn a_mesh_goes_through_the_autoencoder_of_published_weights() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [weights, ball, back] = ["weights", "ball.off", "back.glb"].map(|name| root.path().join(name));
    let mut made = Made::new(Version::V11, 6);
    made.write(&weights, false, Stored::Float16);
    // An octahedron.
    let corners = "1 0 0\n-1 0 0\n0 1 0\n0 -1 0\n0 0 1\n0 0 -1\n";
    let sides = "3 0 2 4\n3 2 1 4\n3 1 3 4\n3 3 0 4\n3 2 0 5\n3 1 2 5\n3 3 1 5\n3 0 3 5\n";
    std::fs::write(&ball, format!("OFF\n6 8 0\n{corners}{sides}")).expect("a mesh");
    let check = |more: &[&str]| {
        let all = ["generate", "check", text(&weights), "--resolution", "512", "--mesh", text(&ball)];
        tessera().run(&[&all[..], more].concat())
    };
    let report = check(&["-o", text(&back), "--json"]).json();
    let of_mesh = |name: &str| report["mesh"][name].as_f64().unwrap_or_default();
    assert!(of_mesh("voxels") > of_mesh("latent_voxels") && of_mesh("latent_voxels") > 0.0, "{report}");
    assert!(of_mesh("triangles") > 0.0 && back.exists(), "weights that nobody trained make some surface: {report}");
    check(&["-o", text(&back)]).failure(&["back.glb", "exists already", "--force"]);
    made.tensors_mut("model_sparse_512").retain(|tensor| !tensor.0.contains("encoder.downsample.0"));
    made.write(&weights, false, Stored::Float16);
    check(&[]).failure(&["model_sparse_512.ckpt", "lacks 10 tensors", "encoder.downsample.0"]);
}
