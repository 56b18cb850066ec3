// Attention over lists of ranges and its gradients on tensor cores; `attention.cu` does the same in single precision.
//
// Precision: queries, keys, values and gradients of outputs are rounded to bf16, products of them are summed in single precision. So are
// softmax and its derivative; weights and slopes are rounded to bf16, 2^-8 of each, where they are multiplied again.
//
// Mapping: a block takes a task, up to 64 rows that see the same ranges, in four warps. A warp has 16 rows, whose fragments stay in
// registers, as their sums do; where there are fewer than 64 rows, two or four warps share 16 and take every second or
// fourth part of the other side, and their sums are added in order at the end. The other side passes through shared memory a tile of OTHERS
// rows at a time, from as many ranges as are needed to fill it: lists of selected tokens have many short ones. A warp takes
// CHUNK of them at a time. Products of rows never leave registers: the layout in which they come out of the cores is that in which weights go in again.
//
// Shared memory holds two layouts of pairs: rows (columns 2c and 2c + 1 of a row side by side) for products over columns,
// and pairs of rows (a column of rows 2r and 2r + 1) for sums over rows. Strides are such that the eight by four lanes of a
// fragment read from 32 banks.
//
// For a row and one of the other side, 4 D operations forward, 6 D and 8 D in the two passes back. Bytes from memory, 8 D forward
// for each of the other side and 64 rows: 32 operations a byte, most of them from the second cache, and twice as many back.
// No two blocks write to the same place: results have the same bits each time.

#include "device/matrix.cuh"
#include "sparse_attention/cuda/heads.cuh"

constexpr u32 WARPS = 4, THREADS = WARPS * WARP;

// Words from a row, or a pair of rows, to the next.
template <int W>
constexpr u32 ROW_WORDS = W / 2 + 4;
template <int W>
constexpr u32 PAIR_WORDS = W + 8;

// How four warps share a task's rows.
struct Share {
    // Warps of the same 16 rows, and which of them this is.
    u32 parts;
    u32 part;
    // The first of the 16, and how many are there.
    u32 first;
    u32 count;
};

__device__ inline Share share_of_rows(u32 begin, u32 end) {
    u32 rows = end - begin, warp = threadIdx.x / WARP;
    u32 parts = rows <= 16 ? 4 : (rows <= 32 ? 2 : 1);
    u32 before = warp / parts * 16;
    return {parts, warp % parts, begin + before, before < rows ? min(rows - before, 16u) : 0};
}

// A list of ranges, and how far a block has come in it.
struct Walk {
    const u32* ranges;
    u32 list;
    u32 end;
    u32 at;
};

__device__ inline Walk walk_of(const u32* task, const u32* ranges) {
    return {ranges, task[2], task[3], task[2] < task[3] ? ranges[2 * task[2]] : 0};
}

// The next rows of the list, OTHERS if there are as many: how many, their numbers, and where they begin.
template <int OTHERS>
__device__ inline u32 next_rows(const AttentionHeads& heads, u32 shared, Walk& walk, u32* numbers, u64* starts) {
    u32 filled = 0;
    while (filled < OTHERS && walk.list < walk.end) {
        u32 end = walk.ranges[2 * walk.list + 1], count = min(end - walk.at, OTHERS - filled);
        for (u32 i = threadIdx.x; i < count; i += THREADS) {
            numbers[filled + i] = walk.at + i;
            starts[filled + i] = row_start(heads, shared, walk.at + i);
        }
        filled += count;
        walk.at += count;
        if (walk.at == end) {
            walk.list++;
            if (walk.list < walk.end) walk.at = walk.ranges[2 * walk.list];
        }
    }
    return filled;
}

