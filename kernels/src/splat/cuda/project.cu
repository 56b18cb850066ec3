// From splats to records: projection with exact Jacobians for every lens, culling, the number of tiles, colour.
//
// Mapping: a thread takes a splat. `project_splats` does the geometry (about 250 operations, 48 bytes read); `shade_splats`
// the colour (200 operations, up to 192 bytes read) of those that are visible. The harmonics of a splat stand side by side,
// 180 bytes at degree 3, so a block of 128 threads brings the rows of its splats to shared memory in order, a row stride
// odd so that each thread then reads its row without bank conflicts: 23 KiB.
//
// Records stand at their splat's index: nothing is compacted but the list that is sorted by depth. `touched` is the number of
// tiles, zero for invisible splats.

#include "camera_projection/ewa.cuh"
#include "splat/cuda/harmonics.cuh"
#include "splat/cuda/record.cuh"
#include "splat/cuda/splats.cuh"
#include "splat/cuda/sums.cuh"

// First and last pixel along one axis whose centre lies within an extent of the mean; first > last for none.
__device__ inline void covered(float mean, float extent_squared, int size, int& first, int& last) {
    float extent = sqrtf(extent_squared), centre = mean - 0.5f, limit = (float)size;
    first = (int)ceilf(fminf(fmaxf(centre - extent, 0.0f), limit));
    last = (int)floorf(fminf(fmaxf(centre + extent, -1.0f), limit - 1.0f));
}

__device__ inline u32 tiles_touched(const Record& record) {
    Reach reach = reach_of(record);
    u32 count = 0;
    for (int row = (int)(record.rows & 0xffffu) / TILE; row <= (int)(record.rows >> 16) / TILE; row++) {
        int first, last;
        tiles_in_row(record, reach, row, first, last);
        count += (u32)max(last - first + 1, 0);
    }
    return count;
}

// Writes the record of a footprint that touches the picture; returns how many tiles it touches.
__device__ inline u32 record_footprint(const Camera& camera, const Footprint& f, Record* place) {
    if (!f.in_view || !(MIN_ALPHA < f.opacity)) return 0;
    Record record;
    record.a = f.conic[0] * HALF_LOG2_E;
    float b = f.conic[1] * HALF_LOG2_E;
    record.b2 = b + b;
    record.c = f.conic[2] * HALF_LOG2_E;
    record.log2_opacity = log2f(f.opacity);
    // Where log2(alpha) is above that of 1/255.
    float reach = record.log2_opacity - MIN_LOG2_ALPHA;
    float mahalanobis_squared = reach / HALF_LOG2_E;
    int x0, x1, y0, y1;
    covered(f.mean2d[0], mahalanobis_squared * f.covariance[0], camera.width, x0, x1);
    covered(f.mean2d[1], mahalanobis_squared * f.covariance[2], camera.height, y0, y1);
    if (!(x0 <= x1 && y0 <= y1)) return 0;
    float inverse = 1.0f / f.covariance[2];
    record.mean[0] = f.mean2d[0];
    record.mean[1] = f.mean2d[1];
    record.rgb[0] = record.rgb[1] = record.rgb[2] = 0.0f;
    record.z = f.z;
    record.shear = -(f.covariance[1] * inverse);
    record.narrowing = f.determinant * inverse * inverse;
    record.half_width_squared = reach / record.a;
    record.columns = (u32)x0 | (u32)x1 << 16;
    record.rows = (u32)y0 | (u32)y1 << 16;
    record.sum_bits = sum_bits_of(record);
    *place = record;
    return tiles_touched(record);
}

// Counts the visible splats of a block.
__device__ inline void count_visible(u32 tiles, u32* block_visible) {
    u32 visible = (u32)__syncthreads_count(tiles > 0);
    if (threadIdx.x == 0) {
        block_visible[blockIdx.x] = visible;
    }
}

