//! Splats that are trained on a device: their tensors with Adam's moments, and what changes them.

use super::kernels::TrainingKernels;
use super::tensor::{HostTensor, Kind, Precision, Tensor};
use super::{Rasterizer, SUMS, Splats, fit};
use crate::adam::AdamSettings;
use crate::adam::cuda::AdamUpdate;
use crate::adam::packed::{Rounding, StoredMoments};
use crate::camera_projection::View;
use crate::device::{Buffer, Device, DeviceError, Launch, Stream};
use crate::device_struct;
use crate::sort::cuda::RadixSort;
use crate::splat::spherical_harmonics;
use bytemuck::{Pod, Zeroable};

/// Learning rates of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// What one step does to the parameters, as `descend.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Descent {
    /// Adam's constants: means, log_scales, quats, opacity_logits, sh0, sh_rest.
    adam: [AdamUpdate; 6],
    /// Added to the gradients of visible splats: `opacity_pull` ∂opacity and `scale_pull` ∂scale.
    pub opacity_pull: f32,
    /// See `opacity_pull`.
    pub scale_pull: f32,
    /// How far nearly transparent visible splats move at random, in units of their covariance; 0 for not at all.
    pub noise: f32,
    pub(super) instance_capacity: u32,
    /// Of the random motion.
    pub seed: u64,
    /// Of the random motion.
    pub step: u64,
    rounding: [u32; 2],
}

/// How a splat becomes two halves, as `density.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Halving {
    /// Standard deviations that each half lies from the parent's mean.
    pub offset: f32,
    /// Added to the logarithm of the scale along the split axis.
    pub log_shrink: f32,
    /// Exponent of a half's transparency.
    pub transparency: f32,
}

/// A camera reduced to what decides whether and how finely it sees a point, as `filter_3d.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sampling {
    rotation: [[f32; 3]; 3],
    translation: [f32; 3],
    bounds: [f32; 4],
    max_radius_squared: f32,
    inverse_focal: f32,
}
device_struct!(Descent, Halving, Sampling);

impl Descent {
    /// Step number `step` of Adam, counted from 1, without decay and noise. `seed` is that of all random numbers.
    pub fn new(rates: &Rates, settings: &AdamSettings, seed: u64, step: u64) -> Self {
        let Rates { means, log_scales, quats, opacity_logits, sh0, sh_rest } = *rates;
        let adam = [means, log_scales, quats, opacity_logits, sh0, sh_rest];
        Self {
            adam: adam.map(|rate| AdamUpdate::new(settings, rate, step)),
            opacity_pull: 0.0,
            scale_pull: 0.0,
            noise: 0.0,
            instance_capacity: 0,
            seed,
            step,
            rounding: Rounding::new(seed, step).key,
        }
    }

    /// What the step does to harmonics above degree 0, and their roundings.
    pub(super) fn of_harmonics(&self) -> (AdamUpdate, [u32; 2]) {
        (self.adam[5], self.rounding)
    }
}

impl From<&View> for Sampling {
    fn from(view: &View) -> Self {
        Self {
            rotation: view.rotation,
            translation: view.translation,
            bounds: view.jacobian_bounds,
            max_radius_squared: view.max_radius_squared,
            inverse_focal: 1.0 / view.lens.focal[0].max(view.lens.focal[1]) as f32,
        }
    }
}

/// Up to `capacity` splats, all of whose memory is there from the start.
pub struct Trained {
    device: Device,
    stream: Stream,
    pub(super) kernels: TrainingKernels,
    /// means, log_scales, quats, opacity_logits, sh0, sh_rest.
    pub(super) tensors: [Tensor; 6],
    pub(super) len: usize,
    capacity: usize,
    sh_degree: u8,
    /// `[N]`
    pub(super) scores: Buffer<f32>,
    /// `[N]`
    pub(super) filter: Buffer<f32>,
    pub(super) filtered: bool,
    /// `[N]`, the splats' numbers in a larger scene of which these are a part, which decide their random numbers; none where
    /// they are all.
    pub(super) numbers: Option<Buffer<u32>>,
    cameras: Buffer<Sampling>,
    /// Rows for splits and permutations.
    rows: [Buffer<u32>; 2],
}

