//! Reading meshes: vertices and faces, textures named by the comments `TextureFile`.
//!
//! Texture coordinates may be of vertices (`s`, `t` and other names) or of the corners of faces (the list `texcoord`, with
//! `texnumber` telling textures apart). In PLY they begin at the lower left corner.

use super::comments;
use super::header::{Element, Header};
use super::table::{Rows, chunk_rows};
use crate::format::corners::{Corner, Corners, NONE, fan};
use crate::format::input::Input;
use crate::format::mesh::ReadMesh;
use crate::format::obj::texture_beside;
use crate::scene::Material;
use crate::{DataError, Result};
use std::io::BufRead;
use std::path::Path;

/// Names that programs give to texture coordinates of vertices.
const UVS: [[&str; 2]; 4] = [["s", "t"], ["u", "v"], ["texture_u", "texture_v"], ["texture_s", "texture_t"]];
const NORMALS: [&str; 3] = ["nx", "ny", "nz"];
const COLOURS: [[&str; 3]; 2] = [["red", "green", "blue"], ["diffuse_red", "diffuse_green", "diffuse_blue"]];
/// Names of the list of a face's vertices.
const INDICES: [&str; 2] = ["vertex_indices", "vertex_index"];

/// Reads a mesh; without faces, a point cloud.
///
/// # Errors
/// When the file is missing, truncated, no PLY, has no positions, or faces that refer to vertices it does not have.
pub(in crate::format) fn read_mesh(path: &Path) -> Result<ReadMesh> {
    let reader = Input::open(path)?;
    let length = reader.length();
    read(reader, length, path)
}

pub(super) fn read(mut reader: impl BufRead, length: u64, path: &Path) -> Result<ReadMesh> {
    let header = Header::read(&mut reader, path)?;
    let (mut rows, vertex) = Rows::at(reader, &header, "vertex", length, path)?;
    let mut corners = Corners::default();
    read_vertices(&mut rows, vertex, &mut corners, path)?;
    let mut faces = Faces::default();
    let after = header.elements.iter().skip_while(|e| e.name != "vertex").skip(1);
    for element in after {
        if element.name != "face" {
            rows.skip(element)?;
            continue;
        }
        read_faces(&mut rows, element, &mut corners, &mut faces, path)?;
        break;
    }
    if let Some((what, index)) = corners.dangling() {
        let reason = format!("has a face that refers to {what} {index}, which it does not have");
        return Err(DataError::new(path, reason).remedy("export it again"));
    }
    let mut read = ReadMesh { mesh: corners.into_mesh(), warnings: Vec::new() };
    read.mesh.scene_from_world = comments::read(&header, path)?.1;
    for name in header.comments.iter().filter_map(|comment| comment.strip_prefix("TextureFile ")) {
        let name = name.trim();
        let mut material = Material::named(Path::new(name).file_stem().unwrap_or_default().to_string_lossy());
        match texture_beside(name, path) {
            Ok(texture) => material.texture = Some(texture),
            Err(why) => read.warnings.push(format!("the texture '{name}' {why}")),
        }
        read.mesh.materials.push(material);
    }
    let textures = read.mesh.materials.len() as u32;
    if textures > 1 && faces.textures.len() == read.mesh.triangles.len() {
        read.mesh.triangle_materials = faces.textures.iter().map(|&texture| texture.min(textures - 1)).collect();
    }
    Ok(read)
}

#[derive(Default)]
struct Faces {
    /// By triangle, which texture it has.
    textures: Vec<u32>,
}

