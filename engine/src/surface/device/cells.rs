//! The cells that rays visit, on the device: the levels of [`crate::meshing::cells_near`], whose cells are looked at in parts that there is room for.

use super::{DeviceSurface, Latest};
use crate::Result;
use crate::meshing::cells::{are_looked_at, coarsest, distance_of_few, largest_distance};
use crate::surface::field::Field;
use crate::surface::occupied::WIDTHS;
use tessera_kernels::hash_grid::cuda::Batch;

impl DeviceSurface {
    /// Finds the cells that the surface's density reaches into anew, as [`crate::surface::occupied::occupied`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn refresh(&mut self, field: &Field, sharpness: f32) -> Result<()> {
        let (resolution, band) = (self.occupancy.resolution(), WIDTHS / sharpness);
        let mut side = coarsest(resolution);
        self.cells.begin(&self.stream, side)?;
        loop {
            let is_finest = side == resolution;
            let limit = are_looked_at(side, band).then(|| largest_distance(side, band));
            let mut found = self.keep_cells(field, limit, is_finest)?;
            if found == 0 {
                let nearest = distance_of_few(self.distances_of_cells(field)?);
                found = self.keep_cells(field, Some(nearest), is_finest)?;
            }
            if is_finest {
                self.latest = Latest::Device;
                return self.fill_inside(field);
            }
            self.cells.descend(found);
            side *= 2;
        }
    }

    /// What lies inside, beyond the density's reach, becomes solid.
    fn fill_inside(&mut self, field: &Field) -> Result<()> {
        self.cells.find_gaps(&self.stream, &self.occupancy)?;
        for (first, batch) in self.parts_of_cells() {
            self.cells.gap_middles(&self.stream, first, batch, &mut self.samples.own.positions)?;
            self.distances_of_own(field, batch)?;
            let distances = (&self.samples.h.layers[2], field.radius);
            self.cells.fill_gaps(&self.stream, (first, batch), distances, &mut self.occupancy)?;
        }
        Ok(())
    }

    /// Keeps the cells that are no farther from the surface than `limit`, or all; into the grid, if they are its own. Returns how many were found.
    fn keep_cells(&mut self, field: &Field, limit: Option<f32>, is_finest: bool) -> Result<usize> {
        self.cells.begin_keeping(&self.stream)?;
        if is_finest {
            self.occupancy.clear(&self.stream)?;
        }
        for (first, batch) in self.parts_of_cells() {
            if limit.is_some() {
                self.cells.middles(&self.stream, first, batch, &mut self.samples.own.positions)?;
                self.distances_of_own(field, batch)?;
            }
            let distances = limit.map(|_| &self.samples.h.layers[2]);
            let to = is_finest.then_some(&mut self.occupancy);
            let near = (distances, field.radius, limit.unwrap_or(0.0));
            self.cells.keep(&self.stream, (first, batch), near, to)?;
        }
        Ok(self.cells.found(&self.stream)?)
    }

    /// The sizes of the distances at the middles of all cells that are looked at.
    fn distances_of_cells(&mut self, field: &Field) -> Result<Vec<f32>> {
        let mut sizes = Vec::with_capacity(self.cells.len());
        for (first, batch) in self.parts_of_cells() {
            self.cells.middles(&self.stream, first, batch, &mut self.samples.own.positions)?;
            self.distances_of_own(field, batch)?;
            let distances = self.samples.h.layers[2].read_part(0, batch.samples, &self.stream)?;
            sizes.extend(distances.iter().map(|d| (d - field.radius).abs()));
        }
        Ok(sizes)
    }

    fn distances_of_own(&mut self, field: &Field, batch: Batch) -> Result<()> {
        self.encode_own(field, batch, false)?;
        let samples = &mut self.samples;
        Ok(self.distance.forward(&self.stream, &self.learned.distance.values, &mut samples.h, batch)?)
    }

    /// Where parts begin, and how many cells they have.
    fn parts_of_cells(&self) -> Vec<(usize, Batch)> {
        let (cells, room) = (self.cells.len(), self.samples.room);
        let part = |first: usize| (first, Batch { samples: room.min(cells - first), stride: room });
        (0..cells).step_by(room).map(part).collect()
    }
}
