//! PNG, row by row.

use super::{Opened, Source, damaged, unreadable};
use crate::Result;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

struct PngRows {
    path: PathBuf,
    reader: png::Reader<BufReader<File>>,
    /// The row that the decoder comes to next.
    next: u32,
}

/// `None` for interlaced files, which have no rows before their end.
pub(super) fn open(path: &Path) -> Result<Option<Opened>> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND);
    let reader = decoder.read_info().map_err(|e| damaged(path, "PNG", &e))?;
    if reader.info().interlaced {
        return Ok(None);
    }
    let size = [reader.info().width, reader.info().height];
    let channels = match reader.output_color_type().0 {
        png::ColorType::Grayscale => 1,
        png::ColorType::Rgb | png::ColorType::Indexed => 3,
        png::ColorType::GrayscaleAlpha | png::ColorType::Rgba => 4,
    };
    Ok(Some(Opened { size, channels, source: Box::new(PngRows { path: path.to_owned(), reader, next: 0 }) }))
}

impl Source for PngRows {
    fn append(&mut self, first: u32, count: u32, out: &mut Vec<f32>) -> Result<()> {
        for row in self.next..first + count {
            let wanted = row >= first;
            append_row(&mut self.reader, wanted.then_some(&mut *out)).map_err(|e| damaged(&self.path, "PNG", &e))?;
        }
        self.next = first + count;
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        0
    }
}

fn append_row(
    reader: &mut png::Reader<BufReader<File>>,
    out: Option<&mut Vec<f32>>,
) -> std::result::Result<(), png::DecodingError> {
    let (colour, depth) = reader.output_color_type();
    let (Some(row), Some(out)) = (reader.next_row()?, out) else { return Ok(()) };
    let values: Vec<f32> = match depth {
        png::BitDepth::Sixteen => {
            row.data().as_chunks::<2>().0.iter().map(|b| f32::from(u16::from_be_bytes(*b)) / 65_535.0).collect()
        }
        _ => row.data().iter().map(|b| f32::from(*b) / 255.0).collect(),
    };
    match colour {
        png::ColorType::GrayscaleAlpha => {
            values.as_chunks::<2>().0.iter().for_each(|[grey, alpha]| out.extend([*grey, *grey, *grey, *alpha]));
        }
        _ => out.extend(values),
    }
    Ok(())
}
