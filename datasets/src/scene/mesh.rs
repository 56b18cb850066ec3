//! Triangle meshes with normals, colours and textures; without triangles, point clouds.

use crate::camera::Similarity;
use crate::image::{self, Image8};
use crate::{DataError, Result};
use nalgebra::{Point3, Vector3};
use std::path::Path;
use std::sync::Arc;

/// `N` vertices and `M` triangles, in the file's world unless `scene_from_world` says otherwise. Arrays of vertex
/// attributes have one entry per vertex or none at all: a corner with a normal or texture coordinate of its own is a vertex
/// of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    /// `[N, 3]`, world units.
    pub positions: Vec<[f32; 3]>,
    /// `[N, 3]` or empty, of length 1, towards the outside.
    pub normals: Vec<[f32; 3]>,
    /// `[N, 3]` or empty: red, green and blue, sRGB-encoded.
    pub colours: Vec<[u8; 3]>,
    /// `[N, 2]` or empty: where in its texture a vertex lies. (0, 0) is the picture's top left corner, (1, 1) its bottom
    /// right one; it repeats beyond.
    pub uvs: Vec<[f32; 2]>,
    /// `[M, 3]`, indices of vertices, counter-clockwise seen from outside. None in a point cloud.
    pub triangles: Vec<[u32; 3]>,
    /// What triangles are made of.
    pub materials: Vec<Material>,
    /// `[M]` or empty, indices of materials. When it is empty, all triangles are of the first material, if there is one.
    pub triangle_materials: Vec<u32>,
    /// From the world in which the mesh was captured to the one in which it is stored.
    pub scene_from_world: Similarity,
}

/// What a surface looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    /// As the file calls it.
    pub name: String,
    /// Red, green, blue and opacity, in linear light; multiplied with the texture.
    pub colour: [f32; 4],
    /// The picture that vertices' `uvs` point into.
    pub texture: Option<Texture>,
}

impl Material {
    /// White, without a texture.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), colour: [1.0; 4], texture: None }
    }
}

/// A picture as its file has it: meshes are converted without decoding their textures.
#[derive(Clone, Debug, PartialEq)]
pub struct Texture {
    bytes: Arc<[u8]>,
    kind: TextureKind,
}

/// What the bytes of a texture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextureKind {
    /// A PNG file.
    Png,
    /// A JPEG file.
    Jpeg,
}

impl TextureKind {
    /// The extension of such files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }

    /// The media type of such files.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

impl Texture {
    /// The texture in a picture file. PNG and JPEG are kept as they are, other formats become PNG. `path` is for messages.
    ///
    /// # Errors
    /// When the bytes are no picture that can be read.
    pub fn from_file_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let kind = match bytes[..] {
            [0x89, b'P', b'N', b'G', ..] => TextureKind::Png,
            [0xff, 0xd8, 0xff, ..] => TextureKind::Jpeg,
            _ => return Self::new(&image::decode(&bytes, path)?, path),
        };
        Ok(Self { bytes: bytes.into(), kind })
    }

    /// A picture as a texture, compressed without loss. `path` is for messages.
    ///
    /// # Errors
    /// When the picture has no pixels.
    pub fn new(picture: &Image8, path: &Path) -> Result<Self> {
        let bytes = image::encode_png(picture).map_err(|e| {
            DataError::new(path, format!("has a texture that cannot be encoded as PNG ({e})"))
                .remedy("save it as PNG or JPEG")
        })?;
        Ok(Self { bytes: bytes.into(), kind: TextureKind::Png })
    }

    /// The bytes of its file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What these bytes are.
    pub fn kind(&self) -> TextureKind {
        self.kind
    }

    /// Its pixels. `path` is for messages.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn decode(&self, path: &Path) -> Result<Image8> {
        image::decode(&self.bytes, path)
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            positions: Vec::new(),
            normals: Vec::new(),
            colours: Vec::new(),
            uvs: Vec::new(),
            triangles: Vec::new(),
            materials: Vec::new(),
            triangle_materials: Vec::new(),
            scene_from_world: Similarity::identity(),
        }
    }
}

impl Mesh {
    /// The material of a triangle, if there is one.
    pub fn material(&self, triangle: usize) -> Option<&Material> {
        let index = self.triangle_materials.get(triangle).copied().unwrap_or(0);
        self.materials.get(index as usize)
    }

    /// Whether arrays agree in length and indices point to what is there, as everything that takes a mesh expects.
    pub fn is_consistent(&self) -> bool {
        let n = self.positions.len();
        let per_vertex = [self.normals.len(), self.colours.len(), self.uvs.len()];
        let (materials, listed) = (self.materials.len(), self.triangle_materials.len());
        per_vertex.iter().all(|&length| length == 0 || length == n)
            && (listed == 0 || listed == self.triangles.len())
            && self.triangles.iter().flatten().all(|&vertex| (vertex as usize) < n)
            && self.triangle_materials.iter().all(|&material| (material as usize) < materials)
    }

