//! Meshes to meshes, and anything to point clouds.

use super::splats::movement;
use crate::args::Convert;
use crate::console::{Console, UsageError};
use crate::inputs::size_of;
use crate::report::{bytes, count_of};
use anyhow::{Context, Result};
use nalgebra::Point3;
use serde_json::json;
use std::path::Path;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::capture::Point;
use tessera_engine::datasets::format::quantise::colour_of_sh0;
use tessera_engine::datasets::format::{self, Contents, Existing, MeshFormat, ply};
use tessera_engine::datasets::scene::{Mesh, SplatCloud};

/// Converts, and tells what was done.
///
/// # Errors
/// When the input cannot be read, an output is in the way, or cannot be written.
pub fn convert(input: &Path, contents: Contents, args: &Convert, existing: Existing, console: &Console) -> Result<()> {
    let output = args.output.as_deref().ok_or_else(|| UsageError("name the file to write".to_owned()))?;
    let target = MeshFormat::to_write(output)?;
    let movement = movement(args);
    if target == MeshFormat::Ply && is_plain(input, contents, args)? {
        return convert_points(&points(input, contents)?, &movement, output, args, existing, console);
    }
    let mut mesh = match contents {
        Contents::Splats => mesh_of(&points(input, contents)?),
        _ => {
            let read = format::read_mesh(input)?;
            read.warnings.iter().for_each(|warning| console.warn(format_args!("{}: {warning}", input.display())));
            read.mesh
        }
    };
    mesh = edited(mesh, args, &movement);
    let losses = target.losses(&mesh);
    losses.iter().for_each(|loss| console.note(format_args!("{} holds {loss}", target.name())));
    format::write_mesh(output, &mesh, existing)?;
    let (vertices, triangles) = (mesh.positions.len(), mesh.triangles.len());
    if args.json {
        let json = json!({
            "inputs": [input], "output": output, "format": target.name(), "bytes": size_of(output),
            "vertices": vertices, "triangles": triangles, "materials": mesh.materials.len(), "losses": losses,
        });
        return console.result(serde_json::to_string_pretty(&json).context("the report is no JSON")?);
    }
    console.note(match triangles {
        0 => count_of(vertices, "point", "points"),
        _ => format!("{}, {}", count_of(vertices, "vertex", "vertices"), count_of(triangles, "triangle", "triangles")),
    });
    console.result(format_args!("{} ({})", output.display(), bytes(size_of(output))))
}

/// A mesh as it was asked for.
pub(super) fn edited(mut mesh: Mesh, args: &Convert, movement: &Similarity) -> Mesh {
    if args.points {
        (mesh.triangles, mesh.triangle_materials, mesh.materials, mesh.uvs) = Default::default();
    }
    if *movement == Similarity::identity() { mesh } else { mesh.transformed(movement) }
}

/// Whether a point cloud comes out that has nothing but places and colours: these are kept in double precision.
fn is_plain(input: &Path, contents: Contents, args: &Convert) -> Result<bool> {
    let is_ply = MeshFormat::of(input) == Some(MeshFormat::Ply);
    Ok(match contents {
        Contents::Splats => args.points,
        Contents::Points => is_ply && !ply::has_normals(input)?,
        Contents::Mesh => false,
    })
}

fn points(input: &Path, contents: Contents) -> Result<Vec<Point>> {
    Ok(match contents {
        Contents::Splats => points_of(&format::read_splats(input)?),
        _ => ply::read_points(input)?,
    })
}

fn convert_points(
    points: &[Point],
    movement: &Similarity,
    output: &Path,
    args: &Convert,
    existing: Existing,
    console: &Console,
) -> Result<()> {
    if *movement == Similarity::identity() {
        ply::write_points(output, points, existing)?;
    } else {
        let moved = |p: &Point| Point { position: (movement * Point3::from(p.position)).coords.into(), ..*p };
        ply::write_points(output, &points.iter().map(moved).collect::<Vec<_>>(), existing)?;
    }
    if args.json {
        let json = json!({"output": output, "format": "PLY", "bytes": size_of(output), "vertices": points.len()});
        return console.result(serde_json::to_string_pretty(&json).context("the report is no JSON")?);
    }
    console.note(count_of(points.len(), "point", "points"));
    console.result(format_args!("{} ({})", output.display(), bytes(size_of(output))))
}

fn mesh_of(points: &[Point]) -> Mesh {
    Mesh {
        positions: points.iter().map(|p| p.position.map(|v| v as f32)).collect(),
        colours: points.iter().map(|p| p.colour).collect(),
        ..Mesh::default()
    }
}

fn points_of(cloud: &SplatCloud) -> Vec<Point> {
    let colour = |sh0: &[f32; 3]| sh0.map(|c| (colour_of_sh0(c).clamp(0.0, 1.0) * 255.0).round() as u8);
    let points = cloud.means.iter().zip(&cloud.sh0);
    points.map(|(mean, sh0)| Point { position: mean.map(f64::from), colour: colour(sh0) }).collect()
}
