//! NumPy arrays: `.npy` files of real numbers and `.npz` archives of them, as far as captures use them.
//!
//! Parsed by hand because sizes come from the file: a shape is compared with the bytes that are there before anything
//! is multiplied or allocated, which the crates for this format leave to the caller.

use crate::{DataError, Result};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

/// What helps where an array is damaged.
const AGAIN: &str = "make it again";
/// The largest array that is unpacked from an archive, in bytes.
const MAX_ENTRY_BYTES: u64 = 64 << 20;

/// Numbers with a shape, the last index running fastest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

/// Reads an `.npy` file of floats or integers of 4 or 8 bytes.
///
/// # Errors
/// When it is damaged, truncated, or holds another type.
pub(crate) fn parse_npy(bytes: &[u8], path: &Path) -> Result<Array> {
    let damaged = |what: &str| DataError::new(path, format!("is a damaged NumPy file ({what})")).remedy(AGAIN);
    let (header, body) = split_header(bytes).ok_or_else(|| damaged("no NumPy header"))?;
    let descr = value_of(header, "descr").ok_or_else(|| damaged("no type"))?;
    let descr = descr.trim_start_matches(['\'', '"']).split(['\'', '"']).next().unwrap_or_default();
    let fortran_order = value_of(header, "fortran_order").ok_or_else(|| damaged("no order"))?.starts_with("True");
    let shape = value_of(header, "shape").and_then(parse_shape).ok_or_else(|| damaged("no shape"))?;
    let (size, decode) = number_type(descr).ok_or_else(|| {
        DataError::new(path, format!("holds NumPy values of type '{descr}'")).remedy("store it as float64")
    })?;
    let count = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    let expected = count.and_then(|count| count.checked_mul(size));
    let Some(body) = expected.and_then(|expected| body.get(..expected)) else {
        let (shape, there) = (&shape, body.len());
        let reason = format!("is truncated: an array of shape {shape:?} in {there} bytes");
        return Err(DataError::new(path, reason).remedy(AGAIN));
    };
    let data: Vec<f64> = body.chunks_exact(size).map(decode).collect();
    let data = if fortran_order { row_major(&data, &shape) } else { data };
    Ok(Array { shape, data })
}

/// Reads those arrays of an `.npz` archive whose name `wanted` accepts.
///
/// # Errors
/// When the archive or one of these arrays is damaged, truncated or unreasonably large.
pub(crate) fn parse_npz(bytes: &[u8], path: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Array>> {
    let damaged =
        |e: &dyn std::fmt::Display| DataError::new(path, format!("is a damaged NumPy archive ({e})")).remedy(AGAIN);
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(&e))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| damaged(&e))?;
        let name = entry.name().map_err(|e| damaged(&e))?.trim_end_matches(".npy").to_owned();
        if !wanted(&name) {
            continue;
        }
        let mut content = Vec::new();
        entry.take(MAX_ENTRY_BYTES + 1).read_to_end(&mut content).map_err(|e| damaged(&e))?;
        if content.len() as u64 > MAX_ENTRY_BYTES {
            return Err(damaged(&format!("{name} is larger than {} MiB", MAX_ENTRY_BYTES >> 20)));
        }
        let array = parse_npy(&content, path).map_err(|e| DataError { reason: format!("{name} {}", e.reason), ..e })?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// The header's text (a Python dictionary) and what follows it.
fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, rest) = match *rest {
        [1, _, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
        [2 | 3, _, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        _ => return None,
    };
    let (header, body) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, body))
}

/// What follows `'key':` in the dictionary.
fn value_of<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}'")).or_else(|| header.split_once(&format!("\"{key}\"")))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

fn parse_shape(value: &str) -> Option<Vec<usize>> {
    let (inside, _) = value.strip_prefix('(')?.split_once(')')?;
    inside.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect()
}

type Decode = fn(&[u8]) -> f64;

fn number_type(descr: &str) -> Option<(usize, Decode)> {
    macro_rules! decode {
        ($type:ty, $from:ident) => {
            (size_of::<$type>(), |bytes| bytes.first_chunk().map_or(0.0, |&b| <$type>::$from(b) as f64))
        };
    }
    Some(match descr {
        "<f8" => decode!(f64, from_le_bytes),
        ">f8" => decode!(f64, from_be_bytes),
        "<f4" => decode!(f32, from_le_bytes),
        ">f4" => decode!(f32, from_be_bytes),
        "<i8" => decode!(i64, from_le_bytes),
        "<i4" => decode!(i32, from_le_bytes),
        _ => return None,
    })
}

/// From the first index running fastest to the last.
fn row_major(data: &[f64], shape: &[usize]) -> Vec<f64> {
    let source = |mut index: usize| {
        let mut position = 0;
        let mut below = data.len();
        for &n in shape.iter().rev() {
            below /= n;
            position += (index % n) * below;
            index /= n;
        }
        position
    };
    (0..data.len()).map(|i| data[source(i)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn npy(descr: &str, fortran: &str, shape: &str, body: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), body].concat()
    }

    fn doubles(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn both_orders_give_the_same_array() {
        let c = npy("<f8", "False", "(2, 3)", &doubles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let f = npy("<f8", "True", "(2, 3)", &doubles(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
        let expected = Array { shape: vec![2, 3], data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        assert_eq!(parse_npy(&c, Path::new("c.npy")).expect("C order"), expected);
        assert_eq!(parse_npy(&f, Path::new("f.npy")).expect("Fortran order"), expected);
    }

    #[test]
    fn shapes_that_lie_are_refused_before_anything_is_allocated() {
        for shape in ["(9999999999, 9999999999)", "(4294967296, 4294967296, 0, 7)", "(2, 4)", "(-1,)", "()x"] {
            let bytes = npy("<f8", "False", shape, &doubles(&[1.0, 2.0]));
            if let Ok(array) = parse_npy(&bytes, Path::new("a.npy")) {
                assert!(array.data.len() <= 2, "shape {shape} gave {} numbers", array.data.len());
            }
        }
        let error = parse_npy(&npy("<f8", "False", "(2, 4)", &[0; 16]), Path::new("a.npy")).expect_err("truncated");
        assert_eq!(error.to_string(), "a.npy: is truncated: an array of shape [2, 4] in 16 bytes; make it again");
    }

    proptest! {
        #[test]
        fn damaged_arrays_never_panic(at in 0_usize..90, byte in any::<u8>(), cut in 0_usize..120) {
            let mut bytes = npy("<f4", "True", "(2, 3)", &[7; 24]);
            let end = cut.min(bytes.len());
            if let Some(b) = bytes.get_mut(at) {
                *b = byte;
            }
            let _ = parse_npy(&bytes[..end], Path::new("a.npy"));
        }
    }
}
