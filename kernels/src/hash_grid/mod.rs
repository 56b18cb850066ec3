//! Multiresolution grid encodings of positions in the unit cube or square: hash grids (Müller et al., "Instant Neural Graphics Primitives",
//! 2022) and factor grids (Chen et al., "Dictionary Fields", 2023).
//!
//! Level `l` is a grid of scale `s_l` (cells per side), whose corners have two features each in a table. Where a hash grid has more corners
//! than a table of `2^T` entries, they share entries by a hash. A factor grid repeats a small grid of `R_l` corners per side all over the
//! cube instead; it wraps around, so the encoding is continuous where the published sawtooth jumps. A position's features are
//! interpolated from the eight (four in the square) corners around it; the levels' features side by side are its encoding `e`.
//!
//! ```text
//! pos = s_l x + ½    cell = ⌊pos⌋    f = pos - cell    w_a(1) = f_a, w_a(0) = 1 - f_a (or smoothstep of f_a)
//! e = Σ_corners Π_a w_a(corner_a) θ[corner]
//! ```
//!
//! Four things can be had: the encoding with its Jacobian `J = ∂e/∂x` ([`HashGrid::encode`]), `Jᵀ u` and `J v` ([`transposed_product`],
//! [`product`]), the gradient of the table ([`HashGrid::accumulate`]) from the encoding and, second order, from `n = Jᵀ u` when
//! `v = ∂L/∂n` is known: `∂L/∂θ[corner] += u Σ_a v_a s_l w'_a Π_{b≠a} w_b`; and that of the position
//! ([`HashGrid::second_order_position_gradient`]).
//!
//! Samples come in blocks ([`crate::mlp::Rows`]), inside which all but the table's loads and stores is SIMD arithmetic. For a sample and
//! level the forward pass with Jacobian computes about 150 operations and loads eight entries of eight bytes; the gradient
//! about 130, and reads and writes eight entries. Levels are independent: one task takes one level and goes through the samples in order, so
//! sums have the same bits whatever the number of threads, without atomics and without copies of the table.

mod accumulate;
pub mod cuda;
mod encode;
mod second_order;

pub use accumulate::SampleGradients;
pub use encode::{product, transposed_product};

use crate::mlp::BLOCK;
use serde::{Deserialize, Serialize};

/// Features of an entry.
pub const FEATURES: usize = 2;

/// How cells relate to a level's resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LevelScale {
    /// `base · growth^l - 1` cells as it is (tiny-cuda-nn).
    Fractional,
    /// Rounded up to whole cells (NeuS2).
    #[default]
    Integer,
}

/// How corners are weighed within a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Trilinear.
    #[default]
    Linear,
    /// Trilinear in `3f² - 2f³`, which has a continuous derivative.
    Smoothstep,
}

/// What a grid is made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridSpec {
    /// Number of levels.
    pub levels: usize,
    /// Base-2 logarithm of the largest number of entries of a level, at most 28.
    pub log2_table: u32,
    /// Corners per side of the coarsest level.
    pub base: u32,
    /// Ratio of resolutions of successive levels.
    pub growth: f64,
    /// How cells relate to resolution.
    pub level_scale: LevelScale,
    /// How corners are weighed.
    pub interpolation: Interpolation,
}

/// What a factor grid's level is made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactorLevel {
    /// Corners per side of the grid that repeats.
    pub resolution: u32,
    /// How often it fits along a side of the cube.
    pub frequency: f32,
}

/// Which entry of its table a corner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// Its own.
    Dense,
    /// One by a hash, shared with others.
    Hashed,
    /// That of the corner as far along in the first repetition.
    Periodic,
}

/// One level of a grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Cells per side.
    pub scale: f32,
    /// Corners per side, of one repetition in a factor grid.
    pub resolution: u32,
    /// Entries.
    pub size: u32,
    /// Entries of the levels before it.
    pub offset: usize,
    /// Which entry a corner has.
    pub addressing: Addressing,
}

/// The levels of a grid. Its table is `[entries, 2]`, level after level.
#[derive(Clone, Debug, PartialEq)]
pub struct HashGrid {
    dimensions: usize,
    levels: Vec<Level>,
    smooth: bool,
}

