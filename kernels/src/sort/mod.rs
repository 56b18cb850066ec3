//! Sorting pairs of a 32-bit key and a 32-bit value by key.
//!
//! A least-significant-digit radix sort: each pass moves the pairs into up to 2048 buckets by one digit of the key,
//! keeping their order within a bucket, so the sort is stable. Only the bits in which the keys differ at all are cut
//! into digits. Large inputs are cut into fixed chunks that count and move their pairs in parallel to places that a
//! prefix sum over (digit, chunk) has reserved for them; the result does not depend on the number of threads.
//!
//! A pass reads 12 bytes for each pair (the key twice) and writes 8.

pub mod cuda;

use rayon::prelude::*;

/// Largest digit: 2048 counters of a chunk are 8 kB, a quarter of the first-level cache.
const MAX_DIGIT_BITS: u32 = 11;
const MAX_BUCKETS: usize = 1 << MAX_DIGIT_BITS;

/// Below this, one thread sorts everything.
const PARALLEL_ABOVE: usize = 16_384;

/// No more chunks than this, so that the table of counters stays in cache.
const MAX_CHUNKS: usize = 64;

/// A key whose order as an integer is the order of the numbers: negative ones first, -0 before 0; NaN goes to the
/// end that its sign says.
#[inline]
pub fn float_key(value: f32) -> u32 {
    let bits = value.to_bits();
    // Negative numbers count backwards, so all their bits are flipped; positive ones get the top bit.
    bits ^ (((bits as i32) >> 31) as u32 | 0x8000_0000)
}

/// Buffers of the sort. Keep one and use it again.
#[derive(Debug, Default)]
pub struct RadixSort {
    keys: Vec<u32>,
    values: Vec<u32>,
    /// For each chunk and digit: first the count, then where the next such pair goes.
    counters: Vec<[u32; MAX_BUCKETS]>,
}

/// One pass: the digit, and the size of a chunk.
#[derive(Clone, Copy)]
struct Digit {
    shift: u32,
    mask: u32,
    chunk: usize,
}

impl Digit {
    #[inline(always)]
    fn of(self, key: u32) -> usize {
        ((key >> self.shift) & self.mask) as usize
    }
}

impl RadixSort {
    /// A sorter with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sorts the pairs by the lowest `key_bits` bits of their keys; pairs with equal ones keep their order.
    ///
    /// # Panics
    /// If there are not as many values as keys, or more than 2^32 - 1.
    pub fn sort_pairs(&mut self, keys: &mut Vec<u32>, values: &mut Vec<u32>, key_bits: u32) {
        let len = keys.len();
        assert_eq!(values.len(), len, "there must be a value for each key");
        assert!(u32::try_from(len).is_ok(), "too many pairs to sort: {len}");
        let chunk = if len <= PARALLEL_ABOVE { len.max(1) } else { (PARALLEL_ABOVE / 2).max(len.div_ceil(MAX_CHUNKS)) };
        let digits = digits(varying_bits(keys, chunk) & low_bits(key_bits), chunk);
        if digits.clone().next().is_none() {
            return;
        }
        self.keys.resize(len, 0);
        self.values.resize(len, 0);
        self.counters.resize(len.div_ceil(chunk), [0; MAX_BUCKETS]);
        for digit in digits {
            self.pass(keys, values, digit);
            std::mem::swap(keys, &mut self.keys);
            std::mem::swap(values, &mut self.values);
        }
    }

    /// Moves the pairs to the buffers, in the order of one digit.
    fn pass(&mut self, keys: &[u32], values: &[u32], digit: Digit) {
        self.counters.par_iter_mut().zip(keys.par_chunks(digit.chunk)).for_each(|(counters, keys)| {
            counters[..=digit.mask as usize].fill(0);
            for &key in keys {
                counters[digit.of(key)] += 1;
            }
        });
        let mut next = 0;
        for bucket in 0..=digit.mask as usize {
            for counters in &mut self.counters {
                (counters[bucket], next) = (next, next + counters[bucket]);
            }
        }
        let to = Destination { keys: self.keys.as_mut_ptr(), values: self.values.as_mut_ptr(), len: keys.len() };
        let chunks = keys.par_chunks(digit.chunk).zip(values.par_chunks(digit.chunk));
        self.counters.par_iter_mut().zip(chunks).for_each(|(counters, (keys, values))| {
            for (&key, &value) in keys.iter().zip(values) {
                let place = &mut counters[digit.of(key)];
                // SAFETY: the prefix sum gives every pair a place of its own below `len`.
                unsafe { to.write(*place as usize, key, value) };
                *place += 1;
            }
        });
    }
}

/// Where the pairs of a pass go.
#[derive(Clone, Copy)]
struct Destination {
    keys: *mut u32,
    values: *mut u32,
    len: usize,
}

// SAFETY: each place is written by one thread only, as `write` demands.
unsafe impl Send for Destination {}
// SAFETY: as above.
unsafe impl Sync for Destination {}

