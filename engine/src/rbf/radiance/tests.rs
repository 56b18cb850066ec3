use super::step::Group;
use super::*;
use crate::rays::{TracedRay, TrainingRay};
use crate::rbf::field::AnyDecoder;
use crate::train::{Event, Existing as ExistingRun, Outcome, RunFolder, RunOptions, run};
use rand::RngExt;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::synthetic::{Options, SceneKind, write};
use tessera_kernels::occupancy::MarchedRay;

/// A still life in front of nothing, or in its room, small enough for a test.
fn still_life(folder: &Path, rgba: bool) -> Capture {
    let (width, height, views) = if rgba { (64, 48, 24) } else { (96, 72, 40) };
    let options = Options { width, height, views: Some(views), rgba, points: 200, ..Options::default() };
    write(SceneKind::StillLife, &options, folder, false, &|_, _| {}).expect("a capture");
    Capture::open(folder).expect("what was written")
}

fn small() -> RadianceConfig {
    RadianceConfig {
        steps: 40,
        samples: 2048,
        levels: 6,
        most_entries: 4096,
        finest_resolution: 128,
        centres: 16,
        sh_degree: 1,
        occupancy_resolution: 32,
        ray_steps: 128,
        test_every: 5,
        ..RadianceConfig::default()
    }
}

fn table_of(training: &RadianceTraining) -> Vec<u32> {
    training.radiance().field.table.iter().map(|v| v.to_bits()).collect()
}

/// A small field of random numbers in a box, with bounds or without.
fn random_radiance(rng: &mut Pcg64, unbounded: bool) -> Radiance {
    let config = RadianceConfig { levels: 3, finest_resolution: 32, most_entries: 512, centres: 8, ..small() };
    let scene_box = crate::rays::SceneBox { corners: [[-1.0; 3], [1.0; 3]] };
    let mut field = Field::new(&config.encoding(), None, config.outputs(), rng);
    // Features that differ, so that everything matters.
    field.table.iter_mut().for_each(|x| *x *= 10.0);
    // So thin that no ray is stopped: where one is, the loss jumps.
    if let AnyDecoder::Rbf(decoder) = &field.decoder {
        field.parameters[decoder.biases().start] -= 1.5;
    }
    let space = Space { scene_box, unbounded, step: 0.1, near_far: [0.05, 3.0] };
    Radiance { field, occupancy: OccupancyGrid::full(16), space, scene_from_world: Similarity::identity(), config }
}

/// Rays from around the box to places in it, with random pixels.
fn random_rays(rng: &mut Pcg64, radiance: &Radiance) -> Vec<TrainingRay> {
    let mut ray = || {
        let origin: [f32; 3] = std::array::from_fn(|_| rng.random_range(-0.6..1.6));
        let towards = nalgebra::Vector3::from(origin.map(|x| rng.random_range(0.3..0.7) - x)).normalize();
        let clipped = MarchedRay::clipped(origin, towards.into(), [[0.0; 3], [1.0; 3]]);
        let free = MarchedRay { origin, direction: towards.into(), near_far: radiance.space.near_far.map(|t| 0.5 * t) };
        let mut colour = || std::array::from_fn(|_| rng.random_range(0.0..1.0));
        let traced = TracedRay { ray: if radiance.space.unbounded { Some(free) } else { clipped }, jitter: 0.37 };
        TrainingRay { traced, photo: 0, colour: colour(), background: colour(), opacity: None }
    };
    (0..24).map(|_| ray()).collect()
}

/// The loss, with its gradients by table and decoder.
fn gradients(radiance: &Radiance, rays: &[TrainingRay]) -> (f64, Vec<f32>, Vec<f32>) {
    let mut group = Group::default();
    group.clear(radiance);
    let share = 1.0 / (3 * rays.len()) as f32;
    group.learn(radiance, rays, share);
    let mut of_table = vec![0.0; radiance.field.table.len()];
    radiance.field.grid.accumulate(&[group.samples_of(radiance)], radiance.field.grid.levels().len(), &mut of_table);
    (group.squared_error * f64::from(share), of_table, group.of_decoder.clone())
}

#[test]
fn the_loss_has_the_gradients_of_central_differences() {
    // Single precision of a mean of 72 squares over a step of 4e-3; kinks of the interpolation are where positions are, not where numbers are.
    const STEP: f32 = 4e-3;
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    for unbounded in [false, true] {
        let mut radiance = random_radiance(&mut rng, unbounded);
        let rays = random_rays(&mut rng, &radiance);
        let (loss, of_table, of_decoder) = gradients(&radiance, &rays);
        assert!(loss > 0.01, "rays see something: {loss}");
        let tolerance = |largest: f32| 2e-3 * largest + 2e-5;
        let largest = |values: &[f32]| values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let slope = |radiance: &mut Radiance, of: fn(&mut Field) -> &mut Vec<f32>, at: usize| {
            let value = of(&mut radiance.field)[at];
            let mut moved = |by: f32| {
                of(&mut radiance.field)[at] = value + by;
                gradients(radiance, &rays).0
            };
            let slope = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            of(&mut radiance.field)[at] = value;
            slope as f32
        };
        for _ in 0..40 {
            let at = rng.random_range(0..of_decoder.len());
            let measured = slope(&mut radiance, |field| &mut field.parameters, at);
            let error = (measured - of_decoder[at]).abs();
            assert!(error < tolerance(largest(&of_decoder)), "decoder {at}: {measured}, not {}", of_decoder[at]);
            let at = rng.random_range(0..of_table.len());
            let measured = slope(&mut radiance, |field| &mut field.table, at);
            let error = (measured - of_table[at]).abs();
            assert!(error < tolerance(largest(&of_table)), "table {at}: {measured}, not {}", of_table[at]);
        }
    }
}

