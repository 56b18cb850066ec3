// Kernels in space, forward and backward: `rbf/mod.rs` says what is computed, `rbf/cuda/mod.rs` what is counted.
//
// Parameters are those of the CPU: centres [M, D], shapes [M, D (D + 1) / 2] or [M], weights [M, F]. Places are rows, [D, stride], sums as well; what belongs to pairs
// of a place and one of its kernels is [Q, K].
//
// Forward, a thread takes a place and eight features: it reads 32 bytes of each kernel's weights, a whole sector, and writes rows side by side.
// Responses are computed anew for every eight features, which is less than reading them.
//
// Backward in two kernels. In the first a thread takes a place: what its responses get, hence where it should move; it also turns
// the upstream rows around, [Q, F], so that a pair's numbers lie side by side. Then pairs are sorted by kernel (`sort/radix.cu`, stable), and a warp takes a
// kernel and goes through its pairs in order: no atomics, and the same bits each time.

#include "device/cuda.cuh"

// Added to the sum that responses are divided by.
constexpr float LEAST_SUM = 1e-8f;
constexpr u32 INVERSE_QUADRIC = 0;
constexpr u32 MOST_SHAPE = 6;
// Features that a thread takes together.
constexpr u32 EIGHT = 8;
// Features of a lane when a warp takes a kernel: 128 at most.
constexpr u32 OF_LANE = 4;

// `rbf/cuda/spatial.rs` fills it.
struct SpatialShape {
    u32 dimensions;
    u32 features;
    u32 neighbours;
    // 0: inverse quadric, 1: product of hats.
    u32 kind;
    u32 normalised;
    u32 samples;
    // From a row to the next.
    u32 stride;
    u32 kernels;
};

__device__ __forceinline__ u32 shape_numbers(const SpatialShape& s) {
    return s.kind == INVERSE_QUADRIC ? s.dimensions * (s.dimensions + 1) / 2 : 1;
}

struct Offset {
    float by[3];
};

// From a kernel's centre to a place; zero along a third axis that is not there.
__device__ __forceinline__ Offset offset_of(const SpatialShape& s, const float* places, u32 place, const float* centres,
                                            u32 kernel) {
    Offset out = {};
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        if (a < s.dimensions) out.by[a] = places[(u64)a * s.stride + place] - centres[kernel * s.dimensions + a];
    }
    return out;
}

// P d, for `numbers` xx, xy, yy or xx, xy, xz, yy, yz, zz.
__device__ __forceinline__ Offset times(const SpatialShape& s, const float* p, const Offset& d) {
    const float x = d.by[0], y = d.by[1], z = d.by[2];
    if (s.dimensions == 2) return {{p[0] * x + p[1] * y, p[1] * x + p[2] * y, 0.0f}};
    return {{p[0] * x + p[1] * y + p[2] * z, p[1] * x + p[3] * y + p[4] * z, p[2] * x + p[4] * y + p[5] * z}};
}

// The hat along each axis; one along a third that is not there.
__device__ __forceinline__ Offset hats(const SpatialShape& s, float inverse_width, const Offset& d) {
    Offset out;
#pragma unroll
    for (u32 a = 0; a < 3; a++) out.by[a] = a < s.dimensions ? fmaxf(1.0f - fabsf(d.by[a]) * inverse_width, 0.0f) : 1.0f;
    return out;
}

__device__ __forceinline__ float response(const SpatialShape& s, const float* numbers, const Offset& d) {
    if (s.kind == INVERSE_QUADRIC) {
        const Offset along = times(s, numbers, d);
        return 1.0f / (1.0f + (d.by[0] * along.by[0] + d.by[1] * along.by[1] + d.by[2] * along.by[2]));
    }
    const Offset h = hats(s, numbers[0], d);
    return h.by[0] * h.by[1] * h.by[2];
}

// What each response of a place is multiplied with; `phi` are its K.
__device__ __forceinline__ float scale_of(const SpatialShape& s, const float* phi) {
    if (s.normalised == 0) return 1.0f;
    float sum = 0.0f;
    for (u32 k = 0; k < s.neighbours; k++) sum += phi[k];
    return 1.0f / (sum + LEAST_SUM);
}

