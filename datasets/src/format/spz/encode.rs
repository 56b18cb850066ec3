//! From splats to the bytes of the streams.

use super::{COLOUR_SCALE, NEGATED, ROTATION_STEPS};
use crate::format::quantise::{sigmoid, smallest_three, unit_quat, unorm};
use crate::format::stream::ValueRanges;
use crate::scene::SplatCloud;
use half::f16;
use std::f32::consts::FRAC_1_SQRT_2;

/// Steps between the values that coefficients take, of degree 1 and above: bytes with few different values compress well.
const COARSE: [i32; 2] = [8, 16];
/// For every number of a splat's harmonics: what it is multiplied by, half of its coarse step, and the bits of whole steps.
const STEPS: [(f32, i32, i32); 45] = {
    let mut steps = [(0.0, 0, 0); 45];
    let mut i = 0;
    while i < 45 {
        let coarse = COARSE[(i >= 9) as usize];
        steps[i] = (if NEGATED[i / 3] { -128.0 } else { 128.0 }, coarse / 2, !(coarse - 1));
        i += 1;
    }
    steps
};

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
    out.extend(chunk.log_scales.as_flattened().iter().map(|&s| scale(s)));
}

/// The byte of the logarithm of a scale.
pub(super) fn scale(log_scale: f32) -> u8 {
    // The cast saturates.
    (16.0 * (log_scale + 10.0) + 0.5) as u8
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
    let width = 3 * SplatCloud::rest_coefficients(chunk.sh_degree);
    let start = out.len();
    out.resize(start + chunk.sh_rest.len(), 0);
    let rows = chunk.sh_rest.chunks_exact(width.max(1)).zip(out[start..].chunks_exact_mut(width.max(1)));
    for (row, bytes) in rows {
        for ((coefficient, byte), (scale, half, whole)) in row.iter().zip(bytes).zip(STEPS) {
            let fine = nearest((scale * coefficient).clamp(-256.0, 256.0)) + 128;
            *byte = ((fine + half) & whole).clamp(0, 255) as u8;
        }
    }
}

/// The nearest integer, halves away from zero; 0 for what is no number. `f32::round` is a call where SSE4.1 is not certain.
fn nearest(value: f32) -> i32 {
    // The largest number below a half: a half itself would round up what is just below one.
    const BELOW_HALF: f32 = 0.499_999_97;
    (value + BELOW_HALF.copysign(value)) as i32
}

/// Appends positions as integers of 24 bits with so many of them behind the point.
pub(super) fn positions(means: &[[f32; 3]], fractional_bits: u32, out: &mut Vec<u8>) {
    let steps = 2f32.powi(fractional_bits as i32);
    out.reserve(9 * means.len());
    for &[x, y, z] in means {
        for value in [x, -y, -z] {
            out.extend_from_slice(&nearest(value * steps).to_le_bytes()[..3]);
        }
    }
}

/// Appends positions as halves, as version 1 has them.
pub(super) fn half_positions(means: &[[f32; 3]], out: &mut Vec<u8>) {
    out.extend(means.iter().flat_map(|&[x, y, z]| [x, -y, -z]).flat_map(|v| f16::from_f32(v).to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_integer_is_that_of_the_standard_library(value in -9e6f32..9e6, halves in -1000i32..1000) {
            for value in [value, 0.5 * halves as f32, (0.5 * halves as f32).next_up(), (0.5 * halves as f32).next_down()] {
                prop_assert_eq!(nearest(value), value.round() as i32, "of {}", value);
            }
        }
    }
}
