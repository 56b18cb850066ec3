//! Splats on their way to the leaves of a tree. A scene comes in any order and may be larger than memory: its splats are kept in
//! a temporary file as they come, and then dealt out to a second one where those of a leaf lie together. In memory are only
//! their means.

use crate::format::stream::SplatHeader;
use crate::scene::SplatCloud;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What all leaves' buffers hold together while splats are dealt out.
const DEALT_BYTES: usize = 64 << 20;

/// Splats in the order in which they come.
pub(in crate::format) struct Spill {
    header: SplatHeader,
    file: BufWriter<File>,
    pub means: Vec<[f32; 3]>,
    row: Vec<u8>,
}

/// Splats by leaf.
pub(in crate::format) struct Dealt {
    header: SplatHeader,
    file: Mutex<File>,
}

/// Bytes of a splat: all numbers as they are.
fn row_bytes(header: &SplatHeader) -> usize {
    4 * (14 + 3 * SplatCloud::rest_coefficients(header.sh_degree))
}

impl Spill {
    /// A temporary file in a folder, which vanishes when it is dropped.
    pub(in crate::format) fn new(folder: &Path, header: &SplatHeader) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(folder)?);
        Ok(Self { header: header.clone(), file, means: Vec::new(), row: Vec::new() })
    }

    /// Adds splats of the header's degree.
    pub(in crate::format) fn put(&mut self, chunk: &SplatCloud) -> io::Result<()> {
        self.means.extend_from_slice(&chunk.means);
        let rest = 3 * SplatCloud::rest_coefficients(chunk.sh_degree);
        for i in 0..chunk.len() {
            self.row.clear();
            let parts: [&[f32]; 6] = [
                &chunk.means[i],
                &chunk.log_scales[i],
                &chunk.quats[i],
                &[chunk.opacity_logits[i]],
                &chunk.sh0[i],
                &chunk.sh_rest[i * rest..(i + 1) * rest],
            ];
            parts.iter().for_each(|part| self.row.extend_from_slice(bytemuck::cast_slice(part)));
            self.file.write_all(&self.row)?;
        }
        Ok(())
    }

    /// Deals the splats out to leaves, which take these ranges of rows; `leaf_of` is by splat.
    pub(in crate::format) fn deal(self, folder: &Path, leaf_of: &[u32], leaves: &[Range<usize>]) -> io::Result<Dealt> {
        let bytes = row_bytes(&self.header);
        let mut source = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        source.seek(SeekFrom::Start(0))?;
        let mut source = BufReader::with_capacity(1 << 20, source);
        let mut target = tempfile::tempfile_in(folder)?;
        let capacity = (DEALT_BYTES / leaves.len().max(1)).max(bytes);
        let mut buffers = vec![Vec::new(); leaves.len()];
        let mut next: Vec<u64> = leaves.iter().map(|rows| (rows.start * bytes) as u64).collect();
        let mut flush = |leaf: usize, buffer: &mut Vec<u8>| {
            target.seek(SeekFrom::Start(next[leaf]))?;
            target.write_all(buffer)?;
            next[leaf] += buffer.len() as u64;
            buffer.clear();
            io::Result::Ok(())
        };
        let mut row = vec![0; bytes];
        for &leaf in leaf_of {
            source.read_exact(&mut row)?;
            let buffer = &mut buffers[leaf as usize];
            if buffer.len() + bytes > capacity {
                flush(leaf as usize, buffer)?;
            }
            buffer.extend_from_slice(&row);
        }
        for (leaf, buffer) in buffers.iter_mut().enumerate() {
            flush(leaf, buffer)?;
        }
        Ok(Dealt { header: self.header, file: Mutex::new(target) })
    }

    /// The splats in the order in which they came.
    pub(in crate::format) fn in_order(self) -> io::Result<Dealt> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Dealt { header: self.header, file: Mutex::new(file) })
    }
}

impl Dealt {
    /// The splats in a range of rows.
    pub(in crate::format) fn read(&self, rows: Range<usize>) -> io::Result<SplatCloud> {
        let width = row_bytes(&self.header) / 4;
        let mut values = vec![0f32; width * rows.len()];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start((rows.start * width * 4) as u64))?;
            file.read_exact(bytemuck::cast_slice_mut(&mut values))?;
        }
        let mut cloud = self.header.empty_cloud(rows.len());
        for row in values.chunks_exact(width) {
            cloud.means.push([row[0], row[1], row[2]]);
            cloud.log_scales.push([row[3], row[4], row[5]]);
            cloud.quats.push([row[6], row[7], row[8], row[9]]);
            cloud.opacity_logits.push(row[10]);
            cloud.sh0.push([row[11], row[12], row[13]]);
            cloud.sh_rest.extend_from_slice(&row[14..]);
        }
        Ok(cloud)
    }
}
