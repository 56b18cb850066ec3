//! Writing streamed SOG: the scene is divided in space into regions, and each region is simplified level by level. A level of
//! several regions is a SOG scene. What is in memory at a time are the splats of one of these, and all splats' places.

use super::meta::LodMeta;
use super::tree::{Description, Node};
use crate::format::spill::{Dealt, Spill};
use crate::format::stream::{FinishWatch, SplatHeader, SplatSink};
use crate::format::{Existing, Staged, sog};
use crate::scene::tile_tree::{Bounds, REDUCTION, partition};
use crate::scene::{SplatCloud, morton_order, simplify_to};
use crate::{DataError, Result};
use rayon::prelude::*;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;

/// Splats of a region at the finest level, at most. Viewers choose the level of each region on its own.
const REGION_SPLATS: usize = 65_536;
/// Splats of a SOG scene, at most: what splat-transform makes them of. Each brings a palette of its own.
const SCENE_SPLATS: usize = 512 * 1024;
/// The coarsest level has no more splats than this in all: there at once on any connection, drawn by any device.
const COARSEST_SPLATS: usize = 65_536;

/// Begins a streamed scene, whose description is `path`.
///
/// # Errors
/// When a file is in the way and to be kept, or the disk refuses.
pub(in crate::format) fn create_splats(
    path: &Path,
    header: &SplatHeader,
    existing: Existing,
) -> Result<Box<dyn SplatSink>> {
    let staged = Staged::new(path, existing)?;
    let spill = Spill::new(staged.folder(), header).map_err(|e| DataError::unwritable(path, &e))?;
    Ok(Box::new(Writer { staged, header: header.clone(), spill }))
}

struct Writer {
    staged: Staged,
    header: SplatHeader,
    spill: Spill,
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        sog::check_splats(chunk, self.header.sh_degree, self.spill.means.len() as u64, self.staged.place())?;
        self.spill.put(chunk).map_err(|e| DataError::unwritable(self.staged.place(), &e))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.finish_watched(&mut |_, _| ControlFlow::Continue(())).map(drop)
    }

    fn finish_watched(self: Box<Self>, watch: FinishWatch<'_>) -> Result<bool> {
        let Self { staged, header, spill } = *self;
        let path = staged.place();
        let total = spill.means.len();
        if total == 0 {
            return Err(sog::empty(path));
        }
        if u32::try_from(total).is_err() {
            return Err(DataError::new(path, "is not written, because it has more than 4 billion splats")
                .remedy("write fewer splats"));
        }
        let unwritable = |e: io::Error| DataError::unwritable(path, &e);
        let partition = partition(&spill.means, REGION_SPLATS);
        let regions = partition.leaves();
        let rows: Vec<_> = regions.iter().map(|&leaf| partition.nodes[leaf as usize].splats.clone()).collect();
        let dealt = spill.deal(staged.folder(), &partition.leaf_of_splats(), &rows).map_err(unwritable)?;
        let mut levels = Levels {
            staged: &staged,
            header: &header,
            bounds: vec![Bounds::EMPTY; rows.len()],
            description: Description::new(rows.len()),
        };
        let (mut source, mut rows) = (dealt, rows);
        // Every level takes about as long for each of its splats.
        let all: usize = counts(&rows).iter().sum();
        let mut done = 0;
        let mut advance = |splats: usize| {
            done += splats;
            watch((done as u64 * total as u64) / all.max(1) as u64, total as u64)
        };
        loop {
            let is_coarsest = rows_of(&rows) <= COARSEST_SPLATS;
            let Some(coarser) = levels.write(&source, &rows, is_coarsest, &mut advance)? else { return Ok(false) };
            match coarser {
                Some((coarser, coarser_rows)) => (source, rows) = (coarser, coarser_rows),
                None => break,
            }
        }
        let Levels { bounds, description, .. } = levels;
        let tree = Node::over(&partition, &regions, &bounds);
        let json = description.to_json(&tree);
        std::fs::write(staged.path(), json).map_err(unwritable)?;
        drop(source);
        staged.commit().map(|()| true)
    }
}

/// What a level leaves for the next one: the splats, and which rows those of each region are.
type Coarser = (Dealt, Vec<Range<usize>>);

/// Levels on their way to the disk.
struct Levels<'a> {
    staged: &'a Staged,
    header: &'a SplatHeader,
    /// By region, around all levels.
    bounds: Vec<Bounds>,
    description: Description,
}