impl Trained {
    /// Room for `capacity` splats, none of which is there yet.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(
        device: &Device,
        stream: &Stream,
        capacity: usize,
        sh_degree: u8,
        precision: Precision,
    ) -> Result<Self, DeviceError> {
        let rest = 3 * (spherical_harmonics::count(sh_degree) - 1);
        let [geometry, harmonics] = match precision {
            Precision::Full => [Kind::Full; 2],
            Precision::Compact => [Kind::Wide, Kind::Words],
        };
        let tensor = |columns: usize| Tensor::zeros(device, columns, capacity, geometry);
        let sh_rest = Tensor::zeros(device, rest, capacity, harmonics)?;
        Ok(Self {
            kernels: TrainingKernels::new(device)?,
            tensors: [tensor(3)?, tensor(3)?, tensor(4)?, tensor(1)?, tensor(3)?, sh_rest],
            len: 0,
            capacity,
            sh_degree,
            scores: device.zeros(capacity, "scores")?,
            filter: device.zeros(capacity, "the 3D filter")?,
            filtered: false,
            numbers: None,
            cameras: device.buffer(0, "cameras")?,
            rows: [device.buffer(0, "rows")?, device.buffer(0, "rows")?],
            device: device.clone(),
            stream: stream.clone(),
        })
    }

    /// Bytes that a splat has from step to step: parameters, Adam's moments, score and 3D filter.
    pub fn state_bytes(sh_degree: u8, precision: Precision) -> usize {
        precision.bytes(3 * (spherical_harmonics::count(sh_degree) - 1)) + 8
    }

    /// Bytes of buffers for `capacity` splats: their state, and the rows of splits and permutations.
    pub fn bytes(capacity: usize, sh_degree: u8, precision: Precision) -> usize {
        capacity * (Self::state_bytes(sh_degree, precision) + 8)
    }

    /// Number of splats.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are no splats.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Degree that the harmonics have room for.
    pub(super) fn sh_degree(&self) -> u8 {
        self.sh_degree
    }

    /// The parameters as the rasteriser takes them.
    pub fn splats(&self) -> Splats<'_> {
        let [means, log_scales, quats, opacity_logits, sh0, sh_rest] = &self.tensors;
        Splats {
            len: self.len,
            means: &means.values,
            log_scales: &log_scales.values,
            quats: &quats.values,
            opacity_logits: &opacity_logits.values,
            sh0: &sh0.values,
            sh_rest: sh_rest.harmonics(),
            sh_degree: self.sh_degree,
            filter_3d: self.filtered.then_some(&self.filter),
        }
    }

    /// Takes over values and moments from the host, in the order means, log_scales, quats, opacity_logits, sh0, sh_rest.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When they are more than there is room for, or of different lengths.
    pub fn write(&mut self, tensors: [(&[f32], &StoredMoments); 6]) -> Result<(), DeviceError> {
        self.len = tensors[3].0.len();
        assert!(self.len <= self.capacity, "{} splats do not fit into {}", self.len, self.capacity);
        for (tensor, (values, moments)) in self.tensors.iter_mut().zip(tensors) {
            assert_eq!(values.len(), tensor.columns * self.len, "the tensors have different lengths");
            tensor.write(values, moments, &self.stream)?;
        }
        Ok(())
    }

    /// All tensors, in the order of [`Trained::write`].
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read(&self) -> Result<[HostTensor; 6], DeviceError> {
        let mut out: [HostTensor; 6] = Default::default();
        for (host, tensor) in out.iter_mut().zip(&self.tensors) {
            *host = tensor.read(self.len, &self.stream)?;
        }
        Ok(out)
    }

    /// The means alone, `[N, 3]`.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read_means(&self) -> Result<Vec<f32>, DeviceError> {
        self.tensors[0].values.read_part(0, 3 * self.len, &self.stream)
    }

    /// Sets the scores that steps add to, `[N]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn write_scores(&mut self, scores: &[f32]) -> Result<(), DeviceError> {
        self.scores.clear(&self.stream)?;
        self.scores.write(0, &scores[..scores.len().min(self.capacity)], &self.stream)
    }

    /// The scores since they were set, `[N]`.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read_scores(&self) -> Result<Vec<f32>, DeviceError> {
        self.scores.read_part(0, self.len, &self.stream)
    }

    /// The scores of living splats, and -1 for those whose opacity is below `dead_opacity` or that are not finite.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn living_scores(&self, dead_opacity: f32) -> Result<Vec<f32>, DeviceError> {
        let mut living = self.device.buffer::<f32>(self.len, "scores")?;
        let [means, log_scales, _, opacity_logits, ..] = self.tensors.each_ref().map(|t| &t.values);
        let count = self.len as u32;
        let arguments = (means, log_scales, opacity_logits, &self.scores, count, dead_opacity, &mut living);
        self.kernels.living_scores.launch(&self.stream, Launch::linear(self.len, 256), arguments)?;
        living.read(&self.stream)
    }

    /// Sets the 3D filter's standard deviations, `[N]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn write_filter(&mut self, filter: &[f32]) -> Result<(), DeviceError> {
        self.filtered = true;
        self.filter.write(0, &filter[..filter.len().min(self.capacity)], &self.stream)
    }

    /// The 3D filter's standard deviations, `[N]`; empty when there is none.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read_filter(&self) -> Result<Vec<f32>, DeviceError> {
        self.filter.read_part(0, if self.filtered { self.len } else { 0 }, &self.stream)
    }

    /// Computes the 3D filter from the cameras that see each splat: `deviation` times the smallest sampling interval, the
    /// median of the others where none does.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    pub fn update_filter(&mut self, cameras: &[Sampling], near: f32, deviation: f32) -> Result<(), DeviceError> {
        self.filtered = true;
        let (count, stream, device) = (self.len as u32, &self.stream, &self.device);
        fit(device, &mut self.cameras, cameras.len())?;
        self.cameras.write(0, cameras, stream)?;
        let mut intervals = device.buffer::<u32>(self.len, "the 3D filter")?;
        let mut keys = device.buffer::<u32>(self.len, "the 3D filter")?;
        let mut values = device.zeros::<u32>(self.len, "the 3D filter")?;
        // How many are seen, and how many there are.
        let mut counts = device.upload(&[0u32, count], "the 3D filter")?;
        let grid = Launch::linear(self.len, 256);
        let means = &self.tensors[0].values;
        let arguments =
            (means, count, &self.cameras, cameras.len() as u32, near, &mut intervals, &mut keys, &mut counts);
        self.kernels.smallest_intervals.launch(stream, grid, arguments)?;
        RadixSort::new(device)?.sort_pairs(stream, &mut keys, &mut values, (&counts, 1), 32)?;
        let arguments = (&intervals, &keys, &counts, count, deviation, &mut self.filter);
        self.kernels.filter_deviations.launch(stream, grid, arguments)
    }

    /// Replaces each of `parents` by two halves along its longest axis, the second one in the row of `places`, which may lie
    /// behind the last splat. Parents and places are all different. The optimiser forgets both.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When a place is outside the capacity.
    pub fn split(&mut self, parents: &[u32], places: &[u32], halving: Halving) -> Result<(), DeviceError> {
        assert_eq!(parents.len(), places.len(), "every parent needs a place");
        let end = places.iter().map(|&p| p as usize + 1).max().unwrap_or(0);
        assert!(end <= self.capacity, "place {end} is outside the capacity of {}", self.capacity);
        let (stream, pairs) = (&self.stream, parents.len());
        for (buffer, rows) in self.rows.iter_mut().zip([parents, places]) {
            fit(&self.device, buffer, pairs)?;
            buffer.write(0, rows, stream)?;
        }
        let [from, to] = &self.rows;
        let count = pairs as u32;
        let [means, log_scales, quats, opacity_logits, sh0, sh_rest] = &mut self.tensors;
        let arguments = (
            from,
            to,
            count,
            halving,
            &mut means.values,
            &mut log_scales.values,
            &mut quats.values,
            &mut opacity_logits.values,
        );
        self.kernels.split_splats.launch(stream, Launch::linear(pairs, 256), arguments)?;
        for tensor in [sh0, sh_rest] {
            let columns = tensor.columns as u32;
            let grid = Launch::linear(pairs * tensor.columns, 256);
            let plane = tensor.value_plane().words_mut();
            self.kernels.copy_rows.launch(stream, grid, (plane, columns, from, to, count))?;
        }
        for tensor in &mut self.tensors {
            let columns = tensor.columns as u32;
            let grid = Launch::linear(pairs * tensor.columns, 256);
            for (plane, kept) in tensor.moment_planes() {
                self.kernels.clear_rows.launch(stream, grid, (plane.words_mut(), columns, from, count, kept))?;
                self.kernels.clear_rows.launch(stream, grid, (plane.words_mut(), columns, to, count, kept))?;
            }
        }
        self.len = self.len.max(end);
        Ok(())
    }

    /// Puts row `order[i]` in place `i`, for all `i`; the rasteriser lends memory that it does not use between passes.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When the order is not one of all splats.
    pub fn permute(&mut self, order: &[u32], rasterizer: &mut Rasterizer) -> Result<(), DeviceError> {
        rasterizer.reserve(self.len)?;
        self.permute_through(order, (&mut rasterizer.sums, 2 * SUMS))?;
        rasterizer.sums.clear(&self.stream)
    }

    /// As [`Trained::permute`], with scratch memory that has room for so many words of each splat.
    pub(super) fn permute_through(
        &mut self,
        order: &[u32],
        (scratch, words): (&mut Buffer<u64>, usize),
    ) -> Result<(), DeviceError> {
        assert_eq!(order.len(), self.len, "the order is not one of all splats");
        let (stream, count) = (&self.stream, self.len as u32);
        fit(&self.device, &mut self.rows[0], self.len)?;
        self.rows[0].write(0, order, stream)?;
        let order = &self.rows[0];
        for tensor in &mut self.tensors {
            let columns = tensor.columns;
            for plane in tensor.planes() {
                for first in (0..columns).step_by(words) {
                    let width = words.min(columns - first);
                    let grid = Launch::linear(self.len * width, 256);
                    let (all, first, width) = (columns as u32, first as u32, width as u32);
                    let taken = (plane.words(), all, first, width, order, count, &mut *scratch);
                    self.kernels.take_columns.launch(stream, grid, taken)?;
                    let put = (plane.words_mut(), all, first, width, count, &*scratch);
                    self.kernels.put_columns.launch(stream, grid, put)?;
                }
            }
        }
        Ok(())
    }
}
