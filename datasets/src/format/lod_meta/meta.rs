//! `lod-meta.json`: which runs of which SOG scenes are the finest level.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// The most SOG scenes that a streamed scene may consist of.
const MAX_FILES: usize = 1 << 16;
/// The most splats in a scene, a guard like that of SOG itself.
const MAX_SPLATS: u64 = 1 << 30;

/// What there is to read.
#[derive(Debug, PartialEq)]
pub(super) struct LodMeta {
    /// The descriptions of the SOG scenes, relative to this one.
    pub files: Vec<String>,
    /// Another scene, which is drawn always.
    pub environment: Option<String>,
    /// The finest level of every leaf, by file.
    pub runs: Vec<Run>,
}

/// Neighbouring splats of a SOG scene.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub file: usize,
    pub splats: Range<usize>,
}

#[derive(Deserialize)]
struct Raw {
    version: Option<u64>,
    environment: Option<String>,
    filenames: Vec<String>,
    tree: RawNode,
}

#[derive(Deserialize)]
struct RawNode {
    #[serde(default)]
    children: Vec<RawNode>,
    #[serde(default)]
    lods: BTreeMap<u32, RawRun>,
}

#[derive(Deserialize)]
struct RawRun {
    file: u64,
    offset: u64,
    count: u64,
}

impl LodMeta {
    /// Understands the file.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|e| format!("does not describe a streamed scene ({e})"))?;
        if let Some(version) = raw.version.filter(|&version| version != 1) {
            return Err(format!("is of version {version}, and only version 1 is known"));
        }
        if raw.filenames.len() > MAX_FILES {
            return Err(format!("names {} files, more than any scene needs", raw.filenames.len()));
        }
        let mut runs = Vec::new();
        let mut pending = vec![&raw.tree];
        while let Some(node) = pending.pop() {
            pending.extend(node.children.iter().rev());
            // An inner node may repeat in coarse levels what its leaves show in the finest one.
            if let Some(run) = node.lods.values().next().filter(|_| node.children.is_empty()) {
                runs.push(run.checked(raw.filenames.len())?);
            }
        }
        runs.sort_by_key(|run| (run.file, run.splats.start, run.splats.end));
        if let Some(pair) = runs.windows(2).find(|p| p[0].file == p[1].file && p[0].splats.end > p[1].splats.start) {
            return Err(format!("shows splats of '{}' in two places", raw.filenames[pair[0].file]));
        }
        if runs.iter().map(|run| run.splats.len() as u64).sum::<u64>() > MAX_SPLATS {
            return Err("claims more splats than any scene has".to_owned());
        }
        Ok(Self { files: raw.filenames, environment: raw.environment, runs })
    }
}

impl RawRun {
    fn checked(&self, files: usize) -> Result<Run, String> {
        let end = self.offset.checked_add(self.count).filter(|&end| end <= MAX_SPLATS);
        match (end, self.file < files as u64) {
            (Some(end), true) => Ok(Run { file: self.file as usize, splats: self.offset as usize..end as usize }),
            (None, _) => Err("has runs beyond all splats".to_owned()),
            (_, false) => Err(format!("refers to file {}, and names {files}", self.file)),
        }
    }
}
