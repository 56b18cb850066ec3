//! Materials in MTL files, and the textures that they name.

use crate::format::mesh::ReadMesh;
use crate::scene::{Material, Texture};
use std::path::{Component, Path, PathBuf};

/// More than any real material file needs.
const MAX_BYTES: u64 = 64 << 20;
/// The largest picture file that is read.
const MAX_TEXTURE_BYTES: u64 = 1 << 30;

/// Adds the materials of the file `name` beside the mesh at `mesh_path`. What cannot be read becomes a warning: the
/// shape is there without it.
pub(super) fn read(name: &str, mesh_path: &Path, out: &mut ReadMesh) {
    let bytes = match file_beside(name, mesh_path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(why) => return out.warnings.push(format!("the material file '{}' {why}", shown(name))),
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut current: Option<Material> = None;
    for line in text.lines() {
        let (keyword, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        let numbers = || rest.split_whitespace().map_while(|word| word.parse::<f32>().ok().filter(|v| v.is_finite()));
        match (keyword, &mut current) {
            ("newmtl", _) => {
                out.mesh.materials.extend(current.take());
                current = Some(Material::named(rest));
            }
            ("Kd", Some(material)) => {
                if let [red, green, blue] = numbers().collect::<Vec<_>>()[..] {
                    material.colour[..3].copy_from_slice(&[red, green, blue].map(|c| c.clamp(0.0, 1.0)));
                }
            }
            ("d", Some(material)) => material.colour[3] = numbers().next().unwrap_or(1.0).clamp(0.0, 1.0),
            ("Tr", Some(material)) => material.colour[3] = 1.0 - numbers().next().unwrap_or(0.0).clamp(0.0, 1.0),
            ("map_Kd", Some(material)) => match texture(rest, mesh_path) {
                Ok(texture) => material.texture = Some(texture),
                Err(why) => out.warnings.push(format!("the texture '{}' {why}", shown(rest))),
            },
            _ => {}
        }
    }
    out.mesh.materials.extend(current);
}

fn texture(words: &str, mesh_path: &Path) -> Result<Texture, String> {
    // Options such as `-s 1 1 1` come before the name.
    let name = if words.starts_with('-') { words.split_whitespace().last().unwrap_or_default() } else { words };
    texture_beside(name, mesh_path)
}

/// The picture file `name` beside the mesh at `mesh_path`, or what is wrong with it.
pub(in crate::format) fn texture_beside(name: &str, mesh_path: &Path) -> Result<Texture, String> {
    let bytes = file_beside(name, mesh_path, MAX_TEXTURE_BYTES)?;
    Texture::from_file_bytes(bytes, mesh_path).map_err(|e| e.reason)
}

/// The bytes of a file in the folder of the mesh or below it, or what is wrong with it.
fn file_beside(name: &str, mesh_path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let relative = PathBuf::from(name.replace('\\', "/"));
    let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_inside || name.is_empty() || name.contains('\0') {
        return Err("is not in the folder of the mesh, and is left out".to_owned());
    }
    let path = mesh_path.parent().unwrap_or(Path::new("")).join(relative);
    let length = std::fs::metadata(&path).ok().filter(|m| m.is_file()).map(|m| m.len());
    let length = length.ok_or("is missing, and is left out")?;
    if length > most {
        return Err(format!("has {} MB, more than is read, and is left out", length >> 20));
    }
    std::fs::read(&path).map_err(|e| format!("cannot be read ({e}), and is left out"))
}

fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}
