//! Scene files: converting, describing, and refusing them.

use crate::{small_training, tessera, text};
use std::path::{Path, PathBuf};
use tessera_tests::shared_small_capture;

/// A small trained scene.
fn scene(root: &Path) -> PathBuf {
    let run = root.join("run");
    tessera().run(&small_training(shared_small_capture(), &run, "20")).success();
    run.join("scene.ply")
}

#[test]
fn converting_there_and_back_keeps_every_byte() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let scene = scene(root.path());
    let [first, second] = ["first.ply", "second.ply"].map(|name| root.path().join(name));
    tessera().run(&["convert", text(&scene), text(&first), "--quiet"]).success();
    tessera().run(&["convert", text(&first), text(&second), "--quiet"]).success();
    let bytes = |path: &Path| std::fs::read(path).expect("a file");
    assert!(bytes(&scene) == bytes(&second), "the scene changed on its way");
    tessera().run(&["convert", text(&scene), text(&first)]).failure(&["first.ply", "exists already", "--force"]);
    tessera().run(&["convert", text(&scene), text(&first), "--force"]).success();

    let report = tessera().run(&["info", text(&first), "--json"]).json();
    let splats = report["splats"].as_u64().expect("a number");
    assert!((1..=800).contains(&splats) && report["sh_degree"] == 3, "{report}");
    tessera().run(&["info", text(&first)]).success();

    let points = root.path().join("points.ply");
    tessera().run(&["convert", "--points", text(&scene), text(&points), "--quiet"]).success();
    let header = String::from_utf8_lossy(&bytes(&points)[..200]).into_owned();
    assert!(header.contains(&format!("element vertex {splats}\n")) && header.contains("red"), "{header}");
    let again = root.path().join("again.ply");
    tessera().run(&["convert", text(&points), text(&again), "--quiet"]).success();
    assert!(bytes(&points) == bytes(&again), "the points changed on their way");
}

#[test]
fn damaged_scene_files_are_refused() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let scene = scene(root.path());
    let out = root.path().join("out.ply");
    let bytes = std::fs::read(&scene).expect("a scene");
    let damaged = root.path().join("damaged.ply");
    let header = 4 + bytes.windows(4).position(|w| w == b"end_").expect("a header");
    for (what, content) in [
        ("cut in the middle", &bytes[..bytes.len() / 2]),
        ("cut in the header", &bytes[..header - 10]),
        ("empty", &[][..]),
        ("no PLY file", b"glTF and other things"),
    ] {
        std::fs::write(&damaged, content).expect("writable");
        for arguments in [vec!["convert", text(&damaged), text(&out)], vec!["info", text(&damaged)]] {
            let said = tessera().run(&arguments).failure(&["damaged.ply"]).to_owned();
            assert!(!out.exists(), "a file that was {what} was converted: {said}");
        }
    }
    tessera().run(&["convert", text(&scene), text(&root.path().join("out.xyz"))]).failure(&["out.xyz", ".ply"]);
    tessera().run(&["convert", "no-such-file.ply", text(&out)]).failure(&["no-such-file.ply"]);
    tessera().run(&["eval", text(root.path())]).failure(&["no run folder"]);
}
