//! Weights of networks, as other programs save them: safetensors, and what PyTorch's `torch.save` writes (`.ckpt`, `.pt`, `.pth`).
//!
//! A file is opened by reading its table of tensors: names, shapes, kinds of numbers, places. Numbers are read tensor by tensor, so that there is
//! never more than one copy of what is asked for. A PyTorch file is a zip archive with a pickle, which is a program: `pickle` runs only the few
//! instructions that tables of tensors need, knows only the few names that occur in them, and refuses everything else. Nothing of it is executed.

mod pickle;
mod safetensors;
mod torch;

use crate::{DataError, Result};
use half::{bf16, f16};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What helps where a file of weights is damaged.
const AGAIN: &str = "download or save it again";
/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// How safetensors begin is their length, of eight bytes; how zip archives begin.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// How pickles begin: what PyTorch wrote before version 1.6.
const PICKLE: u8 = 0x80;

/// How numbers are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// 32 bits.
    Float32,
    /// 64 bits.
    Float64,
    /// 16 bits, five of them the exponent.
    Float16,
    /// 16 bits, eight of them the exponent.
    Bfloat16,
    /// Such as are not read, by the name that the file has for them, and how many bytes each has.
    Other(String, usize),
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its dimensions, the last one running fastest.
    pub shape: Vec<usize>,
    /// What its numbers are.
    pub numbers: Numbers,
    /// Where it begins in the file.
    offset: u64,
}

/// A file of weights of which the table was read.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, TensorEntry>,
}

impl Numbers {
    /// Bytes of one.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float64 => 8,
            Self::Float16 | Self::Bfloat16 => 2,
            Self::Other(_, bytes) => *bytes,
        }
    }

    /// What people call them.
    pub fn name(&self) -> &str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Other(name, _) => name,
        }
    }

    /// Appends the numbers of these bytes.
    fn append(&self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Float32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Self::Float64 => out.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
            Self::Float16 => out.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
            Self::Bfloat16 => out.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32())),
            Self::Other(..) => {}
        }
    }
}

impl TensorEntry {
    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl WeightsFile {
    /// Opens a file and reads its table. Tensors of nested tables have the names of those before their own: `dit.out_layer.weight`.
    ///
    /// # Errors
    /// When it is of neither kind, is damaged, or its table names things that have no place in one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |e: std::io::Error| DataError::unreadable(path, &e);
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(DataError::new(path, "is a folder, not a file of weights").remedy("name a file in it"));
        }
        let mut start = [0; 9];
        let read = (&mut file).take(9).read(&mut start).map_err(unreadable)?;
        let tensors = if read >= 4 && start[..4] == ZIP {
            torch::table(&file, metadata.len(), path)?
        } else if read > 1 && start[0] == PICKLE {
            return Err(DataError::new(path, "is in the format that PyTorch wrote before version 1.6")
                .remedy("load and save it with a newer PyTorch, or convert it to safetensors"));
        } else if read == 9 && start[8] == b'{' {
            safetensors::table(&mut file, metadata.len(), path)?
        } else {
            return Err(DataError::new(path, "is neither safetensors nor a checkpoint of PyTorch").remedy(AGAIN));
        };
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors by their names.
    pub fn tensors(&self) -> &BTreeMap<String, TensorEntry> {
        &self.tensors
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// When there is none of this name, its numbers are of a kind that is not read or not finite, or the file cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let about = |reason: String| DataError::new(&self.path, reason);
        let entry =
            self.tensors.get(name).ok_or_else(|| about(format!("has no tensor {name}")).remedy("use another file"))?;
        if let Numbers::Other(kind, _) = &entry.numbers {
            return Err(about(format!("has {kind} numbers in tensor {name}")).remedy("save it as float32 or float16"));
        }
        let unreadable = |e: std::io::Error| DataError::unreadable(&self.path, &e);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(entry.offset)).map_err(unreadable)?;
        let mut left = entry.count() * entry.numbers.bytes();
        let mut out = Vec::with_capacity(entry.count());
        let mut piece = vec![0; PIECE.min(left)];
        while left > 0 {
            let piece = &mut piece[..PIECE.min(left)];
            file.read_exact(piece).map_err(unreadable)?;
            entry.numbers.append(piece, &mut out);
            left -= piece.len();
        }
        if out.iter().any(|x| !x.is_finite()) {
            return Err(about(format!("has values in tensor {name} that are not numbers")).remedy(AGAIN));
        }
        Ok(out)
    }
}

/// How many bytes a tensor has, if that can be said.
fn bytes_of(shape: &[usize], numbers: &Numbers) -> Option<u64> {
    let count = shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n as u64))?;
    count.checked_mul(numbers.bytes() as u64)
}
