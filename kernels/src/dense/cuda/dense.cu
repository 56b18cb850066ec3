// Dense layers: products of matrices, norms, activations; `product.rs`, `norm.rs` and `activation.rs` do the same.
//
// Matrices are row by row, a row for each token. Products: 2 operations for a row, an inner index and a column, tiles of
// 64 by 64 (`device/tile_product.cuh`); where the result is small and the sum long, blocks share the sum by parts of it, which
// `sum_parts` adds in order. The rest is as fast as its bytes: each number is read and written once. No two blocks write to the
// same place, so results have the same bits each time.

#include "device/tile_product.cuh"

// `dense/cuda/mod.rs` fills it. Element (i, j) of a matrix is at i strides[0] + j strides[1].
struct ProductShape {
    u32 rows;
    u32 inner;
    u32 columns;
    // Inner indices of a part.
    u32 part;
    u64 left_strides[2];
    u64 right_strides[2];
};

template <bool BF16>
__device__ __forceinline__ void multiply_tile(const ProductShape& shape, const float* left, const float* right,
                                              const float* bias, float* out) {
    __shared__ u32 memory[TILE_MEMORY];
    const u32 first_row = blockIdx.x * TILE, first_column = blockIdx.y * TILE, begin = blockIdx.z * shape.part;
    const u32 inner = min(shape.part, shape.inner - begin);
    const auto row = [&](u32 i, u32 k) {
        const u64 at = (u64)(first_row + i) * shape.left_strides[0] + (u64)(begin + k) * shape.left_strides[1];
        return first_row + i < shape.rows ? left[at] : 0.0f;
    };
    const auto column = [&](u32 k, u32 j) {
        const u64 at = (u64)(begin + k) * shape.right_strides[0] + (u64)(first_column + j) * shape.right_strides[1];
        return first_column + j < shape.columns ? right[at] : 0.0f;
    };
    TileProduct<BF16> product;
    product.add(inner, shape.left_strides[1] == 1, shape.right_strides[0] == 1, row, column, memory);
    out += (u64)blockIdx.z * shape.rows * shape.columns;
    product.each([&](u32 i, u32 j, float sum) {
        const u32 row = first_row + i, column = first_column + j;
        if (row < shape.rows && column < shape.columns) {
            out[(u64)row * shape.columns + column] = bias != nullptr ? sum + bias[column] : sum;
        }
    });
}

// `out`, [parts, rows, columns]. Blocks: tiles of rows along x, of columns along y, parts of the sum along z.
extern "C" __global__ void __launch_bounds__(128)
    dense_product(ProductShape shape, const float* left, const float* right, const float* bias, float* out) {
    multiply_tile<false>(shape, left, right, bias, out);
}

// The same by tensor cores, of numbers that are rounded to bf16.
extern "C" __global__ void __launch_bounds__(128)
    dense_product_bf16(ProductShape shape, const float* left, const float* right, const float* bias, float* out) {
    multiply_tile<true>(shape, left, right, bias, out);
}

// Adds `parts` arrays of `count` numbers in their order.
extern "C" __global__ void __launch_bounds__(256) sum_parts(const float* values, float* out, u32 count, u32 parts) {
    const u32 i = global_thread();
    if (i >= count) return;
    float sum = 0.0f;
    for (u32 part = 0; part < parts; ++part) sum += values[(u64)part * count + i];
    out[i] = sum;
}

// The sums of columns of a, or of a b: `out`, [parts, columns], for parts of `rows_of_part` rows along y.
extern "C" __global__ void __launch_bounds__(256)
    sum_columns(const float* a, const float* b, float* out, u32 rows, u32 columns, u32 rows_of_part) {
    const u32 column = global_thread();
    if (column >= columns) return;
    const u32 first = blockIdx.y * rows_of_part, end = min(first + rows_of_part, rows);
    float sum = 0.0f;
    for (u32 row = first; row < end; ++row) {
        const u64 at = (u64)row * columns + column;
        sum += b != nullptr ? a[at] * b[at] : a[at];
    }
    out[(u64)blockIdx.y * columns + column] = sum;
}

constexpr u32 SIGMOID = 0, SILU = 1, GELU = 2, GELU_EXACT = 3;

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// A function's value and slope; the last one is the hyperbolic tangent.
__device__ __forceinline__ float2 value_and_slope(u32 of, float x) {
    if (of == SIGMOID) {
        const float s = sigmoid(x);
        return make_float2(s, s * (1.0f - s));
    }
    if (of == SILU) {
        const float s = sigmoid(x);
        return make_float2(x * s, s * (1.0f + x * (1.0f - s)));
    }
    if (of == GELU) {
        const float twice = 1.5957691f, square = x * x;
        const float s = sigmoid(twice * x * (1.0f + 0.044715f * square));
        const float inner = twice * (1.0f + 3.0f * 0.044715f * square);
        return make_float2(x * s, s + x * s * (1.0f - s) * inner);
    }
    if (of == GELU_EXACT) {
        const float density = 0.39894228f * expf(-0.5f * x * x), share = 0.5f * erfcf(-0.70710678f * x);
        return make_float2(x * share, share + x * density);
    }
    const float t = tanhf(x);
    return make_float2(t, 1.0f - t * t);
}

