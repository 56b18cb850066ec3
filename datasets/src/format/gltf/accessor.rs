//! Rows of numbers in a buffer (glTF 2.0, section 3.6): checked when they are looked up, read in pieces.

use super::document::{Document, ViewRange, at};
use super::json::Accessor;
use crate::{DataError, Result};

/// The longest row that the standard allows. A longer one would let a few rows span a whole file.
const MAX_STRIDE: u64 = 252;

/// Integers that are read at once.
const INTEGERS: usize = 1 << 16;

/// What a number in a buffer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Component {
    I8,
    U8,
    I16,
    U16,
    U32,
    F32,
}

impl Component {
    fn of(code: u32) -> Option<Self> {
        Some(match code {
            5120 => Self::I8,
            5121 => Self::U8,
            5122 => Self::I16,
            5123 => Self::U16,
            5125 => Self::U32,
            5126 => Self::F32,
            _ => return None,
        })
    }

    fn size(self) -> u64 {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }
}

/// Rows of `width` numbers each, all of which lie in their buffer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    view: ViewRange,
    /// Of the first number, in the buffer.
    start: u64,
    /// From row to row.
    stride: u64,
    width: usize,
    component: Component,
    normalized: bool,
    /// Number of rows.
    pub count: u64,
}

impl Rows {
    /// Looks up an accessor of `width` numbers per row; `what` says in messages what it is for.
    ///
    /// # Errors
    /// When it is missing, of another shape, sparse, empty, or leaves its buffer.
    pub(super) fn find(document: &Document, index: u32, width: usize, what: &str) -> Result<Self> {
        let bad = |reason: &str| document.bad(format!("{reason} (accessor {index}, for {what})"));
        let accessor =
            at(&document.root.accessors, index).ok_or_else(|| bad("refers to data that it does not have"))?;
        if accessor.sparse.is_some() {
            return Err(DataError::new(&document.path, format!("stores {what} sparsely, which cannot be read"))
                .remedy("export it without sparse accessors"));
        }
        let shape = match width {
            1 => "SCALAR",
            2 => "VEC2",
            3 => "VEC3",
            4 => "VEC4",
            _ => "MAT4",
        };
        if accessor.shape != shape {
            return Err(bad(&format!("has a {} where a {shape} belongs", shown(&accessor.shape))));
        }
        let component = Component::of(accessor.component_type)
            .ok_or_else(|| bad(&format!("has numbers of an unknown type, {}", accessor.component_type)))?;
        let view_index = accessor.buffer_view.ok_or_else(|| bad("has an accessor without data"))?;
        let (view, range) = document.view(view_index)?;
        let row = component.size() * width as u64;
        let stride = view.byte_stride.unwrap_or(row);
        if stride < row || stride > MAX_STRIDE.max(row) {
            return Err(bad(&format!("has rows of {row} bytes every {stride}")));
        }
        let start = range.start.checked_add(accessor.byte_offset);
        let last = accessor.count.checked_sub(1).ok_or_else(|| bad("has an accessor without rows"))?;
        let end = last.checked_mul(stride).and_then(|last| start?.checked_add(last)?.checked_add(row));
        match (start, end) {
            (Some(start), Some(end)) if end <= range.end => {
                let Accessor { normalized, count, .. } = *accessor;
                Ok(Self { view: range, start, stride, width, component, normalized, count })
            }
            _ => Err(bad(&format!("announces {} rows, more than there are bytes for", accessor.count))),
        }
    }

    /// Numbers in a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The buffer that they lie in.
    pub(super) fn buffer(&self) -> u32 {
        self.view.buffer
    }

    fn row_bytes(&self) -> u64 {
        self.component.size() * self.width as u64
    }
}

fn shown(shape: &str) -> String {
    shape.chars().take(10).collect()
}

/// Reads rows of several accessors of one document. Attributes that are interleaved are read from the file together.
#[derive(Default)]
pub(super) struct RowReader {
    window: Option<ViewRange>,
    bytes: Vec<u8>,
}

