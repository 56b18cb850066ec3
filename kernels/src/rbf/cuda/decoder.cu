// The decoder of radial basis functions, forward and backward: `rbf/mod.rs` says what is computed, `rbf/cuda/mod.rs` what is counted.
//
// Parameters lie in one vector as on the CPU: centres [N, F], log precisions [N, F], weights [out, N], biases [out]. Everything of
// samples is rows, [rows, stride].
//
// Mapping, but for gradients of parameters: a thread takes a sample. Blocks stage e^(beta/2) and -e^(beta/2) c of 32 centres in shared memory, from
// where a warp reads the same two pairs at once (16 bytes for four multiply-adds) while features of its samples come side by side. r² is
// a sum of squares, which cannot cancel.
//
// Gradients of parameters are sums over samples. A block takes some hundred samples and 32 centres with 32 features, staged 32 samples at a
// time; a thread takes four centres with two features, which is two loads from shared memory for 32 operations. What blocks
// have summed up lies side by side, and one more kernel adds it in order: no atomics, and the same bits each time.

#include "device/cuda.cuh"

// Centres that are staged together, and centres that a thread sums up together.
constexpr u32 STAGED = 32;
constexpr u32 GROUP = 8;
// Features of which a thread sums up gradients together.
constexpr u32 FEATURES = 8;
// Samples, centres and features of a block's tile when parameters are differentiated.
constexpr u32 TILE = 32;
// Responses of far centres are this power of two, and not denormal.
constexpr float SMALLEST = -126.0f;
constexpr float HALF_LOG2_E = 0.72134752f;

// `rbf/cuda/decoder.rs` fills it.
struct DecoderShape {
    u32 features;
    u32 kernels;
    u32 outputs;
    u32 samples;
    // From a row to the next.
    u32 stride;
    // Samples of a block when parameters are differentiated.
    u32 chunk;
};

// How many parameters there are, and where those of one kind begin.
__device__ __forceinline__ u32 weights_from(const DecoderShape& s) { return 2 * s.kernels * s.features; }
__device__ __forceinline__ u32 biases_from(const DecoderShape& s) { return weights_from(s) + s.outputs * s.kernels; }
__device__ __forceinline__ u32 parameters_of(const DecoderShape& s) { return biases_from(s) + s.outputs; }

// e^(beta/2) and -e^(beta/2) c of a centre and feature; zeros beyond the last.
__device__ __forceinline__ float2 scale_and_shift(const float* parameters, const DecoderShape& s, u32 centre, u32 feature) {
    if (centre >= s.kernels || feature >= s.features) return make_float2(0.0f, 0.0f);
    const u32 at = centre * s.features + feature;
    const float scale = expf(0.5f * parameters[s.kernels * s.features + at]);
    return make_float2(scale, -scale * parameters[at]);
}

// Responses, [N, stride], and outputs, [out, stride]. 64 F + 16 multiply-adds and 32 exponentials for 32 centres; features are read once for every
// eight centres, from the first-level cache but for the first time. Dynamic shared memory: 256 F bytes.
extern "C" __global__ void __launch_bounds__(128)
    decoder_forward(const float* parameters, const float* features, DecoderShape shape, float* responses, float* outputs) {
    DYNAMIC_SHARED(float2, staged);
    const u32 sample = global_thread(), width = shape.features;
    const bool is_one = sample < shape.samples;
    const float* feature = features + (is_one ? sample : 0);
    for (u32 first = 0; first < shape.kernels; first += STAGED) {
        __syncthreads();
        for (u32 i = threadIdx.x; i < STAGED * width; i += blockDim.x) {
            staged[i] = scale_and_shift(parameters, shape, first + i / width, i % width);
        }
        __syncthreads();
        for (u32 group = 0; group < STAGED && first + group < shape.kernels; group += GROUP) {
            float squares[GROUP] = {};
            for (u32 d = 0; d < width; d += 2) {
                const float f = feature[(u64)d * shape.stride], g = feature[(u64)(d + 1) * shape.stride];
#pragma unroll
                for (u32 j = 0; j < GROUP; j++) {
                    const float4 c = *reinterpret_cast<const float4*>(&staged[(group + j) * width + d]);
                    const float t = fmaf(f, c.x, c.y), u = fmaf(g, c.z, c.w);
                    squares[j] = fmaf(u, u, fmaf(t, t, squares[j]));
                }
            }
#pragma unroll
            for (u32 j = 0; j < GROUP; j++) {
                const u32 centre = first + group + j;
                if (!is_one || centre >= shape.kernels) continue;
                responses[(u64)centre * shape.stride + sample] = exp2f(fmaxf(-HALF_LOG2_E * squares[j], SMALLEST));
            }
        }
    }
    if (!is_one) return;
    for (u32 o = 0; o < shape.outputs; o++) {
        const float* weights = parameters + weights_from(shape) + o * shape.kernels;
        float sum = parameters[biases_from(shape) + o];
        for (u32 j = 0; j < shape.kernels; j++) {
            sum = fmaf(weights[j], responses[(u64)j * shape.stride + sample], sum);
        }
        outputs[(u64)o * shape.stride + sample] = sum;
    }
}

