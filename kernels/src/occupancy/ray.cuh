// Rays of a step. `occupancy/cuda.rs` fills them.
#pragma once
#include "device/cuda.cuh"

struct DeviceRay {
    float origin[3];
    float near;
    // Of length 1.
    float direction[3];
    float far;
    // The share of a step at which its samples begin.
    float jitter;
};
