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
    const size_t stride = BYTES + page(), length = GROUP * stride;
    while (groups.size() <= index / GROUP) {
        void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            fprintf(stderr, "the emulator cannot get %zu bytes of stacks\n", length);
            abort();
        }
        groups.push_back(static_cast<char*>(memory));
        for (size_t i = 0; i < GROUP; ++i) mprotect(groups.back() + i * stride, page(), PROT_NONE);
    }
    return groups[index / GROUP] + index % GROUP * stride + page();
}

Stacks::~Stacks() {
    for (char* group : groups) munmap(group, GROUP * (BYTES + page()));
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

#ifdef __linux__

void poison_static_shared() {
    struct Found {
        void* data = nullptr;
        size_t bytes = 0;
    } found;
    static const size_t bytes = [] {
        size_t size = 0;
        dl_iterate_phdr(
            [](dl_phdr_info* info, size_t, void* out) {
                const auto own = reinterpret_cast<uintptr_t>(&poison_static_shared);
                bool ours = false;
                size_t tls = 0;
                for (int i = 0; i < info->dlpi_phnum; ++i) {
                    const auto& header = info->dlpi_phdr[i];
                    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
                    ours |= header.p_type == PT_LOAD && own >= start && own < start + header.p_memsz;
                    if (header.p_type == PT_TLS) tls = header.p_memsz;
                }
                if (ours) *static_cast<size_t*>(out) = tls;
                return ours ? 1 : 0;
            },
            &size);
        return size;
    }();
    if (bytes == 0) return;
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* out) {
            const auto own = reinterpret_cast<uintptr_t>(&poison_static_shared);
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto& header = info->dlpi_phdr[i];
                const uintptr_t start = info->dlpi_addr + header.p_vaddr;
                if (header.p_type == PT_LOAD && own >= start && own < start + header.p_memsz) {
                    static_cast<Found*>(out)->data = info->dlpi_tls_data;
                    return 1;
                }
            }
            return 0;
        },
        &found);
    if (found.data != nullptr) memset(found.data, POISON, bytes);
}

#else

void poison_static_shared() {}

#endif

}  // namespace emulator
