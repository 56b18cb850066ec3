//! Reading SOG: the images are unpacked to a few bytes per splat, which become splats chunk by chunk.

use super::meta::{Meta, PaletteMeta, Table};
use super::pixels::{Encoded, Pixels, bad_pixel};
use super::{MAX_PALETTE, META, from_log_domain};
use crate::files::Files;
use crate::format::quantise::{component_from_unorm, from_smallest_three};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;

/// The largest `meta.json`: three codebooks have some 20 KB.
const MAX_META_BYTES: u64 = 1 << 20;
/// The most splats in one scene, a guard like that of the settings for training.
const MAX_SPLATS: usize = 1 << 28;
/// Scenes up to this size may be compressed without limit, larger ones to [`MAX_SPLATS_PER_BYTE`] only. Constant images
/// shrink to nothing, so that a small file could ask for any amount of memory; real scenes have 5 to 25 bytes per splat.
const UNSUSPICIOUS_SPLATS: usize = 1 << 20;
const MAX_SPLATS_PER_BYTE: usize = 64;

/// Opens a bundle (`.sog`), a folder with `meta.json`, or that file itself.
///
/// # Errors
/// When files are missing or damaged, or contradict each other.
pub(in crate::format) fn open_splats(path: &Path) -> Result<Box<dyn SplatSource>> {
    Ok(Box::new(open(path)?))
}

/// [`open_splats`] with its type.
pub(in crate::format) fn open(path: &Path) -> Result<SogSource> {
    let is_json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    if is_json && !path.is_dir() {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        return SogSource::open(&Files::open(folder)?, &name);
    }
    let files = Files::open(path).map_err(|e| e.remedy("name a SOG scene, or export it again"))?;
    if !files.exists(META) {
        return Err(DataError::new(path, "holds no meta.json, so it is no SOG scene")
            .remedy("name a SOG scene, or export it again"));
    }
    SogSource::open(&files, META)
}

/// A SOG scene in memory, as its bytes.
pub(in crate::format) struct SogSource {
    header: SplatHeader,
    meta: Meta,
    /// None when there are no splats.
    layers: Option<Layers>,
    next: usize,
}

/// The images that have a pixel per splat, and the palette.
struct Layers {
    means_low: Pixels,
    means_high: Pixels,
    quats: Pixels,
    scales: Pixels,
    sh0: Pixels,
    harmonics: Option<(Pixels, Palette)>,
}

/// Sets of coefficients, `[entries, coefficients, 3]` flattened.
struct Palette {
    degree: u8,
    values: Vec<f32>,
}

impl SogSource {
    /// Reads the scene that `meta_name` describes.
    fn open(files: &Files, meta_name: &str) -> Result<Self> {
        let path = files.display_path(meta_name);
        let json = files.read_prefix(meta_name, MAX_META_BYTES + 1)?;
        if json.len() as u64 > MAX_META_BYTES {
            return Err(
                DataError::new(path, "is larger than a SOG scene's meta.json can be").remedy("export the scene again")
            );
        }
        let meta = Meta::parse(&json, &path)?;
        if meta.count > MAX_SPLATS {
            let reason = format!("claims {} splats, more than images can hold", meta.count);
            return Err(DataError::new(path, reason).remedy("export the scene again"));
        }
        let layers = (meta.count > 0).then(|| Layers::read(files, &meta, &path)).transpose()?;
        let harmonics = layers.as_ref().and_then(|layers| layers.harmonics.as_ref());
        let header = SplatHeader {
            count: meta.count as u64,
            sh_degree: harmonics.map_or(0, |(_, palette)| palette.degree),
            antialiased: meta.antialiased,
            scene_from_world: meta.scene_from_world,
        };
        Ok(Self { header, meta, layers, next: 0 })
    }

    /// Replaces what is in `chunk` by the splats with these indices, of which there are as many as the header says.
    ///
    /// # Errors
    /// When a pixel of one of them refers to something that is not there.
    pub(in crate::format) fn decode(&self, range: Range<usize>, chunk: &mut SplatCloud) -> Result<()> {
        chunk.clear();
        let Some(layers) = &self.layers else { return Ok(()) };
        let meta = &self.meta;
        let steps: [f64; 3] = std::array::from_fn(|axis| (meta.maxs[axis] - meta.mins[axis]) / 65_535.0);
        let means = layers.means_low.rgb(range.clone()).zip(layers.means_high.rgb(range.clone()));
        chunk.means.extend(means.map(|(low, high)| {
            [0, 1, 2].map(|axis| {
                let code = u16::from_le_bytes([low[axis], high[axis]]);
                let position = from_log_domain(meta.mins[axis] + steps[axis] * f64::from(code));
                // The range may end where `f32` does, and rounding may step over it.
                (position as f32).clamp(f32::MIN, f32::MAX)
            })
        }));
        let component: Table = std::array::from_fn(|byte| component_from_unorm(byte as u32, 8));
        for (splat, [a, b, c, kind]) in range.clone().zip(layers.quats.rgba(range.clone())) {
            let Some(largest) = kind.checked_sub(252) else {
                let what = format!("has alpha {kind} where 252 to 255 says which component is largest,");
                return Err(bad_pixel(&layers.quats.path, splat, &what));
            };
            let rest = [a, b, c].map(|byte| component[usize::from(byte)]);
            chunk.quats.push(from_smallest_three(usize::from(largest), rest));
        }
        chunk.log_scales.extend(layers.scales.rgb(range.clone()).map(|pixel| look_up(&meta.scales, pixel)));
        for [r, g, b, a] in layers.sh0.rgba(range.clone()) {
            chunk.sh0.push(look_up(&meta.sh0, [r, g, b]));
            chunk.opacity_logits.push(meta.opacity[usize::from(a)]);
        }
        for (values, image) in [(&chunk.log_scales, &layers.scales), (&chunk.sh0, &layers.sh0)] {
            // A NaN comes from a codebook that has no such entry.
            if let Some(at) = values.iter().position(|v| v.iter().any(|v| v.is_nan())) {
                return Err(bad_pixel(&image.path, range.start + at, "refers to a codebook entry that is not there"));
            }
        }
        match &layers.harmonics {
            Some((labels, palette)) => palette.look_up(labels, range, &mut chunk.sh_rest),
            None => Ok(()),
        }
    }
}

