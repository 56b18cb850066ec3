// One block at a time on this OS thread: a fiber for each CUDA thread, run in an order that the seed decides.
#include "runtime.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fiber.h"
#include "memory.h"

namespace emulator {
namespace {

constexpr unsigned WARP = 32;
constexpr unsigned MAX_THREADS = 1024;

enum class State { Ready, AtBarrier, AtCollective, Done };

struct Fiber {
    Context context;
    Index3 index;
    unsigned linear;
    State state;
    // What it waits for, and where.
    Site site;
    Reduction reduction;
    int predicate;
    Collective kind;
    unsigned mask;
    uint64_t value;
};

struct Warp {
    // What each lane brought to its last complete collective. All lanes that were let go run before the next one is
    // complete, so that they read it before it changes.
    uint64_t slots[WARP];
    unsigned count;
};

struct Worker {
    Context scheduler;
    Stacks stacks;
    std::vector<Fiber> fibers{MAX_THREADS};
    std::vector<Warp> warps{MAX_THREADS / WARP};
    std::vector<unsigned> order;
    SharedMemory shared;
    Launch launch;
    // What `checks.cpp` knows, and where this library lies.
    void* account = nullptr;
    Region library;
    Fiber* running = nullptr;
    unsigned count = 0;
    int barrier_result = 0;
    uint64_t random = 0;
    bool faulted = false;
    char message[1024];

