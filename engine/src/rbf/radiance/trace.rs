//! Looking along rays, in waves: each wave adds a few samples to every ray that something can still be seen behind.
//!
//! Rays through something opaque thus end soon after they meet it, and the samples of a wave fill whole tiles.

use super::{BASIS, Radiance, harmonics};
use crate::rays::TracedRay;
use crate::rbf::field::{Field, Tile};
use std::ops::Range;
use tessera_kernels::sdf_render::STOP;

/// Samples of a wave that are aimed at: what a tile computes with them fits the second-level cache.
const WAVE: usize = 384;
/// Samples that a wave adds to a ray, at least and at most.
const OF_RAY: [usize; 2] = [4, 32];
/// The largest exponent of a density.
const MOST: f32 = 12.0;

/// Samples that were computed together.
#[derive(Clone, Debug, Default)]
pub struct Wave {
    /// What the field has for them.
    pub tile: Tile,
    /// Their numbers among all samples.
    pub samples: Vec<u32>,
    /// Which ray each belongs to.
    pub ray_of: Vec<u32>,
}

/// What was found along some rays. Kept between calls.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    /// Distances of steps through occupied cells, in sides of the box.
    pub ts: Vec<f32>,
    /// Which of those each ray has; those that were looked at, after [`Traced::trace`].
    pub spans: Vec<Range<usize>>,
    /// Density times step: `α = 1 - e^-x`.
    pub depths: Vec<f32>,
    /// Opacities.
    pub alphas: Vec<f32>,
    /// Colours.
    pub colours: Vec<[f32; 3]>,
    /// Harmonics of each ray's direction.
    pub harmonics: Vec<[f32; BASIS]>,
    waves: Vec<Wave>,
    used: usize,
    alive: Vec<Alive>,
}

/// A ray that something can still be seen behind.
#[derive(Clone, Copy, Debug)]
struct Alive {
    ray: usize,
    next: usize,
    transmittance: f32,
}

impl Traced {
    /// The waves of the last call.
    pub fn waves(&mut self) -> (&mut [Wave], TracedParts<'_>) {
        let parts = TracedParts { depths: &self.depths, colours: &self.colours, harmonics: &self.harmonics };
        (&mut self.waves[..self.used], parts)
    }

    /// How many samples were looked at.
    pub fn samples(&self) -> usize {
        self.spans.iter().map(Range::len).sum()
    }

    /// Looks along `rays`.
    pub fn trace(&mut self, radiance: &Radiance, rays: &[TracedRay]) {
        self.march(radiance, rays);
        self.used = 0;
        let spans = self.spans.iter().enumerate().filter(|(_, span)| !span.is_empty());
        self.alive.clear();
        self.alive.extend(spans.map(|(ray, span)| Alive { ray, next: span.start, transmittance: 1.0 }));
        while !self.alive.is_empty() {
            self.waves.resize_with(self.waves.len().max(self.used + 1), Wave::default);
            let mut wave = std::mem::take(&mut self.waves[self.used]);
            self.place(radiance, rays, &mut wave);
            radiance.field.prepare(&mut wave.tile);
            radiance.field.values(&mut wave.tile, &[]);
            self.look(radiance, rays, &wave);
            self.waves[self.used] = wave;
            self.used += 1;
            self.advance();
        }
    }

    fn march(&mut self, radiance: &Radiance, rays: &[TracedRay]) {
        self.ts.clear();
        self.spans.clear();
        let march = |ray| radiance.space.march(&radiance.occupancy, ray, &mut self.ts);
        self.spans.extend(rays.iter().map(march));
        let degree = radiance.config.sh_degree;
        self.harmonics.clear();
        self.harmonics.extend(rays.iter().map(|r| harmonics(degree, r.ray.map_or([0.0, 0.0, 1.0], |r| r.direction))));
        self.depths.resize(self.ts.len(), 0.0);
        self.alphas.resize(self.ts.len(), 0.0);
        self.colours.resize(self.ts.len(), [0.0; 3]);
    }

    /// The next samples of every ray that is left.
    fn place(&self, radiance: &Radiance, rays: &[TracedRay], wave: &mut Wave) {
        let of_ray = (WAVE / self.alive.len()).clamp(OF_RAY[0], OF_RAY[1]);
        wave.samples.clear();
        wave.ray_of.clear();
        for alive in &self.alive {
            let samples = alive.next..(alive.next + of_ray).min(self.spans[alive.ray].end);
            wave.ray_of.resize(wave.ray_of.len() + samples.len(), alive.ray as u32);
            wave.samples.extend(samples.map(|i| i as u32));
        }
        radiance.field.make_room(wave.samples.len(), &mut wave.tile);
        for (i, (&sample, &ray)) in wave.samples.iter().zip(&wave.ray_of).enumerate() {
            if let Some(ray) = &rays[ray as usize].ray {
                wave.tile.place(i, radiance.space.to_cube(ray.at(self.ts[sample as usize])));
            }
        }
    }

    /// Opacities and colours of a wave.
    fn look(&mut self, radiance: &Radiance, rays: &[TracedRay], wave: &Wave) {
        let field = &radiance.field;
        for (i, (&sample, &ray)) in wave.samples.iter().zip(&wave.ray_of).enumerate() {
            let (sample, ray) = (sample as usize, ray as usize);
            let Some(marched) = &rays[ray].ray else { continue };
            let step = radiance.space.step_of(marched, self.ts[sample]);
            self.depths[sample] = density(field, &wave.tile, i) * step;
            self.alphas[sample] = -(-self.depths[sample]).exp_m1();
            self.colours[sample] = colour(field, &wave.tile, i, &self.harmonics[ray]);
        }
    }

    /// Rays go on behind the samples of a wave, or end.
    fn advance(&mut self) {
        let of_ray = (WAVE / self.alive.len()).clamp(OF_RAY[0], OF_RAY[1]);
        let (alphas, spans) = (&self.alphas, &mut self.spans);
        self.alive.retain_mut(|alive| {
            let span = &mut spans[alive.ray];
            let end = (alive.next + of_ray).min(span.end);
            for alpha in &alphas[alive.next..end] {
                alive.transmittance *= 1.0 - alpha;
            }
            alive.next = end;
            if alive.transmittance < STOP {
                span.end = end;
            }
            alive.next < span.end
        });
    }
}

/// What gradients need of [`Traced`] besides its waves.
#[derive(Clone, Copy, Debug)]
pub struct TracedParts<'a> {
    /// Density times step.
    pub depths: &'a [f32],
    /// Colours.
    pub colours: &'a [[f32; 3]],
    /// Harmonics of each ray's direction.
    pub harmonics: &'a [[f32; BASIS]],
}

/// The density of a place, for a way of 1 in box coordinates.
#[inline]
pub fn density(field: &Field, tile: &Tile, i: usize) -> f32 {
    field.value(tile, 0, i).min(MOST).exp()
}

/// Whether the density of a place changes with the field's value.
#[inline]
pub fn grows(field: &Field, tile: &Tile, i: usize) -> bool {
    field.value(tile, 0, i) < MOST
}

/// The colour of a place from a direction.
#[inline]
pub fn colour(field: &Field, tile: &Tile, i: usize, harmonics: &[f32; BASIS]) -> [f32; 3] {
    let count = (field.decoder.outputs() - 1) / 3;
    std::array::from_fn(|c| {
        let sum: f32 = (0..count).map(|k| harmonics[k] * field.value(tile, 1 + c * count + k, i)).sum();
        1.0 / (1.0 + (-sum).exp())
    })
}
