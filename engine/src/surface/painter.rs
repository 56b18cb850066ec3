//! Drawing a surface from anywhere.

use super::Surface;
use super::trace::{TraceSettings, Traced};
use crate::rays::TracedRay;
use crate::rays::paint::{Seen, middle, paint};
use crate::render::{Painter, SplatPainter};
use tessera_datasets::camera::Similarity;
use tessera_kernels::camera_projection::View;
use tessera_kernels::sdf_render::Ray;
use tessera_kernels::splat::Rendering;

/// Rays looked along at a time.
const RAYS: usize = 32;

impl Surface {
    /// How its rays are looked along.
    pub fn trace_settings(&self) -> TraceSettings {
        TraceSettings { step: self.step_length(self.sharpness), sharpness: self.sharpness, anneal: 1.0 }
    }
}

/// Draws a surface in front of its backdrop if it has one, in front of a background.
#[derive(Debug)]
pub struct SurfacePainter<'a> {
    surface: &'a Surface,
    background: [f32; 3],
    backdrop: Option<SplatPainter>,
    rendering: Rendering,
}

/// What looking along a few rays needs.
#[derive(Default)]
struct Scratch {
    traced: Traced,
    rays: Vec<TracedRay>,
    weights: Vec<f32>,
}

impl<'a> SurfacePainter<'a> {
    /// Gets ready.
    pub fn new(surface: &'a Surface, background: [f32; 3]) -> Self {
        let backdrop = surface.backdrop.as_ref().map(|backdrop| backdrop.painter(background));
        Self { surface, background, backdrop, rendering: Rendering::default() }
    }
}

impl Painter for SurfacePainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        &self.surface.scene_from_world
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        let (surface, pixels) = (self.surface, view.width * view.height);
        let backdrop = self.backdrop.as_mut().map(|painter| painter.draw(view, median_depth));
        let behind = |i: usize| match backdrop {
            Some(backdrop) => std::array::from_fn(|k| backdrop.rgb[k * pixels + i].clamp(0.0, 1.0)),
            None => self.background,
        };
        let settings = surface.trace_settings();
        let out = &mut self.rendering;
        paint(view, &surface.scene_box, RAYS, out, |scratch: &mut Scratch, maker, range, seen| {
            let Scratch { traced, rays, weights } = scratch;
            rays.clear();
            rays.extend(range.clone().map(|i| TracedRay { ray: maker.ray(middle(i, view.width)), jitter: 0.5 }));
            traced.trace(&surface.field, &surface.occupancy, rays, &settings, |_| &[]);
            seen.extend(range.zip(&traced.spans).map(|(i, span)| {
                let (alphas, colours) = (&traced.alphas[0][span.clone()], &traced.colours[span.clone()]);
                Seen::blended(&Ray { alphas, colours, background: behind(i) }, &traced.ts[span.clone()], weights)
            }));
        });
        if let Some(backdrop) = backdrop {
            // Where more than half passes the surface, the backdrop says how deep it is; what passes both is the background.
            for i in 0..pixels {
                if out.median_depth[i] == 0.0 && median_depth {
                    out.median_depth[i] = backdrop.median_depth[i];
                }
                out.transmittance[i] *= backdrop.transmittance[i];
            }
        }
        &self.rendering
    }
}
