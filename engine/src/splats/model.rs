//! The splats that are being trained: parameters with their optimiser state.

use super::config::SplatsConfig;
use super::parameter::Parameter;
use crate::train::{CheckpointReader, CheckpointWriter};
use crate::{Error, Result};
use tessera_datasets::camera::Similarity;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::adam::packed::{Rounding, StoredMoments, nearest_half, step_packed};
use tessera_kernels::adam::{self, AdamSettings, Moments};
use tessera_kernels::splat::cuda::{self, Precision};
use tessera_kernels::splat::{SplatGradients, Splats};

/// Learning rates of one step.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// In scene units.
    pub means: f32,
    /// Of the logarithms.
    pub log_scales: f32,
    /// Of the unnormalised quaternions.
    pub quats: f32,
    /// Of the logits.
    pub opacity_logits: f32,
    /// Of the degree-0 coefficients.
    pub sh0: f32,
    /// Of the others.
    pub sh_rest: f32,
}

impl Rates {
    /// As kernels of devices take them.
    pub fn on_device(&self) -> cuda::Rates {
        let Self { means, log_scales, quats, opacity_logits, sh0, sh_rest } = *self;
        cuda::Rates { means, log_scales, quats, opacity_logits, sh0, sh_rest }
    }
}

/// `N` splats in scene coordinates.
#[derive(Debug)]
pub struct SplatModel {
    /// `[N, 3]`
    pub means: Parameter,
    /// `[N, 3]`
    pub log_scales: Parameter,
    /// `[N, 4]`
    pub quats: Parameter,
    /// `[N, 1]`
    pub opacity_logits: Parameter,
    /// `[N, 3]`
    pub sh0: Parameter,
    /// `[N, 3 (K - 1)]`
    pub sh_rest: Parameter,
    sh_degree: u8,
    precision: Precision,
    scratch: Vec<u8>,
}

/// Moments of the geometry and of harmonics above degree 0, none yet.
fn moments(precision: Precision) -> [StoredMoments; 2] {
    match precision {
        Precision::Full => [StoredMoments::Full(Moments::default()), StoredMoments::Full(Moments::default())],
        Precision::Compact => [StoredMoments::Wide(Vec::new()), StoredMoments::Narrow(Vec::new())],
    }
}

impl SplatModel {
    /// Takes over the splats of `cloud`, with room for `capacity`.
    pub fn new(cloud: &SplatCloud, config: &SplatsConfig) -> Self {
        let capacity = config.max_splats.max(cloud.len());
        let rest = 3 * SplatCloud::rest_coefficients(config.sh_degree);
        let given = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
        let mut sh_rest = vec![0.0; cloud.len() * rest];
        if rest > 0 && given > 0 {
            for (to, from) in sh_rest.chunks_mut(rest).zip(cloud.sh_rest.chunks(given)) {
                let shared = rest.min(given);
                to[..shared].copy_from_slice(&from[..shared]);
            }
        }
        let precision = config.precision();
        let [geometry, harmonics] = moments(precision);
        let parameter =
            |values: Vec<f32>, columns: usize| Parameter::with_moments(values, geometry.clone(), columns, capacity);
        let mut model = Self {
            means: parameter(cloud.means.concat(), 3),
            log_scales: parameter(cloud.log_scales.concat(), 3),
            quats: parameter(cloud.quats.concat(), 4),
            opacity_logits: parameter(cloud.opacity_logits.clone(), 1),
            sh0: parameter(cloud.sh0.concat(), 3),
            sh_rest: Parameter::with_moments(sh_rest, harmonics, rest, capacity),
            sh_degree: config.sh_degree,
            precision,
            scratch: Vec::with_capacity(size_of::<f32>() * capacity * rest.max(4)),
        };
        model.round_harmonics();
        model
    }

    /// In compact states, harmonics above degree 0 have values of 16-bit floats.
    fn round_harmonics(&mut self) {
        if self.precision == Precision::Compact {
            self.sh_rest.values.iter_mut().for_each(|value| *value = nearest_half(*value));
        }
    }

    /// Number of splats.
    pub fn len(&self) -> usize {
        self.opacity_logits.values.len()
    }

    /// True when there are no splats.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of parameters, moments and gradients of `n` splats. Parameters are 32-bit floats here, also in compact states.
    pub fn bytes(n: usize, sh_degree: u8, precision: Precision) -> (usize, usize, usize) {
        let rest = 3 * SplatCloud::rest_coefficients(sh_degree);
        let values = 14 + rest;
        let moments = match precision {
            Precision::Full => 8 * values,
            Precision::Compact => 4 * 14 + 2 * rest,
        };
        (4 * n * values, n * moments, 4 * n * (values + 2))
    }

