//! Evaluating a scene on photos that were made from it.

use super::*;
use crate::render::{PathOptions, orbit, render_path};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tessera_datasets::camera::Similarity;
use tessera_datasets::image::{Image8, decode, save_png};

/// Some coloured balls of random sizes near the origin.
fn balls() -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(20, 0);
    for i in 0..20 {
        let wave = |k: f32| (i as f32 * k).sin();
        cloud.means.push([wave(1.3), wave(2.7), wave(4.1)]);
        cloud.log_scales.push([-1.5 + 0.3 * wave(5.0); 3]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(2.0);
        cloud.sh0.push([wave(7.0), wave(8.0), wave(9.0)]);
    }
    cloud
}

/// Photos of the balls on `background` from around, with a transforms file. `change` is applied to each photo.
fn capture(folder: &Path, background: [f32; 3], change: impl Fn(Image8) -> Image8) -> Capture {
    let cloud = balls();
    let path = orbit(&cloud, 6, [48, 36]);
    let mut painter = SplatPainter::new(&cloud, &Similarity::identity(), background);
    let stop = AtomicBool::new(false);
    let options = PathOptions::default();
    let photos = render_path(&mut painter, &path, folder, &options, &mut |_, _| {}, &stop).expect("written");
    let mut frames = Vec::new();
    for (photo, camera) in photos.iter().zip(&path) {
        let image = decode(&std::fs::read(photo).expect("there"), photo).expect("a picture");
        save_png(photo, &change(image)).expect("writable");
        let m = camera.camera_from_world.inverse().to_homogeneous();
        // From OpenCV's axes to OpenGL's: y and z point the other way.
        let rows: Vec<Vec<f64>> =
            (0..4).map(|r| (0..4).map(|c| if c == 1 || c == 2 { -m[(r, c)] } else { m[(r, c)] }).collect()).collect();
        frames
            .push(json!({"file_path": photo.file_name().expect("a name").to_string_lossy(), "transform_matrix": rows}));
    }
    let focal = path[0].camera.lens.focal;
    let transforms = json!({"w": 48, "h": 36, "fl_x": focal[0], "fl_y": focal[1], "frames": frames});
    std::fs::write(folder.join("transforms.json"), transforms.to_string()).expect("writable");
    Capture::open(folder).expect("a capture")
}

fn evaluate(capture: &Capture, options: &EvalOptions) -> EvalReport {
    evaluate_splats(&balls(), capture, options, &mut |_, _| {}).expect("evaluated")
}

const EVERY_THIRD: EvalOptions =
    EvalOptions { split: Split::Test, test_every: Some(3), max_side: None, background: DEFAULT_BACKGROUND };

#[test]
fn a_scene_reproduces_the_photos_that_were_made_from_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path(), DEFAULT_BACKGROUND, |photo| photo);
    let report = evaluate(&capture, &EVERY_THIRD);
    assert_eq!((report.images, report.split.as_str()), (2, "test"));
    assert_eq!(report.per_image.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["00000.png", "00003.png"]);
    // Rounding to 8 bits may fall either way after the scene is moved.
    assert!(report.psnr > 65.0 && report.ssim > 0.9999, "{report:?}");
    let train = evaluate(&capture, &EvalOptions { split: Split::Train, ..EVERY_THIRD });
    assert_eq!(train.images, 4);
    let wrong = evaluate(&capture, &EvalOptions { background: [0.0; 3], ..EVERY_THIRD });
    assert!(wrong.psnr < 20.0, "a black background goes unnoticed: {wrong:?}");
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<EvalReport>(&text).expect("readable"), report);
}

#[test]
fn photos_with_alpha_are_composed_on_the_background() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Transparent where the photo is plain black, which hides another colour beneath.
    let cut_out = |photo: Image8| {
        let pixels = photo.data.chunks_exact(3);
        let data = pixels.flat_map(|p| if p == [0, 0, 0] { [9, 9, 9, 0] } else { [p[0], p[1], p[2], 255] }).collect();
        Image8 { channels: 4, data, ..photo }
    };
    let capture = capture(folder.path(), [0.0; 3], cut_out);
    let report = evaluate(&capture, &EvalOptions { background: [0.0; 3], ..EVERY_THIRD });
    assert!(report.psnr > 65.0, "{report:?}");
}

#[test]
fn drifting_exposure_is_forgiven_by_the_colour_corrected_psnr_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let darker = |mut photo: Image8| {
        photo.data.iter_mut().for_each(|v| *v = (0.7 * f32::from(*v)).round() as u8);
        photo
    };
    let report =
        evaluate(&capture(folder.path(), [0.5; 3], darker), &EvalOptions { background: [0.5; 3], ..EVERY_THIRD });
    assert!(report.psnr < 22.0 && report.cc_psnr > 45.0, "{report:?}");
}

#[test]
fn a_part_without_photos_says_how_to_get_some() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path(), DEFAULT_BACKGROUND, |photo| photo);
    let none = evaluate_splats(&balls(), &capture, &EvalOptions::default(), &mut |_, _| {});
    let said = none.expect_err("nothing is held out").to_string();
    assert!(said.contains("test part") && said.contains("--test-every 8"), "{said}");
}
