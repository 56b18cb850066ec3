//! What compressed PLY files promise.

use super::CHUNK;
use crate::format::made::{angle_between, cloud, clouds, damage, difference, read, refused, written};
use crate::format::quantise::{colour_of_sh0, sigmoid};
use crate::format::{SplatFormat, WriteOptions};
use crate::scene::{SplatCloud, morton_order};
use proptest::prelude::*;

const FORMAT: SplatFormat = SplatFormat::CompressedPly;

fn kept() -> WriteOptions {
    WriteOptions { keep_order: true, ..WriteOptions::default() }
}

/// The width of each axis's range in the chunk of splat `i`.
fn widths(values: &[[f32; 3]], i: usize) -> [f32; 3] {
    let start = i / CHUNK * CHUNK;
    let chunk = &values[start..values.len().min(start + CHUNK)];
    [0, 1, 2].map(|axis| {
        let all = chunk.iter().map(|v| v[axis]);
        all.clone().fold(f32::NEG_INFINITY, f32::max) - all.fold(f32::INFINITY, f32::min)
    })
}

/// Asserts that numbers are off by at most half of a step, and by the rounding of numbers as large as them and
/// as the ends of their range.
fn assert_steps(what: &str, read: &[[f32; 3]], cloud: &[[f32; 3]], bits: [u32; 3]) {
    for i in 0..cloud.len() {
        let widths = widths(cloud, i);
        for axis in 0..3 {
            let allowed = 0.5 * widths[axis] / ((1 << bits[axis]) - 1) as f32
                + 4e-7 * (1.0 + cloud[i][axis].abs() + widths[axis]);
            let error = (read[i][axis] - cloud[i][axis]).abs();
            assert!(error <= allowed, "{what} {i} is off by {error} instead of at most {allowed}");
        }
    }
}

#[test]
fn splats_lie_in_morton_order_unless_their_order_is_to_be_kept() {
    let cloud = cloud(1000, 1, 1.0, 8);
    let read_sorted = read(&written(&cloud, FORMAT, &WriteOptions::default()), FORMAT).expect("read");
    let sorted = cloud.select(&morton_order(&cloud.means));
    assert_steps("position", &read_sorted.means, &sorted.means, [11, 10, 11]);
    let read_kept = read(&written(&cloud, FORMAT, &kept()), FORMAT).expect("read");
    assert_steps("position", &read_kept.means, &cloud.means, [11, 10, 11]);
}

#[test]
fn unusable_files_are_refused_in_one_sentence() {
    let good = written(&cloud(300, 1, 1.0, 8), FORMAT, &kept());
    let with = |from: &str, to: &str| {
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).expect("in header");
        refused(&[&good[..at], to.as_bytes(), &good[at + from.len()..]].concat(), FORMAT)
    };
    let start = good.windows(11).position(|w| w == b"end_header\n").expect("header") + 11;
    let mut nan = good.clone();
    nan[start + 72 + 8..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases = [
        ("2 chunks for 600 splats, which need 3", with("vertex 300", "vertex 600")),
        ("harmonics of 300 splats and 299 splats", with("vertex 300", "vertex 299")),
        ("ends before its 18446744073709551615 chunk rows", with("chunk 2\n", "chunk 18446744073709551615\n")),
        ("without the property 'packed_scale'", with("packed_scale", "packed_other")),
        ("without the property 'max_scale_z'", with("max_scale_z", "max_other_z")),
        ("without an element 'chunk'", with("element chunk", "element other")),
        ("no SH degree", with("f_rest_8", "f_last_8")),
        ("range that is not finite in chunk 1", refused(&nan, FORMAT)),
        ("ends before its 300 sh rows do", refused(&good[..good.len() - 1], FORMAT)),
    ];
    for (wanted, error) in cases {
        assert!(error.contains(wanted), "wanted '{wanted}', got '{error}'");
    }
}

