//! Blending the samples of a ray, forwards and backwards.

use super::STOP;

/// The samples of one ray from front to back, and what is behind them.
#[derive(Clone, Copy, Debug)]
pub struct Ray<'a> {
    /// Opacities.
    pub alphas: &'a [f32],
    /// A colour for each; may be shorter, if the ray is known to end there.
    pub colours: &'a [[f32; 3]],
    /// Behind everything.
    pub background: [f32; 3],
}

/// What a ray sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blended {
    /// With the background.
    pub colour: [f32; 3],
    /// The sum of the weights.
    pub opacity: f32,
    /// What passes all samples; 0 for a ray that was stopped.
    pub transmittance: f32,
    /// Samples until the ray was stopped, or all.
    pub samples: usize,
}

/// Gradients with respect to what a ray saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayGradient<'a> {
    /// Of its colour.
    pub colour: [f32; 3],
    /// Of its opacity.
    pub opacity: f32,
    /// Of each weight; may be empty.
    pub weights: &'a [f32],
}

/// Weights of samples until the ray is stopped; later ones are left as they are. Returns their number and what passes them.
pub fn weights(alphas: &[f32], out: &mut [f32]) -> (usize, f32) {
    let mut transmittance = 1.0;
    for (i, (&alpha, out)) in alphas.iter().zip(out).enumerate() {
        *out = transmittance * alpha;
        transmittance *= 1.0 - alpha;
        if transmittance < STOP {
            return (i + 1, 0.0);
        }
    }
    (alphas.len(), transmittance)
}

/// Blends a ray; `out` gets the weights of its samples, zero behind where it was stopped.
pub fn blend(ray: &Ray<'_>, out: &mut [f32]) -> Blended {
    let (samples, transmittance) = weights(ray.alphas, out);
    out[samples..].fill(0.0);
    let mut colour = ray.background.map(|b| transmittance * b);
    let mut opacity = 0.0;
    for (&w, rgb) in out.iter().zip(ray.colours) {
        opacity += w;
        for k in 0..3 {
            colour[k] += w * rgb[k];
        }
    }
    Blended { colour, opacity, transmittance, samples }
}

/// Gradients of the samples' opacities and colours, and, returned, of the background. `blended` and `weights` are what [`blend`] gave.
pub fn blend_backward(
    ray: &Ray<'_>,
    blended: &Blended,
    weights: &[f32],
    upstream: &RayGradient<'_>,
    d_alphas: &mut [f32],
    d_colours: &mut [[f32; 3]],
) -> [f32; 3] {
    let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    d_alphas[blended.samples..].fill(0.0);
    d_colours[blended.samples..].fill([0.0; 3]);
    let mut before = 1.0;
    for (d_alpha, alpha) in d_alphas.iter_mut().zip(&ray.alphas[..blended.samples]) {
        *d_alpha = before;
        before *= 1.0 - alpha;
    }
    // What lies behind the sample, as it counts in the loss.
    let mut behind = blended.transmittance * dot(upstream.colour, ray.background);
    for i in (0..blended.samples).rev() {
        let value =
            dot(upstream.colour, ray.colours[i]) + upstream.opacity + upstream.weights.get(i).copied().unwrap_or(0.0);
        let alpha = ray.alphas[i];
        // Where the ray was stopped nothing is behind; before that, 1 - α is at least the limit.
        let hidden = if behind == 0.0 { 0.0 } else { behind / (1.0 - alpha) };
        // Until now d_alphas holds the transmittance before each sample.
        d_alphas[i] = d_alphas[i] * value - hidden;
        d_colours[i] = upstream.colour.map(|g| weights[i] * g);
        behind += weights[i] * value;
    }
    upstream.colour.map(|g| blended.transmittance * g)
}