// Responses, [Q, K], and sums, [F, stride]. `frequencies` may be null. y of the grid are features in steps of eight.
extern "C" __global__ void __launch_bounds__(128)
    spatial_forward(const float* centres, const float* shapes, const float* weights, const float* frequencies,
                    const float* places, const u32* neighbours, SpatialShape shape, float* responses, float* out) {
    const u32 place = global_thread(), first = blockIdx.y * EIGHT;
    if (place >= shape.samples) return;
    const u32* near = neighbours + (u64)place * shape.neighbours;
    float total = 0.0f;
    for (u32 k = 0; k < shape.neighbours; k++) {
        const float phi = response(shape, shapes + near[k] * shape_numbers(shape),
                                   offset_of(shape, places, place, centres, near[k]));
        total += phi;
        if (first == 0) responses[(u64)place * shape.neighbours + k] = phi;
    }
    const float scale = shape.normalised != 0 ? 1.0f / (total + LEAST_SUM) : 1.0f;
    float sums[EIGHT] = {};
    for (u32 k = 0; k < shape.neighbours; k++) {
        const float phi = scale * response(shape, shapes + near[k] * shape_numbers(shape),
                                           offset_of(shape, places, place, centres, near[k]));
        const float* row = weights + (u64)near[k] * shape.features + first;
        const float4 low = *reinterpret_cast<const float4*>(row), high = *reinterpret_cast<const float4*>(row + 4);
        const float w[EIGHT] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (u32 f = 0; f < EIGHT; f++) {
            const float factor = frequencies == nullptr ? phi : sinf(phi * frequencies[first + f]);
            sums[f] = fmaf(factor, w[f], sums[f]);
        }
    }
#pragma unroll
    for (u32 f = 0; f < EIGHT; f++) out[(u64)(first + f) * shape.stride + place] = sums[f];
}

// The gradient of a place that follows from that of a response, and that of the kernel's shape, which is added to `of_shape`.
__device__ __forceinline__ Offset move_kernel(const SpatialShape& s, const float* numbers, const Offset& d, float phi,
                                              float of_phi, float (&of_shape)[MOST_SHAPE]) {
    Offset slope = {};
    if (s.kind == INVERSE_QUADRIC) {
        // phi = 1 / (1 + q): its derivative by q is -phi².
        const float of_q = -phi * phi * of_phi, x = d.by[0], y = d.by[1], z = d.by[2];
        // An element off the diagonal stands for two.
        const bool flat = s.dimensions == 2;
        of_shape[0] += of_q * x * x;
        of_shape[1] += 2.0f * of_q * x * y;
        of_shape[2] += flat ? of_q * y * y : 2.0f * of_q * x * z;
        of_shape[3] += flat ? 0.0f : of_q * y * y;
        of_shape[4] += flat ? 0.0f : 2.0f * of_q * y * z;
        of_shape[5] += flat ? 0.0f : of_q * z * z;
        slope = times(s, numbers, d);
#pragma unroll
        for (u32 a = 0; a < 3; a++) slope.by[a] *= 2.0f * of_q;
        return slope;
    }
    const Offset h = hats(s, numbers[0], d);
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        if (a >= s.dimensions || h.by[a] == 0.0f) continue;
        const float others = h.by[(a + 1) % 3] * h.by[(a + 2) % 3];
        of_shape[0] -= of_phi * others * fabsf(d.by[a]);
        slope.by[a] = -of_phi * others * numbers[0] * copysignf(1.0f, d.by[a]);
    }
    return slope;
}

// From `upstream`, [F, stride]: the gradient of responses, [Q, K], that of places, [D, stride] (or null), and the upstream rows turned around, [Q, F].
extern "C" __global__ void __launch_bounds__(128)
    spatial_place_gradient(const float* centres, const float* shapes, const float* weights, const float* frequencies,
                           const float* places, const u32* neighbours, const float* responses, const float* upstream,
                           SpatialShape shape, float* of_responses, float* of_places, float* turned) {
    const u32 place = global_thread();
    if (place >= shape.samples) return;
    const u64 pairs = (u64)place * shape.neighbours;
    const float scale = scale_of(shape, responses + pairs);
    Offset sum = {};
    float unused[MOST_SHAPE] = {};
    for (u32 k = 0; k < shape.neighbours; k++) {
        const u32 kernel = neighbours[pairs + k];
        const float phi = responses[pairs + k];
        float of_phi = 0.0f;
        for (u32 first = 0; first < shape.features; first += EIGHT) {
            const float* row = weights + (u64)kernel * shape.features + first;
            const float4 low = *reinterpret_cast<const float4*>(row), high = *reinterpret_cast<const float4*>(row + 4);
            const float w[EIGHT] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
            float g[EIGHT];
#pragma unroll
            for (u32 f = 0; f < EIGHT; f++) {
                g[f] = upstream[(u64)(first + f) * shape.stride + place];
                const float m = frequencies == nullptr ? 1.0f : frequencies[first + f];
                const float slope = frequencies == nullptr ? 1.0f : m * cosf(phi * scale * m);
                of_phi = fmaf(slope * w[f], g[f], of_phi);
            }
            if (k > 0) continue;
            float4* out = reinterpret_cast<float4*>(turned + (u64)place * shape.features + first);
            out[0] = make_float4(g[0], g[1], g[2], g[3]);
            out[1] = make_float4(g[4], g[5], g[6], g[7]);
        }
        of_phi *= scale;
        of_responses[pairs + k] = of_phi;
        const Offset offset = offset_of(shape, places, place, centres, kernel);
        const Offset slope = move_kernel(shape, shapes + kernel * shape_numbers(shape), offset, phi, of_phi, unused);
#pragma unroll
        for (u32 a = 0; a < 3; a++) sum.by[a] += slope.by[a];
    }
    if (of_places == nullptr) return;
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        if (a < shape.dimensions) of_places[(u64)a * shape.stride + place] = sum.by[a];
    }
}

