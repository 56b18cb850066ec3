//! Keeping the occupancy grid true to the distances that are learned.
//!
//! A cell can matter when the surface's density reaches into it: when the distance at its middle is no larger than half its diagonal and a few widths
//! of the density. If no cell is near the surface, those nearest to it are kept, so that the grid never empties.

use super::field::{Field, Tile};
use crate::meshing::{Distances, cells_near};
use tessera_kernels::occupancy::OccupancyGrid;

/// Less than a hundredth of the density lies beyond so many widths.
const WIDTHS: f32 = 5.0;
/// The grid of `resolution` cells a side for the field as it is.
pub fn occupied(field: &Field, resolution: usize, sharpness: f32) -> OccupancyGrid {
    let mut grid = OccupancyGrid::empty(resolution);
    for cell in cells_near(field, resolution, WIDTHS / sharpness) {
        grid.set(grid.index(cell.map(usize::from)));
    }
    grid
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
