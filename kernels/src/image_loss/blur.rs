//! The separable Gaussian window: vertical blur of a block of rows and horizontal blur at eight pixels.
//!
//! Lanes never go through `array::map` and the like here: closures that the standard library calls are compiled
//! without AVX2.

use crate::simd::Lanes;

/// Half the window: it has 11 taps.
pub(super) const RADIUS: usize = 5;
/// Rows that the vertical blur produces together, so that each loaded row serves up to eight sums in registers.
pub(super) const BLOCK: usize = 8;
/// Rows that a block needs.
pub(super) const WINDOW: usize = BLOCK + 2 * RADIUS;

/// Half of a Gaussian with σ = 1.5 that sums to one, from the rim to the centre.
pub(super) const TAPS: [f32; RADIUS + 1] =
    [0.001_028_380_1, 0.007_598_758, 0.036_000_773, 0.109_360_69, 0.213_005_54, 0.266_011_72];

/// Blurs `vectors * 8` columns vertically: `out + r * stride` becomes the window over `rows[r..r + 11]`.
///
/// # Safety
/// All rows must be valid for that many columns, and the output rows must not overlap the input.
#[inline(always)]
pub(super) unsafe fn vertical<V: Lanes>(rows: &[*const f32; WINDOW], out: *mut f32, stride: usize, vectors: usize) {
    let mut taps = [V::all(0.0); RADIUS + 1];
    for i in 0..=RADIUS {
        taps[i] = V::all(TAPS[i]);
    }
    for x in (0..vectors).map(|i| 8 * i) {
        let mut sums = [V::all(0.0); BLOCK];
        // Spelt out, because the compiler leaves a loop of this size rolled, with a branch for each tap.
        macro_rules! add_rows {
            ($($k:literal)*) => {$(
                // SAFETY: as promised by the caller.
                let value = unsafe { V::load(rows[$k].add(x)) };
                for r in 0..BLOCK {
                    if $k >= r && $k - r <= 2 * RADIUS {
                        sums[r] = value.mul_add(taps[($k - r).min(2 * RADIUS - ($k - r))], sums[r]);
                    }
                }
            )*};
        }
        add_rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17);
        for r in 0..BLOCK {
            // SAFETY: as promised by the caller.
            unsafe { sums[r].store(out.add(r * stride + x)) };
        }
    }
}

/// The horizontal blur at the eight pixels from `pointer`.
///
/// # Safety
/// The eight pixels and five more on both sides must be readable.
#[inline(always)]
pub(super) unsafe fn horizontal<V: Lanes>(pointer: *const f32) -> V {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sum = V::load(pointer) * V::all(TAPS[RADIUS]);
        for distance in 1..=RADIUS {
            let pair = V::load(pointer.sub(distance)) + V::load(pointer.add(distance));
            sum = pair.mul_add(V::all(TAPS[RADIUS - distance]), sum);
        }
        sum
    }
}
