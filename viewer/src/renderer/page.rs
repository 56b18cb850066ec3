//! Splats as the graphics device holds them.
//!
//! A splat is 32 bytes of geometry and degree-0 colour (mean in `f32`, 3x15 bits of rotation, 16 bits for each
//! logarithm of a scale, half-precision colour, 16 bits of opacity), and its other harmonics in half precision: 20, 48 or
//! 92 bytes at degree 1, 2 or 3. Splats of moving scenes have 16 bytes more, for their paths and when they are seen.

use crate::ViewerError;
use half::f16;
use std::ops::Range;
use tessera_datasets::format::quantise::{sigmoid, smallest_three, unorm};
use tessera_datasets::scene::{MovingSplats, SplatCloud};

/// At most this many splats are in a page.
pub const MAX_PAGE: usize = 65_536;

/// Words of geometry for each splat.
const GEOMETRY_WORDS: usize = 8;
/// Words more for one that moves.
const MOTION_WORDS: usize = 4;
/// Logarithms of scales lie between this and `MIN_LOG_SCALE + LOG_SCALE_RANGE`. As in `project.wgsl`.
const MIN_LOG_SCALE: f32 = -24.0;
const LOG_SCALE_RANGE: f32 = 36.0;

/// Splats that come and go together, ready for the graphics device.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Number of splats.
    pub(super) count: usize,
    /// Degree of the harmonics.
    pub(super) sh_degree: u8,
    /// Whether they were trained with the antialiased filter.
    pub(super) antialiased: bool,
    /// Whether they move.
    pub(super) moves: bool,
    /// `[count, geometry_words(moves)]`
    pub(super) geometry: Vec<u32>,
    /// `[count, harmonic_words(sh_degree)]`
    pub(super) harmonics: Vec<u32>,
    /// Box around the means.
    pub(super) bounds: [[f32; 3]; 2],
}

impl Page {
    /// Splats `range` of a cloud, at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// When the cloud's arrays disagree, or the range is too long or outside the cloud.
    pub fn of_cloud(cloud: &SplatCloud, range: Range<usize>) -> Result<Self, ViewerError> {
        check(cloud, &range)?;
        let words = harmonic_words(cloud.sh_degree);
        let mut page = Self {
            count: range.len(),
            sh_degree: cloud.sh_degree,
            antialiased: cloud.antialiased,
            moves: false,
            geometry: Vec::with_capacity(range.len() * GEOMETRY_WORDS),
            harmonics: Vec::with_capacity(range.len() * words),
            bounds: bounds(&cloud.means[range.clone()]),
        };
        let rest = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
        for i in range {
            page.geometry.extend(geometry(cloud, i));
            pack_harmonics(&cloud.sh_rest[i * rest..][..rest], words, &mut page.harmonics);
        }
        Ok(page)
    }

    /// Splats `range` of a moving scene, at most [`MAX_PAGE`], to be drawn between two moments, in seconds.
    ///
    /// # Errors
    /// When its arrays disagree, or the range is too long or outside the scene.
    pub fn of_moving(moving: &MovingSplats, range: Range<usize>, during: [f64; 2]) -> Result<Self, ViewerError> {
        if !moving.is_consistent() {
            return Err(ViewerError::BadScene("the paths of splats are not as many as the splats".to_owned()));
        }
        let still = Self::of_cloud(&moving.splats, range.clone())?;
        let geometry = range.clone().zip(still.geometry.chunks_exact(GEOMETRY_WORDS));
        let geometry = geometry.flat_map(|(i, words)| words.iter().copied().chain(motion(moving, i))).collect();
        let ends: Vec<[f32; 3]> = range.flat_map(|i| moving.path(i, during)).collect();
        Ok(Self { moves: true, geometry, bounds: bounds(&ends), ..still })
    }

