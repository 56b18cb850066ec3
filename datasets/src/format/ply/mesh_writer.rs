//! Writing meshes: binary little endian, textures in files beside it.

use super::comments::scene_from_world;
use crate::Result;
use crate::format::mesh::texture_file;
use crate::format::{AtomicFile, Existing, write_atomically};
use crate::scene::{Mesh, Texture};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The files that are written beside `path` for this mesh.
pub(in crate::format) fn textures_beside(path: &Path, mesh: &Mesh) -> Vec<PathBuf> {
    textures(path, mesh).into_iter().map(|(_, file, _)| file).collect()
}

/// Materials with a texture, where it goes, and what it is.
fn textures<'a>(path: &Path, mesh: &'a Mesh) -> Vec<(u32, PathBuf, &'a Texture)> {
    if mesh.uvs.is_empty() {
        return Vec::new();
    }
    let textures = mesh.materials.iter().enumerate().filter_map(|(i, m)| Some((i, m.texture.as_ref()?)));
    textures.map(|(i, texture)| (i as u32, texture_file(path, i, texture.kind()), texture)).collect()
}

/// Writes a consistent mesh.
///
/// # Errors
/// When a file is in the way and to be kept, or the disk refuses.
pub(in crate::format) fn write_mesh(path: &Path, mesh: &Mesh, existing: Existing) -> Result<()> {
    let mut file = AtomicFile::create(path, existing)?;
    let textures = textures(path, mesh);
    for (_, place, texture) in &textures {
        write_atomically(place, existing, |out| out.write_all(texture.bytes()))?;
    }
    write(&mut file, mesh, &textures).map_err(|e| file.unwritable(&e))?;
    file.commit()
}

fn write(out: &mut dyn Write, mesh: &Mesh, textures: &[(u32, PathBuf, &Texture)]) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    write!(out, "ply\nformat binary_little_endian 1.0\ncomment Tessera {version}\n")?;
    for (_, file, _) in textures {
        writeln!(out, "comment TextureFile {}", file.file_name().unwrap_or_default().to_string_lossy())?;
    }
    writeln!(out, "{}element vertex {}", scene_from_world(&mesh.scene_from_world), mesh.positions.len())?;
    let has_texnumber = textures.len() > 1;
    let mut float = |names: &[&str]| names.iter().try_for_each(|name| writeln!(out, "property float {name}"));
    float(&["x", "y", "z"])?;
    float(if mesh.normals.is_empty() { &[] } else { &["nx", "ny", "nz"] })?;
    float(if mesh.uvs.is_empty() { &[] } else { &["s", "t"] })?;
    if !mesh.colours.is_empty() {
        write!(out, "property uchar red\nproperty uchar green\nproperty uchar blue\n")?;
    }
    if !mesh.triangles.is_empty() {
        write!(out, "element face {}\nproperty list uchar int vertex_indices\n", mesh.triangles.len())?;
        out.write_all(if has_texnumber { b"property int texnumber\n" } else { b"" })?;
    }
    writeln!(out, "end_header")?;
    for (i, position) in mesh.positions.iter().enumerate() {
        let mut put = |values: &[f32]| values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()));
        put(position)?;
        mesh.normals.get(i).map_or(Ok(()), |normal| put(normal))?;
        mesh.uvs.get(i).map_or(Ok(()), |[u, v]| put(&[*u, 1.0 - v]))?;
        mesh.colours.get(i).map_or(Ok(()), |colour| out.write_all(colour))?;
    }
    for (i, triangle) in mesh.triangles.iter().enumerate() {
        out.write_all(&[3])?;
        out.write_all(triangle.map(u32::to_le_bytes).as_flattened())?;
        if has_texnumber {
            let material = mesh.triangle_materials.get(i).copied().unwrap_or(0);
            let number = textures.iter().position(|(of, ..)| *of == material).unwrap_or(0);
            out.write_all(&(number as u32).to_le_bytes())?;
        }
    }
    Ok(())
}
