//! Training on a device: a GPU, or the emulator in tests.
//!
//! Parameters, optimiser, learned appearance and pictures stay there. A step sends a photo and launches kernels; nothing comes
//! back, but for refined poses, which live on the host, and for what comparisons find, now and then (`comparison.rs`). For
//! refinements the host gets eight bytes for each splat and decides as it does for the CPU.

use super::super::NEAR;
use super::super::appearance::Appearance;
use super::super::config::{FarPlace, SplatsConfig};
use super::super::density::{
    DEAD_OPACITY, DensityControl, Population, Refinement, SPLIT_OFFSET, SPLIT_SHRINK, SPLIT_TRANSPARENCY,
};
use super::super::filter_3d::DEVIATION;
use super::super::model::{Rates, SplatModel};
use super::comparison::{Comparison, fit};
use super::device_memory::{DeviceBytes, Photographs, fitting};
use super::home::Home;
use super::{DEPTH_COVERED, Machine, Shot, State};
use crate::Result;
use crate::frames::TrainingFrame;
use crate::train::MemoryPlan;
use tessera_kernels::adam::AdamSettings;
use tessera_kernels::camera_projection::View;
use tessera_kernels::colour_grid::cuda::{ColourGrids, Picture};
use tessera_kernels::device::{Buffer, Device, Pinned, Stream};
use tessera_kernels::image_loss::cuda::{DepthLoss, DepthPair};
use tessera_kernels::image_loss::{LossSettings, LossValues, Padding};
use tessera_kernels::splat::cuda::{Descent, Halving, Moved, Rasterizer, RenderingGradient, Sampling, Trained};
use tessera_kernels::splat::{Counts, RenderSettings, Rendering};

/// Scenes do not shrink to fewer splats than this.
const SMALLEST: usize = 100;

/// Splats that are trained with CUDA kernels.
pub struct DeviceMachine {
    config: SplatsConfig,
    state: State,
    device: Device,
    stream: Stream,
    home: Home,
    rasterizer: Rasterizer,
    comparison: Comparison,
    depth_loss: DepthLoss,
    cameras: Vec<Sampling>,
    photos: Photographs,
    pictures: Pictures,
    pose: Buffer<f32>,
    /// Learned colour transforms, once there has been a comparison with them.
    appearance: Option<ColourGrids>,
    drawn: Rendering,
}

/// Planes of the picture's size.
struct Pictures {
    /// Depths in scene units, zero where none was measured; of which so many are not.
    measured: Buffer<f32>,
    measured_count: usize,
    /// Those on their way: a place is used again when its copy is done.
    staged: [Pinned<f32>; 3],
    next_staged: usize,
    v_depth: Buffer<f32>,
    v_alpha: Buffer<f32>,
    /// The rendering after the photo's own colour transform.
    transformed: Buffer<f32>,
}

impl Pictures {
    /// Sends measured depths, `scale` times as large, without waiting for the device.
    fn send_depth(&mut self, device: &Device, stream: &Stream, depths: &[f32], scale: f32) -> Result<()> {
        let staged = &mut self.staged[self.next_staged];
        self.next_staged = (self.next_staged + 1) % 3;
        if staged.len() < depths.len() {
            *staged = device.pinned(depths.len())?;
        }
        let values = staged.values()?;
        self.measured_count = 0;
        for (value, &z) in values.iter_mut().zip(depths) {
            let is_measured = z.is_finite() && z > 0.0;
            *value = if is_measured { z * scale } else { 0.0 };
            self.measured_count += usize::from(is_measured);
        }
        fit(device, &mut self.measured, staged.len())?;
        Ok(self.measured.write_from(staged, stream)?)
    }
}

