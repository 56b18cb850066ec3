//! Elliptical weighted averaging: the footprint of one Gaussian, forwards and backwards, over any [`Real`].
//!
//! With p = R μ + t the mean in the camera's frame, J the 2x3 Jacobian of the lens there and Σ = M Mᵀ,
//! M = R(q) diag(s), the footprint is `cov2d = T Tᵀ + 0.3 I` with `T = J R M`; its inverse is the conic.

use super::View;
use tessera_camera::{Real, each};

/// Added to both variances of a footprint: a splat is never thinner than a pixel, square pixels.
pub const LOW_PASS: f64 = 0.3;
/// Least squared share of light that the antialiased variant leaves a splat.
const MIN_COMPENSATION_SQUARED: f64 = 2.5e-5;

/// One Gaussian's geometry as stored.
#[derive(Clone, Copy, Debug)]
pub struct Gaussian<R> {
    /// Mean, world units.
    pub mean: [R; 3],
    /// Natural logarithm of the standard deviations.
    pub log_scale: [R; 3],
    /// (w, x, y, z), not normalised.
    pub quat: [R; 4],
    /// Opacity before the sigmoid.
    pub opacity_logit: R,
    /// Variance of the 3D filter, zero for none.
    pub filter_variance: R,
}

/// One Gaussian by its covariance.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsoid<R> {
    /// Mean, world units.
    pub mean: [R; 3],
    /// Covariance xx, xy, xz, yy, yz, zz, square world units.
    pub covariance: [R; 6],
    /// Opacity, 0 to 1.
    pub opacity: R,
}

/// Its footprint.
#[derive(Clone, Copy, Debug)]
pub struct Footprint<R: Real> {
    /// Centre in pixels.
    pub mean2d: [R; 2],
    /// Inverse covariance xx, xy, yy.
    pub conic: [R; 3],
    /// Covariance xx, xy, yy, square pixels.
    pub covariance: [R; 3],
    /// Its determinant, without the cancellation of xx yy - xy².
    pub determinant: R,
    /// Distance along the camera's axis.
    pub z: R,
    /// Opacity after sigmoid, filter and antialiasing.
    pub opacity: R,
    /// In front of the near plane and inside the lens's valid range.
    pub in_view: R::Mask,
}

/// Gradient with respect to a [`Footprint`].
#[derive(Clone, Copy, Debug)]
pub struct FootprintGradient<R> {
    /// ∂L/∂mean2d.
    pub mean2d: [R; 2],
    /// ∂L/∂conic, the off-diagonal counted once.
    pub conic: [R; 3],
    /// ∂L/∂z.
    pub z: R,
    /// ∂L/∂opacity.
    pub opacity: R,
}

/// Gradient with respect to a [`Gaussian`] and to the camera's pose.
#[derive(Clone, Copy, Debug)]
pub struct GaussianGradient<R> {
    /// ∂L/∂mean.
    pub mean: [R; 3],
    /// ∂L/∂log_scale.
    pub log_scale: [R; 3],
    /// ∂L/∂quat.
    pub quat: [R; 4],
    /// ∂L/∂opacity_logit.
    pub opacity_logit: R,
    /// Left perturbation (ρ, φ) of `camera_from_world`.
    pub pose: [R; 6],
}

/// Gradient with respect to an [`Ellipsoid`] and to the camera's pose.
#[derive(Clone, Copy, Debug)]
pub struct EllipsoidGradient<R> {
    /// ∂L/∂mean.
    pub mean: [R; 3],
    /// ∂L/∂covariance, off-diagonals counted once.
    pub covariance: [R; 6],
    /// ∂L/∂opacity.
    pub opacity: R,
    /// Left perturbation (ρ, φ) of `camera_from_world`.
    pub pose: [R; 6],
}

type Row<R> = [R; 3];

/// How the lens sees the surroundings of a point.
struct Sight<R: Real> {
    point: [R; 3],
    inv_z: R,
    uv: [R; 2],
    uv_clamped: [R; 2],
    unclamped: [R::Mask; 2],
    /// Lens Jacobian and pixel at the mean.
    mean_jacobian: [R; 3],
    pixel: [R; 2],
    /// Lens Jacobian and its derivatives at the clamped point.
    jacobian: [R; 3],
    hessian: [R; 4],
    j: [Row<R>; 2],
    jr: [Row<R>; 2],
}

