//! Meshes and point clouds as the renderer takes them.

/// Of a vertex on the device.
pub(super) const VERTEX_BYTES: usize = 36;

/// Vertices and what joins them. Arrays of vertex attributes have one entry per vertex or none at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshData {
    /// `[N, 3]`, world units.
    pub positions: Vec<[f32; 3]>,
    /// `[N, 3]` or empty.
    pub normals: Vec<[f32; 3]>,
    /// `[N, 3]` or empty, sRGB.
    pub colours: Vec<[u8; 3]>,
    /// `[N, 2]` or empty; (0, 0) is a texture's top left corner.
    pub uvs: Vec<[f32; 2]>,
    /// Triangles by material; none in a point cloud.
    pub parts: Vec<MeshPart>,
}

/// Triangles of one material.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshPart {
    /// `[M, 3]`, indices of vertices.
    pub triangles: Vec<[u32; 3]>,
    /// Red, green, blue and opacity in linear light, if it is not white.
    pub colour: Option<[f32; 4]>,
    /// The picture that `uvs` point into.
    pub texture: Option<TextureData>,
}

/// A picture on a surface.
#[derive(Clone, Debug, PartialEq)]
pub struct TextureData {
    /// Width and height, pixels.
    pub size: [u32; 2],
    /// `[height, width, 4]`, sRGB and opacity.
    pub rgba: Vec<u8>,
}

impl MeshData {
    /// How many triangles there are.
    pub fn triangles(&self) -> u64 {
        self.parts.iter().map(|part| part.triangles.len() as u64).sum()
    }

    /// About how many bytes it takes on the device.
    pub fn device_bytes(&self) -> u64 {
        let textures = self.parts.iter().filter_map(|part| part.texture.as_ref());
        let pixels: u64 = textures.map(|texture| texture.rgba.len() as u64).sum();
        (self.positions.len() * VERTEX_BYTES) as u64 + 12 * self.triangles() + pixels
    }
}

#[cfg(feature = "meshes")]
mod of_mesh {
    use super::{MeshData, MeshPart, TextureData};
    use crate::ViewerError;
    use std::collections::BTreeMap;
    use std::path::Path;
    use tessera_datasets::scene::{Mesh, Texture};

    impl MeshData {
        /// A mesh as files hold it, its textures decoded.
        ///
        /// # Errors
        /// When a texture is damaged.
        pub fn of(mesh: &Mesh) -> Result<Self, ViewerError> {
            let mut by_material: BTreeMap<u32, Vec<[u32; 3]>> = BTreeMap::new();
            for (i, triangle) in mesh.triangles.iter().enumerate() {
                by_material.entry(mesh.triangle_materials.get(i).copied().unwrap_or(0)).or_default().push(*triangle);
            }
            let part = |(index, triangles): (u32, Vec<[u32; 3]>)| {
                let material = mesh.materials.get(index as usize);
                let texture = material.and_then(|material| Some((material.texture.as_ref()?, &material.name)));
                let texture = texture.map(|(texture, name)| decode(texture, name)).transpose()?;
                Ok(MeshPart { triangles, colour: material.map(|material| material.colour), texture })
            };
            Ok(Self {
                positions: mesh.positions.clone(),
                normals: mesh.normals.clone(),
                colours: mesh.colours.clone(),
                uvs: mesh.uvs.clone(),
                parts: by_material.into_iter().map(part).collect::<Result<_, ViewerError>>()?,
            })
        }
    }

    fn decode(texture: &Texture, name: &str) -> Result<TextureData, ViewerError> {
        let image = texture.decode(Path::new(name)).map_err(|error| ViewerError::BadScene(error.to_string()))?;
        let rgba = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2], pixel.get(3).copied().unwrap_or(255)];
        let rgba = image.data.chunks_exact(usize::from(image.channels)).flat_map(rgba).collect();
        Ok(TextureData { size: [image.width, image.height], rgba })
    }
}
