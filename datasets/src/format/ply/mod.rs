//! PLY files: Gaussian splats in the INRIA layout, coloured point clouds, and meshes.
//!
//! The header is parsed here by hand and rows are read by property offset, so that any property order, extra
//! properties and all three encodings work, and a million splats are read in well under a second.
//!
//! **Splats** (Kerbl et al. 2023): one vertex per splat, `f_dc_*` and `f_rest_*` for the spherical harmonics, logits for
//! opacity, logarithms for scales, quaternions (w, x, y, z). In the file, `f_rest` is channel-major: all coefficients of
//! red, then green, then blue. Comments keep what the layout has no place for: `comment antialiased 1`, and
//! `comment tessera scene_from_world` with translation (3), quaternion w x y z (4) and scale (1).

pub(super) mod comments;
pub(super) mod header;
mod mesh_reader;
mod mesh_writer;
mod point_cloud;
mod splat_reader;
mod splat_writer;
pub(super) mod table;

pub(super) use mesh_reader::read_mesh;
pub(super) use mesh_writer::{textures_beside, write_mesh};
pub use point_cloud::{parse_points, read_points, write_points};
pub(super) use splat_reader::{open_splats, rest_degree};
pub use splat_reader::{parse_splats, read_splats};
pub(super) use splat_writer::create_splats;
pub use splat_writer::write_splats;

#[cfg(test)]
mod mesh_tests;
#[cfg(test)]
mod tests;

use super::Contents;
use super::input::Input;
use crate::Result;
use std::path::Path;

/// The properties of splats of every degree.
const FIXED: [&str; 14] = [
    "x", "y", "z", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "opacity", "f_dc_0", "f_dc_1",
    "f_dc_2",
];

/// What a file holds, by its header.
///
/// # Errors
/// When it is missing or no PLY file.
pub(super) fn contents(path: &Path) -> Result<Contents> {
    let mut reader = Input::open(path)?;
    let header = header::Header::read(&mut reader, path)?;
    let element = |name: &str| header.elements.iter().find(|e| e.name == name);
    let has = |name: &str| element("vertex").is_some_and(|vertex| vertex.has(name));
    let faces = element("face").is_some_and(|face| face.count > 0);
    Ok(match has("packed_position") || has("opacity") || has("f_dc_0") || !has("x") {
        true => Contents::Splats,
        false if faces => Contents::Mesh,
        false => Contents::Points,
    })
}

/// Whether points are to be read with normals.
///
/// # Errors
/// As `contents`.
pub fn has_normals(path: &Path) -> Result<bool> {
    let mut reader = Input::open(path)?;
    let header = header::Header::read(&mut reader, path)?;
    Ok(header.elements.iter().any(|e| e.name == "vertex" && e.has("nx")))
}
