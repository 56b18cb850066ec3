//! Looking at scenes without a display: screenshots.

use crate::{small_training, tessera, text};
use std::path::{Path, PathBuf};
use tessera_datasets::format::write_splats;
use tessera_datasets::scene::SplatCloud;
use tessera_tests::{Finished, shared_small_capture};

/// A small trained run.
pub fn run(root: &Path) -> PathBuf {
    let run = root.join("run");
    tessera().run(&small_training(shared_small_capture(), &run, "20")).success();
    run
}

/// Whether the machine has no graphics driver at all; `.ci/run` installs one.
pub fn has_no_adapter(finished: &Finished) -> bool {
    let none = finished.stderr.contains("no graphics adapter");
    if none {
        println!("skipped: there is no graphics adapter");
    }
    none
}

/// Between a picture and the first in a folder, in 255 steps.
pub fn mean_difference(picture: &Path, folder: &Path) -> f64 {
    let mut pictures: Vec<_> = std::fs::read_dir(folder).expect("pictures").map(|e| e.expect("one").path()).collect();
    pictures.sort();
    let open = |path: &Path| image::open(path).expect("a picture").to_rgb8();
    let (ours, theirs) = (open(picture), open(&pictures[0]));
    assert_eq!(ours.dimensions(), theirs.dimensions());
    let differences = ours.as_raw().iter().zip(theirs.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)));
    differences.sum::<f64>() / ours.as_raw().len() as f64
}

#[test]
fn a_screenshot_shows_what_render_draws() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = run(root.path());
    let cameras = shared_small_capture().join("transforms.json");
    let [shot, rendered] = ["shot.png", "rendered"].map(|name| root.path().join(name));
    let view = ["view", text(&run), "--screenshot", text(&shot), "--cameras", text(&cameras)];
    let finished = tessera().run(&view);
    if has_no_adapter(&finished) {
        return;
    }
    finished.success();
    tessera().run(&["render", text(&run), "--cameras", text(&cameras), "-o", text(&rendered), "--quiet"]).success();
    let mean = mean_difference(&shot, &rendered);
    // Software adapters cut sums in half precision off where they should round (Mesa does): an opacity between 1/2 and 1 loses
    // 2^-12 on average for every splat that is added, so what lies behind shines through. Some 16 splats lie at a pixel
    // here: 16 * 255 / 4096 = 1.0 where the colour behind is white; half of that is seen, and always to the bright side.
    assert!(mean < 1.0, "the pictures differ by {mean} of 255 steps on average");
    tessera().run(&view).failure(&["shot.png", "--force"]);
}

#[test]
fn a_screenshot_leaves_out_what_render_leaves_out_before_the_camera() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [scene, cameras, shot, rendered] =
        ["scene.ply", "cameras.json", "shot.png", "rendered"].map(|name| root.path().join(name));
    // A ball of blue splats at a median distance of about 2 from its middle, so that drawing begins at about 0.04. The camera
    // stands in the middle; a red splat is nearer to it than that, a green one is not.
    let mut cloud = SplatCloud::with_capacity(402, 0);
    let mut put = |mean: [f32; 3], radius: f32, sh0: [f32; 3]| {
        cloud.means.push(mean);
        cloud.log_scales.push([radius.ln(); 3]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(6.0);
        cloud.sh0.push(sh0);
    };
    for i in 0..400 {
        let (height, turn) = (i as f32 / 199.5 - 1.0, 2.4 * i as f32);
        let level = (1.0 - height * height).max(0.0).sqrt();
        put([2.0 * level * turn.cos(), 2.0 * height, 2.0 * level * turn.sin()], 0.1, [-1.7, -1.7, 1.7]);
    }
    put([0.004, 0.0, 0.02], 0.001, [1.7, -1.7, -1.7]);
    put([-0.012, 0.0, 0.06], 0.003, [-1.7, 1.7, -1.7]);
    write_splats(&scene, &cloud, false).expect("a scene");
    let frame = r#"{"frames": [{"file_path": "a.png", "w": 160, "h": 120, "fl_x": 120, "fl_y": 120, "cx": 80, "cy": 60,
        "transform_matrix": [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]}]}"#;
    std::fs::write(&cameras, frame).expect("cameras");
    let finished = tessera().run(&["view", text(&scene), "--cameras", text(&cameras), "--screenshot", text(&shot)]);
    if has_no_adapter(&finished) {
        return;
    }
    finished.success();
    tessera().run(&["render", text(&scene), "--cameras", text(&cameras), "-o", text(&rendered), "--quiet"]).success();
    let picture = std::fs::read_dir(&rendered).expect("pictures").next().expect("one").expect("one").path();
    for file in [shot, picture] {
        let pixels = image::open(&file).expect("a picture").to_rgb8();
        let count = |is: fn(&image::Rgb<u8>) -> bool| pixels.pixels().filter(|pixel| is(pixel)).count();
        let name = file.display();
        assert_eq!(count(|p| p[0] > 150 && p[1] < 80 && p[2] < 80), 0, "{name}: what is too near is drawn");
        assert!(count(|p| p[1] > 150 && p[0] < 80 && p[2] < 80) > 20, "{name}: what is near is left out");
    }
}

