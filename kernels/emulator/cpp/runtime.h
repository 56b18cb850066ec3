// What the emulated kernels call: fibers, collectives, barriers and atomics of one block on one OS thread.
// `cuda.h` builds the CUDA language on top of it; `runtime.cpp` implements it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulator {

struct Index3 {
    unsigned x, y, z;
};

// A place in a kernel's source.
struct Site {
    const char* file;
    int line;
};

// Operations in which several threads of a warp take part.
enum class Collective : unsigned { Sync, Shuffle, Vote, Match, Reduce, Matrix };

enum class Reduction : unsigned { None, Count, And, Or };

// A kernel: how it is called with pointers to its arguments, and the sizes of these, ended by 0.
struct Entry {
    const char* name;
    void (*invoke)(void** arguments);
    const size_t* argument_sizes;
};

// Who accessed a few bytes of memory: the last write and the last two readers (`checks.cpp`).
struct Shadow {
    uint64_t write, reads[2];
};

// A buffer, with one shadow for each `granule` bytes.
struct Range {
    uintptr_t start, end;
    size_t granule;
    Shadow* shadow;
};

// What a block is told when it starts.
struct Launch {
    const Entry* entry;
    void** arguments;
    Index3 grid, block, block_index;
    uint32_t shared_bytes;
    uint32_t seed;
    // For the checked build: all buffers in the order of addresses, the number of the launch (1 to 4095), and whether one
    // of its threads has called __threadfence.
    const Range* ranges;
    size_t range_count;
    uint32_t launch_number;
    uint32_t* fenced;
};

const Index3& thread_index();
const Index3& block_index();
const Index3& block_size();
const Index3& grid_size();
unsigned lane();
void* dynamic_shared();

// Waits until all threads of the block are here; combines `predicate` over them.
int barrier(Reduction reduction, int predicate, Site site);

// Waits until all lanes of `mask` are here; returns what each lane brought, valid until this lane's next collective.
const uint64_t* collective(Collective kind, unsigned mask, uint64_t value, Site site);

// Ends the block with a message.
[[noreturn]] void fault(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

// The steps that atomic operations are made of. They are compiled without instrumentation.
unsigned atomic_load(const unsigned* word);
unsigned long long atomic_load(const unsigned long long* word);
bool atomic_exchange_if(unsigned* word, unsigned* expected, unsigned value);
bool atomic_exchange_if(unsigned long long* word, unsigned long long* expected, unsigned long long value);

// An atomic access to `bytes` bytes is about to happen.
void atomic_access(const void* address, size_t bytes);

// A memory fence, as wide as the device.
void fence();

}  // namespace emulator

// The kernels of one `.cu` file, ended by an entry without a name.
extern "C" const emulator::Entry emulator_entries[];
