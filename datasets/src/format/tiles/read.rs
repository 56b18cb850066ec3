//! Reading a streamed scene from a folder: its manifest, single pages, or all of its splats.

use super::{MANIFEST, Manifest};
use crate::format::stream::{SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Larger manifests are not read: more than the most nodes need.
const MAX_MANIFEST_BYTES: u64 = 512 << 20;

/// Reads the manifest of a scene: of the folder, or of the manifest itself.
///
/// # Errors
/// When it is missing, damaged, or larger than any scene's.
pub fn open_manifest(path: &Path) -> Result<Manifest> {
    let path = manifest_path(path);
    let unreadable = |e: std::io::Error| DataError::unreadable(&path, &e);
    let file = File::open(&path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(DataError::new(&path, "is larger than any scene's manifest").remedy("name a tiles.json"));
    }
    Manifest::parse(&bytes).map_err(|reason| DataError::new(&path, reason).remedy("export the scene again"))
}

fn manifest_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() }
}

/// The files with the pages of a scene on a disk.
#[derive(Debug)]
pub struct PageFiles {
    folder: PathBuf,
    open: Option<(u32, File)>,
}

impl PageFiles {
    /// Beside the manifest that [`open_manifest`] reads at this path.
    pub fn beside(path: &Path) -> Self {
        let folder = manifest_path(path).parent().map(Path::to_owned).unwrap_or_default();
        Self { folder, open: None }
    }

    /// The bytes of a page, as [`Manifest::decode_page`] takes them.
    ///
    /// # Errors
    /// When the file is missing, or ends before the page does.
    pub fn read(&mut self, manifest: &Manifest, node: u32) -> Result<Vec<u8>> {
        let location = manifest.pages[node as usize];
        let path = self.folder.join(&manifest.files[location.file as usize]);
        let unreadable = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => DataError::new(&path, "does not exist").remedy("copy the whole folder"),
            _ => DataError::unreadable(&path, &e),
        };
        let mut file = match self.open.take() {
            Some((number, file)) if number == location.file => file,
            _ => File::open(&path).map_err(unreadable)?,
        };
        // Memory only for what is there.
        let length = file.metadata().map_err(unreadable)?.len();
        if location.offset.saturating_add(location.length()) > length {
            let reason = format!("ends before page {node} does: it was cut off");
            return Err(DataError::new(&path, reason).remedy("copy it again"));
        }
        let mut bytes = vec![0; location.length() as usize];
        file.seek(SeekFrom::Start(location.offset)).map_err(unreadable)?;
        file.read_exact(&mut bytes).map_err(unreadable)?;
        self.open = Some((location.file, file));
        Ok(bytes)
    }
}

/// Opens the splats of the leaves as a scene.
pub(in crate::format) fn open_splats(path: &Path) -> Result<Box<dyn SplatSource>> {
    let manifest = open_manifest(path)?;
    let leaves = (0..manifest.tree.len() as u32).filter(|&node| manifest.tree.node(node).is_leaf()).rev().collect();
    Ok(Box::new(LeafReader { path: path.to_owned(), files: PageFiles::beside(path), manifest, leaves }))
}

struct LeafReader {
    path: PathBuf,
    manifest: Manifest,
    files: PageFiles,
    /// Those that are still to come, the next one last.
    leaves: Vec<u32>,
}

impl SplatSource for LeafReader {
    fn header(&self) -> &SplatHeader {
        &self.manifest.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        chunk.clear();
        while let Some(leaf) = self.leaves.pop() {
            let bytes = self.files.read(&self.manifest, leaf)?;
            let splats = self.manifest.decode_page(leaf, &bytes).map_err(|e| {
                DataError::new(&self.path, format!("page {leaf} {e}")).remedy("copy or export the scene again")
            })?;
            if !splats.is_empty() {
                *chunk = splats;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
