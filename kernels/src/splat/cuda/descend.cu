// Backward pass and Adam at once: a splat's gradients are used as soon as they are known and never stored.
//
// The harmonics first: a block of 128 splats goes through its rows in order, all of it coalesced, 24 bytes for each
// coefficient (value and two moments, read and written), 1080 for a splat at degree 3; the bandwidth of the memory is the
// limit. Then a thread takes a splat: 14 values with 24 bytes each, 96 bytes of sums, the record. Together 1.7 kB for a
// splat and step; with gradients as tensors it would be 0.5 kB more. Packed (`adam/packed.cuh`) a coefficient is a word and
// costs 8 bytes, and one of the 14 values 16: 0.9 kB, for about 60 more operations a value.
//
// When the pass before ran out of room for (splat, tile) pairs, nothing is changed.

#include "adam/packed.cuh"
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
    // Of packed tensors.
    Rounding rounding;
};

// Numbers of the tensors, for their random numbers.
constexpr u32 MEANS = 0, LOG_SCALES = 1, QUATS = 2, OPACITY_LOGITS = 3, SH0 = 4, SH_REST = 5;

// Splats with less opacity than this are dead, and above STILL the noise is too small to matter.
constexpr float DEAD_OPACITY = 0.005f;
constexpr float STILL = 0.1f;

// The number of a splat, which decides its random numbers: its place, unless it was brought here from another one.
__device__ inline u32 number_of(const u32* numbers, u32 i) { return numbers == nullptr ? i : numbers[i]; }

// Harmonics with Adam's moments in planes of their own.
struct FloatCoefficients {
    float* values;
    float* first;
    float* second;
    __device__ float read(u64 at) const { return values[at]; }
    // Takes the step from `value`, which is what was read.
    __device__ void descend(const Descent& descent, u64 at, u32, int, int, float value, float gradient) const {
        float m = first[at], v = second[at];
        adam_element(descent.sh_rest, descent.sh_rest.rate, gradient, value, m, v);
        values[at] = value;
        first[at] = m;
        second[at] = v;
    }
};

// Harmonics in words.
struct WordCoefficients {
    u32* words;
    const u32* numbers;
    __device__ u32 read(u64 at) const { return words[at]; }
    __device__ void descend(const Descent& descent, u64 at, u32 splat, int stored, int column, u32 word,
                            float gradient) const {
        u32 element = number_of(numbers, splat) * (u32)stored + (u32)column;
        words[at] = adam_word(descent.sh_rest, gradient, descent.rounding, SH_REST, element, word);
    }
};

__device__ inline float coefficient(float value) { return value; }
__device__ inline float coefficient(u32 word) { return value_of_word(word); }

template <class Coefficients>
__device__ inline void descend_coefficients(HarmonicsBlock& block, const float* means, u32 count, const Camera& camera,
                                            int degree, int stored_degree, const u32* touched, const Record* records,
                                            const u64* sums, const u32* counters, const Descent& descent,
                                            const Coefficients& sh_rest, float* v_offsets) {
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
        auto before = sh_rest.read(at);
        block.rows[row * SH_STRIDE + column] = coefficient(before);
        float gradient = harmonic_gradient(block, row, column);
        sh_rest.descend(descent, at, (u32)first + row, stored, column, before, gradient);
    }
    __syncthreads();
    end_harmonics(block, degree, direction, inverse, count, v_offsets);
}

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    descend_harmonics(const float* means, u32 count, Camera camera, int degree, int stored_degree, const u32* touched,
                      const Record* records, const u64* sums, const u32* counters, Descent descent,
                      float* sh_rest, float* first_moments, float* second_moments, float* v_offsets) {
    __shared__ HarmonicsBlock block;
    FloatCoefficients coefficients = {sh_rest, first_moments, second_moments};
    descend_coefficients(block, means, count, camera, degree, stored_degree, touched, records, sums, counters, descent,
                         coefficients, v_offsets);
}

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    descend_packed_harmonics(const float* means, u32 count, Camera camera, int degree, int stored_degree,
                             const u32* touched, const Record* records, const u64* sums, const u32* counters,
                             Descent descent, const u32* numbers, u32* sh_rest, float* v_offsets) {
    __shared__ HarmonicsBlock block;
    descend_coefficients(block, means, count, camera, degree, stored_degree, touched, records, sums, counters, descent,
                         WordCoefficients{sh_rest, numbers}, v_offsets);
}

