//! Gaussian splats as glTF with `KHR_gaussian_splatting`: 32-bit floats, one run of bytes per attribute, and `COLOR_0`
//! for programs that show points only.
//!
//! The runs begin where the announced number of splats puts them, so that chunks are written straight to their places.
//! When another number comes, the runs are moved in the end (or when one is full).

use super::container::Container;
use super::{DISPLAY_COLOURS, EXTENSION, Extras, Placement, SplatExtras, half_turn, harmonics_attributes};
use crate::camera::Similarity;
use crate::format::Existing;
use crate::format::stream::{SplatHeader, SplatSink, check_chunk};
use crate::scene::{SplatCloud, Y0};
use crate::{DataError, Result};
use serde_json::{Map, Value, json};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

/// Numbers of glTF for a type of component and a use of bytes.
const FLOAT: u32 = 5126;
const UNSIGNED_BYTE: u32 = 5121;
const ARRAY_BUFFER: u32 = 34962;
/// Splats whose attributes are put in order at once: few enough to stay in the processor's cache.
const BLOCK: usize = 1024;
/// Quaternions whose squared length is this close to one are kept bit for bit.
const UNIT: f64 = 1e-6;

/// Begins a GLB file, or a glTF document with its file of numbers.
///
/// # Errors
/// When a file is in the way and to be kept, or the disk refuses.
pub(in crate::format) fn create_splats(
    path: &Path,
    header: &SplatHeader,
    existing: Existing,
) -> Result<Box<dyn SplatSink>> {
    let mut writer = Writer {
        container: Container::create(path, existing)?,
        attributes: attributes(header.sh_degree),
        header: SplatHeader { count: 0, ..header.clone() },
        capacity: 0,
        binary_start: 0,
        least: [f32::INFINITY; 3],
        most: [f32::NEG_INFINITY; 3],
    };
    // No number in the JSON of any real file is longer in print than these.
    let longest = writer.json(u32::MAX.into(), [f64::MIN; 3], [f64::MIN; 3]);
    writer.binary_start = writer.container.start(&longest);
    writer.capacity = header.count.min(writer.most_splats());
    Ok(Box::new(writer))
}

/// A vertex attribute: its values of the splats in a chunk, one after another as they will be in the file.
struct Attribute {
    name: String,
    shape: &'static str,
    /// Per splat.
    bytes: u64,
    values: Vec<u8>,
}

/// In the order of [`fill`].
fn attributes(sh_degree: u8) -> Vec<Attribute> {
    let of = |name: String, shape, bytes| Attribute { name, shape, bytes, values: Vec::new() };
    let own = |name: &str, shape, bytes| of(format!("{EXTENSION}:{name}"), shape, bytes);
    let first = [
        of("POSITION".to_owned(), "VEC3", 12),
        of("COLOR_0".to_owned(), "VEC4", 4),
        own("ROTATION", "VEC4", 16),
        own("SCALE", "VEC3", 12),
        own("OPACITY", "SCALAR", 4),
    ];
    first.into_iter().chain(harmonics_attributes(sh_degree).map(|name| own(&name, "VEC3", 12))).collect()
}

struct Writer {
    container: Container,
    /// Its count is of what has come.
    header: SplatHeader,
    attributes: Vec<Attribute>,
    /// Splats that there is room for in each run of bytes.
    capacity: u64,
    /// Position of the first run in the file.
    binary_start: u64,
    /// Of the positions in the file.
    least: [f32; 3],
    most: [f32; 3],
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.header.sh_degree, self.container.path())?;
        let count = self.header.count + chunk.len() as u64;
        if count > self.capacity {
            self.make_room(count)?;
        }
        self.attributes.iter_mut().for_each(|attribute| attribute.values.clear());
        for start in (0..chunk.len()).step_by(BLOCK) {
            fill(&mut self.attributes, chunk, start..chunk.len().min(start + BLOCK));
        }
        for position in chunk.means.iter().map(|&mean| half_turn::position(mean)) {
            for axis in 0..3 {
                self.least[axis] = self.least[axis].min(position[axis]);
                self.most[axis] = self.most[axis].max(position[axis]);
            }
        }
        let mut run = self.binary_start;
        let file = &mut self.container.file;
        for attribute in &self.attributes {
            let at = run + self.header.count * attribute.bytes;
            let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&attribute.values));
            written.map_err(|e| file.unwritable(&e))?;
            run += self.capacity * attribute.bytes;
        }
        self.header.count = count;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let count = self.header.count;
        if count == 0 {
            return Err(DataError::new(self.container.path(), "would hold no splats, and glTF has no way to say that")
                .remedy("write a .ply file, or keep at least one splat"));
        }
        let binary_bytes = count * self.bytes_per_splat();
        self.move_runs(count)?;
        self.container.file.truncate(self.binary_start + binary_bytes)?;
        let json = self.json(count, self.least.map(f64::from), self.most.map(f64::from));
        self.container.finish(json, self.binary_start, binary_bytes)
    }
}

impl Writer {
    fn bytes_per_splat(&self) -> u64 {
        self.attributes.iter().map(|attribute| attribute.bytes).sum()
    }

    /// Splats that fit into the file.
    fn most_splats(&self) -> u64 {
        self.container.room(self.binary_start) / self.bytes_per_splat()
    }