/// Everything between a Gaussian and its footprint.
struct Parts<R: Real> {
    sight: Sight<R>,
    unit_quat: [R; 4],
    inv_norm: R,
    rotation: [Row<R>; 3],
    jrq: [Row<R>; 2],
    scale_squared: [R; 3],
    scale: [R; 3],
    t: [Row<R>; 2],
    cross: [R; 3],
    /// Variances and covariance before the low-pass filter.
    cov: [R; 3],
    det0: R,
    det: R,
}

#[inline(always)]
fn dot<R: Real>(a: Row<R>, b: Row<R>) -> R {
    a[0].mul_add(b[0], a[1].mul_add(b[1], a[2] * b[2]))
}

#[inline(always)]
fn cross<R: Real>(a: Row<R>, b: Row<R>) -> Row<R> {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// `row * matrix`
#[inline(always)]
fn times<R: Real>(row: Row<R>, m: &[Row<R>; 3]) -> Row<R> {
    each!(3, |c| row[0].mul_add(m[0][c], row[1].mul_add(m[1][c], row[2] * m[2][c])))
}

/// `row * matrixᵀ`
#[inline(always)]
fn times_transposed<R: Real>(row: Row<R>, m: &[Row<R>; 3]) -> Row<R> {
    each!(3, |c| dot(row, m[c]))
}

#[inline(always)]
fn rotation_matrix<R: Real>([w, x, y, z]: [R; 4]) -> [Row<R>; 3] {
    let one = R::splat(1.0);
    let two = R::splat(2.0);
    [
        [one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)],
        [two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)],
        [two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y)],
    ]
}

/// ∂L/∂q of the unit quaternion from ∂L/∂R.
#[inline(always)]
fn rotation_backward<R: Real>([w, x, y, z]: [R; 4], d: &[Row<R>; 3]) -> [R; 4] {
    let two = R::splat(2.0);
    let (sxy, sxz, syz) = (d[0][1] + d[1][0], d[0][2] + d[2][0], d[1][2] + d[2][1]);
    let (axy, axz, ayz) = (d[1][0] - d[0][1], d[0][2] - d[2][0], d[2][1] - d[1][2]);
    [
        two * (x * ayz + y * axz + z * axy),
        two * (w * ayz + y * sxy + z * sxz - two * x * (d[1][1] + d[2][2])),
        two * (w * axz + x * sxy + z * syz - two * y * (d[0][0] + d[2][2])),
        two * (w * axy + x * sxz + y * syz - two * z * (d[0][0] + d[1][1])),
    ]
}

#[inline(always)]
fn constant<R: Real>(value: f32) -> R {
    R::splat(f64::from(value))
}

#[inline(always)]
fn rotation_of<R: Real>(view: &View) -> [Row<R>; 3] {
    each!(3, |r| each!(3, |c| constant(view.rotation[r][c])))
}

/// A row of the lens's 2x3 Jacobian; `scale` is focal length over depth, `uv` where it is evaluated.
#[inline(always)]
fn jacobian_row<R: Real>(scale: R, du: R, dv: R, uv: [R; 2]) -> Row<R> {
    let (du, dv) = (scale * du, scale * dv);
    [du, dv, -(du * uv[0] + dv * uv[1])]
}

impl<R: Real> Sight<R> {
    #[inline(always)]
    fn new(view: &View, mean: [R; 3]) -> Self {
        let view_rotation = rotation_of(view);
        let point = each!(3, |i| dot(view_rotation[i], mean) + constant(view.translation[i]));
        let inv_z = point[2].recip();
        let uv = [point[0] * inv_z, point[1] * inv_z];
        let [u0, v0, u1, v1] = each!(4, |i| constant::<R>(view.jacobian_bounds[i]));
        let unclamped = [u0.lt(uv[0]) & uv[0].lt(u1), v0.lt(uv[1]) & uv[1].lt(v1)];
        let uv_clamped = [uv[0].max(u0).min(u1), uv[1].max(v0).min(v1)];
        let at_mean = view.lens.distort(uv[0], uv[1]);
        let at_clamped = view.lens.distort(uv_clamped[0], uv_clamped[1]);
        let [fx, fy] = each!(2, |i| R::splat(view.lens.focal[i]));
        let [cx, cy] = each!(2, |i| R::splat(view.lens.centre[i]));
        let [a, b, d] = at_clamped.jacobian;
        let j = [jacobian_row(fx * inv_z, a, b, uv_clamped), jacobian_row(fy * inv_z, b, d, uv_clamped)];
        let jr = each!(2, |r| times(j[r], &view_rotation));
        Self {
            point,
            inv_z,
            uv,
            uv_clamped,
            unclamped,
            mean_jacobian: at_mean.jacobian,
            pixel: [fx.mul_add(at_mean.uv[0], cx), fy.mul_add(at_mean.uv[1], cy)],
            jacobian: at_clamped.jacobian,
            hessian: at_clamped.hessian,
            j,
            jr,
        }
    }

