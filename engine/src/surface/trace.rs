//! Looking along rays: from a few rays to the samples that matter, their opacities and colours.

use super::field::{Field, HARMONICS, Look, Tile, harmonics};
use crate::rays::TracedRay;
use std::ops::Range;
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_kernels::sdf_render::{AlphaPartials, alpha, weights};

/// Samples of a ray at most.
pub(super) const MAX_SAMPLES: usize = 2048;
/// Samples less opaque than this are left out: a ray's worth of them hides nothing that eight bits could show.
pub(super) const INVISIBLE: f32 = 2e-5;

/// How rays are looked along.
#[derive(Clone, Copy, Debug)]
pub struct TraceSettings {
    /// Distance between samples, in sides of the cube.
    pub step: f32,
    /// Inverse width of the surface's density.
    pub sharpness: f32,
    /// How far opacity follows from the cosine alone.
    pub anneal: f32,
}

/// What was found along some rays. Kept between calls.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    /// Which samples each ray has.
    pub spans: Vec<Range<usize>>,
    /// Which ray each sample belongs to.
    pub ray_of: Vec<u32>,
    /// Distances along the rays.
    pub ts: Vec<f32>,
    /// Opacities and their derivatives by distance, cosine, step and sharpness.
    pub alphas: [Vec<f32>; 5],
    /// Colours.
    pub colours: Vec<[f32; 3]>,
    /// Places, distances, normals and activations.
    pub tile: Tile,
    /// How many samples were looked at before those that nobody sees were left out.
    pub looked_at: usize,
    harmonics: Vec<[f32; HARMONICS]>,
    cosines: Vec<f32>,
    distances: Vec<f32>,
    weights: Vec<f32>,
    keep: Vec<u32>,
}

impl Traced {
    /// Looks along `rays`, with the code that `code_of` says of a ray. Samples behind what hides them, or that hide nothing, are left out.
    pub fn trace<'a>(
        &mut self,
        field: &Field,
        occupancy: &OccupancyGrid,
        rays: &[TracedRay],
        settings: &TraceSettings,
        code_of: impl Fn(usize) -> &'a [f32],
    ) {
        self.march(occupancy, rays, settings);
        let n = self.ts.len();
        self.looked_at = n;
        field.make_room(n, &mut self.tile);
        for i in 0..n {
            if let Some(ray) = &rays[self.ray_of[i] as usize].ray {
                self.tile.place(i, ray.at(self.ts[i]));
            }
        }
        field.surface(&mut self.tile);
        self.opacities(field, rays, settings);
        self.drop_unseen();
        self.harmonics.clear();
        self.harmonics.extend(rays.iter().map(|r| harmonics(r.ray.map_or([0.0, 0.0, 1.0], |r| r.direction))));
        let (of_ray, ray_of) = (&self.harmonics, &self.ray_of);
        let look = |ray: usize| Look { harmonics: &of_ray[ray], code: code_of(ray) };
        field.colours(&mut self.tile, |i| look(ray_of[i] as usize));
        self.colours.clear();
        self.colours.extend((0..self.ts.len()).map(|i| field.colour_of(&self.tile, i)));
    }

    fn march(&mut self, occupancy: &OccupancyGrid, rays: &[TracedRay], settings: &TraceSettings) {
        self.ts.clear();
        self.spans.clear();
        self.ray_of.clear();
        for (r, traced) in rays.iter().enumerate() {
            let span = match &traced.ray {
                Some(ray) => occupancy.march(ray, settings.step, traced.jitter, MAX_SAMPLES, &mut self.ts),
                None => self.ts.len()..self.ts.len(),
            };
            self.ray_of.resize(span.end, r as u32);
            self.spans.push(span);
        }
    }

    fn opacities(&mut self, field: &Field, rays: &[TracedRay], settings: &TraceSettings) {
        let n = self.ts.len();
        self.cosines.clear();
        self.distances.clear();
        for i in 0..n {
            let (normal, ray) = (self.tile.normal_of(i), rays[self.ray_of[i] as usize].ray);
            let direction = ray.map_or([0.0; 3], |r| r.direction);
            self.cosines.push((0..3).map(|k| normal[k] * direction[k]).sum());
            self.distances.push(field.distance_of(&self.tile, i));
        }
        self.weights.clear();
        self.weights.resize(n, settings.step);
        self.alphas.iter_mut().for_each(|values| values.resize(n, 0.0));
        let [alphas, distance, cosine, step, sharpness] = &mut self.alphas;
        let partials = AlphaPartials { distance, cosine, step, sharpness };
        alpha([&self.distances, &self.cosines, &self.weights], settings.sharpness, settings.anneal, alphas, partials);
    }

    fn drop_unseen(&mut self) {
        self.keep.clear();
        for span in &mut self.spans {
            let alphas = &self.alphas[0][span.clone()];
            let (seen, _) = weights(alphas, &mut self.weights[span.clone()]);
            let first = self.keep.len();
            let kept = (0..seen).filter(|&i| alphas[i] > INVISIBLE).map(|i| (span.start + i) as u32);
            self.keep.extend(kept);
            *span = first..self.keep.len();
        }
        if self.keep.len() == self.ts.len() {
            return;
        }
        self.tile.retain(&self.keep);
        for values in self.alphas.iter_mut().chain([&mut self.ts]) {
            self.keep.iter().enumerate().for_each(|(to, &from)| values[to] = values[from as usize]);
            values.truncate(self.keep.len());
        }
        self.keep.iter().enumerate().for_each(|(to, &from)| self.ray_of[to] = self.ray_of[from as usize]);
        self.ray_of.truncate(self.keep.len());
    }
}
