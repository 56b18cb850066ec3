//! What `.splat` files promise.

use crate::format::made::{angle_between, cloud, clouds, damage, difference, read, refused, written};
use crate::format::quantise::{colour_of_sh0, sigmoid};
use crate::format::{SplatFormat, WriteOptions};
use proptest::prelude::*;

const FORMAT: SplatFormat = SplatFormat::Splat;

#[test]
fn splats_that_matter_come_first() {
    let cloud = cloud(500, 0, 1.0, 4);
    let read = read(&written(&cloud, FORMAT, &WriteOptions::default()), FORMAT).expect("read");
    assert_eq!(read.len(), 500);
    let weight = |i: usize| f64::from(read.log_scales[i].iter().sum::<f32>().exp() * sigmoid(read.opacity_logits[i]));
    // Opacities are in 8 bits, so that those near 0 are known to half of 1/255 only.
    let slack = |i: usize| f64::from(read.log_scales[i].iter().sum::<f32>().exp()) * 0.51 / 255.0;
    for i in 1..500 {
        assert!(weight(i) - slack(i) <= weight(i - 1) + slack(i - 1), "splat {i} weighs more than the one before");
    }
}

#[test]
fn damaged_splats_are_named() {
    let good = written(&cloud(3, 0, 1.0, 1), FORMAT, &WriteOptions::default());
    let with = |at: usize, value: f32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        refused(&bytes, FORMAT)
    };
    assert!(with(32 + 8, f32::NAN).contains("a position that is not finite at splat 1"));
    assert!(with(64 + 12, -1.0).contains("a scale that is negative or not finite at splat 2"));
    assert!(with(64 + 16, f32::INFINITY).contains("a scale that is negative or not finite at splat 2"));
    assert!(refused(&good[..95], FORMAT).contains("has 95 bytes"));
}

#[test]
fn extremes_of_other_programs_are_understood() {
    let mut bytes = written(&cloud(1, 0, 1.0, 1), FORMAT, &WriteOptions::default());
    bytes[20..32].copy_from_slice(&[0, 0, 0, 0, 0, 255, 0, 255, 128, 128, 128, 128]);
    let read = read(&bytes, FORMAT).expect("read");
    assert_eq!((read.log_scales[0][2], read.opacity_logits[0]), (-40.0, 40.0));
    assert_eq!(read.quats[0], [1.0, 0.0, 0.0, 0.0]);
}

proptest! {
    #[test]
    fn a_scene_comes_back_to_the_stated_precision(cloud in clouds()) {
        let bytes = written(&cloud, FORMAT, &WriteOptions { keep_order: true, ..WriteOptions::default() });
        prop_assert_eq!(bytes.len(), 32 * cloud.len());
        let read = read(&bytes, FORMAT).expect("read");
        prop_assert_eq!(&read.means, &cloud.means);
        // exp and ln round at values up to 8.
        let error = difference(read.log_scales.as_flattened(), cloud.log_scales.as_flattened());
        prop_assert!(error < 2e-6, "scales off by {error}");
        for i in 0..cloud.len() {
            let angle = angle_between(read.quats[i], cloud.quats[i]);
            // Components are off by 1/256, one near 1 by 1/128: a chord of at most sqrt(7)/256, twice that as an angle.
            prop_assert!(angle < 1.19, "splat {i} turned by {angle} degrees");
            let error = (sigmoid(read.opacity_logits[i]) - sigmoid(cloud.opacity_logits[i])).abs();
            prop_assert!(error < 0.501 / 255.0, "opacity off by {error}");
            for channel in 0..3 {
                let (is, was) = (colour_of_sh0(read.sh0[i][channel]), colour_of_sh0(cloud.sh0[i][channel]));
                prop_assert!((is - was.clamp(0.0, 1.0)).abs() < 0.501 / 255.0, "colour {was} became {is}");
            }
        }
    }

    #[test]
    fn damaged_files_never_panic(damage in damage()) {
        let bytes = damage.apply(&written(&cloud(9, 0, 1.0, 3), FORMAT, &WriteOptions::default()));
        let _ = read(&bytes, FORMAT);
    }
}
