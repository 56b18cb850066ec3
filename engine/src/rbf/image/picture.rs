//! A picture of any size: cut into tiles, fitted one after the other, drawn one row of tiles after the other.

use super::config::ImageConfig;
use super::fit::{draw, fit_tile};
use super::{Pixels, TileRect};
use crate::config::Config;
use crate::rbf::file::{Content, RbfFile, RbfWriter};
use crate::rbf::learner::Learner;
use crate::train::available_memory;
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tessera_datasets::format::Existing;
use tessera_datasets::image::{RowReader, write_rows};
use tessera_kernels::device::Device;

/// The part of a picture that is meant, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Of the part.
    pub width: u32,
    /// Of the part.
    pub height: u32,
}

/// How good a fitted picture is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImageReport {
    /// Against the picture, of the file as it is read again; over all channels, where 1 is white.
    pub psnr: f64,
    /// Time of the fit.
    pub seconds: f64,
    /// Numbers that were learned.
    pub parameters: usize,
    /// Floating-point operations of one pixel.
    pub operations: usize,
    /// Length of the file.
    pub bytes: u64,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How many tiles there are.
    pub tiles: usize,
}

/// How far a fit has come.
#[derive(Clone, Copy, Debug)]
pub struct ImageProgress {
    /// Steps that are done, of all tiles.
    pub step: u64,
    /// Of so many.
    pub steps: u64,
    /// Of recent steps.
    pub psnr: f64,
}

/// Fits the picture at `input` on the CPU and writes it to `output`.
///
/// # Errors
/// When the picture cannot be read, has only one pixel, or the file cannot be written; when `stop` becomes true. Nothing is left behind then.
pub fn fit(
    input: &Path,
    crop: Option<Crop>,
    config: &ImageConfig,
    output: (&Path, Existing),
    stop: &AtomicBool,
    progress: &mut dyn FnMut(ImageProgress),
) -> Result<ImageReport> {
    fit_on(None, (input, crop), config, output, stop, progress)
}

/// As [`fit`], on a device if one is given.
///
/// # Errors
/// As [`fit`], and when the device fails or cannot hold a tile.
pub fn fit_on(
    device: Option<&Device>,
    (input, crop): (&Path, Option<Crop>),
    config: &ImageConfig,
    (output, existing): (&Path, Existing),
    stop: &AtomicBool,
    progress: &mut dyn FnMut(ImageProgress),
) -> Result<ImageReport> {
    config.check()?;
    let start = Instant::now();
    let mut reader = RowReader::open(input)?;
    let [width, height] = reader.size();
    let crop = checked(crop.unwrap_or(Crop { x: 0, y: 0, width, height }), [width, height], input)?;
    let channels = reader.channels();
    let tiles = tiles(crop, config.tile);
    check_memory(config, &tiles, &reader)?;
    let mut writer = RbfWriter::new(output, existing)?;
    reader.skip(crop.y);
    let mut band: Vec<f32> = Vec::new();
    let (mut squared_error, mut parameters, mut operations) = (0.0, 0, 0);
    for (number, tile) in tiles.iter().enumerate() {
        if tile.x == 0 {
            band = reader.rows(tile.height)?;
        }
        let pixels = cut(&band, width as usize, channels, crop, tile);
        let budget = config.budget(pixels.count(), pixels.side);
        let steps = config.steps * tiles.len() as u64;
        let mut told = |step: u64, error: f64| {
            let step = number as u64 * config.steps + step;
            progress(ImageProgress { step, steps, psnr: psnr(error) });
        };
        let field = fit_tile(device, &pixels, config, stop, &mut told)?;
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("nothing was written".to_owned()));
        }
        let field = writer.add(&field, &budget.encoding, config.bits)?;
        let drawn = draw(&field, [tile.width, tile.height], tile.side, channels);
        squared_error += drawn.iter().zip(&pixels.values).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        parameters += field.learned();
        operations = field.operations();
    }
    let count = tiles.len();
    let (width, height) = (crop.width, crop.height);
    writer.finish(Content::Image { width, height, channels, tiles }, config.to_toml())?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(output).map_err(|e| Error::read(output, &e))?.len();
    let psnr = psnr(squared_error / (f64::from(width) * f64::from(height) * channels as f64));
    Ok(ImageReport { psnr, seconds, parameters, operations, bytes, width, height, tiles: count })
}

/// Refuses what the machine cannot hold: the first tile is the largest.
fn check_memory(config: &ImageConfig, tiles: &[TileRect], reader: &RowReader) -> Result<()> {
    let Some(tile) = tiles.first() else { return Ok(()) };
    let pixels = tile.width as usize * tile.height as usize;
    let budget = config.budget(pixels, tile.side);
    let of_kernels = budget.kernels * (config.kernel_features + 5);
    let values_per_row = reader.size()[0] as usize * reader.channels();
    let band = (4 * values_per_row * tile.height as usize) as u64;
    let rows = format!("{} rows of the picture, and a tile", tile.height);
    let plan = Learner::plan(&budget.encoding, of_kernels, config.batch)
        .with("pixels", band + 16 * pixels as u64, rows)
        .with("decoding", reader.held_bytes(), "what must be decoded at once; PNG, EXR and TIFF are read row by row");
    if let Some(warning) = plan.check(available_memory(), "lower --set tile, numbers_per_pixel or batch")? {
        tracing::warn!("{warning}");
    }
    Ok(())
}

