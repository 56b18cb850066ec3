//! Adam's moments in few bits, for tensors whose optimiser would not fit into memory.
//!
//! Each element has one code instead of two numbers: the root `s` of the second moment as a small float without sign, and the
//! ratio `u = m / s` as a sign and the root of its size in equal steps. The step that Adam takes is `u` but for constants, and
//! |u| is bounded, so no scale has to be kept for a block of elements: they stay independent of each other.
//!
//! ```text
//!           bits   s: exponent, mantissa      u: sign, size
//! u32         32   6, 10 (2^-56 to 2^8)       1, 15          values stay 32-bit floats
//! u16         16   6, 3                       1, 6           values are those of 16-bit floats
//! ```
//!
//! |m| <= (1 - β1) sqrt(Σ (β1²/β2)^i / (1 - β2)) s = 7.27 s at the usual decays, by Cauchy and Schwarz; codes reach 8.
//!
//! A second moment changes by a thousandth in a step and codes lie farther apart than that, so rounding to the nearest would
//! hold it where it is. Everything is rounded up or down at random instead, so that second moments, first moments and values
//! are right in the mean. The random numbers follow from the seed, the step and the element's place alone.
//!
//! The representation is the joint one of Spirula Studio and LichtFeld Studio (2026) without their blocks. A step reads and
//! writes 16 bytes for an element with `u32` codes and, on a device, 8 with `u16` ones; `step()` moves 28.

use super::{AdamSettings, CHUNK, Moments, Update};
use crate::dispatch;
use crate::simd::{Lanes, flush_denormals};
use bytemuck::Pod;
use rayon::prelude::*;
use std::fmt::Debug;

/// Bits of the exponent of `s`.
const EXPONENT_BITS: u32 = 6;
/// Exponent of the smallest `s` that is not zero.
const SMALLEST_EXPONENT: u32 = 56;
/// The largest |m| / s.
const LARGEST_RATIO: f32 = 8.0;
/// The largest finite 16-bit float.
const LARGEST_HALF: f32 = 65504.0;
/// Between the streams of random numbers of tensors, and of the numbers of an element.
const GOLDEN: u32 = 0x9e37_79b9;

/// The moments of one element.
pub trait Code: Pod + Default + PartialEq + Debug + Send + Sync {
    /// Bits of the mantissa of `s`.
    const MANTISSA: u32;
    /// Bits of the size of `u`; one more is its sign.
    const SIZE_BITS: u32;
    /// Whether the values that go with it are those of 16-bit floats.
    const HALVES: bool;

    /// From the lower bits of a number.
    fn from_bits(bits: u32) -> Self;
    /// In the lower bits of a number.
    fn to_bits(self) -> u32;
    /// One step of Adam for some elements, with the processor's vector unit.
    #[doc(hidden)]
    fn step(params: &mut [f32], gradient: &[f32], moments: &mut [Self], update: &Update, draws: Draws);

    /// Adam's first and second moment.
    #[inline(always)]
    fn unpack(self) -> [f32; 2] {
        let bits = self.to_bits();
        let root = root::<Self>(bits >> (Self::SIZE_BITS + 1));
        let size = (bits & largest_size::<Self>()) as f32;
        let ratio = size * size * (LARGEST_RATIO / squared::<Self>());
        let first = if bits >> Self::SIZE_BITS & 1 == 1 { -ratio * root } else { ratio * root };
        [first, root * root]
    }

    /// The code of moments, rounded up where a random number, in [0, 1), is below the share of the way: the first one for the
    /// second moment, the second one for the first. Halves round to the nearest, and what codes stand for to itself.
    #[inline(always)]
    fn pack([first, second]: [f32; 2], uniform: [f32; 2]) -> Self {
        let most = (1 << (EXPONENT_BITS + Self::MANTISSA)) - 1;
        let below = second.sqrt().to_bits() >> (23 - Self::MANTISSA);
        let below = below.saturating_sub(offset::<Self>()).min(most - 1);
        let [low, high] = [root::<Self>(below), root::<Self>(below + 1)].map(|s| s * s);
        let exponent = below + u32::from(uniform[0] < (second - low) / (high - low));

        let largest = largest_size::<Self>();
        let squared = squared::<Self>();
        // A ratio of nothing to nothing is nothing.
        let ratio = first.abs() / root::<Self>(exponent).max(f32::MIN_POSITIVE);
        let place = if exponent == 0 { 0.0 } else { (ratio * (squared / LARGEST_RATIO)).min(squared) };
        let size = truncated(place.sqrt());
        let share = (place - (size * size) as f32) / (2 * size + 1) as f32;
        let size = (size as u32 + u32::from(uniform[1] < share)).min(largest);
        let sign = u32::from(first < 0.0 && size > 0);
        Self::from_bits(exponent << (Self::SIZE_BITS + 1) | sign << Self::SIZE_BITS | size)
    }
}

