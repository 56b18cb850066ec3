//! Keeping the occupancy grid true to the distances that are learned.
//!
//! A cell can matter when the surface's density reaches into it: when the distance at its middle is no larger than half its diagonal and a few widths
//! of the density. If no cell is near the surface, those nearest to it are kept, so that the grid never empties. What lies inside, beyond the density's
//! reach, is solid: less than a hundredth of a ray's light gets there, and what is behind need not be looked at.

use super::field::{Field, Tile};
use crate::meshing::{Distances, cells_near, distances_at};
use tessera_kernels::occupancy::OccupancyGrid;

/// Less than a hundredth of the density lies beyond so many widths.
pub(super) const WIDTHS: f32 = 5.0;

/// The grid of `resolution` cells a side for the field as it is.
pub fn occupied(field: &Field, resolution: usize, sharpness: f32) -> OccupancyGrid {
    let mut grid = OccupancyGrid::empty(resolution);
    for cell in cells_near(field, resolution, WIDTHS / sharpness) {
        grid.set(grid.index(cell.map(usize::from)));
    }
    let gaps = gaps(&grid);
    let middle = |[first, last]: [usize; 2]| {
        let ends = [first, last].map(|cell| grid.coordinates(cell).map(|x| (x as f32 + 0.5) / resolution as f32));
        std::array::from_fn(|k| 0.5 * (ends[0][k] + ends[1][k]))
    };
    let middles: Vec<[f32; 3]> = gaps.iter().map(|gap| middle(*gap)).collect();
    let inside = gaps.iter().zip(distances_at(field, &middles)).filter(|(_, distance)| *distance < 0.0);
    inside.for_each(|([first, last], _)| (*first..=*last).for_each(|cell| grid.set_solid(cell)));
    grid
}

/// The first and the last cell of all rows of empty cells along x that have occupied ones at both ends. As the surface passes none of them, they are
/// all inside or all outside.
fn gaps(grid: &OccupancyGrid) -> Vec<[usize; 2]> {
    let same_row = |a: usize, b: usize| a / grid.resolution() == b / grid.resolution();
    let next = grid.occupied().skip(1);
    let gaps = grid.occupied().zip(next).filter(|(a, b)| same_row(*a, *b) && b - a > 1);
    gaps.map(|(a, b)| [a + 1, b - 1]).collect()
}

impl Distances for Field {
    type Scratch = Tile;

    fn append(&self, tile: &mut Tile, places: &[[f32; 3]], out: &mut Vec<f32>) {
        self.make_room(places.len(), tile);
        places.iter().enumerate().for_each(|(i, place)| tile.place(i, *place));
        self.distances(tile);
        out.extend((0..places.len()).map(|i| self.distance_of(tile, i)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::SurfaceConfig;
    use tessera_kernels::occupancy::MarchedRay;

    #[test]
    fn the_inside_of_a_sphere_is_solid_and_its_far_side_is_not_looked_at() {
        let field = Field::new(&SurfaceConfig::default());
        let (resolution, radius, reach) = (64, 0.3, WIDTHS / 200.0);
        let grid = occupied(&field, resolution, 200.0);
        // Training begins with a sphere to within 0.02, and cells are looked at by their middles.
        let off = 0.02 + 3.0f32.sqrt() / resolution as f32;
        for cell in 0..resolution.pow(3) {
            let place = grid.coordinates(cell).map(|x| (x as f32 + 0.5) / resolution as f32 - 0.5);
            let distance = place.iter().map(|x| x * x).sum::<f32>().sqrt() - radius;
            let solid = grid.solid()[cell / 64] >> (cell % 64) & 1 == 1;
            assert!(!solid || distance < off - reach, "a solid cell at distance {distance}");
            assert!(solid || distance > -reach - off, "a cell at distance {distance} is not solid");
        }
        let ray = MarchedRay::clipped([0.45, 0.52, -1.0], [0.0, 0.0, 1.0], [[0.0; 3], [1.0; 3]]).expect("it hits");
        let mut ts = Vec::new();
        grid.march(&ray, 0.005, 0.5, usize::MAX, &mut ts);
        assert!(!ts.is_empty() && ts.iter().all(|t| *t < 1.5), "the far side is looked at: {ts:?}");
    }
}
