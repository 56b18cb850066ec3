// Gradients of all parameters as tensors, for those that want them; training descends without them (`descend.cu`).
//
// Mapping: a thread takes a splat. `harmonics_gradients` goes first: a block of 128 splats writes its rows of the
// harmonics' gradient in order and leaves each splat's gradient through the direction of view in `v_offsets`.

#include "splat/cuda/parameters.cuh"

template <class Harmonics>
__device__ inline void differentiate_harmonics(HarmonicsBlock& block, const float* means, const Harmonics& sh_rest,
                                               u32 count, const Camera& camera, int degree, int stored_degree,
                                               const u32* touched, const Record* records, const u64* sums,
                                               const u32* counters, float* v_sh_rest, float* v_offsets) {
    float direction[3];
    float inverse = begin_harmonics(block, means, camera, degree, touched, records, sums, counters, count, direction);
    __syncthreads();
    int used = 3 * harmonics_above_zero(degree), stored = 3 * harmonics_above_zero(stored_degree);
    u64 first = (u64)blockIdx.x * SH_BLOCK;
    int rows = (int)min((u64)SH_BLOCK, count - first);
    for (int e = (int)threadIdx.x; e < rows * stored; e += SH_BLOCK) {
        int row = e / stored, column = e % stored;
        u64 at = first * stored + e;
        v_sh_rest[at] = column < used ? harmonic_gradient(block, row, column) : 0.0f;
        if (column < used) block.rows[row * SH_STRIDE + column] = sh_rest[at];
    }
    __syncthreads();
    end_harmonics(block, degree, direction, inverse, count, v_offsets);
}

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    harmonics_gradients(const float* means, const float* sh_rest, u32 count, Camera camera, int degree,
                        int stored_degree, const u32* touched, const Record* records, const u64* sums,
                        const u32* counters, float* v_sh_rest, float* v_offsets) {
    __shared__ HarmonicsBlock block;
    differentiate_harmonics(block, means, FloatHarmonics{sh_rest}, count, camera, degree, stored_degree, touched,
                            records, sums, counters, v_sh_rest, v_offsets);
}

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    packed_harmonics_gradients(const float* means, const u32* sh_rest, u32 count, Camera camera, int degree,
                               int stored_degree, const u32* touched, const Record* records, const u64* sums,
                               const u32* counters, float* v_sh_rest, float* v_offsets) {
    __shared__ HarmonicsBlock block;
    differentiate_harmonics(block, means, WordHarmonics{sh_rest}, count, camera, degree, stored_degree, touched,
                            records, sums, counters, v_sh_rest, v_offsets);
}

// Clears a splat's sums after they were read.
__device__ inline void clear_sums(u64* sums, u32 i) {
    for (u32 k = 0; k < SUMS; k++) {
        sums[(u64)SUMS * i + k] = 0;
    }
}

// Each block's sums of the pose's gradient: `pose_partials` is [blocks, 6].
__device__ inline void sum_pose(const float pose[6], float* pose_partials) {
    for (int k = 0; k < 6; k++) {
        float sum = block_sum<256>(pose[k]);
        if (threadIdx.x == 0) pose_partials[6 * blockIdx.x + k] = sum;
    }
}

// Clears the sums that it has read.
extern "C" __global__ void __launch_bounds__(256)
    parameter_gradients(const float* means, const float* log_scales, const float* quats, const float* opacity_logits,
                        const float* filter_3d, u32 count, Camera camera, Shaping shaping, const u32* touched,
                        const Record* records, const float* v_offsets, const u32* counters, u64* sums,
                        float* v_means, float* v_log_scales, float* v_quats, float* v_opacity_logits, float* v_sh0,
                        float* scores, float* mean2d_norms, float* pose_partials) {
    u32 i = global_thread();
    SplatGradient v = {};
    if (i < count && touched[i] > 0) {
        Gaussian g = load_gaussian(means, log_scales, quats, opacity_logits, filter_3d, shaping, i);
        v = splat_gradient(camera, g, shaping, records[i], sums, counters, i, v_offsets + 3 * i);
        clear_sums(sums, i);
    }
    if (i < count) {
        for (int k = 0; k < 3; k++) {
            v_means[3 * i + k] = v.geometry.mean[k];
            v_log_scales[3 * i + k] = v.geometry.log_scale[k];
            v_sh0[3 * i + k] = v.sh0[k];
        }
        for (int k = 0; k < 4; k++) {
            v_quats[4 * i + k] = v.geometry.quat[k];
        }
        v_opacity_logits[i] = v.geometry.opacity_logit;
        scores[i] = v.score;
        mean2d_norms[i] = v.mean2d_norm;
    }
    sum_pose(v.geometry.pose, pose_partials);
}

// The same for Gaussians that are given by their covariances.
extern "C" __global__ void __launch_bounds__(256)
    ellipsoid_gradients(const float* means, const float* covariances, const float* opacities, u32 count, Camera camera,
                        Shaping shaping, const u32* touched, const Record* records, const float* v_offsets,
                        const u32* counters, u64* sums, float* v_means, float* v_covariances, float* v_opacities,
                        float* v_sh0, float* scores, float* mean2d_norms, float* pose_partials) {
    u32 i = global_thread();
    Gradient<EllipsoidGradient> v = {};
    if (i < count && touched[i] > 0) {
        Ellipsoid e = load_ellipsoid(means, covariances, opacities, i);
        v = gradient_of<EllipsoidGradient>(camera, e, parts_of(camera, e), shaping, records[i], sums, counters, i,
                                           v_offsets + 3 * i);
        clear_sums(sums, i);
    }
    if (i < count) {
        for (int k = 0; k < 3; k++) {
            v_means[3 * i + k] = v.geometry.mean[k];
            v_sh0[3 * i + k] = v.sh0[k];
        }
        for (int k = 0; k < 6; k++) {
            v_covariances[6 * (u64)i + k] = v.geometry.covariance[k];
        }
        v_opacities[i] = v.geometry.opacity;
        scores[i] = v.score;
        mean2d_norms[i] = v.mean2d_norm;
    }
    sum_pose(v.geometry.pose, pose_partials);
}

// Adds up columns of `partials`, [rows, gridDim.x], in double precision and a fixed order. A block takes a column.
extern "C" __global__ void __launch_bounds__(256) sum_columns(const float* partials, u32 rows, float* out) {
    double sum = 0.0;
    for (u32 row = threadIdx.x; row < rows; row += 256) {
        sum += (double)partials[row * gridDim.x + blockIdx.x];
    }
    sum = block_sum<256>(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = (float)sum;
}

// Transmittance times the gradient, summed over each block's pixels: `partials` is [blocks, 3].
extern "C" __global__ void __launch_bounds__(256)
    background_gradients(const float* transmittance, const float* v_rgb, u32 pixels, float* partials) {
    u32 i = global_thread();
    for (u32 channel = 0; channel < 3; channel++) {
        float sum = block_sum<256>(i < pixels ? transmittance[i] * v_rgb[channel * (u64)pixels + i] : 0.0f);
        if (threadIdx.x == 0) partials[3 * blockIdx.x + channel] = sum;
    }
}
