//! Training a surface on a device: a GPU, or the emulator in tests.
//!
//! Tables, networks, what Adam remembers of them and the grid of occupied cells stay there. A step sends rays, what they should see, and random places,
//! all drawn on the host with the random numbers of the CPU's training, so both see the same ones, and what they learn differs by rounding.
//!
//! - [`buffers`]: what is learned, and room for the samples of a step.
//! - `step`: one step; `cells`: the cells that rays visit.
//!
//! Samples are counted on the device, and how many there are decides how much is launched and how many rays the next step has. So a step waits
//! for three small copies: the number of samples, the number of those that somebody sees, and the loss with the gradient of the sharpness, which the host
//! learns. All three are made before the passes back, so the host draws the next step's rays while the device does most of the work.

mod buffers;
mod cells;
mod step;

use super::config::SurfaceConfig;
use super::field::Field;
use super::optimiser::{Optimiser, SETTINGS};
use crate::on_device::{Latest, OnDevice};
use crate::rays::{Pace, most_rays};
use crate::train::{MemoryPlan, in_units};
use crate::{Error, Result};
use buffers::{Learned, Rays, Samples};
use tessera_kernels::adam::cuda::{Adam, PairMoments, PairsAdam};
use tessera_kernels::device::{Device, Pinned, Stream};
use tessera_kernels::hash_grid::HashGrid;
use tessera_kernels::hash_grid::cuda::Grid;
use tessera_kernels::mlp;
use tessera_kernels::occupancy::{OccupancyGrid, cuda as occupancy};
use tessera_kernels::sdf_render::cuda::{Blending, Conditions, Looks, Opacities, SumParts};

/// A surface that is trained with CUDA kernels.
pub(super) struct DeviceSurface {
    device: Device,
    stream: Stream,
    grid: Grid,
    colour_grid: Grid,
    distance: mlp::cuda::Mlp,
    colour: mlp::cuda::Mlp,
    occupancy: occupancy::Grid,
    cells: occupancy::Cells,
    opacities: Opacities,
    blending: Blending,
    conditions: Conditions,
    looks: Looks,
    sums: SumParts,
    adam: Adam,
    pairs_adam: PairsAdam,
    learned: Learned,
    rays: Rays,
    samples: Samples,
    counted: Pinned<u32>,
    summed: Pinned<f32>,
    latest: Latest,
}

/// What a run will need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Samples of a step, those of random places and pairs among them.
    samples: usize,
    /// Rays of a step at most.
    rays: usize,
    /// Places that are no samples of rays, at most.
    places: usize,
    /// Photos that are trained on.
    photos: usize,
}

impl Size {
    pub fn new(config: &SurfaceConfig, photos: usize) -> Self {
        // A third to two thirds of the samples that are looked at are learned from, each of which counts three times; and as many places in pairs as
        // random ones.
        let first = Pace::default();
        let first = (first.rays as f64 * first.samples_per_ray) as usize;
        let samples = (2 * config.samples + config.samples / 4).max(first);
        Self { samples, rays: most_rays(config.samples), places: config.samples / 2, photos }
    }

    /// Bytes on the device: what is learned, and what a step computes.
    fn bytes(&self, field: &Field, config: &SurfaceConfig) -> [usize; 2] {
        let of_grid = |grid: &HashGrid| 16 * grid.entries() + PairMoments::bytes(grid.entries()) + Grid::bytes(grid);
        let of_network = |network: &mlp::Mlp| 16 * network.weights() + mlp::cuda::Mlp::bytes(network, self.samples);
        let learned = of_grid(&field.grid) + of_grid(&field.colour_grid);
        let networks = of_network(&field.distance) + of_network(&field.colour);
        let resolution = config.occupancy_resolution;
        let cells = occupancy::Grid::bytes(resolution) + occupancy::Cells::bytes(resolution);
        let of_step = Samples::bytes(field, self.samples) + Rays::bytes(self, config.appearance);
        [learned + networks + cells, of_step]
    }

