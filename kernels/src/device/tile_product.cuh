// A tile of a product of two matrices, 64 rows by 64 columns by a block of 128 threads. Where the numbers come from is said by
// two functions, so matrices may be turned around or gathered.
//
// Single precision: a thread has 8 rows and every 16th column, 32 sums, for 12 numbers of shared memory each time. bf16:
// numbers are rounded, a warp has 16 rows and all columns, and the tensor cores multiply; sums are floats in both. Per inner
// index a tile has 8,192 operations for 128 numbers from memory.
#pragma once

#include "device/matrix.cuh"

constexpr u32 TILE = 64, TILE_INNER = 32, TILE_THREADS = 128;
// Rows of shared memory are so far from each other that lanes meet different banks.
constexpr u32 SINGLE_STRIDE = TILE + 1, PAIRS = TILE_INNER / 2, PAIR_STRIDE = PAIRS + 4;
constexpr u32 TILE_MEMORY = 2 * TILE_INNER * SINGLE_STRIDE;

template <bool BF16>
struct TileProduct {
    float sums[32] = {};

    // Adds the products over `inner` indices. `left(row, k)` and `right(k, column)` give numbers, zeros where there are none;
    // whether neighbours in memory are those along k is what the two flags say. `memory` has TILE_MEMORY words, shared.
    template <class Left, class Right>
    __device__ __forceinline__ void add(u32 inner, bool left_along_k, bool right_along_k, Left left, Right right,
                                        u32* memory) {
        for (u32 first = 0; first < inner; first += TILE_INNER) {
            const auto rows = [&](u32 row, u32 k) { return first + k < inner ? left(row, first + k) : 0.0f; };
            const auto columns = [&](u32 column, u32 k) { return first + k < inner ? right(first + k, column) : 0.0f; };
            __syncthreads();
            if constexpr (BF16) {
                stage_pairs(left_along_k, rows, memory);
                stage_pairs(right_along_k, columns, memory + TILE * PAIR_STRIDE);
            } else {
                stage(left_along_k, rows, memory);
                stage(right_along_k, columns, memory + TILE_INNER * SINGLE_STRIDE);
            }
            __syncthreads();
            if constexpr (BF16) {
                multiply_pairs(memory, memory + TILE * PAIR_STRIDE);
            } else {
                multiply(memory, memory + TILE_INNER * SINGLE_STRIDE);
            }
        }
    }

    // Calls `visit(row, column, sum)` for this thread's sums.
    template <class Visit>
    __device__ __forceinline__ void each(Visit visit) const {
        const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
#pragma unroll
        for (u32 i = 0; i < 32; ++i) {
            if constexpr (BF16) {
                visit(16 * warp + lane / 4 + i % 4 / 2 * 8, i / 4 * 8 + lane % 4 * 2 + i % 2, sums[i]);
            } else {
                visit(threadIdx.x / 16 * 8 + i / 4, threadIdx.x % 16 + i % 4 * 16, sums[i]);
            }
        }
    }

  private:
    template <class Number>
    static __device__ __forceinline__ void stage(bool along_k, Number number, u32* memory) {
#pragma unroll
        for (u32 e = threadIdx.x; e < TILE * TILE_INNER; e += TILE_THREADS) {
            const u32 line = along_k ? e / TILE_INNER : e % TILE, k = along_k ? e % TILE_INNER : e / TILE;
            memory[k * SINGLE_STRIDE + line] = __float_as_uint(number(line, k));
        }
    }

    template <class Number>
    static __device__ __forceinline__ void stage_pairs(bool along_k, Number number, u32* memory) {
#pragma unroll
        for (u32 e = threadIdx.x; e < TILE * PAIRS; e += TILE_THREADS) {
            const u32 line = along_k ? e / PAIRS : e % TILE, k = along_k ? e % PAIRS : e / TILE;
            memory[line * PAIR_STRIDE + k] = pack(to_bf16(number(line, 2 * k)), to_bf16(number(line, 2 * k + 1)));
        }
    }

    __device__ __forceinline__ void multiply(const u32* left, const u32* right) {
#pragma unroll 4
        for (u32 k = 0; k < TILE_INNER; ++k) {
            float columns[4];
#pragma unroll
            for (u32 j = 0; j < 4; ++j) columns[j] = __uint_as_float(right[k * SINGLE_STRIDE + threadIdx.x % 16 + 16 * j]);
#pragma unroll
            for (u32 i = 0; i < 8; ++i) {
                const float row = __uint_as_float(left[k * SINGLE_STRIDE + threadIdx.x / 16 * 8 + i]);
#pragma unroll
                for (u32 j = 0; j < 4; ++j) sums[4 * i + j] = fmaf(row, columns[j], sums[4 * i + j]);
            }
        }
    }

    __device__ __forceinline__ void multiply_pairs(const u32* left, const u32* right) {
        const u32 lane = threadIdx.x % WARP, group = lane / 4, pair = lane % 4, warp = threadIdx.x / WARP;
#pragma unroll
        for (u32 step = 0; step < PAIRS; step += 8) {
            const u32* above = left + (16 * warp + group) * PAIR_STRIDE + step + pair;
            const u32* below = above + 8 * PAIR_STRIDE;
            const u32 a[4] = {above[0], below[0], above[4], below[4]};
#pragma unroll
            for (u32 n = 0; n < 8; ++n) {
                const u32* column = right + (8 * n + group) * PAIR_STRIDE + step + pair;
                const u32 b[2] = {column[0], column[4]};
                float tile[4];
#pragma unroll
                for (u32 i = 0; i < 4; ++i) tile[i] = sums[4 * n + i];
                multiply_bf16_16x8x16(tile, a, b, tile);
#pragma unroll
                for (u32 i = 0; i < 4; ++i) sums[4 * n + i] = tile[i];
            }
        }
    }
};
