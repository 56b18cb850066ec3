//! Radix sort of 32-bit keys with 32-bit values.

/// Temporary: replaced by the radix sort.
#[derive(Debug, Default)]
pub struct RadixSort;
impl RadixSort {
    /// Sorts pairs by key.
    pub fn sort_pairs(&mut self, keys: &mut Vec<u32>, values: &mut Vec<u32>, _bits: u32) {
        let mut pairs: Vec<(u32, u32)> = keys.iter().copied().zip(values.iter().copied()).collect();
        pairs.sort_by_key(|p| p.0);
        for (i, p) in pairs.into_iter().enumerate() { keys[i] = p.0; values[i] = p.1; }
    }
}
