// What the kernels of the image loss share.
#pragma once
#include "device/cuda.cuh"

// Pixels along a side of a tile, half the window, and a tile with its border.
constexpr int TILE = 16;
constexpr int RADIUS = 5;
constexpr int SPAN = TILE + 2 * RADIUS;

// Half of a Gaussian with a standard deviation of 1.5 that sums to one, from the rim to the centre, as in `blur.rs`.
__constant__ float TAPS[6] = {0.0010283801f, 0.007598758f, 0.036000773f, 0.10936069f, 0.21300554f, 0.26601172f};

// `image_loss/cuda.rs` fills it.
struct LossShape {
    int width;
    int height;
    // Map pixels nearer to the border than this do not count.
    int map_border;
    // 1 for squared differences, 0 for absolute ones.
    int squared;
    float ssim_weight;
};

// What the gradient and the sums are multiplied by; `loss_scales` computes it from the weights.
struct LossScales {
    float pixel;
    float ssim;
    float inverse_total;
    float inverse_map_total;
};

// The derivative of a pixel's loss by its difference.
__device__ inline float slope_of(const LossShape& shape, float difference, float scale) {
    if (shape.squared) {
        return 2.0f * scale * difference;
    }
    return difference > 0.0f ? scale : difference < 0.0f ? -scale : 0.0f;
}

// Adds up a block's sums into its row of `partials`, [blocks, 4].
__device__ inline void write_partials(float* partials, float absolute, float squared, float similar) {
    float sums[3] = {block_sum<256>(absolute), block_sum<256>(squared), block_sum<256>(similar)};
    if (threadIdx.x == 0) {
        u32 block = blockIdx.y * gridDim.x + blockIdx.x;
        partials[4 * block] = sums[0];
        partials[4 * block + 1] = sums[1];
        partials[4 * block + 2] = sums[2];
    }
}
