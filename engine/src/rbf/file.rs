//! `.rbf` files: fitted pictures, shapes and radiance.
//!
//! ```text
//! "TSRBF\0\0\x01"
//! parts, one after the other: a tile's, a shape's or a scene's numbers as they are packed
//! index, JSON: what it is, and for each part where it begins, its length, its checksum and how its numbers are arranged
//! length of the index, u64 · checksum (CRC-32) of the index, u32 · "RBF\x01"
//! ```
//!
//! Numbers are little-endian. A part can be read without the others, so pictures of any size are drawn tile by tile.

use super::encoding::Encoding;
use super::field::{AnyDecoder, Field, Kernels};
use super::image::TileRect;
use super::packed::{pack, packed_len, unpack};
use super::radiance::Stored;
use super::shape::ShapeBox;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use tessera_datasets::format::{AtomicFile, Existing};
use tessera_kernels::hash_grid::FEATURES;
use tessera_kernels::rbf::{KernelParameters, KernelShape, SpatialKernels};

const MAGIC: &[u8; 8] = b"TSRBF\0\0\x01";
const END: &[u8; 4] = b"RBF\x01";
/// Bytes behind the index.
const TAIL: u64 = 8 + 4 + 4;
/// The longest index that is believed.
const LONGEST_INDEX: u64 = 256 << 20;
/// The most numbers of a part that are believed.
const MOST_NUMBERS: usize = 1 << 28;

/// The most outputs of a field: density, and harmonics of degree 3 for each colour.
const MOST_OUTPUTS: usize = 1 + 3 * 16;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A picture.
    Image {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// 1 (grey), 3 or 4 (with alpha).
        channels: usize,
        /// Where each part's pixels are.
        tiles: Vec<TileRect>,
    },
    /// A shape.
    Shape {
        /// Where the unit cube is.
        shape_box: ShapeBox,
    },
    /// Density and colours of a scene.
    Radiance(Stored),
}

/// What belongs to all parts of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The program that wrote it.
    pub version: String,
    /// What it is.
    pub content: Content,
    /// Settings of the fit, as TOML.
    pub settings: String,
    parts: Vec<Part>,
}

/// Where a part is, and how its numbers are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    offset: u64,
    bytes: u64,
    checksum: u32,
    bits: u32,
    encoding: Encoding,
    outputs: usize,
    kernels: Option<KernelPart>,
}

/// Where bytes are that are no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    offset: u64,
    bytes: u64,
    checksum: u32,
}

/// Kernels in space of a part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct KernelPart {
    count: usize,
    features: usize,
    neighbours: usize,
    shape: KernelShape,
    normalised: bool,
    frequencies: bool,
}

/// A file that grows part by part and appears whole or not at all.
pub struct RbfWriter {
    file: AtomicFile,
    offset: u64,
    parts: Vec<Part>,
}

impl RbfWriter {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// When its folder takes no files, or a file is there that is to be kept.
    pub fn new(path: &Path, existing: Existing) -> Result<Self> {
        let mut file = AtomicFile::create(path, existing)?;
        file.put(MAGIC)?;
        Ok(Self { file, offset: MAGIC.len() as u64, parts: Vec::new() })
    }

    /// Adds a field, and gives it back as readers will see it. What is written is checked to be numbers.
    ///
    /// # Errors
    /// When fitting diverged, or the disk refuses.
    pub fn add(&mut self, field: &Field, encoding: &Encoding, bits: u32) -> Result<Field> {
        let kernels = field.kernels.as_ref().map(KernelPart::of);
        let mut bytes = Vec::new();
        pack(&field.table, bits, &mut bytes);
        if let Some(kernels) = &field.kernels {
            // Places are few numbers, and a small error moves a kernel by pixels.
            [&kernels.parameters.centres, &kernels.parameters.shapes, &kernels.of.frequencies]
                .into_iter()
                .for_each(|values| pack(values, 32, &mut bytes));
            pack(&kernels.parameters.weights, bits, &mut bytes);
        }
        pack(&field.parameters, 32, &mut bytes);
        let part = Part {
            offset: self.offset,
            bytes: bytes.len() as u64,
            checksum: crc32fast::hash(&bytes),
            bits,
            encoding: *encoding,
            outputs: field.decoder.outputs(),
            kernels,
        };
        self.file.put(&bytes)?;
        self.offset += part.bytes;
        self.parts.push(part);
        let read = part.field(&bytes).filter(Field::is_finite);
        read.ok_or_else(|| Error::setting("fitting has diverged: numbers are no longer finite; use a lower --set rate"))
    }

