//! The Morton (Z) order: splats that are near each other in space come near each other in a file, where they share a
//! chunk's range of values, a picture's neighbourhood, or a page.

use rayon::prelude::*;

/// Bits of each coordinate in a code: three of them fill an integer of 64 bits.
const BITS: u32 = 21;

/// The indices of `means` (`[N, 3]`) in the order of their Morton codes, equal codes in the order of their indices.
///
/// The cells are cubes, 2²¹ along the longest side of the bounding box, so that a few far splats do not throw all others
/// into one cell. What is not finite is left out of the box and goes to its border.
///
/// # Panics
/// When there are more than 2³² means, for which an index has no room.
pub fn morton_order(means: &[[f32; 3]]) -> Vec<u32> {
    assert!(u32::try_from(means.len()).is_ok(), "indices of splats have 32 bits");
    let (low, high) = bounds(means);
    let longest = (0..3).map(|axis| f64::from(high[axis]) - f64::from(low[axis])).fold(0.0, f64::max);
    let last_cell = f64::from((1u32 << BITS) - 1);
    let cells_per_unit = if longest > 0.0 { last_cell / longest } else { 0.0 };
    let code = |mean: &[f32; 3]| {
        (0..3).fold(0, |code, axis| {
            // The cast saturates, and makes 0 of what is no number.
            let cell = ((f64::from(mean[axis]) - f64::from(low[axis])) * cells_per_unit).min(last_cell) as u64;
            code | spread(cell) << axis
        })
    };
    let mut order: Vec<(u64, u32)> = means.par_iter().zip(0..means.len() as u32).map(|(m, i)| (code(m), i)).collect();
    order.par_sort_unstable();
    order.into_par_iter().map(|(_, index)| index).collect()
}

/// The corners of the box around all finite coordinates.
fn bounds(means: &[[f32; 3]]) -> ([f32; 3], [f32; 3]) {
    let empty = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    let grow = |(mut low, mut high): ([f32; 3], [f32; 3]), mean: &[f32; 3]| {
        for axis in (0..3).filter(|&axis| mean[axis].is_finite()) {
            low[axis] = low[axis].min(mean[axis]);
            high[axis] = high[axis].max(mean[axis]);
        }
        (low, high)
    };
    means.iter().fold(empty, grow)
}

/// Puts two zeros between the lowest [`BITS`] bits of a number.
fn spread(cell: u64) -> u64 {
    let mut bits = cell & 0x1f_ffff;
    bits = (bits | bits << 32) & 0x001f_0000_0000_ffff;
    bits = (bits | bits << 16) & 0x001f_0000_ff00_00ff;
    bits = (bits | bits << 8) & 0x100f_00f0_0f00_f00f;
    bits = (bits | bits << 4) & 0x10c3_0c30_c30c_30c3;
    (bits | bits << 2) & 0x1249_2492_4924_9249
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_corners_of_a_cube_come_with_x_changing_fastest() {
        let corner = |i: u8| [f32::from(i & 1), f32::from(i >> 1 & 1), f32::from(i >> 2)];
        let shuffled = [5, 0, 7, 2, 6, 1, 4, 3];
        let means = shuffled.map(corner);
        let ordered: Vec<u8> = morton_order(&means).iter().map(|&i| shuffled[i as usize]).collect();
        assert_eq!(ordered, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn one_far_splat_leaves_the_others_in_order() {
        let mut means: Vec<[f32; 3]> = (0..64u8).rev().map(|i| [f32::from(i), 0.0, 0.0]).collect();
        means.push([1e6, 0.0, 0.0]);
        let expected: Vec<u32> = (0..64).rev().chain([64]).collect();
        assert_eq!(morton_order(&means), expected);
    }

    #[test]
    fn degenerate_scenes_keep_their_order() {
        assert!(morton_order(&[]).is_empty());
        assert_eq!(morton_order(&[[3.0; 3]; 3]), [0, 1, 2]);
        assert_eq!(morton_order(&[[f32::NAN; 3], [f32::NAN; 3]]), [0, 1]);
        assert_eq!(morton_order(&[[f32::MAX; 3], [f32::MIN; 3]]), [1, 0]);
    }

    proptest! {
        #[test]
        fn every_index_comes_once_and_nothing_before_what_it_exceeds_on_all_axes(means in prop::collection::vec(prop::array::uniform3(-9f32..9.0), 1..300)) {
            let order = morton_order(&means);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..means.len() as u32).collect::<Vec<_>>());
            let cell = 18.0 / 1e6; // twice a cell of the largest box, so that both lie in different cells
            for pair in order.windows(2) {
                let [a, b] = [pair[0], pair[1]].map(|i| means[i as usize]);
                prop_assert!(!(0..3).all(|axis| a[axis] > b[axis] + cell), "{a:?} came before {b:?}");
            }
        }
    }
}
