use super::*;
use nalgebra::{Isometry3, Point3, Vector3};
use std::path::Path;
use std::sync::Arc;
use tessera_datasets::camera::{Camera, Pose, Similarity};
use tessera_datasets::capture::{DepthSource, Frame, Point};
use tessera_datasets::files::Files;
use tessera_datasets::image::{DepthImage, Image8, ImageCache, save_depth_png, save_png};

/// What a ray from a camera meets: colour with alpha, and how far along the ray (in multiples of its direction).
trait Scene: Fn(Point3<f64>, Vector3<f64>) -> ([u8; 4], f64) {}

impl<F: Fn(Point3<f64>, Vector3<f64>) -> ([u8; 4], f64)> Scene for F {}

/// Colours without repetition, with detail at several scales.
fn texture(x: f64, y: f64) -> [u8; 4] {
    let wave = |a: f64, b: f64, c: f64| (a * x + b * y + c).sin() * (b * x - 1.3 * a * y + 2.0 * c).cos();
    let value =
        |c: f64| 128.0 + 45.0 * wave(5.0, 3.0, c) + 40.0 * wave(13.0, 17.0, 2.0 * c) + 35.0 * wave(31.0, 23.0, c);
    [value(0.3) as u8, value(1.1) as u8, value(2.3) as u8, 255]
}

/// A textured plane through the origin.
fn wall(origin: Point3<f64>, ray: Vector3<f64>) -> ([u8; 4], f64) {
    let t = -origin.z / ray.z;
    let hit = origin + t * ray;
    (texture(hit.x, hit.y), t)
}

/// A ball of radius 0.5 at the origin in front of nothing.
fn ball(origin: Point3<f64>, ray: Vector3<f64>) -> ([u8; 4], f64) {
    ball_at(origin, ray, 0.5).map_or(([0; 4], 0.0), |t| ([200, 100, 50, 255], t))
}

/// How far along a ray it meets a ball around the origin.
fn ball_at(origin: Point3<f64>, ray: Vector3<f64>, radius: f64) -> Option<f64> {
    let (a, b, c) = (ray.norm_squared(), origin.coords.dot(&ray), origin.coords.norm_squared() - radius * radius);
    let root = b * b - a * c;
    (root >= 0.0).then(|| (-b - root.sqrt()) / a)
}

fn blank(_: Point3<f64>, _: Vector3<f64>) -> ([u8; 4], f64) {
    ([90, 90, 90, 255], 0.0)
}

/// Photos of a scene by cameras on an arc of `turn` radians around the origin, with depth if asked for.
fn capture(folder: &Path, scene: impl Scene, channels: u8, count: usize, turn: f64, with_depth: bool) -> Capture {
    let camera = Camera::from_horizontal_fov(160, 120, 0.8);
    let frames = (0..count).map(|i| {
        let angle = turn * (i as f64 / (count - 1).max(1) as f64 - 0.5);
        let height = 0.4 * (i as f64 * 1.7).sin();
        let eye = Point3::new(3.0 * angle.sin(), height, -3.0 * angle.cos());
        let pose: Pose = Isometry3::look_at_lh(&eye, &Point3::origin(), &Vector3::y());
        let mut image = Image8::new(camera.width, camera.height, channels);
        let mut depth = Vec::new();
        for y in 0..camera.height {
            for x in 0..camera.width {
                let [u, v] = camera.lens.unproject([f64::from(x) + 0.5, f64::from(y) + 0.5]).expect("a pinhole");
                let (colour, t) = scene(eye, pose.rotation.inverse() * Vector3::new(u, v, 1.0));
                let at = ((y * camera.width + x) * u32::from(channels)) as usize;
                image.data[at..at + usize::from(channels)].copy_from_slice(&colour[..usize::from(channels)]);
                depth.push(t as f32);
            }
        }
        let name = format!("{i:03}.png");
        save_png(folder.join(&name), &image).expect("the folder is writable");
        let depth = with_depth.then(|| {
            let path = format!("depth{i:03}.png");
            let depth = DepthImage { width: camera.width, height: camera.height, data: depth.clone() };
            save_depth_png(folder.join(&path), &depth, 1e-3).expect("writable");
            DepthSource { path, scale: 1e-3 }
        });
        Frame {
            name: name.clone(),
            image: name,
            video_frame: None,
            mask: None,
            depth,
            normals: None,
            camera,
            camera_from_world: pose,
            time: None,
            rig_camera: None,
            split: None,
        }
    });
    Capture {
        name: "made".to_owned(),
        frames: frames.collect(),
        files: Arc::new(Files::open(folder).expect("the folder exists")),
        layout: "made".to_owned(),
        points: Vec::new(),
        scene_from_world: Similarity::from_scaling(0.5),
        warnings: Vec::new(),
    }
}

