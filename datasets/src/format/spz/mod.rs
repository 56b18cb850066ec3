//! SPZ, Niantic's format: attributes in a byte or a few, one stream after another, compressed.
//!
//! Versions 1 to 3 are a gzip file of a 16-byte header and the streams. Version 4 has a plain 32-byte header, extensions,
//! a table of sizes, and the streams, each compressed by Zstandard on its own.
//!
//! | stream | bytes | content |
//! |---|---|---|
//! | positions | 9 | three integers of 24 bits, in steps of 2^-`fractional bits`; three halves in version 1 |
//! | alphas | 1 | opacity times 255 |
//! | colours | 3 | the degree-0 coefficient c as 255 (0.15 c + ½) |
//! | scales | 3 | the logarithm s as 16 (s + 10) |
//! | rotations | 4 | index of the largest of (x, y, z, w) in 2 bits, the others as a sign and 9 bits in units of √½ / 511; in versions 1 and 2, 3 bytes with x, y and z of a quaternion whose w is positive |
//! | sh | 9, 24, 45 | the coefficients c above degree 0 as 128 (c + 1), red, green and blue of the first one first |
//!
//! Its axes are right, up, back: y and z have the other sign than in PLY files. (PlayCanvas's programs take them for those
//! of PLY files instead, and so show scenes turned by half a turn about x.) A flag says whether splats are antialiased.
//! `scene_from_world` is in an extension of ours; programs skip those that they do not know.
//! Source: github.com/nianticlabs/spz.

mod decode;
mod encode;
mod extension;
mod gzip;
mod read;
mod write;
mod zstandard;

#[cfg(test)]
mod tests;

pub(super) use read::open_splats;
pub(super) use write::create_splats;

/// The versions that can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpzVersion {
    /// In gzip, with positions in halves and rotations as in version 2: for what knows nothing newer.
    V1,
    /// In gzip, with rotations to a degree and worse: for programs from before 2025.
    V2,
    /// In gzip: what most programs read.
    #[default]
    V3,
    /// In Zstandard: smaller, faster, and known to newer programs only.
    V4,
}

impl SpzVersion {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// As files say it.
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// What its numbers are rounded to, in words for the user.
    pub(super) fn precision(self) -> String {
        let positions = match self {
            Self::V1 => "positions to 0.05 % of each coordinate",
            _ => "positions in steps of 0.00025 or of an eighth of the splats' size",
        };
        let rotations = match self {
            Self::V1 | Self::V2 => "rotations in 8 bits for x, y and z (to 1 degree, and to 14 near half a turn)",
            Self::V3 | Self::V4 => "rotations to 0.3 degrees",
        };
        format!(
            "{positions}, logarithms of scales from -10 to 6 in steps of 1/16, {rotations}, colours and opacities in 8 bits"
        )
    }
}

/// "NGSP" as a little-endian number.
const MAGIC: u32 = 0x5053_474e;
const FLAG_ANTIALIASED: u8 = 1;
const FLAG_EXTENSIONS: u8 = 2;
/// Bytes of the header up to version 3, and since.
const LEGACY_HEADER: usize = 16;
const HEADER: usize = 32;

/// The bits behind the point of a position that everybody writes.
const FRACTIONAL_BITS: u32 = 12;
/// Factor between a colour and its degree-0 coefficient.
const COLOUR_SCALE: f32 = 0.15;
/// Units of the three components of a rotation.
const ROTATION_STEPS: f32 = 511.0;
/// The coefficients above degree 0 that change their sign with y and z.
const NEGATED: [bool; 15] = [
    true, true, false, //
    true, false, false, true, false, //
    true, false, true, true, false, true, false,
];

/// What stands in a file's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    version: u32,
    count: u32,
    /// 0 to 3; 4 in version 4.
    sh_degree: u8,
    fractional_bits: u8,
    flags: u8,
}

impl Header {
    /// Bytes per splat of the six streams.
    fn widths(&self) -> [usize; 6] {
        let positions = if self.version == 1 { 6 } else { 9 };
        let rotations = if self.version <= 2 { 3 } else { 4 };
        [positions, 1, 3, 3, rotations, 3 * self.coefficients()]
    }

    /// Coefficients per channel above degree 0.
    fn coefficients(&self) -> usize {
        (usize::from(self.sh_degree) + 1).pow(2) - 1
    }

    /// What all headers begin with.
    fn start(&self) -> [u8; LEGACY_HEADER] {
        let mut bytes = [0; LEGACY_HEADER];
        bytes[..12].copy_from_slice([MAGIC, self.version, self.count].map(u32::to_le_bytes).as_flattened());
        bytes[12..15].copy_from_slice(&[self.sh_degree, self.fractional_bits, self.flags]);
        bytes
    }
}
