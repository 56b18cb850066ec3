//! `tessera convert`: between scene formats.

use crate::args::Convert;
use crate::console::Console;
use crate::inputs::{Run, scene_file};
use crate::report::{bytes, count};
use anyhow::{Context, Result, bail};
use nalgebra::{Translation3, UnitQuaternion};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::capture::Point;
use tessera_engine::datasets::format::stream::{self, CloudSource};
use tessera_engine::datasets::format::{self, Existing, SplatFormat, WriteOptions, ply};
use tessera_engine::datasets::scene::{SplatCloud, SplatTransform, simplify_to};

/// The value of the degree-0 spherical harmonic: colours are stored as (colour - ½) / SH_0.
const SH_0: f32 = 0.282_094_8;
/// Longer headers are not looked through.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Runs the command.
///
/// # Errors
/// When the input cannot be read, the output is in the way, or cannot be written.
pub fn run(args: &Convert, console: &Console) -> Result<()> {
    let is_run = Run::find(&args.input)?.is_some();
    let input = scene_file(&args.input, is_run)?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    if is_point_cloud(&input)? {
        let points = ply::read_points(&input)?;
        require_ply(&args.output)?;
        ply::write_points(&args.output, &points, existing)?;
        console.note(format_args!("{} points", count(points.len() as u128)));
    } else if args.points {
        require_ply(&args.output)?;
        let points = points_of(&format::read_splats(&input)?);
        ply::write_points(&args.output, &points, existing)?;
        console.note(format_args!("{} splats", count(points.len() as u128)));
    } else {
        convert_splats(&input, args, existing, console)?;
    }
    let size = std::fs::metadata(&args.output).map(|m| m.len()).context("the output has vanished")?;
    console.result(format_args!("{} ({})", args.output.display(), bytes(size)))
}

/// Chunk by chunk, unless splats are to be merged, which needs all of them.
fn convert_splats(input: &Path, args: &Convert, existing: Existing, console: &Console) -> Result<()> {
    let target = SplatFormat::to_write(&args.output)?;
    let mut source = format::open_splats(input)?;
    if let Some(most) = args.max_splats.filter(|&most| u64::from(most) < source.header().count) {
        let simplified = simplify_to(&stream::collect(source.as_mut())?, most as usize);
        source = Box::new(CloudSource::new(simplified));
    }
    let movement = SplatTransform::new(&movement(args));
    let mut header = source.header().clone();
    header.scene_from_world = movement.compose(&header.scene_from_world);
    for loss in target.losses(&header) {
        console.note(format_args!("{} holds {loss}", target.name()));
    }
    let mut sink = format::create_splats(&args.output, &header, &WriteOptions::default(), existing)?;
    let mut chunk = source.header().empty_cloud(stream::CHUNK_SPLATS);
    let mut splats = 0;
    while source.next_chunk(&mut chunk)? {
        movement.apply(&mut chunk);
        splats += chunk.len() as u128;
        sink.put(&chunk)?;
    }
    sink.finish()?;
    console.note(format_args!("{} splats", count(splats)));
    Ok(())
}

/// The rotation and scale that were asked for, about the origin.
fn movement(args: &Convert) -> Similarity {
    let [x, y, z] = args.rotate.unwrap_or_default().map(f64::to_radians);
    let rotation = UnitQuaternion::from_euler_angles(x, y, z);
    Similarity::from_parts(Translation3::identity(), rotation, args.scale.unwrap_or(1.0))
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
    let colour = |sh0: &[f32; 3]| sh0.map(|c| ((0.5 + SH_0 * c).clamp(0.0, 1.0) * 255.0).round() as u8);
    let points = cloud.means.iter().zip(&cloud.sh0);
    points.map(|(mean, sh0)| Point { position: mean.map(f64::from), colour: colour(sh0) }).collect()
}
