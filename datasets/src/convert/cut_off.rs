//! Numbers beyond what a format holds: writers cut them off, and whoever converts is told of how many splats.

use crate::format::stream::ValueRanges;
use crate::scene::SplatCloud;
use rayon::prelude::*;
use serde::Serialize;

/// Splats that one thread looks at.
const PIECE: usize = 4096;

/// Of how many splats something is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CutOff {
    /// Of the colour.
    pub colours: u64,
    /// Of a standard deviation.
    pub scales: u64,
    /// Of the harmonics above degree 0.
    pub harmonics: u64,
}

impl CutOff {
    /// Adds the splats of a chunk.
    pub(super) fn count(&mut self, chunk: &SplatCloud, ranges: &ValueRanges) {
        let rest = 3 * SplatCloud::rest_coefficients(chunk.sh_degree);
        self.colours += beyond(chunk.sh0.as_flattened(), 3, ranges.sh0);
        self.scales += beyond(chunk.log_scales.as_flattened(), 3, ranges.log_scales);
        self.harmonics += beyond(&chunk.sh_rest, rest, ranges.sh_rest);
    }
}

/// Rows of `width` values of which one lies outside of a range.
fn beyond(values: &[f32], width: usize, [least, most]: [f32; 2]) -> u64 {
    if width == 0 || (least == f32::NEG_INFINITY && most == f32::INFINITY) {
        return 0;
    }
    // No branches within a row, so that several are compared at once.
    let outside = |row: &[f32]| row.iter().fold(false, |outside, &v| outside | (v < least) | (v > most));
    let pieces = values.par_chunks(PIECE * width);
    pieces.map(|piece| piece.chunks_exact(width).filter(|row| outside(row)).count() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splats_are_counted_once_for_what_is_cut_off_of_them() {
        let mut cloud = SplatCloud::with_capacity(3, 1);
        cloud.sh0 = vec![[0.0, 5.0, -5.0], [0.0; 3], [1.0, -1.0, 1.5]];
        cloud.log_scales = vec![[0.0; 3]; 3];
        cloud.sh_rest = vec![0.5; 27];
        cloud.sh_rest[13] = -1.5;
        let mut found = CutOff::default();
        found.count(&cloud, &ValueRanges { sh0: [-1.0, 1.0], sh_rest: [-1.0, 1.0], ..ValueRanges::ALL });
        assert_eq!(found, CutOff { colours: 2, scales: 0, harmonics: 1 });
        found.count(&cloud, &ValueRanges::ALL);
        assert_eq!(found, CutOff { colours: 2, scales: 0, harmonics: 1 });
    }
}
