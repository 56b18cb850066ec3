//! Metrics against values that are known.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const SIZE: (usize, usize) = (40, 30);

fn random_image(seed: u64, range: [f32; 2]) -> Vec<f32> {
    let mut rng = Pcg64::seed_from_u64(seed);
    (0..3 * SIZE.0 * SIZE.1).map(|_| range[0] + (range[1] - range[0]) * rng.random::<f32>()).collect()
}

fn target(rgb: Vec<f32>, weight: Option<Vec<f32>>) -> Target {
    Target { width: SIZE.0, height: SIZE.1, rgb, weight, alpha: None }
}

/// A weight that leaves out the left half.
fn right_half() -> Vec<f32> {
    (0..SIZE.0 * SIZE.1).map(|p| if p % SIZE.0 < SIZE.0 / 2 { 0.0 } else { 1.0 }).collect()
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
}

#[test]
fn a_difference_of_a_tenth_everywhere_has_20_db() {
    let (image, target) = (vec![0.6; 12], vec![0.5; 12]);
    near(psnr(&image, &target, None), 20.0, 1e-5);
    near(psnr(&image, &target, Some(&[1.0, 0.0, 0.25, 0.0])), 20.0, 1e-5);
    assert_eq!(psnr(&target, &target, None), MAX_PSNR);
    assert_eq!(psnr(&image, &target, Some(&[0.0; 4])), MAX_PSNR);
}

#[test]
fn renderings_are_rounded_to_8_bits_before_they_are_compared() {
    let mut values = [-0.5, 0.001, 0.5, 0.998, 7.0, f32::NAN, f32::INFINITY];
    quantise(&mut values);
    assert_eq!(values, [0.0, 0.0, 128.0 / 255.0, 254.0 / 255.0, 1.0, 0.0, 1.0]);
    let photo = target(vec![51.0 / 255.0; 3 * SIZE.0 * SIZE.1], None);
    let metrics = ImageMeter::default().measure(&vec![0.2005; 3 * SIZE.0 * SIZE.1], &photo);
    assert_eq!((metrics.psnr, metrics.ssim), (MAX_PSNR, 1.0));
}

#[test]
fn pixels_of_weight_zero_count_in_no_metric() {
    let photo = random_image(1, [0.2, 0.8]);
    let mut rendered = photo.clone();
    rendered.iter_mut().for_each(|v| *v += 0.05);
    let mut meter = ImageMeter::default();
    let target = target(photo, Some(right_half()));
    let expected = meter.measure(&rendered, &target);
    let mut spoilt = rendered;
    for (value, p) in spoilt.iter_mut().zip((0..SIZE.0 * SIZE.1).cycle()) {
        if p % SIZE.0 < SIZE.0 / 2 {
            *value = 0.9;
        }
    }
    assert_eq!(meter.measure(&spoilt, &target), expected);
    near(expected.psnr, -20.0 * 0.05_f64.log10(), 0.05);
}

#[test]
fn an_affine_change_of_colours_is_undone() {
    let rendered = random_image(2, [0.1, 0.9]);
    let pixels = SIZE.0 * SIZE.1;
    let map = [[0.7, 0.1, 0.0, 0.05], [0.0, 0.8, 0.1, 0.02], [0.1, 0.0, 0.6, 0.1]];
    let photo: Vec<f32> = (0..3 * pixels)
        .map(|i| {
            let (row, p) = (map[i / pixels], i % pixels);
            row[3] + (0..3).map(|c| row[c] * rendered[c * pixels + p]).sum::<f32>()
        })
        .collect();
    let corrected = colour_corrected(&rendered, &photo, None);
    assert!(psnr(&rendered, &photo, None) < 25.0);
    let psnr = psnr(&corrected, &photo, None);
    assert!(psnr > 80.0, "{psnr} dB after correction");
}

#[test]
fn saturated_and_uncounted_pixels_do_not_bend_the_correction() {
    let rendered = random_image(3, [0.3, 0.7]);
    let mut photo: Vec<f32> = rendered.iter().map(|v| 0.9 * v + 0.05).collect();
    let weight = right_half();
    for (value, p) in photo.iter_mut().zip((0..SIZE.0 * SIZE.1).cycle()) {
        // The upper half of what counts is blown out; what does not count is wrong.
        *value = if weight[p] == 0.0 {
            0.1
        } else if p < SIZE.0 * SIZE.1 / 2 {
            1.0
        } else {
            *value
        };
    }
    let corrected = colour_corrected(&rendered, &photo, Some(&weight));
    for i in (0..corrected.len()).filter(|i| weight[i % (SIZE.0 * SIZE.1)] == 1.0) {
        near(f64::from(corrected[i]), f64::from(0.9 * rendered[i] + 0.05), 1e-4);
    }
}

#[test]
fn correcting_never_makes_an_image_worse() {
    // A dark subject, rendered too bright, before a white background that nothing of the fit speaks for.
    let dark = |i: usize| i % (SIZE.0 * SIZE.1) < SIZE.0 * SIZE.1 / 8;
    let noise = random_image(4, [0.1, 0.3]);
    let photo: Vec<f32> = (0..noise.len()).map(|i| if dark(i) { noise[i] } else { 1.0 }).collect();
    let rendered: Vec<f32> = (0..noise.len()).map(|i| if dark(i) { 0.35 - 0.5 * noise[i] } else { 0.99 }).collect();
    let corrected = colour_corrected(&rendered, &photo, None);
    let (before, after) = (psnr(&rendered, &photo, None), psnr(&corrected, &photo, None));
    assert!(after >= before, "{before} dB became {after} dB");
}

#[test]
fn an_image_that_cannot_tell_is_left_alone_where_nothing_says_otherwise() {
    // All saturated: there is no evidence at all.
    let white = vec![1.0; 12];
    assert_eq!(colour_corrected(&white, &[0.5; 12], None), white);
    // One colour: the fit is not unique but reaches the target.
    let corrected = colour_corrected(&[0.4; 12], &[0.5; 12], None);
    corrected.iter().for_each(|&v| near(f64::from(v), 0.5, 1e-4));
}
