// What is seen at a moment of a Gaussian in space and time, and its gradient, as in `camera/src/spacetime.rs` and
// `gaussian4d/backward.rs`, which explain the mathematics.
#pragma once
#include "device/cuda.cuh"

// From this logarithm of its standard deviation along time on a Gaussian never moves and never ends.
constexpr float FOREVER = 14.0f;
// With less of its opacity than this a Gaussian is not there.
constexpr float MIN_TIME_WEIGHT = 0.05f;

// As stored: x, y, z, t.
struct SpacetimeShape {
    float log_scale[4];
    float left[4];
    float right[4];
};

struct Conditional {
    bool is_static;
    // Normalised; the right one of a static Gaussian follows from the left one.
    float left[4];
    float right[4];
    float inv_left;
    float inv_right;
    float scale[4];
    // Rows x, y, z, t.
    float rotation[4][4];
    // The direction of time among the scaled axes.
    float along_time[4];
    // C, whose square is the covariance.
    float root[3][4];
    float velocity[3];
    float time_variance;
};

struct SeenGradient {
    float mean[3];
    float covariance[6];
    float weight;
};

struct ShapeGradient {
    float time;
    float log_scale[4];
    float left[4];
    float right[4];
};

__device__ inline float dot4(const float a[4], const float b[4]) {
    return fmaf(a[0], b[0], fmaf(a[1], b[1], fmaf(a[2], b[2], a[3] * b[3])));
}

__device__ inline void left_matrix(const float q[4], float m[4][4]) {
    float a = q[0], b = q[1], c = q[2], d = q[3];
    float rows[4][4] = {{a, -b, -c, -d}, {b, a, -d, c}, {c, d, a, -b}, {d, -c, b, a}};
#pragma unroll
    for (int i = 0; i < 16; i++) m[i / 4][i % 4] = rows[i / 4][i % 4];
}

__device__ inline void right_matrix(const float v[4], float m[4][4]) {
    float p = v[0], q = v[1], r = v[2], s = v[3];
    float rows[4][4] = {{p, q, r, s}, {-q, p, -s, r}, {-r, s, p, -q}, {-s, -r, q, p}};
#pragma unroll
    for (int i = 0; i < 16; i++) m[i / 4][i % 4] = rows[i / 4][i % 4];
}

__device__ inline Conditional condition(const SpacetimeShape& shape) {
    constexpr float TINY = 1e-30f;
    Conditional c;
    c.is_static = FOREVER <= shape.log_scale[3];
    c.inv_left = 1.0f / sqrtf(dot4(shape.left, shape.left) + TINY);
    c.inv_right = 1.0f / sqrtf(dot4(shape.right, shape.right) + TINY);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        c.left[i] = shape.left[i] * c.inv_left;
        float mirrored = i == 1 || i == 2 ? -c.left[i] : c.left[i];
        c.right[i] = c.is_static ? mirrored : shape.right[i] * c.inv_right;
        c.scale[i] = expf(i == 3 ? fminf(shape.log_scale[i], FOREVER) : shape.log_scale[i]);
    }
    if (c.is_static) c.scale[3] = 1.0f;
    float l[4][4], m[4][4], b[3][4];
    left_matrix(c.left, l);
    right_matrix(c.right, m);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float column[4] = {m[0][j], m[1][j], m[2][j], m[3][j]};
            c.rotation[i][j] = dot4(l[i], column);
        }
    }
    float a[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        a[i] = c.rotation[3][i] * c.scale[i];
    }
    c.time_variance = dot4(a, a) + TINY;
    float inv_length = 1.0f / sqrtf(c.time_variance);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        c.along_time[i] = a[i] * inv_length;
    }
#pragma unroll
    for (int r = 0; r < 3; r++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            b[r][i] = c.rotation[r][i] * c.scale[i];
        }
        float projected = dot4(b[r], c.along_time);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            c.root[r][i] = b[r][i] - projected * c.along_time[i];
        }
        c.velocity[r] = c.is_static ? 0.0f : projected * inv_length;
    }
    return c;
}

// The covariance in space: xx, xy, xz, yy, yz, zz.
__device__ inline void covariance_of(const Conditional& c, float out[6]) {
    out[0] = dot4(c.root[0], c.root[0]);
    out[1] = dot4(c.root[0], c.root[1]);
    out[2] = dot4(c.root[0], c.root[2]);
    out[3] = dot4(c.root[1], c.root[1]);
    out[4] = dot4(c.root[1], c.root[2]);
    out[5] = dot4(c.root[2], c.root[2]);
}

// What is left of the opacity `since` after the Gaussian's own time.
__device__ inline float time_weight(const Conditional& c, float since) {
    return c.is_static ? 1.0f : expf(-0.5f * since * since / c.time_variance);
}

