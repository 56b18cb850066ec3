//! Tokens by their coordinates, (sample, x, y, z): blocks, windows and sets.

use super::Pattern;

/// The order in which the tokens of each block of `size`³ voxels follow each other, and blocks their coordinates; where each block ends.
pub fn block_order(coordinates: &[[i32; 4]], size: i32) -> (Vec<u32>, Vec<usize>) {
    let key = |i: u32| {
        let [b, x, y, z] = coordinates[i as usize];
        let p = [x, y, z];
        (b, p.map(|x| x.div_euclid(size)), p.map(|x| x.rem_euclid(size)))
    };
    let mut order: Vec<u32> = (0..coordinates.len() as u32).collect();
    order.sort_by_cached_key(|i| key(*i));
    let ends = ends_of(order.iter().map(|i| (key(*i).0, key(*i).1)));
    (order, ends)
}

/// Where each sample's tokens end, in tokens that are ordered by their samples: 0, 1, ... `samples` - 1.
pub fn sample_ends(coordinates: &[[i32; 4]], samples: usize) -> Vec<usize> {
    (0..samples as i32).map(|sample| coordinates.partition_point(|c| c[0] <= sample)).collect()
}

/// Where runs of the same key end.
fn ends_of<K: PartialEq>(keys: impl Iterator<Item = K>) -> Vec<usize> {
    let (mut ends, mut last, mut count) = (Vec::new(), None, 0);
    for key in keys {
        if last.as_ref().is_some_and(|last| *last != key) {
            ends.push(count);
        }
        last = Some(key);
        count += 1;
    }
    ends.extend((count > 0).then_some(count));
    ends
}

/// Tokens that see those in the same window of voxels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Tokens window by window.
    pub order: Vec<u32>,
    /// What they see, in that order.
    pub pattern: Pattern,
}

impl Windows {
    /// Windows of `size`³ voxels whose borders are moved by `-shift`.
    pub fn new(coordinates: &[[i32; 4]], size: i32, shift: i32) -> Self {
        let key = |i: u32| window(coordinates[i as usize], [size; 3], [shift; 3]);
        let mut order: Vec<u32> = (0..coordinates.len() as u32).collect();
        order.sort_by_key(|i| key(*i));
        let ends = ends_of(order.iter().map(|i| key(*i)));
        Self { order, pattern: Pattern::of_blocks(&ends, &ends) }
    }
}

fn window([b, x, y, z]: [i32; 4], size: [i32; 3], shift: [i32; 3]) -> [i32; 4] {
    let at = |k: usize, x: i32| (x + shift[k]).div_euclid(size[k]);
    [b, at(0, x), at(1, y), at(2, z)]
}

/// In which order the voxels of a window are cut into sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOrder {
    /// By y, then x, then z.
    Y,
    /// By x, then y, then z.
    X,
}

/// Voxels that see those of the same set: windows' voxels in equal parts (Wang et al., "DSVT", 2023).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets {
    /// Voxels window by window, in the order of their sets.
    pub order: Vec<u32>,
    /// What they see, in that order. A voxel that ends one set and begins the next belongs to the first.
    pub pattern: Pattern,
    /// The voxels of each set, `[sets, size]`; some follow themselves where a set has fewer.
    pub slots: Vec<u32>,
}

impl Sets {
    /// Sets of `size` voxels at most in windows of `window` voxels whose borders are moved by `-shift`. A window of n voxels has
    /// S = ⌈n / size⌉ sets; slot k of set j is voxel ⌊(j size + k) n / (S size)⌋ of it.
    pub fn new(coordinates: &[[i32; 4]], window: [i32; 3], shift: [i32; 3], size: usize, by: SetOrder) -> Self {
        let of = |i: u32| self::window(coordinates[i as usize], window, shift);
        let key = |i: u32| {
            let [_, x, y, z] = coordinates[i as usize];
            (of(i), if by == SetOrder::Y { [y, x, z] } else { [x, y, z] })
        };
        let mut order: Vec<u32> = (0..coordinates.len() as u32).collect();
        order.sort_by_cached_key(|i| key(*i));
        let (mut pattern, mut slots, mut first) = (Pattern::new(), Vec::new(), 0);
        for end in ends_of(order.iter().map(|i| of(*i))) {
            let count = end - first;
            let sets = count.div_ceil(size);
            let slot = |j: usize, k: usize| first + (j * size + k) * count / (sets * size);
            for j in 0..sets {
                let last = slot(j, size - 1) + 1;
                pattern.push(last, std::iter::once(slot(j, 0)..last));
                slots.extend((0..size).map(|k| order[slot(j, k)]));
            }
            first = end;
        }
        Self { order, pattern, slots }
    }
}
