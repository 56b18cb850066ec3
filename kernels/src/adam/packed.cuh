// Adam's moments in few bits: `adam/packed.rs` says what the bits mean and why, and has the same formulas.
#pragma once
#include "adam/adam.cuh"
#include "device/half.cuh"

// Bits of the mantissa of the root of the second moment, and of the size of the ratio.
struct WideCode {
    static constexpr u32 MANTISSA = 10;
    static constexpr u32 SIZE_BITS = 15;
};
struct NarrowCode {
    static constexpr u32 MANTISSA = 3;
    static constexpr u32 SIZE_BITS = 6;
};

constexpr u32 PACKED_EXPONENT_BITS = 6;
constexpr u32 PACKED_SMALLEST_EXPONENT = 56;
constexpr float PACKED_LARGEST_RATIO = 8.0f;
constexpr float LARGEST_HALF = 65504.0f;
constexpr u32 GOLDEN = 0x9e3779b9u;

// Where the random numbers of a step's roundings come from.
struct Rounding {
    u32 key[2];
};

struct Draw {
    u32 second;
    u32 ratio;
    u32 value;
};

__device__ inline u32 murmur_mix(u32 bits) {
    bits = (bits ^ bits >> 16) * 0x85ebca6bu;
    bits = (bits ^ bits >> 13) * 0xc2b2ae35u;
    return bits ^ bits >> 16;
}

// For an element of the tensor number `tensor`.
__device__ inline Draw draw_rounding(const Rounding& rounding, u32 tensor, u32 element) {
    Draw d;
    d.second = murmur_mix(murmur_mix(element ^ (rounding.key[0] + tensor * GOLDEN)) ^ rounding.key[1]);
    d.ratio = murmur_mix(d.second + GOLDEN);
    d.value = murmur_mix(d.ratio + GOLDEN);
    return d;
}

// In [0, 1).
__device__ inline float uniform_of(u32 bits) { return (float)(bits >> 8) * 0x1p-24f; }

template <class Code>
__device__ inline float packed_root(u32 code) {
    constexpr u32 OFFSET = (127 - PACKED_SMALLEST_EXPONENT) << Code::MANTISSA;
    return code == 0 ? 0.0f : __uint_as_float((code + OFFSET) << (23 - Code::MANTISSA));
}

template <class Code>
__device__ inline void unpack_moments(u32 bits, float& first, float& second) {
    constexpr u32 LARGEST = (1u << Code::SIZE_BITS) - 1;
    float root = packed_root<Code>(bits >> (Code::SIZE_BITS + 1));
    float size = (float)(bits & LARGEST);
    float ratio = size * size * (PACKED_LARGEST_RATIO / (float)(LARGEST * LARGEST));
    first = (bits >> Code::SIZE_BITS & 1u) != 0 ? -ratio * root : ratio * root;
    second = root * root;
}

template <class Code>
__device__ inline u32 pack_moments(float first, float second, const Draw& draw) {
    constexpr u32 OFFSET = (127 - PACKED_SMALLEST_EXPONENT) << Code::MANTISSA;
    constexpr u32 MOST = (1u << (PACKED_EXPONENT_BITS + Code::MANTISSA)) - 1;
    constexpr u32 LARGEST = (1u << Code::SIZE_BITS) - 1;
    constexpr float SQUARED = (float)(LARGEST * LARGEST);
    u32 below = __float_as_uint(sqrtf(second)) >> (23 - Code::MANTISSA);
    below = min(below > OFFSET ? below - OFFSET : 0u, MOST - 1);
    float low = packed_root<Code>(below), high = packed_root<Code>(below + 1);
    float share = (second - low * low) / (high * high - low * low);
    u32 exponent = below + (uniform_of(draw.second) < share ? 1u : 0u);

    float root = packed_root<Code>(exponent);
    // A ratio of nothing to nothing is nothing.
    float place = 0.0f;
    if (exponent != 0) place = fminf(fabsf(first) / root * (SQUARED / PACKED_LARGEST_RATIO), SQUARED);
    int size = (int)sqrtf(place);
    share = (place - (float)(size * size)) / (float)(2 * size + 1);
    u32 rounded = min((u32)size + (uniform_of(draw.ratio) < share ? 1u : 0u), LARGEST);
    u32 sign = first < 0.0f && rounded > 0 ? 1u : 0u;
    return exponent << (Code::SIZE_BITS + 1) | sign << Code::SIZE_BITS | rounded;
}

// A neighbour of `value` among 16-bit floats, the upper one with the probability that makes it right in the mean.
__device__ inline f16 round_to_half(float value, u32 bits) {
    // Not by fminf, which would make a number of NaN.
    value = value > LARGEST_HALF ? LARGEST_HALF : (value < -LARGEST_HALF ? -LARGEST_HALF : value);
    float rounded = __uint_as_float((__float_as_uint(value) + (bits >> 19)) & ~0x1fffu);
    if (fabsf(value) < 0x1p-14f) {
        // Here all of them are 2^-24 apart.
        float steps = (float)(int)(fabsf(value) * 0x1p24f + uniform_of(bits));
        rounded = value < 0.0f ? -steps * 0x1p-24f : steps * 0x1p-24f;
    }
    return to_f16(rounded);
}

// One element whose value stays a float. Leaves the new one in `p`.
__device__ inline void adam_wide(const AdamUpdate& u, float g, const Rounding& rounding, u32 tensor, u32 element,
                                 float& p, u32& code) {
    float m, v;
    unpack_moments<WideCode>(code, m, v);
    adam_element(u, u.rate, g, p, m, v);
    code = pack_moments<WideCode>(m, v, draw_rounding(rounding, tensor, element));
}

// One element in a word: the value as a 16-bit float in the lower half, its moments in the upper one.
__device__ inline float value_of_word(u32 word) { return to_float(low_half(word)); }

__device__ inline u32 adam_word(const AdamUpdate& u, float g, const Rounding& rounding, u32 tensor, u32 element,
                                u32 word) {
    float m, v, p = value_of_word(word);
    unpack_moments<NarrowCode>(word >> 16, m, v);
    adam_element(u, u.rate, g, p, m, v);
    Draw draw = draw_rounding(rounding, tensor, element);
    return round_to_half(p, draw.value).bits | pack_moments<NarrowCode>(m, v, draw) << 16;
}
