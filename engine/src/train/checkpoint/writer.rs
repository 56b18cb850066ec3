//! Writing a checkpoint straight from the memory of the method that owns the tensors.

use super::{Description, METADATA_KEY};
use crate::train::durable;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

/// Collects what a checkpoint holds. Tensors are borrowed, or read when they are written: writing needs no second copy of them.
#[derive(Debug, Default)]
pub struct CheckpointWriter<'a> {
    tensors: BTreeMap<String, Tensor<'a>>,
    state: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Tensor<'a> {
    shape: Vec<usize>,
    data: Data<'a>,
}

enum Data<'a> {
    /// How many, and what reads them.
    Later(usize, Box<dyn Fn() -> Result<Vec<f32>> + 'a>),
    F32(Cow<'a, [f32]>),
    U32(Cow<'a, [u32]>),
    U64(Cow<'a, [u64]>),
    U16(Cow<'a, [u16]>),
    U8(Cow<'a, [u8]>),
}

impl Data<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) | Self::Later(..) => Dtype::F32,
            Self::U32(_) => Dtype::U32,
            Self::U64(_) => Dtype::U64,
            Self::U16(_) => Dtype::U16,
            Self::U8(_) => Dtype::U8,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Later(count, _) => *count,
            Self::F32(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    fn byte_count(&self) -> usize {
        self.len() * self.dtype().bitsize() / 8
    }

    /// Shows the bytes as stored: little-endian, which is what every machine that we run on uses.
    fn with_bytes<T>(&self, show: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(match self {
            Self::Later(_, read) => show(bytemuck::cast_slice(&read()?)),
            Self::F32(v) => show(bytemuck::cast_slice(v)),
            Self::U32(v) => show(bytemuck::cast_slice(v)),
            Self::U64(v) => show(bytemuck::cast_slice(v)),
            Self::U16(v) => show(bytemuck::cast_slice(v)),
            Self::U8(v) => show(v),
        })
    }
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} × {}", self.dtype(), self.len())
    }
}

impl<'a> CheckpointWriter<'a> {
    /// Adds a tensor of numbers. A name that is there already is replaced. Panics when the shape does not hold as many
    /// values as there are.
    pub fn f32(&mut self, name: &str, shape: &[usize], data: impl Into<Cow<'a, [f32]>>) {
        self.add(name, shape, Data::F32(data.into()));
    }

    /// Adds `count` numbers that are read when they are written.
    pub fn f32_later(&mut self, name: &str, count: usize, read: impl Fn() -> Result<Vec<f32>> + 'a) {
        self.add(name, &[count], Data::Later(count, Box::new(read)));
    }

    /// As [`CheckpointWriter::f32`].
    pub fn u32(&mut self, name: &str, shape: &[usize], data: impl Into<Cow<'a, [u32]>>) {
        self.add(name, shape, Data::U32(data.into()));
    }

    /// As [`CheckpointWriter::f32`].
    pub fn u64(&mut self, name: &str, shape: &[usize], data: impl Into<Cow<'a, [u64]>>) {
        self.add(name, shape, Data::U64(data.into()));
    }

    /// As [`CheckpointWriter::f32`].
    pub fn u16(&mut self, name: &str, shape: &[usize], data: impl Into<Cow<'a, [u16]>>) {
        self.add(name, shape, Data::U16(data.into()));
    }

    /// Adds bytes.
    pub fn bytes(&mut self, name: &str, data: impl Into<Cow<'a, [u8]>>) {
        let data = data.into();
        self.add(name, &[data.len()], Data::U8(data));
    }

    /// Adds a value of any other kind: a random number generator, a schedule.
    ///
    /// # Errors
    /// When the value has no JSON form.
    pub fn state(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|e| {
            Error::setting(format!("the state '{name}' of the method cannot be kept in a checkpoint ({e})"))
        })?;
        self.state.insert(name.to_owned(), text);
        Ok(())
    }

    fn add(&mut self, name: &str, shape: &[usize], data: Data<'a>) {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "{name}: values for the shape {shape:?}");
        self.tensors.insert(name.to_owned(), Tensor { shape: shape.to_vec(), data });
    }

    /// Writes the file at `path`, whole or not at all.
    pub(crate) fn write(&self, path: &Path, method: &str, step: u64, seconds: f64) -> Result<()> {
        self.refuse_nan(step)?;
        let checksums = self.tensors.iter().map(|(n, t)| Ok((n.clone(), t.data.with_bytes(crc32fast::hash)?)));
        let checksums = checksums.collect::<Result<_>>()?;
        let description = Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            method: method.to_owned(),
            step,
            seconds,
            checksums,
            state: self.state.clone(),
        };
        // Wide types first, as the format asks, so that every tensor lies aligned.
        let mut ordered: Vec<_> = self.tensors.iter().collect();
        ordered.sort_by_key(|(_, t)| std::cmp::Reverse(t.data.dtype()));
        let header = header(&ordered, &description).map_err(|e| Error::write(path, &e))?;
        durable::write(path, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            let mut put = |tensor: &Tensor<'_>| tensor.data.with_bytes(|bytes| out.write_all(bytes));
            ordered.iter().try_for_each(|(_, tensor)| put(tensor).map_err(io::Error::other)?)
        })
    }

    /// A checkpoint must be worth coming back to.
    fn refuse_nan(&self, step: u64) -> Result<()> {
        for (name, tensor) in &self.tensors {
            if matches!(&tensor.data, Data::F32(values) if values.iter().any(|v| v.is_nan())) {
                return Err(Error::Diverged(format!(
                    "training has diverged: '{name}' is no longer a number after {step} steps; the last good checkpoint \
                     is kept, continue from it with --resume and a lower learning rate"
                )));
            }
        }
        Ok(())
    }
}

fn header(tensors: &[(&String, &Tensor<'_>)], description: &Description) -> io::Result<Vec<u8>> {
    let mut offset = 0;
    let mut infos = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let end = offset + tensor.data.byte_count();
        let info = TensorInfo { dtype: tensor.data.dtype(), shape: tensor.shape.clone(), data_offsets: (offset, end) };
        infos.push(((*name).clone(), info));
        offset = end;
    }
    let text = serde_json::to_string(description)?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
    let mut header = serde_json::to_vec(&Metadata::new(Some(metadata), infos).map_err(io::Error::other)?)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}
