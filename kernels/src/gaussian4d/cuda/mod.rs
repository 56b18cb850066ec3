//! Gaussians in space and time that are trained on a device. [`Trained4d`] holds their tensors with Adam's moments and every
//! buffer of a step; in steady use nothing is allocated and nothing comes back to the host.
//!
//! A step is a list of launches: `slice.cu` lists the Gaussians that may be seen and slices them, the rasteriser draws the
//! slice and differentiates the picture, `slice.cu` again goes back to the Gaussians, and `adam/listed.cu` changes the rows
//! that were in the picture. Nothing is summed over Gaussians, so results do not depend on the order in which blocks run.

use super::SLICED;
use crate::adam::AdamSettings;
use crate::adam::cuda::{Listed, ListedAdam, Moments};
use crate::camera_projection::View;
use crate::device::{Buffer, Device, DeviceError, Element, Joined, Kernel, Launch, Source, Stream};
use crate::splat::RenderSettings;
use crate::splat::cuda::{Ellipsoids, Rasterizer, RenderingGradient, SplatGradients};
use crate::splat::spherical_harmonics;
use std::ops::Range;

/// `slice.cu`
pub static SLICE: Source = Source::new("gaussian4d/cuda/slice.cu", include_str!("slice.cu"));

/// Threads of a block.
const BLOCK: u32 = 256;
/// Columns of the tensors but those of the harmonics above degree 0.
const COLUMNS: [usize; 8] = [3, 1, 3, 1, 4, 4, 1, 3];

/// What one step does.
#[derive(Clone, Copy, Debug)]
pub struct Descent4d {
    /// Learning rates: means, times, log_scales, log_time_scales, left_quats, right_quats, opacity_logits, sh0, sh_rest.
    pub rates: [f32; 9],
    /// Added to the gradients of what is in the picture: `opacity_pull` ∂opacity and `scale_pull` ∂scale, of the scales in
    /// space.
    pub opacity_pull: f32,
    /// See `opacity_pull`.
    pub scale_pull: f32,
    /// Harmonics above degree 0 that are all zero stay so.
    pub only_given_harmonics: bool,
    /// No logarithm of a scale along time becomes less.
    pub lowest_log_time_scale: f32,
}

/// A tensor on the host, `[N, columns]`: values, first and second moments.
pub type HostTensor = [Vec<f32>; 3];

struct Tensor {
    columns: usize,
    values: Buffer<f32>,
    moments: Moments,
}

struct Kernels {
    list_rows: Kernel,
    gather_rows: Kernel,
    slice: Kernel,
    count_steps: Kernel,
    gradients: Kernel,
}

/// What a moment shows of the `M` listed Gaussians, and the gradients that come back.
struct Slice {
    means: Buffer<f32>,
    covariances: Buffer<f32>,
    opacities: Buffer<f32>,
    sh0: Buffer<f32>,
    sh_rest: Buffer<f32>,
    /// Of what is seen.
    v_seen: SplatGradients,
    /// Of the first seven tensors.
    v_geometry: [Buffer<f32>; 7],
    steps: Buffer<u32>,
    steps_of_harmonics: Buffer<u32>,
}

/// Gaussians in space and time that are trained on a device.
pub struct Trained4d {
    device: Device,
    stream: Stream,
    kernels: Kernels,
    adam: ListedAdam,
    /// In the order of [`Descent4d::rates`].
    tensors: [Tensor; 9],
    /// `[N]`, how many steps have changed each.
    ages: Buffer<u32>,
    /// `[N]`, what steps have added since the last [`Trained4d::write`].
    scores: Buffer<f32>,
    len: usize,
    sh_degree: u8,
    /// `[M]`, those that were sliced last.
    rows: Buffer<u32>,
    listed: usize,
    seconds: f32,
    sliced: Slice,
}

