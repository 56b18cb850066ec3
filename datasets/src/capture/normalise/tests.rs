use super::*;
use crate::camera::Camera;
use crate::files::Files;
use std::sync::Arc;

/// A camera at `centre` that looks at `target`.
fn frame(centre: [f64; 3], target: [f64; 3]) -> Frame {
    let (centre, target) = (Point3::from(centre), Point3::from(target));
    let up = Vector3::new(0.1, -1.0, 0.2);
    Frame {
        name: String::new(),
        image: String::new(),
        video_frame: None,
        mask: None,
        depth: None,
        normals: None,
        camera: Camera::from_horizontal_fov(640, 480, 1.0),
        camera_from_world: Pose::face_towards(&centre, &target, &up).inverse(),
        time: None,
        rig_camera: None,
        split: None,
    }
}

fn ring(centre: [f64; 3], radius: f64) -> Vec<Frame> {
    let place = |i: usize| {
        let angle = std::f64::consts::TAU * i as f64 / 12.0;
        [centre[0] + radius * angle.cos(), centre[1] + radius * angle.sin(), centre[2]]
    };
    (0..12).map(|i| frame(place(i), centre)).collect()
}

fn capture(frames: Vec<Frame>, points: Vec<Point>) -> Capture {
    let scene_from_world = scene_from_world(&frames, &points);
    Capture {
        name: "made".to_owned(),
        files: Arc::new(Files::open(env!("CARGO_MANIFEST_DIR")).expect("this crate's folder")),
        layout: String::new(),
        frames,
        points,
        scene_from_world,
        warnings: Vec::new(),
    }
}

#[test]
fn a_ring_of_cameras_becomes_the_unit_ring() {
    let made = capture(ring([100.0, -50.0, 7.0], 20.0), Vec::new());
    for frame in &made.frames {
        let centre = made.camera_from_scene(frame).inverse().translation.vector;
        assert!((centre.norm() - 1.0).abs() < 0.1, "a camera is at distance {}", centre.norm());
    }
    assert!(made.scene_from_world.isometry.rotation.angle() == 0.0, "the axes keep their directions");
}

#[test]
fn stray_cameras_and_points_change_little() {
    let mut points: Vec<Point> =
        (0..100).map(|i| Point { position: [f64::from(i) * 0.01, 0.0, 0.5], colour: [0; 3] }).collect();
    let clean = scene_from_world(&ring([0.0; 3], 4.0), &points);
    points[3].position = [1e9, 1e9, 1e9];
    let mut frames = ring([0.0; 3], 4.0);
    frames.push(frame([-1e7, 0.0, 0.0], [0.0; 3]));
    let dirty = scene_from_world(&frames, &points);
    let ratio = dirty.scaling() / clean.scaling();
    assert!((0.7..1.4).contains(&ratio), "the scale changed by the factor {ratio}");
}

#[test]
fn a_single_camera_or_none_that_moved_gives_a_finite_scene() {
    for frames in [vec![frame([1.0, 2.0, 3.0], [0.0; 3])], Vec::new()] {
        let scene = scene_from_world(&frames, &[]);
        assert!(scene.scaling() == 1.0, "the scale is {}", scene.scaling());
    }
}

#[test]
fn pixels_and_scaled_depths_do_not_depend_on_the_world() {
    let made = capture(ring([3.0, 2.0, 1.0], 5.0), vec![Point { position: [3.5, 2.5, 0.0], colour: [1, 2, 3] }]);
    let scale = made.scene_from_world.scaling();
    let point = made.points_in_scene()[0];
    assert_eq!(point.colour, [1, 2, 3]);
    for frame in &made.frames {
        let in_world = frame.camera_from_world * Point3::from(made.points[0].position);
        let in_scene = made.camera_from_scene(frame) * Point3::from(point.position);
        assert!((in_scene.coords - scale * in_world.coords).norm() < 1e-12, "{in_scene} is not {scale} {in_world}");
    }
    let depth = DepthSource { path: String::new(), scale: 0.001 };
    assert_eq!(made.depth_scale_in_scene(&depth), 0.001 * scale);
}

#[test]
fn a_similarity_with_rotation_is_undone_too() {
    let mut made = capture(ring([3.0, 2.0, 1.0], 5.0), vec![Point { position: [3.5, 2.5, 0.0], colour: [0; 3] }]);
    made.scene_from_world = Similarity::new(Vector3::new(1.0, 2.0, 3.0), Vector3::new(0.3, -0.2, 0.9), 0.4);
    let in_world = made.frames[0].camera_from_world * Point3::from(made.points[0].position);
    let in_scene = made.camera_from_scene(&made.frames[0]) * Point3::from(made.points_in_scene()[0].position);
    assert!((in_scene.coords - 0.4 * in_world.coords).norm() < 1e-12);
}

#[test]
fn every_nth_unmarked_frame_is_held_out() {
    let mut made = capture(ring([0.0; 3], 1.0), Vec::new());
    assert_eq!(made.split_indices(Some(8)).1, [0, 8]);
    assert_eq!(made.split_indices(None), ((0..12).collect(), vec![]));
    assert_eq!(made.split_indices(Some(0)).1, Vec::<usize>::new());
    let marks = [Some(Split::Test), Some(Split::Train), Some(Split::Validation), None, None, None];
    for (frame, mark) in made.frames.iter_mut().zip(marks) {
        frame.split = mark;
    }
    let (train, test) = made.split_indices(Some(4));
    assert_eq!((train, test), (vec![1, 4, 5, 6, 8, 9, 10], vec![0, 3, 7, 11]));
    assert_eq!(made.split_indices(None).1, [0]);
    made.frames[0].split = Some(Split::Train);
    assert_eq!(made.split_indices(None).1, [2], "validation frames stand in when no frame is marked for testing");
}
