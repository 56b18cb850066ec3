//! What pages promise: bounded errors, exact sizes, and no harm from any bytes.

use super::*;
use crate::format::quantise::sigmoid;
use crate::scene::{SplatCloud, morton_order};
use nalgebra::{Quaternion, UnitQuaternion};
use proptest::prelude::*;
use std::f32::consts::FRAC_1_SQRT_2;
use std::f64::consts::SQRT_2;

/// Splats of every shape, from a seed.
pub(in crate::format::tiles) fn made(n: usize, sh_degree: u8, seed: u64) -> SplatCloud {
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut cloud = SplatCloud::with_capacity(n, sh_degree);
    for _ in 0..n {
        cloud.means.push([20.0 * random() - 3.0, random(), 5.0 * random()]);
        cloud.log_scales.push([-3.0 - 4.0 * random(), -5.0 * random() - 2.0, -4.0 - random()]);
        cloud.quats.push([random() - 0.5, random() - 0.5, random() - 0.5, 3.0 * random()]);
        cloud.opacity_logits.push(12.0 * random() - 6.0);
        cloud.sh0.push([random() - 0.3, 2.0 * random() - 1.0, random()]);
        let rest = 3 * SplatCloud::rest_coefficients(sh_degree);
        cloud.sh_rest.extend((0..rest).map(|_| (random() - 0.5).powi(3) * 4.0));
    }
    cloud
}

/// Encoded and decoded.
fn round_trip(cloud: &SplatCloud) -> SplatCloud {
    let page = encode(cloud);
    let harmonics = (!page.harmonics.is_empty()).then_some(page.harmonics.as_slice());
    decode(cloud.len(), cloud.sh_degree, &page.core, harmonics).expect("our own page")
}

fn angle(a: [f32; 4], b: [f32; 4]) -> f64 {
    let [a, b] = [a, b]
        .map(|[w, x, y, z]| UnitQuaternion::from_quaternion(Quaternion::new(w.into(), x.into(), y.into(), z.into())));
    a.angle_to(&b)
}

#[test]
fn splats_come_back_in_morton_order_within_the_stated_errors() {
    for degree in 0..4 {
        let cloud = made(3000, degree, 7);
        let expected = cloud.select(&morton_order(&cloud.means));
        let back = round_trip(&cloud);
        assert!(back.is_consistent() && back.len() == 3000 && back.sh_degree == degree);
        let mut middle: Vec<f32> = cloud
            .log_scales
            .iter()
            .map(|s| {
                let mut s = *s;
                s.sort_by(f32::total_cmp);
                s[1]
            })
            .collect();
        middle.sort_by(f32::total_cmp);
        let position = middle[150].exp() / 16.0;
        let scale = 10.0 / 255.0 / 2.0;
        let colour = 3.0 / 255.0 / 2.0;
        for i in 0..3000 {
            for k in 0..3 {
                assert!((back.means[i][k] - expected.means[i][k]).abs() <= position + 2e-6);
                assert!((back.log_scales[i][k] - expected.log_scales[i][k]).abs() <= scale);
                assert!((back.sh0[i][k] - expected.sh0[i][k]).abs() <= colour);
            }
            let [a, b] = [&back, &expected].map(|c| sigmoid(c.opacity_logits[i]));
            assert!((a - b).abs() <= 0.501 / 255.0);
            // Three components are off by ½ √2 / 1023 each, the fourth by up to √3 times as much as all of them; the angle
            // is twice the distance.
            assert!(angle(back.quats[i], expected.quats[i]) < 2.0 * 2.0 * 3f64.sqrt() * 0.5 * SQRT_2 / 1023.0);
        }
        // Three numbers that are off by half a step of 1/32 each, turned.
        let harmonics = back.sh_rest.iter().zip(&expected.sh_rest).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(harmonics <= 3f32.sqrt() / 64.0 + 1e-6, "harmonics are off by {harmonics}");
    }
}

#[test]
fn without_harmonics_the_core_is_a_scene_of_degree_0() {
    let cloud = made(100, 3, 1);
    let page = encode(&cloud);
    let plain = decode(100, 3, &page.core, None).expect("the core");
    assert_eq!((plain.sh_degree, plain.sh_rest.len()), (0, 0));
    assert_eq!(plain.means, round_trip(&cloud).means);
}

#[test]
fn encoding_what_was_decoded_changes_little_more() {
    let once = round_trip(&made(2000, 0, 3));
    let twice = round_trip(&once);
    // Order and positions are those of the first time, up to rounding in 32 bits.
    let moved = once.means.iter().zip(&twice.means).flat_map(|(a, b)| (0..3).map(|k| (a[k] - b[k]).abs()));
    assert!(moved.fold(0.0, f32::max) < 1e-3);
}

