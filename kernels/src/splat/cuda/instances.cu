// From visible splats to a list of splats for each tile, nearest first.
//
// 1. `list_visible`: (depth, splat) of the visible ones, in the order of the splats;
// 2. a radix sort by depth (`sort/`), 32-bit keys over visible splats only;
// 3. `sum_touched`, a scan, `list_instances`: a (tile, splat) pair for each tile that a splat touches, in the order of depth;
// 4. a stable radix sort by tile, so that every tile's list keeps the order of depth;
// 5. `find_ranges`: where the tiles' lists begin and end.
//
// How many pairs there are is only known on the device: grids are made for what the buffers hold and blocks beyond the
// count end at once. When the buffers are too small, `wanted_instances` says so and the step is not applied.

#include "sort/scan.cuh"
#include "splat/cuda/record.cuh"

// A thread takes a splat; `block_offsets` are the visible splats in earlier blocks.
extern "C" __global__ void __launch_bounds__(256)
    list_visible(const Record* records, const u32* touched, const u32* block_offsets, u32 count, u32* depths,
                 u32* splats) {
    __shared__ u32 scratch[32];
    u32 i = global_thread();
    u32 visible = i < count && touched[i] > 0;
    u32 total;
    u32 place = block_offsets[blockIdx.x] + block_exclusive_sum(visible, scratch, total);
    if (visible) {
        // Depths are positive, so their bits sort as they do.
        depths[place] = __float_as_uint(records[i].z);
        splats[place] = i;
    }
}

// The numbers of marked splats in their order.
extern "C" __global__ void __launch_bounds__(256)
    list_marked(const u32* seen, const u32* block_offsets, u32 count, u32* splats) {
    __shared__ u32 scratch[32];
    u32 i = global_thread();
    u32 mine = i < count ? seen[i] : 0u;
    u32 total;
    u32 place = block_offsets[blockIdx.x] + block_exclusive_sum(mine, scratch, total);
    if (mine) splats[place] = i;
}

// The instances of each block of 256 sorted splats.
extern "C" __global__ void __launch_bounds__(256)
    sum_touched(const u32* order, const u32* touched, const u32* counters, u32* sums) {
    u32 j = global_thread();
    u32 sum = block_sum<256>(j < counters[VISIBLE] ? touched[order[j]] : 0u);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = sum;
    }
}

// Writes a splat's pairs for one row of tiles from `place` on, as far as there is room.
__device__ inline u32 write_row(const Record& record, const Reach& reach, int row, int tiles_across, u32 splat,
                                u32 place, u32 capacity, u32* tiles, u32* splats) {
    int first, last;
    tiles_in_row(record, reach, row, first, last);
    for (int column = first; column <= last; column++, place++) {
        if (place < capacity) {
            tiles[place] = (u32)(row * tiles_across + column);
            splats[place] = splat;
        }
    }
    return place;
}

// A thread takes a splat and writes its pairs, unless they are many: then the 32 threads of the warp share its rows of
// tiles, one splat after the other, so that a near splat does not hold up 31 small ones.
extern "C" __global__ void __launch_bounds__(256)
    list_instances(const u32* order, const u32* touched, const Record* records, const u32* counters, const u32* offsets,
                   u32 capacity, int tiles_across, u32* tiles, u32* splats) {
    constexpr u32 MANY = 16;
    __shared__ u32 scratch[32];
    u32 j = global_thread(), lane = threadIdx.x % 32;
    bool valid = j < counters[VISIBLE];
    u32 splat = valid ? order[j] : 0;
    u32 count = valid ? touched[splat] : 0;
    u32 total;
    u32 place = offsets[blockIdx.x] + block_exclusive_sum(count, scratch, total);
    if (count > 0 && count <= MANY) {
        Record record = records[splat];
        Reach reach = reach_of(record);
        u32 next = place;
        for (int row = (int)(record.rows & 0xffffu) / TILE; row <= (int)(record.rows >> 16) / TILE; row++) {
            next = write_row(record, reach, row, tiles_across, splat, next, capacity, tiles, splats);
        }
    }
    u32 large = __ballot_sync(FULL_WARP, count > MANY);
    while (large != 0) {
        int source = __ffs((int)large) - 1;
        large &= large - 1;
        u32 shared_splat = __shfl_sync(FULL_WARP, splat, source);
        u32 shared_place = __shfl_sync(FULL_WARP, place, source);
        Record record = records[shared_splat];
        Reach reach = reach_of(record);
        int last_row = (int)(record.rows >> 16) / TILE;
        for (int start = (int)(record.rows & 0xffffu) / TILE; start <= last_row; start += 32) {
            int row = start + (int)lane, first = 0, last = -1;
            if (row <= last_row) {
                tiles_in_row(record, reach, row, first, last);
            }
            u32 here = (u32)max(last - first + 1, 0);
            u32 before = warp_exclusive_sum(here);
            if (row <= last_row) {
                write_row(record, reach, row, tiles_across, shared_splat, shared_place + before, capacity, tiles,
                          splats);
            }
            shared_place += __shfl_sync(FULL_WARP, before + here, 31);
        }
    }
}

// Keeps within what the buffers hold: a single thread.
extern "C" __global__ void limit_instances(u32* counters, u32 capacity) {
    counters[LISTED_INSTANCES] = min(counters[WANTED_INSTANCES], capacity);
}

// `ranges` is [tiles, 2]: where each tile's list begins and ends. A thread takes a tile and searches the sorted keys, so
// that tiles without splats need no clearing.
extern "C" __global__ void __launch_bounds__(256)
    find_ranges(const u32* tiles, const u32* counters, u32 tile_count, u32* ranges) {
    u32 tile = global_thread();
    if (tile >= tile_count) return;
    u32 n = counters[LISTED_INSTANCES];
    for (u32 end = 0; end < 2; end++) {
        // The first pair whose tile is not below `tile + end`.
        u32 low = 0, high = n;
        while (low < high) {
            u32 middle = low + (high - low) / 2;
            if (tiles[middle] < tile + end) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        ranges[2 * tile + end] = low;
    }
}