    /// Makes room for `count` splats, and for as many again if the format allows it.
    fn make_room(&mut self, count: u64) -> Result<()> {
        let most = self.most_splats();
        if count > most {
            return Err(self.container.too_long());
        }
        self.move_runs((2 * count).min(most))
    }

    /// Moves what has been written to where it belongs when there is room for `capacity` splats.
    fn move_runs(&mut self, capacity: u64) -> Result<()> {
        let mut runs = Vec::with_capacity(self.attributes.len());
        let (mut from, mut to) = (self.binary_start, self.binary_start);
        for attribute in &self.attributes {
            runs.push((from, to, self.header.count * attribute.bytes));
            from += self.capacity * attribute.bytes;
            to += capacity * attribute.bytes;
        }
        // What is in the way must go first: the last when runs move away from the start, the first otherwise.
        if capacity > self.capacity {
            runs.reverse();
        }
        for (from, to, length) in runs {
            self.container.file.move_bytes(from, to, length)?;
        }
        self.capacity = capacity;
        Ok(())
    }

    fn json(&self, count: u64, least: [f64; 3], most: [f64; 3]) -> Value {
        let mut offset = 0;
        let (mut views, mut accessors, mut attributes) = (Vec::new(), Vec::new(), Map::new());
        for (index, Attribute { name, shape, bytes, .. }) in self.attributes.iter().enumerate() {
            let length = count * bytes;
            views.push(json!({"buffer": 0, "byteOffset": offset, "byteLength": length, "target": ARRAY_BUFFER}));
            let mut accessor = json!({"bufferView": index, "componentType": FLOAT, "count": count, "type": shape});
            if name == "POSITION" {
                accessor["min"] = json!(least);
                accessor["max"] = json!(most);
            } else if name == "COLOR_0" {
                accessor["componentType"] = json!(UNSIGNED_BYTE);
                accessor["normalized"] = json!(true);
            }
            accessors.push(accessor);
            attributes.insert(name.clone(), json!(index));
            offset += length;
        }
        let extension = json!({
            "kernel": "ellipse", "colorSpace": DISPLAY_COLOURS,
            "sortingMethod": "cameraDistance", "projection": "perspective",
        });
        json!({
            "asset": {"version": "2.0", "generator": concat!("Tessera ", env!("CARGO_PKG_VERSION"))},
            "extensionsUsed": [EXTENSION],
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [self.node()],
            "meshes": [{"primitives": [{"attributes": attributes, "mode": 0, "extensions": {EXTENSION: extension}}]}],
            "accessors": accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": offset}],
        })
    }

    fn node(&self) -> Value {
        let mut node = json!({"mesh": 0});
        let SplatHeader { antialiased, scene_from_world, .. } = &self.header;
        let placement = (*scene_from_world != Similarity::identity())
            .then(|| Placement::of(&half_turn::target_to_gltf(scene_from_world)));
        if *antialiased || placement.is_some() {
            node["extras"] =
                json!(Extras { tessera: Some(SplatExtras { antialiased: *antialiased, scene_from_world: placement }) });
        }
        node
    }
}

/// Appends the splats of a range to the values of all attributes.
fn fill(attributes: &mut [Attribute], chunk: &SplatCloud, range: Range<usize>) {
    let [positions, colours, rotations, scales, opacities, sh0, harmonics @ ..] = attributes else { return };
    for i in range.clone() {
        let opacity = 1.0 / (1.0 + (-chunk.opacity_logits[i]).exp());
        append(positions, half_turn::position(chunk.means[i]));
        colours.values.extend(fallback_colour(chunk.sh0[i], opacity));
        let [w, x, y, z] = half_turn::rotation_to_gltf(unit(chunk.quats[i]));
        append(rotations, [x, y, z, w]);
        append(scales, chunk.log_scales[i].map(|scale| scale.exp().min(f32::MAX)));
        append(opacities, [opacity]);
        append(sh0, chunk.sh0[i]);
    }
    let coefficients = harmonics.len();
    let (colours, _) = chunk.sh_rest[3 * coefficients * range.start..3 * coefficients * range.end].as_chunks::<3>();
    for (index, attribute) in harmonics.iter_mut().enumerate() {
        let sign = if half_turn::NEGATED[index] { -1.0 } else { 1.0 };
        colours.iter().skip(index).step_by(coefficients).for_each(|colour| append(attribute, colour.map(|c| sign * c)));
    }
}

fn append<const N: usize>(attribute: &mut Attribute, numbers: [f32; N]) {
    attribute.values.extend_from_slice(numbers.map(f32::to_le_bytes).as_flattened());
}

/// What programs show that know points only.
fn fallback_colour(sh0: [f32; 3], opacity: f32) -> [u8; 4] {
    let [red, green, blue] = sh0.map(|c| 0.5 + Y0 as f32 * c);
    [red, green, blue, opacity].map(|channel| (255.0 * channel).round() as u8) // saturates
}

/// The extension wants quaternions of length one.
fn unit(quat: [f32; 4]) -> [f32; 4] {
    let exact = quat.map(f64::from);
    let squared: f64 = exact.iter().map(|v| v * v).sum();
    match squared {
        s if (s - 1.0).abs() < UNIT => quat,
        s if s > 0.0 => exact.map(|v| (v / s.sqrt()) as f32),
        _ => [1.0, 0.0, 0.0, 0.0],
    }
}
