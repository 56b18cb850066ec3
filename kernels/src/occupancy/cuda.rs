//! The same grid on a device: `march.cu`, `cells.cu`.
//!
//! Rays find the same steps as on the CPU, in the order of rays. Counted for a ray of `n` steps in occupied cells: 36 bytes of the ray and a word of the
//! grid for each step that is looked at, twice, and 16 bytes for each of the `n`.

use super::{MarchedRay, OccupancyGrid, SIDE};
use crate::device::{Buffer, Device, DeviceError, Joined, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use crate::sort::cuda::Scan;
use bytemuck::{Pod, Zeroable};

/// The kernels of marching.
pub static MARCH: Source = Source::new("occupancy/march.cu", include_str!("march.cu"));
/// The kernels of finding occupied cells.
pub static CELLS: Source = Source::new("occupancy/cells.cu", include_str!("cells.cu"));

/// A ray as `march.cu` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct DeviceRay {
    origin: [f32; 3],
    near: f32,
    /// Where it goes.
    pub direction: [f32; 3],
    far: f32,
    jitter: f32,
}

impl DeviceRay {
    /// A ray and the share of a step at which its samples begin; one without samples for `None`.
    pub fn new(ray: Option<&MarchedRay>, jitter: f32) -> Self {
        ray.map_or_else(Self::default, |ray| {
            let MarchedRay { origin, direction, near_far: [near, far] } = *ray;
            Self { origin, near, direction, far, jitter }
        })
    }
}

/// As `march.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct MarchShape {
    rays: u32,
    resolution: u32,
    limit: u32,
    step: f32,
    stride: u32,
}

/// As `cells.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct CellList {
    side: u32,
    each: u32,
    first: u32,
    count: u32,
    stride: u32,
}
device_struct!(DeviceRay, MarchShape, CellList);

/// How rays are marched along.
#[derive(Clone, Copy, Debug)]
pub struct March {
    /// How many rays there are.
    pub rays: usize,
    /// The length of a step.
    pub step: f32,
    /// Steps of a ray at most.
    pub limit: usize,
}

/// A grid on a device.
pub struct Grid {
    count_steps: Kernel,
    place_steps: Kernel,
    scan: Scan,
    resolution: usize,
    bits: Buffer<u32>,
    /// Cells that nothing passes.
    solid: Buffer<u32>,
    /// Blocks with cells that are occupied or solid.
    blocks: Buffer<u32>,
}

impl Grid {
    /// A copy of `grid`.
    ///
    /// # Errors
    /// When kernels cannot be compiled, or there is not enough memory.
    pub fn new(device: &Device, grid: &OccupancyGrid) -> Result<Self, DeviceError> {
        let words: &[u32] = bytemuck::cast_slice(&grid.bits);
        let mut solid = device.zeros(words.len(), PURPOSE)?;
        solid.write(0, bytemuck::cast_slice(&grid.solid), &device.stream()?)?;
        Ok(Self {
            count_steps: device.kernel(&MARCH, "count_ray_steps")?,
            place_steps: device.kernel(&MARCH, "place_ray_steps")?,
            scan: Scan::new(device)?,
            resolution: grid.resolution(),
            bits: device.upload(words, PURPOSE)?,
            solid,
            blocks: device.upload(bytemuck::cast_slice(&grid.blocks), PURPOSE)?,
        })
    }

    /// Bytes of a grid.
    pub fn bytes(resolution: usize) -> usize {
        16 * resolution.pow(3).div_ceil(64) + 8 * resolution.div_ceil(SIDE).pow(3).div_ceil(64)
    }

