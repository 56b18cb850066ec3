// The memory of emulated blocks: stacks, shared memory with poison and redzones, and what is known of who accessed what.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime.h"

namespace emulator {

// Some bytes of memory.
struct Region {
    uintptr_t start = 0, end = 0;

    Region() = default;
    Region(const void* at, size_t bytes) : start(reinterpret_cast<uintptr_t>(at)), end(start + bytes) {}
    bool contains(uintptr_t at, size_t bytes) const { return at >= start && at < end && end - at >= bytes; }
};

// Stacks for fibers, taken from the system when they are first asked for: a group at a time, with one guard page below the group.
// A page below each would be a mapping of its own, of which a process has 65,530, and every library has stacks for every thread
// that ran its kernels. The checked build finds accesses below a stack.
class Stacks {
public:
    static constexpr size_t BYTES = 128 * 1024;
    Stacks() = default;
    ~Stacks();
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;
    void* of(size_t index);

private:
    static constexpr size_t GROUP = 64;
    std::vector<char*> groups;
};

// A block's dynamic shared memory: filled with poison when a block starts, between two redzones.
class SharedMemory {
public:
    void prepare(size_t bytes);
    void* data() { return storage.data() + offset; }
    bool intact() const;
    Region region() { return {data(), size}; }
    Region with_redzones() { return {storage.data(), storage.size()}; }

private:
    static constexpr size_t REDZONE = 256;
    std::vector<unsigned char> storage;
    size_t offset = 0, size = 0;
};

// The `__shared__` variables of this OS thread: this library's thread-local storage. Empty where that cannot be found.
Region static_shared();

// Fills them with poison.
void poison(Region region);

// This library: its code and constants.
Region library();

// What a thread may access without further ado, and what to look up.
struct Regions {
    Region dynamic_shared, dynamic_zone, static_shared, library, worker, fibers, warps;
    // The account of this OS thread, if it has one already.
    void* account;
};

// Bookkeeping of the checked build (`checks.cpp`); the plain build does nothing.
void memory_begin_block(const Launch& launch, const Regions& regions);
void* memory_account();
void memory_thread(unsigned linear, Region stack);
void memory_scheduler();
void memory_block_barrier();
void memory_warp_barrier(unsigned warp);

}  // namespace emulator
