//! MATLAB files of version 5 (`.mat`): their real arrays of numbers, compressed or not, as reference data of benchmarks has them.
//!
//! After a header of 128 bytes come elements: a tag of type and size, and a body. An array is an element that holds others (flags, shape, name,
//! numbers); a compressed one is a zlib stream with an element in it. What is no array of real numbers is passed over.

use crate::{DataError, Result};
use flate2::read::ZlibDecoder;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Bytes of the header.
const HEADER: usize = 128;
/// The largest element that is unpacked, in bytes.
const MAX_UNPACKED: u64 = 1 << 30;
/// Types of elements.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// What helps where a file is damaged.
const AGAIN: &str = "copy it again from its source";

/// Numbers with a shape, the first index running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct MatlabArray {
    /// Lengths along the axes.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f64>,
}

/// Reads the arrays of real numbers in a file, by name.
///
/// # Errors
/// When the file is missing, damaged, or of another version.
pub fn read_matlab(path: impl AsRef<Path>) -> Result<BTreeMap<String, MatlabArray>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| DataError::unreadable(path, &e))?;
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, MatlabArray>> {
    if bytes.starts_with(b"MATLAB 7.3") || bytes.starts_with(b"\x89HDF") {
        return Err(DataError::new(path, "is a MATLAB file of version 7.3").remedy("save it with the option -v7"));
    }
    if bytes.get(HEADER - 2..HEADER) != Some(b"IM") {
        return Err(DataError::new(path, "is no MATLAB file of version 5 (little-endian)").remedy("check its name"));
    }
    let damaged = || DataError::new(path, "is a damaged MATLAB file").remedy(AGAIN);
    let mut arrays = BTreeMap::new();
    let mut rest = &bytes[HEADER..];
    while !rest.is_empty() {
        let (kind, body, after) = element(rest).ok_or_else(damaged)?;
        let unpacked;
        let (kind, body) = if kind == COMPRESSED {
            unpacked = unpack(body).ok_or_else(damaged)?;
            element(&unpacked).map(|(kind, body, _)| (kind, body)).ok_or_else(damaged)?
        } else {
            (kind, body)
        };
        if kind == MATRIX
            && let Some((name, array)) = matrix(body).ok_or_else(damaged)?
        {
            arrays.insert(name, array);
        }
        rest = after;
    }
    Ok(arrays)
}

/// The first element: its type, its body, and what follows.
fn element(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let first = word(0)?;
    // Small ones have their size beside the type, and their body in the tag.
    if first >> 16 != 0 {
        let size = (first >> 16) as usize;
        return (size <= 4).then(|| Some((first & 0xffff, bytes.get(4..4 + size)?, bytes.get(8..)?)))?;
    }
    let size = word(4)? as usize;
    let body = bytes.get(8..)?.get(..size)?;
    let padded = if first == COMPRESSED { size } else { size.next_multiple_of(8) };
    Some((first, body, bytes.get(8 + padded..).unwrap_or_default()))
}

fn unpack(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    ZlibDecoder::new(body).take(MAX_UNPACKED + 1).read_to_end(&mut out).ok()?;
    (out.len() as u64 <= MAX_UNPACKED).then_some(out)
}

/// An array's name and numbers; nothing inside if it is of another kind; nothing at all if it is damaged.
fn matrix(body: &[u8]) -> Option<Option<(String, MatlabArray)>> {
    /// Classes of doubles, singles, and whole numbers of 8 to 64 bits.
    const NUMBERS: std::ops::RangeInclusive<u32> = 6..=15;
    const COMPLEX: u32 = 1 << 11;
    let (_, flags, rest) = element(body)?;
    let flags = u32::from_le_bytes(flags.get(..4)?.try_into().ok()?);
    if !NUMBERS.contains(&(flags & 0xff)) || flags & COMPLEX != 0 {
        return Some(None);
    }
    let (_, shape, rest) = element(rest)?;
    let length = |bytes: &[u8; 4]| usize::try_from(i32::from_le_bytes(*bytes)).ok();
    let shape = shape.as_chunks::<4>().0.iter().map(length).collect::<Option<Vec<usize>>>()?;
    let (_, name, rest) = element(rest)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let (kind, numbers, _) = element(rest)?;
    let data = numbers_of(kind, numbers)?;
    let count = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
    (count == data.len()).then_some(Some((name, MatlabArray { shape, data })))
}