impl SplatSource for SogSource {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let end = self.meta.count.min(self.next + CHUNK_SPLATS);
        self.decode(self.next..end, chunk)?;
        self.next = end;
        Ok(!chunk.is_empty())
    }
}

fn look_up(tables: &[Table; 3], pixel: [u8; 3]) -> [f32; 3] {
    [0, 1, 2].map(|channel| tables[channel][usize::from(pixel[channel])])
}

impl Layers {
    fn read(files: &Files, meta: &Meta, path: &Path) -> Result<Self> {
        // Writers round the sides up, some to powers of two.
        let (least, most) = (meta.count as u64, 4 * meta.count as u64 + 65_536);
        let [low, high] = meta.means_files.each_ref();
        let mut names = vec![low, high, &meta.quats_file, &meta.scales_file, &meta.sh0_file];
        names.extend(meta.palette.as_ref().map(|palette| &palette.labels_file));
        let encoded: Vec<_> = names.iter().map(|name| Encoded::read(files, name, most)).collect::<Result<_>>()?;
        let bytes: usize = encoded.iter().map(|image| image.bytes.len()).sum();
        if meta.count > UNSUSPICIOUS_SPLATS && meta.count / MAX_SPLATS_PER_BYTE > bytes {
            let reason = format!("claims {} splats, which {bytes} bytes of images cannot hold", meta.count);
            return Err(DataError::new(path, reason).remedy("export the scene again"));
        }
        let decoded: Vec<_> = encoded.into_par_iter().map(|image| image.decode(least, most)).collect::<Result<_>>()?;
        let mut decoded = decoded.into_iter();
        let mut next = || {
            decoded.next().ok_or_else(|| DataError::new(path, "names too few images").remedy("export the scene again"))
        };
        Ok(Self {
            means_low: next()?,
            means_high: next()?,
            quats: next()?,
            scales: next()?,
            sh0: next()?,
            harmonics: match &meta.palette {
                Some(palette) => Some((next()?, Palette::read(files, palette)?)),
                None => None,
            },
        })
    }
}

impl Palette {
    /// The coefficients of the splats with these indices, to the end of `sh_rest`.
    fn look_up(&self, labels: &Pixels, range: Range<usize>, sh_rest: &mut Vec<f32>) -> Result<()> {
        let values = 3 * SplatCloud::rest_coefficients(self.degree);
        for (splat, [low, high, _]) in range.clone().zip(labels.rgb(range)) {
            let entry = usize::from(u16::from_le_bytes([low, high]));
            let Some(coefficients) = self.values.get(entry * values..(entry + 1) * values) else {
                let what = format!("refers to palette entry {entry}, which is not there,");
                return Err(bad_pixel(&labels.path, splat, &what));
            };
            sh_rest.extend_from_slice(coefficients);
        }
        Ok(())
    }

    fn read(files: &Files, meta: &PaletteMeta) -> Result<Self> {
        let most = (MAX_PALETTE * SplatCloud::rest_coefficients(3)) as u64;
        let pixels = Encoded::read(files, &meta.centroids_file, most)?.decode(1, most)?;
        let (degree, entries) = meta.shape(pixels.width, pixels.height, &pixels.path)?;
        let used = entries * SplatCloud::rest_coefficients(degree);
        let values: Vec<f32> = pixels.rgb(0..used).flatten().map(|byte| meta.table[usize::from(byte)]).collect();
        match values.iter().position(|v| v.is_nan()) {
            None => Ok(Self { degree, values }),
            Some(at) => {
                let entry = at / (3 * SplatCloud::rest_coefficients(degree));
                let reason = format!("refers to a codebook entry that is not there at palette entry {entry}");
                Err(DataError::new(&pixels.path, reason).remedy("export the scene again"))
            }
        }
    }
}
