// The plain build keeps no account of accesses.
#include "memory.h"

namespace emulator {

void memory_begin_block(const Launch&, const Regions&) {}
void* memory_account() { return nullptr; }
void memory_thread(unsigned, Region) {}
void memory_scheduler() {}
void memory_block_barrier() {}
void memory_warp_barrier(unsigned) {}
void atomic_access(const void*, size_t) {}
void fence() {}

}  // namespace emulator
