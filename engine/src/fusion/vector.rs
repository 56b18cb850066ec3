//! Vectors of three numbers, the same in single precision (what is computed) and in double precision (what tests compare with).

use tessera_camera::Real;

/// One number of either precision.
pub trait Number:
    Real<Mask = bool> + PartialOrd + Default + Send + Sync + From<f32> + Into<f64> + std::fmt::Debug
{
}

impl Number for f32 {}
impl Number for f64 {}

/// Three numbers.
pub type V3<R> = [R; 3];

#[inline(always)]
pub fn add<R: Number>(a: V3<R>, b: V3<R>) -> V3<R> {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

#[inline(always)]
pub fn sub<R: Number>(a: V3<R>, b: V3<R>) -> V3<R> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline(always)]
pub fn scaled<R: Number>(a: V3<R>, by: R) -> V3<R> {
    [a[0] * by, a[1] * by, a[2] * by]
}

#[inline(always)]
pub fn dot<R: Number>(a: V3<R>, b: V3<R>) -> R {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
pub fn cross<R: Number>(a: V3<R>, b: V3<R>) -> V3<R> {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[inline(always)]
pub fn length<R: Number>(a: V3<R>) -> R {
    dot(a, a).sqrt()
}

/// Adds `b * by` to `a`.
#[inline(always)]
pub fn accumulate<R: Number>(a: &mut V3<R>, b: V3<R>, by: R) {
    *a = add(*a, scaled(b, by));
}

/// Of length 1; `None` when it has no length to speak of.
pub fn unit<R: Number>(a: V3<R>) -> Option<V3<R>> {
    let length = length(a);
    (length > R::splat(1e-30)).then(|| scaled(a, length.recip()))
}

/// Twice the area of a triangle, as a vector along its normal.
#[inline(always)]
pub fn doubled_area<R: Number>([a, b, c]: [V3<R>; 3]) -> V3<R> {
    cross(sub(b, a), sub(c, a))
}

/// The matrix, row by row, times a vector.
#[inline(always)]
pub fn turned<R: Number>(m: &[V3<R>; 3], v: V3<R>) -> V3<R> {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

/// The transposed matrix times a vector.
#[inline(always)]
pub fn turned_back<R: Number>(m: &[V3<R>; 3], v: V3<R>) -> V3<R> {
    add(add(scaled(m[0], v[0]), scaled(m[1], v[1])), scaled(m[2], v[2]))
}
