//! Paths look where they should, and what is drawn is what is written.

use super::*;
use nalgebra::{Point3, Translation3, UnitQuaternion, Vector3};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tessera_datasets::camera::{Camera, Pose, Similarity};
use tessera_datasets::image::{Image8, decode};
use tessera_datasets::scene::{SplatCloud, simplify_to};

/// One opaque red ball at a place, of standard deviation 0.2.
fn ball(at: [f32; 3]) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(1, 0);
    cloud.means.push(at);
    cloud.log_scales.push([0.2_f32.ln(); 3]);
    cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
    cloud.opacity_logits.push(10.0);
    let colour = |c: f32| (c - 0.5) / 0.282_094_8;
    cloud.sh0.push([colour(1.0), colour(0.0), colour(0.0)]);
    cloud
}

/// A camera at the origin that looks along z.
fn ahead(width: u32, height: u32) -> PathCamera {
    let camera = Camera::from_horizontal_fov(width, height, 1.0);
    PathCamera { name: "ahead".to_owned(), camera, camera_from_world: Pose::identity(), time: None }
}

fn write(cloud: &SplatCloud, path: &[PathCamera], out: &Path, options: &PathOptions) -> crate::Result<usize> {
    let mut painter = SplatPainter::new(cloud, &Similarity::identity(), [0.0, 0.0, 1.0]);
    let stop = AtomicBool::new(false);
    render_path(&mut painter, path, out, options, &mut |_, _| {}, &stop).map(|files| files.len())
}

fn read(path: &Path) -> Image8 {
    decode(&std::fs::read(path).expect("it was written"), path).expect("a picture")
}

#[test]
fn an_orbit_has_the_scene_in_its_middle_from_all_sides() {
    let cloud = ball([3.0, -2.0, 5.0]);
    let path = orbit(&cloud, 8, [64, 48]);
    let mut centres: Vec<Vector3<f64>> = Vec::new();
    for camera in &path {
        let seen = camera.camera_from_world * Point3::new(3.0, -2.0, 5.0);
        let pixel = camera.camera.lens.project(seen.coords.into()).pixel;
        assert!(seen.z > 0.0 && (pixel[0] - 32.0).abs() < 1e-6 && (pixel[1] - 24.0).abs() < 1e-6, "{pixel:?}");
        // y points down in the picture, and up is -y in the world.
        assert!((camera.camera_from_world.rotation * -Vector3::y()).y < 0.0, "a camera hangs upside down");
        centres.push(camera.camera_from_world.inverse().translation.vector);
    }
    let mean = centres.iter().sum::<Vector3<f64>>() / 8.0;
    assert!((mean - Vector3::new(3.0, mean.y, 5.0)).norm() < 1e-9, "not around the scene: {mean}");
}

#[test]
fn an_orbit_of_splats_that_were_turned_into_place_is_upright_as_they_are_stored() {
    let mut cloud = ball([0.0; 3]);
    cloud.scene_from_world.isometry.rotation = UnitQuaternion::from_euler_angles(1.2, -0.4, 2.0);
    let world_from_stored = cloud.scene_from_world.isometry.rotation.inverse();
    for camera in orbit(&cloud, 8, [64, 48]) {
        let down = camera.camera_from_world.rotation * (world_from_stored * Vector3::y());
        assert!(down.x.abs() < 1e-9 && down.y > 0.8, "down in the picture is {down:?} in the camera");
    }
}

#[test]
fn an_orbit_sees_all_of_a_mesh_and_no_more_around_it_than_it_must() {
    for (half, size) in [([3.0, 0.5, 2.0], [640, 360]), ([0.3, 4.0, 0.2], [640, 360]), ([1.0, 1.0, 1.0], [300, 600])] {
        let corner = |i: usize, axis: usize| if i >> axis & 1 == 1 { half[axis] } else { -half[axis] };
        let corners: Vec<[f32; 3]> = (0..8).map(|i| [0, 1, 2].map(|axis| corner(i, axis) as f32)).collect();
        let mut farthest = 0.0f64;
        for camera in orbit_of_points(&corners, [0.0, 1.0, 0.0], 24, size) {
            for corner in &corners {
                let seen = camera.camera_from_world * Point3::from(corner.map(f64::from));
                let [x, y] = camera.camera.lens.project(seen.coords.into()).pixel;
                let off = |pixel: f64, side: u32| (2.0 * pixel / f64::from(side) - 1.0).abs();
                farthest = farthest.max(off(x, size[0])).max(off(y, size[1]));
                assert!(seen.z > 0.0 && farthest < 1.001, "{half:?}: a corner is at {x}, {y} of {size:?}");
            }
        }
        assert!(farthest > 0.9, "{half:?}: the picture could be filled more than to {farthest}");
    }
}