#[test]
fn files_without_colour_ranges_have_colours_from_0_to_1() {
    let mut cloud = cloud(2, 0, 1.0, 8);
    // Black and white, so that the ranges are those that are missing then.
    cloud.sh0 = vec![[-0.5 / 0.282_094_8; 3], [0.5 / 0.282_094_8; 3]];
    let bytes = written(&cloud, FORMAT, &kept());
    let text = "property float min_r\nproperty float min_g\nproperty float min_b\nproperty float max_r\n\
        property float max_g\nproperty float max_b\n";
    let at = bytes.windows(text.len()).position(|w| w == text.as_bytes()).expect("in header");
    let start = bytes.windows(11).position(|w| w == b"end_header\n").expect("header") + 11;
    let old = [&bytes[..at], &bytes[at + text.len()..start + 48], &bytes[start + 72..]].concat();
    let error = difference(
        read(&old, FORMAT).expect("read").sh0.as_flattened(),
        read(&bytes, FORMAT).expect("read").sh0.as_flattened(),
    );
    assert!(error < 1e-6, "off by {error}");
}

#[test]
fn a_splat_without_thickness_does_not_spoil_its_chunk() {
    let mut cloud = cloud(256, 0, 1.0, 8);
    cloud.log_scales[7] = [-40.0; 3];
    let read = read(&written(&cloud, FORMAT, &kept()), FORMAT).expect("read");
    assert!(read.log_scales[7].iter().all(|s| (s + 20.0).abs() < 1e-5), "{:?}", read.log_scales[7]);
}

#[test]
fn the_ends_of_the_range_do_not_overflow() {
    let mut cloud = cloud(3, 0, 1.0, 8);
    cloud.means[0] = [f32::MAX; 3];
    cloud.means[1] = [f32::MIN; 3];
    let read = read(&written(&cloud, FORMAT, &kept()), FORMAT).expect("read");
    assert_eq!((read.means[0], read.means[1]), ([f32::MAX; 3], [f32::MIN; 3]));
}

proptest! {
    #[test]
    fn a_scene_comes_back_to_the_stated_precision(cloud in clouds()) {
        let read = read(&written(&cloud, FORMAT, &kept()), FORMAT).expect("read");
        prop_assert_eq!((read.sh_degree, read.antialiased), (cloud.sh_degree, cloud.antialiased));
        let placed = (read.scene_from_world.to_homogeneous() - cloud.scene_from_world.to_homogeneous()).amax();
        prop_assert!(placed < 1e-6, "scene_from_world is off by {placed}");
        assert_steps("position", &read.means, &cloud.means, [11, 10, 11]);
        assert_steps("scale", &read.log_scales, &cloud.log_scales, [11, 10, 11]);
        let colours = |cloud: &SplatCloud| cloud.sh0.iter().map(|c| c.map(colour_of_sh0)).collect::<Vec<_>>();
        assert_steps("colour", &colours(&read), &colours(&cloud), [8; 3]);
        for i in 0..cloud.len() {
            let angle = angle_between(read.quats[i], cloud.quats[i]);
            // Three components are off by half a step of sqrt(2)/1023, which makes at most twice that of the largest
            // one (it is at least 1/2, the others together at most sqrt(3)/2): a chord of 0.0024, twice that as an angle.
            prop_assert!(angle < 0.28, "splat {i} turned by {angle} degrees");
            let error = (sigmoid(read.opacity_logits[i]) - sigmoid(cloud.opacity_logits[i])).abs();
            prop_assert!(error < 0.501 / 255.0, "opacity off by {error}");
        }
        let error = difference(&read.sh_rest, &cloud.sh_rest);
        prop_assert!(error <= 1.0 / 64.0 + 1e-6, "harmonics off by {error}");
    }

    #[test]
    fn damaged_files_never_panic(damage in damage()) {
        let bytes = damage.apply(&written(&cloud(300, 1, 1.0, 3), FORMAT, &WriteOptions::default()));
        let _ = read(&bytes, FORMAT);
    }

    #[test]
    fn damaged_headers_never_panic(damage in damage()) {
        let bytes = written(&cloud(300, 1, 1.0, 3), FORMAT, &WriteOptions::default());
        let start = bytes.windows(11).position(|w| w == b"end_header\n").expect("header") + 11;
        let _ = read(&[damage.apply(&bytes[..start]), bytes[start..].to_vec()].concat(), FORMAT);
    }
}
