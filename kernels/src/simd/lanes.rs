//! What kernels ask of a group of lanes beyond [`Real`].

use tessera_camera::Real;

/// Eight `f32` numbers side by side.
pub trait Lanes: Real {
    /// Width of a group.
    const COUNT: usize = 8;

    /// The constant `value` in every lane, without a conversion.
    fn all(value: f32) -> Self;
    /// 0, 1, 2, ... 7.
    fn iota() -> Self;
    /// Loads lanes from memory.
    fn from_array(values: [f32; 8]) -> Self;
    /// Lanes as an array.
    fn to_array(self) -> [f32; 8];
    /// Loads from eight consecutive numbers.
    ///
    /// # Safety
    /// `pointer` must be valid for reading eight numbers.
    unsafe fn load(pointer: *const f32) -> Self;
    /// Stores to eight consecutive numbers.
    ///
    /// # Safety
    /// `pointer` must be valid for writing eight numbers.
    unsafe fn store(self, pointer: *mut f32);
    /// Loads `base[offsets[lane] + shift]`.
    ///
    /// # Safety
    /// All the addresses must be valid for reading.
    unsafe fn gather(base: *const f32, offsets: [u32; 8], shift: u32) -> Self;
    /// The first and the second numbers of eight pairs; a place beyond the last pair is taken for the last one.
    ///
    /// # Panics
    /// When there are no pairs.
    #[inline(always)]
    fn pairs_at(pairs: &[[f32; 2]], at: [u32; 8]) -> [Self; 2] {
        let last = pairs.len() - 1;
        let found = at.map(|i| pairs[(i as usize).min(last)]);
        [Self::from_array(found.map(|pair| pair[0])), Self::from_array(found.map(|pair| pair[1]))]
    }
    /// Adds the lanes of both groups to eight pairs, one after the other, so that one may be meant twice; a place beyond the last pair is taken for
    /// the last one.
    ///
    /// # Panics
    /// When there are no pairs.
    #[inline(always)]
    fn add_to_pairs(pairs: &mut [[f32; 2]], at: [u32; 8], [first, second]: [Self; 2]) {
        let last = pairs.len() - 1;
        let (first, second) = (first.to_array(), second.to_array());
        for i in 0..8 {
            let pair = &mut pairs[(at[i] as usize).min(last)];
            pair[0] += first[i];
            pair[1] += second[i];
        }
    }
    /// Rounded towards minus infinity.
    fn floor(self) -> Self;
    /// Rounded towards plus infinity.
    fn ceil(self) -> Self;
    /// `b - self * a`, fused where the hardware can.
    fn neg_mul_add(self, a: Self, b: Self) -> Self;
    /// Whole numbers from 0 to 15 as the hexadecimal digits of one number, lane 0 lowest.
    fn pack_nibbles(self) -> u32;
    /// The sums of the lanes of eight groups, always in the same order.
    fn sum_each(groups: [Self; 8]) -> [f32; 8];
    /// Sum of the lanes, always in the same order.
    fn sum(self) -> f32;
    /// One bit for each lane, lane 0 lowest.
    fn bits(mask: Self::Mask) -> u32;
    /// `self` where the mask is set, zero elsewhere.
    fn masked(self, mask: Self::Mask) -> Self;
    /// `|self|` with a minus sign.
    fn negative_abs(self) -> Self;
    /// `1 / self` to within two units in the last place.
    fn fast_recip(self) -> Self;
    /// Adds the low bits of `shifted` as an exponent: `self * 2^n`, where `shifted = n + 1.5 * 2^23`.
    fn scale_by_power(self, shifted: Self) -> Self;

    /// 2 to the power of a whole number.
    #[inline(always)]
    fn power_of_two(exponent: Self) -> Self {
        Self::all(1.0).scale_by_power(exponent + Self::all(ROUND))
    }
}

/// Adding this to a small number rounds it to an integer that then stands in the low bits.
const ROUND: f32 = 12_582_912.0;