extern "C" __global__ void __launch_bounds__(256) activate(u32 of, const float* x, float* out, u32 count) {
    const u32 i = global_thread();
    if (i < count) out[i] = value_and_slope(of, x[i]).x;
}

extern "C" __global__ void __launch_bounds__(256)
    activate_backward(u32 of, const float* x, const float* by_out, float* by_x, u32 count) {
    const u32 i = global_thread();
    if (i < count) by_x[i] = value_and_slope(of, x[i]).y * by_out[i];
}

extern "C" __global__ void __launch_bounds__(256) add_numbers(const float* a, const float* b, float* out, u32 count) {
    const u32 i = global_thread();
    if (i < count) out[i] = a[i] + b[i];
}

// Each row with mean 0 and variance 1, and one over its deviation. A warp takes a row.
extern "C" __global__ void __launch_bounds__(256)
    normalise(const float* x, float* values, float* scales, u32 rows, u32 columns, float epsilon) {
    const u32 row = global_thread() / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    x += (u64)row * columns;
    values += (u64)row * columns;
    float sum = 0.0f, squares = 0.0f;
    for (u32 c = lane; c < columns; c += WARP) sum += x[c];
    const float mean = warp_sum(sum) / columns;
    for (u32 c = lane; c < columns; c += WARP) squares += (x[c] - mean) * (x[c] - mean);
    const float scale = 1.0f / sqrtf(warp_sum(squares) / columns + epsilon);
    for (u32 c = lane; c < columns; c += WARP) values[c] = (x[c] - mean) * scale;
    if (lane == 0) scales[row] = scale;
}

extern "C" __global__ void __launch_bounds__(256)
    normalise_backward(const float* values, const float* scales, const float* by_values, float* by_x, u32 rows,
                       u32 columns) {
    const u32 row = global_thread() / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    values += (u64)row * columns;
    by_values += (u64)row * columns;
    by_x += (u64)row * columns;
    float sum = 0.0f, along = 0.0f;
    for (u32 c = lane; c < columns; c += WARP) {
        sum += by_values[c];
        along += by_values[c] * values[c];
    }
    const float mean = warp_sum(sum) / columns, part = warp_sum(along) / columns;
    for (u32 c = lane; c < columns; c += WARP) by_x[c] = scales[row] * (by_values[c] - mean - values[c] * part);
}

// Each group of columns of each sample with mean 0 and variance 1. A block takes a group (x) of a sample (y), whose rows end at
// `ends`; `scales` is [samples, groups].
extern "C" __global__ void __launch_bounds__(256)
    normalise_groups(const float* x, const u32* ends, float* values, float* scales, u32 columns, u32 width,
                     float epsilon) {
    const u32 begin = blockIdx.y > 0 ? ends[blockIdx.y - 1] : 0, rows = ends[blockIdx.y] - begin;
    const u64 first = (u64)begin * columns + blockIdx.x * width;
    const float count = fmaxf((float)rows * width, 1.0f);
    const auto at = [&](u32 e) { return first + (u64)(e / width) * columns + e % width; };
    float sum = 0.0f, squares = 0.0f;
    for (u32 e = threadIdx.x; e < rows * width; e += 256) sum += x[at(e)];
    const float mean = block_sum<256>(sum) / count;
    for (u32 e = threadIdx.x; e < rows * width; e += 256) squares += (x[at(e)] - mean) * (x[at(e)] - mean);
    const float scale = 1.0f / sqrtf(block_sum<256>(squares) / count + epsilon);
    for (u32 e = threadIdx.x; e < rows * width; e += 256) values[at(e)] = (x[at(e)] - mean) * scale;
    if (threadIdx.x == 0) scales[blockIdx.y * gridDim.x + blockIdx.x] = scale;
}

extern "C" __global__ void __launch_bounds__(256)
    normalise_groups_backward(const float* values, const float* scales, const u32* ends, const float* by_values,
                              float* by_x, u32 columns, u32 width) {
    const u32 begin = blockIdx.y > 0 ? ends[blockIdx.y - 1] : 0, rows = ends[blockIdx.y] - begin;
    const u64 first = (u64)begin * columns + blockIdx.x * width;
    const float count = fmaxf((float)rows * width, 1.0f), scale = scales[blockIdx.y * gridDim.x + blockIdx.x];
    const auto at = [&](u32 e) { return first + (u64)(e / width) * columns + e % width; };
    float sum = 0.0f, along = 0.0f;
    for (u32 e = threadIdx.x; e < rows * width; e += 256) {
        sum += by_values[at(e)];
        along += by_values[at(e)] * values[at(e)];
    }
    const float mean = block_sum<256>(sum) / count, part = block_sum<256>(along) / count;
    for (u32 e = threadIdx.x; e < rows * width; e += 256) {
        by_x[at(e)] = scale * (by_values[at(e)] - mean - values[at(e)] * part);
    }
}
