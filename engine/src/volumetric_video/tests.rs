use super::*;
use crate::splats::MaskUse;
use crate::train::{Event, Existing, Outcome, RunFolder, RunOptions, run};
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::camera::spacetime::MIN_TIME_WEIGHT;
use tessera_datasets::capture::{MaskKind, MaskSource};
use tessera_datasets::image::save_png;
use tessera_datasets::synthetic::{MovingOptions, write_moving};

fn made_capture(folder: &Path) -> Capture {
    let path = folder.join("capture");
    let options = MovingOptions { size: [64, 48], cameras: 6, frames: 12, points: 600, ..MovingOptions::default() };
    write_moving(&options, &path, false, &|_, _| {}).expect("a made capture");
    Capture::open(&path).expect("the made capture")
}

fn small() -> VideoConfig {
    let shares = VideoConfig { still_splats: 700, frame_splats: 70, ..VideoConfig::default() };
    VideoConfig { steps: 60, max_splats: 1500, initial_splats: 600, refine_every: 5, ..shares }
}

fn train(folder: &Path, existing: Existing, training: &mut VideoTraining, stop_at: u64) -> Outcome {
    let folder = RunFolder::create(folder, existing).expect("the folder is usable");
    let options = RunOptions { capture: "capture".into(), checkpoint_every: 20, ..RunOptions::default() };
    let stop = AtomicBool::new(false);
    let mut show = |event: Event| {
        if matches!(event, Event::Checkpointed { step, .. } if step == stop_at) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    run(training, &options, &folder, &mut show, &stop).expect("nothing disturbs it")
}

#[test]
fn an_interrupted_training_goes_on_bit_for_bit_and_its_checkpoint_is_the_scene() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = made_capture(folder.path());
    let config = small();
    let mut whole = VideoTraining::new(&capture, &config).expect("trains");
    train(&folder.path().join("whole"), Existing::Refuse, &mut whole, u64::MAX);

    let run = folder.path().join("halved");
    let mut first = VideoTraining::new(&capture, &config).expect("trains");
    let outcome = train(&run, Existing::Refuse, &mut first, 20);
    assert!(matches!(outcome, Outcome::Interrupted { .. }), "{outcome:?}");
    let mut second = VideoTraining::new(&capture, &config).expect("trains");
    train(&run, Existing::Resume, &mut second, u64::MAX);
    let [whole, second] = [whole, second].map(|training| training.video().expect("readable"));
    assert!(whole == second, "the resumed run has other Gaussians");

    let checkpoint = RunFolder::newest_checkpoint(&run).expect("readable").expect("there is one");
    assert!(
        TrainedVideo::of_checkpoint(&checkpoint, &config).expect("whole").to_video().expect("readable") == second,
        "the checkpoint is another scene"
    );
}

#[test]
fn every_gaussian_is_active_whenever_it_is_seen_and_all_are_somewhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = made_capture(folder.path());
    let mut training = VideoTraining::new(&capture, &small()).expect("trains");
    for step in 0..30 {
        training.step(step).expect("a step");
    }
    let model = &mut training.state.model;
    model.place();
    let rows: usize = model.segments().iter().map(|(_, rows)| rows.len()).sum();
    assert_eq!(rows, model.len(), "every Gaussian has one place");
    let moving = training.video().expect("all are in memory").moving_splats();
    let model = &training.state.model;
    let mut active = model::Active::default();
    for frame in 0..4 * training.timeline.frames {
        let seconds = 0.25 * training.timeline.seconds_of(frame);
        model.activate(seconds, &mut active);
        for i in 0..model.len() {
            let since = seconds - f64::from(moving.times[i]);
            let weight = (-0.5 * since * since / f64::from(moving.time_variances[i])).exp();
            let is_active = active.rows.contains(&(i as u32));
            assert!(weight <= MIN_TIME_WEIGHT || is_active, "Gaussian {i} has weight {weight} at {seconds} s");
        }
    }
}

/// As [`small`], a third of a second at a time.
fn in_windows() -> VideoConfig {
    VideoConfig { window_frames: 4, segment_frames: 1.0, init_moments: 12, ..small() }
}

