//! Lanes in an AVX register. Every function must be inlined into one that enables AVX2 and FMA, which
//! [`dispatch!`](crate::dispatch) does.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one contract for the whole file: reached only through dispatch!"
)]

use super::lanes::{self, Lanes};
use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};
use tessera_camera::{Mask, Real};

/// Eight numbers in one register.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Avx2(__m256);

/// Eight truth values, all bits of a lane alike.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Avx2Mask(__m256);

macro_rules! lanewise {
    ($trait:ident, $method:ident, $type:ident, $intrinsic:ident) => {
        impl $trait for $type {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        }
    };
}
lanewise!(Add, add, Avx2, _mm256_add_ps);
lanewise!(Sub, sub, Avx2, _mm256_sub_ps);
lanewise!(Mul, mul, Avx2, _mm256_mul_ps);
lanewise!(Div, div, Avx2, _mm256_div_ps);
lanewise!(BitAnd, bitand, Avx2Mask, _mm256_and_ps);
lanewise!(BitOr, bitor, Avx2Mask, _mm256_or_ps);

impl Neg for Avx2 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0)) })
    }
}

impl Not for Avx2Mask {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_castsi256_ps(_mm256_set1_epi32(-1))) })
    }
}

impl Mask for Avx2Mask {
    #[inline(always)]
    fn any(self) -> bool {
        unsafe { _mm256_movemask_ps(self.0) != 0 }
    }
}

impl Real for Avx2 {
    type Mask = Avx2Mask;
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self::all(value as f32)
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, a.0, b.0) })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn exp(self) -> Self {
        lanes::exp(self)
    }
    #[inline(always)]
    fn atan(self) -> Self {
        lanes::atan(self)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Avx2Mask {
        Avx2Mask(unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) })
    }
    #[inline(always)]
    fn le(self, other: Self) -> Avx2Mask {
        Avx2Mask(unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, other.0) })
    }
    #[inline(always)]
    fn select(mask: Avx2Mask, a: Self, b: Self) -> Self {
        Self(unsafe { _mm256_blendv_ps(b.0, a.0, mask.0) })
    }
}

