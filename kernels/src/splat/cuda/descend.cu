// Backward pass and Adam at once: a splat's gradients are used as soon as they are known and never stored.
//
// `descend_harmonics` first: a block of 128 splats goes through its rows of harmonics in order, 24 bytes for each
// coefficient (value and two moments, read and written), 1080 for a splat at degree 3, all of it coalesced; the bandwidth
// of the memory is the limit. `descend_splats` then takes a splat a thread: 14 values with 24 bytes each, 96 bytes of
// sums, the record. Together 1.7 kB for a splat and step; with gradients as tensors it would be 0.5 kB more.
//
// When the pass before ran out of room for (splat, tile) pairs, nothing is changed.

#include "adam/adam.cuh"
#include "splat/cuda/parameters.cuh"
#include "splat/cuda/random.cuh"

// What one step does to the parameters; `cuda/mod.rs` has the same.
struct Descent {
    AdamUpdate means;
    AdamUpdate log_scales;
    AdamUpdate quats;
    AdamUpdate opacity_logits;
    AdamUpdate sh0;
    AdamUpdate sh_rest;
    // Pull of visible splats' opacities and scales.
    float opacity_pull;
    float scale_pull;
    // Random motion of visible, nearly transparent splats; 0 for none.
    float noise;
    u32 instance_capacity;
    u64 seed;
    u64 step;
};

// Splats with less opacity than this are dead, and above STILL the noise is too small to matter.
constexpr float DEAD_OPACITY = 0.005f;
constexpr float STILL = 0.1f;

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    descend_harmonics(const float* means, u32 count, Camera camera, int degree, int stored_degree, const u32* touched,
                      const Record* records, const u64* sums, const u32* counters, Descent descent,
                      float* sh_rest, float* first_moments, float* second_moments, float* v_offsets) {
    __shared__ HarmonicsBlock block;
    float direction[3];
    float inverse = begin_harmonics(block, means, camera, degree, touched, records, sums, counters, count, direction);
    bool apply = counters[WANTED_INSTANCES] <= descent.instance_capacity;
    __syncthreads();
    int used = 3 * harmonics_above_zero(degree), stored = 3 * harmonics_above_zero(stored_degree);
    u64 first = (u64)blockIdx.x * SH_BLOCK;
    int rows = (int)min((u64)SH_BLOCK, count - first);
    // Coefficients that are not used yet have no gradient and no moments, so Adam would not change them.
    for (int e = (int)threadIdx.x; apply && e < rows * used; e += SH_BLOCK) {
        int row = e / used, column = e % used;
        u64 at = (first + row) * stored + column;
        float p = sh_rest[at];
        block.rows[row * SH_STRIDE + column] = p;
        float m = first_moments[at], v = second_moments[at];
        adam_element(descent.sh_rest, descent.sh_rest.rate, harmonic_gradient(block, row, column), p, m, v);
        sh_rest[at] = p;
        first_moments[at] = m;
        second_moments[at] = v;
    }
    __syncthreads();
    end_harmonics(block, degree, direction, inverse, count, v_offsets);
}

// Updates `width` values of a splat, and leaves the new ones in `values`.
template <int WIDTH>
__device__ inline void descend_row(const AdamUpdate& update, const float* gradient, u32 i, float* params, float* first,
                                   float* second, float values[WIDTH]) {
#pragma unroll
    for (int k = 0; k < WIDTH; k++) {
        u32 at = WIDTH * i + k;
        float p = params[at], m = first[at], v = second[at];
        adam_element(update, update.rate, gradient[k], p, m, v);
        params[at] = p;
        first[at] = m;
        second[at] = v;
        values[k] = p;
    }
}

// `amount` times the covariance of a splat times three standard normal numbers.
__device__ inline void random_shift(const float log_scale[3], const float quat[4], float amount, Pcg64& random,
                                    float shift[3]) {
    float normal[3], unit[4], rotation[3][3];
    for (int k = 0; k < 3; k++) {
        normal[k] = pcg64_normal(random);
        shift[k] = 0.0f;
    }
    float norm = fmaxf(sqrtf(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3]), 1e-20f);
    for (int k = 0; k < 4; k++) {
        unit[k] = quat[k] / norm;
    }
    rotation_of_quat(unit, rotation);
    for (int k = 0; k < 3; k++) {
        float along = rotation[0][k] * normal[0] + rotation[1][k] * normal[1] + rotation[2][k] * normal[2];
        along *= expf(2.0f * log_scale[k]) * amount;
        for (int d = 0; d < 3; d++) {
            shift[d] += rotation[d][k] * along;
        }
    }
}

