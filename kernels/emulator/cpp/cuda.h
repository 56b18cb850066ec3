// The part of the CUDA language that our kernels use, as C++17. It is included before each `.cu` file.
#pragma once
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "runtime.h"

#define TESSERA_EMULATOR 1

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

#define threadIdx (::emulator::thread_index())
#define blockIdx (::emulator::block_index())
#define blockDim (::emulator::block_size())
#define gridDim (::emulator::grid_size())
constexpr int warpSize = 32;

// Dynamic shared memory as an array of `type` named `name`.
#define DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(::emulator::dynamic_shared())

// Where a function was called: the last parameter of whatever may have to say so.
#define SITE ::emulator::Site site = {__builtin_FILE(), __builtin_LINE()}

#include "vectors.h"

#include "intrinsics.h"

#include "atomics.h"

#include "warps.h"

namespace emulator {

template <auto kernel>
struct Kernel;

template <class... Arguments, void (*kernel)(Arguments...)>
struct Kernel<kernel> {
    static constexpr size_t sizes[] = {sizeof(Arguments)..., 0};

    // Arguments are not the kernel's own memory, so they are read here without account; the call goes through a
    // variable so that the kernel is not made a part of this function.
    template <size_t... index>
    __attribute__((no_sanitize("thread"), noinline)) static void call(void** arguments, std::index_sequence<index...>) {
        void (*volatile target)(Arguments...) = kernel;
        target(*static_cast<std::remove_cv_t<Arguments>*>(arguments[index])...);
    }

    __attribute__((no_sanitize("thread"))) static void invoke(void** arguments) { call(arguments, std::index_sequence_for<Arguments...>{}); }
};

}  // namespace emulator

#define EMULATOR_ENTRY(name) {#name, &::emulator::Kernel<&name>::invoke, ::emulator::Kernel<&name>::sizes}
