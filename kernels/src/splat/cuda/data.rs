//! What goes into and comes out of the rasteriser on a device: as in [`crate::splat`], with buffers for slices.

use super::primitives::{Primitives, Shapes};
use super::{PURPOSE, fit};
use crate::camera_projection::View;
use crate::device::{Buffer, Device, DeviceError, Stream};
use crate::device_struct;
use crate::splat::RenderSettings;
use bytemuck::{Pod, Zeroable};

/// The coefficients of harmonics above degree 0, `[N, K - 1, 3]`.
#[derive(Clone, Copy)]
pub enum Harmonics<'a> {
    /// As 32-bit floats.
    Floats(&'a Buffer<f32>),
    /// As 16-bit floats in the lower halves of words; the upper ones are not looked at.
    Words(&'a Buffer<u32>),
}

/// The parameters of `N` splats; buffers may be larger. [`crate::splat::Splats`] has the shapes.
#[derive(Clone, Copy)]
pub struct Splats<'a> {
    /// `N`.
    pub len: usize,
    /// `[N, 3]`
    pub means: &'a Buffer<f32>,
    /// `[N, 3]`
    pub log_scales: &'a Buffer<f32>,
    /// `[N, 4]`
    pub quats: &'a Buffer<f32>,
    /// `[N]`
    pub opacity_logits: &'a Buffer<f32>,
    /// `[N, 3]`
    pub sh0: &'a Buffer<f32>,
    /// `[N, K - 1, 3]`
    pub sh_rest: Harmonics<'a>,
    /// Degree that `sh_rest` has room for, 0 to 3.
    pub sh_degree: u8,
    /// `[N]`
    pub filter_3d: Option<&'a Buffer<f32>>,
}

/// `N` Gaussians by their covariances; buffers may be larger. [`crate::splat::Ellipsoids`] has the shapes.
#[derive(Clone, Copy)]
pub struct Ellipsoids<'a> {
    /// `N`.
    pub len: usize,
    /// `[N, 3]`
    pub means: &'a Buffer<f32>,
    /// `[N, 6]`
    pub covariances: &'a Buffer<f32>,
    /// `[N]`
    pub opacities: &'a Buffer<f32>,
    /// `[N, 3]`
    pub sh0: &'a Buffer<f32>,
    /// `[N, K - 1, 3]`
    pub sh_rest: &'a Buffer<f32>,
    /// Degree that `sh_rest` has room for, 0 to 3.
    pub sh_degree: u8,
}

/// A rendered picture; [`crate::splat::Rendering`] has the shapes. Buffers may be larger than the picture.
pub struct Rendering {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `[3, H, W]`
    pub rgb: Buffer<f32>,
    /// `[H, W]`
    pub transmittance: Buffer<f32>,
    /// `[H, W]`; not set unless asked for.
    pub depth: Buffer<f32>,
    /// `[H, W]`; not set unless asked for.
    pub median_depth: Buffer<f32>,
    has_depth: bool,
    has_median_depth: bool,
}

impl Rendering {
    pub(super) fn new(device: &Device) -> Result<Self, DeviceError> {
        let none = || device.buffer(0, PURPOSE);
        let (rgb, transmittance, depth, median_depth) = (none()?, none()?, none()?, none()?);
        Ok(Self {
            width: 0,
            height: 0,
            rgb,
            transmittance,
            depth,
            median_depth,
            has_depth: false,
            has_median_depth: false,
        })
    }

    pub(super) fn resize(
        &mut self,
        device: &Device,
        view: &View,
        settings: &RenderSettings,
    ) -> Result<(), DeviceError> {
        (self.width, self.height) = (view.width, view.height);
        (self.has_depth, self.has_median_depth) = (settings.depth || settings.median_depth, settings.median_depth);
        let pixels = view.width * view.height;
        fit(device, &mut self.rgb, 3 * pixels)?;
        fit(device, &mut self.transmittance, pixels)?;
        fit(device, &mut self.depth, if self.has_depth { pixels } else { 0 })?;
        fit(device, &mut self.median_depth, if self.has_median_depth { pixels } else { 0 })
    }

    /// The picture on the host, after the stream's work so far.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read(&self, stream: &Stream) -> Result<crate::splat::Rendering, DeviceError> {
        let pixels = self.width * self.height;
        Ok(crate::splat::Rendering {
            width: self.width,
            height: self.height,
            rgb: self.rgb.read_part(0, 3 * pixels, stream)?,
            transmittance: self.transmittance.read_part(0, pixels, stream)?,
            depth: self.depth.read_part(0, if self.has_depth { pixels } else { 0 }, stream)?,
            median_depth: self.median_depth.read_part(0, if self.has_median_depth { pixels } else { 0 }, stream)?,
        })
    }
}