// gamma_j = phi_j dL/dphi_j into `slopes`, [N, stride], and the gradient of features, [F, stride]: -sum_j gamma_j e^(beta/2) t_jd. Slopes are
// read once for every eight features.
extern "C" __global__ void __launch_bounds__(128)
    decoder_feature_gradient(const float* parameters, const float* features, const float* responses,
                             const float* of_outputs, DecoderShape shape, float* slopes, float* of_features) {
    __shared__ __align__(16) float2 staged[STAGED * FEATURES];
    const u32 sample = global_thread();
    const bool is_one = sample < shape.samples;
    for (u32 j = 0; is_one && j < shape.kernels; j++) {
        float sum = 0.0f;
        for (u32 o = 0; o < shape.outputs; o++) {
            const float weight = parameters[weights_from(shape) + o * shape.kernels + j];
            sum = fmaf(weight, of_outputs[(u64)o * shape.stride + sample], sum);
        }
        const u64 at = (u64)j * shape.stride + sample;
        slopes[at] = responses[at] * sum;
    }
    for (u32 from = 0; from < shape.features; from += FEATURES) {
        float f[FEATURES], sums[FEATURES] = {};
#pragma unroll
        for (u32 d = 0; d < FEATURES; d++) {
            f[d] = is_one && from + d < shape.features ? features[(u64)(from + d) * shape.stride + sample] : 0.0f;
        }
        for (u32 first = 0; first < shape.kernels; first += STAGED) {
            __syncthreads();
            for (u32 i = threadIdx.x; i < STAGED * FEATURES; i += blockDim.x) {
                staged[i] = scale_and_shift(parameters, shape, first + i / FEATURES, from + i % FEATURES);
            }
            __syncthreads();
            for (u32 j = 0; is_one && j < min(STAGED, shape.kernels - first); j++) {
                const float gamma = slopes[(u64)(first + j) * shape.stride + sample];
#pragma unroll
                for (u32 d = 0; d < FEATURES; d += 2) {
                    const float4 c = *reinterpret_cast<const float4*>(&staged[j * FEATURES + d]);
                    sums[d] = fmaf(-gamma * fmaf(f[d], c.x, c.y), c.x, sums[d]);
                    sums[d + 1] = fmaf(-gamma * fmaf(f[d + 1], c.z, c.w), c.z, sums[d + 1]);
                }
            }
        }
#pragma unroll
        for (u32 d = 0; d < FEATURES; d++) {
            if (is_one && from + d < shape.features) of_features[(u64)(from + d) * shape.stride + sample] = sums[d];
        }
    }
}