// A warp's rows of one side as fragments, zeros behind their width and behind the last.
template <int W>
__device__ inline void load_fragments(const AttentionHeads& heads, u32 shared, const float* values, const Share& share,
                                      u32 (&fragments)[W / 16][4]) {
    u32 group = threadIdx.x % WARP / 4, pair = threadIdx.x % 4;
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = group + 8 * half;
        bool there = row < share.count;
        const float* values_of_row = values + (there ? row_start(heads, shared, share.first + row) : 0);
#pragma unroll
        for (u32 eight = 0; eight < W / 8; eight++) {
            u32 column = 8 * eight + 2 * pair;
            float low = there && column < heads.width ? values_of_row[column] : 0.0f;
            float high = there && column + 1 < heads.width ? values_of_row[column + 1] : 0.0f;
            fragments[eight / 2][half + 2 * (eight % 2)] = pack_bf16(low, high);
        }
    }
}

// Brings the rows that begin there to shared memory in the layouts that are not null, zeros behind the last. A thread takes four columns of two
// rows at a time.
template <int W, int OTHERS>
__device__ inline void load_others(const AttentionHeads& heads, const float* values, const u64* starts, u32 filled,
                                   u32* rows, u32* pairs) {
    for (u32 e = threadIdx.x; e < OTHERS / 2 * (W / 4); e += THREADS) {
        u32 pair = e / (W / 4), column = e % (W / 4) * 4;
        float4 x[2];
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            u32 place = 2 * pair + i;
            x[i] = place < filled ? load_four(heads, values + starts[place], column)
                                  : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        if (rows != nullptr) {
#pragma unroll
            for (u32 i = 0; i < 2; i++) {
                uint2 words = make_uint2(pack_bf16(x[i].x, x[i].y), pack_bf16(x[i].z, x[i].w));
                *reinterpret_cast<uint2*>(rows + (2 * pair + i) * ROW_WORDS<W> + column / 2) = words;
            }
        }
        if (pairs != nullptr) {
            uint4 words = make_uint4(pack_bf16(x[0].x, x[1].x), pack_bf16(x[0].y, x[1].y), pack_bf16(x[0].z, x[1].z),
                                     pack_bf16(x[0].w, x[1].w));
            *reinterpret_cast<uint4*>(pairs + pair * PAIR_WORDS<W> + column) = words;
        }
    }
}

// The products of a warp's rows with CHUNK rows of a tile from `first` on: [i] of eight of them has the layout of c.
template <int W, int CHUNK>
__device__ inline void multiply_rows(const u32 (&fragments)[W / 16][4], const u32* rows, u32 first,
                                     float (&products)[CHUNK / 8][4]) {
    u32 group = threadIdx.x % WARP / 4, pair = threadIdx.x % 4;
#pragma unroll
    for (u32 n = 0; n < CHUNK / 8; n++) {
        const u32* row = rows + (first + 8 * n + group) * ROW_WORDS<W> + pair;
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            products[n][i] = 0.0f;
        }
#pragma unroll
        for (u32 k = 0; k < W / 16; k++) {
            u32 b[2] = {row[8 * k], row[8 * k + 4]};
            multiply_bf16_16x8x16(products[n], fragments[k], b, products[n]);
        }
    }
}

// sums += weights times CHUNK rows of a tile from `first` on.
template <int W, int CHUNK>
__device__ inline void add_weighted(const float (&weights)[CHUNK / 8][4], const u32* pairs, u32 first,
                                    float (&sums)[W / 8][4]) {
    u32 group = threadIdx.x % WARP / 4, pair = threadIdx.x % 4;
#pragma unroll
    for (u32 k = 0; k < CHUNK / 16; k++) {
        const float(&left)[4] = weights[2 * k];
        const float(&right)[4] = weights[2 * k + 1];
        u32 a[4] = {pack_bf16(left[0], left[1]), pack_bf16(left[2], left[3]), pack_bf16(right[0], right[1]),
                    pack_bf16(right[2], right[3])};
        const u32* column = pairs + (first / 2 + 8 * k + pair) * PAIR_WORDS<W> + group;
#pragma unroll
        for (u32 n = 0; n < W / 8; n++) {
            u32 b[2] = {column[8 * n], column[4 * PAIR_WORDS<W> + 8 * n]};
            multiply_bf16_16x8x16(sums[n], a, b, sums[n]);
        }
    }
}

