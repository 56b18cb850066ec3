// Compositing front to back: `tile.cuh` says how threads are mapped and what is shared.
//
// For a (splat, pixel) that is evaluated: 5 multiply-adds for the exponent, one 2^x, 8 operations for alpha and
// transmittance, 3 multiply-adds for colour, three 16-byte reads of shared memory that all lanes share: about 25
// operations of a warp for 32 pixels. A block ends when all its pixels are finished.

#include "splat/cuda/tile.cuh"

template <bool DEPTH, bool MEDIAN>
__device__ inline void composite(const u32* ranges, const u32* splats, const Record* records, const Picture& picture,
                                 float* rgb, float* transmittance, float* depth, float* median_depth) {
    __shared__ Batch batch;
    Pixel pixel = pixel_of(picture);
    float px = (float)pixel.x + 0.5f, py = (float)pixel.y + 0.5f;
    float t = 1.0f, red = 0.0f, green = 0.0f, blue = 0.0f, z = 0.0f, median = 0.0f;
    bool finished = !pixel.inside;
    u32 end = ranges[2 * blockIdx.x + 1];
    for (u32 start = ranges[2 * blockIdx.x]; start < end; start += TILE_THREADS) {
        if (__syncthreads_count(finished) == (int)TILE_THREADS) break;
        load_batch(batch, splats, records, start, end);
        __syncthreads();
        u32 count = min(end - start, TILE_THREADS);
        for (u32 group = 0; group < count && __any_sync(FULL_WARP, !finished); group += 32) {
            for (u32 mask = touching(batch, group, count, pixel); mask != 0; mask &= mask - 1) {
                const Record& r = batch.records[group + (u32)__ffs((int)mask) - 1];
                float log2_alpha =
                    log2_alpha_at(r.a, r.b2, r.c, r.log2_opacity, px - r.mean[0], py - r.mean[1]);
                if (finished || !(log2_alpha >= MIN_LOG2_ALPHA)) continue;
                float weight = fminf(fast_exp2(log2_alpha), MAX_ALPHA) * t;
                float after = t - weight;
                if (after < MIN_TRANSMITTANCE) {
                    finished = true;
                    continue;
                }
                red = fmaf(weight, r.rgb[0], red);
                green = fmaf(weight, r.rgb[1], green);
                blue = fmaf(weight, r.rgb[2], blue);
                if (DEPTH) z = fmaf(weight, r.z, z);
                if (MEDIAN && t >= 0.5f && after < 0.5f) median = r.z;
                t = after;
            }
        }
    }
    if (!pixel.inside) return;
    u32 pixels = (u32)picture.width * (u32)picture.height;
    rgb[pixel.index] = fmaf(t, picture.background[0], red);
    rgb[pixels + pixel.index] = fmaf(t, picture.background[1], green);
    rgb[2 * pixels + pixel.index] = fmaf(t, picture.background[2], blue);
    transmittance[pixel.index] = t;
    if (DEPTH) depth[pixel.index] = z;
    if (MEDIAN) median_depth[pixel.index] = median;
}

extern "C" __global__ void __launch_bounds__(256)
    rasterize_colour(const u32* ranges, const u32* splats, const Record* records, Picture picture, float* rgb,
                     float* transmittance) {
    composite<false, false>(ranges, splats, records, picture, rgb, transmittance, nullptr, nullptr);
}

extern "C" __global__ void __launch_bounds__(256)
    rasterize_depth(const u32* ranges, const u32* splats, const Record* records, Picture picture, float* rgb,
                    float* transmittance, float* depth) {
    composite<true, false>(ranges, splats, records, picture, rgb, transmittance, depth, nullptr);
}

extern "C" __global__ void __launch_bounds__(256)
    rasterize_median_depth(const u32* ranges, const u32* splats, const Record* records, Picture picture, float* rgb,
                           float* transmittance, float* depth, float* median_depth) {
    composite<true, true>(ranges, splats, records, picture, rgb, transmittance, depth, median_depth);
}