    /// Cells a side.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// The grid as the CPU has it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self, stream: &Stream) -> Result<OccupancyGrid, DeviceError> {
        let words = |buffer: &Buffer<u32>| -> Result<Vec<u64>, DeviceError> {
            let words = buffer.read(stream)?;
            let pairs = words.as_chunks::<2>().0.iter();
            Ok(pairs.map(|[low, high]| u64::from(*high) << 32 | u64::from(*low)).collect())
        };
        let (bits, mut solid) = (words(&self.bits)?, words(&self.solid)?);
        if solid.iter().all(|word| *word == 0) {
            solid.clear();
        }
        let grid = OccupancyGrid::from_bits(self.resolution, bits).and_then(|grid| grid.with_solid(solid));
        // The kernels set no bits of cells that are not there.
        Ok(grid.unwrap_or_else(|| OccupancyGrid::full(self.resolution)))
    }

    /// Takes over the cells of `grid`, and waits until that is done.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When it has another resolution.
    pub fn write(&mut self, grid: &OccupancyGrid, stream: &Stream) -> Result<(), DeviceError> {
        assert_eq!(grid.resolution(), self.resolution, "a grid of another resolution");
        self.clear(stream)?;
        self.bits.write(0, bytemuck::cast_slice(&grid.bits), stream)?;
        self.solid.write(0, bytemuck::cast_slice(&grid.solid), stream)?;
        self.blocks.write(0, bytemuck::cast_slice(&grid.blocks), stream)
    }

    /// Empties all cells.
    ///
    /// # Errors
    /// When the device fails.
    pub fn clear(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        self.bits.clear(stream)?;
        self.solid.clear(stream)?;
        self.blocks.clear(stream)
    }

    /// Where the samples of each ray begin, in `starts`, `[rays + 1]`; the last says how many there are in all.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn count(
        &self,
        stream: &Stream,
        rays: &Buffer<DeviceRay>,
        march: March,
        starts: &mut Buffer<u32>,
        total: &mut Buffer<u32>,
    ) -> Result<(), DeviceError> {
        assert!(rays.len() >= march.rays && starts.len() > march.rays, "room for {} rays", march.rays);
        let cells = Joined((&self.bits, &self.solid, &self.blocks));
        let arguments = (rays, cells, self.shape(march, 0), &mut *starts);
        self.count_steps.launch(stream, Launch::linear(march.rays + 1, THREADS), arguments)?;
        self.scan.exclusive_sum(stream, starts, march.rays + 1, total.at_mut(0))
    }

    /// The samples that [`Grid::count`] counted: places, `[3, stride]`, and the ray of each.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn place(
        &self,
        stream: &Stream,
        rays: &Buffer<DeviceRay>,
        march: March,
        starts: &Buffer<u32>,
        batch: Batch,
        (positions, ray_of): (&mut Buffer<f32>, &mut Buffer<u32>),
    ) -> Result<(), DeviceError> {
        assert!(rays.len() >= march.rays && starts.len() > march.rays, "room for {} rays", march.rays);
        assert!(ray_of.len() >= batch.samples, "room for {} samples", batch.samples);
        batch.check(positions.len(), 0, 3, "positions");
        let cells = Joined((&self.bits, &self.solid, &self.blocks));
        let arguments = (rays, cells, self.shape(march, batch.stride), starts, positions, ray_of);
        self.place_steps.launch(stream, Launch::linear(march.rays, THREADS), arguments)
    }

    fn shape(&self, march: March, stride: usize) -> MarchShape {
        let March { rays, step, limit } = march;
        let resolution = self.resolution as u32;
        MarchShape { rays: rays as u32, resolution, limit: limit as u32, step, stride: stride as u32 }
    }
}

/// Lists of cells, for finding those that a surface may reach into, from coarse ones to fine ones.
pub struct Cells {
    list_all: Kernel,
    cell_middles: Kernel,
    keep_near: Kernel,
    count_gaps: Kernel,
    list_gaps: Kernel,
    gap_middles: Kernel,
    fill_gaps: Kernel,
    scan: Scan,
    /// Those that are looked at, and those of them that are kept.
    lists: [Buffer<u32>; 2],
    found: Buffer<u32>,
    /// Where the gaps of each row of cells begin in the lists.
    starts: Buffer<u32>,
    /// Of the list, the cells that it stands for.
    side: usize,
    each: usize,
    listed: usize,
}