fn start(capture: &Capture, settings: &InitSettings, seed: u64) -> Result<SplatCloud> {
    let cache = Arc::new(ImageCache::new(capture.files.clone(), 1 << 26, None));
    let all: Vec<usize> = (0..capture.frames.len()).collect();
    initial_splats(capture, &FrameSet::new(capture, &all, &cache, 1), settings, seed)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The share of splats for which `good` holds of the mean in world units.
fn share(cloud: &SplatCloud, good: impl Fn(Vector3<f32>) -> bool) -> f32 {
    let good = cloud.means.iter().filter(|m| good(2.0 * Vector3::from(**m))).count();
    good as f32 / cloud.len() as f32
}

#[test]
fn a_sweep_finds_a_textured_wall() {
    let folder = folder();
    let capture = capture(folder.path(), wall, 3, 9, 0.9, false);
    let settings = InitSettings { count: Some(3000), ..InitSettings::default() };
    let cloud = start(&capture, &settings, 1).expect("photos of a wall");
    assert_eq!(cloud.len(), 3000);
    let near = share(&cloud, |p| p.z.abs() < 0.03);
    assert!(near > 0.95, "only {near} of the points lie on the wall, 3 units away");
    let colourful = cloud.sh0.iter().zip(&cloud.means).filter(|(sh, m)| {
        let want = texture(2.0 * f64::from(m[0]), 2.0 * f64::from(m[1]));
        (0..3).all(|k| (sh[k] * SH_C0 + 0.5 - f32::from(want[k]) / 255.0).abs() < 0.2)
    });
    assert!(colourful.count() > 2500, "the points do not have the wall's colours");
}

#[test]
fn masks_bound_a_ball_without_texture() {
    let folder = folder();
    let capture = capture(folder.path(), ball, 4, 12, std::f64::consts::TAU, false);
    for source in [InitSource::Auto, InitSource::Random] {
        let settings = InitSettings { source, count: Some(2000), ..InitSettings::default() };
        let cloud = start(&capture, &settings, 2).expect("photos of a ball");
        assert!(cloud.len() > 1000, "{source:?} made only {} points", cloud.len());
        let near = share(&cloud, |p| p.norm() < 0.7);
        assert!(near > 0.95, "{source:?}: only {near} of the points are near the ball");
    }
}

#[test]
fn depth_images_say_where_the_surface_is() {
    let folder = folder();
    let capture = capture(folder.path(), wall, 3, 5, 0.6, true);
    let settings = InitSettings { count: Some(1000), ..InitSettings::default() };
    let cloud = start(&capture, &settings, 3).expect("depth of a wall");
    assert_eq!(cloud.len(), 1000);
    let near = share(&cloud, |p| p.z.abs() < 0.005);
    assert!(near > 0.99, "only {near} of the points lie on the wall");
}

#[test]
fn photos_without_texture_get_random_points_in_front_of_the_cameras() {
    let folder = folder();
    let capture = capture(folder.path(), blank, 3, 4, 0.6, false);
    let cloud = start(&capture, &InitSettings { count: Some(500), ..InitSettings::default() }, 4).expect("photos");
    assert_eq!(cloud.len(), 500);
    let seen = share(&cloud, |p| {
        let seen = |f: &Frame| (f.camera_from_world * Point3::from(p.cast::<f64>())).z > 0.0;
        capture.frames.iter().any(seen)
    });
    assert!(seen > 0.999, "{seen} of the points are in front of a camera");
}

#[test]
fn sparse_points_become_round_splats_of_their_colour_and_spacing() {
    let folder = folder();
    let mut capture = capture(folder.path(), blank, 3, 2, 0.5, false);
    for i in 0..10 {
        for j in 0..20 {
            let position = [0.2 * f64::from(i), 0.2 * f64::from(j), 1.0];
            capture.points.push(Point { position, colour: [255, 0, 51] });
        }
    }
    let settings =
        InitSettings { source: InitSource::Points, scale: 0.5, opacity: 0.25, sh_degree: 2, ..InitSettings::default() };
    let cloud = start(&capture, &settings, 5).expect("points");
    assert_eq!((cloud.len(), cloud.sh_rest.len()), (200, 200 * 8 * 3));
    for i in 0..200 {
        // Spacing 0.2 in the world is 0.1 in the scene, and half of that was asked for.
        let scale = cloud.log_scales[i][0].exp();
        assert!((scale - 0.05).abs() < 0.011, "splat {i} has the size {scale}");
        let colour = cloud.sh0[i].map(|c| c * SH_C0 + 0.5);
        assert!((0..3).all(|k| (colour[k] - [1.0, 0.0, 0.2][k]).abs() < 1e-5), "{colour:?}");
        assert!((1.0 / (1.0 + (-cloud.opacity_logits[i]).exp()) - 0.25).abs() < 1e-5);
    }
    let few = start(&capture, &InitSettings { max_splats: 50, ..settings }, 5).expect("points");
    assert_eq!(few.len(), 50, "more splats than there may be");
}

#[test]
fn a_sweep_completes_sparse_points_within_the_limit() {
    let folder = folder();
    let mut capture = capture(folder.path(), wall, 3, 7, 0.7, false);
    let position = |i: u32| [0.02 * f64::from(i % 20), 0.02 * f64::from(i / 20), 0.0];
    capture.points.extend((0..200).map(|i| Point { position: position(i), colour: [90; 3] }));
    let settings = InitSettings { max_splats: 1500, count: Some(5000), ..InitSettings::default() };
    let cloud = start(&capture, &settings, 9).expect("points and photos");
    assert_eq!(cloud.len(), 1500);
    let near = share(&cloud, |p| p.z.abs() < 0.03);
    assert!(near > 0.95, "only {near} of the points lie on the wall");
}

#[test]
fn the_start_depends_on_the_seed_and_not_on_the_threads() {
    let folder = folder();
    let capture = capture(folder.path(), wall, 3, 5, 0.5, false);
    let settings = InitSettings { count: Some(800), ..InitSettings::default() };
    let with_threads = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| start(&capture, &settings, seed)).expect("photos of a wall")
    };
    let one = with_threads(1, 7);
    assert!(one == with_threads(3, 7), "three threads begin elsewhere");
    assert!(one != with_threads(1, 8), "another seed begins in the same place");
}

