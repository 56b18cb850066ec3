//! Training on a device: a GPU, or the emulator in tests.
//!
//! The Gaussians that are in memory are on the device while it takes steps, with their optimiser. A step sends a photo and
//! launches kernels; nothing comes back but, now and then, what comparisons find (`splats/machine/comparison.rs`). At a refinement, or when
//! another window of time begins, the state goes to the host and what it became comes back: 348 bytes each way for a
//! Gaussian at degree 1, every hundred steps.

use super::super::model::{Rates, VideoModel};
use super::{ADAM, Machine, Shot, State, loss_settings};
use crate::on_device::Latest;
use crate::splats::machine::comparison::Comparison;
use crate::train::{MemoryPlan, in_units};
use crate::{Error, Result};
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Device, Stream};
use tessera_kernels::gaussian4d::cuda::{Descent4d, Trained4d};
use tessera_kernels::image_loss::LossValues;
use tessera_kernels::image_loss::cuda::ImageLoss;
use tessera_kernels::splat::cuda::{Photos, Rasterizer};
use tessera_kernels::splat::{Counts, RenderSettings, Rendering};

/// (splat, tile) pairs that are expected for each Gaussian.
const PAIRS_EACH: usize = 4;

/// Gaussians in space and time that are trained with CUDA kernels.
pub struct DeviceMachine {
    device: Device,
    stream: Stream,
    trained: Trained4d,
    rasterizer: Rasterizer,
    comparison: Comparison,
    latest: Latest,
    drawn: Rendering,
}

/// What a run will need.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Gaussians that are in memory at once.
    pub gaussians: usize,
    /// Pixels of the largest photo.
    pub pixels: usize,
    /// Of the harmonics.
    pub sh_degree: u8,
}

impl Size {
    /// Bytes on the device: Gaussians with the buffers of a step, and pictures.
    fn bytes(&self) -> [usize; 2] {
        let &Self { gaussians, pixels, sh_degree } = self;
        let passes = Rasterizer::bytes(gaussians, PAIRS_EACH * gaussians, 0);
        let pictures = Rasterizer::bytes(0, 0, pixels) + ImageLoss::bytes(pixels) + Photos::bytes(pixels);
        [Trained4d::bytes(gaussians, sh_degree) + passes, pictures + 4 * 4 * pixels]
    }
}

impl DeviceMachine {
    /// With room for nothing yet.
    ///
    /// # Errors
    /// When the device has too little memory for the run, or fails.
    pub fn new(device: &Device, ssim_weight: f32, size: Size) -> Result<Self> {
        let (free, needed) = (device.free_memory()?, size.bytes().iter().sum::<usize>() as u64);
        if needed > free {
            return Err(Error::Memory(format!(
                "this run needs {} of GPU memory for {} Gaussians at once, but {} has {} free; lower --max-splats, \
                 --resolution or --set window_frames, or use --device cpu",
                in_units(needed),
                size.gaussians,
                device.properties().name,
                in_units(free)
            )));
        }
        let stream = device.stream()?;
        Ok(Self {
            trained: Trained4d::new(device, &stream, size.sh_degree, ADAM)?,
            rasterizer: Rasterizer::new(device, &stream)?,
            comparison: Comparison::new(device, &stream, loss_settings(ssim_weight))?,
            latest: Latest::Host,
            drawn: Rendering::default(),
            device: device.clone(),
            stream,
        })
    }

    /// Takes over the Gaussians of the host, if they are others, and slices those of a moment.
    fn slice(&mut self, state: &State, seconds: f64) -> Result<()> {
        if self.latest == Latest::Host {
            let (planes, ages) = state.model.planes();
            self.trained.write(planes, ages)?;
            self.trained.write_scores(state.density.scores())?;
            self.comparison.look_anew();
            self.latest = Latest::Both;
        }
        Ok(self.trained.slice(&state.model.active_rows(seconds), seconds as f32)?)
    }
}

impl Machine for DeviceMachine {
    fn draw(&mut self, state: &State, shot: &Shot<'_>) -> Result<()> {
        self.comparison.send(shot.frame, shot.settings.background)?;
        self.slice(state, shot.seconds)?;
        let ellipsoids = &self.trained.ellipsoids();
        self.comparison.draw(&mut self.rasterizer, ellipsoids, &shot.frame.view, shot.settings)
    }

    fn compare(&mut self, shot: &Shot<'_>) -> Result<()> {
        let View { width, height, .. } = shot.frame.view;
        self.comparison.compare(&self.rasterizer.rendering().rgb, width, height)
    }

    fn descend(&mut self, state: &mut State, shot: &Shot<'_>, rates: &Rates) -> Result<()> {
        let [opacity_pull, scale_pull] = rates.pulls(self.trained.listed());
        let descent = Descent4d {
            rates: rates.by_tensor(),
            opacity_pull,
            scale_pull,
            only_given_harmonics: rates.only_given_harmonics,
            lowest_log_time_scale: state.model.shortest(),
        };
        let gradient = self.comparison.gradient();
        self.trained.descend(&mut self.rasterizer, &shot.frame.view, shot.settings, &gradient, &descent)?;
        self.latest = Latest::Device;
        Ok(())
    }

    fn values(&mut self, now: bool) -> Result<LossValues> {
        self.comparison.values(&mut self.rasterizer, now)
    }

    fn show(&mut self, state: &State, seconds: f64, view: &View, settings: &RenderSettings) -> Result<()> {
        self.slice(state, seconds)?;
        self.comparison.draw(&mut self.rasterizer, &self.trained.ellipsoids(), view, settings)
    }

    fn counts(&self) -> Result<Counts> {
        Ok(self.rasterizer.counts()?)
    }

    fn picture(&mut self, state: &State, seconds: f64, view: &View, settings: &RenderSettings) -> Result<&Rendering> {
        self.slice(state, seconds)?;
        self.drawn = self.rasterizer.render(&self.trained.ellipsoids(), view, settings)?.read(&self.stream)?;
        Ok(&self.drawn)
    }

    fn settle(&mut self, state: &mut State) -> Result<()> {
        if self.latest == Latest::Device {
            let (tensors, ages) = self.trained.read()?;
            state.model.set_planes(tensors, ages);
            state.density.restore(self.trained.read_scores()?);
            self.latest = Latest::Both;
        }
        Ok(())
    }

    fn changed(&mut self) {
        self.latest = Latest::Host;
    }

    fn memory_plan(&self, n: usize, sh_degree: u8, pixels: usize) -> MemoryPlan {
        let [gaussians, pictures] = Size { gaussians: n, pixels, sh_degree }.bytes();
        let (parameters, optimiser, _) = VideoModel::bytes(n, sh_degree);
        let exchange = format!("{n} Gaussians on their way from {}", self.device.properties().name);
        MemoryPlan::default()
            .with("exchange", (parameters + optimiser) as u64, exchange)
            .with_on_device("Gaussians", gaussians as u64, format!("{n} at once, {PAIRS_EACH} tiles for each"))
            .with_on_device("pictures", pictures as u64, format!("largest photo has {pixels} pixels"))
    }
}

impl std::fmt::Debug for DeviceMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceMachine").field("device", &self.device).finish_non_exhaustive()
    }
}