// What the samples of a block say about centres and precisions, into row x of `partials`, [chunks, parameters]:
// dL/dc = e^(beta/2) sum gamma t, dL/dbeta = -1/2 sum gamma t². y and z of the grid are centres and features in steps of 32.
extern "C" __global__ void __launch_bounds__(128)
    decoder_centre_gradient(const float* parameters, const float* features, const float* slopes, DecoderShape shape,
                            float* partials) {
    // Rows are 16 and 8 bytes longer, for whole words of four and two and fewer conflicts when they are written.
    __shared__ __align__(16) float gammas[TILE][TILE + 4];
    __shared__ __align__(16) float rows[TILE][TILE + 2];
    const u32 first_centre = blockIdx.y * TILE, first_feature = blockIdx.z * TILE;
    const u32 j0 = threadIdx.x % 8 * 4, d0 = threadIdx.x / 8 * 2;
    float2 own[4][2];
    float slope_sums[4][2] = {}, square_sums[4][2] = {};
#pragma unroll
    for (u32 j = 0; j < 4; j++) {
#pragma unroll
        for (u32 d = 0; d < 2; d++) {
            own[j][d] = scale_and_shift(parameters, shape, first_centre + j0 + j, first_feature + d0 + d);
        }
    }
    const u32 start = blockIdx.x * shape.chunk, end = min(start + shape.chunk, shape.samples);
    for (u32 tile = start; tile < end; tile += TILE) {
        __syncthreads();
        for (u32 i = threadIdx.x; i < TILE * TILE; i += blockDim.x) {
            const u32 sample = tile + i % TILE, centre = first_centre + i / TILE, feature = first_feature + i / TILE;
            const bool is_one = sample < end;
            const bool has_gamma = is_one && centre < shape.kernels, has_feature = is_one && feature < shape.features;
            gammas[i % TILE][i / TILE] = has_gamma ? slopes[(u64)centre * shape.stride + sample] : 0.0f;
            rows[i % TILE][i / TILE] = has_feature ? features[(u64)feature * shape.stride + sample] : 0.0f;
        }
        __syncthreads();
        for (u32 i = 0; i < TILE; i++) {
            const float4 four = *reinterpret_cast<const float4*>(&gammas[i][j0]);
            const float2 two = *reinterpret_cast<const float2*>(&rows[i][d0]);
            const float gamma[4] = {four.x, four.y, four.z, four.w}, f[2] = {two.x, two.y};
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
#pragma unroll
                for (u32 d = 0; d < 2; d++) {
                    const float t = fmaf(f[d], own[j][d].x, own[j][d].y), weighted = gamma[j] * t;
                    slope_sums[j][d] += weighted;
                    square_sums[j][d] = fmaf(weighted, t, square_sums[j][d]);
                }
            }
        }
    }
    float* out = partials + (u64)blockIdx.x * parameters_of(shape);
#pragma unroll
    for (u32 j = 0; j < 4; j++) {
#pragma unroll
        for (u32 d = 0; d < 2; d++) {
            const u32 centre = first_centre + j0 + j, feature = first_feature + d0 + d;
            if (centre >= shape.kernels || feature >= shape.features) continue;
            const u32 at = centre * shape.features + feature;
            out[at] = own[j][d].x * slope_sums[j][d];
            out[shape.kernels * shape.features + at] = -0.5f * square_sums[j][d];
        }
    }
}

// The same of weights and biases. y and z of the grid are centres in steps of 32 and outputs in steps of four; a lane takes a centre, a warp an
// output.
extern "C" __global__ void __launch_bounds__(128)
    decoder_weight_gradient(const float* responses, const float* of_outputs, DecoderShape shape, float* partials) {
    __shared__ float phi[TILE][TILE + 1];
    __shared__ float upstream[4][TILE];
    const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const u32 centre = blockIdx.y * TILE + lane, output = blockIdx.z * 4 + warp;
    const u32 start = blockIdx.x * shape.chunk, end = min(start + shape.chunk, shape.samples);
    float sum = 0.0f, bias = 0.0f;
    for (u32 tile = start; tile < end; tile += TILE) {
        __syncthreads();
        const u32 sample = tile + lane;
        for (u32 row = warp; row < TILE; row += 4) {
            const u32 of_row = blockIdx.y * TILE + row;
            const bool has_response = sample < end && of_row < shape.kernels;
            phi[lane][row] = has_response ? responses[(u64)of_row * shape.stride + sample] : 0.0f;
        }
        const bool is_one = sample < end && output < shape.outputs;
        upstream[warp][lane] = is_one ? of_outputs[(u64)output * shape.stride + sample] : 0.0f;
        __syncthreads();
        for (u32 i = 0; i < TILE; i++) {
            sum = fmaf(upstream[warp][i], phi[i][lane], sum);
            bias += upstream[warp][i];
        }
    }
    if (output >= shape.outputs) return;
    float* out = partials + (u64)blockIdx.x * parameters_of(shape);
    if (centre < shape.kernels) out[weights_from(shape) + output * shape.kernels + centre] = sum;
    if (centre == 0) out[biases_from(shape) + output] = bias;
}

// Adds up the rows of `partials`, [chunks, parameters], in order. A thread takes a parameter.
extern "C" __global__ void __launch_bounds__(256)
    sum_chunks(const float* partials, u32 chunks, u32 parameters, float* gradient) {
    const u32 at = global_thread();
    if (at >= parameters) return;
    float sum = 0.0f;
    for (u32 chunk = 0; chunk < chunks; chunk++) sum += partials[(u64)chunk * parameters + at];
    gradient[at] = sum;
}