impl HashGrid {
    /// The grid over the unit cube that `spec` describes.
    ///
    /// # Panics
    /// When a table would have more than `2^28` entries.
    pub fn new(spec: &GridSpec) -> Self {
        Self::over(3, spec)
    }

    /// The grid over the unit square (`dimensions` 2) or cube (3) that `spec` describes.
    ///
    /// # Panics
    /// When a table would have more than `2^28` entries, or for other dimensions.
    pub fn over(dimensions: usize, spec: &GridSpec) -> Self {
        assert!(matches!(dimensions, 2 | 3), "grids have two or three dimensions");
        assert!(spec.log2_table <= 28, "a table of 2^{} entries is too large", spec.log2_table);
        let mut offset = 0;
        let level = |l: usize| {
            // In this precision: resolutions of published models hang on the last bit.
            let scale = (l as f32 * (spec.growth as f32).log2()).exp2() * spec.base as f32 - 1.0;
            let resolution = scale.ceil() as u32 + 1;
            let corners = u64::from(resolution).pow(dimensions as u32);
            let size = corners.next_multiple_of(8).min(1 << spec.log2_table) as u32;
            let scale = match spec.level_scale {
                LevelScale::Fractional => scale,
                LevelScale::Integer => (resolution - 1) as f32,
            };
            let addressing = if corners > u64::from(size) { Addressing::Hashed } else { Addressing::Dense };
            let level = Level { scale, resolution, size, offset, addressing };
            offset += size as usize;
            level
        };
        let levels = (0..spec.levels).map(level).collect();
        Self { dimensions, levels, smooth: spec.interpolation == Interpolation::Smoothstep }
    }

    /// A factor grid over the unit square or cube.
    ///
    /// # Panics
    /// When a level has no corners or more than `2^28`, or for other dimensions.
    pub fn factor(dimensions: usize, levels: &[FactorLevel], interpolation: Interpolation) -> Self {
        assert!(matches!(dimensions, 2 | 3), "grids have two or three dimensions");
        let mut offset = 0;
        let level = |of: &FactorLevel| {
            let corners = u64::from(of.resolution).pow(dimensions as u32);
            assert!(corners > 0 && corners <= 1 << 28, "a grid of {corners} corners");
            let scale = of.resolution as f32 * of.frequency;
            let size = corners as u32;
            let level = Level { scale, resolution: of.resolution, size, offset, addressing: Addressing::Periodic };
            offset += size as usize;
            level
        };
        Self {
            dimensions,
            levels: levels.iter().map(level).collect(),
            smooth: interpolation == Interpolation::Smoothstep,
        }
    }

    /// Whether corners are weighed by a smooth step.
    pub fn is_smooth(&self) -> bool {
        self.smooth
    }

    /// 2 over a square, 3 over a cube.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The levels, the coarsest first.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Entries of all levels.
    pub fn entries(&self) -> usize {
        self.levels.last().map_or(0, |l| l.offset + l.size as usize)
    }

    /// Length of an encoding.
    pub fn width(&self) -> usize {
        FEATURES * self.levels.len()
    }
}

/// Where a block of samples lies in a level: which entries are around each, and the weights along each axis. In two dimensions the third axis
/// and the last four corners are unused.
struct Corners {
    /// For each corner, entries within the level. Bit 0 of the corner's number is x, bit 1 y, bit 2 z.
    entries: [[u32; BLOCK]; 8],
    /// `[axis][0 near, 1 far]`.
    weights: [[[f32; BLOCK]; 2]; 3],
    /// `s_l ∂w/∂f` of the far corner along each axis; that of the near one is its negative.
    slopes: [[f32; BLOCK]; 3],
    /// `s_l² ∂²w/∂f²` of the far corner.
    curvatures: [[f32; BLOCK]; 3],
}

