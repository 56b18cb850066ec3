// One step of Adam for a whole tensor: `adam/mod.rs` says what is computed.
//
// Mapping: a thread takes four elements that stand side by side, so that each of the seven streams (parameter, gradient,
// two moments; three of them written back) moves in 16-byte accesses. Nothing is shared. 28 bytes and about 12
// operations for an element: the memory's bandwidth is the limit.

#include "adam/adam.cuh"

// `row_factors` may be null; else element i learns at `row_factors[i / columns]` times the rate.
extern "C" __global__ void adam_step(float* params, const float* gradient, float* first, float* second,
                                     const float* row_factors, u32 columns, u64 len,
                                     AdamUpdate update) {
    u64 start = 4ull * (blockIdx.x * (u64)blockDim.x + threadIdx.x);
    if (start + 4 <= len && row_factors == nullptr) {
        float4 p = *reinterpret_cast<float4 *>(params + start);
        float4 m = *reinterpret_cast<float4 *>(first + start);
        float4 v = *reinterpret_cast<float4 *>(second + start);
        float4 g = *reinterpret_cast<const float4 *>(gradient + start);
        adam_element(update, update.rate, g.x, p.x, m.x, v.x);
        adam_element(update, update.rate, g.y, p.y, m.y, v.y);
        adam_element(update, update.rate, g.z, p.z, m.z, v.z);
        adam_element(update, update.rate, g.w, p.w, m.w, v.w);
        *reinterpret_cast<float4 *>(params + start) = p;
        *reinterpret_cast<float4 *>(first + start) = m;
        *reinterpret_cast<float4 *>(second + start) = v;
        return;
    }
    for (u64 i = start; i < len && i < start + 4; i++) {
        float rate = row_factors == nullptr ? update.rate : update.rate * row_factors[i / columns];
        adam_element(update, rate, gradient[i], params[i], first[i], second[i]);
    }
}
