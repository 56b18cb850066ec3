#include "fiber.h"

#if defined(__x86_64__)

// void switch_stacks(void** save, void* load): keeps the registers that a call must preserve.
asm(R"(
    .text
    .globl emulator_switch_stacks
    .hidden emulator_switch_stacks
    .type emulator_switch_stacks, @function
emulator_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulator_switch_stacks, . - emulator_switch_stacks
)");
static constexpr size_t SAVED_WORDS = 6;

#elif defined(__aarch64__)

asm(R"(
    .text
    .globl emulator_switch_stacks
    .hidden emulator_switch_stacks
emulator_switch_stacks:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");

#endif

namespace emulator {

#if defined(__x86_64__)

extern "C" void emulator_switch_stacks(void** save, void* load);

void prepare(Context& context, void* stack, size_t bytes, void (*entry)()) {
    auto top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t{15};
    auto* words = reinterpret_cast<void**>(top);
    // As if `entry` had been called: at its first instruction the stack is 8 bytes off a multiple of 16.
    *--words = nullptr;
    *--words = reinterpret_cast<void*>(entry);
    for (size_t i = 0; i < SAVED_WORDS; ++i) *--words = nullptr;
    context.stack_pointer = words;
}

void switch_to(Context& from, Context& to) { emulator_switch_stacks(&from.stack_pointer, to.stack_pointer); }

#elif defined(__aarch64__)

extern "C" void emulator_switch_stacks(void** save, void* load);

void prepare(Context& context, void* stack, size_t bytes, void (*entry)()) {
    auto top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t{15};
    auto* words = reinterpret_cast<void**>(top) - 20;
    for (size_t i = 0; i < 20; ++i) words[i] = nullptr;
    words[11] = reinterpret_cast<void*>(entry);
    context.stack_pointer = words;
}

void switch_to(Context& from, Context& to) { emulator_switch_stacks(&from.stack_pointer, to.stack_pointer); }

#else

void prepare(Context& context, void* stack, size_t bytes, void (*entry)()) {
    getcontext(&context.state);
    context.state.uc_stack.ss_sp = stack;
    context.state.uc_stack.ss_size = bytes;
    context.state.uc_link = nullptr;
    makecontext(&context.state, entry, 0);
}

void switch_to(Context& from, Context& to) { swapcontext(&from.state, &to.state); }

#endif

}  // namespace emulator
