//! Drawing a moment: which Gaussians, what they look like then, and the picture.

use super::model::{Active, VideoModel};
use tessera_kernels::camera_projection::View;
use tessera_kernels::gaussian4d::{Gradients4d, Slice, slice, slice_backward};
use tessera_kernels::splat::{Counts, Rasterizer, RenderSettings, Rendering, RenderingGradient, SplatGradients};

/// Buffers that are used again and again.
#[derive(Debug, Default)]
pub struct Slicer {
    /// What was drawn last.
    pub active: Active,
    slice: Slice,
    rasterizer: Rasterizer,
    /// Of the slice that was drawn last: the colours' gradients are those of the Gaussians.
    pub colour: SplatGradients,
    /// Of the Gaussians' geometry, in the order of [`Active::rows`].
    pub geometry: Gradients4d,
    /// Which of [`Active::rows`] were in the picture, ascending.
    pub touched: Vec<u32>,
}

impl Slicer {
    /// Draws what a view sees `seconds` after the first frame.
    pub fn draw(&mut self, model: &VideoModel, seconds: f64, view: &View, settings: &RenderSettings) -> &Rendering {
        model.activate(seconds, &mut self.active);
        slice(&model.gaussians(), &self.active.rows, seconds as f32, &mut self.slice);
        let ellipsoids = self.slice.ellipsoids(&self.active.sh0, &self.active.sh_rest, model.sh_degree());
        self.rasterizer.forward(&ellipsoids, view, settings)
    }

    /// From the gradient of what was drawn last to those of the Gaussians; the arguments must be the same.
    pub fn differentiate(
        &mut self,
        model: &VideoModel,
        seconds: f64,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
    ) {
        let ellipsoids = self.slice.ellipsoids(&self.active.sh0, &self.active.sh_rest, model.sh_degree());
        self.rasterizer.backward(&ellipsoids, view, settings, gradient, &mut self.colour);
        let (rows, v) = (&self.active.rows, (&self.colour).into());
        slice_backward(&model.gaussians(), rows, seconds as f32, &v, &mut self.geometry);
        self.touched.clear();
        for chunk in 0..rows.len().div_ceil(Rasterizer::CHUNK) {
            self.touched.extend(self.rasterizer.visible_in_chunk(chunk).map(|i| i as u32));
        }
    }

    /// The picture that was drawn last.
    pub fn rendering(&self) -> &Rendering {
        self.rasterizer.rendering()
    }

    /// What drawing it took.
    pub fn counts(&self) -> Counts {
        self.rasterizer.counts()
    }
}
