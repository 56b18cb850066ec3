//! Opacities, and which samples anybody sees: `opacity.cu`.

use super::OPACITY_ROWS;
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use crate::occupancy::cuda::DeviceRay;
use crate::sdf_render::STOP;
use crate::sort::cuda::Scan;
use bytemuck::{Pod, Zeroable};

/// The kernels of opacities.
pub static OPACITY: Source = Source::new("sdf_render/cuda/opacity.cu", include_str!("opacity.cu"));

/// As `opacity.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct OpacityShape {
    samples: u32,
    stride: u32,
    sharpness: f32,
    anneal: f32,
    step: f32,
    radius: f32,
}

/// As `opacity.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct SeenShape {
    rays: u32,
    stop: f32,
    invisible: f32,
}
device_struct!(OpacityShape, SeenShape);

/// What opacities depend on beside samples.
#[derive(Clone, Copy, Debug)]
pub struct OpacitySettings {
    /// Inverse width of the surface's density.
    pub sharpness: f32,
    /// How far opacity follows from the cosine alone.
    pub anneal: f32,
    /// Between samples.
    pub step: f32,
    /// Subtracted from what is given as distance.
    pub radius: f32,
}

/// Computes opacities and chooses the samples that somebody sees.
pub struct Opacities {
    opacities: Kernel,
    count_seen: Kernel,
    list_seen: Kernel,
    gather_seen: Kernel,
    scan: Scan,
}

/// Samples that are kept: positions `[3, stride]`, opacities `[5, stride]`, and the ray of each.
pub struct Seen<'a> {
    /// Positions.
    pub positions: &'a mut Buffer<f32>,
    /// Opacities with their derivatives.
    pub alphas: &'a mut Buffer<f32>,
    /// Rays.
    pub ray_of: &'a mut Buffer<u32>,
}

impl Opacities {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&OPACITY, name);
        Ok(Self {
            opacities: kernel("opacities")?,
            count_seen: kernel("count_seen")?,
            list_seen: kernel("list_seen")?,
            gather_seen: kernel("gather_seen")?,
            scan: Scan::new(device)?,
        })
    }

    /// As [`crate::sdf_render::alpha`], of samples with distances, `[stride]`, normals, `[3, stride]`, and rays.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn alphas(
        &self,
        stream: &Stream,
        (distances, normals): (&Buffer<f32>, &Buffer<f32>),
        (rays, ray_of): (&Buffer<DeviceRay>, &Buffer<u32>),
        batch: Batch,
        settings: OpacitySettings,
        out: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        batch.check(distances.len(), 0, 1, "distances");
        batch.check(normals.len(), 0, 3, "normals");
        batch.check(out.len(), 0, OPACITY_ROWS, "opacities");
        assert!(ray_of.len() >= batch.samples, "a ray for each sample");
        let OpacitySettings { sharpness, anneal, step, radius } = settings;
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let shape = OpacityShape { samples, stride, sharpness, anneal, step, radius };
        self.opacities.launch(
            stream,
            Launch::linear(batch.samples, 256),
            (distances, normals, rays, ray_of, shape, out),
        )
    }

    /// How many samples of each ray are seen, behind which nothing is hidden yet and which are more opaque than `invisible`: `kept_starts`, and how many in all in
    /// `total`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn count_seen(
        &self,
        stream: &Stream,
        (starts, alphas): (&Buffer<u32>, &Buffer<f32>),
        (rays, invisible): (usize, f32),
        kept_starts: &mut Buffer<u32>,
        total: &mut Buffer<u32>,
    ) -> Result<(), DeviceError> {
        assert!(starts.len() > rays && kept_starts.len() > rays, "room for {rays} rays");
        let shape = SeenShape { rays: rays as u32, stop: STOP, invisible };
        self.count_seen.launch(stream, Launch::linear(rays + 1, 128), (starts, alphas, shape, &mut *kept_starts))?;
        self.scan.exclusive_sum(stream, kept_starts, rays + 1, total.at_mut(0))
    }

    /// Lists the samples that [`Opacities::count_seen`] counted.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn list_seen(
        &self,
        stream: &Stream,
        (starts, alphas): (&Buffer<u32>, &Buffer<f32>),
        (rays, invisible): (usize, f32),
        kept_starts: &Buffer<u32>,
        kept: &mut Buffer<u32>,
    ) -> Result<(), DeviceError> {
        assert!(starts.len() > rays && kept_starts.len() > rays, "room for {rays} rays");
        let shape = SeenShape { rays: rays as u32, stop: STOP, invisible };
        self.list_seen.launch(stream, Launch::linear(rays, 128), (starts, alphas, shape, kept_starts, kept))
    }

    /// Copies what is listed.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn gather(
        &self,
        stream: &Stream,
        kept: &Buffer<u32>,
        (positions, alphas, ray_of): (&Buffer<f32>, &Buffer<f32>, &Buffer<u32>),
        batch: Batch,
        to: Seen<'_>,
    ) -> Result<(), DeviceError> {
        assert!(kept.len() >= batch.samples && to.ray_of.len() >= batch.samples, "room for {} samples", batch.samples);
        for (positions, alphas) in [(positions, alphas), (&*to.positions, &*to.alphas)] {
            batch.check(positions.len(), 0, 3, "positions");
            batch.check(alphas.len(), 0, OPACITY_ROWS, "opacities");
        }
        let (count, stride) = (batch.samples as u32, batch.stride as u32);
        let arguments = (kept, count, stride, positions, alphas, ray_of, to.positions, to.alphas, to.ray_of);
        self.gather_seen.launch(stream, Launch::linear(batch.samples, 256), arguments)
    }
}
