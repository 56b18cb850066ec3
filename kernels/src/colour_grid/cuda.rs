//! Grids of colour transforms on a device: `grid.cu`.

use super::{GridSize, GridStep};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// The kernels of this folder.
pub static COLOUR_GRID: Source = Source::new("colour_grid/grid.cu", include_str!("grid.cu"));

/// Numbers of a transform.
const AFFINE: usize = 12;

/// As `grid.cu` has it.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Size {
    rows: i32,
    columns: i32,
    levels: i32,
}

impl crate::device::Element for Size {
    const CUDA_NAME: &'static str = "GridSize";
}

/// As `grid.cu` has it.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct GridDescent {
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    variation: [f32; 3],
    drift_removal: f32,
}
device_struct!(GridDescent);

/// A picture on the device, `[3, height, width]`; buffers may be larger.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// `[3, height, width]`
    pub rgb: &'a Buffer<f32>,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

impl Picture<'_> {
    fn pixels(&self) -> usize {
        self.width * self.height
    }
}

/// The grids of all photos, with what their optimiser remembers.
pub struct ColourGrids {
    stream: Stream,
    kernels: Kernels,
    size: GridSize,
    images: usize,
    /// `[images, cells, 12]`
    values: Buffer<f32>,
    first: Buffer<f32>,
    second: Buffer<f32>,
    /// `[images]`, how often each was stepped.
    steps: Buffer<f32>,
    /// `[images, 12]`
    image_means: Buffer<f32>,
    /// `[12]`
    shared: Buffer<f32>,
    /// `[cells, 12]`, zero between steps.
    sums: Buffer<u64>,
    /// `[cells, 12]`
    gradient: Buffer<f32>,
    /// Bits of the largest gradient, and whether one is no number.
    found: Buffer<u32>,
    /// Of the picture that was last differentiated.
    pixels: usize,
}

struct Kernels {
    apply: Kernel,
    largest: Kernel,
    differentiate: Kernel,
    gather: Kernel,
    descend: Kernel,
    mean: Kernel,
    remove_drift: Kernel,
}

impl Kernels {
    fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&COLOUR_GRID, name);
        Ok(Self {
            apply: kernel("apply_transforms")?,
            largest: kernel("largest_magnitude")?,
            differentiate: kernel("transform_gradients")?,
            gather: kernel("gather_gradient")?,
            descend: kernel("descend_grid")?,
            mean: kernel("mean_transforms")?,
            remove_drift: kernel("remove_drift")?,
        })
    }
}

impl ColourGrids {
    /// Takes over grids in the state that [`ColourGrids::state`] returns.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When the state is not that of so many grids of this size.
    pub fn new(
        device: &Device,
        stream: &Stream,
        size: GridSize,
        images: usize,
        state: &[f32],
    ) -> Result<Self, DeviceError> {
        let block = AFFINE * size.cells();
        let all = block * images;
        assert_eq!(state.len(), 3 * all + images + AFFINE, "the state of {images} grids");
        let (values, rest) = state.split_at(all);
        let (first, rest) = rest.split_at(all);
        let (second, rest) = rest.split_at(all);
        let (steps, shared) = rest.split_at(images);
        let upload = |values: &[f32]| device.upload(values, PURPOSE);
        let kernels = Kernels::new(device)?;
        let values = upload(values)?;
        // By the kernel that steps use: a run that goes on has the same bits.
        let mut image_means = device.zeros(AFFINE * images, PURPOSE)?;
        let all_images = Launch::blocks(images as u32, 256);
        kernels.mean.launch(stream, all_images, (&values, size.cells() as u32, 0u32, &mut image_means))?;
        Ok(Self {
            kernels,
            size,
            images,
            values,
            first: upload(first)?,
            second: upload(second)?,
            steps: upload(steps)?,
            image_means,
            shared: upload(shared)?,
            sums: device.zeros(block, PURPOSE)?,
            gradient: device.zeros(block, PURPOSE)?,
            found: device.zeros(2, PURPOSE)?,
            pixels: 0,
            stream: stream.clone(),
        })
    }

    /// Bytes on the device for the grids of so many photos.
    pub fn bytes(size: GridSize, images: usize) -> usize {
        AFFINE * size.cells() * (12 * images + 12) + images * (4 + 4 * AFFINE)
    }

