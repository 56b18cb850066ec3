// From a splat's sums over pixels back through colour and projection, as in `cpu/parameters.rs`.
#pragma once
#include "splat/cuda/record.cuh"
#include "splat/cuda/splats.cuh"
#include "splat/cuda/sums.cuh"

// Gradients of one splat but those of the harmonics above degree 0, and what else is known of it. `Geometry` is
// GaussianGradient or EllipsoidGradient.
template <class Geometry>
struct Gradient {
    Geometry geometry;
    float sh0[3];
    float score;
    float mean2d_norm;
};
using SplatGradient = Gradient<GaussianGradient>;

__device__ inline float sum_of(const u64* sums, const u32* counters, const Record& record, u32 splat, u32 sum) {
    i64 units = (i64)sums[(u64)SUMS * splat + sum];
    return ldexpf((float)units, -unit_bits(counters, record.sum_bits, sum));
}

// The gradient by the colour before its clamp at zero.
__device__ inline void colour_gradient(const u64* sums, const u32* counters, const Record& record, u32 splat,
                                       float out[3]) {
#pragma unroll
    for (u32 channel = 0; channel < 3; channel++) {
        out[channel] = record.rgb[channel] > 0.0f ? sum_of(sums, counters, record, splat, SUM_RGB + channel) : 0.0f;
    }
}

// Through the parts of a Gaussian or an ellipsoid: `v_offset` is the gradient by mean minus camera position through the
// direction in which colour is seen.
template <class Geometry, class Shape, class ShapeParts>
__device__ inline Gradient<Geometry> gradient_of(const Camera& camera, const Shape& g, const ShapeParts& parts,
                                                 const Shaping& shaping, const Record& record, const u64* sums,
                                                 const u32* counters, u32 splat, const float v_offset[3]) {
    Gradient<Geometry> out;
    Footprint f = footprint_of(camera, g, parts, shaping);
    float dx = sum_of(sums, counters, record, splat, 1), dy = sum_of(sums, counters, record, splat, 2);
    FootprintGradient v;
    v.mean2d[0] = f.conic[0] * dx + f.conic[1] * dy;
    v.mean2d[1] = f.conic[1] * dx + f.conic[2] * dy;
    v.conic[0] = -0.5f * sum_of(sums, counters, record, splat, 3);
    v.conic[1] = -sum_of(sums, counters, record, splat, 4);
    v.conic[2] = -0.5f * sum_of(sums, counters, record, splat, 5);
    v.z = sum_of(sums, counters, record, splat, 9);
    v.opacity = sum_of(sums, counters, record, splat, 0) / fmaxf(f.opacity, 1e-12f);
    out.geometry = project_backward(camera, g, parts, shaping, v);
#pragma unroll
    for (int i = 0; i < 3; i++) {
        out.geometry.mean[i] += v_offset[i];
        // The camera's position moves by -Rᵀ ρ, so the offset by Rᵀ ρ.
        out.geometry.pose[i] += dot3(camera.rotation + 3 * i, v_offset);
    }
    colour_gradient(sums, counters, record, splat, out.sh0);
#pragma unroll
    for (int channel = 0; channel < 3; channel++) {
        out.sh0[channel] *= SH_Y0;
    }
    out.score = sum_of(sums, counters, record, splat, SUM_SCORE);
    out.mean2d_norm = sqrtf(v.mean2d[0] * v.mean2d[0] + v.mean2d[1] * v.mean2d[1]);
    return out;
}

__device__ inline SplatGradient splat_gradient(const Camera& camera, const Gaussian& g, const Shaping& shaping,
                                               const Record& record, const u64* sums, const u32* counters,
                                               u32 splat, const float v_offset[3]) {
    Parts parts = parts_of(camera, g);
    return gradient_of<GaussianGradient>(camera, g, parts, shaping, record, sums, counters, splat, v_offset);
}

// The harmonics of a block of SH_BLOCK splats on their way back; 34 KiB of shared memory.
struct HarmonicsBlock {
    float rows[SH_BLOCK * SH_STRIDE];
    float bases[SH_BLOCK * 15];
    float colours[SH_BLOCK * 3];
};

// The first stage: each thread finds out the basis and the colour's gradient of its splat, zero for invisible ones.
// Returns one over the distance from the camera, zero for invisible ones.
__device__ inline float begin_harmonics(HarmonicsBlock& block, const float* means, const Camera& camera, int degree,
                                        const u32* touched, const Record* records, const u64* sums,
                                        const u32* counters, u32 count, float direction[3]) {
    u32 i = blockIdx.x * SH_BLOCK + threadIdx.x;
    float colour[3] = {0.0f, 0.0f, 0.0f}, basis[15] = {0.0f}, inverse = 0.0f;
    if (i < count && touched[i] > 0) {
        colour_gradient(sums, counters, records[i], i, colour);
        inverse = direction_to(means, camera, i, direction);
        harmonics(degree, direction, basis);
    }
    for (int k = 0; k < 15; k++) {
        block.bases[15 * threadIdx.x + k] = basis[k];
    }
    for (int channel = 0; channel < 3; channel++) {
        block.colours[3 * threadIdx.x + channel] = colour[channel];
    }
    return inverse;
}

// The gradient of coefficient `column` of the splat in row `row`.
__device__ inline float harmonic_gradient(const HarmonicsBlock& block, int row, int column) {
    return block.colours[3 * row + column % 3] * block.bases[15 * row + column / 3];
}

// The last stage, when `rows` has the coefficients: each thread writes its splat's gradient by the offset.
__device__ inline void end_harmonics(const HarmonicsBlock& block, int degree, const float direction[3], float inverse,
                                     u32 count, float* v_offsets) {
    u32 i = blockIdx.x * SH_BLOCK + threadIdx.x;
    if (i >= count) return;
    float offset[3] = {0.0f, 0.0f, 0.0f};
    if (inverse > 0.0f) {
        const float* row = block.rows + threadIdx.x * SH_STRIDE;
        const float* colour = block.colours + 3 * threadIdx.x;
        float weights[15] = {0.0f}, g[3];
        for (int k = 0; k < harmonics_above_zero(degree); k++) {
            weights[k] = row[3 * k] * colour[0] + row[3 * k + 1] * colour[1] + row[3 * k + 2] * colour[2];
        }
        harmonics_gradient(degree, direction, weights, g);
        float along = g[0] * direction[0] + g[1] * direction[1] + g[2] * direction[2];
        for (int k = 0; k < 3; k++) {
            offset[k] = (g[k] - along * direction[k]) * inverse;
        }
    }
    for (int k = 0; k < 3; k++) {
        v_offsets[3 * i + k] = offset[k];
    }
}
