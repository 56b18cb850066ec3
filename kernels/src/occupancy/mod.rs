//! Which cells of the unit cube are worth looking into, and marching rays through those.
//!
//! A cell is one bit: 128³ cells are 256 kB, which stays in the second-level cache. Rays take steps of one length on a lattice that
//! begins, jittered, where they enter; a step whose middle lies in an empty cell is skipped together with all others in it, and where a block of 8³
//! cells is empty, with all others in that. Cells may be solid too: nothing passes them, and a ray ends at the first one.
//! [`cuda`] finds the same steps on a device.

pub mod cuda;

use std::ops::Range;

/// Cells per side of a block.
const SIDE: usize = 8;

/// One bit for each of `resolution³` cells.
#[derive(Clone, Debug)]
pub struct OccupancyGrid {
    resolution: usize,
    bits: Vec<u64>,
    /// The same for cells that nothing passes; empty when there are none.
    solid: Vec<u64>,
    /// Blocks with cells that are or were occupied or solid.
    blocks: Vec<u64>,
}

/// Two grids are the same that lead rays the same way.
impl PartialEq for OccupancyGrid {
    fn eq(&self, other: &Self) -> bool {
        (self.resolution, &self.bits, &self.solid) == (other.resolution, &other.bits, &other.solid)
    }
}

/// A ray through the unit cube's space; the direction is of any length but 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarchedRay {
    /// Where it begins.
    pub origin: [f32; 3],
    /// Where it goes.
    pub direction: [f32; 3],
    /// Between which distances, in units of the direction's length.
    pub near_far: [f32; 2],
}

impl MarchedRay {
    /// Where the ray is at `t`.
    #[inline]
    pub fn at(&self, t: f32) -> [f32; 3] {
        std::array::from_fn(|k| self.origin[k] + t * self.direction[k])
    }

    /// The part of the ray within a box, if there is any in front of its beginning.
    pub fn clipped(origin: [f32; 3], direction: [f32; 3], [low, high]: [[f32; 3]; 2]) -> Option<Self> {
        let (mut near, mut far) = (0.0f32, f32::INFINITY);
        for k in 0..3 {
            let inverse = 1.0 / direction[k];
            let (a, b) = ((low[k] - origin[k]) * inverse, (high[k] - origin[k]) * inverse);
            // Parallel to a face and on it, a and b may be no numbers; min and max pass over those.
            near = near.max(a.min(b));
            far = far.min(a.max(b));
        }
        (near < far && far.is_finite()).then_some(Self { origin, direction, near_far: [near, far] })
    }
}

impl OccupancyGrid {
    /// A grid with all cells occupied.
    ///
    /// # Panics
    /// When there are no cells, or more than 1024 a side.
    pub fn full(resolution: usize) -> Self {
        assert!((1..=1024).contains(&resolution), "{resolution} cells a side");
        let mut grid = Self::empty(resolution);
        (0..resolution.pow(3)).for_each(|cell| grid.set(cell));
        grid
    }

    /// A grid with no cell occupied.
    pub fn empty(resolution: usize) -> Self {
        let words = |side: usize| vec![0; side.pow(3).div_ceil(64)];
        let blocks = words(resolution.div_ceil(SIDE));
        Self { resolution, bits: words(resolution), solid: Vec::new(), blocks }
    }

    /// The grid with these bits, one per cell, x fastest; `None` when there are not as many.
    pub fn from_bits(resolution: usize, bits: Vec<u64>) -> Option<Self> {
        if bits.len() != resolution.pow(3).div_ceil(64) || bits_beyond(&bits, resolution) {
            return None;
        }
        let mut grid = Self { bits, ..Self::empty(resolution) };
        ones(&grid.bits).for_each(|cell| mark_block(&mut grid.blocks, resolution, cell));
        Some(grid)
    }

    /// Adds these solid cells, as [`OccupancyGrid::from_bits`] takes occupied ones; none at all may be given as no bits.
    pub fn with_solid(mut self, bits: Vec<u64>) -> Option<Self> {
        if !bits.is_empty() && bits.len() != self.bits.len() || bits_beyond(&bits, self.resolution) {
            return None;
        }
        self.solid = bits;
        ones(&self.solid).for_each(|cell| mark_block(&mut self.blocks, self.resolution, cell));
        Some(self)
    }

    /// Cells per side.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// One bit per cell, x fastest.
    pub fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// One bit per cell that nothing passes, x fastest; no bits when there is no such cell.
    pub fn solid(&self) -> &[u64] {
        &self.solid
    }

