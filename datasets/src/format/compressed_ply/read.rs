//! Reading compressed PLY, chunk by chunk, from two places of the file at the same time.

use super::{BITS, CHUNK, HARMONICS_RANGE, PACKED, RANGES};
use crate::format::input::{Input, bad_splat};
use crate::format::pieces::{PIECE, Piece, pieces, resize};
use crate::format::ply::header::{Element, Encoding, Header, Property, Scalar};
use crate::format::ply::table::{Rows, chunk_rows};
use crate::format::ply::{comments, rest_degree};
use crate::format::quantise::{
    SATURATED, byte_logits, component_from_unorm, from_smallest_three, from_unorm, sh0_of_colour,
};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use rayon::prelude::*;

/// Whether an element `vertex` has packed properties.
pub(in crate::format) fn is_compressed(vertex: &Element) -> bool {
    vertex.has(PACKED[0])
}

/// Opens a compressed PLY file, which stands behind its header.
///
/// # Errors
/// When elements or properties are missing, there are too few chunks, or a range is not finite.
pub(in crate::format) fn open_splats(input: &Input, header: &Header) -> Result<Box<dyn SplatSource>> {
    let path = input.path().to_owned();
    let vertices = element(header, "vertex", &PACKED, input)?;
    let chunks = element(header, "chunk", &RANGES[..12], input)?;
    let needed = vertices.count.div_ceil(CHUNK as u64);
    if chunks.count < needed {
        let reason = format!("has {} chunks for {} splats, which need {needed}", chunks.count, vertices.count);
        return Err(DataError::new(&path, reason).remedy("export it again"));
    }
    let ranges = read_ranges(input, header)?;
    let (antialiased, scene_from_world) = comments::read(header, &path)?;
    let mut sh_degree = 0;
    let mut harmonics = None;
    if let Some(element) = header.elements.iter().find(|e| e.name == "sh") {
        sh_degree = rest_degree(element, &path)?;
        if element.count != vertices.count {
            let reason = format!("has harmonics of {} splats and {} splats", element.count, vertices.count);
            return Err(DataError::new(&path, reason).remedy("export it again"));
        }
        harmonics = (sh_degree > 0).then(|| Harmonics::find(input, header, sh_degree)).transpose()?;
    }
    let names = PACKED.map(str::to_owned).to_vec();
    Ok(Box::new(Source {
        header: SplatHeader { count: vertices.count, sh_degree, antialiased, scene_from_world },
        packed: Table::find(input, header, "vertex", names, Scalar::U32)?,
        ranges,
        harmonics,
        logits: byte_logits(),
        given: 0,
    }))
}

fn element<'a>(header: &'a Header, name: &str, properties: &[&str], input: &Input) -> Result<&'a Element> {
    let missing = |what: String| {
        DataError::new(input.path(), format!("is a compressed splat PLY without {what}")).remedy("export it again")
    };
    let element = header.elements.iter().find(|e| e.name == name);
    let element = element.ok_or_else(|| missing(format!("an element '{name}'")))?;
    match properties.iter().find(|property| !element.has(property)) {
        Some(property) => Err(missing(format!("the property '{property}'"))),
        None => Ok(element),
    }
}

/// An element that is read from its own place in the file: columns of integers of one size.
struct Table {
    rows: Rows<Input>,
    element: Element,
    left: u64,
    wanted: Vec<String>,
    size: usize,
    /// Unless the rows are in the file as they are wanted.
    columns: Option<Vec<Vec<f64>>>,
    /// The rows that were read last: little-endian integers in the order of `wanted`.
    bytes: Vec<u8>,
}