#[test]
fn asking_for_what_a_capture_does_not_have_is_an_error() {
    let folder = folder();
    let capture = capture(folder.path(), wall, 3, 2, 0.3, false);
    for (source, what) in [(InitSource::Points, "sparse points"), (InitSource::Depth, "depth images")] {
        let settings = InitSettings { source, ..InitSettings::default() };
        let message = start(&capture, &settings, 0).expect_err("there are none").to_string();
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn one_photo_is_enough_to_begin() {
    let folder = folder();
    let capture = capture(folder.path(), wall, 3, 1, 0.0, false);
    let cloud = start(&capture, &InitSettings { count: Some(100), ..InitSettings::default() }, 6).expect("a photo");
    assert_eq!(cloud.len(), 100);
    assert!(cloud.means.iter().flatten().all(|v| v.is_finite()));
}

#[test]
fn what_moves_before_standing_cameras_is_found_where_it_is() {
    let folder = folder();
    let centre = |moment: usize| {
        let turn = 1.2 * moment as f64;
        Vector3::new(0.8 * turn.cos(), 0.4 * (2.3 * turn).sin(), 0.8 * turn.sin())
    };
    // A small ball goes round one that rests.
    let (moments, cameras) = (7, 12);
    let mut all: Option<Capture> = None;
    for moment in 0..moments {
        let scene = |origin: Point3<f64>, ray: Vector3<f64>| {
            let moving = ball_at(origin - centre(moment), ray, 0.3);
            let resting = ball_at(origin, ray, 0.5);
            match (moving, resting) {
                (Some(t), rest) if rest.is_none_or(|r| t < r) => ([220, 40, 30, 255], t),
                (_, Some(t)) => ([60, 140, 90, 255], t),
                _ => ([30, 30, 60, 255], 0.0),
            }
        };
        let of = format!("{moment}");
        std::fs::create_dir(folder.path().join(&of)).expect("writable");
        let mut made = capture(&folder.path().join(&of), scene, 3, cameras, std::f64::consts::TAU, false);
        made.frames.iter_mut().for_each(|frame| {
            frame.image = format!("{of}/{}", frame.image);
            frame.name.clone_from(&frame.image);
        });
        match &mut all {
            Some(all) => all.frames.append(&mut made.frames),
            none => *none = Some(made),
        }
    }
    let mut capture = all.expect("there are moments");
    capture.files = Arc::new(Files::open(folder.path()).expect("the folder exists"));
    let cache = Arc::new(ImageCache::new(capture.files.clone(), 1 << 26, None));
    let frames = FrameSet::new(&capture, &(0..moments * cameras).collect::<Vec<_>>(), &cache, 1);
    let of_camera = |camera| (0..moments).map(|moment| moment * cameras + camera).collect();
    let resting = Resting::find(&frames, &(0..cameras).map(of_camera).collect::<Vec<_>>()).expect("readable photos");
    let settings = InitSettings { max_splats: 400, ..InitSettings::default() };
    for moment in 0..moments {
        let photos: Vec<(usize, usize)> = (0..cameras).map(|camera| (camera, moment * cameras + camera)).collect();
        let cloud = resting.moving(&frames, &photos, &settings, 0.08, 3).expect("readable photos");
        assert!(cloud.len() > 100, "only {} points move at moment {moment}", cloud.len());
        let near = share(&cloud, |p| (p - centre(moment).cast()).norm() < 0.45);
        assert!(near > 0.9, "only {near} of the points are at the ball of radius 0.3 at moment {moment}");
    }
}
