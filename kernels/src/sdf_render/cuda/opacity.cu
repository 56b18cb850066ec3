// Opacities of samples, and which of them anybody sees: `sdf_render/alpha.rs` and `engine/src/surface/trace.rs` do the same.
//
// Mapping: opacities and what is gathered are a thread for each sample, with samples side by side; who is seen is found by a thread for each ray, which
// goes along its samples. 52 bytes and about 80 operations for an opacity, 4 bytes twice for a sample of a ray, 76 for one that is kept.

#include "occupancy/ray.cuh"

// `sdf_render/cuda/opacity.rs` fills both.
struct OpacityShape {
    u32 samples;
    // From a row to the next.
    u32 stride;
    float sharpness;
    float anneal;
    // Between samples.
    float step;
    // Subtracted from the network's distance.
    float radius;
};

struct SeenShape {
    u32 rays;
    // A ray ends when less than this passes.
    float stop;
    // Samples less opaque than this are left out.
    float invisible;
};

constexpr float EPSILON = 1e-5f;

// σ(x) and σ(-x), neither by subtraction from 1.
__device__ __forceinline__ void sigmoid(float x, float& of, float& of_negative) {
    const float e = expf(-fabsf(x)), large = 1.0f / (1.0f + e), small = e * large;
    of = x < 0.0f ? small : large;
    of_negative = x < 0.0f ? large : small;
}

// `out` is [5, stride]: opacity, its derivatives by distance, cosine, step and sharpness. `distances` [stride], `normals` [3, stride].
extern "C" __global__ void __launch_bounds__(256)
    opacities(const float* distances, const float* normals, const DeviceRay* rays, const u32* ray_of, OpacityShape shape,
              float* out) {
    const u32 i = global_thread();
    if (i >= shape.samples) return;
    const DeviceRay& ray = rays[ray_of[i]];
    float cos = 0.0f;
#pragma unroll
    for (u32 a = 0; a < 3; a++) cos += normals[(u64)a * shape.stride + i] * ray.direction[a];
    const float f = distances[i] - shape.radius, s = shape.sharpness, delta = shape.step;
    const float soft = 1.0f - shape.anneal, hard = shape.anneal;
    const float c = -(fmaxf(0.5f - 0.5f * cos, 0.0f) * soft + fmaxf(-cos, 0.0f) * hard);
    const float dc = (cos < 1.0f ? 0.5f * soft : 0.0f) + (cos < 0.0f ? hard : 0.0f);
    const float offset = 0.5f * c * delta, before = f - offset, after = f + offset;
    float p, not_p, q, not_q;
    sigmoid(s * before, p, not_p);
    sigmoid(s * after, q, not_q);
    const float inverse = 1.0f / (p + EPSILON), ratio = (p - q + EPSILON) * inverse;
    const bool is_inside = 0.0f < ratio && ratio < 1.0f;
    // ∂α/∂p and ∂α/∂q, each times σ'.
    const float by_p = is_inside ? q * inverse * inverse * p * not_p : 0.0f;
    const float by_q = is_inside ? -(inverse * q * not_q) : 0.0f;
    const float difference = s * (by_q - by_p);
    const u64 stride = shape.stride;
    out[i] = fminf(fmaxf(ratio, 0.0f), 1.0f);
    out[stride + i] = s * (by_p + by_q);
    out[2 * stride + i] = difference * 0.5f * delta * dc;
    out[3 * stride + i] = difference * 0.5f * c;
    out[4 * stride + i] = by_p * before + by_q * after;
}

// Calls `seen(n, i)` for the n-th sample i of a ray that is seen. Returns how many these are.
template <class F>
__device__ __forceinline__ u32 look(const u32* starts, const float* alphas, const SeenShape& shape, u32 r, const F& seen) {
    float transmittance = 1.0f;
    u32 n = 0;
    for (u32 i = starts[r]; i < starts[r + 1] && transmittance >= shape.stop; i++) {
        const float alpha = alphas[i];
        transmittance *= 1.0f - alpha;
        if (alpha > shape.invisible) seen(n++, i);
    }
    return n;
}

// `counts` is [rays + 1], the last of them 0: an exclusive sum makes it say where each ray's kept samples begin and end.
extern "C" __global__ void __launch_bounds__(128)
    count_seen(const u32* starts, const float* alphas, SeenShape shape, u32* counts) {
    const u32 r = global_thread();
    if (r > shape.rays) return;
    counts[r] = r < shape.rays ? look(starts, alphas, shape, r, [](u32, u32) {}) : 0;
}

// Which samples are kept, in order.
extern "C" __global__ void __launch_bounds__(128)
    list_seen(const u32* starts, const float* alphas, SeenShape shape, const u32* kept_starts, u32* kept) {
    const u32 r = global_thread();
    if (r >= shape.rays) return;
    const u32 start = kept_starts[r];
    look(starts, alphas, shape, r, [&](u32 n, u32 i) { kept[start + n] = i; });
}

// Places, [3, stride], opacities with derivatives, [5, stride], and rays of the kept samples.
extern "C" __global__ void __launch_bounds__(256)
    gather_seen(const u32* kept, u32 count, u32 stride, const float* positions, const float* alphas, const u32* ray_of,
                float* kept_positions, float* kept_alphas, u32* kept_ray_of) {
    const u32 to = global_thread();
    if (to >= count) return;
    const u32 from = kept[to];
#pragma unroll
    for (u32 a = 0; a < 3; a++) kept_positions[(u64)a * stride + to] = positions[(u64)a * stride + from];
#pragma unroll
    for (u32 a = 0; a < 5; a++) kept_alphas[(u64)a * stride + to] = alphas[(u64)a * stride + from];
    kept_ray_of[to] = ray_of[from];
}
