// A stand-in for NVIDIA's driver, libcuda.so.1, so that the code that drives real GPUs runs in tests: memory is the
// host's, and kernels are the emulated ones. What goes wrong is chosen by variables of the environment:
//
// STAND_IN_VERSION (12080)  STAND_IN_GPUS (1)  STAND_IN_CAPABILITY (80)  STAND_IN_MEMORY (1073741824)
// STAND_IN_INIT, STAND_IN_LOAD, STAND_IN_LAUNCH, STAND_IN_SYNCHRONIZE: the code that these return, 0 for success;
// STAND_IN_KERNELS: the folder of the emulator's libraries.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "runtime.h"

namespace {

constexpr int SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, NOT_FOUND = 500;

long number(const char* variable, long otherwise) {
    const char* text = getenv(variable);
    return text != nullptr ? atol(text) : otherwise;
}

std::mutex guard;
std::map<uint64_t, size_t> allocations;
size_t used = 0;
bool launched = false;

struct Module {
    const emulator::Entry* entries;
    int (*run_block)(const emulator::Launch*, char*, size_t);
};

struct Function {
    const emulator::Entry* entry;
    Module* module;
};

struct Event {
    std::chrono::steady_clock::time_point time;
};

}  // namespace

extern "C" {

int cuInit(unsigned) { return number("STAND_IN_INIT", SUCCESS); }
int cuDriverGetVersion(int* version) { return *version = number("STAND_IN_VERSION", 12080), SUCCESS; }
int cuDeviceGetCount(int* count) { return *count = number("STAND_IN_GPUS", 1), SUCCESS; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, SUCCESS; }
int cuDeviceGetName(char* name, int length, int device) {
    return snprintf(name, length, "Stand-in %d", device), SUCCESS;
}
int cuDeviceGetUuid(char* uuid, int device) {
    memset(uuid, 0, 16);
    return uuid[15] = static_cast<char>(device), SUCCESS;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = number("STAND_IN_MEMORY", 1 << 30), SUCCESS; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    const long capability = number("STAND_IN_CAPABILITY", 80);
    switch (attribute) {
        case 75: *value = capability / 10; break;
        case 76: *value = capability % 10; break;
        case 16: *value = 4; break;           // multiprocessors
        case 97: *value = 96 << 10; break;    // shared memory of a block, on request
        default: return INVALID_VALUE;
    }
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void** context, int) { return *context = &guard, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void*) { return SUCCESS; }

int cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
    *total = number("STAND_IN_MEMORY", 1 << 30);
    *free_bytes = *total - used;
    return SUCCESS;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    const std::lock_guard lock(guard);
    const size_t total = number("STAND_IN_MEMORY", 1 << 30);
    if (bytes > total || used > total - bytes) return OUT_OF_MEMORY;
    void* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(memory, 0xff, bytes);
    *address = reinterpret_cast<uint64_t>(memory);
    allocations[*address] = bytes;
    used += bytes;
    return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
    const std::lock_guard lock(guard);
    const auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    used -= found->second;
    allocations.erase(found);
    free(reinterpret_cast<void*>(address));
    return SUCCESS;
}
int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
    return *memory = malloc(bytes), *memory != nullptr ? SUCCESS : OUT_OF_MEMORY;
}
int cuMemFreeHost(void* memory) { return free(memory), SUCCESS; }
int cuMemsetD8Async(uint64_t to, unsigned char byte, size_t bytes, void*) {
    return memset(reinterpret_cast<void*>(to), byte, bytes), SUCCESS;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
    return memcpy(reinterpret_cast<void*>(to), from, bytes), SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
    return memcpy(to, reinterpret_cast<const void*>(from), bytes), SUCCESS;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void*) {
    return memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes), SUCCESS;
}

int cuStreamCreate(void** stream, unsigned) { return *stream = new char, SUCCESS; }
int cuStreamDestroy_v2(void* stream) { return delete static_cast<char*>(stream), SUCCESS; }
int cuStreamSynchronize(void*) { return launched ? number("STAND_IN_SYNCHRONIZE", SUCCESS) : SUCCESS; }
int cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }

int cuEventCreate(void** event, unsigned) { return *event = new Event, SUCCESS; }
int cuEventDestroy_v2(void* event) { return delete static_cast<Event*>(event), SUCCESS; }
int cuEventRecord(void* event, void*) {
    return static_cast<Event*>(event)->time = std::chrono::steady_clock::now(), SUCCESS;
}
int cuEventQuery(void*) { return SUCCESS; }
int cuEventSynchronize(void*) { return SUCCESS; }
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
    const auto time = static_cast<Event*>(end)->time - static_cast<Event*>(start)->time;
    return *milliseconds = std::chrono::duration<float, std::milli>(time).count(), SUCCESS;
}

// The image is what `compiler.cpp` makes: the magic number of ELF files and the name of the source.
int cuModuleLoadData(void** module, const void* image) {
    if (const long code = number("STAND_IN_LOAD", SUCCESS)) return code;
    const char* folder = getenv("STAND_IN_KERNELS");
    if (folder == nullptr || memcmp(image, "\x7f" "ELF", 4) != 0) return INVALID_IMAGE;
    std::string stem = static_cast<const char*>(image) + 4;
    for (char& letter : stem) letter = letter == '/' || letter == '.' ? '_' : letter;
    void* library = dlopen((std::string(folder) + "/" + stem + ".plain.so").c_str(), RTLD_NOW);
    if (library == nullptr) return INVALID_IMAGE;
    auto* loaded = new Module;
    loaded->entries = static_cast<const emulator::Entry*>(dlsym(library, "emulator_entries"));
    loaded->run_block = reinterpret_cast<decltype(loaded->run_block)>(dlsym(library, "emulator_run_block"));
    return *module = loaded, SUCCESS;
}
int cuModuleUnload(void* module) { return delete static_cast<Module*>(module), SUCCESS; }
int cuModuleGetFunction(void** function, void* module, const char* name) {
    auto* loaded = static_cast<Module*>(module);
    for (const emulator::Entry* entry = loaded->entries; entry->name != nullptr; ++entry) {
        if (strcmp(entry->name, name) == 0) return *function = new Function{entry, loaded}, SUCCESS;
    }
    return NOT_FOUND;
}
int cuFuncGetAttribute(int* value, int, void*) { return *value = 0, SUCCESS; }
int cuFuncSetAttribute(void*, int, int) { return SUCCESS; }

int cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned shared_bytes, void*, void** arguments, void**) {
    if (const long code = number("STAND_IN_LAUNCH", SUCCESS)) return code;
    auto* kernel = static_cast<Function*>(function);
    uint32_t fenced = 0;
    char message[1024];
    launched = true;
    emulator::Launch launch{kernel->entry,    arguments, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, {0, 0, 0},
                            shared_bytes, 1,         nullptr,                  0,                           1,
                            &fenced};
    for (unsigned z = 0; z < grid_z; ++z) {
        for (unsigned y = 0; y < grid_y; ++y) {
            for (unsigned x = 0; x < grid_x; ++x) {
                launch.block_index = {x, y, z};
                if (kernel->module->run_block(&launch, message, sizeof message) == 0) continue;
                fprintf(stderr, "stand-in: %s: %s\n", kernel->entry->name, message);
                return 719;
            }
        }
    }
    return SUCCESS;
}

int cuGetErrorName(int code, const char** text) {
    static thread_local char name[32];
    return snprintf(name, sizeof name, "CUDA_ERROR_%d", code), *text = name, SUCCESS;
}
int cuGetErrorString(int, const char** text) { return *text = "the stand-in was told to fail", SUCCESS; }

}  // extern "C"
