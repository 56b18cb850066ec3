//! `tessera convert`: between scene formats, with edits on the way.

mod progress;
mod report;
mod splats;

use crate::args::Convert;
use crate::console::{Console, UsageError};
use crate::inputs::{Run, scene_file};
use crate::report::{bytes, count};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tessera_engine::datasets::capture::Point;
use tessera_engine::datasets::format::quantise::colour_of_sh0;
use tessera_engine::datasets::format::{self, Existing, ply};
use tessera_engine::datasets::scene::SplatCloud;

/// Longer headers are not looked through.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Runs the command.
///
/// # Errors
/// When the input cannot be read, the output is in the way, or cannot be written.
pub fn run(args: &Convert, console: &Console) -> Result<()> {
    let input = input_file(&args.input)?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    if is_point_cloud(&input)? || args.points {
        return convert_points(&input, args, existing, console);
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

fn convert_points(input: &Path, args: &Convert, existing: Existing, console: &Console) -> Result<()> {
    if let Some(option) = splats_only(args) {
        let name = input.display();
        return Err(UsageError(format!("{option} is for splats, and {name} becomes a point cloud")).into());
    }
    let Some(output) = &args.output else { bail!("--dry-run is for splats") };
    require_ply(output)?;
    let points =
        if is_point_cloud(input)? { ply::read_points(input)? } else { points_of(&format::read_splats(input)?) };
    ply::write_points(output, &points, existing)?;
    console.note(format_args!("{} points", count(points.len() as u128)));
    console.result(format_args!("{} ({})", output.display(), bytes(splats::size_of(output))))
}

/// An option that was given and makes sense for splats alone.
fn splats_only(args: &Convert) -> Option<&'static str> {
    let given = [
        (!args.merge.is_empty(), "--merge"),
        (args.crop.is_some(), "--crop"),
        (args.seen_by.is_some(), "--seen-by"),
        (args.drop_floaters.is_some(), "--drop-floaters"),
        (args.min_opacity.is_some(), "--min-opacity"),
        (args.sh_degree.is_some(), "--sh-degree"),
        (args.max_splats.is_some(), "--max-splats"),
        (args.rotate.is_some(), "--rotate"),
        (args.scale.is_some(), "--scale"),
        (args.translate.is_some(), "--translate"),
        (args.morton, "--morton"),
        (args.verify, "--verify"),
        (args.dry_run, "--dry-run"),
        (args.json, "--json"),
    ];
    given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
}

/// Whether the file is a PLY file whose header speaks of no splats.
fn is_point_cloud(path: &Path) -> Result<bool> {
    if !has_ply_extension(path) {
        return Ok(false);
    }
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    file.take(MAX_HEADER_BYTES)
        .read_to_end(&mut start)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let text = String::from_utf8_lossy(&start);
    let Some((header, _)) = text.split_once("end_header") else { return Ok(false) };
    let has = |name: &str| header.lines().any(|line| line.split_whitespace().last() == Some(name));
    Ok(header.starts_with("ply") && has("x") && !has("opacity"))
}

fn require_ply(path: &Path) -> Result<()> {
    if !has_ply_extension(path) {
        bail!("{}: point clouds can only be written as .ply", path.display());
    }
    Ok(())
}

fn has_ply_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ply"))
}

fn points_of(cloud: &SplatCloud) -> Vec<Point> {
    let colour = |sh0: &[f32; 3]| sh0.map(|c| (colour_of_sh0(c).clamp(0.0, 1.0) * 255.0).round() as u8);
    let points = cloud.means.iter().zip(&cloud.sh0);
    points.map(|(mean, sh0)| Point { position: mean.map(f64::from), colour: colour(sh0) }).collect()
}
