// Sums of the image loss: weights before the passes, values after them; and the loss of single pixels.
//
// Partial sums lie in memory block by block, and one block adds them up in double precision, always in the same order,
// so that values do not depend on the order in which blocks ran. No value goes through the host.

#include "image_loss/loss.cuh"

// Sums of the weights of a row of blocks, all of them and those of the map: `partials` is [blocks, 4].
extern "C" __global__ void __launch_bounds__(256) weight_sums(const float* weight, LossShape shape, float* partials) {
    int x = (int)(blockIdx.x * TILE + threadIdx.x % TILE), y = (int)(blockIdx.y * TILE + threadIdx.x / TILE);
    bool inside = x < shape.width && y < shape.height;
    int border = shape.map_border;
    bool in_map = x >= border && y >= border && x < shape.width - border && y < shape.height - border;
    float w = inside ? weight[(i64)y * shape.width + x] : 0.0f;
    write_partials(partials, w, in_map ? w : 0.0f, 0.0f);
}

// The sum of column `column` of `partials`.
__device__ inline double column_sum(const float* partials, u32 blocks, int column) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < blocks; i += blockDim.x) {
        sum += (double)partials[4 * i + column];
    }
    return block_sum<256>(sum);
}

// The scales of a comparison; `blocks` is 0 when there are no weights. One block of 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    loss_scales(const float* partials, u32 blocks, LossShape shape, LossScales* scales) {
    double inner = (double)(shape.width - 2 * shape.map_border) * (double)(shape.height - 2 * shape.map_border);
    double total = 3.0 * (double)shape.width * (double)shape.height, map_total = 3.0 * inner;
    if (blocks > 0) {
        total = 3.0 * column_sum(partials, blocks, 0);
        map_total = 3.0 * column_sum(partials, blocks, 1);
    }
    if (threadIdx.x == 0) {
        float inverse = total > 0.0 ? (float)(1.0 / total) : 0.0f;
        float map_inverse = map_total > 0.0 ? (float)(1.0 / map_total) : 0.0f;
        scales->pixel = (shape.squared ? 1.0f : 1.0f - shape.ssim_weight) * inverse;
        scales->ssim = -shape.ssim_weight * map_inverse;
        scales->inverse_total = inverse;
        scales->inverse_map_total = map_inverse;
    }
}

// `values` is [loss, l1, ssim, mse]. One block of 256 threads.
extern "C" __global__ void __launch_bounds__(256) loss_values(const float* partials, u32 blocks, LossShape shape,
                                                             const LossScales* scales, float* values) {
    float absolute = (float)column_sum(partials, blocks, 0);
    float squared = (float)column_sum(partials, blocks, 1);
    float similar = (float)column_sum(partials, blocks, 2);
    if (threadIdx.x == 0) {
        float l1 = absolute * scales->inverse_total;
        float ssim = scales->inverse_map_total > 0.0f ? similar * scales->inverse_map_total : 1.0f;
        values[0] = (1.0f - shape.ssim_weight) * l1 + shape.ssim_weight * (1.0f - ssim);
        values[1] = l1;
        values[2] = ssim;
        values[3] = squared * scales->inverse_total;
    }
}

// The loss of single pixels, without SSIM. A thread takes a pixel; `gradient` and `errors` may be null.
extern "C" __global__ void __launch_bounds__(256)
    pixel_loss(const float* image, const float* target, const float* weight, LossShape shape, const LossScales* scales,
               float* gradient, float* errors, float* partials) {
    int x = (int)(blockIdx.x * TILE + threadIdx.x % TILE), y = (int)(blockIdx.y * TILE + threadIdx.x / TILE);
    float absolute = 0.0f, squared = 0.0f;
    if (x < shape.width && y < shape.height) {
        i64 pixels = (i64)shape.width * shape.height, at = (i64)y * shape.width + x;
        float w = weight == nullptr ? 1.0f : weight[at];
        float error = 0.0f;
        for (int channel = 0; channel < 3; channel++) {
            float difference = image[channel * pixels + at] - target[channel * pixels + at];
            absolute += w * fabsf(difference);
            squared = fmaf(w * difference, difference, squared);
            error += fabsf(difference);
            if (gradient != nullptr) {
                gradient[channel * pixels + at] = slope_of(shape, difference, w * scales->pixel);
            }
        }
        if (errors != nullptr) {
            errors[at] = (1.0f - shape.ssim_weight) * error * w * (1.0f / 3.0f);
        }
    }
    write_partials(partials, absolute, squared, 0.0f);
}
