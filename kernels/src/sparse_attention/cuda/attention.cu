// Attention over lists of ranges and its gradients, in single precision; `forward.rs` and `backward.rs` do the same, and
// `attention_bf16.cu` on tensor cores.
//
// Mapping: a block takes a task, up to 64 rows that see the same ranges, ROWS of them at a time, and goes through the ranges
// a tile of OTHERS rows of the other side at a time. Four threads share a row: each has every fourth product of a tile, and
// sums every fourth column. Rows lie in shared memory with a stride that is odd, so that eight rows of a warp are read from
// eight banks. For a row and one of the other side 2 D operations a product: 4 D forward, 6 D and 8 D in the two passes
// back, of which 4 D are products that were known before; bytes from memory are a 1/ROWS of that. No two blocks write to the
// same place: results have the same bits each time.

#include "sparse_attention/cuda/heads.cuh"

// Brings `count` rows from `first` on to shared memory, zeros behind their width and behind the last.
template <int W, int CAPACITY>
__device__ inline void load_rows(const AttentionHeads& heads, u32 shared, const float* values, u32 first, u32 count,
                                 float scale, float* out) {
    for (u32 e = threadIdx.x; e < (u32)(CAPACITY * W); e += blockDim.x) {
        u32 row = e / W, column = e % W;
        bool there = row < count && column < heads.width;
        out[row * (W + 1) + column] = there ? scale * values[row_start(heads, shared, first + row) + column] : 0.0f;
    }
}

template <int W>
__device__ inline float product(const float* a, const float* b) {
    float sum = 0.0f;
#pragma unroll
    for (int d = 0; d < W; d++) {
        sum = fmaf(a[d], b[d], sum);
    }
    return sum;
}

// sums[c] += Σ over the tile of weights[j] rows[j, part + 4 c]
template <int W, int OTHERS>
__device__ inline void add_rows(const float* weights, const float* rows, u32 part, float (&sums)[W / 4]) {
    for (int j = 0; j < OTHERS; j++) {
        float weight = weights[j];
#pragma unroll
        for (int c = 0; c < W / 4; c++) {
            sums[c] = fmaf(weight, rows[j * (W + 1) + part + 4 * c], sums[c]);
        }
    }
}

template <int W>
__device__ inline void write_row(const AttentionHeads& heads, u32 shared, u32 row, u32 part, float scale,
                                 const float (&sums)[W / 4], float* out) {
    u64 start = row_start(heads, shared, row);
#pragma unroll
    for (int c = 0; c < W / 4; c++) {
        u32 column = part + 4 * c;
        if (column < heads.width) out[start + column] = scale * sums[c];
    }
}

template <int W, int ROWS, int OTHERS>
__device__ inline void attend_rows(const AttentionHeads& heads, const u32* task, const u32* ranges, const float* q,
                                   const float* k, const float* v, float* out, float* log_sums, float* memory) {
    float* queries = memory;
    float* keys = queries + ROWS * (W + 1);
    float* values = keys + OTHERS * (W + 1);
    float* weights = values + OTHERS * (W + 1);
    u32 own = threadIdx.x / 4, part = threadIdx.x % 4;
    float* mine = weights + own * (OTHERS + 1);
    for (u32 first = task[0]; first < task[1]; first += ROWS) {
        u32 count = min(task[1] - first, (u32)ROWS);
        __syncthreads();
        load_rows<W, ROWS>(heads, heads.shared, q, first, count, heads.scale, queries);
        float highest = LOWEST, total = 0.0f, sums[W / 4] = {0.0f};
        for (u32 list = task[2]; list < task[3]; list++) {
            for (u32 start = ranges[2 * list]; start < ranges[2 * list + 1]; start += OTHERS) {
                u32 others = min(ranges[2 * list + 1] - start, (u32)OTHERS);
                __syncthreads();
                load_rows<W, OTHERS>(heads, 1, k, start, others, 1.0f, keys);
                load_rows<W, OTHERS>(heads, 1, v, start, others, 1.0f, values);
                __syncthreads();
                float products[OTHERS / 4], most = highest;
#pragma unroll
                for (int i = 0; i < OTHERS / 4; i++) {
                    u32 j = part + 4 * i;
                    products[i] = j < others ? product<W>(queries + own * (W + 1), keys + j * (W + 1)) : LOWEST;
                    most = fmaxf(most, products[i]);
                }
                most = quad_max(most);
                float keep = exp2f(fmaxf(highest - most, -126.0f)), sum = 0.0f;
#pragma unroll
                for (int i = 0; i < OTHERS / 4; i++) {
                    u32 j = part + 4 * i;
                    float weight = j < others ? exp2f(fmaxf(products[i] - most, -126.0f)) : 0.0f;
                    mine[j] = weight;
                    sum += weight;
                }
                total = keep * total + quad_sum(sum);
                highest = most;
#pragma unroll
                for (int c = 0; c < W / 4; c++) {
                    sums[c] *= keep;
                }
                __syncwarp();
                add_rows<W, OTHERS>(mine, values, part, sums);
            }
        }
        if (own < count) {
            write_row<W>(heads, heads.shared, first + own, part, total > 0.0f ? 1.0f / total : 0.0f, sums, out);
            if (part == 0) log_sums[(u64)heads.group * heads.rows + first + own] = log_of_sum(highest, total);
        }
    }
}

