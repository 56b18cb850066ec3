// What all kernels of attention know: heads, and where their rows lie.
#pragma once

#include "device/cuda.cuh"

// What all tasks of a launch have in common. Rows of the other side are `groups` heads of one token each, those of queries
// `groups * shared`.
struct AttentionHeads {
    u32 groups;
    u32 shared;
    u32 width;
    u32 group;
    // Rows of queries of a group.
    u32 rows;
    // Products are exponents of two after this.
    float scale;
};

constexpr float LOWEST = -1e30f;
constexpr float LN_2 = 0.69314718f;
constexpr float LOG2_E = 1.44269504f;

// Where the row of a side begins whose tokens have `shared` rows in each group.
__device__ inline u64 row_start(const AttentionHeads& heads, u32 shared, u32 row) {
    u64 token = row / shared;
    return ((token * heads.groups + heads.group) * shared + row % shared) * heads.width;
}

// Four numbers of a row from `column` on, zeros behind its width.
__device__ inline float4 load_four(const AttentionHeads& heads, const float* row, u32 column) {
    if (heads.width % 4 == 0) {
        bool there = column < heads.width;
        return there ? *reinterpret_cast<const float4*>(row + column) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
    float x[4];
    for (u32 i = 0; i < 4; i++) {
        x[i] = column + i < heads.width ? row[column + i] : 0.0f;
    }
    return make_float4(x[0], x[1], x[2], x[3]);
}

// Of the four lanes that share a row.
__device__ inline float quad_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, 1));
    return fmaxf(value, __shfl_xor_sync(FULL_WARP, value, 2));
}

__device__ inline float quad_sum(float value) {
    value += __shfl_xor_sync(FULL_WARP, value, 1);
    return value + __shfl_xor_sync(FULL_WARP, value, 2);
}

// The logarithm to base 2 of a sum of exponentials of two, of which the highest exponent was taken off; minus infinity for a sum over nothing.
__device__ inline float log_of_sum(float highest, float total) {
    return total > 0.0f ? highest + log2f(total) : __uint_as_float(0xff800000u);
}
