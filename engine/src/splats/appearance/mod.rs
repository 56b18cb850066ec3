//! What differs between photos of the same scene and is no part of it: exposure, white balance, vignetting.
//!
//! A colour transform of its own for each training image is applied to the rendering before the loss, and learned
//! with the splats. Evaluation and viewing use none. Any transform that all images share could as well be in the
//! splats, so the mean over the images is brought back to the identity, which keeps unseen views valid.
//!
//! - [`exposure`]: one affine transform for the whole picture.
//! - [`bilateral_grid`]: affine transforms that vary smoothly over the picture and with the pixel's luminance.

pub mod bilateral_grid;
pub mod exposure;
mod parameters;

use bilateral_grid::BilateralGrids;
use exposure::Exposures;
use parameters::ImageParameters;
use serde::{Deserialize, Serialize};
use tessera_kernels::colour_grid::cuda::ColourGrids;
use tessera_kernels::colour_grid::{GridSize, GridStep};
use tessera_kernels::device::{Device, DeviceError, Stream};

/// Which colour transforms are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppearanceModel {
    /// None: photos are taken as they are.
    #[default]
    None,
    /// One affine colour transform for each photo.
    Exposure,
    /// A 16x16x8 grid of affine transforms for each photo, over position and luminance.
    BilateralGrid,
}

/// Pixels of a rendering: `[3, H, W]`.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `[3, H, W]`.
    pub rgb: &'a [f32],
}

/// The learned colour transforms of all training images.
#[derive(Clone, Debug)]
pub enum Appearance {
    /// See [`exposure`].
    Exposure(Exposures),
    /// See [`bilateral_grid`].
    BilateralGrid(BilateralGrids),
}

impl Appearance {
    /// Identity transforms for `images` images; `None` for [`AppearanceModel::None`].
    pub fn new(model: AppearanceModel, images: usize) -> Option<Self> {
        match model {
            AppearanceModel::None => None,
            AppearanceModel::Exposure => Some(Self::Exposure(Exposures::new(images))),
            AppearanceModel::BilateralGrid => Some(Self::BilateralGrid(BilateralGrids::new(images))),
        }
    }

    /// Bytes that `images` images of a model need, with their optimiser: what the memory plan counts.
    pub fn bytes(model: AppearanceModel, images: usize) -> usize {
        let parameters = match model {
            AppearanceModel::None => 0,
            AppearanceModel::Exposure => exposure::PARAMETERS,
            AppearanceModel::BilateralGrid => bilateral_grid::PARAMETERS,
        };
        3 * size_of::<f32>() * parameters * images
    }

    /// Writes the rendering as `image` would have taken it to `out` (resized to `[3, H, W]`).
    pub fn apply(&mut self, image: usize, rendering: Planes<'_>, out: &mut Vec<f32>) {
        out.resize(rendering.rgb.len(), 0.0);
        match self {
            Self::Exposure(exposures) => exposures.apply(image, rendering, out),
            Self::BilateralGrid(grids) => grids.apply(image, rendering, out),
        }
    }

    /// Takes the gradient with respect to what [`Appearance::apply`] wrote, writes that with respect to the rendering
    /// to `d_rendering` (resized), and keeps that with respect to the transform for [`Appearance::step`].
    pub fn backward(&mut self, image: usize, rendering: Planes<'_>, d_out: &[f32], d_rendering: &mut Vec<f32>) {
        d_rendering.resize(rendering.rgb.len(), 0.0);
        match self {
            Self::Exposure(exposures) => exposures.backward(image, rendering, d_out, d_rendering),
            Self::BilateralGrid(grids) => grids.backward(image, rendering, d_out, d_rendering),
        }
    }

    /// Moves the transform of `image` down its gradient and its regularisation. `progress` runs from 0 to 1 over
    /// the training.
    pub fn step(&mut self, image: usize, progress: f32) {
        match self {
            Self::Exposure(exposures) => exposures.step(image, progress),
            Self::BilateralGrid(grids) => grids.step(image, progress),
        }
    }