    /// Occupies a cell.
    pub fn set(&mut self, cell: usize) {
        self.bits[cell / 64] |= 1 << (cell % 64);
        mark_block(&mut self.blocks, self.resolution, cell);
    }

    /// Makes a cell solid.
    pub fn set_solid(&mut self, cell: usize) {
        self.solid.resize(self.bits.len(), 0);
        self.solid[cell / 64] |= 1 << (cell % 64);
        mark_block(&mut self.blocks, self.resolution, cell);
    }

    /// Empties a cell.
    pub fn clear(&mut self, cell: usize) {
        self.bits[cell / 64] &= !(1 << (cell % 64));
    }

    /// Whether a cell is occupied.
    #[inline]
    pub fn is_set(&self, cell: usize) -> bool {
        bit(&self.bits, cell)
    }

    /// Number of occupied cells.
    pub fn count(&self) -> usize {
        self.bits.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// The cell at these coordinates.
    pub fn index(&self, [x, y, z]: [usize; 3]) -> usize {
        x + self.resolution * (y + self.resolution * z)
    }

    /// The coordinates of a cell.
    pub fn coordinates(&self, cell: usize) -> [usize; 3] {
        [cell % self.resolution, cell / self.resolution % self.resolution, cell / self.resolution.pow(2)]
    }

    /// All occupied cells, ascending.
    pub fn occupied(&self) -> impl Iterator<Item = usize> + '_ {
        ones(&self.bits)
    }

    /// The middles of the steps of length `step` (in units of the direction's length) that lie in occupied cells, appended to `out`. The
    /// lattice of steps begins `jitter`, in [0, 1), of a step behind where the ray enters. At most `limit` are found, and none behind a step whose
    /// middle lies in a solid cell.
    pub fn march(&self, ray: &MarchedRay, step: f32, jitter: f32, limit: usize, out: &mut Vec<f32>) -> Range<usize> {
        let begin = out.len();
        let [near, far] = ray.near_far;
        let side = self.resolution as f32;
        let inverse = ray.direction.map(|d| 1.0 / d);
        // The first step at or behind a number of steps.
        let ceil = |x: f32| (x as usize).saturating_add(usize::from(x > (x as usize) as f32));
        let steps = ceil((far - near) / step - jitter);
        let mut k = 0;
        while k < steps && out.len() - begin < limit {
            let t = near + (k as f32 + jitter) * step;
            let p = ray.at(t);
            let cell = p.map(|x| (x * side).clamp(0.0, side - 1.0) as usize);
            let empty = if bit(&self.blocks, block_of(self.resolution, cell)) {
                let index = self.index(cell);
                if bit(&self.bits, index) {
                    out.push(t);
                    k += 1;
                    continue;
                }
                if !self.solid.is_empty() && bit(&self.solid, index) {
                    break;
                }
                1
            } else {
                SIDE
            };
            // To where the ray leaves the cell, or the block of cells.
            let mut exit = f32::INFINITY;
            for a in 0..3 {
                let face = (cell[a] / empty * empty + if ray.direction[a] > 0.0 { empty } else { 0 }) as f32;
                let distance = (face / side - ray.origin[a]) * inverse[a];
                if distance > t {
                    exit = exit.min(distance);
                }
            }
            k = ceil((exit - near) / step - jitter).max(k + 1);
        }
        begin..out.len()
    }
}

#[inline(always)]
fn bit(bits: &[u64], index: usize) -> bool {
    bits[index / 64] >> (index % 64) & 1 == 1
}

/// Whether there are bits for more cells than there are.
fn bits_beyond(bits: &[u64], resolution: usize) -> bool {
    let used = resolution.pow(3) % 64;
    used > 0 && bits.last().is_some_and(|last| last >> used != 0)
}

/// The bits that are set, ascending.
fn ones(bits: &[u64]) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().flat_map(|(word, &bits)| {
        let mut rest = bits;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros() as usize;
            (rest != 0).then(|| {
                rest &= rest - 1;
                64 * word + bit
            })
        })
    })
}

/// The block in which a cell lies.
#[inline(always)]
fn block_of(resolution: usize, [x, y, z]: [usize; 3]) -> usize {
    let side = resolution.div_ceil(SIDE);
    x / SIDE + side * (y / SIDE + side * (z / SIDE))
}

