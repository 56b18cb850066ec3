// What every kernel includes first: names that NVRTC and the emulator (`kernels/emulator`) share.
//
// Kernels are plain CUDA C++17 without library headers: threadIdx and its kin, __shared__, __syncthreads (and _count, _and,
// _or), shuffles, votes, __match_any_sync, atomics, fast-math intrinsics. What differs between the two compilers is
// wrapped here: dynamic shared memory, fixed-size integers, 16-bit floats, reductions that old GPUs lack.
#pragma once

using i8 = signed char;
using u8 = unsigned char;
using u16 = unsigned short;
using i32 = int;
using u32 = unsigned int;
using i64 = long long;
using u64 = unsigned long long;

constexpr u32 WARP = 32;
constexpr u32 FULL_WARP = 0xffffffffu;

// DYNAMIC_SHARED(float, values): the launch's dynamic shared memory as an array. 16-byte aligned, one block of bytes: when
// used twice in a kernel both names mean the same bytes.
#ifndef TESSERA_EMULATOR
#define DYNAMIC_SHARED(type, name)                                        \
    extern __shared__ __align__(16) unsigned char tessera_dynamic_shared[]; \
    type* name = reinterpret_cast<type*>(tessera_dynamic_shared)
#endif

// The calling thread's index along x over the whole grid.
__device__ __forceinline__ u32 global_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Sum, smallest and largest value of all 32 lanes, in every lane. All lanes must call them.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
    for (u32 step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(FULL_WARP, value, step);
    return value;
}
template <class T>
__device__ __forceinline__ T warp_min(T value) {
    for (u32 step = WARP / 2; step > 0; step /= 2) value = min(value, __shfl_xor_sync(FULL_WARP, value, step));
    return value;
}
template <class T>
__device__ __forceinline__ T warp_max(T value) {
    for (u32 step = WARP / 2; step > 0; step /= 2) value = max(value, __shfl_xor_sync(FULL_WARP, value, step));
    return value;
}

// Sum of the values of the lanes before this one.
template <class T>
__device__ __forceinline__ T warp_exclusive_sum(T value) {
    const u32 lane = threadIdx.x % WARP;
    T sum = value;
    for (u32 step = 1; step < WARP; step *= 2) {
        const T other = __shfl_up_sync(FULL_WARP, sum, step);
        if (lane >= step) sum += other;
    }
    return sum - value;
}

// Sum over a block of THREADS threads (a multiple of 32; one-dimensional), in every thread. It contains barriers.
template <u32 THREADS, class T>
__device__ __forceinline__ T block_sum(T value) {
    static_assert(THREADS % WARP == 0 && THREADS <= WARP * WARP, "whole warps, at most 32 of them");
    __shared__ T sums[THREADS / WARP];
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = value;
    __syncthreads();
    T total = sums[0];
    for (u32 warp = 1; warp < THREADS / WARP; ++warp) total += sums[warp];
    return total;
}
