// Blending the samples of rays, comparing what they see, and the gradients of both: `sdf_render/composite.rs` and `engine/src/surface/step.rs` do the same.
//
// Mapping: a thread takes a ray and goes along its samples, front to back forwards, back to front backwards. A sample is 20 bytes forwards and 48
// backwards; neighbouring rays' samples lie behind each other, so the caches see whole lines of them. Sums over rays are those of blocks, then of
// blocks in order and in double precision.

#include "sdf_render/cuda/target.cuh"

// `sdf_render/cuda/blend.rs` fills all three.
struct BlendShape {
    u32 rays;
    // From a row of samples to the next; rows of rays are `rays` apart.
    u32 stride;
    // A ray ends when less than this passes.
    float stop;
};

struct CompareShape {
    u32 rays;
    // From this difference on the loss grows linearly.
    float huber;
    // Weights of a ray, and of its opacity beside that.
    float per_ray;
    float mask;
};

struct SumShape {
    // Sums of blocks: how many, where they begin, and to which of the sums they belong.
    u32 count[5];
    u32 first[5];
    u32 sum[5];
};

// `blended` is [5, rays]: colour, opacity, and what passes all samples; `seen` how many samples it took to stop the ray, or all. `colours` is
// [3, stride], `weights` [stride].
extern "C" __global__ void __launch_bounds__(128)
    blend_rays(const u32* starts, const float* alphas, const float* colours, const RayTarget* targets, BlendShape shape,
               float* blended, u32* seen, float* weights) {
    const u32 r = global_thread();
    if (r >= shape.rays) return;
    const u32 begin = starts[r], end = starts[r + 1];
    const u64 stride = shape.stride;
    float transmittance = 1.0f, colour[3] = {}, opacity = 0.0f;
    u32 i = begin;
    bool is_stopped = false;
    for (; i < end && !is_stopped; i++) {
        const float alpha = alphas[i], weight = transmittance * alpha;
        weights[i] = weight;
        opacity += weight;
#pragma unroll
        for (u32 k = 0; k < 3; k++) colour[k] = fmaf(weight, colours[k * stride + i], colour[k]);
        transmittance *= 1.0f - alpha;
        is_stopped = transmittance < shape.stop;
    }
    if (is_stopped) transmittance = 0.0f;
    seen[r] = i - begin;
    for (; i < end; i++) weights[i] = 0.0f;
#pragma unroll
    for (u32 k = 0; k < 3; k++) {
        blended[(u64)k * shape.rays + r] = fmaf(transmittance, targets[r].background[k], colour[k]);
    }
    blended[3ull * shape.rays + r] = opacity;
    blended[4ull * shape.rays + r] = transmittance;
}

// Huber's loss of colours and the cross entropy of opacities, where these are known, with `upstream`, [4, rays], the gradients by both. Sums of
// blocks into `parts`: losses, and `room` behind them the squares of the colours' errors.
extern "C" __global__ void __launch_bounds__(128)
    compare_rays(const RayTarget* targets, const float* blended, CompareShape shape, float* upstream, u32 room,
                 float* parts) {
    const u32 r = global_thread();
    float loss = 0.0f, square = 0.0f;
    if (r < shape.rays) {
        const RayTarget target = targets[r];
        const float per_channel = shape.per_ray / 3.0f;
#pragma unroll
        for (u32 k = 0; k < 3; k++) {
            const float error = blended[(u64)k * shape.rays + r] - target.colour[k], size = fabsf(error);
            square = fmaf(error, error, square);
            loss += per_channel * (size < shape.huber ? 0.5f * size * size / shape.huber : size - 0.5f * shape.huber);
            upstream[(u64)k * shape.rays + r] = per_channel * fminf(fmaxf(error / shape.huber, -1.0f), 1.0f);
        }
        float of_opacity = 0.0f;
        if (target.opacity >= 0.0f) {
            const float seen = blended[3ull * shape.rays + r], o = fminf(fmaxf(seen, 1e-3f), 1.0f - 1e-3f);
            const float weight = shape.mask * shape.per_ray;
            loss -= weight * (target.opacity * logf(o) + (1.0f - target.opacity) * logf(1.0f - o));
            if (o == seen) of_opacity = -weight * (target.opacity / o - (1.0f - target.opacity) / (1.0f - o));
        }
        upstream[3ull * shape.rays + r] = of_opacity;
    }
    loss = block_sum<128>(loss);
    square = block_sum<128>(square);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = loss;
        parts[room + blockIdx.x] = square;
    }
}

// Gradients by opacities, [stride], and colours, [3, stride], from `upstream`, [4, rays], after `blend_rays`.
extern "C" __global__ void __launch_bounds__(128)
    blend_rays_backward(const u32* starts, const float* alphas, const float* colours, const RayTarget* targets,
                        BlendShape shape, const float* blended, const u32* seen, const float* weights,
                        const float* upstream, float* by_alphas, float* by_colours) {
    const u32 r = global_thread();
    if (r >= shape.rays) return;
    const u32 begin = starts[r], stop = begin + seen[r], end = starts[r + 1];
    const u64 stride = shape.stride;
    float by_colour[3];
#pragma unroll
    for (u32 k = 0; k < 3; k++) by_colour[k] = upstream[(u64)k * shape.rays + r];
    const float by_opacity = upstream[3ull * shape.rays + r];
    // Until the way back, the transmittance before each sample.
    float before = 1.0f;
    for (u32 i = begin; i < stop; i++) {
        by_alphas[i] = before;
        before *= 1.0f - alphas[i];
    }
    for (u32 i = stop; i < end; i++) {
        by_alphas[i] = 0.0f;
#pragma unroll
        for (u32 k = 0; k < 3; k++) by_colours[k * stride + i] = 0.0f;
    }
    // What lies behind the sample, as it counts in the loss.
    float behind = 0.0f;
#pragma unroll
    for (u32 k = 0; k < 3; k++) behind = fmaf(by_colour[k], targets[r].background[k], behind);
    behind *= blended[4ull * shape.rays + r];
    for (u32 i = stop; i-- > begin;) {
        const float weight = weights[i];
        float value = by_opacity;
#pragma unroll
        for (u32 k = 0; k < 3; k++) {
            value = fmaf(by_colour[k], colours[k * stride + i], value);
            by_colours[k * stride + i] = weight * by_colour[k];
        }
        // Where the ray was stopped nothing is behind; before that, 1 - α is at least the limit.
        const float hidden = behind == 0.0f ? 0.0f : behind / (1.0f - alphas[i]);
        by_alphas[i] = by_alphas[i] * value - hidden;
        behind = fmaf(weight, value, behind);
    }
}

// Sums of blocks' sums, in order. A block of 256 threads takes the sum of its number.
extern "C" __global__ void __launch_bounds__(256) sum_parts(const float* partials, SumShape shape, float* sums) {
    double sum = 0.0;
    for (u32 part = 0; part < 5; part++) {
        if (shape.sum[part] != blockIdx.x) continue;
        for (u32 i = threadIdx.x; i < shape.count[part]; i += 256) sum += (double)partials[shape.first[part] + i];
    }
    sum = block_sum<256>(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = (float)sum;
}
