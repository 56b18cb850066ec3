// Which cells a surface may reach into, from coarse ones to fine ones: `engine/src/meshing/cells.rs` does the same on the CPU.
//
// Mapping: a thread takes a cell. Cells that are near the surface are appended to a list in whatever order warps come, so the list's order is not
// fixed; what is made of it, a set of bits, is. 12 bytes are written for a cell to be looked at, 4 for one that is kept.

#include "occupancy/ray.cuh"

constexpr u32 NONE = 0xffffffffu;

// `occupancy/cuda.rs` fills it.
struct CellList {
    // Cells a side.
    u32 side;
    // Each listed cell stands for so many: 1, or the 8 that make it up.
    u32 each;
    // Those that are meant: `count` of them from `first` on, counted by the cells that they stand for.
    u32 first;
    u32 count;
    // From a row of places to the next.
    u32 stride;
};

// Cell number i of those that a list stands for.
__device__ __forceinline__ u32 cell_of(const u32* cells, const CellList& list, u32 i) {
    if (list.each == 1) return cells[i];
    const u32 parent = cells[i / 8], half = list.side / 2;
    const u32 x = parent % half, y = parent / half % half, z = parent / (half * half);
    return (2 * x + (i & 1)) + list.side * ((2 * y + (i >> 1 & 1)) + list.side * (2 * z + (i >> 2 & 1)));
}

// Sets the bit of a cell, and that of its block.
__device__ __forceinline__ void set_cell(u32 cell, u32 side, u32* bits, u32* blocks) {
    const u32 block = block_of(side, cell % side, cell / side % side, cell / (side * side));
    atomicOr(&bits[cell / 32], 1u << (cell % 32));
    atomicOr(&blocks[block / 32], 1u << (block % 32));
}

// The first `count` numbers: all cells.
extern "C" __global__ void __launch_bounds__(256) list_all(u32 count, u32* cells) {
    const u32 i = global_thread();
    if (i < count) cells[i] = i;
}

// The middles of cells, [3, stride].
extern "C" __global__ void __launch_bounds__(256) cell_middles(const u32* cells, CellList list, float* positions) {
    const u32 i = global_thread();
    if (i >= list.count) return;
    const u32 cell = cell_of(cells, list, list.first + i);
    const u32 at[3] = {cell % list.side, cell / list.side % list.side, cell / (list.side * list.side)};
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        positions[(u64)a * list.stride + i] = __fdiv_rn((float)at[a] + 0.5f, (float)list.side);
    }
}

// Appends the cells whose distance, `distances[i] - offset`, is at most `limit` to `near`, whose length is `found`; all of them where `distances` is null. If
// `bits` is not null, their bits and those of their `blocks` are set instead.
extern "C" __global__ void __launch_bounds__(256)
    keep_near(const u32* cells, CellList list, const float* distances, float offset, float limit, u32* near, u32* found,
              u32* bits, u32* blocks) {
    const u32 i = global_thread(), lane = threadIdx.x % WARP;
    const bool is_near = i < list.count && (distances == nullptr || fabsf(distances[i] - offset) <= limit);
    const u32 cell = is_near ? cell_of(cells, list, list.first + i) : 0;
    const u32 votes = __ballot_sync(FULL_WARP, is_near);
    u32 start = 0;
    if (lane == 0 && votes != 0) start = atomicAdd(found, (u32)__popc(votes));
    start = __shfl_sync(FULL_WARP, start, 0);
    if (!is_near) return;
    if (bits != nullptr) {
        set_cell(cell, list.side, bits, blocks);
    } else {
        near[start + __popc(votes & ((1u << lane) - 1))] = cell;
    }
}

// Calls `gap(n, first, last)` for the n-th row of empty cells along x, at these y and z, that has occupied ones at both ends. Returns how many there are.
template <class F>
__device__ __forceinline__ u32 gaps(const u32* bits, u32 side, u32 row, const F& gap) {
    u32 n = 0, last = NONE;
    for (u32 x = 0; x < side; x++) {
        const u32 cell = row * side + x;
        if (!bit(bits, cell)) continue;
        if (last != NONE && cell - last > 1) gap(n++, last + 1, cell - 1);
        last = cell;
    }
    return n;
}

// `counts` is [rows + 1], the last of them 0. A thread takes a row.
extern "C" __global__ void __launch_bounds__(128) count_gaps(const u32* bits, u32 side, u32* counts) {
    const u32 row = global_thread(), rows = side * side;
    if (row > rows) return;
    counts[row] = row < rows ? gaps(bits, side, row, [](u32, u32, u32) {}) : 0;
}

// The first and the last cell of each, those of a row behind those of the rows before it, `most` of them at most.
extern "C" __global__ void __launch_bounds__(128)
    list_gaps(const u32* bits, u32 side, const u32* starts, u32 most, u32* firsts, u32* lasts) {
    const u32 row = global_thread();
    if (row >= side * side) return;
    const u32 start = starts[row];
    gaps(bits, side, row, [&](u32 n, u32 first, u32 last) {
        if (start + n >= most) return;
        firsts[start + n] = first;
        lasts[start + n] = last;
    });
}

// The middles of `list.count` gaps from `list.first` on, [3, stride].
extern "C" __global__ void __launch_bounds__(128)
    gap_middles(const u32* firsts, const u32* lasts, CellList list, float* positions) {
    const u32 i = global_thread();
    if (i >= list.count) return;
    const u32 ends[2] = {firsts[list.first + i], lasts[list.first + i]}, side = list.side;
    float sums[3] = {};
#pragma unroll
    for (u32 e = 0; e < 2; e++) {
        const u32 at[3] = {ends[e] % side, ends[e] / side % side, ends[e] / (side * side)};
#pragma unroll
        for (u32 a = 0; a < 3; a++) sums[a] += __fdiv_rn((float)at[a] + 0.5f, (float)side);
    }
#pragma unroll
    for (u32 a = 0; a < 3; a++) positions[(u64)a * list.stride + i] = 0.5f * sums[a];
}

// Makes the cells of those gaps solid whose distance, `distances[i] - offset`, is negative: as the surface passes none of them, they are inside.
extern "C" __global__ void __launch_bounds__(128)
    fill_gaps(const u32* firsts, const u32* lasts, CellList list, const float* distances, float offset, u32* solid,
              u32* blocks) {
    const u32 i = global_thread();
    if (i >= list.count || !(distances[i] - offset < 0.0f)) return;
    for (u32 cell = firsts[list.first + i]; cell <= lasts[list.first + i]; cell++) {
        set_cell(cell, list.side, solid, blocks);
    }
}