impl Trained4d {
    /// No Gaussians yet.
    ///
    /// # Errors
    /// When the kernels cannot be compiled.
    pub fn new(device: &Device, stream: &Stream, sh_degree: u8, adam: AdamSettings) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&SLICE, name);
        let none = || device.buffer(0, PURPOSE);
        let rest = 3 * (spherical_harmonics::count(sh_degree) - 1);
        let tensor = |columns| -> Result<Tensor, DeviceError> {
            Ok(Tensor { columns, values: none()?, moments: Moments { first: none()?, second: none()? } })
        };
        let [a, b, c, d, e, f, g, h] = COLUMNS.map(tensor);
        Ok(Self {
            kernels: Kernels {
                list_rows: kernel("list_rows")?,
                gather_rows: kernel("gather_rows")?,
                slice: kernel("slice_gaussians")?,
                count_steps: kernel("count_steps")?,
                gradients: kernel("slice_gradients")?,
            },
            adam: ListedAdam::new(device, adam)?,
            tensors: [a?, b?, c?, d?, e?, f?, g?, h?, tensor(rest)?],
            ages: device.buffer(0, PURPOSE)?,
            scores: none()?,
            len: 0,
            sh_degree,
            rows: device.buffer(0, PURPOSE)?,
            listed: 0,
            seconds: 0.0,
            sliced: Slice::new(device)?,
            device: device.clone(),
            stream: stream.clone(),
        })
    }

    /// Bytes of buffers for `n` Gaussians, all of which may be seen at once.
    pub fn bytes(n: usize, sh_degree: u8) -> usize {
        let rest = 3 * (spherical_harmonics::count(sh_degree) - 1);
        let state = 3 * (COLUMNS.iter().sum::<usize>() + rest) + 2;
        // The list, a slice with its gradients, the gradients of seven tensors, two counts of steps.
        let step = 1 + 2 * (SLICED + 3 + rest) + 2 + 17 + 2;
        4 * n * (state + step)
    }

    /// Number of Gaussians.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many were sliced last.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// Takes over Gaussians from the host, each tensor as values, first and second moments, in the order of
    /// [`Descent4d::rates`]; scores begin at zero.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When the lengths of the tensors disagree.
    pub fn write(&mut self, tensors: [[&[f32]; 3]; 9], ages: &[u32]) -> Result<(), DeviceError> {
        let (device, stream) = (&self.device, &self.stream);
        self.len = ages.len();
        self.listed = 0;
        for (tensor, host) in self.tensors.iter_mut().zip(tensors) {
            let Tensor { columns, values, moments } = tensor;
            for (plane, host) in [values, &mut moments.first, &mut moments.second].into_iter().zip(host) {
                assert_eq!(host.len(), self.len * *columns, "the tensors have different lengths");
                fit(device, plane, host.len())?;
                plane.write(0, host, stream)?;
            }
        }
        fit(device, &mut self.ages, self.len)?;
        self.ages.write(0, ages, stream)?;
        fit(device, &mut self.scores, self.len)?;
        self.scores.clear(stream)
    }

    /// All tensors and ages, in the order of [`Trained4d::write`].
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read(&self) -> Result<([HostTensor; 9], Vec<u32>), DeviceError> {
        let mut out: [HostTensor; 9] = Default::default();
        for (host, tensor) in out.iter_mut().zip(&self.tensors) {
            let len = self.len * tensor.columns;
            let planes = [&tensor.values, &tensor.moments.first, &tensor.moments.second];
            for (host, plane) in host.iter_mut().zip(planes) {
                *host = plane.read_part(0, len, &self.stream)?;
            }
        }
        Ok((out, self.ages.read_part(0, self.len, &self.stream)?))
    }

    /// Sets the scores that steps add to, `[N]`; those beyond the end of a shorter list stay zero.
    ///
    /// # Errors
    /// When the device fails.
    pub fn write_scores(&mut self, scores: &[f32]) -> Result<(), DeviceError> {
        self.scores.write(0, &scores[..scores.len().min(self.len)], &self.stream)
    }

    /// What steps have added to the score of each, `[N]`.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read_scores(&self) -> Result<Vec<f32>, DeviceError> {
        self.scores.read_part(0, self.len, &self.stream)
    }

    /// Slices the Gaussians of some ranges of rows at `seconds`; [`Trained4d::ellipsoids`] then shows them.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When a row is not there.
    pub fn slice(&mut self, ranges: &[Range<usize>], seconds: f32) -> Result<(), DeviceError> {
        assert!(ranges.iter().all(|range| range.end <= self.len), "a row beyond the last Gaussian");
        let (device, stream, kernels) = (&self.device, &self.stream, &self.kernels);
        let count: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        (self.listed, self.seconds) = (count, seconds);
        fit(device, &mut self.rows, count)?;
        let mut at = 0;
        for range in ranges {
            let arguments = (range.start as u32, at as u32, range.len() as u32, &mut self.rows);
            kernels.list_rows.launch(stream, Launch::linear(range.len(), BLOCK), arguments)?;
            at += range.len();
        }
        let [geometry @ .., sh0, sh_rest] = &self.tensors;
        self.sliced.fit(device, count, sh_rest.columns)?;
        let Slice { means, covariances, opacities, sh0: seen_sh0, sh_rest: seen_sh_rest, .. } = &mut self.sliced;
        let arguments = (inputs(geometry), &self.rows, count as u32, seconds, means, covariances, opacities);
        kernels.slice.launch(stream, Launch::linear(count, BLOCK), arguments)?;
        for (tensor, out) in [(sh0, seen_sh0), (sh_rest, seen_sh_rest)] {
            let arguments = (&tensor.values, tensor.columns as u32, &self.rows, count as u32, out);
            kernels.gather_rows.launch(stream, Launch::linear(count * tensor.columns, BLOCK), arguments)?;
        }
        Ok(())
    }

    /// What was sliced last, as the rasteriser takes it.
    pub fn ellipsoids(&self) -> Ellipsoids<'_> {
        self.sliced.ellipsoids(self.listed, self.sh_degree)
    }

    /// From the gradient of the picture that the rasteriser's last pass made of [`Trained4d::ellipsoids`] to one step of Adam for
    /// those in the picture. A pass that ran out of room is not trained on.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// As [`Rasterizer::backward`].
    pub fn descend(
        &mut self,
        rasterizer: &mut Rasterizer,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
        descent: &Descent4d,
    ) -> Result<(), DeviceError> {
        self.differentiate(rasterizer, view, settings, gradient)?;
        self.count_steps(rasterizer, descent)?;
        self.slice_gradients([descent.opacity_pull, descent.scale_pull])?;
        let Slice { v_seen, v_geometry, steps, steps_of_harmonics, .. } = &self.sliced;
        let gradients = v_geometry.iter().chain([&v_seen.sh0, &v_seen.sh_rest]);
        for (k, (tensor, gradient)) in self.tensors.iter_mut().zip(gradients).enumerate() {
            let steps = if k == 8 { steps_of_harmonics } else { steps };
            let listed = Listed { rows: &self.rows, steps, count: self.listed };
            let lowest = if k == 3 { descent.lowest_log_time_scale } else { f32::NEG_INFINITY };
            let tensor = (&mut tensor.values, &mut tensor.moments, tensor.columns);
            self.adam.step(&self.stream, tensor, listed, gradient, descent.rates[k], lowest)?;
        }
        Ok(())
    }

    /// To the gradient of the slice.
    fn differentiate(
        &mut self,
        rasterizer: &mut Rasterizer,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
    ) -> Result<(), DeviceError> {
        let Slice { means, covariances, opacities, sh0, sh_rest, v_seen, .. } = &mut self.sliced;
        let (len, sh_degree) = (self.listed, self.sh_degree);
        let ellipsoids = Ellipsoids { len, means, covariances, opacities, sh0, sh_rest, sh_degree };
        rasterizer.backward(&ellipsoids, view, settings, gradient, v_seen)
    }

    fn count_steps(&mut self, rasterizer: &Rasterizer, descent: &Descent4d) -> Result<(), DeviceError> {
        let Slice { v_seen, steps, steps_of_harmonics, .. } = &mut self.sliced;
        let (touched, counters) = rasterizer.seen();
        let capacity = rasterizer.instance_capacity() as u32;
        let (rows, count) = (&self.rows, self.listed as u32);
        let seen = Joined((rows, touched, counters, capacity, count));
        let harmonics = &self.tensors[8];
        let only_given = u32::from(descent.only_given_harmonics);
        let harmonics = Joined((&harmonics.values, harmonics.columns as u32, only_given));
        let written = Joined((&mut self.ages, &mut self.scores, steps, steps_of_harmonics));
        let arguments = (seen, harmonics, &v_seen.scores, written);
        self.kernels.count_steps.launch(&self.stream, Launch::linear(self.listed, BLOCK), arguments)
    }

    /// From the gradient of the slice to those of the geometry.
    fn slice_gradients(&mut self, [opacity_pull, scale_pull]: [f32; 2]) -> Result<(), DeviceError> {
        let [geometry @ .., _, _] = &self.tensors;
        let Slice { v_seen, v_geometry, steps, .. } = &mut self.sliced;
        let list = Joined((&self.rows, &*steps, self.listed as u32, self.seconds, opacity_pull, scale_pull));
        let seen = Joined((&v_seen.means, &v_seen.covariances, &v_seen.opacities));
        let [means, times, log_scales, log_time_scales, left, right, logits] = v_geometry;
        let written = Joined((means, times, log_scales, log_time_scales, left, right, logits));
        let arguments = (inputs(geometry), list, seen, written);
        self.kernels.gradients.launch(&self.stream, Launch::linear(self.listed, BLOCK), arguments)
    }

    /// The gradients that the last [`Trained4d::descend`] went down, decay included, of the listed Gaussians in the order of the
    /// list; tensors in the order of [`Descent4d::rates`].
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read_gradients(&self) -> Result<[Vec<f32>; 9], DeviceError> {
        let Slice { v_seen, v_geometry, .. } = &self.sliced;
        let mut out: [Vec<f32>; 9] = Default::default();
        let gradients = v_geometry.iter().chain([&v_seen.sh0, &v_seen.sh_rest]);
        for ((out, gradient), tensor) in out.iter_mut().zip(gradients).zip(&self.tensors) {
            *out = gradient.read_part(0, tensor.columns * self.listed, &self.stream)?;
        }
        Ok(out)
    }
}

