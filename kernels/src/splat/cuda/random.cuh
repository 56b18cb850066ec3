// The random numbers that the host draws too: `rand_pcg::Pcg64` and uniform numbers of the `rand` crate.
#pragma once
#include "device/cuda.cuh"

struct Pcg64 {
    u64 high;
    u64 low;
    u64 increment_high;
    u64 increment_low;
};

__device__ inline void pcg64_step(Pcg64& r) {
    constexpr u64 MULTIPLIER_HIGH = 0x2360ED051FC65DA4ull, MULTIPLIER_LOW = 0x4385DF649FCCF645ull;
    u64 high = __umul64hi(r.low, MULTIPLIER_LOW) + r.high * MULTIPLIER_LOW + r.low * MULTIPLIER_HIGH;
    u64 low = r.low * MULTIPLIER_LOW + r.increment_low;
    r.high = high + r.increment_high + (low < r.increment_low ? 1 : 0);
    r.low = low;
}

// `Pcg64::new(state_high << 64 | state_low, stream)`.
__device__ inline Pcg64 pcg64(u64 state_high, u64 state_low, u64 stream) {
    Pcg64 r;
    r.increment_high = stream >> 63;
    r.increment_low = stream << 1 | 1;
    r.low = state_low + r.increment_low;
    r.high = state_high + r.increment_high + (r.low < r.increment_low ? 1 : 0);
    pcg64_step(r);
    return r;
}

// Uniform in [0, 1).
__device__ inline float pcg64_uniform(Pcg64& r) {
    pcg64_step(r);
    u64 folded = r.high ^ r.low;
    u32 rotation = (u32)(r.high >> 58);
    u32 bits = (u32)(folded >> rotation | folded << ((64 - rotation) & 63));
    return __uint_as_float(bits >> 9 | 0x3f800000u) - 1.0f;
}

// Standard normal, by Box and Muller's transform.
__device__ inline float pcg64_normal(Pcg64& r) {
    float radius = pcg64_uniform(r) + 1.17549435e-38f;
    float angle = pcg64_uniform(r) * 6.28318531f;
    return sqrtf(-2.0f * logf(radius)) * cosf(angle);
}
