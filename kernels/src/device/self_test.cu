// Small kernels by which the device layer, the compiler and the emulator are tested.
#include "device/cuda.cuh"

extern "C" __global__ void __launch_bounds__(256) add_arrays(const float* __restrict__ a, const float* __restrict__ b,
                                                             float* __restrict__ sum, u32 count) {
    const u32 i = global_thread();
    if (i < count) sum[i] = a[i] + b[i];
}

// Adds the sum of each block's values to `total`.
extern "C" __global__ void __launch_bounds__(256) sum_blocks(const float* __restrict__ values, float* total, u32 count) {
    const u32 i = global_thread();
    const float sum = block_sum<256>(i < count ? values[i] : 0.0f);
    if (threadIdx.x == 0) atomicAdd(total, sum);
}

// Reverses each block's values through dynamic shared memory.
extern "C" __global__ void reverse_blocks(u32* values) {
    DYNAMIC_SHARED(u32, staged);
    const u32 i = global_thread();
    staged[threadIdx.x] = values[i];
    __syncthreads();
    values[i] = staged[blockDim.x - 1 - threadIdx.x];
}
