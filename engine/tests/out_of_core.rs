//! Splats whose harmonics lie in the host's memory while a device trains them: the same bits as with all of them there, in less of
//! its memory.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;
use tessera_datasets::synthetic::{self, Options, SceneKind};
use tessera_emulator::device_with_memory;
use tessera_engine::splats::appearance::AppearanceModel;
use tessera_engine::splats::{FarPlace, OnOom, SplatTraining, SplatsConfig};
use tessera_engine::train::{self, Existing, Method, RunFolder, RunOptions};
use tessera_kernels::device::Device;

/// Of a ground so wide that a photo sees a part of it.
fn capture(folder: &Path) -> Capture {
    let options = Options { width: 32, height: 24, views: Some(5), extent: 40.0, points: 300, ..Options::default() };
    let path = folder.join("capture");
    synthetic::write(SceneKind::Terrain, &options, &path, false, &|_, _| {}).expect("a made capture");
    Capture::open(&path).expect("the made capture")
}

/// With a refinement in every step.
fn config(far: FarPlace) -> SplatsConfig {
    SplatsConfig {
        steps: 6,
        max_splats: 340,
        initial_splats: 300,
        resolution_schedule: false,
        noise: 5e7,
        far,
        ..SplatsConfig::default()
    }
}

fn on(device: &Device, capture: &Capture, config: &SplatsConfig) -> SplatTraining {
    SplatTraining::on(Some(device), capture, config).expect("the capture can be trained on")
}

fn trained(device: &Device, capture: &Capture, config: &SplatsConfig) -> SplatTraining {
    let mut training = on(device, capture, config);
    for step in 0..config.steps {
        training.step(step).expect("a step");
        if step == config.steps / 2 {
            // Looking at the scene changes nothing.
            training.preview().expect("a picture");
        }
    }
    training.settle().expect("the splats");
    training
}

fn same_bits(a: &SplatCloud, b: &SplatCloud, what: &str) {
    let tensors = |cloud: &SplatCloud| {
        let geometry = [cloud.means.as_flattened(), cloud.log_scales.as_flattened(), cloud.quats.as_flattened()];
        let others = [&cloud.opacity_logits, cloud.sh0.as_flattened(), &cloud.sh_rest];
        [geometry, others].concat().into_iter().map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let names = ["means", "log_scales", "quats", "opacity_logits", "sh0", "sh_rest"];
    for ((name, a), b) in names.iter().zip(tensors(a)).zip(tensors(b)) {
        assert_eq!(a.len(), b.len(), "{what}: the numbers of {name} differ");
        let others = a.iter().zip(&b).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(others, 0, "{what}: so many of {} numbers of {name} have other bits", a.len());
    }
}

/// After the tenth refinement splats are put in another order.
fn full_and_compact(far: FarPlace) -> [(&'static str, SplatsConfig); 2] {
    let compact = SplatsConfig {
        compact_state: true,
        appearance: AppearanceModel::Exposure,
        filter_3d: false,
        steps: 12,
        ..config(far)
    };
    [("full", config(far)), ("compact", compact)]
}

fn the_bits_are_those_of_a_device_that_has_all_also_after_a_resume(open: &dyn Fn() -> Device) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path());
    let configs = full_and_compact(FarPlace::Device).into_iter().zip(full_and_compact(FarPlace::Host));
    for ((name, there), (_, far)) in configs {
        let device = open();
        let mut all = trained(&device, &capture, &there);
        let mut parted = trained(&open(), &capture, &far);
        let (rows, longer) = parted.brought().expect("it brings rows");
        let splats = parted.cloud().len();
        println!("{name}: {rows} of {splats} splats are brought, steps are {longer:.1} times as long");
        assert!(rows > 0 && 2 * (rows as usize) < splats, "a view sees {rows} splats");
        assert!(all.brought().is_none(), "nothing is brought to where everything is");
        same_bits(&all.cloud(), &parted.cloud(), name);
        let [a, b] = [&mut all, &mut parted].map(|t| t.preview().expect("a picture").expect("a picture").data);
        assert!(a == b, "{name}: other pictures come out");
        // Each resumed as the other.
        let (first, second) = if name == "full" { (&far, &there) } else { (&there, &far) };
        let resumed = stopped_and_resumed(&device, &capture, (first, second), &folder.path().join(name));
        same_bits(&all.cloud(), &resumed.cloud(), &format!("{name}, resumed"));
    }
}

