// Which blocks each query sees, by the scores that `select.rs` speaks of, in single precision as there.
//
// Mapping: a block takes a task, up to 8 queries that see the same means. Means come in the order of their blocks, `EACH` a
// thread, whose rows stay in registers for all heads of all queries; those of queries lie in shared memory, where a warp reads the same number at
// once. Then a warp takes a query: it adds up the scores of each block, in the order of its means, and draws the best `count`
// from them and the best so far, one after the other. There is no matrix of scores, whatever the number of blocks.
// 2 D operations for a head and a mean; bytes from memory are those of means once for 8 queries, 2 D operations a byte with 16 heads
// that share keys. Results have the same bits each time.

#include "sparse_attention/cuda/heads.cuh"

constexpr u32 NONE = 0xffffffffu;
constexpr u32 THREADS = 256;

// What a block keeps in shared memory.
struct Room {
    // The best so far of each query, and those that replace them: [queries, count]. A score and what is left of NONE
    // without the block's number, so that the larger is the better and of equal ones the first; 0 for none.
    u64* best;
    u64* better;
    // [queries, shared, W]
    float* rows;
    // [queries, shared]
    float* log_sums;
    // Of means, or for the last mean of a block of that: [queries, means of a tile].
    float* scores;
    // Of the part of a block that lies in tiles before, for each query.
    float* open;
    // In which block each mean lies, and the one behind.
    u32* blocks;
};

// The scores of a thread's means by all queries.
template <int W, int EACH>
__device__ inline void score_means(const AttentionHeads& heads, u32 queries, const float (&means)[EACH][W],
                                   const Room& room) {
    for (u32 query = 0; query < queries; query++) {
        float scores[EACH] = {};
        for (u32 head = query * heads.shared; head < (query + 1) * heads.shared; head++) {
            const float4* row = reinterpret_cast<const float4*>(room.rows + head * W);
            float products[EACH] = {};
#pragma unroll
            for (u32 d = 0; d < W / 4; d++) {
                float4 x = row[d];
#pragma unroll
                for (u32 e = 0; e < EACH; e++) {
                    products[e] = fmaf(x.x, means[e][4 * d], products[e]);
                    products[e] = fmaf(x.y, means[e][4 * d + 1], products[e]);
                    products[e] = fmaf(x.z, means[e][4 * d + 2], products[e]);
                    products[e] = fmaf(x.w, means[e][4 * d + 3], products[e]);
                }
            }
#pragma unroll
            for (u32 e = 0; e < EACH; e++) {
                scores[e] += exp2f(fmaxf(products[e] - room.log_sums[head], -126.0f));
            }
        }
#pragma unroll
        for (u32 e = 0; e < EACH; e++) {
            room.scores[(query * EACH + e) * THREADS + threadIdx.x] = scores[e];
        }
    }
}

// Leaves the score of each block that ends in a tile of `filled` means with its last mean. A warp calls it.
__device__ inline void add_up_blocks(u32 filled, const u32* blocks, float* scores, float* open) {
    float of_tiles_before = *open;
    __syncwarp();
    for (u32 last = threadIdx.x % WARP; last < filled; last += WARP) {
        bool ends = blocks[last] != blocks[last + 1];
        if (!ends && last + 1 < filled) continue;
        u32 first = last;
        while (first > 0 && blocks[first - 1] == blocks[last]) {
            first--;
        }
        float sum = first == 0 ? of_tiles_before : 0.0f;
        for (u32 mean = first; mean <= last; mean++) {
            sum += scores[mean];
        }
        scores[last] = sum;
        if (last + 1 == filled) *open = ends ? 0.0f : sum;
    }
    __syncwarp();
}

// Replaces the best `count` of a query by those among them and the blocks that end in a tile. A warp calls it.
__device__ inline void draw_best(u32 filled, const u32* blocks, const float* scores, u32 count, u64* best, u64* better) {
    u32 lane = threadIdx.x % WARP;
    u64 last = ~0ull;
    for (u32 i = 0; i < count; i++) {
        u64 most = 0;
        for (u32 mean = lane; mean < filled; mean += WARP) {
            if (blocks[mean] == blocks[mean + 1] || !(scores[mean] > 0.0f)) continue;
            u64 candidate = (u64)__float_as_uint(scores[mean]) << 32 | (NONE - blocks[mean]);
            if (candidate < last && candidate > most) most = candidate;
        }
        for (u32 j = lane; j < count; j += WARP) {
            if (best[j] < last && best[j] > most) most = best[j];
        }
        last = warp_max(most);
        if (lane == 0) better[i] = last;
    }
    __syncwarp();
    for (u32 i = lane; i < count; i += WARP) {
        best[i] = better[i];
    }
    __syncwarp();
}