fn read_vertices(rows: &mut Rows<impl BufRead>, vertex: &Element, out: &mut Corners, path: &Path) -> Result<()> {
    vertex.check_position(path)?;
    let has = |names: &[&str]| names.iter().all(|name| vertex.has(name));
    let normals = has(&NORMALS).then_some(&NORMALS[..]);
    let colours = COLOURS.iter().find(|names| has(&names[..])).map(|names| &names[..]);
    let uvs = UVS.iter().find(|names| has(&names[..])).map(|names| &names[..]);
    let optional = [normals, colours, uvs];
    let wanted = ["x", "y", "z"].iter().chain(optional.iter().flatten().copied().flatten());
    let wanted: Vec<String> = wanted.map(|name| (*name).to_owned()).collect();
    let is_real = |name: &str| vertex.properties.iter().any(|p| p.name == name && p.scalar.is_real());
    let colour_scale = if colours.is_some_and(|names| is_real(names[0])) { 255.0 } else { 1.0 };
    let mut columns = vec![Vec::new(); wanted.len()];
    let mut left = vertex.count;
    while left > 0 {
        let n = left.min(chunk_rows(vertex) as u64) as usize;
        rows.columns(vertex, &wanted, n, &mut columns)?;
        for row in 0..n {
            let mut next = columns.iter().map(|column| column[row] as f32);
            let mut three = || [0; 3].map(|_| next.next().unwrap_or_default());
            let position = three();
            if !position.iter().all(|v| v.is_finite()) {
                let reason = format!("has a position that is not finite at vertex {}", out.positions.len());
                return Err(DataError::new(path, reason).remedy("remove that vertex or export again"));
            }
            out.positions.push(position);
            if normals.is_some() {
                out.normals.push(three());
            }
            if colours.is_some() {
                out.colours.push(three().map(|c| (c * colour_scale).round() as u8));
            }
            if uvs.is_some() {
                out.uvs.push([next.next().unwrap_or_default(), 1.0 - next.next().unwrap_or_default()]);
            }
        }
        left -= n as u64;
    }
    Ok(())
}

fn read_faces(
    rows: &mut Rows<impl BufRead>,
    face: &Element,
    out: &mut Corners,
    faces: &mut Faces,
    path: &Path,
) -> Result<()> {
    rows.check_count(face)?;
    let place = |name: &str| face.properties.iter().position(|p| p.name == name);
    let indices = INDICES.iter().find_map(|name| place(name)).filter(|&at| face.properties[at].list_length.is_some());
    let indices = indices
        .ok_or_else(|| DataError::new(path, "has faces without the list 'vertex_indices'").remedy("export it again"))?;
    let texcoord = place("texcoord").filter(|&at| face.properties[at].list_length.is_some());
    let texnumber = place("texnumber");
    let of_vertices = [!out.uvs.is_empty(), !out.normals.is_empty()];
    let mut values = vec![Vec::new(); face.properties.len()];
    let mut polygon: Vec<Corner> = Vec::new();
    for _ in 0..face.count {
        rows.row(face, &mut values)?;
        polygon.clear();
        for (i, &vertex) in values[indices].iter().enumerate() {
            // What is negative or no number points to nothing.
            let vertex = if vertex >= 0.0 { vertex as u32 } else { NONE };
            let own = texcoord.and_then(|at| Some([*values[at].get(2 * i)?, *values[at].get(2 * i + 1)?]));
            let uv = match own {
                Some([u, v]) => {
                    out.uvs.push([u as f32, 1.0 - v as f32]);
                    out.uvs.len() as u32 - 1
                }
                None if of_vertices[0] => vertex,
                None => NONE,
            };
            polygon.push([vertex, uv, if of_vertices[1] { vertex } else { NONE }]);
        }
        let before = out.triangles.len();
        out.triangles.extend(fan(&polygon));
        if let Some(at) = texnumber {
            let texture = values[at].first().map_or(0, |&number| number as u32);
            faces.textures.extend((before..out.triangles.len()).map(|_| texture));
        }
    }
    if texcoord.is_some() {
        share_uvs(out);
    }
    Ok(())
}

/// Corners of a vertex at the same texture coordinate get the same index, so that they become one vertex again.
fn share_uvs(out: &mut Corners) {
    let mut known = std::collections::HashMap::new();
    for corner in out.triangles.iter_mut().flatten().filter(|corner| corner[1] != NONE) {
        let Some(uv) = out.uvs.get(corner[1] as usize) else { continue };
        corner[1] = *known.entry((corner[0], uv.map(f32::to_bits))).or_insert(corner[1]);
    }
}