    /// Everything that changes in training: values and both moments of all photos, the numbers of steps, the shared transform.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn state(&self) -> Result<Vec<f32>, DeviceError> {
        let parts = [&self.values, &self.first, &self.second, &self.steps, &self.shared];
        let mut state = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            state.extend(part.read(&self.stream)?);
        }
        Ok(state)
    }

    fn block(&self) -> usize {
        AFFINE * self.size.cells()
    }

    fn shape(&self) -> Size {
        let GridSize { rows, columns, levels } = self.size;
        Size { rows: rows as i32, columns: columns as i32, levels: levels as i32 }
    }

    /// Writes the picture as the photo number `image` would have taken it to `out`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there is no such photo.
    pub fn apply(&self, image: usize, picture: Picture<'_>, out: &mut Buffer<f32>) -> Result<(), DeviceError> {
        let Picture { rgb, width, height } = picture;
        let grid = self.values.at(image * self.block());
        let arguments = (grid, &self.shared, self.shape(), rgb, width as i32, height as i32, out);
        self.kernels.apply.launch(&self.stream, Launch::linear(picture.pixels(), 256), arguments)
    }

    /// Turns `v`, the gradient with respect to what [`ColourGrids::apply`] wrote, into that with respect to the picture, and
    /// keeps that with respect to the grid for [`ColourGrids::step`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn backward(&mut self, image: usize, picture: Picture<'_>, v: &mut Buffer<f32>) -> Result<(), DeviceError> {
        let Picture { rgb, width, height } = picture;
        let (stream, pixels, size) = (&self.stream, picture.pixels(), self.shape());
        self.pixels = pixels;
        self.found.clear(stream)?;
        let some = Launch::blocks((3 * pixels).div_ceil(1024) as u32, 256);
        self.kernels.largest.launch(stream, some, (&*v, 3 * pixels as u32, &mut self.found))?;
        let grid = self.values.at(image * self.block());
        let arguments =
            (grid, &self.shared, size, rgb, width as i32, height as i32, v, &mut self.sums, &mut self.found);
        self.kernels.differentiate.launch(stream, Launch::linear(pixels, 256), arguments)
    }

    /// Moves the grid of `image` down the gradient of the last [`ColourGrids::backward`] and of its total variation. A gradient
    /// that is not finite is skipped.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step(&mut self, image: usize, step: &GridStep) -> Result<(), DeviceError> {
        let (block, size, stream) = (self.block(), self.shape(), &self.stream);
        let start = image * block;
        let descent = self.descent(step);
        let every = Launch::linear(block, 256);
        let grid = self.values.at(start);
        let arguments = (grid, size, descent, self.pixels as u32, &self.found, &mut self.sums, &mut self.gradient);
        self.kernels.gather.launch(stream, every, arguments)?;
        let (steps, moments) = (self.steps.at(image), (self.first.at_mut(start), self.second.at_mut(start)));
        let grid = self.values.at_mut(start);
        let arguments = (&self.gradient, block as u32, descent, steps, &self.found, grid, moments.0, moments.1);
        self.kernels.descend.launch(stream, every, arguments)?;
        let (cells, image, images) = (self.size.cells() as u32, image as u32, self.images as u32);
        let one = Launch::blocks(1, 256);
        self.kernels.mean.launch(stream, one, (&self.values, cells, image, &mut self.image_means))?;
        let (found, steps, shared) = (&self.found, &mut self.steps, &mut self.shared);
        let arguments = (&self.image_means, image, images, descent, found, steps, shared);
        self.kernels.remove_drift.launch(stream, one, arguments)
    }

    fn descent(&self, step: &GridStep) -> GridDescent {
        let GridSize { rows, columns, levels } = self.size;
        let numbers = self.block();
        // A pair is two neighbouring numbers.
        let variation = |length: usize| match numbers / length * (length - 1) {
            0 => 0.0,
            pairs => 2.0 * step.total_variation / pairs as f32,
        };
        GridDescent {
            rate: step.rate,
            beta1: step.betas[0],
            beta2: step.betas[1],
            epsilon: step.epsilon,
            variation: [rows, columns, levels].map(variation),
            drift_removal: step.drift_removal,
        }
    }
}

const PURPOSE: &str = "colour transforms";
