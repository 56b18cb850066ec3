//! Reading a checkpoint: the header is checked against the file, every tensor against its checksum.

use super::{Description, METADATA_KEY};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A header beyond this is damage; ours have a few kilobytes.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// An open checkpoint whose every byte has been checked. Tensors are read from the file when they are asked for.
#[derive(Debug)]
pub struct CheckpointReader {
    path: PathBuf,
    file: File,
    tensors: Metadata,
    data_start: u64,
    description: Description,
}

impl CheckpointReader {
    /// Opens and checks a checkpoint.
    ///
    /// # Errors
    /// When it is missing, damaged or no checkpoint of ours.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let damaged = |reason: &str| Error::file(path, format!("is damaged ({reason})"), "remove it");
        let file = File::open(path).map_err(|e| Error::read(path, &e))?;
        let length = file.metadata().map_err(|e| Error::read(path, &e))?.len();
        let mut size = [0; 8];
        (&file).read_exact(&mut size).map_err(|_| damaged("it has no header"))?;
        let header_length = u64::from_le_bytes(size);
        if header_length > length.saturating_sub(8).min(MAX_HEADER_BYTES) {
            return Err(damaged("its header does not fit into the file"));
        }
        let mut header = vec![0; header_length as usize];
        (&file).read_exact(&mut header).map_err(|e| Error::read(path, &e))?;
        let tensors: Metadata = serde_json::from_slice(&header).map_err(|_| damaged("its header cannot be read"))?;
        let data_start = 8 + header_length;
        if data_start.checked_add(tensors.data_len() as u64) != Some(length) {
            return Err(damaged("it has not the length that its header says"));
        }
        let text = tensors.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let text = text.ok_or_else(|| damaged("it was not written by tessera"))?;
        let description = serde_json::from_str(text).map_err(|_| damaged("its description cannot be read"))?;
        let reader = Self { path: path.to_owned(), file, tensors, data_start, description };
        for name in reader.tensors.offset_keys() {
            if reader.checksum(&name)? != reader.description.checksums.get(&name).copied() {
                return Err(damaged(&format!("the checksum of '{name}' is wrong")));
            }
        }
        Ok(reader)
    }

    /// Steps that were done when it was written.
    pub fn step(&self) -> u64 {
        self.description.step
    }

    /// The name of the method that wrote it.
    pub fn method(&self) -> &str {
        &self.description.method
    }

    /// Seconds of training until it was written.
    pub fn seconds(&self) -> f64 {
        self.description.seconds
    }

    /// The shape of a tensor; `None` when there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.info(name).map(|info| info.shape.as_slice())
    }

    /// The values of a tensor.
    ///
    /// # Errors
    /// When there is none of that name and type.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        self.values(name, Dtype::F32)
    }

    /// As [`CheckpointReader::f32`].
    ///
    /// # Errors
    /// As [`CheckpointReader::f32`].
    pub fn u32(&self, name: &str) -> Result<Vec<u32>> {
        self.values(name, Dtype::U32)
    }

    /// As [`CheckpointReader::f32`].
    ///
    /// # Errors
    /// As [`CheckpointReader::f32`].
    pub fn u64(&self, name: &str) -> Result<Vec<u64>> {
        self.values(name, Dtype::U64)
    }

    /// As [`CheckpointReader::f32`].
    ///
    /// # Errors
    /// As [`CheckpointReader::f32`].
    pub fn u16(&self, name: &str) -> Result<Vec<u16>> {
        self.values(name, Dtype::U16)
    }

    /// The bytes that [`super::CheckpointWriter::bytes`] was given.
    ///
    /// # Errors
    /// As [`CheckpointReader::f32`].
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        self.values(name, Dtype::U8)
    }

    /// The value that [`super::CheckpointWriter::state`] was given.
    ///
    /// # Errors
    /// When there is none of that name and type.
    pub fn state<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let text = self.description.state.get(name).ok_or_else(|| self.unfit(name))?;
        serde_json::from_str(text).map_err(|_| self.unfit(name))
    }

    fn values<T: AnyBitPattern + bytemuck::NoUninit>(&self, name: &str, dtype: Dtype) -> Result<Vec<T>> {
        let info = self.tensors.info(name).filter(|i| i.dtype == dtype).ok_or_else(|| self.unfit(name))?;
        let bytes = info.data_offsets.1 - info.data_offsets.0; // at most the length of the file
        let mut values = vec![T::zeroed(); bytes / size_of::<T>()];
        self.seek(info)?;
        let out: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
        (&self.file).read_exact(out).map_err(|e| Error::read(&self.path, &e))?;
        Ok(values)
    }

    fn checksum(&self, name: &str) -> Result<Option<u32>> {
        let Some(info) = self.tensors.info(name) else { return Ok(None) };
        self.seek(info)?;
        let mut left = info.data_offsets.1 - info.data_offsets.0;
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; left.min(1 << 20)];
        while left > 0 {
            let part = &mut buffer[..left.min(1 << 20)];
            (&self.file).read_exact(part).map_err(|e| Error::read(&self.path, &e))?;
            hasher.update(part);
            left -= part.len();
        }
        Ok(Some(hasher.finalize()))
    }

    fn seek(&self, info: &TensorInfo) -> Result<()> {
        let start = self.data_start + info.data_offsets.0 as u64;
        (&self.file).seek(SeekFrom::Start(start)).map(|_| ()).map_err(|e| Error::read(&self.path, &e))
    }

    /// Fills `out` with the values of a tensor.
    ///
    /// # Errors
    /// When there is none of that name, type and size.
    pub fn f32_into(&self, name: &str, out: &mut [f32]) -> Result<()> {
        let values = self.f32(name)?;
        if values.len() != out.len() {
            return Err(self.unfit(name));
        }
        out.copy_from_slice(&values);
        Ok(())
    }

    pub(crate) fn unfit(&self, name: &str) -> Error {
        let reason = format!("holds no fitting '{name}': it was written with other settings or by another version");
        Error::file(&self.path, reason, "repeat the run with its settings, or start again with --force")
    }
}