    /// What [`Appearance::step`] does, for a device.
    pub fn step_on_device(&self, progress: f32) -> GridStep {
        match self {
            Self::Exposure(_) => Exposures::step_on_device(progress),
            Self::BilateralGrid(_) => BilateralGrids::step_on_device(progress),
        }
    }

    /// A copy on a device, which is stepped there from now on.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    pub fn on_device(&self, device: &Device, stream: &Stream) -> Result<ColourGrids, DeviceError> {
        let images = self.parameters().images();
        ColourGrids::new(device, stream, grid_size(self.model()), images, &self.state())
    }

    /// Which transforms they are.
    pub fn model(&self) -> AppearanceModel {
        match self {
            Self::Exposure(_) => AppearanceModel::Exposure,
            Self::BilateralGrid(_) => AppearanceModel::BilateralGrid,
        }
    }

    /// Bytes that [`Appearance::on_device`] needs there.
    pub fn device_bytes(model: AppearanceModel, images: usize) -> usize {
        if model == AppearanceModel::None { 0 } else { ColourGrids::bytes(grid_size(model), images) }
    }

    /// What the transform of each image multiplies a colour by, on the mean over the picture.
    pub fn gains(&self, colour: [f32; 3]) -> Vec<[f64; 3]> {
        let parameters = self.parameters();
        let gain = |image: usize| {
            let affine = parameters.mean_affine(image);
            let row = |c: usize| (0..3).map(|k| affine[4 * c + k] * colour[k]).sum::<f32>() + affine[4 * c + 3];
            std::array::from_fn(|c| f64::from(row(c) / colour[c]))
        };
        (0..parameters.images()).map(gain).collect()
    }

    /// Everything that changes in training.
    pub fn state(&self) -> Vec<f32> {
        self.parameters().state()
    }

    /// Goes on from a saved state. Returns false, and changes nothing, when it is not one of this model and number of
    /// images.
    #[must_use]
    pub fn restore(&mut self, state: &[f32]) -> bool {
        match self {
            Self::Exposure(exposures) => exposures.parameters_mut().restore(state),
            Self::BilateralGrid(grids) => grids.parameters_mut().restore(state),
        }
    }

    fn parameters(&self) -> &ImageParameters {
        match self {
            Self::Exposure(exposures) => exposures.parameters(),
            Self::BilateralGrid(grids) => grids.parameters(),
        }
    }
}

/// One affine transform is a grid with one corner.
fn grid_size(model: AppearanceModel) -> GridSize {
    if model == AppearanceModel::BilateralGrid { bilateral_grid::SIZE } else { GridSize::WHOLE }
}

/// `[3, 4]` row major: colours as they are.
const IDENTITY: [f32; 12] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// Eight numbers from `values[at..]`, zeros beyond the end.
#[inline(always)]
fn load_padded(values: &[f32], at: usize) -> [f32; 8] {
    let rest = &values[at..];
    match rest.first_chunk::<8>() {
        Some(full) => *full,
        None => {
            let mut padded = [0.0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            padded
        }
    }
}

/// Stores as many of eight numbers as there is room for in `values[at..]`.
#[inline(always)]
fn store_clipped(values: &mut [f32], at: usize, eight: [f32; 8]) {
    let rest = &mut values[at..];
    match rest.first_chunk_mut::<8>() {
        Some(full) => *full = eight,
        None => {
            let room = rest.len();
            rest.copy_from_slice(&eight[..room]);
        }
    }
}

/// The three planes of `[3, H, W]` numbers.
#[inline(always)]
fn planes(rgb: &[f32]) -> [&[f32]; 3] {
    let (red, rest) = rgb.split_at(rgb.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    [red, green, blue]
}

#[inline(always)]
fn planes_mut(rgb: &mut [f32]) -> [&mut [f32]; 3] {
    let size = rgb.len() / 3;
    let (red, rest) = rgb.split_at_mut(size);
    let (green, blue) = rest.split_at_mut(size);
    [red, green, blue]
}

#[cfg(test)]
mod tests;
