//! Which triangle each pixel shows.

use super::Eye;
use crate::fusion::vector::{Number, V3, add, cross, dot, scaled};
use tessera_camera::{Camera, Mask};
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// The triangle of a pixel that shows none.
pub const NOTHING: u32 = u32::MAX;
/// Numbers in a group of lanes.
const LANES: usize = 8;
/// Triangles that come nearer to the camera than this share of their distance from it are not drawn.
const NEAR: f64 = 1e-6;
/// By so many pixels edges may be curved where a lens distorts.
const CURVATURE: f64 = 1.0;

/// The rays of a picture's pixels: `(u, v, 1)` in the camera's space.
#[derive(Clone, Debug)]
pub struct Plane {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Numbers in a row, a multiple of the lanes.
    pub stride: usize,
    /// `[height, stride]`.
    pub u: Vec<f32>,
    /// `[height, stride]`.
    pub v: Vec<f32>,
    /// Squared `u` and `v` beyond which the lens sees nothing.
    farthest: f64,
}

impl Plane {
    /// The rays of a camera.
    pub fn new(camera: &Camera) -> Self {
        let (width, height) = (camera.width as usize, camera.height as usize);
        let stride = width.next_multiple_of(LANES);
        let farthest = camera.lens.max_valid_radius_squared();
        let mut plane = Self { width, height, stride, u: Vec::new(), v: Vec::new(), farthest };
        for i in 0..height * stride {
            let pixel = [(i % stride) as f64 + 0.5, (i / stride) as f64 + 0.5];
            let [u, v] = camera.lens.unproject_within(pixel, farthest);
            plane.u.push(u as f32);
            plane.v.push(v as f32);
        }
        plane
    }

    /// The ray of a pixel, counted row by row without the end of rows.
    #[inline(always)]
    pub fn ray<R: Number>(&self, pixel: usize) -> V3<R> {
        let i = pixel / self.width * self.stride + pixel % self.width;
        [self.u[i].into(), self.v[i].into(), R::splat(1.0)]
    }
}

/// What is seen in the pixels of a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cover {
    /// `[H, W]`, [`NOTHING`] where there is none.
    pub triangles: Vec<u32>,
    /// `[H, W]`, one over the depth, 0 where there is nothing.
    pub nearness: Vec<f32>,
    /// Pixels outside of this box show nothing: first column and row, and those behind the last ones.
    pub bounds: [[usize; 2]; 2],
}

/// A triangle as four linear functions of the ray: the shares of its corners over the depth, and their sum.
struct Functions {
    planes: [[f32; 3]; 4],
    /// First column and row, last column and row.
    bounds: [[usize; 2]; 2],
}

/// The picture that triangles are drawn into, in padded rows.
struct Canvas<'a> {
    plane: &'a Plane,
    nearness: Vec<f32>,
    triangles: Vec<u32>,
}

impl Cover {
    /// The nearest triangles that the eye sees of corners in its space; of equally near ones the first. The memory of an earlier cover is used again.
    pub fn of<R: Number>(eye: &Eye, corners: &[V3<R>], triangles: &[[u32; 3]], earlier: Self) -> Self {
        let corners: Vec<V3<f64>> = corners.iter().map(|c| c.map(Into::into)).collect();
        let pixels: Vec<Option<[f64; 2]>> = corners.iter().map(|c| pixel(eye, c)).collect();
        let plane = &eye.rays;
        let area = plane.stride * plane.height;
        let mut canvas = Canvas { plane, nearness: earlier.nearness, triangles: earlier.triangles };
        refill(&mut canvas.nearness, area, 0.0);
        refill(&mut canvas.triangles, area, NOTHING);
        let mut bounds = [[plane.width, plane.height], [0, 0]];
        for (index, t) in triangles.iter().enumerate() {
            if let Some(functions) = Functions::of(eye, t.map(|v| corners[v as usize]), t.map(|v| pixels[v as usize])) {
                for k in 0..2 {
                    bounds[0][k] = bounds[0][k].min(functions.bounds[0][k]);
                    bounds[1][k] = bounds[1][k].max(functions.bounds[1][k] + 1);
                }
                fill(&mut canvas, &functions, index as u32);
            }
        }
        Self {
            triangles: trimmed(canvas.triangles, plane),
            nearness: trimmed(canvas.nearness, plane),
            bounds: if bounds[0][0] < bounds[1][0] { bounds } else { [[0; 2]; 2] },
        }
    }

