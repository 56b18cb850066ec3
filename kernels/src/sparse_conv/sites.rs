//! Which voxels are there.

use super::{CHILDREN, NEIGHBOURS};
use rayon::prelude::*;

/// Voxels that are there, of several samples: `[N]` of (sample, x, y, z), ascending, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sites {
    coordinates: Vec<[i32; 4]>,
}

/// For each site the rows of its neighbours, `[N, 27]`, or of itself alone, `[N, 1]`; -1 where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    rows: Vec<i32>,
    of_each: usize,
}

impl Sites {
    /// Sites in the order of their coordinates; those that come twice are one.
    pub fn new(mut coordinates: Vec<[i32; 4]>) -> Self {
        coordinates.par_sort_unstable();
        coordinates.dedup();
        Self { coordinates }
    }

    /// (sample, x, y, z) of all, ascending.
    pub fn coordinates(&self) -> &[[i32; 4]] {
        &self.coordinates
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.coordinates.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.coordinates.is_empty()
    }

    /// The rows of the 27 neighbours of each; neighbour `(dx + 1) + 3 (dy + 1) + 9 (dz + 1)` lies at (dx, dy, dz).
    pub fn neighbours(&self) -> Neighbours {
        let columns: Vec<Vec<i32>> = (0..NEIGHBOURS).into_par_iter().map(|k| self.at_offset(offset(k))).collect();
        let mut rows = vec![-1; NEIGHBOURS * self.len()];
        rows.par_chunks_exact_mut(NEIGHBOURS).enumerate().for_each(|(i, row)| {
            row.iter_mut().zip(&columns).for_each(|(row, column)| *row = column[i]);
        });
        Neighbours { rows, of_each: NEIGHBOURS }
    }

    /// The rows of sites at an offset from each. Both are passed in ascending order, so one walk finds all.
    fn at_offset(&self, [dx, dy, dz]: [i32; 3]) -> Vec<i32> {
        let mut candidate = 0;
        let find = |&[b, x, y, z]: &[i32; 4]| {
            let wanted = [b, x + dx, y + dy, z + dz];
            while self.coordinates.get(candidate).is_some_and(|c| *c < wanted) {
                candidate += 1;
            }
            if self.coordinates.get(candidate) == Some(&wanted) { candidate as i32 } else { -1 }
        };
        self.coordinates.iter().map(find).collect()
    }

    /// The sites of half the resolution, and the row of each site's parent among them.
    pub fn parents(&self) -> (Self, Vec<u32>) {
        let parent = |c: &[i32; 4]| [c[0], c[1].div_euclid(2), c[2].div_euclid(2), c[3].div_euclid(2)];
        let parents = Self::new(self.coordinates.iter().map(parent).collect());
        let row = |c: &[i32; 4]| parents.coordinates.partition_point(|p| *p < parent(c)) as u32;
        let rows = self.coordinates.par_iter().map(row).collect();
        (parents, rows)
    }

    /// The eight children of each at twice the resolution, `[8 N]`: child `4 i + 2 j + k` lies at `2 (x, y, z) + (i, j, k)`. They are in
    /// the order of their parents, which is not that of [`Sites`].
    pub fn children(&self) -> Vec<[i32; 4]> {
        let of_one = |&[b, x, y, z]: &[i32; 4]| {
            (0..CHILDREN as i32).map(move |c| [b, 2 * x + (c >> 2), 2 * y + (c >> 1 & 1), 2 * z + (c & 1)])
        };
        self.coordinates.iter().flat_map(of_one).collect()
    }
}

/// The offset of neighbour `k`.
fn offset(k: usize) -> [i32; 3] {
    let k = k as i32;
    [k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1]
}

impl Neighbours {
    /// Each of so many sites alone: what a convolution of one voxel looks at.
    pub fn alone(sites: usize) -> Self {
        Self { rows: (0..sites as i32).collect(), of_each: 1 }
    }

    /// `[N, 27]` or `[N, 1]`, -1 where there is none.
    pub fn rows(&self) -> &[i32] {
        &self.rows
    }

    /// How many each site has: 27, or 1.
    pub fn of_each(&self) -> usize {
        self.of_each
    }

    /// How many sites there are.
    pub fn sites(&self) -> usize {
        self.rows.len() / self.of_each
    }
}
