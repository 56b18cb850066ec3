// The 3D filter of Mip-Splatting, as in `engine/src/splats/filter_3d.rs`: a thread takes a splat and goes through the
// cameras, which all threads read at once. About 25 operations for each (splat, camera).

#include "device/cuda.cuh"

// A camera reduced to what decides whether and how finely it sees a point; `cuda/mod.rs` has the same.
struct Sampling {
    float rotation[9];
    float translation[3];
    // Of normalised coordinates.
    float bounds[4];
    float max_radius_squared;
    float inverse_focal;
};

// Bits of an infinite number, which sort behind all others.
constexpr u32 UNSEEN = 0x7f800000u;

// The smallest sampling interval of the cameras that see each splat, as a sort key, and how many are seen.
extern "C" __global__ void __launch_bounds__(256)
    smallest_intervals(const float* means, u32 count, const Sampling* cameras, u32 camera_count, float near,
                       u32* intervals, u32* keys, u32* seen) {
    u32 i = global_thread();
    u32 best = UNSEEN;
    if (i < count) {
        float x = means[3 * i], y = means[3 * i + 1], z = means[3 * i + 2];
        float smallest = __uint_as_float(UNSEEN);
        for (u32 c = 0; c < camera_count; c++) {
            const Sampling& s = cameras[c];
            float p[3];
            for (int k = 0; k < 3; k++) {
                const float* row = s.rotation + 3 * k;
                p[k] = fmaf(row[0], x, fmaf(row[1], y, fmaf(row[2], z, s.translation[k])));
            }
            float inverse = 1.0f / fmaxf(p[2], 1e-6f);
            float u = p[0] * inverse, v = p[1] * inverse;
            bool inside = near < p[2] && s.bounds[0] <= u && u <= s.bounds[2] && s.bounds[1] <= v && v <= s.bounds[3] &&
                          u * u + v * v <= s.max_radius_squared;
            if (inside) smallest = fminf(smallest, p[2] * s.inverse_focal);
        }
        best = __float_as_uint(smallest);
        intervals[i] = best;
        keys[i] = best;
    }
    u32 lanes = __ballot_sync(FULL_WARP, best != UNSEEN);
    if (threadIdx.x % 32 == 0) atomicAdd(seen, (u32)__popc(lanes));
}

// From intervals to standard deviations; splats that no camera sees get the median of the others, `sorted[seen / 2]`.
extern "C" __global__ void __launch_bounds__(256)
    filter_deviations(const u32* intervals, const u32* sorted, const u32* seen, u32 count, float deviation,
                      float* filter_3d) {
    u32 i = global_thread();
    if (i >= count) return;
    float typical = *seen > 0 ? __uint_as_float(sorted[*seen / 2]) : 0.0f;
    filter_3d[i] = deviation * (intervals[i] == UNSEEN ? typical : __uint_as_float(intervals[i]));
}