impl Levels<'_> {
    /// Writes a level, and makes the next one of it unless it is the coarsest. Nothing when it was broken off.
    fn write(
        &mut self,
        source: &Dealt,
        rows: &[Range<usize>],
        is_coarsest: bool,
        advance: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Option<Coarser>>> {
        let refused = |e: io::Error| DataError::unwritable(self.staged.place(), &e);
        let level = self.description.begin_level();
        let mut next = Spill::new(self.staged.folder(), self.header).map_err(refused)?;
        let mut next_rows = Vec::new();
        for (number, regions) in scenes(rows).into_iter().enumerate() {
            let first = rows[regions.start].start;
            let cloud = source.read(first..rows[regions.end - 1].end).map_err(refused)?;
            let own: Vec<_> = rows[regions.clone()].iter().map(|r| r.start - first..r.end - first).collect();
            let simplify = |rows: &Range<usize>| {
                let mut region = self.header.empty_cloud(rows.len());
                region.append_range(&cloud, rows.clone());
                let bounds = Bounds::of_splats(&region);
                let coarser = (!is_coarsest).then(|| simplify_to(&region, rows.len().div_ceil(REDUCTION)));
                (bounds, coarser)
            };
            let (files, coarser) = rayon::join(
                || sog::encode_in_order(&cloud, sog::SogVersion::V2, order(&cloud, &own)),
                || own.par_iter().map(simplify).collect::<Vec<_>>(),
            );
            let files = files.map_err(|e| sog::unencodable(self.staged.place(), &e))?;
            let name = format!("{level}_{number}");
            write_scene(&self.staged.folder().join(&name), &files).map_err(refused)?;
            self.description.add_scene(&name, regions.clone(), &own);
            for (region, (bounds, coarser)) in regions.zip(coarser) {
                self.bounds[region] = self.bounds[region].joined(&bounds);
                if let Some(coarser) = coarser {
                    let start = next.means.len();
                    next.put(&coarser).map_err(refused)?;
                    next_rows.push(start..next.means.len());
                }
            }
            if advance(cloud.len()).is_break() {
                return Ok(None);
            }
        }
        if is_coarsest {
            return Ok(Some(None));
        }
        Ok(Some(Some((next.in_order().map_err(refused)?, next_rows))))
    }
}

/// Splats of all levels that will be made, the finest first.
fn counts(rows: &[Range<usize>]) -> Vec<usize> {
    let mut regions: Vec<usize> = rows.iter().map(Range::len).collect();
    let mut counts = vec![regions.iter().sum()];
    while counts.last().is_some_and(|&last| last > COARSEST_SPLATS) {
        regions.iter_mut().for_each(|region| *region = region.div_ceil(REDUCTION));
        counts.push(regions.iter().sum());
    }
    counts
}

fn rows_of(rows: &[Range<usize>]) -> usize {
    rows.iter().map(Range::len).sum()
}

/// Which neighbouring regions share a SOG scene.
fn scenes(rows: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut scenes: Vec<Range<usize>> = Vec::new();
    let mut splats = 0;
    for (region, rows) in rows.iter().enumerate() {
        match scenes.last_mut().filter(|_| splats + rows.len() <= SCENE_SPLATS) {
            Some(scene) => scene.end = region + 1,
            None => {
                scenes.push(region..region + 1);
                splats = 0;
            }
        }
        splats += rows.len();
    }
    scenes
}

/// Morton order within each range of splats.
fn order(cloud: &SplatCloud, ranges: &[Range<usize>]) -> Vec<u32> {
    let within = |range: &Range<usize>| {
        let first = range.start as u32;
        morton_order(&cloud.means[range.clone()]).into_iter().map(move |i| first + i)
    };
    ranges.iter().flat_map(within).collect()
}

fn write_scene(folder: &Path, files: &[sog::SogFile]) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    files.iter().try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))
}

/// The folders of the SOG scenes that a description names, if they are of this writer's or splat-transform's making.
pub(in crate::format) fn scenes_of(path: &Path) -> Vec<String> {
    let meta = std::fs::read(path).ok().and_then(|bytes| LodMeta::parse(&bytes).ok());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let folder = |file: String| {
        let folder = file.strip_suffix("/meta.json")?;
        let (level, number) = folder.split_once('_')?;
        (is_number(level) && is_number(number)).then(|| folder.to_owned())
    };
    meta.map_or_else(Vec::new, |meta| meta.files.into_iter().filter_map(folder).collect())
}
