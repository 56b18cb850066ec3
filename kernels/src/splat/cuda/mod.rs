//! The same rasteriser on a device. [`Rasterizer`] holds every buffer; in steady use nothing is allocated and nothing comes
//! back to the host.
//!
//! A pass is a list of launches: `project.cu`, `instances.cu` with two sorts, `rasterize.cu`; back again
//! `rasterize_backward.cu` and `parameters.cu`, or `descend.cu`, which trains without storing gradients. Each file says how
//! threads are mapped and why. Results do not depend on the order in which blocks run, to the bit: sums over pixels are
//! integers, all others have a fixed order.
//!
//! How many (splat, tile) pairs a view has is only known on the device. [`Rasterizer::render`] looks and makes room;
//! [`Rasterizer::forward`] does not, and a pass that runs out of room is drawn incompletely and not trained on.

mod data;
mod descend;
mod far;
mod kernels;
mod photo;
mod primitives;
mod tensor;
mod trained;

pub use data::{Ellipsoids, Harmonics, Rendering, RenderingGradient, SplatGradients, Splats};
pub use far::{FarRows, Moved, OutOfCore};
pub use kernels::{DENSITY, DESCEND, FILTER_3D, INSTANCES, PARAMETERS, PHOTO, PROJECT, RASTERIZE, RASTERIZE_BACKWARD};
pub use photo::{MaskMeaning, PhotoBytes, Photos};
pub use primitives::Primitives;
pub use tensor::{HostTensor, Precision};
pub use trained::{Descent, Halving, Rates, Sampling, Trained};

use super::{Counts, RenderSettings, spherical_harmonics};
use crate::camera_projection::View;
use crate::camera_projection::cuda::{Camera, Shaping};
use crate::device::{Buffer, Device, DeviceError, Element, Joined, Launch, Stream};
use crate::sort::cuda::{RadixSort, Scan};
use data::{Picture, Record};
use kernels::Kernels;

/// Pixels along a side of a tile.
const TILE: usize = 16;
/// Threads of a block that takes a splat each; also the grain of scans.
const BLOCK: usize = 256;
/// Splats of a block that goes through harmonics.
const SH_BLOCK: usize = 128;
/// Sums over pixels for each splat.
const SUMS: usize = 12;

/// Places in the counters, as `record.cuh` has them.
const VISIBLE: usize = 0;
const LISTED_INSTANCES: usize = 1;
const WANTED_INSTANCES: usize = 2;
const COUNTERS: usize = 5;

/// Renders splats on a device and differentiates the result. Keeps its buffers between calls.
pub struct Rasterizer {
    device: Device,
    stream: Stream,
    kernels: Kernels,
    sort: RadixSort,
    scan: Scan,
    records: Buffer<Record>,
    /// `[N]`, tiles that each splat touches.
    touched: Buffer<u32>,
    /// Visible splats of each block, then instances of each block of sorted splats.
    block_counts: Buffer<u32>,
    depths: Buffer<u32>,
    order: Buffer<u32>,
    /// `[N, 12]`, zero between passes.
    sums: Buffer<u64>,
    /// `[N, 3]`
    v_offsets: Buffer<f32>,
    instance_tiles: Buffer<u32>,
    instance_splats: Buffer<u32>,
    /// `[tiles, 2]`
    ranges: Buffer<u32>,
    counters: Buffer<u32>,
    partials: Buffer<f32>,
    small: Buffer<f32>,
    rendering: Rendering,
}

/// What the passes of one step have in common.
struct Pass {
    count: u32,
    camera: Camera,
    shaping: Shaping,
    degree: i32,
    stored_degree: i32,
}

impl Pass {
    fn new(splats: &Primitives<'_>, view: &View, settings: &RenderSettings) -> Self {
        splats.check();
        assert!(view.width <= 65_535 && view.height <= 65_535, "pictures have at most 65,535 pixels on a side");
        Self {
            count: splats.len as u32,
            camera: Camera::from(view),
            shaping: Shaping {
                near: settings.near,
                antialiased: settings.antialiased.into(),
                filtered: splats.is_filtered().into(),
            },
            degree: settings.active_sh_degree.min(splats.sh_degree).into(),
            stored_degree: splats.sh_degree.into(),
        }
    }

    fn by_splat(&self) -> Launch {
        Launch::linear(self.count as usize, BLOCK as u32)
    }

    fn by_harmonics(&self) -> Launch {
        Launch::linear(self.count as usize, SH_BLOCK as u32)
    }

    fn blocks(&self) -> usize {
        (self.count as usize).div_ceil(BLOCK)
    }
}

