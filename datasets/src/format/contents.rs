//! What a file holds: extensions do not tell splats, meshes and point clouds apart.

use super::{MeshFormat, SplatFormat, gltf, ply};
use crate::Result;
use std::path::Path;

/// What a scene file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Gaussian splats.
    Splats,
    /// Triangles.
    Mesh,
    /// Points without triangles.
    Points,
}

impl Contents {
    /// Looks at the beginning of a file, as far as it takes. What is of no format that could hold a mesh is taken for
    /// splats; whoever opens it will say what is wrong with it.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn of(path: &Path) -> Result<Self> {
        match MeshFormat::of(path) {
            Some(MeshFormat::Ply) => ply::contents(path),
            Some(MeshFormat::Glb | MeshFormat::Gltf) => gltf::contents(path),
            Some(MeshFormat::Obj | MeshFormat::Off) => Ok(Self::Mesh),
            None => Ok(Self::Splats),
        }
    }
}

/// Whether a file's name announces a scene, a mesh or a point cloud.
pub fn is_scene_name(path: &Path) -> bool {
    SplatFormat::of(path).is_some() || MeshFormat::of(path).is_some()
}
