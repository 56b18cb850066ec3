//! `tiles.json`: what a streamed scene is, how its tree hangs together, and where its pages lie.

use super::page::{self, PageError};
use crate::camera::Similarity;
use crate::format::placement;
use crate::format::stream::SplatHeader;
use crate::scene::tile_tree::{Bounds, MAX_NODES, TileNode, TileTree};
use crate::scene::{SplatCloud, Subject};
use nalgebra::Vector3;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the manifest says of itself.
const FORMAT: &str = "tessera-tiles";
const VERSION: u32 = 1;
/// The vertical field of view of a camera of which nothing is known, in radians.
const FOV_Y: f32 = 0.8;
/// How far such a camera stands above what it looks at, in units of how far it stands before it.
const RISE: f64 = 0.4;
/// The most files that pages may be spread over.
const MAX_FILES: usize = 1 << 16;

/// A streamed scene without its splats.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Of the scene that the leaves hold.
    pub header: SplatHeader,
    /// Which direction is up in stored coordinates, of length 1, where that is known.
    pub up: Option<[f32; 3]>,
    /// Where to begin looking from.
    pub camera: Option<StartCamera>,
    /// Splats nearer to a camera than this are not drawn, in stored coordinates: [`crate::scene::Bulk::near`] of all of them, which their
    /// coarser levels do not tell.
    pub near: Option<f32>,
    /// The tree.
    pub tree: Arc<TileTree>,
    /// The files with the pages, relative to the manifest.
    pub files: Vec<String>,
    /// By node.
    pub pages: Vec<PageLocation>,
}

/// A place to begin looking from, in stored coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartCamera {
    /// Where the camera is.
    pub position: [f32; 3],
    /// What it looks at.
    pub target: [f32; 3],
    /// Vertical field of view in radians.
    pub fov_y: f32,
}

impl StartCamera {
    /// To the front of a scene with these means (`[N, 3]`) and a little above it. Up is where the y axis does not point, as in
    /// most splat files, unless it is known; the front looks along z, or along x where z is up.
    pub fn before(means: &[[f32; 3]], up: Option<[f32; 3]>) -> Self {
        let subject = Subject::of(means);
        let centre = subject.centre;
        let up = Vector3::from(up.unwrap_or([0.0, -1.0, 0.0]).map(f64::from));
        let level = |axis: Vector3<f64>| axis - up * axis.dot(&up);
        let [x, z] = [Vector3::x(), Vector3::z()].map(level);
        let front = if z.norm_squared() >= 0.5 { z } else { x };
        let away = subject.distance(f64::from(FOV_Y)) / 1.0f64.hypot(RISE);
        let position = centre + front.normalize() * away + up * (RISE * away);
        let [position, target] = [position, centre].map(|point| point.map(|v| v as f32).into());
        Self { position, target, fov_y: FOV_Y }
    }
}

/// Where a page lies and how it is checked. The harmonics follow the core without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageLocation {
    /// Index of the file.
    pub file: u32,
    /// Of the first byte.
    pub offset: u64,
    /// Bytes of the core, and of the harmonics.
    pub bytes: [u32; 2],
    /// CRC-32 of the core, and of the harmonics.
    pub checksums: [u32; 2],
}

impl PageLocation {
    /// Bytes of both parts.
    pub fn length(&self) -> u64 {
        u64::from(self.bytes[0]) + u64::from(self.bytes[1])
    }
}

#[derive(Serialize, Deserialize)]
struct Raw {
    format: String,
    version: u32,
    #[serde(default)]
    generator: String,
    splats: u64,
    sh_degree: u8,
    #[serde(default)]
    antialiased: bool,
    /// Translation, quaternion (w, x, y, z), scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scene_from_world: Option<[f64; 8]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up: Option<[f32; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    camera: Option<StartCamera>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    near: Option<f32>,
    files: Vec<String>,
    nodes: Vec<RawNode>,
}

#[derive(Serialize, Deserialize)]
struct RawNode {
    low: [f32; 3],
    high: [f32; 3],
    error: f32,
    splats: u32,
    /// The first child and how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    children: Option<[u32; 2]>,
    #[serde(default, skip_serializing_if = "is_zero")]
    file: u32,
    offset: u64,
    bytes: [u32; 2],
    crc32: [u32; 2],
}

fn is_zero(file: &u32) -> bool {
    *file == 0
}

