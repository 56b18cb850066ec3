// Kernels that do wrong, and the same done right: what the emulator must find and must not find.
#include "device/cuda.cuh"

extern "C" __global__ void write_behind(float* values, u32 count) {
    const u32 i = global_thread();
    if (i <= count) values[i] = 1.0f;
}

extern "C" __global__ void read_before(const float* values, float* out, u32 count) {
    const u32 i = global_thread();
    if (i < count) out[i] = values[static_cast<int>(i) - 1];
}

extern "C" __global__ void write_behind_shared(float* out) {
    DYNAMIC_SHARED(float, staged);
    staged[threadIdx.x + 1] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = staged[threadIdx.x];
}

extern "C" __global__ void barrier_for_some(float* values) {
    if (threadIdx.x < 40) __syncthreads();
    values[threadIdx.x] = 1.0f;
}

extern "C" __global__ void barrier_after_return(float* values, u32 count) {
    if (threadIdx.x >= count) return;
    __syncthreads();
    values[threadIdx.x] = 1.0f;
}

extern "C" __global__ void shuffle_for_some(u32* values) {
    if (threadIdx.x % WARP < 16) values[threadIdx.x] = __shfl_xor_sync(FULL_WARP, threadIdx.x, 1);
}

extern "C" __global__ void shuffle_from_outside(u32* values) {
    if (threadIdx.x < 16) values[threadIdx.x] = __shfl_sync(0xffffu, threadIdx.x, 20);
}

extern "C" __global__ void shuffle_without_itself(u32* values) {
    values[threadIdx.x] = __shfl_xor_sync(0xffu, threadIdx.x, 1);
}

template <bool with_barrier>
__device__ void rotate(u32* values) {
    __shared__ u32 staged[128];
    staged[threadIdx.x] = values[threadIdx.x];
    if (with_barrier) __syncthreads();
    values[threadIdx.x] = staged[(threadIdx.x + 1) % 128];
}
extern "C" __global__ void rotate_with_race(u32* values) { rotate<false>(values); }
extern "C" __global__ void rotate_properly(u32* values) { rotate<true>(values); }

template <bool with_barrier>
__device__ void rotate_warp(u32* values) {
    __shared__ u32 staged[128];
    const u32 first = threadIdx.x / WARP * WARP;
    staged[threadIdx.x] = values[threadIdx.x];
    if (with_barrier) __syncwarp();
    values[threadIdx.x] = staged[first + (threadIdx.x + 1) % WARP];
}
extern "C" __global__ void rotate_warp_with_race(u32* values) { rotate_warp<false>(values); }
extern "C" __global__ void rotate_warp_properly(u32* values) { rotate_warp<true>(values); }

extern "C" __global__ void overwrite_what_others_read(u32* values) {
    __shared__ u32 staged[64];
    staged[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    const u32 other = staged[63 - threadIdx.x];
    staged[threadIdx.x] = other;
    __syncthreads();
    values[threadIdx.x] = staged[threadIdx.x];
}

extern "C" __global__ void blocks_write_the_same(u32* values) { values[threadIdx.x] = blockIdx.x; }

extern "C" __global__ void count_plainly(u32* counter) { *counter += 1; }
extern "C" __global__ void count_atomically(u32* counter) { atomicAdd(counter, 1u); }

extern "C" __global__ void read_shared_before_writing(float* values) {
    __shared__ float staged[32];
    if (values[threadIdx.x] == 7.0f) staged[threadIdx.x] = 1.0f;
    values[threadIdx.x] = staged[threadIdx.x];
}

extern "C" __global__ void stop(u32* values) {
    if (values[0] == 7) __trap();
}

extern "C" __global__ void warp_operations(const u32* in, u32* out) {
    const u32 lane = threadIdx.x, value = in[lane];
    out[lane] = __match_any_sync(FULL_WARP, value);
    out[32 + lane] = __ballot_sync(FULL_WARP, value > 3);
    out[64 + lane] = static_cast<u32>(__any_sync(FULL_WARP, value > 8)) + 2 * __all_sync(FULL_WARP, value < 10);
    out[96 + lane] = __shfl_up_sync(FULL_WARP, value, 3);
    out[128 + lane] = __shfl_down_sync(FULL_WARP, value, 5, 8);
    out[160 + lane] = __shfl_sync(FULL_WARP, value, lane + 9, 16);
    out[192 + lane] = static_cast<u32>(__syncthreads_count(value > 3));
    out[224 + lane] = static_cast<u32>(__syncthreads_and(value < 10)) + 2 * static_cast<u32>(__syncthreads_or(value > 8));
    u32 active = 0;
    if (lane < 12) active = __ballot_sync(0xfffu, lane % 2);
    out[256 + lane] = active;
    out[288 + lane] = warp_exclusive_sum(value);
    out[320 + lane] = warp_max(value) * 100 + warp_min(value);
}