// Writes the sums of a warp's rows, times `scale` of either half of them.
template <int W>
__device__ inline void write_sums(const AttentionHeads& heads, u32 shared, const Share& share, const float (&scale)[2],
                                  const float (&sums)[W / 8][4], float* out) {
    u32 group = threadIdx.x % WARP / 4, pair = threadIdx.x % 4;
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = group + 8 * half;
        if (row >= share.count) continue;
        float* out_of_row = out + row_start(heads, shared, share.first + row);
#pragma unroll
        for (u32 n = 0; n < W / 8; n++) {
            u32 column = 8 * n + 2 * pair;
            if (column < heads.width) out_of_row[column] = scale[half] * sums[n][2 * half];
            if (column + 1 < heads.width) out_of_row[column + 1] = scale[half] * sums[n][2 * half + 1];
        }
    }
}

// Where a warp leaves a number of each of its lanes for the warp that takes its part over.
__device__ inline u32 hand_over(u32 numbers, u32 warp, u32 number) {
    return (warp * numbers + number) * WARP + threadIdx.x % WARP;
}

// Adds the sums of the parts of the same rows, in their order, to those of the first.
template <int N>
__device__ inline void add_parts(const Share& share, float (&sums)[N][4], float* memory) {
    if (share.parts == 1) return;
    u32 warp = threadIdx.x / WARP;
    __syncthreads();
    if (share.part > 0) {
#pragma unroll
        for (u32 i = 0; i < 4 * N; i++) {
            memory[hand_over(4 * N, warp - 1, i)] = sums[i / 4][i % 4];
        }
    }
    __syncthreads();
    if (share.part > 0) return;
    for (u32 other = 1; other < share.parts; other++) {
#pragma unroll
        for (u32 i = 0; i < 4 * N; i++) {
            sums[i / 4][i % 4] += memory[hand_over(4 * N, warp + other - 1, i)];
        }
    }
}

// What a warp knows of each half of its rows: the highest exponent, and this lane's part of the sum of exponentials less that.
struct Softmax {
    float highest[2];
    float total[2];
};

// The same for parts of the same rows, whose sums are brought to the same highest exponent.
template <int N>
__device__ inline void join_parts(const Share& share, Softmax& softmax, float (&sums)[N][4], float* memory) {
    if (share.parts == 1) return;
    constexpr u32 NUMBERS = 4 * N + 4;
    u32 warp = threadIdx.x / WARP;
    __syncthreads();
    if (share.part > 0) {
#pragma unroll
        for (u32 i = 0; i < 4 * N; i++) {
            memory[hand_over(NUMBERS, warp - 1, i)] = sums[i / 4][i % 4];
        }
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            memory[hand_over(NUMBERS, warp - 1, 4 * N + half)] = softmax.highest[half];
            memory[hand_over(NUMBERS, warp - 1, 4 * N + 2 + half)] = softmax.total[half];
        }
    }
    __syncthreads();
    if (share.part > 0) return;
    for (u32 other = warp; other < warp + share.parts - 1; other++) {
        float own_share[2], other_share[2];
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float highest = memory[hand_over(NUMBERS, other, 4 * N + half)];
            float most = fmaxf(softmax.highest[half], highest);
            own_share[half] = exp2f(softmax.highest[half] - most);
            other_share[half] = exp2f(highest - most);
            float total = memory[hand_over(NUMBERS, other, 4 * N + 2 + half)];
            softmax.total[half] = own_share[half] * softmax.total[half] + other_share[half] * total;
            softmax.highest[half] = most;
        }
