//! What is said about meshes and point clouds.

use super::{bounds, bounds_text};
use crate::console::Console;
use crate::inputs::size_of;
use crate::report::{Facts, bytes, count};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;
use tessera_engine::datasets::camera::Similarity;
use tessera_engine::datasets::format;
use tessera_engine::datasets::scene::Mesh;

/// Describes the mesh at `path`.
///
/// # Errors
/// When it cannot be read.
pub fn about(path: &Path, console: &Console) -> Result<(Facts, Value)> {
    let read = format::read_mesh(path)?;
    read.warnings.iter().for_each(|warning| console.warn(format_args!("{}: {warning}", path.display())));
    let mesh = &read.mesh;
    let is_mesh = !mesh.triangles.is_empty();
    let size = size_of(path);
    let extent = bounds(mesh.positions.iter().map(|p| p.map(f64::from)));
    let textures: Vec<_> = mesh.materials.iter().filter_map(|m| m.texture.as_ref()).collect();
    let has = |attribute: bool| if attribute { "yes" } else { "no" };
    let mut facts = Facts::default();
    facts.add(if is_mesh { "mesh" } else { "point cloud" }, path.display().to_string());
    facts.add("size", bytes(size));
    facts.add(if is_mesh { "vertices" } else { "points" }, count(mesh.positions.len() as u128));
    if is_mesh {
        facts.add("triangles", count(mesh.triangles.len() as u128));
        facts.add("area", format!("{:.4} square units", mesh.area()));
        facts.add("open edges", count(open_edges(mesh) as u128));
    }
    facts.add("normals", has(!mesh.normals.is_empty()));
    facts.add("colours", has(!mesh.colours.is_empty()));
    if is_mesh {
        facts.add("texture coordinates", has(!mesh.uvs.is_empty()));
        facts.add("materials", mesh.materials.len().to_string());
        let total = textures.iter().map(|texture| texture.bytes().len() as u64).sum();
        facts.add_some("textures", (!textures.is_empty()).then(|| format!("{} ({})", textures.len(), bytes(total))));
    }
    facts.add_some("vertices within", extent.map(bounds_text));
    let is_placed = mesh.scene_from_world != Similarity::identity();
    facts.add_some("captured world", is_placed.then(|| "known: stored elsewhere than it was captured".to_owned()));
    let json = json!({
        "kind": if is_mesh { "mesh" } else { "points" }, "bytes": size, "vertices": mesh.positions.len(),
        "triangles": mesh.triangles.len(), "area": mesh.area(), "open_edges": open_edges(mesh),
        "normals": !mesh.normals.is_empty(), "colours": !mesh.colours.is_empty(), "uvs": !mesh.uvs.is_empty(),
        "materials": mesh.materials.iter().map(|m| &m.name).collect::<Vec<_>>(), "textures": textures.len(),
        "bounds": extent, "warnings": read.warnings,
    });
    Ok((facts, json))
}

/// Edges that one triangle alone has, by the places of their ends: seams of textures are no holes.
fn open_edges(mesh: &Mesh) -> usize {
    let place = |vertex: u32| mesh.positions[vertex as usize].map(|v| (v + 0.0).to_bits());
    let edges = mesh.triangles.iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]);
    let mut edges: Vec<_> = edges.map(|(a, b)| (place(a).min(place(b)), place(a).max(place(b)))).collect();
    edges.sort_unstable();
    edges.chunk_by(|a, b| a == b).filter(|same| same.len() == 1).count()
}
