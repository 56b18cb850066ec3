// The footprint of a Gaussian and its gradient, as in `ewa.rs`, which explains the mathematics.
#pragma once
#include "camera_projection/lens.cuh"

constexpr float LOW_PASS = 0.3f;
constexpr float MIN_COMPENSATION_SQUARED = 2.5e-5f;

// As stored, but the 3D filter as a variance.
struct Gaussian {
    float mean[3];
    float log_scale[3];
    float quat[4];
    float opacity_logit;
    float filter_variance;
};

// A Gaussian by its covariance, as it is drawn.
struct Ellipsoid {
    float mean[3];
    float covariance[6];
    float opacity;
};

// How footprints are made.
struct Shaping {
    // Splats nearer than this are dropped.
    float near;
    int antialiased;
    int filtered;
};

struct Footprint {
    float mean2d[2];
    float conic[3];
    float covariance[3];
    float determinant;
    float z;
    float opacity;
    bool in_view;
};

struct FootprintGradient {
    float mean2d[2];
    float conic[3];
    float z;
    float opacity;
};

struct GaussianGradient {
    float mean[3];
    float log_scale[3];
    float quat[4];
    float opacity_logit;
    float pose[6];
};

struct EllipsoidGradient {
    float mean[3];
    float covariance[6];
    float opacity;
    float pose[6];
};

// How the lens sees the surroundings of a point.
struct Sight {
    float point[3];
    float inv_z;
    float uv[2];
    float uv_clamped[2];
    bool unclamped[2];
    float mean_jacobian[3];
    float pixel[2];
    float jacobian[3];
    float hessian[4];
    float j[2][3];
    float jr[2][3];
};

// Everything between a Gaussian and its footprint.
struct Parts : Sight {
    float unit_quat[4];
    float inv_norm;
    float rotation[3][3];
    float jrq[2][3];
    float scale_squared[3];
    float scale[3];
    float t[2][3];
    float cross[3];
    float cov[3];
    float det0;
    float det;
};

__device__ inline float dot3(const float* a, const float* b) {
    return fmaf(a[0], b[0], fmaf(a[1], b[1], a[2] * b[2]));
}

__device__ inline void cross3(const float* a, const float* b, float* out) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

// out = row * m, with m 3x3 row major.
__device__ inline void times3(const float* row, const float* m, float* out) {
#pragma unroll
    for (int c = 0; c < 3; c++) {
        out[c] = fmaf(row[0], m[c], fmaf(row[1], m[3 + c], row[2] * m[6 + c]));
    }
}

// out = row * transposed m.
__device__ inline void times3_transposed(const float* row, const float* m, float* out) {
#pragma unroll
    for (int c = 0; c < 3; c++) {
        out[c] = dot3(row, m + 3 * c);
    }
}

__device__ inline void rotation_of_quat(const float q[4], float out[3][3]) {
    float w = q[0], x = q[1], y = q[2], z = q[3];
    out[0][0] = 1.0f - 2.0f * (y * y + z * z);
    out[0][1] = 2.0f * (x * y - w * z);
    out[0][2] = 2.0f * (x * z + w * y);
    out[1][0] = 2.0f * (x * y + w * z);
    out[1][1] = 1.0f - 2.0f * (x * x + z * z);
    out[1][2] = 2.0f * (y * z - w * x);
    out[2][0] = 2.0f * (x * z - w * y);
    out[2][1] = 2.0f * (y * z + w * x);
    out[2][2] = 1.0f - 2.0f * (x * x + y * y);
}

// The gradient with respect to a unit quaternion from that with respect to its rotation.
__device__ inline void rotation_backward(const float q[4], const float d[3][3], float out[4]) {
    float w = q[0], x = q[1], y = q[2], z = q[3];
    float sxy = d[0][1] + d[1][0], sxz = d[0][2] + d[2][0], syz = d[1][2] + d[2][1];
    float axy = d[1][0] - d[0][1], axz = d[0][2] - d[2][0], ayz = d[2][1] - d[1][2];
    out[0] = 2.0f * (x * ayz + y * axz + z * axy);
    out[1] = 2.0f * (w * ayz + y * sxy + z * sxz - 2.0f * x * (d[1][1] + d[2][2]));
    out[2] = 2.0f * (w * axz + x * sxy + z * syz - 2.0f * y * (d[0][0] + d[2][2]));
    out[3] = 2.0f * (w * axy + x * sxz + y * syz - 2.0f * z * (d[0][0] + d[1][1]));
}

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline void jacobian_row(float scale, float du, float dv, const float uv[2], float out[3]) {
    out[0] = scale * du;
    out[1] = scale * dv;
    out[2] = -(out[0] * uv[0] + out[1] * uv[1]);
}