    /// A whole cloud, page by page, in its own order.
    ///
    /// # Errors
    /// When the cloud's arrays disagree.
    pub fn all_of_cloud(cloud: &SplatCloud) -> impl Iterator<Item = Result<Self, ViewerError>> + '_ {
        let pages = cloud.len().div_ceil(MAX_PAGE);
        (0..pages).map(|page| Self::of_cloud(cloud, page * MAX_PAGE..((page + 1) * MAX_PAGE).min(cloud.len())))
    }

    /// Bytes that it takes on the graphics device.
    pub fn bytes(&self) -> u64 {
        4 * (self.geometry.len() + self.harmonics.len()) as u64
    }

    /// Number of splats.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there are no splats.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Lowest and highest corner of the box around the means.
    pub fn bounds(&self) -> [[f32; 3]; 2] {
        self.bounds
    }
}

/// Words of geometry for each splat.
pub(super) fn geometry_words(moves: bool) -> usize {
    if moves { GEOMETRY_WORDS + MOTION_WORDS } else { GEOMETRY_WORDS }
}

fn check(cloud: &SplatCloud, range: &Range<usize>) -> Result<(), ViewerError> {
    if cloud.is_consistent() && range.end <= cloud.len() && range.len() <= MAX_PAGE {
        return Ok(());
    }
    let (from, to, n) = (range.start, range.end, cloud.len());
    Err(ViewerError::BadScene(format!("a page of splats {from}..{to} of {n} is not possible")))
}

/// Words of harmonics above degree 0 for each splat. One half more than there are coefficients, because shaders read pairs.
pub(super) fn harmonic_words(sh_degree: u8) -> usize {
    match SplatCloud::rest_coefficients(sh_degree) {
        0 => 0,
        n => (3 * n).div_ceil(2),
    }
}

fn bounds(means: &[[f32; 3]]) -> [[f32; 3]; 2] {
    let finite = means.iter().filter(|mean| mean.iter().all(|x| x.is_finite()));
    finite.fold([[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]], |[low, high], mean| {
        [std::array::from_fn(|k| low[k].min(mean[k])), std::array::from_fn(|k| high[k].max(mean[k]))]
    })
}

fn geometry(cloud: &SplatCloud, i: usize) -> [u32; GEOMETRY_WORDS] {
    let mean = cloud.means[i];
    let (largest, rest) = smallest_three(cloud.quats[i]);
    let [a, b, c] = rest.map(|x| unorm(0.5 + x * std::f32::consts::FRAC_1_SQRT_2, 15));
    let scale = cloud.log_scales[i].map(|s| unorm((s - MIN_LOG_SCALE) / LOG_SCALE_RANGE, 16));
    let colour = cloud.sh0[i].map(half_bits);
    // What is no number is not shown.
    let finite = mean.iter().all(|x| x.is_finite());
    let opacity = if finite { unorm(sigmoid(cloud.opacity_logits[i]), 16) } else { 0 };
    [
        mean[0].to_bits(),
        mean[1].to_bits(),
        mean[2].to_bits(),
        a | b << 15 | c << 30,
        c >> 2 | (largest as u32) << 13 | scale[0] << 16,
        scale[1] | scale[2] << 16,
        colour[0] | colour[1] << 16,
        colour[2] | opacity << 16,
    ]
}

/// Half-precision velocity, when it is most opaque, and one by the standard deviation of that in seconds: zero for static ones.
fn motion(moving: &MovingSplats, i: usize) -> [u32; MOTION_WORDS] {
    let [x, y, z] = moving.velocities[i].map(half_bits);
    let sharpness = moving.time_variances[i].sqrt().recip();
    [x | y << 16, z, moving.times[i].to_bits(), if sharpness.is_finite() { sharpness } else { 0.0 }.to_bits()]
}

fn half_bits(value: f32) -> u32 {
    u32::from(f16::from_f32(value.clamp(-60_000.0, 60_000.0)).to_bits())
}

fn pack_harmonics(values: &[f32], words: usize, out: &mut Vec<u32>) {
    for word in 0..words {
        let at = |i: usize| values.get(i).map_or(0, |&value| half_bits(value));
        out.push(at(2 * word) | at(2 * word + 1) << 16);
    }
}
