//! One step on the device: what `step.rs`, `smooth.rs` and `fit.rs` do for the CPU, kernel after kernel.
//!
//! Samples that are learned from lie behind each other: those of rays that somebody sees, random places, and the places of pairs.

use super::buffers::{Matrices, Samples, Table};
use super::{DeviceSurface, Latest, OnDevice};
use crate::Result;
use crate::rays::TrainingRay;
use crate::surface::config::Rates;
use crate::surface::field::Field;
use crate::surface::optimiser::SETTINGS;
use crate::surface::smooth::{OPAQUE, PairDraw};
use crate::surface::step::{Drawn, Found, HUBER, Weights};
use crate::surface::trace::{INVISIBLE, MAX_SAMPLES, TraceSettings};
use tessera_kernels::adam::cuda::{Adam, AdamUpdate, PairsAdam};
use tessera_kernels::device::{Buffer, Stream};
use tessera_kernels::hash_grid::cuda::{Batch, RowsIn, RowsOut, Upstream};
use tessera_kernels::mlp::cuda::Pass;
use tessera_kernels::occupancy::cuda::{DeviceRay, March};
use tessera_kernels::sdf_render::cuda::{
    Blended, Blending, Comparison, Conditions, DevicePair, FitWeights, LookedAlong, OpacitySettings, Pairs, RaySamples,
    RayTarget, SamplesOfRays, Seen, SumParts,
};

/// Loss, the colours' squared error, and the gradient by the sharpness.
pub(super) const SUMS: usize = 3;
const LOSS: usize = 0;
const SQUARES: usize = 1;
const SHARPNESS: usize = 2;
/// Rows of others before the encoding among the distance network's inputs.
const PLACE_ROWS: usize = 3;

/// What a step found out, and what the host learns from.
pub(in crate::surface) struct OfStep {
    pub report: Found,
    /// The gradient by the sharpness.
    pub sharpness: f64,
    /// That by the photos' codes.
    pub codes: Vec<f32>,
}

/// Sums of blocks that a kernel makes at most.
pub(super) fn parts(rays: usize, samples: usize) -> usize {
    Blending::parts(rays).max(Conditions::parts(samples)).max(Conditions::pair_parts(rays))
}

/// How many samples there are of each kind.
#[derive(Clone, Copy)]
struct Counts {
    rays: usize,
    /// That somebody sees.
    of_rays: usize,
    places: usize,
    pairs: usize,
    stride: usize,
}

impl Counts {
    fn of_rays(self) -> Batch {
        Batch { samples: self.of_rays, stride: self.stride }
    }

    fn without_pairs(self) -> Batch {
        Batch { samples: self.of_rays + self.places, stride: self.stride }
    }

    fn all(self) -> Batch {
        Batch { samples: self.of_rays + self.places + 2 * self.pairs, stride: self.stride }
    }
}

impl DeviceSurface {
    /// Learns from rays.
    ///
    /// # Errors
    /// When the device has too little memory or fails.
    pub fn learn(&mut self, field: &Field, input: &Drawn<'_>, codes: &[f32], down: (&Rates, u64)) -> Result<OfStep> {
        let pairs = self.send(input, codes)?;
        let march = March { rays: input.rays.len(), step: input.settings.step, limit: MAX_SAMPLES };
        let looked_at = self.count(march)?;
        let stride = self.make_room(field, looked_at + input.places.len() + 2 * pairs)?;
        let of_rays = self.look(field, input, march, Batch { samples: looked_at, stride })?;
        let counts = Counts { rays: march.rays, of_rays, places: input.places.len(), pairs, stride };
        self.gather(counts)?;
        self.distances_and_normals(field, counts.all())?;
        self.see(field, counts)?;
        self.compare(input, counts)?;
        self.back_and_down(field, counts, down)?;
        self.latest = Latest::Device;
        // Copies of this came before the passes back.
        let sums = self.summed.values()?;
        let (loss, squared_error, sharpness) = (sums[LOSS].into(), sums[SQUARES].into(), sums[SHARPNESS].into());
        let report = Found { loss, squared_error, samples: (looked_at + 2 * of_rays) / 3 };
        Ok(OfStep { report, sharpness, codes: self.rays.sent.by_codes.values()?.to_vec() })
    }

