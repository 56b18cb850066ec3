//! Writing a streamed scene: splats are collected, the tree is built from the leaves up, and its pages are put in the order
//! of its levels.

use super::page::{self, EncodedPage};
use super::{MANIFEST, Manifest, PAGES, PageLocation, StartCamera};
use crate::format::spill::{Dealt, Spill};
use crate::format::stream::{FinishWatch, SplatHeader, SplatSink, inconsistent};
use crate::format::{AtomicFolder, Existing, WriteOptions};
use crate::scene::tile_tree::{Leaves, PAGE_SPLATS, PageSink, Partition, build, partition};
use crate::scene::{Bulk, SplatCloud};
use crate::{DataError, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Begins a folder with a streamed scene.
pub(in crate::format) fn create_splats(
    path: &Path,
    header: &SplatHeader,
    options: &WriteOptions,
    existing: Existing,
) -> Result<Box<dyn SplatSink>> {
    if path.file_name().is_some_and(|name| name == MANIFEST) {
        let reason = "is the name of a streamed scene's manifest, not of its folder";
        return Err(DataError::new(path, reason).remedy("name the folder, such as scene.tiles"));
    }
    let folder = AtomicFolder::create(path, existing)?;
    let spill = Spill::new(folder.temporary(), header).map_err(|e| folder.unwritable(&e))?;
    Ok(Box::new(TilesWriter { folder, header: header.clone(), options: options.clone(), spill }))
}

struct TilesWriter {
    folder: AtomicFolder,
    header: SplatHeader,
    options: WriteOptions,
    spill: Spill,
}

impl SplatSink for TilesWriter {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        if !chunk.is_consistent() || chunk.sh_degree != self.header.sh_degree {
            return Err(inconsistent(self.folder.path()));
        }
        self.spill.put(chunk).map_err(|e| self.folder.unwritable(&e))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.finish_watched(&mut |_, _| ControlFlow::Continue(())).map(drop)
    }

    fn finish_watched(self: Box<Self>, watch: FinishWatch<'_>) -> Result<bool> {
        let Self { folder, mut header, options, spill } = *self;
        let unwritable = |e: io::Error| folder.unwritable(&e);
        let means = &spill.means;
        if u32::try_from(means.len()).is_err() {
            return Err(DataError::new(folder.path(), "is not written, because it has more than 4 billion splats")
                .remedy("write fewer splats"));
        }
        header.count = means.len() as u64;
        let camera = options.camera.unwrap_or_else(|| StartCamera::before(means, options.up));
        let near = Some(Bulk::of(means).near());
        let partition = partition(means, PAGE_SPLATS);
        let leaf_of = partition.leaf_of_splats();
        let rows: Vec<_> =
            partition.leaves().iter().map(|&leaf| partition.nodes[leaf as usize].splats.clone()).collect();
        let dealt = spill.deal(folder.temporary(), &leaf_of, &rows).map_err(unwritable)?;
        drop(leaf_of);
        let store = PageStore {
            folder: &folder,
            partition: &partition,
            dealt,
            pages: Mutex::new(Pages::new(&folder, partition.nodes.len()).map_err(unwritable)?),
            watched: Mutex::new(Watched { watch, done: 0, total: header.count, is_stopped: false }),
        };
        let tree = match build(&partition, &store, &store) {
            Err(_) if store.is_stopped() => return Ok(false),
            built => built?,
        };
        let pages = store.pages.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut out = folder.file(PAGES)?;
        let pages = pages.write_in_order(&mut out).and_then(|pages| out.flush().map(|()| pages)).map_err(unwritable)?;
        drop(out);
        let files = vec![PAGES.to_owned()];
        let (up, camera, tree) = (options.up, Some(camera), Arc::new(tree));
        let manifest = Manifest { header, up, camera, near, tree, files, pages };
        folder.write(MANIFEST, &manifest.to_json())?;
        folder.commit().map(|()| true)
    }
}

/// Where leaves come from and encoded pages go to.
struct PageStore<'a> {
    folder: &'a AtomicFolder,
    partition: &'a Partition,
    dealt: Dealt,
    pages: Mutex<Pages>,
    watched: Mutex<Watched<'a>>,
}

/// How far building has come, by the splats of finished leaves.
struct Watched<'a> {
    watch: FinishWatch<'a>,
    done: u64,
    total: u64,
    is_stopped: bool,
}

impl PageStore<'_> {
    /// An error when nobody wants the scene any more.
    fn tell(&self, leaf_splats: u64) -> Result<()> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Watched { watch, done, total, is_stopped } = &mut *watched;
        *done += leaf_splats;
        *is_stopped |= watch(*done, *total).is_break();
        if *is_stopped {
            Err(DataError::new(self.folder.path(), "is not written, as was asked for").remedy("convert again"))
        } else {
            Ok(())
        }
    }

    fn is_stopped(&self) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).is_stopped
    }
}

impl Leaves for PageStore<'_> {
    fn leaf(&self, node: u32) -> Result<SplatCloud> {
        let rows = self.partition.nodes[node as usize].splats.clone();
        self.dealt.read(rows).map_err(|e| self.folder.unwritable(&e))
    }
}

impl PageSink for PageStore<'_> {
    fn page(&self, node: u32, splats: &SplatCloud) -> Result<()> {
        let is_leaf = self.partition.nodes[node as usize].children.is_empty();
        self.tell(if is_leaf { splats.len() as u64 } else { 0 })?;
        let encoded = page::encode(splats);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.add(node, &encoded).map_err(|e| self.folder.unwritable(&e))
    }
}

/// Pages in a temporary file, in the order in which they were finished.
struct Pages {
    file: File,
    end: u64,
    locations: Vec<PageLocation>,
}

impl Pages {
    fn new(folder: &AtomicFolder, nodes: usize) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder.temporary())?;
        Ok(Self { file, end: 0, locations: vec![PageLocation::default(); nodes] })
    }

    fn add(&mut self, node: u32, page: &EncodedPage) -> io::Result<()> {
        let parts = [&page.core, &page.harmonics];
        parts.iter().try_for_each(|part| self.file.write_all(part))?;
        let location = PageLocation {
            file: 0,
            offset: self.end,
            bytes: parts.map(|part| part.len() as u32),
            checksums: parts.map(|part| crc32fast::hash(part)),
        };
        self.end += location.length();
        self.locations[node as usize] = location;
        Ok(())
    }

    /// Writes the pages in the order of the tree and says where they are.
    fn write_in_order(mut self, out: &mut impl Write) -> io::Result<Vec<PageLocation>> {
        let mut offset = 0;
        let mut bytes = Vec::new();
        for location in &mut self.locations {
            bytes.resize(location.length() as usize, 0);
            self.file.seek(SeekFrom::Start(location.offset))?;
            self.file.read_exact(&mut bytes)?;
            out.write_all(&bytes)?;
            location.offset = offset;
            offset += location.length();
        }
        Ok(self.locations)
    }
}
