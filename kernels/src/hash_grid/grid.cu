// Encodings of positions by multiresolution grids, their derivatives, and the gradient of their tables: `hash_grid/mod.rs` says what is
// computed, `hash_grid/cuda.rs` what is counted.
//
// Layout: features are rows of samples, `[rows, stride]`, so that the lanes of a warp read and write side by side.
//
// Mapping: a thread takes a sample and a level; levels are the grid's y, so that the blocks which run together look up one table, which the
// caches then hold. Nothing is shared. Entries are 8 bytes in a random place each, 4 or 8 of them: their sectors are the limit, not the
// arithmetic.
//
// The gradient of a table is a sum of integers, because integers commute: it has the same bits in whatever order blocks run. The unit of
// a level is a power of two so far below its largest upstream number that the sum over all samples fits 62 bits; with 2^15 samples that is 47
// bits below, more than what a float holds.

#include "device/cuda.cuh"

constexpr u32 DENSE = 0, HASHED = 1, PERIODIC = 2;
// An upstream number that is infinite or none, as bits.
constexpr u32 NOT_FINITE = 0x7f800000u;

// `hash_grid/cuda.rs` fills both.
struct GridLevel {
    // Cells along a side.
    float scale;
    // Corners along a side, of one repetition if PERIODIC.
    u32 resolution;
    // Entries, and entries of the levels before.
    u32 size;
    u32 offset;
    u32 addressing;
};

struct GridShape {
    u32 levels;
    // Levels beyond these are zero.
    u32 active;
    u32 smooth;
    u32 samples;
    // From a row to the next.
    u32 stride;
    // Bits that the sum over all samples may take beyond one of them.
    u32 sum_bits;
};

// Where a sample lies in a level. Bit a of a corner's number says whether it is the far one along axis a.
template <u32 D>
struct Around {
    u32 entries[1 << D];
    // The weight of the far corner along each axis, and its derivative by the position.
    float far[D];
    float slopes[D];
};

template <u32 D>
__device__ __forceinline__ void find_dense(const GridLevel& level, const u32 (&cells)[D], u32 (&entries)[1 << D]) {
#pragma unroll
    for (u32 corner = 0; corner < 1u << D; corner++) {
        u32 index = 0;
#pragma unroll
        for (u32 a = 0; a < D; a++) {
            index = index * level.resolution + cells[D - 1 - a] + (corner >> (D - 1 - a) & 1);
        }
        // A corner beyond the last one wraps around; twice the size is never reached.
        entries[corner] = index >= level.size ? index - level.size : index;
    }
}

template <u32 D>
__device__ __forceinline__ void find_hashed(const GridLevel& level, const u32 (&cells)[D], u32 (&entries)[1 << D]) {
    const u32 primes[3] = {1u, 2654435761u, 805459861u};
#pragma unroll
    for (u32 corner = 0; corner < 1u << D; corner++) {
        u32 hash = 0;
#pragma unroll
        for (u32 a = 0; a < D; a++) hash ^= (cells[a] + (corner >> a & 1)) * primes[a];
        // Hashed levels have a power of two of entries.
        entries[corner] = hash & (level.size - 1);
    }
}

template <u32 D>
__device__ __forceinline__ void find_periodic(const GridLevel& level, const u32 (&cells)[D], u32 (&entries)[1 << D]) {
    u32 near[D], far[D], stride = 1;
#pragma unroll
    for (u32 a = 0; a < D; a++) {
        const u32 in_first = cells[a] % level.resolution;
        near[a] = stride * in_first;
        far[a] = in_first + 1 == level.resolution ? 0 : near[a] + stride;
        stride *= level.resolution;
    }
#pragma unroll
    for (u32 corner = 0; corner < 1u << D; corner++) {
        u32 index = 0;
#pragma unroll
        for (u32 a = 0; a < D; a++) index += (corner >> a & 1) != 0 ? far[a] : near[a];
        entries[corner] = index;
    }
}

// `positions` is [D, stride] in the unit square or cube; what lies outside is moved to its sides.
template <u32 D>
__device__ __forceinline__ Around<D> around(const GridLevel& level, const GridShape& shape, const float* positions,
                                            u32 sample) {
    Around<D> out;
    u32 cells[D];
#pragma unroll
    for (u32 a = 0; a < D; a++) {
        const float x = fminf(fmaxf(positions[(u64)a * shape.stride + sample], 0.0f), 1.0f);
        // Not fused: a sample is in the cell in which the CPU sees it.
        const float position = __fadd_rn(__fmul_rn(level.scale, x), 0.5f), cell = floorf(position);
        const float f = position - cell;
        cells[a] = (u32)cell;
        out.far[a] = shape.smooth != 0 ? f * f * (3.0f - 2.0f * f) : f;
        out.slopes[a] = shape.smooth != 0 ? level.scale * 6.0f * f * (1.0f - f) : level.scale;
    }
    if (level.addressing == DENSE) find_dense<D>(level, cells, out.entries);
    if (level.addressing == HASHED) find_hashed<D>(level, cells, out.entries);
    if (level.addressing == PERIODIC) find_periodic<D>(level, cells, out.entries);
    return out;
}