    /// Sends rays, places, pairs and codes. Returns how many pairs there are.
    fn send(&mut self, input: &Drawn<'_>, codes: &[f32]) -> Result<usize> {
        self.rays.make_room(&self.device, codes.len())?;
        let (stream, rays) = (&self.stream, &mut self.rays);
        let (sent, count) = (&mut rays.sent, input.rays.len());
        let to = sent.rays.values()?.iter_mut();
        to.zip(input.rays).for_each(|(to, ray)| *to = DeviceRay::new(ray.traced.ray.as_ref(), ray.traced.jitter));
        for (to, ray) in sent.targets.values()?.iter_mut().zip(input.rays) {
            let TrainingRay { colour, background, opacity, photo, .. } = *ray;
            *to = RayTarget { colour, background, opacity: opacity.unwrap_or(-1.0), photo: photo as u32 };
        }
        let drawn = input.pairs.iter().enumerate().filter_map(|(ray, pair)| Some((ray as u32, pair.as_ref()?)));
        let mut pairs = 0;
        for (to, (ray, PairDraw { reach, towards })) in sent.pairs.values()?.iter_mut().zip(drawn) {
            *to = DevicePair { ray, reach: *reach, towards: *towards };
            pairs += 1;
        }
        let places = input.places.as_flattened();
        sent.places.values()?[..places.len()].copy_from_slice(places);
        sent.codes.values()?.copy_from_slice(codes);
        rays.rays.write_first_from(&mut sent.rays, count, stream)?;
        rays.targets.write_first_from(&mut sent.targets, count, stream)?;
        rays.pairs.write_first_from(&mut sent.pairs, pairs, stream)?;
        rays.places.write_first_from(&mut sent.places, places.len(), stream)?;
        rays.codes.write_from(&mut sent.codes, stream)?;
        Ok(pairs)
    }

    /// How many samples the rays have.
    fn count(&mut self, march: March) -> OnDevice<usize> {
        let rays = &mut self.rays;
        self.occupancy.count(&self.stream, &rays.rays, march, &mut rays.starts, &mut rays.total)?;
        rays.total.read_into(&mut self.counted, &self.stream)?;
        Ok(self.counted.values()?[0] as usize)
    }

    /// Makes room for so many samples, where there is less. Returns how far rows are from each other.
    fn make_room(&mut self, field: &Field, samples: usize) -> OnDevice<usize> {
        if samples > self.samples.room {
            let room = samples + samples / 4;
            // What there was goes first.
            self.samples = Samples::new(&self.device, field, 0)?;
            self.samples = Samples::new(&self.device, field, room)?;
            let rays = self.rays.rays.len();
            self.rays.blended = Blended::new(&self.device, rays, room)?;
            self.sums = SumParts::new(&self.device, SUMS, parts(rays, room))?;
        }
        Ok(self.samples.room)
    }

    /// Looks at all samples, and finds those that somebody sees. Returns how many these are.
    fn look(&mut self, field: &Field, input: &Drawn<'_>, march: March, batch: Batch) -> OnDevice<usize> {
        let Self { stream, rays, samples, grid, learned, distance, looks, opacities, .. } = self;
        let Samples { all, h, b, normals_of_all, .. } = samples;
        let to = (&mut all.positions, &mut all.ray_of);
        self.occupancy.place(stream, &rays.rays, march, &rays.starts, batch, to)?;
        let (table, active) = ((&learned.table.values, &all.positions), field.active_levels);
        looks.place_rows(stream, &all.positions, batch, &mut h.layers[0])?;
        grid.encode(stream, table, batch, active, RowsOut { matrix: &mut h.layers[0], first: PLACE_ROWS }, None)?;
        let weights = &learned.distance.values;
        distance.forward(stream, weights, h, batch)?;
        distance.sensitivity(stream, weights, h, 0, b, batch)?;
        let of_encoding = RowsIn { matrix: &b.layers[0], first: PLACE_ROWS };
        grid.position_gradient(stream, table, batch, active, of_encoding, normals_of_all)?;
        looks.add_rows(stream, &b.layers[0], batch, normals_of_all)?;
        let TraceSettings { step, sharpness, anneal } = input.settings;
        let settings = OpacitySettings { sharpness, anneal, step, radius: field.radius };
        let along = (&rays.rays, &all.ray_of);
        opacities.alphas(stream, (&h.layers[2], normals_of_all), along, batch, settings, &mut all.alphas)?;
        let (of_all, which) = ((&rays.starts, &all.alphas), (march.rays, INVISIBLE));
        opacities.count_seen(stream, of_all, which, &mut rays.kept_starts, &mut rays.total)?;
        rays.total.read_into(&mut self.counted, stream)?;
        opacities.list_seen(stream, of_all, which, &rays.kept_starts, &mut samples.kept)?;
        Ok(self.counted.values()?[0] as usize)
    }

