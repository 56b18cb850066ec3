//! Numbers in few bits: what the formats that round their values have in common.

use crate::scene::Y0;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Stands for an infinite logit or logarithm, as full opacity and flat splats have it: beyond it, the `f32` sigmoid and
/// exponential no longer differ from 0 or 1.
pub const SATURATED: f32 = 40.0;

/// The opacity (0 to 1) of a logit.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The logit of an opacity; ±[`SATURATED`] at and beyond 1 and 0.
pub fn logit(opacity: f32) -> f32 {
    if opacity <= 0.0 {
        return -SATURATED;
    }
    if opacity >= 1.0 {
        return SATURATED;
    }
    // 1 - opacity is exact where it matters, near 1.
    (opacity / (1.0 - opacity)).ln().clamp(-SATURATED, SATURATED)
}

/// The logarithm of a scale of 0 or more; -[`SATURATED`] for 0.
pub fn log_of_scale(scale: f32) -> f32 {
    if scale > 0.0 { scale.ln() } else { -SATURATED }
}

/// The quaternion of length 1 in the same direction; what points nowhere becomes the first component alone.
pub fn unit_quat(quat: [f32; 4]) -> [f32; 4] {
    let largest = quat.iter().fold(0f32, |most, c| most.max(c.abs()));
    // Division by the largest first keeps the squares of tiny and huge quaternions in range.
    let scaled = quat.map(|c| c / largest);
    let length = scaled.iter().map(|c| c * c).sum::<f32>().sqrt();
    if length.is_finite() { scaled.map(|c| c / length) } else { [1.0, 0.0, 0.0, 0.0] }
}

/// The logits of the opacities 0/255 to 255/255.
pub fn byte_logits() -> [f32; 256] {
    std::array::from_fn(|byte| logit(byte as f32 / 255.0))
}

/// The colour (0 to 1, more where it is over-bright) that a degree-0 coefficient gives.
pub fn colour_of_sh0(sh0: f32) -> f32 {
    0.5 + Y0 as f32 * sh0
}

/// The degree-0 coefficient that gives a colour.
pub fn sh0_of_colour(colour: f32) -> f32 {
    (colour - 0.5) / Y0 as f32
}

/// A number from 0 to 1, to the nearest of the `2^bits` steps between them. What lies outside is clamped, what is no
/// number becomes 0. At most 16 bits.
pub fn unorm(value: f32, bits: u32) -> u32 {
    let top = ((1u32 << bits) - 1) as f32;
    // The cast makes 0 of what is no number.
    (value * top + 0.5).clamp(0.0, top) as u32
}

/// The number from 0 to 1 that the lowest `bits` bits of `code` stand for.
pub fn from_unorm(code: u32, bits: u32) -> f32 {
    let top = (1u32 << bits) - 1;
    (code & top) as f32 / top as f32
}

/// A quaternion without its largest component: which one that was, and the three others in their order, after the
/// quaternion was brought to length 1 and the largest component made positive. They lie within ±1/√2.
///
/// The order of the components is the caller's: (w, x, y, z) in compressed PLY and SOG, (x, y, z, w) in SPZ. What cannot
/// be normalised becomes the first component alone.
pub fn smallest_three(quat: [f32; 4]) -> (usize, [f32; 3]) {
    let mut largest = 0;
    for i in 1..4 {
        if quat[i].abs() > quat[largest].abs() {
            largest = i;
        }
    }
    // Division by the largest first keeps the squares of tiny and huge quaternions in range.
    let unit = quat.map(|c| c / quat[largest]);
    let length = unit.iter().map(|c| c * c).sum::<f32>().sqrt();
    if !length.is_finite() {
        return (0, [0.0; 3]);
    }
    let mut rest = [0.0; 3];
    for i in 0..3 {
        rest[i] = unit[i + usize::from(i >= largest)] / length;
    }
    (largest, rest)
}

/// The quaternion of length 1 that [`smallest_three`] took apart; `largest` is 0 to 3.
pub fn from_smallest_three(largest: usize, rest: [f32; 3]) -> [f32; 4] {
    let squares = rest.iter().map(|c| c * c).sum::<f32>();
    let missing = (1.0 - squares).max(0.0).sqrt();
    // Rounding, and other programs, may put more than length 1 into the three.
    let length = (squares + missing * missing).sqrt();
    let [a, b, c] = rest.map(|c| c / length);
    let missing = missing / length;
    match largest {
        0 => [missing, a, b, c],
        1 => [a, missing, b, c],
        2 => [a, b, missing, c],
        _ => [a, b, c, missing],
    }
}

/// A component of [`smallest_three`] in `bits` bits, as compressed PLY (10) and SOG (8) store it.
pub fn component_to_unorm(component: f32, bits: u32) -> u32 {
    unorm(component * FRAC_1_SQRT_2 + 0.5, bits)
}

/// The component that [`component_to_unorm`] rounded.
pub fn component_from_unorm(code: u32, bits: u32) -> f32 {
    (from_unorm(code, bits) - 0.5) * SQRT_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn opacities_of_every_byte_survive() {
        for (byte, logit) in byte_logits().into_iter().enumerate() {
            assert_eq!(unorm(sigmoid(logit), 8) as usize, byte);
            assert!((sigmoid(logit) - byte as f32 / 255.0).abs() <= 2.0 * f32::EPSILON, "{byte}");
        }
    }

    #[test]
    fn steps_are_nearest_and_what_is_outside_is_clamped() {
        assert_eq!(
            [-1.0, 0.0, 0.5, 1.0, 7.0, f32::NAN, f32::INFINITY].map(|v| unorm(v, 8)),
            [0, 0, 128, 255, 255, 0, 255]
        );
        assert!((0..1024).all(|code| unorm(from_unorm(code, 10), 10) == code));
        assert_eq!(from_unorm(0xffff_ffff, 11), 1.0);
    }

    #[test]
    fn quaternions_that_point_nowhere_become_the_first_component() {
        for quat in [[0.0; 4], [f32::NAN; 4], [f32::INFINITY; 4]] {
            assert_eq!(smallest_three(quat), (0, [0.0; 3]), "{quat:?}");
        }
        assert_eq!(from_smallest_three(0, [0.0; 3]), [1.0, 0.0, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn a_quaternion_comes_back_up_to_length_and_sign(
            quat in prop::array::uniform4(-1f32..1.0),
            magnitude in -30i32..30,
        ) {
            let length = quat.iter().map(|c| c * c).sum::<f32>().sqrt();
            prop_assume!(length > 1e-3);
            let (largest, rest) = smallest_three(quat.map(|c| c * 10f32.powi(magnitude)));
            prop_assert!(rest.iter().all(|c| c.abs() <= FRAC_1_SQRT_2 + 1e-6));
            let back = from_smallest_three(largest, rest);
            let cosine = back.iter().zip(quat).map(|(a, b)| a * b).sum::<f32>().abs() / length;
            prop_assert!(cosine > 1.0 - 1e-6, "{quat:?} became {back:?}");
            prop_assert!((back.iter().map(|c| c * c).sum::<f32>() - 1.0).abs() < 1e-6);
        }

        #[test]
        fn three_components_of_any_length_give_a_unit_quaternion(rest in prop::array::uniform3(-1f32..1.0), largest in 0usize..4) {
            let quat = from_smallest_three(largest, rest);
            prop_assert!((quat.iter().map(|c| c * c).sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