// All tensors of a step but the harmonics above degree 0: values and Adam's moments.
struct Trained {
    float* means;
    float* log_scales;
    float* quats;
    float* opacity_logits;
    float* sh0;
    float* means_first;
    float* log_scales_first;
    float* quats_first;
    float* opacity_logits_first;
    float* sh0_first;
    float* means_second;
    float* log_scales_second;
    float* quats_second;
    float* opacity_logits_second;
    float* sh0_second;
};

__device__ inline void descend_splat(const Trained& trained, const Descent& descent, SplatGradient v, bool visible,
                                     u32 i) {
    float mean[3], log_scale[3], quat[4], opacity_logit, sh0[3];
    if (visible) {
        float opacity = sigmoid(trained.opacity_logits[i]);
        v.geometry.opacity_logit += descent.opacity_pull * opacity * (1.0f - opacity);
        for (int k = 0; k < 3; k++) {
            v.geometry.log_scale[k] += descent.scale_pull * expf(trained.log_scales[3 * i + k]);
        }
    }
    descend_row<3>(descent.means, v.geometry.mean, i, trained.means, trained.means_first, trained.means_second, mean);
    descend_row<3>(descent.log_scales, v.geometry.log_scale, i, trained.log_scales, trained.log_scales_first,
                   trained.log_scales_second, log_scale);
    descend_row<4>(descent.quats, v.geometry.quat, i, trained.quats, trained.quats_first, trained.quats_second, quat);
    descend_row<1>(descent.opacity_logits, &v.geometry.opacity_logit, i, trained.opacity_logits,
                   trained.opacity_logits_first, trained.opacity_logits_second, &opacity_logit);
    descend_row<3>(descent.sh0, v.sh0, i, trained.sh0, trained.sh0_first, trained.sh0_second, sh0);
    float opacity = sigmoid(opacity_logit);
    if (!visible || descent.noise == 0.0f || opacity > STILL) return;
    float amount = descent.noise / (1.0f + expf(100.0f * (opacity - DEAD_OPACITY)));
    Pcg64 random = pcg64(descent.seed, descent.step, i);
    float shift[3];
    random_shift(log_scale, quat, amount, random, shift);
    for (int k = 0; k < 3; k++) {
        trained.means[3 * i + k] = mean[k] + shift[k];
    }
}

// Also adds to `scores` and clears the sums. `pose_partials`, [blocks, 6], may be null.
extern "C" __global__ void __launch_bounds__(256)
    descend_splats(float* means, float* log_scales, float* quats, float* opacity_logits, float* sh0,
                   float* means_first, float* log_scales_first, float* quats_first, float* opacity_logits_first,
                   float* sh0_first, float* means_second, float* log_scales_second, float* quats_second,
                   float* opacity_logits_second, float* sh0_second, const float* filter_3d, u32 count, Camera camera,
                   Shaping shaping, const u32* touched, const Record* records, const float* v_offsets,
                   const u32* counters, Descent descent, u64* sums, float* scores, float* pose_partials) {
    Trained trained = {means,        log_scales,        quats,        opacity_logits,        sh0,
                       means_first,  log_scales_first,  quats_first,  opacity_logits_first,  sh0_first,
                       means_second, log_scales_second, quats_second, opacity_logits_second, sh0_second};
    u32 i = global_thread();
    bool apply = counters[WANTED_INSTANCES] <= descent.instance_capacity;
    bool visible = i < count && touched[i] > 0;
    SplatGradient v = {};
    if (visible) {
        Gaussian g = load_gaussian(means, log_scales, quats, opacity_logits, filter_3d, shaping, i);
        v = splat_gradient(camera, g, shaping, records[i], sums, counters, i, v_offsets + 3 * i);
        for (u32 k = 0; k < SUMS; k++) {
            sums[(u64)SUMS * i + k] = 0;
        }
    }
    if (i < count && apply) {
        descend_splat(trained, descent, v, visible, i);
        if (visible) scores[i] += v.score;
    }
    if (pose_partials == nullptr) return;
    for (int k = 0; k < 6; k++) {
        float sum = block_sum<256>(v.geometry.pose[k]);
        if (threadIdx.x == 0) pose_partials[6 * blockIdx.x + k] = sum;
    }
}
