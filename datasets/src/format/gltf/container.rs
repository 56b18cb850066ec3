//! What holds the numbers of a glTF file that is being written: a `.glb` file, in which JSON comes first though what it says is
//! known last, or a `.bin` file beside a `.gltf` document.

use super::document::{GLB_BIN, GLB_JSON, GLB_MAGIC};
use super::uri;
use crate::format::{AtomicFile, Existing, Staged};
use crate::{DataError, Result};
use serde_json::{Value, json};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The header of the file and that of its JSON chunk.
const BEFORE_JSON: u64 = 20;
/// The header of the binary chunk.
const BEFORE_BINARY: u64 = 8;

/// A file for the numbers, and the document if that is another one. Both vanish unless they are finished.
pub(super) struct Container {
    pub file: AtomicFile,
    /// Of a `.gltf` document and its `.bin` file.
    beside: Option<Staged>,
}

/// The file of numbers that belongs to a `.gltf` document, and to nothing else.
pub(in crate::format) fn data_file(document: &Path) -> Option<PathBuf> {
    let is_text = document.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gltf"));
    is_text.then(|| document.with_extension("bin"))
}

impl Container {
    /// Begins a file, or two files if `path` is that of a `.gltf` document.
    ///
    /// # Errors
    /// When one exists and is to be kept, or the disk refuses.
    pub(super) fn create(path: &Path, existing: Existing) -> Result<Self> {
        let Some(data) = data_file(path) else {
            return Ok(Self { file: AtomicFile::create(path, existing)?, beside: None });
        };
        if existing == Existing::Keep && data.exists() && !path.exists() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(DataError::new(data, format!("exists already, and {name} needs a file of that name"))
                .remedy("choose another name, or overwrite it with --force"));
        }
        let staged = Staged::new(path, existing)?;
        let file = AtomicFile::create(staged.folder().join(data.file_name().unwrap_or_default()), Existing::Keep)?
            .called(path);
        Ok(Self { file, beside: Some(staged) })
    }

    /// Where the file, or the document, will be.
    pub(super) fn path(&self) -> &Path {
        self.beside.as_ref().map_or_else(|| self.file.path(), Staged::place)
    }

    /// Where in its file the numbers begin when the JSON is at most as long as `longest`.
    pub(super) fn start(&self, longest: &Value) -> u64 {
        match self.beside {
            Some(_) => 0,
            None => {
                let longest = longest.to_string().len() as u64;
                BEFORE_JSON + longest.next_multiple_of(4) + BEFORE_BINARY
            }
        }
    }

    /// Bytes of numbers that there can be from `start`: the length of a GLB file is a number of 32 bits.
    pub(super) fn room(&self, start: u64) -> u64 {
        if self.beside.is_some() { u64::MAX } else { u64::from(u32::MAX) - start }
    }

    /// Says what the numbers mean, `bytes` of them from `start` (a multiple of 4), and gives the files their names. `json`
    /// describes them as its only buffer.
    ///
    /// # Errors
    /// When a GLB file is longer than it can say, files are in the way, or the disk refuses.
    pub(super) fn finish(mut self, mut json: Value, start: u64, bytes: u64) -> Result<()> {
        let Some(staged) = self.beside.take() else {
            self.put_header(&json, start, bytes)?;
            return self.file.commit();
        };
        let name = self.file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        json["buffers"][0]["uri"] = json!(uri::percent_encoded(&name));
        let unwritable = |e: &std::io::Error| DataError::unwritable(staged.place(), e);
        std::fs::write(staged.path(), json.to_string()).map_err(|e| unwritable(&e))?;
        self.file.commit()?;
        staged.commit()
    }

    /// Writes everything before the numbers. Spaces fill the room that the JSON leaves.
    fn put_header(&mut self, json: &Value, start: u64, bytes: u64) -> Result<()> {
        let mut text = json.to_string().into_bytes();
        let room = start - BEFORE_JSON - BEFORE_BINARY;
        debug_assert!(text.len() as u64 <= room, "the JSON was announced shorter than it is");
        text.resize(usize::try_from(room).unwrap_or(text.len()), b' ');
        let length = |bytes: u64| u32::try_from(bytes).map_err(|_| self.too_long());
        let words = [GLB_MAGIC, 2, length(start + bytes)?, length(room)?, GLB_JSON];
        let binary = [length(bytes)?, GLB_BIN];
        let file = &mut self.file;
        file.seek(SeekFrom::Start(0)).map_err(|e| file.unwritable(&e))?;
        file.put(words.map(u32::to_le_bytes).as_flattened())?;
        file.put(&text)?;
        file.put(binary.map(u32::to_le_bytes).as_flattened())
    }

    /// What is said about contents that do not fit.
    pub(super) fn too_long(&self) -> DataError {
        DataError::new(self.path(), "would become longer than 4 GiB, the most that a GLB file can be")
            .remedy("write .gltf, .ply or .spz, or fewer splats or a lower SH degree")
    }
}