    /// The pixels of the box that may show something, row by row.
    pub fn pixels(&self, width: usize) -> impl Iterator<Item = usize> + use<> {
        let [[left, top], [right, bottom]] = self.bounds;
        (top..bottom).flat_map(move |y| (left..right).map(move |x| y * width + x))
    }
}

/// So many equal values, in memory that is there already.
pub(super) fn refill<T: Copy>(values: &mut Vec<T>, count: usize, value: T) {
    values.clear();
    values.resize(count, value);
}

/// A picture without the ends of its rows.
fn trimmed<T: Copy>(mut values: Vec<T>, plane: &Plane) -> Vec<T> {
    if plane.stride > plane.width {
        for row in 1..plane.height {
            values.copy_within(row * plane.stride..row * plane.stride + plane.width, row * plane.width);
        }
    }
    values.truncate(plane.width * plane.height);
    values
}

/// Where a corner lies in the picture; `None` behind the camera and where its lens sees nothing.
fn pixel(eye: &Eye, c: &V3<f64>) -> Option<[f64; 2]> {
    if c[2] <= NEAR * (c[0].abs() + c[1].abs() + c[2].abs()) {
        return None;
    }
    let (u, v) = (c[0] / c[2], c[1] / c[2]);
    if u * u + v * v > eye.rays.farthest {
        return None;
    }
    let uv = eye.lens.distort(u, v).uv;
    Some([0, 1].map(|k| eye.lens.focal[k] * uv[k] + eye.lens.centre[k]))
}

impl Functions {
    /// `None` when nothing of the triangle is in the picture.
    fn of(eye: &Eye, [a, b, c]: [V3<f64>; 3], pixels: [Option<[f64; 2]>; 3]) -> Option<Self> {
        let [p, q, r] = [pixels[0]?, pixels[1]?, pixels[2]?];
        let margin = if eye.lens.distortion == tessera_camera::Distortion::None { 1e-3 } else { CURVATURE };
        let mut bounds = [[0; 2]; 2];
        for (k, side) in [eye.rays.width, eye.rays.height].into_iter().enumerate() {
            let low = (p[k].min(q[k]).min(r[k]) - 0.5 - margin).ceil().max(0.0);
            let high = (p[k].max(q[k]).max(r[k]) - 0.5 + margin).floor().min(side as f64 - 1.0);
            if low > high {
                return None;
            }
            (bounds[0][k], bounds[1][k]) = (low as usize, high as usize);
        }
        let planes = [cross(b, c), cross(c, a), cross(a, b)];
        let volume = dot(a, planes[0]);
        if volume == 0.0 {
            return None;
        }
        let [of_a, of_b, of_c] = planes.map(|plane| scaled(plane, 1.0 / volume));
        let planes = [of_a, of_b, of_c, add(add(of_a, of_b), of_c)];
        Some(Self { planes: planes.map(|plane| plane.map(|x| x as f32)), bounds })
    }
}

dispatch! {
    /// Draws a triangle, eight pixels of a row at a time.
    fn fill(canvas: &mut Canvas<'_>, functions: &Functions, index: u32) = fill_lanes;
}

#[inline(always)]
fn fill_lanes<V: Lanes>(canvas: &mut Canvas<'_>, functions: &Functions, index: u32) {
    let [[left, top], [right, bottom]] = functions.bounds;
    let [a, b, c, nearness] = functions.planes;
    let at = |plane: [f32; 3], u: V, v: V| u.mul_add(V::all(plane[0]), v.mul_add(V::all(plane[1]), V::all(plane[2])));
    for row in top..=bottom {
        let begin = row * canvas.plane.stride;
        for start in (begin + left / LANES * LANES..=begin + right).step_by(LANES) {
            debug_assert!(start + LANES <= canvas.nearness.len());
            // SAFETY: rows are padded to whole groups of lanes, and `right` is a column of the picture.
            let (u, v, known) = unsafe {
                let of = |numbers: &[f32]| V::load(numbers.as_ptr().add(start));
                (of(&canvas.plane.u), of(&canvas.plane.v), of(&canvas.nearness))
            };
            let zero = V::all(0.0);
            let near = at(nearness, u, v);
            let inside = zero.le(at(a, u, v)) & zero.le(at(b, u, v)) & zero.le(at(c, u, v)) & known.lt(near);
            if !inside.any() {
                continue;
            }
            // SAFETY: as above.
            unsafe { V::select(inside, near, known).store(canvas.nearness.as_mut_ptr().add(start)) };
            let mut bits = V::bits(inside);
            while bits != 0 {
                canvas.triangles[start + bits.trailing_zeros() as usize] = index;
                bits &= bits - 1;
            }
        }
    }
}