impl Code for u32 {
    const MANTISSA: u32 = 10;
    const SIZE_BITS: u32 = 15;
    const HALVES: bool = false;

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        bits
    }

    #[inline(always)]
    fn to_bits(self) -> u32 {
        self
    }

    fn step(params: &mut [f32], gradient: &[f32], moments: &mut [Self], update: &Update, draws: Draws) {
        step_wide(params, gradient, moments, update, draws);
    }
}

impl Code for u16 {
    const MANTISSA: u32 = 3;
    const SIZE_BITS: u32 = 6;
    const HALVES: bool = true;

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }

    #[inline(always)]
    fn to_bits(self) -> u32 {
        self.into()
    }

    fn step(params: &mut [f32], gradient: &[f32], moments: &mut [Self], update: &Update, draws: Draws) {
        step_narrow(params, gradient, moments, update, draws);
    }
}

#[inline(always)]
const fn largest_size<C: Code>() -> u32 {
    (1 << C::SIZE_BITS) - 1
}

#[inline(always)]
const fn squared<C: Code>() -> f32 {
    (largest_size::<C>() * largest_size::<C>()) as f32
}

#[inline(always)]
const fn offset<C: Code>() -> u32 {
    (127 - SMALLEST_EXPONENT) << C::MANTISSA
}

/// The root of the second moment that a code stands for; code 0 is zero.
#[inline(always)]
fn root<C: Code>(code: u32) -> f32 {
    if code == 0 { 0.0 } else { f32::from_bits((code + offset::<C>()) << (23 - C::MANTISSA)) }
}

/// Where the random numbers of one step's roundings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounding {
    /// Two numbers that the step and the seed decide, as kernels take them.
    pub key: [u32; 2],
}

impl Rounding {
    /// Those of step number `step`, of the first tensor.
    pub fn new(seed: u64, step: u64) -> Self {
        // SplitMix64 (Steele, Lea and Flood 2014).
        let mut z = seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Self { key: [z as u32, (z >> 32) as u32] }
    }

    /// Those of another tensor of the same step.
    pub fn of_tensor(self, number: u32) -> Self {
        Self { key: [self.key[0].wrapping_add(number.wrapping_mul(GOLDEN)), self.key[1]] }
    }

    /// Three random numbers for an element: for the second moment, the first, and the value.
    #[inline(always)]
    fn draw(self, element: u32) -> [u32; 3] {
        let first = mix(mix(element ^ self.key[0]) ^ self.key[1]);
        let second = mix(first.wrapping_add(GOLDEN));
        [first, second, mix(second.wrapping_add(GOLDEN))]
    }
}

/// The finaliser of MurmurHash3: every bit of the result depends on every bit of the number.
#[inline(always)]
fn mix(mut bits: u32) -> u32 {
    bits = (bits ^ bits >> 16).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ bits >> 13).wrapping_mul(0xc2b2_ae35);
    bits ^ bits >> 16
}

/// In [0, 1).
#[inline(always)]
fn uniform(bits: u32) -> f32 {
    (bits >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32)
}

/// A neighbour of `value` among 16-bit floats, the upper one with the probability that makes it right in the mean.
#[inline(always)]
fn round_to_half(value: f32, bits: u32) -> f32 {
    let value = value.clamp(-LARGEST_HALF, LARGEST_HALF);
    let normal = f32::from_bits(value.to_bits().wrapping_add(bits >> 19) & !0x1fff);
    // Below 2^-14 all of them are 2^-24 apart.
    let steps = truncated((value.abs() * (1 << 24) as f32 + uniform(bits)).min(1024.0)) as f32;
    let small = (steps * (1.0 / (1 << 24) as f32)).copysign(value);
    if value.abs() < 1.0 / (1 << 14) as f32 { small } else { normal }
}

/// Towards zero, for numbers between 0 and 2^30: one instruction, where a cast that minds all others takes several.
#[inline(always)]
fn truncated(value: f32) -> i32 {
    debug_assert!((0.0..1_073_741_824.0).contains(&value), "{value} is out of range");
    // SAFETY: the callers' `min` made it a number, and such a one.
    unsafe { value.to_int_unchecked() }
}

/// The nearest 16-bit float, as a number.
pub fn nearest_half(value: f32) -> f32 {
    half::f16::from_f32(value.clamp(-LARGEST_HALF, LARGEST_HALF)).to_f32()
}

