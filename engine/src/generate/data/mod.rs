//! What models learn from: made shapes, or a folder of meshes.

mod cache;
mod family;
mod folder;
mod sample;
mod solids;

pub use cache::Cache;
pub use family::{CLASSES, made};
pub use sample::{
    BLOCK, COARSE, FINE, PIECES, SURROUNDINGS, Sample, VOXELS, Volume, blocks_near, from_pieces, pieces, surroundings,
    to_pieces,
};

use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// More blocks than a made thing has near its surface.
pub const BLOCKS_OF_MADE: usize = 1500;
/// Held-out things have numbers from here on.
const HELD_OUT: u64 = 1 << 32;

/// Shapes to learn from, and such that models never see.
#[derive(Clone, Debug)]
pub struct Data {
    /// Names of classes.
    pub classes: Vec<String>,
    /// What models learn from.
    pub train: Vec<Sample>,
    /// What they are compared with.
    pub test: Vec<Sample>,
}

impl Data {
    /// How many shapes there are.
    pub fn len(&self) -> usize {
        self.train.len() + self.test.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most blocks near its surface that a shape has.
    pub fn most_blocks(&self) -> usize {
        self.train.iter().chain(&self.test).map(|sample| sample.fine.len() / VOXELS).max().unwrap_or(0)
    }

    /// Made shapes: so many of each class to learn from, and so many held out.
    pub fn made(train: usize, test: usize, seed: u64) -> Self {
        let of = |first: u64, count: usize| {
            let all: Vec<(usize, u64)> =
                (0..count as u64).flat_map(|i| (0..CLASSES.len()).map(move |c| (c, first + i))).collect();
            let sample = |(class, index): (usize, u64)| {
                let thing = made(class, seed, index);
                Sample::new(class as u32, |p| thing.distance(p.map(|x| x - 0.5)))
            };
            all.into_par_iter().map(sample).collect()
        };
        let classes = CLASSES.iter().map(|name| (*name).to_owned()).collect();
        Self { classes, train: of(0, train), test: of(HELD_OUT, test) }
    }

    /// The meshes in a folder: in folders of their own, which name their classes, or all of one class. Every `every`-th of a class is held out.
    /// `progress` is told how many of how many are done. What `cache` has of a mesh is not computed again.
    ///
    /// # Errors
    /// When a mesh cannot be read or has no inside, when there are none, or when `stop` became true.
    pub fn of_folder(
        folder: &Path,
        every: usize,
        stop: &AtomicBool,
        progress: &(dyn Fn(usize, usize) + Sync),
        cache: &Cache<'_>,
    ) -> Result<Self> {
        let (classes, files) = folder::meshes(folder)?;
        let done = std::sync::atomic::AtomicUsize::new(0);
        let samples = files.par_iter().map(|(label, path)| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted("the meshes were not all read".to_owned()));
            }
            let sample = folder::kept_sample(*label, path, cache)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, files.len());
            Ok(sample)
        });
        let samples = samples.collect::<Result<Vec<Sample>>>()?;
        let mut own = Self { classes, train: Vec::new(), test: Vec::new() };
        let mut seen = vec![0usize; own.classes.len()];
        for sample in samples {
            let number = &mut seen[sample.label as usize];
            *number += 1;
            let held_out = every > 0 && number.is_multiple_of(every);
            if held_out { &mut own.test } else { &mut own.train }.push(sample);
        }
        Ok(own)
    }
}
