//! From a made capture to pictures, step by step as a user would.

use crate::{small_training, tessera, text};
use tessera_tests::{files_below, shared_small_capture};

fn tiny_demo(folder: &std::path::Path) {
    tessera().run(&["demo", "-o", text(folder), "--steps", "20", "--quiet"]).success();
}

#[test]
fn the_demo_leaves_a_scene_and_pictures_and_can_be_repeated() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("demo");
    tiny_demo(&folder);
    for file in
        ["capture/transforms.json", "run/scene.ply", "run/config.toml", "comparison.png", "orbit.png", "scene.html"]
    {
        assert!(folder.join(file).is_file(), "{file} is missing");
    }
    let comparison = image::open(folder.join("comparison.png")).expect("a PNG file").into_rgb8();
    assert_eq!(comparison.dimensions(), (3 * 400, 3 * 300), "three views of photo, scene and error");
    tiny_demo(&folder);
}

#[test]
fn a_capture_becomes_a_measured_scene() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("runs/still-life");
    let capture = shared_small_capture();
    let said = tessera().run(&small_training(capture, &run, "200")).success().to_owned();
    assert!(said.contains("scene.ply") && said.contains("PSNR"), "{said}");

    let report = tessera().run(&["eval", text(&run), text(capture), "--split", "test", "--json"]).json();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no number '{key}' in {report}"));
    assert_eq!(report["images"].as_u64(), Some(3), "every fourth of twelve photos: {report}");
    assert_eq!(report["per_image"].as_array().map(Vec::len), Some(3), "{report}");
    assert!(number("psnr") > 16.0 && number("psnr") < 60.0, "{report}");
    assert!(number("ssim") > 0.3 && number("ssim") < 1.0, "{report}");
    assert!(number("cc_psnr") > 16.0, "{report}");

    // The run knows its capture; the table says the same.
    let pictures = root.path().join("comparisons");
    let table = tessera().run(&["eval", text(&run), "--pictures", text(&pictures), "--quiet"]).success().to_owned();
    assert!(table.contains(&format!("{:.2}", number("psnr"))), "{report}\n{table}");
    assert_eq!(files_below(&pictures).len(), 3);
}

#[test]
fn training_improves_the_scene() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let psnr = |steps: &str| {
        let run = root.path().join(steps);
        tessera().run(&small_training(shared_small_capture(), &run, steps)).success();
        tessera().run(&["eval", text(&run), "--json", "--split", "train"]).json()["psnr"].as_f64().expect("a number")
    };
    let (short, long) = (psnr("10"), psnr("300"));
    assert!(long > short + 2.0, "10 steps reach {short} dB, 300 reach {long} dB");
}

#[test]
fn events_are_json_lines_and_nothing_else() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let mut arguments = small_training(shared_small_capture(), &run, "40");
    arguments.push("--json");
    let finished = tessera().run(&arguments);
    let events: Vec<serde_json::Value> =
        finished.success().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!((names.first(), names.last()), (Some(&"started"), Some(&"finished")), "{names:?}");
    assert!(names.contains(&"step") && names.contains(&"evaluated") && names.contains(&"checkpointed"), "{names:?}");
}

#[test]
fn a_scene_is_rendered_from_all_kinds_of_cameras() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let run = root.path().join("run");
    let capture = shared_small_capture();
    tessera().run(&small_training(capture, &run, "60")).success();

    let orbit = root.path().join("orbit");
    tessera().run(&["render", text(&run), "--orbit", "3", "--size", "40x30", "-o", text(&orbit), "--quiet"]).success();
    let pictures = files_below(&orbit);
    assert_eq!(pictures.len(), 3, "{pictures:?}");
    let picture = image::open(orbit.join(&pictures[0])).expect("a PNG file").into_rgb8();
    assert_eq!(picture.dimensions(), (40, 30));
    let (low, high) = picture.iter().fold((255, 0), |(low, high), &v| (v.min(low), v.max(high)));
    assert!(high > low + 50, "the orbit shows nothing: all pixels lie between {low} and {high}");

    let scene = run.join("scene.ply");
    let views = root.path().join("views");
    let arguments = [
        "render",
        text(&scene),
        "--capture",
        text(capture),
        "--split",
        "test",
        "--test-every",
        "6",
        "-o",
        text(&views),
    ];
    tessera().run(&arguments).success();
    assert_eq!(files_below(&views).len(), 2);
    tessera().run(&arguments).failure(&["exists already", "--force"]);

    let cameras = capture.join("transforms.json");
    let all = root.path().join("all");
    tessera().run(&["render", text(&run), "--cameras", text(&cameras), "--layer", "depth", "-o", text(&all)]).success();
    assert_eq!(files_below(&all).len(), tessera_tests::SMALL_CAPTURE_PHOTOS);

    if std::process::Command::new("ffmpeg").arg("-version").output().is_err() {
        eprintln!("skipped: ffmpeg is not installed");
        return;
    }
    let video = root.path().join("orbit.mp4");
    tessera().run(&["render", text(&run), "--orbit", "4", "--size", "64x48", "-o", text(&video)]).success();
    assert!(video.metadata().expect("a file").len() > 500);
}

#[test]
fn settings_come_from_presets_files_and_flags_in_this_order() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (run, file) = (root.path().join("run"), root.path().join("mine.toml"));
    std::fs::write(&file, "max_splats = 500\nseed = 7\n").expect("writable");
    let capture = shared_small_capture();
    let mut arguments = vec!["reconstruct", text(capture), "-o", text(&run), "--preset", "fast", "--quiet"];
    arguments.extend(["--config", text(&file), "--steps", "5", "--set", "seed=9"]);
    tessera().run(&arguments).success();
    let config = std::fs::read_to_string(run.join("config.toml")).expect("a configuration");
    for line in ["steps = 5", "max_splats = 500", "seed = 9", "resolution = 800"] {
        assert!(config.lines().any(|l| l == line), "no line '{line}' in\n{config}");
    }
    // The configuration repeats the run.
    let again = root.path().join("again");
    let config = run.join("config.toml");
    tessera().run(&["reconstruct", text(capture), "-o", text(&again), "--config", text(&config), "--quiet"]).success();
    let scene = |folder: &std::path::Path| std::fs::read(folder.join("scene.ply")).expect("a scene");
    assert!(scene(&run) == scene(&again), "the same settings gave different scenes");
}
