// Rays through the occupied cells of a grid: `occupancy/mod.rs` says what is computed, and every number is rounded as on the CPU, so that both
// find the same steps.
//
// Mapping: a thread takes a ray, once to count its steps and once to write them where those of the rays before it end; so samples lie in the order
// of rays whatever the order of blocks. Rays of a step go anywhere: a ray reads a word of the grid for each step, which the caches hold.

#include "occupancy/ray.cuh"

// `occupancy/cuda.rs` fills it.
struct MarchShape {
    u32 rays;
    // Cells a side.
    u32 resolution;
    // Steps of a ray at most.
    u32 limit;
    float step;
    // From a row of samples to the next.
    u32 stride;
};

// The first step at or behind a number of steps.
__device__ __forceinline__ u32 steps_to(float x) {
    if (!(x > 0.0f)) return 0;
    if (x >= 4294967040.0f) return 0xffffffffu;
    const u32 whole = (u32)x;
    return whole + (x > (float)whole ? 1 : 0);
}

// Calls `found(n, t)` for step n of those of `ray` that lie in occupied cells. Returns how many these are.
template <class F>
__device__ __forceinline__ u32 march(const DeviceRay& ray, const u32* bits, const u32* solid, const u32* blocks,
                                     const MarchShape& shape, const F& found) {
    const float side = (float)shape.resolution;
    float inverse[3];
#pragma unroll
    for (u32 a = 0; a < 3; a++) inverse[a] = __fdiv_rn(1.0f, ray.direction[a]);
    const auto steps_until = [&](float t) {
        return steps_to(__fsub_rn(__fdiv_rn(__fsub_rn(t, ray.near), shape.step), ray.jitter));
    };
    const u32 steps = steps_until(ray.far);
    u32 n = 0;
    for (u32 k = 0; k < steps && n < shape.limit;) {
        const float t = __fadd_rn(ray.near, __fmul_rn(__fadd_rn((float)k, ray.jitter), shape.step));
        u32 cell[3];
#pragma unroll
        for (u32 a = 0; a < 3; a++) {
            const float x = __fadd_rn(ray.origin[a], __fmul_rn(t, ray.direction[a]));
            cell[a] = (u32)fminf(fmaxf(__fmul_rn(x, side), 0.0f), side - 1.0f);
        }
        u32 empty = BLOCK_SIDE;
        if (bit(blocks, block_of(shape.resolution, cell[0], cell[1], cell[2]))) {
            const u32 index = cell[0] + shape.resolution * (cell[1] + shape.resolution * cell[2]);
            if (bit(bits, index)) {
                found(n, t);
                n++;
                k++;
                continue;
            }
            if (bit(solid, index)) break;
            empty = 1;
        }
        // To where the ray leaves the cell, or the block of cells.
        float exit = __uint_as_float(0x7f800000u);
#pragma unroll
        for (u32 a = 0; a < 3; a++) {
            const float face = (float)(cell[a] / empty * empty + (ray.direction[a] > 0.0f ? empty : 0));
            const float distance = __fmul_rn(__fsub_rn(__fdiv_rn(face, side), ray.origin[a]), inverse[a]);
            if (distance > t) exit = fminf(exit, distance);
        }
        k = max(steps_until(exit), k + 1);
    }
    return n;
}

// `counts` is [rays + 1], the last of them 0: after an exclusive sum it says where each ray's samples begin and end.
extern "C" __global__ void __launch_bounds__(128)
    count_ray_steps(const DeviceRay* rays, const u32* bits, const u32* solid, const u32* blocks, MarchShape shape, u32* counts) {
    const u32 r = global_thread();
    if (r > shape.rays) return;
    counts[r] = r < shape.rays ? march(rays[r], bits, solid, blocks, shape, [](u32, float) {}) : 0;
}

// Places, [3, stride], and the ray of each sample.
extern "C" __global__ void __launch_bounds__(128)
    place_ray_steps(const DeviceRay* rays, const u32* bits, const u32* solid, const u32* blocks, MarchShape shape,
                const u32* starts, float* positions, u32* ray_of) {
    const u32 r = global_thread();
    if (r >= shape.rays) return;
    const DeviceRay ray = rays[r];
    const u32 start = starts[r];
    march(ray, bits, solid, blocks, shape, [&](u32 n, float t) {
        ray_of[start + n] = r;
#pragma unroll
        for (u32 a = 0; a < 3; a++) {
            positions[(u64)a * shape.stride + start + n] = __fadd_rn(ray.origin[a], __fmul_rn(t, ray.direction[a]));
        }
    });
}
