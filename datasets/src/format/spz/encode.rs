//! From splats to the bytes of the streams.

use super::{COLOUR_SCALE, NEGATED, ROTATION_STEPS};
use crate::format::quantise::{sigmoid, smallest_three, unit_quat, unorm};
use crate::format::stream::ValueRanges;
use crate::scene::SplatCloud;
use half::f16;
use std::f32::consts::FRAC_1_SQRT_2;

/// Steps between the values that coefficients take, of degree 1 and above: bytes with few different values compress well.
const COARSE: [i32; 2] = [8, 16];

/// What the bytes can say, up to half a step beyond the last.
pub(super) const RANGES: ValueRanges = ValueRanges {
    sh0: [-0.502 / COLOUR_SCALE, 0.502 / COLOUR_SCALE],
    log_scales: [-10.031_25, 5.968_75],
    sh_rest: [-1.0, 1.0],
};

/// Appends the opacities of a chunk.
pub(super) fn alphas(chunk: &SplatCloud, out: &mut Vec<u8>) {
    out.extend(chunk.opacity_logits.iter().map(|&logit| unorm(sigmoid(logit), 8) as u8));
}

/// Appends the degree-0 coefficients of a chunk.
pub(super) fn colours(chunk: &SplatCloud, out: &mut Vec<u8>) {
    out.extend(chunk.sh0.as_flattened().iter().map(|&c| unorm(COLOUR_SCALE * c + 0.5, 8) as u8));
}

/// Appends the logarithms of the scales of a chunk.
pub(super) fn scales(chunk: &SplatCloud, out: &mut Vec<u8>) {
    // The cast saturates.
    out.extend(chunk.log_scales.as_flattened().iter().map(|&s| (16.0 * (s + 10.0) + 0.5) as u8));
}

/// Appends the rotations of a chunk.
pub(super) fn rotations(chunk: &SplatCloud, out: &mut Vec<u8>) {
    for &[w, x, y, z] in &chunk.quats {
        let (largest, rest) = smallest_three([x, -y, -z, w]);
        let packed = rest.iter().fold(largest as u32, |packed, &c| {
            let magnitude = (c.abs() * (ROTATION_STEPS / FRAC_1_SQRT_2) + 0.5).min(ROTATION_STEPS) as u32;
            packed << 10 | u32::from(c < 0.0) << 9 | magnitude
        });
        out.extend_from_slice(&packed.to_le_bytes());
    }
}

/// Appends the rotations of a chunk as versions 1 and 2 have them: x, y and z of a quaternion whose w is positive.
pub(super) fn first_three(chunk: &SplatCloud, out: &mut Vec<u8>) {
    for &quat in &chunk.quats {
        let [w, x, y, z] = unit_quat(quat);
        let sign = if w < 0.0 { -127.5 } else { 127.5 };
        out.extend([x, -y, -z].map(|c| (sign * c + 128.0) as u8));
    }
}

/// Appends the coefficients above degree 0 of a chunk.
pub(super) fn harmonics(chunk: &SplatCloud, out: &mut Vec<u8>) {
    let coefficients = SplatCloud::rest_coefficients(chunk.sh_degree);
    for row in chunk.sh_rest.chunks_exact(3 * coefficients.max(1)) {
        for (i, &coefficient) in row.iter().enumerate() {
            let sign = if NEGATED[i / 3] { -128.0 } else { 128.0 };
            let coarse = COARSE[usize::from(i >= 9)];
            // The cast saturates, and makes 0 of what is no number.
            let fine = ((sign * coefficient).round() as i32).clamp(-256, 256) + 128;
            out.push(((fine + coarse / 2) / coarse * coarse).clamp(0, 255) as u8);
        }
    }
}

/// Positions as integers of 24 bits with so many of them behind the point.
pub(super) fn positions(means: &[[f32; 3]], fractional_bits: u32) -> Vec<u8> {
    let steps = 2f32.powi(fractional_bits as i32);
    let mut out = Vec::with_capacity(9 * means.len());
    for &[x, y, z] in means {
        for value in [x, -y, -z] {
            out.extend_from_slice(&((value * steps).round() as i32).to_le_bytes()[..3]);
        }
    }
    out
}

/// Positions as halves, as version 1 has them.
pub(super) fn half_positions(means: &[[f32; 3]]) -> Vec<u8> {
    means.iter().flat_map(|&[x, y, z]| [x, -y, -z]).flat_map(|v| f16::from_f32(v).to_le_bytes()).collect()
}
