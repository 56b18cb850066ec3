// Small kernels by which the device layer, the compiler and the emulator are tested.
#include "device/matrix.cuh"

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

// Rounds numbers to f16 and bf16: their bits, and the floats that these are. `bits` and `floats` are [count, 2].
extern "C" __global__ void round_to_halves(const float* values, u16* bits, float* floats, u32 count) {
    const u32 i = global_thread();
    if (i >= count) return;
    const f16 half = to_f16(values[i]);
    const bf16 brain = to_bf16(values[i]);
    bits[2 * i] = half.bits;
    bits[2 * i + 1] = brain.bits;
    floats[2 * i] = to_float(half);
    floats[2 * i + 1] = to_float(brain);
}

template <class Round, class Multiply>
__device__ inline void multiply_row_major(const float* a, const float* b, const float* c, float* d, Round round,
                                          Multiply multiply) {
    const u32 g = threadIdx.x / 4, t = threadIdx.x % 4 * 2;
    const auto row = [&](u32 y, u32 x) { return pack(round(a[16 * y + x]), round(a[16 * y + x + 1])); };
    const auto column = [&](u32 y) { return pack(round(b[8 * y + g]), round(b[8 * (y + 1) + g])); };
    const u32 left[4] = {row(g, t), row(g + 8, t), row(g, t + 8), row(g + 8, t + 8)};
    const u32 right[2] = {column(t), column(t + 8)};
    const float add[4] = {c[8 * g + t], c[8 * g + t + 1], c[8 * (g + 8) + t], c[8 * (g + 8) + t + 1]};
    float sum[4];
    multiply(sum, left, right, add);
    for (u32 i = 0; i < 4; ++i) d[8 * (g + i / 2 * 8) + t + i % 2] = sum[i];
}

// D = A B + C for matrices in row-major order: A [16, 16], B [16, 8], C [16, 8], D [2, 16, 8]: by f16 and by bf16. One warp.
extern "C" __global__ void multiply_matrices(const float* a, const float* b, const float* c, float* d) {
    multiply_row_major(
        a, b, c, d, [](float x) { return to_f16(x); },
        [](auto& d, auto& a, auto& b, auto& c) { multiply_16x8x16(d, a, b, c); });
    multiply_row_major(
        a, b, c, d + 16 * 8, [](float x) { return to_bf16(x); },
        [](auto& d, auto& a, auto& b, auto& c) { multiply_bf16_16x8x16(d, a, b, c); });
}
