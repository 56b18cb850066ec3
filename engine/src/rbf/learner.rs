//! Descending: one step of a field towards what samples want.

use super::descent::{Descent, Rates, SETTINGS};
use super::encoding::Encoding;
use super::field::{Field, Tile, neighbours};
use crate::train::MemoryPlan;
use rayon::prelude::*;
use tessera_kernels::adam::{self, Moments};
use tessera_kernels::hash_grid::{FEATURES, SampleGradients};
use tessera_kernels::mlp::BLOCK;
use tessera_kernels::rbf::KernelGradient;

/// Samples that are computed together: their features and responses fit the second-level cache.
pub const TILE: usize = 256;
/// The gradient of the decoder is summed for so many groups of tiles, whatever the number of threads.
const GROUPS: usize = 16;
/// What a sample costs: the loss, and its gradient by outputs.
pub type Cost<const O: usize> = (f32, [f32; O]);

/// A field that learns.
#[derive(Clone, Debug)]
pub struct Learner {
    /// What is learned.
    pub field: Field,
    descent: Descent,
    weights: Moments,
    of_kernels: KernelGradient,
    groups: Vec<Group>,
    /// `[blocks, D, 16]`, `[blocks, rows, 16]` and `[Q, K]` of all samples of a step.
    positions: Vec<f32>,
    of_features: Vec<f32>,
    responses: Vec<f32>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    tile: Tile,
    of_decoder: Vec<f32>,
    loss: f64,
}

impl Learner {
    /// Begins with `field`.
    pub fn new(field: Field) -> Self {
        let weights = field.kernels.as_ref().map_or(0, |k| k.parameters.weights.len());
        Self {
            descent: Descent::new(&field),
            weights: Moments::zeros(weights),
            of_kernels: KernelGradient::default(),
            groups: vec![Group::default(); GROUPS],
            positions: Vec::new(),
            of_features: Vec::new(),
            responses: Vec::new(),
            field,
        }
    }

    /// What learning takes: a field with `others` numbers beside its grids, and steps of so many samples.
    pub fn plan(encoding: &Encoding, others: usize, samples: usize) -> MemoryPlan {
        let grid = encoding.grid();
        let numbers = FEATURES * grid.entries() + others;
        // A number, its gradient and the two of Adam; features of a sample, their gradients and where it is.
        let of_samples = 4 * samples * (2 * grid.width() + 8);
        MemoryPlan::default()
            .with("numbers", 16 * numbers as u64, format!("{numbers} that are learned, with what Adam remembers"))
            .with("samples", of_samples as u64, format!("{samples} of a step"))
    }

    /// One step: `places` are samples in the unit square or cube, `near` the kernels near each (`[Q, K]`, empty where there are none),
    /// and `cost` what sample `i` costs with its outputs. The mean loss comes back.
    pub fn step<const D: usize, const O: usize>(
        &mut self,
        places: &[[f32; D]],
        near: Vec<u32>,
        rates: Rates,
        cost: impl Fn(usize, [f32; O]) -> Cost<O> + Sync,
    ) -> f64 {
        assert_eq!(self.field.grid.dimensions(), D, "places of as many dimensions as the field has");
        self.walk(places, &near, &cost);
        self.descend(places, near, rates);
        self.groups.iter().map(|g| g.loss).sum::<f64>() / places.len() as f64
    }

