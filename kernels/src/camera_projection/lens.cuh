// Lenses with exact first and second derivatives, as in `camera/src/lens.rs`.
#pragma once
#include "device/cuda.cuh"

constexpr int LENS_PINHOLE = 0;
constexpr int LENS_POLYNOMIAL = 1;
constexpr int LENS_FISHEYE = 2;

// A camera at a place; `camera_projection/cuda.rs` fills it from a `View`.
struct Camera {
    int width;
    int height;
    int lens;
    // k1 to k6, p1, p2 of the polynomial; k1 to k4 of the fisheye.
    float distortion[8];
    float focal[2];
    float centre[2];
    // Of camera_from_world, row major.
    float rotation[9];
    float translation[3];
    // Where the camera stands.
    float position[3];
    float jacobian_bounds[4];
    float max_radius_squared;
};

// A distorted point, its symmetric Jacobian, and the Jacobian's derivatives.
struct Distorted {
    float uv[2];
    float jacobian[3];
    float hessian[4];
};

// 1 + a x + b x^2 + c x^3 with two derivatives.
__device__ inline void cubic(float a, float b, float c, float x, float out[3]) {
    out[0] = 1.0f + x * (a + x * (b + x * c));
    out[1] = a + x * (2.0f * b + 3.0f * x * c);
    out[2] = 2.0f * b + 6.0f * x * c;
}

// The rational radial factor by the squared radius, with two derivatives.
__device__ inline void rational_factor(const float* k, float rho, float g[3]) {
    float n[3], d[3];
    cubic(k[0], k[1], k[2], rho, n);
    cubic(k[3], k[4], k[5], rho, d);
    float inverse = 1.0f / d[0];
    g[0] = n[0] * inverse;
    g[1] = (n[1] - g[0] * d[1]) * inverse;
    g[2] = (n[2] - g[0] * d[2] - 2.0f * g[1] * d[1]) * inverse;
}

// atan(r)/r by the squared radius, with two derivatives; a series near the axis, where the closed form cancels.
__device__ inline void angle_over_radius(float rho, float out[3]) {
    constexpr float SERIES_BELOW = 0.1f;
    if (rho < SERIES_BELOW) {
        out[0] = out[1] = out[2] = 0.0f;
#pragma unroll
        for (int n = 11; n >= 0; n--) {
            float c = (n % 2 == 0 ? 1.0f : -1.0f) / (float)(2 * n + 1);
            out[0] = out[0] * rho + c;
            if (n >= 1) out[1] = out[1] * rho + c * (float)n;
            if (n >= 2) out[2] = out[2] * rho + c * (float)(n * (n - 1));
        }
        return;
    }
    float r = sqrtf(rho);
    float inverse = 1.0f / (1.0f + rho), half_inverse = 0.5f / rho;
    out[0] = atanf(r) / r;
    out[1] = (inverse - out[0]) * half_inverse;
    out[2] = (-(inverse * inverse) - 3.0f * out[1]) * half_inverse;
}

// The radial factor of the fisheye, with two derivatives.
__device__ inline void fisheye_factor(const float* k, float rho, float g[3]) {
    float a[3];
    angle_over_radius(rho, a);
    float t = rho * a[0] * a[0];
    float t1 = a[0] * a[0] + 2.0f * rho * a[0] * a[1];
    float t2 = 4.0f * a[0] * a[1] + 2.0f * rho * (a[1] * a[1] + a[0] * a[2]);
    float p = 1.0f + t * (k[0] + t * (k[1] + t * (k[2] + t * k[3])));
    float p1 = k[0] + t * (2.0f * k[1] + t * (3.0f * k[2] + 4.0f * t * k[3]));
    float p2 = 2.0f * k[1] + t * (6.0f * k[2] + 12.0f * t * k[3]);
    g[0] = a[0] * p;
    g[1] = a[1] * p + a[0] * p1 * t1;
    g[2] = a[2] * p + 2.0f * a[1] * p1 * t1 + a[0] * (p2 * t1 * t1 + p1 * t2);
}

// Distorts normalised coordinates. The lens is the same for all threads, so the branch costs nothing.
__device__ inline Distorted distort(const Camera& camera, float u, float v) {
    Distorted out;
    if (camera.lens == LENS_PINHOLE) {
        out = {{u, v}, {1.0f, 0.0f, 1.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
        return out;
    }
    float g[3];
    float uu = u * u, uv = u * v, vv = v * v;
    if (camera.lens == LENS_POLYNOMIAL) {
        rational_factor(camera.distortion, uu + vv, g);
    } else {
        fisheye_factor(camera.distortion, uu + vv, g);
    }
    out.uv[0] = u * g[0];
    out.uv[1] = v * g[0];
    out.jacobian[0] = g[0] + 2.0f * uu * g[1];
    out.jacobian[1] = 2.0f * uv * g[1];
    out.jacobian[2] = g[0] + 2.0f * vv * g[1];
    out.hessian[0] = u * (6.0f * g[1] + 4.0f * uu * g[2]);
    out.hessian[1] = v * (2.0f * g[1] + 4.0f * uu * g[2]);
    out.hessian[2] = u * (2.0f * g[1] + 4.0f * vv * g[2]);
    out.hessian[3] = v * (6.0f * g[1] + 4.0f * vv * g[2]);
    if (camera.lens == LENS_POLYNOMIAL) {
        float p1 = camera.distortion[6], p2 = camera.distortion[7];
        out.uv[0] += p1 * 2.0f * uv + p2 * (3.0f * uu + vv);
        out.uv[1] += p2 * 2.0f * uv + p1 * (3.0f * vv + uu);
        out.jacobian[0] += 2.0f * p1 * v + 6.0f * p2 * u;
        out.jacobian[1] += 2.0f * (p1 * u + p2 * v);
        out.jacobian[2] += 2.0f * p2 * u + 6.0f * p1 * v;
        out.hessian[0] += 6.0f * p2;
        out.hessian[1] += 2.0f * p1;
        out.hessian[2] += 2.0f * p2;
        out.hessian[3] += 6.0f * p1;
    }
    return out;
}
