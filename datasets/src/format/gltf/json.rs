//! The JSON part of a glTF file, as far as this crate understands it (glTF 2.0, section 5).
//!
//! What a file says is only copied here. That indices and ranges lie where they must is checked where they are used.

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// Entries of one array or object. A short text can announce very many, and each takes far more memory than text.
const MAX_ENTRIES: usize = 1 << 18;

/// An array of bounded length; empty when it is absent.
pub(super) struct Bounded<T>(Vec<T>);

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Bounded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {MAX_ENTRIES} entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    if kept.len() == MAX_ENTRIES {
                        return Err(serde::de::Error::invalid_length(MAX_ENTRIES + 1, &self));
                    }
                    kept.push(entry);
                }
                Ok(Bounded(kept))
            }
        }
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

/// An object of bounded size; empty when it is absent.
pub(super) struct BoundedMap<T>(BTreeMap<String, T>);

impl<T> Default for BoundedMap<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Deref for BoundedMap<T> {
    type Target = BTreeMap<String, T>;

    fn deref(&self) -> &BTreeMap<String, T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for BoundedMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = BoundedMap<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {MAX_ENTRIES} entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry()? {
                    if kept.len() == MAX_ENTRIES {
                        return Err(serde::de::Error::invalid_length(MAX_ENTRIES + 1, &self));
                    }
                    kept.insert(key, value);
                }
                Ok(BoundedMap(kept))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Root {
    pub asset: Asset,
    #[serde(default)]
    pub extensions_required: Bounded<String>,
    pub scene: Option<u32>,
    #[serde(default)]
    pub scenes: Bounded<Scene>,
    #[serde(default)]
    pub nodes: Bounded<Node>,
    #[serde(default)]
    pub meshes: Bounded<Mesh>,
    #[serde(default)]
    pub materials: Bounded<Material>,
    #[serde(default)]
    pub textures: Bounded<Texture>,
    #[serde(default)]
    pub images: Bounded<Image>,
    #[serde(default)]
    pub accessors: Bounded<Accessor>,
    #[serde(default)]
    pub buffer_views: Bounded<BufferView>,
    #[serde(default)]
    pub buffers: Bounded<Buffer>,
    #[serde(default)]
    pub animations: Bounded<Animation>,
}

#[derive(Deserialize)]
pub(super) struct Animation {
    pub extras: Option<Box<RawValue>>,
    #[serde(default)]
    pub channels: Bounded<Channel>,
    #[serde(default)]
    pub samplers: Bounded<Sampler>,
}

#[derive(Deserialize)]
pub(super) struct Channel {
    pub sampler: u32,
    pub target: Target,
}

#[derive(Deserialize)]
pub(super) struct Target {
    pub node: Option<u32>,
    pub path: String,
}

#[derive(Deserialize)]
pub(super) struct Sampler {
    pub input: u32,
    pub output: u32,
    pub interpolation: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Asset {
    pub version: String,
}

#[derive(Deserialize)]
pub(super) struct Scene {
    #[serde(default)]
    pub nodes: Bounded<u32>,
}

#[derive(Deserialize)]
pub(super) struct Node {
    pub name: Option<String>,
    pub mesh: Option<u32>,
    #[serde(default)]
    pub children: Bounded<u32>,
    /// Column by column.
    pub matrix: Option<[f64; 16]>,
    pub translation: Option<[f64; 3]>,
    /// (x, y, z, w).
    pub rotation: Option<[f64; 4]>,
    pub scale: Option<[f64; 3]>,
    pub extras: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct Mesh {
    #[serde(default)]
    pub primitives: Bounded<Primitive>,
}

#[derive(Deserialize)]
pub(super) struct Primitive {
    #[serde(default)]
    pub attributes: BoundedMap<u32>,
    pub indices: Option<u32>,
    pub material: Option<u32>,
    #[serde(default = "triangles")]
    pub mode: u32,
    #[serde(default)]
    pub extensions: PrimitiveExtensions,
}

fn triangles() -> u32 {
    4
}

#[derive(Default, Deserialize)]
pub(super) struct PrimitiveExtensions {
    #[serde(rename = "KHR_gaussian_splatting")]
    pub splats: Option<SplatExtension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SplatExtension {
    pub kernel: Option<String>,
    pub color_space: Option<String>,
    pub projection: Option<String>,
    /// What the splats are compressed with, and anything else that changes their meaning.
    #[serde(default)]
    pub extensions: BoundedMap<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Material {
    pub name: Option<String>,
    #[serde(default, rename = "pbrMetallicRoughness")]
    pub base: BaseColour,
}

#[derive(Default, Deserialize)]
pub(super) struct BaseColour {
    #[serde(rename = "baseColorFactor")]
    pub colour: Option<[f32; 4]>,
    #[serde(rename = "baseColorTexture")]
    pub texture: Option<TextureInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TextureInfo {
    pub index: u32,
    #[serde(default)]
    pub tex_coord: u32,
    #[serde(default)]
    pub extensions: BoundedMap<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Texture {
    pub source: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    pub uri: Option<String>,
    pub buffer_view: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accessor {
    pub buffer_view: Option<u32>,
    #[serde(default)]
    pub byte_offset: u64,
    pub component_type: u32,
    #[serde(default)]
    pub normalized: bool,
    pub count: u64,
    #[serde(rename = "type")]
    pub shape: String,
    pub sparse: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BufferView {
    pub buffer: u32,
    #[serde(default)]
    pub byte_offset: u64,
    pub byte_length: u64,
    pub byte_stride: Option<u64>,
    #[serde(default)]
    pub extensions: BoundedMap<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Buffer {
    pub uri: Option<String>,
    pub byte_length: u64,
}
