// 16-bit floats, as types of our own: NVRTC has none without the toolkit's headers.
//
// f16 has 10 bits of mantissa and reaches 65504; bf16 has 7 and float's range. Conversions round to nearest even; what is
// too large becomes infinite, NaN stays NaN. Buffers of them are `Buffer<u16>` on the host: pass `u16*` and reinterpret.
#pragma once

#include "device/cuda.cuh"

struct f16 {
    u16 bits;
};

struct bf16 {
    u16 bits;
};

__device__ __forceinline__ f16 to_f16(float value) {
#ifndef TESSERA_EMULATOR
    f16 half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(value));
    return half;
#else
    const u32 bits = __float_as_uint(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {static_cast<u16>(sign | 0x7fffu)};
    // 65520 and beyond round to infinity.
    if (magnitude >= 0x477ff000u) return {static_cast<u16>(sign | 0x7c00u)};
    if (magnitude < 0x38800000u) {
        // Below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the mantissa.
        const float shifted = __uint_as_float(magnitude) + 0.5f;
        return {static_cast<u16>(sign | (__float_as_uint(shifted) - 0x3f000000u))};
    }
    const u32 rounded = magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u);
    return {static_cast<u16>(sign | rounded >> 13)};
#endif
}

__device__ __forceinline__ float to_float(f16 half) {
#ifndef TESSERA_EMULATOR
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half.bits));
    return value;
#else
    const u32 sign = (half.bits & 0x8000u) << 16, magnitude = half.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude < 0x400u) {
        const float value = static_cast<float>(magnitude) * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    return __uint_as_float(sign | ((magnitude << 13) + 0x38000000u));
#endif
}

__device__ __forceinline__ bf16 to_bf16(float value) {
    const u32 bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<u16>(bits >> 16 | 0x40u)};
    return {static_cast<u16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

__device__ __forceinline__ float to_float(bf16 value) { return __uint_as_float(static_cast<u32>(value.bits) << 16); }

// Two of them in a register, `low` in the lower bits: how matrix fragments hold them.
__device__ __forceinline__ u32 pack(f16 low, f16 high) { return low.bits | static_cast<u32>(high.bits) << 16; }
__device__ __forceinline__ f16 low_half(u32 pair) { return {static_cast<u16>(pair & 0xffffu)}; }
__device__ __forceinline__ f16 high_half(u32 pair) { return {static_cast<u16>(pair >> 16)}; }
__device__ __forceinline__ u32 pack(bf16 low, bf16 high) { return low.bits | static_cast<u32>(high.bits) << 16; }

// Two numbers rounded to bf16, as `pack` and `to_bf16` do; one instruction where there is one.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
#if !defined(TESSERA_EMULATOR) && __CUDA_ARCH__ >= 800
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return pack(to_bf16(low), to_bf16(high));
#endif
}