#[test]
fn gaussians_of_other_windows_wait_on_disk_and_none_is_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = made_capture(folder.path());
    let mut training = VideoTraining::new(&capture, &in_windows()).expect("trains");
    training.wait_in(folder.path()).expect("a folder");
    let (mut all, mut waited) = (training.state.model.total(), 0);
    for step in 0..60 {
        training.step(step).expect("a step");
        let (here, there) = (training.state.model.len(), training.state.model.waiting());
        assert!(here + there >= all && here + there <= 1500, "{here} in memory and {there} waiting, of {all} before");
        (all, waited) = (here + there, waited.max(there));
        let [from, to] =
            training.windows.span(training.windows.at(step)).map(|s| training.state.model.hierarchy.tick_at(s));
        for (berth, _) in training.state.model.segments() {
            let is_near = berth.is_looked_at(&training.state.model.hierarchy, [from, to]);
            assert!(is_near, "{berth:?} is in memory at step {step}");
        }
    }
    assert_eq!(all, 1500, "they have grown as many as they may");
    assert!(waited > all / 10, "at most {waited} have waited");
    assert_eq!(training.video().expect("readable").len(), all);
}

#[test]
fn with_windows_too_looking_and_resuming_change_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = made_capture(folder.path());
    let config = in_windows();
    let mut whole = VideoTraining::new(&capture, &config).expect("trains");
    train(&folder.path().join("whole"), Existing::Refuse, &mut whole, u64::MAX);

    let run = folder.path().join("halved");
    let mut first = VideoTraining::new(&capture, &config).expect("trains");
    train(&run, Existing::Refuse, &mut first, 20);
    let mut second = VideoTraining::new(&capture, &config).expect("trains");
    second.evaluate().expect("pictures");
    train(&run, Existing::Resume, &mut second, u64::MAX);
    let checkpoint = RunFolder::newest_checkpoint(&run).expect("readable").expect("there is one");
    assert!(checkpoint.shape("waiting.000000").is_some(), "nothing waits in the checkpoint");
    let read = TrainedVideo::of_checkpoint(&checkpoint, &config).expect("whole").to_video().expect("readable");
    let [whole, second] = [whole, second].map(|training| training.video().expect("readable"));
    assert!(whole == second, "the resumed run has other Gaussians");
    // Since it was written, held-out photos have been looked at: others are in memory, which come first.
    assert_eq!(by_place(&read), by_place(&second), "the checkpoint is another scene");
}

/// Bits that tell Gaussians apart, in an order of their own.
fn by_place(video: &VolumetricVideo) -> Vec<[u32; 6]> {
    let bits = |i: usize| {
        let ([x, y, z], [red, ..]) = (video.means[i], video.sh0[i]);
        [x, y, z, video.times[i], video.opacity_logits[i], red].map(f32::to_bits)
    };
    let mut all: Vec<_> = (0..video.len()).map(bits).collect();
    all.sort_unstable();
    all
}

#[test]
fn training_brings_the_pictures_closer_and_keeps_what_rests_static() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = made_capture(folder.path());
    let config = VideoConfig { steps: 300, ..small() };
    let mut training = VideoTraining::new(&capture, &config).expect("trains");
    let statics = (0..training.state.model.len()).filter(|&i| training.state.model.is_static(i)).count();
    assert!(
        0 < statics && statics < training.state.model.len(),
        "{statics} of {} are static",
        training.state.model.len()
    );
    // Every photo once, then the whole training, then every photo once more.
    let photos = training.frames.len() as u64;
    let mut epoch = |from: u64| {
        (from..from + photos).map(|step| training.step(step).expect("a step").psnr).sum::<f64>() / photos as f64
    };
    let before = epoch(0);
    let after = (1..5).map(|k| epoch(k * photos)).last().expect("four more epochs");
    assert!(after > before + 2.0, "from {before:.2} to {after:.2} dB");
    let kept = (0..training.state.model.len()).filter(|&i| training.state.model.is_static(i)).count();
    assert!(kept > 0, "no static Gaussians are left");
}

#[test]
fn a_capture_without_times_is_one_frame_of_static_gaussians() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut capture = made_capture(folder.path());
    capture.frames.retain(|frame| frame.time == Some(0.0));
    capture.frames.iter_mut().for_each(|frame| frame.time = None);
    let training = VideoTraining::new(&capture, &small()).expect("trains");
    assert_eq!(training.timeline.frames, 1);
    assert!((0..training.state.model.len()).all(|i| training.state.model.is_static(i)));
    assert_eq!(training.state.model.segments().len(), 1, "all are global");
}