    /// The parameters as kernels take them.
    pub fn splats<'a>(&'a self, filter_3d: Option<&'a [f32]>) -> Splats<'a> {
        Splats {
            means: &self.means.values,
            log_scales: &self.log_scales.values,
            quats: &self.quats.values,
            opacity_logits: &self.opacity_logits.values,
            sh0: &self.sh0.values,
            sh_rest: &self.sh_rest.values,
            sh_degree: self.sh_degree,
            filter_3d,
        }
    }

    /// The splats as data, in scene coordinates.
    pub fn to_cloud(&self, antialiased: bool, scene_from_world: Similarity) -> SplatCloud {
        SplatCloud {
            sh_degree: self.sh_degree,
            means: self.means.values.as_chunks().0.to_vec(),
            log_scales: self.log_scales.values.as_chunks().0.to_vec(),
            quats: self.quats.values.as_chunks().0.to_vec(),
            opacity_logits: self.opacity_logits.values.clone(),
            sh0: self.sh0.values.as_chunks().0.to_vec(),
            sh_rest: self.sh_rest.values.clone(),
            antialiased,
            scene_from_world,
        }
    }

    /// One step of Adam down `gradient`; `step` counts from 1. The seed decides how compact states are rounded.
    pub fn descend(&mut self, gradient: &SplatGradients, rates: &Rates, seed: u64, step: u64) {
        let settings = AdamSettings::default();
        let pairs = [
            (&mut self.means, &gradient.means, rates.means),
            (&mut self.log_scales, &gradient.log_scales, rates.log_scales),
            (&mut self.quats, &gradient.quats, rates.quats),
            (&mut self.opacity_logits, &gradient.opacity_logits, rates.opacity_logits),
            (&mut self.sh0, &gradient.sh0, rates.sh0),
            (&mut self.sh_rest, &gradient.sh_rest, rates.sh_rest),
        ];
        for (number, (parameter, gradient, rate)) in (0..).zip(pairs) {
            let values = &mut parameter.values;
            let rounding = Rounding::new(seed, step).of_tensor(number);
            match &mut parameter.moments {
                StoredMoments::Full(moments) => adam::step(values, gradient, moments, &settings, rate, step),
                StoredMoments::Wide(codes) => step_packed(values, gradient, codes, &settings, (rate, step), rounding),
                StoredMoments::Narrow(codes) => step_packed(values, gradient, codes, &settings, (rate, step), rounding),
            }
        }
    }

    /// Values and moments of means, log_scales, quats, opacity_logits, sh0 and sh_rest.
    pub fn tensors(&self) -> [(&[f32], &StoredMoments); 6] {
        self.parameters().map(|p| (p.values.as_slice(), &p.moments))
    }

    /// Takes over tensors in the order of [`SplatModel::tensors`].
    pub fn set_tensors(&mut self, tensors: [cuda::HostTensor; 6]) {
        for (parameter, tensor) in self.parameters_mut().into_iter().zip(tensors) {
            parameter.replace(&tensor.values, tensor.moments);
        }
    }

    /// As [`SplatModel::set_tensors`], but for harmonics above degree 0, which are here already.
    pub(super) fn set_near_tensors(&mut self, tensors: [cuda::HostTensor; 6]) {
        for (parameter, tensor) in self.parameters_mut().into_iter().zip(tensors).take(5) {
            parameter.replace(&tensor.values, tensor.moments);
        }
    }

