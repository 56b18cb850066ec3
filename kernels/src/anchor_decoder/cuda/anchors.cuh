// What kernels of anchors have in common: the shape of what is decoded, and what becomes of the network's last layer.
//
// That layer has rows of anchors: opacities of all Gaussians, then seven rows for each (three for scales, four for the rotation), then three of
// colours for each. Gaussians lie one after the other for all anchors, number g of decoded anchor i at `g count + i`, so that neighbouring threads
// read and write neighbouring numbers.
#pragma once
#include "device/cuda.cuh"

// `anchor_decoder/cuda/mod.rs` fills it.
struct AnchorShape {
    // Anchors that are decoded.
    u32 count;
    // From a row to the next.
    u32 stride;
    // Numbers of a feature, and Gaussians of an anchor.
    u32 features;
    u32 gaussians;
    // From where they are looked at.
    float centre[3];
};

constexpr u32 COVARIANCE = 7;
constexpr float SH_Y0 = 0.28209479177387814f;
// As the engine's `drawing.rs`: nothing is quite opaque, and nothing has no extent at all.
constexpr float MOST_OPAQUE = 1.0f - 1e-6f;
constexpr float SMALLEST = 1e-12f;

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The last layer of an anchor.
struct Raw {
    const float* rows;
    u32 stride;
    u32 gaussians;
    u32 anchor;

    __device__ float row(u32 number) const { return rows[(u64)number * stride + anchor]; }
    __device__ float opacity(u32 gaussian) const { return tanhf(row(gaussian)); }
    __device__ float scale(u32 gaussian, u32 axis) const { return sigmoid(row(gaussians + COVARIANCE * gaussian + axis)); }
    __device__ float colour(u32 gaussian, u32 channel) const {
        return sigmoid(row(gaussians * (1 + COVARIANCE) + 3 * gaussian + channel));
    }
    // A quaternion of length 1; returns the reciprocal of the length that it had.
    __device__ float rotation(u32 gaussian, float (&unit)[4]) const {
        float squared = 0.0f;
#pragma unroll
        for (u32 k = 0; k < 4; k++) {
            unit[k] = row(gaussians + COVARIANCE * gaussian + 3 + k);
            squared = fmaf(unit[k], unit[k], squared);
        }
        const float inverse = 1.0f / fmaxf(sqrtf(squared), SMALLEST);
#pragma unroll
        for (u32 k = 0; k < 4; k++) unit[k] *= inverse;
        return inverse;
    }
};
