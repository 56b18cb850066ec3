//! Reading: scenes made by hand and by other programs, and what must be refused.

use super::handmade::{COUNT, Files, expected, version_1, version_2, webp};
use super::{difference, numbers, shared};
use crate::format::read_splats;
use crate::scene::SplatCloud;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The scene in a bundle of these files.
fn read_bundle(files: &Files) -> crate::Result<SplatCloud> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.sog");
    std::fs::write(&path, files.bundle()).expect("write");
    read_splats(&path)
}

#[track_caller]
fn assert_same(read: &SplatCloud, wanted: &SplatCloud) {
    assert_eq!((read.len(), read.sh_degree, read.antialiased), (wanted.len(), wanted.sh_degree, wanted.antialiased));
    // A few roundings of `f32` at values up to 16.
    let error = difference(numbers(read), numbers(wanted));
    assert!(error < 4e-6, "off by {error}:\n{read:?}\n{wanted:?}");
}

#[test]
fn both_versions_mean_what_the_format_says() {
    assert_same(&read_bundle(&version_2()).expect("version 2"), &expected(false));
    assert_same(&read_bundle(&version_1()).expect("version 1"), &expected(true));
}

#[test]
fn bundles_folders_and_descriptions_are_the_same_scene() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let files = version_2();
    files.write_to(folder.path());
    let bundled = read_bundle(&files).expect("bundle");
    assert_eq!(read_splats(folder.path()).expect("folder"), bundled);
    assert_eq!(read_splats(folder.path().join("meta.json")).expect("description"), bundled);
}

#[test]
fn a_scene_without_harmonics_or_without_splats_is_a_scene() {
    let mut files = version_2();
    files.edit_meta(|meta| drop(meta.as_object_mut().expect("object").remove("shN")));
    let read = read_bundle(&files).expect("no harmonics");
    assert_eq!((read.sh_degree, read.len(), read.sh_rest.len()), (0, COUNT, 0));
    let mut files = version_2();
    files.edit_meta(|meta| meta["shN"]["bands"] = json!(0));
    assert_eq!(read_bundle(&files).expect("degree 0").sh_degree, 0);
    let mut files = version_2();
    files.edit_meta(|meta| meta["count"] = json!(0));
    assert!(read_bundle(&files).expect("no splats").is_empty());
}

#[test]
fn quaternions_without_alpha_have_z_largest() {
    // An encoder that finds alpha 255 in every pixel writes none.
    let mut files = version_2();
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    let pixels = [128u8; 12];
    image::ImageEncoder::write_image(encoder, &pixels, 2, 2, image::ExtendedColorType::Rgb8).expect("encode");
    *files.file("quats.webp") = png;
    let read = read_bundle(&files).expect("read");
    assert!(read.quats.iter().all(|q| q[3] > 0.99), "{:?}", read.quats);
}

/// A change to `meta.json` at a path of keys like `means.mins`.
fn set(files: &Files, keys: &str, value: Value) -> Files {
    let mut files = files.clone();
    files.edit_meta(|meta| {
        let (last, parents) = keys.rsplit_once('.').map_or((keys, None), |(parents, last)| (last, Some(parents)));
        let target = parents.into_iter().flat_map(|p| p.split('.')).fold(meta, |at, key| &mut at[key]);
        target[last] = value;
    });
    files
}

fn with_file(files: &Files, name: &str, bytes: Vec<u8>) -> Files {
    let mut files = files.clone();
    *files.file(name) = bytes;
    files
}

fn without(files: &Files, name: &str) -> Files {
    Files(files.0.iter().filter(|(n, _)| n != name).cloned().collect())
}

