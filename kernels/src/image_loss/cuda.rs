//! The same losses on a device: `ssim.cu`, `sums.cu`.

use super::{LossSettings, LossValues, Padding, blur};
use crate::device::{AtMut, Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// L1 and SSIM with their gradient.
pub static SSIM: Source = Source::new("image_loss/ssim.cu", include_str!("ssim.cu"));
/// Sums, and the loss of single pixels.
pub static SUMS: Source = Source::new("image_loss/sums.cu", include_str!("sums.cu"));

/// The loss of depth.
pub static DEPTH: Source = Source::new("image_loss/depth.cu", include_str!("depth.cu"));

/// Pixels along a side of a tile.
const TILE: usize = 16;

/// As `loss.cuh` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct LossShape {
    width: i32,
    height: i32,
    map_border: i32,
    squared: i32,
    ssim_weight: f32,
}

/// As `loss.cuh` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct LossScales {
    pixel: f32,
    ssim: f32,
    inverse_total: f32,
    inverse_map_total: f32,
}
device_struct!(LossShape, LossScales);

/// The two images to compare, on a device: [`super::ImagePair`].
#[derive(Clone, Copy)]
pub struct ImagePair<'a> {
    /// `[3, height, width]`, the image that gradients are for.
    pub image: &'a Buffer<f32>,
    /// `[3, height, width]`, what it should be.
    pub target: &'a Buffer<f32>,
    /// `[height, width]`, how much each pixel counts (0 or more); all alike if absent.
    pub weight: Option<&'a Buffer<f32>>,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// What one comparison writes besides its values.
#[derive(Default)]
pub struct Outputs<'a> {
    /// `[3, height, width]`, ∂loss/∂image.
    pub gradient: Option<&'a mut Buffer<f32>>,
    /// `[height, width]`, where the image is wrong.
    pub errors: Option<&'a mut Buffer<f32>>,
    /// `[3, height, width]`, S with zero padding; only with a weight of SSIM.
    pub map: Option<&'a mut Buffer<f32>>,
}

/// Kernels and buffers of the loss: [`super::ImageLoss`].
pub struct ImageLoss {
    device: Device,
    map: Kernel,
    gradient: Kernel,
    weight_sums: Kernel,
    scales: Kernel,
    values: Kernel,
    pixel: Kernel,
    /// `[3, 3, height, width]`
    derivatives: Buffer<f32>,
    /// `[blocks, 4]`
    partials: Buffer<f32>,
    state: Buffer<LossScales>,
}

impl ImageLoss {
    /// An evaluator with room for nothing yet.
    ///
    /// # Errors
    /// When its kernels cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        Ok(Self {
            map: device.kernel(&SSIM, "ssim_map")?,
            gradient: device.kernel(&SSIM, "ssim_gradient")?,
            weight_sums: device.kernel(&SUMS, "weight_sums")?,
            scales: device.kernel(&SUMS, "loss_scales")?,
            values: device.kernel(&SUMS, "loss_values")?,
            pixel: device.kernel(&SUMS, "pixel_loss")?,
            derivatives: device.buffer(0, PURPOSE)?,
            partials: device.buffer(0, PURPOSE)?,
            state: device.buffer(1, PURPOSE)?,
            device: device.clone(),
        })
    }

    /// Bytes of buffers for pictures of so many pixels.
    pub fn bytes(pixels: usize) -> usize {
        36 * pixels + 16 * pixels.div_ceil(TILE * TILE)
    }

    /// Computes the loss, its parts and what `outputs` has room for. `values`, `[4]`, receives loss, L1, SSIM (1 when it has
    /// no weight) and the mean squared difference; [`loss_values`] reads them.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// If a buffer is too small for the images.
    pub fn compare(
        &mut self,
        stream: &Stream,
        images: &ImagePair<'_>,
        settings: &LossSettings,
        outputs: Outputs<'_>,
        values: AtMut<'_, f32>,
    ) -> Result<(), DeviceError> {
        let inside = settings.padding == Padding::Valid && images.width.min(images.height) > 2 * blur::RADIUS;
        let map_border = if inside { blur::RADIUS as i32 } else { 0 };
        let shape = images.shape(map_border, false, settings.ssim_weight);
        self.run(stream, images, shape, outputs, values)
    }

    /// Mean squared difference (the last of `values`) and its gradient with respect to the image.
    ///
    /// # Errors
    /// As [`ImageLoss::compare`].
    pub fn mse_and_gradient(
        &mut self,
        stream: &Stream,
        images: &ImagePair<'_>,
        gradient: &mut Buffer<f32>,
        values: AtMut<'_, f32>,
    ) -> Result<(), DeviceError> {
        let outputs = Outputs { gradient: Some(gradient), ..Outputs::default() };
        self.run(stream, images, images.shape(0, true, 0.0), outputs, values)
    }

    fn run(
        &mut self,
        stream: &Stream,
        images: &ImagePair<'_>,
        shape: LossShape,
        outputs: Outputs<'_>,
        values: AtMut<'_, f32>,
    ) -> Result<(), DeviceError> {
        images.check(&outputs);
        let (across, down) = (images.width.div_ceil(TILE) as u32, images.height.div_ceil(TILE) as u32);
        let blocks = across * down;
        if blocks == 0 {
            return Ok(());
        }
        if self.partials.len() < 4 * blocks as usize {
            self.partials = self.device.buffer(4 * blocks as usize, PURPOSE)?;
        }
        let grid = Launch::grid([across, down, 1], [256, 1, 1]);
        let one = Launch::blocks(1, 256);
        let weighted = if let Some(weight) = images.weight {
            self.weight_sums.launch(stream, grid, (weight, shape, &mut self.partials))?;
            blocks
        } else {
            0
        };
        self.scales.launch(stream, one, (&self.partials, weighted, shape, &mut self.state))?;
        let Outputs { gradient, errors, map } = outputs;
        let (image, target, weight) = (images.image, images.target, images.weight);
        if shape.ssim_weight == 0.0 {
            let arguments = (image, target, weight, shape, &self.state, gradient, errors, &mut self.partials);
            self.pixel.launch(stream, grid, arguments)?;
        } else {
            let needed = if gradient.is_some() { 9 * images.width * images.height } else { 0 };
            if self.derivatives.len() < needed {
                self.derivatives = self.device.buffer(needed, PURPOSE)?;
            }
            let derivatives = gradient.is_some().then_some(&mut self.derivatives);
            let arguments = (image, target, weight, shape, &self.state, derivatives, errors, map, &mut self.partials);
            self.map.launch(stream, grid, arguments)?;
            if let Some(gradient) = gradient {
                let grid = Launch::grid([across, down, 3], [256, 1, 1]);
                let arguments = (image, target, weight, shape, &self.state, &self.derivatives, gradient);
                self.gradient.launch(stream, grid, arguments)?;
            }
        }
        self.values.launch(stream, one, (&self.partials, blocks, shape, &self.state, values))
    }
}

