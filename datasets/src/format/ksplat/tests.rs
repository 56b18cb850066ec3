//! What `.ksplat` files are read as. They are put together here by hand.

use super::{HEADER, SECTION_HEADER};
use crate::format::SplatFormat;
use crate::format::made::{damage, difference, read, refused};
use crate::scene::SplatCloud;
use half::f16;
use proptest::prelude::*;

const FORMAT: SplatFormat = SplatFormat::Ksplat;
/// Buckets of two, two and one splats.
const SPLATS: usize = 5;
const BLOCK: f32 = 8.0;

fn put(bytes: &mut [u8], at: usize, value: impl AsRef<[u8]>) {
    bytes[at..at + value.as_ref().len()].copy_from_slice(value.as_ref());
}

/// Two sections (and room for a third) of the same splats, the second of degree 0.
fn file(level: u16, sh_degree: u16) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + 3 * SECTION_HEADER];
    bytes[1] = 1;
    put(&mut bytes, 4, 3u32.to_le_bytes());
    put(&mut bytes, 8, 2u32.to_le_bytes());
    put(&mut bytes, 16, (2 * SPLATS as u32).to_le_bytes());
    put(&mut bytes, 20, level.to_le_bytes());
    put(&mut bytes, 36, (-2f32).to_le_bytes());
    put(&mut bytes, 40, 2f32.to_le_bytes());
    for (i, degree) in [sh_degree, 0].into_iter().enumerate() {
        let header = &mut bytes[HEADER + i * SECTION_HEADER..][..SECTION_HEADER];
        for (at, value) in [(0, 5u32), (4, 6), (8, 2), (12, 3), (24, 32_767), (32, 2), (36, 1)] {
            put(header, at, value.to_le_bytes());
        }
        put(header, 16, BLOCK.to_le_bytes());
        put(header, 20, 12u16.to_le_bytes());
        put(header, 40, degree.to_le_bytes());
        bytes.extend_from_slice(&1u32.to_le_bytes());
        for bucket in 0..3 {
            bytes.extend_from_slice([bucket as f32, 10.0, -3.0].map(f32::to_le_bytes).as_flattened());
        }
        (0..SPLATS).for_each(|splat| bytes.extend(row(level, degree, splat)));
        // Room for a sixth.
        bytes.extend(vec![0; row(level, degree, 0).len()]);
    }
    bytes
}

fn row(level: u16, sh_degree: u16, splat: usize) -> Vec<u8> {
    let mut row = Vec::new();
    let number = |row: &mut Vec<u8>, value: f32| match level {
        0 => row.extend_from_slice(&value.to_le_bytes()),
        _ => row.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
    };
    match level {
        0 => row.extend_from_slice([splat as f32, 10.5, -3.5].map(f32::to_le_bytes).as_flattened()),
        // The centre, and a quarter and a half of the way to the sides of the block.
        _ => row.extend_from_slice([32_767u16, 32_767 + 8192, 32_767 - 16_384].map(u16::to_le_bytes).as_flattened()),
    }
    [1.0, 0.5, 0.0].into_iter().for_each(|scale| number(&mut row, scale));
    [0.5, -0.5, 0.5, -0.5].into_iter().for_each(|q| number(&mut row, q));
    row.extend_from_slice(&[0, 255, 51, 255]);
    // Each coefficient is its place in the file.
    for place in 0..3 * SplatCloud::rest_coefficients(sh_degree as u8) {
        match level {
            2 => row.push(place as u8),
            _ => number(&mut row, place as f32),
        }
    }
    row
}