// A step that a splat has missed because no view saw it: what its harmonics need of it. `cuda/far.rs` has the same.
struct PastStep {
    // Of AdamUpdate.
    float rate;
    float root_correction;
    u32 key[2];
};

// The steps that rows have missed, all of which had gradients of zero, so that nothing but momentum moves them: row j has
// taken `taken[j]` steps, and `past` begins with the first. A thread takes an element. `adam` has the constants that no step
// changes.
extern "C" __global__ void __launch_bounds__(256)
    catch_up(const u32* taken, u32 rows, u32 columns, const PastStep* past, u32 steps, AdamUpdate adam, float* values,
             float* first_moments, float* second_moments) {
    u64 at = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    u32 row = (u32)(at / columns);
    if (row >= rows) return;
    float p = values[at], m = first_moments[at], v = second_moments[at];
    if (m == 0.0f && v == 0.0f) return;
    // Each change is smaller than the one before by a tenth, so once one is too small for a float, all are.
    bool moves = true;
    for (u32 step = taken[row]; step < steps; step++) {
        if (moves) {
            float before = p;
            adam.rate = past[step].rate;
            adam.root_correction = past[step].root_correction;
            adam_element(adam, adam.rate, 0.0f, p, m, v);
            moves = p != before;
        } else {
            m = fmaf(m, adam.beta1, 0.0f);
            v = fmaf(v, adam.beta2, 0.0f);
        }
    }
    values[at] = p;
    first_moments[at] = m;
    second_moments[at] = v;
}

extern "C" __global__ void __launch_bounds__(256)
    catch_up_packed(const u32* taken, u32 rows, u32 columns, const PastStep* past, u32 steps, AdamUpdate adam,
                    const u32* numbers, u32* words) {
    u64 at = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    u32 row = (u32)(at / columns);
    if (row >= rows) return;
    u32 word = words[at], element = numbers[row] * columns + (u32)(at % columns);
    // Without moments a value stays, unless it is so small that rounding may change it: below the normal ones, -0 among them.
    auto rests = [](u32 word) { return word >> 16 == 0 && ((word & 0x7c00u) != 0 || (word & 0xffffu) == 0); };
    for (u32 step = taken[row]; step < steps && !rests(word); step++) {
        adam.rate = past[step].rate;
        adam.root_correction = past[step].root_correction;
        Rounding rounding = {{past[step].key[0], past[step].key[1]}};
        word = adam_word(adam, 0.0f, rounding, SH_REST, element, word);
    }
    words[at] = word;
}

// A tensor with Adam's moments as floats, and one with them in codes.
struct FloatTensor {
    float* values;
    float* first;
    float* second;
};
struct CodedTensor {
    float* values;
    u32* codes;
};

// Updates `WIDTH` values of splat `i`, which has the number `number`, and leaves the new ones in `values`. The tensor has the
// number `TENSOR`.
template <u32 TENSOR, int WIDTH>
__device__ inline void descend_row(const Descent&, const AdamUpdate& update, const float* gradient, u32 i, u32,
                                   const FloatTensor& tensor, float values[WIDTH]) {
#pragma unroll
    for (int k = 0; k < WIDTH; k++) {
        u32 at = WIDTH * i + k;
        float p = tensor.values[at], m = tensor.first[at], v = tensor.second[at];
        adam_element(update, update.rate, gradient[k], p, m, v);
        tensor.values[at] = p;
        tensor.first[at] = m;
        tensor.second[at] = v;
        values[k] = p;
    }
}