    // A number below `limit`.
    unsigned draw(unsigned limit) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return static_cast<unsigned>((random >> 16) % limit);
    }
};

thread_local Worker* current = nullptr;

// Not inlined, and not kept across a switch: the worker is that of this OS thread.
__attribute__((noinline)) Worker& worker() { return *current; }

void leave() {
    Worker& w = worker();
    switch_to(w.running->context, w.scheduler);
}

void run_thread() {
    Worker& w = worker();
    w.launch.entry->invoke(w.launch.arguments);
    w.running->state = State::Done;
    leave();
    abort();
}

void resume(Worker& w, Fiber& fiber) {
    w.running = &fiber;
    memory_thread(fiber.linear, Region(w.stacks.of(fiber.linear), Stacks::BYTES));
    switch_to(w.scheduler, fiber.context);
    memory_scheduler();
    w.running = nullptr;
}

void format_into(Worker& w, const char* text, va_list arguments) {
    if (w.faulted) return;
    w.faulted = true;
    vsnprintf(w.message, sizeof w.message, text, arguments);
}

__attribute__((format(printf, 2, 3))) void report(Worker& w, const char* text, ...) {
    va_list arguments;
    va_start(arguments, text);
    format_into(w, text, arguments);
    va_end(arguments);
}

const char* name_of(Collective kind) {
    switch (kind) {
        case Collective::Sync: return "__syncwarp";
        case Collective::Shuffle: return "a shuffle";
        case Collective::Vote: return "a vote";
        case Collective::Match: return "a match";
        case Collective::Reduce: return "a reduction";
        case Collective::Matrix: return "a matrix operation";
    }
    return "?";
}

// Lets the lanes of a warp go whose collective is complete. True if there were any.
bool complete_collectives(Worker& w, unsigned warp) {
    Fiber* lanes = &w.fibers[warp * WARP];
    const unsigned count = w.warps[warp].count;
    bool released = false;
    for (unsigned i = 0; i < count; ++i) {
        if (lanes[i].state != State::AtCollective) continue;
        const Fiber first = lanes[i];
        bool complete = count == WARP || (first.mask >> count) == 0;
        for (unsigned j = 0; j < count && complete; ++j) {
            if ((first.mask >> j & 1) == 0) continue;
            const Fiber& other = lanes[j];
            complete = other.state == State::AtCollective && other.mask == first.mask && other.kind == first.kind &&
                       other.site.line == first.site.line;
        }
        if (!complete) continue;
        if (first.kind == Collective::Sync) memory_warp_barrier(warp);
        for (unsigned j = 0; j < count; ++j) {
            if ((first.mask >> j & 1) == 0) continue;
            w.warps[warp].slots[j] = lanes[j].value;
            lanes[j].state = State::Ready;
        }
        released = true;
    }
    return released;
}

bool complete_barrier(Worker& w) {
    unsigned sum = 0;
    const Fiber& first = w.fibers[0];
    for (unsigned i = 0; i < w.count; ++i) {
        const Fiber& fiber = w.fibers[i];
        if (fiber.state != State::AtBarrier || fiber.reduction != first.reduction) return false;
        sum += fiber.predicate != 0;
    }
    switch (first.reduction) {
        case Reduction::None: w.barrier_result = 0; break;
        case Reduction::Count: w.barrier_result = static_cast<int>(sum); break;
        case Reduction::And: w.barrier_result = sum == w.count; break;
        case Reduction::Or: w.barrier_result = sum != 0; break;
    }
    for (unsigned i = 0; i < w.count; ++i) w.fibers[i].state = State::Ready;
    memory_block_barrier();
    return true;
}

// Nobody can go on: says who waits where.
void report_deadlock(Worker& w) {
    const Fiber* at_barrier = nullptr;
    const Fiber* at_collective = nullptr;
    const Fiber* done = nullptr;
    unsigned barrier_count = 0;
    for (unsigned i = 0; i < w.count; ++i) {
        const Fiber& fiber = w.fibers[i];
        if (fiber.state == State::AtBarrier) at_barrier = &fiber, ++barrier_count;
        if (fiber.state == State::AtCollective) at_collective = &fiber;
        if (fiber.state == State::Done) done = &fiber;
    }
    if (at_collective != nullptr) {
        const Fiber& c = *at_collective;
        const unsigned warp = c.linear / WARP;
        unsigned here = 0;
        const Fiber* absent = nullptr;
        for (unsigned j = 0; j < w.warps[warp].count; ++j) {
            const Fiber& other = w.fibers[warp * WARP + j];
            const bool same = other.state == State::AtCollective && other.mask == c.mask && other.kind == c.kind &&
                              other.site.line == c.site.line;
            here |= static_cast<unsigned>(same) << j;
            if (!same && (c.mask >> j & 1)) absent = &other;
        }
        char where[160] = "does not exist";
        if (absent != nullptr && absent->state == State::Done) snprintf(where, sizeof where, "has returned");
        if (absent != nullptr && absent->state != State::Done) {
            snprintf(where, sizeof where, "waits at %s in %s:%d",
                     absent->state == State::AtBarrier ? "__syncthreads" : name_of(absent->kind), absent->site.file,
                     absent->site.line);
        }
        const unsigned lane = absent != nullptr ? absent->linear % WARP : w.warps[warp].count;
        report(w, "%s:%d: %s with inactive lanes: warp %u, mask %#x, but only the lanes %#x are there; lane %u %s",
               c.site.file, c.site.line, name_of(c.kind), warp, c.mask, here, lane, where);
    } else if (at_barrier != nullptr) {
        report(w, "%s:%d: a barrier is reached by only %u of the block's %u threads; thread %u %s",
               at_barrier->site.file, at_barrier->site.line, barrier_count, w.count,
               done != nullptr ? done->linear : 0, done != nullptr ? "has returned" : "is at another kind of barrier");
    }
}

void shuffle(Worker& w, unsigned count) {
    w.order.resize(count);
    for (unsigned i = 0; i < count; ++i) w.order[i] = i;
    for (unsigned i = count; i > 1; --i) {
        const unsigned j = w.draw(i), kept = w.order[i - 1];
        w.order[i - 1] = w.order[j];
        w.order[j] = kept;
    }
}

// Runs a warp until it waits for others, or only until every lane has run once.
bool run_warp(Worker& w, unsigned warp, bool to_the_end) {
    bool ran = false;
    do {
        const unsigned count = w.warps[warp].count;
        const unsigned start = w.draw(count);
        const bool backwards = w.draw(2) != 0;
        for (unsigned k = 0; k < count && !w.faulted; ++k) {
            const unsigned lane = (start + (backwards ? count - k : k)) % count;
            Fiber& fiber = w.fibers[warp * WARP + lane];
            if (fiber.state != State::Ready) continue;
            resume(w, fiber);
            ran = true;
        }
    } while (!w.faulted && complete_collectives(w, warp) && to_the_end);
    return ran;
}

void run_block(Worker& w) {
    const unsigned warps = (w.count + WARP - 1) / WARP;
    while (!w.faulted) {
        bool ran = false;
        shuffle(w, warps);
        for (unsigned i = 0; i < warps && !w.faulted; ++i) ran |= run_warp(w, w.order[i], w.draw(2) != 0);
        if (ran || w.faulted) continue;
        bool all_done = true;
        for (unsigned i = 0; i < w.count; ++i) all_done &= w.fibers[i].state == State::Done;
        if (all_done) return;
        if (!complete_barrier(w)) report_deadlock(w);
    }
}

void start(Worker& w, const Launch& launch) {
    const Index3 block = launch.block;
    w.launch = launch;
    w.count = block.x * block.y * block.z;
    w.random = (uint64_t{launch.seed} + 1) * 0x9e3779b97f4a7c15u;
    w.faulted = false;
    w.message[0] = 0;
    unsigned linear = 0;
    for (unsigned z = 0; z < block.z; ++z) {
        for (unsigned y = 0; y < block.y; ++y) {
            for (unsigned x = 0; x < block.x; ++x, ++linear) {
                Fiber& fiber = w.fibers[linear];
                fiber.index = {x, y, z};
                fiber.linear = linear;
                fiber.state = State::Ready;
                prepare(fiber.context, w.stacks.of(linear), Stacks::BYTES, run_thread);
            }
        }
    }
    for (unsigned warp = 0; warp * WARP < w.count; ++warp) {
        const unsigned rest = w.count - warp * WARP;
        w.warps[warp].count = rest < WARP ? rest : WARP;
    }
}

}  // namespace

