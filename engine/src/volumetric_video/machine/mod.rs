//! The seam between the recipe of training and what computes it.
//!
//! `step.rs` says what a step does; a [`Machine`] does it: [`cpu`] with SIMD and threads, [`device`] with CUDA kernels on a GPU
//! (or, in tests, on the emulator). The Gaussians of a window live on the host between refinements, where their number and
//! their places in the hierarchy are decided; a device has them while it takes steps.

pub mod cpu;
pub mod device;

use super::model::{Rates, VideoModel};
use super::windows::Windows;
use crate::Result;
use crate::frames::TrainingFrame;
use crate::splats::density::DensityControl;
use crate::train::MemoryPlan;
use tessera_kernels::adam::AdamSettings;
use tessera_kernels::camera_projection::View;
use tessera_kernels::image_loss::{LossSettings, LossValues, Padding};
use tessera_kernels::splat::{Counts, RenderSettings, Rendering};

/// The optimiser forgets sooner than that of splats: most Gaussians are looked at in few steps only.
pub(super) const ADAM: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };

/// What a step looks at.
#[derive(Clone, Copy, Debug)]
pub struct Shot<'a> {
    /// The photo, with its view.
    pub frame: &'a TrainingFrame,
    /// After the first frame.
    pub seconds: f64,
    /// How the view is drawn.
    pub settings: &'a RenderSettings,
}

/// What machines work on.
#[derive(Debug)]
pub struct State {
    /// Parameters and their optimiser.
    pub model: VideoModel,
    /// Which Gaussians are refined.
    pub density: DensityControl,
    /// The window whose Gaussians are in memory; none when it is not one window's.
    pub held: Option<usize>,
}

impl State {
    /// Brings the Gaussians of a window into memory, and lets others wait.
    ///
    /// # Errors
    /// When the disk refuses, or a device fails.
    pub fn hold(&mut self, window: usize, windows: &Windows, machine: &mut dyn Machine) -> Result<()> {
        if self.held != Some(window) {
            machine.settle(self)?;
            machine.changed();
            self.held = None;
            self.model.hold(windows.span(window))?;
            self.held = Some(window);
        }
        Ok(())
    }
}

/// What trains Gaussians in space and time. Within a step: [`Machine::draw`], [`Machine::compare`], [`Machine::descend`],
/// [`Machine::values`].
pub trait Machine: std::fmt::Debug + Send {
    /// Takes over the photo and renders its view at its moment.
    ///
    /// # Errors
    /// When a device fails.
    fn draw(&mut self, state: &State, shot: &Shot<'_>) -> Result<()>;

    /// Compares the rendering with the photo.
    ///
    /// # Errors
    /// When a device fails.
    fn compare(&mut self, shot: &Shot<'_>) -> Result<()>;

    /// Takes a step down the gradient, with decay, and adds up the errors that Gaussians cover.
    ///
    /// # Errors
    /// When a device fails.
    fn descend(&mut self, state: &mut State, shot: &Shot<'_>, rates: &Rates) -> Result<()>;

    /// What the last comparison found. A device whose work is not to be waited for says what an earlier one found, unless
    /// `now` is set.
    ///
    /// # Errors
    /// When a device fails.
    fn values(&mut self, now: bool) -> Result<LossValues>;

    /// Draws the Gaussians at a moment; a device does not wait for it.
    ///
    /// # Errors
    /// When a device fails.
    fn show(&mut self, state: &State, seconds: f64, view: &View, settings: &RenderSettings) -> Result<()>;

    /// What the last rendering did; waits for it.
    ///
    /// # Errors
    /// When a device fails.
    fn counts(&self) -> Result<Counts>;

    /// A picture of the Gaussians at a moment.
    ///
    /// # Errors
    /// When a device fails.
    fn picture(&mut self, state: &State, seconds: f64, view: &View, settings: &RenderSettings) -> Result<&Rendering>;

    /// Brings the state up to date with all steps. To be called before anybody looks at it or changes it.
    ///
    /// # Errors
    /// When a device fails.
    fn settle(&mut self, state: &mut State) -> Result<()>;

    /// The state was changed since it was settled.
    fn changed(&mut self);

    /// What it needs of memory for up to `n` Gaussians at once and pictures of up to `pixels` pixels.
    fn memory_plan(&self, n: usize, sh_degree: u8, pixels: usize) -> MemoryPlan;
}

pub(super) fn loss_settings(ssim_weight: f32) -> LossSettings {
    LossSettings { ssim_weight, padding: Padding::Same }
}
