// What layers do to rows of numbers beside products: gather them, sum them, scale and shift them. Each thread has one number of
// a result; sums go through lists in their order, so results have the same bits each time. All of it is as fast as its bytes.

#include "device/cuda.cuh"

// Rows of `columns` numbers; `by` has rows of `width` numbers, of which those from `first` on are used.
struct RowShape {
    u32 rows;
    u32 columns;
    u32 width;
    u32 first;
};

// out[i] = scales[rows[i]] x[rows[i]], without scales where they are null.
extern "C" __global__ void __launch_bounds__(256)
    gather_rows(RowShape shape, const float* x, const u32* rows, const float* scales, float* out) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    const u32 row = rows[e / shape.columns];
    const float value = x[(u64)row * shape.columns + e % shape.columns];
    out[e] = scales != nullptr ? scales[row] * value : value;
}

// out[i] = scales[i] Σ over list[starts[i]..starts[i + 1]] of x[list[...]].
extern "C" __global__ void __launch_bounds__(256)
    sum_rows(RowShape shape, const float* x, const u32* starts, const u32* list, const float* scales, float* out) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    const u32 row = e / shape.columns, column = e % shape.columns;
    float sum = 0.0f;
    for (u32 i = starts[row]; i < starts[row + 1]; ++i) sum += x[(u64)list[i] * shape.columns + column];
    out[e] = scales != nullptr ? scales[row] * sum : sum;
}

// The numbers of `columns` columns from `first` on, of rows of `width`.
extern "C" __global__ void __launch_bounds__(256) take_columns(RowShape shape, const float* x, float* out) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    out[e] = x[(u64)(e / shape.columns) * shape.width + shape.first + e % shape.columns];
}

// x w + b, column by column; without b where it is null.
extern "C" __global__ void __launch_bounds__(256)
    scale_columns(RowShape shape, const float* x, const float* w, const float* b, float* out) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    const u32 column = e % shape.columns;
    out[e] = b != nullptr ? fmaf(x[e], w[column], b[column]) : x[e] * w[column];
}

// x (1 + scale) + shift, where shift and then scale are in the row of `by` of each row's sample.
extern "C" __global__ void __launch_bounds__(256)
    modulate(RowShape shape, const float* x, const float* by, const u32* samples, float* out) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    const float* shift = by + (u64)samples[e / shape.columns] * shape.width + shape.first + e % shape.columns;
    out[e] = x[e] * (1.0f + shift[shape.columns]) + shift[0];
}

// d (1 + scale), the gradient of `modulate` by x.
extern "C" __global__ void __launch_bounds__(256)
    modulate_backward(RowShape shape, const float* by_out, const float* by, const u32* samples, float* by_x) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    const float* shift = by + (u64)samples[e / shape.columns] * shape.width + shape.first + e % shape.columns;
    by_x[e] = by_out[e] * (1.0f + shift[shape.columns]);
}

// x + gate h, or gate h where x is null.
extern "C" __global__ void __launch_bounds__(256)
    add_gated(RowShape shape, const float* x, const float* h, const float* by, const u32* samples, float* out) {
    const u32 e = global_thread();
    if (e >= shape.rows * shape.columns) return;
    const float gate = by[(u64)samples[e / shape.columns] * shape.width + shape.first + e % shape.columns];
    out[e] = x != nullptr ? fmaf(gate, h[e], x[e]) : gate * h[e];
}

// The sums over each sample's rows of d, or of d x: to columns from `first` on of `out`, [samples, width]. Blocks: 32 columns
// along x, 8 rows at a time, samples along y, whose rows are list[starts[sample]..starts[sample + 1]].
extern "C" __global__ void __launch_bounds__(256)
    sum_samples(RowShape shape, const float* d, const float* x, const u32* starts, const u32* list, float* out) {
    __shared__ float sums[8][WARP];
    const u32 lane = threadIdx.x % WARP, part = threadIdx.x / WARP, column = blockIdx.x * WARP + lane;
    const u32 begin = starts[blockIdx.y], end = starts[blockIdx.y + 1];
    float sum = 0.0f;
    if (column < shape.columns) {
        for (u32 i = begin + part; i < end; i += 8) {
            const u64 at = (u64)list[i] * shape.columns + column;
            sum += x != nullptr ? d[at] * x[at] : d[at];
        }
    }
    sums[part][lane] = sum;
    __syncthreads();
    if (part > 0 || column >= shape.columns) return;
    for (u32 other = 1; other < 8; ++other) sum += sums[other][lane];
    out[(u64)blockIdx.y * shape.width + shape.first + column] = sum;
}

// Each row of x times number `first` of the same row of `by`.
extern "C" __global__ void __launch_bounds__(256) scale_rows(RowShape shape, const float* x, const float* by, float* out) {
    const u32 e = global_thread();
    if (e < shape.rows * shape.columns) out[e] = x[e] * by[(u64)(e / shape.columns) * shape.width + shape.first];
}

// d · x of each row, to number `first` of rows of `width` numbers. A warp takes a row.
extern "C" __global__ void __launch_bounds__(256) row_products(RowShape shape, const float* d, const float* x, float* out) {
    const u32 row = global_thread() / WARP, lane = threadIdx.x % WARP;
    if (row >= shape.rows) return;
    float sum = 0.0f;
    for (u32 c = lane; c < shape.columns; c += WARP) sum += d[(u64)row * shape.columns + c] * x[(u64)row * shape.columns + c];
    sum = warp_sum(sum);
    if (lane == 0) out[(u64)row * shape.width + shape.first] = sum;
}

// Parts of rows of `width` numbers, brought to the length √width and multiplied by the numbers of `by`, [columns], of a row of
// `columns`. A warp takes a part; lengths are at least `shortest`.
extern "C" __global__ void __launch_bounds__(256)
    normalise_lengths(RowShape shape, const float* x, const float* by, float shortest, float* out) {
    const u32 parts = shape.columns / shape.width, part = global_thread() / WARP, lane = threadIdx.x % WARP;
    if (part >= shape.rows * parts) return;
    x += (u64)part * shape.width;
    out += (u64)part * shape.width;
    by += part % parts * shape.width;
    float squares = 0.0f;
    for (u32 c = lane; c < shape.width; c += WARP) squares += x[c] * x[c];
    const float scale = sqrtf((float)shape.width) / fmaxf(sqrtf(warp_sum(squares)), shortest);
    for (u32 c = lane; c < shape.width; c += WARP) out[c] = x[c] * scale * by[c];
}

// mean + exp(log_variance / 2) noise.
extern "C" __global__ void __launch_bounds__(256)
    draw_normal(const float* mean, const float* log_variance, const float* noise, float* out, u32 count) {
    const u32 i = global_thread();
    if (i < count) out[i] = fmaf(expf(0.5f * log_variance[i]), noise[i], mean[i]);
}

// The gradient of `draw_normal` by log_variance.
extern "C" __global__ void __launch_bounds__(256)
    draw_normal_backward(const float* log_variance, const float* noise, const float* by_out, float* by_log, u32 count) {
    const u32 i = global_thread();
    if (i < count) by_log[i] = 0.5f * by_out[i] * expf(0.5f * log_variance[i]) * noise[i];
}
