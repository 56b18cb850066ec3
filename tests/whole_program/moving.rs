//! Volumetric video from a user's side: trained, measured, looked at, taken apart.

use crate::view::{has_no_adapter, mean_difference};
use crate::{tessera, text};
use tessera_datasets::format::volumetric::VideoFile;

#[test]
fn a_moving_scene_is_trained_measured_seen_and_taken_apart() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let [rig, run, rendered, shot] = ["rig", "run", "rendered", "shot.png"].map(|name| root.path().join(name));
    let synth = ["synth", "moving", "-o", text(&rig), "--cameras", "6", "--frames", "12", "--size", "96x72", "--quiet"];
    tessera().run(&synth).success();
    let mut train = vec!["reconstruct", text(&rig), "--method", "video", "-o", text(&run), "--steps", "80", "--quiet"];
    train.extend(["--max-splats", "2000", "--set", "preview_every=0"]);
    tessera().run(&train).success();
    let report = tessera().run(&["eval", text(&run), "--json"]).json();
    assert!(report["psnr"].as_f64().is_some_and(|psnr| psnr > 12.0), "{report}");
    let scene = run.join("scene.t4d");
    let timeline = VideoFile::open(&scene).expect("the run's moving scene").manifest.timeline;
    assert_eq!(timeline.frames, 12);

    let cameras = rig.join("transforms.json");
    let render = ["render", text(&run), "--cameras", text(&cameras), "--time", "0.2", "-o", text(&rendered), "--quiet"];
    tessera().run(&render).success();
    let view = ["view", text(&run), "--screenshot", text(&shot), "--cameras", text(&cameras), "--time", "0.2"];
    let finished = tessera().run(&view);
    if !has_no_adapter(&finished) {
        finished.success();
        let mean = mean_difference(&shot, &rendered);
        // As for still scenes (`view.rs`), and what the file rounds.
        assert!(mean < 1.5, "the pictures differ by {mean} of 255 steps on average");
    }
    tessera()
        .run(&["view", text(&run), "--screenshot", "never.png", "--time", "99"])
        .failure(&["scene.t4d", "seconds"]);
    let frames = root.path().join("frame_%04d.ply");
    tessera().run(&["convert", text(&scene), text(&frames), "--frames", "3-4", "--quiet"]).success();
    assert!(root.path().join("frame_0003.ply").is_file() && root.path().join("frame_0004.ply").is_file());
    let page = root.path().join("page.html");
    tessera().run(&["export", text(&run), "-o", text(&page), "--pictures", "1", "--quiet"]).success();
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("id=\"scene-head\"") && html.contains("\"view\":{\"camera\""), "the scene is in the page");
}
