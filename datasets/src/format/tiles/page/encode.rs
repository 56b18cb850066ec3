//! From splats to a page.

use super::{
    CORE_HEADER, HARMONICS_HEADER, LARGEST_COLOUR, LARGEST_LOG_SCALE, POSITION_STEPS, band, core_bytes, harmonics_bytes,
};
use crate::format::quantise::{component_to_unorm, sigmoid, smallest_three, unorm};
use crate::scene::{SplatCloud, morton_order};
use flate2::{Compress, Compression, FlushCompress, Status};

/// Of deflate: more takes longer and saves next to nothing on numbers that are noise in their low bits.
const LEVEL: u32 = 6;
/// Positions are rounded to this share of the middle standard deviation.
const POSITION_PRECISION: f64 = 1.0 / 8.0;
/// Which splat's middle standard deviation, in their order.
const POSITION_QUANTILE: f64 = 0.05;
/// Splats that are flatter than e⁻¹⁶ of the largest in a page become that flat.
const LOG_SCALE_RANGE: f32 = 16.0;
/// The step of the harmonics where bytes hold all of them at it.
const HARMONICS_STEP: f32 = 1.0 / 32.0;

/// A page as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncodedPage {
    /// All but the harmonics, deflated.
    pub core: Vec<u8>,
    /// The harmonics above degree 0, deflated; empty when there are none.
    pub harmonics: Vec<u8>,
}

/// Encodes at most [`crate::scene::tile_tree::MAX_PAGE_SPLATS`] splats with finite values, in Morton order.
pub fn encode(cloud: &SplatCloud) -> EncodedPage {
    encode_in_order(&cloud.select(&morton_order(&cloud.means)))
}

/// As [`encode`], of splats that are in the order that they shall have.
pub(in crate::format) fn encode_in_order(cloud: &SplatCloud) -> EncodedPage {
    let harmonics = if cloud.sh_degree == 0 { Vec::new() } else { deflate(&harmonics(cloud)) };
    EncodedPage { core: deflate(&core(cloud)), harmonics }
}

/// Numbers of a range in equal steps.
pub(in crate::format) struct Scale {
    pub(in crate::format) low: f64,
    pub(in crate::format) step: f64,
}

impl Scale {
    /// Of all values, in at most so many steps, none smaller than the least.
    pub(in crate::format) fn over(values: impl Iterator<Item = f32>, steps: f64, least_step: f64) -> Self {
        let (low, high) = range(values);
        Self { low, step: ((high - low) / steps).max(least_step) }
    }

    /// The number of the nearest step.
    pub(in crate::format) fn code(&self, value: f32, most: f64) -> u32 {
        if self.step > 0.0 { ((f64::from(value) - self.low) / self.step).round().clamp(0.0, most) as u32 } else { 0 }
    }

    /// A scale whose numbers a reader of 32-bit headers sees as well.
    pub(in crate::format) fn short(self) -> Self {
        Self { low: f64::from(self.low as f32), step: f64::from(self.step as f32) }
    }
}

fn range(values: impl Iterator<Item = f32>) -> (f64, f64) {
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (f64::from(low), f64::from(high)) } else { (0.0, 0.0) }
}

fn core(cloud: &SplatCloud) -> Vec<u8> {
    let n = cloud.len();
    let precision = position_precision(cloud);
    let axes = [0, 1, 2].map(|axis| Scale::over(cloud.means.iter().map(|m| m[axis]), POSITION_STEPS, precision));
    let log_scales = || cloud.log_scales.iter().flatten().map(|s| s.clamp(-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE));
    let (_, largest) = range(log_scales());
    let flattest = largest as f32 - LOG_SCALE_RANGE;
    let scales = Scale::over(log_scales().map(|s| s.max(flattest)), 255.0, 0.0).short();
    let coefficients = cloud.sh0.iter().flatten().map(|c| c.clamp(-LARGEST_COLOUR, LARGEST_COLOUR));
    let colours = Scale::over(coefficients, 255.0, 0.0).short();

    let mut bytes = Vec::with_capacity(core_bytes(n));
    axes.iter().for_each(|axis| bytes.extend(axis.low.to_le_bytes()));
    axes.iter().for_each(|axis| bytes.extend(axis.step.to_le_bytes()));
    [&scales, &colours].into_iter().flat_map(|s| [s.low, s.step]).for_each(|v| bytes.extend((v as f32).to_le_bytes()));
    bytes.resize(CORE_HEADER, 0);

    for (axis, scale) in axes.iter().enumerate() {
        let codes: Vec<u32> = cloud.means.iter().map(|m| scale.code(m[axis], POSITION_STEPS)).collect();
        [0, 8, 16].into_iter().for_each(|shift| bytes.extend(codes.iter().map(|code| (code >> shift) as u8)));
    }
    for axis in 0..3 {
        bytes.extend(cloud.log_scales.iter().map(|s| scales.code(s[axis], 255.0) as u8));
    }
    let turns: Vec<[u8; 4]> = cloud.quats.iter().map(|quat| turn(*quat)).collect();
    (0..4).for_each(|plane| bytes.extend(turns.iter().map(|turn| turn[plane])));
    let colour = |i: usize, channel: usize| colours.code(cloud.sh0[i][channel], 255.0) as u8;
    bytes.extend((0..n).map(|i| colour(i, 1)));
    for channel in [0, 2] {
        bytes.extend((0..n).map(|i| colour(i, channel).wrapping_sub(colour(i, 1))));
    }
    bytes.extend(cloud.opacity_logits.iter().map(|&logit| unorm(sigmoid(logit), 8) as u8));
    bytes
}

