//! Pictures of a volumetric video at any time, and its comparison with photos that have times.

use super::config::VideoConfig;
use super::init::seconds;
use super::model::VideoModel;
use super::render_settings;
use super::slicer::Slicer;
use crate::Result;
use crate::evaluate::{CACHE_BYTES, EvalOptions, EvalReport, evaluate_frames, part_of_capture, split_name};
use crate::frames::FrameSet;
use crate::render::Painter;
use std::sync::Arc;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::image::ImageCache;
use tessera_datasets::scene::{Timeline, VolumetricVideo};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{RenderSettings, Rendering};

/// A video made ready to be drawn in its scene's coordinates.
#[derive(Debug)]
pub struct VideoPainter {
    model: VideoModel,
    slicer: Slicer,
    settings: RenderSettings,
    scene_from_world: Similarity,
    timeline: Timeline,
    seconds: f64,
}

impl VideoPainter {
    /// Orders the Gaussians of `video`; until [`Painter::set_time`] says otherwise, the first frame is drawn.
    pub fn new(video: &VolumetricVideo, background: [f32; 3]) -> Self {
        let config = VideoConfig { sh_degree: video.sh_degree, max_splats: video.len(), ..VideoConfig::default() };
        Self {
            model: VideoModel::new(video, &config),
            slicer: Slicer::default(),
            settings: render_settings(video.sh_degree, video.antialiased, background),
            scene_from_world: video.scene_from_world,
            timeline: video.timeline,
            seconds: 0.0,
        }
    }
}

impl Painter for VideoPainter {
    fn scene_from_world(&self) -> &Similarity {
        &self.scene_from_world
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        let settings = RenderSettings { median_depth, ..self.settings };
        self.slicer.draw(&self.model, self.seconds, view, &settings)
    }

    fn set_time(&mut self, capture_time: f64) {
        self.seconds = self.timeline.seconds_at(capture_time);
    }
}

/// Compares a video with the photos of a part of a capture, each at its own time. `progress` is told how many of how many are
/// done.
///
/// # Errors
/// When the part has no photos or a photo cannot be read.
pub fn evaluate_video(
    video: &VolumetricVideo,
    capture: &Capture,
    options: &EvalOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvalReport> {
    let indices = part_of_capture(capture, options)?;
    let cache = Arc::new(ImageCache::new(capture.files.clone(), CACHE_BYTES, options.max_side));
    let frames = FrameSet::new(capture, &indices, &cache, 1);
    let mut painter = VideoPainter::new(video, options.background);
    let timeline = video.timeline;
    let mut draw = |i: usize, view: &View, out: &mut Vec<f32>| {
        painter.seconds = seconds(&frames, i, &timeline);
        out.clear();
        out.extend_from_slice(&painter.draw(view, false).rgb);
        Ok(())
    };
    evaluate_frames(&frames, split_name(options.split), options.background, &mut draw, progress)
}
