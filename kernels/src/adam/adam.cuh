// The update of one element, for kernels that descend as soon as they know a gradient.
#pragma once
#include "device/cuda.cuh"

// The constants of one step; `adam/cuda.rs` fills it.
struct AdamUpdate {
    float beta1;
    float beta2;
    float epsilon;
    // Learning rate / (1 - beta1^t).
    float rate;
    // 1 / sqrt(1 - beta2^t).
    float root_correction;
};

__device__ inline void adam_element(const AdamUpdate& u, float rate, float g, float& p, float& m, float& v) {
    m = fmaf(m, u.beta1, g * (1.0f - u.beta1));
    v = fmaf(v, u.beta2, g * g * (1.0f - u.beta2));
    p -= rate * m / fmaf(sqrtf(v), u.root_correction, u.epsilon);
}
