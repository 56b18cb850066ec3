//! Triangles of glTF files (glTF 2.0, section 3.7), at the places where nodes put them, with base colours and textures.
//!
//! Coordinates are copied as they are: other mesh formats do not say which way is up either.

use super::accessor::{RowReader, Rows};
use super::document::{Document, at};
use super::json::Primitive;
use super::placement::{Placed, Scales, shown};
use super::uri::{self, Location};
use super::{Extras, json};
use crate::camera::Similarity;
use crate::format::Contents;
use crate::format::mesh::ReadMesh;
use crate::image::srgb_from_linear;
use crate::scene::{Material, Texture};
use crate::{DataError, Result};
use nalgebra::{Matrix3, Point3, Vector3};
use std::ops::Range;
use std::path::Path;

/// Modes of primitives.
const POINTS: u32 = 0;
const TRIANGLES: u32 = 4;
const TRIANGLE_STRIP: u32 = 5;
const TRIANGLE_FAN: u32 = 6;
/// Rows that are read at once.
const PIECE: usize = 1 << 16;

/// Reads all triangles that the file shows; when there are none, its points.
///
/// # Errors
/// When the file is missing or damaged, or shows neither.
pub(in crate::format) fn read_mesh(path: &Path) -> Result<ReadMesh> {
    let document = Document::open(path)?;
    let places = shown(&document, &Scales::new())?;
    read_placed(&document, &places)
}

