//! What can be drawn: splats by scales and rotations, or ellipsoids by covariances. Projection and its gradient are the only
//! places that tell them apart.

use super::data::{Ellipsoids, Harmonics, SplatGradients, Splats};
use super::{Pass, Rasterizer, spherical_harmonics};
use crate::device::{Buffer, DeviceError, Joined};

/// [`Splats`] or [`Ellipsoids`], whichever a caller has.
#[derive(Clone, Copy)]
pub struct Primitives<'a> {
    pub(super) len: usize,
    pub(super) means: &'a Buffer<f32>,
    pub(super) shapes: Shapes<'a>,
    pub(super) sh0: &'a Buffer<f32>,
    pub(super) sh_rest: Harmonics<'a>,
    pub(super) sh_degree: u8,
}

/// The shapes and opacities.
#[derive(Clone, Copy)]
pub(super) enum Shapes<'a> {
    Turned {
        log_scales: &'a Buffer<f32>,
        quats: &'a Buffer<f32>,
        opacity_logits: &'a Buffer<f32>,
        filter_3d: Option<&'a Buffer<f32>>,
    },
    Covariances {
        covariances: &'a Buffer<f32>,
        opacities: &'a Buffer<f32>,
    },
}

impl<'a> From<&Splats<'a>> for Primitives<'a> {
    fn from(splats: &Splats<'a>) -> Self {
        let &Splats { len, means, log_scales, quats, opacity_logits, sh0, sh_rest, sh_degree, filter_3d } = splats;
        let shapes = Shapes::Turned { log_scales, quats, opacity_logits, filter_3d };
        Self { len, means, shapes, sh0, sh_rest, sh_degree }
    }
}

impl<'a> From<&Ellipsoids<'a>> for Primitives<'a> {
    fn from(ellipsoids: &Ellipsoids<'a>) -> Self {
        let &Ellipsoids { len, means, covariances, opacities, sh0, sh_rest, sh_degree } = ellipsoids;
        let shapes = Shapes::Covariances { covariances, opacities };
        Self { len, means, shapes, sh0, sh_rest: Harmonics::Floats(sh_rest), sh_degree }
    }
}

impl Primitives<'_> {
    /// Width of a row of `sh_rest`.
    pub fn rest(&self) -> usize {
        3 * (spherical_harmonics::count(self.sh_degree) - 1)
    }

    pub(super) fn is_filtered(&self) -> bool {
        matches!(self.shapes, Shapes::Turned { filter_3d: Some(_), .. })
    }

    /// # Panics
    /// When the lengths of the tensors disagree.
    pub(super) fn check(&self) {
        let (n, rest) = (self.len, self.rest());
        assert!(self.means.len() >= 3 * n, "means must be [N, 3]");
        match self.shapes {
            Shapes::Turned { log_scales, quats, opacity_logits, filter_3d } => {
                assert!(log_scales.len() >= 3 * n, "log_scales must be [N, 3]");
                assert!(quats.len() >= 4 * n, "quats must be [N, 4]");
                assert!(opacity_logits.len() >= n, "opacity_logits must be [N]");
                assert!(filter_3d.is_none_or(|f| f.len() >= n), "filter_3d must be [N]");
            }
            Shapes::Covariances { covariances, opacities } => {
                assert!(covariances.len() >= 6 * n, "covariances must be [N, 6]");
                assert!(opacities.len() >= n, "opacities must be [N]");
            }
        }
        assert!(self.sh0.len() >= 3 * n, "sh0 must be [N, 3]");
        let coefficients = match self.sh_rest {
            Harmonics::Floats(values) => values.len(),
            Harmonics::Words(words) => words.len(),
        };
        assert!(coefficients >= rest * n, "sh_rest must be [N, {rest}]");
        assert!(n < u32::MAX as usize / 64, "more than 67 million splats in one call");
    }
}

impl Rasterizer {
    /// From primitives to the records of those that are visible, without their colours.
    pub(super) fn project_shapes(&mut self, primitives: &Primitives<'_>, pass: &Pass) -> Result<(), DeviceError> {
        let Self { kernels, stream, .. } = self;
        let &Pass { count, camera, shaping, .. } = pass;
        let means = primitives.means;
        let made = Joined((&mut self.records, &mut self.touched, &mut self.block_counts));
        match primitives.shapes {
            Shapes::Turned { log_scales, quats, opacity_logits, filter_3d } => {
                let shapes = Joined((means, log_scales, quats, opacity_logits, filter_3d));
                kernels.project.launch(stream, pass.by_splat(), (shapes, count, camera, shaping, made))
            }
            Shapes::Covariances { covariances, opacities } => {
                let shapes = Joined((means, covariances, opacities));
                kernels.project_ellipsoids.launch(stream, pass.by_splat(), (shapes, count, camera, shaping, made))
            }
        }
    }

    /// From sums over pixels to the gradients of everything but the harmonics above degree 0.
    pub(super) fn differentiate_shapes(
        &mut self,
        primitives: &Primitives<'_>,
        pass: &Pass,
        out: &mut SplatGradients,
    ) -> Result<(), DeviceError> {
        let Self { kernels, stream, touched, records, v_offsets, counters, .. } = self;
        let &Pass { count, camera, shaping, .. } = pass;
        let means = primitives.means;
        let seen = Joined((&*touched, &*records, &*v_offsets, &*counters, &mut self.sums));
        let common = Joined((count, camera, shaping, seen));
        let others = Joined((&mut out.sh0, &mut out.scores, &mut out.mean2d_norms, &mut self.partials));
        match primitives.shapes {
            Shapes::Turned { log_scales, quats, opacity_logits, filter_3d } => {
                let shapes = Joined((means, log_scales, quats, opacity_logits, filter_3d));
                let (log_scales, quats) = (&mut out.log_scales, &mut out.quats);
                let written = Joined((&mut out.means, log_scales, quats, &mut out.opacity_logits));
                kernels.parameter_gradients.launch(stream, pass.by_splat(), (shapes, common, written, others))
            }
            Shapes::Covariances { covariances, opacities } => {
                let shapes = Joined((means, covariances, opacities));
                let written = Joined((&mut out.means, &mut out.covariances, &mut out.opacities));
                kernels.ellipsoid_gradients.launch(stream, pass.by_splat(), (shapes, common, written, others))
            }
        }
    }
}
