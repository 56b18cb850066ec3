//! Decoded Gaussians as the splats that the rasteriser takes, and its gradient back.

use crate::Result;
use crate::blocks::Tint;
use crate::exchange::{Contents, Parcel};
use tessera_kernels::anchor_decoder::{GaussianGradients, Gaussians};
use tessera_kernels::splat::spherical_harmonics::Y0;
use tessera_kernels::splat::{SplatGradients, Splats};

/// Nothing is quite opaque: its logit would be infinite.
const MOST_OPAQUE: f32 = 1.0 - 1e-6;
/// And nothing has no extent at all.
const SMALLEST: f32 = 1e-12;

/// Splats of colours that do not depend on the direction.
#[derive(Debug, Default)]
pub(super) struct DrawnSplats {
    means: Vec<f32>,
    log_scales: Vec<f32>,
    quats: Vec<f32>,
    opacity_logits: Vec<f32>,
    sh0: Vec<f32>,
}

impl DrawnSplats {
    pub fn clear(&mut self) {
        self.fields().into_iter().for_each(Vec::clear);
    }

    /// Adds decoded Gaussians.
    pub fn extend(&mut self, made: &Gaussians) {
        self.means.extend_from_slice(&made.means);
        self.log_scales.extend(made.scales.iter().map(|s| s.max(SMALLEST).ln()));
        self.quats.extend_from_slice(&made.quats);
        self.opacity_logits.extend(made.kept.iter().map(|&slot| {
            let o = made.opacities[slot as usize].min(MOST_OPAQUE);
            (o / (1.0 - o)).ln()
        }));
        self.sh0.extend(made.colours.iter().map(|c| (c - 0.5) / Y0 as f32));
    }

    pub fn len(&self) -> usize {
        self.opacity_logits.len()
    }

    /// Multiplies the colours of all from number `from` on.
    pub fn tint(&mut self, from: usize, tint: &Tint) {
        if *tint == [1.0; 3] {
            return;
        }
        let gain = tint.map(|gain| gain as f32);
        for colour in self.sh0[3 * from..].chunks_exact_mut(3) {
            colour.iter_mut().zip(gain).for_each(|(c, gain)| *c = gain * *c + 0.5 * (gain - 1.0) / Y0 as f32);
        }
    }

    fn fields(&mut self) -> [&mut Vec<f32>; 5] {
        [&mut self.means, &mut self.log_scales, &mut self.quats, &mut self.opacity_logits, &mut self.sh0]
    }

    /// Adds those of another.
    pub fn append(&mut self, mut other: Self) {
        self.fields().into_iter().zip(other.fields()).for_each(|(all, more)| all.append(more));
    }

    /// For another rank.
    pub fn put(&mut self, parcel: &mut Parcel) {
        self.fields().into_iter().for_each(|field| parcel.f32s(field));
    }

    /// From another rank.
    pub fn take(contents: &mut Contents<'_>) -> Result<Self> {
        let mut splats = Self::default();
        for field in splats.fields() {
            *field = contents.f32s()?;
        }
        Ok(splats)
    }

    /// As the rasteriser takes them.
    pub fn splats(&self) -> Splats<'_> {
        Splats {
            means: &self.means,
            log_scales: &self.log_scales,
            quats: &self.quats,
            opacity_logits: &self.opacity_logits,
            sh0: &self.sh0,
            sh_rest: &[],
            sh_degree: 0,
            filter_3d: None,
        }
    }
}

/// From the gradient of the splats to that of the Gaussians that they were, overwriting `out`.
pub(super) fn gradient_of_gaussians(made: &Gaussians, splats: &SplatGradients, out: &mut GaussianGradients) {
    out.clear(made);
    out.means.copy_from_slice(&splats.means);
    out.quats.copy_from_slice(&splats.quats);
    for (out, (v, s)) in out.scales.iter_mut().zip(splats.log_scales.iter().zip(&made.scales)) {
        *out = v / s.max(SMALLEST);
    }
    for (out, v) in out.colours.iter_mut().zip(&splats.sh0) {
        *out = v / Y0 as f32;
    }
    for (&slot, v) in made.kept.iter().zip(&splats.opacity_logits) {
        let o = made.opacities[slot as usize].min(MOST_OPAQUE);
        out.opacities[slot as usize] = v / (o * (1.0 - o)).max(SMALLEST);
    }
}

/// Adds the gradient of `weight` times the mean volume of the Gaussians, the product of their scales. Returns that loss.
pub(super) fn add_volumes(made: &Gaussians, weight: f32, out: &mut GaussianGradients) -> f64 {
    let scales = made.scales.as_chunks::<3>().0;
    let factor = weight / scales.len().max(1) as f32;
    let mut sum = 0.0;
    for ([a, b, c], v) in scales.iter().zip(out.scales.as_chunks_mut::<3>().0) {
        v[0] += factor * b * c;
        v[1] += factor * a * c;
        v[2] += factor * a * b;
        sum += f64::from(a * b * c);
    }
    f64::from(factor) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the sum of all that the rasteriser is given, each number with a weight of its own.
    fn loss(made: &Gaussians) -> f64 {
        let mut drawn = DrawnSplats::default();
        drawn.extend(made);
        let all = [&drawn.means, &drawn.log_scales, &drawn.quats, &drawn.opacity_logits, &drawn.sh0];
        let weighted = |(i, value): (usize, &f32)| (1.0 + i as f64) * f64::from(*value);
        let volumes = add_volumes(made, 0.3, &mut cleared(made));
        volumes + all.iter().flat_map(|values| values.iter().enumerate()).map(weighted).sum::<f64>()
    }

    fn cleared(made: &Gaussians) -> GaussianGradients {
        let mut gradient = GaussianGradients::default();
        gradient.clear(made);
        gradient
    }

    #[test]
    fn gradients_are_those_of_what_the_rasteriser_is_given() {
        let made = Gaussians {
            opacities: vec![0.4, -0.2, 0.7, 0.1],
            kept: vec![0, 2],
            means: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            scales: vec![0.5, 0.4, 0.8, 0.3, 0.9, 0.6],
            quats: vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            colours: vec![0.3, 0.5, 0.9, 0.2, 0.4, 0.6],
        };
        let weights = |len: usize| (1..=len).map(|i| i as f32).collect::<Vec<f32>>();
        let upstream = SplatGradients {
            means: weights(6),
            log_scales: weights(6),
            quats: weights(8),
            opacity_logits: weights(2),
            sh0: weights(6),
            ..SplatGradients::default()
        };
        let mut found = GaussianGradients::default();
        gradient_of_gaussians(&made, &upstream, &mut found);
        add_volumes(&made, 0.3, &mut found);
        type Field = fn(&mut Gaussians) -> &mut Vec<f32>;
        let fields: [(Field, &[f32]); 4] = [
            (|g| &mut g.opacities, &found.opacities),
            (|g| &mut g.means, &found.means),
            (|g| &mut g.scales, &found.scales),
            (|g| &mut g.colours, &found.colours),
        ];
        for (field, gradient) in fields {
            for (i, &expected) in gradient.iter().enumerate() {
                const STEP: f32 = 1e-3;
                let at = |step: f32| {
                    let mut made = made.clone();
                    field(&mut made)[i] += step;
                    loss(&made)
                };
                let difference = ((at(STEP) - at(-STEP)) / f64::from(2.0 * STEP)) as f32;
                let tolerance = 2e-3 * (1.0 + expected.abs());
                assert!((difference - expected).abs() < tolerance, "number {i}: {difference} instead of {expected}");
            }
        }
    }
}
