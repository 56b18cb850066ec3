// What samples cost, the gradient of that by a field's outputs, and samples of a picture that stays on the device.
//
// A thread takes a sample; rows of samples lie side by side. 12 bytes are moved for a sample and output, and 4 to 28 for a pixel.

#include "device/cuda.cuh"

constexpr u32 SQUARED = 0;

// `rbf/cuda/cost.rs` fills both.
struct CostShape {
    u32 outputs;
    u32 samples;
    // From a row to the next.
    u32 stride;
    // 0: squared difference, 1: absolute one, divided by the size of what is wanted and `nearest`.
    u32 kind;
    float nearest;
};

struct PictureShape {
    u32 width;
    // Pixels along the unit square.
    u32 side;
    u32 channels;
    u32 samples;
    u32 stride;
    // Kernels near each pixel, if there are kernels.
    u32 neighbours;
};

// `values` and `wanted` are [outputs, stride]; `of_values` becomes the gradient of the mean cost. A block's sum goes to its place in `partials`.
extern "C" __global__ void __launch_bounds__(256)
    sample_cost(const float* values, const float* wanted, CostShape shape, float* of_values, float* partials) {
    const u32 sample = global_thread();
    const float share = __fdiv_rn(1.0f, (float)shape.samples), per_output = __fdiv_rn(1.0f, (float)shape.outputs);
    float cost = 0.0f;
    for (u32 o = 0; sample < shape.samples && o < shape.outputs; o++) {
        const u64 at = (u64)o * shape.stride + sample;
        const float difference = values[at] - wanted[at];
        if (shape.kind == SQUARED) {
            cost = fmaf(difference * difference, per_output, cost);
            of_values[at] = share * (2.0f * difference * per_output);
        } else {
            const float scale = __fdiv_rn(per_output, fabsf(wanted[at]) + shape.nearest);
            cost = fmaf(fabsf(difference), scale, cost);
            of_values[at] = share * copysignf(scale, difference);
        }
    }
    const float sum = block_sum<256>(cost);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// The mean cost of all samples, summed in order and in double precision. One block of 256 threads.
extern "C" __global__ void __launch_bounds__(256) mean_cost(const float* partials, u32 blocks, u32 samples, float* mean) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < blocks; i += 256) sum += (double)partials[i];
    sum = block_sum<256>(sum);
    if (threadIdx.x == 0) *mean = (float)(sum / (double)samples);
}

// From the numbers of pixels, counted row by row, to their middles in the unit square, [2, stride], what they are, [channels, stride], and the kernels
// near them, [samples, neighbours]. `pixels` is [pixels, channels] and `near` [pixels, neighbours] or null.
extern "C" __global__ void __launch_bounds__(256)
    take_pixels(const u32* chosen, const float* pixels, const u32* near, PictureShape shape, float* positions,
                float* wanted, u32* neighbours) {
    const u32 sample = global_thread();
    if (sample >= shape.samples) return;
    const u32 pixel = chosen[sample];
    const float side = (float)shape.side;
    // Exact, as on the CPU.
    positions[sample] = __fdiv_rn((float)(pixel % shape.width) + 0.5f, side);
    positions[shape.stride + sample] = __fdiv_rn((float)(pixel / shape.width) + 0.5f, side);
    for (u32 c = 0; c < shape.channels; c++) {
        wanted[(u64)c * shape.stride + sample] = pixels[(u64)pixel * shape.channels + c];
    }
    for (u32 k = 0; k < shape.neighbours; k++) {
        neighbours[(u64)sample * shape.neighbours + k] = near[(u64)pixel * shape.neighbours + k];
    }
}
