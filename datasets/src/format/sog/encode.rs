//! From splats to the files of a SOG scene.

use super::codebook::Codebook;
use super::palette::Palette;
use super::range::Ranges;
use super::{META, PALETTE_ROW, SogVersion, to_log_domain};
use crate::camera::Similarity;
use crate::format::placement;
use crate::format::quantise::{component_to_unorm, sigmoid, smallest_three, unorm};
use crate::scene::{SplatCloud, morton_order};
use image::{ExtendedColorType, ImageEncoder, ImageError, codecs::webp::WebPEncoder};
use rayon::prelude::*;
use serde_json::{Value, json};

/// Logits of opacities in version 1, which has 256 steps for them, go no further: 0.0009 from 0 and from 1.
const MAX_LOGIT: f32 = 7.0;

/// A file of a scene: its name and its content.
pub type SogFile = (&'static str, Vec<u8>);

/// The files of a scene of at least one splat, `meta.json` first: what a bundle or a folder holds. Splats are put in
/// Morton order unless `keep_order` is set. All positions must be finite.
///
/// # Errors
/// When there are more splats than an image has pixels (16,383 squared).
pub fn encode(cloud: &SplatCloud, version: SogVersion, keep_order: bool) -> Result<Vec<SogFile>, ImageError> {
    let order = if keep_order { (0..cloud.len() as u32).collect() } else { morton_order(&cloud.means) };
    encode_in_order(cloud, version, order)
}

/// [`encode`] with splats in an order of the caller's: every index once.
pub(in crate::format) fn encode_in_order(
    cloud: &SplatCloud,
    version: SogVersion,
    order: Vec<u32>,
) -> Result<Vec<SogFile>, ImageError> {
    let scene = Scene { cloud, version, order };
    let (positions, (colours, harmonics)) = rayon::join(
        || rayon::join(|| scene.positions(), || rayon::join(|| scene.rotations(), || scene.scales())),
        || rayon::join(|| scene.colours(), || scene.harmonics()),
    );
    let (positions, (rotations, scales)) = positions;
    let mut meta = json!({
        "asset": {"generator": concat!("Tessera ", env!("CARGO_PKG_VERSION"))},
        "antialias": cloud.antialiased,
    });
    // Version 1 says neither; its layers have shapes.
    if version == SogVersion::V2 {
        meta["version"] = json!(2);
        meta["count"] = json!(cloud.len());
    }
    if cloud.antialiased {
        meta["model"] = json!("antialiased");
    }
    if cloud.scene_from_world != Similarity::identity() {
        meta["tessera"] = json!({"scene_from_world": placement::numbers(&cloud.scene_from_world)});
    }
    let mut images = Vec::new();
    let mut layers = vec![positions, scales, rotations, colours];
    layers.extend(harmonics);
    for layer in layers {
        meta[layer.name] = layer.meta;
        meta[layer.name]["files"] = layer.images.iter().map(|image| image.name).collect();
        images.extend(layer.images);
    }
    let files: Vec<SogFile> = images.into_par_iter().map(Image::encode).collect::<Result<_, _>>()?;
    Ok([vec![(META, meta.to_string().into_bytes())], files].concat())
}

/// What an entry of `meta.json` describes.
struct Layer {
    name: &'static str,
    meta: Value,
    images: Vec<Image>,
}

struct Image {
    name: &'static str,
    width: usize,
    /// Bytes of a pixel: 3 or 4.
    channels: usize,
    /// Of splats or entries; what these leave of the last row becomes zero.
    pixels: Vec<u8>,
}

impl Image {
    /// An image with a pixel per splat, about as wide as it is high, in multiples of 4.
    fn of_splats<const N: usize>(name: &'static str, pixels: Vec<[u8; N]>) -> Self {
        let root = pixels.len().isqrt();
        let root = if root * root < pixels.len() { root + 1 } else { root };
        Self { name, width: root.next_multiple_of(4), channels: N, pixels: pixels.into_flattened() }
    }

    fn encode(self) -> Result<SogFile, ImageError> {
        let Self { name, width, channels, mut pixels } = self;
        let height = (pixels.len() / channels).div_ceil(width);
        pixels.resize(width * height * channels, 0);
        let colour = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::Rgba8 };
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes).write_image(&pixels, width as u32, height as u32, colour)?;
        Ok((name, bytes))
    }
}

struct Scene<'a> {
    cloud: &'a SplatCloud,
    version: SogVersion,
    /// Which splat each pixel is.
    order: Vec<u32>,
}

