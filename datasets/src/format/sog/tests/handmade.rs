//! SOG scenes put together byte by byte, and what they must be read as.

use crate::scene::SplatCloud;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;

/// Splats in the handmade scenes.
pub const COUNT: usize = 3;
/// The palette entries of the splats.
const LABELS: [u16; COUNT] = [1, 0, 65];

/// The files of a scene.
#[derive(Clone)]
pub struct Files(pub Vec<(String, Vec<u8>)>);

impl Files {
    /// As a zip archive.
    pub fn bundle(&self) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &self.0 {
            zip.start_file(name.as_str(), SimpleFileOptions::default()).expect("entry");
            zip.write_all(bytes).expect("in memory");
        }
        zip.finish().expect("in memory").into_inner()
    }

    /// As files in a folder.
    pub fn write_to(&self, folder: &Path) {
        for (name, bytes) in &self.0 {
            std::fs::write(folder.join(name), bytes).expect("write");
        }
    }

    pub fn file(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.0.iter_mut().find(|(n, _)| n == name).expect("file").1
    }

    /// Changes `meta.json`.
    pub fn edit_meta(&mut self, edit: impl FnOnce(&mut Value)) {
        let json = self.file("meta.json");
        let mut meta = serde_json::from_slice(json).expect("json");
        edit(&mut meta);
        *json = meta.to_string().into_bytes();
    }
}

pub fn webp(width: u32, height: u32, rgba: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    WebPEncoder::new_lossless(&mut out).write_image(rgba, width, height, ExtendedColorType::Rgba8).expect("encode");
    out
}

fn png(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PngEncoder::new(&mut out).write_image(rgb, width, height, ExtendedColorType::Rgb8).expect("encode");
    out
}

/// A 2x2 image with a pixel per splat, the last one filled with what would be an error.
fn per_splat(pixels: [[u8; 4]; COUNT]) -> Vec<u8> {
    webp(2, 2, &[pixels.as_flattened(), &[255, 255, 255, 0]].concat())
}

/// The images that both versions have in common: splat 0 at the minima, splat 1 at the maxima, splat 2 at code 256 of x.
fn common_images(coefficients: usize) -> Vec<(String, Vec<u8>)> {
    // Two rows of 64 entries; every byte of an entry is its number, so that entry 65 has index 65 everywhere.
    let entry = |i: usize| std::iter::repeat_n(i as u8, 3 * coefficients);
    let palette: Vec<u8> = (0..128).flat_map(entry).collect();
    let images = [
        ("means_l.webp", per_splat([[0, 0, 0, 255], [255; 4], [0, 0, 0, 255]])),
        ("means_u.webp", per_splat([[0, 0, 0, 255], [255; 4], [1, 0, 0, 255]])),
        ("quats.webp", per_splat([[128, 128, 128, 252], [255, 128, 0, 253], [0, 128, 128, 255]])),
        ("scales.webp", per_splat([[0, 1, 2, 255], [255; 4], [3, 3, 3, 255]])),
        ("sh0.webp", per_splat([[0, 10, 20, 0], [30, 40, 50, 255], [60, 70, 80, 51]])),
        ("shN_centroids.webp", png(64 * coefficients as u32, 2, &palette)),
        ("shN_labels.webp", per_splat(LABELS.map(|l| [l.to_le_bytes()[0], l.to_le_bytes()[1], 0, 255]))),
    ];
    images.map(|(name, bytes)| (name.to_owned(), bytes)).into()
}

fn with_meta(meta: &Value, images: Vec<(String, Vec<u8>)>) -> Files {
    Files([vec![("meta.json".to_owned(), meta.to_string().into_bytes())], images].concat())
}

