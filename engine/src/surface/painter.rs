//! Drawing a surface from anywhere.

use super::Surface;
use super::rays::RayMaker;
use super::trace::{TraceSettings, Traced, TracedRay};
use rayon::prelude::*;
use tessera_kernels::camera_projection::View;
use tessera_kernels::sdf_render::{Ray, blend};

/// Rays looked along at a time.
const RAYS: usize = 32;

impl Surface {
    /// How its rays are looked along.
    pub fn trace_settings(&self) -> TraceSettings {
        TraceSettings { step: self.step_length(self.sharpness), sharpness: self.sharpness, anneal: 1.0 }
    }

    /// Draws what `view`, in scene coordinates, sees into `[3, H, W]`: the surface, in front of its backdrop if it has one, in front of
    /// `background`.
    pub fn paint(&self, view: &View, background: [f32; 3], out: &mut Vec<f32>) {
        let (width, pixels) = (view.width, view.width * view.height);
        let maker = RayMaker::new(view, &self.scene_box);
        let settings = self.trace_settings();
        let backdrop = self.backdrop.as_ref().map(|backdrop| backdrop.painter(background).paint(view).rgb.clone());
        let behind = |i: usize| match &backdrop {
            Some(rgb) => std::array::from_fn(|k| rgb[k * pixels + i].clamp(0.0, 1.0)),
            None => background,
        };
        let of_chunk = |(traced, rays): &mut (Traced, Vec<TracedRay>), chunk: usize| -> Vec<[f32; 3]> {
            let range = chunk * RAYS..((chunk + 1) * RAYS).min(pixels);
            rays.clear();
            rays.extend(range.map(|i| {
                let ray = maker.ray([(i % width) as f64 + 0.5, (i / width) as f64 + 0.5]);
                TracedRay { ray, jitter: 0.5 }
            }));
            traced.trace(&self.field, &self.occupancy, rays, &settings);
            let mut weights = Vec::new();
            let colour = |(i, span): (usize, &std::ops::Range<usize>)| {
                weights.resize(span.len(), 0.0);
                let alphas = &traced.alphas[0][span.clone()];
                let background = behind(chunk * RAYS + i);
                blend(&Ray { alphas, colours: &traced.colours[span.clone()], background }, &mut weights).colour
            };
            traced.spans.iter().enumerate().map(colour).collect()
        };
        let chunks = (0..pixels.div_ceil(RAYS)).into_par_iter().map_init(Default::default, of_chunk);
        out.resize(3 * pixels, 0.0);
        for (i, colour) in chunks.collect::<Vec<_>>().into_iter().flatten().enumerate() {
            (0..3).for_each(|k| out[k * pixels + i] = colour[k]);
        }
    }
}
