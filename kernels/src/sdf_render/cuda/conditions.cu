// What is asked of distances and normals beside what photos show: `engine/src/surface/{step,smooth,fit}.rs` do the same.
//
// Samples of a step lie behind each other: those of rays, random places, pairs of neighbours on the surface. Mapping: a thread takes a sample or a pair;
// only those that draw pairs go along a ray. Sums of losses are those of blocks.

#include "occupancy/ray.cuh"

// `sdf_render/cuda/conditions.rs` fills all.
struct DevicePair {
    // On which ray, how far from each other, and a vector that says in which direction.
    u32 ray;
    float reach;
    float towards[3];
};

struct PairShape {
    u32 pairs;
    // The sample at which they begin.
    u32 first;
    u32 stride;
    // Rays less opaque than this meet no surface; one ends when less than `stop` passes.
    float opaque;
    float stop;
};

struct ConditionShape {
    // Samples of rays, and all without those of pairs.
    u32 of_rays;
    u32 samples;
    u32 stride;
    // Weight of the eikonal condition for a sample.
    float eikonal;
};

struct FitShape {
    u32 samples;
    u32 stride;
    float radius;
    float huber;
    float per_sample;
    float eikonal;
};

__device__ __forceinline__ float length_of(const float (&v)[3], float least) {
    return sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + least);
}

__device__ __forceinline__ void read_rows(const float* rows, u32 stride, u32 i, float (&out)[3]) {
#pragma unroll
    for (u32 a = 0; a < 3; a++) out[a] = rows[(u64)a * stride + i];
}

__device__ __forceinline__ void write_rows(const float (&values)[3], u32 stride, u32 i, float* rows) {
#pragma unroll
    for (u32 a = 0; a < 3; a++) rows[(u64)a * stride + i] = values[a];
}

// (|n| - 1)² times a weight: what n is multiplied with in its gradient, and the loss.
__device__ __forceinline__ float eikonal(const float (&n)[3], float weight, float& loss) {
    const float length = length_of(n, 1e-6f);
    loss += weight * (length - 1.0f) * (length - 1.0f);
    return 2.0f * weight * (1.0f - 1.0f / length);
}

// From `places`, [count, 3], to columns `first..` of `positions`, [3, stride].
extern "C" __global__ void __launch_bounds__(256)
    place_samples(const float* places, u32 count, u32 first, u32 stride, float* positions) {
    const u32 i = global_thread();
    if (i >= count) return;
#pragma unroll
    for (u32 a = 0; a < 3; a++) positions[(u64)a * stride + first + i] = places[3ull * i + a];
}

// Two places where a ray meets the surface, if it does: there, and beside it. `starts`, `alphas` and `kept` are those of the samples that are
// kept, `positions` and `normals` those of all, from which `kept` chose.
extern "C" __global__ void __launch_bounds__(128)
    draw_pairs(const DevicePair* pairs, const u32* starts, const float* alphas, const u32* kept, const float* positions,
               const float* normals, PairShape shape, float* places, u32* met) {
    const u32 p = global_thread();
    if (p >= shape.pairs) return;
    const DevicePair pair = pairs[p];
    float transmittance = 1.0f, opacity = 0.0f, most = -1.0f;
    u32 found = 0;
    for (u32 i = starts[pair.ray]; i < starts[pair.ray + 1] && transmittance >= shape.stop; i++) {
        const float weight = transmittance * alphas[i];
        transmittance *= 1.0f - alphas[i];
        opacity += weight;
        if (weight >= most) {
            most = weight;
            found = i;
        }
    }
    const bool is_met = opacity > shape.opaque;
    met[p] = is_met ? 1 : 0;
    float place[3] = {0.5f, 0.5f, 0.5f}, beside[3] = {0.5f, 0.5f, 0.5f};
    if (is_met) {
        float n[3];
        read_rows(positions, shape.stride, kept[found], place);
        read_rows(normals, shape.stride, kept[found], n);
        const float (&o)[3] = pair.towards;
        const float cross[3] = {n[1] * o[2] - n[2] * o[1], n[2] * o[0] - n[0] * o[2], n[0] * o[1] - n[1] * o[0]};
        const float length = fmaxf(length_of(cross, 0.0f), 1e-12f);
#pragma unroll
        for (u32 a = 0; a < 3; a++) beside[a] = fmaf(pair.reach, cross[a] / length, place[a]);
    }
    const u32 column = shape.first + 2 * p;
    write_rows(place, shape.stride, column, places);
    write_rows(beside, shape.stride, column + 1, places);
}

