// The backward pass over pixels, front to back once more: `tile.cuh` says how threads are mapped and what is shared, and
// `cpu/accumulate.rs` the mathematics. The forward pass stores nothing for each splat: what lies behind a splat is the
// finished picture minus what has been passed, one running value for each pixel.
//
// A warp's part of the eleven sums of a splat is added up by halving: with each exchange a lane keeps half of the values and
// gives the other half away, 13 shuffles instead of 55. Twelve lanes then hold a sum each and add it to the splat's
// sums in memory, side by side (`sums.cuh` says why as integers). About 45 operations of a warp to evaluate 32 pixels, 65
// to add them up, and 96 bytes of atomics.

#include "splat/cuda/sums.cuh"
#include "splat/cuda/tile.cuh"

// Gradients with respect to a rendering; those that are absent are null.
struct PixelGradient {
    float rgb[3];
    float depth;
    float score;
    // Q: what lies behind the splats so far, in terms of the loss.
    float behind;
};

// Exchanges halves: a lane with `upper` keeps mine from the upper half.
__device__ inline float exchange(float low, float high, bool upper, int distance) {
    float kept = upper ? high : low, given = upper ? low : high;
    return kept + __shfl_xor_sync(FULL_WARP, given, distance);
}

// The sum over the warp of value `sum_of_lane()`, in the lanes for which that is below SUMS and `threadIdx.x % 2 == 0`.
__device__ inline float sum_by_halving(float v[SUMS]) {
    u32 lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < 6; k++) v[k] = exchange(v[k], v[k + 6], lane & 16, 16);
#pragma unroll
    for (int k = 0; k < 3; k++) v[k] = exchange(v[k], v[k + 3], lane & 8, 8);
    v[0] = exchange(v[0], v[2], lane & 4, 4);
    v[1] = exchange(v[1], 0.0f, lane & 4, 4);
    v[0] = exchange(v[0], v[1], lane & 2, 2);
    return v[0] + __shfl_xor_sync(FULL_WARP, v[0], 1);
}

// Which sum a lane holds afterwards; SUMS for none.
__device__ inline u32 sum_of_lane() {
    u32 lane = threadIdx.x % 32;
    u32 third = (lane & 4 ? 2 : 0) + (lane & 2 ? 1 : 0);
    return lane % 2 != 0 || third == 3 ? SUMS : (lane & 16 ? 6 : 0) + (lane & 8 ? 3 : 0) + third;
}

