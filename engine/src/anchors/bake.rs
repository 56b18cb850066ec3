//! From anchors to splats that any program draws. What a decoder makes depends on the view in ways that splats cannot follow; this is
//! what comes near:
//!
//! - opacity is the mean over the views that see the anchor, those in which the Gaussian is not kept counting as 0;
//! - scales and rotation are what the decoder makes of the mean of the directions;
//! - colours are harmonics fitted to those of all views, with opacities as weights.

use super::model::AnchorModel;
use super::painter::Part;
use super::sight::seen;
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;
use tessera_datasets::camera::Similarity;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::anchor_decoder::{AnchorDecoder, Decoding, Gaze, Keep};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::MIN_ALPHA;
use tessera_kernels::splat::spherical_harmonics::{Y0, basis, count};

/// Pull of the harmonics above degree 0 towards zero, as a share of the weight of all views: few views do not tell all of them.
const RIDGE: f64 = 0.002;

/// Sums over views of what a slot became.
struct Fit {
    /// Harmonics of the fit, degree 0 included.
    terms: usize,
    /// `[slots]`
    opacity: Vec<f32>,
    /// `[slots, terms (terms + 1) / 2]`, the weighted products of harmonics.
    products: Vec<f32>,
    /// `[slots, terms, 3]`, those of harmonics and colours less one half.
    colours: Vec<f32>,
    /// `[anchors, 3]`, sum of directions.
    directions: Vec<f32>,
    /// `[anchors]`, views.
    views: Vec<f32>,
}

/// The splats of the anchors that some of `views` see, in the capture's world.
pub(super) fn bake<'v>(
    part: &Part<'_>,
    decoder: AnchorDecoder,
    views: impl Iterator<Item = &'v View>,
    sh_degree: u8,
    scene_from_world: Similarity,
) -> SplatCloud {
    let mut decoding = Decoding::new(decoder);
    let fit = look(part, decoder, &mut decoding, views, sh_degree);
    let chosen: Vec<u32> =
        part.inside.iter().enumerate().filter(|(row, _)| fit.views[*row] > 0.0).map(|(_, &anchor)| anchor).collect();
    let rows: Vec<usize> = (0..part.inside.len()).filter(|&row| fit.views[row] > 0.0).collect();
    let directions: Vec<f32> = rows.iter().flat_map(|&row| mean_direction(&fit.directions[3 * row..])).collect();
    let slots: Vec<u32> = (0..(chosen.len() * decoder.offsets) as u32).collect();
    let gaze = Gaze::Along(&directions);
    let made = decoding.forward(part.parameters, &part.model.anchors(), &chosen, gaze, Keep::Slots(&slots));

    let slot_of = |i: usize| rows[i / decoder.offsets] * decoder.offsets + i % decoder.offsets;
    let opacity = |i: usize| fit.opacity[slot_of(i)] / fit.views[rows[i / decoder.offsets]];
    let kept: Vec<usize> = (0..slots.len()).filter(|&i| opacity(i) >= MIN_ALPHA).collect();
    let coefficients: Vec<Vec<f32>> = kept.par_iter().map(|&i| fit.solve(slot_of(i))).collect();
    let row = |values: &[f32], i: usize| -> [f32; 3] { std::array::from_fn(|c| values[3 * i + c]) };
    SplatCloud {
        sh_degree,
        means: kept.iter().map(|&i| row(&made.means, i)).collect(),
        log_scales: kept.iter().map(|&i| row(&made.scales, i).map(f32::ln)).collect(),
        quats: kept.iter().map(|&i| std::array::from_fn(|c| made.quats[4 * i + c])).collect(),
        opacity_logits: kept.iter().map(|&i| opacity(i).min(0.9999)).map(|o| (o / (1.0 - o)).ln()).collect(),
        sh0: coefficients.iter().map(|of_splat| row(of_splat, 0)).collect(),
        sh_rest: coefficients.iter().flat_map(|of_splat| of_splat[3..].iter().copied()).collect(),
        antialiased: false,
        scene_from_world,
    }
    .into_world()
}

/// Decodes the anchors from every view.
fn look<'v>(
    part: &Part<'_>,
    decoder: AnchorDecoder,
    decoding: &mut Decoding,
    views: impl Iterator<Item = &'v View>,
    sh_degree: u8,
) -> Fit {
    let (anchors, terms) = (part.inside.len(), count(sh_degree));
    let slots = anchors * decoder.offsets;
    let pairs = terms * (terms + 1) / 2;
    let mut fit = Fit {
        terms,
        opacity: vec![0.0; slots],
        products: vec![0.0; slots * pairs],
        colours: vec![0.0; slots * terms * 3],
        directions: vec![0.0; 3 * anchors],
        views: vec![0.0; anchors],
    };
    for view in views {
        let chosen = seen(view, part.model, Some(&part.inside));
        // Both lists ascend, so the row of each anchor is found by walking along.
        let mut row = 0;
        let rows: Vec<usize> = chosen
            .iter()
            .map(|anchor| {
                row += part.inside[row..].partition_point(|inside| inside < anchor);
                row
            })
            .collect();
        let centre = view.position();
        let made = decoding.forward(part.parameters, &part.model.anchors(), &chosen, Gaze::From(centre), Keep::Opaque);
        let directions: Vec<[f32; 3]> =
            chosen.iter().map(|&anchor| direction(part.model, anchor as usize, centre)).collect();
        for (&row, direction) in rows.iter().zip(&directions) {
            fit.views[row] += 1.0;
            fit.directions[3 * row..][..3].iter_mut().zip(direction).for_each(|(sum, d)| *sum += d);
        }
        for (m, &slot) in made.kept.iter().enumerate() {
            let (i, gaussian) = (slot as usize / decoder.offsets, slot as usize % decoder.offsets);
            let colour = std::array::from_fn(|c| made.colours[3 * m + c]);
            let opacity = made.opacities[slot as usize];
            fit.add(rows[i] * decoder.offsets + gaussian, opacity, colour, directions[i], sh_degree);
        }
    }
    fit
}

