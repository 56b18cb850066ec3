//! Meshes as glTF: attributes as runs of bytes that all primitives share, one primitive per material, textures as they are.

use super::container::Container;
use super::{Extras, Placement, SplatExtras};
use crate::camera::Similarity;
use crate::format::Existing;
use crate::scene::{Material, Mesh};
use crate::{DataError, Result};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// Numbers of glTF for types of components and uses of bytes.
const FLOAT: u32 = 5126;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;
const ARRAY_BUFFER: u32 = 34962;
const ELEMENT_ARRAY_BUFFER: u32 = 34963;
/// Normals whose squared length is this close to one are kept bit for bit.
const UNIT: f32 = 1e-5;

/// Writes a consistent mesh.
///
/// # Errors
/// When it has no vertices, the file is in the way and to be kept, it would be longer than the format allows, or the disk
/// refuses.
pub(in crate::format) fn write_mesh(path: &Path, mesh: &Mesh, existing: Existing) -> Result<()> {
    if mesh.positions.is_empty() {
        return Err(
            DataError::new(path, "would hold no vertices, and glTF has no way to say that").remedy("write a .ply file")
        );
    }
    let mut container = Container::create(path, existing)?;
    let mut contents = Contents::default();
    let primitives = contents.mesh(mesh);
    let mut node = json!({"mesh": 0});
    if mesh.scene_from_world != Similarity::identity() {
        node["extras"] = extras(&mesh.scene_from_world);
    }
    let json = contents.json(vec![node], vec![json!({"primitives": primitives})]);
    let start = container.start(&json);
    let file = &mut container.file;
    file.seek(SeekFrom::Start(start)).map_err(|e| file.unwritable(&e))?;
    file.put(&contents.binary)?;
    container.finish(json, start, contents.binary.len() as u64)
}

/// Extras of a node whose meshes are stored elsewhere than they were captured.
pub(super) fn extras(scene_from_world: &Similarity) -> Value {
    let placement = Some(Placement::of(scene_from_world));
    json!(Extras { tessera: Some(SplatExtras { antialiased: false, scene_from_world: placement }) })
}

/// Meshes as numbers, and what says which is which.
#[derive(Default)]
pub(super) struct Contents {
    /// The numbers that have not been taken yet.
    pub binary: Vec<u8>,
    /// Bytes that were taken.
    taken: usize,
    views: Vec<Value>,
    accessors: Vec<Value>,
    materials: Vec<Value>,
    textures: Vec<Value>,
    images: Vec<Value>,
    /// By text, which material without a texture it is: meshes that look alike share them.
    known: HashMap<String, usize>,
}

