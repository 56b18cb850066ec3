// How kernels that go through splats read them.
#pragma once
#include "camera_projection/ewa.cuh"
#include "device/half.cuh"
#include "splat/cuda/harmonics.cuh"

// Threads of a block that stages harmonics in shared memory, and the length of a staged row: odd, for the banks' sake.
constexpr int SH_BLOCK = 128;
constexpr int SH_STRIDE = 45;

// The two ways in which harmonics above degree 0 are kept: as floats, and as 16-bit floats in words whose upper halves are
// Adam's moments (`adam/packed.cuh`).
struct FloatHarmonics {
    const float* values;
    __device__ float operator[](u64 at) const { return values[at]; }
};
struct WordHarmonics {
    const u32* words;
    __device__ float operator[](u64 at) const { return to_float(low_half(words[at])); }
};

__device__ inline Gaussian load_gaussian(const float* means, const float* log_scales, const float* quats,
                                         const float* opacity_logits, const float* filter_3d, const Shaping& shaping,
                                         u32 i) {
    Gaussian g;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        g.mean[k] = means[3 * i + k];
        g.log_scale[k] = log_scales[3 * i + k];
    }
    float4 quat = reinterpret_cast<const float4*>(quats)[i];
    g.quat[0] = quat.x;
    g.quat[1] = quat.y;
    g.quat[2] = quat.z;
    g.quat[3] = quat.w;
    g.opacity_logit = opacity_logits[i];
    g.filter_variance = shaping.filtered ? filter_3d[i] * filter_3d[i] : 0.0f;
    return g;
}

__device__ inline Ellipsoid load_ellipsoid(const float* means, const float* covariances, const float* opacities, u32 i) {
    Ellipsoid e;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        e.mean[k] = means[3 * i + k];
    }
#pragma unroll
    for (int k = 0; k < 6; k++) {
        e.covariance[k] = covariances[6 * (u64)i + k];
    }
    e.opacity = opacities[i];
    return e;
}

// The unit vector from the camera to a splat; returns one over the distance.
__device__ inline float direction_to(const float* means, const Camera& camera, u32 i, float direction[3]) {
    float squared = 0.0f;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        direction[k] = means[3 * i + k] - camera.position[k];
        squared += direction[k] * direction[k];
    }
    float inverse = 1.0f / sqrtf(fmaxf(squared, 1e-30f));
#pragma unroll
    for (int k = 0; k < 3; k++) {
        direction[k] *= inverse;
    }
    return inverse;
}

// Brings the harmonics in use of a block's splats to shared memory: `rows` is [SH_BLOCK, SH_STRIDE]. Rows of splats whose
// `wanted` is zero stay as they are.
template <class Harmonics>
__device__ inline void load_harmonics(const Harmonics& sh_rest, int degree, int stored_degree, const u32* wanted,
                                      float* rows) {
    int used = 3 * harmonics_above_zero(degree), stored = 3 * harmonics_above_zero(stored_degree);
    u64 first = (u64)blockIdx.x * SH_BLOCK * stored;
    for (int e = (int)threadIdx.x; e < SH_BLOCK * used; e += SH_BLOCK) {
        int row = e / used, column = e % used;
        if (wanted[row]) {
            rows[row * SH_STRIDE + column] = sh_rest[first + row * stored + column];
        }
    }
}
