//! Surfaces on a device, that is on the emulator or on a GPU: the same as on the CPU, the same bits each time, also after a resume.

use super::super::fit::Pattern;
use super::super::guide::fusion::DistanceGrid;
use super::super::tests::{small, still_life};
use super::super::{Stage, SurfaceConfig, SurfaceTraining};
use crate::train::{Event, Existing, Method, Outcome, RunFolder, RunOptions, StepReport, run};
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::capture::Capture;
use tessera_emulator::{device_with_memory, fast_device};
use tessera_kernels::device::Device;

const STEPS: u64 = 4;

/// A sphere at first, with codes of photos and pairs of normals.
fn config() -> SurfaceConfig {
    SurfaceConfig {
        guide_steps: 0,
        steps: STEPS,
        samples: 1024,
        occupancy_resolution: 16,
        ray_steps: 64,
        // The same at all steps, so that bounds are easy to say.
        rate_decay: 1.0,
        ..small()
    }
}

fn training(device: Option<&Device>, capture: &Capture, config: &SurfaceConfig) -> SurfaceTraining {
    let mut training = SurfaceTraining::on(device, capture, config).expect("a good capture");
    // As few as there may be: emulated threads are slow.
    training.pace.rays = 128;
    training
}

fn step(training: &mut SurfaceTraining, step: u64) -> StepReport {
    let report = training.step(step).expect("a step");
    training.settle().expect("the surface");
    report
}

/// Everything that is learned.
fn numbers(training: &SurfaceTraining) -> Vec<f32> {
    let parameters = &training.surface.field.parameters;
    let all = [&parameters.table, &parameters.colour_table, &parameters.distance, &parameters.colour];
    all.into_iter().flatten().chain([&parameters.variance]).chain(training.appearance.codes()).copied().collect()
}

/// Numbers of `a` that are more than `off` from those of `b`, and those that are others than in `before`.
fn turned(a: &[f32], b: &[f32], before: &[f32], off: f32) -> (usize, usize) {
    let turned = a.iter().zip(b).filter(|(a, b)| (*a - *b).abs() > off).count();
    (turned, a.iter().zip(before).filter(|(a, before)| a != before).count())
}

fn steps_are_those_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (capture, config) = (still_life(folder.path()), config());
    let mut on_cpu = training(None, &capture, &config);
    let mut on_device = training(Some(device), &capture, &config);
    let before = numbers(&on_cpu);
    let (first, on_device_first) = (step(&mut on_cpu, 0), step(&mut on_device, 0));
    assert_eq!(first.count, on_device_first.count, "rays");
    let off = (first.loss - on_device_first.loss).abs() / first.loss;
    assert!(off < 1e-4, "the first step's loss is {} instead of {}", on_device_first.loss, first.loss);
    // The first step of Adam goes one way or the other, whatever the size of a gradient: what differs has one that is as small as its rounding.
    let (wrong, changed) = turned(&numbers(&on_cpu), &numbers(&on_device), &before, 1e-3 * config.rate as f32);
    println!("{wrong} of {changed} numbers are turned by the first step");
    assert!(wrong * 100 < changed, "{wrong} of {changed} numbers are turned by the first step");
    for k in 1..STEPS {
        let (a, b) = (step(&mut on_cpu, k), step(&mut on_device, k));
        println!("step {k}: loss {} and {}, {} and {} rays", a.loss, b.loss, a.count, b.count);
        assert!((a.loss - b.loss).abs() < 0.05 * a.loss, "a loss of {} instead of {}", b.loss, a.loss);
    }
    let (a, b) = (on_cpu.preview().expect("a picture"), on_device.preview().expect("a picture"));
    let [a, b] = [a, b].map(|picture| picture.expect("a picture").data);
    let squares: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let off = (squares / a.len() as f64).sqrt() / 255.0;
    println!("pictures differ by {off:.5}");
    assert!(off < 0.02, "pictures differ by {off}");
}

