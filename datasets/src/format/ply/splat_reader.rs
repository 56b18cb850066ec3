//! Reading Gaussian splats in the INRIA layout, chunk by chunk, in any order of properties and any encoding.

use super::header::{Element, Encoding, Header, Scalar};
use super::table::{Rows, chunk_rows};
use super::{FIXED, comments};
use crate::format::compressed_ply;
use crate::format::input::{Input, bad_splat};
use crate::format::pieces::{PIECE, Piece, pieces, resize};
use crate::format::quantise::SATURATED;
use crate::format::rows::RowSource;
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource, collect};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use rayon::prelude::*;
use std::path::Path;

/// Bytes of rows that are read at once, should properties that nobody knows make rows long.
const MAX_BYTES: usize = 64 << 20;

/// Reads splats of degree 0 to 3. Normals and unknown properties are skipped; a quaternion of length zero becomes the
/// identity.
///
/// # Errors
/// When the file is missing, truncated, no PLY, not of this layout, or holds values that are not finite.
pub fn read_splats(path: impl AsRef<Path>) -> Result<SplatCloud> {
    collect(open_splats(Input::open(path.as_ref())?)?.as_mut())
}

/// [`read_splats`] of a file in memory; `path` is for messages only.
///
/// # Errors
/// As [`read_splats`].
pub fn parse_splats(bytes: &[u8], path: &Path) -> Result<SplatCloud> {
    collect(open_splats(Input::memory(bytes, path))?.as_mut())
}

/// Opens a splat PLY, of the INRIA layout or compressed: both are called `.ply`.
///
/// # Errors
/// As [`read_splats`], as far as the header tells.
pub(in crate::format) fn open_splats(mut input: Input) -> Result<Box<dyn SplatSource>> {
    let path = input.path().to_owned();
    let header = Header::read(&mut input, &path)?;
    let vertex = header.element("vertex", &path)?;
    if compressed_ply::is_compressed(vertex) {
        return compressed_ply::open_splats(&input, &header);
    }
    let sh_degree = check_layout(vertex, &path)?;
    let decoder = Decoder::new(header.encoding, vertex, SplatCloud::rest_coefficients(sh_degree));
    let (antialiased, scene_from_world) = comments::read(&header, &path)?;
    let splat_header = SplatHeader { count: vertex.count, sh_degree, antialiased, scene_from_world };
    let length = input.length();
    let (rows, vertex) = Rows::at(input, &header, "vertex", length, &path)?;
    Ok(Box::new(Source { rows, vertex: vertex.clone(), header: splat_header, decoder, given: 0, skipped: None }))
}

struct Source {
    rows: Rows<Input>,
    vertex: Element,
    header: SplatHeader,
    decoder: Decoder,
    /// Rows that were read.
    given: u64,
    /// Splats that were left out, where that is allowed.
    skipped: Option<u64>,
}

/// How rows become splats.
enum Decoder {
    /// All that is wanted are 32-bit floats, little endian, in rows of one length.
    Floats { layout: FloatLayout, bytes: Vec<u8> },
    /// By columns of numbers, in the order of [`FIXED`], then `f_rest`.
    Any { wanted: Vec<String>, columns: Vec<Vec<f64>> },
}

/// Where the wanted numbers are in a row, in bytes from its start.
struct FloatLayout {
    stride: usize,
    /// In the order of [`FIXED`].
    fixed: [usize; 14],
    f_rest: Vec<usize>,
}

impl RowSource for Source {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn skipped(&self) -> Option<u64> {
        self.skipped
    }

    fn skip_invalid(&mut self) {
        self.skipped.get_or_insert(0);
    }