    /// Harmonics above degree 0, for a device that has all others.
    pub(super) fn far_rows(&mut self) -> cuda::FarRows<'_> {
        let columns = self.sh_rest.columns();
        cuda::FarRows { values: &mut self.sh_rest.values, moments: &mut self.sh_rest.moments, columns }
    }

    /// As [`SplatModel::resize`], only harmonics above degree 0.
    pub(super) fn resize_far(&mut self, rows: usize) {
        self.sh_rest.resize(rows);
    }

    /// As [`SplatModel::permute`], only harmonics above degree 0.
    pub(super) fn permute_far(&mut self, order: &[u32]) {
        self.sh_rest.permute(order, &mut self.scratch);
    }

    /// Makes row `to` a copy of row `from`; the optimiser forgets both.
    pub fn copy_splat(&mut self, from: usize, to: usize) {
        for parameter in self.parameters_mut() {
            parameter.copy_row(from, to);
            parameter.forget(from);
            parameter.forget(to);
        }
    }

    /// Changes the number of rows; new ones are zero.
    pub fn resize(&mut self, rows: usize) {
        self.parameters_mut().into_iter().for_each(|p| p.resize(rows));
    }

    /// Puts row `order[i]` in place `i`, for all `i`.
    pub fn permute(&mut self, order: &[u32]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        for parameter in self.parameters_mut() {
            parameter.permute(order, &mut scratch);
        }
        self.scratch = scratch;
    }

    /// Keeps the `most` splats that cover the most: opacity times the area of the ellipse of the two longest axes.
    /// The order of those that stay is kept. For runs that go on with a smaller `max_splats`.
    pub fn keep_largest(&mut self, most: usize) {
        if self.len() <= most {
            return;
        }
        let coverage = |i: usize| {
            let [a, b, c]: [f32; 3] = std::array::from_fn(|k| self.log_scales.row(i)[k]);
            let log_area = a + b + c - a.min(b).min(c);
            log_area - (-self.opacity_logits.values[i]).exp().ln_1p()
        };
        let mut ranked: Vec<(f32, u32)> = (0..self.len()).map(|i| (coverage(i), i as u32)).collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut kept: Vec<u32> = ranked[..most].iter().map(|&(_, i)| i).collect();
        kept.sort_unstable();
        for (place, &row) in kept.iter().enumerate() {
            self.parameters_mut().into_iter().for_each(|p| p.move_row(row as usize, place));
        }
        self.resize(most);
    }

    fn parameters(&self) -> [&Parameter; 6] {
        [&self.means, &self.log_scales, &self.quats, &self.opacity_logits, &self.sh0, &self.sh_rest]
    }

    fn parameters_mut(&mut self) -> [&mut Parameter; 6] {
        [
            &mut self.means,
            &mut self.log_scales,
            &mut self.quats,
            &mut self.opacity_logits,
            &mut self.sh0,
            &mut self.sh_rest,
        ]
    }

    const NAMES: [&'static str; 6] = ["means", "log_scales", "quats", "opacity_logits", "sh0", "sh_rest"];

    /// Hands all tensors to a checkpoint.
    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        for (name, p) in Self::NAMES.into_iter().zip(self.parameters()) {
            let shape = [self.len(), p.columns()];
            checkpoint.f32(name, &shape, p.values.as_slice());
            match &p.moments {
                StoredMoments::Full(moments) => {
                    checkpoint.f32(&first_of(name), &shape, moments.first.as_slice());
                    checkpoint.f32(&second_of(name), &shape, moments.second.as_slice());
                }
                StoredMoments::Wide(codes) => checkpoint.u32(&packed_of(name), &shape, codes.as_slice()),
                StoredMoments::Narrow(codes) => checkpoint.u16(&packed_of(name), &shape, codes.as_slice()),
            }
        }
    }

    /// Takes all tensors from a checkpoint; moments that are kept in another way there are converted. A checkpoint of another
    /// harmonic degree is refused.
    ///
    /// # Errors
    /// When a tensor is missing or of another width.
    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let rows = checkpoint.shape("opacity_logits").and_then(|s| s.first().copied()).unwrap_or(0);
        for (name, p) in Self::NAMES.into_iter().zip(self.parameters_mut()) {
            let columns = p.columns();
            let values = checkpoint.f32(name)?;
            let moments = saved_moments(checkpoint, name)?;
            if [values.len(), moments.len()] != [rows * columns; 2] {
                let message = format!(
                    "the checkpoint's {name} does not have {columns} columns; resume with the sh_degree of the first run, or start again with --force"
                );
                return Err(Error::setting(message));
            }
            p.replace(&values, moments);
        }
        self.round_harmonics();
        Ok(())
    }
}

fn first_of(name: &str) -> String {
    format!("adam.first.{name}")
}

fn second_of(name: &str) -> String {
    format!("adam.second.{name}")
}

fn packed_of(name: &str) -> String {
    format!("adam.packed.{name}")
}

/// The moments of a tensor as the run that wrote the checkpoint kept them.
fn saved_moments(checkpoint: &CheckpointReader, name: &str) -> Result<StoredMoments> {
    let packed = packed_of(name);
    if checkpoint.shape(&packed).is_none() {
        let (first, second) = (checkpoint.f32(&first_of(name))?, checkpoint.f32(&second_of(name))?);
        if first.len() != second.len() {
            return Err(checkpoint.unfit(&second_of(name)));
        }
        return Ok(StoredMoments::Full(Moments { first, second }));
    }
    checkpoint.u32(&packed).map(StoredMoments::Wide).or_else(|_| checkpoint.u16(&packed).map(StoredMoments::Narrow))
}
