// From the gradients of splats back to the network's last layer and to anchors, with the pulls towards small volumes and towards what the teacher makes;
// and what growth and removal of anchors want to know.
//
// Mapping: a thread takes an anchor and goes through its Gaussians, so what an anchor gets from all of them is summed by one thread, in the order of
// `cpu.rs`. Anchors lie side by side in all that is read and written for each Gaussian. For a Gaussian that is 47 numbers read and 14 written
// with a teacher. Losses are summed in blocks, whose parts have a fixed order.

#include "anchor_decoder/cuda/anchors.cuh"

// `anchor_decoder/cuda/mod.rs` fills it: weights of the mean volume, and of the difference to the teacher; 0 for none.
struct Pull {
    float volume;
    float consistency;
};

// Sums of squared differences of colours, rotations, scales and opacities, and of volumes.
constexpr u32 LOSSES = 5;

// The gradient by what sigmoid made, as that by its argument.
__device__ __forceinline__ float through_sigmoid(float value, float v) { return v * value * (1.0f - value); }

// `kept` is how many Gaussians there are; the first three gradients of an anchor's scales are those of its offsets. `d_offsets`, [anchors, 3 k], and
// `d_log_scaling`, [anchors, 6], are written where anchors are decoded; `parts` is [blocks, LOSSES].
extern "C" __global__ void __launch_bounds__(128)
    decoded_gradients(const float* offsets, const float* log_scaling, const u32* chosen, const float* last_layer, const float* teacher,
                      AnchorShape shape, Pull pull, const u32* kept, const float* v_means, const float* v_log_scales,
                      const float* v_quats, const float* v_opacity_logits, const float* v_sh0, float* d_last_layer,
                      float* d_offsets, float* d_log_scaling, float* parts) {
    const u32 i = global_thread(), k = shape.gaussians;
    float losses[LOSSES] = {};
    if (i < shape.count) {
        const u64 anchor = chosen[i];
        const Raw raw = {last_layer, shape.stride, k, i}, wanted = {teacher, shape.stride, k, i};
        const float gaussians = fmaxf((float)*kept, 1.0f);
        const bool is_taught = teacher != nullptr;
        const float of_scales = 2.0f * pull.consistency / (3.0f * gaussians), of_quats = 2.0f * pull.consistency / (4.0f * gaussians);
        const float of_opacities = 2.0f * pull.consistency / (float)(shape.count * k), of_volumes = pull.volume / gaussians;
        float scaling[6], v_logs[6] = {};
#pragma unroll
        for (u32 c = 0; c < 6; c++) scaling[c] = expf(log_scaling[6 * anchor + c]);
        const auto put = [&](u32 row, float v) { d_last_layer[(u64)row * shape.stride + i] = v; };
        for (u32 g = 0; g < k; g++) {
            const u64 slot = (u64)g * shape.count + i;
            const float opacity = raw.opacity(g);
            const bool is_kept = opacity > 0.0f;
            float v_opacity = 0.0f;
            if (is_kept) {
                const float o = fminf(opacity, MOST_OPAQUE);
                v_opacity = v_opacity_logits[slot] / fmaxf(o * (1.0f - o), SMALLEST);
            }
            if (is_taught) {
                const float off = opacity - wanted.opacity(g);
                v_opacity += of_opacities * off;
                losses[3] += off * off;
            }
            put(g, v_opacity * (1.0f - opacity * opacity));
            float scale[3];
#pragma unroll
            for (u32 c = 0; c < 3; c++) scale[c] = scaling[3 + c] * raw.scale(g, c);
#pragma unroll
            for (u32 c = 0; c < 3; c++) {
                const u64 at = 3 * slot + c, offset = 3 * (anchor * k + g) + c;
                const u32 row_of_scale = k + COVARIANCE * g + c, row_of_colour = k * (1 + COVARIANCE) + 3 * g + c;
                if (!is_kept) {
                    put(row_of_scale, 0.0f);
                    put(row_of_colour, 0.0f);
                    d_offsets[offset] = 0.0f;
                    continue;
                }
                float v_scale = v_log_scales[at] / fmaxf(scale[c], SMALLEST) + of_volumes * scale[(c + 1) % 3] * scale[(c + 2) % 3];
                const float colour = raw.colour(g, c);
                float v_colour = v_sh0[at] / SH_Y0;
                if (is_taught) {
                    const float off_scale = scale[c] - scaling[3 + c] * wanted.scale(g, c), off_colour = colour - wanted.colour(g, c);
                    v_scale += of_scales * off_scale;
                    v_colour += of_scales * off_colour;
                    losses[2] += off_scale * off_scale;
                    losses[0] += off_colour * off_colour;
                }
                put(row_of_scale, through_sigmoid(raw.scale(g, c), v_scale * scaling[3 + c]));
                put(row_of_colour, through_sigmoid(colour, v_colour));
                v_logs[3 + c] += v_scale * scale[c];
                const float v_mean = v_means[at];
                d_offsets[offset] = v_mean * scaling[c];
                v_logs[c] += v_mean * offsets[offset] * scaling[c];
            }
            if (is_kept) losses[4] += scale[0] * scale[1] * scale[2];
            float unit[4], v[4] = {}, along = 0.0f, inverse = 0.0f;
            if (is_kept) {
                inverse = raw.rotation(g, unit);
                float other[4];
                if (is_taught) wanted.rotation(g, other);
#pragma unroll
                for (u32 q = 0; q < 4; q++) {
                    v[q] = v_quats[4 * slot + q];
                    if (is_taught) {
                        const float off = unit[q] - other[q];
                        v[q] += of_quats * off;
                        losses[1] += off * off;
                    }
                    along = fmaf(unit[q], v[q], along);
                }
            }
#pragma unroll
            for (u32 q = 0; q < 4; q++) put(k + COVARIANCE * g + 3 + q, is_kept ? (v[q] - unit[q] * along) * inverse : 0.0f);
        }
#pragma unroll
        for (u32 c = 0; c < 6; c++) d_log_scaling[6 * anchor + c] = v_logs[c];
    }
#pragma unroll
    for (u32 l = 0; l < LOSSES; l++) {
        const float sum = block_sum<128>(losses[l]);
        if (threadIdx.x == 0) parts[LOSSES * blockIdx.x + l] = sum;
    }
}

