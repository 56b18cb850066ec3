//! Keeping the occupancy grid true to the distances that are learned.
//!
//! A cell can matter when the surface's density reaches into it: when the distance at its middle is no larger than half its diagonal and a few widths
//! of the density. If no cell is near the surface, those nearest to it are kept, so that the grid never empties. What lies inside, beyond the density's
//! reach, is solid: less than a hundredth of a ray's light gets there, and what is behind need not be looked at.

use super::Surface;
use super::field::{Field, Tile, at};
use super::trace::Traced;
use crate::meshing::{Distances, cells_near, distances_at};
use crate::rays::{RayMaker, TracedRay};
use rayon::prelude::*;
use tessera_kernels::camera_projection::View;
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_kernels::sdf_render;

/// Less than a hundredth of the density lies beyond so many widths.
pub(super) const WIDTHS: f32 = 5.0;

/// Samples that add less than this to a pixel are not seen.
const SHOWN: f32 = 0.01;
/// Rays looked along at a time.
const RAYS: usize = 32;

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

impl Surface {
    /// Empties the cells near which `views` see nothing: what the distance is there, no photo has said.
    pub(super) fn leave_out_unseen(&mut self, views: &[View]) {
        let side = self.occupancy.resolution();
        let mut near = vec![false; side.pow(3)];
        for view in views {
            self.cells_seen(view).into_iter().for_each(|cell| near[cell as usize] = true);
        }
        // As far as cells matter around the surface itself.
        let reach = (WIDTHS / self.sharpness * side as f32).ceil() as usize + 1;
        for stride in [1, side, side * side] {
            near = widened(&near, side, stride, reach);
        }
        let unseen: Vec<usize> = self.occupancy.occupied().filter(|cell| !near[*cell]).collect();
        unseen.into_iter().for_each(|cell| self.occupancy.clear(cell));
    }

    /// The cells of samples that a view shows.
    fn cells_seen(&self, view: &View) -> Vec<u32> {
        let (maker, settings) = (RayMaker::new(view, &self.scene_box), self.trace_settings());
        let side = self.occupancy.resolution() as f32;
        let row = |(traced, weights): &mut (Traced, Vec<f32>), y: usize| {
            let ray = |x: usize| TracedRay { ray: maker.ray([x as f64 + 0.5, y as f64 + 0.5]), jitter: 0.5 };
            let rays: Vec<TracedRay> = (0..view.width).map(ray).collect();
            let mut cells = Vec::new();
            for rays in rays.chunks(RAYS) {
                traced.trace(&self.field, &self.occupancy, rays, &settings, |_| &[]);
                for span in &traced.spans {
                    weights.resize(span.len(), 0.0);
                    let (samples, _) = sdf_render::weights(&traced.alphas[0][span.clone()], weights);
                    for i in (0..samples).filter(|i| weights[*i] > SHOWN) {
                        let place = (0..3).map(|k| traced.tile.positions[at(3, k, span.start + i)]);
                        let mut cell = place.map(|x| (x * side).clamp(0.0, side - 1.0) as usize);
                        let cell = std::array::from_fn(|_| cell.next().unwrap_or_default());
                        cells.push(self.occupancy.index(cell) as u32);
                    }
                }
            }
            cells
        };
        (0..view.height).into_par_iter().map_init(Default::default, row).collect::<Vec<_>>().concat()
    }
}

/// Whether one of `reach` neighbours on either side along an axis is set, whose cells are `stride` apart.
fn widened(cells: &[bool], side: usize, stride: usize, reach: usize) -> Vec<bool> {
    let at = |i: usize| {
        let along = i / stride % side;
        let first = i - along.min(reach) * stride;
        let last = i + reach.min(side - 1 - along) * stride;
        (first..=last).step_by(stride).any(|cell| cells[cell])
    };
    (0..cells.len()).into_par_iter().with_min_len(4096).map(at).collect()
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
    use crate::rays::SceneBox;
    use crate::render::Painter;
    use crate::surface::{SurfaceConfig, SurfacePainter};
    use nalgebra::{Isometry3, Point3, Vector3};
    use tessera_datasets::camera::{Camera, Similarity};
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

    #[test]
    fn what_no_photo_shows_is_left_out_and_what_one_shows_stays() {
        let config = SurfaceConfig { distance_width: 256, ray_steps: 1024, ..SurfaceConfig::default() };
        let field = Field::new(&config);
        let mut surface = Surface {
            sharpness: 200.0,
            occupancy: occupied(&field, 64, 200.0),
            scene_box: SceneBox { corners: [[-1.0; 3], [1.0; 3]] },
            scene_from_world: Similarity::identity(),
            time: None,
            backdrop: None,
            config,
            field,
        };
        let from = |z: f64| {
            let eye = Point3::new(0.1, 0.2, z);
            let pose = Isometry3::face_towards(&eye, &Point3::origin(), &Vector3::y()).inverse();
            View::new(&Camera::from_horizontal_fov(48, 48, 0.7), &pose)
        };
        let (front, back) = (from(4.0), from(-4.0));
        let draw = |surface: &Surface, view: &View| SurfacePainter::new(surface, [1.0; 3]).draw(view, false).clone();
        let before = draw(&surface, &front);
        surface.leave_out_unseen(&[front]);
        let after = draw(&surface, &front);
        let most = before.rgb.iter().zip(&after.rgb).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // A hundredth of a pixel is not seen, and colours are at most 1.
        assert!(most < 0.02, "the photo itself changes by {most}");
        let middle = 24 * 48 + 24;
        assert!(after.transmittance[middle] < 0.02, "the front is gone");
        assert!(draw(&surface, &back).transmittance[middle] > 0.9, "the back is there, which no photo shows");
    }
}