extern "C" __global__ void __launch_bounds__(256)
    rasterize_backward(const u32* ranges, const u32* splats, const Record* records, Picture picture, const float* rgb,
                       const float* transmittance, const float* depth, const float* v_rgb, const float* v_alpha,
                       const float* v_depth, const float* scores, const u32* counters, u64* sums) {
    __shared__ Batch batch;
    Pixel pixel = pixel_of(picture);
    float px = (float)pixel.x + 0.5f, py = (float)pixel.y + 0.5f;
    bool finished = !pixel.inside;
    PixelGradient v = {{0.0f, 0.0f, 0.0f}, 0.0f, 0.0f, 0.0f};
    if (pixel.inside) {
        u32 pixels = (u32)picture.width * (u32)picture.height;
#pragma unroll
        for (int channel = 0; channel < 3; channel++) {
            v.rgb[channel] = v_rgb[channel * pixels + pixel.index];
            v.behind += v.rgb[channel] * rgb[channel * pixels + pixel.index];
        }
        if (v_depth != nullptr) {
            v.depth = v_depth[pixel.index];
            v.behind += v.depth * depth[pixel.index];
        }
        if (v_alpha != nullptr) v.behind -= transmittance[pixel.index] * v_alpha[pixel.index];
        if (scores != nullptr) v.score = scores[pixel.index];
    }
    u32 my_sum = sum_of_lane();
    float t = 1.0f;
    u32 end = ranges[2 * blockIdx.x + 1];
    for (u32 start = ranges[2 * blockIdx.x]; start < end; start += TILE_THREADS) {
        if (__syncthreads_count(finished) == (int)TILE_THREADS) break;
        load_batch(batch, splats, records, start, end);
        __syncthreads();
        u32 count = min(end - start, TILE_THREADS);
        for (u32 group = 0; group < count && __any_sync(FULL_WARP, !finished); group += 32) {
            for (u32 mask = touching(batch, group, count, pixel); mask != 0; mask &= mask - 1) {
                u32 j = group + (u32)__ffs((int)mask) - 1;
                const Record& r = batch.records[j];
                float dx = px - r.mean[0], dy = py - r.mean[1];
                float log2_alpha = log2_alpha_at(r.a, r.b2, r.c, r.log2_opacity, dx, dy);
                float alpha = 0.0f, weight = 0.0f;
                if (!finished && log2_alpha >= MIN_LOG2_ALPHA) {
                    alpha = fminf(fast_exp2(log2_alpha), MAX_ALPHA);
                    weight = alpha * t;
                    float after = t - weight;
                    if (after < MIN_TRANSMITTANCE) {
                        finished = true;
                        weight = 0.0f;
                    } else {
                        t = after;
                    }
                }
                if (!__any_sync(FULL_WARP, weight > 0.0f)) continue;
                float d = fmaf(v.rgb[0], r.rgb[0], fmaf(v.rgb[1], r.rgb[1], v.rgb[2] * r.rgb[2]));
                d = fmaf(v.depth, r.z, d);
                v.behind = fmaf(-weight, d, v.behind);
                // s = alpha (T D - Q / (1 - alpha)); a capped alpha does not move.
                float s = weight > 0.0f && alpha < MAX_ALPHA ? weight * d - v.behind * alpha / (1.0f - alpha) : 0.0f;
                float s_dx = s * dx, s_dy = s * dy;
                float parts[SUMS] = {s,         s_dx,           s_dy,           s_dx * dx,
                                     s_dx * dy, s_dy * dy,      weight * v.rgb[0], weight * v.rgb[1],
                                     weight * v.rgb[2], weight * v.depth, weight * v.score, 0.0f};
                float sum = sum_by_halving(parts);
                if (my_sum < SUMS) {
                    float units = ldexpf(sum, unit_bits(counters, r.sum_bits, my_sum));
                    u64* place = sums + (u64)SUMS * splats[start + j] + my_sum;
                    if (units != 0.0f) atomicAdd(place, (u64)llrintf(units));
                }
            }
        }
    }
}

// The largest |gradient| and |score| over the pixels that some splat covers, into `counters`: those of others add to no sum.
// A block goes through 1024 pixels of each plane.
extern "C" __global__ void __launch_bounds__(256)
    largest_gradient(const float* v_rgb, const float* v_alpha, const float* v_depth, const float* scores,
                     const float* transmittance, u32 pixels, u32* counters) {
    u32 gradient = 0, score = 0;
    for (u32 i = blockIdx.x * 1024 + threadIdx.x; i < min(pixels, (blockIdx.x + 1) * 1024); i += 256) {
        if (transmittance[i] == 1.0f) continue;
        for (u32 channel = 0; channel < 3; channel++) {
            gradient = max(gradient, __float_as_uint(fabsf(v_rgb[channel * (u64)pixels + i])));
        }
        if (v_alpha != nullptr) gradient = max(gradient, __float_as_uint(fabsf(v_alpha[i])));
        if (v_depth != nullptr) gradient = max(gradient, __float_as_uint(fabsf(v_depth[i])));
        if (scores != nullptr) score = max(score, __float_as_uint(fabsf(scores[i])));
    }
    gradient = warp_max(gradient);
    score = warp_max(score);
    if (threadIdx.x % 32 == 0) {
        atomicMax(&counters[LARGEST_GRADIENT], gradient);
        atomicMax(&counters[LARGEST_SCORE], score);
    }
}
