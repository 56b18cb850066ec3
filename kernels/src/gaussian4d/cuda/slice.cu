// Gaussians in space and time at a moment, and the gradient of that, for a list of rows; `gaussian4d/cpu.rs` does the same.
//
// Mapping: a thread takes a listed Gaussian. Rows are listed a segment of the hierarchy at a time, in which they stand side
// by side, so threads of a warp read neighbours. `slice_gaussians` reads 68 bytes, writes 40 and does some 260 operations
// for each; `slice_gradients` reads 112, writes 68 and does some 700, the slice again among them, but only for the ones
// that are in the picture. `gather_rows` copies colours, which the rasteriser reads in order.

#include "gaussian4d/cuda/gaussian4d.cuh"
#include "splat/cuda/record.cuh"

struct Gaussian4d {
    float mean[3];
    float time;
    float opacity_logit;
    SpacetimeShape shape;
};

__device__ inline float4 load4(const float* rows, u32 i) { return reinterpret_cast<const float4*>(rows)[i]; }

__device__ inline Gaussian4d load_gaussian4d(const float* means, const float* times, const float* log_scales,
                                             const float* log_time_scales, const float* left_quats,
                                             const float* right_quats, const float* opacity_logits, u32 row) {
    Gaussian4d g;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        g.mean[k] = means[3 * (u64)row + k];
        g.shape.log_scale[k] = log_scales[3 * (u64)row + k];
    }
    g.time = times[row];
    g.shape.log_scale[3] = log_time_scales[row];
    g.opacity_logit = opacity_logits[row];
    float4 left = load4(left_quats, row), right = load4(right_quats, row);
    float both[8] = {left.x, left.y, left.z, left.w, right.x, right.y, right.z, right.w};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        g.shape.left[k] = both[k];
        g.shape.right[k] = both[4 + k];
    }
    return g;
}

__device__ inline float sigmoid_of(float logit) { return 1.0f / (1.0f + expf(-logit)); }

// Rows `start ..` into the places `at ..` of the list.
extern "C" __global__ void __launch_bounds__(256) list_rows(u32 start, u32 at, u32 count, u32* rows) {
    u32 i = global_thread();
    if (i < count) rows[at + i] = start + i;
}

extern "C" __global__ void __launch_bounds__(256)
    gather_rows(const float* values, u32 columns, const u32* rows, u32 count, float* out) {
    u64 e = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    if (e >= count * (u64)columns) return;
    out[e] = values[rows[e / columns] * (u64)columns + e % columns];
}

extern "C" __global__ void __launch_bounds__(256)
    slice_gaussians(const float* means, const float* times, const float* log_scales, const float* log_time_scales,
                    const float* left_quats, const float* right_quats, const float* opacity_logits, const u32* rows,
                    u32 count, float seconds, float* seen_means, float* covariances, float* opacities) {
    u32 i = global_thread();
    if (i >= count) return;
    Gaussian4d g = load_gaussian4d(means, times, log_scales, log_time_scales, left_quats, right_quats, opacity_logits,
                                   rows[i]);
    Conditional seen = condition(g.shape);
    float since = seconds - g.time, weight = time_weight(seen, since), covariance[6];
    covariance_of(seen, covariance);
#pragma unroll
    for (int k = 0; k < 3; k++) {
        seen_means[3 * (u64)i + k] = fmaf(seen.velocity[k], since, g.mean[k]);
    }
#pragma unroll
    for (int k = 0; k < 6; k++) {
        covariances[6 * (u64)i + k] = covariance[k];
    }
    opacities[i] = MIN_TIME_WEIGHT < weight ? sigmoid_of(g.opacity_logit) * weight : 0.0f;
}

// `steps[i]` is how many steps the listed Gaussian has taken, this one included. It is 0 where it is not in the picture, and
// everywhere when the pass had more pairs than its `capacity`, so that its picture is incomplete. `steps_of_harmonics` is also
// 0, if `only_given`, where the harmonics are all zero. Scores are added to those of the rows.
extern "C" __global__ void __launch_bounds__(256)
    count_steps(const u32* rows, const u32* touched, const u32* counters, u32 capacity, u32 count, const float* harmonics,
                u32 columns, u32 only_given, const float* scores, u32* ages, float* row_scores, u32* steps,
                u32* steps_of_harmonics) {
    u32 i = global_thread();
    if (i >= count) return;
    u32 row = rows[i], age = 0;
    if (touched[i] > 0 && counters[WANTED_INSTANCES] <= capacity) {
        age = ages[row] + 1;
        ages[row] = age;
        row_scores[row] += scores[i];
    }
    bool given = !only_given;
    for (u32 k = 0; k < columns && age > 0 && !given; k++) {
        given = harmonics[row * (u64)columns + k] != 0.0f;
    }
    steps[i] = age;
    steps_of_harmonics[i] = given ? age : 0;
}

// `steps` is zero for Gaussians that are not in the picture: their gradients are zero. Adds the gradients of
// `opacity_pull` opacity and `scale_pull` scales to those of the others.
extern "C" __global__ void __launch_bounds__(256)
    slice_gradients(const float* means, const float* times, const float* log_scales, const float* log_time_scales,
                    const float* left_quats, const float* right_quats, const float* opacity_logits, const u32* rows,
                    const u32* steps, u32 count, float seconds, float opacity_pull, float scale_pull,
                    const float* v_seen_means, const float* v_covariances, const float* v_opacities, float* v_means,
                    float* v_times, float* v_log_scales, float* v_log_time_scales, float* v_left_quats,
                    float* v_right_quats, float* v_opacity_logits) {
    u32 i = global_thread();
    if (i >= count) return;
    ShapeGradient shape = {};
    float mean[3] = {0.0f, 0.0f, 0.0f}, logit = 0.0f;
    if (steps[i] > 0) {
        Gaussian4d g = load_gaussian4d(means, times, log_scales, log_time_scales, left_quats, right_quats,
                                       opacity_logits, rows[i]);
        Conditional seen = condition(g.shape);
        float since = seconds - g.time, weight = time_weight(seen, since), sigma = sigmoid_of(g.opacity_logit);
        if (MIN_TIME_WEIGHT < weight) {
            SeenGradient v;
#pragma unroll
            for (int k = 0; k < 3; k++) {
                v.mean[k] = mean[k] = v_seen_means[3 * (u64)i + k];
            }
#pragma unroll
            for (int k = 0; k < 6; k++) {
                v.covariance[k] = v_covariances[6 * (u64)i + k];
            }
            v.weight = v_opacities[i] * sigma;
            shape = condition_backward(seen, since, v);
            logit = v_opacities[i] * weight * sigma * (1.0f - sigma);
        }
        logit += opacity_pull * sigma * (1.0f - sigma);
#pragma unroll
        for (int k = 0; k < 3; k++) {
            shape.log_scale[k] = fmaf(scale_pull, seen.scale[k], shape.log_scale[k]);
        }
    }
#pragma unroll
    for (int k = 0; k < 3; k++) {
        v_means[3 * (u64)i + k] = mean[k];
        v_log_scales[3 * (u64)i + k] = shape.log_scale[k];
    }
    v_times[i] = shape.time;
    v_log_time_scales[i] = shape.log_scale[3];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        v_left_quats[4 * (u64)i + k] = shape.left[k];
        v_right_quats[4 * (u64)i + k] = shape.right[k];
    }
    v_opacity_logits[i] = logit;
}
