// Colour transforms of photos in grids: `colour_grid/mod.rs` says what is computed.
//
// Mapping: a thread takes a pixel, and reads eight corners of 48 bytes, which neighbours share and caches hold (a grid of
// 16x16x8 is 98 kB). About 250 operations forwards and 500 backwards. Gradients of corners are 64-bit integers in units of a
// power of two below the largest one, so they have the same bits in whatever order blocks run. Pixels of a warp mostly
// look between the same corners, so each adds to memory by itself: 96 atomics a pixel. With one corner a block adds up
// its pixels first. The other kernels go through one grid, 24,576 numbers.

#include "device/cuda.cuh"

constexpr int AFFINE = 12;

struct GridSize {
    int rows;
    int columns;
    int levels;
};

// Corners around a pixel, and its weights along each axis. `column[1]` is the next corner, and so on.
struct Around {
    int row[2];
    int column[2];
    int level[2];
    float weight[3][2];
    bool inside;
};

__device__ inline void between(float place, int corners, int at[2], float weight[2]) {
    at[0] = min((int)place, max(corners - 2, 0));
    at[1] = min(at[0] + 1, corners - 1);
    weight[1] = place - (float)at[0];
    weight[0] = 1.0f - weight[1];
}

__device__ inline float luminance_of(const float colour[3]) {
    return 0.299f * colour[0] + 0.587f * colour[1] + 0.114f * colour[2];
}

__device__ inline Around around(const GridSize& size, u32 i, int width, int height, const float colour[3]) {
    Around a;
    float x = (float)(i % (u32)width) + 0.5f, y = (float)(i / (u32)width) + 0.5f;
    float luminance = luminance_of(colour);
    a.inside = luminance > 0.0f && luminance < 1.0f;
    between(y / (float)height * (float)(size.rows - 1), size.rows, a.row, a.weight[0]);
    between(x / (float)width * (float)(size.columns - 1), size.columns, a.column, a.weight[1]);
    // The larger of NaN and 0 is 0.
    between(fminf(fmaxf(luminance, 0.0f), 1.0f) * (float)(size.levels - 1), size.levels, a.level, a.weight[2]);
    return a;
}

__device__ inline u32 corner_of(const GridSize& size, const Around& a, int corner) {
    int row = a.row[corner >> 2], column = a.column[corner >> 1 & 1], level = a.level[corner & 1];
    return (u32)(AFFINE * ((row * size.columns + column) * size.levels + level));
}

__device__ inline float weight_of(const Around& a, int corner) {
    return a.weight[0][corner >> 2] * a.weight[1][corner >> 1 & 1] * a.weight[2][corner & 1];
}

// The transform of a pixel, and with `slope` its derivative by the place between levels.
__device__ inline void transform_of(const GridSize& size, const float* grid, const float* shared, const Around& a,
                                    float affine[AFFINE], float* slope) {
#pragma unroll
    for (int k = 0; k < AFFINE; k++) {
        affine[k] = -shared[k];
        if (slope != nullptr) slope[k] = 0.0f;
    }
    for (int corner = 0; corner < 8; corner++) {
        const float* values = grid + corner_of(size, a, corner);
        float weight = weight_of(a, corner);
        float across = a.weight[0][corner >> 2] * a.weight[1][corner >> 1 & 1];
        if ((corner & 1) == 0) across = -across;
#pragma unroll
        for (int k = 0; k < AFFINE; k++) {
            affine[k] = fmaf(weight, values[k], affine[k]);
            if (slope != nullptr) slope[k] = fmaf(across, values[k], slope[k]);
        }
    }
}

// `rgb` and `out` are [3, height, width], `grid` is one photo's, `shared` is [12].
extern "C" __global__ void __launch_bounds__(256)
    apply_transforms(const float* grid, const float* shared, GridSize size, const float* rgb, int width, int height,
                     float* out) {
    u32 i = global_thread(), pixels = (u32)(width * height);
    if (i >= pixels) return;
    float colour[3] = {rgb[i], rgb[pixels + i], rgb[2 * pixels + i]}, affine[AFFINE];
    transform_of(size, grid, shared, around(size, i, width, height, colour), affine, nullptr);
    for (int c = 0; c < 3; c++) {
        const float* row = affine + 4 * c;
        out[c * pixels + i] = fmaf(row[0], colour[0], fmaf(row[1], colour[1], fmaf(row[2], colour[2], row[3])));
    }
}

