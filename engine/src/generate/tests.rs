use super::data::{CLASSES, Sample, Volume, made};
use super::measure::{Cloud, compare, is_one_closed_part};
use super::tape::{Initial, OnDevice, Parameters, Place, Tape, Var};
use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_kernels::device::{Device, Precision};

/// A function of two matrices that is linear in each: differences are derivatives, however long the step.
fn check_bilinear(shapes: [[usize; 2]; 2], run: impl Fn(&mut Tape<'_>, [Var; 2]) -> Var) {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut parameters = Parameters::default();
    let both = shapes.map(|shape| parameters.add("x", &shape, Initial::Uniform(1.0), &mut rng));
    let value = |parameters: &Parameters| {
        let mut tape = Tape::without_gradients(parameters);
        let inputs = both.map(|x| tape.parameter(x));
        let out = run(&mut tape, inputs);
        tape.take(out).expect("numbers")
    };
    let by_out: Vec<f32> = value(&parameters).iter().map(|_| rng.random_range(-1.0..1.0)).collect();
    let loss = |parameters: &Parameters| -> f64 {
        value(parameters).iter().zip(&by_out).map(|(x, d)| f64::from(*x) * f64::from(*d)).sum()
    };
    let mut tape = Tape::new(&parameters);
    let inputs = both.map(|x| tape.parameter(x));
    let out = run(&mut tape, inputs);
    let found = tape.backward(vec![(out, by_out.clone())]).expect("gradients");
    for (which, parameter) in both.into_iter().enumerate() {
        let gradient = found[which].as_ref().expect("a gradient");
        for at in 0..gradient.len() {
            let moved = |step: f32| {
                let mut moved = parameters.clone();
                let mut values = parameters.values(parameter).to_vec();
                values[at] += step;
                moved.set(parameter, values);
                loss(&moved)
            };
            let expected = 0.5 * (moved(1.0) - moved(-1.0));
            let off = (f64::from(gradient[at]) - expected).abs();
            // Roundings of a few dozen numbers below 4, and of their sums.
            assert!(off < 1e-4, "input {which}, number {at}: {} and not {expected}", gradient[at]);
        }
    }
}

#[test]
fn conditions_of_samples_get_the_gradients_of_their_tokens() {
    let samples = Arc::new(vec![0, 1, 1, 0, 2]);
    check_bilinear([[5, 4], [3, 24]], |tape, [x, by]| tape.modulate(x, by, 3, &samples));
    check_bilinear([[5, 4], [3, 24]], |tape, [h, by]| {
        let zeros = tape.constant(vec![0.0; 20], 4);
        tape.add_gated(zeros, h, by, 5, &samples)
    });
}

#[test]
fn draws_and_copies_for_children_have_their_gradients() {
    check_bilinear([[3, 2], [3, 2]], |tape, [mean, other]| {
        let tokens = tape.add(mean, other);
        let log_variance = tape.constant(vec![0.5; 6], 2);
        let tokens = tape.drawn(tokens, log_variance, vec![0.3; 6]);
        tape.subdivide(tokens)
    });
}

#[test]
fn a_ball_keeps_its_volume_on_both_grids() {
    let ball = Sample::new(0, |p| p.iter().map(|x| (x - 0.5).powi(2)).sum::<f32>().sqrt() - 0.3);
    assert_eq!(ball.blocks().len() * data::VOXELS, ball.fine.len(), "distances for each block");
    let mesh = Volume::new(&ball.coarse, &ball.fine).mesh();
    assert!(is_one_closed_part(&mesh), "a ball is one closed part");
    let volume: f64 = mesh
        .triangles
        .iter()
        .map(|t| t.map(|v| nalgebra::Vector3::from(mesh.positions[v as usize].map(f64::from))))
        .map(|[a, b, c]| a.dot(&b.cross(&c)) / 6.0)
        .sum();
    let exact = 4.0 / 3.0 * std::f64::consts::PI * 0.3f64.powi(3);
    // Straight edges of a voxel lie below a ball of 19 voxels by (1/19)²/8 of its radius at most, three times that of its volume; as much again
    // for distances between voxels.
    assert!((volume / exact - 1.0).abs() < 0.003, "the volume is {volume} and not {exact}");
}

#[test]
fn made_things_are_one_closed_part_inside_the_cube() {
    for class in 0..CLASSES.len() {
        for index in 0..3 {
            let thing = made(class, 5, index);
            let sample = Sample::new(class as u32, |p| thing.distance(p.map(|x| x - 0.5)));
            let mesh = Volume::new(&sample.coarse, &sample.fine).mesh();
            assert!(is_one_closed_part(&mesh), "{} {index} has several parts, or holes", CLASSES[class]);
            let [low, high] = mesh.bounds().expect("a surface");
            assert!(low.iter().all(|x| *x > 0.02) && high.iter().all(|x| *x < 0.98), "{} {index}", CLASSES[class]);
        }
    }
}

/// A generator that is trained in a second, and makes nothing good.
fn tiny() -> GenerateConfig {
    GenerateConfig {
        autoencoder_steps: 3,
        structure_autoencoder_steps: 3,
        structure_steps: 3,
        detail_steps: 3,
        autoencoder_batch: 1,
        structure_autoencoder_batch: 1,
        structure_batch: 2,
        detail_batch: 1,
        structure_width: 24,
        structure_depth: 1,
        detail_width: 24,
        detail_depth: 2,
        heads: 2,
        key_heads: 1,
        checkpoint_every: 1,
        ..GenerateConfig::default()
    }
}

#[test]
fn a_training_that_was_stopped_anywhere_ends_in_the_same_bits() {
    let data = Data::made(1, 0, 3);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    let never = AtomicBool::new(false);
    let mut whole = Trainer::new(&tiny(), &data.classes).expect("settings");
    whole.train(&data.train, &never, &mut |_| {}, &mut |_| Ok(())).expect("a training");
    for stop_after in [1, 5, 7, 11] {
        let stop = AtomicBool::new(false);
        let mut steps = 0;
        let mut first = Trainer::new(&tiny(), &data.classes).expect("settings");
        let mut count = |_| {
            steps += 1;
            stop.store(steps == stop_after, Ordering::Relaxed);
        };
        first.train(&data.train, &stop, &mut count, &mut |t| t.write(&path, true)).expect("a training");
        let mut second = Trainer::read(&path).expect("a checkpoint");
        let done: u64 = Stage::ALL.iter().map(|stage| second.done(*stage)).sum();
        assert_eq!(done, stop_after, "the checkpoint is that of the last step");
        second.train(&data.train, &never, &mut |_| {}, &mut |_| Ok(())).expect("a training");
        let paths = ["whole", "second"].map(|name| folder.path().join(name));
        whole.write(&paths[0], true).expect("writable");
        second.write(&paths[1], true).expect("writable");
        let bytes = paths.each_ref().map(|path| std::fs::read(path).expect("readable"));
        assert!(bytes[0] == bytes[1], "stopped after {stop_after}: another file");
        let [a, b] = paths.map(|path| Generator::read(&path).expect("a model"));
        let making = Making { steps: 2, ..Making::default() };
        let shapes = [&a, &b].map(|generator| generator.make(Some(2), 0, &making).expect("a shape").coarse);
        assert!(shapes[0] == shapes[1], "stopped after {stop_after}: another shape");
        assert!(whole.same_as(&second), "stopped after {stop_after}: other bits");
    }
}

tessera_emulator::on_devices! {
    fast_device: steps_on_a_device_are_those_of_the_host
}

fn steps_on_a_device_are_those_of_the_host(open: &dyn Fn() -> Device) {
    let few = GenerateConfig {
        autoencoder_steps: 1,
        structure_autoencoder_steps: 1,
        structure_steps: 1,
        detail_steps: 1,
        detail_depth: 1,
        ..tiny()
    };
    let config = GenerateConfig { structure_batch: 1, set: 16, ..few };
    // The one with the smallest surface: the emulator takes its time.
    let mut data = Data::made(1, 0, 3);
    data.train.sort_by_key(|sample| sample.blocks().len());
    let place: Arc<dyn Place> = Arc::new(OnDevice::new(&open(), Precision::Single).expect("kernels"));
    let trained = |place: Option<&Arc<dyn Place>>| {
        let (never, mut losses) = (AtomicBool::new(false), Vec::new());
        let mut trainer = Trainer::new(&config, &data.classes).expect("settings");
        place.iter().for_each(|place| trainer.place_on(place));
        trainer.train(&data.train[..1], &never, &mut |p| losses.push(p.loss), &mut |_| Ok(())).expect("a training");
        (trainer, losses)
    };
    let ((host, expected), (device, losses)) = (trained(None), trained(Some(&place)));
    for (loss, expected) in losses.iter().zip(&expected) {
        assert!((loss - expected).abs() < 1e-4 * expected, "a loss of {loss} and not {expected}");
    }
    // Adam's first step is as long as the rate for every gradient, however small, so those near zero are no measure; the moments are.
    let worst = host.largest_difference_of_moments(&device);
    assert!(worst < 1e-3, "gradients differ by {worst} of their largest");
    let making = Making { steps: 1, ..Making::default() };
    let mut generator = Generator::of(&host).expect("a generator");
    let expected = generator.make(Some(1), 0, &making).expect("a shape").coarse;
    generator.place_on(&place);
    let coarse = generator.make(Some(1), 0, &making).expect("a shape").coarse;
    let off = coarse.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-4, "distances of made shapes are off by {off}");
}

