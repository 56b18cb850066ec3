// Switching between stacks: a few instructions on x86-64 and AArch64, `swapcontext` elsewhere.
#pragma once
#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

namespace emulator {

#if defined(__x86_64__) || defined(__aarch64__)
// A suspended computation: its stack pointer; what it must keep lies on its stack.
struct Context {
    void* stack_pointer = nullptr;
};
#else
struct Context {
    ucontext_t state;
};
#endif

// Makes a context that begins with `entry()` on the given stack; `entry` must never return.
void prepare(Context& context, void* stack, size_t bytes, void (*entry)());

// Suspends the running computation into `from` and continues `to`.
void switch_to(Context& from, Context& to);

}  // namespace emulator