#pragma unroll
        for (u32 i = 0; i < 4 * N; i++) {
            float& sum = sums[i / 4][i % 4];
            sum = own_share[i % 4 / 2] * sum + other_share[i % 4 / 2] * memory[hand_over(NUMBERS, other, i)];
        }
    }
}

// The products of a chunk become exponentials, less the highest so far; the sums so far are brought to the same.
template <int N, int CHUNKS>
__device__ inline void exponentials(float scale, u32 there, Softmax& softmax, float (&products)[CHUNKS][4],
                                    float (&sums)[N][4]) {
    u32 pair = threadIdx.x % 4;
    float most[2] = {softmax.highest[0], softmax.highest[1]};
#pragma unroll
    for (u32 i = 0; i < 4 * CHUNKS; i++) {
        float& product = products[i / 4][i % 4];
        product = i / 4 * 8 + 2 * pair + i % 2 < there ? scale * product : LOWEST;
        most[i % 4 / 2] = fmaxf(most[i % 4 / 2], product);
    }
    float keep[2];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        most[half] = quad_max(most[half]);
        keep[half] = exp2f(softmax.highest[half] - most[half]);
        softmax.total[half] *= keep[half];
        softmax.highest[half] = most[half];
    }
#pragma unroll
    for (u32 i = 0; i < 4 * CHUNKS; i++) {
        float& weight = products[i / 4][i % 4];
        weight = exp2f(weight - most[i % 4 / 2]);
        softmax.total[i % 4 / 2] += weight;
    }
#pragma unroll
    for (u32 i = 0; i < 4 * N; i++) {
        sums[i / 4][i % 4] *= keep[i % 4 / 2];
    }
}

template <int W, int OTHERS, int CHUNK>
__device__ inline void attend_task(const AttentionHeads& heads, const u32* task, const u32* ranges, const float* q,
                                   const float* k, const float* v, float* out, float* log_sums, u32* memory) {
    u32* keys = memory;
    u32* values = keys + OTHERS * ROW_WORDS<W>;
    u64* starts = reinterpret_cast<u64*>(values + OTHERS / 2 * PAIR_WORDS<W>);
    u32* numbers = reinterpret_cast<u32*>(starts + OTHERS);
    Share share = share_of_rows(task[0], task[1]);
    u32 queries[W / 16][4];
    load_fragments<W>(heads, heads.shared, q, share, queries);
    Softmax softmax = {{LOWEST, LOWEST}, {0.0f, 0.0f}};
    float sums[W / 8][4] = {};
    Walk walk = walk_of(task, ranges);
    while (walk.list < walk.end) {
        __syncthreads();
        u32 filled = next_rows<OTHERS>(heads, 1, walk, numbers, starts);
        __syncthreads();
        load_others<W, OTHERS>(heads, k, starts, filled, keys, nullptr);
        load_others<W, OTHERS>(heads, v, starts, filled, nullptr, values);
        __syncthreads();
        if (share.count == 0) continue;
        for (u32 first = share.part * CHUNK; first < filled; first += share.parts * CHUNK) {
            float weights[CHUNK / 8][4];
            multiply_rows<W, CHUNK>(queries, keys, first, weights);
            exponentials(heads.scale, filled - first, softmax, weights, sums);
            add_weighted<W, CHUNK>(weights, values, first, sums);
        }
    }
    join_parts(share, softmax, sums, reinterpret_cast<float*>(memory));
    float scale[2];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        float total = quad_sum(softmax.total[half]);
        scale[half] = total > 0.0f ? 1.0f / total : 0.0f;
        u32 row = threadIdx.x % WARP / 4 + 8 * half;
        if (share.part == 0 && threadIdx.x % 4 == 0 && row < share.count) {
            u64 place = (u64)heads.group * heads.rows + share.first + row;
            log_sums[place] = log_of_sum(softmax.highest[half], total);
        }
    }
    if (share.part == 0) write_sums<W>(heads, heads.shared, share, scale, sums, out);
}