impl DeviceMachine {
    /// Begins with these splats. `views` are those of the training photos.
    ///
    /// # Errors
    /// When the device has too little memory or fails.
    pub fn new<'a>(
        device: &Device,
        state: State,
        config: &SplatsConfig,
        views: impl Iterator<Item = &'a View>,
    ) -> Result<Self> {
        let views: Vec<&View> = views.collect();
        let pixels = views.iter().map(|v| v.width * v.height).max().unwrap_or(0);
        let seen = state.limits.largest_share(&state.model.means.values);
        let photos = Photographs { count: views.len(), pixels, seen };
        let config = &fitting(device, config, state.model.len(), photos)?;
        let stream = device.stream()?;
        let none = || device.buffer(0, PURPOSE);
        let capacity = config.max_splats.max(state.model.len());
        let mut machine = Self {
            home: Home::new(device, &stream, (capacity, photos.window(capacity)), config)?,
            rasterizer: Rasterizer::new(device, &stream)?,
            comparison: Comparison::new(device, &stream, loss_settings(config))?,
            depth_loss: DepthLoss::new(device)?,
            cameras: views.into_iter().map(Sampling::from).collect(),
            photos,
            pictures: Pictures {
                measured: none()?,
                measured_count: 0,
                staged: [device.pinned(0)?, device.pinned(0)?, device.pinned(0)?],
                next_staged: 0,
                v_depth: none()?,
                v_alpha: none()?,
                transformed: none()?,
            },
            pose: device.zeros(6, PURPOSE)?,
            appearance: None,
            drawn: Rendering::default(),
            config: config.clone(),
            state,
            device: device.clone(),
            stream,
        };
        machine.rasterizer.reserve(machine.home.drawn_at_once())?;
        machine.upload()?;
        Ok(machine)
    }

    fn upload(&mut self) -> Result<()> {
        let State { model, filter, density, .. } = &self.state;
        if model.len() > self.home.near().capacity() {
            let room = (model.len(), self.photos.window(model.len()));
            self.home = Home::new(&self.device, &self.stream, room, &self.config)?;
        }
        self.home.write(model.tensors())?;
        let near = self.home.near_mut();
        near.write_scores(density.scores())?;
        if self.config.filter_3d && filter.len() == model.len() {
            near.write_filter(filter)?;
        }
        self.comparison.look_anew();
        Ok(())
    }

    /// The photo with its mask goes to the device, and its depth if it is wanted.
    fn send(&mut self, shot: &Shot<'_>) -> Result<()> {
        let TrainingFrame { pixels, depth_scale, .. } = shot.frame;
        self.comparison.send(shot.frame, shot.settings.background)?;
        if shot.settings.depth
            && let Some(depth) = &pixels.depth
        {
            self.pictures.send_depth(&self.device, &self.stream, &depth.data, *depth_scale)?;
        }
        Ok(())
    }

    /// The gradient with respect to depth and alpha.
    fn differentiate_depth(&mut self, view: &View) -> Result<()> {
        let pixels = view.width * view.height;
        let pictures = &mut self.pictures;
        fit(&self.device, &mut pictures.v_depth, pixels)?;
        fit(&self.device, &mut pictures.v_alpha, pixels)?;
        let rendering = self.rasterizer.rendering();
        let pair = DepthPair {
            measured: &pictures.measured,
            accumulated: &rendering.depth,
            transmittance: &rendering.transmittance,
            pixels,
            covered: DEPTH_COVERED,
        };
        let weight = self.config.depth_weight / pictures.measured_count.max(1) as f32;
        self.depth_loss.differentiate(&self.stream, &pair, weight, &mut pictures.v_depth, &mut pictures.v_alpha)?;
        Ok(())
    }
}

impl Machine for DeviceMachine {
    fn count(&self) -> usize {
        self.home.near().len()
    }

    fn draw(&mut self, shot: &Shot<'_>) -> Result<()> {
        let &Shot { view, settings, .. } = shot;
        self.send(shot)?;
        let Self { home, state, rasterizer, comparison, .. } = self;
        if home.is_out_of_core() {
            home.see(&mut state.model, rasterizer, view, settings)?;
            // It waited anyway.
            comparison.look_anew();
        }
        comparison.draw(rasterizer, &home.splats(), view, settings)
    }

