//! One training step: rays through random pixels, compared, differentiated; and the condition on the distance's gradient, there and at random
//! places in the box.

use super::appearance::Appearance;
use super::config::Rates;
use super::field::{DISTANCE_OUTPUTS, Field, Tile, at, input_tangent};
use super::smooth::{PairDraw, Smoothness};
use super::trace::{TraceSettings, Traced};
use super::{SurfaceTraining, occupied, optimiser};
use crate::Result;
use crate::frames::TrainingFrame;
use crate::rays::{RayDraw, TracedRay, TrainingRay};
use crate::train::StepReport;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use tessera_kernels::hash_grid::SampleGradients;
use tessera_kernels::image_loss::psnr;
use tessera_kernels::mlp::{Activations, BLOCK};
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_kernels::sdf_render::{Ray, RayGradient, blend, blend_backward};

/// Sums of gradients are kept for so many groups of rays, whatever the number of threads.
pub(super) const GROUPS: usize = 32;
/// Samples that are computed together: their activations fit the second-level cache.
pub(super) const SAMPLES: f64 = 256.0;
/// For each sample along rays, so many random places.
const RANDOM_PLACES: f64 = 0.125;
/// From this difference of colours on the loss grows linearly.
pub(super) const HUBER: f32 = 0.1;
/// Up to this difference of colours a pixel shows what is behind the box.
const ALIKE: f32 = 0.04;

/// What differs from step to step.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    /// One over the number of rays.
    pub per_ray: f32,
    /// Of the eikonal condition, for each sample.
    pub per_sample: f32,
    pub mask: f32,
    pub smoothness: Smoothness,
}

/// What a step learns from.
#[derive(Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub rays: &'a [TrainingRay],
    /// Where the distance's gradient should have length 1.
    pub places: &'a [[f32; 3]],
    /// For each ray the pair that is drawn on it, if one is.
    pub pairs: &'a [Option<PairDraw>],
    pub settings: TraceSettings,
    pub weights: Weights,
}

/// What a step found out.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub loss: f64,
    /// Of all rays' colours.
    pub squared_error: f64,
    /// As if each sample that was looked at cost a third of one that was learned from.
    pub samples: usize,
}

/// What all rays of a step are learned from with.
struct Context<'a> {
    field: &'a Field,
    occupancy: &'a OccupancyGrid,
    appearance: &'a Appearance,
    settings: TraceSettings,
    weights: Weights,
}

/// The buffers of a group of rays, and what was summed over it.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub traced: Traced,
    /// What the hash grid's gradient needs of each chunk of samples.
    chunks: Vec<ChunkGradients>,
    used: usize,
    distance: Vec<f32>,
    colour: Vec<f32>,
    variance: f64,
    codes: Vec<f32>,
    /// Gradients by the distance network's layers.
    pub d: Activations,
    f: Activations,
    colour_d: Activations,
    pub loss: f64,
    squared_error: f64,
    /// Three for each sample.
    thirds: usize,
    rays: Vec<TracedRay>,
    /// Places on the surface, two beside each other each.
    pub pairs: Vec<[f32; 3]>,
}

/// `[blocks, rows, 16]` each.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkGradients {
    positions: Vec<f32>,
    encoding: Vec<f32>,
    sensitivity: Vec<f32>,
    /// By normals.
    pub v: Vec<f32>,
    /// By the input of the colour network; empty where colours were not asked for.
    colour_input: Vec<f32>,
}

