// L1 between the expected depth (accumulated depth over alpha) and a measured one, and its gradient.
//
// A thread takes a pixel: 12 bytes read, 8 written.

#include "device/cuda.cuh"

// `measured` is 0 where nothing is known; pixels that are covered less than `covered` have no depth. `weight` is that of one
// pixel.
extern "C" __global__ void __launch_bounds__(256)
    depth_gradient(const float* measured, const float* depth, const float* transmittance, u32 pixels, float weight,
                   float covered, float* v_depth, float* v_alpha) {
    u32 i = global_thread();
    if (i >= pixels) return;
    float alpha = 1.0f - transmittance[i], by_depth = 0.0f, by_alpha = 0.0f;
    if (measured[i] > 0.0f && alpha >= covered) {
        float expected = depth[i] / alpha;
        float v = expected > measured[i] ? weight : expected < measured[i] ? -weight : 0.0f;
        by_depth = v / alpha;
        by_alpha = -v * expected / alpha;
    }
    v_depth[i] = by_depth;
    v_alpha[i] = by_alpha;
}
