//! What training needs of a device's memory, known before it starts.

use super::super::OnOom;
use super::super::appearance::Appearance;
use super::super::config::{FarPlace, SplatsConfig};
use crate::train::{MemoryPlan, in_units};
use crate::{Error, Result};
use tessera_kernels::device::Device;
use tessera_kernels::image_loss::cuda::ImageLoss;
use tessera_kernels::splat::cuda::{OutOfCore, Photos, Rasterizer, Trained};

/// (splat, tile) pairs that are expected for each splat.
const PAIRS_EACH: usize = 4;

/// Bytes on the device.
pub(super) struct DeviceBytes {
    /// Parameters, moments, scores and filter, and the rows of splits; of splats in view alone, if the others are out of core.
    splats: usize,
    /// What there is of all splats, if their harmonics are out of core.
    near: usize,
    /// What the passes of a step leave for each other, for each splat and each (splat, tile) pair.
    passes: usize,
    /// Planes of pictures, and learned colour transforms.
    pictures: usize,
}

/// What training looks at.
#[derive(Clone, Copy)]
pub(super) struct Photographs {
    pub count: usize,
    /// Of the largest one.
    pub pixels: usize,
    /// Of all splats, the share that the one sees which sees most.
    pub seen: f64,
}

impl Photographs {
    /// How many of so many splats a view has room for at first.
    pub(super) fn window(&self, splats: usize) -> usize {
        ((self.seen * splats as f64).ceil() as usize).clamp(1, splats.max(1))
    }
}

impl DeviceBytes {
    /// For so many splats and these photos.
    pub(super) fn new(splats: usize, photos: Photographs, config: &SplatsConfig) -> Self {
        let Photographs { count, pixels, .. } = photos;
        // Gradient, errors, and depth with its two gradients.
        let planes = 4 * 7 * pixels;
        let transforms = Appearance::device_bytes(config.appearance, count);
        let pictures = Rasterizer::bytes(0, 0, pixels) + ImageLoss::bytes(pixels) + Photos::bytes(pixels);
        let (degree, precision) = (config.sh_degree, config.precision());
        let (near, drawn) = match config.far {
            FarPlace::Device => (0, splats),
            FarPlace::Host => (splats, photos.window(splats)),
        };
        let near = OutOfCore::bytes(near, 0, degree, precision);
        let splats = match config.far {
            FarPlace::Device => Trained::bytes(drawn, degree, precision),
            FarPlace::Host => OutOfCore::bytes(0, drawn, degree, precision),
        };
        let passes = Rasterizer::bytes(drawn, PAIRS_EACH * drawn, 0);
        Self { splats, near, passes, pictures: pictures + planes + transforms }
    }

    /// How many splats fit into so many bytes.
    pub(super) fn most(bytes: u64, photos: Photographs, config: &SplatsConfig) -> usize {
        let needed = |splats: usize| Self::new(splats, photos, config).total();
        let each = (needed(1 << 20) - needed(0)).div_ceil(1 << 20);
        usize::try_from(bytes.saturating_sub(needed(0)) / each).unwrap_or(usize::MAX)
    }

    fn total(&self) -> u64 {
        (self.splats + self.near + self.passes + self.pictures) as u64
    }

    pub(super) fn add_to(
        &self,
        mut plan: MemoryPlan,
        splats: usize,
        photos: Photographs,
        config: &SplatsConfig,
    ) -> MemoryPlan {
        let (degree, precision) = (config.sh_degree, config.precision());
        let state = Trained::state_bytes(degree, precision);
        let mut drawn = splats;
        if config.far == FarPlace::Host {
            drawn = photos.window(splats);
            let way = OutOfCore::host_bytes(splats, drawn, degree, precision) as u64;
            let near = format!("{splats} splats without harmonics, {} bytes each", OutOfCore::near_bytes(precision));
            plan = plan.with("rows on their way", way, format!("the harmonics of {drawn} splats, to the GPU and back"));
            plan = plan.with_on_device("near state", self.near as u64, near);
        }
        let pairs = format!("{PAIRS_EACH} tiles for each splat");
        plan.with_on_device("training state", self.splats as u64, format!("{drawn} splats, {state} bytes each"))
            .with_on_device("passes", self.passes as u64, pairs)
            .with_on_device("pictures", self.pictures as u64, "")
    }
}

/// The settings, with no more splats than fit if the user wants it so.
pub(super) fn fitting(
    device: &Device,
    config: &SplatsConfig,
    begin: usize,
    photos: Photographs,
) -> Result<SplatsConfig> {
    let free = device.free_memory()?;
    let needed = |splats: usize| DeviceBytes::new(splats, photos, config).total();
    let wanted = config.max_splats.max(begin);
    if needed(wanted) <= free {
        return Ok(config.clone());
    }
    let most = DeviceBytes::most(free, photos, config);
    if config.on_oom == OnOom::Shrink && most >= begin.max(1) {
        tracing::warn!("only {most} splats fit into the memory of {}", device.properties().name);
        return Ok(SplatsConfig { max_splats: most, ..config.clone() });
    }
    let name = &device.properties().name;
    let fits = |config: SplatsConfig| DeviceBytes::new(wanted, photos, &config).total() <= free;
    let mut remedies = Vec::new();
    if fits(SplatsConfig { compact_state: true, ..config.clone() }) {
        remedies.push("--set compact_state=true makes it fit".to_owned());
    }
    if fits(SplatsConfig { far: FarPlace::Host, ..config.clone() }) {
        remedies.push("--set far=host makes it fit".to_owned());
    }
    if most >= begin.max(1) {
        remedies.push(format!("--max-splats {most} fits, and --on-oom shrink chooses it by itself"));
    }
    if remedies.is_empty() {
        remedies.push("lower --resolution, or use --device cpu".to_owned());
    }
    let remedy = remedies.join("; or ");
    Err(Error::Memory(format!(
        "this run needs {} of GPU memory for {wanted} splats, but {name} has {} free; {remedy}",
        in_units(needed(wanted)),
        in_units(free)
    )))
}
