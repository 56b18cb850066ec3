// One step of Adam for the listed rows of a tensor, each of which counts its own steps: `adam/sparse.rs` has the CPU's.
//
// Mapping: a thread takes an element; 28 bytes and about 12 operations. Elements of a row stand side by side.

#include "device/cuda.cuh"

// `steps[i]` says how many steps row `rows[i]` has taken, this one included; 0 leaves it as it is.
// `corrections` is [2, corrected]: for each number of steps, from 1, 1 / (1 - beta1^n) and 1 / sqrt(1 - beta2^n); those
// beyond the last are as the last. No value becomes less than `lowest`.
extern "C" __global__ void __launch_bounds__(256)
    step_listed(float* params, float* first, float* second, u32 columns, const u32* rows, const u32* steps, u32 count,
                const float* gradient, const float* corrections, u32 corrected, float beta1, float beta2, float epsilon,
                float rate, float lowest) {
    u64 e = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    if (e >= count * (u64)columns) return;
    u32 i = (u32)(e / columns), step = steps[i];
    if (step == 0) return;
    u32 place = min(step, corrected) - 1;
    float g = gradient[e];
    u64 at = rows[i] * (u64)columns + e % columns;
    float m = beta1 * first[at] + (1.0f - beta1) * g;
    float v = beta2 * second[at] + (1.0f - beta2) * g * g;
    first[at] = m;
    second[at] = v;
    float divisor = sqrtf(v) * corrections[corrected + place] + epsilon;
    params[at] = fmaxf(params[at] - rate * corrections[place] * m / divisor, lowest);
}
