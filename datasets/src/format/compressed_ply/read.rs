//! Reading compressed PLY, chunk by chunk, from two places of the file at the same time.

use super::{BITS, CHUNK, HARMONICS_RANGE, PACKED, RANGES};
use crate::format::input::{Input, bad_splat};
use crate::format::ply::header::{Element, Header};
use crate::format::ply::table::{Rows, chunk_rows};
use crate::format::ply::{comments, rest_degree};
use crate::format::quantise::{
    SATURATED, byte_logits, component_from_unorm, from_smallest_three, from_unorm, sh0_of_colour,
};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};

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
        packed: Table::find(input, header, "vertex", names)?,
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

/// An element that is read from its own place in the file.
struct Table {
    rows: Rows<Input>,
    element: Element,
    left: u64,
    wanted: Vec<String>,
    columns: Vec<Vec<f64>>,
}

impl Table {
    fn find(input: &Input, header: &Header, name: &str, wanted: Vec<String>) -> Result<Self> {
        let (rows, element) = Rows::at(input.again()?, header, name, input.length(), input.path())?;
        let columns = vec![Vec::new(); wanted.len()];
        Ok(Self { rows, element: element.clone(), left: element.count, wanted, columns })
    }

    /// Replaces the columns by the next rows, `most` at most, and says how many those are.
    fn next(&mut self, most: usize) -> Result<usize> {
        let n = self.left.min(most as u64) as usize;
        if n == 0 {
            return Ok(0);
        }
        self.rows.columns(&self.element, &self.wanted, n, &mut self.columns)?;
        self.left -= n as u64;
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
    let mut table = Table::find(input, header, "chunk", RANGES.map(str::to_owned).to_vec())?;
    let most = chunk_rows(&table.element);
    let mut all = Vec::new();
    loop {
        let n = table.next(most)?;
        for row in 0..n {
            // Colours without ranges lie between 0 and 1.
            let default = |i: usize| if i < 15 { 0.0 } else { 1.0 };
            let mut values: [f32; 18] =
                std::array::from_fn(|i| table.columns[i].get(row).map_or(default(i), |&v| v as f32));
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
        if n == 0 {
            return Ok(all);
        }
    }
}

/// The element `sh`.
struct Harmonics {
    table: Table,
    values: [f32; 256],
}

impl Harmonics {
    fn find(input: &Input, header: &Header, sh_degree: u8) -> Result<Self> {
        let names = (0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|i| format!("f_rest_{i}"));
        let table = Table::find(input, header, "sh", names.collect())?;
        let values = std::array::from_fn(|byte| match byte {
            0 => -HARMONICS_RANGE,
            255 => HARMONICS_RANGE,
            _ => ((byte as f32 + 0.5) / 256.0 - 0.5) * 2.0 * HARMONICS_RANGE,
        });
        Ok(Self { table, values })
    }

    fn append(&mut self, most: usize, chunk: &mut SplatCloud) -> Result<()> {
        let n = self.table.next(most)?;
        let (width, start) = (self.table.columns.len(), chunk.sh_rest.len());
        chunk.sh_rest.resize(start + n * width, 0.0);
        for (i, column) in self.table.columns.iter().enumerate() {
            let place = 3 * (i % (width / 3)) + i / (width / 3);
            let rows = chunk.sh_rest[start..].chunks_exact_mut(width);
            rows.zip(column).for_each(|(row, &byte)| row[place] = self.values[usize::from(byte as u8)]);
        }
        Ok(())
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
        chunk.clear();
        let wider = self.harmonics.as_ref().map_or(&self.packed.element, |harmonics| &harmonics.table.element);
        let most = chunk_rows(&self.packed.element).min(chunk_rows(wider));
        while chunk.len() < CHUNK_SPLATS {
            let n = self.packed.next(most.min(CHUNK_SPLATS - chunk.len()))?;
            if n == 0 {
                break;
            }
            self.append(n, chunk)?;
            if let Some(harmonics) = &mut self.harmonics {
                harmonics.append(n, chunk)?;
            }
            self.given += n as u64;
        }
        Ok(!chunk.is_empty())
    }
}

impl Source {
    fn append(&self, n: usize, chunk: &mut SplatCloud) -> Result<()> {
        for i in 0..n {
            let [position, rotation, scale, colour] = [0, 1, 2, 3].map(|column| self.packed.columns[column][i] as u32);
            let splat = self.given + i as u64;
            let ranges = usize::try_from(splat / CHUNK as u64).ok().and_then(|at| self.ranges.get(at));
            let ranges = ranges.ok_or_else(|| bad_splat(self.packed.rows.path(), splat, "no chunk"))?;
            chunk.means.push(ranges.positions.at(three(position)));
            chunk.log_scales.push(ranges.scales.at(three(scale)));
            let rest = [20, 10, 0].map(|shift| component_from_unorm(rotation >> shift, 10));
            chunk.quats.push(from_smallest_three((rotation >> 30) as usize, rest));
            let [r, g, b, opacity] = colour.to_be_bytes();
            let colour = ranges.colours.at([r, g, b].map(|byte| f32::from(byte) / 255.0));
            chunk.sh0.push(colour.map(sh0_of_colour));
            chunk.opacity_logits.push(self.logits[usize::from(opacity)]);
        }
        Ok(())
    }
}

fn three(packed: u32) -> [f32; 3] {
    [from_unorm(packed >> 21, BITS[0]), from_unorm(packed >> 11, BITS[1]), from_unorm(packed, BITS[2])]
}
