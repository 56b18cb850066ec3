//! Pictures of a trained volumetric video at any time.

use super::config::VideoConfig;
use super::model::VideoModel;
use super::render_settings;
use super::slicer::Slicer;
use crate::Result;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_capture};
use crate::render::Painter;
use crate::splats::MaskUse;
use crate::target::with_masks;
use crate::train::CheckpointReader;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::{Timeline, VolumetricVideo};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{RenderSettings, Rendering};

/// The Gaussians of a run. In memory are those of the moment that is looked at; the others wait on disk.
#[derive(Debug)]
pub struct TrainedVideo {
    model: VideoModel,
    antialiased: bool,
    masks: MaskUse,
    /// From the world of the capture to the scene.
    pub scene_from_world: Similarity,
    /// Its frames.
    pub timeline: Timeline,
}

impl TrainedVideo {
    /// What a checkpoint holds.
    ///
    /// # Errors
    /// When something is missing or does not fit the settings of its run, or the disk refuses.
    pub fn of_checkpoint(checkpoint: &CheckpointReader, config: &VideoConfig) -> Result<Self> {
        let (start, frame_rate, frames) = checkpoint.state("timeline")?;
        let timeline = Timeline { start, frame_rate, frames };
        let mut model = VideoModel::new(timeline, config);
        model.load(checkpoint)?;
        model.hold([0.0; 2])?;
        let scene_from_world = checkpoint.state("scene_from_world")?;
        Ok(Self { model, antialiased: config.antialiased, masks: config.masks, scene_from_world, timeline })
    }

    /// The means of the Gaussians in memory, `[N, 3]`, scene units.
    pub fn means(&self) -> &[[f32; 3]] {
        self.model.means.values.as_chunks().0
    }

    /// Compares it with photos, whose masks are used as in training.
    ///
    /// # Errors
    /// When there are none, one cannot be read, or the disk refuses.
    pub fn evaluate(
        &mut self,
        capture: &Capture,
        options: &EvalOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<EvalReport> {
        let capture = with_masks(capture, self.masks);
        evaluate_capture(&capture, options, &mut VideoPainter::new(self, options.background)?, progress)
    }

    /// All of it as data, in scene coordinates.
    ///
    /// # Errors
    /// When those that wait on disk cannot be read.
    pub fn to_video(&self) -> Result<VolumetricVideo> {
        self.model.to_video(&like(&self.model, self.timeline, self.antialiased, self.scene_from_world))
    }
}

/// A scene without Gaussians that is in all else as the model's.
pub(super) fn like(
    model: &VideoModel,
    timeline: Timeline,
    antialiased: bool,
    scene_from_world: Similarity,
) -> VolumetricVideo {
    let empty = VolumetricVideo::with_capacity(0, model.sh_degree(), timeline);
    VolumetricVideo { antialiased, scene_from_world, ..empty }
}

/// Draws a video in its scene's coordinates; until [`Painter::set_time`] says otherwise, its first frame.
#[derive(Debug)]
pub struct VideoPainter<'a> {
    video: &'a mut TrainedVideo,
    slicer: Slicer,
    settings: RenderSettings,
    seconds: f64,
}

impl<'a> VideoPainter<'a> {
    /// With a colour behind it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new(video: &'a mut TrainedVideo, background: [f32; 3]) -> Result<Self> {
        video.model.hold([0.0; 2])?;
        let settings = render_settings(video.model.sh_degree(), video.antialiased, background);
        Ok(Self { video, slicer: Slicer::default(), settings, seconds: 0.0 })
    }
}

impl Painter for VideoPainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        &self.video.scene_from_world
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        let settings = RenderSettings { median_depth, ..self.settings };
        self.slicer.draw(&self.video.model, self.seconds, view, &settings)
    }

    fn set_time(&mut self, capture_time: f64) -> Result<()> {
        self.seconds = self.video.timeline.seconds_at(capture_time);
        self.video.model.hold([self.seconds; 2])
    }
}
