// Barriers, and what the lanes of a warp do together.
#pragma once

inline void __syncthreads(SITE) { emulator::barrier(emulator::Reduction::None, 0, site); }
inline int __syncthreads_count(int predicate, SITE) {
    return emulator::barrier(emulator::Reduction::Count, predicate, site);
}
inline int __syncthreads_and(int predicate, SITE) {
    return emulator::barrier(emulator::Reduction::And, predicate, site);
}
inline int __syncthreads_or(int predicate, SITE) {
    return emulator::barrier(emulator::Reduction::Or, predicate, site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, SITE) {
    emulator::collective(emulator::Collective::Sync, mask, 0, site);
}

namespace emulator {

// The value that lane `source` brought; `source` must be one of the lanes that take part.
template <class T>
T shuffle(unsigned mask, T value, unsigned source, Site site) {
    static_assert(sizeof(T) <= 8, "shuffles move 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    const uint64_t* slots = collective(Collective::Shuffle, mask, bits, site);
    if ((mask >> source & 1) == 0) {
        fault(site, "a shuffle reads lane %u, which is not in its mask %#x", source, mask);
    }
    memcpy(&value, &slots[source], sizeof value);
    return value;
}

template <class Combine>
unsigned reduce(unsigned mask, unsigned value, Site site, Combine combine) {
    const uint64_t* slots = collective(Collective::Reduce, mask, value, site);
    unsigned result = 0;
    bool first = true;
    for (unsigned i = 0; i < 32; ++i) {
        if ((mask >> i & 1) == 0) continue;
        const auto other = static_cast<unsigned>(slots[i]);
        result = first ? other : combine(result, other);
        first = false;
    }
    return result;
}

}  // namespace emulator

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, SITE) {
    const unsigned first = emulator::lane() & ~static_cast<unsigned>(width - 1);
    return emulator::shuffle(mask, value, first + (static_cast<unsigned>(source) & (width - 1)), site);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, SITE) {
    // Beyond the group of `width` lanes a lane may read from groups before it, else it keeps its own value.
    const unsigned own = emulator::lane(), source = own ^ static_cast<unsigned>(lanes);
    const unsigned end = (own & ~static_cast<unsigned>(width - 1)) + width;
    return emulator::shuffle(mask, value, source < end ? source : own, site);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32, SITE) {
    const unsigned own = emulator::lane(), within = own & (width - 1);
    return emulator::shuffle(mask, value, within >= lanes ? own - lanes : own, site);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32, SITE) {
    const unsigned own = emulator::lane(), within = own & (width - 1);
    return emulator::shuffle(mask, value, within + lanes < static_cast<unsigned>(width) ? own + lanes : own, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, SITE) {
    const uint64_t* slots = emulator::collective(emulator::Collective::Vote, mask, predicate != 0, site);
    unsigned result = 0;
    for (unsigned i = 0; i < 32; ++i) {
        if (mask >> i & 1) result |= static_cast<unsigned>(slots[i]) << i;
    }
    return result;
}
inline int __any_sync(unsigned mask, int predicate, SITE) { return __ballot_sync(mask, predicate, site) != 0; }
inline int __all_sync(unsigned mask, int predicate, SITE) { return __ballot_sync(mask, predicate, site) == mask; }

template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, SITE) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    const uint64_t* slots = emulator::collective(emulator::Collective::Match, mask, bits, site);
    unsigned result = 0;
    for (unsigned i = 0; i < 32; ++i) {
        if (mask >> i & 1) result |= static_cast<unsigned>(slots[i] == bits) << i;
    }
    return result;
}
template <class T>
inline unsigned __match_all_sync(unsigned mask, T value, int* all, SITE) {
    const unsigned same = __match_any_sync(mask, value, site);
    *all = same == mask;
    return same == mask ? mask : 0;
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, SITE) {
    return emulator::reduce(mask, value, site, [](unsigned x, unsigned y) { return x + y; });
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, SITE) {
    return emulator::reduce(mask, value, site, [](unsigned x, unsigned y) { return x < y ? x : y; });
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, SITE) {
    return emulator::reduce(mask, value, site, [](unsigned x, unsigned y) { return x > y ? x : y; });
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, SITE) {
    return emulator::reduce(mask, value, site, [](unsigned x, unsigned y) { return x & y; });
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, SITE) {
    return emulator::reduce(mask, value, site, [](unsigned x, unsigned y) { return x | y; });
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, SITE) {
    return emulator::reduce(mask, value, site, [](unsigned x, unsigned y) { return x ^ y; });
}
inline int __reduce_add_sync(unsigned mask, int value, SITE) {
    return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value), site));
}
inline int __reduce_min_sync(unsigned mask, int value, SITE) {
    const auto smaller = [](unsigned x, unsigned y) { return static_cast<int>(x) < static_cast<int>(y) ? x : y; };
    return static_cast<int>(emulator::reduce(mask, static_cast<unsigned>(value), site, smaller));
}
inline int __reduce_max_sync(unsigned mask, int value, SITE) {
    const auto larger = [](unsigned x, unsigned y) { return static_cast<int>(x) > static_cast<int>(y) ? x : y; };
    return static_cast<int>(emulator::reduce(mask, static_cast<unsigned>(value), site, larger));
}