    /// In front of the near plane and inside the lens's valid range.
    #[inline(always)]
    fn in_view(&self, view: &View, near: f32) -> R::Mask {
        let [u, v] = self.uv;
        constant::<R>(near).lt(self.point[2]) & (u * u + v * v).le(constant(view.max_radius_squared))
    }
}

/// The inverse of a covariance xx, xy, yy after the low-pass filter, with its determinant.
#[inline(always)]
fn conic<R: Real>(cov: [R; 3], det: R) -> [R; 3] {
    let inv_det = det.recip();
    let low_pass = R::splat(LOW_PASS);
    [(cov[2] + low_pass) * inv_det, -cov[1] * inv_det, (cov[0] + low_pass) * inv_det]
}

/// The determinant after the low-pass filter from that before it.
#[inline(always)]
fn filtered_determinant<R: Real>(cov: [R; 3], det0: R) -> R {
    det0 + R::splat(LOW_PASS) * (cov[0] + cov[2]) + R::splat(LOW_PASS * LOW_PASS)
}

/// Conic = cov2d⁻¹, so dcov = -K G K with G the symmetric gradient of the conic; the off-diagonal counted once.
#[inline(always)]
fn conic_backward<R: Real>([ka, kb, kc]: [R; 3], v: [R; 3]) -> [R; 3] {
    let (ga, gb, gc) = (v[0], v[1] * R::splat(0.5), v[2]);
    let (m00, m01) = (ka * ga + kb * gb, ka * gb + kb * gc);
    let (m10, m11) = (kb * ga + kc * gb, kb * gb + kc * gc);
    [-(m00 * ka + m01 * kb), -(R::splat(2.0) * (m00 * kb + m01 * kc)), -(m10 * kb + m11 * kc)]
}

impl<R: Real> Parts<R> {
    #[inline(always)]
    fn new(view: &View, g: &Gaussian<R>) -> Self {
        let sight = Sight::new(view, g.mean);
        let [qw, qx, qy, qz] = g.quat;
        let norm_squared = qw.mul_add(qw, qx.mul_add(qx, qy.mul_add(qy, qz.mul_add(qz, R::splat(1e-30)))));
        let inv_norm = norm_squared.sqrt().recip();
        let unit_quat = each!(4, |i| g.quat[i] * inv_norm);
        let rotation = rotation_matrix(unit_quat);
        let jrq = each!(2, |r| times(sight.jr[r], &rotation));
        let scale_squared = each!(3, |i| (g.log_scale[i] + g.log_scale[i]).exp());
        let scale = each!(3, |i| (scale_squared[i] + g.filter_variance).sqrt());
        let t: [Row<R>; 2] = each!(2, |r| each!(3, |i| jrq[r][i] * scale[i]));
        let cross = cross(t[0], t[1]);
        let cov = [dot(t[0], t[0]), dot(t[0], t[1]), dot(t[1], t[1])];
        // |t0 x t1|² is det(T Tᵀ) without the cancellation of xx yy - xy².
        let det0 = dot(cross, cross);
        let det = filtered_determinant(cov, det0);
        Self { sight, unit_quat, inv_norm, rotation, jrq, scale_squared, scale, t, cross, cov, det0, det }
    }

    /// Share of the volume that the 3D filter leaves: what opacity is multiplied by.
    #[inline(always)]
    fn filter_share(&self) -> R {
        let (before, after) = (self.scale_squared, self.scale);
        (before[0] * before[1] * before[2]).sqrt() / (after[0] * after[1] * after[2]).max(R::splat(1e-30))
    }

    #[inline(always)]
    fn compensation_squared(&self) -> R {
        self.det0 / self.det
    }
}

