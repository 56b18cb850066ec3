//! The separable Gaussian window: vertical blur of a block of rows and horizontal blur at eight pixels.

use crate::simd::Lanes;

/// Half the window: it has 11 taps.
pub(super) const RADIUS: usize = 5;
/// Rows that the vertical blur produces together, so that each loaded row serves up to eight sums in registers.
pub(super) const BLOCK: usize = 8;
/// Rows that a block needs.
pub(super) const WINDOW: usize = BLOCK + 2 * RADIUS;

/// Half of a Gaussian with σ = 1.5 that sums to one, from the rim to the centre.
pub(super) const TAPS: [f32; RADIUS + 1] = [
    0.001_028_380_1,
    0.007_598_758,
    0.036_000_773,
    0.109_360_69,
    0.213_005_54,
    0.266_011_72,
];

/// Blurs `vectors * 8` columns vertically: `out + r * stride` becomes the window over `rows[r..r + 11]`.
///
/// # Safety
/// All rows must be valid for that many columns, and the output rows must not overlap the input.
#[inline(always)]
pub(super) unsafe fn vertical<V: Lanes>(rows: &[*const f32; WINDOW], out: *mut f32, stride: usize, vectors: usize) {
    let taps = TAPS.map(V::all);
    for x in (0..vectors).map(|i| 8 * i) {
        let mut sums = [V::all(0.0); BLOCK];
        for k in 0..WINDOW {
            // SAFETY: as promised by the caller.
            let value = unsafe { V::load(rows[k].add(x)) };
            for (r, sum) in sums.iter_mut().enumerate() {
                if k >= r && k - r <= 2 * RADIUS {
                    let tap = taps[(k - r).min(2 * RADIUS - (k - r))];
                    *sum = value.mul_add(tap, *sum);
                }
            }
        }
        for (r, sum) in sums.into_iter().enumerate() {
            // SAFETY: as promised by the caller.
            unsafe { sum.store(out.add(r * stride + x)) };
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
    let at = |offset: isize| unsafe { V::load(pointer.offset(offset)) };
    let mut sum = at(0) * V::all(TAPS[RADIUS]);
    for distance in 1..=RADIUS {
        let pair = at(-(distance as isize)) + at(distance as isize);
        sum = pair.mul_add(V::all(TAPS[RADIUS - distance]), sum);
    }
    sum
}
