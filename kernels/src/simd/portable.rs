//! Lanes as an array: what runs where there is no AVX2. Compilers turn these loops into SSE2 or NEON instructions.

use super::lanes::{self, Lanes};
use std::array::from_fn;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};
use tessera_camera::{Mask, Real};

/// Eight numbers in an array.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub struct Portable([f32; 8]);

/// Eight truth values.
#[derive(Clone, Copy, Debug)]
pub struct PortableMask([bool; 8]);

macro_rules! lanewise {
    ($trait:ident, $method:ident, $op:tt) => {
        impl $trait for Portable {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(from_fn(|i| self.0[i] $op other.0[i]))
            }
        }
    };
}
lanewise!(Add, add, +);
lanewise!(Sub, sub, -);
lanewise!(Mul, mul, *);
lanewise!(Div, div, /);

impl Neg for Portable {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|x| -x))
    }
}

impl BitAnd for PortableMask {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl BitOr for PortableMask {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] | other.0[i]))
    }
}

impl Not for PortableMask {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        Self(self.0.map(|x| !x))
    }
}

impl Mask for PortableMask {
    #[inline(always)]
    fn any(self) -> bool {
        self.0.into_iter().any(|x| x)
    }
}

impl Real for Portable {
    type Mask = PortableMask;
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([value as f32; 8])
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(from_fn(|i| if self.0[i] < other.0[i] { self.0[i] } else { other.0[i] }))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(from_fn(|i| if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] }))
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
    fn lt(self, other: Self) -> PortableMask {
        PortableMask(from_fn(|i| self.0[i] < other.0[i]))
    }
    #[inline(always)]
    fn le(self, other: Self) -> PortableMask {
        PortableMask(from_fn(|i| self.0[i] <= other.0[i]))
    }
    #[inline(always)]
    fn select(mask: PortableMask, a: Self, b: Self) -> Self {
        Self(from_fn(|i| if mask.0[i] { a.0[i] } else { b.0[i] }))
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn all(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    fn iota() -> Self {
        Self(from_fn(|i| i as f32))
    }
    #[inline(always)]
    fn from_array(values: [f32; 8]) -> Self {
        Self(values)
    }
    #[inline(always)]
    fn to_array(self) -> [f32; 8] {
        self.0
    }
    #[inline(always)]
    unsafe fn load(pointer: *const f32) -> Self {
        // SAFETY: the caller vouches for eight numbers.
        Self(unsafe { pointer.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, pointer: *mut f32) {
        // SAFETY: the caller vouches for eight numbers.
        unsafe { pointer.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn gather(base: *const f32, offsets: [u32; 8], shift: u32) -> Self {
        // SAFETY: the caller vouches for the addresses.
        Self(from_fn(|i| unsafe { *base.add(offsets[i] as usize + shift as usize) }))
    }
    #[inline(always)]
    fn floor(self) -> Self {
        Self(self.0.map(f32::floor))
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        Self(self.0.map(f32::ceil))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self, b: Self) -> Self {
        b - self * a
    }
    #[inline(always)]
    fn pack_nibbles(self) -> u32 {
        (0..8).fold(0, |packed, i| packed | ((self.0[i] as u32) << (4 * i)))
    }
    #[inline(always)]
    fn sum_each(groups: [Self; 8]) -> [f32; 8] {
        groups.map(Self::sum)
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let a = self.0;
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn bits(mask: PortableMask) -> u32 {
        (0..8).fold(0, |bits, i| bits | (u32::from(mask.0[i]) << i))
    }
    #[inline(always)]
    fn masked(self, mask: PortableMask) -> Self {
        Self(from_fn(|i| if mask.0[i] { self.0[i] } else { 0.0 }))
    }
    #[inline(always)]
    fn negative_abs(self) -> Self {
        Self(self.0.map(|x| -x.abs()))
    }
    #[inline(always)]
    fn fast_recip(self) -> Self {
        Self(self.0.map(f32::recip))
    }
    #[inline(always)]
    fn scale_by_power(self, shifted: Self) -> Self {
        Self(from_fn(|i| f32::from_bits(self.0[i].to_bits().wrapping_add(shifted.0[i].to_bits() << 23))))
    }
}