impl RowReader {
    /// Replaces what is in `values` by rows `first..first + n`, integers as the fractions that they stand for when the
    /// accessor says so. The caller keeps to the rows that there are.
    pub(super) fn floats(
        &mut self,
        document: &Document,
        rows: &Rows,
        first: u64,
        n: usize,
        values: &mut Vec<f32>,
    ) -> Result<()> {
        values.clear();
        let bytes = self.fetch(document, rows, first, n)?;
        macro_rules! decode {
            ($type:ty, $convert:expr) => {
                gather(bytes, rows, n, |number| $convert(<$type>::from_le_bytes(number)), values)
            };
        }
        // Integers stand for fractions as glTF 2.0 says in section 3.11.
        match (rows.component, rows.normalized) {
            (Component::F32, _) => decode!(f32, |v| v),
            (Component::I8, true) => decode!(i8, |v| (f32::from(v) / 127.0).max(-1.0)),
            (Component::U8, true) => decode!(u8, |v| f32::from(v) / 255.0),
            (Component::I16, true) => decode!(i16, |v| (f32::from(v) / 32767.0).max(-1.0)),
            (Component::U16, true) => decode!(u16, |v| f32::from(v) / 65535.0),
            (Component::I8, false) => decode!(i8, f32::from),
            (Component::U8, false) => decode!(u8, f32::from),
            (Component::I16, false) => decode!(i16, f32::from),
            (Component::U16, false) => decode!(u16, f32::from),
            (Component::U32, _) => decode!(u32, |v| v as f32),
        }
        Ok(())
    }

    /// All rows of an accessor of one integer each, such as indices of vertices.
    ///
    /// # Errors
    /// When the numbers are not unsigned integers, or the file cannot be read.
    pub(super) fn integers(&mut self, document: &Document, rows: &Rows) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        let mut first = 0;
        while first < rows.count {
            let n = usize::try_from(rows.count - first).unwrap_or(INTEGERS).min(INTEGERS);
            let bytes = self.fetch(document, rows, first, n)?;
            match rows.component {
                Component::U8 => gather(bytes, rows, n, |[number]: [u8; 1]| u32::from(number), &mut all),
                Component::U16 => gather(bytes, rows, n, |number| u32::from(u16::from_le_bytes(number)), &mut all),
                Component::U32 => gather(bytes, rows, n, u32::from_le_bytes, &mut all),
                _ => return Err(document.bad("has indices that are not unsigned integers")),
            }
            first += n as u64;
        }
        Ok(all)
    }

    /// The bytes from the first number of row `first` to the last of row `first + n - 1`.
    fn fetch(&mut self, document: &Document, rows: &Rows, first: u64, n: usize) -> Result<&[u8]> {
        let damaged = || document.bad("has rows beyond the end of its buffer");
        let n = n as u64;
        if n == 0 || first.checked_add(n).is_none_or(|end| end > rows.count) {
            return Err(damaged());
        }
        // Whole rows of the view, so that attributes which share them ask for the same bytes.
        let row_start = rows.start - (rows.start - rows.view.start) % rows.stride;
        let start = row_start + first * rows.stride;
        let end = (start + n * rows.stride).max(rows.start + (first + n - 1) * rows.stride + rows.row_bytes());
        let window = ViewRange { buffer: rows.view.buffer, start, end: end.min(rows.view.end) };
        if self.window != Some(window) {
            self.window = None;
            self.bytes.resize(usize::try_from(window.end - window.start).map_err(|_| damaged())?, 0);
            document.read(window.buffer, window.start, &mut self.bytes)?;
            self.window = Some(window);
        }
        let skipped = usize::try_from(rows.start - row_start).map_err(|_| damaged())?;
        self.bytes.get(skipped..).ok_or_else(damaged)
    }
}

/// Appends the numbers of `n` rows.
fn gather<const SIZE: usize, T>(
    bytes: &[u8],
    rows: &Rows,
    n: usize,
    decode: impl Fn([u8; SIZE]) -> T,
    values: &mut Vec<T>,
) {
    let row = rows.width * SIZE;
    let stride = usize::try_from(rows.stride).unwrap_or(row);
    if stride == row {
        values.extend(bytes.as_chunks::<SIZE>().0.iter().take(n * rows.width).map(|number| decode(*number)));
        return;
    }
    for start in bytes.chunks(stride).take(n) {
        values.extend(start.as_chunks::<SIZE>().0.iter().take(rows.width).map(|number| decode(*number)));
    }
}
