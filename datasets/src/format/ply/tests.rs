//! What the PLY readers and writers promise.

use super::*;
use crate::camera::Similarity;
use crate::capture::Point;
use crate::format::stream::SplatHeader;
use crate::format::{AtomicFile, Existing, read_splats as read_any, write_splats as write_any};
use crate::scene::SplatCloud;
use nalgebra::{Translation3, UnitQuaternion};
use proptest::prelude::*;

const HERE: &str = "cloud.ply";

/// Splats with a different number in every place.
fn cloud(n: usize, sh_degree: u8) -> SplatCloud {
    let mut next = 0.0;
    let mut number = || {
        next += 0.25;
        next
    };
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for _ in 0..n {
        cloud.means.push([number(), number(), number()]);
        cloud.log_scales.push([-number(), -number(), -number()]);
        cloud.quats.push([number(), number(), -number(), number()]);
        cloud.opacity_logits.push(number());
        cloud.sh0.push([number(), number(), number()]);
        cloud.sh_rest.extend((0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|_| number()));
    }
    cloud
}

fn bytes_of(cloud: &SplatCloud) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(HERE);
    write_splats(&path, cloud, Existing::Keep).expect("write");
    std::fs::read(path).expect("read")
}

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    for degree in 0..=3 {
        let mut cloud = cloud(2500, degree);
        cloud.antialiased = degree % 2 == 1;
        if degree > 1 {
            let turn = UnitQuaternion::from_euler_angles(0.1, 0.2, 0.3);
            cloud.scene_from_world = Similarity::from_parts(Translation3::new(1.0 / 3.0, -2e7, 3.0), turn, 0.01234);
        }
        let read = parse_splats(&bytes_of(&cloud), HERE.as_ref()).expect("read");
        let error = (read.scene_from_world.to_homogeneous() - cloud.scene_from_world.to_homogeneous()).amax();
        assert!(error < 1e-6, "scene_from_world is off by {error}");
        let read = SplatCloud { scene_from_world: cloud.scene_from_world, ..read };
        assert!(read == cloud, "degree {degree} changed");
    }
}