    fn compare(&mut self, shot: &Shot<'_>, appearance: Option<&mut Appearance>) -> Result<()> {
        let &Shot { frame, view: &View { width, height, .. }, .. } = shot;
        let Self { device, stream, pictures, comparison, .. } = self;
        let rendering = self.rasterizer.rendering();
        let drawn = Picture { rgb: &rendering.rgb, width, height };
        if let (Some(appearance), None) = (&appearance, &self.appearance) {
            self.appearance = Some(appearance.on_device(device, stream)?);
        }
        let Some(grids) = self.appearance.as_mut().filter(|_| appearance.is_some()) else {
            return comparison.compare(drawn.rgb, width, height);
        };
        fit(device, &mut pictures.transformed, 3 * width * height)?;
        grids.apply(frame.index, drawn, &mut pictures.transformed)?;
        comparison.compare(&pictures.transformed, width, height)?;
        Ok(grids.backward(frame.index, drawn, &mut comparison.v_rgb)?)
    }

    fn adapt(&mut self, image: usize, appearance: &mut Appearance, progress: f32) -> Result<()> {
        match &mut self.appearance {
            Some(grids) => Ok(grids.step(image, &appearance.step_on_device(progress))?),
            None => Ok(()),
        }
    }

    fn descend(&mut self, shot: &Shot<'_>, rates: &Rates, step: u64) -> Result<[f32; 6]> {
        let &Shot { view, settings, .. } = shot;
        if settings.depth {
            self.differentiate_depth(view)?;
        }
        let n = self.home.near().len() as f32;
        let mut descent = Descent::new(&rates.on_device(), &AdamSettings::default(), self.config.seed, step + 1);
        descent.opacity_pull = self.config.opacity_decay / n;
        descent.scale_pull = self.config.scale_decay / (3.0 * n);
        descent.noise = (self.config.noise * f64::from(rates.means)) as f32;
        // Of the noise, as on the CPU.
        descent.step = step;
        let pictures = &self.pictures;
        let gradient = RenderingGradient {
            alpha: settings.depth.then_some(&pictures.v_alpha),
            depth: settings.depth.then_some(&pictures.v_depth),
            ..self.comparison.gradient()
        };
        let pose = self.config.refine_poses.then_some(&mut self.pose);
        self.home.descend(&mut self.rasterizer, (view, settings), &gradient, &descent, pose)?;
        let mut pose = [0.0; 6];
        if self.config.refine_poses {
            pose.copy_from_slice(&self.pose.read(&self.stream)?);
        }
        Ok(pose)
    }

    fn values(&mut self, now: bool) -> Result<LossValues> {
        self.comparison.values(&mut self.rasterizer, now)
    }

    fn refine(&mut self, first_count: usize, done: u64) -> Result<Option<Refinement>> {
        if !DensityControl::is_due(&self.config, done) {
            return Ok(None);
        }
        let Self { state: State { model, density, .. }, home, rasterizer, config, .. } = self;
        density.restore(home.near().read_scores()?);
        let mut population = OnDevice { home, model, rasterizer };
        let refined = density.refine(&mut population, config, first_count, done)?;
        home.near_mut().write_scores(&[])?;
        Ok(refined)
    }

    fn update_filter(&mut self) -> Result<()> {
        if self.config.filter_3d {
            self.home.near_mut().update_filter(&self.cameras, NEAR, DEVIATION)?;
        }
        Ok(())
    }

    fn picture(&mut self, view: &View, settings: &RenderSettings) -> Result<&Rendering> {
        let Self { home, state, rasterizer, .. } = self;
        home.see(&mut state.model, rasterizer, view, settings)?;
        let rendering = rasterizer.render(&home.splats(), view, settings)?;
        self.drawn = rendering.read(&self.stream)?;
        Ok(&self.drawn)
    }

    fn counts(&self) -> Result<Counts> {
        Ok(self.rasterizer.counts()?)
    }

