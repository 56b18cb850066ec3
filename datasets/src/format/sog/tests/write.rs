//! Writing: what comes back, and in what order.

use super::{difference, numbers};
use crate::format::made::{angle_between, cloud, clouds};
use crate::format::quantise::sigmoid;
use crate::format::stream::SplatHeader;
use crate::format::{Existing, SogVersion, SplatFormat, WriteOptions, encode_sog, read_splats, write_splats};
use crate::scene::{SplatCloud, morton_order};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

fn write(cloud: &SplatCloud, path: &Path, sog_version: SogVersion, keep_order: bool) {
    let options = WriteOptions { keep_order, sog_version, ..WriteOptions::default() };
    let mut sink = SplatFormat::Sog.create(path, &SplatHeader::of(cloud), &options, Existing::Keep).expect("create");
    sink.put(cloud).expect("put");
    sink.finish().expect("finish");
}

fn written_and_read(cloud: &SplatCloud, keep_order: bool) -> SplatCloud {
    as_version(SogVersion::V2, cloud, keep_order)
}

fn as_version(version: SogVersion, cloud: &SplatCloud, keep_order: bool) -> SplatCloud {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.sog");
    write(cloud, &path, version, keep_order);
    read_splats(path).expect("read")
}

/// The mean squared error, and the range of the numbers that were written.
fn error_and_range(read: &[f32], written: &[f32]) -> (f64, f64) {
    let squares = read.iter().zip(written).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let most = written.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let least = written.iter().copied().fold(f32::INFINITY, f32::min);
    (squares / written.len().max(1) as f64, f64::from(most - least))
}

#[test]
fn folders_hold_the_same_as_bundles_and_are_kept_unless_forced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let cloud = cloud(300, 1, 2.0, 8);
    let path = folder.path().join("new/meta.json");
    write(&cloud, &path, SogVersion::V2, false);
    assert_eq!(read_splats(&path).expect("folder"), written_and_read(&cloud, false));
    assert_eq!(read_splats(folder.path().join("new")).expect("folder").len(), 300);
    let error = write_splats(&path, &cloud, false).expect_err("in the way").to_string();
    assert!(error.contains("exists already") && error.contains("--force"), "{error}");
    write_splats(&path, &cloud.select(&[1, 2]), true).expect("forced");
    assert_eq!(read_splats(&path).expect("replaced").len(), 2);
    let left = std::fs::read_dir(path.parent().expect("folder")).expect("list").count();
    assert_eq!(left, 8, "seven images and meta.json");
}

#[test]
fn version_1_says_what_programs_of_its_time_look_for() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let cloud = cloud(300, 2, 2.0, 8);
    let path = folder.path().join("old/meta.json");
    write(&cloud, &path, SogVersion::V1, false);
    let meta: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
    assert!(meta.get("version").is_none() && meta.get("count").is_none(), "{meta}");
    let shapes = ["means", "quats", "scales", "sh0", "shN"].map(|layer| meta[layer]["shape"].clone());
    assert_eq!(shapes, [json!([300, 3]), json!([300, 4]), json!([300, 3]), json!([300, 1, 4]), json!([300, 24])]);
    let ends = |layer: &str| ["mins", "maxs"].map(|end| meta[layer][end].as_array().map(Vec::len));
    assert_eq!([ends("scales"), ends("sh0"), ends("shN")], [[Some(3); 2], [Some(4); 2], [None; 2]]);
    assert!(meta["shN"]["mins"].is_number() && meta["shN"]["quantization"] == json!(8), "{meta}");
}

#[test]
fn a_scene_without_splats_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("empty.sog");
    let error = write_splats(&path, &SplatCloud::with_capacity(0, 1), false).expect_err("empty").to_string();
    assert!(error.contains("would hold no splats"), "{error}");
    let mut endless = cloud(3, 0, 1.0, 8);
    endless.means[1][1] = f32::INFINITY;
    let error = write_splats(&path, &endless, false).expect_err("infinite").to_string();
    assert!(error.contains("not finite at splat 1"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
}

#[test]
fn splats_lie_in_morton_order_unless_their_order_is_to_be_kept() {
    let cloud = cloud(2000, 0, 1.0, 8);
    let sorted = cloud.select(&morton_order(&cloud.means));
    let near = |a: &SplatCloud, b: &SplatCloud| difference(a.means.as_flattened(), b.means.as_flattened()) < 1e-4;
    assert!(near(&written_and_read(&cloud, false), &sorted));
    assert!(near(&written_and_read(&cloud, true), &cloud));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let cloud = cloud(5000, 2, 1.0, 8);
    let files = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| encode_sog(&cloud, SogVersion::V2, false)).expect("encode")
    };
    assert!(files(1) == files(3));
}