impl Table {
    fn find(input: &Input, header: &Header, name: &str, wanted: Vec<String>, scalar: Scalar) -> Result<Self> {
        let (rows, element) = Rows::at(input.again()?, header, name, input.length(), input.path())?;
        let is_wanted = |(property, name): (&Property, &String)| {
            property.name == *name && property.scalar == scalar && property.list_length.is_none()
        };
        let is_plain = header.encoding == Encoding::LittleEndian
            && element.properties.len() == wanted.len()
            && element.properties.iter().zip(&wanted).all(is_wanted);
        let columns = (!is_plain).then(|| vec![Vec::new(); wanted.len()]);
        let (element, left) = (element.clone(), element.count);
        Ok(Self { rows, element, left, wanted, size: scalar.size(), columns, bytes: Vec::new() })
    }

    /// Bytes of a row.
    fn width(&self) -> usize {
        self.size * self.wanted.len()
    }

    /// Rows that may be read at once: columns take more memory.
    fn most(&self) -> usize {
        if self.columns.is_some() { chunk_rows(&self.element).min(CHUNK_SPLATS) } else { CHUNK_SPLATS }
    }

    /// Reads the next rows, `most` at most, and says how many those are.
    fn next(&mut self, most: usize) -> Result<usize> {
        let n = self.left.min(most as u64) as usize;
        self.left -= n as u64;
        match &mut self.columns {
            None => {
                self.bytes.resize(n * self.size * self.wanted.len(), 0);
                self.rows.fill(&mut self.bytes, &self.element.name)?;
            }
            Some(columns) => {
                self.bytes.clear();
                self.rows.columns(&self.element, &self.wanted, n, columns)?;
                for row in 0..n {
                    for column in &*columns {
                        self.bytes.extend_from_slice(&(column[row] as u32).to_le_bytes()[..self.size]);
                    }
                }
            }
        }
        Ok(n)
    }
}

/// From the least to the largest of three numbers.
#[derive(Clone, Copy)]
struct Range {
    least: [f32; 3],
    largest: [f32; 3],
}

impl Range {
    fn at(&self, places: [f32; 3]) -> [f32; 3] {
        [0, 1, 2].map(|axis| self.least[axis] * (1.0 - places[axis]) + self.largest[axis] * places[axis])
    }
}

/// What 256 splats share.
struct Ranges {
    positions: Range,
    scales: Range,
    colours: Range,
}

fn read_ranges(input: &Input, header: &Header) -> Result<Vec<Ranges>> {
    let (mut rows, element) = Rows::at(input.again()?, header, "chunk", input.length(), input.path())?;
    let wanted = RANGES.map(str::to_owned);
    let mut columns = vec![Vec::new(); RANGES.len()];
    let mut left = element.count;
    let mut all = Vec::new();
    while left > 0 {
        let n = left.min(chunk_rows(element) as u64) as usize;
        rows.columns(element, &wanted, n, &mut columns)?;
        left -= n as u64;
        for row in 0..n {
            // Colours without ranges lie between 0 and 1.
            let default = |i: usize| if i < 15 { 0.0 } else { 1.0 };
            let mut values: [f32; 18] = std::array::from_fn(|i| columns[i].get(row).map_or(default(i), |&v| v as f32));
            // What other programs write for splats without any thickness.
            values[6..12].iter_mut().filter(|v| **v == f32::NEG_INFINITY).for_each(|v| *v = -SATURATED);
            if !values.iter().all(|v| v.is_finite()) {
                let reason = format!("has a range that is not finite in chunk {}", all.len());
                return Err(DataError::new(input.path(), reason).remedy("export it again"));
            }
            let range = |i: usize| Range {
                least: [values[i], values[i + 1], values[i + 2]],
                largest: [values[i + 3], values[i + 4], values[i + 5]],
            };
            all.push(Ranges { positions: range(0), scales: range(6), colours: range(12) });
        }
    }
    Ok(all)
}

/// The element `sh`.
struct Harmonics {
    table: Table,
    values: [f32; 256],
}

