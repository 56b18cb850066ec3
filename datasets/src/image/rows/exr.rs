//! EXR, block by block: linear light with premultiplied colours, which become sRGB-encoded and straight.

use super::{Opened, Source, check_width, encode_colours, unreadable};
use crate::image::exr::{is_named, unreadable as undecodable};
use crate::{DataError, Result};
use ::exr::block::reader::ChunksReader;
use ::exr::block::{BlockIndex, UncompressedBlock};
use ::exr::meta::attribute::{ChannelDescription, SampleType};
use ::exr::meta::header::Header;
use half::f16;
use rayon::prelude::*;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Rows that are looked at together to find out whether a picture is grey or opaque.
const ROWS_OF_A_LOOK: u32 = 64;

struct ExrRows {
    path: PathBuf,
    /// Which part of the file is shown.
    layer: usize,
    size: [u32; 2],
    /// The file's channels that are meant: red, green, blue and perhaps alpha; or one of grey.
    wanted: Vec<usize>,
}

pub(super) fn open(path: &Path) -> Result<Opened> {
    let reader = ::exr::block::read(file(path)?, false).map_err(|e| undecodable(path, &e))?;
    let shown = reader.headers().iter().enumerate().find(|(_, header)| !header.deep);
    let (layer, header) = shown.ok_or_else(|| {
        DataError::new(path, "holds only deep data, which has no single colour per pixel").remedy("flatten it")
    })?;
    let wanted = wanted_channels(header, path)?;
    let (width, height) = (header.layer_size.width(), header.layer_size.height());
    // The format keeps both in 31 bits.
    let (width, height) = (width as u32, height as u32);
    check_width(width, path)?;
    let mut rows = ExrRows { path: path.to_owned(), layer, size: [width, height], wanted };
    rows.leave_out_what_says_nothing()?;
    Ok(Opened { size: rows.size, channels: rows.wanted.len(), source: Box::new(rows) })
}

/// Which channels hold the colours and alpha.
fn wanted_channels(header: &Header, path: &Path) -> Result<Vec<usize>> {
    let channels = &header.channels.list;
    if channels.iter().any(|c| (c.sampling.x(), c.sampling.y()) != (1, 1)) {
        let reason = "has channels that are stored at a lower resolution, which cannot be read";
        return Err(DataError::new(path, reason).remedy("save it with R, G and B"));
    }
    let find = |names: &[&str]| channels.iter().position(|c: &ChannelDescription| is_named(&c.name.to_string(), names));
    let mut wanted = match (find(&["R"]), find(&["G"]), find(&["B"])) {
        (Some(r), Some(g), Some(b)) => vec![r, g, b],
        (r, _, _) => {
            let grey = find(&["Y", "L"]).or(r).or_else(|| channels.len().checked_sub(1));
            vec![grey.ok_or_else(|| DataError::new(path, "has no channels").remedy("save it with R, G and B"))?]
        }
    };
    if let Some(alpha) = find(&["A"]).filter(|a| !wanted.contains(a)) {
        // Grey with alpha is given as colours with alpha.
        wanted = if wanted.len() == 1 { vec![wanted[0]; 3] } else { wanted };
        wanted.push(alpha);
    }
    Ok(wanted)
}

fn file(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).map_err(|e| unreadable(path, &e))?))
}

impl ExrRows {
    /// Drops alpha that is 1 everywhere, and two of three equal channels.
    fn leave_out_what_says_nothing(&mut self) -> Result<()> {
        let (mut is_opaque, mut is_grey) = (self.wanted.len() == 4, self.wanted.len() >= 3);
        for first in (0..self.size[1]).step_by(ROWS_OF_A_LOOK as usize) {
            if !is_opaque && (!is_grey || self.wanted.len() == 4) {
                break;
            }
            let rows = self.linear(first, ROWS_OF_A_LOOK.min(self.size[1] - first))?;
            for pixel in rows.chunks_exact(self.wanted.len()) {
                is_opaque &= pixel.get(3).is_some_and(|a| *a >= 1.0);
                is_grey &= pixel[0] == pixel[1] && pixel[1] == pixel[2];
            }
        }
        if is_opaque {
            self.wanted.truncate(3);
        }
        if is_grey && self.wanted.len() == 3 {
            self.wanted.truncate(1);
        }
        Ok(())
    }

