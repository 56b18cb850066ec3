//! Moving captures and scenes from a user's side: made rigs, what is said of them, broken ones, and frames of moving scenes.

use crate::{small_training, tessera, text};
use std::path::Path;
use std::process::Command;
use tessera_datasets::format::volumetric::write_video;
use tessera_datasets::format::{Existing, read_splats};
use tessera_datasets::scene::{TimeHierarchy, Timeline, VolumetricVideo};
use tessera_tests::{Program, files_below};

/// A made rig of four cameras; false when it needs ffmpeg and there is none.
fn stage(folder: &Path, frames: &str, video: bool) -> bool {
    if video && Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: ffmpeg is not here");
        return false;
    }
    let mut arguments = vec!["synth", "moving", "-o", text(folder), "--cameras", "4", "--frames", frames];
    arguments.extend(["--size", "64x48", "--points", "400", "--quiet"]);
    arguments.extend(video.then_some("--video"));
    tessera().run(&arguments).success();
    true
}

#[test]
fn a_made_rig_is_described_camera_by_camera() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (photos, videos) = (root.path().join("photos"), root.path().join("videos"));
    stage(&photos, "10", false);
    let report = tessera().run(&["info", text(&photos), "--json"]).json();
    assert_eq!((&report["photos"], &report["test"]), (&40.into(), &10.into()), "one of four cameras is held out");
    let rig = &report["rig"];
    assert_eq!(rig["see_centre"], 4);
    assert_eq!(rig["cameras"].as_array().map(Vec::len), Some(4));
    let first = &rig["cameras"][0];
    assert_eq!((&first["name"], &first["frames"], &first["missing_frames"]), (&"cam00".into(), &10.into(), &0.into()));
    let interval = first["interval"].as_f64().expect("a number");
    assert!((interval - 1.0 / 30.0).abs() < 1e-9, "{interval}");
    // Neighbours on a ring of 4.2 m, one 1.3 m higher: √(2 · 4.2² + 1.3²).
    let distance = first["nearest_distance"].as_f64().expect("a number");
    assert!((distance - (2.0f64 * 4.2 * 4.2 + 1.3 * 1.3).sqrt()).abs() < 1e-6, "{distance}");
    let told = tessera().run(&["info", text(&photos)]);
    let told = told.success();
    assert!(told.contains("4 cameras, 4 see the middle") && told.contains("camera cam03"), "{told}");

    if !stage(&videos, "10", true) {
        return;
    }
    let report = tessera().run(&["info", text(&videos), "--json"]).json();
    assert!(report["layout"].as_str().is_some_and(|layout| layout.contains("EasyVolcap")), "{report}");
    let [photo, video] = [&rig["cameras"][2], &report["rig"]["cameras"][2]].map(|c| c["mean_colour"][1].as_f64());
    let apart = (photo.expect("a mean") - video.expect("a mean")).abs();
    assert!(apart < 0.01, "means of photos and of their video are {apart} apart");
}

#[test]
fn videos_are_trained_on_like_photos() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (rig, run) = (root.path().join("rig"), root.path().join("run"));
    if !stage(&rig, "4", true) {
        return;
    }
    tessera().run(&small_training(&rig, &run, "20")).success();
    let report = tessera().run(&["eval", text(&run), "--json"]).json();
    assert_eq!(report["images"], 4, "a whole camera is held out: {report}");
}

#[test]
fn a_broken_rig_is_refused_and_used_around_what_is_broken() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (rig, run) = (root.path().join("rig"), root.path().join("run"));
    if !stage(&rig, "8", true) {
        return;
    }
    let video = rig.join("videos/cam01.mp4");
    let whole = std::fs::read(&video).expect("read");
    std::fs::write(&video, &whole[..whole.len() / 2]).expect("written");
    tessera().run(&small_training(&rig, &run, "5")).failure(&["cam01.mp4: cannot be decoded"]);
    assert!(!run.exists(), "a refused rig left {:?} behind", files_below(&run));
    std::fs::remove_file(&video).expect("removed");
    tessera().run(&["info", text(&rig)]).failure(&["the calibrated camera cam01 has no footage", "--skip-bad"]);
    let mut training = small_training(&rig, &run, "5");
    training.push("--skip-bad");
    let finished = tessera().run(&training);
    finished.success();
    assert!(finished.stderr.contains("cam01 has no footage; it is left out"), "{}", finished.stderr);
    // The run knows that this is how its capture is read.
    tessera().run(&["eval", text(&run)]).success();
    tessera().run(&["reconstruct", "--resume", "-o", text(&run), "--steps", "6"]).success();
}

