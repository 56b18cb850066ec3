// Atomic operations. They return the value from before, as on the device.
#pragma once

namespace emulator {

// What the compiler's atomics work on: the integer of the same size.
template <size_t bytes>
struct Word;
template <>
struct Word<4> {
    using Type = unsigned;
};
template <>
struct Word<8> {
    using Type = unsigned long long;
};

// Replaces `*address` by `change(old)`, as one step.
template <class T, class Change>
__attribute__((no_sanitize("thread"))) inline T atomic_update(T* address, Change change) {
    using Bits = typename Word<sizeof(T)>::Type;
    atomic_access(address, sizeof(T));
    auto* word = reinterpret_cast<Bits*>(address);
    Bits old = atomic_load(word);
    for (;;) {
        T value;
        memcpy(&value, &old, sizeof value);
        const T next = change(value);
        Bits bits;
        memcpy(&bits, &next, sizeof bits);
        if (atomic_exchange_if(word, &old, bits)) return value;
    }
}

}  // namespace emulator

#define EMULATOR_ATOMIC(name, type, result) \
    inline type name(type* address, type value) { \
        return emulator::atomic_update(address, [value](type old) -> type { return result; }); \
    }
EMULATOR_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value)))
EMULATOR_ATOMIC(atomicAdd, unsigned, old + value)
EMULATOR_ATOMIC(atomicAdd, unsigned long long, old + value)
EMULATOR_ATOMIC(atomicAdd, float, old + value)
EMULATOR_ATOMIC(atomicAdd, double, old + value)
EMULATOR_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(value)))
EMULATOR_ATOMIC(atomicSub, unsigned, old - value)
EMULATOR_ATOMIC(atomicMin, int, value < old ? value : old)
EMULATOR_ATOMIC(atomicMin, unsigned, value < old ? value : old)
EMULATOR_ATOMIC(atomicMin, long long, value < old ? value : old)
EMULATOR_ATOMIC(atomicMin, unsigned long long, value < old ? value : old)
EMULATOR_ATOMIC(atomicMax, int, value > old ? value : old)
EMULATOR_ATOMIC(atomicMax, unsigned, value > old ? value : old)
EMULATOR_ATOMIC(atomicMax, long long, value > old ? value : old)
EMULATOR_ATOMIC(atomicMax, unsigned long long, value > old ? value : old)
EMULATOR_ATOMIC(atomicExch, int, (static_cast<void>(old), value))
EMULATOR_ATOMIC(atomicExch, unsigned, (static_cast<void>(old), value))
EMULATOR_ATOMIC(atomicExch, unsigned long long, (static_cast<void>(old), value))
EMULATOR_ATOMIC(atomicExch, float, (static_cast<void>(old), value))
EMULATOR_ATOMIC(atomicAnd, int, old & value)
EMULATOR_ATOMIC(atomicAnd, unsigned, old & value)
EMULATOR_ATOMIC(atomicAnd, unsigned long long, old & value)
EMULATOR_ATOMIC(atomicOr, int, old | value)
EMULATOR_ATOMIC(atomicOr, unsigned, old | value)
EMULATOR_ATOMIC(atomicOr, unsigned long long, old | value)
EMULATOR_ATOMIC(atomicXor, int, old ^ value)
EMULATOR_ATOMIC(atomicXor, unsigned, old ^ value)
EMULATOR_ATOMIC(atomicXor, unsigned long long, old ^ value)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)

#define EMULATOR_EXCHANGE_IF(type) \
    inline type atomicCAS(type* address, type expected, type value) { \
        return emulator::atomic_update(address, [=](type old) -> type { return old == expected ? value : old; }); \
    }
EMULATOR_EXCHANGE_IF(int)
EMULATOR_EXCHANGE_IF(unsigned)
EMULATOR_EXCHANGE_IF(unsigned long long)