type Geometry<'a> = Joined<(
    &'a Buffer<f32>,
    &'a Buffer<f32>,
    &'a Buffer<f32>,
    &'a Buffer<f32>,
    &'a Buffer<f32>,
    &'a Buffer<f32>,
    &'a Buffer<f32>,
)>;

/// The first seven tensors as arguments.
fn inputs(geometry: &[Tensor; 7]) -> Geometry<'_> {
    let [means, times, log_scales, log_time_scales, left, right, logits] = geometry.each_ref().map(|t| &t.values);
    Joined((means, times, log_scales, log_time_scales, left, right, logits))
}

impl Slice {
    fn new(device: &Device) -> Result<Self, DeviceError> {
        let none = || device.buffer(0, PURPOSE);
        Ok(Self {
            means: none()?,
            covariances: none()?,
            opacities: none()?,
            sh0: none()?,
            sh_rest: none()?,
            v_seen: SplatGradients::new(device)?,
            v_geometry: [none()?, none()?, none()?, none()?, none()?, none()?, none()?],
            steps: device.buffer(0, PURPOSE)?,
            steps_of_harmonics: device.buffer(0, PURPOSE)?,
        })
    }

    fn fit(&mut self, device: &Device, count: usize, rest: usize) -> Result<(), DeviceError> {
        let seen = [&mut self.means, &mut self.covariances, &mut self.opacities, &mut self.sh0, &mut self.sh_rest];
        for (buffer, columns) in seen.into_iter().zip([3, 6, 1, 3, rest]) {
            fit(device, buffer, columns * count)?;
        }
        for (buffer, columns) in self.v_geometry.iter_mut().zip(COLUMNS) {
            fit(device, buffer, columns * count)?;
        }
        fit(device, &mut self.steps, count)?;
        fit(device, &mut self.steps_of_harmonics, count)
    }

    fn ellipsoids(&self, len: usize, sh_degree: u8) -> Ellipsoids<'_> {
        let Self { means, covariances, opacities, sh0, sh_rest, .. } = self;
        Ellipsoids { len, means, covariances, opacities, sh0, sh_rest, sh_degree }
    }
}

/// Makes a buffer as large as needed and a little more, so that it lasts for a while; what is in it is lost.
fn fit<T: Element>(device: &Device, buffer: &mut Buffer<T>, len: usize) -> Result<(), DeviceError> {
    if buffer.len() < len {
        *buffer = device.buffer(len + len / 8, PURPOSE)?;
    }
    Ok(())
}

const PURPOSE: &str = "Gaussians in space and time";
