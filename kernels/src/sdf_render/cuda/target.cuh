// What rays should see, and what is behind them. `sdf_render/cuda/blend.rs` fills it.
#pragma once
#include "device/cuda.cuh"

struct RayTarget {
    float colour[3];
    // How much of the pixel the object covers; negative where that is not known.
    float opacity;
    float background[3];
    // Which photo the ray is of.
    u32 photo;
};