    fn next_rows(&mut self, chunk: &mut SplatCloud) -> Result<u64> {
        let most = (MAX_BYTES / self.vertex.stride().unwrap_or(1).max(1)).clamp(1, CHUNK_SPLATS);
        let n = usize::try_from(self.header.count - self.given).unwrap_or(usize::MAX).min(most);
        let bad: Vec<Bad> = match &mut self.decoder {
            Decoder::Floats { layout, bytes } => {
                bytes.resize(n * layout.stride, 0);
                self.rows.fill(bytes, "vertex")?;
                resize(chunk, n);
                let decode = |(piece, rows): (Piece, &[u8])| piece.decode(rows, layout);
                pieces(chunk)
                    .into_par_iter()
                    .zip(bytes.par_chunks(PIECE * layout.stride))
                    .flat_map_iter(decode)
                    .collect()
            }
            Decoder::Any { wanted, columns } => {
                chunk.clear();
                while chunk.len() < n {
                    let most = chunk_rows(&self.vertex).min(n - chunk.len());
                    self.rows.columns(&self.vertex, wanted, most, columns)?;
                    append(chunk, columns);
                }
                pieces(chunk).into_par_iter().flat_map_iter(|mut piece| piece.check()).collect()
            }
        };
        match (&mut self.skipped, bad.first()) {
            (Some(skipped), Some(_)) => {
                *skipped += bad.len() as u64;
                chunk.retain(|_, i| bad.binary_search_by_key(&i, |bad| bad.splat).is_err());
            }
            (None, Some(Bad { splat, what })) => {
                return Err(bad_splat(self.rows.path(), self.given + *splat as u64, what));
            }
            (_, None) => {}
        }
        self.given += n as u64;
        Ok(n as u64)
    }
}

impl Decoder {
    fn new(encoding: Encoding, vertex: &Element, rest: usize) -> Self {
        let f_rest = (0..3 * rest).map(|i| format!("f_rest_{i}"));
        let wanted: Vec<String> = FIXED.iter().map(|&name| name.to_owned()).chain(f_rest).collect();
        let offsets = wanted.iter().map(|name| float_offset(vertex, name)).collect::<Option<Vec<usize>>>();
        match (offsets, vertex.stride()) {
            (Some(offsets), Some(stride)) if encoding == Encoding::LittleEndian => {
                let (fixed, f_rest) = offsets.split_at(FIXED.len());
                let fixed = std::array::from_fn(|i| fixed[i]);
                Self::Floats { layout: FloatLayout { stride, fixed, f_rest: f_rest.to_vec() }, bytes: Vec::new() }
            }
            _ => Self::Any { columns: vec![Vec::new(); wanted.len()], wanted },
        }
    }
}

/// Where the 32-bit float with this name is in a row.
fn float_offset(vertex: &Element, name: &str) -> Option<usize> {
    let at = vertex.properties.iter().position(|p| p.name == name)?;
    let is_float = vertex.properties[at].scalar == Scalar::F32 && vertex.properties[at].list_length.is_none();
    is_float.then(|| vertex.properties[..at].iter().map(|p| p.scalar.size()).sum())
}

/// A splat that cannot be, by its number in the chunk.
struct Bad {
    splat: usize,
    what: &'static str,
}