/// The same vertices in the other encodings.
fn recoded(bytes: &[u8], floats: usize, ascii: bool) -> Vec<u8> {
    let end = bytes.windows(11).position(|w| w == b"end_header\n").expect("header") + 11;
    let header = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let numbers = bytes[end..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
    if ascii {
        let numbers: Vec<String> = numbers.map(|v| v.to_string()).collect();
        let rows: Vec<String> = numbers.chunks(floats).map(|row| row.join(" ") + "\r\n").collect();
        (header.replace("binary_little_endian", "ascii") + &rows.concat()).into_bytes()
    } else {
        let header = header.replace("little", "big").into_bytes();
        header.into_iter().chain(numbers.flat_map(f32::to_be_bytes)).collect()
    }
}

#[test]
fn ascii_and_big_endian_hold_the_same_splats() {
    let cloud = cloud(7, 2);
    let bytes = bytes_of(&cloud);
    for ascii in [true, false] {
        let read = parse_splats(&recoded(&bytes, 17 + 24, ascii), HERE.as_ref()).expect("read");
        assert!(read == cloud, "ascii: {ascii}");
    }
}

#[test]
fn elements_before_the_vertices_are_stepped_over() {
    let cloud = cloud(3, 0);
    let text = bytes_of(&cloud);
    let at = text.windows(14).position(|w| w == b"element vertex").expect("header");
    let end = text.windows(11).position(|w| w == b"end_header\n").expect("header") + 11;
    let extra = b"element camera 2\nproperty list uchar double k\nproperty short id\n";
    let body = [[2].as_slice(), &[0; 16], &[7, 0], &[0], &[9, 0]].concat();
    let bytes = [&text[..at], extra, &text[at..end], &body, &text[end..]].concat();
    assert!(parse_splats(&bytes, HERE.as_ref()).expect("read") == cloud);
}

#[test]
fn unusable_files_are_refused_in_one_sentence() {
    let good = bytes_of(&cloud(100, 1));
    let text = String::from_utf8_lossy(&good).into_owned();
    let with = |from: &str, to: &str| {
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).expect("in header");
        [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
    };
    let mut nan = good.clone();
    let body = good.len() - 100 * 26 * 4;
    nan[body + 26 * 4 * 41..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases: [(&str, Vec<u8>); 12] = [
        ("is not a PLY file", b"PK\x03\x04".to_vec()),
        ("is not a PLY file", Vec::new()),
        ("header without an end", good[..200].to_vec()),
        ("ends before its 100 vertex rows do (at most 99 fit in it)", good[..good.len() - 1].to_vec()),
        ("ends before its 18446744073709551615 vertex rows", with("vertex 100", "vertex 18446744073709551615")),
        ("bad count in 'element vertex -3'", with("vertex 100", "vertex -3")),
        ("no property 'opacity'", with("float opacity", "float density")),
        ("has 8 f_rest properties", with("float f_rest_8", "float unknown_")),
        ("no SH degree", with("float f_rest_8", "float f_rest_9")),
        ("repeated property", with("float f_rest_8", "float f_rest_7")),
        ("not finite at splat 41", nan),
        ("bad encoding", with("binary_little_endian", "zipped")),
    ];
    assert!(text.starts_with("ply\n"));
    for (expected, bytes) in cases {
        let error = parse_splats(&bytes, HERE.as_ref()).err();
        let error = error.unwrap_or_else(|| panic!("'{expected}' was read")).to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "wanted '{expected}', got '{error}'");
    }
}

#[test]
fn what_other_programs_write_for_extremes_is_understood() {
    let mut cloud = cloud(2, 0);
    cloud.opacity_logits = vec![f32::INFINITY, f32::NEG_INFINITY];
    cloud.log_scales[1][2] = f32::NEG_INFINITY;
    cloud.quats[0] = [0.0; 4];
    let read = parse_splats(&bytes_of(&cloud), HERE.as_ref()).expect("read");
    assert_eq!(read.opacity_logits, [40.0, -40.0]);
    assert_eq!(read.log_scales[1][2], -40.0);
    assert_eq!(read.quats[0], [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn existing_files_are_kept_unless_forced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("a.PLY");
    write_any(&path, &cloud(1, 0), false).expect("new");
    let error = write_any(&path, &cloud(2, 0), false).expect_err("in the way").to_string();
    assert!(error.contains("exists already") && error.contains("--force"), "{error}");
    assert_eq!(read_any(&path).expect("kept").len(), 1);
    write_any(&path, &cloud(2, 0), true).expect("forced");
    assert_eq!(read_any(&path).expect("replaced").len(), 2);

    let mut broken = cloud(2, 1);
    broken.sh_rest.pop();
    write_any(&path, &broken, true).expect_err("one number is missing");
    assert_eq!(read_any(&path).expect("untouched").len(), 2);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("list").collect();
    assert_eq!(left.len(), 1, "no temporary file is left");

    let error = read_any("scene.xyz").expect_err("extension").to_string();
    assert!(error.contains(".ply"), "{error} lists what is supported");
}

#[test]
fn point_clouds_round_trip_and_faces_are_ignored() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("points.ply");
    let point = |i: u8| Point { position: [f64::from(i) / 3.0, -1e9, 0.5], colour: [i, 2, 255 - i] };
    let points: Vec<Point> = (0..200).map(point).collect();
    write_points(&path, &points, Existing::Keep).expect("write");
    assert_eq!(read_points(&path).expect("read"), points);

    let text = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n\
        property float red\nproperty float green\nproperty float blue\nelement face 1\n\
        property list uchar int vertex_indices\nend_header\n1 2 3 0 0.5 1\n\n4 5 6 1 1 1\n3 0 1 1\n";
    let read = parse_points(text.as_bytes(), HERE.as_ref()).expect("ascii");
    assert_eq!(read[0], Point { position: [1.0, 2.0, 3.0], colour: [0, 128, 255] });
    let plain = text.replace("float red", "float a").replace("0.5", "nonsense");
    let error = parse_points(plain.as_bytes(), HERE.as_ref()).expect_err("words").to_string();
    assert!(error.contains("'nonsense' where a number"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn mutated_files_never_panic(
        ascii in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        digits in "[0-9]{0,20}",
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut bytes = bytes_of(&cloud(5, 1));
        if ascii {
            bytes = recoded(&bytes, 26, true);
        }
        let at = bytes.windows(7).position(|w| w == b"vertex ").expect("header") + 7;
        bytes.splice(at..=at, digits.bytes());
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = parse_splats(&bytes, HERE.as_ref()) {
            prop_assert!(read.means.iter().flatten().all(|v| v.is_finite()));
            prop_assert_eq!(read.sh_rest.len(), read.len() * 3 * SplatCloud::rest_coefficients(read.sh_degree));
        }
        let _ = parse_points(&bytes, HERE.as_ref());
    }
}

#[test]
fn the_count_is_what_came_and_not_what_was_announced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let cloud = cloud(1234, 2);
    let expected = bytes_of(&cloud);
    for announced in [0, 1233, u64::MAX] {
        let path = folder.path().join(format!("{announced}.ply"));
        let header = SplatHeader { count: announced, ..SplatHeader::of(&cloud) };
        let mut sink = create_splats(AtomicFile::create(&path, Existing::Keep).expect("new"), &header).expect("new");
        for start in (0..1234).step_by(617) {
            let mut chunk = header.empty_cloud(0);
            chunk.append_range(&cloud, start..start + 617);
            sink.put(&chunk).expect("put");
        }
        assert!(!path.exists());
        sink.finish().expect("finish");
        assert!(std::fs::read(&path).expect("read") == expected, "{announced} were announced");
    }
}
