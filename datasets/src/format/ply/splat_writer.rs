//! Writing Gaussian splats in the INRIA layout, chunk by chunk.
//!
//! How many splats there are is known last and said first: a comment before the count is padded so that the header has the
//! same length whatever the number.

use super::comments;
use crate::Result;
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSink, check_chunk};
use crate::format::{AtomicFile, Existing};
use crate::scene::SplatCloud;
use rayon::prelude::*;
use std::fmt::Write;
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// Splats that one thread writes down at a time.
const PIECE: usize = 2048;
/// Digits of the largest number of splats.
const COUNT_DIGITS: usize = 20;

/// Writes splats in the INRIA layout, binary little endian, with normals of zero as other programs expect.
///
/// # Errors
/// When the file is in the way and to be kept, the cloud's arrays differ in length, or the disk refuses.
pub fn write_splats(path: impl AsRef<Path>, cloud: &SplatCloud, existing: Existing) -> Result<()> {
    let mut sink = create_splats(AtomicFile::create(path, existing)?, &SplatHeader::of(cloud))?;
    sink.put(cloud)?;
    sink.finish()
}

/// Begins a splat PLY in the INRIA layout.
pub(in crate::format) fn create_splats(mut file: AtomicFile, header: &SplatHeader) -> Result<Box<dyn SplatSink>> {
    let header = SplatHeader { count: 0, ..header.clone() };
    file.put(text(&header).as_bytes())?;
    Ok(Box::new(Writer { file, header, rows: Vec::new() }))
}

struct Writer {
    file: AtomicFile,
    /// Its count is of what has come.
    header: SplatHeader,
    rows: Vec<u8>,
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.header.sh_degree, self.file.path())?;
        let stride = 4 * (17 + 3 * SplatCloud::rest_coefficients(chunk.sh_degree));
        for start in (0..chunk.len()).step_by(CHUNK_SPLATS) {
            let n = CHUNK_SPLATS.min(chunk.len() - start);
            self.rows.resize(n * stride, 0);
            self.rows.par_chunks_mut(PIECE * stride).enumerate().for_each(|(piece, rows)| {
                let first = start + piece * PIECE;
                rows.chunks_exact_mut(stride).enumerate().for_each(|(i, row)| fill(row, chunk, first + i));
            });
            self.file.put(&self.rows)?;
        }
        self.header.count += chunk.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.file.seek(SeekFrom::Start(0)).map_err(|e| self.file.unwritable(&e))?;
        self.file.put(text(&self.header).as_bytes())?;
        self.file.commit()
    }
}

/// The header, of the same length for every count.
fn text(header: &SplatHeader) -> String {
    let count = header.count.to_string();
    let padding = COUNT_DIGITS - count.len().min(COUNT_DIGITS);
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("ply\nformat binary_little_endian 1.0\ncomment Tessera {version}{:padding$}\n", "");
    text += &comments::lines(header);
    let _ = writeln!(text, "element vertex {count}");
    let rest = (0..3 * SplatCloud::rest_coefficients(header.sh_degree)).map(|i| format!("f_rest_{i}"));
    let names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"].map(String::from).into_iter();
    let last = ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"].map(String::from);
    names.chain(rest).chain(last).for_each(|name| text += &format!("property float {name}\n"));
    text + "end_header\n"
}

fn fill(row: &mut [u8], cloud: &SplatCloud, i: usize) {
    let coefficients = SplatCloud::rest_coefficients(cloud.sh_degree);
    let (row, _) = row.as_chunks_mut::<4>();
    let (first, rest) = row.split_at_mut(9);
    let (rest, last) = rest.split_at_mut(3 * coefficients);
    let put = |row: &mut [[u8; 4]], values: &[f32]| {
        row.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
    };
    put(first, &cloud.means[i]);
    put(&mut first[3..], &[0.0; 3]);
    put(&mut first[6..], &cloud.sh0[i]);
    let (colours, _) = cloud.sh_rest[3 * coefficients * i..3 * coefficients * (i + 1)].as_chunks::<3>();
    for (c, colour) in colours.iter().enumerate() {
        (0..3).for_each(|channel| rest[channel * coefficients + c] = colour[channel].to_le_bytes());
    }
    put(last, &[cloud.opacity_logits[i]]);
    put(&mut last[1..], &cloud.log_scales[i]);
    put(&mut last[4..], &cloud.quats[i]);
}
