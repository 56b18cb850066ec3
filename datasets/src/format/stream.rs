//! Splat files in pieces: a scene passes through the program a chunk at a time, so that converting needs memory for
//! a chunk and not for the scene.
//!
//! A reader is a [`SplatSource`], a writer a [`SplatSink`]. What lies between them (cropping, rotating) works on chunks too.

use crate::camera::Similarity;
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use std::borrow::Borrow;
use std::ops::ControlFlow;
use std::path::Path;

/// Splats in a chunk: at degree 3 some 16 MB, enough to make calls and system calls rare.
pub const CHUNK_SPLATS: usize = 65_536;

/// What a splat file says before its first splat.
#[derive(Clone, Debug, PartialEq)]
pub struct SplatHeader {
    /// Number of splats.
    pub count: u64,
    /// Degree of the spherical harmonics, 0 to 3.
    pub sh_degree: u8,
    /// Whether the splats must be drawn with the antialiased (mip) low-pass filter.
    pub antialiased: bool,
    /// From the world in which the splats were captured to the one in which they are stored.
    pub scene_from_world: Similarity,
}

impl SplatHeader {
    /// What a file of this cloud says.
    pub fn of(cloud: &SplatCloud) -> Self {
        Self {
            count: cloud.len() as u64,
            sh_degree: cloud.sh_degree,
            antialiased: cloud.antialiased,
            scene_from_world: cloud.scene_from_world,
        }
    }

    /// A cloud without splats that this header describes, with room for `n`.
    pub fn empty_cloud(&self, n: usize) -> SplatCloud {
        let mut cloud = SplatCloud::with_capacity(n, self.sh_degree);
        cloud.antialiased = self.antialiased;
        cloud.scene_from_world = self.scene_from_world;
        cloud
    }
}

/// Gives the splats of a file, chunk after chunk, in the file's order. It may work on another thread than what takes them.
pub trait SplatSource: Send {
    /// What the file says about all of them.
    fn header(&self) -> &SplatHeader;

    /// Replaces what is in `chunk`, which [`SplatHeader::empty_cloud`] made, by the next splats: at most
    /// [`CHUNK_SPLATS`], at least one unless the scene has ended. False at the end.
    ///
    /// # Errors
    /// When the file is truncated, damaged, or holds values that are not finite.
    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool>;

    /// From now on, splats with numbers that are not finite are left out and counted where the format can have such; they are
    /// an error otherwise.
    fn skip_invalid(&mut self) {}

    /// How many were left out so far.
    fn skipped(&self) -> u64 {
        0
    }
}

/// Takes the splats of a scene, chunk after chunk, and becomes a file when it is finished. Dropped before that, it
/// leaves nothing behind.
pub trait SplatSink: Send {
    /// Adds splats. Their degree is that of the header the sink was made with.
    ///
    /// # Errors
    /// When the arrays of the chunk differ in length, or the disk refuses.
    fn put(&mut self, chunk: &SplatCloud) -> Result<()>;

    /// What numbers it can hold. Those beyond are cut off.
    fn ranges(&self) -> ValueRanges {
        ValueRanges::ALL
    }

    /// Writes what is still missing and gives the file its name. How many splats came decides what the file says, not
    /// what the header announced.
    ///
    /// # Errors
    /// When the disk refuses, or the file is in the way and to be kept.
    fn finish(self: Box<Self>) -> Result<()>;

    /// [`Self::finish`] for a user who waits, where that takes long: `watch` hears how far it has come, and may break it off,
    /// which is told by false and leaves nothing behind.
    ///
    /// # Errors
    /// As [`Self::finish`].
    fn finish_watched(self: Box<Self>, _: FinishWatch<'_>) -> Result<bool> {
        self.finish().map(|()| true)
    }
}

/// The least and the largest numbers that a format holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueRanges {
    /// Coefficients of degree 0.
    pub sh0: [f32; 2],
    /// Logarithms of standard deviations.
    pub log_scales: [f32; 2],
    /// Coefficients above degree 0.
    pub sh_rest: [f32; 2],
}

impl ValueRanges {
    /// Whatever there is.
    pub const ALL: Self = {
        let all = [f32::NEG_INFINITY, f32::INFINITY];
        Self { sh0: all, log_scales: all, sh_rest: all }
    };
}

/// Hears how many splats of how many are done.
pub type FinishWatch<'a> = &'a mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send);

/// Refuses what no sink for `sh_degree` can take; `path` is that of its file.
///
/// # Errors
/// When its arrays differ in length, or its degree is another.
pub fn check_chunk(chunk: &SplatCloud, sh_degree: u8, path: &Path) -> Result<()> {
    if chunk.is_consistent() && chunk.sh_degree == sh_degree {
        return Ok(());
    }
    Err(inconsistent(path))
}

/// What is said about a scene that no file can hold.
pub(in crate::format) fn inconsistent(path: &Path) -> DataError {
    DataError::new(path, "is not written, because the scene's arrays differ in length")
        .remedy("give every splat all of its values")
}

/// Reads all that is left of a source into memory.
///
/// # Errors
/// As [`SplatSource::next_chunk`].
pub fn collect(source: &mut dyn SplatSource) -> Result<SplatCloud> {
    let header = source.header().clone();
    // The count is what the file claims: memory grows with what is really there.
    let expected = usize::try_from(header.count).unwrap_or(usize::MAX);
    let mut cloud = header.empty_cloud(expected.min(CHUNK_SPLATS));
    let mut chunk = header.empty_cloud(0);
    while source.next_chunk(&mut chunk)? {
        cloud.append(&chunk);
    }
    Ok(cloud)
}

/// A cloud in memory, owned or borrowed, as a source.
pub struct CloudSource<C> {
    cloud: C,
    header: SplatHeader,
    next: usize,
}

impl<C: Borrow<SplatCloud>> CloudSource<C> {
    /// Starts at the first splat.
    pub fn new(cloud: C) -> Self {
        let header = SplatHeader::of(cloud.borrow());
        Self { cloud, header, next: 0 }
    }
}

impl<C: Borrow<SplatCloud> + Send> SplatSource for CloudSource<C> {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let cloud = self.cloud.borrow();
        let end = cloud.len().min(self.next + CHUNK_SPLATS);
        chunk.clear();
        chunk.append_range(cloud, self.next..end);
        self.next = end;
        Ok(!chunk.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_passes_through_chunks_unchanged() {
        let mut cloud = SplatCloud::with_capacity(0, 1);
        for i in 0..CHUNK_SPLATS + 3 {
            let x = i as f32;
            cloud.means.push([x, 0.0, -x]);
            cloud.log_scales.push([x; 3]);
            cloud.quats.push([1.0, x, 0.0, 0.0]);
            cloud.opacity_logits.push(-x);
            cloud.sh0.push([0.5, x, 0.0]);
            cloud.sh_rest.extend([x; 9]);
        }
        assert_eq!(collect(&mut CloudSource::new(&cloud)).expect("nothing can fail"), cloud);
    }
}
