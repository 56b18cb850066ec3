//! Writing OBJ, with MTL and textures beside it.

use super::SCENE_FROM_WORLD;
use crate::Result;
use crate::camera::Similarity;
use crate::format::mesh::texture_file;
use crate::format::{AtomicFile, Existing, placement, write_atomically};
use crate::scene::{Material, Mesh};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The files that are written beside `path` for this mesh.
pub(in crate::format) fn beside(path: &Path, mesh: &Mesh) -> Vec<PathBuf> {
    let textures = mesh.materials.iter().enumerate().filter_map(|(i, m)| texture_name(path, i, m));
    let library = (!mesh.materials.is_empty()).then(|| path.with_extension("mtl"));
    textures.map(|name| path.with_file_name(name)).chain(library).collect()
}

/// Writes a consistent mesh. Textures and materials come first, so that what the OBJ file names is there.
///
/// # Errors
/// When a file is in the way and to be kept, or the disk refuses.
pub(in crate::format) fn write(path: &Path, mesh: &Mesh, existing: Existing) -> Result<()> {
    let mut file = AtomicFile::create(path, existing)?;
    for (i, material) in mesh.materials.iter().enumerate() {
        if let (Some(name), Some(texture)) = (texture_name(path, i, material), &material.texture) {
            write_atomically(path.with_file_name(name), existing, |out| out.write_all(texture.bytes()))?;
        }
    }
    if !mesh.materials.is_empty() {
        write_atomically(path.with_extension("mtl"), existing, |out| write_library(out, path, mesh))?;
    }
    write_mesh(&mut file, path, mesh).map_err(|e| file.unwritable(&e))?;
    file.commit()
}

fn texture_name(path: &Path, index: usize, material: &Material) -> Option<String> {
    let file = texture_file(path, index, material.texture.as_ref()?.kind());
    Some(file.file_name()?.to_string_lossy().into_owned())
}

/// Names are one word, and each its own.
fn material_name(index: usize, material: &Material) -> String {
    let word: String =
        material.name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
    format!("{word}_{index}").trim_start_matches('_').to_owned()
}

fn write_library(out: &mut dyn Write, path: &Path, mesh: &Mesh) -> io::Result<()> {
    for (i, material) in mesh.materials.iter().enumerate() {
        let [red, green, blue, opacity] = material.colour;
        writeln!(out, "newmtl {}\nKd {red} {green} {blue}\nd {opacity}\nillum 1", material_name(i, material))?;
        if let Some(name) = texture_name(path, i, material) {
            writeln!(out, "map_Kd {name}")?;
        }
    }
    Ok(())
}

fn write_mesh(out: &mut dyn Write, path: &Path, mesh: &Mesh) -> io::Result<()> {
    writeln!(out, "# Tessera {}", env!("CARGO_PKG_VERSION"))?;
    if mesh.scene_from_world != Similarity::identity() {
        writeln!(out, "# {SCENE_FROM_WORLD} {}", placement::text(&mesh.scene_from_world))?;
    }
    if !mesh.materials.is_empty() {
        let library = path.with_extension("mtl");
        writeln!(out, "mtllib {}", library.file_name().unwrap_or_default().to_string_lossy())?;
    }
    for (i, [x, y, z]) in mesh.positions.iter().enumerate() {
        write!(out, "v {x} {y} {z}")?;
        if let Some(colour) = mesh.colours.get(i) {
            let [red, green, blue] = colour.map(|c| f32::from(c) / 255.0);
            write!(out, " {red} {green} {blue}")?;
        }
        writeln!(out)?;
    }
    mesh.uvs.iter().try_for_each(|[u, v]| writeln!(out, "vt {u} {}", 1.0 - v))?;
    mesh.normals.iter().try_for_each(|[x, y, z]| writeln!(out, "vn {x} {y} {z}"))?;
    let mut current = None;
    for (i, triangle) in mesh.triangles.iter().enumerate() {
        let material = mesh.triangle_materials.get(i).copied().unwrap_or(0) as usize;
        if let Some(described) = mesh.materials.get(material).filter(|_| current != Some(material)) {
            writeln!(out, "usemtl {}", material_name(material, described))?;
            current = Some(material);
        }
        let [a, b, c] = triangle.map(|vertex| u64::from(vertex) + 1);
        match (mesh.uvs.is_empty(), mesh.normals.is_empty()) {
            (true, true) => writeln!(out, "f {a} {b} {c}")?,
            (false, true) => writeln!(out, "f {a}/{a} {b}/{b} {c}/{c}")?,
            (true, false) => writeln!(out, "f {a}//{a} {b}//{b} {c}//{c}")?,
            (false, false) => writeln!(out, "f {a}/{a}/{a} {b}/{b}/{b} {c}/{c}/{c}")?,
        }
    }
    Ok(())
}
