//! Fitted fields as the renderer takes them: plain numbers, laid out as `tessera_kernels` has them.

use crate::ViewerError;

/// Most levels of a grid.
const MAX_LEVELS: usize = 24;
/// Most radial basis functions, and most units of a network's layer.
const MAX_UNITS: usize = 512;
/// Most numbers that a place has.
const MAX_OUTPUTS: usize = 64;

/// Which entry of its level a corner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// Its own.
    Dense,
    /// One by a hash, shared with others; the level has a power of two of entries.
    Hashed,
    /// That of the corner as far along in the first repetition.
    Periodic,
}

/// One level of a grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldLevel {
    /// Cells per side of the unit square or cube.
    pub scale: f32,
    /// Corners per side, of one repetition where it repeats.
    pub resolution: u32,
    /// Entries.
    pub size: u32,
    /// Entries of the levels before it.
    pub offset: usize,
    /// Which entry a corner has.
    pub addressing: Addressing,
}

/// What turns features into numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldDecoder {
    /// Gaussians in the space of the `F` features.
    Rbf {
        /// Centres, `[N, F]`.
        centres: Vec<f32>,
        /// Logarithms of precisions, `[N, F]`.
        log_precisions: Vec<f32>,
        /// `[outputs, N]`.
        weights: Vec<f32>,
        /// `[outputs]`.
        biases: Vec<f32>,
    },
    /// Layers with a relu between them; behind the features, the input has a one, then zeros.
    Network {
        /// Of the input and the three layers, multiples of four; the last is at least the number of outputs.
        widths: Vec<usize>,
        /// One `[out, in]` after the other.
        weights: Vec<f32>,
    },
}

/// A function over the unit square or cube.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldData {
    /// 2 or 3.
    pub dimensions: usize,
    /// The grids, the coarsest first.
    pub levels: Vec<FieldLevel>,
    /// Whether corners are weighed by a smooth step.
    pub smooth: bool,
    /// `[entries, 2]`. The device holds half precision, which is what files have by default.
    pub table: Vec<f32>,
    /// From features to numbers.
    pub decoder: FieldDecoder,
    /// How many numbers a place has.
    pub outputs: usize,
}

/// A signed distance function in a cube.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeData {
    /// One number: the distance in units of the cube's side, negative inside.
    pub field: FieldData,
    /// The middle of the cube, world units.
    pub centre: [f64; 3],
    /// Its side, world units.
    pub side: f64,
    /// Lowest and highest corner of the box that the surface fills, world units.
    pub bounds: [[f32; 3]; 2],
}

/// Colours of places: a picture in the plane z = 0, x to the right, y upwards, a unit high.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureData {
    /// Width and height, pixels.
    pub size: [u32; 2],
    /// Its parts.
    pub tiles: Vec<PictureTile>,
}

/// A part of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureTile {
    /// One number (grey), three (red, green, blue) or four (with opacity), encoded for sRGB.
    pub field: FieldData,
    /// Its left top corner, pixels from that of the picture.
    pub corner: [u32; 2],
    /// Width and height, pixels.
    pub size: [u32; 2],
    /// Pixels along the field's unit square.
    pub side: u32,
}

/// Density and colours in and around a box, as `tessera_engine::rbf::radiance` has them. Lengths are in sides of the box, places too, from
/// its lowest corner.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeData {
    /// `1 + 3 K` numbers for `K` harmonics: the logarithm of the density for half a side's way, and logits of colours by harmonics.
    pub field: FieldData,
    /// Rows of the similarity from the world to places in the box.
    pub from_world: [[f64; 4]; 3],
    /// Where the scene with bounds is: lowest and highest corner.
    pub corners: [[f32; 3]; 2],
    /// Whether the unit cube holds all of space, contracted, or the box alone.
    pub is_unbounded: bool,
    /// Length of a step in the box.
    pub step: f32,
    /// Between which distances rays are looked along where there are no bounds.
    pub near_far: [f32; 2],
    /// Cells per side of the unit cube, by which rays pass through what is empty.
    pub resolution: u32,
    /// One bit for each cell, x fastest, 32 in a word: whether there may be something in it.
    pub occupied: Vec<u32>,
    /// Lowest and highest corner of what a first look shows, world units.
    pub bounds: [[f32; 3]; 2],
}