#[test]
fn a_run_without_a_bad_photo_stays_without_it() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (rig, run) = (root.path().join("rig"), root.path().join("run"));
    stage(&rig, "4", false);
    let photo = rig.join("images/cam02/000002.jpg");
    let whole = std::fs::read(&photo).expect("read");
    std::fs::write(&photo, &whole[..whole.len() / 2]).expect("written");
    let mut training = small_training(&rig, &run, "20");
    training.extend(["--method", "video", "--skip-bad"]);
    let finished = tessera().run(&training);
    finished.success();
    assert!(finished.stderr.contains("1 photos cannot be used: "), "{}", finished.stderr);
    let report = tessera().run(&["eval", text(&run), "--split", "train", "--json"]).json();
    assert_eq!(report["images"], 11, "three cameras, four photos, one of them bad: {report}");
    tessera().run(&["reconstruct", "--resume", "-o", text(&run), "--steps", "24"]).success();
    let pictures = root.path().join("pictures");
    let (folder, capture) = (text(&run), text(&rig));
    tessera().run(&["render", folder, "--capture", capture, "--split", "train", "-o", text(&pictures)]).success();
    assert_eq!(files_below(&pictures).len(), 11);
    let orbit = root.path().join("orbit");
    let drawn = tessera().run(&["render", folder, "--orbit", "2", "-o", text(&orbit)]);
    drawn.success();
    assert!(!drawn.stderr.contains("a guess"), "{}", drawn.stderr);
    // Whoever does not say so gets the sentence.
    let other = root.path().join("other");
    let mut training = small_training(&rig, &other, "20");
    training.extend(["--method", "video"]);
    tessera().run(&training).failure(&["000002.jpg"]);
}

#[test]
fn without_ffmpeg_it_is_said_how_to_get_it() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let rig = root.path().join("rig");
    if !stage(&rig, "2", true) {
        return;
    }
    let nowhere = root.path().join("empty");
    let run = |arguments: &[&str]| {
        let mut command = tessera().command(arguments);
        command.env("PATH", &nowhere);
        Program::finish(command)
    };
    run(&["info", text(&rig)]).failure(&["'ffprobe' that decodes it is not installed", "apt install ffmpeg"]);
    let other = root.path().join("other");
    run(&["synth", "moving", "-o", text(&other), "--video", "--frames", "2"]).failure(&["ffmpeg", "not installed"]);
    assert!(!other.exists(), "nothing is left half-written");
}

/// A static Gaussian and one that lasts about a second, over four seconds at five frames a second.
fn moving_scene(path: &Path) {
    let timeline = Timeline { start: 0.0, frame_rate: 5.0, frames: 20 };
    let mut video = VolumetricVideo::with_capacity(2, 0, timeline);
    video.means = vec![[0.0; 3], [1.0, 0.0, 0.0]];
    video.times = vec![0.0, 1.0];
    video.log_scales = vec![[-2.0; 3]; 2];
    video.log_time_scales = vec![f32::INFINITY, -1.0];
    video.left_quats = vec![[1.0, 0.0, 0.0, 0.0]; 2];
    video.right_quats = vec![[1.0, 0.0, 0.0, 0.0]; 2];
    video.opacity_logits = vec![1.0; 2];
    video.sh0 = vec![[0.5; 3]; 2];
    write_video(path, &video, &TimeHierarchy::of_duration(4.0, 0.5), Existing::Keep).expect("written");
}

#[test]
fn frames_of_a_moving_scene_are_splats_for_any_program() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let scene = root.path().join("scene.t4d");
    moving_scene(&scene);
    let report = tessera().run(&["info", text(&scene), "--json"]).json();
    assert_eq!((&report["frames"], &report["splats"], &report["always_in_view"]), (&20.into(), &2.into(), &1.into()));

    let pattern = root.path().join("frame_%04d.ply");
    tessera().run(&["convert", text(&scene), text(&pattern)]).success();
    let splats = |frame: u32| read_splats(root.path().join(format!("frame_{frame:04}.ply"))).expect("readable").len();
    // It is seen within 2.45 deviations of e⁻¹ s of the first second: from 0.1 to 1.9 s.
    assert_eq!([1, 5, 9, 10, 19].map(splats), [2, 2, 2, 1, 1]);
    tessera().run(&["convert", text(&scene), text(&pattern)]).failure(&["exists already", "--force"]);

    let one = root.path().join("one.spz");
    tessera().run(&["convert", text(&scene), text(&one), "--frames", "5"]).success();
    assert_eq!(read_splats(&one).expect("readable").len(), 2);
    tessera().run(&["convert", text(&scene), text(&one), "--force"]).wrong_usage(&["frame_%04d.ply"]);
    let far = ["convert", text(&scene), text(&one), "--force", "--frames", "20"];
    tessera().run(&far).failure(&["has 20 frames, numbered from 0"]);
    tessera().run(&["convert", text(&scene), text(&pattern), "--crop", "0,0,0,1,1,1"]).wrong_usage(&["--crop is for"]);
    let plain = root.path().join("frame_0005.ply");
    tessera().run(&["convert", text(&plain), text(&one), "--frames", "1", "--force"]).wrong_usage(&["--frames is for"]);
    let damaged = root.path().join("damaged.t4d");
    let bytes = std::fs::read(&scene).expect("read");
    std::fs::write(&damaged, &bytes[..bytes.len() - 3]).expect("written");
    tessera().run(&["info", text(&damaged)]).failure(&["damaged.t4d: was cut off"]);
}
