//! A glTF file with its buffers: the container (GLB or JSON text), and checked access to the bytes behind it.

use super::json::{self, Root};
use super::uri::{self, Location};
use crate::{DataError, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// `glTF`, little endian.
pub(super) const GLB_MAGIC: u32 = 0x4654_6c67;
/// `JSON`.
pub(super) const GLB_JSON: u32 = 0x4e4f_534a;
/// `BIN` and a zero.
pub(super) const GLB_BIN: u32 = 0x004e_4942;

/// The JSON of scenes takes kilobytes; more than this must be embedded data, or damage.
const MAX_JSON_BYTES: u64 = 64 << 20;
/// Open files are few.
const MAX_FILES: usize = 200;
/// What may be required of a reader that understands this much. Materials beyond the base colour are not read anyway.
const UNDERSTOOD: [&str; 4] =
    ["KHR_gaussian_splatting", "KHR_mesh_quantization", "KHR_materials_unlit", "KHR_texture_transform"];

pub(super) struct Document {
    pub path: PathBuf,
    pub root: Root,
    buffers: Vec<Buffer>,
}

struct Buffer {
    /// The file that it is in: the document itself, or another one beside it.
    path: PathBuf,
    bytes: Bytes,
    length: u64,
}

enum Bytes {
    Memory(Vec<u8>),
    /// From this position in the file.
    File(File, u64),
}

impl Document {
    /// Opens a file, whichever of the two kinds it is.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (mut file, length) = open(path, path)?;
        let mut magic = [0; 4];
        let is_glb = length >= 4 && file.read_exact(&mut magic).is_ok() && u32::from_le_bytes(magic) == GLB_MAGIC;
        file.rewind().map_err(|e| DataError::unreadable(path, &e))?;
        let (text, binary) =
            if is_glb { glb(&mut file, length, path)? } else { (text(&mut file, length, path)?, None) };
        let root = parse(&text, path)?;
        let binary =
            binary.map(|(start, length)| Buffer { path: path.to_owned(), bytes: Bytes::File(file, start), length });
        let buffers = open_buffers(&root, binary, path)?;
        let document = Self { path: path.to_owned(), root, buffers };
        document.check_requirements()?;
        Ok(document)
    }

    /// The file that a buffer is in, for messages about what it holds.
    pub(super) fn path_of(&self, buffer: u32) -> &Path {
        at(&self.buffers, buffer).map_or(&self.path, |buffer| &buffer.path)
    }

    /// An error about this file.
    pub(super) fn bad(&self, reason: impl Into<String>) -> DataError {
        DataError::new(&self.path, reason).remedy("export it again, or see what the glTF validator says about it")
    }

    fn check_requirements(&self) -> Result<()> {
        let unknown = self.root.extensions_required.iter().find(|name| !UNDERSTOOD.contains(&name.as_str()));
        let Some(name) = unknown else { return Ok(()) };
        Err(DataError::new(&self.path, format!("requires the glTF extension '{name}', which cannot be read"))
            .remedy("export it without that extension, for example uncompressed"))
    }

    /// Where the binary part of a GLB file begins, and how long it is.
    pub(super) fn binary(&self) -> Option<(u64, u64)> {
        match self.buffers.first()? {
            Buffer { path, bytes: Bytes::File(_, start), length } if *path == self.path => Some((*start, *length)),
            _ => None,
        }
    }

    /// Bytes that all buffers have together.
    pub(super) fn buffer_bytes(&self) -> u64 {
        self.buffers.iter().fold(0, |sum, buffer| sum.saturating_add(buffer.length))
    }

    /// Where a buffer view lies: its buffer, and the range in it.
    pub(super) fn view(&self, index: u32) -> Result<(&json::BufferView, ViewRange)> {
        let missing = |what: &str| self.bad(format!("has no {what}, though it refers to it"));
        let view = at(&self.root.buffer_views, index).ok_or_else(|| missing(&format!("buffer view {index}")))?;
        if let Some(name) = view.extensions.keys().find(|name| name.contains("compression")) {
            let reason = format!("is compressed with the glTF extension '{name}', which cannot be read");
            return Err(DataError::new(&self.path, reason).remedy("export it uncompressed"));
        }
        let buffer = at(&self.buffers, view.buffer).ok_or_else(|| missing(&format!("buffer {}", view.buffer)))?;
        let end = view.byte_offset.checked_add(view.byte_length).filter(|end| *end <= buffer.length);
        let end = end.ok_or_else(|| self.bad(format!("has a buffer view {index} that ends after its buffer does")))?;
        Ok((view, ViewRange { buffer: view.buffer, start: view.byte_offset, end }))
    }

    /// Reads a range that lies in a [`ViewRange`].
    pub(super) fn read(&self, buffer: u32, start: u64, bytes: &mut [u8]) -> Result<()> {
        let source = at(&self.buffers, buffer).ok_or_else(|| self.bad("refers to a buffer that it does not have"))?;
        match &source.bytes {
            Bytes::Memory(all) => {
                let range = usize::try_from(start).ok().and_then(|start| all.get(start..)?.get(..bytes.len()));
                bytes.copy_from_slice(range.ok_or_else(|| self.bad("has embedded data that is too short"))?);
                Ok(())
            }
            Bytes::File(file, offset) => {
                let mut file = file;
                let read =
                    file.seek(SeekFrom::Start(offset.saturating_add(start))).and_then(|_| file.read_exact(bytes));
                read.map_err(|e| DataError::unreadable(&source.path, &e))
            }
        }
    }
}

