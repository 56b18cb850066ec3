// What the kernels of the rasteriser hand to each other, and how a splat covers a rectangle of pixels.
#pragma once
#include "device/cuda.cuh"

constexpr float MIN_ALPHA = 1.0f / 255.0f;
// log2 of MIN_ALPHA.
constexpr float MIN_LOG2_ALPHA = -7.9943534f;
constexpr float MAX_ALPHA = 0.999f;
constexpr float MIN_TRANSMITTANCE = 1e-4f;
constexpr float HALF_LOG2_E = 0.72134752f;

// Pixels along a side of a tile, and the part of it that a warp takes.
constexpr int TILE = 16;
constexpr int WARP_COLUMNS = 8;
constexpr int WARP_ROWS = 4;

// What compositing needs of one visible splat: 64 bytes. log2(alpha) = log2_opacity - (a dx² + b2 dx dy + c dy²).
struct __align__(16) Record {
    float mean[2];
    float a;
    float b2;
    float c;
    float log2_opacity;
    float rgb[3];
    float z;
    // Along a row at dy the splat touches x = mean - shear dy ± sqrt(half_width_squared - narrowing dy²).
    float shear;
    float narrowing;
    float half_width_squared;
    // First and last column and row that it touches: the last in the upper half.
    u32 columns;
    u32 rows;
    // How large its sums over pixels can become: `sums.cuh`.
    u32 sum_bits;
};

// Places of the numbers that the passes of a step leave on the device; `cuda/mod.rs` has the same.
constexpr u32 VISIBLE = 0;
// (splat, tile) pairs that fit the buffers, and all that there are.
constexpr u32 LISTED_INSTANCES = 1;
constexpr u32 WANTED_INSTANCES = 2;
// Bits of the largest |gradient| and |score| over the picture.
constexpr u32 LARGEST_GRADIENT = 3;
constexpr u32 LARGEST_SCORE = 4;

// The extent of a splat's ellipse within a strip of rows, relative to its mean.
struct Reach {
    float half_extent;
    float rightmost_dy;
};

__device__ inline Reach reach_of(const Record& r) {
    Reach reach;
    reach.half_extent = sqrtf(fmaxf(r.half_width_squared * r.c / (r.narrowing * r.a), 0.0f));
    reach.rightmost_dy = -0.5f * r.b2 / r.c * reach.half_extent;
    return reach;
}

// Left and right end, relative to the mean, of the ellipse between the rows at dy = top and dy = bottom.
__device__ inline void strip_extent(const Record& r, const Reach& reach, float top, float bottom, float& left,
                                    float& right) {
    float half_top = sqrtf(fmaxf(r.half_width_squared - r.narrowing * top * top, 0.0f));
    float half_bottom = sqrtf(fmaxf(r.half_width_squared - r.narrowing * bottom * bottom, 0.0f));
    float middle_top = -r.shear * top, middle_bottom = -r.shear * bottom;
    bool leftmost_inside = top <= -reach.rightmost_dy && -reach.rightmost_dy <= bottom;
    bool rightmost_inside = top <= reach.rightmost_dy && reach.rightmost_dy <= bottom;
    left = leftmost_inside ? -reach.half_extent : fminf(middle_top - half_top, middle_bottom - half_bottom);
    right = rightmost_inside ? reach.half_extent : fmaxf(middle_top + half_top, middle_bottom + half_bottom);
}

// First and last tile that the splat touches in a row of tiles; first > last for none.
__device__ inline void tiles_in_row(const Record& r, const Reach& reach, int row, int& first, int& last) {
    int x0 = (int)(r.columns & 0xffffu), x1 = (int)(r.columns >> 16);
    int y0 = max((int)(r.rows & 0xffffu), row * TILE), y1 = min((int)(r.rows >> 16), row * TILE + TILE - 1);
    float left, right;
    strip_extent(r, reach, (float)y0 + 0.5f - r.mean[1], (float)y1 + 0.5f - r.mean[1], left, right);
    // A hundredth of a pixel against rounding.
    first = (int)fminf(fmaxf(r.mean[0] + left - 0.51f, (float)x0), 65536.0f) / TILE;
    last = (int)fmaxf(fminf(r.mean[0] + right - 0.49f, (float)x1), 0.0f) / TILE;
}

// Whether the splat touches the rectangle of WARP_COLUMNS x WARP_ROWS pixels at (x, y).
__device__ inline bool touches(const Record& r, const Reach& reach, int x, int y) {
    int x0 = max((int)(r.columns & 0xffffu), x), x1 = min((int)(r.columns >> 16), x + WARP_COLUMNS - 1);
    int y0 = max((int)(r.rows & 0xffffu), y), y1 = min((int)(r.rows >> 16), y + WARP_ROWS - 1);
    if (x0 > x1 || y0 > y1) return false;
    float left, right;
    strip_extent(r, reach, (float)y0 + 0.5f - r.mean[1], (float)y1 + 0.5f - r.mean[1], left, right);
    return r.mean[0] + left - 0.51f <= (float)x1 && r.mean[0] + right - 0.49f >= (float)x0;
}

// 2^x as the hardware has it: 2 units in the last place.
__device__ inline float fast_exp2(float x) {
#ifdef TESSERA_EMULATOR
    return exp2f(x);
#else
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
#endif
}

// log2 of alpha before its cap, at an offset from the mean. Forward and backward pass must find the same bits.
__device__ inline float log2_alpha_at(float a, float b2, float c, float log2_opacity, float dx, float dy) {
    float slope = fmaf(a, dx, b2 * dy);
    return fmaf(-slope, dx, fmaf(-c * dy, dy, log2_opacity));
}
