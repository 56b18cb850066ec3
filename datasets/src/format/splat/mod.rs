//! `.splat`, the format of antimatter15's viewer: 32 bytes per splat and no header.
//!
//! | bytes | content |
//! |---|---|
//! | 0..12 | position, three `f32` |
//! | 12..24 | standard deviations (not their logarithms), three `f32` |
//! | 24..28 | red, green, blue and opacity, 0 to 255 |
//! | 28..32 | quaternion (w, x, y, z), each component q as 128 q + 128 |
//!
//! Viewers draw while they load, so splats that matter come first: they are sorted by volume times opacity. There is
//! no place for spherical harmonics above degree 0, nor for colours outside 0 to 1.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub(in crate::format) use read::open_splats;
pub(in crate::format) use write::create_splats;

/// Bytes of a splat.
const ROW: usize = 32;
