// What the density control of training asks of the device: which splats are dead, splits, rows in another order.
//
// Decisions are the host's (`engine/src/splats/density.rs`), from four bytes for each splat. Mapping: a thread takes a splat, a
// pair of parent and place, or an element of a row.

#include "camera_projection/ewa.cuh"

// The score of a living splat; -1 for a dead one.
extern "C" __global__ void __launch_bounds__(256)
    living_scores(const float* means, const float* log_scales, const float* opacity_logits, const float* scores,
                  u32 count, float dead_opacity, float* living) {
    u32 i = global_thread();
    if (i >= count) return;
    bool alive = sigmoid(opacity_logits[i]) >= dead_opacity;
    for (u32 k = 0; k < 3; k++) {
        alive = alive && isfinite(means[3 * i + k]) && isfinite(log_scales[3 * i + k]);
    }
    living[i] = alive ? scores[i] : -1.0f;
}

// How a parent becomes two halves; `cuda/mod.rs` has the same.
struct Halving {
    // Standard deviations that each half lies from the parent's mean.
    float offset;
    // Added to the logarithm of the scale along the split axis.
    float log_shrink;
    // Exponent of a half's transparency.
    float transparency;
};

// Replaces splat `parents[j]` by two halves along its longest axis, the second one at `places[j]`.
extern "C" __global__ void __launch_bounds__(256)
    split_splats(const u32* parents, const u32* places, u32 pairs, Halving halving, float* means, float* log_scales,
                 float* quats, float* opacity_logits) {
    u32 j = global_thread();
    if (j >= pairs) return;
    u32 parent = parents[j], place = places[j];
    float scale[3], quat[4];
    for (u32 k = 0; k < 3; k++) scale[k] = log_scales[3 * parent + k];
    for (u32 k = 0; k < 4; k++) quat[k] = quats[4 * parent + k];
    u32 axis = 0;
    if (scale[1] > scale[0]) axis = 1;
    if (scale[2] > scale[axis]) axis = 2;
    float norm = fmaxf(sqrtf(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3]), 1e-20f);
    float unit[4], rotation[3][3];
    for (u32 k = 0; k < 4; k++) unit[k] = quat[k] / norm;
    rotation_of_quat(unit, rotation);
    float distance = halving.offset * expf(scale[axis]);
    float held_back = fminf(fmaxf(1.0f - sigmoid(opacity_logits[parent]), 1e-6f), 1.0f - 1e-6f);
    float opacity = fminf(fmaxf(1.0f - powf(held_back, halving.transparency), 1e-6f), 1.0f - 1e-6f);
    float logit = logf(opacity / (1.0f - opacity));
    opacity_logits[parent] = logit;
    opacity_logits[place] = logit;
    for (u32 k = 0; k < 3; k++) {
        float value = k == axis ? scale[k] + halving.log_shrink : scale[k];
        log_scales[3 * parent + k] = value;
        log_scales[3 * place + k] = value;
        float mean = means[3 * parent + k], shift = distance * rotation[k][axis];
        means[3 * parent + k] = mean + shift;
        means[3 * place + k] = mean - shift;
    }
    for (u32 k = 0; k < 4; k++) quats[4 * place + k] = quat[k];
}

// From here on rows of words are moved, whatever their bits mean. Row `to[j]` of a tensor [rows, columns] becomes a copy of
// row `from[j]`.
extern "C" __global__ void __launch_bounds__(256)
    copy_rows(u32* values, u32 columns, const u32* from, const u32* to, u32 pairs) {
    u32 e = global_thread(), j = e / columns, column = e % columns;
    if (j < pairs) values[to[j] * (u64)columns + column] = values[from[j] * (u64)columns + column];
}

// Clears all bits but `kept`.
extern "C" __global__ void __launch_bounds__(256)
    clear_rows(u32* values, u32 columns, const u32* rows, u32 count, u32 kept) {
    u32 e = global_thread(), j = e / columns;
    if (j < count) values[rows[j] * (u64)columns + e % columns] &= kept;
}

// Columns `first` to `first + width` of row `order[i]` go to row i of `scratch`, whose rows are `width` long; `put_columns`
// brings them back as row i.
extern "C" __global__ void __launch_bounds__(256)
    take_columns(const u32* values, u32 columns, u32 first, u32 width, const u32* order, u32 rows, u64* scratch) {
    u64 e = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    u32 i = (u32)(e / width), column = (u32)(e % width);
    if (i < rows) reinterpret_cast<u32*>(scratch)[e] = values[order[i] * (u64)columns + first + column];
}

extern "C" __global__ void __launch_bounds__(256)
    put_columns(u32* values, u32 columns, u32 first, u32 width, u32 rows, const u64* scratch) {
    u64 e = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    u32 i = (u32)(e / width), column = (u32)(e % width);
    if (i < rows) values[i * (u64)columns + first + column] = reinterpret_cast<const u32*>(scratch)[e];
}

// Row `rows[j]` of a tensor [rows, columns] becomes row j of `out`, and back again.
extern "C" __global__ void __launch_bounds__(256)
    take_rows(const u32* values, u32 columns, const u32* rows, u32 count, u32* out) {
    u64 e = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    u32 j = (u32)(e / columns), column = (u32)(e % columns);
    if (j < count) out[e] = values[rows[j] * (u64)columns + column];
}

extern "C" __global__ void __launch_bounds__(256)
    put_rows(const u32* taken, u32 columns, const u32* rows, u32 count, u32* values) {
    u64 e = blockIdx.x * (u64)blockDim.x + threadIdx.x;
    u32 j = (u32)(e / columns), column = (u32)(e % columns);
    if (j < count) values[rows[j] * (u64)columns + column] = taken[e];
}
