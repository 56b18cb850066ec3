//! The seam between the recipe of training and what computes it.
//!
//! `step.rs` says what a step does; a [`Machine`] does it: [`cpu`] with SIMD and threads, [`device`] with CUDA kernels on a GPU
//! (or, in tests, on the emulator). Both begin with the same splats, draw the same random numbers, and refine with the same
//! decisions, so they train the same scene to within rounding.

pub(crate) mod comparison;
pub mod cpu;
pub mod device;
mod device_memory;
mod home;

use super::appearance::Appearance;
use super::density::{DensityControl, Refinement};
use super::filter_3d::SamplingLimits;
use super::model::{Rates, SplatModel};
use crate::Result;
use crate::frames::TrainingFrame;
use crate::train::MemoryPlan;
use tessera_kernels::camera_projection::View;
use tessera_kernels::image_loss::LossValues;
use tessera_kernels::splat::cuda::Moved;
use tessera_kernels::splat::{Counts, RenderSettings, Rendering};

/// Pixels that the splats cover less than this have no expected depth.
const DEPTH_COVERED: f32 = 0.5;

/// What a step looks at.
#[derive(Clone, Copy, Debug)]
pub struct Shot<'a> {
    /// The photo.
    pub frame: &'a TrainingFrame,
    /// From where; not the frame's own view when poses are refined.
    pub view: &'a View,
    /// How the view is drawn.
    pub settings: &'a RenderSettings,
}

/// What all machines keep of the splats on the host.
#[derive(Debug)]
pub struct State {
    /// Parameters and their optimiser.
    pub model: SplatModel,
    /// `[N]`, the 3D filter's standard deviations; empty without one.
    pub filter: Vec<f32>,
    /// Which splats are refined.
    pub density: DensityControl,
    /// What the training photos can resolve.
    pub limits: SamplingLimits,
}

/// What trains splats. Within a step: [`Machine::draw`], [`Machine::compare`], [`Machine::descend`].
pub trait Machine: std::fmt::Debug + Send {
    /// How many splats there are.
    fn count(&self) -> usize;

    /// Takes over the photo and renders its view.
    ///
    /// # Errors
    /// When a device fails.
    fn draw(&mut self, shot: &Shot<'_>) -> Result<()>;

    /// Compares the rendering with the photo, through the photo's own colour transform if there is one.
    ///
    /// # Errors
    /// When a device fails.
    fn compare(&mut self, shot: &Shot<'_>, appearance: Option<&mut Appearance>) -> Result<()>;

    /// Takes the step number `step`, counted from 0, down the gradient, with decay and noise. Returns the gradient with
    /// respect to the pose, zero unless poses are refined.
    ///
    /// # Errors
    /// When a device fails.
    fn descend(&mut self, shot: &Shot<'_>, rates: &Rates, step: u64) -> Result<[f32; 6]>;

    /// Takes the colour transform of the photo number `image` down the gradient that [`Machine::compare`] found. `progress` runs
    /// from 0 to 1 over the training.
    ///
    /// # Errors
    /// When a device fails.
    fn adapt(&mut self, image: usize, appearance: &mut Appearance, progress: f32) -> Result<()>;

    /// What the last comparison found. A device whose work is not to be waited for says what an earlier one found, unless
    /// `now` is set.
    ///
    /// # Errors
    /// When a device fails.
    fn values(&mut self, now: bool) -> Result<LossValues>;

    /// Relocation and growth after `done` steps, if it is time to.
    ///
    /// # Errors
    /// When a device fails.
    fn refine(&mut self, first_count: usize, done: u64) -> Result<Option<Refinement>>;

    /// Computes the 3D filter, if there shall be one, of where the splats are now.
    ///
    /// # Errors
    /// When a device fails.
    fn update_filter(&mut self) -> Result<()>;

    /// A picture of the splats.
    ///
    /// # Errors
    /// When a device fails.
    fn picture(&mut self, view: &View, settings: &RenderSettings) -> Result<&Rendering>;

    /// What the last rendering did.
    ///
    /// # Errors
    /// When a device fails.
    fn counts(&self) -> Result<Counts>;

    /// Brings what [`Machine::state`] shows up to date, and the learned colour transforms if there are any.
    ///
    /// # Errors
    /// When a device fails.
    fn settle(&mut self, appearance: Option<&mut Appearance>) -> Result<()>;

    /// The splats, as they were at the last [`Machine::settle`].
    fn state(&self) -> &State;

    /// Goes on from another state: `change` gets the one that there is. Colour transforms are taken over anew by the next
    /// [`Machine::compare`].
    ///
    /// # Errors
    /// What `change` returns, or when a device fails.
    fn restore(&mut self, change: &mut dyn FnMut(&mut State) -> Result<()>) -> Result<()>;

    /// Makes do with less memory, by a smaller scene: fewer splats at the end, and if need be now. Returns how many it has
    /// room for then, `None` when it cannot help itself so.
    ///
    /// # Errors
    /// When a device fails.
    fn shrink(&mut self) -> Result<Option<usize>> {
        Ok(None)
    }

    /// How many splats the memory has room for, with what the machine holds already; 0 when that is not known.
    fn room(&self) -> usize {
        0
    }

    /// Bytes that a splat has from step to step: parameters, moments, score and 3D filter.
    fn state_bytes(&self) -> usize;

    /// What it cost so far to bring rows from the host's memory, if that is where some are.
    fn moved(&self) -> Option<Moved> {
        None
    }

    /// What it needs of the host's memory for up to `splats` splats and pictures of up to `pixels` pixels.
    fn memory_plan(&self, splats: usize, pixels: usize) -> MemoryPlan;
}