__device__ inline void see(const Camera& camera, const float mean[3], Sight& p) {
#pragma unroll
    for (int i = 0; i < 3; i++) {
        p.point[i] = dot3(camera.rotation + 3 * i, mean) + camera.translation[i];
    }
    p.inv_z = 1.0f / p.point[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float low = camera.jacobian_bounds[i], high = camera.jacobian_bounds[2 + i];
        p.uv[i] = p.point[i] * p.inv_z;
        p.unclamped[i] = low < p.uv[i] && p.uv[i] < high;
        p.uv_clamped[i] = fminf(fmaxf(p.uv[i], low), high);
    }
    Distorted at_mean = distort(camera, p.uv[0], p.uv[1]);
    Distorted at_clamped = distort(camera, p.uv_clamped[0], p.uv_clamped[1]);
#pragma unroll
    for (int i = 0; i < 3; i++) {
        p.mean_jacobian[i] = at_mean.jacobian[i];
        p.jacobian[i] = at_clamped.jacobian[i];
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        p.hessian[i] = at_clamped.hessian[i];
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        p.pixel[i] = fmaf(camera.focal[i], at_mean.uv[i], camera.centre[i]);
    }
    jacobian_row(camera.focal[0] * p.inv_z, p.jacobian[0], p.jacobian[1], p.uv_clamped, p.j[0]);
    jacobian_row(camera.focal[1] * p.inv_z, p.jacobian[1], p.jacobian[2], p.uv_clamped, p.j[1]);
    times3(p.j[0], camera.rotation, p.jr[0]);
    times3(p.j[1], camera.rotation, p.jr[1]);
}

// The determinant after the low-pass filter from that before it.
__device__ inline float filtered_determinant(const float cov[3], float det0) {
    return det0 + LOW_PASS * (cov[0] + cov[2]) + LOW_PASS * LOW_PASS;
}

__device__ inline Parts parts_of(const Camera& camera, const Gaussian& g) {
    Parts p;
    see(camera, g.mean, p);
    const float* q = g.quat;
    float norm_squared = fmaf(q[0], q[0], fmaf(q[1], q[1], fmaf(q[2], q[2], fmaf(q[3], q[3], 1e-30f))));
    p.inv_norm = 1.0f / sqrtf(norm_squared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        p.unit_quat[i] = q[i] * p.inv_norm;
    }
    rotation_of_quat(p.unit_quat, p.rotation);
#pragma unroll
    for (int i = 0; i < 3; i++) {
        p.scale_squared[i] = expf(fminf(fmaxf(g.log_scale[i] + g.log_scale[i], -87.0f), 87.0f));
        p.scale[i] = sqrtf(p.scale_squared[i] + g.filter_variance);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        times3(p.jr[r], &p.rotation[0][0], p.jrq[r]);
#pragma unroll
        for (int i = 0; i < 3; i++) {
            p.t[r][i] = p.jrq[r][i] * p.scale[i];
        }
    }
    cross3(p.t[0], p.t[1], p.cross);
    p.cov[0] = dot3(p.t[0], p.t[0]);
    p.cov[1] = dot3(p.t[0], p.t[1]);
    p.cov[2] = dot3(p.t[1], p.t[1]);
    // The squared cross product is det(T Tᵀ) without the cancellation of xx yy - xy².
    p.det0 = dot3(p.cross, p.cross);
    p.det = filtered_determinant(p.cov, p.det0);
    return p;
}

__device__ inline void conic_of(const float cov[3], float det, float out[3]) {
    float inverse = 1.0f / det;
    out[0] = (cov[2] + LOW_PASS) * inverse;
    out[1] = -cov[1] * inverse;
    out[2] = (cov[0] + LOW_PASS) * inverse;
}