    /// Forward and back through the decoder.
    fn walk<const D: usize, const O: usize>(
        &mut self,
        places: &[[f32; D]],
        near: &[u32],
        cost: &(impl Fn(usize, [f32; O]) -> Cost<O> + Sync),
    ) {
        let field = &self.field;
        let (rows, k) = (field.rows().0.rows, field.kernels.as_ref().map_or(0, |k| k.of.neighbours));
        let blocks = places.len().div_ceil(BLOCK);
        self.positions.resize(blocks * D * BLOCK, 0.0);
        self.of_features.resize(blocks * rows * BLOCK, 0.0);
        self.responses.resize(places.len() * k, 0.0);
        // Whole tiles for each group.
        let per_group = places.len().div_ceil(TILE).div_ceil(GROUPS) * TILE;
        let blocks_of_group = per_group / BLOCK;
        let share = 1.0 / places.len() as f32;
        let groups = self.groups.par_iter_mut().with_max_len(1);
        let positions = chunks(&mut self.positions, blocks_of_group * D * BLOCK);
        let of_features = chunks(&mut self.of_features, blocks_of_group * rows * BLOCK);
        let responses = chunks(&mut self.responses, per_group * k);
        let parts = positions.into_par_iter().zip(of_features).zip(responses);
        groups.zip(parts).enumerate().for_each(|(g, (group, ((positions, of_features), responses)))| {
            group.loss = 0.0;
            group.of_decoder.clear();
            group.of_decoder.resize(field.parameters.len(), 0.0);
            field.prepare(&mut group.tile);
            let range = (g * per_group).min(places.len())..((g + 1) * per_group).min(places.len());
            let first = range.start;
            for (t, places) in places[range].chunks(TILE).enumerate() {
                let (start, blocks) = (t * TILE, places.len().div_ceil(BLOCK));
                let near = &near[(first + start) * k..][..places.len() * k];
                field.make_room(places.len(), &mut group.tile);
                places.iter().enumerate().for_each(|(i, place)| group.tile.place(i, *place));
                field.values(&mut group.tile, near);
                field.clear_gradients(&mut group.tile);
                for i in 0..places.len() {
                    let mut outputs = [0.0; O];
                    for o in 0..O {
                        outputs[o] = field.value(&group.tile, o, i);
                    }
                    let (loss, slopes) = cost(first + start + i, outputs);
                    group.loss += f64::from(loss);
                    (0..O).for_each(|o| field.set_gradient(&mut group.tile, o, i, share * slopes[o]));
                }
                field.differentiate(&mut group.tile, &mut group.of_decoder);
                let block = start / BLOCK;
                positions[block * D * BLOCK..][..blocks * D * BLOCK].copy_from_slice(&group.tile.positions);
                of_features[block * rows * BLOCK..][..blocks * rows * BLOCK].copy_from_slice(group.tile.of_features());
                responses[start * k..][..places.len() * k].copy_from_slice(group.tile.responses());
            }
        });
    }

    fn descend<const D: usize>(&mut self, places: &[[f32; D]], near: Vec<u32>, rates: Rates) {
        let (of_grid, of_kernels) = self.field.rows();
        let batch = SampleGradients {
            positions: &self.positions,
            encoding: (&self.of_features, of_grid),
            through_jacobian: None,
        };
        let of_decoder: Vec<&[f32]> = self.groups.iter().map(|group| &group.of_decoder[..]).collect();
        self.descent.step(&mut self.field, &[batch], &of_decoder, rates);
        if let Some(kernels) = &mut self.field.kernels {
            let near = neighbours(near, kernels);
            let of_sums = (&self.of_features[..], of_kernels);
            let places = places.as_flattened();
            kernels.of.backward(
                &kernels.parameters,
                places,
                &near,
                &self.responses,
                of_sums,
                (&mut self.of_kernels, None),
            );
            let weights = &mut kernels.parameters.weights;
            let gradient = &self.of_kernels.weights;
            adam::step(weights, gradient, &mut self.weights, &SETTINGS, rates.features, self.descent.steps());
        }
    }
}

/// As many pieces as there are groups, the last of them shorter or empty.
fn chunks(mut values: &mut [f32], len: usize) -> Vec<&mut [f32]> {
    let mut out = Vec::with_capacity(GROUPS);
    for _ in 0..GROUPS {
        let end = len.min(values.len());
        out.push(values.split_off_mut(..end).unwrap_or_default());
    }
    out
}