impl Avx2 {
    /// Places among `count`, of which there is at least one; the last one for what lies beyond it.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[inline(always)]
    unsafe fn places(count: usize, at: [u32; 8]) -> [u32; 8] {
        let last = u32::try_from(count - 1).unwrap_or(u32::MAX);
        let mut places = [0; 8];
        unsafe {
            let at = _mm256_loadu_si256(at.as_ptr().cast());
            let within = _mm256_min_epu32(at, _mm256_set1_epi32(last.cast_signed()));
            _mm256_storeu_si256(places.as_mut_ptr().cast(), within);
        }
        places
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn all(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    fn iota() -> Self {
        Self(unsafe { _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0) })
    }
    #[inline(always)]
    fn from_array(values: [f32; 8]) -> Self {
        Self(unsafe { _mm256_loadu_ps(values.as_ptr()) })
    }
    #[inline(always)]
    fn to_array(self) -> [f32; 8] {
        let mut out = [0.0; 8];
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), self.0) };
        out
    }
    #[inline(always)]
    unsafe fn load(pointer: *const f32) -> Self {
        Self(unsafe { _mm256_loadu_ps(pointer) })
    }
    #[inline(always)]
    unsafe fn store(self, pointer: *mut f32) {
        unsafe { _mm256_storeu_ps(pointer, self.0) }
    }
    #[inline(always)]
    unsafe fn gather(base: *const f32, offsets: [u32; 8], shift: u32) -> Self {
        unsafe {
            let indices = _mm256_loadu_si256(offsets.as_ptr().cast());
            Self(_mm256_i32gather_ps::<4>(base.add(shift as usize), indices))
        }
    }
    #[inline(always)]
    fn pairs_at(pairs: &[[f32; 2]], at: [u32; 8]) -> [Self; 2] {
        assert!(!pairs.is_empty(), "no pairs");
        // SAFETY: places are at most that of the last pair.
        unsafe {
            let places = Self::places(pairs.len(), at);
            let two = |i: usize| {
                let at = |i: usize| pairs.as_ptr().add(places[i] as usize).cast::<f64>();
                _mm_castpd_ps(_mm_loadh_pd(_mm_load_sd(at(i)), at(i + 1)))
            };
            let (a, b) = (_mm256_set_m128(two(4), two(0)), _mm256_set_m128(two(6), two(2)));
            [Self(_mm256_shuffle_ps::<0b10_00_10_00>(a, b)), Self(_mm256_shuffle_ps::<0b11_01_11_01>(a, b))]
        }
    }
    #[inline(always)]
    fn add_to_pairs(pairs: &mut [[f32; 2]], at: [u32; 8], [first, second]: [Self; 2]) {
        assert!(!pairs.is_empty(), "no pairs");
        // SAFETY: places are at most that of the last pair.
        unsafe {
            let places = Self::places(pairs.len(), at);
            let (low, high) = (_mm256_unpacklo_ps(first.0, second.0), _mm256_unpackhi_ps(first.0, second.0));
            let quarters = [
                _mm256_castps256_ps128(low),
                _mm256_castps256_ps128(high),
                _mm256_extractf128_ps::<1>(low),
                _mm256_extractf128_ps::<1>(high),
            ];
            for (i, two) in quarters.into_iter().enumerate() {
                for (place, pair) in [(places[2 * i], two), (places[2 * i + 1], _mm_movehl_ps(two, two))] {
                    let at = pairs.as_mut_ptr().add(place as usize).cast::<f64>();
                    let sum = _mm_add_ps(_mm_castpd_ps(_mm_load_sd(at)), pair);
                    _mm_store_sd(at, _mm_castps_pd(sum));
                }
            }
        }
    }
    #[inline(always)]
    fn floor(self) -> Self {
        Self(unsafe { _mm256_floor_ps(self.0) })
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        Self(unsafe { _mm256_ceil_ps(self.0) })
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm256_fnmadd_ps(self.0, a.0, b.0) })
    }
    #[inline(always)]
    fn pack_nibbles(self) -> u32 {
        unsafe {
            let shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
            let digits = _mm256_sllv_epi32(_mm256_cvtps_epi32(self.0), shifts);
            let four = _mm_or_si128(_mm256_castsi256_si128(digits), _mm256_extracti128_si256::<1>(digits));
            let two = _mm_or_si128(four, _mm_shuffle_epi32::<0b1110>(four));
            _mm_cvtsi128_si32(_mm_or_si128(two, _mm_shuffle_epi32::<1>(two))) as u32
        }
    }
    #[inline(always)]
    fn sum_each(g: [Self; 8]) -> [f32; 8] {
        unsafe {
            // Pairwise sums within the 128-bit halves, then across them.
            let ab_cd = _mm256_hadd_ps(_mm256_hadd_ps(g[0].0, g[1].0), _mm256_hadd_ps(g[2].0, g[3].0));
            let ef_gh = _mm256_hadd_ps(_mm256_hadd_ps(g[4].0, g[5].0), _mm256_hadd_ps(g[6].0, g[7].0));
            let low = _mm256_permute2f128_ps::<0x20>(ab_cd, ef_gh);
            let high = _mm256_permute2f128_ps::<0x31>(ab_cd, ef_gh);
            Self(_mm256_add_ps(low, high)).to_array()
        }
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    fn bits(mask: Avx2Mask) -> u32 {
        unsafe { _mm256_movemask_ps(mask.0) as u32 }
    }
    #[inline(always)]
    fn masked(self, mask: Avx2Mask) -> Self {
        Self(unsafe { _mm256_and_ps(self.0, mask.0) })
    }
    #[inline(always)]
    fn negative_abs(self) -> Self {
        Self(unsafe { _mm256_or_ps(self.0, _mm256_set1_ps(-0.0)) })
    }
    #[inline(always)]
    fn fast_recip(self) -> Self {
        // One Newton step from the 12-bit estimate.
        let estimate = Self(unsafe { _mm256_rcp_ps(self.0) });
        let error = Self(unsafe { _mm256_fnmadd_ps(self.0, estimate.0, _mm256_set1_ps(1.0)) });
        estimate.mul_add(error, estimate)
    }
    #[inline(always)]
    fn scale_by_power(self, shifted: Self) -> Self {
        unsafe {
            let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted.0));
            Self(_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self.0), power)))
        }
    }
}
