//! Drawing radiance from anywhere.

use super::Radiance;
use super::trace::Traced;
use crate::rays::TracedRay;
use crate::rays::paint::{Seen, middle, paint};
use crate::render::Painter;
use tessera_datasets::camera::Similarity;
use tessera_kernels::camera_projection::View;
use tessera_kernels::sdf_render::Ray;
use tessera_kernels::splat::Rendering;

/// Rays looked along at a time.
const RAYS: usize = 128;

/// What looking along a few rays needs.
#[derive(Default)]
struct Scratch {
    traced: Traced,
    rays: Vec<TracedRay>,
    weights: Vec<f32>,
}

impl Radiance {
    /// Draws what `view`, in scene coordinates, sees in front of `background`.
    pub fn paint(&self, view: &View, background: [f32; 3], out: &mut Rendering) {
        paint(view, &self.space.scene_box, RAYS, out, |scratch: &mut Scratch, maker, pixels, seen| {
            let Scratch { traced, rays, weights } = scratch;
            rays.clear();
            rays.extend(pixels.map(|i| self.space.ray(maker, middle(i, view.width), 0.5)));
            traced.trace(self, rays);
            seen.extend(traced.spans.iter().map(|span| {
                let (alphas, colours) = (&traced.alphas[span.clone()], &traced.colours[span.clone()]);
                Seen::blended(&Ray { alphas, colours, background }, &traced.ts[span.clone()], weights)
            }));
        });
    }
}

/// Draws radiance on a background.
#[derive(Debug)]
pub struct RadiancePainter<'a> {
    radiance: &'a Radiance,
    background: [f32; 3],
    rendering: Rendering,
}

impl<'a> RadiancePainter<'a> {
    /// Gets ready.
    pub fn new(radiance: &'a Radiance, background: [f32; 3]) -> Self {
        Self { radiance, background, rendering: Rendering::default() }
    }
}

impl Painter for RadiancePainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        &self.radiance.scene_from_world
    }

    fn draw(&mut self, view: &View, _median_depth: bool) -> &Rendering {
        self.radiance.paint(view, self.background, &mut self.rendering);
        &self.rendering
    }
}
