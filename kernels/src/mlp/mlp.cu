// The products of small networks on tensor cores: `mlp/mod.rs` says what is computed, `passes.rs` does it on the CPU.
//
// Layout: features are rows of samples, `[rows, stride]`. Matrices are those of the CPU.
//
// Precision: the cores multiply 16-bit floats, so every number is two of them, `x = high + low / 2^11`, and a product three:
// high high + (high low + low high) / 2^11, all of them summed in single precision. What is left out is 2^-22 of a product, so results are about
// as exact as those of single precision, for numbers between 1e-8 and 65504; larger ones are cut off there. Gradients are smaller: `scale`, a power
// of two, brings them near 1 and `unscale` back.
//
// Mapping of `mlp_layer`: a warp takes 16 samples and 64 outputs, a block four such warps, so each number of the input is read once for 64 outputs.
// Weights are split once a block, 32 inputs at a time, and lie in shared memory in the order in which lanes want them: 8 kB,
// no bank conflicts. For a layer of 64 by 64 that is 24,576 operations a sample on the cores, 512 bytes in and out.
//
// Mapping of `mlp_outer_products`: a block takes a part of the samples, 64 rows of one side and 32 of the other; a warp 16 by 32 of them. Parts have a
// fixed order, so sums have the same bits each time.

#include "device/matrix.cuh"

// What happens to the sums of a layer, beside nothing.
constexpr u32 RELU = 1, WHERE = 2;
constexpr float LOW_SCALE = 2048.0f, LARGEST = 65504.0f;
constexpr u32 OUTPUTS = 64, INPUTS = 32;
constexpr u32 ROW_TILES = OUTPUTS / 16, STEPS = INPUTS / 16;

// `mlp/cuda.rs` fills both.
struct LayerShape {
    u32 outputs;
    u32 inputs;
    // Weight (o, k) is at `o output_stride + k input_stride`.
    u32 output_stride;
    u32 input_stride;
    u32 gate;
    u32 samples;
    // From a row to the next.
    u32 stride;
    float scale;
    float unscale;
};

struct OuterShape {
    u32 left;
    u32 right;
    u32 samples;
    u32 stride;
    // Samples of a part of the sums.
    u32 chunk;
    // Numbers of a part, and where those of this matrix begin.
    u32 weights;
    u32 first;
    float left_scale;
    float right_scale;
    float unscale;
};

struct Split {
    f16 high;
    f16 low;
};

__device__ __forceinline__ Split split(float x) {
    // What is no number stays none.
    const float cut = x > LARGEST ? LARGEST : (x < -LARGEST ? -LARGEST : x);
    const f16 high = to_f16(cut);
    return {high, to_f16((cut - to_float(high)) * LOW_SCALE)};
}

__device__ __forceinline__ void split_pair(float a, float b, u32& high, u32& low) {
    const Split first = split(a), second = split(b);
    high = pack(first.high, second.high);
    low = pack(first.low, second.low);
}

// Sums of a tile of 16 by 8 products: those of high parts, and those with one low part, times 2^11.
struct TileSums {
    float high[4];
    float cross[4];
};

__device__ __forceinline__ void add_products(TileSums& sums, const u32 (&a_high)[4], const u32 (&a_low)[4],
                                             const u32 (&b_high)[2], const u32 (&b_low)[2]) {
    multiply_16x8x16(sums.high, a_high, b_high, sums.high);
    multiply_16x8x16(sums.cross, a_high, b_low, sums.cross);
    multiply_16x8x16(sums.cross, a_low, b_high, sums.cross);
}

__device__ __forceinline__ float total(const TileSums& sums, u32 i) {
    return fmaf(sums.cross[i], 1.0f / LOW_SCALE, sums.high[i]);
}