/// To which step positions are rounded.
pub(in crate::format) fn position_precision(cloud: &SplatCloud) -> f64 {
    let mut middle: Vec<f32> = cloud.log_scales.iter().map(|s| s[0].max(s[1]).min(s[2].max(s[0].min(s[1])))).collect();
    if middle.is_empty() {
        return 0.0;
    }
    let at = (middle.len() as f64 * POSITION_QUANTILE) as usize;
    let (_, &mut quantile, _) = middle.select_nth_unstable_by(at, f32::total_cmp);
    POSITION_PRECISION * f64::from(quantile.min(LARGEST_LOG_SCALE)).exp()
}

fn turn(quat: [f32; 4]) -> [u8; 4] {
    let (largest, rest) = smallest_three(quat);
    let codes = rest.map(|component| component_to_unorm(component, 10));
    let high = (0..3).fold((largest as u32) << 6, |high, i| high | (codes[i] >> 8) << (2 * i));
    [codes[0] as u8, codes[1] as u8, codes[2] as u8, high as u8]
}

fn harmonics(cloud: &SplatCloud) -> Vec<u8> {
    let n = cloud.len();
    let coefficients = SplatCloud::rest_coefficients(cloud.sh_degree);
    let (rows, _) = cloud.sh_rest.as_chunks::<3>();
    let mixed: Vec<[f32; 3]> = rows.iter().map(|row| mix(*row)).collect();
    let mut largest = [0.0f32; 3];
    for (i, row) in mixed.iter().enumerate() {
        let largest = &mut largest[band(i % coefficients)];
        *largest = row.iter().fold(*largest, |largest, v| largest.max(v.abs().min(LARGEST_COLOUR)));
    }
    let steps = largest.map(|largest| (largest / 127.0).max(HARMONICS_STEP));
    let mut bytes = Vec::with_capacity(harmonics_bytes(n, coefficients));
    steps.iter().for_each(|step| bytes.extend(step.to_le_bytes()));
    bytes.resize(HARMONICS_HEADER, 0);
    for coefficient in 0..coefficients {
        let step = steps[band(coefficient)];
        for channel in 0..3 {
            let codes = (0..n).map(|i| (mixed[i * coefficients + coefficient][channel] / step).round());
            bytes.extend(codes.map(|code| code.clamp(-127.0, 127.0) as i8 as u8));
        }
    }
    bytes
}

/// Red, green and blue as brightness and two differences: a rotation, so that steps mean the same before and after.
fn mix([r, g, b]: [f32; 3]) -> [f32; 3] {
    let [third, half, sixth] = [1.0f32 / 3.0, 0.5, 1.0 / 6.0].map(f32::sqrt);
    [third * (r + g + b), half * (r - b), sixth * (r - 2.0 * g + b)]
}

/// Deflates without a header.
pub(in crate::format) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut out = Vec::with_capacity(bytes.len() / 2 + 1024);
    loop {
        let from = compress.total_in() as usize;
        let status = compress.compress_vec(&bytes[from..], &mut out, FlushCompress::Finish);
        if matches!(status, Ok(Status::StreamEnd)) {
            return out;
        }
        out.reserve(out.capacity().max(1024));
    }
}