impl Scene<'_> {
    /// The pixels of all splats.
    fn map<T: Send>(&self, pixel: impl Fn(usize) -> T + Sync) -> Vec<T> {
        self.order.par_iter().map(|&i| pixel(i as usize)).collect()
    }

    fn positions(&self) -> Layer {
        let mut mins = [f64::INFINITY; 3];
        let mut maxs = [f64::NEG_INFINITY; 3];
        for mean in &self.cloud.means {
            for axis in 0..3 {
                let l = to_log_domain(f64::from(mean[axis]));
                (mins[axis], maxs[axis]) = (mins[axis].min(l), maxs[axis].max(l));
            }
        }
        let codes = self.map(|i| {
            [0, 1, 2].map(|axis| {
                let width = maxs[axis] - mins[axis];
                let place = to_log_domain(f64::from(self.cloud.means[i][axis])) - mins[axis];
                if width > 0.0 { (place / width * 65_535.0).round() as u16 } else { 0 }
            })
        });
        let bytes = |byte: usize| codes.iter().map(|code| code.map(|c| c.to_le_bytes()[byte])).collect();
        let images = vec![Image::of_splats("means_l.webp", bytes(0)), Image::of_splats("means_u.webp", bytes(1))];
        let meta = self.described(&[3], json!({"mins": mins, "maxs": maxs}));
        Layer { name: "means", meta, images }
    }

    fn rotations(&self) -> Layer {
        let pixels = self.map(|i| {
            let (largest, rest) = smallest_three(self.cloud.quats[i]);
            let [a, b, c] = rest.map(|c| component_to_unorm(c, 8) as u8);
            [a, b, c, 252 + largest as u8]
        });
        let meta = match self.version {
            SogVersion::V1 => json!({"shape": [pixels.len(), 4], "dtype": "uint8", "encoding": "quaternion_packed"}),
            SogVersion::V2 => json!({}),
        };
        Layer { name: "quats", meta, images: vec![Image::of_splats("quats.webp", pixels)] }
    }

    /// What version 1 says of a layer beside `meta`: how many numbers of what kind there are.
    fn described(&self, shape: &[usize], mut meta: Value) -> Value {
        if self.version == SogVersion::V1 {
            meta["shape"] = json!([&[self.cloud.len()], shape].concat());
            meta["dtype"] = json!("float32");
        }
        meta
    }

    fn ranges<const N: usize>(&self, shape: &[usize], ranges: &Ranges<N>) -> Value {
        let [mins, maxs] = ranges.describe();
        self.described(shape, json!({"mins": mins, "maxs": maxs}))
    }

    fn scales(&self) -> Layer {
        let rows = &self.cloud.log_scales;
        let (pixels, meta) = match self.version {
            SogVersion::V1 => {
                let ranges = Ranges::of(rows.iter().copied());
                (self.map(|i| ranges.codes(rows[i])), self.ranges(&[3], &ranges))
            }
            SogVersion::V2 => {
                let codebook = Codebook::of(rows.as_flattened());
                (self.map(|i| rows[i].map(|s| codebook.nearest(s))), codebook.describe())
            }
        };
        Layer { name: "scales", meta, images: vec![Image::of_splats("scales.webp", pixels)] }
    }

    fn colours(&self) -> Layer {
        let (colours, logits) = (&self.cloud.sh0, &self.cloud.opacity_logits);
        let (pixels, meta) = match self.version {
            SogVersion::V1 => {
                let row = |i: usize| {
                    let [r, g, b] = colours[i];
                    [r, g, b, logits[i].clamp(-MAX_LOGIT, MAX_LOGIT)]
                };
                let ranges = Ranges::of((0..colours.len()).map(row));
                (self.map(|i| ranges.codes(row(i))), self.ranges(&[1, 4], &ranges))
            }
            SogVersion::V2 => {
                let codebook = Codebook::of(colours.as_flattened());
                let pixel = |i: usize| {
                    let [r, g, b] = colours[i].map(|c| codebook.nearest(c));
                    [r, g, b, unorm(sigmoid(logits[i]), 8) as u8]
                };
                (self.map(pixel), codebook.describe())
            }
        };
        Layer { name: "sh0", meta, images: vec![Image::of_splats("sh0.webp", pixels)] }
    }

    /// Nothing for scenes of degree 0.
    fn harmonics(&self) -> Option<Layer> {
        let coefficients = SplatCloud::rest_coefficients(self.cloud.sh_degree);
        if coefficients == 0 {
            return None;
        }
        let width = 3 * coefficients;
        let palette = Palette::new(&self.cloud.sh_rest, width);
        let (pixels, meta) = match self.version {
            SogVersion::V1 => {
                let ranges = Ranges::of(palette.entries.iter().map(|&v| [v]));
                let mut meta = self.ranges(&[width], &ranges);
                meta["quantization"] = json!(8);
                (palette.entries.par_iter().flat_map_iter(|&v| ranges.codes([v])).collect(), meta)
            }
            SogVersion::V2 => {
                // Each entry counts as often as it is used.
                let used = |i: usize| palette.entries[usize::from(palette.labels[i / width]) * width + i % width];
                let codebook = Codebook::new(self.cloud.sh_rest.len(), used);
                let mut meta = codebook.describe();
                meta["count"] = json!(palette.entries.len() / width);
                meta["bands"] = json!(self.cloud.sh_degree);
                (palette.entries.par_iter().map(|&v| codebook.nearest(v)).collect(), meta)
            }
        };
        let labels = self.map(|i| {
            let [low, high] = palette.labels[i].to_le_bytes();
            [low, high, 0]
        });
        let centroids = Image { name: "shN_centroids.webp", width: PALETTE_ROW * coefficients, channels: 3, pixels };
        Some(Layer { name: "shN", meta, images: vec![centroids, Image::of_splats("shN_labels.webp", labels)] })
    }
}