impl Manifest {
    /// Understands the bytes of a manifest.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|e| format!("does not describe a streamed scene ({e})"))?;
        if raw.format != FORMAT {
            return Err(format!("is of the format '{}', not '{FORMAT}'", raw.format));
        }
        if raw.version != VERSION {
            return Err(format!("is of version {}, and only version {VERSION} is known", raw.version));
        }
        if raw.sh_degree > 3 {
            return Err(format!("has harmonics of degree {}, and 3 is the highest", raw.sh_degree));
        }
        if raw.files.len() > MAX_FILES || raw.nodes.len() > MAX_NODES {
            return Err("has more files or nodes than any scene needs".to_owned());
        }
        if let Some(file) = raw.files.iter().find(|file| !is_plain(file)) {
            return Err(format!("names the file '{file}', which does not lie beside it"));
        }
        let scene_from_world = match raw.scene_from_world {
            Some(numbers) => placement::from_numbers(numbers).ok_or("has a damaged scene_from_world")?,
            None => Similarity::identity(),
        };
        let locations: Vec<PageLocation> = raw.nodes.iter().map(RawNode::location).collect();
        check_locations(&locations, &raw)?;
        let tree = TileTree::new(raw.nodes.iter().map(RawNode::node).collect::<Result<_, _>>()?)?;
        if tree.leaf_splats() != raw.splats {
            return Err(format!("announces {} splats, and its leaves hold {}", raw.splats, tree.leaf_splats()));
        }
        let finite = |v: &[f32]| v.iter().all(|v| v.is_finite());
        Ok(Self {
            header: SplatHeader {
                count: raw.splats,
                sh_degree: raw.sh_degree,
                antialiased: raw.antialiased,
                scene_from_world,
            },
            up: raw.up.and_then(unit),
            camera: raw.camera.filter(|c| finite(&c.position) && finite(&c.target) && (0.01..3.1).contains(&c.fov_y)),
            near: raw.near.filter(|near| near.is_finite() && *near >= 0.0),
            tree: Arc::new(tree),
            files: raw.files,
            pages: locations,
        })
    }

    /// The bytes that [`Self::parse`] understands.
    pub fn to_json(&self) -> Vec<u8> {
        let placed = Some(&self.header.scene_from_world).filter(|placement| **placement != Similarity::identity());
        let node = |(node, page): (&TileNode, &PageLocation)| RawNode {
            low: node.bounds.low,
            high: node.bounds.high,
            error: node.error,
            splats: node.splats,
            children: (!node.is_leaf()).then(|| [node.children.start, node.children.len() as u32]),
            file: page.file,
            offset: page.offset,
            bytes: page.bytes,
            crc32: page.checksums,
        };
        let raw = Raw {
            format: FORMAT.to_owned(),
            version: VERSION,
            generator: concat!("tessera ", env!("CARGO_PKG_VERSION")).to_owned(),
            splats: self.header.count,
            sh_degree: self.header.sh_degree,
            antialiased: self.header.antialiased,
            scene_from_world: placed.map(placement::numbers),
            up: self.up,
            camera: self.camera,
            near: self.near,
            files: self.files.clone(),
            nodes: self.tree.nodes().iter().zip(&self.pages).map(node).collect(),
        };
        serde_json::to_vec(&raw).unwrap_or_default()
    }

    /// Decodes the page of a node from its bytes: all [`PageLocation::length`] of them, or the core's alone, which gives a
    /// cloud of degree 0.
    ///
    /// # Errors
    /// When the bytes are not those that were written.
    pub fn decode_page(&self, node: u32, bytes: &[u8]) -> Result<SplatCloud, PageError> {
        let PageLocation { bytes: [core, harmonics], checksums, .. } = self.pages[node as usize];
        let (core, harmonics) = (core as usize, harmonics as usize);
        if bytes.len() != core && bytes.len() != core + harmonics {
            return Err(PageError::Length);
        }
        let (core, harmonics) = bytes.split_at(core);
        let harmonics = (!harmonics.is_empty()).then_some(harmonics);
        let is_sound = |part: &[u8], checksum: u32| crc32fast::hash(part) == checksum;
        if !is_sound(core, checksums[0]) || harmonics.is_some_and(|part| !is_sound(part, checksums[1])) {
            return Err(PageError::Checksum);
        }
        let splats = self.tree.node(node).splats as usize;
        let mut cloud = page::decode(splats, self.header.sh_degree, core, harmonics)?;
        cloud.antialiased = self.header.antialiased;
        cloud.scene_from_world = self.header.scene_from_world;
        Ok(cloud)
    }
}

impl RawNode {
    fn node(&self) -> Result<TileNode, String> {
        let children = match self.children {
            Some([first, count]) => first..first.checked_add(count).ok_or("has children beyond all numbers")?,
            None => 0..0,
        };
        let bounds = Bounds { low: self.low, high: self.high };
        Ok(TileNode { bounds, error: self.error, children, splats: self.splats })
    }

    fn location(&self) -> PageLocation {
        PageLocation { file: self.file, offset: self.offset, bytes: self.bytes, checksums: self.crc32 }
    }
}

fn check_locations(locations: &[PageLocation], raw: &Raw) -> Result<(), String> {
    let mut places: Vec<(u32, u64, u64)> = Vec::with_capacity(locations.len());
    for (i, page) in locations.iter().enumerate() {
        let end = page.offset.checked_add(page.length()).ok_or_else(|| format!("has page {i} beyond all files"))?;
        if page.file as usize >= raw.files.len() {
            return Err(format!("puts page {i} into file {}, and names {}", page.file, raw.files.len()));
        }
        if (page.bytes[1] > 0) != (raw.sh_degree > 0) {
            return Err(format!("has harmonics at page {i} that do not fit the degree {}", raw.sh_degree));
        }
        places.push((page.file, page.offset, end));
    }
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1) {
        return Err("has pages that overlap".to_owned());
    }
    Ok(())
}

/// Whether a name stays in the manifest's folder wherever that is: on a disk, at an address.
fn is_plain(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    !name.contains(['\\', ':', '\0', '?', '#', '%']) && name.split('/').all(is_part)
}

fn unit(v: [f32; 3]) -> Option<[f32; 3]> {
    let length = v.iter().map(|c| c * c).sum::<f32>().sqrt();
    (length.is_finite() && length > 1e-6).then(|| v.map(|c| c / length))
}