/// Version 2, degree 1. The codebooks are `-index / 16`, `index / 8` and `index / 100`.
pub fn version_2() -> Files {
    let codebook = |step: f64| (0..256).map(|i| f64::from(i) * step).collect::<Vec<_>>();
    let meta = json!({
        "version": 2, "count": COUNT, "model": "antialiased", "asset": {"generator": "by hand"},
        "means": {"mins": [-1.0, 0.0, 2.0], "maxs": [1.0, 0.5, 2.0], "files": ["means_l.webp", "means_u.webp"]},
        "quats": {"files": ["quats.webp"]},
        "scales": {"codebook": codebook(-1.0 / 16.0), "files": ["scales.webp"]},
        "sh0": {"codebook": codebook(1.0 / 8.0), "files": ["sh0.webp"]},
        "shN": {"count": 128, "bands": 1, "codebook": codebook(0.01), "files": ["shN_centroids.webp", "shN_labels.webp"]},
    });
    with_meta(&meta, common_images(3))
}

/// Version 1, degree 2, with ranges that give the same values as the codebooks of [`version_2`], and logits from -5.1 to 5.1.
pub fn version_1() -> Files {
    let meta = json!({
        "means": {"shape": [COUNT, 3], "dtype": "float32", "mins": [-1.0, 0.0, 2.0], "maxs": [1.0, 0.5, 2.0],
            "files": ["means_l.webp", "means_u.webp"]},
        "quats": {"shape": [COUNT, 4], "dtype": "uint8", "encoding": "quaternion_packed", "files": ["quats.webp"]},
        "scales": {"shape": [COUNT, 3], "dtype": "float32", "mins": [0.0, 0.0, 0.0],
            "maxs": [-255.0 / 16.0, -255.0 / 16.0, -255.0 / 16.0], "files": ["scales.webp"]},
        "sh0": {"shape": [COUNT, 1, 4], "dtype": "float32", "mins": [0.0, 0.0, 0.0, -5.1],
            "maxs": [255.0 / 8.0, 255.0 / 8.0, 255.0 / 8.0, 5.1], "files": ["sh0.webp"]},
        "shN": {"shape": [COUNT, 24], "dtype": "float32", "mins": 0.0, "maxs": 2.55, "quantization": 8,
            "files": ["shN_centroids.webp", "shN_labels.webp"]},
    });
    with_meta(&meta, common_images(8))
}

/// What [`version_2`] holds, or [`version_1`] when `first` is true.
pub fn expected(first: bool) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(COUNT, if first { 2 } else { 1 });
    cloud.antialiased = !first;
    // The log domain: l stands for sign(l) (e^|l| - 1).
    let e = 1f64.exp();
    let code_256 = -1.0 + 2.0 * 256.0 / 65535.0;
    let top = 2f64.exp() - 1.0;
    let means = [[1.0 - e, 0.0, top], [e - 1.0, 0.5f64.exp() - 1.0, top], [1.0 - f64::exp(-code_256), 0.0, top]];
    cloud.means = means.map(|mean| mean.map(|x| x as f32)).into();
    // Three bytes b are components (b / 255 - 1/2) sqrt(2); what is missing completes length 1.
    let small = (128.0 / 255.0 - 0.5) * 2f32.sqrt();
    let edge = 0.5f32.sqrt();
    let near_one = (1.0 - 3.0 * small * small).sqrt();
    // Two components of sqrt(1/2) leave nothing for the largest, and the third lengthens the quaternion a little.
    let long = (1.0 + small * small).sqrt();
    let rest = (1.0 - edge * edge - 2.0 * small * small).sqrt();
    cloud.quats = vec![
        [near_one, small, small, small],
        [edge / long, 0.0, small / long, -edge / long],
        [-edge, small, small, rest],
    ];
    cloud.log_scales = vec![[0.0, -1.0 / 16.0, -2.0 / 16.0], [-255.0 / 16.0; 3], [-3.0 / 16.0; 3]];
    cloud.sh0 = vec![[0.0, 1.25, 2.5], [3.75, 5.0, 6.25], [7.5, 8.75, 10.0]];
    let logit = |opacity: f32| (opacity / (1.0 - opacity)).ln();
    cloud.opacity_logits = if first { vec![-5.1, 5.1, -3.06] } else { vec![-40.0, 40.0, logit(0.2)] };
    let values = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
    cloud.sh_rest = LABELS.iter().flat_map(|&label| std::iter::repeat_n(f32::from(label) * 0.01, values)).collect();
    cloud
}
