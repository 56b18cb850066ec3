//! From the blocks' splats to one scene, a chunk at a time: memory does not grow with the scene.

use super::plan::Plan;
use crate::Result;
use std::path::{Path, PathBuf};
use tessera_datasets::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSink};
use tessera_datasets::format::{Existing, WriteOptions, create_splats, open_splats};

/// The scene in levels of detail, in the run folder.
pub const TILES_FOLDER: &str = "scene.tiles";

/// Joins the splats of all blocks, which have been cut to their cells, in the order of the plan. With `tiles`, the scene is also
/// written in levels of detail. Returns what was written.
///
/// # Errors
/// When a block cannot be read or the disk refuses.
pub(super) fn merge(blocks: &[PathBuf], plan: &Plan, scene: &Path, tiles: Option<&Path>) -> Result<Vec<PathBuf>> {
    let header = joined_header(blocks)?;
    let options = WriteOptions { up: Some(plan.ground.up().map(|v| v as f32)), ..WriteOptions::default() };
    let outputs: Vec<PathBuf> = std::iter::once(scene).chain(tiles).map(Path::to_owned).collect();
    let mut sinks: Vec<Box<dyn SplatSink>> = Vec::new();
    for output in &outputs {
        sinks.push(create_splats(output, &header, &options, Existing::Replace)?);
    }
    let mut chunk = header.empty_cloud(CHUNK_SPLATS);
    for block in blocks {
        let mut source = open_splats(block)?;
        while source.next_chunk(&mut chunk)? {
            for sink in &mut sinks {
                sink.put(&chunk)?;
            }
        }
    }
    for sink in sinks {
        sink.finish()?;
    }
    Ok(outputs)
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
    joined.ok_or_else(|| crate::Error::setting("there are no blocks to join"))
}
