//! A page: at most 65,536 splats in about 14 bytes each, and their harmonics in a part of their own.
//!
//! A page is two deflate streams without a header, one after the other: *core* and *harmonics*. Either can be decoded alone;
//! the second is missing at degree 0 and may be left out by whoever does without view-dependent colour. How long they
//! are and what their checksums (CRC-32) must be is in the manifest. All numbers are little-endian. Inflated, they are a
//! header, then *planes*: one byte of every splat, in the page's order (Morton order, which brings like beside like).
//!
//! Core, 72 bytes of header and 20 bytes a splat:
//!
//! | at | type | what |
//! |---|---|---|
//! | 0 | 3 × f64 | `position_low`: the smallest coordinates |
//! | 24 | f64 × 3 | `position_step` |
//! | 48 | f32 × 2 | `log_scale_low`, `log_scale_step` |
//! | 56 | f32 × 2 | `colour_low`, `colour_step` |
//! | 64 | u64 | 0 |
//! | 72 | 9 planes | position: for x, y and z the low, middle and high byte of q; the coordinate is low + step q |
//! | | 3 planes | logarithms of the standard deviations: low + step q |
//! | | 4 planes | rotation: the three components (of w, x, y, z in this order, the largest left out) in 10 bits each, as (q / 1023 - ½) √2; a plane for the low 8 bits of each, and one of `a_high + 4 b_high + 16 c_high + 64 largest` |
//! | | 3 planes | degree-0 coefficients: q of green, then of red and of blue less that of green modulo 256; low + step q |
//! | | 1 plane | opacity: q / 255 |
//!
//! Harmonics of degree d, 16 bytes of header and 3 ((d + 1)² - 1) bytes a splat:
//!
//! | at | type | what |
//! |---|---|---|
//! | 0 | f32 × 3 | `step` of the coefficients of degree 1, 2 and 3 |
//! | 12 | u32 | 0 |
//! | 16 | planes | for every coefficient in INRIA's order three signed bytes q: l, m, n; red = √⅓ l + √½ m + √⅙ n, green = √⅓ l - √⅔ n, blue = √⅓ l - √½ m + √⅙ n, each times step |
//!
//! Rounding is to the nearest step, so what is decoded is off by at most half a step: the header says how much that is.
//! Positions are rounded to an eighth of the middle standard deviation that 95 % of the splats exceed, or to 2⁻²⁴ of the
//! page if that is more. Beyond what means anything in a picture, numbers become e^±100 (deviations) and ±10,000 (colours).

mod decode;
mod encode;

pub(in crate::format) use decode::inflate;
pub use decode::{PageError, decode};
pub use encode::{EncodedPage, encode};
#[cfg(feature = "files")]
pub(in crate::format) use encode::{Scale, deflate, encode_in_order, position_precision};

/// Bytes before the planes of the core.
const CORE_HEADER: usize = 72;
/// Planes of the core.
const CORE_PLANES: usize = 20;
/// Bytes before the planes of the harmonics.
const HARMONICS_HEADER: usize = 16;
/// Logarithms of standard deviations are at most this, and at least less this.
const LARGEST_LOG_SCALE: f32 = 100.0;
/// Coefficients of colours are at most this, and at least less this.
const LARGEST_COLOUR: f32 = 1e4;
/// The largest number in three planes.
const POSITION_STEPS: f64 = ((1u32 << 24) - 1) as f64;

/// Inflated bytes of the core of a page.
fn core_bytes(splats: usize) -> usize {
    CORE_HEADER + CORE_PLANES * splats
}

/// Inflated bytes of the harmonics of a page, of a degree above 0.
fn harmonics_bytes(splats: usize, coefficients: usize) -> usize {
    HARMONICS_HEADER + 3 * coefficients * splats
}

/// The degree of a coefficient above degree 0, less 1.
fn band(coefficient: usize) -> usize {
    match coefficient {
        0..3 => 0,
        3..8 => 1,
        _ => 2,
    }
}

#[cfg(test)]
pub(super) mod tests;
