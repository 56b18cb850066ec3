//! The mesh formats: which file is of which, and what each can hold.

use super::{Existing, gltf, obj, off, ply};
use crate::scene::{Mesh, TextureKind};
use crate::{DataError, Result};
use std::path::{Path, PathBuf};

/// A mesh file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeshFormat {
    /// PLY with faces: one texture coordinate per vertex, textures in files beside it.
    Ply,
    /// Wavefront OBJ, with materials and textures in files beside it.
    Obj,
    /// glTF in one file.
    Glb,
    /// glTF as JSON text, with its data in other files or in the text; written with one `.bin` file beside it.
    Gltf,
    /// Geomview's OFF.
    Off,
}

/// A mesh as it was read, with what could not be.
#[derive(Clone, Debug, Default)]
pub struct ReadMesh {
    /// The mesh.
    pub mesh: Mesh,
    /// What is missing, in words for the user: the ends of sentences that begin with the file.
    pub warnings: Vec<String>,
}

impl MeshFormat {
    /// All formats, those that are only read last.
    pub const ALL: &[Self] = &[Self::Ply, Self::Obj, Self::Glb, Self::Gltf, Self::Off];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ply => "PLY",
            Self::Obj => "OBJ",
            Self::Glb => "GLB",
            Self::Gltf => "glTF",
            Self::Off => "OFF",
        }
    }

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Ply => "ply",
            Self::Obj => "obj",
            Self::Glb => "glb",
            Self::Gltf => "gltf",
            Self::Off => "off",
        }
    }

    /// Whether it can be written.
    pub fn writes(self) -> bool {
        self != Self::Off
    }

    /// What of this mesh it cannot hold, in words for the user.
    pub fn losses(self, mesh: &Mesh) -> Vec<String> {
        let mut losses = Vec::new();
        if self == Self::Ply {
            let coloured = mesh.materials.iter().filter(|m| m.colour != [1.0; 4]).count();
            if coloured > 0 {
                losses.push(format!("no colours of materials ({coloured} have one)"));
            }
            if !mesh.triangle_materials.is_empty() && mesh.materials.iter().any(|m| m.texture.is_none()) {
                losses.push("no materials without a texture among others".to_owned());
            }
        }
        if self == Self::Obj && mesh.materials.iter().any(|m| m.texture.is_some() && mesh.uvs.is_empty()) {
            losses.push("textures, but the mesh does not say where they are on it".to_owned());
        }
        losses
    }

    /// The format that a file's extension announces.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        Self::ALL.iter().copied().find(|format| format.extension() == extension)
    }

    /// The format of a file to be written.
    ///
    /// # Errors
    /// When no format has such files, or they can only be read; the message lists those that can be written.
    pub fn to_write(path: &Path) -> Result<Self> {
        Self::of(path).filter(|format| format.writes()).ok_or_else(|| unknown(path, Self::writes))
    }
}

/// Reads a mesh of any supported format. A file without faces becomes a mesh without triangles, a point cloud.
///
/// # Errors
/// When the extension is unknown, or the file is missing, damaged, or not of that format.
pub fn read_mesh(path: impl AsRef<Path>) -> Result<ReadMesh> {
    let path = path.as_ref();
    match MeshFormat::of(path).ok_or_else(|| unknown(path, |_| true))? {
        MeshFormat::Ply => ply::read_mesh(path),
        MeshFormat::Obj => obj::read(path),
        MeshFormat::Glb | MeshFormat::Gltf => gltf::read_mesh(path),
        MeshFormat::Off => off::read(path),
    }
}

/// Writes a mesh in the format that its extension names.
///
/// # Errors
/// When the extension is unknown or of a format that is only read, the file or one beside it exists and is to be kept, the
/// mesh's arrays disagree, or the disk refuses.
pub fn write_mesh(path: impl AsRef<Path>, mesh: &Mesh, existing: Existing) -> Result<()> {
    let path = path.as_ref();
    let format = MeshFormat::to_write(path)?;
    if !mesh.is_consistent() {
        return Err(DataError::new(path, "is not written, because the mesh's arrays disagree")
            .remedy("give every vertex all of its attributes"));
    }
    let beside = match format {
        MeshFormat::Obj => obj::beside(path, mesh),
        MeshFormat::Ply => ply::textures_beside(path, mesh),
        _ => Vec::new(),
    };
    if let Some(in_the_way) = beside.iter().find(|file| existing == Existing::Keep && file.exists()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(DataError::new(in_the_way, format!("exists already, and {name} needs a file of that name"))
            .remedy("choose another name, or overwrite it with --force"));
    }
    match format {
        MeshFormat::Obj => obj::write(path, mesh, existing),
        MeshFormat::Ply => ply::write_mesh(path, mesh, existing),
        _ => gltf::write_mesh(path, mesh, existing),
    }
}

/// The name of the file beside `path` that holds the texture of a material.
pub(super) fn texture_file(path: &Path, material: usize, kind: TextureKind) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().replace(char::is_whitespace, "_");
    path.with_file_name(format!("{stem}_{material}.{}", kind.extension()))
}

fn unknown(path: &Path, usable: impl Fn(MeshFormat) -> bool) -> DataError {
    let endings = MeshFormat::ALL.iter().filter(|format| usable(**format));
    let supported = endings.map(|format| format!(".{}", format.extension())).collect::<Vec<_>>().join(", ");
    let reason = match path.extension() {
        Some(extension) => {
            format!("has the extension .{}, which is no mesh format that can be used here", extension.to_string_lossy())
        }
        None => "has no extension that names a mesh format".to_owned(),
    };
    DataError::new(path, reason).remedy(format!("use one of: {supported}"))
}