#[test]
fn unusable_scenes_are_refused_in_one_sentence() {
    let (v1, v2) = (version_1(), version_2());
    let grey = {
        let mut png = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut png);
        image::ImageEncoder::write_image(encoder, &[0; 4], 2, 2, image::ExtendedColorType::L8).expect("encode");
        png
    };
    let truncated = |name: &str| {
        let mut files = v2.clone();
        let bytes = files.file(name);
        bytes.truncate(bytes.len() / 2);
        files
    };
    let half = |from: u8| (0..128).map(|_| json!(f64::from(from))).collect::<Vec<_>>();
    let cases = [
        ("no meta.json", without(&v2, "meta.json")),
        ("does not describe a SOG scene", with_file(&v2, "meta.json", b"{\"version\":2".to_vec())),
        ("does not describe a SOG scene", set(&v2, "scales.codebook", json!([1.0, null]))),
        ("is of SOG version 3", set(&v2, "version", json!(3))),
        ("does not say how many splats", set(&v2, "count", Value::Null)),
        ("does not say how many splats", set(&v1, "means.shape", json!([]))),
        ("2x2 pixels, fewer than the 5", set(&v2, "count", json!(5))),
        ("more than images can hold", set(&v2, "count", json!(1u64 << 40))),
        ("does not describe a SOG scene", set(&v2, "count", json!(-1))),
        ("bytes of images cannot hold", set(&v2, "count", json!(200_000_000))),
        ("'mins' and 'maxs' of 3 numbers", set(&v2, "means.mins", json!([0.0, 1.0]))),
        ("too large for numbers of 32 bits", set(&v2, "means.maxs", json!([0.0, 89.0, 0.0]))),
        ("too large for numbers of 32 bits", set(&v1, "scales.maxs", json!([1e300, 0.0, 0.0]))),
        ("codebook of 0 entries", set(&v2, "sh0.codebook", json!([]))),
        ("codebook of 257 entries", set(&v2, "scales.codebook", json!([0.5; 257].to_vec()))),
        ("too large for a number of 32 bits", set(&v2, "shN.codebook", json!([1e39]))),
        ("codebook entry that is not there at splat 1", set(&v2, "scales.codebook", json!(half(1)))),
        ("codebook entry that is not there at splat 0", set(&v2, "sh0.codebook", json!([1.0]))),
        ("codebook entry that is not there at palette entry 2", set(&v2, "shN.codebook", json!([1.0, 2.0]))),
        ("names 1 files for 'means' where there should be 2", set(&v2, "means.files", json!(["means_l.webp"]))),
        ("is not in the archive", set(&v2, "quats.files", json!(["other.webp"]))),
        ("leads outside", set(&v2, "quats.files", json!(["../../../etc/passwd"]))),
        ("no degree from 1 to 3", set(&v2, "shN.bands", json!(4))),
        ("no palette of degree 3", set(&v2, "shN.bands", json!(3))),
        ("no palette of degree 1, 2 or 3", with_file(&v1, "shN_centroids.webp", webp(96, 1, &[0; 384]))),
        ("indices of 16 bits reach 65536", set(&v2, "shN.count", json!(65537))),
        ("room for 128 palette entries, and there should be 129", set(&v2, "shN.count", json!(129))),
        ("palette entry 65, which is not there, at splat 2", set(&v2, "shN.count", json!(64))),
        ("damaged scene_from_world", set(&v2, "tessera", json!({"scene_from_world": [0, 0, 0, 0, 0, 0, 0, 1]}))),
        ("neither a WebP nor a PNG image", with_file(&v2, "sh0.webp", b"GIF89a".to_vec())),
        ("pixels of type L8", with_file(&v2, "scales.webp", grey)),
        ("cannot be decoded", truncated("means_u.webp")),
        ("cannot be decoded", truncated("quats.webp")),
        ("200x400 pixels, far more than the 3", with_file(&v2, "sh0.webp", webp(200, 400, &[7; 320_000]))),
        ("alpha 251 where 252 to 255 says", with_file(&v2, "quats.webp", webp(2, 2, &[251; 16]))),
    ];
    for (wanted, files) in cases {
        let error = read_bundle(&files).err().unwrap_or_else(|| panic!("'{wanted}' was read")).to_string();
        assert!(!error.contains('\n'), "{error}");
        assert!(error.contains(wanted), "wanted '{wanted}', got '{error}'");
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("scene.sog");
    for bytes in [&b""[..], b"PK\x03\x04", b"{}", &version_2().bundle()[..900]] {
        std::fs::write(&path, bytes).expect("write");
        let error = read_splats(&path).expect_err("no archive").to_string();
        assert!(error.contains("not a readable zip archive"), "{error}");
    }
    assert!(read_splats(folder.path().join("none.sog")).expect_err("missing").to_string().contains("does not exist"));
}