    /// Refuses a run that does not fit.
    ///
    /// # Errors
    /// When the device has too little memory, or fails.
    pub fn check(&self, device: &Device, field: &Field, config: &SurfaceConfig) -> Result<()> {
        let (free, needed) = (device.free_memory()?, self.bytes(field, config).iter().sum::<usize>() as u64);
        if needed <= free {
            return Ok(());
        }
        Err(Error::Memory(format!(
            "this run needs {} of GPU memory, but {} has {} free; lower --set samples or --set log2_table, or use --device cpu",
            in_units(needed),
            device.properties().name,
            in_units(free)
        )))
    }

    /// Adds what the device will hold.
    pub fn add_to(&self, plan: MemoryPlan, field: &Field, config: &SurfaceConfig) -> MemoryPlan {
        let [learned, of_step] = self.bytes(field, config);
        let entries = field.grid.entries() + field.colour_grid.entries();
        plan.with_on_device(
            "field",
            learned as u64,
            format!("{entries} entries of the hash grids, with their optimiser"),
        )
        .with_on_device("samples", of_step as u64, format!("{} samples, {} rays", self.samples, self.rays))
    }
}

impl DeviceSurface {
    /// Room for training `field`, and its kernels.
    ///
    /// # Errors
    /// When the device has too little memory, or fails.
    pub fn new(device: &Device, field: &Field, config: &SurfaceConfig, size: Size) -> Result<Self> {
        size.check(device, field, config)?;
        let resolution = config.occupancy_resolution;
        Ok(Self {
            stream: device.stream()?,
            grid: Grid::new(device, &field.grid)?,
            colour_grid: Grid::new(device, &field.colour_grid)?,
            distance: mlp::cuda::Mlp::new(device, &field.distance)?,
            colour: mlp::cuda::Mlp::new(device, &field.colour)?,
            occupancy: occupancy::Grid::new(device, &OccupancyGrid::full(resolution))?,
            cells: occupancy::Cells::new(device, resolution)?,
            opacities: Opacities::new(device)?,
            blending: Blending::new(device)?,
            conditions: Conditions::new(device)?,
            looks: Looks::new(device, field.colour_grid.width(), config.appearance)?,
            sums: SumParts::new(device, step::SUMS, step::parts(size.rays, size.samples))?,
            adam: Adam::new(device)?,
            pairs_adam: PairsAdam::new(device, SETTINGS)?,
            learned: Learned::new(device, field)?,
            rays: Rays::new(device, &size, config.appearance)?,
            samples: Samples::new(device, field, size.samples)?,
            counted: device.pinned(1)?,
            summed: device.pinned(step::SUMS)?,
            latest: Latest::Host,
            device: device.clone(),
        })
    }

    /// The host's parameters are others than before.
    pub fn changed(&mut self) {
        self.latest = Latest::Host;
    }

    /// Takes over what the host has, if that is the latest.
    ///
    /// # Errors
    /// When the device fails.
    pub fn take_over(&mut self, field: &Field, optimiser: &Optimiser, occupancy: &OccupancyGrid) -> Result<()> {
        if self.latest == Latest::Host {
            self.learned.write(&self.stream, field, optimiser)?;
            self.occupancy.write(occupancy, &self.stream)?;
            self.latest = Latest::Both;
        }
        Ok(())
    }

    /// Brings what the host has up to date.
    ///
    /// # Errors
    /// When the device fails.
    pub fn settle(
        &mut self,
        field: &mut Field,
        optimiser: &mut Optimiser,
        occupancy: &mut OccupancyGrid,
    ) -> Result<()> {
        if self.latest == Latest::Device {
            self.learned.read(&self.stream, field, optimiser)?;
            *occupancy = self.occupancy.read(&self.stream)?;
            self.latest = Latest::Both;
        }
        Ok(())
    }
}

impl std::fmt::Debug for DeviceSurface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceSurface").field("device", &self.device).finish_non_exhaustive()
    }
}

const PURPOSE: &str = "a surface";

#[cfg(test)]
mod tests;
