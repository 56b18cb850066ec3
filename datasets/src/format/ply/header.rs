//! The text at the beginning of a PLY file: encoding, comments, elements and their properties.

use crate::{DataError, Result};
use std::io::{BufRead, Read};
use std::path::Path;

/// More than any real header needs, and little enough to hold.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// How the rows after the header are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Encoding {
    Ascii,
    LittleEndian,
    BigEndian,
}

/// The type of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "char" | "int8" => Self::I8,
            "uchar" | "uint8" => Self::U8,
            "short" | "int16" => Self::I16,
            "ushort" | "uint16" => Self::U16,
            "int" | "int32" => Self::I32,
            "uint" | "uint32" => Self::U32,
            "float" | "float32" => Self::F32,
            "double" | "float64" => Self::F64,
            _ => return None,
        })
    }

    pub(in crate::format) fn is_real(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    pub(in crate::format) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// One number of each row, or a list of them that is preceded by its length.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::format) struct Property {
    pub name: String,
    pub scalar: Scalar,
    pub list_length: Option<Scalar>,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::format) struct Element {
    pub name: String,
    pub count: u64,
    pub properties: Vec<Property>,
}

impl Element {
    /// Bytes per row in a binary file; `None` when lists make rows differ.
    pub(in crate::format) fn stride(&self) -> Option<usize> {
        self.properties.iter().map(|p| p.list_length.is_none().then(|| p.scalar.size())).sum()
    }

    pub(in crate::format) fn has(&self, property: &str) -> bool {
        self.properties.iter().any(|p| p.name == property)
    }

    /// Refuses vertices that are nowhere.
    pub(super) fn check_position(&self, path: &Path) -> Result<()> {
        let Some(missing) = ["x", "y", "z"].iter().find(|name| !self.has(name)) else { return Ok(()) };
        let reason = format!("is a PLY file whose vertices have no property '{missing}'");
        Err(DataError::new(path, reason).remedy("export it with positions"))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::format) struct Header {
    pub encoding: Encoding,
    pub comments: Vec<String>,
    pub elements: Vec<Element>,
    /// Bytes that the header takes.
    pub length: u64,
}

impl Header {
    /// Reads up to and including the line `end_header`.
    pub(in crate::format) fn read(reader: &mut impl BufRead, path: &Path) -> Result<Self> {
        let mut lines = Lines { reader: reader.take(MAX_HEADER_BYTES), path, length: 0 };
        if lines.next()?.trim_end() != "ply" {
            return Err(no_ply(path));
        }
        let mut encoding = None;
        let mut comments = Vec::new();
        let mut elements: Vec<Element> = Vec::new();
        loop {
            let line = lines.next()?;
            let bad = |what: &str| {
                let reason = format!("has a damaged PLY header: {what} in '{}'", line.trim());
                DataError::new(path, reason).remedy("export it again")
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["format", name, _version] => encoding = Some(parse_encoding(name).ok_or_else(|| bad("bad encoding"))?),
                ["comment" | "obj_info", ..] => {
                    comments.push(line.trim().split_once(char::is_whitespace).map_or("", |c| c.1).trim().to_owned());
                }
                ["element", name, count] => {
                    let count = count.parse().map_err(|_| bad("bad count"))?;
                    elements.push(Element { name: name.to_owned(), count, properties: Vec::new() });
                }
                ["property", ref words @ ..] => {
                    let element = elements.last_mut().ok_or_else(|| bad("property before any element"))?;
                    let property = parse_property(words).ok_or_else(|| bad("bad property"))?;
                    if element.has(&property.name) {
                        return Err(bad("repeated property"));
                    }
                    element.properties.push(property);
                }
                ["end_header"] => break,
                [] => {}
                _ => return Err(bad("unknown keyword")),
            }
        }
        let no_encoding = || DataError::new(path, "has a PLY header without a format line").remedy("export it again");
        let encoding = encoding.ok_or_else(no_encoding)?;
        Ok(Self { encoding, comments, elements, length: lines.length })
    }

    /// The element with this name.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::format) fn element(&self, name: &str, path: &Path) -> Result<&Element> {
        self.elements.iter().find(|e| e.name == name).ok_or_else(|| {
            DataError::new(path, format!("is a PLY file without a '{name}' element")).remedy("export it again")
        })
    }

    /// What follows the first of `keys` in a comment: `comment key value value`.
    pub(in crate::format) fn comment_values(&self, keys: &[&str]) -> Option<Vec<&str>> {
        self.comments.iter().find_map(|comment| {
            let rest = keys.iter().find_map(|key| comment.strip_prefix(key))?;
            (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.split_whitespace().collect())
        })
    }
}

fn no_ply(path: &Path) -> DataError {
    DataError::new(path, "is not a PLY file").remedy("name a file that begins with 'ply'")
}

fn parse_encoding(name: &str) -> Option<Encoding> {
    match name {
        "ascii" => Some(Encoding::Ascii),
        "binary_little_endian" => Some(Encoding::LittleEndian),
        "binary_big_endian" => Some(Encoding::BigEndian),
        _ => None,
    }
}

fn parse_property(words: &[&str]) -> Option<Property> {
    let (list_length, scalar, name) = match *words {
        ["list", length, item, name] => (Some(Scalar::parse(length)?), item, name),
        [scalar, name] => (None, scalar, name),
        _ => return None,
    };
    Some(Property { name: name.to_owned(), scalar: Scalar::parse(scalar)?, list_length })
}

struct Lines<'a, R> {
    reader: std::io::Take<R>,
    path: &'a Path,
    length: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line);
        let read = read.map_err(|e| DataError::unreadable(self.path, &e))?;
        if self.length == 0 && !line.starts_with(b"ply") {
            return Err(no_ply(self.path));
        }
        self.length += read as u64;
        if line.pop() != Some(b'\n') {
            return Err(
                DataError::new(self.path, "has a PLY header without an end").remedy("copy it again from its source")
            );
        }
        // Comments in other encodings than UTF-8 must not make a file unreadable.
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}