// The numbers of all pairs and their kernels, for the sort.
extern "C" __global__ void __launch_bounds__(256)
    list_pairs(const u32* neighbours, u32 count, u32* keys, u32* pairs, u32* total) {
    const u32 i = global_thread();
    if (i == 0) *total = count;
    if (i >= count) return;
    keys[i] = neighbours[i];
    pairs[i] = i;
}

// Where the pairs of each kernel begin: `starts` is [M + 1], `keys` are sorted. A thread takes a pair and looks at the one before.
extern "C" __global__ void __launch_bounds__(256)
    find_starts(const u32* keys, u32 count, u32 kernels, u32* starts) {
    const u32 i = global_thread();
    if (i > count) return;
    const u32 here = i < count ? keys[i] : kernels, after = i > 0 ? keys[i - 1] + 1 : 0;
    for (u32 kernel = after; kernel <= here; kernel++) starts[kernel] = i;
}

// Gradients of kernels; those of centres and shapes may be null, both or none. A warp takes a kernel and 32 of its pairs at a time: each lane one, for
// what is a number of the pair, then all lanes one after the other, each with its features.
// Eight blocks on a multiprocessor leave registers enough.
extern "C" __global__ void __launch_bounds__(128, 8)
    spatial_kernel_gradient(const float* centres, const float* shapes, const float* frequencies, const float* places,
                            const float* responses, const float* of_responses, const float* turned, const u32* starts,
                            const u32* pairs, SpatialShape shape, float* of_centres, float* of_shapes,
                            float* of_weights) {
    const u32 kernel = global_thread() / WARP, lane = threadIdx.x % WARP;
    if (kernel >= shape.kernels) return;
    const u32 numbers = shape_numbers(shape);
    const bool moves = of_centres != nullptr;
    float weights[OF_LANE] = {}, of_centre[3] = {}, of_shape[MOST_SHAPE] = {};
    for (u32 start = starts[kernel]; start < starts[kernel + 1]; start += WARP) {
        const u32 count = min(WARP, starts[kernel + 1] - start);
        u32 place = 0;
        float phi = 0.0f;
        if (lane < count) {
            const u32 pair = pairs[start + lane];
            place = pair / shape.neighbours;
            phi = responses[pair] * scale_of(shape, responses + (u64)place * shape.neighbours);
            if (moves) {
                const Offset offset = offset_of(shape, places, place, centres, kernel);
                const Offset slope = move_kernel(shape, shapes + kernel * numbers, offset, responses[pair],
                                                 of_responses[pair], of_shape);
#pragma unroll
                for (u32 a = 0; a < 3; a++) of_centre[a] -= slope.by[a];
            }
        }
        for (u32 i = 0; i < count; i++) {
            const float* row = turned + (u64)__shfl_sync(FULL_WARP, place, i) * shape.features;
            const float of_pair = __shfl_sync(FULL_WARP, phi, i);
#pragma unroll
            for (u32 part = 0; part < OF_LANE; part++) {
                const u32 f = part * WARP + lane;
                if (f >= shape.features) continue;
                const float factor = frequencies == nullptr ? of_pair : sinf(of_pair * frequencies[f]);
                weights[part] = fmaf(row[f], factor, weights[part]);
            }
        }
    }
#pragma unroll
    for (u32 part = 0; part < OF_LANE; part++) {
        const u32 f = part * WARP + lane;
        if (f < shape.features) of_weights[(u64)kernel * shape.features + f] = weights[part];
    }
    if (!moves) return;
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        const float sum = warp_sum(of_centre[a]);
        if (lane == 0 && a < shape.dimensions) of_centres[kernel * shape.dimensions + a] = sum;
    }
#pragma unroll
    for (u32 n = 0; n < MOST_SHAPE; n++) {
        const float sum = warp_sum(of_shape[n]);
        if (lane == 0 && n < numbers) of_shapes[kernel * numbers + n] = sum;
    }
}