    /// The corners of the box around all vertices; `None` without any.
    pub fn bounds(&self) -> Option<[[f32; 3]; 2]> {
        let first = *self.positions.first()?;
        Some(self.positions.iter().fold([first, first], |[low, high], p| {
            [std::array::from_fn(|k| low[k].min(p[k])), std::array::from_fn(|k| high[k].max(p[k]))]
        }))
    }

    /// Total area of the triangles, in squared world units.
    pub fn area(&self) -> f64 {
        self.triangles.iter().map(|&triangle| 0.5 * self.doubled_area(triangle).norm()).sum()
    }

    /// Gives every vertex the mean normal of its triangles, weighted by their area; where there is none, z.
    pub fn compute_normals(&mut self) {
        let mut sums = vec![Vector3::zeros(); self.positions.len()];
        for &triangle in &self.triangles {
            let normal = self.doubled_area(triangle);
            triangle.iter().for_each(|&vertex| sums[vertex as usize] += normal);
        }
        let unit = |sum: &Vector3<f64>| sum.try_normalize(0.0).unwrap_or_else(Vector3::z).cast::<f32>().into();
        self.normals = sums.iter().map(unit).collect();
    }

    /// Twice the area, as a vector along the normal.
    fn doubled_area(&self, triangle: [u32; 3]) -> Vector3<f64> {
        let [a, b, c] = triangle.map(|v| Vector3::from(self.positions[v as usize].map(f64::from)));
        (b - a).cross(&(c - a))
    }

    /// The moved mesh, which still knows where the captured world is.
    #[must_use]
    pub fn transformed(mut self, similarity: &Similarity) -> Self {
        for position in &mut self.positions {
            let moved = similarity * Point3::from(position.map(f64::from));
            *position = moved.coords.cast::<f32>().into();
        }
        for normal in &mut self.normals {
            let turned = similarity.isometry.rotation * Vector3::from(normal.map(f64::from));
            *normal = turned.cast::<f32>().into();
        }
        self.scene_from_world = similarity * self.scene_from_world;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Translation3, UnitQuaternion};

    /// The unit square in the plane z = 0, seen from above.
    fn square() -> Mesh {
        Mesh {
            positions: vec![[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
            triangles: vec![[0, 1, 2], [0, 2, 3]],
            ..Mesh::default()
        }
    }

    #[test]
    fn a_square_has_its_area_and_normals() {
        let mut mesh = square();
        mesh.compute_normals();
        assert_eq!((mesh.area(), &mesh.normals[..]), (1.0, &[[0.0, 0.0, 1.0]; 4][..]));
        assert_eq!(mesh.bounds(), Some([[0.0; 3], [1.0, 1.0, 0.0]]));
        assert_eq!(Mesh::default().bounds(), None);
    }

    #[test]
    fn what_points_nowhere_is_inconsistent() {
        assert!(square().is_consistent() && Mesh::default().is_consistent());
        assert!(!Mesh { triangles: vec![[0, 1, 4]], ..square() }.is_consistent());
        assert!(!Mesh { uvs: vec![[0.0; 2]; 3], ..square() }.is_consistent());
        assert!(!Mesh { triangle_materials: vec![0, 0], ..square() }.is_consistent());
        let two = vec![Material::named("a"), Material::named("b")];
        let mesh = Mesh { triangle_materials: vec![1, 0], materials: two, ..square() };
        assert!(mesh.is_consistent());
        assert_eq!(mesh.material(0).map(|m| m.name.as_str()), Some("b"));
    }

    #[test]
    fn a_moved_mesh_turns_its_normals_and_knows_its_world() {
        let mut mesh = square();
        mesh.compute_normals();
        let turn = UnitQuaternion::from_euler_angles(std::f64::consts::FRAC_PI_2, 0.0, 0.0);
        let movement = Similarity::from_parts(Translation3::new(0.0, 0.0, 5.0), turn, 2.0);
        let moved = mesh.clone().transformed(&movement);
        assert!((Vector3::from(moved.normals[0]) - Vector3::new(0.0, -1.0, 0.0)).norm() < 1e-6);
        assert!((Vector3::from(moved.positions[2]) - Vector3::new(2.0, 0.0, 7.0)).norm() < 1e-6);
        assert!((moved.area() - 4.0).abs() < 1e-5);
        let back = moved.scene_from_world.inverse() * Point3::from(moved.positions[3].map(f64::from));
        assert!((back - Point3::new(0.0, 1.0, 0.0)).norm() < 1e-6);
    }
}
