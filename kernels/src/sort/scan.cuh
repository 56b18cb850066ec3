// Prefix sums within a block.
#pragma once
#include "device/cuda.cuh"

// The sum of `value` over the threads before this one, and over all; `scratch` has room for 32 numbers. All threads of
// the block take part, and the block is a whole number of warps. Begins and ends with a barrier.
__device__ inline u32 block_exclusive_sum(u32 value, u32* scratch, u32& total) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    u32 sum = value;
#pragma unroll
    for (u32 distance = 1; distance < 32; distance *= 2) {
        u32 other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance) {
            sum += other;
        }
    }
    __syncthreads();
    if (lane == 31) {
        scratch[warp] = sum;
    }
    __syncthreads();
    u32 before = 0, all = 0;
    for (u32 w = 0; w < warps; w++) {
        u32 of_warp = scratch[w];
        before += w < warp ? of_warp : 0;
        all += of_warp;
    }
    total = all;
    __syncthreads();
    return before + sum - value;
}
