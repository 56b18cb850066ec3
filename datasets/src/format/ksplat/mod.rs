//! `.ksplat`, the format of mkkellogg's GaussianSplats3D, which is read only: the program is no longer kept up.
//!
//! A header of 4096 bytes is followed by headers of sections, 1024 bytes each, and their data: the sizes of partly filled
//! buckets, the centres of buckets, then the splats. Splats of level 0 are 32-bit floats. Levels 1 and 2 have positions
//! as 16-bit offsets from the centre of their bucket and halves for the rest, and level 2 has bytes for spherical harmonics.
//! Scales are standard deviations, colours bytes, quaternions (w, x, y, z). Each degree of the harmonics has all its
//! coefficients of red, then green, then blue.
//!
//! The format has no place for antialiasing or `scene_from_world`.

mod read;
mod section;

#[cfg(test)]
mod tests;

pub(super) use read::open_splats;

/// Bytes of the header of the file, and of a section.
const HEADER: usize = 4096;
const SECTION_HEADER: usize = 1024;

/// The number at a place of a header, which is longer than any place that is asked for.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes[at..].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn float(bytes: &[u8], at: usize) -> f32 {
    bytes[at..].first_chunk().map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
}
