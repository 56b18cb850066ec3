// Products of small matrices by the tensor cores, a warp together: D = A B + C with A [16, 16] and B [16, 8] in f16 or bf16,
// C and D [16, 8] in float.
//
// Fragments are those of PTX's mma.m16n8k16. With g = lane / 4 and t = lane % 4 a lane holds
//
//   a[0]: A[g][2t, 2t+1]   a[1]: A[g+8][2t, 2t+1]   a[2]: A[g][2t+8, 2t+9]   a[3]: A[g+8][2t+8, 2t+9]
//   b[0]: B[2t, 2t+1][g]   b[1]: B[2t+8, 2t+9][g]
//   c[0], c[1]: C[g][2t, 2t+1]   c[2], c[3]: C[g+8][2t, 2t+1]      and d as c
#pragma once

#include "device/half.cuh"

#ifdef TESSERA_EMULATOR
template <class Half>
inline void emulated_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], const float (&c)[4]) {
    u64 rows[2][WARP], columns[WARP];
    const emulator::Site site = {"device/matrix.cuh", __LINE__};
    const auto exchange = [&](u32 low, u32 high, u64* all) {
        const auto kind = emulator::Collective::Matrix;
        const uint64_t* slots = emulator::collective(kind, FULL_WARP, u64{high} << 32 | low, site);
        for (u32 i = 0; i < WARP; ++i) all[i] = slots[i];
    };
    exchange(a[0], a[1], rows[0]);
    exchange(a[2], a[3], rows[1]);
    exchange(b[0], b[1], columns);
    const u32 lane = emulator::lane();
    const auto half_of = [](u64 registers, u32 which, u32 odd) {
        const u32 pair = static_cast<u32>(which != 0 ? registers >> 32 : registers);
        return to_float(Half{static_cast<u16>(odd != 0 ? pair >> 16 : pair & 0xffffu)});
    };
    for (u32 i = 0; i < 4; ++i) {
        const u32 row = lane / 4, below = i / 2, column = lane % 4 * 2 + i % 2;
        float sum = c[i];
        for (u32 k = 0; k < 16; ++k) {
            const u32 owner = k % 8 / 2;
            const float left = half_of(rows[k / 8][row * 4 + owner], below, k % 2);
            const float right = half_of(columns[column * 4 + owner], k / 8, k % 2);
            sum += left * right;
        }
        d[i] = sum;
    }
}
#endif

// Of f16. All 32 lanes must call it.
__device__ __forceinline__ void multiply_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2],
                                                 const float (&c)[4]) {
#ifdef TESSERA_EMULATOR
    emulated_16x8x16<f16>(d, a, b, c);
#elif __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%10, %11, %12, %13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
#else
    // Turing's instruction is half as deep.
    float half_way[4];
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
                 : "=f"(half_way[0]), "=f"(half_way[1]), "=f"(half_way[2]), "=f"(half_way[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[2]), "r"(a[3]), "r"(b[1]), "f"(half_way[0]), "f"(half_way[1]), "f"(half_way[2]),
                   "f"(half_way[3]));
#endif
}

#if !defined(TESSERA_EMULATOR) && __CUDA_ARCH__ < 800
// Turing's cores know no bf16: each lane asks the others for its rows and columns. A function of its own, as it is long.
__device__ __noinline__ float4 shuffled_bf16_16x8x16(uint4 a, uint2 b, float4 c) {
    const u32 lane = threadIdx.x % WARP, rows[4] = {a.x, a.y, a.z, a.w}, columns[2] = {b.x, b.y};
    float sums[4] = {c.x, c.y, c.z, c.w};
#pragma unroll
    for (u32 k = 0; k < 16; ++k) {
        const u32 owner = k % 8 / 2, shift = k % 2 * 16;
        float left[2], right[2];
#pragma unroll
        for (u32 i = 0; i < 2; ++i) {
            left[i] = __uint_as_float(__shfl_sync(FULL_WARP, rows[k / 8 * 2 + i], lane / 4 * 4 + owner) >> shift << 16);
            right[i] = __uint_as_float(__shfl_sync(FULL_WARP, columns[k / 8], (lane % 4 * 2 + i) * 4 + owner) >> shift << 16);
        }
#pragma unroll
        for (u32 i = 0; i < 4; ++i) sums[i] = fmaf(left[i / 2], right[i % 2], sums[i]);
    }
    return make_float4(sums[0], sums[1], sums[2], sums[3]);
}
#endif

// Of bf16. All 32 lanes must call it.
__device__ __forceinline__ void multiply_bf16_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2],
                                                      const float (&c)[4]) {
#ifdef TESSERA_EMULATOR
    emulated_16x8x16<bf16>(d, a, b, c);
#elif __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%10, %11, %12, %13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
#else
    const float4 sums = shuffled_bf16_16x8x16(make_uint4(a[0], a[1], a[2], a[3]), make_uint2(b[0], b[1]),
                                              make_float4(c[0], c[1], c[2], c[3]));
    d[0] = sums.x;
    d[1] = sums.y;
    d[2] = sums.z;
    d[3] = sums.w;
#endif
}
