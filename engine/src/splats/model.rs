//! The splats that are being trained: parameters with their optimiser state.

use super::config::SplatsConfig;
use crate::train::{CheckpointReader, CheckpointWriter};
use crate::{Error, Result};
use tessera_datasets::camera::Similarity;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::adam::{self, AdamSettings, Moments};
use tessera_kernels::splat::{SplatGradients, Splats, cuda};

/// One tensor `[N, columns]` with Adam's moments.
#[derive(Debug)]
pub struct Parameter {
    /// Row major.
    pub values: Vec<f32>,
    moments: Moments,
    columns: usize,
}

impl Parameter {
    pub(crate) fn new(values: Vec<f32>, columns: usize, capacity: usize) -> Self {
        let mut parameter = Self { moments: Moments::zeros(values.len()), values, columns };
        for values in parameter.planes() {
            values.reserve_exact((capacity * columns).saturating_sub(values.len()));
        }
        parameter
    }

    /// The values and both moments, which every change of rows must treat alike.
    pub(crate) fn planes(&mut self) -> [&mut Vec<f32>; 3] {
        [&mut self.values, &mut self.moments.first, &mut self.moments.second]
    }

    /// The columns of one row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.columns..][..self.columns]
    }

    /// The columns of one row.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.values[i * self.columns..][..self.columns]
    }

    /// Numbers in a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Adam's first and second moments.
    pub(crate) fn moments(&self) -> [&[f32]; 2] {
        [&self.moments.first, &self.moments.second]
    }

    pub(crate) fn forget(&mut self, row: usize) {
        for moments in [&mut self.moments.first, &mut self.moments.second] {
            moments[row * self.columns..][..self.columns].fill(0.0);
        }
    }

    pub(crate) fn copy_row(&mut self, from: usize, to: usize) {
        let from = from * self.columns..(from + 1) * self.columns;
        self.values.copy_within(from, to * self.columns);
    }

    /// With its moments.
    fn move_row(&mut self, from: usize, to: usize) {
        let columns = self.columns;
        for plane in self.planes() {
            plane.copy_within(from * columns..(from + 1) * columns, to * columns);
        }
    }

    pub(crate) fn resize(&mut self, rows: usize) {
        let len = rows * self.columns;
        self.planes().into_iter().for_each(|plane| plane.resize(len, 0.0));
    }

    pub(crate) fn permute(&mut self, order: &[u32], scratch: &mut Vec<f32>) {
        let columns = self.columns;
        for plane in self.planes() {
            scratch.clear();
            for &row in order {
                scratch.extend_from_slice(&plane[row as usize * columns..][..columns]);
            }
            plane.copy_from_slice(scratch);
        }
    }
}

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
    scratch: Vec<f32>,
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
        Self {
            means: Parameter::new(cloud.means.concat(), 3, capacity),
            log_scales: Parameter::new(cloud.log_scales.concat(), 3, capacity),
            quats: Parameter::new(cloud.quats.concat(), 4, capacity),
            opacity_logits: Parameter::new(cloud.opacity_logits.clone(), 1, capacity),
            sh0: Parameter::new(cloud.sh0.concat(), 3, capacity),
            sh_rest: Parameter::new(sh_rest, rest, capacity),
            sh_degree: config.sh_degree,
            scratch: Vec::with_capacity(capacity * rest.max(4)),
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

    /// Bytes of parameters, moments and gradients of `n` splats.
    pub fn bytes(n: usize, sh_degree: u8) -> (usize, usize, usize) {
        let values = 14 + 3 * SplatCloud::rest_coefficients(sh_degree);
        (4 * n * values, 8 * n * values, 4 * n * (values + 2))
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

    /// One step of Adam down `gradient`; `step` counts from 1.
    pub fn descend(&mut self, gradient: &SplatGradients, rates: &Rates, step: u64) {
        let settings = AdamSettings::default();
        let pairs = [
            (&mut self.means, &gradient.means, rates.means),
            (&mut self.log_scales, &gradient.log_scales, rates.log_scales),
            (&mut self.quats, &gradient.quats, rates.quats),
            (&mut self.opacity_logits, &gradient.opacity_logits, rates.opacity_logits),
            (&mut self.sh0, &gradient.sh0, rates.sh0),
            (&mut self.sh_rest, &gradient.sh_rest, rates.sh_rest),
        ];
        for (parameter, gradient, rate) in pairs {
            adam::step(&mut parameter.values, gradient, &mut parameter.moments, &settings, rate, step);
        }
    }

    /// Values and both moments of means, log_scales, quats, opacity_logits, sh0 and sh_rest.
    pub fn tensors(&self) -> [[&[f32]; 3]; 6] {
        [&self.means, &self.log_scales, &self.quats, &self.opacity_logits, &self.sh0, &self.sh_rest]
            .map(|p| [p.values.as_slice(), &p.moments.first, &p.moments.second])
    }

    /// Takes over tensors in the order of [`SplatModel::tensors`].
    pub fn set_tensors(&mut self, tensors: [cuda::HostTensor; 6]) {
        for (parameter, tensor) in self.parameters_mut().into_iter().zip(tensors) {
            let planes = [tensor.values, tensor.first, tensor.second];
            for (plane, values) in parameter.planes().into_iter().zip(planes) {
                plane.clear();
                plane.extend_from_slice(&values);
            }
        }
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
        let parameters = [&self.means, &self.log_scales, &self.quats, &self.opacity_logits, &self.sh0, &self.sh_rest];
        for (name, p) in Self::NAMES.into_iter().zip(parameters) {
            let shape = [self.len(), p.columns];
            checkpoint.f32(name, &shape, p.values.as_slice());
            checkpoint.f32(&format!("adam.first.{name}"), &shape, p.moments.first.as_slice());
            checkpoint.f32(&format!("adam.second.{name}"), &shape, p.moments.second.as_slice());
        }
    }

    /// Takes all tensors from a checkpoint. A checkpoint of another harmonic degree is refused.
    ///
    /// # Errors
    /// When a tensor is missing or of another width.
    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let rows = checkpoint.shape("opacity_logits").and_then(|s| s.first().copied()).unwrap_or(0);
        for (name, p) in Self::NAMES.into_iter().zip(self.parameters_mut()) {
            let names = [name.to_owned(), format!("adam.first.{name}"), format!("adam.second.{name}")];
            let columns = p.columns;
            for (name, plane) in names.into_iter().zip(p.planes()) {
                let values = checkpoint.f32(&name)?;
                if values.len() != rows * columns {
                    let message = format!(
                        "the checkpoint's {name} does not have {columns} columns; resume with the sh_degree of the first run, or start again with --force"
                    );
                    return Err(Error::setting(message));
                }
                plane.clear();
                plane.extend_from_slice(&values);
            }
        }
        Ok(())
    }
}