#[inline(always)]
fn sigmoid<R: Real>(x: R) -> R {
    (R::splat(1.0) + (-x).exp()).recip()
}

/// The footprint of a Gaussian.
#[inline(always)]
pub fn project<R: Real>(view: &View, g: &Gaussian<R>, near: f32, antialiased: bool, filtered: bool) -> Footprint<R> {
    let parts = Parts::new(view, g);
    let mut opacity = sigmoid(g.opacity_logit);
    if filtered {
        opacity = opacity * parts.filter_share();
    }
    if antialiased {
        opacity = opacity * parts.compensation_squared().max(R::splat(MIN_COMPENSATION_SQUARED)).sqrt();
    }
    footprint(view, near, &parts.sight, (parts.cov, parts.det), opacity)
}

#[inline(always)]
fn footprint<R: Real>(view: &View, near: f32, sight: &Sight<R>, (cov, det): ([R; 3], R), opacity: R) -> Footprint<R> {
    let low_pass = R::splat(LOW_PASS);
    Footprint {
        mean2d: sight.pixel,
        conic: conic(cov, det),
        covariance: [cov[0] + low_pass, cov[1], cov[2] + low_pass],
        determinant: det,
        z: sight.point[2],
        opacity,
        in_view: sight.in_view(view, near),
    }
}

/// The gradient of a loss with respect to a Gaussian and to the pose, from that with respect to its footprint.
#[inline(always)]
pub fn project_backward<R: Real>(
    view: &View,
    g: &Gaussian<R>,
    antialiased: bool,
    filtered: bool,
    v: &FootprintGradient<R>,
) -> GaussianGradient<R> {
    let parts = Parts::new(view, g);
    let zero = R::splat(0.0);
    let one = R::splat(1.0);
    let two = R::splat(2.0);

    // Opacity = sigmoid(logit) * filter share * compensation.
    let sigma = sigmoid(g.opacity_logit);
    let share = if filtered { parts.filter_share() } else { one };
    let ratio = parts.compensation_squared();
    let compensation = ratio.max(R::splat(MIN_COMPENSATION_SQUARED)).sqrt();
    let factor = if antialiased { share * compensation } else { share };
    let opacity_logit = v.opacity * factor * sigma * (one - sigma);

    let mut d_cov = conic_backward(conic(parts.cov, parts.det), v.conic);

    let mut d_cross = [zero; 3];
    if antialiased {
        let active = R::splat(MIN_COMPENSATION_SQUARED).lt(ratio);
        let d_ratio = v.opacity * sigma * share * R::splat(0.5) / compensation;
        let d_ratio = R::select(active, d_ratio, zero) / parts.det;
        let d_det = -(d_ratio * ratio);
        let low = R::splat(LOW_PASS) * d_det;
        d_cov[0] = d_cov[0] + low;
        d_cov[2] = d_cov[2] + low;
        let d_det0 = two * (d_ratio + d_det);
        d_cross = each!(3, |i| parts.cross[i] * d_det0);
    }

    // cov = T Tᵀ, det0 = |t0 x t1|².
    let [t0, t1] = parts.t;
    let (c0, c1) = (cross(t1, d_cross), cross(d_cross, t0));
    let d_t: [Row<R>; 2] = [
        each!(3, |i| two * d_cov[0] * t0[i] + d_cov[1] * t1[i] + c0[i]),
        each!(3, |i| two * d_cov[2] * t1[i] + d_cov[1] * t0[i] + c1[i]),
    ];

    // T = J R Rq diag(scale).
    let jrq = &parts.jrq;
    let log_scale: [R; 3] = each!(3, |i| {
        let d_scale = d_t[0][i] * jrq[0][i] + d_t[1][i] * jrq[1][i];
        if filtered {
            let inv = parts.scale[i].recip();
            let kept = parts.scale_squared[i] * inv * inv;
            d_scale * parts.scale[i] * kept + v.opacity * sigma * factor * (one - kept)
        } else {
            d_scale * parts.scale[i]
        }
    });
    let d_jrq: [Row<R>; 2] = each!(2, |r| each!(3, |i| d_t[r][i] * parts.scale[i]));
    let d_rotation: [Row<R>; 3] =
        each!(3, |k| each!(3, |i| parts.sight.jr[0][k] * d_jrq[0][i] + parts.sight.jr[1][k] * d_jrq[1][i]));
    let d_unit = rotation_backward(parts.unit_quat, &d_rotation);
    let (d, q) = (d_unit, parts.unit_quat);
    let along = d[0].mul_add(q[0], d[1].mul_add(q[1], d[2].mul_add(q[2], d[3] * q[3])));
    let quat = each!(4, |i| (d[i] - along * q[i]) * parts.inv_norm);

    let view_rotation = rotation_of(view);
    let d_j = each!(2, |r| times_transposed(times_transposed(d_jrq[r], &parts.rotation), &view_rotation));

    let (mean, pose) = sight_backward(view, &parts.sight, &d_j, v);
    GaussianGradient { mean, log_scale, quat, opacity_logit, pose }
}