    /// Adds bytes that are no field.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add_blob(&mut self, bytes: &[u8]) -> Result<Blob> {
        let blob = Blob { offset: self.offset, bytes: bytes.len() as u64, checksum: crc32fast::hash(bytes) };
        self.file.put(bytes)?;
        self.offset += blob.bytes;
        Ok(blob)
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self, content: Content, settings: String) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let index = Index { version, content, settings, parts: self.parts };
        let index = serde_json::to_vec(&index).map_err(|e| Error::from(self.file.unwritable(&e.into())))?;
        self.file.put(&index)?;
        self.file.put(&(index.len() as u64).to_le_bytes())?;
        self.file.put(&crc32fast::hash(&index).to_le_bytes())?;
        self.file.put(END)?;
        Ok(self.file.commit()?)
    }
}

/// A file whose parts are read as they are wanted.
#[derive(Debug)]
pub struct RbfFile {
    file: File,
    path: PathBuf,
    length: u64,
    /// What it says about itself.
    pub index: Index,
}

impl RbfFile {
    /// Whether a file is called like one.
    pub fn is_named(path: &Path) -> bool {
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("rbf"))
    }

    /// Reads the index.
    ///
    /// # Errors
    /// When the file is missing, no such file, or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable =
            |e: std::io::Error| Error::file(path, format!("cannot be read ({e})"), "check that it is there");
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut magic = [0; MAGIC.len()];
        let is_ours = length >= MAGIC.len() as u64 + TAIL && file.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        if !is_ours {
            let remedy = "name a file that `tessera fit` or `tessera reconstruct --method rbf` wrote with this version";
            return Err(Error::file(path, "is no fitted picture, shape or radiance", remedy));
        }
        let mut tail = [0; TAIL as usize];
        file.seek(SeekFrom::Start(length - TAIL)).and_then(|_| file.read_exact(&mut tail)).map_err(unreadable)?;
        let size = u64::from_le_bytes(std::array::from_fn(|i| tail[i]));
        let checksum = u32::from_le_bytes(std::array::from_fn(|i| tail[8 + i]));
        if tail[12..] != *END || size > LONGEST_INDEX || size > length - TAIL - MAGIC.len() as u64 {
            return Err(damaged(path));
        }
        let mut index = vec![0; size as usize];
        file.seek(SeekFrom::Start(length - TAIL - size))
            .and_then(|_| file.read_exact(&mut index))
            .map_err(unreadable)?;
        let good = crc32fast::hash(&index) == checksum;
        let index: Index = good.then(|| serde_json::from_slice(&index).ok()).flatten().ok_or_else(|| damaged(path))?;
        let tiles = match &index.content {
            Content::Image { tiles, .. } => tiles.len(),
            Content::Shape { .. } | Content::Radiance(_) => 1,
        };
        if tiles != index.parts.len() {
            return Err(damaged(path));
        }
        Ok(Self { file, path: path.to_owned(), length, index })
    }

    /// Bytes of the whole file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Numbers of all parts.
    pub fn numbers(&self) -> usize {
        self.index.parts.iter().map(Part::numbers).sum()
    }

    /// The field of part `part`.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn field(&mut self, part: usize) -> Result<Field> {
        let part = *self.index.parts.get(part).ok_or_else(|| self.damaged())?;
        if part.encoding.check().is_err() || !part.is_possible() {
            return Err(self.damaged());
        }
        let bytes = self.blob(&Blob { offset: part.offset, bytes: part.bytes, checksum: part.checksum })?;
        part.field(&bytes).filter(Field::is_finite).ok_or_else(|| self.damaged())
    }

    /// Bytes that are no field.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn blob(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        if blob.offset.checked_add(blob.bytes).is_none_or(|end| end > self.length) {
            return Err(self.damaged());
        }
        let mut bytes = vec![0; blob.bytes as usize];
        let read = self.file.seek(SeekFrom::Start(blob.offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Error::file(&self.path, format!("cannot be read ({e})"), "copy it again"))?;
        if crc32fast::hash(&bytes) == blob.checksum { Ok(bytes) } else { Err(self.damaged()) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// That it is damaged.
    pub(super) fn damaged(&self) -> Error {
        damaged(&self.path)
    }
}

fn damaged(path: &Path) -> Error {
    Error::file(path, "is damaged or was not written to its end", "fit it again, or copy it again from its source")
}

impl KernelPart {
    fn of(kernels: &Kernels) -> Self {
        let of = &kernels.of;
        Self {
            count: kernels.parameters.centres.len() / of.dimensions,
            features: of.features,
            neighbours: of.neighbours,
            shape: of.shape,
            normalised: of.normalised,
            frequencies: !of.frequencies.is_empty(),
        }
    }

    fn spatial(&self, dimensions: usize) -> SpatialKernels {
        let (features, neighbours, shape, normalised) = (self.features, self.neighbours, self.shape, self.normalised);
        SpatialKernels { dimensions, features, neighbours, shape, normalised, frequencies: Vec::new() }
    }
}

impl Part {
    /// Whether sizes are such as a fit has, before memory is taken for them.
    fn is_possible(&self) -> bool {
        let kernels = self.kernels.is_none_or(|k| {
            (8..=128).contains(&k.features)
                && k.features.is_multiple_of(8)
                && (1..=16).contains(&k.neighbours)
                && (k.neighbours..=MOST_NUMBERS / 256).contains(&k.count)
        });
        kernels
            && matches!(self.bits, 8 | 16 | 32)
            && (1..=MOST_OUTPUTS).contains(&self.outputs)
            && matches!(self.encoding.dimensions, 2 | 3)
            && self.numbers() <= MOST_NUMBERS
    }

    fn decoder(&self) -> AnyDecoder {
        let of_kernels = self.kernels.map_or(0, |k| k.features);
        let features = FEATURES * self.encoding.levels + of_kernels;
        AnyDecoder::new(self.encoding.decoder, features, self.encoding.centres, self.outputs)
    }

    fn numbers(&self) -> usize {
        let of_kernels = self.kernels.map_or(0, |k| {
            k.count * (self.encoding.dimensions + k.spatial(self.encoding.dimensions).shape_numbers() + k.features)
        });
        FEATURES * self.encoding.grid().entries() + of_kernels + self.decoder().parameters()
    }

    /// What the bytes of a part mean; `None` when they are too few or too many.
    fn field(&self, mut bytes: &[u8]) -> Option<Field> {
        let grid = self.encoding.grid();
        let count = FEATURES * grid.entries();
        if packed_len(count, self.bits) > bytes.len() {
            return None;
        }
        let table = unpack(&mut bytes, count, self.bits)?;
        let kernels = match &self.kernels {
            None => None,
            Some(part) => {
                let mut of = part.spatial(self.encoding.dimensions);
                let centres = unpack(&mut bytes, part.count * of.dimensions, 32)?;
                let shapes = unpack(&mut bytes, part.count * of.shape_numbers(), 32)?;
                of.frequencies = unpack(&mut bytes, if part.frequencies { part.features } else { 0 }, 32)?;
                let weights = unpack(&mut bytes, part.count * part.features, self.bits)?;
                Some(Kernels { of, parameters: KernelParameters { centres, shapes, weights } })
            }
        };
        let decoder = self.decoder();
        let parameters = unpack(&mut bytes, decoder.parameters(), 32)?;
        bytes.is_empty().then_some(Field { grid, table, kernels, decoder, parameters })
    }
}
