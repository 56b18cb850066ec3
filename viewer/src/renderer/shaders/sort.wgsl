// Stable radix sort of 24-bit keys, six bits at a time, without subgroup operations and without waiting for other
// workgroups. A block is 64 threads with 64 consecutive keys each; every thread counts its own keys, so the order of
// equal keys is kept by construction.

struct Pass {
    shift: u32,
    // The first pass numbers the values itself.
    numbers_values: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<storage, read> arguments: Arguments;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(1) @binding(0) var<uniform> round: Pass;
@group(1) @binding(1) var<storage, read> keys_in: array<u32>;
@group(1) @binding(2) var<storage, read> values_in: array<u32>;
@group(1) @binding(3) var<storage, read_write> keys_out: array<u32>;
@group(1) @binding(4) var<storage, read_write> values_out: array<u32>;

const THREADS: u32 = 64u;
const KEYS_PER_THREAD: u32 = 64u;
const BLOCK: u32 = 4096u;
const DIGITS: u32 = 64u;
const SCAN_THREADS: u32 = 256u;

// Row d holds digits d (low half) and d + 32 (high half), a column for each thread; padded against bank conflicts.
var<workgroup> tallies: array<u32, 2112>;
var<workgroup> sums: array<u32, 64>;
var<workgroup> starts: array<u32, 64>;
var<workgroup> scan_sums: array<u32, 256>;

fn cell(linear: u32) -> u32 {
    return linear + (linear >> 5u);
}

fn digit_of(key: u32) -> u32 {
    return (key >> round.shift) & (DIGITS - 1u);
}

fn half_of(word: u32, digit: u32) -> u32 {
    return select(word & 0xffffu, word >> 16u, digit >= 32u);
}

fn tally(block: u32, thread: u32) {
    for (var row = 0u; row < 32u; row++) {
        tallies[cell(row * THREADS + thread)] = 0u;
    }
    let first = block * BLOCK + thread * KEYS_PER_THREAD;
    let end = min(first + KEYS_PER_THREAD, arguments.count);
    for (var i = first; i < end; i++) {
        let digit = digit_of(keys_in[i]);
        tallies[cell((digit & 31u) * THREADS + thread)] += select(1u, 0x10000u, digit >= 32u);
    }
    workgroupBarrier();
}

// counts[digit][block] = how many keys of the block have the digit.
@compute @workgroup_size(64)
fn count(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    tally(group.x, thread);
    var sum = 0u;
    for (var column = 0u; column < THREADS; column++) {
        sum += half_of(tallies[cell((thread & 31u) * THREADS + column)], thread);
    }
    counts[thread * arguments.blocks + group.x] = sum;
}

// Exclusive prefix sum of all counts, in one workgroup.
@compute @workgroup_size(256)
fn scan(@builtin(local_invocation_index) thread: u32) {
    let total = DIGITS * arguments.blocks;
    let share = (total + SCAN_THREADS - 1u) / SCAN_THREADS;
    let first = min(thread * share, total);
    let end = min(first + share, total);
    var sum = 0u;
    for (var i = first; i < end; i++) {
        sum += counts[i];
    }
    scan_sums[thread] = sum;
    workgroupBarrier();
    var before = 0u;
    for (var i = 0u; i < thread; i++) {
        before += scan_sums[i];
    }
    for (var i = first; i < end; i++) {
        let own = counts[i];
        counts[i] = before;
        before += own;
    }
}

@compute @workgroup_size(64)
fn scatter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    tally(group.x, thread);
    // Exclusive prefix sum of the tallies, both halves at once: a half never exceeds 4096.
    var sum = 0u;
    for (var i = 0u; i < 32u; i++) {
        sum += tallies[cell(thread * 32u + i)];
    }
    sums[thread] = sum;
    workgroupBarrier();
    var before = 0u;
    for (var i = 0u; i < thread; i++) {
        before += sums[i];
    }
    for (var i = 0u; i < 32u; i++) {
        let at = cell(thread * 32u + i);
        let own = tallies[at];
        tallies[at] = before;
        before += own;
    }
    workgroupBarrier();
    // Where this block's keys of digit `thread` go, less their place within the half.
    let in_half = half_of(tallies[cell((thread & 31u) * THREADS)], thread);
    starts[thread] = counts[thread * arguments.blocks + group.x] - in_half;
    workgroupBarrier();
    let first = group.x * BLOCK + thread * KEYS_PER_THREAD;
    let end = min(first + KEYS_PER_THREAD, arguments.count);
    for (var i = first; i < end; i++) {
        let key = keys_in[i];
        let digit = digit_of(key);
        let at = cell((digit & 31u) * THREADS + thread);
        let place = starts[digit] + half_of(tallies[at], digit);
        tallies[at] += select(1u, 0x10000u, digit >= 32u);
        keys_out[place] = key;
        if round.numbers_values != 0u {
            values_out[place] = i;
        } else {
            values_out[place] = values_in[i];
        }
    }
}