fn direction(model: &AnchorModel, anchor: usize, centre: [f32; 3]) -> [f32; 3] {
    let x = model.position(anchor);
    mean_direction(&[x[0] - centre[0], x[1] - centre[1], x[2] - centre[2]])
}

/// A sum of directions as a direction.
fn mean_direction(sum: &[f32]) -> [f32; 3] {
    let length = sum[..3].iter().map(|d| d * d).sum::<f32>().sqrt();
    // Views from all sides cancel out; then any direction is as good.
    if length > 1e-6 { std::array::from_fn(|c| sum[c] / length) } else { [0.0, 0.0, 1.0] }
}

impl Fit {
    fn add(&mut self, slot: usize, opacity: f32, colour: [f32; 3], direction: [f32; 3], sh_degree: u8) {
        self.opacity[slot] += opacity;
        let above = basis(sh_degree, direction);
        let harmonic = |k: usize| if k == 0 { Y0 as f32 } else { above[k - 1] };
        let pairs = self.terms * (self.terms + 1) / 2;
        let products = &mut self.products[slot * pairs..][..pairs];
        let mut at = 0;
        for k in 0..self.terms {
            let weighted = opacity * harmonic(k);
            for l in 0..=k {
                products[at] += weighted * harmonic(l);
                at += 1;
            }
            let sums = &mut self.colours[3 * (slot * self.terms + k)..][..3];
            sums.iter_mut().zip(colour).for_each(|(sum, c)| *sum += weighted * (c - 0.5));
        }
    }

    /// `[terms, 3]`: the harmonics of a slot's colours.
    fn solve(&self, slot: usize) -> Vec<f32> {
        let n = self.terms;
        let pairs = n * (n + 1) / 2;
        let products = &self.products[slot * pairs..][..pairs];
        let mut matrix = DMatrix::<f64>::from_fn(n, n, |k, l| {
            let (high, low) = (k.max(l), k.min(l));
            f64::from(products[high * (high + 1) / 2 + low])
        });
        for k in 1..n {
            matrix[(k, k)] += RIDGE * f64::from(self.opacity[slot]);
        }
        let sums = &self.colours[3 * slot * n..][..3 * n];
        let mut out = vec![0.0; 3 * n];
        let Some(factor) = matrix.cholesky() else { return out };
        for channel in 0..3 {
            let right = DVector::from_fn(n, |k, _| f64::from(sums[3 * k + channel]));
            let solved = factor.solve(&right);
            solved.iter().enumerate().for_each(|(k, value)| out[3 * k + channel] = *value as f32);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(sh_degree: u8) -> Fit {
        let terms = count(sh_degree);
        Fit {
            terms,
            opacity: vec![0.0],
            products: vec![0.0; terms * (terms + 1) / 2],
            colours: vec![0.0; 3 * terms],
            directions: vec![0.0; 3],
            views: vec![0.0],
        }
    }

    /// Directions all around.
    fn directions() -> impl Iterator<Item = [f32; 3]> {
        (0..60).map(|i| {
            let (z, turn) = ((i as f32 + 0.5) / 30.0 - 1.0, 2.4 * i as f32);
            let r = (1.0 - z * z).sqrt();
            [r * turn.cos(), r * turn.sin(), z]
        })
    }

    #[test]
    fn colours_that_are_harmonics_are_found_again() {
        let mut fit = empty(1);
        let colour = |[x, y, z]: [f32; 3]| [0.5 + 0.2 * x, 0.4 - 0.1 * y, 0.6 + 0.3 * z];
        directions().for_each(|d| fit.add(0, 0.8, colour(d), d, 1));
        let found = fit.solve(0);
        for d in directions() {
            let above = basis(1, d);
            let wanted = colour(d);
            for c in 0..3 {
                let fitted = 0.5 + Y0 as f32 * found[c] + (1..4).map(|k| above[k - 1] * found[3 * k + c]).sum::<f32>();
                // The pull towards zero takes a few percent of what depends on the direction.
                assert!((fitted - wanted[c]).abs() < 0.02, "{fitted} instead of {} towards {d:?}", wanted[c]);
            }
        }
    }

    #[test]
    fn one_view_tells_a_colour_and_little_more() {
        let mut fit = empty(2);
        fit.add(0, 0.6, [0.9, 0.5, 0.1], [0.0, 0.6, 0.8], 2);
        let found = fit.solve(0);
        assert!((Y0 as f32 * found[0] - 0.4).abs() < 0.01 && found.iter().all(|v| v.abs() < 2.0), "{found:?}");
        assert!(found[1].abs() < 1e-6, "{found:?}");
    }
}