/// Reads the triangles of some meshes; when there are none, their points.
///
/// # Errors
/// When the file is damaged, or shows neither.
pub(super) fn read_placed(document: &Document, places: &[Placed<'_>]) -> Result<ReadMesh> {
    let path = &document.path;
    let mut parts = Vec::new();
    for place in places {
        let mesh = at(&document.root.meshes, place.mesh);
        let mesh = mesh.ok_or_else(|| document.bad(format!("has no mesh {}, though it shows it", place.mesh)))?;
        parts.extend(mesh.primitives.iter().filter(|p| p.extensions.splats.is_none()).map(|p| (place, p)));
    }
    let is_surface = |mode: u32| (TRIANGLES..=TRIANGLE_FAN).contains(&mode);
    let wanted = if parts.iter().any(|(_, p)| is_surface(p.mode)) { is_surface } else { |mode| mode == POINTS };
    parts.retain(|(_, primitive)| wanted(primitive.mode));
    if parts.is_empty() {
        return Err(DataError::new(path, "is a glTF file that shows neither triangles nor points")
            .remedy("name one with a mesh"));
    }
    let mut builder = Builder::new(document);
    let mut before: Option<(*const Placed<'_>, &Primitive, Range<usize>)> = None;
    for (place, primitive) in parts {
        // Primitives of one mesh often share their vertices and differ in material alone.
        let shared =
            before.take().filter(|(at, with, _)| std::ptr::eq(*at, place) && *with.attributes == *primitive.attributes);
        let vertices = match shared {
            Some((.., vertices)) => vertices,
            None => builder.add_vertices(place, primitive)?,
        };
        builder.add_triangles(place, primitive, &vertices)?;
        before = Some((place, primitive, vertices));
    }
    builder.finish()
}

/// What the file shows: splats before triangles before points.
///
/// # Errors
/// When it is missing or damaged.
pub(in crate::format) fn contents(path: &Path) -> Result<Contents> {
    let document = Document::open(path)?;
    let primitives = || document.root.meshes.iter().flat_map(|mesh| mesh.primitives.iter());
    Ok(if primitives().any(|p| p.extensions.splats.is_some()) {
        Contents::Splats
    } else if primitives().any(|p| p.mode != POINTS) {
        Contents::Mesh
    } else {
        Contents::Points
    })
}

struct Builder<'a> {
    document: &'a Document,
    reader: RowReader,
    out: ReadMesh,
    /// By index in the file, the index in the mesh.
    materials: Vec<Option<u32>>,
    triangle_materials: Vec<Option<u32>>,
    lacks_normals: bool,
}

impl<'a> Builder<'a> {
    fn new(document: &'a Document) -> Self {
        Self {
            document,
            reader: RowReader::default(),
            out: ReadMesh::default(),
            materials: vec![None; document.root.materials.len()],
            triangle_materials: Vec::new(),
            lacks_normals: false,
        }
    }

    fn add_vertices(&mut self, place: &Placed<'_>, primitive: &Primitive) -> Result<Range<usize>> {
        let document = self.document;
        let rows = |name: &str, width: usize| {
            let index = primitive.attributes.get(name);
            index.map(|index| Rows::find(document, *index, width, name)).transpose()
        };
        let positions =
            rows("POSITION", 3)?.ok_or_else(|| document.bad("has a mesh without the attribute POSITION"))?;
        let alike = |other: Option<Rows>| match other {
            Some(rows) if rows.count != positions.count => {
                Err(document.bad("has vertices whose attributes differ in number"))
            }
            other => Ok(other),
        };
        let first = self.out.mesh.positions.len();
        // A node can show the same mesh again, but a small file must not become an endless one.
        if (first as u64).saturating_add(positions.count) > document.buffer_bytes().min(u64::from(u32::MAX)) {
            return Err(DataError::new(&document.path, "shows more vertices than it has bytes")
                .remedy("remove the nodes that repeat its meshes"));
        }
        let material = primitive.material.map(|index| self.material(index)).transpose()?;
        let uv_set = material.as_ref().map_or(0, |(_, set)| *set);
        self.positions(&positions, place)?;
        let count = self.out.mesh.positions.len() - first;
        self.normals(alike(rows("NORMAL", 3)?)?, place)?;
        self.uvs(alike(rows(&format!("TEXCOORD_{uv_set}"), 2)?)?, count)?;
        self.colours(primitive, count)?;
        Ok(first..first + count)
    }

    fn add_triangles(&mut self, place: &Placed<'_>, primitive: &Primitive, vertices: &Range<usize>) -> Result<()> {
        let material = primitive.material.map(|index| self.material(index)).transpose()?;
        self.triangles(primitive, vertices.start, vertices.len(), place)?;
        self.triangle_materials.resize(self.out.mesh.triangles.len(), material.map(|(index, _)| index));
        Ok(())
    }

    /// All values of an accessor.
    fn read(&mut self, rows: &Rows) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        let mut values = Vec::new();
        let mut first = 0;
        while first < rows.count {
            let n = usize::try_from(rows.count - first).unwrap_or(PIECE).min(PIECE);
            self.reader.floats(self.document, rows, first, n, &mut values)?;
            if !values.iter().all(|v| v.is_finite()) {
                let file = self.document.path_of(rows.buffer());
                return Err(DataError::new(file, "has a vertex with a number that is not finite")
                    .remedy("remove that vertex, or export it again"));
            }
            all.extend_from_slice(&values);
            first += n as u64;
        }
        Ok(all)
    }

    fn positions(&mut self, rows: &Rows, place: &Placed<'_>) -> Result<()> {
        let values = self.read(rows)?;
        for &position in values.as_chunks::<3>().0 {
            let moved =
                place.scene_from_mesh.transform_point(&Point3::from(position.map(f64::from))).coords.cast::<f32>();
            if !moved.iter().all(|v| v.is_finite()) {
                return Err(self.document.bad("places its vertices by numbers that are too large"));
            }
            self.out.mesh.positions.push(moved.into());
        }
        Ok(())
    }

    fn normals(&mut self, rows: Option<Rows>, place: &Placed<'_>) -> Result<()> {
        let Some(rows) = rows else {
            self.lacks_normals = true;
            return Ok(());
        };
        let linear: Matrix3<f64> = place.scene_from_mesh.fixed_view::<3, 3>(0, 0).into_owned();
        // Normals stay at right angles to the surface when it is stretched.
        let turn = linear.try_inverse().map_or(linear, |inverse| inverse.transpose());
        let values = self.read(&rows)?;
        if linear == Matrix3::identity() {
            self.out.mesh.normals.extend_from_slice(values.as_chunks::<3>().0);
            return Ok(());
        }
        let moved = values.as_chunks::<3>().0.iter().map(|&normal| -> [f32; 3] {
            let moved = turn * Vector3::from(normal.map(f64::from));
            moved.try_normalize(0.0).unwrap_or_else(Vector3::z).cast::<f32>().into()
        });
        self.out.mesh.normals.extend(moved);
        Ok(())
    }

    fn uvs(&mut self, rows: Option<Rows>, count: usize) -> Result<()> {
        let total = self.out.mesh.positions.len();
        if let Some(rows) = rows {
            let values = self.read(&rows)?;
            self.out.mesh.uvs.resize(total - count, [0.0; 2]);
            self.out.mesh.uvs.extend_from_slice(values.as_chunks::<2>().0);
        } else if !self.out.mesh.uvs.is_empty() {
            self.out.mesh.uvs.resize(total, [0.0; 2]);
        }
        Ok(())
    }

    /// Of linear light in the file, with or without opacity.
    fn colours(&mut self, primitive: &Primitive, count: usize) -> Result<()> {
        let total = self.out.mesh.positions.len();
        let Some(&index) = primitive.attributes.get("COLOR_0") else {
            if !self.out.mesh.colours.is_empty() {
                self.out.mesh.colours.resize(total, [255; 3]);
            }
            return Ok(());
        };
        let width = at(&self.document.root.accessors, index).map_or(3, |a| if a.shape == "VEC4" { 4 } else { 3 });
        let rows = Rows::find(self.document, index, width, "COLOR_0")?;
        if rows.count != count as u64 {
            return Err(self.document.bad("has vertices whose attributes differ in number"));
        }
        let values = self.read(&rows)?;
        self.out.mesh.colours.resize(total - count, [255; 3]);
        let encoded = |linear: &[f32]| [0, 1, 2].map(|k| (255.0 * srgb_from_linear(linear[k])).round() as u8);
        self.out.mesh.colours.extend(values.chunks_exact(width).map(encoded));
        Ok(())
    }

    fn triangles(&mut self, primitive: &Primitive, first: usize, count: usize, place: &Placed<'_>) -> Result<()> {
        if primitive.mode == POINTS {
            return Ok(());
        }
        let indices: Vec<u32> = match primitive.indices {
            Some(index) => {
                let rows = Rows::find(self.document, index, 1, "indices")?;
                let indices = self.reader.integers(self.document, &rows)?;
                if let Some(index) = indices.iter().find(|&&index| index as usize >= count) {
                    let reason = format!("has a triangle that refers to vertex {index} of {count}");
                    return Err(DataError::new(self.document.path_of(rows.buffer()), reason).remedy("export it again"));
                }
                indices
            }
            None => (0..count as u32).collect(),
        };
        let corner = |i: usize| first as u32 + indices[i];
        let strips = indices.len().saturating_sub(2);
        let triangles: Vec<[u32; 3]> = match primitive.mode {
            TRIANGLE_STRIP => (0..strips).map(|i| [i, i + 1 + i % 2, i + 2 - i % 2].map(corner)).collect(),
            TRIANGLE_FAN => (0..strips).map(|i| [i + 1, i + 2, 0].map(corner)).collect(),
            _ => (0..indices.len() / 3).map(|i| [3 * i, 3 * i + 1, 3 * i + 2].map(corner)).collect(),
        };
        // A mirrored surface is seen from its other side.
        let is_mirrored = place.scene_from_mesh.fixed_view::<3, 3>(0, 0).determinant() < 0.0;
        let facing = |[a, b, c]: [u32; 3]| if is_mirrored { [a, c, b] } else { [a, b, c] };
        self.out.mesh.triangles.extend(triangles.into_iter().map(facing));
        Ok(())
    }

    /// The index of a material in the mesh, and which texture coordinates it uses.
    fn material(&mut self, index: u32) -> Result<(u32, u32)> {
        let missing = || self.document.bad(format!("has no material {index}, though it refers to it"));
        let stated = at(&self.document.root.materials, index).ok_or_else(missing)?;
        let base = &stated.base;
        let uv_set = base.texture.as_ref().map_or(0, |texture| texture.tex_coord);
        if let Some(known) = self.materials[index as usize] {
            return Ok((known, uv_set));
        }
        let mut material = Material::named(stated.name.clone().unwrap_or_default());
        if let Some(colour) = base.colour {
            material.colour = colour.map(|c| if c.is_finite() { c.clamp(0.0, 1.0) } else { 1.0 });
        }
        if let Some(info) = &base.texture {
            let name = &material.name;
            if info.extensions.keys().any(|name| name == "KHR_texture_transform") {
                let warning = format!("the texture of the material '{name}' is moved by an extension that is ignored");
                self.out.warnings.push(warning);
            }
            match self.texture(info) {
                Ok(texture) => material.texture = Some(texture),
                Err(e) => {
                    self.out.warnings.push(format!("the texture of the material '{name}' is left out: it {}", e.reason))
                }
            }
        }
        self.out.mesh.materials.push(material);
        let added = self.out.mesh.materials.len() as u32 - 1;
        self.materials[index as usize] = Some(added);
        Ok((added, uv_set))
    }

    fn texture(&self, info: &json::TextureInfo) -> Result<Texture> {
        let document = self.document;
        let missing = || document.bad("has no picture, though its file refers to one");
        let source = at(&document.root.textures, info.index).and_then(|texture| texture.source).ok_or_else(missing)?;
        let image = at(&document.root.images, source).ok_or_else(missing)?;
        let bytes = match (&image.uri, image.buffer_view) {
            (Some(uri), _) => match uri::resolve(uri, &document.path)? {
                Location::Embedded(bytes) => bytes,
                Location::File(path) => std::fs::read(&path).map_err(|e| DataError::unreadable(&path, &e))?,
            },
            (None, Some(view)) => {
                let (_, range) = document.view(view)?;
                let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(|_| missing())?];
                document.read(range.buffer, range.start, &mut bytes)?;
                bytes
            }
            (None, None) => return Err(missing()),
        };
        Texture::from_file_bytes(bytes, &document.path)
    }

    fn finish(self) -> Result<ReadMesh> {
        let Self { document, mut out, triangle_materials, lacks_normals, .. } = self;
        let mesh = &mut out.mesh;
        if lacks_normals {
            mesh.normals.clear();
        }
        mesh.scene_from_world = scene_from_world(document)?;
        let is_plain = |m: &Material| m.name.is_empty() && m.colour == [1.0; 4] && m.texture.is_none();
        if mesh.materials.iter().all(is_plain) {
            mesh.materials.clear();
        } else {
            if triangle_materials.iter().any(Option::is_none) {
                mesh.materials.push(Material::named(""));
            }
            let last = mesh.materials.len() as u32 - 1;
            if last > 0 {
                mesh.triangle_materials = triangle_materials.iter().map(|material| material.unwrap_or(last)).collect();
            }
        }
        Ok(out)
    }
}

/// What the first node with such extras says.
fn scene_from_world(document: &Document) -> Result<Similarity> {
    let extras = document.root.nodes.iter().filter_map(|node| node.extras.as_ref());
    let ours =
        extras.filter_map(|text| serde_json::from_str::<Extras>(text.get()).ok()?.tessera?.scene_from_world).next();
    match ours.map(|placement| placement.similarity()) {
        None => Ok(Similarity::identity()),
        Some(Some(similarity)) => Ok(similarity),
        Some(None) => Err(document.bad("has extras whose 'scene_from_world' is not a placement")),
    }
}