impl Cells {
    /// Room for the lists that a grid of `resolution` cells a side needs.
    ///
    /// # Errors
    /// When kernels cannot be compiled, or there is not enough memory.
    pub fn new(device: &Device, resolution: usize) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&CELLS, name);
        let list = || device.buffer(Self::listed_at_most(resolution), PURPOSE);
        Ok(Self {
            list_all: kernel("list_all")?,
            cell_middles: kernel("cell_middles")?,
            keep_near: kernel("keep_near")?,
            count_gaps: kernel("count_gaps")?,
            list_gaps: kernel("list_gaps")?,
            gap_middles: kernel("gap_middles")?,
            fill_gaps: kernel("fill_gaps")?,
            scan: Scan::new(device)?,
            starts: device.buffer(resolution * resolution + 1, PURPOSE)?,
            lists: [list()?, list()?],
            found: device.zeros(1, PURPOSE)?,
            side: 0,
            each: 1,
            listed: 0,
        })
    }

    /// Bytes of the lists.
    pub fn bytes(resolution: usize) -> usize {
        8 * Self::listed_at_most(resolution) + 4 * resolution * resolution
    }

    /// The finest cells are never listed, if they are not the coarsest that are looked at.
    fn listed_at_most(resolution: usize) -> usize {
        resolution.div_ceil(2).pow(3).max(resolution.min(COARSEST).pow(3))
    }

    /// Begins with all cells of a grid of `side` cells a side.
    ///
    /// # Errors
    /// When the device fails.
    pub fn begin(&mut self, stream: &Stream, side: usize) -> Result<(), DeviceError> {
        (self.side, self.each, self.listed) = (side, 1, side.pow(3));
        assert!(self.listed <= self.lists[0].len(), "room for all cells of {side} a side");
        let count = self.listed as u32;
        self.list_all.launch(stream, Launch::linear(self.listed, THREADS), (count, &mut self.lists[0]))
    }

    /// How many cells there are to look at.
    pub fn len(&self) -> usize {
        self.listed * self.each
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The middles of `batch.samples` cells from `first` on, `[3, stride]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn middles(
        &self,
        stream: &Stream,
        first: usize,
        batch: Batch,
        positions: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        batch.check(positions.len(), 0, 3, "positions");
        let arguments = (&self.lists[0], self.part(first, batch), positions);
        self.cell_middles.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// Before the first [`Cells::keep`] of the cells that are looked at.
    ///
    /// # Errors
    /// When the device fails.
    pub fn begin_keeping(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        self.found.clear(stream)
    }

    /// Keeps those of `batch.samples` cells from `first` on whose `distances[i] - offset` are at most `limit` in size; all of them without distances. Into
    /// `grid`, whose cells they then are, or for [`Cells::descend`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn keep(
        &mut self,
        stream: &Stream,
        (first, batch): (usize, Batch),
        (distances, offset, limit): (Option<&Buffer<f32>>, f32, f32),
        grid: Option<&mut Grid>,
    ) -> Result<(), DeviceError> {
        let list = self.part(first, batch);
        let [cells, kept] = &mut self.lists;
        let (bits, blocks) = grid.map(|Grid { bits, blocks, .. }| (bits, blocks)).unzip();
        let arguments = (&*cells, list, distances, offset, limit, kept, &mut self.found, bits, blocks);
        self.keep_near.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// How many were kept; waits for it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn found(&self, stream: &Stream) -> Result<usize, DeviceError> {
        Ok(self.found.read(stream)?[0] as usize)
    }

    /// Goes on with the halves of the `found` cells that were kept.
    pub fn descend(&mut self, found: usize) {
        self.lists.swap(0, 1);
        (self.side, self.each, self.listed) = (2 * self.side, 8, found);
    }

    /// Looks for rows of empty cells of `grid` along x that have occupied ones at both ends. Returns how many there are; waits for it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn find_gaps(&mut self, stream: &Stream, grid: &Grid) -> Result<usize, DeviceError> {
        let rows = grid.resolution * grid.resolution;
        (self.side, self.each) = (grid.resolution, 1);
        let (side, most) = (self.side as u32, self.lists[0].len());
        self.count_gaps.launch(stream, Launch::linear(rows + 1, THREADS), (&grid.bits, side, &mut self.starts))?;
        self.scan.exclusive_sum(stream, &mut self.starts, rows + 1, self.found.at_mut(0))?;
        let [firsts, lasts] = &mut self.lists;
        let arguments = (&grid.bits, side, &self.starts, most as u32, firsts, lasts);
        self.list_gaps.launch(stream, Launch::linear(rows, THREADS), arguments)?;
        // More than there is room for stay as they are: rays go on in them.
        self.listed = self.found(stream)?.min(most);
        Ok(self.listed)
    }

    /// The middles of `batch.samples` of these rows from `first` on, `[3, stride]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gap_middles(
        &self,
        stream: &Stream,
        first: usize,
        batch: Batch,
        positions: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        batch.check(positions.len(), 0, 3, "positions");
        let arguments = (&self.lists[0], &self.lists[1], self.part(first, batch), positions);
        self.gap_middles.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// Makes those of them solid whose distance, `distances[i] - offset`, is negative.
    ///
    /// # Errors
    /// When the device fails.
    pub fn fill_gaps(
        &self,
        stream: &Stream,
        (first, batch): (usize, Batch),
        (distances, offset): (&Buffer<f32>, f32),
        grid: &mut Grid,
    ) -> Result<(), DeviceError> {
        let Grid { solid, blocks, .. } = grid;
        let arguments = (&self.lists[0], &self.lists[1], self.part(first, batch), distances, offset, solid, blocks);
        self.fill_gaps.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    fn part(&self, first: usize, batch: Batch) -> CellList {
        assert!(first + batch.samples <= self.len(), "{} cells are looked at", self.len());
        let [side, each, first, count] = [self.side, self.each, first, batch.samples].map(|n| n as u32);
        CellList { side, each, first, count, stride: batch.stride as u32 }
    }
}

/// Cells a side that are listed in any case.
const COARSEST: usize = 32;
const THREADS: u32 = 128;
const PURPOSE: &str = "occupied cells";
