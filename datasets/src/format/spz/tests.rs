//! What SPZ files promise.

use super::SpzVersion::{self, V1, V2, V3, V4};
use crate::format::made::{angle_between, cloud, clouds, damage, difference, read, refused, written};
use crate::format::quantise::sigmoid;
use crate::format::stream::SplatHeader;
use crate::format::{Existing, SplatFormat, WriteOptions};
use crate::scene::SplatCloud;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use proptest::prelude::*;
use std::io::Read;

const FORMAT: SplatFormat = SplatFormat::Spz;

fn spz(cloud: &SplatCloud, version: SpzVersion) -> Vec<u8> {
    written(cloud, FORMAT, &WriteOptions { spz_version: version, ..WriteOptions::default() })
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).expect("one gzip member");
    out
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzEncoder::new(bytes, Compression::default()).read_to_end(&mut out).expect("in memory");
    out
}

#[test]
fn small_scenes_get_finer_positions_and_large_ones_coarser() {
    let bits = |extent: f32, log_scale: f32| {
        let mut cloud = cloud(500, 0, extent, 5);
        cloud.log_scales.iter_mut().for_each(|s| *s = [log_scale; 3]);
        let bytes = spz(&cloud, V3);
        let read = read(&bytes, FORMAT).expect("read");
        let bits = unpacked(&bytes)[13];
        let error = difference(read.means.as_flattened(), cloud.means.as_flattened());
        assert!(error <= 0.5f32.powi(i32::from(bits) + 1) * 1.01, "{error} with {bits} bits");
        bits
    };
    assert_eq!(bits(10.0, -4.0), 12);
    assert_eq!(bits(0.1, -9.0), 16);
    assert_eq!(bits(100_000.0, -4.0), 6);
}

#[test]
fn positions_that_no_file_holds_are_refused() {
    let mut cloud = cloud(2, 0, 1.0, 5);
    cloud.means[1][2] = 1e8;
    let folder = tempfile::tempdir().expect("temporary folder");
    let error = crate::format::write_splats(folder.path().join("far.spz"), &cloud, false).expect_err("far").to_string();
    assert!(error.contains("no positions beyond 8388607 units"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0, "nothing is left behind");
}

#[test]
fn positions_that_halves_do_not_reach_are_refused_in_version_1() {
    let mut cloud = cloud(2, 0, 1.0, 5);
    let write = |cloud: &SplatCloud| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let options = WriteOptions { spz_version: V1, ..WriteOptions::default() };
        let path = folder.path().join("far.spz");
        let mut sink = FORMAT.create(&path, &SplatHeader::of(cloud), &options, Existing::Keep).expect("create");
        sink.put(cloud).expect("put");
        sink.finish().map(|()| std::fs::read(path).expect("read"))
    };
    cloud.means[1][2] = -65_504.0;
    assert_eq!(read(&write(&cloud).expect("the last half"), FORMAT).expect("read").means[1][2], -65_504.0);
    cloud.means[1][2] = 65_505.0;
    let error = write(&cloud).expect_err("far").to_string();
    assert!(error.contains("SPZ version 1 has no positions beyond 65504 units"), "{error}");
}

#[test]
fn every_version_says_which_it_is() {
    let cloud = cloud(7, 2, 1.0, 5);
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    assert_eq!([V1, V2, V3].map(|version| number(&unpacked(&spz(&cloud, version)))), [1, 2, 3]);
    assert_eq!(number(&spz(&cloud, V4)), 4);
}

#[test]
fn harmonics_of_degree_4_are_cut_off() {
    // A file of one splat, put together by hand: 72 coefficients of which 45 are kept.
    let good = spz(&cloud(1, 3, 1.0, 5), V4);
    let mut by_hand =
        super::Header { version: 4, count: 1, sh_degree: 4, fractional_bits: 12, flags: 0 }.start().to_vec();
    by_hand[15] = 6;
    by_hand.extend_from_slice(&32u32.to_le_bytes());
    by_hand.resize(32, 0);
    let streams: Vec<Vec<u8>> =
        [9, 1, 3, 3, 4, 72].map(|n| zstd::bulk::compress(&vec![192; n], 3).expect("zstd")).into();
    for (stream, n) in streams.iter().zip([9u64, 1, 3, 3, 4, 72]) {
        by_hand.extend_from_slice([stream.len() as u64, n].map(u64::to_le_bytes).as_flattened());
    }
    by_hand.extend(streams.concat());
    let read_by_hand = read(&by_hand, FORMAT).expect("degree 4");
    assert_eq!((read_by_hand.sh_degree, read_by_hand.sh_rest.len()), (3, 45));
    assert!(read_by_hand.sh_rest.iter().all(|c| c.abs() == 0.5));
    assert_eq!(read(&good, FORMAT).expect("degree 3").sh_degree, 3);
}