#[test]
fn an_interpolated_path_passes_its_keys_smoothly() {
    let key = |x: f64, angle: f64| {
        let rotation = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), angle);
        let pose = Pose::from_parts(Translation3::new(x, 0.0, 0.0), rotation);
        PathCamera { camera_from_world: pose.inverse(), ..ahead(8, 8) }
    };
    let keys = [key(0.0, 0.0), key(1.0, 0.1), key(2.0, 0.3), key(3.0, 0.2)];
    let path = interpolated(&keys, 301);
    let pose = |c: &PathCamera| c.camera_from_world.inverse();
    for key in &keys {
        let gap = |c: &PathCamera| {
            let (a, b) = (pose(c), pose(key));
            (a.translation.vector - b.translation.vector).norm() + a.rotation.angle_to(&b.rotation)
        };
        let nearest = path.iter().map(gap).fold(f64::INFINITY, f64::min);
        assert!(nearest < 0.01, "a key is passed at a distance of {nearest}");
    }
    let speeds: Vec<f64> =
        path.windows(2).map(|w| (pose(&w[1]).translation.x - pose(&w[0]).translation.x) * 100.0).collect();
    let jump = speeds.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f64::max);
    assert!(jump < 0.05 && speeds.iter().all(|s| *s > 0.3), "uneven: {speeds:?}");
    assert_eq!(interpolated(&keys[..1], 2).len(), 2);
    assert!(interpolated(&[], 5).is_empty());
}

#[test]
fn a_camera_file_needs_no_photos_but_a_size() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = root.path().join("path.json");
    let frame = |name: &str, x: f64| serde_json::json!({"file_path": name, "transform_matrix": [[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]});
    let mut transforms = serde_json::json!({"camera_angle_x": 1.0, "frames": [frame("b", 1.0), frame("a", 2.0)]});
    std::fs::write(&file, transforms.to_string()).expect("writable");
    let said = from_file(&file).expect_err("no size").to_string();
    assert!(said.contains("path.json: does not say how large"), "{said}");
    transforms["w"] = 64.into();
    transforms["h"] = 48.into();
    std::fs::write(&file, transforms.to_string()).expect("writable");
    let path = from_file(&file).expect("complete");
    assert_eq!(path.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["b", "a"], "the order is the file's");
    // OpenGL's -z is ahead of the camera at (1, 0, 0).
    let seen = path[0].camera_from_world * Point3::new(1.0, 0.0, -5.0);
    assert!((seen - Point3::new(0.0, 0.0, 5.0)).norm() < 1e-9, "{seen}");
    assert_eq!((path[0].camera.width, path[0].camera.lens.centre), (64, [32.0, 24.0]));
}

#[test]
fn a_folder_of_pictures_shows_the_scene() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let out = root.path().join("pictures");
    let cameras = [ahead(32, 24), PathCamera { name: "left/1.jpg".to_owned(), ..ahead(32, 24) }];
    assert_eq!(write(&ball([0.0, 0.0, 2.0]), &cameras, &out, &PathOptions::default()).expect("written"), 2);
    let picture = read(&out.join("ahead.png"));
    assert_eq!((picture.width, picture.height), (32, 24));
    let (middle, corner) = (picture.pixel(16, 12), picture.pixel(0, 0));
    assert!(middle[0] > 240 && middle[2] < 15, "the ball is {middle:?}");
    assert_eq!(corner, [0, 0, 255], "the background");
    assert_eq!(read(&out.join("left_1.png")), picture);

    let said = write(&ball([0.0, 0.0, 2.0]), &cameras, &out, &PathOptions::default()).expect_err("exists").to_string();
    assert!(said.contains("exists already") && said.contains("--force"), "{said}");
    let force = PathOptions { force: true, layer: Layer::Alpha, ..PathOptions::default() };
    write(&ball([0.0, 0.0, 2.0]), &cameras, &out, &force).expect("replaced");
    let alpha = read(&out.join("ahead.png"));
    assert!(alpha.pixel(16, 12)[0] > 240 && alpha.pixel(0, 0) == [0, 0, 0]);
}

#[test]
fn depth_colours_are_alike_in_all_pictures_of_a_path() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut farther = ahead(32, 24);
    farther.name = "farther".to_owned();
    farther.camera_from_world = Pose::translation(0.0, 0.0, 3.0);
    let options = PathOptions { layer: Layer::Depth, ..PathOptions::default() };
    write(&ball([0.0, 0.0, 2.0]), &[ahead(32, 24), farther], root.path(), &options).expect("written");
    let (near, far) = (read(&root.path().join("ahead.png")), read(&root.path().join("farther.png")));
    assert_ne!(near.pixel(16, 12), far.pixel(16, 12), "two depths have one colour");
    assert_eq!(near.pixel(0, 0), [0, 0, 0], "nothing has no depth");
}

