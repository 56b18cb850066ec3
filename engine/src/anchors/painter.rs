//! Drawing what anchors become, from anywhere: of each block the anchors in its cell.

use super::drawing::DrawnSplats;
use super::model::AnchorModel;
use super::sight::seen;
use crate::render::Painter;
use tessera_datasets::camera::Similarity;
use tessera_kernels::anchor_decoder::{AnchorDecoder, Decoding, Gaze, Keep};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{Rasterizer, RenderSettings, Rendering};

/// A block as it is drawn.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub model: &'a AnchorModel,
    /// Of its decoder.
    pub parameters: &'a [f32],
    /// The anchors in its cell.
    pub inside: Vec<u32>,
}

/// Decodes all blocks for each view.
#[derive(Debug)]
pub(super) struct AnchorPainter<'a> {
    parts: Vec<Part<'a>>,
    scene_from_world: Similarity,
    settings: RenderSettings,
    decoding: Decoding,
    splats: DrawnSplats,
    rasterizer: Rasterizer,
}

impl<'a> AnchorPainter<'a> {
    pub fn new(
        parts: Vec<Part<'a>>,
        decoder: AnchorDecoder,
        scene_from_world: Similarity,
        settings: RenderSettings,
    ) -> Self {
        let (decoding, rasterizer) = (Decoding::new(decoder), Rasterizer::new());
        Self { parts, scene_from_world, settings, decoding, splats: DrawnSplats::default(), rasterizer }
    }
}

impl Painter for AnchorPainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        &self.scene_from_world
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        self.splats.clear();
        for Part { model, parameters, inside } in &self.parts {
            let chosen = seen(view, model, Some(inside));
            let gaze = Gaze::From(view.position());
            self.splats.extend(self.decoding.forward(parameters, &model.anchors(), &chosen, gaze, Keep::Opaque));
        }
        self.settings.median_depth = median_depth;
        self.rasterizer.forward(&self.splats.splats(), view, &self.settings)
    }
}
