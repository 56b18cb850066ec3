// The checked build's account of memory. Kernels are compiled with -fsanitize=thread, which makes the compiler announce
// every access that may be shared by calling `__tsan_read4` and the like. Those functions are ours (the sanitizer's own
// library is not linked):
//
// - An access must lie within a buffer, shared memory, the thread's stack or constants; else the block ends with a
//   message.
// - For every few bytes of buffers and shared memory, the last write and the last two readers are remembered: who, and
//   between which barriers. Two accesses of different threads to the same bytes, at least one of them a write and not
//   both atomic, are a race if no barrier lies between: __syncthreads, or __syncwarp within a warp; between blocks there
//   is none. A launch in which some thread calls __threadfence may order blocks by it, so blocks are not compared then.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "memory.h"

namespace emulator {
namespace {

// An access in 64 bits. The numbers wrap round; that can hide a race once in a great while.
struct Access {
    unsigned launch, block, thread, phase, warp_phase;
    bool atomic;

    uint64_t pack() const {
        return uint64_t{launch & 0xfff} << 52 | uint64_t{block & 0xfffff} << 32 | uint64_t{thread & 0x3ff} << 22 |
               uint64_t{phase & 0x7ff} << 11 | uint64_t{warp_phase & 0x3ff} << 1 | uint64_t{atomic};
    }
};

unsigned launch_of(uint64_t access) { return access >> 52; }
unsigned block_of(uint64_t access) { return access >> 32 & 0xfffff; }
unsigned thread_of(uint64_t access) { return access >> 22 & 0x3ff; }
unsigned phase_of(uint64_t access) { return access >> 11 & 0x7ff; }
unsigned warp_phase_of(uint64_t access) { return access >> 1 & 0x3ff; }
bool is_atomic(uint64_t access) { return access & 1; }

// What this OS thread is doing. Plain memory, not thread-local: thread-local storage is poisoned with shared memory.
struct Account {
    const Launch* launch = nullptr;
    Region stack, dynamic_shared, dynamic_zone, static_shared, library, worker, fibers, warps;
    std::vector<Shadow> static_shadow, dynamic_shadow;
    unsigned block = 0, block_run = 0, phase = 0, warp_phases[32] = {};
    unsigned thread = 0;
    bool in_kernel = false;
};

thread_local Account* account = nullptr;

bool orders(const Account& a, uint64_t earlier, bool shared) {
    if (launch_of(earlier) != (shared ? a.block_run : a.launch->launch_number) % 0x1000 || earlier == 0) return true;
    if (!shared && block_of(earlier) != (a.block & 0xfffff)) {
        return __atomic_load_n(a.launch->fenced, __ATOMIC_RELAXED) != 0;
    }
    const unsigned thread = thread_of(earlier);
    if (thread == a.thread || phase_of(earlier) != (a.phase & 0x7ff)) return true;
    return thread / 32 == a.thread / 32 && warp_phase_of(earlier) != (a.warp_phases[a.thread / 32] & 0x3ff);
}

// "file:line" of an instruction of this library, if binutils is there to say it.
void locate(void* instruction, char* text, size_t bytes) {
    snprintf(text, bytes, "somewhere");
    Dl_info info;
    if (dladdr(instruction, &info) == 0 || info.dli_fname == nullptr) return;
    char command[4200];
    const auto offset = static_cast<char*>(instruction) - static_cast<char*>(info.dli_fbase) - 1;
    snprintf(command, sizeof command, "addr2line -e '%s' %#lx 2>/dev/null", info.dli_fname, static_cast<long>(offset));
    FILE* pipe = popen(command, "r");
    if (pipe == nullptr) return;
    char line[4096];
    if (fgets(line, sizeof line, pipe) != nullptr) {
        line[strcspn(line, "\n")] = 0;
        const char* name = strstr(line, "/kernels/src/");
        snprintf(text, bytes, "%.400s", name != nullptr ? name + strlen("/kernels/src/") : line);
    }
    pclose(pipe);
}

enum class Way { Read, Write, Atomic };

const char* verb(Way way) {
    switch (way) {
        case Way::Read: return "reads";
        case Way::Write: return "writes";
        case Way::Atomic: return "updates";
    }
    return "?";
}

[[noreturn]] void report_outside(Account& a, uintptr_t at, size_t bytes, Way way, void* instruction) {
    char where[512], near[160] = "there are no buffers";
    locate(instruction, where, sizeof where);
    const Launch& launch = *a.launch;
    uintptr_t best = ~uintptr_t{0};
    for (size_t i = 0; i < launch.range_count; ++i) {
        const Range& range = launch.ranges[i];
        const uintptr_t before = range.start > at ? range.start - at : ~uintptr_t{0};
        const uintptr_t behind = at + bytes > range.end ? at + bytes - range.end : ~uintptr_t{0};
        const uintptr_t distance = before < behind ? before : behind;
        if (distance >= best) continue;
        best = distance;
        snprintf(near, sizeof near, "%zu bytes %s a buffer of %zu bytes", static_cast<size_t>(distance),
                 before < behind ? "before the start of" : "behind the end of",
                 static_cast<size_t>(range.end - range.start));
    }
    if (a.dynamic_zone.contains(at, bytes)) {
        snprintf(near, sizeof near, "outside the %u bytes of dynamic shared memory", launch.shared_bytes);
    }
    fault({nullptr, 0}, "%s: it %s %zu bytes out of bounds: %s", where, verb(way), bytes, near);
}

[[noreturn]] void report_race(Account& a, uint64_t earlier, bool earlier_wrote, Way way, bool shared, uintptr_t at,
                              void* instruction) {
    char where[512], other[64] = "";
    locate(instruction, where, sizeof where);
    const bool same_block = shared || block_of(earlier) == (a.block & 0xfffff);
    if (!same_block) snprintf(other, sizeof other, " of block %u", block_of(earlier));
    char place[96] = "shared memory";
    for (size_t i = 0; !shared && i < a.launch->range_count; ++i) {
        const Range& range = a.launch->ranges[i];
        if (at < range.start || at >= range.end) continue;
        snprintf(place, sizeof place, "byte %zu of a buffer of %zu bytes", static_cast<size_t>(at - range.start),
                 static_cast<size_t>(range.end - range.start));
    }
    fault({nullptr, 0}, "%s: a race: it %s %s, which thread %u%s %s with no barrier between", where, verb(way), place,
          thread_of(earlier), other, earlier_wrote ? (is_atomic(earlier) ? "updated" : "wrote") : "read");
}

void note(Account& a, Shadow* shadow, size_t first, size_t last, Way way, bool shared, uintptr_t at, void* instruction) {
    const Access access{shared ? a.block_run : a.launch->launch_number, a.block, a.thread, a.phase,
                        a.warp_phases[a.thread / 32], way == Way::Atomic};
    const uint64_t now = access.pack();
    for (size_t i = first; i <= last; ++i) {
        Shadow& cell = shadow[i];
        const uint64_t write = __atomic_load_n(&cell.write, __ATOMIC_RELAXED);
        if (!(way == Way::Atomic && is_atomic(write)) && !orders(a, write, shared)) {
            report_race(a, write, true, way, shared, at, instruction);
        }
        const uint64_t recent = __atomic_load_n(&cell.reads[0], __ATOMIC_RELAXED);
        if (way == Way::Read) {
            // The two most recent readers are different threads.
            if ((recent ^ now) >> 22 != 0) __atomic_store_n(&cell.reads[1], recent, __ATOMIC_RELAXED);
            __atomic_store_n(&cell.reads[0], now, __ATOMIC_RELAXED);
            continue;
        }
        const uint64_t before = __atomic_load_n(&cell.reads[1], __ATOMIC_RELAXED);
        if (!orders(a, recent, shared)) report_race(a, recent, false, way, shared, at, instruction);
        if (!orders(a, before, shared)) report_race(a, before, false, way, shared, at, instruction);
        __atomic_store_n(&cell.write, now, __ATOMIC_RELAXED);
    }
}

void check(const void* address, size_t bytes, Way way, void* instruction) {
    Account* a = account;
    if (a == nullptr || !a->in_kernel) return;
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (a->stack.contains(at, bytes)) return;
    if (a->static_shared.contains(at, bytes)) {
        const size_t first = (at - a->static_shared.start) / 4;
        const size_t last = (at + bytes - 1 - a->static_shared.start) / 4;
        return note(*a, a->static_shadow.data(), first, last, way, true, at, instruction);
    }
    if (a->dynamic_shared.contains(at, bytes)) {
        const size_t first = (at - a->dynamic_shared.start) / 4;
        const size_t last = (at + bytes - 1 - a->dynamic_shared.start) / 4;
        return note(*a, a->dynamic_shadow.data(), first, last, way, true, at, instruction);
    }
    const Launch& launch = *a->launch;
    size_t low = 0, high = launch.range_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (launch.ranges[middle].end <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < launch.range_count && launch.ranges[low].start <= at && at + bytes <= launch.ranges[low].end) {
        const Range& range = launch.ranges[low];
        const size_t first = (at - range.start) / range.granule, last = (at + bytes - 1 - range.start) / range.granule;
        return note(*a, range.shadow, first, last, way, false, at, instruction);
    }
    const bool own = a->library.contains(at, bytes) || a->worker.contains(at, bytes) || a->fibers.contains(at, bytes) ||
                     a->warps.contains(at, bytes);
    if (!own) report_outside(*a, at, bytes, way, instruction);
}

}  // namespace

void memory_begin_block(const Launch& launch, const Regions& regions) {
    Account* a = account = regions.account == nullptr ? new Account : static_cast<Account*>(regions.account);
    a->launch = &launch;
    a->dynamic_shared = regions.dynamic_shared;
    a->dynamic_zone = regions.dynamic_zone;
    a->static_shared = regions.static_shared;
    a->library = regions.library;
    a->worker = regions.worker;
    a->fibers = regions.fibers;
    a->warps = regions.warps;
    const Index3 at = launch.block_index, grid = launch.grid;
    a->block = at.x + grid.x * (at.y + grid.y * at.z);
    a->phase = 0;
    memset(a->warp_phases, 0, sizeof a->warp_phases);
    const size_t static_cells = (a->static_shared.end - a->static_shared.start + 7) / 4;
    const size_t dynamic_cells = (launch.shared_bytes + 7) / 4;
    // Runs are numbered from 1; when the numbers begin anew, nothing may be left of the last round.
    a->block_run = a->block_run % 0xfff + 1;
    if (a->block_run == 1) a->static_shadow.clear(), a->dynamic_shadow.clear();
    if (a->static_shadow.size() < static_cells) a->static_shadow.resize(static_cells);
    if (a->dynamic_shadow.size() < dynamic_cells) a->dynamic_shadow.resize(dynamic_cells);
}

void* memory_account() { return account; }

void memory_thread(unsigned linear, Region stack) {
    account->stack = stack;
    account->thread = linear;
    account->in_kernel = true;
}

void memory_scheduler() { account->in_kernel = false; }

void memory_block_barrier() { ++account->phase; }

void memory_warp_barrier(unsigned warp) { ++account->warp_phases[warp]; }

void atomic_access(const void* address, size_t bytes) {
    check(address, bytes, Way::Atomic, __builtin_return_address(0));
}

void fence() {
    __atomic_store_n(account->launch->fenced, 1u, __ATOMIC_RELAXED);
}

}  // namespace emulator