/// Towards a sphere beside the middle.
fn fits_are_those_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let config = SurfaceConfig { guide_steps: 8, fit_steps: 4, ..config() };
    let n = 16;
    let at = |i: usize| [i % n, i / n % n, i / (n * n)].map(|x| (x as f32 + 0.5) / n as f32 - 0.45);
    let distances = (0..n * n * n).map(|i| at(i).iter().map(|x| x * x).sum::<f32>().sqrt() - 0.2).collect();
    let pattern = Pattern::new(DistanceGrid::from_values(n, distances).expect("a grid"));
    let [mut on_cpu, mut on_device] = [None, Some(device)].map(|device| {
        let mut training = training(device, &capture, &config);
        training.stage = Stage::Fit(pattern.clone());
        training
    });
    let before = numbers(&on_cpu);
    let losses = [8u64, 9, 10, 11].map(|k| [&mut on_cpu, &mut on_device].map(|training| step(training, k).loss));
    for (k, [a, b]) in losses.iter().enumerate() {
        assert!((a - b).abs() < 1e-3 * a, "step {k} has a loss of {b} instead of {a}");
    }
    assert!(losses[3][0] < losses[0][0], "nothing is learned: {losses:?}");
    let (wrong, changed) = turned(&numbers(&on_cpu), &numbers(&on_device), &before, 0.01 * config.rate as f32);
    println!("{wrong} of {changed} numbers are turned, {losses:?}");
    assert!(wrong * 20 < changed, "{wrong} of {changed} numbers are turned");
}

fn the_same_bits_come_out_each_time_and_after_a_resume(open: &dyn Fn() -> Device) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(&folder.path().join("capture"));
    // Splats first, a fit, and steps with rays.
    let config = SurfaceConfig { guide_steps: 8, fit_steps: 2, steps: 3, ..config() };
    let mut whole = training(Some(&open()), &capture, &config);
    for k in 0..whole.total_steps() {
        whole.step(k).expect("a step");
    }
    whole.settle().expect("the surface");

    // Another emulator runs blocks in another order; this one is stopped, saved, and resumed.
    let device = open();
    let run_folder = RunFolder::create(folder.path().join("run"), Existing::Refuse).expect("a run folder");
    let options = RunOptions { checkpoint_every: 11, preview_every: 0, ..RunOptions::default() };
    let stop = AtomicBool::new(false);
    let mut events = |event: Event| {
        if matches!(event, Event::Checkpointed { .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let mut first = training(Some(&device), &capture, &config);
    let outcome = run(&mut first, &options, &run_folder, &mut events, &stop).expect("a run");
    assert!(matches!(outcome, Outcome::Interrupted { step: 11 }), "{outcome:?}");
    drop(first);
    let mut second = training(Some(&device), &capture, &config);
    run(&mut second, &options, &run_folder, &mut |_| {}, &AtomicBool::new(false)).expect("a run");
    let same = numbers(&whole).iter().zip(&numbers(&second)).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same, "a resumed run ends in other bits");
}

/// Between two looks at the cells that rays visit.
fn steady_steps_allocate_nothing(open: &dyn Fn() -> Device) {
    let device = &open();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let config = SurfaceConfig { steps: 100, ..config() };
    let mut training = training(Some(device), &capture, &config);
    let mut take = |steps: std::ops::Range<u64>| {
        for k in steps {
            training.step(k).expect("a step");
        }
    };
    take(0..2);
    let before = device.traffic();
    take(2..6);
    let asked = device.traffic() - before;
    assert_eq!((asked.allocations, asked.waits), (0, 0), "4 steps ask for {asked:?}");
    // Two counts, three sums, and the gradient of two numbers for each of eight photos.
    assert_eq!((asked.copies_to_host, asked.bytes_to_host), (16, 4 * (4 + 4 + 12 + 64)), "4 steps ask for {asked:?}");
}

tessera_emulator::on_devices! {
    fast_device: steps_are_those_of_the_cpu fits_are_those_of_the_cpu the_same_bits_come_out_each_time_and_after_a_resume steady_steps_allocate_nothing
}

#[test]
fn too_little_memory_is_one_sentence_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let device = device_with_memory(1 << 20);
    let refused = SurfaceTraining::on(Some(&device), &capture, &config()).expect_err("1 MB is too little");
    let message = refused.to_string();
    for part in ["GPU memory", "1.0 MiB free", "--set samples", "--device cpu"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

/// But for the parts of sums over samples, which come with the first step.
#[test]
fn the_plan_says_what_the_device_will_hold() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let device = fast_device();
    let mut training = training(Some(&device), &capture, &config());
    let planned = training.memory_plan().total_on_device();
    training.ready_device().expect("room");
    let used = device.used_memory();
    assert!(used <= planned && planned < used + used / 4, "{planned} bytes are planned and {used} used");
}