#[test]
fn halves_of_version_1_are_positions() {
    let mut bytes =
        super::Header { version: 1, count: 2, sh_degree: 0, fractional_bits: 12, flags: 0 }.start().to_vec();
    // 1, 2 and -0.5 as halves, then an infinity.
    for half in [0x3c00u16, 0x4000, 0xb800, 0x3c00, 0x7c00, 0] {
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    bytes.extend([128; 2 * 10]);
    let error = refused(&packed(&bytes), FORMAT);
    assert!(error.contains("a position that is not finite at splat 1"), "{error}");
    bytes[16 + 9] = 0x40;
    assert_eq!(read(&packed(&bytes), FORMAT).expect("version 1").means, [[1.0, -2.0, 0.5], [1.0, -2.0, -0.0]]);
    // Without compression, as some programs keep it in memory.
    assert_eq!(read(&bytes, FORMAT).expect("plain").len(), 2);
}

#[test]
fn unusable_files_are_refused_in_one_sentence() {
    let plain = unpacked(&spz(&cloud(100, 1, 1.0, 5), V3));
    let with = |at: usize, value: u8| {
        let mut bytes = plain.clone();
        bytes[at] = value;
        refused(&packed(&bytes), FORMAT)
    };
    let v4 = spz(&cloud(100, 1, 1.0, 5), V4);
    let with_v4 = |at: usize, value: u8| {
        let mut bytes = v4.clone();
        bytes[at] = value;
        refused(&bytes, FORMAT)
    };
    let many = [&plain[..8], &u32::MAX.to_le_bytes(), &plain[12..]].concat();
    let cases = [
        ("is not an SPZ file", refused(b"", FORMAT)),
        ("is not an SPZ file", refused(b"ply\n", FORMAT)),
        ("is not an SPZ file", with(0, b'M')),
        ("version 9", with(4, 9)),
        ("version 0", with(4, 0)),
        ("version 4 but compressed like version 3", with(4, 4)),
        ("degree 4", with(12, 4)),
        ("25 bits behind the point", with(13, 25)),
        ("ends in the middle", with(8, 101)),
        ("ends in the middle", refused(&packed(&plain)[..300], FORMAT)),
        ("claims 4294967295 splats", refused(&packed(&many), FORMAT)),
        ("version 5", with_v4(4, 5)),
        ("degree 5", with_v4(12, 5)),
        ("has 3 streams instead of 6", with_v4(15, 3)),
        ("table of streams at no possible place", with_v4(16, 8)),
        ("table of streams at no possible place", with_v4(19, 255)),
        ("ends in the middle", with_v4(32 + 3, 1)),
        ("stream of 901 bytes instead of 900", with_v4(32 + 8, 133)),
        ("cannot be unpacked", with_v4(32 + 96, 0)),
        ("ends in the middle", refused(&v4[..v4.len() - 1], FORMAT)),
        ("ends in the middle", refused(&v4[..30], FORMAT)),
    ];
    for (wanted, error) in cases {
        assert!(error.contains(wanted), "wanted '{wanted}', got '{error}'");
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    // 500 million splats of nothing in 10 MB would be 10 GB.
    let header = super::Header { version: 3, count: 500_000_000, sh_degree: 0, fractional_bits: 12, flags: 0 };
    let bomb = packed(&[&header.start()[..], &[0; 16 << 20]].concat());
    assert!(refused(&bomb, FORMAT).contains("splats, which"));
}

proptest! {
    #[test]
    fn a_scene_comes_back_to_the_stated_precision(cloud in clouds(), version in 0usize..4) {
        let version = SpzVersion::ALL[version];
        let read = read(&spz(&cloud, version), FORMAT).expect("read");
        prop_assert_eq!((read.len(), read.sh_degree, read.antialiased), (cloud.len(), cloud.sh_degree, cloud.antialiased));
        let placed = (read.scene_from_world.to_homogeneous() - cloud.scene_from_world.to_homogeneous()).amax();
        prop_assert!(placed < 1e-6, "scene_from_world is off by {placed}");
        for (is, was) in read.means.as_flattened().iter().zip(cloud.means.as_flattened()) {
            // Made scenes lie within 100 units, where 12 bits fit. Halves have 11 bits, and steps of 2^-24 near zero.
            let allowed = if version == V1 { was.abs() * 0.5f32.powi(11) + 1e-7 } else { 0.5f32.powi(13) * 1.01 };
            prop_assert!((is - was).abs() <= allowed, "a position is {is} instead of {was}");
        }
        let error = difference(read.log_scales.as_flattened(), cloud.log_scales.as_flattened());
        prop_assert!(error <= 1.0 / 32.0 + 1e-6, "scales off by {error}");
        let error = difference(read.sh0.as_flattened(), cloud.sh0.as_flattened());
        prop_assert!(error <= 0.5 / 255.0 / 0.15 + 1e-5, "colours off by {error}");
        for i in 0..cloud.len() {
            // Three components are off by half of sqrt(1/2)/511, which makes a chord of at most twice sqrt(3) of that,
            // and twice the chord as an angle.
            let angle = angle_between(read.quats[i], cloud.quats[i]);
            // Versions 1 and 2 compute w from x, y and z, each off by 1/255: where it is small it is off by the square root of
            // twice sqrt(3) of that, 0.117.
            let most = if matches!(version, V1 | V2) { 14.0 } else { 0.28 };
            prop_assert!(angle < most, "splat {i} turned by {angle} degrees");
            let error = (sigmoid(read.opacity_logits[i]) - sigmoid(cloud.opacity_logits[i])).abs();
            prop_assert!(error < 0.501 / 255.0, "opacity off by {error}");
        }
        let width = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
        for (i, (is, was)) in read.sh_rest.iter().zip(&cloud.sh_rest).enumerate() {
            // Half of a coarse step, and half of a fine one.
            let allowed = if i % width < 9 { 4.5 } else { 8.5 } / 128.0 + 1e-6;
            prop_assert!((is - was).abs() <= allowed, "coefficient {i} is {is} instead of {was}");
        }
    }

    #[test]
    fn damaged_files_never_panic(damage in damage(), newest in any::<bool>()) {
        let mut cloud = cloud(60, 2, 1.0, 3);
        cloud.scene_from_world.append_scaling_mut(2.0);
        let _ = read(&damage.apply(&spz(&cloud, if newest { V4 } else { V3 })), FORMAT);
    }

    #[test]
    fn damaged_contents_never_panic(damage in damage(), version in 1u8..4) {
        let mut bytes = unpacked(&spz(&cloud(60, 2, 1.0, 3), V3));
        bytes[4] = version;
        let _ = read(&packed(&damage.apply(&bytes)), FORMAT);
    }
}