/// A range of a buffer, known to lie in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ViewRange {
    pub buffer: u32,
    pub start: u64,
    pub end: u64,
}

/// The entry with an index that a file names.
pub(super) fn at<T>(entries: &[T], index: u32) -> Option<&T> {
    entries.get(usize::try_from(index).ok()?)
}

fn open(path: &Path, document: &Path) -> Result<(File, u64)> {
    let fail = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound if path != document => {
            let name = document.file_name().unwrap_or_default().to_string_lossy().into_owned();
            DataError::new(path, format!("does not exist, and {name} needs it")).remedy("copy both files together")
        }
        _ => DataError::unreadable(path, error),
    };
    let metadata = std::fs::metadata(path).map_err(|e| fail(&e))?;
    if !metadata.is_file() {
        return Err(DataError::new(path, "is not a regular file").remedy("name a .glb or .gltf file"));
    }
    Ok((File::open(path).map_err(|e| fail(&e))?, metadata.len()))
}

fn text(file: &mut File, length: u64, path: &Path) -> Result<Vec<u8>> {
    if length > MAX_JSON_BYTES {
        let reason = format!("has {} MB of JSON, more than the {} that are read", length >> 20, MAX_JSON_BYTES >> 20);
        return Err(DataError::new(path, reason).remedy("save it as .glb, or with its data in a .bin file"));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(|e| DataError::unreadable(path, &e))?;
    if text.len() as u64 != length {
        return Err(DataError::unreadable(path, &io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(text)
}

/// The JSON of a GLB file, and where its binary chunk is, if it has one: position and length.
type Glb = (Vec<u8>, Option<(u64, u64)>);

/// Takes a GLB file apart (glTF 2.0, section 4).
fn glb(file: &mut File, file_length: u64, path: &Path) -> Result<Glb> {
    let mut header = [0; 12];
    file.read_exact(&mut header).map_err(|e| DataError::unreadable(path, &e))?;
    let [_, version, length] = words(&header);
    if version != 2 {
        return Err(DataError::new(path, format!("is a GLB file of version {version}, and only version 2 is read"))
            .remedy("export it as glTF 2.0"));
    }
    let length = u64::from(length);
    if length > file_length {
        return Err(DataError::new(path, format!("should be {length} bytes long and ends after {file_length}"))
            .remedy("copy it again from its source"));
    }
    let mut chunk = |at: u64, kind: u32| -> Result<Option<u64>> {
        let mut header = [0; 8];
        let Some(left) = length.checked_sub(at + 8) else { return Ok(None) };
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut header))
            .map_err(|e| DataError::unreadable(path, &e))?;
        let [chunk_length, chunk_kind] = words(&header);
        if u64::from(chunk_length) > left {
            let reason = format!("has a chunk of {chunk_length} bytes at byte {at}, and only {left} are left");
            return Err(DataError::new(path, reason).remedy("copy it again from its source"));
        }
        Ok((chunk_kind == kind).then_some(chunk_length.into()))
    };
    let no_json = || DataError::new(path, "is a GLB file without JSON").remedy("export it again");
    let json_length = chunk(12, GLB_JSON)?.ok_or_else(no_json)?;
    let binary_at = 20 + json_length;
    let binary = chunk(binary_at, GLB_BIN)?.map(|length| (binary_at + 8, length));
    file.seek(SeekFrom::Start(20)).map_err(|e| DataError::unreadable(path, &e))?;
    Ok((text(file, json_length, path)?, binary))
}

fn words<const N: usize, const WORDS: usize>(bytes: &[u8; N]) -> [u32; WORDS] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

fn parse(text: &[u8], path: &Path) -> Result<Root> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let root: Root = serde_json::from_slice(text).map_err(|e| {
        let start = text.iter().find(|byte| !byte.is_ascii_whitespace());
        match start {
            Some(b'{') => DataError::new(path, format!("has glTF JSON that cannot be read: {e}"))
                .remedy("export it again, or see what the glTF validator says about it"),
            _ => DataError::new(path, "is not a glTF file").remedy("name a .glb or .gltf file"),
        }
    })?;
    if !root.asset.version.starts_with("2.") {
        let reason = format!("is a glTF file of version {}, and only version 2 is read", root.asset.version);
        return Err(DataError::new(path, reason).remedy("export it as glTF 2.0"));
    }
    Ok(root)
}

fn open_buffers(root: &Root, binary: Option<Buffer>, path: &Path) -> Result<Vec<Buffer>> {
    let files = root.buffers.iter().filter(|b| b.uri.as_ref().is_some_and(|uri| !uri.starts_with("data:"))).count();
    if files > MAX_FILES {
        return Err(DataError::new(path, format!("refers to {files} files, more than the {MAX_FILES} that are read"))
            .remedy("save it as one .glb file"));
    }
    let mut binary = binary;
    let mut buffers = Vec::with_capacity(root.buffers.len());
    for (index, buffer) in root.buffers.iter().enumerate() {
        let found = match &buffer.uri {
            None if index == 0 => binary.take().ok_or_else(|| {
                DataError::new(path, "has no binary part, though its JSON says so").remedy("export it again")
            })?,
            None => {
                return Err(
                    DataError::new(path, format!("does not say where buffer {index} is")).remedy("export it again")
                );
            }
            Some(uri) => match uri::resolve(uri, path)? {
                Location::Embedded(bytes) => {
                    Buffer { path: path.to_owned(), length: bytes.len() as u64, bytes: Bytes::Memory(bytes) }
                }
                Location::File(beside) => {
                    let (file, length) = open(&beside, path)?;
                    Buffer { path: beside, bytes: Bytes::File(file, 0), length }
                }
            },
        };
        if found.length < buffer.byte_length {
            let (needed, there) = (buffer.byte_length, found.length);
            let reason = format!("has {there} bytes of buffer {index}, which is announced with {needed}");
            return Err(DataError::new(found.path, reason).remedy("copy it again from its source"));
        }
        buffers.push(Buffer { length: buffer.byte_length, ..found });
    }
    Ok(buffers)
}
