use super::*;
use crate::train::{Event, Existing as ExistingRun, Outcome, RunFolder, RunOptions, run};
use nalgebra::Vector3;
use std::sync::atomic::AtomicBool;
use tessera_datasets::camera::Pose;
use tessera_datasets::synthetic::{Options, SceneKind, write};

/// A still life in front of nothing, small enough for a test.
pub(super) fn still_life(folder: &Path) -> Capture {
    let options = Options { width: 64, height: 48, views: Some(10), rgba: true, points: 200, ..Options::default() };
    write(SceneKind::StillLife, &options, folder, false, &|_, _| {}).expect("a capture");
    Capture::open(folder).expect("what was written")
}

pub(super) fn small() -> SurfaceConfig {
    SurfaceConfig {
        guide_steps: 8,
        guide_splats: 200,
        fit_steps: 6,
        steps: 16,
        samples: 2048,
        levels: 6,
        log2_table: 12,
        finest_resolution: 128,
        distance_width: 16,
        colour_width: 16,
        occupancy_resolution: 32,
        ray_steps: 128,
        mesh_resolution: 0,
        test_every: 5,
        appearance: 2,
        ..SurfaceConfig::default()
    }
}

fn table_of(training: &SurfaceTraining) -> Vec<u32> {
    training.surface().field.parameters.table.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn training_has_the_same_bits_whatever_the_threads_and_the_interruptions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(&folder.path().join("capture"));
    let small = || SurfaceConfig { refine_poses: true, ..small() };
    let train = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut training = SurfaceTraining::new(&capture, &small()).expect("a good capture");
            for step in 0..30 {
                training.step(step).expect("a step");
            }
            training
        })
    };
    let (one, three) = (train(1), train(3));
    assert!(table_of(&one) == table_of(&three), "threads change the result");

    let run_folder = RunFolder::create(folder.path().join("run"), ExistingRun::Refuse).expect("a folder");
    let mut first = SurfaceTraining::new(&capture, &small()).expect("a good capture");
    let stop = AtomicBool::new(false);
    let options = RunOptions { preview_every: 0, ..RunOptions::default() };
    let mut at_thirteen = |event: Event| {
        if matches!(event, Event::Step { step: 13.., .. }) {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let outcome = run(&mut first, &options, &run_folder, &mut at_thirteen, &stop).expect("it runs");
    assert!(matches!(outcome, Outcome::Interrupted { step: 13..30 } | Outcome::Finished { .. }), "{outcome:?}");
    let mut second = SurfaceTraining::new(&capture, &small()).expect("a good capture");
    run(&mut second, &options, &run_folder, &mut |_| {}, &AtomicBool::new(false)).expect("it goes on");
    assert!(table_of(&one) == table_of(&second), "an interruption changes the result");
    let poses = |training: &SurfaceTraining| -> Vec<Pose> {
        (0..training.frames.len()).map(|i| *training.frames.camera_from_scene(i)).collect()
    };
    assert!(poses(&one) == poses(&second), "an interruption changes the cameras");
    let given = SurfaceTraining::new(&capture, &small()).expect("a good capture");
    assert!(poses(&one) != poses(&given), "no camera was moved");
    let read = Surface::read(&folder.path().join("run").join(SURFACE_FILE)).expect("a surface");
    assert!(read.field.parameters == second.surface().field.parameters, "the file holds another surface");
}

#[test]
fn photos_without_masks_have_a_backdrop_of_splats_that_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options { width: 64, height: 48, views: Some(10), points: 200, ..Options::default() };
    write(SceneKind::StillLife, &options, folder.path(), false, &|_, _| {}).expect("a capture");
    let capture = Capture::open(folder.path()).expect("what was written");
    let mut training = SurfaceTraining::new(&capture, &small()).expect("a good capture");
    for step in 0..30 {
        training.step(step).expect("a step");
    }
    assert!(training.surface().backdrop.is_some(), "nothing is behind the surface");
    let path = folder.path().join(SURFACE_FILE);
    training.surface().write(&path, 16).expect("writable");
    let read = Surface::read(&path).expect("a surface");
    assert!(read.backdrop == training.surface().backdrop, "the file holds another backdrop");
    let (mut painted, mut read_back) = (Vec::new(), Vec::new());
    let view = training.frames.view(0, 1);
    painted.extend_from_slice(&SurfacePainter::new(training.surface(), [1.0; 3]).draw(&view, false).rgb);
    read_back.extend_from_slice(&SurfacePainter::new(&read, [1.0; 3]).draw(&view, false).rgb);
    assert!(painted == read_back, "the file's picture is another one");
}

#[test]
fn photos_that_are_darker_get_codes_that_darken() {
    use tessera_datasets::image::{decode, save_png};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    for frame in capture.frames.iter().step_by(2) {
        let path = folder.path().join(&frame.image);
        let mut image = decode(&std::fs::read(&path).expect("a photo"), &path).expect("what was written");
        image.data.chunks_exact_mut(4).for_each(|pixel| pixel[..3].iter_mut().for_each(|v| *v /= 3));
        save_png(&path, &image).expect("writable");
    }
    let capture = Capture::open(folder.path()).expect("a capture");
    let config = SurfaceConfig { guide_steps: 0, steps: 120, test_every: 0, ..small() };
    let mut training = SurfaceTraining::new(&capture, &config).expect("a good capture");
    for step in 0..120 {
        training.step(step).expect("a step");
    }
    let rays: Vec<crate::rays::TracedRay> = (0..64)
        .map(|i| {
            let maker = crate::rays::RayMaker::new(&training.frames.view(0, 1), &training.surface.scene_box);
            crate::rays::TracedRay {
                ray: maker.ray([20.5 + (i % 8) as f64 * 3.0, 14.5 + (i / 8) as f64 * 3.0]),
                jitter: 0.5,
            }
        })
        .collect();
    let mut traced = trace::Traced::default();
    let surface = &training.surface;
    let mut brightness = |photo: usize| {
        let code = training.appearance.of(photo);
        traced.trace(&surface.field, &surface.occupancy, &rays, &surface.trace_settings(), |_| code);
        traced.colours.iter().flatten().sum::<f32>() / traced.colours.len() as f32
    };
    let mut mean = |first: usize| (0..5).map(|i| brightness(2 * i + first)).sum::<f32>() / 5.0;
    let (dark, light) = (mean(0), mean(1));
    assert!(dark < 0.8 * light, "the same places have brightness {dark} in dark photos and {light} in light ones");
}