template <u32 TENSOR, int WIDTH>
__device__ inline void descend_row(const Descent& descent, const AdamUpdate& update, const float* gradient, u32 i,
                                   u32 number, const CodedTensor& tensor, float values[WIDTH]) {
#pragma unroll
    for (int k = 0; k < WIDTH; k++) {
        u32 at = WIDTH * i + k, code = tensor.codes[at];
        float p = tensor.values[at];
        adam_wide(update, gradient[k], descent.rounding, TENSOR, WIDTH * number + k, p, code);
        tensor.values[at] = p;
        tensor.codes[at] = code;
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

// All tensors of a step but the harmonics above degree 0.
template <class Tensor>
struct Trained {
    Tensor means;
    Tensor log_scales;
    Tensor quats;
    Tensor opacity_logits;
    Tensor sh0;
};

template <class Tensor>
__device__ inline void descend_splat(const Trained<Tensor>& trained, const Descent& descent, SplatGradient v,
                                     bool visible, u32 i, u32 number) {
    float mean[3], log_scale[3], quat[4], opacity_logit, sh0[3];
    if (visible) {
        float opacity = sigmoid(trained.opacity_logits.values[i]);
        v.geometry.opacity_logit += descent.opacity_pull * opacity * (1.0f - opacity);
        for (int k = 0; k < 3; k++) {
            v.geometry.log_scale[k] += descent.scale_pull * expf(trained.log_scales.values[3 * i + k]);
        }
    }
    const GaussianGradient& g = v.geometry;
    descend_row<MEANS, 3>(descent, descent.means, g.mean, i, number, trained.means, mean);
    descend_row<LOG_SCALES, 3>(descent, descent.log_scales, g.log_scale, i, number, trained.log_scales, log_scale);
    descend_row<QUATS, 4>(descent, descent.quats, g.quat, i, number, trained.quats, quat);
    descend_row<OPACITY_LOGITS, 1>(descent, descent.opacity_logits, &g.opacity_logit, i, number,
                                   trained.opacity_logits, &opacity_logit);
    descend_row<SH0, 3>(descent, descent.sh0, v.sh0, i, number, trained.sh0, sh0);
    float opacity = sigmoid(opacity_logit);
    if (!visible || descent.noise == 0.0f || opacity > STILL) return;
    float amount = descent.noise / (1.0f + expf(100.0f * (opacity - DEAD_OPACITY)));
    Pcg64 random = pcg64(descent.seed, descent.step, number);
    float shift[3];
    random_shift(log_scale, quat, amount, random, shift);
    for (int k = 0; k < 3; k++) {
        trained.means.values[3 * i + k] = mean[k] + shift[k];
    }
}

// Also adds to `scores` and clears the sums. `pose_partials`, [blocks, 6], may be null.
template <class Tensor>
__device__ inline void descend_all(const Trained<Tensor>& trained, const float* filter_3d, u32 count,
                                   const Camera& camera, const Shaping& shaping, const u32* touched,
                                   const Record* records, const float* v_offsets, const u32* counters,
                                   const Descent& descent, const u32* numbers, u64* sums, float* scores,
                                   float* pose_partials) {
    u32 i = global_thread();
    bool apply = counters[WANTED_INSTANCES] <= descent.instance_capacity;
    bool visible = i < count && touched[i] > 0;
    SplatGradient v = {};
    if (visible) {
        Gaussian g = load_gaussian(trained.means.values, trained.log_scales.values, trained.quats.values,
                                   trained.opacity_logits.values, filter_3d, shaping, i);
        v = splat_gradient(camera, g, shaping, records[i], sums, counters, i, v_offsets + 3 * i);
        for (u32 k = 0; k < SUMS; k++) {
            sums[(u64)SUMS * i + k] = 0;
        }
    }
    if (i < count && apply) {
        descend_splat(trained, descent, v, visible, i, number_of(numbers, i));
        if (visible) scores[i] += v.score;
    }
    if (pose_partials == nullptr) return;
    for (int k = 0; k < 6; k++) {
        float sum = block_sum<256>(v.geometry.pose[k]);
        if (threadIdx.x == 0) pose_partials[6 * blockIdx.x + k] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256)
    descend_splats(float* means, float* log_scales, float* quats, float* opacity_logits, float* sh0,
                   float* means_first, float* log_scales_first, float* quats_first, float* opacity_logits_first,
                   float* sh0_first, float* means_second, float* log_scales_second, float* quats_second,
                   float* opacity_logits_second, float* sh0_second, const float* filter_3d, u32 count, Camera camera,
                   Shaping shaping, const u32* touched, const Record* records, const float* v_offsets,
                   const u32* counters, Descent descent, const u32* numbers, u64* sums, float* scores,
                   float* pose_partials) {
    Trained<FloatTensor> trained = {{means, means_first, means_second},
                                    {log_scales, log_scales_first, log_scales_second},
                                    {quats, quats_first, quats_second},
                                    {opacity_logits, opacity_logits_first, opacity_logits_second},
                                    {sh0, sh0_first, sh0_second}};
    descend_all(trained, filter_3d, count, camera, shaping, touched, records, v_offsets, counters, descent, numbers,
                sums, scores, pose_partials);
}

extern "C" __global__ void __launch_bounds__(256)
    descend_packed_splats(float* means, float* log_scales, float* quats, float* opacity_logits, float* sh0,
                          u32* means_codes, u32* log_scales_codes, u32* quats_codes, u32* opacity_logits_codes,
                          u32* sh0_codes, const float* filter_3d, u32 count, Camera camera, Shaping shaping,
                          const u32* touched, const Record* records, const float* v_offsets, const u32* counters,
                          Descent descent, const u32* numbers, u64* sums, float* scores, float* pose_partials) {
    Trained<CodedTensor> trained = {{means, means_codes},
                                    {log_scales, log_scales_codes},
                                    {quats, quats_codes},
                                    {opacity_logits, opacity_logits_codes},
                                    {sh0, sh0_codes}};
    descend_all(trained, filter_3d, count, camera, shaping, touched, records, v_offsets, counters, descent, numbers,
                sums, scores, pose_partials);
}

// A step of the splats that are not seen, whose gradients are zero.
template <class Tensor>
__device__ inline void coast(const Trained<Tensor>& trained, const Descent& descent, const u32* seen, u32 count) {
    u32 i = global_thread();
    if (i < count && !seen[i]) descend_splat(trained, descent, SplatGradient{}, false, i, i);
}

extern "C" __global__ void __launch_bounds__(256)
    coast_splats(float* means, float* log_scales, float* quats, float* opacity_logits, float* sh0, float* means_first,
                 float* log_scales_first, float* quats_first, float* opacity_logits_first, float* sh0_first,
                 float* means_second, float* log_scales_second, float* quats_second, float* opacity_logits_second,
                 float* sh0_second, const u32* seen, u32 count, Descent descent) {
    Trained<FloatTensor> trained = {{means, means_first, means_second},
                                    {log_scales, log_scales_first, log_scales_second},
                                    {quats, quats_first, quats_second},
                                    {opacity_logits, opacity_logits_first, opacity_logits_second},
                                    {sh0, sh0_first, sh0_second}};
    coast(trained, descent, seen, count);
}

extern "C" __global__ void __launch_bounds__(256)
    coast_packed_splats(float* means, float* log_scales, float* quats, float* opacity_logits, float* sh0,
                        u32* means_codes, u32* log_scales_codes, u32* quats_codes, u32* opacity_logits_codes,
                        u32* sh0_codes, const u32* seen, u32 count, Descent descent) {
    Trained<CodedTensor> trained = {{means, means_codes},
                                    {log_scales, log_scales_codes},
                                    {quats, quats_codes},
                                    {opacity_logits, opacity_logits_codes},
                                    {sh0, sh0_codes}};
    coast(trained, descent, seen, count);
}