/// L1 between the expected depth of a rendering and a measured one.
pub struct DepthLoss {
    kernel: Kernel,
}

/// What [`DepthLoss::differentiate`] looks at.
#[derive(Clone, Copy)]
pub struct DepthPair<'a> {
    /// `[H, W]`, 0 where nothing is known.
    pub measured: &'a Buffer<f32>,
    /// `[H, W]`, Σ w z.
    pub accumulated: &'a Buffer<f32>,
    /// `[H, W]`
    pub transmittance: &'a Buffer<f32>,
    /// How many.
    pub pixels: usize,
    /// Pixels that are covered less than this have no depth.
    pub covered: f32,
}

impl DepthLoss {
    /// Prepares the kernel.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        Ok(Self { kernel: device.kernel(&DEPTH, "depth_gradient")? })
    }

    /// The gradient with respect to the accumulated depth and to alpha, `[H, W]` each; `weight` is that of one pixel.
    ///
    /// # Errors
    /// When the device fails.
    pub fn differentiate(
        &self,
        stream: &Stream,
        pair: &DepthPair<'_>,
        weight: f32,
        v_depth: &mut Buffer<f32>,
        v_alpha: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        let DepthPair { measured, accumulated, transmittance, pixels, covered } = *pair;
        let arguments = (measured, accumulated, transmittance, pixels as u32, weight, covered, v_depth, v_alpha);
        self.kernel.launch(stream, Launch::linear(pixels, 256), arguments)
    }
}

/// What [`ImageLoss::compare`] wrote, `[4]`.
pub fn loss_values(values: &[f32], settings: &LossSettings) -> LossValues {
    let ssim = (settings.ssim_weight != 0.0).then_some(values[2]);
    LossValues { loss: values[0], l1: values[1], ssim, mse: values[3] }
}

impl ImagePair<'_> {
    fn shape(&self, map_border: i32, squared: bool, ssim_weight: f32) -> LossShape {
        let (width, height) = (self.width as i32, self.height as i32);
        LossShape { width, height, map_border, squared: squared.into(), ssim_weight }
    }

    fn check(&self, outputs: &Outputs<'_>) {
        let pixels = self.width * self.height;
        assert!(self.image.len() >= 3 * pixels, "the image is not [3, {}, {}]", self.height, self.width);
        assert!(self.target.len() >= 3 * pixels, "the target is not [3, {}, {}]", self.height, self.width);
        assert!(self.weight.is_none_or(|w| w.len() >= pixels), "weights are not [{}, {}]", self.height, self.width);
        let fits =
            |out: &Option<&mut Buffer<f32>>, planes: usize| out.as_ref().is_none_or(|b| b.len() >= planes * pixels);
        let fit = fits(&outputs.gradient, 3) && fits(&outputs.errors, 1) && fits(&outputs.map, 3);
        assert!(fit, "an output has another size than the image");
    }
}

const PURPOSE: &str = "the image loss";
