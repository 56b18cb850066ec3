//! From the bytes of the streams to splats.

use super::{COLOUR_SCALE, Header, NEGATED, ROTATION_STEPS};
use crate::format::quantise::{byte_logits, from_smallest_three};
use crate::scene::SplatCloud;
use half::f16;
use std::f32::consts::FRAC_1_SQRT_2;

/// What the 256 values of a byte stand for in each stream.
pub(super) struct Tables(Box<Bytes>);

struct Bytes {
    logits: [f32; 256],
    colours: [f32; 256],
    scales: [f32; 256],
    harmonics: [f32; 256],
}

impl Tables {
    pub(super) fn new() -> Self {
        Self(Box::new(Bytes {
            logits: byte_logits(),
            colours: std::array::from_fn(|byte| (byte as f32 / 255.0 - 0.5) / COLOUR_SCALE),
            scales: std::array::from_fn(|byte| byte as f32 / 16.0 - 10.0),
            harmonics: std::array::from_fn(|byte| (byte as f32 - 128.0) / 128.0),
        }))
    }

    /// Replaces what is in `chunk` by the splats whose bytes these are, of each stream. The first that has no finite
    /// position, as halves can have, is the error.
    pub(super) fn decode(&self, header: &Header, bytes: &[Vec<u8>; 6], chunk: &mut SplatCloud) -> Result<(), usize> {
        chunk.clear();
        let widths = header.widths();
        let rows = |stream: usize| bytes[stream].chunks_exact(widths[stream].max(1));
        let step = 0.5f32.powi(i32::from(header.fractional_bits));
        let tables = &self.0;
        chunk.means.extend(rows(0).map(|row| {
            let [x, y, z] = match row {
                &[a, b, c, d, e, f] => [[a, b], [c, d], [e, f]].map(|half| f16::from_le_bytes(half).to_f32()),
                _ => [0, 3, 6].map(|at| integer(&row[at..]) as f32 * step),
            };
            [x, -y, -z]
        }));
        if let Some(bad) = chunk.means.iter().position(|mean| !mean.iter().all(|v| v.is_finite())) {
            return Err(bad);
        }
        chunk.opacity_logits.extend(rows(1).map(|row| tables.logits[usize::from(row[0])]));
        chunk.sh0.extend(rows(2).map(|row| [0, 1, 2].map(|i| tables.colours[usize::from(row[i])])));
        chunk.log_scales.extend(rows(3).map(|row| [0, 1, 2].map(|i| tables.scales[usize::from(row[i])])));
        chunk.quats.extend(rows(4).map(|row| {
            let [x, y, z, w] = match row {
                &[x, y, z] => first_three([x, y, z]),
                _ => smallest_three(row),
            };
            [w, x, -y, -z]
        }));
        let kept = SplatCloud::rest_coefficients(chunk.sh_degree);
        if kept > 0 {
            let values = |row: &[u8]| {
                let mut colours = [[0.0; 3]; 15];
                for (i, colour) in colours.iter_mut().enumerate().take(kept) {
                    let sign = if NEGATED[i] { -1.0 } else { 1.0 };
                    *colour = [0, 1, 2].map(|channel| sign * tables.harmonics[usize::from(row[3 * i + channel])]);
                }
                colours
            };
            rows(5).for_each(|row| chunk.sh_rest.extend_from_slice(values(row)[..kept].as_flattened()));
        }
        Ok(())
    }
}

/// The signed integer in the first 24 bits.
fn integer(bytes: &[u8]) -> i32 {
    i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8
}

/// (x, y, z, w) from x, y and z.
fn first_three(bytes: [u8; 3]) -> [f32; 4] {
    let [x, y, z] = bytes.map(|byte| f32::from(byte) / 127.5 - 1.0);
    [x, y, z, (1.0 - x * x - y * y - z * z).max(0.0).sqrt()]
}

/// (x, y, z, w) from all but the largest.
fn smallest_three(row: &[u8]) -> [f32; 4] {
    let packed = u32::from_le_bytes([row[0], row[1], row[2], row[3]]);
    let rest = [20, 10, 0].map(|shift| {
        let magnitude = (packed >> shift & 511) as f32 * (FRAC_1_SQRT_2 / ROTATION_STEPS);
        if packed >> (shift + 9) & 1 == 1 { -magnitude } else { magnitude }
    });
    from_smallest_three((packed >> 30) as usize, rest)
}