/// As [`super::step()`], with packed moments.
///
/// # Panics
/// If the tensors differ in size.
pub fn step_packed<C: Code>(
    params: &mut [f32],
    gradient: &[f32],
    moments: &mut [C],
    settings: &AdamSettings,
    (learning_rate, step): (f32, u64),
    rounding: Rounding,
) {
    assert_eq!(gradient.len(), params.len(), "the gradient has another size than the parameters");
    assert_eq!(moments.len(), params.len(), "the moments have another size than the parameters");
    let update = Update::new(settings, learning_rate, step);
    params
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(moments.par_chunks_mut(CHUNK))
        .enumerate()
        .for_each(|(index, ((params, gradient), moments))| {
            let draws = Draws { rounding, first: (index * CHUNK) as u32 };
            flush_denormals(|| C::step(params, gradient, moments, &update, draws));
        });
}

/// The random numbers of elements from the place `first` on.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Draws {
    rounding: Rounding,
    first: u32,
}

dispatch! {
    fn step_wide(
        params: &mut [f32], gradient: &[f32], moments: &mut [u32], update: &Update, draws: Draws,
    ) = step_wide_kernel;
    fn step_narrow(
        params: &mut [f32], gradient: &[f32], moments: &mut [u16], update: &Update, draws: Draws,
    ) = step_narrow_kernel;
}

#[expect(clippy::extra_unused_type_parameters, reason = "`dispatch!` chooses by it")]
#[inline(always)]
fn step_wide_kernel<V: Lanes>(
    params: &mut [f32],
    gradient: &[f32],
    moments: &mut [u32],
    update: &Update,
    draws: Draws,
) {
    step_kernel(params, gradient, moments, update, draws);
}

#[expect(clippy::extra_unused_type_parameters, reason = "`dispatch!` chooses by it")]
#[inline(always)]
fn step_narrow_kernel<V: Lanes>(
    params: &mut [f32],
    gradient: &[f32],
    moments: &mut [u16],
    update: &Update,
    draws: Draws,
) {
    step_kernel(params, gradient, moments, update, draws);
}

/// One element after the other; compilers make vectors of it.
#[inline(always)]
fn step_kernel<C: Code>(
    params: &mut [f32],
    gradient: &[f32],
    moments: &mut [C],
    update: &Update,
    Draws { rounding, first }: Draws,
) {
    let Update { beta1, beta2, epsilon, rate, root_correction } = *update;
    for (i, ((param, &g), code)) in params.iter_mut().zip(gradient).zip(moments).enumerate() {
        let [m, v] = code.unpack();
        let m = m * beta1 + g * (1.0 - beta1);
        let v = v * beta2 + g * g * (1.0 - beta2);
        let value = *param - rate * m / (v.sqrt() * root_correction + epsilon);
        let [second, ratio, rest] = rounding.draw(first.wrapping_add(i as u32));
        *code = C::pack([m, v], [uniform(second), uniform(ratio)]);
        *param = if C::HALVES { round_to_half(value, rest) } else { value };
    }
}

/// The moments of a tensor, in whichever way they are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredMoments {
    /// Two 32-bit floats for each element.
    Full(Moments),
    /// 32 bits for each element.
    Wide(Vec<u32>),
    /// 16 bits for each element.
    Narrow(Vec<u16>),
}

impl Default for StoredMoments {
    fn default() -> Self {
        Self::Full(Moments::default())
    }
}

impl StoredMoments {
    /// How many elements the tensor has.
    pub fn len(&self) -> usize {
        match self {
            Self::Full(moments) => moments.first.len(),
            Self::Wide(codes) => codes.len(),
            Self::Narrow(codes) => codes.len(),
        }
    }

    /// Whether the tensor has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As two floats for each element.
    pub fn to_full(&self) -> Moments {
        fn unpacked<C: Code>(codes: &[C]) -> Moments {
            let (first, second) = codes.iter().map(|code| code.unpack().into()).unzip();
            Moments { first, second }
        }
        match self {
            Self::Full(moments) => moments.clone(),
            Self::Wide(codes) => unpacked(codes),
            Self::Narrow(codes) => unpacked(codes),
        }
    }

    /// The same moments, kept as `like` keeps its own: codes are those nearest to the numbers.
    pub fn converted(self, like: &Self) -> Self {
        fn packed<C: Code>(Moments { first, second }: &Moments) -> Vec<C> {
            first.iter().zip(second).map(|(&m, &v)| C::pack([m, v], [0.5; 2])).collect()
        }
        match (like, self) {
            (Self::Full(_), Self::Full(moments)) => Self::Full(moments),
            (Self::Full(_), moments) => Self::Full(moments.to_full()),
            (Self::Wide(_), Self::Wide(codes)) => Self::Wide(codes),
            (Self::Narrow(_), Self::Narrow(codes)) => Self::Narrow(codes),
            (Self::Wide(_), moments) => Self::Wide(packed(&moments.to_full())),
            (Self::Narrow(_), moments) => Self::Narrow(packed(&moments.to_full())),
        }
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