impl Piece<'_> {
    /// Fills the splats from rows of bytes, and names those that cannot be.
    fn decode(mut self, rows: &[u8], layout: &FloatLayout) -> Vec<Bad> {
        let [x, y, z, s0, s1, s2, q0, q1, q2, q3, opacity, dc0, dc1, dc2] = layout.fixed;
        let width = layout.f_rest.len();
        let is_run = layout.f_rest.windows(2).all(|pair| pair[1] == pair[0] + 4);
        for (i, row) in rows.chunks_exact(layout.stride).enumerate() {
            let float = |at: usize| row[at..].first_chunk().map_or(f32::NAN, |bytes| f32::from_le_bytes(*bytes));
            self.means[i] = [float(x), float(y), float(z)];
            self.log_scales[i] = [float(s0), float(s1), float(s2)];
            self.quats[i] = [float(q0), float(q1), float(q2), float(q3)];
            self.opacity_logits[i] = float(opacity);
            self.sh0[i] = [float(dc0), float(dc1), float(dc2)];
            let harmonics = &mut self.sh_rest[i * width..(i + 1) * width];
            let coefficients = width / 3;
            match layout.f_rest.first() {
                Some(&start) if is_run => {
                    let (run, _) = row[start..start + 4 * width].as_chunks::<4>();
                    for (c, colour) in harmonics.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        *colour = [0, 1, 2].map(|channel| f32::from_le_bytes(run[channel * coefficients + c]));
                    }
                }
                _ => {
                    for (k, value) in harmonics.iter_mut().enumerate() {
                        *value = float(layout.f_rest[k % 3 * coefficients + k / 3]);
                    }
                }
            }
        }
        self.check()
    }

    /// Replaces what stands for extremes by numbers, and names the splats that cannot be.
    fn check(&mut self) -> Vec<Bad> {
        // One pass without branches over each array; only damaged files are looked at more closely.
        let finite = |values: &[f32]| values.iter().fold(true, |all, v| all & v.is_finite());
        let plain = [self.means.as_flattened(), self.quats.as_flattened(), self.sh0.as_flattened()];
        let rest = [self.log_scales.as_flattened(), self.opacity_logits, self.sh_rest];
        let all_finite = plain.into_iter().chain(rest).all(finite);
        self.quats.iter_mut().filter(|quat| **quat == [0.0; 4]).for_each(|quat| *quat = [1.0, 0.0, 0.0, 0.0]);
        if all_finite { Vec::new() } else { (0..self.means.len()).filter_map(|i| self.check_one(i)).collect() }
    }

    fn check_one(&mut self, i: usize) -> Option<Bad> {
        let width = self.sh_rest.len() / self.means.len().max(1);
        let bad = |what: &'static str| Some(Bad { splat: self.first + i, what });
        if !self.means[i].iter().chain(&self.sh0[i]).chain(&self.quats[i]).all(|v| v.is_finite()) {
            return bad("a position, rotation or colour that is not finite");
        }
        let (opacity, scales) = (&mut self.opacity_logits[i], &mut self.log_scales[i]);
        if opacity.is_nan() || scales.iter().any(|s| s.is_nan() || *s == f32::INFINITY) {
            return bad("an opacity or scale that is not a number");
        }
        if opacity.is_infinite() {
            *opacity = SATURATED.copysign(*opacity);
        }
        scales.iter_mut().filter(|s| s.is_infinite()).for_each(|scale| *scale = -SATURATED);
        if !self.sh_rest[i * width..(i + 1) * width].iter().all(|v| v.is_finite()) {
            return bad("a spherical-harmonics coefficient that is not finite");
        }
        None
    }
}

/// Adds rows given as columns in the order of [`FIXED`], then `f_rest`.
fn append(chunk: &mut SplatCloud, columns: &[Vec<f64>]) {
    let (fixed, f_rest) = columns.split_at(FIXED.len());
    let coefficients = f_rest.len() / 3;
    for row in 0..fixed[0].len() {
        let value = |column: usize| fixed[column][row] as f32;
        chunk.means.push([value(0), value(1), value(2)]);
        chunk.log_scales.push([value(3), value(4), value(5)]);
        chunk.quats.push([value(6), value(7), value(8), value(9)]);
        chunk.opacity_logits.push(value(10));
        chunk.sh0.push([value(11), value(12), value(13)]);
        let harmonics = (0..coefficients).flat_map(|c| [0, 1, 2].map(|channel| channel * coefficients + c));
        chunk.sh_rest.extend(harmonics.map(|column| f_rest[column][row] as f32));
    }
}

/// The SH degree, or what keeps the file from being splats in the INRIA layout.
fn check_layout(vertex: &Element, path: &Path) -> Result<u8> {
    if let Some(missing) = FIXED.iter().find(|name| !vertex.has(name)) {
        let reason = format!("is a PLY file but not of Gaussian splats: it has no property '{missing}'");
        return Err(DataError::new(path, reason).remedy("name a splat PLY in the INRIA layout"));
    }
    rest_degree(vertex, path)
}

/// The SH degree that an element's `f_rest` properties make.
pub(in crate::format) fn rest_degree(element: &Element, path: &Path) -> Result<u8> {
    let rest = element.properties.iter().filter(|p| p.name.starts_with("f_rest_")).count();
    let degree = (0..=3).find(|&d| 3 * SplatCloud::rest_coefficients(d) == rest);
    let complete = (0..rest).all(|i| element.has(&format!("f_rest_{i}")));
    degree.filter(|_| complete).ok_or_else(|| {
        DataError::new(path, format!("has {rest} f_rest properties, which no SH degree from 0 to 3 has"))
            .remedy("it should be f_rest_0 up to f_rest_8, f_rest_23 or f_rest_44")
    })
}
