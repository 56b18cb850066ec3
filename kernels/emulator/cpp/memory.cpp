#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifdef __linux__
#include <link.h>
#endif

namespace emulator {
namespace {

// As floats these bytes are NaN, as integers -1.
constexpr unsigned char POISON = 0xff;
constexpr unsigned char ZONE = 0xa5;

size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

void* Stacks::of(size_t index) {
    const size_t length = page() + GROUP * BYTES;
    while (groups.size() <= index / GROUP) {
        void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            fprintf(stderr, "the emulator cannot get %zu bytes of stacks\n", length);
            abort();
        }
        groups.push_back(static_cast<char*>(memory));
        mprotect(memory, page(), PROT_NONE);
    }
    return groups[index / GROUP] + page() + index % GROUP * BYTES;
}

Stacks::~Stacks() {
    for (char* group : groups) munmap(group, page() + GROUP * BYTES);
}

void SharedMemory::prepare(size_t bytes) {
    storage.resize(bytes + 2 * REDZONE + 128);
    const auto start = reinterpret_cast<uintptr_t>(storage.data()) + REDZONE;
    offset = REDZONE + (128 - start % 128) % 128;
    size = bytes;
    memset(storage.data(), ZONE, storage.size());
    memset(storage.data() + offset, POISON, bytes);
}

bool SharedMemory::intact() const {
    for (size_t i = 0; i < storage.size(); ++i) {
        const bool inside = i >= offset && i < offset + size;
        if (!inside && storage[i] != ZONE) return false;
    }
    return true;
}

void poison(Region region) { memset(reinterpret_cast<void*>(region.start), POISON, region.end - region.start); }

#ifdef __linux__

namespace {

// This library as the loader knows it.
struct Module {
    Region loaded;
    void* thread_data = nullptr;
    size_t thread_bytes = 0;
};

int find_module(dl_phdr_info* info, size_t, void* out) {
    Module module;
    const auto here = reinterpret_cast<uintptr_t>(&find_module);
    bool is_ours = false;
    uintptr_t start = ~uintptr_t{0}, end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& header = info->dlpi_phdr[i];
        const uintptr_t from = info->dlpi_addr + header.p_vaddr, to = from + header.p_memsz;
        if (header.p_type == PT_TLS) module.thread_bytes = header.p_memsz;
        if (header.p_type != PT_LOAD) continue;
        is_ours |= here >= from && here < to;
        start = from < start ? from : start;
        end = to > end ? to : end;
    }
    if (!is_ours) return 0;
    module.loaded = Region(reinterpret_cast<void*>(start), end - start);
    module.thread_data = info->dlpi_tls_data;
    *static_cast<Module*>(out) = module;
    return 1;
}

Module module() {
    Module found;
    dl_iterate_phdr(find_module, &found);
    return found;
}

}  // namespace

Region static_shared() {
    const Module found = module();
    return found.thread_data == nullptr ? Region() : Region(found.thread_data, found.thread_bytes);
}

Region library() { return module().loaded; }

#else

Region static_shared() { return {}; }
Region library() { return {}; }

#endif

}  // namespace emulator
