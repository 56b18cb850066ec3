//! LLFF captures: the axes, the intrinsics and what is refused.

use crate::capture::{Capture, MaskKind};
use crate::image::{Image8, decode_mask, save_png};
use nalgebra::{Point3, Vector3};
use std::path::{Path, PathBuf};

pub(in crate::capture) fn data_folder(rel: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TESSERA_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let path = root.join(rel);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

/// In how many frames `point` (file's world) falls on the mask.
pub(in crate::capture) fn frames_that_see(capture: &Capture, point: Point3<f64>) -> usize {
    let sees = |frame: &&crate::capture::Frame| {
        let source = frame.mask.as_ref().expect("mask");
        let mask = decode_mask(&capture.files.read(&source.path).expect("read"), source.path.as_ref()).expect("mask");
        let in_camera = frame.camera_from_world * point;
        let [x, y] = frame.camera.lens.project(in_camera.coords.into()).pixel;
        assert_eq!((mask.width, mask.height), (frame.camera.width, frame.camera.height));
        let inside = x >= 0.0 && y >= 0.0 && x < f64::from(mask.width) && y < f64::from(mask.height);
        inside && in_camera.z > 0.0 && mask.data[y as usize * mask.width as usize + x as usize] > 127
    };
    capture.frames.iter().filter(sees).count()
}

#[test]
fn the_head_is_in_front_of_every_camera() {
    let Some(path) = data_folder("llff_masked/ethiopian_head") else { return };
    let capture = Capture::open(path).expect("open");
    assert_eq!((capture.frames.len(), capture.points.len()), (66, 0), "{:?}", capture.warnings);
    let first = &capture.frames[0];
    assert_eq!(first.image, "images/DSC_0007.jpg");
    assert_eq!(
        first.mask.as_ref().map(|m| (m.path.as_str(), m.kind)),
        Some(("masks/DSC_0007.png", MaskKind::Foreground))
    );
    assert_eq!((first.camera.width, first.camera.lens.centre), (600, [300.0, 300.0]));
    assert!((first.camera.lens.focal[0] - 1131.5362).abs() < 1e-3);
    let axes = capture.frames.iter().map(|f| f.camera_from_world.inverse() * Vector3::z());
    let centres = capture.frames.iter().map(|f| Point3::from(f.camera_from_world.inverse().translation.vector));
    // All cameras look at the head; so the nearest point to all axes is in it.
    let (mut normal, mut right) = (nalgebra::Matrix3::zeros(), Vector3::zeros());
    for (axis, centre) in axes.zip(centres) {
        let across = nalgebra::Matrix3::identity() - axis * axis.transpose();
        normal += across;
        right += across * centre.coords;
    }
    let head = Point3::from(normal.try_inverse().expect("axes cross") * right);
    let seen = frames_that_see(&capture, head);
    assert!(seen >= 64, "the point {head} is on the mask of {seen} of 66 frames");
}

/// A capture of photos of 20x10 pixels with these rows of `poses_bounds.npy`.
fn capture_of(rows: &[[f64; 17]], photos: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::create_dir(folder.path().join("images")).expect("folder");
    for i in 0..photos {
        save_png(folder.path().join(format!("images/{i}.png")), &Image8::new(20, 10, 3)).expect("save");
    }
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 17), }}\n", rows.len());
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.bytes());
    npy.extend(rows.as_flattened().iter().flat_map(|v| v.to_le_bytes()));
    std::fs::write(folder.path().join("poses_bounds.npy"), npy).expect("write");
    folder
}

/// At (1, 2, 3), looking along the world's -z with y up; calibrated for photos of twice the size.
const ROW: [f64; 17] = [0.0, 1.0, 0.0, 1.0, 20.0, -1.0, 0.0, 0.0, 2.0, 40.0, 0.0, 0.0, 1.0, 3.0, 50.0, 0.5, 9.0];

#[test]
fn axes_are_down_right_back_and_the_focal_length_follows_the_image_size() {
    let folder = capture_of(&[ROW], 1);
    let capture = Capture::open(folder.path()).expect("open");
    let frame = &capture.frames[0];
    assert_eq!((frame.camera.lens.focal, frame.camera.lens.centre), ([25.0; 2], [10.0, 5.0]));
    let seen = frame.camera_from_world * Point3::new(1.5, 2.25, -1.0);
    assert!((seen - Point3::new(0.5, -0.25, 4.0)).norm() < 1e-12, "{seen}");
}

#[test]
fn unusable_poses_are_refused_in_one_sentence() {
    let changed = |index: usize, value: f64| {
        let mut row = ROW;
        row[index] = value;
        row
    };
    let cases = [
        (vec![changed(3, f64::NAN)], 1, "images/0.png holds numbers that are not finite"),
        (vec![changed(0, 1.0)], 1, "is no rotation"),
        (vec![changed(14, 0.0)], 1, "focal length that makes no sense"),
        (vec![changed(9, 1e300)], 1, "image size"),
        (vec![changed(9, 90.0)], 1, "is 20x10 pixels"),
        (vec![ROW, ROW], 1, "holds 2 poses but images/ holds 1 images"),
        (vec![ROW], 0, "holds no images"),
        (vec![], 1, "holds 0 poses"),
    ];
    for (rows, photos, expected) in cases {
        let folder = capture_of(&rows, photos);
        let error = Capture::open(folder.path()).expect_err(expected).to_string();
        assert!(error.contains(expected), "wanted '{expected}', got '{error}'");
    }
}
