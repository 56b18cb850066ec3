//! Made clouds and damaged files for the tests of all formats.

use super::input::Input;
use super::stream::{SplatHeader, collect};
use super::{Existing, SplatFormat, WriteOptions};
use crate::Result;
use crate::camera::Similarity;
use crate::scene::SplatCloud;
use nalgebra::{Translation3, UnitQuaternion};
use proptest::prelude::*;
use std::path::Path;

/// Clouds of 1 to 600 splats of any degree with the values that real scenes have, antialiased or not, anywhere.
pub(super) fn clouds() -> impl Strategy<Value = SplatCloud> {
    let size = (1..600usize, 0..=3u8, 0.01f32..100.0);
    (size, any::<bool>(), any::<u64>()).prop_map(|((n, sh_degree, extent), antialiased, seed)| {
        let mut cloud = cloud(n, sh_degree, extent, seed);
        cloud.antialiased = antialiased;
        if seed % 3 == 0 {
            let turn = UnitQuaternion::from_euler_angles(0.1, -2.0, (seed % 7) as f64);
            cloud.scene_from_world = Similarity::from_parts(Translation3::new(1.0 / 3.0, -2e5, 3.0), turn, 0.01234);
        }
        cloud
    })
}

/// A cloud whose positions lie within ±`extent`, and whose other values are those of real scenes.
pub(super) fn cloud(n: usize, sh_degree: u8, extent: f32, seed: u64) -> SplatCloud {
    let mut state = seed | 1;
    // From -1 to 1 (xorshift64).
    let mut number = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for _ in 0..n {
        cloud.means.push([number(), number(), number()].map(|c| extent * c));
        cloud.log_scales.push([number(), number(), number()].map(|c| 4.0 * c - 4.0));
        cloud.quats.push([number(), number(), number(), number()].map(|c| 3.0 * c + 1e-3));
        cloud.opacity_logits.push(8.0 * number());
        cloud.sh0.push([number(), number(), number()].map(|c| 1.7 * c));
        cloud.sh_rest.extend((0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|_| 0.9 * number()));
    }
    cloud
}

/// The file that a cloud is written to, in chunks of 100 splats, after another number of them was announced.
pub(super) fn written(cloud: &SplatCloud, format: SplatFormat, options: &WriteOptions) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene");
    let header = SplatHeader { count: 7, ..SplatHeader::of(cloud) };
    let mut sink = format.create(&path, &header, options, Existing::Keep).expect("create");
    let mut chunk = header.empty_cloud(0);
    for start in (0..cloud.len()).step_by(100) {
        chunk.clear();
        chunk.append_range(cloud, start..cloud.len().min(start + 100));
        sink.put(&chunk).expect("put");
    }
    sink.finish().expect("finish");
    std::fs::read(path).expect("read")
}

/// The cloud in the bytes of a file.
pub(super) fn read(bytes: &[u8], format: SplatFormat) -> Result<SplatCloud> {
    let input = Input::memory(bytes, Path::new("scene"));
    let cloud = collect(format.open_input(input)?.as_mut())?;
    assert!(cloud.is_consistent() && numbers(&cloud).all(|v| v.is_finite()), "{cloud:?}");
    Ok(cloud)
}

/// The error with which a file is refused, a sentence of one line.
pub(super) fn refused(bytes: &[u8], format: SplatFormat) -> String {
    let error = read(bytes, format).expect_err("this should be refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// What can happen to a file: bytes change, and its end is lost.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    edits: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
}

/// Up to 8 changed bytes, and sometimes a lost end.
pub(super) fn damage() -> impl Strategy<Value = Damage> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    (edits, prop::option::of(any::<prop::sample::Index>())).prop_map(|(edits, cut)| Damage { edits, cut })
}

impl Damage {
    /// The damaged file.
    pub(super) fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (at, value) in &self.edits {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = &self.cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    }
}

/// The angle in degrees between two rotations.
pub(super) fn angle_between(a: [f32; 4], b: [f32; 4]) -> f64 {
    let unit = |q: [f32; 4]| {
        let q = q.map(f64::from);
        let length = q.iter().map(|c| c * c).sum::<f64>().sqrt();
        q.map(|c| c / length)
    };
    let (a, b) = (unit(a), unit(b));
    let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    // Of the difference, because a cosine near 1 has no digits left.
    let sign = if cosine < 0.0 { -1.0 } else { 1.0 };
    let chord = a.iter().zip(b).map(|(a, b)| (a - sign * b).powi(2)).sum::<f64>().sqrt();
    2.0 * (2.0 * (chord / 2.0).min(1.0).asin()).to_degrees()
}

/// The largest difference between two numbers at the same place; NaN where there is one.
pub(super) fn difference<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f32 {
    a.into_iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

/// Every number that a scene holds.
pub(super) fn numbers(cloud: &SplatCloud) -> impl Iterator<Item = &f32> {
    let fixed = cloud.means.iter().chain(&cloud.log_scales).chain(&cloud.sh0).flatten();
    fixed.chain(cloud.quats.iter().flatten()).chain(&cloud.opacity_logits).chain(&cloud.sh_rest)
}