#[test]
fn files_with_other_tensors_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let trainer = Trainer::new(&tiny(), &["one".to_owned()]).expect("settings");
    trainer.write(&path, false).expect("writable");
    let bytes = std::fs::read(&path).expect("readable");
    let replaced = |from: &str, to: &str| {
        let mut bytes = bytes.clone();
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("the text is there");
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, &bytes).expect("writable");
        Trainer::read(&path).expect_err("not a model").to_string()
    };
    let message = replaced("details.out_layer.bias", "details.out_layer.bios");
    assert!(message.contains("details.out_layer.bias") && message.contains("details.out_layer.bios"), "{message}");
    let message = replaced("tessera generator 3", "another generator 7");
    assert!(message.contains("no model of this version"), "{message}");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable");
    let message = Trainer::read(&path).expect_err("not a model").to_string();
    assert!(message.contains("damaged"), "{message}");
    std::fs::write(&path, &bytes).expect("writable");
    let message = Generator::read(&path).expect_err("not complete").to_string();
    assert!(message.contains("not complete"), "{message}");
}

#[test]
fn shapes_are_compared_of_each_class_in_turn() {
    let data = Data::made(3, 0, 1);
    let labels: Vec<u32> = super::measure::of_each_class(&data.train, 8).iter().map(|sample| sample.label).collect();
    assert_eq!(labels, [0, 1, 2, 3, 4, 5, 0, 1]);
}