const Index3& thread_index() { return worker().running->index; }
const Index3& block_index() { return worker().launch.block_index; }
const Index3& block_size() { return worker().launch.block; }
const Index3& grid_size() { return worker().launch.grid; }
unsigned lane() { return worker().running->linear % WARP; }
void* dynamic_shared() { return worker().shared.data(); }

int barrier(Reduction reduction, int predicate, Site site) {
    Fiber& fiber = *worker().running;
    fiber.state = State::AtBarrier;
    fiber.site = site;
    fiber.reduction = reduction;
    fiber.predicate = predicate;
    leave();
    return worker().barrier_result;
}

const uint64_t* collective(Collective kind, unsigned mask, uint64_t value, Site site) {
    Worker& w = worker();
    Fiber& fiber = *w.running;
    const unsigned lane = fiber.linear % WARP;
    if ((mask >> lane & 1) == 0) fault(site, "%s: lane %u is not in its own mask %#x", name_of(kind), lane, mask);
    fiber.value = value;
    fiber.state = State::AtCollective;
    fiber.site = site;
    fiber.kind = kind;
    fiber.mask = mask;
    leave();
    return w.warps[fiber.linear / WARP].slots;
}

unsigned atomic_load(const unsigned* word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
unsigned long long atomic_load(const unsigned long long* word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
bool atomic_exchange_if(unsigned* word, unsigned* expected, unsigned value) {
    return __atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
bool atomic_exchange_if(unsigned long long* word, unsigned long long* expected, unsigned long long value) {
    return __atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void fault(Site site, const char* format, ...) {
    Worker& w = worker();
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const unsigned thread = w.running->linear;
    if (site.file != nullptr) {
        report(w, "%s:%d: %s (thread %u)", site.file, site.line, text, thread);
    } else {
        report(w, "%s (thread %u)", text, thread);
    }
    w.running->state = State::Done;
    leave();
    abort();
}

}  // namespace emulator

// Runs one block. Returns 0, or 1 and a message of at most `message_bytes` bytes.
extern "C" int emulator_run_block(const emulator::Launch* launch, char* message, size_t message_bytes) {
    using namespace emulator;
    // These two are thread-local storage as `__shared__` variables are, so poisoning overwrites them.
    static thread_local Worker* kept = nullptr;
    if (kept == nullptr) {
        kept = new Worker;
        kept->library = library();
    }
    Worker* w = kept;
    const Region shared = static_shared();
    poison(shared);
    kept = current = w;
    w->shared.prepare(launch->shared_bytes);
    start(*w, *launch);
    memory_begin_block(w->launch, {w->shared.region(), w->shared.with_redzones(), shared, w->library,
                                   Region(w, sizeof *w), Region(w->fibers.data(), MAX_THREADS * sizeof(Fiber)),
                                   Region(w->warps.data(), MAX_THREADS / WARP * sizeof(Warp)), w->account});
    w->account = memory_account();
    run_block(*w);
    if (!w->faulted && !w->shared.intact()) {
        report(*w, "the kernel wrote outside its %u bytes of dynamic shared memory", launch->shared_bytes);
    }
    if (w->faulted) snprintf(message, message_bytes, "%s", w->message);
    return w->faulted ? 1 : 0;
}
