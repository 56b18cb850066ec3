// From anchors to splats: which anchors a view sees, what the network is given of them, and what becomes of its last layer. `cpu.rs` decodes on the CPU.
//
// Mapping: a thread takes an anchor, or one Gaussian of it. An anchor's feature is a whole line of the cache, which its thread goes through alone;
// everything else is read and written side by side. Nothing is summed over anchors but whole numbers.

#include "anchor_decoder/cuda/anchors.cuh"
#include "sort/scan.cuh"

// `anchor_decoder/cuda/mod.rs` fills it: where the camera is, and the picture's edges as planes through it.
struct Sight {
    float rotation[9];
    float translation[3];
    float edges[12];
    float nearest;
};

// Standard deviations at which a Gaussian ends.
constexpr float EXTENT = 3.0f;

// Whether a view may see Gaussians of each anchor, and how many of each block it does.
extern "C" __global__ void __launch_bounds__(256)
    find_anchors(const float* positions, const float* offsets, const float* log_scaling, u32 anchors, u32 gaussians, Sight sight,
              u32* seen, u32* block_counts) {
    const u32 a = global_thread();
    u32 is_seen = 0;
    if (a < anchors) {
        const float* logs = log_scaling + 6 * (u64)a;
        float farthest = 0.0f;
        for (u32 e = 0; e < 3 * gaussians; e++) {
            farthest = fmaxf(farthest, fabsf(offsets[3 * (u64)gaussians * a + e]));
        }
        const float reach = farthest * expf(fmaxf(logs[0], fmaxf(logs[1], logs[2])))
                            + EXTENT * expf(fmaxf(logs[3], fmaxf(logs[4], logs[5])));
        float place[3];
#pragma unroll
        for (u32 row = 0; row < 3; row++) {
            place[row] = sight.translation[row];
#pragma unroll
            for (u32 c = 0; c < 3; c++) place[row] += sight.rotation[3 * row + c] * positions[3 * (u64)a + c];
        }
        is_seen = place[2] + reach > sight.nearest;
#pragma unroll
        for (u32 edge = 0; edge < 4; edge++) {
            const float* n = sight.edges + 3 * edge;
            is_seen &= n[0] * place[0] + n[1] * place[1] + n[2] * place[2] <= reach;
        }
        seen[a] = is_seen;
    }
    const u32 count = (u32)__syncthreads_count((int)is_seen);
    if (threadIdx.x == 0) block_counts[blockIdx.x] = count;
}

// The numbers of those that are seen, ascending; `block_offsets` are those in earlier blocks.
extern "C" __global__ void __launch_bounds__(256)
    list_anchors(const u32* seen, const u32* block_offsets, u32 anchors, u32* chosen) {
    __shared__ u32 scratch[32];
    const u32 a = global_thread();
    const u32 is_seen = a < anchors ? seen[a] : 0u;
    u32 total;
    const u32 place = block_offsets[blockIdx.x] + block_exclusive_sum(is_seen, scratch, total);
    if (is_seen) chosen[place] = a;
}

// The network's input: feature, direction, 1, and zeros in what is left of `rows` rows.
extern "C" __global__ void __launch_bounds__(256)
    decoder_input(const float* positions, const float* features, const u32* chosen, AnchorShape shape, u32 rows, float* input) {
    const u32 i = global_thread();
    if (i >= shape.count) return;
    const u64 anchor = chosen[i];
    for (u32 row = 0; row < shape.features; row++) {
        input[(u64)row * shape.stride + i] = features[anchor * shape.features + row];
    }
    float way[3], squared = 0.0f;
#pragma unroll
    for (u32 c = 0; c < 3; c++) {
        way[c] = positions[3 * anchor + c] - shape.centre[c];
        squared += way[c] * way[c];
    }
    const float inverse = 1.0f / fmaxf(sqrtf(squared), 1e-12f);
#pragma unroll
    for (u32 c = 0; c < 3; c++) input[(u64)(shape.features + c) * shape.stride + i] = way[c] * inverse;
    for (u32 row = shape.features + 3; row < rows; row++) {
        input[(u64)row * shape.stride + i] = row == shape.features + 3 ? 1.0f : 0.0f;
    }
}

// What the rasteriser takes: a splat for each Gaussian of each anchor, of which those are nothing that are not kept. Their number goes to
// `kept_counts`, for each block. Blocks go along anchors; y is the Gaussian.
extern "C" __global__ void __launch_bounds__(128)
    decoded_splats(const float* positions, const float* offsets, const float* log_scaling, const u32* chosen, const float* last_layer,
                   AnchorShape shape, float* means, float* log_scales, float* quats, float* opacity_logits, float* sh0,
                   u32* kept_counts) {
    const u32 i = global_thread(), g = blockIdx.y;
    u32 is_kept = 0;
    if (i < shape.count) {
        const u64 anchor = chosen[i], slot = (u64)g * shape.count + i;
        const Raw raw = {last_layer, shape.stride, shape.gaussians, i};
        const float opacity = raw.opacity(g);
        is_kept = opacity > 0.0f;
#pragma unroll
        for (u32 c = 0; c < 3; c++) {
            const float* logs = log_scaling + 6 * anchor;
            means[3 * slot + c] = positions[3 * anchor + c] + offsets[3 * (anchor * shape.gaussians + g) + c] * expf(logs[c]);
            log_scales[3 * slot + c] = logf(fmaxf(expf(logs[3 + c]) * raw.scale(g, c), SMALLEST));
            sh0[3 * slot + c] = (raw.colour(g, c) - 0.5f) / SH_Y0;
        }
        float unit[4];
        raw.rotation(g, unit);
#pragma unroll
        for (u32 k = 0; k < 4; k++) quats[4 * slot + k] = unit[k];
        const float o = fminf(opacity, MOST_OPAQUE);
        // So transparent that no pixel ever sees it.
        opacity_logits[slot] = is_kept ? logf(o / (1.0f - o)) : -80.0f;
    }
    const u32 count = (u32)__syncthreads_count((int)is_kept);
    if (threadIdx.x == 0) kept_counts[blockIdx.y * gridDim.x + blockIdx.x] = count;
}
