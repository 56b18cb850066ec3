// Stable radix sort of pairs of a 32-bit key and a 32-bit value, eight bits a pass.
//
// Three kernels a pass: count the digits of every part of 4096 pairs, turn counts into places (a block for each digit),
// move the pairs. None waits for another block, so the result and the progress do not depend on the order in which
// blocks run. A pass reads 12 bytes for each pair (the key twice) and writes 8.
//
// Mapping: 256 threads take a part; a warp takes 512 consecutive pairs, 32 at a time in their order, so that ranks within
// a digit keep it. Lanes with the same digit find each other by `__match_any_sync`. Shared memory: counters for each warp
// and digit (8 KiB) and the part in the order of its digits (32 KiB), from which runs of one digit are written together.

#include "sort/scan.cuh"

constexpr u32 RADIX_DIGITS = 256;
constexpr u32 RADIX_THREADS = 256;
constexpr u32 RADIX_WARPS = RADIX_THREADS / 32;
constexpr u32 RADIX_ROUNDS = 16;
constexpr u32 RADIX_PART = RADIX_THREADS * RADIX_ROUNDS;

__device__ inline u32 radix_digit(u32 key, u32 shift) { return (key >> shift) & 255u; }

// `table` is [256, parts]: how many pairs of each part have each digit. A block takes a part.
extern "C" __global__ void __launch_bounds__(256) radix_count(const u32* keys, const u32* count,
                                                             u32 shift, u32* table) {
    __shared__ u32 counters[RADIX_DIGITS];
    counters[threadIdx.x] = 0;
    __syncthreads();
    u32 n = *count;
    u32 start = blockIdx.x * RADIX_PART;
    for (u32 round = 0; round < RADIX_ROUNDS; round++) {
        u32 i = start + round * RADIX_THREADS + threadIdx.x;
        if (i < n) {
            atomicAdd(&counters[radix_digit(keys[i], shift)], 1u);
        }
    }
    __syncthreads();
    table[threadIdx.x * gridDim.x + blockIdx.x] = counters[threadIdx.x];
}

// Counts of the parts become the number of pairs with that digit in earlier parts; `totals` is [256]. A block takes a
// digit.
extern "C" __global__ void __launch_bounds__(256) radix_scan(u32* table, u32 parts,
                                                            u32* totals) {
    __shared__ u32 scratch[32];
    u32* row = table + (u64)blockIdx.x * parts;
    u32 total = 0;
    for (u32 start = 0; start < parts; start += blockDim.x) {
        u32 i = start + threadIdx.x;
        u32 value = i < parts ? row[i] : 0;
        u32 sum;
        u32 before = block_exclusive_sum(value, scratch, sum);
        if (i < parts) {
            row[i] = total + before;
        }
        total += sum;
    }
    if (threadIdx.x == 0) {
        totals[blockIdx.x] = total;
    }
}

// Moves the pairs of a part to their places.
extern "C" __global__ void __launch_bounds__(256)
    radix_scatter(const u32* keys, const u32* values, u32* keys_out,
                  u32* values_out, const u32* count, u32 shift, const u32* table,
                  const u32* totals) {
    __shared__ u32 ranks[RADIX_WARPS][RADIX_DIGITS];
    __shared__ u32 sorted_keys[RADIX_PART];
    __shared__ u32 sorted_values[RADIX_PART];
    // Where the part's run of each digit begins in `sorted_keys`, and what to add to get its place in the output.
    __shared__ u32 first[RADIX_DIGITS];
    __shared__ u32 offset[RADIX_DIGITS];
    __shared__ u32 scratch[32];
    u32 thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    for (u32 w = 0; w < RADIX_WARPS; w++) {
        ranks[w][thread] = 0;
    }
    __syncthreads();
    u32 n = *count;
    u32 start = blockIdx.x * RADIX_PART;
    if (start >= n) {
        return;
    }

    // The rank of each pair among those of its warp that have its digit.
    u32 key[RADIX_ROUNDS], value[RADIX_ROUNDS], rank[RADIX_ROUNDS];
    u32 mine = start + warp * (32 * RADIX_ROUNDS) + lane;
#pragma unroll
    for (u32 round = 0; round < RADIX_ROUNDS; round++) {
        u32 i = mine + 32 * round;
        bool valid = i < n;
        key[round] = valid ? keys[i] : 0xffffffffu;
        value[round] = valid ? values[i] : 0u;
        // Pairs beyond the end get a digit that none has.
        u32 digit = valid ? radix_digit(key[round], shift) : RADIX_DIGITS;
        u32 peers = __match_any_sync(0xffffffffu, digit);
        u32 before = valid ? ranks[warp][digit] : 0;
        rank[round] = before + __popc(peers & ((1u << lane) - 1));
        __syncwarp();
        if (valid && (peers >> lane) == 1u) {
            ranks[warp][digit] = rank[round] + 1;
        }
        __syncwarp();
    }
    __syncthreads();

    // Ranks within a warp become ranks within the part: a thread takes a digit.
    u32 part_count = 0;
    for (u32 w = 0; w < RADIX_WARPS; w++) {
        u32 in_warp = ranks[w][thread];
        ranks[w][thread] = part_count;
        part_count += in_warp;
    }
    u32 all;
    u32 before_in_part = block_exclusive_sum(part_count, scratch, all);
    u32 before_in_all = block_exclusive_sum(totals[thread], scratch, all);
    first[thread] = before_in_part;
    offset[thread] = before_in_all + table[thread * gridDim.x + blockIdx.x] - before_in_part;
    __syncthreads();

#pragma unroll
    for (u32 round = 0; round < RADIX_ROUNDS; round++) {
        if (mine + 32 * round < n) {
            u32 digit = radix_digit(key[round], shift);
            u32 place = first[digit] + ranks[warp][digit] + rank[round];
            sorted_keys[place] = key[round];
            sorted_values[place] = value[round];
        }
    }
    __syncthreads();
    u32 here = min(n - start, RADIX_PART);
    for (u32 i = thread; i < here; i += RADIX_THREADS) {
        u32 place = i + offset[radix_digit(sorted_keys[i], shift)];
        keys_out[place] = sorted_keys[i];
        values_out[place] = sorted_values[i];
    }
}