// Each block takes the task of its number: `tasks` is [tasks, 4], first row, end, first range, end; `ranges` [ranges, 2].
extern "C" __global__ void __launch_bounds__(256)
    attend(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q, const float* k, const float* v,
           float* out, float* log_sums) {
    DYNAMIC_SHARED(float, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        attend_rows<16, 64, 32>(heads, task, ranges, q, k, v, out, log_sums, memory);
    } else if (heads.width <= 32) {
        attend_rows<32, 64, 32>(heads, task, ranges, q, k, v, out, log_sums, memory);
    } else if (heads.width <= 64) {
        attend_rows<64, 64, 32>(heads, task, ranges, q, k, v, out, log_sums, memory);
    } else {
        attend_rows<128, 64, 8>(heads, task, ranges, q, k, v, out, log_sums, memory);
    }
}

// δ = o · ∂L/∂o of each row of queries, [groups, rows]. A thread takes a row.
extern "C" __global__ void __launch_bounds__(256)
    attention_deltas(AttentionHeads heads, const float* out, const float* by_out, float* deltas) {
    u32 row = global_thread();
    if (row >= heads.rows) return;
    u64 start = row_start(heads, heads.shared, row);
    float sum = 0.0f;
    for (u32 d = 0; d < heads.width; d++) {
        sum = fmaf(out[start + d], by_out[start + d], sum);
    }
    deltas[(u64)heads.group * heads.rows + row] = sum;
}

