//! SOG, PlayCanvas's format for the web: attributes of splats in the pixels of lossless images, described by `meta.json`.
//! Either a folder with these files, or all of them in a zip archive that is called `.sog`.
//!
//! Splat `i` is pixel `(i % width, i / width)` of every image, in Morton order:
//!
//! | image | content |
//! |---|---|
//! | `means_l`, `means_u` | low and high bytes of 16 bits per axis, between `mins` and `maxs` of sign(x) ln(1 + abs(x)) |
//! | `quats` | the three smallest components of (w, x, y, z) in 8 bits each; alpha is 252 + the index of the largest |
//! | `scales` | an index per axis into a codebook of 256 logarithms |
//! | `sh0` | an index per channel into a codebook of 256 degree-0 coefficients; alpha is the opacity |
//! | `shN_labels` | red + 256 green is an entry of a palette of at most 65,536 sets of coefficients |
//! | `shN_centroids` | the palette, 64 entries in a row, a pixel per coefficient, indices into a third codebook |
//!
//! Version 1, which has no `version` in its `meta.json`, has ranges of values in place of the codebooks, and logits for
//! opacity. Source: developer.playcanvas.com, "The SOG Format"; where the page and its writer (splat-transform 2.7)
//! disagree, the writer is right: quaternions begin with w, scales are logarithms, three coefficients make the palette
//! 192 pixels wide.

mod centres;
mod codebook;
mod encode;
mod meta;
mod palette;
mod pixels;
mod range;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub(in crate::format) use encode::encode_in_order;
pub use encode::{SogFile, encode};
pub(in crate::format) use read::{SogSource, open, open_splats};
pub(in crate::format) use write::{check_splats, create_splats, empty, unencodable};

/// The versions that can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SogVersion {
    /// 256 even steps between the least and the largest number: for programs from before autumn 2025.
    V1,
    /// Codebooks of 256 numbers.
    #[default]
    V2,
}

impl SogVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// What people call it.
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// What its numbers are rounded to, in words for the user.
    pub(super) fn precision(self) -> String {
        let numbers = match self {
            Self::V1 => "scales and colours in 8 bits between the least and the largest, opacities to 0.008",
            Self::V2 => "scales and colours of a codebook of 256 values each, opacities in 8 bits",
        };
        format!("positions in 16 bits of sign(x) ln(1 + |x|), rotations to 1.2 degrees, {numbers}")
    }
}

/// The name of the description in a bundle or a folder.
const META: &str = "meta.json";
/// The most entries that the palette of spherical harmonics has.
const MAX_PALETTE: usize = 65_536;
/// Palette entries in one row of its image.
const PALETTE_ROW: usize = 64;

/// sign(x) ln(1 + abs(x)), in which positions are stored.
fn to_log_domain(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

/// What [`to_log_domain`] came from.
fn from_log_domain(l: f64) -> f64 {
    l.abs().exp_m1().copysign(l)
}
