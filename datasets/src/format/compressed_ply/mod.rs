//! Compressed PLY, PlayCanvas's packed layout (`.compressed.ply`): 16 bytes per splat, and one byte per coefficient of
//! spherical harmonics.
//!
//! | element | content |
//! |---|---|
//! | `chunk` | for every 256 splats, the least and largest position, logarithm of scale and colour per axis |
//! | `vertex` | `packed_position` and `packed_scale`: 11, 10 and 11 bits between these, x highest |
//! | | `packed_rotation`: the index of the largest of (w, x, y, z) in 2 bits, the others in 10 bits each |
//! | | `packed_color`: red, green, blue between these and the opacity from 0 to 1, 8 bits each, red highest |
//! | `sh` | `f_rest_*` in the order of ordinary PLY files: byte b is 8 ((b + ½) / 256 - ½), and ±4 at the ends |
//!
//! Files without colour ranges have colours from 0 to 1. Comments say the same as in ordinary PLY files. Splats lie in
//! Morton order, so that a chunk's ranges are narrow.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub(super) use read::{is_compressed, open_splats};
pub(super) use write::create_splats;

/// Splats that share their ranges.
const CHUNK: usize = 256;
/// Properties of the element `chunk`: the least and the largest of three axes, three times.
const RANGES: [&str; 18] = [
    "min_x",
    "min_y",
    "min_z",
    "max_x",
    "max_y",
    "max_z", //
    "min_scale_x",
    "min_scale_y",
    "min_scale_z",
    "max_scale_x",
    "max_scale_y",
    "max_scale_z", //
    "min_r",
    "min_g",
    "min_b",
    "max_r",
    "max_g",
    "max_b",
];
/// Properties of the element `vertex`.
const PACKED: [&str; 4] = ["packed_position", "packed_rotation", "packed_scale", "packed_color"];
/// Bits of the three axes in 32.
const BITS: [u32; 3] = [11, 10, 11];
/// Largest absolute value of a coefficient.
const HARMONICS_RANGE: f32 = 4.0;