// Gradients by distances, [stride], of the samples of rays, and by normals, `v` [3, stride], of all but pairs. `alphas` is [5, stride] as in `opacity.cu`. Sums of
// blocks into `parts`: losses, and `room` behind them the gradient by the sharpness.
extern "C" __global__ void __launch_bounds__(256)
    sample_gradients(const DeviceRay* rays, const u32* ray_of, const float* alphas, const float* by_alphas,
                     const float* normals, ConditionShape shape, float* by_distances, float* v, u32 room, float* parts) {
    const u32 i = global_thread();
    float loss = 0.0f, by_sharpness = 0.0f;
    if (i < shape.samples) {
        float n[3];
        read_rows(normals, shape.stride, i, n);
        const float factor = eikonal(n, shape.eikonal, loss);
        float by_normal[3] = {factor * n[0], factor * n[1], factor * n[2]};
        if (i < shape.of_rays) {
            const float by_alpha = by_alphas[i];
            by_distances[i] = by_alpha * alphas[(u64)shape.stride + i];
            const float by_cosine = by_alpha * alphas[2ull * shape.stride + i];
            by_sharpness = by_alpha * alphas[4ull * shape.stride + i];
            const DeviceRay& ray = rays[ray_of[i]];
#pragma unroll
            for (u32 a = 0; a < 3; a++) by_normal[a] = fmaf(by_cosine, ray.direction[a], by_normal[a]);
        }
        write_rows(by_normal, shape.stride, i, v);
    }
    loss = block_sum<256>(loss);
    by_sharpness = block_sum<256>(by_sharpness);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = loss;
        parts[room + blockIdx.x] = by_sharpness;
    }
}

// The length of the difference of the unit normals of each pair, and its gradients by both normals.
extern "C" __global__ void __launch_bounds__(128)
    pair_gradients(const float* normals, const u32* met, PairShape shape, float weight, float* v, float* parts) {
    // Below an angle of a degree there is nothing to mend.
    constexpr float ROUND = 0.02f;
    const u32 p = global_thread();
    float loss = 0.0f;
    if (p < shape.pairs) {
        float by_normals[2][3] = {};
        const u32 column = shape.first + 2 * p;
        if (met[p] != 0) {
            float units[2][3], lengths[2], between[3];
#pragma unroll
            for (u32 j = 0; j < 2; j++) {
                read_rows(normals, shape.stride, column + j, units[j]);
                lengths[j] = fmaxf(length_of(units[j], 0.0f), 1e-6f);
#pragma unroll
                for (u32 a = 0; a < 3; a++) units[j][a] /= lengths[j];
            }
#pragma unroll
            for (u32 a = 0; a < 3; a++) between[a] = units[0][a] - units[1][a];
            const float size = length_of(between, ROUND * ROUND);
            loss = weight * (size - ROUND);
#pragma unroll
            for (u32 j = 0; j < 2; j++) {
                const float along = between[0] * units[j][0] + between[1] * units[j][1] + between[2] * units[j][2];
                const float factor = (j == 0 ? weight : -weight) / (size * lengths[j]);
#pragma unroll
                for (u32 a = 0; a < 3; a++) by_normals[j][a] = factor * (between[a] - along * units[j][a]);
            }
        }
        write_rows(by_normals[0], shape.stride, column, v);
        write_rows(by_normals[1], shape.stride, column + 1, v);
    }
    loss = block_sum<128>(loss);
    if (threadIdx.x == 0) parts[blockIdx.x] = loss;
}

// Of places that want distances, [stride]: Huber's loss and the eikonal condition, with the gradients by distances, [stride], and normals, [3, stride].
extern "C" __global__ void __launch_bounds__(256)
    fit_gradients(const float* distances, const float* wanted, const float* normals, FitShape shape, float* by_distances,
                  float* v, float* parts) {
    const u32 i = global_thread();
    float loss = 0.0f;
    if (i < shape.samples) {
        const float error = distances[i] - shape.radius - wanted[i], size = fabsf(error);
        loss = shape.per_sample * (size < shape.huber ? 0.5f * size * size / shape.huber : size - 0.5f * shape.huber);
        by_distances[i] = shape.per_sample * fminf(fmaxf(error / shape.huber, -1.0f), 1.0f);
        float n[3];
        read_rows(normals, shape.stride, i, n);
        const float factor = eikonal(n, shape.eikonal, loss);
        const float by_normal[3] = {factor * n[0], factor * n[1], factor * n[2]};
        write_rows(by_normal, shape.stride, i, v);
    }
    loss = block_sum<256>(loss);
    if (threadIdx.x == 0) parts[blockIdx.x] = loss;
}