#[test]
fn constant_images_do_not_ask_for_memory() {
    // 16 million splats in a few hundred bytes: refused before an image is decoded.
    let mut files = set(&version_2(), "count", json!(16_000_000));
    let image = webp(4000, 4000, &vec![0; 4 * 16_000_000]);
    assert!(image.len() < 10_000, "{} bytes", image.len());
    for name in ["means_l.webp", "means_u.webp", "quats.webp", "scales.webp", "sh0.webp", "shN_labels.webp"] {
        *files.file(name) = image.clone();
    }
    let error = read_bundle(&files).expect_err("a bomb").to_string();
    assert!(error.contains("bytes of images cannot hold"), "{error}");
}

#[test]
fn a_scene_of_splat_transform_decodes_to_its_values() {
    let Some(path) = shared("playbot_lod3_sog") else { return println!("skipped: no development data") };
    let cloud = read_splats(&path).expect("playbot");
    assert_eq!((cloud.len(), cloud.sh_degree, cloud.antialiased), (31_000, 2, false));
    assert!(cloud.is_consistent() && numbers(&cloud).all(|v| v.is_finite()));
    let extent = |axis: usize| {
        let values = cloud.means.iter().map(|m| m[axis]);
        [values.clone().fold(f32::INFINITY, f32::min), values.fold(f32::NEG_INFINITY, f32::max)]
    };
    // e^|l| - 1 of the `mins` and `maxs` in its meta.json.
    let extents = [[-1.026_899, 1.029_27], [-1.081_237, 0.043_675_4], [-1.033_639, 1.036_273]];
    for axis in 0..3 {
        assert!(difference(&extent(axis), &extents[axis]) < 2e-5, "axis {axis}: {:?}", extent(axis));
    }
    // What splat-transform 2.7.1 and 3.7.0 make of splat 12,345.
    let i = 12_345;
    let near = |a: &[f32], b: &[f32]| assert!(difference(a, b) < 1e-6, "{a:?} is not {b:?}");
    near(&cloud.means[i], &[0.253_484_58, -0.018_810_75, -0.457_152_72]);
    near(&cloud.quats[i], &[-0.457_539_68, -0.557_366_55, 0.626_070_8, 0.296_707_54]);
    near(&cloud.log_scales[i], &[-7.419_039, -4.008_849, -6.854_618]);
    near(&cloud.opacity_logits[i..=i], &[-0.487_884_04]);
    near(&cloud.sh0[i], &[0.762_688_1, 0.794_629_93, 0.826_403_6]);
    // Its f_rest_0, f_rest_8 and f_rest_23: red and green of the first coefficient, blue of the last.
    let rest = &cloud.sh_rest[i * 24..][..24];
    near(&[rest[0], rest[1], rest[23]], &[-0.173_975_78, -0.335_677_68, -0.291_163_03]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn mutated_scenes_never_panic(
        first in any::<bool>(),
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        archive_edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut files = if first { version_1() } else { version_2() };
        let file = file.index(files.0.len());
        let bytes = &mut files.0[file].1;
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut bundle = files.bundle();
        for (at, value) in archive_edits {
            let at = at.index(bundle.len());
            bundle[at] = value;
        }
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("scene.sog");
        std::fs::write(&path, bundle).expect("write");
        if let Ok(read) = read_splats(&path) {
            prop_assert!(read.is_consistent());
            prop_assert!(numbers(&read).all(|v| v.is_finite()), "{read:?}");
        }
    }
}
