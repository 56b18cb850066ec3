//! Anchors on a device, that is on the emulator or on a GPU: the same as on the CPU, the same bits each time, after a resume, and on several ranks.

use super::super::sight::{seen, sight};
use super::super::tests::{config, scene, terrain, train_on};
use super::super::{AnchorTraining, AnchorsConfig, Sharing};
use crate::splats::appearance::AppearanceModel;
use crate::train::{Existing, Method, Outcome, StepReport};
use tessera_emulator::{device_with_memory, fast_device};
use tessera_kernels::device::Device;

/// Two blocks with few anchors, which take turns; some come and go on the way.
fn small() -> AnchorsConfig {
    AnchorsConfig {
        steps: 6,
        blocks: 2,
        visit: 2,
        max_anchors: 160,
        offsets: 2,
        refine_every: 4,
        grow_from: 0.0,
        grow_until: 1.0,
        grow_threshold: 0.0,
        ..config(Sharing::Momentum)
    }
}

fn training(device: Option<&Device>, config: &AnchorsConfig) -> AnchorTraining {
    AnchorTraining::new(&terrain(), config).and_then(|training| training.on(device)).expect("a plan")
}

fn step(training: &mut AnchorTraining, step: u64) -> StepReport {
    let report = training.step(step).expect("a step");
    training.bring_home().expect("the anchors");
    report
}

/// All that is learned, in the order of the blocks, and the decoder.
fn numbers(training: &AnchorTraining) -> [Vec<f32>; 2] {
    let anchors = training.blocks.iter().flat_map(|block| {
        let model = &block.model;
        [&model.offsets.values, &model.log_scaling.values, &model.features.values].into_iter().flatten().copied()
    });
    [anchors.collect(), training.students[0].parameters.clone()]
}

/// Numbers of `a` that are more than `off` from those of `b`, and those that are others than in `before`.
fn turned(a: &[f32], b: &[f32], before: &[f32], off: f32) -> (usize, usize) {
    let turned = a.iter().zip(b).filter(|(a, b)| (*a - *b).abs() > off).count();
    (turned, a.iter().zip(before).filter(|(a, before)| a != before).count())
}

fn steps_are_those_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    let config = small();
    let (mut on_cpu, mut on_device) = (training(None, &config), training(Some(device), &config));
    let before = numbers(&on_cpu);
    let (first, on_device_first) = (step(&mut on_cpu, 0), step(&mut on_device, 0));
    let off = (first.loss - on_device_first.loss).abs() / first.loss;
    assert!(off < 1e-4, "the first step's loss is {} instead of {}", on_device_first.loss, first.loss);
    // The first step of Adam goes one way or the other, whatever the size of a gradient: what differs has one that is as small as its rounding.
    for (part, ((a, b), before)) in numbers(&on_cpu).iter().zip(&numbers(&on_device)).zip(&before).enumerate() {
        let (wrong, changed) = turned(a, b, before, 1e-4);
        println!("{wrong} of {changed} numbers of part {part} are turned by the first step");
        assert!(changed > 100 && wrong * 50 < changed, "{wrong} of {changed} numbers of part {part} are turned");
    }
    let begun = first.count;
    for k in 1..on_cpu.total_steps() {
        let (a, b) = (step(&mut on_cpu, k), step(&mut on_device, k));
        println!("step {k}: loss {} and {}, {} and {} anchors", a.loss, b.loss, a.count, b.count);
        assert!((a.loss - b.loss).abs() < 0.03 * a.loss, "a loss of {} instead of {}", b.loss, a.loss);
        assert!((a.psnr - b.psnr).abs() < 0.2, "a PSNR of {} instead of {}", b.psnr, a.psnr);
    }
    let count = on_device.blocks.iter().map(|block| block.model.len() as u64).sum::<u64>();
    assert!(count != begun, "no anchor has come or gone");
    let statistics = |training: &AnchorTraining| training.blocks[0].statistics.fields().map(|f| f.iter().sum::<f32>());
    for (a, b) in statistics(&on_cpu).into_iter().zip(statistics(&on_device)) {
        assert!((a - b).abs() <= 0.05 * a.abs(), "what is seen adds up to {b} instead of {a}");
    }
}