fn psnr(mean_squared_error: f64) -> f64 {
    -10.0 * mean_squared_error.max(1e-20).log10()
}

/// The crop, if it lies in the picture and is worth a fit.
fn checked(crop: Crop, [width, height]: [u32; 2], input: &Path) -> Result<Crop> {
    let inside =
        |start: u32, length: u32, limit: u32| length > 0 && start.checked_add(length).is_some_and(|end| end <= limit);
    if !inside(crop.x, crop.width, width) || !inside(crop.y, crop.height, height) {
        let Crop { x, y, width: w, height: h } = crop;
        return Err(Error::file(
            input,
            format!("has {width}x{height} pixels, so it has no part of {w}x{h} at ({x}, {y})"),
            "choose a part that lies inside",
        ));
    }
    if u64::from(crop.width) * u64::from(crop.height) < 16 {
        let reason = format!("has {}x{} pixels: there is nothing to fit", crop.width, crop.height);
        return Err(Error::file(input, reason, "use a picture of at least 16 pixels"));
    }
    Ok(crop)
}

/// Tiles of nearly equal size, row by row.
fn tiles(crop: Crop, most: u32) -> Vec<TileRect> {
    let (columns, rows) = (crop.width.div_ceil(most), crop.height.div_ceil(most));
    let (width, height) = (crop.width.div_ceil(columns), crop.height.div_ceil(rows));
    let side = width.max(height);
    let mut tiles = Vec::new();
    for y in (0..crop.height).step_by(height as usize) {
        for x in (0..crop.width).step_by(width as usize) {
            tiles.push(TileRect { x, y, width: width.min(crop.width - x), height: height.min(crop.height - y), side });
        }
    }
    tiles
}

/// The pixels of a tile from rows of the whole picture.
fn cut(band: &[f32], width: usize, channels: usize, crop: Crop, tile: &TileRect) -> Pixels {
    let first = (crop.x + tile.x) as usize * channels;
    let count = tile.width as usize * channels;
    let rows = band.chunks_exact(width * channels).flat_map(|row| &row[first..first + count]);
    Pixels { width: tile.width, height: tile.height, channels, side: tile.side, values: rows.copied().collect() }
}

/// Draws a fitted picture into a file, at its own size.
///
/// # Errors
/// When `file` is damaged or holds no picture, or the output cannot be written.
pub fn write_picture(
    file: &mut RbfFile,
    (output, existing): (&Path, Existing),
    sixteen_bits: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let (size, channels, bands) = draw_picture(file, progress)?;
    write_rows(output, size, channels, sixteen_bits, existing, bands)
}

/// The size of a fitted picture, how many channels it has, and its pixels, `[height, width, channels]`, in bands of whole rows from the top.
/// `progress` is told how many tiles of how many are drawn.
///
/// # Errors
/// When `file` holds no picture; bands end with an error when it is damaged.
pub fn draw_picture<'a>(
    file: &'a mut RbfFile,
    progress: &'a mut dyn FnMut(usize, usize),
) -> Result<([u32; 2], usize, impl Iterator<Item = Result<Vec<f32>>> + 'a)> {
    let Content::Image { width, height, channels, tiles } = file.index.content.clone() else {
        return Err(Error::setting("the file holds a shape, no picture; `tessera mesh` makes a mesh of it"));
    };
    let (mut done, count) = (0, tiles.len());
    let bands = rows_of(&tiles).into_iter().map(move |row| {
        let mut band = vec![0.0; width as usize * row[0].1.height as usize * channels];
        for (number, tile) in row {
            let field = file.field(number)?;
            let drawn = draw(&field, [tile.width, tile.height], tile.side, channels);
            let own = tile.width as usize * channels;
            for (row, drawn) in band.chunks_exact_mut(width as usize * channels).zip(drawn.chunks_exact(own)) {
                row[tile.x as usize * channels..][..own].copy_from_slice(drawn);
            }
            done += 1;
            progress(done, count);
        }
        Ok(band)
    });
    Ok(([width, height], channels, bands))
}

/// Tiles with their numbers, row by row.
fn rows_of(tiles: &[TileRect]) -> Vec<Vec<(usize, TileRect)>> {
    let mut rows: Vec<Vec<(usize, TileRect)>> = Vec::new();
    for (number, tile) in tiles.iter().enumerate() {
        match rows.last_mut() {
            Some(row) if tile.x > 0 => row.push((number, *tile)),
            _ => rows.push(vec![(number, *tile)]),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_picture_once() {
        for (width, height, most) in [(512, 512, 1024), (1025, 700, 1024), (3000, 2001, 512), (1, 40, 64)] {
            let crop = Crop { x: 5, y: 7, width, height };
            let tiles = tiles(crop, most);
            let area: u64 = tiles.iter().map(|t| u64::from(t.width) * u64::from(t.height)).sum();
            assert_eq!(area, u64::from(width) * u64::from(height));
            assert!(tiles.iter().all(|t| t.x + t.width <= width && t.y + t.height <= height && t.side <= most));
        }
    }
}