/// 2 to the power of `x`, for -126 <= `x` <= 126, to within 3e-7 relative.
#[inline(always)]
pub fn exp2<V: Lanes>(x: V) -> V {
    // Minimax polynomial of 2^f on [-1/2, 1/2].
    const C: [f32; 6] = [1.000_000_1, 0.693_146_94, 0.240_221_2, 0.055_507_135, 0.009_675_542, 0.001_327_647];
    let shifted = x + V::all(ROUND);
    let f = x - (shifted - V::all(ROUND));
    let mut p = V::all(C[5]);
    for c in C[..5].iter().rev() {
        p = p.mul_add(f, V::all(*c));
    }
    p.scale_by_power(shifted)
}

/// 2 to the power of `x` to within 3e-6 relative, in fewer operations. Outside -126..=126 the result is any number.
#[inline(always)]
pub fn exp2_fast<V: Lanes>(x: V) -> V {
    const C: [f32; 5] = [0.999_999_3, 0.693_121_8, 0.240_247_44, 0.055_917_863, 0.009_570_1];
    let shifted = x + V::all(ROUND);
    let f = x - (shifted - V::all(ROUND));
    let mut p = V::all(C[4]);
    for c in C[..4].iter().rev() {
        p = p.mul_add(f, V::all(*c));
    }
    p.scale_by_power(shifted)
}

/// e to the power of `x`, clamped to the range of normal numbers.
#[inline(always)]
pub(super) fn exp<V: Lanes>(x: V) -> V {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.max(V::all(-87.0)).min(V::all(87.0));
    let shifted = x.mul_add(V::all(LOG2_E), V::all(ROUND));
    let n = shifted - V::all(ROUND);
    let f = n.mul_add(V::all(-LN_2_LOW), n.mul_add(V::all(-LN_2_HIGH), x));
    const C: [f32; 6] = [0.5, 0.166_666_67, 0.041_666_467, 0.008_333_361, 0.001_393_36, 0.000_198_578];
    let mut p = V::all(C[5]);
    for c in C[..5].iter().rev() {
        p = p.mul_add(f, V::all(*c));
    }
    (p.mul_add(f * f, f) + V::all(1.0)).scale_by_power(shifted)
}

/// Arc tangent, after Cephes' `atanf`.
#[inline(always)]
pub(super) fn atan<V: Lanes>(x: V) -> V {
    use std::f32::consts::{FRAC_PI_2, FRAC_PI_4};
    const TAN_3_PI_8: f32 = 2.414_213_6;
    const TAN_PI_8: f32 = 0.414_213_56;
    let magnitude = x.abs();
    let one = V::all(1.0);
    let large = V::all(TAN_3_PI_8).lt(magnitude);
    let middle = V::all(TAN_PI_8).lt(magnitude);
    let reduced = V::select(
        large,
        -(one / magnitude.max(one)),
        V::select(middle, (magnitude - one) / (magnitude + one), magnitude),
    );
    let offset = V::select(large, V::all(FRAC_PI_2), V::select(middle, V::all(FRAC_PI_4), V::all(0.0)));
    let z = reduced * reduced;
    let mut p = V::all(8.053_744_5e-2);
    for c in [-1.387_768_6e-1, 1.997_771_1e-1, -3.333_294_9e-1] {
        p = p.mul_add(z, V::all(c));
    }
    let result = offset + (p * z).mul_add(reduced, reduced);
    V::select(x.lt(V::all(0.0)), -result, result)
}

/// `π` in parts, of which all but the last have few bits, so that their multiples by whole numbers are exact.
const PI_PARTS: [f32; 4] = [3.140_625, 9.670_257_6e-4, 6.277_114_2e-7, 1.215_420_1e-10];

/// Sine of `r`, |r| <= π/2, with its sign turned when `half_turns` is odd.
#[inline(always)]
fn reduced_sine<V: Lanes>(r: V, half_turns: V) -> V {
    let z = r * r;
    let mut p = V::all(2.608_316e-6);
    for c in [-1.981_069e-4, 8.333_078_6e-3, -0.166_666_6] {
        p = p.mul_add(z, V::all(c));
    }
    let sine = (p * z).mul_add(r, r);
    let odd = half_turns - V::all(2.0) * (half_turns * V::all(0.5)).floor();
    sine - V::all(2.0) * odd * sine
}

