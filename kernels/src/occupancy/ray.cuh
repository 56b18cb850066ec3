// Rays of a step. `occupancy/cuda.rs` fills them.
#pragma once
#include "device/cuda.cuh"

struct DeviceRay {
    float origin[3];
    float near;
    // Of length 1.
    float direction[3];
    float far;
    // The share of a step at which its samples begin.
    float jitter;
};

// Cells a side of a block.
constexpr u32 BLOCK_SIDE = 8;

// The block in which a cell lies, for so many cells a side.
__device__ __forceinline__ u32 block_of(u32 resolution, u32 x, u32 y, u32 z) {
    const u32 side = (resolution + BLOCK_SIDE - 1) / BLOCK_SIDE;
    return x / BLOCK_SIDE + side * (y / BLOCK_SIDE + side * (z / BLOCK_SIDE));
}

__device__ __forceinline__ bool bit(const u32* bits, u32 index) { return (bits[index / 32] >> (index % 32) & 1) != 0; }