#[test]
fn training_has_the_same_bits_whatever_the_threads_and_the_interruptions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(&folder.path().join("capture"), true);
    let train = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut training = RadianceTraining::new(&capture, &small()).expect("a good capture");
            for step in 0..40 {
                training.step(step).expect("a step");
            }
            training
        })
    };
    let (one, three) = (train(1), train(3));
    assert!(table_of(&one) == table_of(&three), "threads change the result");

    let run_folder = RunFolder::create(folder.path().join("run"), ExistingRun::Refuse).expect("a folder");
    let mut first = RadianceTraining::new(&capture, &small()).expect("a good capture");
    let stop = AtomicBool::new(false);
    let options = RunOptions { preview_every: 0, ..RunOptions::default() };
    let mut at_thirteen = |event: Event| {
        if matches!(event, Event::Step { step: 13.., .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let outcome = run(&mut first, &options, &run_folder, &mut at_thirteen, &stop).expect("a training");
    assert!(matches!(outcome, Outcome::Interrupted { .. }), "{outcome:?}");
    drop(run_folder);
    let run_folder = RunFolder::create(folder.path().join("run"), ExistingRun::Resume).expect("a folder");
    let mut second = RadianceTraining::new(&capture, &small()).expect("a good capture");
    let go_on = AtomicBool::new(false);
    run(&mut second, &options, &run_folder, &mut |_| {}, &go_on).expect("a training");
    assert!(table_of(&one) == table_of(&second), "stopping and going on changes the result");
}

#[test]
fn a_still_life_is_learned_with_bounds_and_without() {
    // In the room there is more to learn, so more is seen of it. The second number is what one colour all over reaches there.
    for (rgba, samples, of_one_colour, least) in [(true, 8192, 10.7, 18.0), (false, 32_768, 13.8, 16.0)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let capture = still_life(folder.path(), rgba);
        let config = RadianceConfig { steps: 600, samples, ..small() };
        let mut training = RadianceTraining::new(&capture, &config).expect("a good capture");
        assert_eq!(training.radiance().space.unbounded, !rgba, "only cut-out photos say where the scene ends");
        for step in 0..config.steps {
            let report = training.step(step).expect("a step");
            if step % 50 == 49 {
                println!("{step}: {:.2} dB with {} rays", report.psnr, report.count);
            }
        }
        let psnr = training.evaluate().expect("photos").expect("held-out photos").psnr;
        assert!(psnr > least, "cut out: {rgba}: {psnr:.2} dB, one colour has {of_one_colour}");
        let occupied = training.radiance().occupancy.count();
        assert!(occupied > 0 && occupied < 32usize.pow(3), "{occupied} cells");
    }
}

#[test]
fn a_written_field_is_read_again_and_damage_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(&folder.path().join("capture"), true);
    let mut training =
        RadianceTraining::new(&capture, &RadianceConfig { bits: 32, ..small() }).expect("a good capture");
    for step in 0..40 {
        training.step(step).expect("a step");
    }
    let path = folder.path().join("a.rbf");
    training.radiance().write(&path, Existing::Keep).expect("written");
    let open = || crate::rbf::file::RbfFile::open(&path);
    let read = Radiance::read(&mut open().expect("a file")).expect("radiance");
    assert_eq!(read.field.table, training.radiance().field.table);
    assert_eq!((&read.occupancy, read.space), (&training.radiance().occupancy, training.radiance().space));
    let shape = crate::rbf::shape::Shape::read(&mut open().expect("a file")).expect_err("no shape").to_string();
    assert!(shape.contains("radiance"), "{shape}");
    let mut bytes = std::fs::read(&path).expect("bytes");
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let said = Radiance::read(&mut open().expect("the index is whole")).expect_err("damaged").to_string();
    assert!(said.contains("damaged") && said.contains("a.rbf"), "{said}");
}

#[test]
fn the_baked_form_has_every_opaque_part_however_far_apart_they_are() {
    let mut rng = Pcg64::seed_from_u64(3);
    let mut radiance = random_radiance(&mut rng, false);
    // The same density all over, in two small corners of an otherwise empty box.
    radiance.field.table.fill(0.0);
    if let AnyDecoder::Rbf(decoder) = &radiance.field.decoder {
        radiance.field.parameters[decoder.weights()].fill(0.0);
        radiance.field.parameters[decoder.biases()].fill(6.0);
    }
    radiance.occupancy = OccupancyGrid::empty(16);
    for cell in [[1, 1, 1], [13, 13, 13]] {
        radiance.occupancy.set(radiance.occupancy.index(cell));
    }
    let options = crate::meshing::MeshOptions { resolution: 64, ..Default::default() };
    let mesh = radiance.mesh(&options, &mut |_, _| {}).expect("a mesh");
    let [low, high] = mesh.bounds().expect("vertices");
    for k in 0..3 {
        assert!(low[k] < -0.7 && high[k] > 0.6, "from {low:?} to {high:?}");
    }
    assert!(mesh.colours.len() == mesh.positions.len() && mesh.area() > 0.05, "an area of {}", mesh.area());
}
