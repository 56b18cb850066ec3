use super::*;
use crate::render::Painter;
use crate::surface::SurfacePainter;
use crate::surface::tests::{small, still_life};
use crate::train::{Existing as ExistingRun, RunFolder, RunOptions, run};
use nalgebra::{Translation3, UnitQuaternion, Vector3};
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_datasets::image::save_png;
use tessera_kernels::camera_projection::View;

/// A still life that is somewhere else at each of some moments, which is seen by cameras that have moved the other way.
fn moved_still_life(folder: &Path, motions: &[Isometry3<f64>]) -> Capture {
    let still = still_life(folder);
    let mut capture = Capture { frames: Vec::new(), ..still.clone() };
    for (moment, world_from_first) in motions.iter().enumerate() {
        for frame in &still.frames {
            let mut frame = frame.clone();
            frame.time = Some(moment as f64);
            frame.name = format!("{moment}/{}", frame.name);
            frame.camera_from_world *= world_from_first.inverse();
            capture.frames.push(frame);
        }
    }
    capture
}

fn turned(angle: f64, shift: [f64; 3]) -> Isometry3<f64> {
    let turn = UnitQuaternion::from_scaled_axis(angle * Vector3::new(0.2, 0.1, 1.0).normalize());
    Isometry3::from_parts(Translation3::from(Vector3::from(shift)), turn)
}

fn config() -> SurfaceConfig {
    SurfaceConfig { frame_steps: 8, mesh_resolution: 32, ..small() }
}

#[test]
fn each_moment_has_a_mesh_and_interruptions_change_no_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let motions = [turned(0.0, [0.0; 3]), turned(0.02, [0.01, 0.0, 0.0])];
    let capture = moved_still_life(&folder.path().join("capture"), &motions);
    assert!(SequenceTraining::is_for(&capture, &config()));
    assert!(!SequenceTraining::is_for(&capture, &SurfaceConfig { frame_steps: 0, ..config() }));
    let run_to = |name: &str, stop_at: u64| {
        let path = folder.path().join(name);
        let existing = if path.exists() { ExistingRun::Resume } else { ExistingRun::Refuse };
        let run_folder = RunFolder::create(&path, existing).expect("a folder");
        let mut training = SequenceTraining::new(&capture, &config()).expect("a good capture");
        training.write_into(&path);
        let stop = AtomicBool::new(false);
        let options = RunOptions { preview_every: 0, checkpoint_every: 5, ..RunOptions::default() };
        let mut show = |event: crate::train::Event| {
            if matches!(event, crate::train::Event::Checkpointed { step, .. } if step == stop_at) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        run(&mut training, &options, &run_folder, &mut show, &stop).expect("it runs");
        training
    };
    let whole = run_to("whole", u64::MAX);
    // In the middle of the second moment.
    assert_eq!((whole.total_steps(), whole.begin_of(1)), (38, 30));
    run_to("halved", 35);
    let second = run_to("halved", u64::MAX);
    let table = |training: &SequenceTraining| training.surface().field.parameters.table.clone();
    assert!(table(&whole) == table(&second), "an interruption changes the surface");
    let read = |run: &str, file: &str| std::fs::read(folder.path().join(run).join(MESHES).join(file)).expect("a file");
    for file in ["000000.ply", "000001.ply", SEQUENCE_FILE] {
        assert!(read("whole", file) == read("halved", file), "an interruption changes {file}");
    }
    assert!(read("whole", "000000.ply") != read("whole", "000001.ply"), "nothing has moved");
    let report = whole.report;
    assert_eq!((report.images, report.per_image.len()), (4, 4), "two photos of each moment are held out");
}