// Adds up columns of `parts`, [blocks, gridDim.x], in double precision and a fixed order. A block takes a column.
extern "C" __global__ void __launch_bounds__(128) add_losses(const float* parts, u32 blocks, float* losses) {
    double sum = 0.0;
    for (u32 block = threadIdx.x; block < blocks; block += 128) sum += (double)parts[block * gridDim.x + blockIdx.x];
    sum = block_sum<128>(sum);
    if (threadIdx.x == 0) losses[blockIdx.x] = (float)sum;
}

// From the gradient of the network's input to that of features, [anchors, F], where anchors are decoded.
extern "C" __global__ void __launch_bounds__(256)
    feature_gradients(const float* d_input, const u32* chosen, AnchorShape shape, float* d_features) {
    const u32 i = global_thread();
    if (i >= shape.count) return;
    for (u32 row = 0; row < shape.features; row++) {
        d_features[(u64)chosen[i] * shape.features + row] = d_input[(u64)row * shape.stride + i];
    }
}

// Adds what one step saw of the decoded anchors: `norms` are the lengths of gradients in pixels, `touched` the tiles that each splat touches, and `pixels` is
// half of the picture's longer side. `gradients` and `counts` are [anchors, k].
extern "C" __global__ void __launch_bounds__(128)
    observe_anchors(const float* last_layer, const u32* chosen, AnchorShape shape, const u32* touched, const float* norms, float pixels,
                    float* seen, float* opacities, float* gradients, float* counts) {
    const u32 i = global_thread();
    if (i >= shape.count) return;
    const u64 anchor = chosen[i];
    const Raw raw = {last_layer, shape.stride, shape.gaussians, i};
    float sum = 0.0f;
    for (u32 g = 0; g < shape.gaussians; g++) {
        sum += fmaxf(raw.opacity(g), 0.0f);
        const u64 slot = (u64)g * shape.count + i, at = anchor * shape.gaussians + g;
        if (touched[slot] > 0) {
            gradients[at] += pixels * norms[slot];
            counts[at] += 1.0f;
        }
    }
    seen[anchor] += 1.0f;
    opacities[anchor] += sum;
}

// `factor` times all. A thread takes a number.
extern "C" __global__ void __launch_bounds__(256) scale_all(float* values, u32 count, float factor) {
    const u32 i = global_thread();
    if (i < count) values[i] *= factor;
}
