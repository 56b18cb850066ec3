// Real spherical harmonics above degree 0, as in `spherical_harmonics.rs`.
#pragma once
#include "device/cuda.cuh"

constexpr float SH_Y0 = 0.28209479177387814f;
constexpr float SH_C1 = 0.4886025119029199f;
constexpr float SH_C2_0 = 1.0925484305920792f, SH_C2_1 = 0.31539156525252005f, SH_C2_2 = 0.5462742152960396f;
constexpr float SH_C3_0 = 0.5900435899266435f, SH_C3_1 = 2.890611442640554f, SH_C3_2 = 0.4570457994644658f;
constexpr float SH_C3_3 = 0.3731763325901154f, SH_C3_4 = 1.445305721320277f;

// Harmonics up to `degree`, without that of degree 0: 0, 3, 8 or 15.
__device__ inline int harmonics_above_zero(int degree) { return degree * (degree + 2); }

// Their values in the unit direction d; those above `degree` are zero.
__device__ inline void harmonics(int degree, const float d[3], float out[15]) {
    float x = d[0], y = d[1], z = d[2];
#pragma unroll
    for (int k = 0; k < 15; k++) {
        out[k] = 0.0f;
    }
    if (degree < 1) return;
    out[0] = -SH_C1 * y;
    out[1] = SH_C1 * z;
    out[2] = -SH_C1 * x;
    if (degree < 2) return;
    float xx = x * x, yy = y * y, zz = z * z;
    out[3] = SH_C2_0 * x * y;
    out[4] = -SH_C2_0 * y * z;
    out[5] = SH_C2_1 * (zz + zz - xx - yy);
    out[6] = -SH_C2_0 * x * z;
    out[7] = SH_C2_2 * (xx - yy);
    if (degree < 3) return;
    float four_zz = 4.0f * zz - xx - yy;
    out[8] = -SH_C3_0 * y * (3.0f * xx - yy);
    out[9] = SH_C3_1 * x * y * z;
    out[10] = -SH_C3_2 * y * four_zz;
    out[11] = SH_C3_3 * z * (zz + zz - 3.0f * (xx + yy));
    out[12] = -SH_C3_2 * x * four_zz;
    out[13] = SH_C3_4 * z * (xx - yy);
    out[14] = -SH_C3_0 * x * (xx - 3.0f * yy);
}

// The gradient by the direction of the sum of w[k] times the harmonics, taking x, y and z as independent.
__device__ inline void harmonics_gradient(int degree, const float d[3], const float w[15], float g[3]) {
    float x = d[0], y = d[1], z = d[2];
    g[0] = g[1] = g[2] = 0.0f;
    if (degree < 1) return;
    g[0] = -SH_C1 * w[2];
    g[1] = -SH_C1 * w[0];
    g[2] = SH_C1 * w[1];
    if (degree < 2) return;
    float wxy = SH_C2_0 * w[3], wyz = -SH_C2_0 * w[4], wzz = 2.0f * SH_C2_1 * w[5];
    float wxz = -SH_C2_0 * w[6], wd = 2.0f * SH_C2_2 * w[7];
    g[0] += wxy * y - wzz * x + wxz * z + wd * x;
    g[1] += wxy * x + wyz * z - wzz * y - wd * y;
    g[2] += wyz * y + 2.0f * wzz * z + wxz * x;
    if (degree < 3) return;
    float xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
    float w8 = -SH_C3_0 * w[8], w9 = SH_C3_1 * w[9], w10 = -SH_C3_2 * w[10], w11 = SH_C3_3 * w[11];
    float w12 = -SH_C3_2 * w[12], w13 = SH_C3_4 * w[13], w14 = -SH_C3_0 * w[14];
    g[0] += w8 * 6.0f * xy + w9 * yz - w10 * 2.0f * xy - w11 * 6.0f * xz + w12 * (4.0f * zz - 3.0f * xx - yy) +
            w13 * 2.0f * xz + w14 * 3.0f * (xx - yy);
    g[1] += w8 * 3.0f * (xx - yy) + w9 * xz + w10 * (4.0f * zz - xx - 3.0f * yy) - w11 * 6.0f * yz -
            w12 * 2.0f * xy - w13 * 2.0f * yz - w14 * 6.0f * xy;
    g[2] += w9 * xy + w10 * 8.0f * yz + w11 * (6.0f * zz - 3.0f * (xx + yy)) + w12 * 8.0f * xz + w13 * (xx - yy);
}
