//! Reading streamed SOG as a scene: one SOG scene after the other, of which only the finest runs are taken.

use super::LOD_META;
use super::meta::{LodMeta, Run};
use crate::files::Files;
use crate::format::sog::{self, SogSource};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Larger descriptions are not read.
const MAX_META_BYTES: u64 = 256 << 20;

/// Opens the folder of a streamed scene, or its description.
///
/// # Errors
/// When files are missing or damaged, or contradict each other.
pub(in crate::format) fn open_splats(path: &Path) -> Result<Box<dyn SplatSource>> {
    let (folder, name) = if path.is_dir() {
        (path, LOD_META.to_owned())
    } else {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (folder, path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
    };
    let files = Files::open(folder)?;
    let path = files.display_path(&name);
    let bytes = files.read_prefix(&name, MAX_META_BYTES + 1)?;
    if bytes.len() as u64 > MAX_META_BYTES {
        return Err(DataError::new(path, "is larger than any scene's description").remedy("name a lod-meta.json"));
    }
    let meta =
        LodMeta::parse(&bytes).map_err(|reason| DataError::new(&path, reason).remedy("export the scene again"))?;
    Ok(Box::new(LodReader::new(&files, path, meta)?))
}

struct LodReader {
    header: SplatHeader,
    /// Of the description, for messages.
    path: PathBuf,
    /// Of the SOG scenes, the environment last.
    scenes: Vec<PathBuf>,
    runs: VecDeque<Run>,
    open: Option<(usize, SogSource)>,
    decoded: SplatCloud,
}

impl LodReader {
    fn new(files: &Files, path: PathBuf, meta: LodMeta) -> Result<Self> {
        let LodMeta { files: names, environment, runs } = meta;
        let mut runs = VecDeque::from(runs);
        let mut scenes = Vec::new();
        for name in names.iter().chain(&environment) {
            if !files.is_inside(name) {
                let reason = format!("names the file '{name}', which lies outside of its folder");
                return Err(DataError::new(path, reason).remedy("export the scene again"));
            }
            scenes.push(files.display_path(name));
        }
        let mut open = None;
        if environment.is_some() {
            // How much it has is said nowhere else. It comes first and is open then.
            let last = scenes.len() - 1;
            let scene = sog::open(&scenes[last])?;
            runs.push_front(Run { file: last, splats: 0..scene.header().count as usize });
            open = Some((last, scene));
        } else if let Some(run) = runs.front() {
            open = Some((run.file, sog::open(&scenes[run.file])?));
        }
        let Some((_, first)) = &open else {
            return Err(DataError::new(path, "shows no splats").remedy("export the scene again"));
        };
        // The environment alone may have no harmonics while the rest has.
        let degree = |run: &Run| sog::open(&scenes[run.file]).map(|scene| scene.header().sh_degree);
        let second = runs.get(1).filter(|_| environment.is_some()).map(degree).transpose()?;
        let header = SplatHeader {
            count: runs.iter().map(|run| run.splats.len() as u64).sum(),
            sh_degree: first.header().sh_degree.max(second.unwrap_or(0)),
            ..first.header().clone()
        };
        let decoded = first.header().empty_cloud(0);
        Ok(Self { header, path, scenes, runs, open, decoded })
    }

    /// Opens the scene of a run, unless it is open.
    fn scene(&mut self, run: &Run) -> Result<&SogSource> {
        let open = match self.open.take() {
            Some((file, scene)) if file == run.file => scene,
            _ => sog::open(&self.scenes[run.file])?,
        };
        let path = &self.scenes[run.file];
        let header = open.header();
        if run.splats.end as u64 > header.count {
            let reason = format!("refers to splat {} of {}", run.splats.end, path.display());
            let reason = format!("{reason}, which has {}", header.count);
            return Err(DataError::new(&self.path, reason).remedy("export the scene again"));
        }
        if header.sh_degree > self.header.sh_degree {
            let reason = format!("has harmonics of degree {}, more than the scenes before", header.sh_degree);
            return Err(DataError::new(path, reason).remedy("export the scene again"));
        }
        Ok(&self.open.insert((run.file, open)).1)
    }
}

impl SplatSource for LodReader {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        chunk.clear();
        while let Some(mut run) = self.runs.pop_front() {
            if run.splats.is_empty() {
                continue;
            }
            let end = run.splats.end.min(run.splats.start + CHUNK_SPLATS);
            let mut decoded = std::mem::replace(&mut self.decoded, self.header.empty_cloud(0));
            let scene = self.scene(&run)?;
            decoded.sh_degree = scene.header().sh_degree;
            scene.decode(run.splats.start..end, &mut decoded)?;
            chunk.append_raised(&decoded);
            self.decoded = decoded;
            run.splats.start = end;
            self.runs.push_front(run);
            return Ok(true);
        }
        Ok(false)
    }
}