    /// Brings together what is learned from.
    fn gather(&mut self, counts: Counts) -> OnDevice<()> {
        let Self { stream, rays, samples, opacities, conditions, .. } = self;
        let Samples { all, own, kept, normals_of_all, .. } = samples;
        let from = (&all.positions, &all.alphas, &all.ray_of);
        let to = Seen { positions: &mut own.positions, alphas: &mut own.alphas, ray_of: &mut own.ray_of };
        opacities.gather(stream, kept, from, counts.of_rays(), to)?;
        let places = (&rays.places, counts.places);
        conditions.place(stream, places, (counts.of_rays, counts.stride), &mut own.positions)?;
        let pairs = pairs_of(&rays.pairs, counts);
        let seen = (&rays.kept_starts, &own.alphas, &*kept);
        let of_all = (&all.positions, &*normals_of_all);
        conditions.draw_pairs(stream, pairs, OPAQUE, seen, of_all, (&mut own.positions, &mut rays.met))
    }

    /// The first rows of the distance network's input, and its encoding with its Jacobian, if wanted, of what is learned from.
    pub(super) fn encode_own(&mut self, field: &Field, batch: Batch, with_jacobian: bool) -> OnDevice<()> {
        let Self { stream, samples, grid, learned, looks, .. } = self;
        let Samples { own, h, jacobian, .. } = samples;
        looks.place_rows(stream, &own.positions, batch, &mut h.layers[0])?;
        let encoded = RowsOut { matrix: &mut h.layers[0], first: PLACE_ROWS };
        let jacobian = with_jacobian.then_some(jacobian);
        let table = (&learned.table.values, &own.positions);
        grid.encode(stream, table, batch, field.active_levels, encoded, jacobian)
    }

    /// Distances and normals of what is learned from.
    fn distances_and_normals(&mut self, field: &Field, batch: Batch) -> OnDevice<()> {
        self.encode_own(field, batch, true)?;
        let Self { stream, samples, grid, learned, looks, distance, .. } = self;
        let Samples { h, b, jacobian, normals, .. } = samples;
        let weights = &learned.distance.values;
        distance.forward(stream, weights, h, batch)?;
        distance.sensitivity(stream, weights, h, 0, b, batch)?;
        let of_encoding = RowsIn { matrix: &b.layers[0], first: PLACE_ROWS };
        grid.transposed_product(stream, jacobian, of_encoding, batch, normals)?;
        looks.add_rows(stream, &b.layers[0], batch, normals)
    }

    /// Colours of the samples of rays.
    fn see(&mut self, field: &Field, counts: Counts) -> OnDevice<()> {
        let Self { stream, samples, rays, colour_grid, colour, learned, looks, .. } = self;
        let Samples { own, normals, colour_h, colours, .. } = samples;
        let (batch, levels) = (counts.of_rays(), field.colour_grid.levels().len());
        let encoded = RowsOut { matrix: &mut colour_h.layers[0], first: 0 };
        let table = (&learned.colour_table.values, &own.positions);
        colour_grid.encode(stream, table, batch, levels, encoded, None)?;
        let along = LookedAlong { rays: &rays.rays, targets: &rays.targets, ray_of: &own.ray_of, codes: &rays.codes };
        looks.look_rows(stream, along, (&own.positions, normals), batch, &mut colour_h.layers[0])?;
        colour.forward(stream, &learned.colour.values, colour_h, batch)?;
        looks.colours(stream, &colour_h.layers[3], batch, colours)
    }