// From the gradient of the rotation to those of the two quaternions before they were normalised.
__device__ inline void quaternions_backward(const Conditional& c, const float d[4][4], float left[4], float right[4]) {
    float l[4][4], m[4][4], d_l[4][4], d_m[4][4];
    left_matrix(c.left, l);
    right_matrix(c.right, m);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            d_l[i][j] = dot4(d[i], m[j]);
            float of_l[4] = {l[0][i], l[1][i], l[2][i], l[3][i]}, of_d[4] = {d[0][j], d[1][j], d[2][j], d[3][j]};
            d_m[i][j] = dot4(of_l, of_d);
        }
    }
    float d_left[4] = {d_l[0][0] + d_l[1][1] + d_l[2][2] + d_l[3][3], d_l[1][0] - d_l[0][1] + d_l[3][2] - d_l[2][3],
                       d_l[2][0] - d_l[0][2] + d_l[1][3] - d_l[3][1], d_l[3][0] - d_l[0][3] + d_l[2][1] - d_l[1][2]};
    float d_right[4] = {d_m[0][0] + d_m[1][1] + d_m[2][2] + d_m[3][3], d_m[0][1] - d_m[1][0] + d_m[3][2] - d_m[2][3],
                        d_m[0][2] - d_m[2][0] + d_m[1][3] - d_m[3][1], d_m[0][3] - d_m[3][0] + d_m[2][1] - d_m[1][2]};
    if (c.is_static) {
        // Its right quaternion is its left one with two signs turned.
#pragma unroll
        for (int i = 0; i < 4; i++) {
            d_left[i] += i == 1 || i == 2 ? -d_right[i] : d_right[i];
        }
    }
    float along_left = dot4(d_left, c.left), along_right = dot4(d_right, c.right);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        left[i] = (d_left[i] - along_left * c.left[i]) * c.inv_left;
        right[i] = c.is_static ? 0.0f : (d_right[i] - along_right * c.right[i]) * c.inv_right;
    }
}

// Through what a Gaussian looks like `since` after its own time to its parameters; the gradient of its mean is `v.mean`.
__device__ inline ShapeGradient condition_backward(const Conditional& c, float since, const SeenGradient& v) {
    ShapeGradient out;
    // mean = μ + velocity since, weight = exp(-since² / 2 variance).
    float inv_variance = 1.0f / c.time_variance, inv_length = sqrtf(inv_variance);
    float d_exponent = v.weight * time_weight(c, since);
    float along = v.mean[0] * c.velocity[0] + v.mean[1] * c.velocity[1] + v.mean[2] * c.velocity[2];
    out.time = c.is_static ? 0.0f : d_exponent * since * inv_variance - along;
    float ratio = since * inv_variance;
    float through_weight = 0.5f * d_exponent * ratio * ratio;

    // covariance = C Cᵀ. As C h = 0, what the projection takes from the gradient of C is zero.
    float xx = v.covariance[0], xy = 0.5f * v.covariance[1], xz = 0.5f * v.covariance[2];
    float yy = v.covariance[3], yz = 0.5f * v.covariance[4], zz = v.covariance[5];
    float symmetric[3][3] = {{xx, xy, xz}, {xy, yy, yz}, {xz, yz, zz}};

    // velocity = B h / |a|, C = B - (B h) hᵀ.
    float rows[4][4], d_h[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    float turning = 0.0f;
#pragma unroll
    for (int r = 0; r < 3; r++) {
        float d_velocity = c.is_static ? 0.0f : v.mean[r] * since;
        float d_projected = d_velocity * inv_length;
        turning += d_velocity * c.velocity[r];
        float b[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            b[i] = c.rotation[r][i] * c.scale[i];
        }
        float projected = dot4(b, c.along_time);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float d_root = 2.0f * (symmetric[r][0] * c.root[0][i] + symmetric[r][1] * c.root[1][i] +
                                   symmetric[r][2] * c.root[2][i]);
            rows[r][i] = d_root + d_projected * c.along_time[i];
            d_h[i] += d_projected * b[i] - projected * d_root;
        }
    }
    // |a|⁻¹ enters the velocity, and the variance is |a|²; h = a / |a| turns only across itself.
    float d_variance = through_weight - 0.5f * inv_variance * turning;
    float across = dot4(d_h, c.along_time);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float d_a = inv_length * (d_h[i] - across * c.along_time[i]) + 2.0f * d_variance * c.rotation[3][i] * c.scale[i];
        rows[3][i] = c.is_static ? 0.0f : d_a;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float column = 0.0f;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            column = fmaf(rows[r][i], c.rotation[r][i], column);
            rows[r][i] *= c.scale[i];
        }
        out.log_scale[i] = c.scale[i] * column;
    }
    if (c.is_static) out.log_scale[3] = 0.0f;
    quaternions_backward(c, rows, out.left, out.right);
    return out;
}
