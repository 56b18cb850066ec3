use super::*;
use std::collections::HashSet;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::{DepthSource, MaskSource};
use tessera_datasets::files::Files;
use tessera_datasets::image::{DepthImage, Image8, Mask8, save_png};

/// A capture of `count` photos of 8x6 pixels in a folder of its own; photo `i` is of the grey level `10 i`.
fn capture(folder: &std::path::Path, count: usize) -> Capture {
    let frames = (0..count).map(|i| {
        let name = format!("{i}.png");
        let mut image = Image8::new(8, 6, 3);
        image.data.fill(10 * i as u8);
        save_png(folder.join(&name), &image).expect("the folder is writable");
        Frame {
            name: name.clone(),
            image: name,
            video_frame: None,
            mask: None,
            depth: None,
            normals: None,
            camera: Camera::from_horizontal_fov(8, 6, 1.0),
            camera_from_world: Pose::translation(0.1 * i as f64, 0.0, 2.0),
            time: None,
            rig_camera: None,
            split: None,
        }
    });
    Capture {
        name: "test".to_owned(),
        frames: frames.collect(),
        files: Arc::new(Files::open(folder).expect("the folder exists")),
        layout: "made".to_owned(),
        points: Vec::new(),
        scene_from_world: Similarity::from_scaling(0.5),
        warnings: Vec::new(),
    }
}

fn cache(capture: &Capture) -> Arc<ImageCache> {
    Arc::new(ImageCache::new(capture.files.clone(), 1 << 20, None))
}

#[test]
fn each_epoch_shows_every_frame_once_in_another_order() {
    let mut sampler = Sampler::new(12, 7);
    let mut epoch = || -> Vec<usize> { (0..12).map(|_| sampler.advance()).collect() };
    let (first, second) = (epoch(), epoch());
    for order in [&first, &second] {
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), 12, "{order:?} does not show every frame once");
    }
    assert_ne!(first, second);
}

#[test]
fn a_restored_sampler_goes_on_as_if_nothing_had_happened() {
    let mut sampler = Sampler::new(9, 3);
    (0..31).for_each(|_| _ = sampler.advance());
    let saved = serde_json::to_string(&sampler.state()).expect("plain numbers");
    let mut restored = Sampler::restore(9, serde_json::from_str(&saved).expect("as written"));
    for _ in 0..40 {
        let ahead: Vec<usize> = (0..9).map(|k| sampler.peek(k)).collect();
        assert_eq!(ahead, (0..9).map(|k| restored.peek(k)).collect::<Vec<_>>());
        let next = sampler.advance();
        assert_eq!((next, next), (ahead[0], restored.advance()));
    }
}

#[test]
fn one_frame_is_an_epoch_of_its_own() {
    let mut sampler = Sampler::new(1, 0);
    assert_eq!((sampler.peek(5), sampler.advance(), sampler.advance()), (0, 0, 0));
}

#[test]
fn frames_arrive_in_the_samplers_order_at_the_asked_size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path(), 10);
    let frames = FrameSet::new(&capture, &[1, 3, 5, 7], &cache(&capture), 2);
    let mut sampler = Sampler::new(frames.len(), 1);
    for step in 0..12 {
        let expected = sampler.peek(0);
        let frame = frames.next(&mut sampler, 2).expect("the photo is there");
        assert_eq!(frame.index, expected, "step {step}");
        assert_eq!((frame.view.width, frame.view.height), (4, 3));
        assert_eq!((frame.pixels.image.width, frame.pixels.image.height), (4, 3));
        assert_eq!(usize::from(frame.pixels.image.data[0]), 10 * frames.capture_index(frame.index));
        let full = frames.view(frame.index, 1);
        assert!((full.lens.focal[0] / frame.view.lens.focal[0] - 2.0).abs() < 1e-12);
    }
}

#[test]
fn views_are_in_scene_coordinates() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path(), 3);
    let frames = FrameSet::new(&capture, &[2], &cache(&capture), 1);
    // The scene is half as large as the world, so the camera is half as far away.
    assert_eq!(frames.view(0, 1).translation, [0.1, 0.0, 1.0]);
}

#[test]
fn a_missing_photo_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = capture(folder.path(), 2);
    std::fs::remove_file(folder.path().join("1.png")).expect("it was written");
    let frames = FrameSet::new(&capture, &[0, 1], &cache(&capture), 1);
    let message = frames.load(1, 1).expect_err("the photo is gone").to_string();
    assert!(message.contains("1.png"), "{message}");
}

#[test]
fn depth_comes_in_scene_units_and_unknown_depth_as_zero() {
    let pixels = FramePixels {
        image: Image8::new(2, 1, 3),
        mask: Some(Mask8 { width: 2, height: 1, data: vec![255, 0] }),
        depth: Some(DepthImage { width: 2, height: 1, data: vec![3.0, f32::NAN] }),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut capture = capture(folder.path(), 1);
    capture.frames[0].mask = Some(MaskSource { path: "m.png".to_owned(), kind: MaskKind::Ignore });
    capture.frames[0].depth = Some(DepthSource { path: "d.png".to_owned(), scale: 1e-3 });
    let frames = FrameSet::new(&capture, &[0], &cache(&capture), 1);
    let frame = TrainingFrame {
        index: 0,
        view: frames.view(0, 1),
        pixels: Arc::new(pixels),
        mask_kind: Some(MaskKind::Ignore),
        depth_scale: frames.frames[0].depth_scale,
    };
    let mut target = FrameTarget::default();
    target.fill(&frame, [0.0; 3]);
    assert_eq!(target.depth, [1.5, 0.0]);
    assert_eq!(target.picture.weight.as_deref(), Some(&[1.0, 0.0][..]));
}
