//! IDR captures: the decomposition, the normalisation and what is refused.

use super::*;
use crate::capture::llff::tests::{data_folder, frames_that_see};
use crate::image::{Image8, save_png};
use nalgebra::{Matrix3x4, Matrix4, Point3};
use proptest::prelude::*;
use std::io::Write;

#[test]
fn the_normalised_origin_is_on_every_mask_of_dtu() {
    let Some(path) = data_folder("surface/dtu_scan24") else { return };
    let capture = Capture::open(path).expect("open");
    assert_eq!(capture.frames.len(), 49);
    let lens = capture.frames[0].camera.lens;
    // DTU's published calibration, halved: 2892.33, 2883.18, 823.205, 619.071 with whole-number pixel centres.
    for (found, original) in [(lens.focal[0], 2892.33), (lens.focal[1], 2883.18)] {
        assert!((found - 0.5 * original).abs() < 0.02, "{found} against {original} / 2");
    }
    for (found, original) in [(lens.centre[0], 823.205), (lens.centre[1], 619.071)] {
        assert!((found - 0.5 * (original + 0.5)).abs() < 0.02, "{found} against ({original} + 0.5) / 2");
    }
    let origin = capture.scene_from_world.inverse() * Point3::origin();
    assert_eq!(frames_that_see(&capture, origin), 49);
}

fn projection(camera: &Camera, pose: &Pose, factor: f64) -> Array {
    let Lens { focal: [fx, fy], centre: [cx, cy], .. } = camera.lens;
    let k = Matrix3::new(fx, 0.0, cx - 0.5, 0.0, fy, cy - 0.5, 0.0, 0.0, 1.0);
    let p: Matrix3x4<f64> = factor * k * pose.to_homogeneous().fixed_view::<3, 4>(0, 0);
    Array { shape: vec![3, 4], data: p.transpose().as_slice().to_vec() }
}

proptest! {
    #[test]
    fn any_projection_is_decomposed(
        focal in prop::array::uniform2(100.0..5000.0),
        centre in prop::array::uniform2(-100.0..2000.0),
        turn in prop::array::uniform3(-1.8..1.8),
        position in prop::array::uniform3(-1000.0..1000.0),
        factor in prop::sample::select(vec![1.0, -1.0, 0.001, -250.0]),
    ) {
        let camera = Camera { width: 640, height: 480, lens: Lens { focal, centre, distortion: Distortion::None } };
        let pose = Pose::new(position.into(), turn.into());
        let (found, found_pose) = decompose(&projection(&camera, &pose, factor), 640, 480).expect("a camera");
        let close = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-6;
        prop_assert!(close(found.lens.focal, focal) && close(found.lens.centre, centre), "{:?}", found.lens);
        prop_assert!((found_pose.to_homogeneous() - pose.to_homogeneous()).amax() < 1e-6, "{found_pose} is not {pose}");
    }
}

#[test]
fn matrices_that_are_no_camera_are_refused() {
    let array = |data: [f64; 12]| Array { shape: vec![3, 4], data: data.into() };
    let of = |data| decompose(&array(data), 640, 480).expect_err("no camera");
    assert_eq!(of([f64::NAN; 12]), "holds numbers that are not finite");
    assert_eq!(of([0.0; 12]), "is no projection of a camera");
    assert_eq!(of([1.0; 12]), "is no projection of a camera");
    let skewed = of([500.0, 5.0, 320.0, 0.0, 0.0, 500.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert!(skewed.starts_with("has skewed pixels (skew 5.000)"), "{skewed}");
    assert!(decompose(&Array { shape: vec![2, 2], data: vec![0.0; 4] }, 1, 1).is_err());
}

#[test]
fn the_scale_matrix_becomes_the_normalisation_when_it_is_one() {
    let array = |m: Matrix4<f64>| Array { shape: vec![4, 4], data: m.transpose().as_slice().to_vec() };
    let scale = Matrix4::new(2.0, 0.0, 0.0, 5.0, 0.0, 2.0, 0.0, 6.0, 0.0, 0.0, 2.0, 7.0, 0.0, 0.0, 0.0, 1.0);
    let found = normalisation(&array(scale)).expect("uniform");
    assert!((found * Point3::new(7.0, 6.0, 7.0) - Point3::new(1.0, 0.0, 0.0)).norm() < 1e-12);
    let mut sheared = scale;
    sheared[(0, 1)] = 0.5;
    assert!(normalisation(&array(sheared)).is_none());
    assert!(normalisation(&array(Matrix4::zeros())).is_none());
}

#[test]
fn photos_and_cameras_must_be_as_many() {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::create_dir(folder.path().join("image")).expect("folder");
    save_png(folder.path().join("image/000.png"), &Image8::new(20, 10, 3)).expect("save");
    let file = std::fs::File::create(folder.path().join("cameras.npz")).expect("create");
    let mut archive = zip::ZipWriter::new(file);
    for i in [0, 1] {
        archive.start_file(format!("world_mat_{i}.npy"), zip::write::SimpleFileOptions::default()).expect("entry");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4), }\n";
        let length = (header.len() as u16).to_le_bytes();
        let content = [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), &[0; 64]].concat();
        archive.write_all(&content).expect("write");
    }
    archive.finish().expect("finish");
    let error = Capture::open(folder.path()).expect_err("two cameras").to_string();
    assert!(error.contains("holds 2 cameras but image/ holds 1 images"), "{error}");
    save_png(folder.path().join("image/001.png"), &Image8::new(20, 10, 3)).expect("save");
    let error = Capture::open(folder.path()).expect_err("zeros").to_string();
    assert!(error.contains("cameras.npz: world_mat_0 is no projection of a camera"), "{error}");

    std::fs::write(folder.path().join("cameras.npz"), b"PK\x03\x04 and no more").expect("write");
    let error = Capture::open(folder.path()).expect_err("damaged").to_string();
    assert!(error.contains("damaged NumPy archive"), "{error}");
}
