// A tile of 16x16 pixels and the splats in front of it, a batch of 256 at a time in shared memory.
//
// Mapping of the forward and of the backward pass: a block takes a tile, a warp 8x4 of its pixels, a thread a pixel. Each
// thread brings one record of a batch to shared memory. Then each lane of a warp tests one splat against the warp's
// 8x4 pixels, exactly, and the votes are a list of the splats that touch them: about one operation of a warp for each
// (splat, 8x4 pixels), where evaluating costs forty. Threads whose pixel is finished take part in votes only.
//
// Shared memory: 256 records of 64 bytes and 8 bytes of reach, 18 KiB.
#pragma once
#include "splat/cuda/record.cuh"

constexpr u32 TILE_THREADS = TILE * TILE;

struct Picture {
    int width;
    int height;
    int tiles_across;
    float background[3];
};

// The pixel of a thread.
struct Pixel {
    // Where the warp's pixels begin.
    int warp_x;
    int warp_y;
    int x;
    int y;
    bool inside;
    // In a plane.
    int index;
};

__device__ inline Pixel pixel_of(const Picture& picture) {
    Pixel p;
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    p.warp_x = (int)blockIdx.x % picture.tiles_across * TILE + warp % 2 * WARP_COLUMNS;
    p.warp_y = (int)blockIdx.x / picture.tiles_across * TILE + warp / 2 * WARP_ROWS;
    p.x = p.warp_x + lane % WARP_COLUMNS;
    p.y = p.warp_y + lane / WARP_COLUMNS;
    p.inside = p.x < picture.width && p.y < picture.height;
    p.index = p.y * picture.width + p.x;
    return p;
}

// A batch of records.
struct Batch {
    Record records[TILE_THREADS];
    Reach reaches[TILE_THREADS];
};

// Brings the pairs from `start` to `end` of a tile's list, at most a batch, to shared memory. Barriers are the caller's.
__device__ inline void load_batch(Batch& batch, const u32* splats, const Record* records, u32 start, u32 end) {
    u32 i = start + threadIdx.x;
    if (i < end) {
        Record record = records[splats[i]];
        batch.records[threadIdx.x] = record;
        batch.reaches[threadIdx.x] = reach_of(record);
    }
}

// Which of the 32 splats of a batch from `group` on touch the warp's pixels: a bit for each. All lanes must call it.
__device__ inline u32 touching(const Batch& batch, u32 group, u32 count, const Pixel& p) {
    u32 j = group + threadIdx.x % 32;
    return __ballot_sync(FULL_WARP, j < count && touches(batch.records[j], batch.reaches[j], p.warp_x, p.warp_y));
}
