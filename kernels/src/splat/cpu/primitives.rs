//! What can be drawn: splats by scales and rotations, or ellipsoids by covariances. Projection and its gradient are the only
//! places that tell them apart.

use super::super::{Ellipsoids, Splats, spherical_harmonics};
use crate::camera_projection::{
    Ellipsoid, Footprint, FootprintGradient, Gaussian, View, project, project_backward, project_ellipsoid,
    project_ellipsoid_backward,
};
use crate::simd::Lanes;
use crate::splat::RenderSettings;
use tessera_camera::each;

/// [`Splats`] or [`Ellipsoids`], whichever a caller has.
#[derive(Clone, Copy, Debug)]
pub struct Primitives<'a> {
    pub(super) means: &'a [f32],
    pub(super) shapes: Shapes<'a>,
    pub(super) sh0: &'a [f32],
    pub(super) sh_rest: &'a [f32],
    pub(super) sh_degree: u8,
    pub(super) count: usize,
}

/// The shapes and opacities.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shapes<'a> {
    Turned { log_scales: &'a [f32], quats: &'a [f32], opacity_logits: &'a [f32], filter_3d: Option<&'a [f32]> },
    Covariances { covariances: &'a [f32], opacities: &'a [f32] },
}

impl<'a> From<&Splats<'a>> for Primitives<'a> {
    fn from(splats: &Splats<'a>) -> Self {
        let &Splats { means, log_scales, quats, opacity_logits, sh0, sh_rest, sh_degree, filter_3d } = splats;
        let shapes = Shapes::Turned { log_scales, quats, opacity_logits, filter_3d };
        Self { means, shapes, sh0, sh_rest, sh_degree, count: opacity_logits.len() }
    }
}

impl<'a> From<&Ellipsoids<'a>> for Primitives<'a> {
    fn from(ellipsoids: &Ellipsoids<'a>) -> Self {
        let &Ellipsoids { means, covariances, opacities, sh0, sh_rest, sh_degree } = ellipsoids;
        let shapes = Shapes::Covariances { covariances, opacities };
        Self { means, shapes, sh0, sh_rest, sh_degree, count: opacities.len() }
    }
}

/// Gradients of the shapes of eight primitives.
pub(super) enum ShapeGradient<V> {
    Turned { log_scale: [V; 3], quat: [V; 4], opacity_logit: V },
    Covariances { covariance: [V; 6], opacity: V },
}

/// Gradients of the geometry of eight primitives.
pub(super) struct GeometryGradient<V> {
    pub mean: [V; 3],
    pub shape: ShapeGradient<V>,
    pub pose: [V; 6],
}