// `output`, [outputs, stride], from `input`, [inputs, stride]; `active` is [outputs, stride], looked at for WHERE.
// Blocks of 128 threads: 64 samples along x, 64 outputs along y.
extern "C" __global__ void __launch_bounds__(128)
    mlp_layer(const float* weights, LayerShape shape, const float* input, const float* active, float* output) {
    __shared__ u32 staged[2][ROW_TILES][STEPS][4][WARP];
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, pair = lane % 4;
    const u32 first_sample = blockIdx.x * 64 + warp * 16, first_output = blockIdx.y * OUTPUTS;
    const u32 outputs = min(shape.outputs - first_output, OUTPUTS);
    TileSums sums[ROW_TILES][2] = {};
    for (u32 first = 0; first < shape.inputs; first += INPUTS) {
        __syncthreads();
        for (u32 e = threadIdx.x; e < ROW_TILES * STEPS * 4 * WARP; e += 128) {
            const u32 of_lane = e % WARP, part = e / WARP % 4, step = e / (4 * WARP) % STEPS, tile = e / (4 * WARP * STEPS);
            const u32 o = 16 * tile + of_lane / 4 + 8 * (part & 1);
            const u32 k = first + 16 * step + 2 * (of_lane % 4) + 8 * (part >> 1);
            float values[2] = {0.0f, 0.0f};
            for (u32 i = 0; i < 2; i++) {
                if (o < outputs && k + i < shape.inputs) {
                    values[i] = weights[(u64)(first_output + o) * shape.output_stride + (u64)(k + i) * shape.input_stride];
                }
            }
            split_pair(values[0], values[1], staged[0][tile][step][part][of_lane], staged[1][tile][step][part][of_lane]);
        }
        __syncthreads();
#pragma unroll
        for (u32 step = 0; step < STEPS; step++) {
            u32 b_high[2][2], b_low[2][2];
#pragma unroll
            for (u32 n = 0; n < 2; n++) {
                const u32 sample = first_sample + 8 * n + group;
#pragma unroll
                for (u32 half = 0; half < 2; half++) {
                    const u32 k = first + 16 * step + 2 * pair + 8 * half;
                    float values[2] = {0.0f, 0.0f};
#pragma unroll
                    for (u32 i = 0; i < 2; i++) {
                        if (k + i < shape.inputs && sample < shape.samples) {
                            values[i] = shape.scale * input[(u64)(k + i) * shape.stride + sample];
                        }
                    }
                    split_pair(values[0], values[1], b_high[n][half], b_low[n][half]);
                }
            }
#pragma unroll
            for (u32 tile = 0; tile < ROW_TILES; tile++) {
                if (16 * tile >= outputs) continue;
                u32 a_high[4], a_low[4];
#pragma unroll
                for (u32 part = 0; part < 4; part++) {
                    a_high[part] = staged[0][tile][step][part][lane];
                    a_low[part] = staged[1][tile][step][part][lane];
                }
#pragma unroll
                for (u32 n = 0; n < 2; n++) add_products(sums[tile][n], a_high, a_low, b_high[n], b_low[n]);
            }
        }
    }
#pragma unroll
    for (u32 tile = 0; tile < ROW_TILES; tile++) {
#pragma unroll
        for (u32 i = 0; i < 8; i++) {
            const u32 o = 16 * tile + group + 8 * (i / 2 % 2), sample = first_sample + 8 * (i / 4) + 2 * pair + i % 2;
            if (o >= outputs || sample >= shape.samples) continue;
            const u64 at = (u64)(first_output + o) * shape.stride + sample;
            float value = shape.unscale * total(sums[tile][i / 4], i % 4);
            if (shape.gate == RELU) value = value < 0.0f ? 0.0f : value;
            if (shape.gate == WHERE) value = active[at] > 0.0f ? value : 0.0f;
            output[at] = value;
        }
    }
}