fn mark_block(blocks: &mut [u64], resolution: usize, cell: usize) {
    let block = block_of(resolution, [cell % resolution, cell / resolution % resolution, cell / resolution.pow(2)]);
    blocks[block / 64] |= 1 << (block % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    #[test]
    fn skipping_finds_the_same_steps_as_looking_at_each() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut grid = OccupancyGrid::empty(24);
        // Some blocks of cells stay empty.
        for _ in 0..300 {
            let cell = [rng.random_range(0..24), rng.random_range(0..16), rng.random_range(6..24)];
            grid.set(grid.index(cell));
        }
        let mut found = 0;
        for _ in 0..500 {
            let origin: [f32; 3] = std::array::from_fn(|_| rng.random_range(-1.0..2.0));
            // Towards a place in the cube.
            let direction = origin.map(|x| rng.random_range(0.0..1.0) - x);
            let Some(ray) = MarchedRay::clipped(origin, direction, [[0.0; 3], [1.0; 3]]) else { continue };
            let (step, jitter) = (0.013, 0.3);
            let mut out = Vec::new();
            grid.march(&ray, step, jitter, usize::MAX, &mut out);
            let [near, far] = ray.near_far;
            let all = (0..).map(|k| near + (k as f32 + jitter) * step).take_while(|t| *t < far);
            let is_set = |t: &f32| grid.is_set(grid.index(ray.at(*t).map(|x| (x * 24.0).clamp(0.0, 23.0) as usize)));
            let expected: Vec<f32> = all.filter(is_set).collect();
            // Steps that meet a face to within rounding may go either way.
            let near_face = |t: f32| ray.at(t).iter().any(|x| (x * 24.0 - (x * 24.0).round()).abs() < 1e-3);
            let missing = expected.iter().filter(|t| !out.contains(t) && !near_face(**t)).count();
            let wrong = out.iter().filter(|t| !expected.contains(t) && !near_face(**t)).count();
            assert_eq!((missing, wrong), (0, 0), "{ray:?}");
            found += out.len();
        }
        assert!(found > 500, "hardly any step was in an occupied cell");
    }

    #[test]
    fn rays_end_at_what_is_solid() {
        let mut grid = OccupancyGrid::full(16);
        let line = |z: usize| [8, 8, z];
        (4..10).for_each(|z| grid.clear(grid.index(line(z))));
        grid.set_solid(grid.index(line(6)));
        let cube = [[0.0; 3], [1.0; 3]];
        let found = |from: f32| {
            let ray = MarchedRay::clipped([0.53, 0.53, from], [0.0, 0.0, 0.5 - from], cube).expect("it hits");
            let mut out = Vec::new();
            grid.march(&ray, 0.01, 0.5, usize::MAX, &mut out);
            out.iter().map(|t| ray.at(*t)[2]).collect::<Vec<f32>>()
        };
        let (up, down) = (found(-1.0), found(2.0));
        assert!(up.iter().all(|z| *z < 0.25) && up.len() > 10, "{up:?}");
        assert!(down.iter().all(|z| *z > 0.625) && down.len() > 10, "{down:?}");
        let same = OccupancyGrid::from_bits(16, grid.bits().to_vec()).and_then(|g| g.with_solid(grid.solid().to_vec()));
        assert_eq!(same, Some(grid));
    }

    #[test]
    fn rays_are_clipped_to_the_box_in_front_of_them() {
        let cube = [[0.0; 3], [1.0; 3]];
        let ray = MarchedRay::clipped([0.5, 0.5, -1.0], [0.0, 0.0, 2.0], cube).expect("it hits");
        assert_eq!(ray.near_far, [0.5, 1.0]);
        assert_eq!(MarchedRay::clipped([0.5; 3], [1.0, 0.0, 0.0], cube).map(|r| r.near_far), Some([0.0, 0.5]));
        assert!(MarchedRay::clipped([0.5, 0.5, 2.0], [0.0, 0.0, 1.0], cube).is_none(), "the box is behind it");
        assert!(MarchedRay::clipped([2.0, 0.5, 2.0], [0.0, 0.0, -1.0], cube).is_none(), "it passes by");
    }

    #[test]
    fn bits_are_counted_and_listed() {
        let mut grid = OccupancyGrid::empty(5);
        assert_eq!(OccupancyGrid::full(5).count(), 125);
        [0, 63, 64, 124].into_iter().for_each(|cell| grid.set(cell));
        assert_eq!(grid.occupied().collect::<Vec<_>>(), [0, 63, 64, 124]);
        assert_eq!(grid.index(grid.coordinates(64)), 64);
        assert_eq!(OccupancyGrid::from_bits(5, vec![0, 1 << 61]), None, "a bit for a cell that is not there");
        assert_eq!(OccupancyGrid::from_bits(5, grid.bits().to_vec()), Some(grid));
    }
}
