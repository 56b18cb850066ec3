//! Pictures of what rays are looked along.

use super::{RayMaker, SceneBox};
use rayon::prelude::*;
use std::ops::Range;
use tessera_kernels::camera_projection::View;
use tessera_kernels::sdf_render::{Ray, blend};
use tessera_kernels::splat::Rendering;

/// What a pixel's ray sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// With what is behind.
    pub colour: [f32; 3],
    /// What passes.
    pub transmittance: f32,
    /// How far along the ray half of the light is stopped, in sides of the cube; 0 where more passes.
    pub distance: f32,
}

impl Seen {
    /// Blends the samples of a ray at distances `ts`; `weights` is room for theirs.
    pub fn blended(ray: &Ray<'_>, ts: &[f32], weights: &mut Vec<f32>) -> Self {
        weights.resize(ray.alphas.len(), 0.0);
        let blended = blend(ray, weights);
        let mut sum = 0.0;
        let middle = weights.iter().position(|w| {
            sum += w;
            sum >= 0.5
        });
        Self { colour: blended.colour, transmittance: blended.transmittance, distance: middle.map_or(0.0, |i| ts[i]) }
    }
}

/// Draws `view`: `look` is given the numbers of a few pixels, row by row, and appends what each sees. Depths are in units of the view.
pub fn paint<S: Default + Send>(
    view: &View,
    scene_box: &SceneBox,
    together: usize,
    out: &mut Rendering,
    look: impl Fn(&mut S, &RayMaker, Range<usize>, &mut Vec<Seen>) + Sync,
) {
    let pixels = view.width * view.height;
    let maker = RayMaker::new(view, scene_box);
    let of_chunk = |scratch: &mut S, chunk: usize| {
        let range = chunk * together..((chunk + 1) * together).min(pixels);
        let mut seen = Vec::with_capacity(range.len());
        look(scratch, &maker, range, &mut seen);
        seen
    };
    let chunks = (0..pixels.div_ceil(together)).into_par_iter().map_init(S::default, of_chunk);
    let seen = chunks.collect::<Vec<_>>().into_iter().flatten();
    (out.width, out.height) = (view.width, view.height);
    out.rgb.resize(3 * pixels, 0.0);
    out.transmittance.resize(pixels, 0.0);
    out.median_depth.resize(pixels, 0.0);
    let side = scene_box.side() as f32;
    for (i, seen) in seen.enumerate() {
        (0..3).for_each(|k| out.rgb[k * pixels + i] = seen.colour[k]);
        out.transmittance[i] = seen.transmittance;
        out.median_depth[i] = seen.distance * side * maker.forward(middle(i, view.width));
    }
}

/// The middle of a pixel.
pub fn middle(i: usize, width: usize) -> [f64; 2] {
    [(i % width) as f64 + 0.5, (i / width) as f64 + 0.5]
}