/// From the gradients of the lens's Jacobian and of a footprint to those of the mean and the pose.
#[inline(always)]
fn sight_backward<R: Real>(
    view: &View,
    sight: &Sight<R>,
    d_j: &[Row<R>; 2],
    v: &FootprintGradient<R>,
) -> ([R; 3], [R; 6]) {
    let d_point = lens_backward(view, sight, d_j, v);
    let mean = times(d_point, &rotation_of(view));
    // R' = Exp(φ) R turns the point and the axes of the footprint.
    let turn = cross(sight.point, d_point);
    let pose = [
        d_point[0],
        d_point[1],
        d_point[2],
        turn[0] + skew(&sight.j, d_j, 2, 1),
        turn[1] + skew(&sight.j, d_j, 0, 2),
        turn[2] + skew(&sight.j, d_j, 1, 0),
    ];
    (mean, pose)
}

/// What [`project_ellipsoid`] and its gradient share.
struct EllipsoidParts<R: Real> {
    sight: Sight<R>,
    /// Σ times each row of J R.
    turned: [Row<R>; 2],
    cov: [R; 3],
    det0: R,
    det: R,
}

impl<R: Real> EllipsoidParts<R> {
    #[inline(always)]
    fn new(view: &View, e: &Ellipsoid<R>) -> Self {
        let sight = Sight::new(view, e.mean);
        let [xx, xy, xz, yy, yz, zz] = e.covariance;
        let whole = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
        let turned = each!(2, |r| times(sight.jr[r], &whole));
        let jr = &sight.jr;
        let cov = [dot(jr[0], turned[0]), dot(jr[0], turned[1]), dot(jr[1], turned[1])];
        // The products may cancel to less than nothing, where the low-pass filter alone decides.
        let det0 = (cov[0] * cov[2] - cov[1] * cov[1]).max(R::splat(0.0));
        let det = filtered_determinant(cov, det0);
        Self { sight, turned, cov, det0, det }
    }

    #[inline(always)]
    fn compensation(&self) -> R {
        (self.det0 / self.det).max(R::splat(MIN_COMPENSATION_SQUARED)).sqrt()
    }
}

/// The footprint of a Gaussian that is given by its covariance: `cov2d = J R Σ (J R)ᵀ + 0.3 I`.
#[inline(always)]
pub fn project_ellipsoid<R: Real>(view: &View, e: &Ellipsoid<R>, near: f32, antialiased: bool) -> Footprint<R> {
    let parts = EllipsoidParts::new(view, e);
    let opacity = if antialiased { e.opacity * parts.compensation() } else { e.opacity };
    footprint(view, near, &parts.sight, (parts.cov, parts.det), opacity)
}

