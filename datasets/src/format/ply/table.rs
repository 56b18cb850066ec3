//! Rows of a PLY element as columns of numbers, in chunks of bounded size.

use super::header::{Element, Encoding, Header, Scalar};
use crate::{DataError, Result};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes of rows that are decoded at once: few enough to stay in the processor's cache.
const CHUNK_BYTES: usize = 256 * 1024;
/// A longer line of an ASCII file is damage.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Reads the rows of `element`. For every chunk, `take` gets one column per wanted property, all of the same length.
///
/// `reader` stands right after the header, and `length` is that of the whole file. `wanted` must be in the element.
pub(in crate::format) fn read_rows(
    reader: &mut impl BufRead,
    header: &Header,
    element: &str,
    wanted: &[String],
    file_length: u64,
    path: &Path,
    mut take: impl FnMut(&[Vec<f64>]) -> Result<()>,
) -> Result<()> {
    let (mut rows, element) = Rows::at(reader, header, element, file_length, path)?;
    let mut columns = vec![Vec::new(); wanted.len()];
    let mut left = element.count;
    while left > 0 {
        let n = left.min(chunk_rows(element) as u64) as usize;
        rows.columns(element, wanted, n, &mut columns)?;
        take(&columns)?;
        left -= n as u64;
    }
    Ok(())
}

/// Rows of an element that are decoded at once.
pub(in crate::format) fn chunk_rows(element: &Element) -> usize {
    (CHUNK_BYTES / element.stride().unwrap_or(1).max(64)).max(1)
}

/// What comes after the header, element by element.
pub(in crate::format) struct Rows<R> {
    reader: R,
    encoding: Encoding,
    path: PathBuf,
    /// Bytes until the end of the file.
    remaining: u64,
}