impl SurfaceTraining {
    /// Takes the step number `step`, counted from 0.
    pub(super) fn train_step(&mut self, step: u64) -> Result<StepReport> {
        self.prepare(step)?;
        let mut rng = Pcg64::seed_from_u64(self.config.seed ^ (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rays = self.draw_rays(&mut rng)?;
        let places: Vec<[f32; 3]> = {
            let [low, high] = self.surface.scene_box.in_cube();
            let count = (RANDOM_PLACES * self.config.samples as f64) as usize;
            (0..count).map(|_| std::array::from_fn(|k| rng.random_range(low[k]..high[k]))).collect()
        };
        let sharpness = self.surface.sharpness;
        let settings = TraceSettings {
            step: self.surface.step_length(sharpness),
            sharpness,
            anneal: self.config.anneal(step) as f32,
        };
        let weights = Weights {
            per_ray: 1.0 / rays.len().max(1) as f32,
            per_sample: self.config.eikonal_weight / (self.config.samples + places.len()) as f32,
            mask: self.config.mask_weight,
            smoothness: self.smoothness(rays.len()),
        };
        let pairs = weights.smoothness.draw(rays.len(), &mut rng);
        let (rates, t) = (self.config.rates(step), self.config.fitted() + step + 1);
        let drawn = Drawn { rays: &rays, places: &places, pairs: &pairs, settings, weights };
        let found = match &mut self.machine {
            Some(machine) => {
                let found = machine.learn(&self.surface.field, &drawn, self.appearance.codes(), (&rates, t))?;
                self.learn_on_host(found.sharpness, &found.codes, &rates, t);
                found.report
            }
            None => self.learn_on_cpu(&drawn, &rates, t),
        };
        self.keep_sharp(step);
        self.pace.adapt(rays.len(), found.samples, self.config.samples);
        let mse = found.squared_error / (3 * rays.len().max(1)) as f64;
        Ok(StepReport {
            loss: found.loss,
            psnr: f64::from(psnr(mse as f32)),
            count: rays.len() as u64,
            count_name: "rays",
        })
    }

    fn learn_on_cpu(&mut self, drawn: &Drawn<'_>, rates: &Rates, t: u64) -> Found {
        let Drawn { rays, places, pairs, settings, weights } = *drawn;
        let per_chunk = ((SAMPLES / self.pace.samples_per_ray.max(0.1)) as usize).clamp(1, 1024);
        let context = Context {
            field: &self.surface.field,
            occupancy: &self.surface.occupancy,
            appearance: &self.appearance,
            settings,
            weights,
        };
        let rays_per_group = rays.len().div_ceil(GROUPS).max(1);
        let places_per_group = places.len().div_ceil(GROUPS).max(1);
        self.groups.resize_with(GROUPS, Group::default);
        self.groups.par_iter_mut().enumerate().with_max_len(1).for_each(|(g, group)| {
            group.clear(context.field, context.appearance.len());
            let part = |len: usize, size: usize| (g * size).min(len)..((g + 1) * size).min(len);
            let of_group = part(rays.len(), rays_per_group);
            let rays = rays[of_group.clone()].chunks(per_chunk);
            for (rays, pairs) in rays.zip(pairs[of_group].chunks(per_chunk)) {
                group.learn_rays(&context, rays, pairs);
            }
            for places in places[part(places.len(), places_per_group)].chunks(SAMPLES as usize) {
                group.learn_places(context.field, places, &weights);
            }
        });
        let samples = self.groups.iter().map(|g| g.thirds).sum::<usize>() / 3;
        self.descend(rates, t);
        let sum = |of: fn(&Group) -> f64| self.groups.iter().map(of).sum::<f64>();
        Found { loss: sum(|g| g.loss), squared_error: sum(|g| g.squared_error), samples }
    }

    /// What schedules change before a step.
    fn prepare(&mut self, step: u64) -> Result<()> {
        let surface = &mut self.surface;
        surface.field.active_levels = self.config.active_levels(step);
        surface.sharpness = surface.field.sharpness().max(self.config.least_sharpness(step) as f32);
        self.ready_device()?;
        let Self { surface, machine, config, .. } = self;
        // Often while the shape forms, then less often.
        let every = if step < 512 { 32 } else { 128 };
        if step.is_multiple_of(every) {
            match machine {
                Some(machine) => machine.refresh(&surface.field, surface.sharpness)?,
                None => {
                    surface.occupancy =
                        occupied::occupied(&surface.field, config.occupancy_resolution, surface.sharpness);
                }
            }
        }
        Ok(())
    }

    /// How neighbouring normals are compared in a step of so many rays.
    fn smoothness(&self, rays: usize) -> Smoothness {
        // As many places in pairs as there are random places.
        let share = (RANDOM_PLACES * self.config.samples as f64 / (2 * rays.max(1)) as f64).min(1.0);
        Smoothness { weight: self.config.smoothness_weight / (share * rays.max(1) as f64) as f32, share }
    }

    /// Rays through random pixels of a few photos.
    fn draw_rays(&mut self, rng: &mut Pcg64) -> Result<Vec<TrainingRay>> {
        let behind = |frame: &TrainingFrame, pixel| match &self.backdrops {
            Some(backdrops) => backdrops.at(frame.index, pixel, [frame.view.width, frame.view.height]),
            None => self.config.background,
        };
        let draw = RayDraw {
            frames: &self.frames,
            scene_box: &self.surface.scene_box,
            ray: &|maker, pixel, jitter| TracedRay { ray: maker.ray(pixel), jitter },
            behind: &behind,
        };
        let mut rays = draw.rays(&mut self.sampler, self.pace.rays, rng)?;
        if self.backdrops.is_some() {
            rays.iter_mut().for_each(pass_what_shows_the_backdrop);
        }
        Ok(rays)
    }

    /// Adds up what the groups found and changes the parameters by their step number `t`, counted from 1.
    pub(super) fn descend(&mut self, rates: &Rates, t: u64) {
        let field = &mut self.surface.field;
        let encoded = field.encoded();
        let batches: Vec<SampleGradients<'_>> = self
            .groups
            .iter()
            .flat_map(|group| &group.chunks[..group.used])
            .map(|chunk| SampleGradients {
                positions: &chunk.positions,
                encoding: (&chunk.encoding, encoded),
                through_jacobian: Some((&chunk.sensitivity, encoded, &chunk.v)),
            })
            .collect();
        field.grid.accumulate(&batches, field.active_levels, &mut self.optimiser.gradient);
        drop(batches);
        let rows = field.colour_encoded();
        let chunks = self.groups.iter().flat_map(|group| &group.chunks[..group.used]);
        let batches: Vec<SampleGradients<'_>> = chunks
            .filter(|chunk| !chunk.colour_input.is_empty())
            .map(|chunk| SampleGradients {
                positions: &chunk.positions,
                encoding: (&chunk.colour_input, rows),
                through_jacobian: None,
            })
            .collect();
        let levels = field.colour_grid.levels().len();
        field.colour_grid.accumulate(&batches, levels, &mut self.optimiser.colour_gradient);
        drop(batches);
        let total = |of: fn(&Group) -> &Vec<f32>| {
            let mut sum = of(&self.groups[0]).clone();
            for group in &self.groups[1..] {
                sum.iter_mut().zip(of(group)).for_each(|(sum, value)| *sum += value);
            }
            sum
        };
        let (distance, colour, codes) = (total(|g| &g.distance), total(|g| &g.colour), total(|g| &g.codes));
        let by_sharpness: f64 = self.groups.iter().map(|g| g.variance).sum();
        self.optimiser.step(field, [&distance, &colour], rates, t);
        self.learn_on_host(by_sharpness, &codes, rates, t);
    }

    /// Step number `t`, counted from 1, of what a device does not learn: the variance, against the gradient by the sharpness, and the photos' codes.
    fn learn_on_host(&mut self, by_sharpness: f64, codes: &[f32], rates: &Rates, t: u64) {
        let field = &mut self.surface.field;
        // Where the schedule sets the sharpness the variance does not.
        let learned = field.sharpness() >= self.surface.sharpness;
        let variance = if learned { (10.0 * f64::from(self.surface.sharpness) * by_sharpness) as f32 } else { 0.0 };
        self.optimiser.step_variance(field, variance, rates, t);
        if !codes.is_empty() {
            self.appearance.step(codes, &optimiser::SETTINGS, rates.colour as f32, t);
        }
    }

    fn keep_sharp(&mut self, step: u64) {
        let least = (self.config.least_sharpness(step).ln() / 10.0) as f32;
        let variance = &mut self.surface.field.parameters.variance;
        *variance = variance.max(least);
    }
}

impl Group {
    pub(super) fn clear(&mut self, field: &Field, codes: usize) {
        let zeroed = |values: &mut Vec<f32>, len: usize| {
            values.clear();
            values.resize(len, 0.0);
        };
        zeroed(&mut self.distance, field.distance.weights());
        zeroed(&mut self.colour, field.colour.weights());
        zeroed(&mut self.codes, codes);
        (self.variance, self.loss, self.squared_error) = (0.0, 0.0, 0.0);
        (self.used, self.thirds) = (0, 0);
    }

    fn learn_rays(&mut self, context: &Context<'_>, rays: &[TrainingRay], pairs: &[Option<PairDraw>]) {
        let Context { field, occupancy, appearance, settings, weights } = context;
        self.rays.clear();
        self.rays.extend(rays.iter().map(|r| r.traced));
        self.traced.trace(field, occupancy, &self.rays, settings, |i| appearance.of(rays[i].photo));
        let n = self.traced.ts.len();
        // A sample that turns out to be hidden costs a third of one that is learned from.
        self.thirds += self.traced.looked_at + 2 * n;
        let (d_alphas, d_colours, of_samples) = self.compare(rays, weights);
        if n == 0 {
            return;
        }
        self.back_through_colours(field, &d_colours);
        field.distance.make_room(self.traced.tile.positions.len() / (3 * BLOCK), &mut self.d);
        let mut v = self.next_chunk();
        v.colour_input.clone_from(&self.colour_d.layers[0]);
        self.add_to_codes(field, appearance, rays);
        let tile = &self.traced.tile;
        let [_, by_distance, by_cosine, _, by_sharpness] = &self.traced.alphas;
        let d_distance = &mut self.d.layers[2];
        d_distance.fill(0.0);
        for i in 0..n {
            d_distance[at(DISTANCE_OUTPUTS, 0, i)] = d_alphas[i] * by_distance[i];
            self.variance += f64::from(d_alphas[i] * by_sharpness[i]);
            let normal = tile.normal_of(i);
            let (factor, loss) = eikonal(normal, weights.per_sample);
            self.loss += loss;
            let direction = self.rays[self.traced.ray_of[i] as usize].ray.map_or([0.0; 3], |r| r.direction);
            for k in 0..3 {
                // Colours may depend on normals, but do not shape them: a pattern would become relief.
                v.v[at(3, k, i)] = d_alphas[i] * by_cosine[i] * direction[k] + factor * normal[k];
            }
        }
        self.place_pairs(&of_samples, pairs);
        self.keep_gradients(field, v);
        if !self.pairs.is_empty() {
            self.learn_pairs(field, weights.smoothness.weight);
        }
    }

    /// From the gradients by colours to those of the colour network and, in `self.colour_d`, by its input.
    fn back_through_colours(&mut self, field: &Field, d_colours: &[[f32; 3]]) {
        let tile = &self.traced.tile;
        field.colour.make_room(tile.positions.len() / (3 * BLOCK), &mut self.colour_d);
        let d_output = &mut self.colour_d.layers[3];
        d_output.fill(0.0);
        for (i, d) in d_colours.iter().enumerate() {
            let rgb = self.traced.colours[i];
            (0..3).for_each(|k| d_output[at(4, k, i)] = d[k] * rgb[k] * (1.0 - rgb[k]));
        }
        field.colour.back(&field.parameters.colour, &tile.colour, &mut self.colour_d, true);
        field.colour.weight_gradient(&tile.colour, &self.colour_d, &mut self.colour);
    }

    /// Adds the gradients by the input of the colour network to those of the photos' codes.
    fn add_to_codes(&mut self, field: &Field, appearance: &Appearance, rays: &[TrainingRay]) {
        let (rows, first) = (field.colour.widths()[0], field.code_row());
        for (i, ray) in self.traced.ray_of.iter().enumerate() {
            for (k, sum) in appearance.range_of(rays[*ray as usize].photo).enumerate() {
                self.codes[sum] += self.colour_d.layers[0][at(rows, first + k, i)];
            }
        }
    }

    /// From the gradients by distances, in `self.d`, and by normals, in `chunk.v`, to those of the parameters.
    pub(super) fn keep_gradients(&mut self, field: &Field, mut chunk: ChunkGradients) {
        let tile = &self.traced.tile;
        field.distance.back(&field.parameters.distance, &tile.distance, &mut self.d, true);
        field.distance.weight_gradient(&tile.distance, &self.d, &mut self.distance);
        chunk.encoding.clone_from(&self.d.layers[0]);
        second_order(field, tile, &mut chunk, &mut self.f, &mut self.distance);
        self.keep_chunk(chunk);
    }

    /// Compares rays with their pixels; gradients by the samples' opacities and colours.
    fn compare(&mut self, rays: &[TrainingRay], weights: &Weights) -> (Vec<f32>, Vec<[f32; 3]>, Vec<f32>) {
        let n = self.traced.ts.len();
        let (mut d_alphas, mut d_colours, mut of_samples) = (vec![0.0; n], vec![[0.0; 3]; n], vec![0.0; n]);
        for (training, span) in rays.iter().zip(&self.traced.spans) {
            let (alphas, colours) = (&self.traced.alphas[0][span.clone()], &self.traced.colours[span.clone()]);
            let ray = Ray { alphas, colours, background: training.background };
            let blended = blend(&ray, &mut of_samples[span.clone()]);
            let mut upstream = RayGradient::default();
            for k in 0..3 {
                let error = blended.colour[k] - training.colour[k];
                self.squared_error += f64::from(error * error);
                let (loss, slope) = huber(error, HUBER);
                self.loss += f64::from(loss * weights.per_ray / 3.0);
                upstream.colour[k] = slope * weights.per_ray / 3.0;
            }
            if let Some(opacity) = training.opacity {
                let o = blended.opacity.clamp(1e-3, 1.0 - 1e-3);
                let weight = weights.mask * weights.per_ray;
                self.loss -= f64::from(weight * (opacity * o.ln() + (1.0 - opacity) * (1.0 - o).ln()));
                if o == blended.opacity {
                    upstream.opacity = -weight * (opacity / o - (1.0 - opacity) / (1.0 - o));
                }
            }
            let (d_alphas, d_colours) = (&mut d_alphas[span.clone()], &mut d_colours[span.clone()]);
            blend_backward(&ray, &blended, &of_samples[span.clone()], &upstream, d_alphas, d_colours);
        }
        (d_alphas, d_colours, of_samples)
    }

    fn learn_places(&mut self, field: &Field, places: &[[f32; 3]], weights: &Weights) {
        let mut chunk = self.look_at(field, places.iter().copied());
        for i in 0..places.len() {
            let normal = self.traced.tile.normal_of(i);
            let (factor, loss) = eikonal(normal, weights.per_sample);
            self.loss += loss;
            (0..3).for_each(|k| chunk.v[at(3, k, i)] = factor * normal[k]);
        }
        self.keep_gradients_of_normals(field, chunk);
    }

    /// Distances and normals of places, in the tile, and room for the gradients by these normals, all zero.
    pub(super) fn look_at(&mut self, field: &Field, places: impl ExactSizeIterator<Item = [f32; 3]>) -> ChunkGradients {
        let tile = &mut self.traced.tile;
        field.make_room(places.len(), tile);
        places.enumerate().for_each(|(i, place)| tile.place(i, place));
        field.surface(tile);
        self.next_chunk()
    }

    /// From the gradients by normals alone, in `chunk.v`, to those of the parameters.
    pub(super) fn keep_gradients_of_normals(&mut self, field: &Field, mut chunk: ChunkGradients) {
        let tile = &self.traced.tile;
        chunk.encoding.clear();
        chunk.encoding.resize(tile.distance.layers[0].len(), 0.0);
        second_order(field, tile, &mut chunk, &mut self.f, &mut self.distance);
        self.keep_chunk(chunk);
    }

    /// Room for the gradients of the samples in the tile, those by normals zero.
    fn next_chunk(&mut self) -> ChunkGradients {
        self.chunks.resize_with(self.chunks.len().max(self.used + 1), ChunkGradients::default);
        let mut chunk = std::mem::take(&mut self.chunks[self.used]);
        chunk.colour_input.clear();
        chunk.v.clear();
        chunk.v.resize(self.traced.tile.positions.len(), 0.0);
        chunk
    }

    fn keep_chunk(&mut self, chunk: ChunkGradients) {
        self.chunks[self.used] = chunk;
        self.used += 1;
    }
}

/// A pixel that the backdrop explains needs no surface: else bits of one come to stand before the ground and have its colours. A surface that is
/// opaque already stays, as the mask's loss has no slope there.
pub(super) fn pass_what_shows_the_backdrop(ray: &mut TrainingRay) {
    let is_explained = ray.colour.iter().zip(ray.background).all(|(seen, behind)| (seen - behind).abs() < ALIKE);
    if ray.opacity.is_none() && is_explained {
        ray.opacity = Some(0.0);
    }
}

/// What follows from the gradient `chunk.v` of the normals, but for the hash grid's part.
fn second_order(field: &Field, tile: &Tile, chunk: &mut ChunkGradients, f: &mut Activations, gradient: &mut [f32]) {
    field.distance.make_room(tile.positions.len() / (3 * BLOCK), f);
    input_tangent(field, &tile.jacobian, &chunk.v, &mut f.layers[0]);
    field.distance.tangent(&field.parameters.distance, &tile.distance, f);
    field.distance.second_order_weight_gradient(&tile.sensitivity, f, 0, gradient);
    chunk.positions.clone_from(&tile.positions);
    chunk.sensitivity.clone_from(&tile.sensitivity.layers[0]);
}

/// Huber's loss of an error, which grows linearly from `delta` on with a slope of 1, and its derivative.
pub(super) fn huber(error: f32, delta: f32) -> (f32, f32) {
    let size = error.abs();
    let loss = if size < delta { 0.5 * size * size / delta } else { size - 0.5 * delta };
    (loss, (error / delta).clamp(-1.0, 1.0))
}

/// `(|g| - 1)²` times a weight: what `g` is multiplied with in its gradient, and the loss.
pub(super) fn eikonal(g: [f32; 3], weight: f32) -> (f32, f64) {
    let length = (g.iter().map(|x| x * x).sum::<f32>() + 1e-6).sqrt();
    (2.0 * weight * (1.0 - 1.0 / length), f64::from(weight * (length - 1.0).powi(2)))
}
