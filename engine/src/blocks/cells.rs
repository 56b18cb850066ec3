//! The cells into which the ground is divided: a k-d tree over what is to be learned.
//!
//! Every place on the ground lies in exactly one cell, so joining the blocks' splats leaves neither gaps nor doubles. Cells at
//! the border of the scene have no outer sides: the surroundings belong to them.

use serde::{Deserialize, Serialize};

/// Stray places beyond these quantiles of a cell's mass do not decide along which axis it is cut.
const QUANTILES: [f64; 2] = [0.03, 0.97];

/// A rectangle on the ground, `low` included and `high` excluded; `None` is a side at infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Where it begins along each axis.
    pub low: [Option<f64>; 2],
    /// Where it ends along each axis.
    pub high: [Option<f64>; 2],
}

impl Cell {
    /// Whether a place lies in it.
    pub fn contains(&self, place: [f64; 2]) -> bool {
        self.contains_widened(place, [0.0; 2])
    }

    /// Whether a place lies in it, or beside it by less than `margin` along each axis.
    pub fn contains_widened(&self, place: [f64; 2], margin: [f64; 2]) -> bool {
        (0..2).all(|axis| {
            self.low[axis].is_none_or(|low| place[axis] >= low - margin[axis])
                && self.high[axis].is_none_or(|high| place[axis] < high + margin[axis])
        })
    }

    /// How far a place in the cell is from its nearest neighbour; infinite when there is none.
    pub fn distance_to_neighbours(&self, place: [f64; 2]) -> f64 {
        let sides = (0..2).flat_map(|axis| [(axis, self.low[axis]), (axis, self.high[axis])]);
        let distances = sides.filter_map(|(axis, side)| side.map(|side| (place[axis] - side).abs()));
        distances.fold(f64::INFINITY, f64::min)
    }

    /// The corners `[low, high]` of what of it lies in a rectangle.
    pub fn within(&self, [low, high]: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
        [
            [0, 1].map(|axis| self.low[axis].unwrap_or(low[axis])),
            [0, 1].map(|axis| self.high[axis].unwrap_or(high[axis])),
        ]
    }

    /// The two parts on both sides of a cut.
    fn cut(&self, axis: usize, at: f64) -> [Self; 2] {
        let mut parts = [*self; 2];
        parts[0].high[axis] = Some(at);
        parts[1].low[axis] = Some(at);
        parts
    }
}

/// Something that takes work to learn, and where on the ground it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mass {
    /// Its place on the ground.
    pub place: [f64; 2],
    /// How much of it there is.
    pub amount: f64,
}

/// `count` cells that divide the ground so that all have about the same mass. Each cut goes across the longer side of what it
/// divides, and there is no need for `count` to be a power of two.
pub fn balanced_cells(masses: &[Mass], count: usize) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(count);
    divide(&mut masses.to_vec(), Cell::default(), count.max(1), &mut cells);
    cells
}

fn divide(masses: &mut [Mass], cell: Cell, count: usize, cells: &mut Vec<Cell>) {
    if count == 1 {
        cells.push(cell);
        return;
    }
    let longer = usize::from(length(masses, 1) > length(masses, 0));
    let before = count / 2;
    sort(masses, longer);
    let share = before as f64 / count as f64;
    let (at, number) = cut_at(masses, longer, share);
    let [first, second] = cell.cut(longer, at);
    let (left, right) = masses.split_at_mut(number);
    divide(left, first, before, cells);
    divide(right, second, count - before, cells);
}

fn sort(masses: &mut [Mass], axis: usize) {
    masses.sort_by(|a, b| a.place[axis].total_cmp(&b.place[axis]));
}

/// How long a cell's mass is along an axis, without stray places.
fn length(masses: &mut [Mass], axis: usize) -> f64 {
    sort(masses, axis);
    let [low, high] = QUANTILES.map(|share| masses.get(cut_at(masses, axis, share).1).or(masses.last()));
    low.zip(high).map_or(0.0, |(low, high)| high.place[axis] - low.place[axis])
}