impl Harmonics {
    fn find(input: &Input, header: &Header, sh_degree: u8) -> Result<Self> {
        let names = (0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|i| format!("f_rest_{i}"));
        let table = Table::find(input, header, "sh", names.collect(), Scalar::U8)?;
        let values = std::array::from_fn(|byte| match byte {
            0 => -HARMONICS_RANGE,
            255 => HARMONICS_RANGE,
            _ => ((byte as f32 + 0.5) / 256.0 - 0.5) * 2.0 * HARMONICS_RANGE,
        });
        Ok(Self { table, values })
    }
}

/// The coefficients of splats from rows that have all of one channel before those of the next.
fn decode_harmonics(rows: &[u8], values: &[f32; 256], width: usize, sh_rest: &mut [f32]) {
    for (row, decoded) in rows.chunks_exact(width).zip(sh_rest.chunks_exact_mut(width)) {
        for (i, colour) in decoded.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *colour = [0, 1, 2].map(|channel| values[usize::from(row[channel * (width / 3) + i])]);
        }
    }
}

struct Source {
    header: SplatHeader,
    packed: Table,
    ranges: Vec<Ranges>,
    harmonics: Option<Harmonics>,
    logits: [f32; 256],
    given: u64,
}

impl SplatSource for Source {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let most = self.harmonics.as_ref().map_or(CHUNK_SPLATS, |harmonics| harmonics.table.most());
        let most = most.min(self.packed.most());
        let n = self.packed.next(most)?;
        if let Some(harmonics) = &mut self.harmonics {
            harmonics.table.next(most)?;
        }
        if (self.given + n as u64).div_ceil(CHUNK as u64) > self.ranges.len() as u64 {
            return Err(bad_splat(self.packed.rows.path(), self.given, "no chunk"));
        }
        resize(chunk, n);
        let words = Words { ranges: &self.ranges, logits: &self.logits, given: self.given };
        let rows = self.packed.bytes.par_chunks(PIECE * self.packed.width());
        let harmonics = self.harmonics.as_ref().map(|h| (&h.values, &h.table.bytes[..], h.table.width()));
        pieces(chunk).into_par_iter().zip(rows).for_each(|(mut piece, rows)| {
            words.decode(rows.as_chunks::<4>().0, &mut piece);
            if let Some((values, bytes, width)) = harmonics {
                decode_harmonics(&bytes[piece.first * width..], values, width, piece.sh_rest);
            }
        });
        self.given += n as u64;
        Ok(n > 0)
    }
}

/// What packed words mean.
struct Words<'a> {
    ranges: &'a [Ranges],
    logits: &'a [f32; 256],
    /// Splats before those of the chunk.
    given: u64,
}

impl Words<'_> {
    /// Fills splats from rows of four words.
    fn decode(&self, words: &[[u8; 4]], piece: &mut Piece<'_>) {
        for (i, row) in words.chunks_exact(PACKED.len()).enumerate() {
            let [position, rotation, scale, colour] = [0, 1, 2, 3].map(|k| u32::from_le_bytes(row[k]));
            let ranges = &self.ranges[(self.given as usize + piece.first + i) / CHUNK];
            piece.means[i] = ranges.positions.at(three(position));
            piece.log_scales[i] = ranges.scales.at(three(scale));
            let rest = [20, 10, 0].map(|shift| component_from_unorm(rotation >> shift, 10));
            piece.quats[i] = from_smallest_three((rotation >> 30) as usize, rest);
            let [r, g, b, opacity] = colour.to_be_bytes();
            let colour = ranges.colours.at([r, g, b].map(|byte| f32::from(byte) / 255.0));
            piece.sh0[i] = colour.map(sh0_of_colour);
            piece.opacity_logits[i] = self.logits[usize::from(opacity)];
        }
    }
}

fn three(packed: u32) -> [f32; 3] {
    [from_unorm(packed >> 21, BITS[0]), from_unorm(packed >> 11, BITS[1]), from_unorm(packed, BITS[2])]
}