// Places in `found`.
constexpr u32 LARGEST = 0;
constexpr u32 BROKEN = 1;

// The bits of the largest |v|: those of NaN are above all others.
extern "C" __global__ void __launch_bounds__(256) largest_magnitude(const float* v, u32 count, u32* found) {
    u32 largest = 0;
    for (u32 i = global_thread(); i < count; i += gridDim.x * blockDim.x) {
        largest = max(largest, __float_as_uint(v[i]) & 0x7fffffffu);
    }
    largest = warp_max(largest);
    if (threadIdx.x % WARP == 0) atomicMax(&found[LARGEST], largest);
}

// The binary logarithm of how many units are 1: a sum over all pixels fits 62 bits as long as no colour is beyond 32.
__device__ inline int unit_bits(const u32* found, u32 pixels) {
    int pixel_bits = 32 - __clz((int)pixels), largest = found[LARGEST] == 0 ? 0 : (int)(found[LARGEST] >> 23) - 126;
    return 57 - pixel_bits - largest;
}

// In units; what is too large or no number spoils the step, which is then left out.
__device__ inline u64 in_units(float value, int bits, u32 pixels, u32* found) {
    float units = ldexpf(value, bits), limit = ldexpf(1.0f, 62 - (32 - __clz((int)pixels)));
    if (!(fabsf(units) < limit)) {
        atomicMax(&found[BROKEN], 1u);
        return 0;
    }
    return (u64)(i64)rintf(units);
}

// What `v`, the gradient by a pixel's new colour, makes of that by its old one, and by the transform.
struct PixelGradient {
    float colour[3];
    float affine[AFFINE];
};

__device__ inline PixelGradient pixel_gradient(const GridSize& size, const Around& a, const float affine[AFFINE],
                                               const float slope[AFFINE], const float colour[3], const float v[3]) {
    PixelGradient out;
    float by_level = 0.0f;
    for (int c = 0; c < 3; c++) {
        const float* along = slope + 4 * c;
        by_level += v[c] * (along[0] * colour[0] + along[1] * colour[1] + along[2] * colour[2] + along[3]);
        for (int k = 0; k < 4; k++) {
            out.affine[4 * c + k] = k < 3 ? v[c] * colour[k] : v[c];
        }
    }
    // Through the transform itself, and through the luminance that chooses it.
    float by_luminance = a.inside ? by_level * (float)(size.levels - 1) : 0.0f;
    const float weights[3] = {0.299f, 0.587f, 0.114f};
    for (int k = 0; k < 3; k++) {
        out.colour[k] = affine[k] * v[0] + affine[4 + k] * v[1] + affine[8 + k] * v[2] + by_luminance * weights[k];
    }
    return out;
}

// `v`, [3, height, width], is the gradient by the new colours before and by the old ones after. Adds to `sums`, [cells, 12].
extern "C" __global__ void __launch_bounds__(256)
    transform_gradients(const float* grid, const float* shared, GridSize size, const float* rgb, int width, int height,
                        float* v, u64* sums, u32* found) {
    u32 i = global_thread(), pixels = (u32)(width * height);
    bool mine = i < pixels;
    PixelGradient gradient = {};
    Around a = {};
    if (mine) {
        float colour[3] = {rgb[i], rgb[pixels + i], rgb[2 * pixels + i]};
        float upstream[3] = {v[i], v[pixels + i], v[2 * pixels + i]}, affine[AFFINE], slope[AFFINE];
        a = around(size, i, width, height, colour);
        transform_of(size, grid, shared, a, affine, slope);
        gradient = pixel_gradient(size, a, affine, slope, colour, upstream);
        for (int k = 0; k < 3; k++) v[k * pixels + i] = gradient.colour[k];
    }
    int bits = unit_bits(found, pixels);
    if (size.rows * size.columns * size.levels == 1) {
        for (int k = 0; k < AFFINE; k++) {
            u64 sum = block_sum<256>(mine ? in_units(gradient.affine[k], bits, pixels, found) : (u64)0);
            if (threadIdx.x == 0) atomicAdd(&sums[k], sum);
        }
        return;
    }
    for (int corner = 0; mine && corner < 8; corner++) {
        u32 at = corner_of(size, a, corner);
        float weight = weight_of(a, corner);
        for (int k = 0; k < AFFINE; k++) {
            atomicAdd(&sums[at + k], in_units(weight * gradient.affine[k], bits, pixels, found));
        }
    }
}

