//! `tessera convert`: between scene formats, with edits on the way.

mod frames;
mod meshes;
mod progress;
mod report;
mod sequence;
mod splats;

use crate::args::Convert;
use crate::console::{Console, UsageError};
use crate::inputs::{Run, scene_file};
use anyhow::Result;
use std::path::{Path, PathBuf};
use tessera_engine::datasets::format::volumetric::is_video_scene_name;
use tessera_engine::datasets::format::{Contents, Existing, MeshSequence};

/// Runs the command.
///
/// # Errors
/// When the input cannot be read, the output is in the way, or cannot be written.
pub fn run(args: &Convert, console: &Console) -> Result<()> {
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    if Run::find(&args.input)?.is_none()
        && let Some(moments) = MeshSequence::find(&args.input)?
    {
        if let Some(option) = splats_only(args) {
            return Err(UsageError(format!("{option} is for splats, and {} holds meshes", args.input.display())).into());
        }
        return sequence::convert(&moments, args, existing, console);
    }
    let input = input_file(&args.input)?;
    if is_video_scene_name(&input) {
        let moved = [
            (args.points, "--points"),
            (args.rotate.is_some(), "--rotate"),
            (args.scale.is_some(), "--scale"),
            (args.translate.is_some(), "--translate"),
        ];
        let moved = moved.into_iter().find(|(given, _)| *given).map(|(_, option)| option);
        if let Some(option) = splats_only(args).or(moved) {
            let message =
                format!("{option} is for scenes that do not move; convert the frames of {} first", input.display());
            return Err(UsageError(message).into());
        }
        return frames::convert(&input, args, console);
    }
    if args.frames.is_some() {
        return Err(UsageError(format!(
            "--frames is for moving scenes (.t4d) and meshes of several moments, and {} is none",
            input.display()
        ))
        .into());
    }
    let contents = Contents::of(&input)?;
    if contents != Contents::Splats || args.points {
        if let Some(option) = splats_only(args) {
            let becomes = if args.points { "becomes a point cloud" } else { "holds none" };
            return Err(UsageError(format!("{option} is for splats, and {} {becomes}", input.display())).into());
        }
        return meshes::convert(&input, contents, args, existing, console);
    }
    let mut inputs = vec![input];
    for other in &args.merge {
        inputs.push(input_file(other)?);
    }
    splats::convert(&inputs, args, existing, console)
}

fn input_file(path: &Path) -> Result<PathBuf> {
    let is_run = Run::find(path)?.is_some();
    scene_file(path, is_run)
}

/// An option that was given and makes sense for splats alone.
fn splats_only(args: &Convert) -> Option<&'static str> {
    let given = [
        (!args.merge.is_empty(), "--merge"),
        (args.crop.is_some(), "--crop"),
        (args.crop_sphere.is_some(), "--crop-sphere"),
        (args.seen_by.is_some(), "--seen-by"),
        (args.drop_floaters.is_some(), "--drop-floaters"),
        (args.min_opacity.is_some(), "--min-opacity"),
        (args.sh_degree.is_some(), "--sh-degree"),
        (args.max_splats.is_some(), "--max-splats"),
        (args.morton, "--morton"),
        (args.keep_order, "--keep-order"),
        (args.drop_invalid, "--drop-invalid"),
        (args.spz_version.is_some(), "--spz-version"),
        (args.sog_version.is_some(), "--sog-version"),
        (args.verify, "--verify"),
        (args.dry_run, "--dry-run"),
    ];
    given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
}