#[test]
fn all_levels_and_degrees_mean_what_the_format_says() {
    for level in 0..3 {
        for sh_degree in 0..4u16 {
            let cloud = read(&file(level, sh_degree), FORMAT).expect("read");
            assert_eq!((cloud.len(), u16::from(cloud.sh_degree)), (2 * SPLATS, sh_degree));
            for splat in 0..SPLATS {
                let expected = match level {
                    0 => [splat as f32, 10.5, -3.5],
                    _ => [(splat / 2) as f32, 11.0, -5.0],
                };
                // The steps of positions do not divide the block evenly.
                assert!(difference(&cloud.means[splat], &expected) < 2e-4, "level {level}: {:?}", cloud.means[splat]);
            }
            assert!(difference(&cloud.log_scales[3], &[0.0, 0.5f32.ln(), -40.0]) < 1e-6);
            assert_eq!(cloud.quats[9], [0.5, -0.5, 0.5, -0.5]);
            assert_eq!(cloud.opacity_logits[0], 40.0);
            assert!(difference(&cloud.sh0[0], &[-0.5, 0.5, -0.3].map(|c| c / 0.282_094_8)) < 1e-5);
            let value = |place: usize| if level == 2 { place as f32 / 255.0 * 4.0 - 2.0 } else { place as f32 };
            if sh_degree > 0 {
                // Blue of the second coefficient of degree 1 comes after three of red, three of green and one of blue.
                assert!((cloud.sh_rest[3 + 2] - value(7)).abs() < 1e-5, "{:?}", &cloud.sh_rest[..9]);
            }
            if sh_degree == 3 {
                let last = 3 * SplatCloud::rest_coefficients(3) - 1;
                assert!((cloud.sh_rest[last] - value(last)).abs() < 1e-5);
                // Green of the first coefficient of degree 2.
                assert!((cloud.sh_rest[3 * 3 + 1] - value(9 + 5)).abs() < 1e-5);
            }
            let second = &cloud.sh_rest[cloud.sh_rest.len() / 2..];
            assert!(second.iter().all(|&c| c == 0.0), "the second section has none");
        }
    }
}

#[test]
fn unusable_files_are_refused_in_one_sentence() {
    let with = |at: usize, value: &[u8]| {
        let mut bytes = file(1, 1);
        put(&mut bytes, at, value);
        refused(&bytes, FORMAT)
    };
    let good = file(1, 1);
    let most = u32::MAX.to_le_bytes();
    let cases = [
        ("too short", refused(&good[..4000], FORMAT)),
        ("it says 1.1", with(0, &[1])),
        ("it says 0.0", with(1, &[0])),
        ("compression level 3", with(20, &[3])),
        ("claims 9 splats and has sections with 10", with(16, &[9])),
        ("ends in the middle", with(4, &most)),
        ("degree 4", with(HEADER + 40, &[4])),
        ("no place for them", with(HEADER, &most)),
        ("no place for them", with(HEADER, &[7])),
        ("no place for them", with(HEADER + 12, &most)),
        ("no place for them", refused(&good[..good.len() - 200], FORMAT)),
        ("buckets of an unknown layout", with(HEADER + 20, &[8])),
        ("whose buckets hold 3", with(HEADER + 8, &[1])),
        ("not finite at splat 0", with(HEADER + 3 * SECTION_HEADER + 4 + 36 + 12, &[0, 0x7c])),
        ("scale that is negative", with(HEADER + 3 * SECTION_HEADER + 4 + 36 + 6, &[0, 0xbc])),
    ];
    for (wanted, error) in cases {
        assert!(error.contains(wanted), "wanted '{wanted}', got '{error}'");
    }
}

#[test]
fn a_file_of_another_program_is_read() {
    let data = std::env::var_os("TESSERA_DATA")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").into(), std::path::PathBuf::from);
    let Ok(bytes) = std::fs::read(data.join("splats/minimal.ksplat")) else {
        return println!("skipped: no development data");
    };
    assert_eq!(read(&bytes, FORMAT).expect("minimal").len(), 4);
}

proptest! {
    #[test]
    fn damaged_files_never_panic(damage in damage(), level in 0u16..3, header_only in any::<bool>()) {
        let good = file(level, 2);
        // Most bytes of the headers mean nothing; edits beside them would be rare otherwise.
        let bytes = if header_only {
            let start = [&good[..48], &good[HEADER..HEADER + 48]].concat();
            let start = damage.apply(&start);
            let mut bytes = good;
            let split = start.len().min(48);
            put(&mut bytes, 0, &start[..split]);
            put(&mut bytes, HEADER, &start[split..]);
            bytes
        } else {
            damage.apply(&good)
        };
        let _ = read(&bytes, FORMAT);
    }
}