/// Trained with the first settings to the checkpoint of step 4, then with the others.
fn stopped_and_resumed(
    device: &Device,
    capture: &Capture,
    (first, second): (&SplatsConfig, &SplatsConfig),
    path: &Path,
) -> SplatTraining {
    let run = RunFolder::create(path, Existing::Refuse).expect("a run folder");
    let options = RunOptions { checkpoint_every: 4, preview_every: 0, ..RunOptions::default() };
    let stop = AtomicBool::new(false);
    let mut events = |event: train::Event| {
        if matches!(event, train::Event::Checkpointed { .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let outcome = train::run(&mut on(device, capture, first), &options, &run, &mut events, &stop);
    assert!(matches!(outcome, Ok(train::Outcome::Interrupted { step: 4 })), "{outcome:?}");
    let mut resumed = on(device, capture, second);
    train::run(&mut resumed, &options, &run, &mut |_| {}, &AtomicBool::new(false)).expect("a run");
    resumed
}

tessera_emulator::on_devices! {
    fast_device: the_bits_are_those_of_a_device_that_has_all_also_after_a_resume
}

#[test]
fn a_device_with_less_memory_suffices_by_what_was_predicted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path());
    let used = |far: FarPlace| {
        let device = device_with_memory(1 << 30);
        let mut training = on(&device, &capture, &SplatsConfig { max_splats: 20_000, ..config(far) });
        for step in 0..3 {
            training.step(step).expect("a step");
        }
        let plan = training.memory_plan();
        println!("{far:?}: {} bytes used\n{plan}", device.used_memory());
        (device.used_memory() as f64, plan.total_on_device() as f64)
    };
    let (all, all_planned) = used(FarPlace::Device);
    let (parted, parted_planned) = used(FarPlace::Host);
    assert!(parted < parted_planned && all < all_planned, "more is used than was planned");
    let (saved, predicted) = (all - parted, all_planned - parted_planned);
    assert!((saved / predicted - 1.0).abs() < 0.25, "{saved} bytes are saved and {predicted} were predicted");

    // What fits nowhere else.
    let memory = (0.5 * (all_planned + parted_planned)) as u64;
    let large = |far: FarPlace| SplatsConfig { max_splats: 20_000, ..config(far) };
    let said = SplatTraining::on(Some(&device_with_memory(memory)), &capture, &large(FarPlace::Device));
    let said = said.expect_err("it does not fit").to_string();
    assert!(said.contains("far=host makes it fit"), "{said}");
    on(&device_with_memory(memory), &capture, &large(FarPlace::Host)).step(0).expect("a step");
}

#[test]
fn memory_that_others_take_meanwhile_shrinks_the_scene() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path());
    let device = device_with_memory(64 << 20);
    let config = SplatsConfig { max_splats: 4000, on_oom: OnOom::Shrink, ..config(FarPlace::Host) };
    let mut training = on(&device, &capture, &config);
    let free = device.free_memory().expect("an emulator knows") as usize;
    let taken = device.buffer::<u8>(free - 4096, "another program").expect("it is free");
    let report = training.step(0).expect("a step");
    assert!(report.loss.is_finite());
    let warnings = training.take_warnings();
    assert!(warnings.iter().any(|w| w.contains("splats")), "{warnings:?}");
    drop(taken);
}

#[test]
fn a_cpu_has_nothing_far() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = SplatTraining::new(&capture(folder.path()), &config(FarPlace::Host)).expect_err("no GPU").to_string();
    assert!(said.contains("far=host") && said.contains("--device cuda"), "{said}");
}
