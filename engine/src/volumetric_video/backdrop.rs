//! The one colour behind a scene, where photos show one: a studio's wall, a made sky. Without it Gaussians must stand for it,
//! and they do so as fog before the cameras that were trained on.

use crate::Result;
use crate::frames::FrameSet;
use std::collections::BTreeMap;

/// Photos that are looked at.
const LOOKED_AT: usize = 24;
/// They are looked at in this size: longer side in pixels.
const SIDE: u32 = 160;
/// Colours as far apart as this, of 255, are one: noise and compression.
const SAME: i32 = 6;
/// Share of the pixels at the borders that a backdrop has at least.
const SHARE: f64 = 0.25;

/// The colour that much of the photos' borders has, if there is one and no photo is cut out.
///
/// # Errors
/// When a photo cannot be read.
pub fn common_backdrop(frames: &FrameSet) -> Result<Option<[f32; 3]>> {
    let mut borders: Vec<[u8; 3]> = Vec::new();
    let looked_at = frames.len().min(LOOKED_AT);
    for k in 0..looked_at {
        let i = k * frames.len() / looked_at;
        let camera = frames.camera(i);
        let frame = frames.load(i, camera.width.max(camera.height).div_ceil(SIDE))?;
        if frame.is_cut_out() {
            return Ok(None);
        }
        let image = &frame.pixels.image;
        let (width, height) = (image.width as usize, image.height as usize);
        let pixels = image.data.chunks_exact(usize::from(image.channels)).enumerate();
        let at_border = |i: usize| {
            i < width || i >= width * (height - 1) || i.is_multiple_of(width) || (i + 1).is_multiple_of(width)
        };
        borders.extend(
            pixels.filter(|(i, _)| at_border(*i)).map(|(_, p)| [p[0], p[p.len().min(3) / 2], p[p.len().min(3) - 1]]),
        );
    }
    Ok(most_common(&borders))
}

fn most_common(colours: &[[u8; 3]]) -> Option<[f32; 3]> {
    let mut counts: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    colours.iter().for_each(|colour| *counts.entry(*colour).or_default() += 1);
    let (most, _) = counts.iter().max_by_key(|(_, count)| **count)?;
    let near = |c: &&[u8; 3]| (0..3).all(|k| (i32::from(c[k]) - i32::from(most[k])).abs() <= SAME);
    let alike: Vec<&[u8; 3]> = colours.iter().filter(near).collect();
    let mean = |k: usize| alike.iter().map(|c| f64::from(c[k])).sum::<f64>() / (255.0 * alike.len() as f64);
    let is_common = alike.len() as f64 >= SHARE * colours.len() as f64;
    is_common.then(|| std::array::from_fn(|k| mean(k) as f32))
}

#[cfg(test)]
mod tests {
    use super::most_common;

    #[test]
    fn a_backdrop_is_found_under_noise_and_where_much_of_the_border_is_other() {
        let noisy = (0..300u32).map(|i| [150 + (i % 3) as u8, 167 - (i % 2) as u8, 200]);
        let other = (0..700u32).map(|i| [(i * 37 % 256) as u8, (i * 91 % 256) as u8, (i * 53 % 256) as u8]);
        let colours: Vec<[u8; 3]> = noisy.chain(other).collect();
        let found = most_common(&colours).expect("three tenths of the border are alike");
        for (got, wanted) in found.iter().zip([151.0, 166.5, 200.0]) {
            assert!((got * 255.0 - wanted).abs() < 1.0, "{found:?}");
        }
    }

    #[test]
    fn without_a_common_colour_there_is_no_backdrop() {
        let colours: Vec<[u8; 3]> = (0..1000u32).map(|i| [(i * 37 % 256) as u8, (i * 91 % 256) as u8, 7]).collect();
        assert_eq!(most_common(&colours), None);
        assert_eq!(most_common(&[]), None);
    }
}