// Each block takes the task of its number, as in `attention.cu`. Heads of at most 64 numbers.
extern "C" __global__ void __launch_bounds__(128)
    attend_bf16(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q, const float* k,
                const float* v, float* out, float* log_sums) {
    DYNAMIC_SHARED(u32, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        attend_task<16, 128, 32>(heads, task, ranges, q, k, v, out, log_sums, memory);
    } else if (heads.width <= 32) {
        attend_task<32, 128, 32>(heads, task, ranges, q, k, v, out, log_sums, memory);
    } else {
        attend_task<64, 128, 32>(heads, task, ranges, q, k, v, out, log_sums, memory);
    }
}

// Of at most 128, which take more registers.
extern "C" __global__ void __launch_bounds__(128)
    attend_bf16_wide(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q, const float* k,
                     const float* v, float* out, float* log_sums) {
    DYNAMIC_SHARED(u32, memory);
    attend_task<128, 64, 16>(heads, tasks + 4 * blockIdx.x, ranges, q, k, v, out, log_sums, memory);
}

// One pass back, as in `attention.cu`. By queries: rows are queries and gradients of outputs, the other side keys and values,
// and `first_out` is the gradient of queries. By keys: the other way round, and `first_out` and `second_out` are those of
// keys and values.
template <int W, int OTHERS, bool BY_KEYS>
__device__ inline void pass_back(const AttentionHeads& heads, const u32* task, const u32* ranges, const float* q,
                                 const float* k, const float* v, const float* by_out, const float* log_sums,
                                 const float* deltas, float* first_out, float* second_out, u32* memory) {
    constexpr int CHUNK = 16;
    u32* first_others = memory;
    u32* second_others = first_others + OTHERS * ROW_WORDS<W>;
    u32* first_pairs = second_others + OTHERS * ROW_WORDS<W>;
    u32* second_pairs = first_pairs + OTHERS / 2 * PAIR_WORDS<W>;
    u64* starts = reinterpret_cast<u64*>(second_pairs + (BY_KEYS ? OTHERS / 2 * PAIR_WORDS<W> : 0));
    u32* numbers = reinterpret_cast<u32*>(starts + OTHERS);
    float* of_others = reinterpret_cast<float*>(numbers + OTHERS);
    u32 row_shared = BY_KEYS ? 1 : heads.shared, other_shared = BY_KEYS ? heads.shared : 1;
    u32 group = threadIdx.x % WARP / 4, pair = threadIdx.x % 4;
    log_sums += (u64)heads.group * heads.rows;
    deltas += (u64)heads.group * heads.rows;
    Share share = share_of_rows(task[0], task[1]);
    u32 first_rows[W / 16][4], second_rows[W / 16][4];
    load_fragments<W>(heads, row_shared, BY_KEYS ? k : q, share, first_rows);
    load_fragments<W>(heads, row_shared, BY_KEYS ? v : by_out, share, second_rows);
    float own_log_sums[2] = {0.0f, 0.0f}, own_deltas[2] = {0.0f, 0.0f};
    for (u32 half = 0; half < 2 && !BY_KEYS; half++) {
        u32 row = group + 8 * half;
        if (row < share.count) {
            own_log_sums[half] = log_sums[share.first + row];
            own_deltas[half] = deltas[share.first + row];
        }
    }
    float first_sums[W / 8][4] = {}, second_sums[BY_KEYS ? W / 8 : 1][4] = {};
    Walk walk = walk_of(task, ranges);
    while (walk.list < walk.end) {
        __syncthreads();
        u32 filled = next_rows<OTHERS>(heads, other_shared, walk, numbers, starts);
        __syncthreads();
        load_others<W, OTHERS>(heads, BY_KEYS ? q : k, starts, filled, first_others, first_pairs);
        load_others<W, OTHERS>(heads, BY_KEYS ? by_out : v, starts, filled, second_others,
                               BY_KEYS ? second_pairs : nullptr);
        if (BY_KEYS) {
            for (u32 i = threadIdx.x; i < OTHERS; i += THREADS) {
                of_others[i] = i < filled ? log_sums[numbers[i]] : 0.0f;
                of_others[OTHERS + i] = i < filled ? deltas[numbers[i]] : 0.0f;
            }
        }
        __syncthreads();
        if (share.count == 0) continue;
        for (u32 first = share.part * CHUNK; first < filled; first += share.parts * CHUNK) {
            float weights[CHUNK / 8][4], slopes[CHUNK / 8][4];
            multiply_rows<W, CHUNK>(first_rows, first_others, first, weights);
            multiply_rows<W, CHUNK>(second_rows, second_others, first, slopes);
#pragma unroll
            for (u32 i = 0; i < CHUNK / 2; i++) {
                u32 other = first + i / 4 * 8 + 2 * pair + i % 2;
                float log_sum = BY_KEYS ? of_others[other] : own_log_sums[i % 4 / 2];
                float delta = BY_KEYS ? of_others[OTHERS + other] : own_deltas[i % 4 / 2];
                float exponent = fmaf(heads.scale, weights[i / 4][i % 4], -log_sum);
                float weight = other < filled ? exp2f(fminf(fmaxf(exponent, -126.0f), 126.0f)) : 0.0f;
                weights[i / 4][i % 4] = weight;
                slopes[i / 4][i % 4] = weight * (slopes[i / 4][i % 4] - delta);
            }
            add_weighted<W, CHUNK>(slopes, first_pairs, first, first_sums);
            if constexpr (BY_KEYS) add_weighted<W, CHUNK>(weights, second_pairs, first, second_sums);
        }
    }
    add_parts(share, first_sums, reinterpret_cast<float*>(memory));
    if (BY_KEYS) add_parts(share, second_sums, reinterpret_cast<float*>(memory));
    if (share.part > 0) return;
    // Of what makes products exponents of two only the root of D is a part of the derivative.
    const float scale[2] = {heads.scale * LN_2, heads.scale * LN_2}, one[2] = {1.0f, 1.0f};
    write_sums<W>(heads, row_shared, share, scale, first_sums, first_out);
    if constexpr (BY_KEYS) write_sums<W>(heads, row_shared, share, one, second_sums, second_out);
}