// Conic = cov2d⁻¹, so dcov = -K G K with G the symmetric gradient of the conic; the off-diagonal counted once.
__device__ inline void conic_backward(const float k[3], const float v[3], float d_cov[3]) {
    float ga = v[0], gb = v[1] * 0.5f, gc = v[2];
    float m00 = k[0] * ga + k[1] * gb, m01 = k[0] * gb + k[1] * gc;
    float m10 = k[1] * ga + k[2] * gb, m11 = k[1] * gb + k[2] * gc;
    d_cov[0] = -(m00 * k[0] + m01 * k[1]);
    d_cov[1] = -2.0f * (m00 * k[1] + m01 * k[2]);
    d_cov[2] = -(m10 * k[1] + m11 * k[2]);
}

// Share of the volume that the 3D filter leaves.
__device__ inline float filter_share(const Parts& p) {
    return sqrtf(p.scale_squared[0] * p.scale_squared[1] * p.scale_squared[2]) /
           fmaxf(p.scale[0] * p.scale[1] * p.scale[2], 1e-30f);
}

// All of a footprint but its opacity.
__device__ inline void finish_footprint(const Camera& camera, const Sight& p, const float cov[3], float det,
                                        const Shaping& shaping, Footprint& f) {
    f.mean2d[0] = p.pixel[0];
    f.mean2d[1] = p.pixel[1];
    conic_of(cov, det, f.conic);
    f.covariance[0] = cov[0] + LOW_PASS;
    f.covariance[1] = cov[1];
    f.covariance[2] = cov[2] + LOW_PASS;
    f.determinant = det;
    f.z = p.point[2];
    float radius_squared = p.uv[0] * p.uv[0] + p.uv[1] * p.uv[1];
    f.in_view = shaping.near < p.point[2] && radius_squared <= camera.max_radius_squared;
}

__device__ inline Footprint footprint_of(const Camera& camera, const Gaussian& g, const Parts& p,
                                         const Shaping& shaping) {
    Footprint f;
    f.opacity = sigmoid(g.opacity_logit);
    if (shaping.filtered) f.opacity *= filter_share(p);
    if (shaping.antialiased) f.opacity *= sqrtf(fmaxf(p.det0 / p.det, MIN_COMPENSATION_SQUARED));
    finish_footprint(camera, p, p.cov, p.det, shaping, f);
    return f;
}

// Through the pixel position and the lens's Jacobian to the point in the camera's frame.
__device__ inline void lens_backward(const Camera& camera, const Sight& p, const float d_j[2][3],
                                     const FootprintGradient& v, float out[3]) {
    float a = p.jacobian[0], b = p.jacobian[1], c = p.jacobian[2];
    float uc = p.uv_clamped[0], vc = p.uv_clamped[1];
    float sx = camera.focal[0] * p.inv_z, sy = camera.focal[1] * p.inv_z;
    float e0[3], e1[3];
#pragma unroll
    for (int i = 0; i < 3; i++) {
        e0[i] = d_j[0][i] * sx;
        e1[i] = d_j[1][i] * sy;
    }
    float d_a = e0[0] - uc * e0[2];
    float d_b = e0[1] - vc * e0[2] + e1[0] - uc * e1[2];
    float d_c = e1[1] - vc * e1[2];
    const float* h = p.hessian;
    float d_uc = d_a * h[0] + d_b * h[1] + d_c * h[2] - a * e0[2] - b * e1[2];
    float d_vc = d_a * h[1] + d_b * h[2] + d_c * h[3] - b * e0[2] - c * e1[2];
    float gx = v.mean2d[0] * camera.focal[0], gy = v.mean2d[1] * camera.focal[1];
    float d_u = (p.unclamped[0] ? d_uc : 0.0f) + gx * p.mean_jacobian[0] + gy * p.mean_jacobian[1];
    float d_v = (p.unclamped[1] ? d_vc : 0.0f) + gx * p.mean_jacobian[1] + gy * p.mean_jacobian[2];
    float through_scale = dot3(d_j[0], p.j[0]) + dot3(d_j[1], p.j[1]);
    out[0] = d_u * p.inv_z;
    out[1] = d_v * p.inv_z;
    out[2] = v.z - p.inv_z * (d_u * p.uv[0] + d_v * p.uv[1] + through_scale);
}

// One component of the torque that the Jacobian's gradient exerts.
__device__ inline float skew_of(const float j[2][3], const float d[2][3], int a, int b) {
    return j[0][a] * d[0][b] + j[1][a] * d[1][b] - j[0][b] * d[0][a] - j[1][b] * d[1][a];
}