#[test]
fn a_scene_that_is_moved_scaled_and_turned_looks_the_same() {
    let view_of = |cloud: &SplatCloud, scene: &Similarity| {
        let camera = ahead(32, 24);
        let mut painter = SplatPainter::new(cloud, scene, [0.0; 3]);
        let view = painter.view(&camera.camera, &camera.camera_from_world).expect("a view");
        to_image(painter.paint(&view))
    };
    let mut cloud = ball([0.1, 0.0, 2.0]);
    // Colours of degree 3 and a shape without symmetry, so that files and kernels must agree on all harmonics.
    cloud.sh_degree = 3;
    cloud.sh0 = vec![[0.0; 3]];
    cloud.sh_rest = (0..45).map(|i| 0.3 * (1.7 * i as f32).sin()).collect();
    cloud.log_scales = vec![[-1.2, -2.0, -3.0]];
    cloud.quats = vec![[0.9, 0.3, -0.5, 0.2]];
    let expected = view_of(&cloud, &Similarity::identity());
    let scenes = [[0.0; 3], [0.5, 0.0, 0.0], [-1.0, 2.0, 0.7]]
        .map(|turn| Similarity::new(Vector3::new(5.0, -3.0, 2.0), turn.into(), 0.25));
    for scene in &scenes {
        let moved = view_of(&cloud, scene);
        let worst = expected.data.iter().zip(&moved.data).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{worst:?} levels apart in {scene}");
    }
}

#[test]
fn impossible_paths_are_refused_and_leave_nothing() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let cloud = ball([0.0, 0.0, 2.0]);
    let video = root.path().join("a.mp4");
    let said = |path: &[PathCamera], out: &Path| {
        write(&cloud, path, out, &PathOptions::default()).expect_err("impossible").to_string()
    };
    assert!(said(&[], root.path()).contains("no cameras"));
    assert!(said(&[ahead(70_000, 1)], root.path()).contains("70000x1"));
    assert!(said(&[ahead(32, 24), ahead(24, 32)], &video).contains("different sizes"));
    assert_eq!(std::fs::read_dir(root.path()).expect("readable").count(), 0);
}

#[test]
fn an_interrupted_video_is_not_kept() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut painter = SplatPainter::new(&ball([0.0, 0.0, 2.0]), &Similarity::identity(), [0.0; 3]);
    let stop = AtomicBool::new(true);
    let out = root.path().join("a.mp4");
    let outcome = render_path(&mut painter, &[ahead(32, 24)], &out, &PathOptions::default(), &mut |_, _| {}, &stop);
    // Without ffmpeg it fails for that reason.
    assert!(matches!(outcome, Err(crate::Error::Interrupted(_) | crate::Error::Program(_))), "{outcome:?}");
    assert_eq!(std::fs::read_dir(root.path()).expect("readable").count(), 0);
}

#[test]
fn a_simplified_scene_looks_more_like_itself_than_one_that_lost_its_smallest_splats() {
    // A wavy, coloured, densely covered surface, with splats of many sizes.
    let mut cloud = SplatCloud::with_capacity(0, 0);
    for i in 0..4900u32 {
        let (x, y) = ((i % 70) as f32 / 35.0 - 1.0, (i / 70) as f32 / 35.0 - 1.0);
        cloud.means.push([x, y, 2.5 + 0.1 * (3.0 * x).sin() * (4.0 * y).cos()]);
        let size = -3.7 + 0.4 * (i as f32 * 0.7).sin();
        cloud.log_scales.push([size, size, size - 2.0]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(0.5 + (i as f32 * 1.3).cos());
        cloud.sh0.push([(5.0 * x).sin(), (4.0 * y).cos(), (3.0 * x + 6.0 * y).sin()]);
    }
    let picture = |cloud: &SplatCloud| {
        let camera = ahead(160, 120);
        let mut painter = SplatPainter::new(cloud, &Similarity::identity(), [1.0; 3]);
        let view = painter.view(&camera.camera, &camera.camera_from_world).expect("a view");
        painter.paint(&view).rgb.clone()
    };
    let full = picture(&cloud);
    let psnr = |cloud: &SplatCloud| {
        let squares = picture(cloud).iter().zip(&full).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        -10.0 * (squares / full.len() as f64).log10()
    };
    for count in [2450, 1225, 490] {
        let mass =
            |&i: &u32| 2.0 * cloud.log_scales[i as usize][0] - (1.0 + (-cloud.opacity_logits[i as usize]).exp()).ln();
        let mut largest: Vec<u32> = (0..4900).collect();
        largest.sort_by(|a, b| mass(b).total_cmp(&mass(a)));
        let (merged, dropped) = (psnr(&simplify_to(&cloud, count)), psnr(&cloud.select(&largest[..count])));
        println!("{count}: {merged:.1} {dropped:.1}");
        assert!(
            merged > dropped + 10.0,
            "{count} splats: {merged:.1} dB merged, {dropped:.1} dB by dropping the smallest"
        );
    }
}
