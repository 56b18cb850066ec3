//! The frames of a moving scene as files of splats that any program reads.

use crate::args::Convert;
use crate::console::{Console, UsageError};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{bytes, count_of};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tessera_engine::datasets::format::volumetric::VideoFile;
use tessera_engine::datasets::format::{self, SplatFormat};

/// Writes every frame, or those of `--frames`, in the coordinates of the capture.
///
/// # Errors
/// When the scene is damaged, there are no such frames, an output is in the way, or cannot be written.
pub fn convert(input: &Path, args: &Convert, console: &Console) -> Result<()> {
    let output = args.output.as_deref().context("name the output")?;
    let mut scene = VideoFile::open(input)?;
    let timeline = scene.manifest.timeline;
    let last = timeline.frames - 1;
    let frames = args.frames.clone().unwrap_or(0..=last);
    if *frames.end() > last {
        bail!("{}: has {} frames, numbered from 0; --frames goes beyond", input.display(), timeline.frames);
    }
    let pattern = Pattern::of(output);
    if pattern.is_none() && frames.start() != frames.end() {
        let message = "many frames need many names: put a number into the output's name, such as frame_%04d.ply";
        return Err(UsageError(message.to_owned()).into());
    }
    let name = |frame: u32| pattern.as_ref().map_or_else(|| output.to_owned(), |pattern| pattern.name(frame));
    SplatFormat::to_write(&name(0))?;
    if let Some(there) = frames.clone().map(name).find(|path| path.exists()).filter(|_| !args.force) {
        bail!("{}: exists already; choose another name, or replace it with --force", there.display());
    }
    let total = frames.clone().count();
    let mut progress = Progress::new(console, "writing frames");
    let mut written = 0;
    let is_whole = interrupt::stoppable(|stop| -> Result<bool> {
        for (done, frame) in frames.clone().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let splats = scene.at(timeline.seconds_of(frame))?.into_world();
            format::write_splats(name(frame), &splats, args.force)?;
            written += 1;
            progress.count(done + 1, total);
        }
        Ok(true)
    })?;
    drop(progress);
    if !is_whole {
        bail!("stopped after {} of {total} frames", written);
    }
    let size: u64 = frames.clone().map(|frame| std::fs::metadata(name(frame)).map_or(0, |m| m.len())).sum();
    if args.json {
        return console.result(json!({"output": output, "frames": total, "bytes": size}));
    }
    console.result(format_args!("{} ({}, {})", output.display(), count_of(total, "frame", "frames"), bytes(size)))
}

/// A name with a place for a number: `frame_%04d.ply`, `%d.spz`.
pub(super) struct Pattern {
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let text = path.to_str()?;
        let (before, rest) = text.rsplit_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() { 0 } else { digits.parse().ok().filter(|digits| *digits <= 12)? };
        Some(Self { before: before.to_owned(), digits, after: after.to_owned() })
    }

    pub(super) fn name(&self, number: u32) -> PathBuf {
        let Self { before, digits, after } = self;
        PathBuf::from(format!("{before}{number:0digits$}{after}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_numbers_where_they_say() {
        let name = |pattern: &str| Pattern::of(Path::new(pattern)).map(|pattern| pattern.name(7));
        assert_eq!(name("out/frame_%04d.ply"), Some("out/frame_0007.ply".into()));
        assert_eq!(name("%d.spz"), Some("7.spz".into()));
        assert_eq!(name("scene.ply"), None);
        assert_eq!(name("100%.ply"), None);
    }
}