impl Level {
    /// `positions` is one block, `[D, 16]`, inside the unit cube (what lies outside is moved to its faces).
    #[inline(always)]
    fn corners<const D: usize>(&self, positions: &[f32], smooth: bool) -> Corners {
        let mut cells = [[0u32; BLOCK]; 3];
        let mut weights = [[[0.0; BLOCK]; 2]; 3];
        let mut slopes = [[self.scale; BLOCK]; 3];
        let mut curvatures = [[0.0; BLOCK]; 3];
        for axis in 0..D {
            for i in 0..BLOCK {
                let position = self.scale * positions[axis * BLOCK + i].clamp(0.0, 1.0) + 0.5;
                let cell = position.floor();
                let mut f = position - cell;
                cells[axis][i] = cell as i32 as u32;
                if smooth {
                    slopes[axis][i] = self.scale * 6.0 * f * (1.0 - f);
                    curvatures[axis][i] = self.scale * self.scale * (6.0 - 12.0 * f);
                    f = f * f * (3.0 - 2.0 * f);
                }
                weights[axis][0][i] = 1.0 - f;
                weights[axis][1][i] = f;
            }
        }
        let entries = match self.addressing {
            Addressing::Dense => self.dense::<D>(&cells),
            Addressing::Hashed => self.hashed::<D>(&cells),
            Addressing::Periodic => self.periodic::<D>(&cells),
        };
        Corners { entries, weights, slopes, curvatures }
    }

    #[inline(always)]
    fn dense<const D: usize>(&self, cells: &[[u32; BLOCK]; 3]) -> [[u32; BLOCK]; 8] {
        let mut entries = [[0u32; BLOCK]; 8];
        let (side, size) = (self.resolution, self.size);
        for corner in 0..1usize << D {
            let [dx, dy, dz] = offsets(corner);
            for i in 0..BLOCK {
                let z = if D == 3 { cells[2][i] + dz } else { 0 };
                let index = cells[0][i] + dx + side * (cells[1][i] + dy + side * z);
                // A corner beyond the last one wraps around; twice the size is never reached.
                entries[corner][i] = if index >= size { index - size } else { index };
            }
        }
        entries
    }

    #[inline(always)]
    fn hashed<const D: usize>(&self, cells: &[[u32; BLOCK]; 3]) -> [[u32; BLOCK]; 8] {
        const PRIMES: [u32; 3] = [1, 2_654_435_761, 805_459_861];
        let mut entries = [[0u32; BLOCK]; 8];
        // Hashed levels have a power of two of entries.
        let mask = self.size - 1;
        for corner in 0..1usize << D {
            let [dx, dy, dz] = offsets(corner);
            for i in 0..BLOCK {
                let x = (cells[0][i] + dx).wrapping_mul(PRIMES[0]);
                let y = (cells[1][i] + dy).wrapping_mul(PRIMES[1]);
                let z = if D == 3 { (cells[2][i] + dz).wrapping_mul(PRIMES[2]) } else { 0 };
                entries[corner][i] = (x ^ y ^ z) & mask;
            }
        }
        entries
    }

    #[inline(always)]
    fn periodic<const D: usize>(&self, cells: &[[u32; BLOCK]; 3]) -> [[u32; BLOCK]; 8] {
        let (side, per_side) = (self.resolution, 1.0 / self.resolution as f32);
        // `[axis][0 near, 1 far]`, already times the axis' stride.
        let mut along = [[[0u32; BLOCK]; 2]; 3];
        let mut stride = 1;
        for axis in 0..D {
            for i in 0..BLOCK {
                let cell = cells[axis][i];
                // Rounding may be off by one repetition at its ends.
                let near = cell.wrapping_sub(side * ((cell as i32 as f32 * per_side) as i32 as u32));
                let near = if near as i32 >= side as i32 { near - side } else { near };
                let near = if (near as i32) < 0 { near.wrapping_add(side) } else { near };
                let far = if near + 1 == side { 0 } else { near + 1 };
                along[axis][0][i] = stride * near;
                along[axis][1][i] = stride * far;
            }
            stride *= side;
        }
        let mut entries = [[0u32; BLOCK]; 8];
        for corner in 0..1usize << D {
            for i in 0..BLOCK {
                let z = if D == 3 { along[2][corner >> 2][i] } else { 0 };
                entries[corner][i] = along[0][corner & 1][i] + along[1][corner >> 1 & 1][i] + z;
            }
        }
        entries
    }
}

/// Cells by which a corner is farther along each axis.
#[inline(always)]
fn offsets(corner: usize) -> [u32; 3] {
    [corner as u32 & 1, corner as u32 >> 1 & 1, corner as u32 >> 2]
}