/// Something that is drawn by asking a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldScene {
    /// A solid.
    Shape(ShapeData),
    /// A picture.
    Picture(PictureData),
    /// Radiance.
    Volume(VolumeData),
}

impl FieldScene {
    /// Lowest and highest corner of the box that holds it, world units.
    pub fn bounds(&self) -> [[f32; 3]; 2] {
        match self {
            Self::Shape(shape) => shape.bounds,
            Self::Picture(picture) => picture.bounds(),
            Self::Volume(volume) => volume.bounds,
        }
    }
}

impl PictureData {
    /// Lowest and highest corner, world units.
    pub fn bounds(&self) -> [[f32; 3]; 2] {
        let half = 0.5 * self.size[0] as f32 / self.size[1].max(1) as f32;
        [[-half, -0.5, 0.0], [half, 0.5, 0.0]]
    }
}

impl FieldData {
    /// Features of a place.
    pub fn features(&self) -> usize {
        2 * self.levels.len()
    }

    /// Numbers that were learned.
    pub fn parameters(&self) -> usize {
        let of_decoder = match &self.decoder {
            FieldDecoder::Rbf { centres, log_precisions, weights, biases } => {
                centres.len() + log_precisions.len() + weights.len() + biases.len()
            }
            FieldDecoder::Network { weights, .. } => weights.len(),
        };
        self.table.len() + of_decoder
    }

    /// Checks that all numbers are there that shaders read.
    ///
    /// # Errors
    /// When the field contradicts itself.
    pub(super) fn check(&self, dimensions: usize) -> Result<(), ViewerError> {
        let possible = self.dimensions == dimensions
            && (1..=MAX_LEVELS).contains(&self.levels.len())
            && (1..=MAX_OUTPUTS).contains(&self.outputs)
            && self.has_its_entries()
            && self.decoder.is_whole(self.features(), self.outputs);
        let wrong =
            || ViewerError::BadScene("the field has more or fewer numbers than its grids and decoder say".into());
        possible.then_some(()).ok_or_else(wrong)
    }

    fn has_its_entries(&self) -> bool {
        let mut end = 0;
        let fits = |level: &FieldLevel| {
            let begins = level.offset == end;
            end += level.size as usize;
            let corners = u64::from(level.resolution).checked_pow(self.dimensions as u32);
            let addressed = match level.addressing {
                // Shaders subtract the size once where a corner lies beyond the last.
                Addressing::Dense => corners.is_some_and(|n| n <= u64::from(level.size)),
                Addressing::Periodic => corners == Some(u64::from(level.size)),
                Addressing::Hashed => level.size.is_power_of_two(),
            };
            begins && addressed && level.size > 0 && level.resolution > 0 && level.scale.is_finite()
        };
        self.levels.iter().all(fits) && self.table.len() == 2 * end
    }
}

impl FieldDecoder {
    fn is_whole(&self, features: usize, outputs: usize) -> bool {
        match self {
            Self::Rbf { centres, log_precisions, weights, biases } => {
                let kernels = centres.len() / features;
                (1..=MAX_UNITS).contains(&kernels)
                    && centres.len() == kernels * features
                    && log_precisions.len() == centres.len()
                    && weights.len() == outputs * kernels
                    && biases.len() == outputs
            }
            Self::Network { widths, weights } => {
                let products: usize = widths.windows(2).map(|w| w[0] * w[1]).sum();
                widths.len() == 4
                    && widths.iter().all(|width| (4..=MAX_UNITS).contains(width) && width.is_multiple_of(4))
                    && widths[0] > features
                    && widths[3] >= outputs
                    && weights.len() == products
            }
        }
    }
}