// One pass back. By queries: rows are queries and gradients of outputs, the other side keys and values, and `first_out` is
// the gradient of queries. By keys: the other way round, and `first_out` and `second_out` are those of keys and values.
template <int W, int ROWS, int OTHERS, bool BY_KEYS>
__device__ inline void pass_back(const AttentionHeads& heads, const u32* task, const u32* ranges, const float* q,
                                 const float* k, const float* v, const float* by_out, const float* log_sums,
                                 const float* deltas, float* first_out, float* second_out, float* memory) {
    constexpr u32 STRIDE = W + 1;
    float* first_rows = memory;
    float* second_rows = first_rows + ROWS * STRIDE;
    float* first_others = second_rows + ROWS * STRIDE;
    float* second_others = first_others + OTHERS * STRIDE;
    float* weights = second_others + OTHERS * STRIDE;
    float* slopes = weights + ROWS * (OTHERS + 1);
    u32 own = threadIdx.x / 4, part = threadIdx.x % 4;
    u32 row_shared = BY_KEYS ? 1 : heads.shared, other_shared = BY_KEYS ? heads.shared : 1;
    log_sums += (u64)heads.group * heads.rows;
    deltas += (u64)heads.group * heads.rows;
    for (u32 first = task[0]; first < task[1]; first += ROWS) {
        u32 count = min(task[1] - first, (u32)ROWS);
        __syncthreads();
        load_rows<W, ROWS>(heads, row_shared, BY_KEYS ? k : q, first, count, BY_KEYS ? 1.0f : heads.scale, first_rows);
        load_rows<W, ROWS>(heads, row_shared, BY_KEYS ? v : by_out, first, count, 1.0f, second_rows);
        float first_sums[W / 4] = {0.0f}, second_sums[W / 4] = {0.0f};
        bool there = own < count;
        float own_log_sum = !BY_KEYS && there ? log_sums[first + own] : 0.0f;
        float own_delta = !BY_KEYS && there ? deltas[first + own] : 0.0f;
        for (u32 list = task[2]; list < task[3]; list++) {
            for (u32 start = ranges[2 * list]; start < ranges[2 * list + 1]; start += OTHERS) {
                u32 others = min(ranges[2 * list + 1] - start, (u32)OTHERS);
                __syncthreads();
                load_rows<W, OTHERS>(heads, other_shared, BY_KEYS ? q : k, start, others, BY_KEYS ? heads.scale : 1.0f,
                                     first_others);
                load_rows<W, OTHERS>(heads, other_shared, BY_KEYS ? by_out : v, start, others, 1.0f, second_others);
                __syncthreads();
#pragma unroll
                for (int i = 0; i < OTHERS / 4; i++) {
                    u32 j = part + 4 * i;
                    float weight = 0.0f, slope = 0.0f;
                    if (there && j < others) {
                        float log_sum = BY_KEYS ? log_sums[start + j] : own_log_sum;
                        float delta = BY_KEYS ? deltas[start + j] : own_delta;
                        float exponent = product<W>(first_rows + own * STRIDE, first_others + j * STRIDE) - log_sum;
                        weight = exp2f(fminf(fmaxf(exponent, -126.0f), 126.0f));
                        slope = weight * (product<W>(second_rows + own * STRIDE, second_others + j * STRIDE) - delta);
                    }
                    if (BY_KEYS) weights[own * (OTHERS + 1) + j] = weight;
                    slopes[own * (OTHERS + 1) + j] = slope;
                }
                __syncwarp();
                add_rows<W, OTHERS>(slopes + own * (OTHERS + 1), first_others, part, first_sums);
                if (BY_KEYS) add_rows<W, OTHERS>(weights + own * (OTHERS + 1), second_others, part, second_sums);
            }
        }
        if (there) {
            // Queries were multiplied by `scale`, of which the part that makes exponents of two is no part of the derivative.
            float scale = BY_KEYS ? LN_2 : heads.scale / LOG2_E;
            write_row<W>(heads, row_shared, first + own, part, scale, first_sums, first_out);
            if (BY_KEYS) write_row<W>(heads, row_shared, first + own, part, 1.0f, second_sums, second_out);
        }
    }
}

extern "C" __global__ void __launch_bounds__(128)
    attention_by_queries(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q, const float* k,
                         const float* v, const float* by_out, const float* log_sums, const float* deltas, float* by_q) {
    DYNAMIC_SHARED(float, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        pass_back<16, 32, 32, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    } else if (heads.width <= 32) {
        pass_back<32, 32, 32, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    } else if (heads.width <= 64) {
        pass_back<64, 32, 32, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    } else {
        pass_back<128, 32, 8, false>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_q, nullptr, memory);
    }
}

// Rows are keys, `tasks` and `ranges` those of the pattern turned around.
extern "C" __global__ void __launch_bounds__(128)
    attention_by_keys(AttentionHeads heads, const u32* tasks, const u32* ranges, const float* q, const float* k,
                      const float* v, const float* by_out, const float* log_sums, const float* deltas, float* by_k,
                      float* by_v) {
    DYNAMIC_SHARED(float, memory);
    const u32* task = tasks + 4 * blockIdx.x;
    if (heads.width <= 16) {
        pass_back<16, 32, 32, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    } else if (heads.width <= 32) {
        pass_back<32, 32, 32, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    } else if (heads.width <= 64) {
        pass_back<64, 32, 32, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    } else {
        pass_back<128, 32, 8, true>(heads, task, ranges, q, k, v, by_out, log_sums, deltas, by_k, by_v, memory);
    }
}