impl Destination {
    /// # Safety
    /// `place < len`, and nobody else may use the place during the pass.
    #[inline(always)]
    unsafe fn write(self, place: usize, key: u32, value: u32) {
        debug_assert!(place < self.len);
        // SAFETY: as promised by the caller.
        unsafe {
            self.keys.add(place).write(key);
            self.values.add(place).write(value);
        }
    }
}

/// The bits in which some keys differ.
fn varying_bits(keys: &[u32], chunk: usize) -> u32 {
    let Some(&first) = keys.first() else { return 0 };
    keys.par_chunks(chunk).map(|keys| keys.iter().fold(0, |bits, key| bits | (key ^ first))).reduce(|| 0, |a, b| a | b)
}

fn low_bits(count: u32) -> u32 {
    if count >= 32 { u32::MAX } else { (1 << count) - 1 }
}

/// Cuts the span from the lowest to the highest set bit into digits of about equal size, and leaves out those without
/// a set bit.
fn digits(bits: u32, chunk: usize) -> impl Iterator<Item = Digit> + Clone {
    let end = 32 - bits.leading_zeros();
    let start = bits.trailing_zeros().min(end);
    let passes = (end - start).div_ceil(MAX_DIGIT_BITS);
    let width = (end - start).div_ceil(passes.max(1));
    (0..passes)
        .map(move |pass| start + pass * width)
        .map(move |shift| Digit { shift, mask: low_bits(width.min(end - shift)), chunk })
        .filter(move |digit| (bits >> digit.shift) & digit.mask != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn seeded() -> Pcg64 {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        Pcg64::seed_from_u64(seed)
    }

    fn check(sorter: &mut RadixSort, keys: &[u32], key_bits: u32, what: &str) {
        let mut expected: Vec<(u32, u32)> = keys.iter().copied().zip(0..).collect();
        expected.sort_by_key(|(key, _)| key & low_bits(key_bits));
        let (mut keys, mut values) = (keys.to_vec(), (0..keys.len() as u32).collect::<Vec<u32>>());
        sorter.sort_pairs(&mut keys, &mut values, key_bits);
        let got: Vec<(u32, u32)> = keys.into_iter().zip(values).collect();
        let wrong = got.iter().zip(&expected).position(|(got, want)| got != want);
        assert!(wrong.is_none() && got.len() == expected.len(), "{what}: out of order from place {wrong:?}");
    }

    #[test]
    fn order_is_that_of_a_stable_sort() {
        let mut rng = seeded();
        let mut sorter = RadixSort::new();
        for _ in 0..150 {
            let len = match rng.random_range(0..10) {
                0 => rng.random_range(PARALLEL_ABOVE - 2..PARALLEL_ABOVE + 3),
                1 => rng.random_range(PARALLEL_ABOVE..6 * PARALLEL_ABOVE),
                _ => rng.random_range(0..300),
            };
            // Few different keys, all in some bits, so that stability and skipped digits matter.
            let (mask, constant): (u32, u32) = (rng.random::<u32>() & rng.random::<u32>(), rng.random());
            let keys: Vec<u32> = (0..len).map(|_| (rng.random::<u32>() & mask) | (constant & !mask)).collect();
            let key_bits = rng.random_range(0..=32);
            check(&mut sorter, &keys, key_bits, &format!("{len} keys with mask {mask:#x} by {key_bits} bits"));
        }
    }

    #[test]
    fn extreme_inputs_are_sorted() {
        let mut sorter = RadixSort::new();
        check(&mut sorter, &[], 32, "nothing");
        check(&mut sorter, &[7], 32, "one");
        check(&mut sorter, &[5; 100], 32, "equal keys");
        check(&mut sorter, &[u32::MAX, 0, u32::MAX, 0, 1 << 31], 32, "extreme keys");
        check(&mut sorter, &(0..50_000).rev().collect::<Vec<u32>>(), 32, "descending keys");
        check(&mut sorter, &(0..2_000_000u32).map(|i| i.wrapping_mul(2_654_435_769)).collect::<Vec<u32>>(), 32, "many");
    }

    #[test]
    fn number_of_threads_does_not_matter() {
        let keys: Vec<u32> = (0..100_000u32).map(|i| i.wrapping_mul(2_654_435_769) >> 20).collect();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| check(&mut RadixSort::new(), &keys, 32, &format!("{threads} threads")));
        }
    }

    #[test]
    fn float_keys_keep_the_order_of_numbers() {
        let mut rng = seeded();
        let special =
            [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        assert!(special.is_sorted_by_key(|x| float_key(*x)));
        for _ in 0..10_000 {
            let (a, b) = (f32::from_bits(rng.random()), f32::from_bits(rng.random()));
            assert_eq!(float_key(a).cmp(&float_key(b)), a.total_cmp(&b), "{a} and {b}");
        }
    }
}
