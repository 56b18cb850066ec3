// A stand-in for NVRTC: it compiles nothing and returns the source's name, by which `driver.cpp` finds the emulated
// kernels. STAND_IN_NVRTC (12080) is its version, STAND_IN_REFUSE a message with which it refuses every source.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Program {
    std::string name, log;
};

const char* refusal() { return getenv("STAND_IN_REFUSE"); }
int version() { return getenv("STAND_IN_NVRTC") != nullptr ? atoi(getenv("STAND_IN_NVRTC")) : 12080; }
const Program& of(void* program) { return *static_cast<Program*>(program); }

}  // namespace

extern "C" {

int nvrtcVersion(int* major, int* minor) {
    *major = version() / 1000;
    *minor = version() % 1000 / 10;
    return 0;
}
int nvrtcGetNumSupportedArchs(int* count) { return *count = 3, 0; }
int nvrtcGetSupportedArchs(int* list) { return list[0] = 75, list[1] = 80, list[2] = 90, 0; }
int nvrtcCreateProgram(void** program, const char*, const char* name, int, const char* const*, const char* const*) {
    return *program = new Program{name, ""}, 0;
}
int nvrtcDestroyProgram(void** program) { return delete static_cast<Program*>(*program), *program = nullptr, 0; }
int nvrtcCompileProgram(void* program, int, const char* const*) {
    // Counted by the test.
    fprintf(stderr, "stand-in compiles %s\n", of(program).name.c_str());
    if (refusal() == nullptr) return 0;
    static_cast<Program*>(program)->log = refusal();
    return 6;
}
int nvrtcGetProgramLogSize(void* program, size_t* bytes) { return *bytes = of(program).log.size() + 1, 0; }
int nvrtcGetProgramLog(void* program, char* text) { return strcpy(text, of(program).log.c_str()), 0; }
int nvrtcGetCUBINSize(void* program, size_t* bytes) { return *bytes = of(program).name.size() + 5, 0; }
int nvrtcGetCUBIN(void* program, char* image) {
    memcpy(image, "\x7f" "ELF", 4);
    strcpy(image + 4, of(program).name.c_str());
    return 0;
}
int nvrtcGetPTXSize(void* program, size_t* bytes) { return nvrtcGetCUBINSize(program, bytes); }
int nvrtcGetPTX(void* program, char* text) { return nvrtcGetCUBIN(program, text); }
const char* nvrtcGetErrorString(int) { return "NVRTC_ERROR_COMPILATION"; }

}  // extern "C"
