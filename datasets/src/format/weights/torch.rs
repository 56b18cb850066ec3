//! The table of what `torch.save` writes: a zip archive with a pickle of tensors, and their numbers in entries of their own, not compressed.

use super::pickle::{self, Tensor};
use super::{AGAIN, Numbers, TensorEntry, bytes_of};
use crate::{DataError, Result};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// The longest pickle that is read, in bytes.
const MOST_PICKLE: u64 = 16 << 20;
/// What the pickle is called, behind the archive's own name.
const PICKLE: &str = "/data.pkl";

/// Where an entry's bytes begin, and how many there are.
type Place = (u64, u64);

/// All tensors of a file of `length` bytes.
pub(super) fn table(file: &File, length: u64, path: &Path) -> Result<BTreeMap<String, TensorEntry>> {
    let refused = |reason: String| DataError::new(path, reason).remedy(AGAIN);
    let damaged = |e: &dyn std::fmt::Display| refused(format!("is damaged ({e})"));
    let mut archive = ZipArchive::new(std::io::BufReader::new(file)).map_err(|e| damaged(&e))?;
    let mut places: HashMap<String, Place> = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| damaged(&e))?;
        let name = entry.name().map_err(|e| damaged(&e))?.into_owned();
        let (size, stored) = (entry.size(), entry.compression() == CompressionMethod::Stored);
        let start = entry.data_start().filter(|start| start.checked_add(size).is_some_and(|end| end <= length));
        let Some(start) = start.filter(|_| stored && !entry.encrypted()) else {
            return Err(refused(format!("has an entry {name} that is compressed or not where it should be")));
        };
        places.insert(name, (start, size));
    }
    let mut pickles = places.keys().filter_map(|name| name.strip_suffix(PICKLE));
    let (Some(folder), None) = (pickles.next(), pickles.next()) else {
        return Err(refused("is a zip archive, but no checkpoint of PyTorch".to_owned()));
    };
    let mut whole = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(index) = archive.index_for_name(name) else { return Ok(None) };
        let entry = archive.by_index(index).map_err(|e| damaged(&e))?;
        if entry.size() > MOST_PICKLE {
            return Err(refused(format!("has an entry {name} that is too large")));
        }
        let mut bytes = Vec::new();
        entry.take(MOST_PICKLE).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
        Ok(Some(bytes))
    };
    if whole(&format!("{folder}/byteorder"))?.is_some_and(|order| order != b"little") {
        return Err(refused("was saved on a machine with another order of bytes".to_owned()));
    }
    let program = whole(&format!("{folder}{PICKLE}"))?.unwrap_or_default();
    let found = pickle::tensors(&program).map_err(|reason| {
        DataError::new(path, format!("cannot be read as a table of tensors: {reason}"))
            .remedy("save the state_dict alone with torch.save, or convert it to safetensors")
    })?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in found {
        let place = places.get(&format!("{folder}/data/{}", tensor.storage.key)).copied();
        let entry = place.and_then(|place| entry(&tensor, place));
        let entry = entry.ok_or_else(|| refused(format!("is damaged (tensor {name} is not where it should be)")))?;
        tensors.insert(name, entry);
    }
    Ok(tensors)
}

/// A tensor in the entry of its storage; none when it does not fit.
fn entry(tensor: &Tensor, (start, size): Place) -> Option<TensorEntry> {
    let numbers = kind(&tensor.storage.kind)?;
    let bytes = numbers.bytes() as u64;
    let first = tensor.offset.checked_mul(bytes)?;
    let end = first.checked_add(bytes_of(&tensor.shape, &numbers)?)?;
    (end <= size).then(|| TensorEntry { shape: tensor.shape.clone(), numbers, offset: start + first })
}

/// What the numbers of a storage's class are.
fn kind(class: &str) -> Option<Numbers> {
    let bytes = match class {
        "FloatStorage" => return Some(Numbers::Float32),
        "DoubleStorage" => return Some(Numbers::Float64),
        "HalfStorage" => return Some(Numbers::Float16),
        "BFloat16Storage" => return Some(Numbers::Bfloat16),
        "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
        "ShortStorage" => 2,
        "IntStorage" => 4,
        "LongStorage" => 8,
        _ => return None,
    };
    Some(Numbers::Other(class.trim_end_matches("Storage").to_lowercase(), bytes))
}

/// Whether there are numbers of this class.
pub(super) fn is_storage(class: &str) -> bool {
    kind(class).is_some()
}