    /// Compares rays with their pixels and normals with what they should be: the loss, and the gradients by opacities, colours, distances and normals.
    fn compare(&mut self, input: &Drawn<'_>, counts: Counts) -> OnDevice<()> {
        let Self { stream, samples, rays, blending, conditions, sums, .. } = self;
        let Samples { own, normals, colours, by_colours, by_alphas, d, v, .. } = samples;
        let Weights { per_ray, per_sample, mask, smoothness } = input.weights;
        let of_rays = RaySamples {
            rays: counts.rays,
            starts: &rays.kept_starts,
            alphas: &own.alphas,
            colours,
            stride: counts.stride,
            targets: &rays.targets,
        };
        let comparison = Comparison { huber: HUBER, per_ray, mask };
        blending.blend(stream, of_rays, &mut rays.blended)?;
        blending.compare(stream, (&rays.targets, counts.rays), comparison, &mut rays.blended, sums.at(0))?;
        blending.backward(stream, of_rays, &rays.blended, (by_alphas, by_colours))?;
        let of_samples = SamplesOfRays {
            rays: &rays.rays,
            ray_of: &own.ray_of,
            alphas: &own.alphas,
            by_alphas,
            count: counts.of_rays,
        };
        let given = (&*normals, counts.without_pairs(), per_sample);
        conditions.sample_gradients(stream, of_samples, given, (&mut d.layers[2], &mut *v), sums.at(2))?;
        let pairs = pairs_of(&rays.pairs, counts);
        conditions.pair_gradients(stream, pairs, (normals, &rays.met, smoothness.weight), v, sums.at(4))?;
        let [of_rays, of_samples] = [Blending::parts(counts.rays), Conditions::parts(counts.without_pairs().samples)];
        let of_pairs = Conditions::pair_parts(counts.pairs);
        let places =
            [(of_rays, LOSS), (of_rays, SQUARES), (of_samples, LOSS), (of_samples, SHARPNESS), (of_pairs, LOSS)];
        sums.add(stream, places)?;
        sums.sums.read_into(&mut self.summed, stream)
    }

    /// The passes back, and down.
    fn back_and_down(&mut self, field: &Field, counts: Counts, (rates, t): (&Rates, u64)) -> OnDevice<()> {
        // What is compared is a share of the rays.
        let pass = |batch: Batch| Pass { batch, scale: counts.rays.max(1).next_power_of_two() as f32 };
        self.back_through_colours(field, counts, pass(counts.of_rays()))?;
        self.back_through_distances(field, pass(counts.all()), counts.of_rays)?;
        let Self { stream, learned, .. } = self;
        let down = Down { stream, adam: &self.adam, pairs: &self.pairs_adam, t };
        let Rates { distance, colour, .. } = *rates;
        down.table(&mut learned.table, distance)?;
        down.table(&mut learned.colour_table, colour)?;
        down.matrices(&mut learned.distance, distance)?;
        down.matrices(&mut learned.colour, colour)
    }

    fn back_through_colours(&mut self, field: &Field, counts: Counts, pass: Pass) -> OnDevice<()> {
        let Self { stream, samples, rays, colour_grid, colour, learned, looks, .. } = self;
        let Samples { own, colour_h, colour_d, colours, by_colours, .. } = samples;
        looks.through_sigmoid(stream, (colours, by_colours), pass.batch, &mut colour_d.layers[3])?;
        colour.back(stream, &learned.colour.values, colour_h, colour_d, pass)?;
        let by_input = &colour_d.layers[0];
        let of_rays = (&rays.kept_starts, &rays.targets, counts.rays);
        looks.codes(stream, of_rays, (by_input, pass.batch), &mut rays.code_of_rays, &mut rays.by_codes)?;
        rays.by_codes.read_into(&mut rays.sent.by_codes, stream)?;
        colour.weight_gradient(stream, colour_h, colour_d, pass, &mut learned.colour.gradient)?;
        let (levels, upstream) = (field.colour_grid.levels().len(), RowsIn { matrix: by_input, first: 0 });
        let gradient = &mut learned.colour_table.gradient;
        colour_grid.table_gradient(stream, &own.positions, pass.batch, levels, upstream, gradient)
    }