/// Photos of a surface itself, which has moved in the scene.
fn photos_of(
    surface: &Surface,
    training: &SurfaceTraining,
    folder: &Path,
    world_from_first: &Isometry3<f64>,
) -> Capture {
    let mut capture = training.capture.clone();
    let background = [0.0; 3];
    let mut painter = SurfacePainter::new(surface, background);
    for (i, frame) in capture.frames.iter_mut().enumerate() {
        let camera_from_scene = training.capture.camera_from_scene(frame);
        let view = View::new(&frame.camera, &camera_from_scene);
        let seen = painter.draw(&view, false);
        let (mut image, pixels) = (Image8::new(view.width as u32, view.height as u32, 4), view.width * view.height);
        for (p, pixel) in image.data.chunks_exact_mut(4).enumerate() {
            let opacity = 1.0 - seen.transmittance[p];
            let byte = |share: f32| (255.0 * share.clamp(0.0, 1.0)).round() as u8;
            (0..3).for_each(|k| pixel[k] = byte(seen.rgb[k * pixels + p] / opacity.max(1e-6)));
            pixel[3] = byte(opacity);
        }
        frame.image = format!("seen_{i}.png");
        save_png(folder.join(&frame.image), &image).expect("writable");
        frame.camera_from_world *= world_from_first.inverse();
    }
    capture
}

#[test]
fn the_motion_of_the_whole_object_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    // Enough for a surface with parts that can be told apart, and none that are smaller than the pixels.
    let coarse = SurfaceConfig { levels: 4, finest_resolution: 32, ray_steps: 1024, ..small() };
    let config = SurfaceConfig { guide_steps: 100, guide_splats: 1500, fit_steps: 60, steps: 60, ..coarse };
    let mut training = SurfaceTraining::new(&capture, &config).expect("a good capture");
    for step in 0..220 {
        training.step(step).expect("a step");
    }
    let surface = training.surface.clone();
    let side = surface.scene_box.side() / capture.scene_from_world.scaling();
    let world_from_first = turned(0.03, [0.015 * side, -0.01 * side, 0.01 * side]);
    let moved = photos_of(&surface, &training, folder.path(), &world_from_first);
    let there = SurfaceTraining::continued(&moved, &config, surface.clone()).expect("photos");
    let mut alignment = Alignment::new(&surface, &there.frames, 1);
    let found = alignment.find(&[Isometry3::identity()]).expect("photos");
    let scene_from_world = capture.scene_from_world;
    let expected = scene_from_world * world_from_first.inverse() * scene_from_world.inverse();
    // Places as far from the middle as the object's parts are.
    for corner in [[0.5, 0.5, 0.5], [0.2, 0.5, 0.5], [0.5, 0.8, 0.5], [0.5, 0.5, 0.8]] {
        let place = nalgebra::Point3::from(surface.scene_box.from_cube(corner));
        let off = (found * place - expected * place).norm() / surface.scene_box.side();
        let was_off = (place - expected * place).norm() / surface.scene_box.side();
        // A pixel is a fortieth of the box's side: a third of one, where more than half of one was between the photos.
        assert!(off < 0.025 / 3.0, "{place} is off by {off} sides of the box, {was_off} before");
    }
}

#[test]
fn moments_with_too_few_photos_are_refused_with_remedies() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut capture = moved_still_life(folder.path(), &[Isometry3::identity(); 2]);
    capture.frames.truncate(12);
    let said = SequenceTraining::new(&capture, &config()).expect_err("two photos").to_string();
    assert!(said.contains("1 of 2 moments have fewer than 3 photos") && said.contains("frame_steps=0"), "{said}");
}

#[test]
fn on_the_emulator_moments_are_those_of_the_cpu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let motions = [turned(0.0, [0.0; 3]), turned(0.02, [0.01, 0.0, 0.0])];
    let capture = moved_still_life(folder.path(), &motions);
    let config = SurfaceConfig {
        guide_steps: 0,
        steps: 2,
        frame_steps: 1,
        samples: 1024,
        occupancy_resolution: 16,
        ray_steps: 64,
        whole_motion: false,
        ..small()
    };
    let device = tessera_emulator::fast_device();
    let [on_cpu, on_device] = [None, Some(&device)].map(|device| {
        let mut training = SequenceTraining::on(device, &capture, &config).expect("a good capture");
        // As few as there may be: emulated threads are slow.
        training.training.pace.rays = 128;
        let losses: Vec<f64> = (0..3).map(|k| training.step(k).expect("a step").loss).collect();
        assert_eq!((training.at, training.training.machine.is_some()), (1, device.is_some()), "where it is trained");
        losses
    });
    for (a, b) in on_cpu.iter().zip(&on_device) {
        assert!((a - b).abs() < 0.02 * a, "losses are {on_device:?} instead of {on_cpu:?}");
    }
}