#[test]
fn a_page_made_by_hand_decodes_to_its_numbers() {
    let mut core = Vec::new();
    [1.0f64, 2.0, 3.0, 0.5, 0.25, 0.125].iter().for_each(|v| core.extend(v.to_le_bytes()));
    [-4.0f32, 0.25, -1.0, 0.125].iter().for_each(|v| core.extend(v.to_le_bytes()));
    core.extend([0; 8]);
    core.extend([4, 0, 0, 0, 1, 0, 0, 0, 1]); // q = 4, 256, 65536
    core.extend([0, 2, 4]);
    core.extend([255, 255, 0, 0b01_00_01_01]); // 511, 511, 0, and x is the largest
    core.extend([8, 248, 1, 255]); // green 8, red 8 - 8, blue 8 + 1, opaque
    let mut harmonics = Vec::new();
    [0.5f32, 0.0, 0.0].iter().for_each(|v| harmonics.extend(v.to_le_bytes()));
    harmonics.extend([0; 4]);
    harmonics.extend([2, 0, 0, 0, 0xff, 0, 0, 0, 3]);
    let [core, harmonics] = [core, harmonics].map(|bytes| stored(&bytes));
    let cloud = decode(1, 1, &core, Some(&harmonics)).expect("a page");
    assert_eq!(cloud.means, [[3.0, 66.0, 8195.0]]);
    assert_eq!(cloud.log_scales, [[-4.0, -3.5, -3.0]]);
    assert_eq!(cloud.sh0, [[-1.0, 0.0, 0.125]]);
    assert_eq!(cloud.opacity_logits, [crate::format::quantise::SATURATED]);
    let near = |a: &[f32], b: &[f32]| assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} is not {b:?}");
    let c = (511.0 / 1023.0 - 0.5) * std::f32::consts::SQRT_2;
    near(&cloud.quats[0], &[c, FRAC_1_SQRT_2, c, -FRAC_1_SQRT_2]);
    let [third, half, sixth] = [1.0f32 / 3.0, 0.5, 1.0 / 6.0].map(f32::sqrt);
    near(&cloud.sh_rest[..3], &[third; 3]);
    near(&cloud.sh_rest[3..6], &[-0.5 * half, 0.0, 0.5 * half]);
    near(&cloud.sh_rest[6..], &[1.5 * sixth, -3.0 * sixth, 1.5 * sixth]);
}

/// A deflate stream of one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let mut out = vec![1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
    out
}

#[test]
fn absurd_splats_come_back_finite() {
    let mut cloud = made(60, 1, 5);
    for i in 0..cloud.len() {
        match i % 6 {
            0 => cloud.means[i] = [f32::MAX, f32::MIN, 1e30],
            1 => cloud.log_scales[i] = [f32::MAX, f32::MIN, 0.0],
            2 => cloud.quats[i] = [0.0; 4],
            3 => cloud.opacity_logits[i] = f32::MAX,
            4 => cloud.sh0[i] = [f32::MAX, f32::MIN, 0.0],
            _ => cloud.sh_rest[i * 9..][..9].fill(f32::MAX),
        }
    }
    let back = round_trip(&cloud);
    let all = back.means.iter().chain(&back.log_scales).chain(&back.sh0).flatten().chain(back.quats.iter().flatten());
    assert!(all.chain(&back.opacity_logits).chain(&back.sh_rest).all(|v| v.is_finite()));
    assert!(round_trip(&SplatCloud::with_capacity(0, 2)).is_empty());
    assert_eq!(round_trip(&made(1, 3, 9)).len(), 1);
}

#[test]
fn pages_that_inflate_to_another_length_are_refused_before_they_do() {
    let page = encode(&made(100, 0, 2));
    for splats in [0, 99, 101, 65_536] {
        assert_eq!(decode(splats, 0, &page.core, None), Err(PageError::Length), "{splats}");
    }
    assert_eq!(decode(65_537, 0, &page.core, None), Err(PageError::Length));
    assert_eq!(decode(100, 0, &page.core[..page.core.len() - 1], None), Err(PageError::Length));
    let longer = [page.core.as_slice(), &[0]].concat();
    assert_eq!(decode(100, 0, &longer, None), Err(PageError::Length));
    // A gigabyte of zeros.
    let mut bomb = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        std::io::Write::write_all(&mut bomb, &vec![0; 4 << 20]).expect("in memory");
    }
    let bomb = bomb.finish().expect("in memory");
    assert_eq!(decode(100, 0, &bomb, None), Err(PageError::Length));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn any_header_and_planes_give_finite_splats_or_an_error(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        degree in 0u8..4,
    ) {
        // Inflated bytes are mutated, which mutations of deflated ones seldom reach.
        let n = 5;
        let coefficients = SplatCloud::rest_coefficients(degree);
        let mut core = vec![0x3f; core_bytes(n)];
        let mut harmonics = vec![0x3c; harmonics_bytes(n, coefficients)];
        for (at, value) in edits {
            // Headers more often than planes.
            let at = at.index(2 * core.len());
            if at < core.len() { core[at] = value } else { let i = at % CORE_HEADER; core[i] = value; harmonics[i % HARMONICS_HEADER] = value }
        }
        if let Ok(cloud) = decode(n, degree, &stored(&core), Some(&stored(&harmonics))) {
            prop_assert!(cloud.is_consistent());
            let all = cloud.means.iter().chain(&cloud.log_scales).chain(&cloud.sh0).flatten().chain(cloud.quats.iter().flatten());
            prop_assert!(all.chain(&cloud.opacity_logits).chain(&cloud.sh_rest).all(|v| v.is_finite()), "{cloud:?}");
        }
    }

    #[test]
    fn mutated_pages_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let page = encode(&made(50, 1, 4));
        let mut bytes = [page.core.as_slice(), &page.harmonics].concat();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (core, harmonics) = bytes.split_at(page.core.len().min(bytes.len()));
        let _ = decode(50, 1, core, Some(harmonics));
    }
}