/// The gradient of a loss with respect to a [`Rendering`]; [`crate::splat::RenderingGradient`] has the shapes.
#[derive(Clone, Copy)]
pub struct RenderingGradient<'a> {
    /// `[3, H, W]`
    pub rgb: &'a Buffer<f32>,
    /// `[H, W]`
    pub alpha: Option<&'a Buffer<f32>>,
    /// `[H, W]`
    pub depth: Option<&'a Buffer<f32>>,
    /// `[H, W]`
    pub score: Option<&'a Buffer<f32>>,
}

/// Gradients with respect to [`Splats`] or [`Ellipsoids`]; [`crate::splat::SplatGradients`] has the shapes. The tensors that
/// the other kind has are not set.
pub struct SplatGradients {
    /// `[N, 3]`
    pub means: Buffer<f32>,
    /// `[N, 3]`
    pub log_scales: Buffer<f32>,
    /// `[N, 4]`
    pub quats: Buffer<f32>,
    /// `[N]`
    pub opacity_logits: Buffer<f32>,
    /// `[N, 6]`
    pub covariances: Buffer<f32>,
    /// `[N]`
    pub opacities: Buffer<f32>,
    /// `[N, 3]`
    pub sh0: Buffer<f32>,
    /// `[N, K - 1, 3]`
    pub sh_rest: Buffer<f32>,
    /// `[N]`
    pub scores: Buffer<f32>,
    /// `[N]`
    pub mean2d_norms: Buffer<f32>,
    /// `[6]`
    pub pose: Buffer<f32>,
}

impl SplatGradients {
    /// Room for nothing yet.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let none = || device.buffer(0, PURPOSE);
        Ok(Self {
            means: none()?,
            log_scales: none()?,
            quats: none()?,
            opacity_logits: none()?,
            covariances: none()?,
            opacities: none()?,
            sh0: none()?,
            sh_rest: none()?,
            scores: none()?,
            mean2d_norms: none()?,
            pose: device.buffer(6, PURPOSE)?,
        })
    }

    pub(super) fn resize(&mut self, device: &Device, splats: &Primitives<'_>) -> Result<(), DeviceError> {
        let n = splats.len;
        let (turned, whole) = match splats.shapes {
            Shapes::Turned { .. } => (n, 0),
            Shapes::Covariances { .. } => (0, n),
        };
        fit(device, &mut self.means, 3 * n)?;
        fit(device, &mut self.log_scales, 3 * turned)?;
        fit(device, &mut self.quats, 4 * turned)?;
        fit(device, &mut self.opacity_logits, turned)?;
        fit(device, &mut self.covariances, 6 * whole)?;
        fit(device, &mut self.opacities, whole)?;
        fit(device, &mut self.sh0, 3 * n)?;
        fit(device, &mut self.sh_rest, splats.rest() * n)?;
        fit(device, &mut self.scores, n)?;
        fit(device, &mut self.mean2d_norms, n)
    }

    /// The gradients of `count` splats with `rest` coefficients each on the host, after the stream's work so far. Tensors of
    /// the other kind are empty, unless these gradients were of both kinds by turns.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read(
        &self,
        count: usize,
        rest: usize,
        stream: &Stream,
    ) -> Result<crate::splat::SplatGradients, DeviceError> {
        let part =
            |buffer: &Buffer<f32>, columns: usize| buffer.read_part(0, (columns * count).min(buffer.len()), stream);
        let pose = self.pose.read(stream)?;
        Ok(crate::splat::SplatGradients {
            means: part(&self.means, 3)?,
            log_scales: part(&self.log_scales, 3)?,
            quats: part(&self.quats, 4)?,
            opacity_logits: part(&self.opacity_logits, 1)?,
            covariances: part(&self.covariances, 6)?,
            opacities: part(&self.opacities, 1)?,
            sh0: part(&self.sh0, 3)?,
            sh_rest: part(&self.sh_rest, rest)?,
            scores: part(&self.scores, 1)?,
            mean2d_norms: part(&self.mean2d_norms, 1)?,
            pose: std::array::from_fn(|i| pose[i]),
        })
    }
}

/// What compositing needs of one visible splat; `record.cuh` names the members.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(16))]
pub(super) struct Record {
    floats: [f32; 13],
    integers: [u32; 3],
}

/// As `tile.cuh` has it.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Picture {
    pub width: i32,
    pub height: i32,
    pub tiles_across: i32,
    pub background: [f32; 3],
}
device_struct!(Record, Picture);
