//! The shared development data, when it is there.

use std::path::PathBuf;
use tessera_datasets::capture::{Capture, Frame};

fn open(rel: &str) -> Option<Capture> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let root = std::env::var_os("TESSERA_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = root.join(rel);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let capture = Capture::open(&path).unwrap_or_else(|error| panic!("{rel} should open: {error}"));
    // The same cameras are there a second time, with their videos.
    let is_expected =
        |warning: &String| warning.contains("also present and ignored: videos with a Qualisys calibration");
    assert!(capture.warnings.iter().all(is_expected), "{rel}: {:?}", capture.warnings);
    Some(capture)
}

/// The median distance of the cameras from the scene's origin.
fn median_camera_distance(capture: &Capture) -> f64 {
    let distance = |f: &Frame| capture.camera_from_scene(f).inverse().translation.vector.norm();
    let mut distances: Vec<f64> = capture.frames.iter().map(distance).collect();
    distances.sort_by(f64::total_cmp);
    distances[distances.len() / 2]
}

#[test]
fn photographs_with_transforms_open() {
    let sizes = [
        ("posed/fox", 50, (304, 540)),
        ("posed/strecha_fountain_P11", 11, (768, 512)),
        ("large/strecha_castle_P30", 30, (768, 512)),
        ("rgbd/open3d_livingroom", 16, (640, 480)),
        ("dynamic/pose2sim_multi", 56, (544, 960)),
        ("dynamic/render_fox/mvv", 360, (320, 320)),
    ];
    for (rel, frames, size) in sizes {
        let Some(capture) = open(rel) else { return };
        assert_eq!(capture.frames.len(), frames, "{rel}");
        for frame in &capture.frames {
            assert_eq!((frame.camera.width, frame.camera.height), size, "{rel} {}", frame.name);
        }
        let distance = median_camera_distance(&capture);
        assert!((0.3..=3.0).contains(&distance), "{rel}: cameras are around {distance}");
    }
}

#[test]
fn blender_scenes_open_with_their_splits() {
    for (rel, train, test) in [("synthetic/nerf_chair", 50, 13), ("dynamic/render_fox/dnerf", 80, 20)] {
        let Some(capture) = open(rel) else { return };
        let (trained, tested) = capture.split_indices(None);
        assert_eq!((trained.len(), tested.len(), capture.frames.len()), (train, test, train + test + 5), "{rel}");
        assert_eq!(capture.frames.iter().all(|f| f.time.is_some()), rel.contains("dynamic"), "{rel}");
        let sees_origin = capture.frames.iter().filter(|f| seen(f, [0.0; 3])).count();
        assert_eq!(sees_origin, capture.frames.len(), "{rel}: every camera looks at the object in the origin");
    }
}

#[test]
fn moving_captures_know_time_camera_and_part() {
    let Some(fox) = open("dynamic/render_fox/mvv") else { return };
    assert!(fox.frames.iter().all(|f| f.time.is_some() && f.rig_camera.is_some()));
    assert_eq!(fox.split_indices(None).1.len(), 60, "cameras 3 and 9 of 30 frames each");
    let Some(people) = open("dynamic/pose2sim_multi") else { return };
    let cameras: std::collections::BTreeSet<_> = people.frames.iter().filter_map(|f| f.rig_camera).collect();
    assert_eq!(cameras.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn depth_comes_with_its_unit() {
    let Some(room) = open("rgbd/open3d_livingroom") else { return };
    for frame in &room.frames {
        let depth = frame.depth.as_ref().expect("every frame has depth");
        assert_eq!(depth.scale, 0.001);
        assert!(room.files.exists(&depth.path), "{}", depth.path);
    }
}

/// Where a world point lies in a frame, when in front of the camera and inside of the picture.
fn seen(frame: &Frame, point: [f64; 3]) -> bool {
    let point = frame.camera_from_world * nalgebra::Point3::from(point);
    let camera = &frame.camera;
    let [x, y] = camera.lens.project([point.x, point.y, point.z]).pixel;
    point.z > 0.0 && (0.0..f64::from(camera.width)).contains(&x) && (0.0..f64::from(camera.height)).contains(&y)
}

#[test]
fn sparse_points_project_into_their_photos() {
    let Some(plush) = open("colmap/snowmiku_plush") else { return };
    assert_eq!((plush.frames.len(), plush.points.len()), (49, 25_784));
    let visible = |frame: &Frame| plush.points.iter().filter(|point| seen(frame, point.position)).count();
    let shares: Vec<f64> = plush.frames.iter().map(|f| visible(f) as f64 / plush.points.len() as f64).collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(mean > 0.5, "only {:.0} % of the points are seen by the mean photo", 100.0 * mean);
    // Points have the colours of the photos where they project, best without any shift when the poses are right.
    let unshifted = colour_difference(&plush, [0.0, 0.0]);
    for shift in [[-3.0, 0.0], [3.0, 0.0], [0.0, -3.0], [0.0, 3.0]] {
        let shifted = colour_difference(&plush, shift);
        assert!(unshifted < shifted, "colours differ by {unshifted:.2}, but shifted by {shift:?} by {shifted:.2}");
    }
}

/// The median difference between the colours of points and of the pixels near which they project.
fn colour_difference(capture: &Capture, shift: [f64; 2]) -> f64 {
    let mut differences = Vec::new();
    for frame in capture.frames.iter().step_by(8) {
        let bytes = capture.files.read(&frame.image).expect("read");
        let picture = image::load_from_memory(&bytes).expect("decoded").into_rgb8();
        for point in capture.points.iter().step_by(5).filter(|point| seen(frame, point.position)) {
            let in_camera = frame.camera_from_world * nalgebra::Point3::from(point.position);
            let [x, y] = frame.camera.lens.project(in_camera.coords.into()).pixel;
            let x = (x + shift[0]).clamp(0.0, f64::from(picture.width() - 1));
            let y = (y + shift[1]).clamp(0.0, f64::from(picture.height() - 1));
            let colour = picture.get_pixel(x as u32, y as u32).0;
            let channels = colour.iter().zip(point.colour);
            differences.push(channels.map(|(a, b)| (f64::from(*a) - f64::from(b)).abs()).sum::<f64>() / 3.0);
        }
    }
    differences.sort_by(f64::total_cmp);
    differences[differences.len() / 2]
}

#[test]
fn other_layouts_are_recognised() {
    for (rel, frames) in [("surface/dtu_scan24", 49), ("llff_masked/ethiopian_head", 66)] {
        let Some(capture) = open(rel) else { return };
        assert_eq!(capture.frames.len(), frames, "{rel}");
        assert!(capture.frames.iter().all(|f| f.mask.is_some()), "{rel} has masks");
        let distance = median_camera_distance(&capture);
        assert!((0.3..=3.0).contains(&distance), "{rel}: cameras are around {distance}");
    }
}
