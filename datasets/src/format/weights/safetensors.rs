//! The table of safetensors: the length of a JSON header, the header, and all numbers behind it.

use super::{AGAIN, Numbers, TensorEntry, bytes_of};
use crate::{DataError, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The longest header that is read, in bytes.
const MOST_HEADER: u64 = 64 << 20;
/// What the header has besides tensors.
const METADATA: &str = "__metadata__";

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// All tensors of a file of `length` bytes.
pub(super) fn table(file: &mut File, length: u64, path: &Path) -> Result<BTreeMap<String, TensorEntry>> {
    let damaged = |reason: String| DataError::new(path, format!("is damaged ({reason})")).remedy(AGAIN);
    let unreadable = |e: std::io::Error| DataError::unreadable(path, &e);
    let mut size = [0; 8];
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    file.read_exact(&mut size).map_err(unreadable)?;
    let size = u64::from_le_bytes(size);
    if size > MOST_HEADER || size > length - 8 {
        return Err(damaged(format!("a header of {size} bytes in a file of {length}")));
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(unreadable)?;
    let header: BTreeMap<String, &RawValue> = serde_json::from_slice(&header).map_err(|e| damaged(e.to_string()))?;
    let begin = 8 + size;
    let mut tensors = BTreeMap::new();
    for (name, value) in header {
        if name == METADATA {
            continue;
        }
        let entry: Entry = serde_json::from_str(value.get()).map_err(|e| damaged(format!("tensor {name}: {e}")))?;
        let numbers =
            kind(&entry.dtype).ok_or_else(|| damaged(format!("tensor {name} has numbers '{}'", entry.dtype)))?;
        let [first, end] = entry.data_offsets;
        let fits = end.checked_add(begin).is_some_and(|end| end <= length);
        if !fits || first.checked_add(bytes_of(&entry.shape, &numbers).unwrap_or(u64::MAX)) != Some(end) {
            return Err(damaged(format!("tensor {name} of shape {:?} is not where it should be", entry.shape)));
        }
        tensors.insert(name, TensorEntry { shape: entry.shape, numbers, offset: begin + first });
    }
    Ok(tensors)
}

fn kind(name: &str) -> Option<Numbers> {
    let bytes = match name {
        "F32" => return Some(Numbers::Float32),
        "F64" => return Some(Numbers::Float64),
        "F16" => return Some(Numbers::Float16),
        "BF16" => return Some(Numbers::Bfloat16),
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" => 1,
        "I16" | "U16" => 2,
        "I32" | "U32" => 4,
        "I64" | "U64" | "C64" => 8,
        _ => return None,
    };
    Some(Numbers::Other(name.to_owned(), bytes))
}