impl Contents {
    /// The numbers of what has been added since this was asked last.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.binary.len();
        std::mem::take(&mut self.binary)
    }

    /// Bytes of all numbers.
    pub fn length(&self) -> usize {
        self.taken + self.binary.len()
    }

    /// Adds a mesh: its primitives.
    pub fn mesh(&mut self, mesh: &Mesh) -> Vec<Value> {
        let attributes = self.attributes(mesh);
        let materials = self.materials(mesh);
        self.primitives(mesh, &attributes, &materials)
    }

    /// Adds single numbers: their accessor, with the least and the greatest.
    pub fn numbers(&mut self, values: &[f32]) -> usize {
        let view = self.view(None, values.iter().flat_map(|value| value.to_le_bytes()));
        let accessor = self.accessor(view, FLOAT, values.len(), "SCALAR");
        let [low, high] =
            values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| [low.min(*v), high.max(*v)]);
        self.accessors[accessor]["min"] = json!([f64::from(low)]);
        self.accessors[accessor]["max"] = json!([f64::from(high)]);
        accessor
    }

    /// Adds rows of three numbers: their accessor.
    pub fn rows(&mut self, rows: &[[f32; 3]]) -> usize {
        let view = self.view(None, rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
        self.accessor(view, FLOAT, rows.len(), "VEC3")
    }

    /// Adds bytes and says in which view they are. Views begin at multiples of four bytes.
    fn view(&mut self, target: Option<u32>, bytes: impl IntoIterator<Item = u8>) -> usize {
        let (start, before) = (self.length(), self.binary.len());
        self.binary.extend(bytes);
        let mut view = json!({"buffer": 0, "byteOffset": start, "byteLength": self.binary.len() - before});
        if let Some(target) = target {
            view["target"] = json!(target);
        }
        self.views.push(view);
        self.binary.resize(self.binary.len().next_multiple_of(4), 0);
        self.views.len() - 1
    }

    fn accessor(&mut self, view: usize, component: u32, count: usize, shape: &str) -> usize {
        self.accessors.push(json!({"bufferView": view, "componentType": component, "count": count, "type": shape}));
        self.accessors.len() - 1
    }

    fn floats<const N: usize>(&mut self, rows: &[[f32; N]], shape: &str) -> usize {
        let view = self.view(Some(ARRAY_BUFFER), rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
        self.accessor(view, FLOAT, rows.len(), shape)
    }

    fn attributes(&mut self, mesh: &Mesh) -> Map<String, Value> {
        let mut attributes = Map::new();
        let positions = self.floats(&mesh.positions, "VEC3");
        if let Some([low, high]) = mesh.bounds() {
            self.accessors[positions]["min"] = json!(low.map(f64::from));
            self.accessors[positions]["max"] = json!(high.map(f64::from));
        }
        attributes.insert("POSITION".to_owned(), json!(positions));
        if !mesh.normals.is_empty() {
            let normals: Vec<[f32; 3]> = mesh.normals.iter().map(unit).collect();
            attributes.insert("NORMAL".to_owned(), json!(self.floats(&normals, "VEC3")));
        }
        if !mesh.uvs.is_empty() {
            attributes.insert("TEXCOORD_0".to_owned(), json!(self.floats(&mesh.uvs, "VEC2")));
        }
        if !mesh.colours.is_empty() {
            // glTF has linear light: 16 bits tell apart what 8 bits do in sRGB.
            let linear: Vec<u16> = (0..=255).map(|code| (65_535.0 * linear_from_srgb(code)).round() as u16).collect();
            let row = |colour: &[u8; 3]| {
                let [red, green, blue] = colour.map(|code| linear[usize::from(code)]);
                [red, green, blue, u16::MAX].map(u16::to_le_bytes)
            };
            let bytes = mesh.colours.iter().flat_map(row).flatten();
            let view = self.view(Some(ARRAY_BUFFER), bytes);
            let colours = self.accessor(view, UNSIGNED_SHORT, mesh.colours.len(), "VEC4");
            self.accessors[colours]["normalized"] = json!(true);
            attributes.insert("COLOR_0".to_owned(), json!(colours));
        }
        attributes
    }

    fn primitives(&mut self, mesh: &Mesh, attributes: &Map<String, Value>, materials: &[usize]) -> Vec<Value> {
        if mesh.triangles.is_empty() {
            return vec![json!({"attributes": attributes, "mode": 0})];
        }
        let material_of = |i: usize| mesh.triangle_materials.get(i).copied().unwrap_or(0) as usize;
        let mut by_material: Vec<Vec<u32>> = vec![Vec::new(); mesh.materials.len().max(1)];
        for (i, triangle) in mesh.triangles.iter().enumerate() {
            by_material[material_of(i)].extend(triangle);
        }
        let used = by_material.into_iter().enumerate().filter(|(_, indices)| !indices.is_empty());
        used.map(|(material, indices)| {
            let bytes = indices.iter().flat_map(|index| index.to_le_bytes());
            let view = self.view(Some(ELEMENT_ARRAY_BUFFER), bytes);
            let indices = self.accessor(view, UNSIGNED_INT, indices.len(), "SCALAR");
            json!({"attributes": attributes, "indices": indices, "material": materials[material]})
        })
        .collect()
    }

    /// Adds materials with their pictures: where each of the mesh's is.
    fn materials(&mut self, mesh: &Mesh) -> Vec<usize> {
        let plain = [Material::named("")];
        // Without a material, viewers take a surface for metal.
        let stated = if mesh.materials.is_empty() { &plain[..] } else { &mesh.materials[..] };
        let stated = if mesh.triangles.is_empty() { &[] } else { stated };
        stated.iter().map(|material| self.material(material, !mesh.uvs.is_empty())).collect()
    }

    fn material(&mut self, material: &Material, has_uvs: bool) -> usize {
        let mut base = json!({"metallicFactor": 0, "roughnessFactor": 1});
        if material.colour != [1.0; 4] {
            base["baseColorFactor"] = json!(material.colour.map(f64::from));
        }
        let texture = material.texture.as_ref().filter(|_| has_uvs);
        if let Some(texture) = texture {
            let view = self.view(None, texture.bytes().iter().copied());
            base["baseColorTexture"] = json!({"index": self.textures.len()});
            self.textures.push(json!({"source": self.images.len()}));
            self.images.push(json!({"bufferView": view, "mimeType": texture.kind().media_type()}));
        }
        let mut written = json!({"pbrMetallicRoughness": base, "doubleSided": true});
        if !material.name.is_empty() {
            written["name"] = json!(material.name);
        }
        if material.colour[3] < 1.0 {
            written["alphaMode"] = json!("BLEND");
        }
        let next = self.materials.len();
        let index = if texture.is_some() { next } else { *self.known.entry(written.to_string()).or_insert(next) };
        if index == next {
            self.materials.push(written);
        }
        index
    }

    /// The document of nodes, all of which its scene shows, and their meshes.
    pub fn json(&mut self, nodes: Vec<Value>, meshes: Vec<Value>) -> Value {
        let mut root = json!({
            "asset": {"version": "2.0", "generator": concat!("Tessera ", env!("CARGO_PKG_VERSION"))},
            "scene": 0,
            "scenes": [{"nodes": (0..nodes.len()).collect::<Vec<_>>()}],
            "nodes": nodes,
            "meshes": meshes,
            "accessors": std::mem::take(&mut self.accessors),
            "bufferViews": std::mem::take(&mut self.views),
            "buffers": [{"byteLength": self.length()}],
        });
        // Arrays must not be empty.
        for (name, values) in
            [("materials", &mut self.materials), ("textures", &mut self.textures), ("images", &mut self.images)]
        {
            if !values.is_empty() {
                root[name] = json!(std::mem::take(values));
            }
        }
        root
    }
}

fn unit(normal: &[f32; 3]) -> [f32; 3] {
    let squared: f32 = normal.iter().map(|v| v * v).sum();
    match squared {
        s if (s - 1.0).abs() < UNIT => *normal,
        s if s > 0.0 && s.is_finite() => normal.map(|v| v / s.sqrt()),
        _ => [0.0, 0.0, 1.0],
    }
}

/// The inverse of [`crate::image::srgb_from_linear`].
fn linear_from_srgb(code: u32) -> f64 {
    let encoded = f64::from(code) / 255.0;
    if encoded <= 0.040_45 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}
