//! The numbers that lens and kernel mathematics is written over: scalars and SIMD lanes.

/// An array of an expression of an index: `each!(3, |i| a[i] + b[i])`.
///
/// It stands for `std::array::from_fn` and `map` in code over SIMD lanes: what is passed to those is a function of its
/// own, which is compiled without the caller's instruction set.
#[macro_export]
macro_rules! each {
    (2, |$i:ident| $e:expr) => {
        [$crate::each!(@ $i 0 $e), $crate::each!(@ $i 1 $e)]
    };
    (3, |$i:ident| $e:expr) => {
        [$crate::each!(@ $i 0 $e), $crate::each!(@ $i 1 $e), $crate::each!(@ $i 2 $e)]
    };
    (4, |$i:ident| $e:expr) => {
        [$crate::each!(@ $i 0 $e), $crate::each!(@ $i 1 $e), $crate::each!(@ $i 2 $e), $crate::each!(@ $i 3 $e)]
    };
    (@ $i:ident $n:literal $e:expr) => {{
        let $i: usize = $n;
        $e
    }};
}

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// The outcome of a comparison, one for each lane.
pub trait Mask: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// True if any lane is set.
    fn any(self) -> bool;
}

impl Mask for bool {
    fn any(self) -> bool {
        self
    }
}

/// One real number, or several side by side that take the same operations.
///
/// Implemented for `f32` and `f64` here and for SIMD lanes in `tessera-kernels`. Branches become
/// [`Real::select`], so code written over this trait is the same for one number and for eight.
pub trait Real:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The outcome of a comparison of two such numbers.
    type Mask: Mask;

    /// The constant `value` in every lane.
    fn splat(value: f64) -> Self;
    /// `self * a + b`, fused where the hardware can.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// The smaller of two values.
    fn min(self, other: Self) -> Self;
    /// The larger of two values.
    fn max(self, other: Self) -> Self;
    /// e to the power of `self`.
    fn exp(self) -> Self;
    /// Arc tangent, radians.
    fn atan(self) -> Self;
    /// `self < other`.
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other`.
    fn le(self, other: Self) -> Self::Mask;
    /// `a` where the mask is set, `b` elsewhere.
    fn select(mask: Self::Mask, a: Self, b: Self) -> Self;

    /// `1 / self`.
    #[inline(always)]
    fn recip(self) -> Self {
        Self::splat(1.0) / self
    }

    /// `self` squared.
    #[inline(always)]
    fn squared(self) -> Self {
        self * self
    }
}

macro_rules! scalar {
    ($t:ident) => {
        impl Real for $t {
            type Mask = bool;
            #[inline(always)]
            fn splat(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                self * a + b
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                $t::min(self, other)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                $t::max(self, other)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $t::exp(self)
            }
            #[inline(always)]
            fn atan(self) -> Self {
                $t::atan(self)
            }
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                self <= other
            }
            #[inline(always)]
            fn select(mask: bool, a: Self, b: Self) -> Self {
                if mask { a } else { b }
            }
        }
    };
}
scalar!(f32);
scalar!(f64);