#[test]
fn sets_of_the_same_kind_cannot_be_told_apart_and_others_can() {
    let ball = |radius: f32, i: u64| {
        let sample = Sample::new(0, |p| p.iter().map(|x| (x - 0.5).powi(2)).sum::<f32>().sqrt() - radius);
        Cloud::of(&Volume::new(&sample.coarse, &sample.fine).mesh(), 256, i).expect("a surface")
    };
    let set = |radius: f32, first: u64| (0..6).map(|i| ball(radius, first + i)).collect::<Vec<_>>();
    let (small, large) = (set(0.2, 0), set(0.35, 10));
    let apart = compare(&small, &large, Cloud::chamfer);
    assert_eq!(apart.nearest_neighbour, 1.0, "all are nearest to their own");
    let same = compare(&set(0.2, 20), &small, Cloud::chamfer);
    assert!(same.mmd < 0.1 * apart.mmd, "the same balls: {} and {}", same.mmd, apart.mmd);
    let exact = compare(&small, &small, Cloud::chamfer);
    assert!(exact.mmd < 1e-12 && exact.coverage == 1.0, "a set matches itself");
    let moved = compare(&small, &large, Cloud::earth_mover);
    assert_eq!(moved.nearest_neighbour, 1.0, "all are nearest to their own by what is to be moved as well");
    assert!((moved.mmd - 0.15).abs() < 0.02, "every point is moved by the difference of radii, not by {}", moved.mmd);
}