// The same `row`, [width], for all samples, zero where the layer was not active. A thread takes a sample of the row that y says.
extern "C" __global__ void __launch_bounds__(256)
    mlp_gated_broadcast(const float* row, const float* active, u32 samples, u32 stride, float* output) {
    const u32 sample = global_thread();
    if (sample >= samples) return;
    const u64 at = (u64)blockIdx.y * stride + sample;
    output[at] = active[at] > 0.0f ? row[blockIdx.y] : 0.0f;
}

// The parts of the sums over samples of left rightᵀ, into `partials`, [parts, weights]. Blocks of 128 threads: x is the part, y 64 rows of `left`, z 32 of
// `right`.
extern "C" __global__ void __launch_bounds__(128)
    mlp_outer_products(const float* left, const float* right, OuterShape shape, float* partials) {
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, pair = lane % 4;
    const u32 first_left = blockIdx.y * 64 + warp * 16, first_right = blockIdx.z * 32;
    const u32 begin = blockIdx.x * shape.chunk, end = min(begin + shape.chunk, shape.samples);
    if (first_left >= shape.left) return;
    TileSums sums[4] = {};
    const auto number = [&](const float* rows, u32 row, u32 count, u32 sample, float scale) {
        return row < count && sample < end ? scale * rows[(u64)row * shape.stride + sample] : 0.0f;
    };
    for (u32 first = begin; first < end; first += 16) {
        u32 a_high[4], a_low[4];
#pragma unroll
        for (u32 part = 0; part < 4; part++) {
            const u32 row = first_left + group + 8 * (part & 1), sample = first + 2 * pair + 8 * (part >> 1);
            split_pair(number(left, row, shape.left, sample, shape.left_scale),
                       number(left, row, shape.left, sample + 1, shape.left_scale), a_high[part], a_low[part]);
        }
#pragma unroll
        for (u32 n = 0; n < 4; n++) {
            u32 b_high[2], b_low[2];
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                const u32 row = first_right + 8 * n + group, sample = first + 2 * pair + 8 * half;
                split_pair(number(right, row, shape.right, sample, shape.right_scale),
                           number(right, row, shape.right, sample + 1, shape.right_scale), b_high[half], b_low[half]);
            }
            add_products(sums[n], a_high, a_low, b_high, b_low);
        }
    }
#pragma unroll
    for (u32 n = 0; n < 4; n++) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const u32 row = first_left + group + 8 * (i / 2), column = first_right + 8 * n + 2 * pair + i % 2;
            if (row >= shape.left || column >= shape.right) continue;
            const u64 at = (u64)blockIdx.x * shape.weights + shape.first + (u64)row * shape.right + column;
            partials[at] = shape.unscale * total(sums[n], i);
        }
    }
}

// The parts of the sums over samples of `rows` rows, as a row of a matrix that begins at `shape.first`. A warp takes a row of the part that x says.
extern "C" __global__ void __launch_bounds__(128)
    mlp_row_sums(const float* values, u32 rows, OuterShape shape, float* partials) {
    const u32 row = blockIdx.y * 4 + threadIdx.x / WARP;
    if (row >= rows) return;
    const u32 begin = blockIdx.x * shape.chunk, end = min(begin + shape.chunk, shape.samples);
    float sum = 0.0f;
    for (u32 sample = begin + threadIdx.x % WARP; sample < end; sample += WARP) {
        sum += values[(u64)row * shape.stride + sample];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) partials[(u64)blockIdx.x * shape.weights + shape.first + row] = sum;
}

// `count` sums from `first` on: the parts in order, added to what `gradient` holds if `add`. A thread takes a sum.
extern "C" __global__ void __launch_bounds__(256)
    mlp_add_parts(const float* partials, u32 parts, u32 weights, u32 first, u32 count, u32 add, float* gradient) {
    const u32 i = global_thread();
    if (i >= count) return;
    float sum = 0.0f;
    for (u32 part = 0; part < parts; part++) sum += partials[(u64)part * weights + first + i];
    gradient[first + i] = add != 0 ? gradient[first + i] + sum : sum;
}