impl<R: BufRead> Rows<R> {
    /// Stands at the first row of an element, whose count the file can hold. `reader` stands right after the header.
    ///
    /// # Errors
    /// When there is no such element, or the file ends too early.
    pub(in crate::format) fn at<'h>(
        reader: R,
        header: &'h Header,
        element: &str,
        file_length: u64,
        path: &Path,
    ) -> Result<(Self, &'h Element)> {
        let remaining = file_length.saturating_sub(header.length);
        let mut rows = Self { reader, encoding: header.encoding, path: path.to_owned(), remaining };
        for skipped in header.elements.iter().take_while(|e| e.name != element) {
            rows.skip(skipped)?;
        }
        let element = header.element(element, path)?;
        rows.check_count(element)?;
        Ok((rows, element))
    }

    /// Replaces what is in `columns` by the next `n` rows, one column per wanted property. The caller keeps to the rows
    /// that there are.
    pub(in crate::format) fn columns(
        &mut self,
        element: &Element,
        wanted: &[String],
        n: usize,
        columns: &mut [Vec<f64>],
    ) -> Result<()> {
        columns.iter_mut().for_each(Vec::clear);
        match self.encoding {
            Encoding::Ascii => self.ascii_chunk(element, wanted, n, columns),
            _ => self.binary_chunk(element, wanted, n, columns),
        }
    }

    /// What messages call the file.
    pub(in crate::format) fn path(&self) -> &Path {
        &self.path
    }

    /// Compares the count with what the file can hold, before anything is allocated for it.
    pub(in crate::format) fn check_count(&self, element: &Element) -> Result<()> {
        let least = match (self.encoding, element.stride()) {
            (Encoding::Ascii, _) => (2 * element.properties.len()).max(1), // digit and separator
            (_, Some(stride)) => stride.max(1),
            (_, None) => 1,
        };
        let unseparated = u64::from(self.encoding == Encoding::Ascii); // the last separator may be missing
        let holds = (self.remaining + unseparated) / least as u64;
        if element.count > holds {
            return Err(DataError::new(
                &self.path,
                format!("ends before its {} {} rows do (at most {holds} fit in it)", element.count, element.name),
            )
            .remedy("copy it again from its source"));
        }
        Ok(())
    }

    fn binary_chunk(&mut self, element: &Element, wanted: &[String], n: usize, columns: &mut [Vec<f64>]) -> Result<()> {
        let Some(stride) = element.stride() else {
            let reason = format!("has lists in its '{}' element", element.name);
            return Err(DataError::new(&self.path, reason).remedy("export it without them"));
        };
        let mut bytes = vec![0; n * stride];
        self.fill(&mut bytes, &element.name)?;
        for (name, column) in wanted.iter().zip(columns) {
            let mut offset = 0;
            for property in &element.properties {
                if property.name == *name {
                    decode_column(&bytes[offset..], stride, property.scalar, self.encoding, column);
                }
                offset += property.scalar.size();
            }
        }
        Ok(())
    }

    fn ascii_chunk(&mut self, element: &Element, wanted: &[String], n: usize, columns: &mut [Vec<f64>]) -> Result<()> {
        // Which column each property goes to.
        let targets: Vec<Option<usize>> =
            element.properties.iter().map(|p| wanted.iter().position(|w| *w == p.name)).collect();
        if element.properties.iter().any(|p| p.list_length.is_some()) {
            let reason = format!("has lists in its '{}' element", element.name);
            return Err(DataError::new(&self.path, reason).remedy("export it without them"));
        }
        for _ in 0..n {
            let line = self.line(&element.name)?;
            let mut words = line.split_ascii_whitespace();
            for target in &targets {
                let word = words.next().unwrap_or_default();
                let value = self.number(word, element)?;
                if let Some(column) = target.and_then(|t| columns.get_mut(t)) {
                    column.push(value);
                }
            }
        }
        Ok(())
    }

    pub(in crate::format) fn skip(&mut self, element: &Element) -> Result<()> {
        self.check_count(element)?;
        match (self.encoding, element.stride()) {
            (Encoding::Ascii, _) => (0..element.count).try_for_each(|_| self.line(&element.name).map(drop)),
            (_, Some(stride)) => self.skip_bytes(element.count * stride as u64, &element.name),
            (_, None) => (0..element.count).try_for_each(|_| self.skip_row_with_lists(element)),
        }
    }

    /// Replaces what is in `values` by the next row, property by property: the items of a list, or one number.
    pub(super) fn row(&mut self, element: &Element, values: &mut [Vec<f64>]) -> Result<()> {
        values.iter_mut().for_each(Vec::clear);
        if self.encoding == Encoding::Ascii {
            return self.ascii_row(element, values);
        }
        for (property, values) in element.properties.iter().zip(values) {
            let mut items = 1;
            if let Some(length) = property.list_length {
                let mut bytes = [0; 8];
                let bytes = &mut bytes[..length.size()];
                self.fill(bytes, &element.name)?;
                decode_column(bytes, length.size(), length, self.encoding, values);
                items = values.pop().unwrap_or_default() as u64; // saturates, negative is 0
            }
            let size = property.scalar.size() as u64;
            if items.saturating_mul(size) > self.remaining {
                return Err(self.truncated(&element.name));
            }
            let mut bytes = vec![0; (items * size) as usize];
            self.fill(&mut bytes, &element.name)?;
            decode_column(&bytes, size as usize, property.scalar, self.encoding, values);
        }
        Ok(())
    }

    fn ascii_row(&mut self, element: &Element, values: &mut [Vec<f64>]) -> Result<()> {
        let line = self.line(&element.name)?;
        let mut numbers = line.split_ascii_whitespace().map(|word| self.number(word, element));
        for (property, values) in element.properties.iter().zip(values) {
            let is_list = property.list_length.is_some();
            let items = if is_list { numbers.next().transpose()?.unwrap_or_default() as usize } else { 1 };
            for number in numbers.by_ref().take(items) {
                values.push(number?);
            }
            if values.len() < items {
                let reason = format!("has a {} row that is too short", element.name);
                return Err(DataError::new(&self.path, reason).remedy("export it again"));
            }
        }
        Ok(())
    }

    /// A number in text.
    fn number(&self, word: &str, element: &Element) -> Result<f64> {
        word.parse().map_err(|_| {
            let shown: String = word.chars().take(20).collect();
            DataError::new(&self.path, format!("has '{shown}' where a number of a {} row belongs", element.name))
                .remedy("export it again")
        })
    }

    fn skip_row_with_lists(&mut self, element: &Element) -> Result<()> {
        for property in &element.properties {
            let mut items = 1;
            if let Some(length) = property.list_length {
                let mut bytes = [0; 8];
                let bytes = &mut bytes[..length.size()];
                self.fill(bytes, &element.name)?;
                let mut decoded = Vec::with_capacity(1);
                decode_column(bytes, length.size(), length, self.encoding, &mut decoded);
                items = decoded.first().map_or(0, |&v| v as u64); // saturates, negative is 0
            }
            self.skip_bytes(items.saturating_mul(property.scalar.size() as u64), &element.name)?;
        }
        Ok(())
    }

    fn skip_bytes(&mut self, count: u64, element: &str) -> Result<()> {
        let skipped = std::io::copy(&mut self.reader.by_ref().take(count), &mut std::io::sink());
        match skipped {
            Ok(n) if n == count => {
                self.remaining = self.remaining.saturating_sub(count);
                Ok(())
            }
            Ok(_) => Err(self.truncated(element)),
            Err(e) => Err(DataError::unreadable(&self.path, &e)),
        }
    }

    pub(in crate::format) fn fill(&mut self, bytes: &mut [u8], element: &str) -> Result<()> {
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        self.reader.read_exact(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => self.truncated(element),
            _ => DataError::unreadable(&self.path, &e),
        })
    }

    fn line(&mut self, element: &str) -> Result<String> {
        loop {
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            let read = read.map_err(|e| DataError::unreadable(&self.path, &e))?;
            self.remaining = self.remaining.saturating_sub(read as u64);
            if read == 0 {
                return Err(self.truncated(element));
            }
            if line.iter().any(|b| !b.is_ascii_whitespace()) {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    fn truncated(&self, element: &str) -> DataError {
        DataError::new(&self.path, format!("ends in the middle of its {element} rows"))
            .remedy("copy it again from its source")
    }
}

/// Appends the number at the beginning of every `stride` bytes.
fn decode_column(bytes: &[u8], stride: usize, scalar: Scalar, encoding: Encoding, column: &mut Vec<f64>) {
    // One loop per type, so that the choice is not made again for every value.
    macro_rules! decode {
        ($type:ty) => {{
            const SIZE: usize = size_of::<$type>();
            let little = encoding == Encoding::LittleEndian;
            column.extend(bytes.chunks(stride).filter_map(|row| row.first_chunk::<SIZE>()).map(|&value| {
                if little { <$type>::from_le_bytes(value) as f64 } else { <$type>::from_be_bytes(value) as f64 }
            }));
        }};
    }
    match scalar {
        Scalar::I8 => decode!(i8),
        Scalar::U8 => decode!(u8),
        Scalar::I16 => decode!(i16),
        Scalar::U16 => decode!(u16),
        Scalar::I32 => decode!(i32),
        Scalar::U32 => decode!(u32),
        Scalar::F32 => decode!(f32),
        Scalar::F64 => decode!(f64),
    }
}