impl Rasterizer {
    /// A rasteriser with room for nothing yet, whose work is done in the order of `stream`.
    ///
    /// # Errors
    /// When its kernels cannot be compiled.
    pub fn new(device: &Device, stream: &Stream) -> Result<Self, DeviceError> {
        let none = || device.buffer(0, PURPOSE);
        Ok(Self {
            kernels: Kernels::new(device)?,
            sort: RadixSort::new(device)?,
            scan: Scan::new(device)?,
            records: device.buffer(0, PURPOSE)?,
            touched: none()?,
            block_counts: none()?,
            depths: none()?,
            order: none()?,
            sums: device.buffer(0, PURPOSE)?,
            v_offsets: device.buffer(0, PURPOSE)?,
            instance_tiles: none()?,
            instance_splats: none()?,
            ranges: none()?,
            counters: device.zeros(COUNTERS, PURPOSE)?,
            partials: device.buffer(0, PURPOSE)?,
            small: device.buffer(8, PURPOSE)?,
            rendering: Rendering::new(device)?,
            device: device.clone(),
            stream: stream.clone(),
        })
    }

    /// Bytes of buffers for so many splats, (splat, tile) pairs and pixels.
    pub fn bytes(splats: usize, instances: usize, pixels: usize) -> usize {
        // A record, tiles, depth and order, sums, offsets; two arrays and a place to sort them; planes of the picture.
        let per_splat = size_of::<Record>() + 12 + 8 * SUMS + 12;
        per_splat * splats + 8 * instances + RadixSort::bytes(splats.max(instances)) + 24 * pixels
    }