// How a grid descends; `colour_grid/cuda.rs` has the same.
struct GridDescent {
    float rate;
    float beta1;
    float beta2;
    float epsilon;
    // Twice the weight of the total variation over the number of pairs along rows, columns and levels.
    float variation[3];
    float drift_removal;
};

__device__ inline bool is_spoilt(const u32* found) { return found[BROKEN] != 0 || found[LARGEST] >= 0x7f800000u; }

// The gradient of every number of a grid, the total variation's included; clears the sums.
extern "C" __global__ void __launch_bounds__(256)
    gather_gradient(const float* grid, GridSize size, GridDescent descent, u32 pixels, const u32* found, u64* sums,
                    float* gradient) {
    u32 e = global_thread();
    int lengths[3] = {size.rows, size.columns, size.levels};
    if (e >= (u32)(AFFINE * lengths[0] * lengths[1] * lengths[2])) return;
    float sum = ldexpf((float)(i64)sums[e], -unit_bits(found, pixels));
    sums[e] = 0;
    u32 stride = AFFINE;
    for (int axis = 2; axis >= 0; axis--) {
        int at = (int)(e / stride) % lengths[axis];
        if (at > 0) sum += descent.variation[axis] * (grid[e] - grid[e - stride]);
        if (at + 1 < lengths[axis]) sum += descent.variation[axis] * (grid[e] - grid[e + stride]);
        stride *= (u32)lengths[axis];
    }
    gradient[e] = sum;
}

// One step of Adam; `steps` has been taken before.
extern "C" __global__ void __launch_bounds__(256)
    descend_grid(const float* gradient, u32 count, GridDescent descent, const float* steps, const u32* found,
                 float* grid, float* first, float* second) {
    u32 e = global_thread();
    if (e >= count || is_spoilt(found)) return;
    float step = *steps + 1.0f, g = gradient[e];
    float m = first[e], v = second[e];
    m += (1.0f - descent.beta1) * (g - m);
    v += (1.0f - descent.beta2) * (g * g - v);
    first[e] = m;
    second[e] = v;
    m /= 1.0f - powf(descent.beta1, step);
    v /= 1.0f - powf(descent.beta2, step);
    grid[e] -= descent.rate * m / (sqrtf(v) + descent.epsilon);
}

// The mean transform of photo `first` and, with more blocks than one, of those after it. `image_means` is [images, 12].
extern "C" __global__ void __launch_bounds__(256)
    mean_transforms(const float* grids, u32 cells, u32 first, float* image_means) {
    u32 image = first + blockIdx.x;
    const float* grid = grids + (u64)AFFINE * cells * image;
    for (u32 k = 0; k < AFFINE; k++) {
        float sum = 0.0f;
        for (u32 cell = threadIdx.x; cell < cells; cell += 256) sum += grid[AFFINE * cell + k];
        sum = block_sum<256>(sum);
        if (threadIdx.x == 0) image_means[AFFINE * image + k] = sum / (float)cells;
    }
}

// The shared transform goes towards what the means of all photos have in common; counts the step of `image`. One block.
extern "C" __global__ void __launch_bounds__(256)
    remove_drift(const float* image_means, u32 image, u32 images, GridDescent descent, const u32* found, float* steps,
                 float* shared) {
    if (is_spoilt(found)) return;
    for (u32 k = 0; k < AFFINE; k++) {
        float sum = 0.0f;
        for (u32 i = threadIdx.x; i < images; i += 256) sum += image_means[AFFINE * i + k];
        float mean = block_sum<256>(sum) / (float)images, identity = k % 5 == 0 ? 1.0f : 0.0f;
        if (threadIdx.x == 0) shared[k] += descent.drift_removal / (float)images * (mean - identity - shared[k]);
    }
    if (threadIdx.x == 0) steps[image] += 1.0f;
}
