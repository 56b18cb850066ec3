// One step of Adam for the rows of a tensor `[rows, 2]` whose gradient is not zero, each of which counts its own steps: `adam/sparse.rs` has the CPU's.
//
// Mapping: a thread takes a row. 8 bytes are read of every row, and 56 more moved with about 25 operations for one that changes.

#include "device/cuda.cuh"

// `corrections` is [2, corrected]: for each number of steps, from 1, 1 / (1 - beta1^n) and 1 / sqrt(1 - beta2^n); those beyond the last are as the last.
extern "C" __global__ void __launch_bounds__(256)
    step_pairs(float* params, float* first, float* second, u32* steps, const float* gradient, u32 rows,
               const float* corrections, u32 corrected, float beta1, float beta2, float epsilon, float rate) {
    const u32 row = global_thread();
    if (row >= rows) return;
    const float2 g = reinterpret_cast<const float2*>(gradient)[row];
    if (g.x == 0.0f && g.y == 0.0f) return;
    const u32 taken = steps[row] + (steps[row] != 0xffffffffu ? 1 : 0), place = min(taken, corrected) - 1;
    const float now = rate * corrections[place], root_correction = corrections[corrected + place];
    float2 p = reinterpret_cast<float2*>(params)[row], m = reinterpret_cast<float2*>(first)[row];
    float2 v = reinterpret_cast<float2*>(second)[row];
    m.x = beta1 * m.x + (1.0f - beta1) * g.x;
    m.y = beta1 * m.y + (1.0f - beta1) * g.y;
    v.x = beta2 * v.x + (1.0f - beta2) * g.x * g.x;
    v.y = beta2 * v.y + (1.0f - beta2) * g.y * g.y;
    p.x -= now * m.x / (sqrtf(v.x) * root_correction + epsilon);
    p.y -= now * m.y / (sqrtf(v.y) * root_correction + epsilon);
    steps[row] = taken;
    reinterpret_cast<float2*>(params)[row] = p;
    reinterpret_cast<float2*>(first)[row] = m;
    reinterpret_cast<float2*>(second)[row] = v;
}
