//! A generator of shapes: trained, stopped, continued, made shapes with, and measured.

use crate::{tessera, text};
use std::path::Path;

/// The arguments of a training of seconds, which makes nothing good.
fn train<'a>(model: &'a Path, data: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["generate", "train", "--data", data, "-o", text(model), "--quiet"];
    let steps = [
        "autoencoder_steps=12",
        "structure_autoencoder_steps=40",
        "structure_steps=20",
        "detail_steps=4",
        "shapes=2",
        "held_out=1",
    ];
    let sizes =
        ["structure_width=24", "structure_depth=1", "detail_width=24", "detail_depth=1", "heads=2", "key_heads=1"];
    let batches = [
        "autoencoder_batch=1",
        "structure_autoencoder_batch=4",
        "structure_batch=4",
        "detail_batch=1",
        "held_out_every=2",
    ];
    for setting in steps.iter().chain(&sizes).chain(&batches) {
        arguments.extend(["--set", setting]);
    }
    arguments
}

#[test]
fn a_generator_is_trained_and_makes_the_same_shapes_each_time() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [model, first, second] = ["m.safetensors", "first", "second"].map(|name| root.path().join(name));
    tessera().run(&train(&model, "shapes")).success();
    assert!(!root.path().join("m.safetensors.checkpoint").exists(), "a finished training leaves no checkpoint");
    tessera().run(&train(&model, "shapes")).failure(&["exists already", "--force"]);
    let many = ["generate", "train", "-o", text(&first), "--set", "shapes=100000000"];
    tessera().run(&many).failure(&["this run needs", "lower --set shapes"]);
    for folder in [&first, &second] {
        let sample =
            ["generate", "sample", text(&model), "--class", "mug", "-n", "2", "-o", text(folder), "--steps", "3"];
        let report = tessera().run(&[&sample[..], &["--json", "--quiet"]].concat()).json();
        assert_eq!(report["shapes"].as_u64(), Some(2), "{report}");
    }
    let sheet = image::open(first.join("contact-sheet.png")).expect("a picture");
    assert_eq!((sheet.width(), sheet.height()), (2 * 192, 192), "two pictures side by side");
    for name in ["contact-sheet.png", "mug-001.glb"] {
        let [a, b] = [&first, &second].map(|folder| std::fs::read(folder.join(name)).expect("a file"));
        assert!(a == b, "{name} is another one");
    }
    tessera().run(&["generate", "sample", text(&model), "-o", text(&first)]).failure(&["exists already", "--force"]);
    let wrong = ["generate", "sample", text(&model), "--class", "cup", "-o", text(&second)];
    tessera().run(&wrong).failure(&["cannot make 'cup'", "mug, chair, table"]);
    let refused =
        tessera().run(&["generate", "sample", text(&model), "-o", text(&second), "--device", "cuda:9999", "--force"]);
    let message = refused.failure(&[]);
    assert!(message.contains("--device cpu") || message.contains("no GPU 9999"), "{message}");
    let half = ["generate", "sample", text(&model), "-o", text(&second), "--precision", "half"];
    tessera().run(&half).wrong_usage(&["single or bf16"]);
    let report = tessera().run(&["generate", "eval", text(&model), "-n", "4", "--steps", "2", "--json"]).json();
    assert_eq!(report["shapes"].as_u64(), Some(4), "{report}");
    assert!(report["control"]["earth_mover"]["nearest_neighbour"].as_f64().is_some(), "{report}");
}

#[test]
fn a_folder_of_meshes_is_learned_from_and_what_has_no_inside_is_named() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (data, model) = (root.path().join("data"), root.path().join("m.safetensors"));
    tessera().run(&train(&model, text(&data))).failure(&["data", "cannot be read"]);
    std::fs::create_dir_all(data.join("cubes")).expect("a folder");
    tessera().run(&train(&model, text(&data))).failure(&["holds no meshes", "PLY, OBJ, OFF or GLB"]);
    crate::fits::write_cube(&data.join("cubes/a.obj"));
    crate::fits::write_cube(&data.join("cubes/b.obj"));
    tessera().run(&train(&model, text(&data))).success();
    tessera().run(&["generate", "eval", text(&model), "--json"]).failure(&["other classes", "cubes"]);
    std::fs::write(data.join("cubes/c.obj"), "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n").expect("a file");
    let again = root.path().join("again.safetensors");
    tessera().run(&train(&again, text(&data))).failure(&["c.obj", "cannot be learned from", "leave it out"]);
    assert!(!again.exists(), "nothing half-written");
    std::fs::write(&again, "no model").expect("a file");
    let out = root.path().join("out");
    tessera().run(&["generate", "sample", text(&again), "-o", text(&out)]).failure(&["is no model"]);
}