extern "C" __global__ void __launch_bounds__(128)
    attention_by_queries_bf16(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q,
                              const float* k, const float* v, const float* by_out, const float* log_sums,
                              const float* deltas, float* by_q) {
    DYNAMIC_SHARED(u32, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        pass_back<16, 64, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    } else if (heads.width <= 32) {
        pass_back<32, 64, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    } else {
        pass_back<64, 64, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    }
}

extern "C" __global__ void __launch_bounds__(128)
    attention_by_queries_bf16_wide(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q,
                                   const float* k, const float* v, const float* by_out, const float* log_sums,
                                   const float* deltas, float* by_q) {
    DYNAMIC_SHARED(u32, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    pass_back<128, 32, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
}

// Rows are keys, `tasks` and `ranges` those of the pattern turned around.
extern "C" __global__ void __launch_bounds__(128)
    attention_by_keys_bf16(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q, const float* k,
                           const float* v, const float* by_out, const float* log_sums, const float* deltas, float* by_k,
                           float* by_v) {
    DYNAMIC_SHARED(u32, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        pass_back<16, 64, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    } else if (heads.width <= 32) {
        pass_back<32, 64, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    } else {
        pass_back<64, 64, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    }
}

extern "C" __global__ void __launch_bounds__(128)
    attention_by_keys_bf16_wide(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q,
                                const float* k, const float* v, const float* by_out, const float* log_sums,
                                const float* deltas, float* by_k, float* by_v) {
    DYNAMIC_SHARED(u32, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    pass_back<128, 32, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
}
