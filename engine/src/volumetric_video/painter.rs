//! Pictures of a volumetric video at any time.

use super::config::VideoConfig;
use super::model::VideoModel;
use super::render_settings;
use super::slicer::Slicer;
use crate::render::Painter;
use tessera_datasets::camera::Similarity;
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