impl Primitives<'_> {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// # Panics
    /// When the lengths of the tensors disagree.
    pub(super) fn check(&self, view: &View) {
        let n = self.len();
        let rest = spherical_harmonics::count(self.sh_degree) - 1;
        assert_eq!(self.means.len(), 3 * n, "means must be [N, 3]");
        match self.shapes {
            Shapes::Turned { log_scales, quats, filter_3d, .. } => {
                assert_eq!(log_scales.len(), 3 * n, "log_scales must be [N, 3]");
                assert_eq!(quats.len(), 4 * n, "quats must be [N, 4]");
                assert!(filter_3d.is_none_or(|f| f.len() == n), "filter_3d must be [N]");
            }
            Shapes::Covariances { covariances, .. } => {
                assert_eq!(covariances.len(), 6 * n, "covariances must be [N, 6]")
            }
        }
        assert_eq!(self.sh0.len(), 3 * n, "sh0 must be [N, 3]");
        assert_eq!(self.sh_rest.len(), 3 * rest * n, "sh_rest must be [N, {rest}, 3]");
        assert!(n < u32::MAX as usize / 64, "more than 67 million splats in one call");
        assert!(view.width <= 65_535 && view.height <= 65_535, "pictures have at most 65,535 pixels on a side");
    }

    /// The footprints of eight primitives.
    #[inline(always)]
    pub(super) fn project<V: Lanes>(&self, view: &View, settings: &RenderSettings, ids: &[u32; 8]) -> Footprint<V> {
        match self.shapes {
            Shapes::Turned { filter_3d, .. } => {
                let gaussian = self.load_turned(ids);
                project(view, &gaussian, settings.near, settings.antialiased, filter_3d.is_some())
            }
            Shapes::Covariances { .. } => {
                project_ellipsoid(view, &self.load_ellipsoids(ids), settings.near, settings.antialiased)
            }
        }
    }

    /// The footprints of eight primitives, and what turns the gradient of these into that of the geometry.
    #[inline(always)]
    pub(super) fn project_backward<V: Lanes>(
        &self,
        view: &View,
        settings: &RenderSettings,
        ids: &[u32; 8],
        gradient: impl FnOnce(&Footprint<V>) -> FootprintGradient<V>,
    ) -> GeometryGradient<V> {
        let antialiased = settings.antialiased;
        match self.shapes {
            Shapes::Turned { filter_3d, .. } => {
                let gaussian = self.load_turned(ids);
                let filtered = filter_3d.is_some();
                let v = gradient(&project(view, &gaussian, settings.near, antialiased, filtered));
                let g = project_backward(view, &gaussian, antialiased, filtered, &v);
                let shape =
                    ShapeGradient::Turned { log_scale: g.log_scale, quat: g.quat, opacity_logit: g.opacity_logit };
                GeometryGradient { mean: g.mean, shape, pose: g.pose }
            }
            Shapes::Covariances { .. } => {
                let ellipsoid = self.load_ellipsoids(ids);
                let v = gradient(&project_ellipsoid(view, &ellipsoid, settings.near, antialiased));
                let g = project_ellipsoid_backward(view, &ellipsoid, antialiased, &v);
                let shape = ShapeGradient::Covariances { covariance: g.covariance, opacity: g.opacity };
                GeometryGradient { mean: g.mean, shape, pose: g.pose }
            }
        }
    }

    #[inline(always)]
    fn load_turned<V: Lanes>(&self, ids: &[u32; 8]) -> Gaussian<V> {
        let Shapes::Turned { log_scales, quats, opacity_logits, filter_3d } = self.shapes else { unreachable!() };
        let (threes, fours) = (ids.map(|i| 3 * i), ids.map(|i| 4 * i));
        // SAFETY: ids are below N and `check` has compared the lengths of all tensors with N.
        unsafe {
            Gaussian {
                mean: each!(3, |k| V::gather(self.means.as_ptr(), threes, k as u32)),
                log_scale: each!(3, |k| V::gather(log_scales.as_ptr(), threes, k as u32)),
                quat: each!(4, |k| V::gather(quats.as_ptr(), fours, k as u32)),
                opacity_logit: V::gather(opacity_logits.as_ptr(), *ids, 0),
                filter_variance: match filter_3d {
                    Some(filter) => V::gather(filter.as_ptr(), *ids, 0).squared(),
                    None => V::all(0.0),
                },
            }
        }
    }

    #[inline(always)]
    fn load_ellipsoids<V: Lanes>(&self, ids: &[u32; 8]) -> Ellipsoid<V> {
        let Shapes::Covariances { covariances, opacities } = self.shapes else { unreachable!() };
        let (threes, sixes) = (ids.map(|i| 3 * i), ids.map(|i| 6 * i));
        // SAFETY: as in `load_turned`.
        unsafe {
            let first = each!(3, |k| V::gather(covariances.as_ptr(), sixes, k as u32));
            let last = each!(3, |k| V::gather(covariances.as_ptr(), sixes, 3 + k as u32));
            Ellipsoid {
                mean: each!(3, |k| V::gather(self.means.as_ptr(), threes, k as u32)),
                covariance: [first[0], first[1], first[2], last[0], last[1], last[2]],
                opacity: V::gather(opacities.as_ptr(), *ids, 0),
            }
        }
    }
}
