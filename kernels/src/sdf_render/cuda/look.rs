//! Between encodings and networks: `look.cu`.

use super::RayTarget;
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use crate::occupancy::cuda::DeviceRay;
use bytemuck::{Pod, Zeroable};

/// The kernels between encodings and networks.
pub static LOOK: Source = Source::new("sdf_render/cuda/look.cu", include_str!("look.cu"));

const THREADS: u32 = 256;

/// As `look.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct LookShape {
    samples: u32,
    stride: u32,
    first: u32,
    code: u32,
}
device_struct!(LookShape);

/// Rays with what they should see.
#[derive(Clone, Copy)]
pub struct LookedAlong<'a> {
    /// Rays.
    pub rays: &'a Buffer<DeviceRay>,
    /// Of which photo each is.
    pub targets: &'a Buffer<RayTarget>,
    /// The ray of each sample.
    pub ray_of: &'a Buffer<u32>,
    /// `[photos, code]`.
    pub codes: &'a Buffer<f32>,
}

/// Fills in what networks are given beside encodings, and takes what they say.
pub struct Looks {
    place_rows: Kernel,
    add_rows: Kernel,
    copy_rows: Kernel,
    look_rows: Kernel,
    colours_of: Kernel,
    through_sigmoid: Kernel,
    code_of_rays: Kernel,
    code_of_photos: Kernel,
    /// The first row of the colour network's input behind its encoding.
    first: usize,
    /// Numbers of a photo's code.
    code: usize,
}

impl Looks {
    /// Prepares the kernels, for a colour network whose input has harmonics, place, normal and a code of `code` numbers from row `first` on.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device, first: usize, code: usize) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&LOOK, name);
        Ok(Self {
            place_rows: kernel("place_rows")?,
            add_rows: kernel("add_rows")?,
            copy_rows: kernel("copy_rows")?,
            look_rows: kernel("look_rows")?,
            colours_of: kernel("colours_of")?,
            through_sigmoid: kernel("through_sigmoid")?,
            code_of_rays: kernel("code_of_rays")?,
            code_of_photos: kernel("code_of_photos")?,
            first,
            code,
        })
    }

    /// Places, from the cube's middle, into the first three rows of `input`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn place_rows(
        &self,
        stream: &Stream,
        positions: &Buffer<f32>,
        batch: Batch,
        input: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.three(&self.place_rows, stream, positions, batch, input)
    }

    /// Adds the first three rows of one matrix to those of another.
    ///
    /// # Errors
    /// When the device fails.
    pub fn add_rows(
        &self,
        stream: &Stream,
        rows: &Buffer<f32>,
        batch: Batch,
        to: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.three(&self.add_rows, stream, rows, batch, to)
    }

    /// Copies the first three rows of one matrix to those of another.
    ///
    /// # Errors
    /// When the device fails.
    pub fn copy_rows(
        &self,
        stream: &Stream,
        rows: &Buffer<f32>,
        batch: Batch,
        to: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.three(&self.copy_rows, stream, rows, batch, to)
    }

    fn three(
        &self,
        kernel: &Kernel,
        stream: &Stream,
        from: &Buffer<f32>,
        batch: Batch,
        to: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        batch.check(from.len(), 0, 3, "rows");
        batch.check(to.len(), 0, 3, "rows");
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        kernel.launch(stream, Launch::linear(batch.samples, THREADS), (from, samples, stride, to))
    }

    /// All rows of the colour network's `input` behind its encoding, from positions and normals, `[3, stride]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn look_rows(
        &self,
        stream: &Stream,
        along: LookedAlong<'_>,
        (positions, normals): (&Buffer<f32>, &Buffer<f32>),
        batch: Batch,
        input: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        batch.check(positions.len(), 0, 3, "positions");
        batch.check(normals.len(), 0, 3, "normals");
        batch.check(input.len(), self.first, HARMONICS + 6 + self.code, "what is looked at");
        let LookedAlong { rays, targets, ray_of, codes } = along;
        let arguments = (rays, ray_of, targets, codes, positions, normals, self.shape(batch), input);
        self.look_rows.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// Colours, `[3, stride]`, from the colour network's outputs.
    ///
    /// # Errors
    /// When the device fails.
    pub fn colours(
        &self,
        stream: &Stream,
        outputs: &Buffer<f32>,
        batch: Batch,
        colours: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.three(&self.colours_of, stream, outputs, batch, colours)
    }

    /// The gradient by those outputs from that by colours.
    ///
    /// # Errors
    /// When the device fails.
    pub fn through_sigmoid(
        &self,
        stream: &Stream,
        (colours, by_colours): (&Buffer<f32>, &Buffer<f32>),
        batch: Batch,
        by_outputs: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        for (rows, what) in [(colours, "colours"), (by_colours, "gradients"), (&*by_outputs, "gradients of outputs")] {
            batch.check(rows.len(), 0, 3, what);
        }
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let arguments = (colours, by_colours, samples, stride, by_outputs);
        self.through_sigmoid.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// The gradient of photos' codes, `[photos, code]`, from that of the colour network's input; `of_rays`, `[code, rays]`, is what each ray adds to it.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn codes(
        &self,
        stream: &Stream,
        (starts, targets, rays): (&Buffer<u32>, &Buffer<RayTarget>, usize),
        (by_input, batch): (&Buffer<f32>, Batch),
        of_rays: &mut Buffer<f32>,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        if self.code == 0 {
            return Ok(());
        }
        assert!(of_rays.len() >= rays * self.code, "room for {rays} rays");
        batch.check(by_input.len(), self.first, HARMONICS + 6 + self.code, "gradients of what is looked at");
        let each = Launch::grid([rays.div_ceil(128) as u32, self.code as u32, 1], [128, 1, 1]);
        let arguments = (starts, rays as u32, by_input, self.shape(batch), &mut *of_rays);
        self.code_of_rays.launch(stream, each, arguments)?;
        let (photos, code) = ((gradient.len() / self.code) as u32, self.code as u32);
        let each = Launch::linear(gradient.len(), 128);
        self.code_of_photos.launch(stream, each, (targets, rays as u32, &*of_rays, photos, code, gradient))
    }

    fn shape(&self, batch: Batch) -> LookShape {
        let [samples, stride, first, code] =
            [batch.samples, batch.stride, self.first, self.code].map(|number| number as u32);
        LookShape { samples, stride, first, code }
    }
}

const HARMONICS: usize = 16;