    fn settle(&mut self, appearance: Option<&mut Appearance>) -> Result<()> {
        if let (Some(on_host), Some(grids)) = (appearance, &self.appearance) {
            let _restored = on_host.restore(&grids.state()?);
        }
        self.home.read(&mut self.state.model)?;
        let near = self.home.near();
        self.state.filter = near.read_filter()?;
        self.state.density.restore(near.read_scores()?);
        Ok(())
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn restore(&mut self, change: &mut dyn FnMut(&mut State) -> Result<()>) -> Result<()> {
        change(&mut self.state)?;
        self.appearance = None;
        self.upload()
    }

    fn shrink(&mut self) -> Result<Option<usize>> {
        let capacity = self.home.near().capacity() / 4 * 3;
        if capacity < SMALLEST {
            return Ok(None);
        }
        self.settle(None)?;
        if self.state.model.len() > capacity {
            self.state.model.keep_largest(capacity);
            self.state.density.restore(vec![0.0; capacity]);
        }
        self.config.max_splats = capacity;
        // What there is goes first, so that there is room for what comes.
        self.home = Home::new(&self.device, &self.stream, (0, 0), &self.config)?;
        self.rasterizer = Rasterizer::new(&self.device, &self.stream)?;
        let room = (capacity, self.photos.window(capacity));
        self.home = Home::new(&self.device, &self.stream, room, &self.config)?;
        self.rasterizer.reserve(self.home.drawn_at_once())?;
        self.upload()?;
        self.update_filter()?;
        Ok(Some(capacity))
    }

    fn room(&self) -> usize {
        let photos = Photographs { pixels: self.comparison.most_pixels(), ..self.photos };
        let ours = self.device.free_memory().unwrap_or(0) + self.device.used_memory();
        DeviceBytes::most(ours, photos, &self.config)
    }

    fn state_bytes(&self) -> usize {
        Trained::state_bytes(self.config.sh_degree, self.config.precision())
    }

    fn memory_plan(&self, splats: usize, pixels: usize) -> MemoryPlan {
        let (parameters, optimiser, _) = SplatModel::bytes(splats, self.config.sh_degree, self.config.precision());
        let name = &self.device.properties().name;
        let checkpoint = match self.config.far {
            FarPlace::Device => format!("{splats} splats on their way from {name}"),
            FarPlace::Host => format!("{splats} splats, all but their harmonics on their way from {name}"),
        };
        let plan = MemoryPlan::default().with("checkpoint", (parameters + optimiser) as u64, checkpoint);
        let photos = Photographs { pixels, ..self.photos };
        DeviceBytes::new(splats, photos, &self.config).add_to(plan, splats, photos, &self.config)
    }

    fn moved(&self) -> Option<Moved> {
        self.home.moved()
    }
}

/// Splats on a device, for refinements.
struct OnDevice<'a> {
    home: &'a mut Home,
    model: &'a mut SplatModel,
    rasterizer: &'a mut Rasterizer,
}

impl Population for OnDevice<'_> {
    fn count(&self) -> usize {
        self.home.near().len()
    }

    fn find_living(&mut self, living: &mut Vec<bool>) -> Result<()> {
        living.clear();
        living.extend(self.home.near().living_scores(DEAD_OPACITY)?.iter().map(|&score| score != -1.0));
        Ok(())
    }

    fn split(&mut self, parents: &[usize], places: &[usize]) -> Result<()> {
        let rows = |rows: &[usize]| rows.iter().map(|&row| row as u32).collect::<Vec<u32>>();
        let halving = Halving { offset: SPLIT_OFFSET, log_shrink: SPLIT_SHRINK.ln(), transparency: SPLIT_TRANSPARENCY };
        self.home.split(self.model, (&rows(parents), &rows(places)), halving)
    }

    fn show_means(&mut self, show: &mut dyn FnMut(&[f32])) -> Result<()> {
        show(&self.home.near().read_means()?);
        Ok(())
    }

    fn permute(&mut self, order: &[u32]) -> Result<()> {
        self.home.permute(self.model, order, self.rasterizer)
    }
}

impl std::fmt::Debug for DeviceMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceMachine").field("device", &self.device).finish_non_exhaustive()
    }
}

fn loss_settings(config: &SplatsConfig) -> LossSettings {
    LossSettings { ssim_weight: config.ssim_weight, padding: Padding::Same }
}

const PURPOSE: &str = "training";
