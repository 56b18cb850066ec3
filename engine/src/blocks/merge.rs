//! From the blocks' splats to one scene, a chunk at a time: memory does not grow with the scene.

use super::plan::Plan;
use super::tint::Tint;
use crate::Result;
use std::path::{Path, PathBuf};
use tessera_datasets::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSink};
use tessera_datasets::format::tiles::StartCamera;
use tessera_datasets::format::{Existing, WriteOptions, create_splats, open_splats};
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::splat::spherical_harmonics::Y0;

/// The scene in levels of detail, in the run folder.
pub const TILES_FOLDER: &str = "scene.tiles";

/// Where a joined scene is written, and what its levels of detail say of it.
#[derive(Clone, Copy)]
pub(crate) struct Joined<'a> {
    pub plan: &'a Plan,
    /// Where to begin looking from, and up there, if not from before its middle.
    pub start: Option<(StartCamera, [f32; 3])>,
    pub scene: &'a Path,
    pub tiles: Option<&'a Path>,
}

/// Joins the splats of all blocks, which have been cut to their cells, in the order of the plan and each in its tint. With `tiles`,
/// the scene is also written in levels of detail. Returns what was written.
///
/// # Errors
/// When a block cannot be read or the disk refuses.
pub(crate) fn merge(blocks: &[PathBuf], tints: &[Tint], to: Joined<'_>) -> Result<Vec<PathBuf>> {
    let header = joined_header(blocks)?;
    let mut outputs = Outputs::begin(&header, to)?;
    let mut chunk = header.empty_cloud(CHUNK_SPLATS);
    for (block, tint) in blocks.iter().zip(tints) {
        let mut source = open_splats(block)?;
        while source.next_chunk(&mut chunk)? {
            apply(tint, &mut chunk);
            outputs.put(&chunk)?;
        }
    }
    outputs.finish()
}

/// As [`merge`], of blocks that are in memory, all in the same world and of the same degree.
///
/// # Errors
/// When there are none or the disk refuses.
pub(crate) fn write_joined(blocks: &[SplatCloud], to: Joined<'_>) -> Result<Vec<PathBuf>> {
    let first = blocks.first().ok_or_else(no_blocks)?;
    let count = blocks.iter().map(|cloud| cloud.len() as u64).sum();
    let header = SplatHeader { count, ..SplatHeader::of(first) };
    let mut outputs = Outputs::begin(&header, to)?;
    for cloud in blocks {
        for begin in (0..cloud.len()).step_by(CHUNK_SPLATS) {
            let mut chunk = header.empty_cloud(CHUNK_SPLATS);
            chunk.append_range(cloud, begin..cloud.len().min(begin + CHUNK_SPLATS));
            outputs.put(&chunk)?;
        }
    }
    outputs.finish()
}

/// Multiplies the colours of splats.
pub(crate) fn apply(tint: &Tint, cloud: &mut SplatCloud) {
    if *tint == [1.0; 3] {
        return;
    }
    let gain = tint.map(|gain| gain as f32);
    // Colours are harmonics and one half.
    let offset = gain.map(|gain| 0.5 * (gain - 1.0) / Y0 as f32);
    for colour in &mut cloud.sh0 {
        *colour = std::array::from_fn(|c| gain[c] * colour[c] + offset[c]);
    }
    for colour in cloud.sh_rest.chunks_exact_mut(3) {
        colour.iter_mut().zip(gain).for_each(|(value, gain)| *value *= gain);
    }
}

/// The files that a joined scene is written to.
struct Outputs {
    paths: Vec<PathBuf>,
    sinks: Vec<Box<dyn SplatSink>>,
}

impl Outputs {
    fn begin(header: &SplatHeader, to: Joined<'_>) -> Result<Self> {
        let Joined { plan, start, scene, tiles } = to;
        let up = start.map_or_else(|| plan.ground.up().map(|v| v as f32), |(_, up)| up);
        let camera = start.map(|(camera, _)| camera);
        let options = WriteOptions { up: Some(up), camera, ..WriteOptions::default() };
        let paths: Vec<PathBuf> = std::iter::once(scene).chain(tiles).map(Path::to_owned).collect();
        let mut sinks: Vec<Box<dyn SplatSink>> = Vec::new();
        for path in &paths {
            sinks.push(create_splats(path, header, &options, Existing::Replace)?);
        }
        Ok(Self { paths, sinks })
    }

    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        for sink in &mut self.sinks {
            sink.put(chunk)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<PathBuf>> {
        for sink in self.sinks {
            sink.finish()?;
        }
        Ok(self.paths)
    }
}

fn no_blocks() -> crate::Error {
    crate::Error::setting("there are no blocks to join")
}

/// What the joined file says: the blocks were trained with the same settings.
fn joined_header(blocks: &[PathBuf]) -> Result<SplatHeader> {
    let mut joined: Option<SplatHeader> = None;
    for block in blocks {
        let header = open_splats(block)?.header().clone();
        match &mut joined {
            Some(joined) => joined.count += header.count,
            None => joined = Some(header),
        }
    }
    joined.ok_or_else(no_blocks)
}