fn numbers_of(kind: u32, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (whole, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| whole.iter().map(|bytes| number(*bytes)).collect())
    }
    match kind {
        1 => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
        2 => each(bytes, |[b]| f64::from(b)),
        3 => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
        4 => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
        5 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        6 => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
        7 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        9 => each(bytes, f64::from_le_bytes),
        12 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        13 => each(bytes, |b| u64::from_le_bytes(b) as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use rand::{RngExt, SeedableRng};
    use std::io::Write;
    use tessera_test_seed::test_seed;

    fn put(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
        if body.len() <= 4 {
            out.extend((kind | (body.len() as u32) << 16).to_le_bytes());
            out.extend(body);
            out.extend(std::iter::repeat_n(0, 4 - body.len()));
            return;
        }
        out.extend([kind, body.len() as u32].into_iter().flat_map(u32::to_le_bytes));
        out.extend(body);
        out.extend(std::iter::repeat_n(0, body.len().next_multiple_of(8) - body.len()));
    }

    /// An array of a class, with its numbers stored as a type.
    fn array(name: &str, class: u32, shape: [i32; 2], kind: u32, numbers: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        put(&mut body, 6, &[class.to_le_bytes(), [0; 4]].concat());
        put(&mut body, 5, &shape.map(i32::to_le_bytes).concat());
        put(&mut body, 1, name.as_bytes());
        put(&mut body, kind, numbers);
        let mut out = Vec::new();
        put(&mut out, MATRIX, &body);
        out
    }

    /// Doubles, bytes that are packed, a single number in its tag, and text, which is passed over.
    fn file() -> Vec<u8> {
        let mut out = vec![b' '; HEADER];
        out[..10].copy_from_slice(b"MATLAB 5.0");
        out[124..].copy_from_slice(&[0, 1, b'I', b'M']);
        out.extend(array("BB", 6, [2, 3], 9, &[1.5, 2.0, -3.0, 4.0, 5.0, 6.0].map(f64::to_le_bytes).concat()));
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&array("ObsMask", 9, [3, 2], 2, &[0, 1, 1, 0, 0, 1])).expect("memory");
        let packed = packer.finish().expect("memory");
        out.extend([COMPRESSED, packed.len() as u32].into_iter().flat_map(u32::to_le_bytes));
        out.extend(packed);
        out.extend(array("Res", 6, [1, 1], 2, &[7]));
        out.extend(array("title", 4, [1, 3], 4, &[b'a', 0, b'b', 0, b'c', 0]));
        out
    }

    #[test]
    fn arrays_are_found_by_name_packed_or_not() {
        let arrays = parse(&file(), Path::new("a.mat")).expect("a good file");
        assert_eq!(arrays.keys().collect::<Vec<_>>(), ["BB", "ObsMask", "Res"]);
        assert_eq!(arrays["BB"], MatlabArray { shape: vec![2, 3], data: vec![1.5, 2.0, -3.0, 4.0, 5.0, 6.0] });
        assert_eq!(arrays["ObsMask"].data, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(arrays["Res"].data, [7.0]);
    }

    #[test]
    fn what_is_no_such_file_is_refused_in_a_sentence() {
        let said = |bytes: &[u8]| parse(bytes, Path::new("a.mat")).expect_err("not such a file").to_string();
        assert!(said(b"MATLAB 7.3 MAT-file").contains("-v7"));
        assert!(said(b"hello").contains("is no MATLAB file of version 5"));
        assert!(said(&file()[..200]).contains("is a damaged MATLAB file"));
    }

    #[test]
    fn damage_never_ends_in_a_panic() {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(test_seed());
        for _ in 0..2000 {
            let mut bytes = file();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(HEADER..bytes.len());
                bytes[at] = rng.random();
            }
            bytes.truncate(rng.random_range(0..=bytes.len()));
            let _either = parse(&bytes, Path::new("a.mat"));
        }
    }
}