fn anchors_that_are_seen_are_those_of_the_cpu(open: &dyn Fn() -> Device) {
    let device = &open();
    let mut training = training(Some(device), &small());
    training.ready_device().expect("room");
    let AnchorTraining { blocks, machine: Some(machine), .. } = &mut training else { panic!("it is not there") };
    machine.blocks[0].take_over(&machine.stream, &blocks[0]).expect("a copy");
    for view in blocks[0].frames.views() {
        let expected = seen(view, &blocks[0].model, None);
        let count = machine.decoding.see(machine.blocks[0].anchors(), sight(view)).expect("a list");
        assert_eq!((count, machine.decoding.read_chosen().expect("a copy")), (expected.len(), expected));
    }
}

fn the_same_bits_come_out_after_a_resume_and_on_two_ranks(open: &dyn Fn() -> Device) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let config = AnchorsConfig { together: 2, steps: 9, max_anchors: 100, ..small() };
    let run = |name: &str| root.path().join(name);
    let ended = train_on(Some(&open()), &run("one"), Existing::Refuse, &config, 1, usize::MAX);
    assert!(matches!(ended[0], Ok(Outcome::Finished { .. })), "{ended:?}");
    // Two ranks until a checkpoint, then one.
    let ended = train_on(Some(&open()), &run("halved"), Existing::Refuse, &config, 2, 1);
    assert!(matches!(ended[0], Ok(Outcome::Interrupted { step: 7 })), "{ended:?}");
    let ended = train_on(Some(&open()), &run("halved"), Existing::Resume, &config, 1, usize::MAX);
    assert!(matches!(ended[0], Ok(Outcome::Finished { .. })), "{ended:?}");
    assert!(scene(&run("one")) == scene(&run("halved")), "a run that changed hands ends in another scene");
}

/// Between two changes of the anchors.
fn steady_steps_allocate_nothing(open: &dyn Fn() -> Device) {
    let device = &open();
    let config = AnchorsConfig { blocks: 1, steps: 400, refine_every: 100, resolution_schedule: false, ..small() };
    let mut training = training(Some(device), &config);
    let photos = training.blocks[0].frames.len() as u64;
    let mut take = |steps: std::ops::Range<u64>| {
        for k in steps {
            training.step(k).expect("a step");
        }
    };
    take(0..photos.min(6));
    let before = device.traffic();
    take(6..8);
    let asked = device.traffic() - before;
    // The rasteriser's look at its number of pairs is a copy that is waited for.
    assert_eq!((asked.allocations, asked.waits), (0, 2), "2 steps ask for {asked:?}");
    assert_eq!(asked.copies_to_host, 2 * 6, "2 steps ask for {asked:?}");
}

tessera_emulator::on_devices! {
    fast_device: steps_are_those_of_the_cpu anchors_that_are_seen_are_those_of_the_cpu the_same_bits_come_out_after_a_resume_and_on_two_ranks steady_steps_allocate_nothing
}

#[test]
fn too_little_memory_is_one_sentence_with_a_remedy() {
    let device = device_with_memory(1 << 20);
    let config = AnchorsConfig { max_anchors: 2000, ..small() };
    let training = AnchorTraining::new(&terrain(), &config).expect("a plan");
    let message = training.on(Some(&device)).map(drop).expect_err("1 MB is too little").to_string();
    for part in ["GPU memory", "1.0 MiB free", "--set max_anchors", "--device cpu"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

/// But for what pictures and sums of gradients need, which come with the first step.
#[test]
fn the_plan_says_what_the_device_will_hold() {
    let device = fast_device();
    let config = AnchorsConfig { appearance: AppearanceModel::None, resolution_schedule: false, ..small() };
    let mut training = training(Some(&device), &config);
    let planned = training.memory_plan().total_on_device();
    for k in 0..training.total_steps() {
        step(&mut training, k);
    }
    let used = device.used_memory();
    assert!(used <= planned && planned < 2 * used, "{planned} bytes are planned and {used} used");
}