#[test]
fn screenshots_that_cannot_be_made_are_refused() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let shot = root.path().join("shot.png");
    let cameras = shared_small_capture().join("transforms.json");
    tessera().run(&["view", "no-such.ply", "--screenshot", text(&shot)]).failure(&["no-such.ply"]);
    let run = run(root.path());
    let arguments = ["view", text(&run), "--cameras", text(&cameras), "--frame", "999", "--screenshot", text(&shot)];
    tessera().run(&arguments).failure(&["--frame 999"]);
    tessera().run(&["view", text(&run), "--camera", "1,2,3"]).wrong_usage(&["six numbers"]);
    assert!(!shot.exists());
}

#[test]
fn a_streamed_scene_shows_what_its_file_shows_and_goes_on_without_lost_pages() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [scene, tiles] = ["scene.ply", "scene.tiles"].map(|name| root.path().join(name));
    tessera().run(&["synth", "terrain", "--splats", "60000", "-o", text(&scene), "--quiet"]).success();
    tessera().run(&["convert", text(&scene), text(&tiles), "--quiet"]).success();
    let info = tessera().run(&["info", text(&tiles), "--json"]).json();
    assert!(info["bytes"].as_u64() > Some(100_000), "the size of a folder is that of its files: {info}");
    let camera = ["--camera", "0,-120,-200,0,0,0", "--size", "640x400", "--force", "--screenshot"];
    let shot = |scene: &Path, name: &str| {
        let shot = root.path().join(name);
        let arguments = ["view", text(scene)].into_iter().chain(camera).chain([text(&shot)]);
        (tessera().run(&arguments.collect::<Vec<_>>()), shot)
    };
    let (finished, whole) = shot(&scene, "whole.png");
    if has_no_adapter(&finished) {
        return;
    }
    finished.success();
    let open = |path: &Path| image::open(path).expect("a picture").to_rgb8();
    let psnr_of = |shot: &Path| {
        let (a, b) = (open(shot), open(&whole));
        let squares = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        10.0 * (255.0f64.powi(2) / (squares.sum::<f64>() / a.as_raw().len() as f64).max(1e-9)).log10()
    };
    let (finished, streamed) = shot(&tiles, "streamed.png");
    finished.success();
    // Pages are quantised, and what is smaller than a pixel may be merged: 30 dB is a difference that one has to look for.
    let psnr = psnr_of(&streamed);
    assert!(psnr > 30.0, "the streamed scene differs: {psnr:.1} dB");

    let pages = tiles.join("pages.bin");
    let mut bytes = std::fs::read(&pages).expect("pages");
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    std::fs::write(&pages, bytes).expect("pages");
    let (finished, damaged) = shot(&tiles, "damaged.png");
    finished.success();
    let psnr = psnr_of(&damaged);
    assert!(psnr > 20.0, "without one page the coarser one above it is shown: {psnr:.1} dB");
}

#[test]
fn without_a_display_the_window_says_what_to_do() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = run(root.path());
    let mut command = tessera().command(&["view", text(&run)]);
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    tessera_tests::Program::finish(command).failure(&["no window can be opened", "--screenshot"]);
}