// Also counts the visible splats of each block in `block_visible`.
extern "C" __global__ void __launch_bounds__(256)
    project_splats(const float* means, const float* log_scales, const float* quats, const float* opacity_logits,
                   const float* filter_3d, u32 count, Camera camera, Shaping shaping, Record* records, u32* touched,
                   u32* block_visible) {
    u32 i = global_thread();
    u32 tiles = 0;
    if (i < count) {
        Gaussian g = load_gaussian(means, log_scales, quats, opacity_logits, filter_3d, shaping, i);
        Footprint f = footprint_of(camera, g, parts_of(camera, g), shaping);
        tiles = record_footprint(camera, f, records + i);
        touched[i] = tiles;
    }
    count_visible(tiles, block_visible);
}

// Which splats are visible, without their records; counts them as above.
extern "C" __global__ void __launch_bounds__(256)
    mark_seen(const float* means, const float* log_scales, const float* quats, const float* opacity_logits,
              const float* filter_3d, u32 count, Camera camera, Shaping shaping, u32* seen, u32* block_seen) {
    u32 i = global_thread();
    u32 tiles = 0;
    if (i < count) {
        Gaussian g = load_gaussian(means, log_scales, quats, opacity_logits, filter_3d, shaping, i);
        Footprint f = footprint_of(camera, g, parts_of(camera, g), shaping);
        Record record;
        tiles = record_footprint(camera, f, &record);
        seen[i] = tiles > 0 ? 1u : 0u;
    }
    count_visible(tiles, block_seen);
}

// The same for Gaussians that are given by their covariances.
extern "C" __global__ void __launch_bounds__(256)
    project_ellipsoids(const float* means, const float* covariances, const float* opacities, u32 count, Camera camera,
                       Shaping shaping, Record* records, u32* touched, u32* block_visible) {
    u32 i = global_thread();
    u32 tiles = 0;
    if (i < count) {
        Ellipsoid e = load_ellipsoid(means, covariances, opacities, i);
        Footprint f = footprint_of(camera, e, parts_of(camera, e), shaping);
        tiles = record_footprint(camera, f, records + i);
        touched[i] = tiles;
    }
    count_visible(tiles, block_visible);
}

// Shared memory of a block that shades.
struct ShadedBlock {
    float rows[SH_BLOCK * SH_STRIDE];
    u32 visible[SH_BLOCK];
};

// `degree` is that of the harmonics that are used, `stored_degree` that which `sh_rest` has room for.
template <class Harmonics>
__device__ inline void shade(ShadedBlock& block, const float* means, const float* sh0, const Harmonics& sh_rest,
                             u32 count, const Camera& camera, int degree, int stored_degree, const u32* touched,
                             Record* records) {
    u32 i = blockIdx.x * SH_BLOCK + threadIdx.x;
    bool mine = i < count && touched[i] > 0;
    block.visible[threadIdx.x] = mine;
    if (__syncthreads_count(mine) == 0) return;
    load_harmonics(sh_rest, degree, stored_degree, block.visible, block.rows);
    __syncthreads();
    if (!mine) return;
    float direction[3], basis[15];
    direction_to(means, camera, i, direction);
    harmonics(degree, direction, basis);
    const float* row = block.rows + threadIdx.x * SH_STRIDE;
    int used = harmonics_above_zero(degree);
    for (int channel = 0; channel < 3; channel++) {
        float colour = fmaf(sh0[3 * i + channel], SH_Y0, 0.5f);
#pragma unroll
        for (int k = 0; k < 15; k++) {
            if (k < used) colour = fmaf(row[3 * k + channel], basis[k], colour);
        }
        records[i].rgb[channel] = fmaxf(colour, 0.0f);
    }
}

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    shade_splats(const float* means, const float* sh0, const float* sh_rest, u32 count, Camera camera, int degree,
                 int stored_degree, const u32* touched, Record* records) {
    __shared__ ShadedBlock block;
    shade(block, means, sh0, FloatHarmonics{sh_rest}, count, camera, degree, stored_degree, touched, records);
}

extern "C" __global__ void __launch_bounds__(SH_BLOCK)
    shade_packed_splats(const float* means, const float* sh0, const u32* sh_rest, u32 count, Camera camera, int degree,
                        int stored_degree, const u32* touched, Record* records) {
    __shared__ ShadedBlock block;
    shade(block, means, sh0, WordHarmonics{sh_rest}, count, camera, degree, stored_degree, touched, records);
}
