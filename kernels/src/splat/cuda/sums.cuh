// Sums over pixels for each splat, as integers: additions of integers commute, so the result does not depend on the order
// in which blocks run, to the bit.
//
// The unit is a power of two, small enough that what a float holds is kept and large enough that the sum over all pixels
// that the splat can cover fits 63 bits: 48 bits below the largest gradient of the picture, less one for each doubling of the
// pixels that the splat can cover. Offsets from the mean count in units of the largest one.
#pragma once
#include "splat/cuda/record.cuh"

// s, s dx, s dy, s dx², s dx dy, s dy², r, g, b, z, score; s is the gradient by ln alpha. The twelfth is unused.
constexpr u32 SUMS = 12;
constexpr u32 SUM_RGB = 6;
constexpr u32 SUM_SCORE = 10;

// The exponent of the power of two above a positive number, from its bits.
__device__ inline int exponent_above(u32 bits) { return bits == 0 ? 0 : (int)(bits >> 23) - 126; }

// Exponents of powers of two above the number of pixels that a splat can cover (upper half), and above the offsets of these
// from its mean (lower half).
__device__ inline u32 sum_bits_of(const Record& r) {
    float x0 = (float)(r.columns & 0xffffu), x1 = (float)(r.columns >> 16);
    float y0 = (float)(r.rows & 0xffffu), y1 = (float)(r.rows >> 16);
    float area = (x1 - x0 + 1.0f) * (y1 - y0 + 1.0f);
    float across = fmaxf(fabsf(x0 + 0.5f - r.mean[0]), fabsf(x1 + 0.5f - r.mean[0]));
    float down = fmaxf(fabsf(y0 + 0.5f - r.mean[1]), fabsf(y1 + 0.5f - r.mean[1]));
    int offset = max(exponent_above(__float_as_uint(fmaxf(across, down))), 0);
    return (u32)exponent_above(__float_as_uint(area)) << 16 | (u32)offset;
}

// How many factors of dx or dy a sum has.
__device__ inline int offsets_in(u32 sum) { return sum == 0 || sum > 5 ? 0 : sum < 3 ? 1 : 2; }

// The binary logarithm of how many units are 1.
__device__ inline int unit_bits(const u32* counters, u32 sum_bits, u32 sum) {
    u32 largest = counters[sum == SUM_SCORE ? LARGEST_SCORE : LARGEST_GRADIENT];
    return 48 - exponent_above(largest) - (int)(sum_bits >> 16) - (int)(sum_bits & 0xffffu) * offsets_in(sum);
}