/// Sine of `x`, |x| < 10,000, to within 1e-6.
#[inline(always)]
pub fn sin<V: Lanes>(x: V) -> V {
    let n = x.mul_add(V::all(std::f32::consts::FRAC_1_PI), V::all(ROUND)) - V::all(ROUND);
    let mut r = x;
    for part in PI_PARTS {
        r = n.mul_add(V::all(-part), r);
    }
    reduced_sine(r, n)
}

/// Cosine of `x`, |x| < 10,000, to within 1e-6.
#[inline(always)]
pub fn cos<V: Lanes>(x: V) -> V {
    // The nearest odd multiple n + ½ of π/2 below or above: cos x = -(-1)^n sin(x - (n + ½) π).
    let n = (x.mul_add(V::all(std::f32::consts::FRAC_1_PI), V::all(-0.5)) + V::all(ROUND)) - V::all(ROUND);
    let half = n + V::all(0.5);
    let mut r = x;
    for part in PI_PARTS {
        r = half.mul_add(V::all(-part), r);
    }
    -reduced_sine(r, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    fn worst<V: Lanes>(range: std::ops::Range<f64>, ours: impl Fn(V) -> V, exact: impl Fn(f64) -> f64) -> f64 {
        let mut worst = 0.0f64;
        const STEPS: usize = 100_000;
        for i in 0..STEPS {
            let x = (range.start + (range.end - range.start) * i as f64 / STEPS as f64) as f32;
            let got = f64::from(ours(V::all(x)).to_array()[0]);
            let want = exact(f64::from(x));
            worst = worst.max((got - want).abs() / want.abs().max(1e-30));
        }
        worst
    }

    fn functions_are_accurate<V: Lanes>() {
        let e2 = worst::<V>(-30.0..30.0, exp2, f64::exp2);
        assert!(e2 < 3e-7, "exp2 is off by {e2}");
        let fast = worst::<V>(-30.0..30.0, exp2_fast, f64::exp2);
        assert!(fast < 3e-6, "exp2_fast is off by {fast}");
        let e = worst::<V>(-80.0..80.0, exp, f64::exp);
        assert!(e < 3e-7, "exp is off by {e}");
        let a = worst::<V>(1e-3..50.0, atan, f64::atan);
        assert!(a < 3e-7, "atan is off by {a}");
        for (name, ours, exact) in [
            ("sin", sin as fn(V) -> V, f64::sin as fn(f64) -> f64),
            ("cos", cos as fn(V) -> V, f64::cos as fn(f64) -> f64),
        ] {
            // Against 1: shifted by two, so that relative is absolute but for a factor of three.
            let off = worst::<V>(-9_900.0..9_900.0, |x| ours(x) + V::all(2.0), |x| exact(x) + 2.0);
            assert!(off < 1e-6, "{name} is off by {off}");
        }
        let r = worst::<V>(1e-3..50.0, V::fast_recip, f64::recip);
        assert!(r < 3e-7, "fast_recip is off by {r}");
    }

    fn pairs_are_found_and_added_to<V: Lanes>() {
        let mut pairs: Vec<[f32; 2]> = (0..20).map(|i| [i as f32, -2.0 * i as f32]).collect();
        let at = [3, 19, 0, 7, 7, 40, u32::MAX, 1];
        let [first, second] = V::pairs_at(&pairs, at).map(V::to_array);
        assert_eq!(first, [3.0, 19.0, 0.0, 7.0, 7.0, 19.0, 19.0, 1.0]);
        assert_eq!(second, first.map(|x| -2.0 * x));
        V::add_to_pairs(&mut pairs, at, [V::iota(), V::all(100.0)]);
        // 7 is meant twice, the last one three times.
        assert_eq!((pairs[7], pairs[19]), ([7.0 + 3.0 + 4.0, 186.0], [19.0 + 1.0 + 5.0 + 6.0, 262.0]));
        assert_eq!((pairs[0], pairs[2], pairs[3]), ([2.0, 100.0], [2.0, -4.0], [3.0, 94.0]));
    }

    #[test]
    fn portable_lanes_are_accurate() {
        functions_are_accurate::<Portable>();
        pairs_are_found_and_added_to::<Portable>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn avx2_lanes_are_accurate() {
        if crate::simd::best_backend() == crate::simd::Backend::Avx2 {
            functions_are_accurate::<crate::simd::Avx2>();
            pairs_are_found_and_added_to::<crate::simd::Avx2>();
        }
    }
}
