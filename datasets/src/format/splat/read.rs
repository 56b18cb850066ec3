//! Reading `.splat`, chunk by chunk.

use super::ROW;
use crate::camera::Similarity;
use crate::format::input::{Input, bad_splat};
use crate::format::quantise::{byte_logits, log_of_scale, sh0_of_colour};
use crate::format::rows::RowSource;
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};

/// Opens a `.splat` file.
///
/// # Errors
/// When its length is that of no whole number of splats.
pub(in crate::format) fn open_splats(input: Input) -> Result<Box<dyn SplatSource>> {
    let length = input.length();
    if !length.is_multiple_of(ROW as u64) {
        let reason = format!("has {length} bytes, and {ROW} for every splat should make a multiple of {ROW}");
        return Err(DataError::new(input.path(), reason).remedy("copy it again from its source"));
    }
    let header = SplatHeader {
        count: length / ROW as u64,
        sh_degree: 0,
        antialiased: false,
        scene_from_world: Similarity::identity(),
    };
    let colours = std::array::from_fn(|byte| sh0_of_colour(byte as f32 / 255.0));
    Ok(Box::new(Source { input, header, next: 0, logits: byte_logits(), colours, bytes: Vec::new(), skipped: None }))
}

struct Source {
    input: Input,
    header: SplatHeader,
    next: u64,
    logits: [f32; 256],
    colours: [f32; 256],
    bytes: Vec<u8>,
    /// Splats that were left out, where that is allowed.
    skipped: Option<u64>,
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
        chunk.clear();
        let n = (self.header.count - self.next).min(CHUNK_SPLATS as u64);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(n as usize * ROW, 0);
        self.input.fill(&mut bytes)?;
        for (i, row) in bytes.as_chunks::<ROW>().0.iter().enumerate() {
            match (self.append(row, chunk), &mut self.skipped) {
                (Ok(()), _) => {}
                (Err(_), Some(skipped)) => *skipped += 1,
                (Err(what), None) => return Err(bad_splat(self.input.path(), self.next + i as u64, what)),
            }
        }
        self.bytes = bytes;
        self.next += n;
        Ok(n)
    }
}

impl Source {
    fn append(&self, row: &[u8; ROW], chunk: &mut SplatCloud) -> std::result::Result<(), &'static str> {
        let float = |i: usize| f32::from_le_bytes([row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3]]);
        let mean = [float(0), float(1), float(2)];
        let scales = [float(3), float(4), float(5)];
        if !mean.iter().all(|v| v.is_finite()) {
            return Err("a position that is not finite");
        }
        if !scales.iter().all(|&s| s >= 0.0 && s.is_finite()) {
            return Err("a scale that is negative or not finite");
        }
        let quat = [28, 29, 30, 31].map(|at| f32::from(row[at]) - 128.0);
        let length = quat.iter().map(|c| c * c).sum::<f32>().sqrt();
        chunk.means.push(mean);
        chunk.log_scales.push(scales.map(log_of_scale));
        chunk.quats.push(if length > 0.0 { quat.map(|c| c / length) } else { [1.0, 0.0, 0.0, 0.0] });
        chunk.opacity_logits.push(self.logits[usize::from(row[27])]);
        chunk.sh0.push([24, 25, 26].map(|at| self.colours[usize::from(row[at])]));
        Ok(())
    }
}