    /// From the gradients by distances, of the first `first_order` samples, and by normals, of all, to those of grid and network.
    fn back_through_distances(&mut self, field: &Field, pass: Pass, first_order: usize) -> OnDevice<()> {
        let Self { stream, samples, grid, distance, learned, looks, .. } = self;
        let Samples { own, h, d, b, f, v, jacobian, .. } = samples;
        let weights = &learned.distance.values;
        let of_first = Pass { batch: Batch { samples: first_order, ..pass.batch }, ..pass };
        distance.back(stream, weights, h, d, of_first)?;
        distance.weight_gradient(stream, h, d, of_first, &mut learned.distance.gradient)?;
        looks.copy_rows(stream, v, pass.batch, &mut f.layers[0])?;
        grid.product(stream, jacobian, v, pass.batch, RowsOut { matrix: &mut f.layers[0], first: PLACE_ROWS })?;
        distance.tangent(stream, weights, h, f, pass)?;
        distance.second_order_weight_gradient(stream, (b, f), 0, pass, &mut learned.distance.gradient)?;
        let upstream = Upstream {
            encoding: RowsIn { matrix: &d.layers[0], first: PLACE_ROWS },
            first_order,
            u: RowsIn { matrix: &b.layers[0], first: PLACE_ROWS },
            v,
        };
        let gradient = &mut learned.table.gradient;
        grid.table_gradient_through(stream, &own.positions, pass.batch, field.active_levels, &upstream, gradient)
    }

    /// Learns distances at places. Returns the loss.
    ///
    /// # Errors
    /// When the device fails.
    pub fn fit(
        &mut self,
        field: &Field,
        places: &[([f32; 3], f32)],
        weights: FitWeights,
        (rates, t): (&Rates, u64),
    ) -> Result<f64> {
        let count = places.len();
        let stride = self.make_room(field, count)?;
        let batch = Batch { samples: count, stride };
        let Self { stream, rays, samples, .. } = self;
        let to = rays.sent.places.values()?.as_chunks_mut::<3>().0.iter_mut();
        to.zip(places).for_each(|(to, (place, _))| *to = *place);
        let to = rays.sent.wanted.values()?.iter_mut();
        to.zip(places).for_each(|(to, (_, wanted))| *to = *wanted);
        rays.places.write_first_from(&mut rays.sent.places, 3 * count, stream)?;
        samples.wanted.write_first_from(&mut rays.sent.wanted, count, stream)?;
        self.conditions.place(stream, (&rays.places, count), (0, stride), &mut samples.own.positions)?;
        self.distances_and_normals(field, batch)?;
        let Self { stream, samples, conditions, sums, .. } = self;
        let Samples { h, d, v, normals, wanted, .. } = samples;
        let given = (&h.layers[2], &*wanted, &*normals);
        conditions.fit_gradients(stream, given, (batch, weights), (&mut d.layers[2], v), sums.at(0))?;
        sums.add(stream, [(Conditions::parts(count), LOSS), (0, LOSS), (0, LOSS), (0, LOSS), (0, LOSS)])?;
        sums.sums.read_into(&mut self.summed, stream)?;
        let scale = count.max(1).next_power_of_two() as f32;
        self.back_through_distances(field, Pass { batch, scale }, count)?;
        let Self { stream, learned, .. } = self;
        let down = Down { stream, adam: &self.adam, pairs: &self.pairs_adam, t };
        down.table(&mut learned.table, rates.distance)?;
        down.matrices(&mut learned.distance, rates.distance)?;
        self.latest = Latest::Device;
        Ok(self.summed.values()?[LOSS].into())
    }
}

fn pairs_of(pairs: &Buffer<DevicePair>, counts: Counts) -> Pairs<'_> {
    Pairs { pairs, count: counts.pairs, first: counts.without_pairs().samples, stride: counts.stride }
}

/// Adam's step number `t`, counted from 1.
struct Down<'a> {
    stream: &'a Stream,
    adam: &'a Adam,
    pairs: &'a PairsAdam,
    t: u64,
}

impl Down<'_> {
    fn table(&self, table: &mut Table, rate: f64) -> OnDevice<()> {
        self.pairs.step(self.stream, &mut table.values, &table.gradient, &mut table.moments, rate as f32)
    }

    fn matrices(&self, matrices: &mut Matrices, rate: f64) -> OnDevice<()> {
        let update = AdamUpdate::new(&SETTINGS, rate as f32, self.t);
        let Matrices { values, gradient, moments } = matrices;
        self.adam.step_rows(self.stream, values, gradient, moments, update, None)
    }
}