#[test]
fn a_palette_finds_the_sets_that_many_splats_share() {
    let kinds = cloud(40, 2, 1.0, 8);
    let mut cloud = cloud(6000, 2, 1.0, 9);
    // Every splat has one of 40 sets, moved by at most 0.001.
    for (i, row) in cloud.sh_rest.chunks_exact_mut(24).enumerate() {
        let kind = &kinds.sh_rest[24 * (i * i % 40)..][..24];
        row.iter_mut().zip(kind).for_each(|(c, kind)| *c = kind + 0.001 * *c);
    }
    let (error, range) = error_and_range(&written_and_read(&cloud, true).sh_rest, &cloud.sh_rest);
    // The spread of a set is 0.0006; half a step of the codebook is 1/512 of the range.
    assert!(error.sqrt() < 0.0007 + range / 512.0, "off by {}", error.sqrt());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_scene_comes_back_to_the_stated_precision(cloud in clouds(), first in any::<bool>()) {
        let version = if first { SogVersion::V1 } else { SogVersion::V2 };
        let read = as_version(version, &cloud, true);
        prop_assert_eq!((read.len(), read.sh_degree, read.antialiased), (cloud.len(), cloud.sh_degree, cloud.antialiased));
        prop_assert!(numbers(&read).all(|v| v.is_finite()));
        let placed = (read.scene_from_world.to_homogeneous() - cloud.scene_from_world.to_homogeneous()).amax();
        prop_assert!(placed < 1e-6, "scene_from_world is off by {placed}");
        let log = |x: f32| x.abs().ln_1p().copysign(x);
        let logs = cloud.means.as_flattened().iter().map(|&x| log(x));
        let width = logs.clone().fold(f32::NEG_INFINITY, f32::max) - logs.fold(f32::INFINITY, f32::min);
        for (is, was) in read.means.as_flattened().iter().zip(cloud.means.as_flattened()) {
            // Half a step in the log domain, whose slope is 1 + |x|, and some rounding.
            let allowed = (0.501 * width / 65_535.0 + 1e-6) * (1.0 + was.abs());
            prop_assert!((is - was).abs() <= allowed, "position {was} became {is}");
        }
        for i in 0..cloud.len() {
            // As in compressed PLY with 8 bits: half a step of sqrt(2)/255, twice sqrt(3) of that, twice as an angle.
            let angle = angle_between(read.quats[i], cloud.quats[i]);
            prop_assert!(angle < 1.12, "splat {i} turned by {angle} degrees");
            let error = (sigmoid(read.opacity_logits[i]) - sigmoid(cloud.opacity_logits[i])).abs();
            // Version 1 has 255 steps from -7 to 7 for logits, and the slope of an opacity is a quarter at most.
            let allowed = if first { 14.0 / 255.0 / 2.0 / 4.0 } else { 0.5 / 255.0 } + 1e-6;
            prop_assert!(error <= allowed, "opacity off by {error}");
        }
        // Version 1 has 256 even steps, off by half of one; the best 256 numbers are no worse. Groups of neighbours cost a little.
        let pairs = [
            (read.log_scales.as_flattened(), cloud.log_scales.as_flattened()),
            (read.sh0.as_flattened(), cloud.sh0.as_flattened()),
            (&read.sh_rest[..], &cloud.sh_rest[..]),
        ];
        for (read, cloud) in pairs.into_iter().filter(|(_, cloud)| !cloud.is_empty()) {
            let (error, range) = error_and_range(read, cloud);
            prop_assert!(error.sqrt() <= 1.1 * range / 512.0 + 1e-6, "off by {} of {range}", error.sqrt());
        }
    }
}
