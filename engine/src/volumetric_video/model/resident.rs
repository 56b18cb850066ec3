//! Which Gaussians are in memory.

use super::VideoModel;
use super::berth::Berth;
use crate::Result;
use std::ops::Range;
use std::path::Path;
use tessera_datasets::scene::SplatCloud;

impl VideoModel {
    /// Gaussians that wait will do so in a file in this folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn wait_in(&mut self, folder: &Path) -> Result<()> {
        self.waiting.move_to(folder)
    }

    /// Gaussians that wait on disk.
    pub fn waiting(&self) -> usize {
        self.waiting.total()
    }

    /// Gaussians in memory and on disk.
    pub fn total(&self) -> usize {
        self.len() + self.waiting()
    }

    /// Keeps in memory what may be seen between two moments, all of it and nothing else: others wait, and those that waited
    /// for these moments come back. Within a berth the order stays, wherever its Gaussians have been.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn hold(&mut self, between: [f64; 2]) -> Result<()> {
        let ticks = between.map(|seconds| self.hierarchy.tick_at(seconds));
        let hierarchy = self.hierarchy;
        let is_near = |berth: &Berth| berth.is_looked_at(&hierarchy, ticks);
        let (near, far): (Vec<_>, Vec<_>) = self.segments.drain(..).partition(|(berth, _)| is_near(berth));
        let coming: Vec<Berth> = self.waiting.keys().filter(is_near).collect();
        if far.is_empty() && coming.is_empty() {
            self.segments = near;
            return Ok(());
        }
        for (berth, rows) in far {
            self.waiting.put(berth, &self.records(rows))?;
        }
        let order: Vec<u32> = near.iter().flat_map(|(_, rows)| rows.start as u32..rows.end as u32).collect();
        let mut berths: Vec<Berth> = near.iter().flat_map(|(berth, rows)| rows.clone().map(|_| *berth)).collect();
        self.permute(&order);
        for berth in coming {
            let records = self.waiting.take(berth)?;
            self.add_records(&records);
            berths.resize(self.len(), berth);
        }
        self.arrange(&berths);
        self.give_back();
        Ok(())
    }

    /// Has the system read ahead what waits for the time between two moments.
    pub fn expect(&self, between: [f64; 2]) {
        let ticks = between.map(|seconds| self.hierarchy.tick_at(seconds));
        self.waiting.read_ahead(|berth| berth.is_looked_at(&self.hierarchy, ticks));
    }

    /// Gives back most of the memory of rows that wait.
    fn give_back(&mut self) {
        for plane in self.parameters_mut().into_iter().flat_map(|parameter| parameter.planes()) {
            if plane.capacity() > 2 * plane.len() {
                plane.shrink_to(plane.len() + plane.len() / 4);
            }
        }
        self.scratch = Vec::new();
    }

    /// Rows as records: parameter by parameter the values, the first moments and the second ones, and at the end the age.
    pub(super) fn records(&self, rows: Range<usize>) -> Vec<f32> {
        let mut records = Vec::with_capacity(rows.len() * Self::words(self.sh_degree));
        for row in rows {
            for parameter in self.parameters() {
                let part = row * parameter.columns()..(row + 1) * parameter.columns();
                let [first, second] = parameter.moments();
                [&parameter.values, first, second]
                    .iter()
                    .for_each(|plane| records.extend_from_slice(&plane[part.clone()]));
            }
            records.push(f32::from_bits(self.ages[row]));
        }
        records
    }

    /// Adds rows of records behind the others.
    fn add_records(&mut self, records: &[f32]) {
        for record in records.chunks_exact(Self::words(self.sh_degree)) {
            let mut rest = record;
            for parameter in self.parameters_mut() {
                let columns = parameter.columns();
                for plane in parameter.planes() {
                    let (values, behind) = rest.split_at(columns);
                    plane.extend_from_slice(values);
                    rest = behind;
                }
            }
            self.ages.push(rest[0].to_bits());
        }
    }

    /// Numbers in a record of a Gaussian: parameters with two moments each, and the age.
    pub(super) fn words(sh_degree: u8) -> usize {
        3 * (20 + 3 * SplatCloud::rest_coefficients(sh_degree)) + 1
    }
}
