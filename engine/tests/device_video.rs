//! Volumetric video on a device, that is on the emulator or on a GPU: the same scene as on the CPU, the same bits each time,
//! also after a resume, with Gaussians that wait on disk.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::VolumetricVideo;
use tessera_datasets::synthetic::{MovingOptions, write_moving};
use tessera_emulator::device_with_memory;
use tessera_engine::train::{self, Existing, Method, RunFolder, RunOptions};
use tessera_engine::volumetric_video::{VideoConfig, VideoTraining};
use tessera_kernels::device::Device;

fn capture(folder: &Path) -> Capture {
    let path = folder.join("capture");
    let options = MovingOptions { size: [48, 36], cameras: 4, frames: 12, points: 300, ..MovingOptions::default() };
    write_moving(&options, &path, false, &|_, _| {}).expect("a made capture");
    Capture::open(&path).expect("the made capture")
}

/// Two windows of time, which are visited by turns.
fn config() -> VideoConfig {
    VideoConfig {
        steps: 24,
        max_splats: 500,
        initial_splats: 300,
        still_splats: 300,
        frame_splats: 20,
        refine_every: 6,
        window_frames: 6,
        ..VideoConfig::default()
    }
}

fn trained(device: Option<&Device>, capture: &Capture, config: &VideoConfig) -> VideoTraining {
    let mut training = VideoTraining::on(device, capture, config).expect("the capture can be trained on");
    for step in 0..config.steps {
        training.step(step).expect("a step");
    }
    training.settle().expect("the Gaussians");
    training
}

fn bits(video: &VolumetricVideo) -> Vec<u32> {
    let parts = [video.means.as_flattened(), &video.times, &video.log_time_scales, video.left_quats.as_flattened()];
    parts.concat().iter().chain(&video.residuals).map(|v| v.to_bits()).collect()
}

/// Root of the mean squared difference of two pictures of 8 bits a channel, between 0 and 1.
fn difference(a: &mut VideoTraining, b: &mut VideoTraining) -> f64 {
    let [a, b] = [a, b].map(|t| t.preview().expect("a picture").expect("a picture").data);
    let sum: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    (sum / a.len() as f64).sqrt() / 255.0
}

fn the_scene_is_that_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path());
    // Without refinements, and with them.
    for config in [VideoConfig { refine_every: 1000, ..config() }, config()] {
        let mut on_cpu = trained(None, &capture, &config);
        let mut on_device = trained(Some(device), &capture, &config);
        let [a, b] = [&on_cpu, &on_device].map(|training| training.video().expect("readable"));
        assert_eq!(a.len(), b.len(), "the numbers of Gaussians differ");
        let off = difference(&mut on_cpu, &mut on_device);
        println!("{} Gaussians after {} steps, pictures differ by {off:.5}", a.len(), config.steps);
        // As for splats: rounding turns some of Adam's first steps, and a draw that turns out otherwise splits another
        // Gaussian of the same error.
        assert!(off < 0.01, "pictures differ by {off}");
        let report = on_device.evaluate().expect("a report");
        assert!(report.is_none() || report.is_some_and(|report| report.psnr.is_finite()));
    }
}

fn the_same_bits_come_out_each_time_and_after_a_resume(open: &dyn Fn() -> Device) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (capture, config) = (capture(folder.path()), config());
    let whole = trained(Some(&open()), &capture, &config).video().expect("readable");

    // Another emulator runs blocks in another order; this one is stopped between two refinements, saved, and resumed.
    let device = open();
    let run = RunFolder::create(folder.path().join("run"), Existing::Refuse).expect("a run folder");
    let (options, stop) = (RunOptions { checkpoint_every: 9, ..RunOptions::default() }, AtomicBool::new(false));
    let mut events = |event: train::Event| {
        if matches!(event, train::Event::Checkpointed { .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let mut first = VideoTraining::on(Some(&device), &capture, &config).expect("a training");
    let outcome = train::run(&mut first, &options, &run, &mut events, &stop).expect("a run");
    assert!(matches!(outcome, train::Outcome::Interrupted { step: 9 }), "{outcome:?}");
    drop(first);
    let mut second = VideoTraining::on(Some(&device), &capture, &config).expect("a training");
    train::run(&mut second, &options, &run, &mut |_| {}, &AtomicBool::new(false)).expect("a run");
    assert!(bits(&second.video().expect("readable")) == bits(&whole), "a resumed run ends in other bits");
}

/// Between refinements and within one window.
fn steady_steps_allocate_nothing_and_bring_nothing_back(open: &dyn Fn() -> Device) {
    let device = &open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path());
    let config = VideoConfig { steps: 2000, refine_every: 1000, window_frames: 0, ..config() };
    let mut training = VideoTraining::on(Some(device), &capture, &config).expect("a training");
    // Until all moments have been looked at.
    for step in 0..64 {
        training.step(step).expect("a step");
    }
    let before = device.traffic();
    for step in 64..96 {
        training.step(step).expect("a step");
    }
    let asked = device.traffic() - before;
    assert_eq!((asked.allocations, asked.waits), (0, 0), "32 steps ask for {asked:?}");
    // Every 16 steps their losses (16 bytes each) and numbers of pairs (4 bytes) are fetched, without waiting.
    assert_eq!((asked.copies_to_host, asked.bytes_to_host), (4, 640), "32 steps ask for {asked:?}");
}

#[test]
fn too_little_memory_is_one_sentence_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path());
    let device = device_with_memory(100_000);
    let refused = VideoTraining::on(Some(&device), &capture, &config()).expect_err("100 kB are too little");
    let message = refused.to_string();
    for part in ["GPU memory", "Gaussians at once", "--max-splats", "--device cpu"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

tessera_emulator::on_devices! {
    fast_device: the_scene_is_that_of_the_cpu the_same_bits_come_out_each_time_and_after_a_resume steady_steps_allocate_nothing_and_bring_nothing_back
}
