use super::*;
use crate::evaluate::{EvalOptions, evaluate_capture};
use std::path::Path;
use tessera_datasets::synthetic::{Options, SceneKind, write};

/// Shows all in grey, as deep as the capture's own pictures of depth say.
struct Grey {
    frames: FrameSet,
    scene_from_world: Similarity,
    rendering: Rendering,
}

impl Grey {
    fn new(capture: &Capture) -> Self {
        let split = Split { test_every: 0, resolution: 0, image_cache_mb: 64 };
        let (frames, _) = FrameSet::split(capture, &split).expect("photos");
        Self { frames, scene_from_world: capture.scene_from_world, rendering: Rendering::default() }
    }
}

impl Painter for Grey {
    fn scene_from_world(&self) -> &Similarity {
        &self.scene_from_world
    }

    fn draw(&mut self, view: &View, _: bool) -> &Rendering {
        let same = (0..self.frames.len()).find(|&i| self.frames.view(i, 1).translation == view.translation);
        let frame = self.frames.load(same.expect("a view of the capture"), 1).expect("a photo");
        let depth = frame.pixels.depth.as_ref().expect("made captures know depths");
        let pixels = view.width * view.height;
        let is_there = |i: usize| frame.pixels.image.data[4 * i + 3] > 127;
        self.rendering = Rendering {
            width: view.width,
            height: view.height,
            rgb: (0..3 * pixels).map(|i| if is_there(i % pixels) { 0.5 } else { 1.0 }).collect(),
            transmittance: (0..pixels).map(|i| if is_there(i) { 0.0 } else { 1.0 }).collect(),
            depth: Vec::new(),
            median_depth: (0..pixels)
                .map(|i| if is_there(i) { frame.depth_scale * depth.data[i] } else { 0.0 })
                .collect(),
        };
        &self.rendering
    }
}

fn still_life(folder: &Path) -> Capture {
    let options = Options { width: 120, height: 90, views: Some(24), rgba: true, points: 200, ..Options::default() };
    write(SceneKind::StillLife, &options, folder, false, &|_, _| {}).expect("a capture");
    Capture::open(folder).expect("what was written")
}

fn details(capture: &Capture, photos: usize, megabytes: usize) -> PhotoDetails {
    let split = Split { test_every: 6, resolution: 0, image_cache_mb: megabytes };
    PhotoDetails::new(capture, &split, photos, [1.0; 3]).expect("photos")
}

#[test]
fn a_grey_scene_of_the_right_shape_gets_the_colours_of_photos_nearby() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let options = EvalOptions { test_every: Some(6), ..EvalOptions::default() };
    let mut grey = Grey::new(&capture);
    let plain = evaluate_capture(&capture, &options, &mut grey, &mut |_, _| {}).expect("photos").psnr;
    let mut detailed = DetailedPainter::new(&mut grey, Some(details(&capture, 4, 64)));
    let with_details = evaluate_capture(&capture, &options, &mut detailed, &mut |_, _| {}).expect("photos").psnr;
    // What no other photo sees stays grey, and edges are as deep as either side of them: hence not more.
    assert!(with_details > plain + 5.0, "{plain:.2} dB become {with_details:.2} dB");
}

#[test]
fn a_photo_does_not_lend_its_details_to_the_picture_that_it_is_compared_with() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let details = details(&capture, 30, 64);
    for i in 0..details.frames.len() {
        let nearest = details.nearest(&details.frames.view(i, 1), &Vector3::zeros());
        assert!(!nearest.contains(&i) && nearest.len() + 1 == details.frames.len(), "photo {i}: {nearest:?}");
    }
}

#[test]
fn pictures_do_not_depend_on_what_is_kept_of_earlier_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = still_life(folder.path());
    let views: Vec<View> = Grey::new(&capture).frames.views().take(6).copied().collect();
    let mut drawn = Vec::new();
    for megabytes in [0, 64] {
        let (mut grey, details) = (Grey::new(&capture), details(&capture, 3, megabytes));
        let mut painter = DetailedPainter::new(&mut grey, Some(details));
        let pictures: Vec<Vec<f32>> = views.iter().map(|view| painter.draw(view, false).rgb.clone()).collect();
        let kept = painter.details.as_ref().map_or(0, |details| details.kept.len());
        assert!(megabytes > 0 || kept <= 3, "more are kept than there is room for");
        drawn.push(pictures);
    }
    for (i, (few, many)) in drawn[0].iter().zip(&drawn[1]).enumerate() {
        let same = few.iter().zip(many).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(same, "picture {i} is another one when more is kept");
    }
}