#[test]
fn some_photos_without_times_are_refused_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut capture = made_capture(folder.path());
    capture.frames[0].time = None;
    let said = timeline_of(&capture).expect_err("contradictory").to_string();
    assert!(said.contains("1 of 72 photos have no time"), "{said}");
}

/// The made capture with masks that show a ball around the middle of its scene, and nothing else.
fn cut_out_capture(folder: &Path, radius: f64) -> Capture {
    let mut capture = made_capture(folder);
    for (i, frame) in capture.frames.iter_mut().enumerate() {
        let camera_from_scene = frame.camera_from_world * capture.scene_from_world.inverse();
        let middle = (camera_from_scene * nalgebra::Point3::origin()).coords / camera_from_scene.scaling();
        let [width, height] = [frame.camera.width, frame.camera.height];
        let lens = frame.camera.lens;
        let sees = |pixel: u32| {
            let at = [pixel % width, pixel / width].map(|v| f64::from(v) + 0.5);
            let [x, y] = std::array::from_fn(|k| (at[k] - lens.centre[k]) / lens.focal[k]);
            let ray = nalgebra::Vector3::new(x, y, 1.0).normalize();
            if ray.cross(&middle).norm() < radius { [255; 3] } else { [0; 3] }
        };
        let mask = Image8 { width, height, channels: 3, data: (0..width * height).flat_map(sees).collect() };
        let path = format!("cut/{i:06}.png");
        std::fs::create_dir_all(capture.files.root().join("cut")).expect("a folder");
        save_png(capture.files.root().join(&path), &mask).expect("written");
        frame.mask = Some(MaskSource { path, kind: MaskKind::Foreground });
    }
    capture
}

#[test]
fn what_masks_cut_out_becomes_transparent_and_is_measured_on_the_background() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = cut_out_capture(folder.path(), 0.15);
    let config = VideoConfig { steps: 300, background: [0.0, 0.0, 1.0], ..small() };
    let mut training = VideoTraining::new(&capture, &config).expect("trains");
    assert_eq!(training.config.background, [0.0, 0.0, 1.0], "cut-out photos have no backdrop");
    for step in 0..config.steps {
        training.step(step).expect("a step");
    }
    let (mut outside, mut inside) = ([0.0, 0.0], [0.0, 0.0]);
    for i in (0..training.frames.len()).step_by(7) {
        let frame = training.frames.load(i, 1).expect("readable");
        let settings = training.render_settings();
        let seconds = init::seconds(&training.frames, i, &training.timeline);
        let picture = training.machine.picture(&training.state, seconds, &frame.view, &settings).expect("a picture");
        let mask = frame.pixels.mask.as_ref().expect("a mask");
        for (transmittance, cut_out) in picture.transmittance.iter().zip(&mask.data) {
            let sums = if *cut_out == 0 { &mut outside } else { &mut inside };
            *sums = [sums[0] + 1.0 - f64::from(*transmittance), sums[1] + 1.0];
        }
    }
    let [outside, inside] = [outside, inside].map(|[sum, count]| sum / count);
    assert!(outside < 0.1 && inside > 0.3, "opacity {outside:.3} outside of the masks and {inside:.3} inside");
}

#[test]
fn cut_out_photos_have_another_background_in_each_step_if_that_is_wanted_and_masks_are_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = cut_out_capture(folder.path(), 0.15);
    let backgrounds = |capture: &Capture, config: VideoConfig| {
        let training = VideoTraining::new(capture, &VideoConfig { find_background: false, ..config }).expect("trains");
        let frame = training.frames.load(0, 1).expect("readable");
        [0, 1, 0].map(|step| training.training_settings(&frame, step).background)
    };
    let [first, second, again] = backgrounds(&capture, small());
    assert!(first != second && first == again, "{first:?}, {second:?}, {again:?}");
    let usual = [[1.0; 3]; 3];
    assert_eq!(backgrounds(&capture, VideoConfig { random_background: false, ..small() }), usual);
    assert_eq!(backgrounds(&capture, VideoConfig { masks: MaskUse::Off, ..small() }), usual);
    assert_eq!(backgrounds(&capture, VideoConfig { masks: MaskUse::Ignore, ..small() }), usual);
}