    /// Rows as the file has them, `[count, width, wanted]`.
    fn linear(&self, first: u32, count: u32) -> Result<Vec<f32>> {
        let failed = |e: &::exr::error::Error| undecodable(&self.path, e);
        let rows = first as usize..(first + count) as usize;
        let is_wanted = |block: &BlockIndex| {
            let (top, bottom) = (block.pixel_position.y(), block.pixel_position.y() + block.pixel_size.height());
            let is_whole_size = (block.level.x(), block.level.y()) == (0, 0);
            block.layer == self.layer && is_whole_size && top < rows.end && bottom > rows.start
        };
        let reader = ::exr::block::read(file(&self.path)?, false).map_err(|e| failed(&e))?;
        let chunks = reader.filter_chunks(false, |_, _, block| is_wanted(&block)).map_err(|e| failed(&e))?;
        let meta = chunks.meta_data().clone();
        let chunks = chunks.collect::<::exr::error::Result<Vec<_>>>().map_err(|e| failed(&e))?;
        let blocks = chunks.into_par_iter().map(|chunk| UncompressedBlock::decompress_chunk(chunk, &meta, false));
        let blocks = blocks.collect::<::exr::error::Result<Vec<_>>>().map_err(|e| failed(&e))?;
        let header = meta.headers.get(self.layer).ok_or_else(|| self.changed())?;
        let mut out = vec![0.0; count as usize * self.size[0] as usize * self.wanted.len()];
        let filled: usize = blocks.iter().map(|block| self.copy(block, header, &rows, &mut out)).sum();
        if filled == out.len() { Ok(out) } else { Err(self.changed()) }
    }

    /// Copies what a block has of some rows; returns how many numbers those were.
    fn copy(
        &self,
        block: &UncompressedBlock,
        header: &Header,
        rows: &std::ops::Range<usize>,
        out: &mut [f32],
    ) -> usize {
        let (width, stride) = (self.size[0] as usize, self.wanted.len());
        let mut filled = 0;
        for line in block.lines(&header.channels) {
            let (left, y) = (line.location.position.x(), line.location.position.y());
            if !rows.contains(&y) || left + line.location.sample_count > width {
                continue;
            }
            let start = ((y - rows.start) * width + left) * stride;
            let kind = header.channels.list[line.location.channel].sample_type;
            for (place, _) in self.wanted.iter().enumerate().filter(|(_, c)| **c == line.location.channel) {
                let own = out[start + place..].iter_mut().step_by(stride);
                filled += line.location.sample_count;
                match kind {
                    SampleType::F16 => {
                        let values = line.value.as_chunks::<2>().0;
                        own.zip(values).for_each(|(own, v)| *own = f16::from_ne_bytes(*v).to_f32());
                    }
                    SampleType::F32 => {
                        own.zip(line.value.as_chunks::<4>().0).for_each(|(own, v)| *own = f32::from_ne_bytes(*v));
                    }
                    SampleType::U32 => {
                        own.zip(line.value.as_chunks::<4>().0)
                            .for_each(|(own, v)| *own = u32::from_ne_bytes(*v) as f32);
                    }
                }
            }
        }
        filled
    }

    fn changed(&self) -> DataError {
        DataError::new(&self.path, "lacks some of its pixels").remedy("copy it again from its source")
    }
}

impl Source for ExrRows {
    fn append(&mut self, first: u32, count: u32, out: &mut Vec<f32>) -> Result<()> {
        let mut rows = self.linear(first, count)?;
        if let 4 = self.wanted.len() {
            for [r, g, b, a] in rows.as_chunks_mut::<4>().0 {
                *a = a.clamp(0.0, 1.0);
                let straight = if *a > 0.0 { 1.0 / *a } else { 0.0 };
                [r, g, b].into_iter().for_each(|v| *v *= straight);
            }
        }
        encode_colours(&mut rows, self.wanted.len());
        out.append(&mut rows);
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        0
    }
}