template <int W, int EACH>
__device__ inline void select_for_task(const AttentionHeads& heads, u32 count, const u32* task, const u32* means,
                                       const u32* blocks, const float* q, const float* keys, const float* log_sums,
                                       u32* chosen, u64* memory) {
    constexpr u32 TILE = EACH * THREADS;
    u32 queries = task[1] - task[0], rows = queries * heads.shared, warp = threadIdx.x / WARP;
    Room room;
    room.best = memory;
    room.better = room.best + queries * count;
    room.rows = reinterpret_cast<float*>(room.better + queries * count);
    room.log_sums = room.rows + rows * W;
    room.scores = room.log_sums + rows;
    room.open = room.scores + queries * TILE;
    room.blocks = reinterpret_cast<u32*>(room.open + queries);
    for (u32 i = threadIdx.x; i < rows * W; i += THREADS) {
        u32 row = task[0] * heads.shared + i / W, column = i % W;
        room.rows[i] = column < heads.width ? heads.scale * q[row_start(heads, heads.shared, row) + column] : 0.0f;
    }
    for (u32 i = threadIdx.x; i < rows; i += THREADS) {
        room.log_sums[i] = log_sums[(u64)heads.group * heads.rows + task[0] * heads.shared + i];
    }
    for (u32 i = threadIdx.x; i < queries * count; i += THREADS) {
        room.best[i] = 0;
    }
    if (threadIdx.x < queries) room.open[threadIdx.x] = 0.0f;
    for (u32 start = task[2]; start < task[3]; start += TILE) {
        u32 filled = min(task[3] - start, TILE);
        float own[EACH][W];
        __syncthreads();
#pragma unroll
        for (u32 e = 0; e < EACH; e++) {
            u32 place = e * THREADS + threadIdx.x;
            // Behind the last mean a thread works with that, and nobody looks at what it finds.
            const float* row = keys + row_start(heads, 1, means[start + min(place, filled - 1)]);
#pragma unroll
            for (u32 d = 0; d < W; d += 4) {
                float4 x = load_four(heads, row, d);
                own[e][d] = x.x;
                own[e][d + 1] = x.y;
                own[e][d + 2] = x.z;
                own[e][d + 3] = x.w;
            }
            if (place < filled) room.blocks[place] = blocks[start + place];
        }
        if (threadIdx.x == 0) room.blocks[filled] = start + filled < task[3] ? blocks[start + filled] : NONE;
        __syncthreads();
        score_means<W, EACH>(heads, queries, own, room);
        __syncthreads();
        if (warp < queries) {
            float* scores = room.scores + warp * TILE;
            add_up_blocks(filled, room.blocks, scores, room.open + warp);
            draw_best(filled, room.blocks, scores, count, room.best + warp * count, room.better + warp * count);
        }
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < queries * count; i += THREADS) {
        const u64* best = room.best + i / count * count;
        u32 block = best[i % count] != 0 ? NONE - (u32)best[i % count] : NONE;
        // Ascending: behind those with smaller numbers. What is left over is behind all anyway.
        u32 place = block == NONE ? i % count : 0;
        for (u32 j = 0; j < count && block != NONE; j++) {
            place += best[j] != 0 && NONE - (u32)best[j] < block;
        }
        u64 query = (u64)heads.group * (heads.rows / heads.shared) + task[0] + i / count;
        chosen[query * count + place] = block;
    }
}

// Each block takes the task of its number: `tasks` is [tasks, 4], first query, end, first of `means` and `blocks`, end, at most
// 8 queries, one for each warp. `means` are those that queries see, ordered by the `blocks` that they lie in; `keys` are [M, groups, D]. `chosen`
// is [groups, queries, count]. Heads of at most 64 numbers.
extern "C" __global__ void __launch_bounds__(256)
    select_blocks(AttentionHeads heads, u32 count, const u32* tasks, const u32* means, const u32* blocks, const float* q,
                  const float* keys, const float* log_sums, u32* chosen) {
    DYNAMIC_SHARED(u64, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        select_for_task<16, 2>(heads, count, task, means, blocks, q, keys, log_sums, chosen, memory);
    } else if (heads.width <= 32) {
        select_for_task<32, 2>(heads, count, task, means, blocks, q, keys, log_sums, chosen, memory);
    } else {
        select_for_task<64, 1>(heads, count, task, means, blocks, q, keys, log_sums, chosen, memory);
    }
}

// Of at most 128, which take more registers.
extern "C" __global__ void __launch_bounds__(256)
    select_blocks_wide(AttentionHeads heads, u32 count, const u32* tasks, const u32* means, const u32* blocks,
                       const float* q, const float* keys, const float* log_sums, u32* chosen) {
    DYNAMIC_SHARED(u64, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    select_for_task<128, 1>(heads, count, task, means, blocks, q, keys, log_sums, chosen, memory);
}