#define HOOK(name, bytes, way)                                                                      \
    extern "C" void name(void* address) {                                                           \
        emulator::check(address, bytes, emulator::Way::way, __builtin_return_address(0));           \
    }
HOOK(__tsan_read1, 1, Read)
HOOK(__tsan_read2, 2, Read)
HOOK(__tsan_read4, 4, Read)
HOOK(__tsan_read8, 8, Read)
HOOK(__tsan_read16, 16, Read)
HOOK(__tsan_write1, 1, Write)
HOOK(__tsan_write2, 2, Write)
HOOK(__tsan_write4, 4, Write)
HOOK(__tsan_write8, 8, Write)
HOOK(__tsan_write16, 16, Write)
HOOK(__tsan_unaligned_read2, 2, Read)
HOOK(__tsan_unaligned_read4, 4, Read)
HOOK(__tsan_unaligned_read8, 8, Read)
HOOK(__tsan_unaligned_read16, 16, Read)
HOOK(__tsan_unaligned_write2, 2, Write)
HOOK(__tsan_unaligned_write4, 4, Write)
HOOK(__tsan_unaligned_write8, 8, Write)
HOOK(__tsan_unaligned_write16, 16, Write)

extern "C" void __tsan_read_range(void* address, size_t bytes) {
    if (bytes > 0) emulator::check(address, bytes, emulator::Way::Read, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* address, size_t bytes) {
    if (bytes > 0) emulator::check(address, bytes, emulator::Way::Write, __builtin_return_address(0));
}
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