    /// Makes room for so many splats.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn reserve(&mut self, splats: usize) -> Result<(), DeviceError> {
        if self.touched.len() >= splats {
            return Ok(());
        }
        let device = &self.device;
        self.records = device.buffer(splats, PURPOSE)?;
        self.touched = device.buffer(splats, PURPOSE)?;
        self.block_counts = device.buffer(splats.div_ceil(BLOCK), PURPOSE)?;
        self.depths = device.buffer(splats, PURPOSE)?;
        self.order = device.buffer(splats, PURPOSE)?;
        self.sums = device.buffer(SUMS * splats, PURPOSE)?;
        self.sums.clear(&self.stream)?;
        self.v_offsets = device.buffer(3 * splats, PURPOSE)?;
        self.partials = device.buffer(6 * splats.div_ceil(BLOCK), PURPOSE)?;
        self.reserve_instances(2 * splats)
    }

    fn reserve_instances(&mut self, instances: usize) -> Result<(), DeviceError> {
        if self.instance_tiles.len() < instances {
            self.instance_tiles = self.device.buffer(instances, PURPOSE)?;
            self.instance_splats = self.device.buffer(instances, PURPOSE)?;
            self.sort.reserve(instances)?;
        }
        Ok(())
    }

    /// (splat, tile) pairs that there is room for.
    pub fn instance_capacity(&self) -> usize {
        self.instance_tiles.len()
    }

    /// Renders [`Splats`] or [`Ellipsoids`] as seen from `view`, without waiting for it.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When the lengths of the tensors disagree, or the picture has more than 65,535 pixels on a side.
    pub fn forward<'a>(
        &mut self,
        splats: impl Into<Primitives<'a>>,
        view: &View,
        settings: &RenderSettings,
    ) -> Result<&Rendering, DeviceError> {
        let splats = splats.into();
        let pass = Pass::new(&splats, view, settings);
        self.reserve(splats.len)?;
        self.project(&splats, &pass)?;
        let across = view.width.div_ceil(TILE);
        self.list(&pass, across, across * view.height.div_ceil(TILE))?;
        self.composite(view, settings, across)?;
        Ok(&self.rendering)
    }

    /// As [`Rasterizer::forward`], and looks whether there was room for all (splat, tile) pairs: if not, makes it and
    /// renders again.
    ///
    /// # Errors
    /// As [`Rasterizer::forward`].
    pub fn render<'a>(
        &mut self,
        splats: impl Into<Primitives<'a>>,
        view: &View,
        settings: &RenderSettings,
    ) -> Result<&Rendering, DeviceError> {
        let splats = splats.into();
        self.forward(splats, view, settings)?;
        let wanted = self.counters.read_part(WANTED_INSTANCES, 1, &self.stream)?[0] as usize;
        if wanted > self.instance_capacity() {
            self.make_room(wanted)?;
            self.forward(splats, view, settings)?;
        }
        Ok(&self.rendering)
    }

    /// Makes room for `wanted` (splat, tile) pairs and a quarter more, so that it lasts for a while.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn make_room(&mut self, wanted: usize) -> Result<(), DeviceError> {
        self.reserve_instances(wanted + wanted / 4)
    }

    /// Copies how many (splat, tile) pairs the last pass had to a place in a buffer, without waiting.
    ///
    /// # Errors
    /// When the device fails.
    pub fn copy_wanted_instances(&self, to: &mut Buffer<u32>, place: usize) -> Result<(), DeviceError> {
        to.copy_from(place, &self.counters, WANTED_INSTANCES, 1, &self.stream)
    }

    fn project(&mut self, splats: &Primitives<'_>, pass: &Pass) -> Result<(), DeviceError> {
        self.counters.clear(&self.stream)?;
        self.project_shapes(splats, pass)?;
        let (kernels, stream) = (&self.kernels, &self.stream);
        let (means, &Pass { count, camera, degree, stored_degree, .. }) = (splats.means, pass);
        let (touched, records) = (&self.touched, &mut self.records);
        let grid = pass.by_harmonics();
        let common = Joined((count, camera, degree, stored_degree, touched, records));
        match splats.sh_rest {
            Harmonics::Floats(sh_rest) => kernels.shade.launch(stream, grid, (means, splats.sh0, sh_rest, common)),
            Harmonics::Words(words) => kernels.shade_packed.launch(stream, grid, (means, splats.sh0, words, common)),
        }
    }

    /// Lists the splats of every tile, nearest first.
    fn list(&mut self, pass: &Pass, across: usize, tiles: usize) -> Result<(), DeviceError> {
        let (kernels, stream) = (&self.kernels, &self.stream);
        let counts = &mut self.block_counts;
        self.scan.exclusive_sum(stream, counts, pass.blocks(), self.counters.at_mut(VISIBLE))?;
        let (depths, order) = (&mut self.depths, &mut self.order);
        let arguments = (&self.records, &self.touched, &*counts, pass.count, &mut *depths, &mut *order);
        kernels.list_visible.launch(stream, pass.by_splat(), arguments)?;
        self.sort.sort_pairs(stream, depths, order, (&self.counters, VISIBLE), 32)?;

        let arguments = (&*order, &self.touched, &self.counters, &mut *counts);
        kernels.sum_touched.launch(stream, pass.by_splat(), arguments)?;
        self.scan.exclusive_sum(stream, counts, pass.blocks(), self.counters.at_mut(WANTED_INSTANCES))?;
        let capacity = self.instance_tiles.len() as u32;
        kernels.limit_instances.launch(stream, Launch::blocks(1, 1), (&mut self.counters, capacity))?;
        let (by_tile, by_splat) = (&mut self.instance_tiles, &mut self.instance_splats);
        let (touched, records, counters) = (&self.touched, &self.records, &self.counters);
        let arguments =
            (&*order, touched, records, counters, &*counts, capacity, across as i32, &mut *by_tile, &mut *by_splat);
        kernels.list_instances.launch(stream, pass.by_splat(), arguments)?;
        let tile_bits = usize::BITS - tiles.saturating_sub(1).leading_zeros();
        self.sort.sort_pairs(stream, by_tile, by_splat, (counters, LISTED_INSTANCES), tile_bits)?;
        fit(&self.device, &mut self.ranges, 2 * tiles)?;
        let arguments = (&*by_tile, counters, tiles as u32, &mut self.ranges);
        kernels.find_ranges.launch(stream, Launch::linear(tiles, BLOCK as u32), arguments)
    }

    fn composite(&mut self, view: &View, settings: &RenderSettings, across: usize) -> Result<(), DeviceError> {
        self.rendering.resize(&self.device, view, settings)?;
        let picture = picture(view, settings, across);
        let tiles = Launch::blocks((across * view.height.div_ceil(TILE)) as u32, BLOCK as u32);
        let (stream, kernels, out) = (&self.stream, &self.kernels, &mut self.rendering);
        let (ranges, list, records) = (&self.ranges, &self.instance_splats, &self.records);
        let (rgb, transmittance) = (&mut out.rgb, &mut out.transmittance);
        if settings.median_depth {
            let arguments = (ranges, list, records, picture, rgb, transmittance, &mut out.depth, &mut out.median_depth);
            kernels.rasterize_median_depth.launch(stream, tiles, arguments)
        } else if settings.depth {
            let arguments = (ranges, list, records, picture, rgb, transmittance, &mut out.depth);
            kernels.rasterize_depth.launch(stream, tiles, arguments)
        } else {
            kernels.rasterize.launch(stream, tiles, (ranges, list, records, picture, rgb, transmittance))
        }
    }

    /// From the gradient of the picture to sums over pixels for each splat.
    fn accumulate(
        &mut self,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
    ) -> Result<(), DeviceError> {
        assert!(gradient.depth.is_none() || settings.depth, "a depth gradient needs a rendered depth");
        let (kernels, stream) = (&self.kernels, &self.stream);
        let pixels = view.width * view.height;
        let RenderingGradient { rgb, alpha, depth, score } = *gradient;
        let covered = &self.rendering.transmittance;
        let arguments = (rgb, alpha, depth, score, covered, pixels as u32, &mut self.counters);
        kernels.largest_gradient.launch(stream, Launch::blocks(pixels.div_ceil(1024) as u32, 256), arguments)?;
        let across = view.width.div_ceil(TILE);
        let tiles = Launch::blocks((across * view.height.div_ceil(TILE)) as u32, BLOCK as u32);
        let drawn = &self.rendering;
        let arguments = (
            &self.ranges,
            &self.instance_splats,
            &self.records,
            picture(view, settings, across),
            &drawn.rgb,
            &drawn.transmittance,
            depth.is_some().then_some(&drawn.depth),
            rgb,
            alpha,
            depth,
            score,
            &self.counters,
            &mut self.sums,
        );
        kernels.rasterize_backward.launch(stream, tiles, arguments)
    }

    /// The gradient of a loss with respect to everything that the last pass was given; the arguments must be the same.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When the lengths of the tensors disagree, or a depth gradient is given but no depth was rendered.
    pub fn backward<'a>(
        &mut self,
        splats: impl Into<Primitives<'a>>,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
        out: &mut SplatGradients,
    ) -> Result<(), DeviceError> {
        let splats = splats.into();
        let pass = Pass::new(&splats, view, settings);
        self.accumulate(view, settings, gradient)?;
        out.resize(&self.device, &splats)?;
        let (kernels, stream) = (&self.kernels, &self.stream);
        let Pass { count, camera, degree, stored_degree, .. } = pass;
        let (touched, records, counters) = (&self.touched, &self.records, &self.counters);
        let grid = pass.by_harmonics();
        let common = Joined((count, camera, degree, stored_degree, touched, records, &self.sums, counters));
        let written = Joined((&mut out.sh_rest, &mut self.v_offsets));
        match splats.sh_rest {
            Harmonics::Floats(sh_rest) => {
                let arguments = (splats.means, sh_rest, common, written);
                kernels.harmonics_gradients.launch(stream, grid, arguments)?;
            }
            Harmonics::Words(sh_rest) => {
                let arguments = (splats.means, sh_rest, common, written);
                kernels.packed_harmonics_gradients.launch(stream, grid, arguments)?;
            }
        }
        self.differentiate_shapes(&splats, &pass, out)?;
        let arguments = (&self.partials, pass.blocks() as u32, &mut out.pose);
        self.kernels.sum_columns.launch(&self.stream, Launch::blocks(6, 256), arguments)
    }

    /// The gradient with respect to the background colour: Σ T v over the pixels. Waits for it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn background_gradient(&mut self, v_rgb: &Buffer<f32>) -> Result<[f32; 3], DeviceError> {
        let pixels = self.rendering.width * self.rendering.height;
        let blocks = pixels.div_ceil(BLOCK);
        fit(&self.device, &mut self.partials, 3 * blocks)?;
        let (kernels, stream) = (&self.kernels, &self.stream);
        let arguments = (&self.rendering.transmittance, v_rgb, pixels as u32, &mut self.partials);
        kernels.background_gradients.launch(stream, Launch::blocks(blocks as u32, BLOCK as u32), arguments)?;
        let arguments = (&self.partials, blocks as u32, &mut self.small);
        kernels.sum_columns.launch(stream, Launch::blocks(3, 256), arguments)?;
        let sums = self.small.read_part(0, 3, stream)?;
        Ok([sums[0], sums[1], sums[2]])
    }

    /// Tiles that each primitive touched in the last pass, `[N]`, and the pass's counters.
    pub(crate) fn seen(&self) -> (&Buffer<u32>, &Buffer<u32>) {
        (&self.touched, &self.counters)
    }

    /// The picture that the last pass made.
    pub fn rendering(&self) -> &Rendering {
        &self.rendering
    }

    /// What the last pass did; waits for it. Evaluations are not counted.
    ///
    /// # Errors
    /// When the device fails.
    pub fn counts(&self) -> Result<Counts, DeviceError> {
        let counters = self.counters.read(&self.stream)?;
        let [visible, instances] = [VISIBLE, WANTED_INSTANCES].map(|place| counters[place] as usize);
        Ok(Counts { visible, instances, evaluations: 0, pixels: self.rendering.width * self.rendering.height })
    }
}

fn picture(view: &View, settings: &RenderSettings, across: usize) -> Picture {
    Picture {
        width: view.width as i32,
        height: view.height as i32,
        tiles_across: across as i32,
        background: settings.background,
    }
}

/// Makes a buffer as large as needed; what is in it is lost.
fn fit<T: Element>(device: &Device, buffer: &mut Buffer<T>, len: usize) -> Result<(), DeviceError> {
    if buffer.len() < len {
        *buffer = device.buffer(len, PURPOSE)?;
    }
    Ok(())
}

const PURPOSE: &str = "rendering";