// From the gradients of the lens's Jacobian and of a footprint to those of the mean and the pose.
__device__ inline void sight_backward(const Camera& camera, const Sight& p, const float d_j[2][3],
                                      const FootprintGradient& v, float mean[3], float pose[6]) {
    float d_point[3];
    lens_backward(camera, p, d_j, v, d_point);
    times3(d_point, camera.rotation, mean);
    // R' = Exp(φ) R turns the point and the axes of the footprint.
    float turn[3];
    cross3(p.point, d_point, turn);
#pragma unroll
    for (int i = 0; i < 3; i++) {
        pose[i] = d_point[i];
    }
    pose[3] = turn[0] + skew_of(p.j, d_j, 2, 1);
    pose[4] = turn[1] + skew_of(p.j, d_j, 0, 2);
    pose[5] = turn[2] + skew_of(p.j, d_j, 1, 0);
}

__device__ inline GaussianGradient project_backward(const Camera& camera, const Gaussian& g, const Parts& p,
                                                    const Shaping& shaping, const FootprintGradient& v) {
    GaussianGradient out;
    // Opacity = sigmoid(logit) * filter share * compensation.
    float sigma = sigmoid(g.opacity_logit);
    float share = shaping.filtered ? filter_share(p) : 1.0f;
    float ratio = p.det0 / p.det;
    float compensation = sqrtf(fmaxf(ratio, MIN_COMPENSATION_SQUARED));
    float factor = shaping.antialiased ? share * compensation : share;
    out.opacity_logit = v.opacity * factor * sigma * (1.0f - sigma);

    float k[3], d_cov[3];
    conic_of(p.cov, p.det, k);
    conic_backward(k, v.conic, d_cov);
    float d_cross[3] = {0.0f, 0.0f, 0.0f};
    if (shaping.antialiased && MIN_COMPENSATION_SQUARED < ratio) {
        float d_ratio = v.opacity * sigma * share * 0.5f / compensation / p.det;
        float d_det = -(d_ratio * ratio);
        d_cov[0] += LOW_PASS * d_det;
        d_cov[2] += LOW_PASS * d_det;
        float d_det0 = 2.0f * (d_ratio + d_det);
#pragma unroll
        for (int i = 0; i < 3; i++) {
            d_cross[i] = p.cross[i] * d_det0;
        }
    }

    // cov = T Tᵀ, det0 = |t0 x t1|².
    float c0[3], c1[3], d_t[2][3];
    cross3(p.t[1], d_cross, c0);
    cross3(d_cross, p.t[0], c1);
#pragma unroll
    for (int i = 0; i < 3; i++) {
        d_t[0][i] = 2.0f * d_cov[0] * p.t[0][i] + d_cov[1] * p.t[1][i] + c0[i];
        d_t[1][i] = 2.0f * d_cov[2] * p.t[1][i] + d_cov[1] * p.t[0][i] + c1[i];
    }

    // T = J R Rq diag(scale).
    float d_jrq[2][3];
#pragma unroll
    for (int i = 0; i < 3; i++) {
        float d_scale = d_t[0][i] * p.jrq[0][i] + d_t[1][i] * p.jrq[1][i];
        out.log_scale[i] = d_scale * p.scale[i];
        if (shaping.filtered) {
            float kept = p.scale_squared[i] / (p.scale[i] * p.scale[i]);
            out.log_scale[i] = out.log_scale[i] * kept + v.opacity * sigma * factor * (1.0f - kept);
        }
        d_jrq[0][i] = d_t[0][i] * p.scale[i];
        d_jrq[1][i] = d_t[1][i] * p.scale[i];
    }
    float d_rotation[3][3];
#pragma unroll
    for (int r = 0; r < 3; r++) {
#pragma unroll
        for (int i = 0; i < 3; i++) {
            d_rotation[r][i] = p.jr[0][r] * d_jrq[0][i] + p.jr[1][r] * d_jrq[1][i];
        }
    }
    float d_unit[4];
    rotation_backward(p.unit_quat, d_rotation, d_unit);
    float along = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        along = fmaf(d_unit[i], p.unit_quat[i], along);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        out.quat[i] = (d_unit[i] - along * p.unit_quat[i]) * p.inv_norm;
    }

    float d_j[2][3];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float d_jr[3];
        times3_transposed(d_jrq[r], &p.rotation[0][0], d_jr);
        times3_transposed(d_jr, camera.rotation, d_j[r]);
    }
    sight_backward(camera, p, d_j, v, out.mean, out.pose);
    return out;
}

