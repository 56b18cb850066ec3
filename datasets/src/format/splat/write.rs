//! Writing `.splat`: rows are kept until all have come, because their order depends on all of them.

use super::ROW;
use crate::Result;
use crate::format::quantise::{colour_of_sh0, sigmoid, unit_quat, unorm};
use crate::format::stream::{SplatHeader, SplatSink, ValueRanges, check_chunk};
use crate::format::{AtomicFile, WriteOptions};
use crate::scene::{SplatCloud, Y0};
use rayon::prelude::*;

/// Begins a `.splat` file.
pub(in crate::format) fn create_splats(
    file: AtomicFile,
    header: &SplatHeader,
    WriteOptions { keep_order, .. }: &WriteOptions,
) -> Box<dyn SplatSink> {
    let (sh_degree, keep_order) = (header.sh_degree, *keep_order);
    Box::new(Writer { file, sh_degree, keep_order, rows: Vec::new(), weights: Vec::new() })
}

struct Writer {
    file: AtomicFile,
    sh_degree: u8,
    keep_order: bool,
    rows: Vec<[u8; ROW]>,
    /// The logarithm of each splat's volume times its opacity.
    weights: Vec<f32>,
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.sh_degree, self.file.path())?;
        for i in 0..chunk.len() {
            let opacity = sigmoid(chunk.opacity_logits[i]);
            self.rows.push(row(chunk, i, opacity));
            self.weights.push(chunk.log_scales[i].iter().sum::<f32>() + opacity.ln());
        }
        Ok(())
    }

    fn ranges(&self) -> ValueRanges {
        // Colours from 0 to 1, and half a step beyond.
        let most = 0.502 / Y0 as f32;
        ValueRanges { sh0: [-most, most], ..ValueRanges::ALL }
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.keep_order {
            self.file.put(self.rows.as_flattened())?;
        } else {
            let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
            let weight = |i: &u32| self.weights[*i as usize];
            // Stable, so that the file does not depend on the number of threads.
            order.par_sort_by(|a, b| weight(b).total_cmp(&weight(a)));
            for i in order {
                self.file.put(&self.rows[i as usize])?;
            }
        }
        self.file.commit()
    }
}

fn row(chunk: &SplatCloud, i: usize, opacity: f32) -> [u8; ROW] {
    let mut row = [0; ROW];
    let scales = chunk.log_scales[i].map(|s| s.exp().min(f32::MAX));
    let floats = chunk.means[i].into_iter().chain(scales);
    for (bytes, value) in row.chunks_exact_mut(4).zip(floats) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    let [r, g, b] = chunk.sh0[i].map(|c| unorm(colour_of_sh0(c), 8) as u8);
    // Saturates: a component of 1 becomes 255.
    let quat = unit_quat(chunk.quats[i]).map(|c| (128.0 * c + 128.0).round() as u8);
    row[24..28].copy_from_slice(&[r, g, b, unorm(opacity, 8) as u8]);
    row[28..].copy_from_slice(&quat);
    row
}