/// As [`project_backward`], for [`project_ellipsoid`].
#[inline(always)]
pub fn project_ellipsoid_backward<R: Real>(
    view: &View,
    e: &Ellipsoid<R>,
    antialiased: bool,
    v: &FootprintGradient<R>,
) -> EllipsoidGradient<R> {
    let parts = EllipsoidParts::new(view, e);
    let (zero, two) = (R::splat(0.0), R::splat(2.0));
    let mut d_cov = conic_backward(conic(parts.cov, parts.det), v.conic);
    let mut opacity = v.opacity;
    if antialiased {
        let (ratio, compensation) = (parts.det0 / parts.det, parts.compensation());
        opacity = opacity * compensation;
        let active = R::splat(MIN_COMPENSATION_SQUARED).lt(ratio);
        let d_ratio = v.opacity * e.opacity * R::splat(0.5) / compensation;
        let d_ratio = R::select(active, d_ratio, zero) / parts.det;
        // det = det0 + low (xx + yy) + low², ratio = det0 / det.
        let d_det = -(d_ratio * ratio);
        let (d_det0, low) = (d_ratio + d_det, R::splat(LOW_PASS) * d_det);
        d_cov[0] = d_cov[0] + d_det0 * parts.cov[2] + low;
        d_cov[1] = d_cov[1] - two * d_det0 * parts.cov[1];
        d_cov[2] = d_cov[2] + d_det0 * parts.cov[0] + low;
    }
    // cov = [a Σ a, a Σ b, b Σ b] with a and b the rows of J R.
    let [a, b] = parts.sight.jr;
    let half: [Row<R>; 2] = [
        each!(3, |i| d_cov[0] * a[i] + R::splat(0.5) * d_cov[1] * b[i]),
        each!(3, |i| d_cov[2] * b[i] + R::splat(0.5) * d_cov[1] * a[i]),
    ];
    let whole: [Row<R>; 3] = each!(3, |i| each!(3, |k| half[0][i] * a[k] + half[1][i] * b[k]));
    let covariance = [
        whole[0][0],
        whole[0][1] + whole[1][0],
        whole[0][2] + whole[2][0],
        whole[1][1],
        whole[1][2] + whole[2][1],
        whole[2][2],
    ];
    let [ta, tb] = parts.turned;
    let d_jr: [Row<R>; 2] = [
        each!(3, |i| two * d_cov[0] * ta[i] + d_cov[1] * tb[i]),
        each!(3, |i| two * d_cov[2] * tb[i] + d_cov[1] * ta[i]),
    ];
    let view_rotation = rotation_of(view);
    let d_j = each!(2, |r| times_transposed(d_jr[r], &view_rotation));
    let (mean, pose) = sight_backward(view, &parts.sight, &d_j, v);
    EllipsoidGradient { mean, covariance, opacity, pose }
}

/// One component of the torque that the Jacobian's gradient exerts: `(Jᵀ dJ)[a][b] - (Jᵀ dJ)[b][a]`.
#[inline(always)]
fn skew<R: Real>(j: &[Row<R>; 2], d: &[Row<R>; 2], a: usize, b: usize) -> R {
    j[0][a] * d[0][b] + j[1][a] * d[1][b] - j[0][b] * d[0][a] - j[1][b] * d[1][a]
}

/// Through the pixel position and the Jacobian of the lens to the point in the camera's frame.
#[inline(always)]
fn lens_backward<R: Real>(view: &View, sight: &Sight<R>, d_j: &[Row<R>; 2], v: &FootprintGradient<R>) -> Row<R> {
    let zero = R::splat(0.0);
    let [fx, fy] = each!(2, |i| R::splat(view.lens.focal[i]));
    let [a, b, c] = sight.jacobian;
    let [uc, vc] = sight.uv_clamped;
    let inv_z = sight.inv_z;
    let (sx, sy) = (fx * inv_z, fy * inv_z);
    let (e0, e1): (Row<R>, Row<R>) = (each!(3, |i| d_j[0][i] * sx), each!(3, |i| d_j[1][i] * sy));
    let d_a = e0[0] - uc * e0[2];
    let d_b = e0[1] - vc * e0[2] + e1[0] - uc * e1[2];
    let d_c = e1[1] - vc * e1[2];
    let [h0, h1, h2, h3] = sight.hessian;
    let d_uc = d_a * h0 + d_b * h1 + d_c * h2 - a * e0[2] - b * e1[2];
    let d_vc = d_a * h1 + d_b * h2 + d_c * h3 - b * e0[2] - c * e1[2];

    let [am, bm, cm] = sight.mean_jacobian;
    let (gx, gy) = (v.mean2d[0] * fx, v.mean2d[1] * fy);
    let d_u = R::select(sight.unclamped[0], d_uc, zero) + gx * am + gy * bm;
    let d_v = R::select(sight.unclamped[1], d_vc, zero) + gx * bm + gy * cm;
    let through_scale = dot(d_j[0], sight.j[0]) + dot(d_j[1], sight.j[1]);
    let d_z = v.z - inv_z * (d_u * sight.uv[0] + d_v * sight.uv[1] + through_scale);
    [d_u * inv_z, d_v * inv_z, d_z]
}