// What an ellipsoid's footprint and its gradient share.
struct EllipsoidParts : Sight {
    // Σ times each row of J R.
    float turned[2][3];
    float cov[3];
    float det0;
    float det;
};

__device__ inline EllipsoidParts parts_of(const Camera& camera, const Ellipsoid& e) {
    EllipsoidParts p;
    see(camera, e.mean, p);
    const float* c = e.covariance;
    float whole[9] = {c[0], c[1], c[2], c[1], c[3], c[4], c[2], c[4], c[5]};
    times3(p.jr[0], whole, p.turned[0]);
    times3(p.jr[1], whole, p.turned[1]);
    p.cov[0] = dot3(p.jr[0], p.turned[0]);
    p.cov[1] = dot3(p.jr[0], p.turned[1]);
    p.cov[2] = dot3(p.jr[1], p.turned[1]);
    // The products may cancel to less than nothing, where the low-pass filter alone decides.
    p.det0 = fmaxf(p.cov[0] * p.cov[2] - p.cov[1] * p.cov[1], 0.0f);
    p.det = filtered_determinant(p.cov, p.det0);
    return p;
}

__device__ inline float compensation_of(const EllipsoidParts& p) {
    return sqrtf(fmaxf(p.det0 / p.det, MIN_COMPENSATION_SQUARED));
}

__device__ inline Footprint footprint_of(const Camera& camera, const Ellipsoid& e, const EllipsoidParts& p,
                                         const Shaping& shaping) {
    Footprint f;
    f.opacity = shaping.antialiased ? e.opacity * compensation_of(p) : e.opacity;
    finish_footprint(camera, p, p.cov, p.det, shaping, f);
    return f;
}

__device__ inline EllipsoidGradient project_backward(const Camera& camera, const Ellipsoid& e, const EllipsoidParts& p,
                                                     const Shaping& shaping, const FootprintGradient& v) {
    EllipsoidGradient out;
    float k[3], d_cov[3];
    conic_of(p.cov, p.det, k);
    conic_backward(k, v.conic, d_cov);
    out.opacity = v.opacity;
    if (shaping.antialiased) {
        float ratio = p.det0 / p.det, compensation = compensation_of(p);
        out.opacity *= compensation;
        if (MIN_COMPENSATION_SQUARED < ratio) {
            // det = det0 + low (xx + yy) + low², ratio = det0 / det.
            float d_ratio = v.opacity * e.opacity * 0.5f / compensation / p.det;
            float d_det = -(d_ratio * ratio), d_det0 = d_ratio + d_det;
            d_cov[0] += d_det0 * p.cov[2] + LOW_PASS * d_det;
            d_cov[1] -= 2.0f * d_det0 * p.cov[1];
            d_cov[2] += d_det0 * p.cov[0] + LOW_PASS * d_det;
        }
    }
    // cov = [a Σ a, a Σ b, b Σ b] with a and b the rows of J R.
    const float *a = p.jr[0], *b = p.jr[1];
    float whole[3][3], d_j[2][3], d_jr[2][3];
#pragma unroll
    for (int i = 0; i < 3; i++) {
        float through_a = d_cov[0] * a[i] + 0.5f * d_cov[1] * b[i];
        float through_b = d_cov[2] * b[i] + 0.5f * d_cov[1] * a[i];
#pragma unroll
        for (int n = 0; n < 3; n++) {
            whole[i][n] = through_a * a[n] + through_b * b[n];
        }
        d_jr[0][i] = 2.0f * d_cov[0] * p.turned[0][i] + d_cov[1] * p.turned[1][i];
        d_jr[1][i] = 2.0f * d_cov[2] * p.turned[1][i] + d_cov[1] * p.turned[0][i];
    }
    out.covariance[0] = whole[0][0];
    out.covariance[1] = whole[0][1] + whole[1][0];
    out.covariance[2] = whole[0][2] + whole[2][0];
    out.covariance[3] = whole[1][1];
    out.covariance[4] = whole[1][2] + whole[2][1];
    out.covariance[5] = whole[2][2];
    times3_transposed(d_jr[0], camera.rotation, d_j[0]);
    times3_transposed(d_jr[1], camera.rotation, d_j[1]);
    sight_backward(camera, p, d_j, v, out.mean, out.pose);
    return out;
}