/// Where this share of sorted mass is passed, and how many masses lie before that place.
fn cut_at(masses: &[Mass], axis: usize, share: f64) -> (f64, usize) {
    let Some(last) = masses.last() else { return (0.0, 0) };
    let target = share * masses.iter().map(|mass| mass.amount).sum::<f64>();
    let mut passed = 0.0;
    let crossing = masses.iter().position(|mass| {
        passed += mass.amount;
        passed >= target
    });
    let index = crossing.unwrap_or(masses.len() - 1);
    let here = masses[index].place[axis];
    let next = masses.get(index + 1).unwrap_or(last).place[axis];
    let at = 0.5 * (here + next);
    // The middle of two equal numbers, or of neighbouring ones, is one of them.
    (at, masses.partition_point(|mass| mass.place[axis] < at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn scattered(count: usize, seed: u64) -> Vec<Mass> {
        let mut rng = Pcg64::seed_from_u64(seed);
        (0..count)
            .map(|_| Mass { place: [rng.random_range(0.0..30.0), rng.random_range(0.0f64..10.0).powi(2)], amount: 1.0 })
            .collect()
    }

    fn mass_in(cell: &Cell, masses: &[Mass]) -> f64 {
        masses.iter().filter(|mass| cell.contains(mass.place)).map(|mass| mass.amount).sum()
    }

    #[test]
    fn cells_share_the_mass_evenly_for_any_number() {
        let masses = scattered(5000, 3);
        for count in [1, 2, 3, 5, 7, 8, 64] {
            let cells = balanced_cells(&masses, count);
            assert_eq!(cells.len(), count);
            let fair = masses.len() as f64 / count as f64;
            for cell in &cells {
                let mass = mass_in(cell, &masses);
                // Each of at most 6 cuts rounds to a whole mass.
                assert!((mass - fair).abs() <= 6.0, "{cell:?} of {count} has {mass}, and {fair} would be fair");
            }
        }
    }

    #[test]
    fn every_place_lies_in_exactly_one_cell() {
        let cells = balanced_cells(&scattered(500, 4), 7);
        let corners = cells.iter().flat_map(|cell| [cell.low, cell.high]);
        let on_borders = corners.map(|corner| corner.map(|side| side.unwrap_or(1e6)));
        let mut rng = Pcg64::seed_from_u64(5);
        let random = (0..2000).map(|_| [0, 1].map(|_| rng.random_range(-200.0..200.0)));
        for place in on_borders.chain(random) {
            let holding = cells.iter().filter(|cell| cell.contains(place)).count();
            assert_eq!(holding, 1, "{place:?} lies in {holding} cells");
        }
    }

    #[test]
    fn cuts_go_across_the_longer_side() {
        let masses: Vec<Mass> =
            (0..100).map(|i| Mass { place: [(i % 10) as f64, 10.0 * i as f64], amount: 1.0 }).collect();
        let cells = balanced_cells(&masses, 4);
        assert!(cells.iter().all(|cell| cell.low[0].is_none() && cell.high[0].is_none()), "{cells:?}");
    }

    #[test]
    fn masses_in_one_place_leave_other_cells_empty_and_nothing_fails() {
        let masses = vec![Mass { place: [1.0, 2.0], amount: 1.0 }; 9];
        let cells = balanced_cells(&masses, 4);
        let held: Vec<f64> = cells.iter().map(|cell| mass_in(cell, &masses)).collect();
        assert_eq!(held.iter().filter(|mass| **mass > 0.0).count(), 1, "{held:?}");
    }

    #[test]
    fn neighbours_are_as_far_as_the_nearest_inner_side() {
        let cell = Cell { low: [Some(0.0), None], high: [Some(10.0), Some(4.0)] };
        assert_eq!(cell.distance_to_neighbours([3.0, 2.0]), 2.0);
        assert_eq!(cell.distance_to_neighbours([0.5, -50.0]), 0.5);
        assert_eq!(Cell::default().distance_to_neighbours([3.0, 2.0]), f64::INFINITY);
        assert!(cell.contains([0.0, 3.9]) && !cell.contains([10.0, 3.0]) && !cell.contains([5.0, 4.0]));
        assert!(cell.contains_widened([10.5, 4.5], [1.0, 1.0]) && !cell.contains_widened([11.5, 4.5], [1.0, 1.0]));
        assert_eq!(cell.within([[-9.0, -8.0], [99.0, 98.0]]), [[0.0, -8.0], [10.0, 4.0]]);
    }
}
