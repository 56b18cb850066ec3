//! OpenEXR: colours in linear light, or one channel of depth.

use super::{Image8, MAX_PIXELS, srgb_from_linear};
use crate::{DataError, Result};
use ::exr::image::{FlatSamples, read::read};
use ::exr::meta::MetaData;
use ::exr::prelude::{ReadChannels, ReadLayers};
use std::io::Cursor;
use std::path::Path;

/// The full-resolution channels of the first flat layer.
struct Planes {
    width: u32,
    height: u32,
    channels: Vec<(String, Vec<f32>)>,
}

impl Planes {
    /// Takes out the first channel that has one of these names, whatever layer prefix it carries.
    fn take(&mut self, names: &[&str]) -> Option<Vec<f32>> {
        let index = self.channels.iter().position(|channel| is_named(&channel.0, names))?;
        Some(self.channels.swap_remove(index).1)
    }
}

/// Whether a channel has one of these names, whatever layer prefix it carries.
pub(super) fn is_named(channel: &str, names: &[&str]) -> bool {
    let own = channel.rsplit('.').next().unwrap_or(channel);
    names.iter().any(|name| own.eq_ignore_ascii_case(name))
}

/// The size from the header.
pub(super) fn dimensions(bytes: &[u8], path: &Path) -> Result<(u32, u32)> {
    let meta = MetaData::read_from_buffered(Cursor::new(bytes), false).map_err(|e| unreadable(path, &e))?;
    // Parts are read whole before one is chosen, so all of them count towards the limit.
    let samples = |header: &::exr::meta::header::Header| {
        (header.layer_size.area() as u64).saturating_mul(header.channels.list.len().max(1) as u64)
    };
    let total = meta.headers.iter().map(samples).fold(0, u64::saturating_add);
    let first = meta.headers.iter().find(|h| !h.deep).ok_or_else(|| {
        DataError::new(path, "holds only deep data, which has no single colour per pixel").remedy("flatten it")
    })?;
    if first.layer_size.area() as u64 > MAX_PIXELS || total > 4 * MAX_PIXELS {
        let (width, height) = (first.layer_size.width() as u64, first.layer_size.height() as u64);
        return Err(super::decode::too_large(path, width, height, MAX_PIXELS));
    }
    Ok((first.layer_size.width() as u32, first.layer_size.height() as u32))
}

fn read_planes(bytes: &[u8], path: &Path) -> Result<Planes> {
    let (width, height) = dimensions(bytes, path)?;
    let image = read()
        .no_deep_data()
        .largest_resolution_level()
        .all_channels()
        .first_valid_layer()
        .all_attributes()
        .non_parallel()
        .from_buffered(Cursor::new(bytes))
        .map_err(|e| unreadable(path, &e))?;
    let mut channels = Vec::new();
    for channel in image.layer_data.channel_data.list {
        let values: Vec<f32> = match channel.sample_data {
            FlatSamples::F16(values) => values.into_iter().map(|v| v.to_f32()).collect(),
            FlatSamples::F32(values) => values,
            FlatSamples::U32(values) => values.into_iter().map(|v| v as f32).collect(),
        };
        if values.len() as u64 == u64::from(width) * u64::from(height) {
            channels.push((channel.name.to_string(), values));
        }
    }
    Ok(Planes { width, height, channels })
}

/// Red, green and blue; all of them grey when there is one channel.
fn take_colours(planes: &mut Planes, path: &Path) -> Result<[Vec<f32>; 3]> {
    Ok(match (planes.take(&["R"]), planes.take(&["G"]), planes.take(&["B"])) {
        (Some(r), Some(g), Some(b)) => [r, g, b],
        (r, _, _) => {
            let grey = planes.take(&["Y", "L"]).or(r).or_else(|| planes.channels.pop().map(|c| c.1));
            let grey = grey.ok_or_else(|| {
                DataError::new(path, "has no colour channels at full resolution").remedy("save it with R, G and B")
            })?;
            [grey.clone(), grey.clone(), grey]
        }
    })
}

/// Colours, encoded for sRGB, clamped to [0, 1]. EXR keeps colours premultiplied; here they become straight.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Image8> {
    let mut planes = read_planes(bytes, path)?;
    let rgb = take_colours(&mut planes, path)?;
    let alpha = planes.take(&["A"]);
    let mut image = Image8::new(planes.width, planes.height, if alpha.is_some() { 4 } else { 3 });
    for (i, pixel) in image.data.chunks_exact_mut(usize::from(image.channels)).enumerate() {
        let a = alpha.as_ref().map_or(1.0, |a| a[i].clamp(0.0, 1.0));
        let unpremultiply = if a > 0.0 { 1.0 / a } else { 0.0 };
        for (value, plane) in pixel.iter_mut().zip(&rgb) {
            *value = (255.0 * srgb_from_linear(plane[i] * unpremultiply) + 0.5) as u8;
        }
        if let Some(last) = pixel.get_mut(3) {
            *last = (255.0 * a + 0.5) as u8;
        }
    }
    Ok(image)
}

/// The values of the depth channel: `Z`, `Y`, `depth`, or the first.
pub(super) fn decode_depth(bytes: &[u8], path: &Path) -> Result<(u32, u32, Vec<f32>)> {
    let mut planes = read_planes(bytes, path)?;
    let depth = planes.take(&["Z", "depth", "Y", "V", "R"]).or_else(|| planes.channels.pop().map(|c| c.1)).ok_or_else(
        || DataError::new(path, "has no channel at full resolution").remedy("save depth as the channel Z"),
    )?;
    Ok((planes.width, planes.height, depth))
}

pub(super) fn unreadable(path: &Path, error: &::exr::error::Error) -> DataError {
    match error {
        ::exr::error::Error::NotSupported(what) => {
            DataError::new(path, format!("is an EXR image of a kind that cannot be read ({what})"))
                .remedy("save it with ZIP or PIZ compression")
        }
        other => DataError::new(path, format!("is a damaged EXR image ({other})")).remedy("export it again"),
    }
}
