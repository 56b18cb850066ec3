// The memory of emulated blocks: stacks, shared memory with poison and redzones, and what is known of who accessed what.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime.h"

namespace emulator {

// Stacks for fibers, each with a guard page below it, taken from the system when they are first asked for: a group at a time,
// because every guard page is a mapping of its own and a process has 65,530 of them.
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

private:
    static constexpr size_t REDZONE = 256;
    std::vector<unsigned char> storage;
    size_t offset = 0, size = 0;
};

// Fills the `__shared__` variables of this OS thread with poison; they are this library's thread-local storage.
void poison_static_shared();

// Bookkeeping of the checked build (`checks.cpp`); the plain build does nothing.
void memory_begin_block(const Launch& launch);
void memory_end_block();
void memory_thread(unsigned linear);
void memory_scheduler();
void memory_block_barrier();
void memory_warp_barrier(unsigned warp);

}  // namespace emulator