// The two features of all corners; `table` is that of the level.
template <u32 D>
__device__ __forceinline__ void gather(const float* table, const Around<D>& at, float (&values)[2][1 << D]) {
#pragma unroll
    for (u32 corner = 0; corner < 1u << D; corner++) {
        const float2 entry = reinterpret_cast<const float2*>(table)[at.entries[corner]];
        values[0][corner] = entry.x;
        values[1][corner] = entry.y;
    }
}

// Interpolates along one axis after the other; along axis `along` it takes the difference instead, which is the derivative.
template <u32 D>
__device__ __forceinline__ float reduce(const float (&values)[1 << D], const Around<D>& at, u32 along) {
    float left[1 << D];
#pragma unroll
    for (u32 i = 0; i < 1u << D; i++) left[i] = values[i];
#pragma unroll
    for (u32 a = 0; a < D; a++) {
#pragma unroll
        for (u32 i = 0; i < 1u << (D - 1 - a); i++) {
            const float near = left[2 * i], change = left[2 * i + 1] - near;
            left[i] = a == along ? change * at.slopes[a] : fmaf(change, at.far[a], near);
        }
    }
    return left[0];
}

constexpr u32 NO_AXIS = 3;

// `out` is [2 levels, stride], `jacobian` [2 levels D, stride] or null: the derivative of feature f by axis a in row D f + a.
template <u32 D>
__device__ __forceinline__ void encode(const float* table, const float* positions, const GridLevel* levels,
                                       const GridShape& shape, float* out, float* jacobian) {
    const u32 sample = global_thread(), l = blockIdx.y;
    if (sample >= shape.samples) return;
    const bool is_active = l < shape.active;
    const GridLevel level = levels[l];
    Around<D> at = {};
    float values[2][1 << D] = {};
    if (is_active) {
        at = around<D>(level, shape, positions, sample);
        gather<D>(table + 2ull * level.offset, at, values);
    }
#pragma unroll
    for (u32 f = 0; f < 2; f++) {
        out[(u64)(2 * l + f) * shape.stride + sample] = reduce<D>(values[f], at, NO_AXIS);
    }
    if (jacobian == nullptr) return;
#pragma unroll
    for (u32 f = 0; f < 2; f++) {
#pragma unroll
        for (u32 a = 0; a < D; a++) {
            jacobian[(u64)(D * (2 * l + f) + a) * shape.stride + sample] = reduce<D>(values[f], at, a);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
    encode_square(const float* table, const float* positions, const GridLevel* levels, GridShape shape, float* out,
                  float* jacobian) {
    encode<2>(table, positions, levels, shape, out, jacobian);
}

extern "C" __global__ void __launch_bounds__(256)
    encode_cube(const float* table, const float* positions, const GridLevel* levels, GridShape shape, float* out,
                float* jacobian) {
    encode<3>(table, positions, levels, shape, out, jacobian);
}

// The gradient of positions, [D, stride], from that of encodings, `upstream` [2 levels, stride]. A thread takes a sample and goes through the
// levels in order, so no Jacobian is stored.
template <u32 D>
__device__ __forceinline__ void differentiate(const float* table, const float* positions, const GridLevel* levels,
                                              const GridShape& shape, const float* upstream, float* out) {
    const u32 sample = global_thread();
    if (sample >= shape.samples) return;
    float sums[D] = {};
    for (u32 l = 0; l < min(shape.levels, shape.active); l++) {
        const GridLevel level = levels[l];
        const Around<D> at = around<D>(level, shape, positions, sample);
        float values[2][1 << D];
        gather<D>(table + 2ull * level.offset, at, values);
#pragma unroll
        for (u32 f = 0; f < 2; f++) {
            const float u = upstream[(u64)(2 * l + f) * shape.stride + sample];
#pragma unroll
            for (u32 a = 0; a < D; a++) sums[a] = fmaf(u, reduce<D>(values[f], at, a), sums[a]);
        }
    }
#pragma unroll
    for (u32 a = 0; a < D; a++) out[(u64)a * shape.stride + sample] = sums[a];
}

extern "C" __global__ void __launch_bounds__(256)
    differentiate_square(const float* table, const float* positions, const GridLevel* levels, GridShape shape,
                         const float* upstream, float* out) {
    differentiate<2>(table, positions, levels, shape, upstream, out);
}

extern "C" __global__ void __launch_bounds__(256)
    differentiate_cube(const float* table, const float* positions, const GridLevel* levels, GridShape shape,
                       const float* upstream, float* out) {
    differentiate<3>(table, positions, levels, shape, upstream, out);
}

// The largest size among a level's upstream numbers, as bits; `largest` is [levels] and was cleared. Infinities and what is no number are larger than all
// others.
extern "C" __global__ void __launch_bounds__(256) largest_upstream(const float* upstream, GridShape shape, u32* largest) {
    u32 most = 0;
    for (u32 i = global_thread(); i < shape.samples; i += gridDim.x * blockDim.x) {
        const float* row = upstream + 2ull * blockIdx.y * shape.stride + i;
        most = max(most, max(__float_as_uint(fabsf(row[0])), __float_as_uint(fabsf(row[shape.stride]))));
    }
    most = warp_max(most);
    if (threadIdx.x % WARP == 0 && most > 0) atomicMax(&largest[blockIdx.y], most);
}

// The binary logarithm of how many units are 1.
__device__ __forceinline__ int unit_bits(u32 largest, const GridShape& shape) {
    const int exponent = largest == 0 ? 0 : (int)(largest >> 23) - 126;
    return 62 - (int)shape.sum_bits - exponent;
}

// Adds what samples say about the table to `sums`, [entries, 2] in units.
template <u32 D>
__device__ __forceinline__ void accumulate(const float* positions, const GridLevel* levels, const GridShape& shape,
                                           const float* upstream, const u32* largest, u64* sums) {
    const u32 sample = global_thread(), l = blockIdx.y;
    if (sample >= shape.samples || l >= shape.active || largest[l] >= NOT_FINITE) return;
    const GridLevel level = levels[l];
    const Around<D> at = around<D>(level, shape, positions, sample);
    const int bits = unit_bits(largest[l], shape);
    const float* row = upstream + 2ull * l * shape.stride + sample;
    const float u[2] = {row[0], row[shape.stride]};
#pragma unroll
    for (u32 corner = 0; corner < 1u << D; corner++) {
        float weight = 1.0f;
#pragma unroll
        for (u32 a = 0; a < D; a++) weight *= (corner >> a & 1) != 0 ? at.far[a] : 1.0f - at.far[a];
        u64* place = sums + 2ull * (level.offset + at.entries[corner]);
#pragma unroll
        for (u32 f = 0; f < 2; f++) {
            const float units = ldexpf(u[f] * weight, bits);
            if (units != 0.0f) atomicAdd(place + f, (u64)llrintf(units));
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
    accumulate_square(const float* positions, const GridLevel* levels, GridShape shape, const float* upstream,
                      const u32* largest, u64* sums) {
    accumulate<2>(positions, levels, shape, upstream, largest, sums);
}

extern "C" __global__ void __launch_bounds__(256)
    accumulate_cube(const float* positions, const GridLevel* levels, GridShape shape, const float* upstream,
                    const u32* largest, u64* sums) {
    accumulate<3>(positions, levels, shape, upstream, largest, sums);
}

// Upstream numbers in the cube that also come through the Jacobian: besides `first`, ∂L/∂e of the first `first_order` samples, `u`, and
// v = ∂L/∂(Jᵀ u). `most_slope` is the largest ∂w/∂f. `hash_grid/cuda.rs` fills it.
struct ThroughShape {
    u32 first_order;
    float most_slope;
};

// As `largest_upstream`, of no less than the sum of the sizes of a sample's parts of an entry.
extern "C" __global__ void __launch_bounds__(256)
    largest_through(const GridLevel* levels, GridShape shape, ThroughShape through, const float* first, const float* u,
                    const float* v, u32* largest) {
    const u32 l = blockIdx.y;
    float most = 0.0f;
    bool is_finite = true;
    for (u32 i = global_thread(); i < shape.samples; i += gridDim.x * blockDim.x) {
        float along = 0.0f;
        for (u32 a = 0; a < 3; a++) along += fabsf(v[(u64)a * shape.stride + i]);
        // Near and far corners add up to twice the slope along each axis.
        along *= 2.0f * through.most_slope * levels[l].scale;
        for (u32 f = 0; f < 2; f++) {
            const u64 at = (u64)(2 * l + f) * shape.stride + i;
            const float size = fabsf(u[at]) * along + (i < through.first_order ? fabsf(first[at]) : 0.0f);
            is_finite = is_finite && __float_as_uint(size) < NOT_FINITE;
            most = fmaxf(most, size);
        }
    }
    const u32 bits = warp_max(is_finite ? __float_as_uint(most) : NOT_FINITE);
    if (threadIdx.x % WARP == 0 && bits > 0) atomicMax(&largest[l], bits);
}

// As `accumulate_cube`, with the second order: ∂L/∂θ[corner] += first Π_a w_a + u Σ_a v_a w'_a Π_{b≠a} w_b.
extern "C" __global__ void __launch_bounds__(256)
    accumulate_through(const float* positions, const GridLevel* levels, GridShape shape, ThroughShape through,
                       const float* first, const float* u, const float* v, const u32* largest, u64* sums) {
    const u32 sample = global_thread(), l = blockIdx.y;
    if (sample >= shape.samples || l >= shape.active || largest[l] >= NOT_FINITE) return;
    const GridLevel level = levels[l];
    const Around<3> at = around<3>(level, shape, positions, sample);
    const int bits = unit_bits(largest[l], shape);
    float e[2] = {0.0f, 0.0f}, up[2], along[3];
#pragma unroll
    for (u32 f = 0; f < 2; f++) {
        const u64 row = (u64)(2 * l + f) * shape.stride + sample;
        if (sample < through.first_order) e[f] = first[row];
        up[f] = u[row];
    }
#pragma unroll
    for (u32 a = 0; a < 3; a++) along[a] = v[(u64)a * shape.stride + sample] * at.slopes[a];
#pragma unroll
    for (u32 corner = 0; corner < 8; corner++) {
        float w[3], signs[3];
#pragma unroll
        for (u32 a = 0; a < 3; a++) {
            const bool is_far = (corner >> a & 1) != 0;
            w[a] = is_far ? at.far[a] : 1.0f - at.far[a];
            signs[a] = is_far ? along[a] : -along[a];
        }
        const float weight = w[0] * w[1] * w[2];
        const float slope = signs[0] * (w[1] * w[2]) + signs[1] * (w[0] * w[2]) + signs[2] * (w[0] * w[1]);
        u64* place = sums + 2ull * (level.offset + at.entries[corner]);
#pragma unroll
        for (u32 f = 0; f < 2; f++) {
            const float units = ldexpf(fmaf(up[f], slope, e[f] * weight), bits);
            if (units != 0.0f) atomicAdd(place + f, (u64)llrintf(units));
        }
    }
}

// From sums to the gradient, [entries, 2]; sums become zero again. A thread takes a number of the level that y says. Where an upstream number
// was not finite, neither is the gradient.
extern "C" __global__ void __launch_bounds__(256)
    table_gradient(u64* sums, const GridLevel* levels, GridShape shape, const u32* largest, float* gradient) {
    const u32 i = global_thread(), l = blockIdx.y;
    if (i >= 2 * levels[l].size) return;
    const u64 at = 2ull * levels[l].offset + i;
    const float sum = ldexpf((float)(i64)sums[at], -unit_bits(largest[l], shape));
    const bool is_broken = l < shape.active && largest[l] >= NOT_FINITE;
    gradient[at] = is_broken ? __uint_as_float(0x7fc00000u) : sum;
    sums[at] = 0;
}

// Jᵀ u in the cube, [3, stride], from a Jacobian, [3 rows, stride], and `u`, [rows, stride]. A thread takes a sample.
extern "C" __global__ void __launch_bounds__(256)
    transposed_product(const float* jacobian, const float* u, u32 rows, u32 samples, u32 stride, float* out) {
    const u32 sample = global_thread();
    if (sample >= samples) return;
    float sums[3] = {};
    for (u32 f = 0; f < rows; f++) {
        const float of_row = u[(u64)f * stride + sample];
#pragma unroll
        for (u32 a = 0; a < 3; a++) sums[a] = fmaf(of_row, jacobian[(u64)(3 * f + a) * stride + sample], sums[a]);
    }
#pragma unroll
    for (u32 a = 0; a < 3; a++) out[(u64)a * stride + sample] = sums[a];
}

// J v in the cube, [rows, stride], for `v`, [3, stride]. A thread takes a sample of the row that y says.
extern "C" __global__ void __launch_bounds__(256)
    product(const float* jacobian, const float* v, u32 samples, u32 stride, float* out) {
    const u32 sample = global_thread();
    if (sample >= samples) return;
    float sum = 0.0f;
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        sum = fmaf(jacobian[(u64)(3 * blockIdx.y + a) * stride + sample], v[(u64)a * stride + sample], sum);
    }
    out[(u64)blockIdx.y * stride + sample] = sum;
}