#[test]
fn training_begins_with_a_sphere() {
    let field = Field::new(&SurfaceConfig::default());
    let mut tile = field::Tile::default();
    let directions: [Vector3<f32>; 4] =
        [Vector3::x(), -Vector3::y(), Vector3::new(0.48, -0.6, 0.64), Vector3::new(-0.6, 0.0, -0.8)];
    field.make_room(directions.len(), &mut tile);
    for (i, d) in directions.iter().enumerate() {
        let place: Vector3<f32> = Vector3::repeat(0.5) + d * 0.4;
        tile.place(i, place.into());
    }
    field.surface(&mut tile);
    for (i, d) in directions.iter().enumerate() {
        let distance = field.distance_of(&tile, i);
        assert!((distance - 0.1).abs() < 0.02, "distance {distance} instead of 0.1");
        let normal = Vector3::from(tile.normal_of(i));
        assert!((normal - d).norm() < 0.15, "normal {normal} instead of {d}");
    }
}

#[test]
fn a_sphere_becomes_a_closed_mesh_of_its_size() {
    let config = SurfaceConfig { distance_width: 256, ..SurfaceConfig::default() };
    let field = Field::new(&config);
    let surface = Surface {
        sharpness: 100.0,
        occupancy: OccupancyGrid::full(32),
        scene_box: crate::rays::SceneBox { corners: [[-1.0; 3], [1.0; 3]] },
        scene_from_world: tessera_datasets::camera::Similarity::identity(),
        time: None,
        backdrop: None,
        config,
        field,
    };
    let options = crate::meshing::MeshOptions { resolution: 64, ..Default::default() };
    let found = mesh::extract(&surface, &options, &mut |_, _| {}).expect("a sphere");
    let expected = 4.0 * std::f64::consts::PI * 0.6f64.powi(2);
    assert!((found.area() / expected - 1.0).abs() < 0.02, "area {} instead of {expected}", found.area());
    // A closed surface of genus 0: V - E + F = 2 and 3 F = 2 E.
    assert_eq!(found.positions.len() * 2, found.triangles.len() + 4);
    for (p, n) in found.positions.iter().zip(&found.normals) {
        assert!(Vector3::from(*p).normalize().dot(&Vector3::from(*n)) > 0.98, "the normal at {p:?} is {n:?}");
    }
}

#[test]
fn captures_without_a_common_place_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let refusal = |capture: &Capture, config: &SurfaceConfig| {
        SurfaceTraining::new(capture, config).expect_err("nothing to reconstruct").to_string()
    };
    let flipped = SurfaceConfig { flip_cameras: true, ..small() };
    let said = refusal(&capture, &flipped);
    assert!(said.contains("other axis convention") && said.contains("flip_cameras"), "{said}");

    let far = SurfaceConfig { box_min: Some([50.0; 3]), box_max: Some([51.0; 3]), ..small() };
    let said = refusal(&capture, &far);
    assert!(said.contains("is seen by 0 of 8 cameras") && said.contains("box_min"), "{said}");

    let mut parallel = capture.clone();
    for frame in &mut parallel.frames {
        frame.camera_from_world = Pose::translation(0.1, 0.0, 2.0);
    }
    let said = refusal(&parallel, &small());
    assert!(said.contains("look at no common place") && said.contains("box_min"), "{said}");
}

#[test]
fn masks_that_show_nothing_are_refused_and_full_ones_are_told() {
    use tessera_datasets::image::{Image8, save_png};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let repaint = |alpha: u8| {
        for frame in &capture.frames {
            let mut image = Image8::new(64, 48, 4);
            image.data.chunks_exact_mut(4).for_each(|pixel| pixel[3] = alpha);
            save_png(folder.path().join(&frame.image), &image).expect("writable");
        }
        Capture::open(folder.path()).expect("a capture")
    };
    let said = SurfaceTraining::new(&repaint(0), &small()).expect_err("nothing is left").to_string();
    assert!(said.contains("the masks leave nothing") && said.contains("masks=off"), "{said}");
    let mut training = SurfaceTraining::new(&repaint(255), &small()).expect("as without masks");
    assert!(training.take_warnings().iter().any(|w| w.contains("the masks leave nothing out")));
}

#[test]
fn rays_whose_pixel_the_backdrop_explains_should_pass_and_masks_count_for_more() {
    let ray = |colour: [f32; 3], opacity: Option<f32>| {
        let traced = crate::rays::TracedRay { ray: None, jitter: 0.5 };
        let mut ray = crate::rays::TrainingRay { traced, photo: 0, colour, background: [0.5, 0.4, 0.3], opacity };
        step::pass_what_shows_the_backdrop(&mut ray);
        ray.opacity
    };
    assert_eq!(ray([0.52, 0.38, 0.31], None), Some(0.0));
    assert_eq!(ray([0.52, 0.38, 0.41], None), None, "blue differs");
    assert_eq!(ray([0.5, 0.4, 0.3], Some(1.0)), Some(1.0), "a mask says that something is there");
}
