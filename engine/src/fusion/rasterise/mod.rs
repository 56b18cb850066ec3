//! Pictures of a closed mesh's normals and outline, and their derivatives with respect to the mesh.
//!
//! After Laine et al., "Modular Primitives for High-Performance Differentiable Rendering" (2020), with everything in the camera's space: a pixel
//! is a ray `d = (u, v, 1)`, so lenses with distortion need no formulas of their own.
//!
//! 1. *Which triangle* a pixel's ray meets first (`cover`). With corners a, b, c, the ray meets the triangle where `d·(b×c)`, `d·(c×a)` and
//!    `d·(a×b)` have one sign; over their sum they are the shares of the corners, and the sum over `a·(b×c)` is one over the depth. No
//!    derivative.
//! 2. *What it shows there*: the mean of the corners' normals with these shares, and 1 for the outline (`shade`).
//! 3. *Outlines* (`antialias`). Where neighbouring pixels show different triangles and an edge of the nearer one, beyond which the surface
//!    turns away, passes between their middles, at a share `s` of the way from the nearer one's: a pixel is covered up to its border, so the
//!    other pixel gets `s - 1/2` of the difference, or the nearer one loses `1/2 - s` of it. This moves with the edge, and is what pulls
//!    outlines into place.
//!
//! The derivatives are the exact ones of steps 2 and 3. Sums run in the order of pixels, so results do not depend on the number of threads.

mod antialias;
mod cover;
mod shade;

pub use cover::{Cover, NOTHING, Plane};

use super::vector::{Number, V3, add, cross, dot, turned, turned_back};
use antialias::Blend;
use tessera_camera::Lens;

/// A normal's components and the share of the pixel that is covered.
pub const CHANNELS: usize = 4;
/// Channels of a pixel.
pub type Pixel<R> = [R; CHANNELS];

/// A camera for drawing.
#[derive(Clone, Debug)]
pub struct Eye {
    /// Rotation of `camera_from_scene`, row by row.
    pub rotation: [[f32; 3]; 3],
    /// Translation of `camera_from_scene`.
    pub translation: [f32; 3],
    /// In pixels.
    pub lens: Lens,
    /// Rays of the pixels.
    pub rays: Plane,
}

/// A closed mesh.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a, R> {
    /// `[N]`, in the scene.
    pub positions: &'a [V3<R>],
    /// `[N]`, of length 1.
    pub normals: &'a [V3<R>],
    /// `[M]`, counter-clockwise seen from outside.
    pub triangles: &'a [[u32; 3]],
    /// `[M]`: the triangle beyond the edge that begins at each corner.
    pub neighbours: &'a [[u32; 3]],
}

/// What an eye sees, with all that its derivative needs.
#[derive(Clone, Debug)]
pub struct Drawing<R> {
    /// `[H, W]`.
    pub pixels: Vec<Pixel<R>>,
    /// Derivatives with respect to the pixels, for [`Drawing::backward`]: whoever wants others fills them in.
    pub of_pixels: Vec<Pixel<R>>,
    /// Which triangle each pixel shows.
    pub cover: Cover,
    /// `[N]`, in the camera's space.
    corners: Vec<V3<R>>,
    /// `[H, W]`, before outlines.
    plain: Vec<Pixel<R>>,
    blends: Vec<Blend<R>>,
    /// Derivatives with respect to the plain pixels.
    of_plain: Vec<Pixel<R>>,
}

/// Derivatives with respect to a mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeGradient<R> {
    /// `[N]`.
    pub positions: Vec<V3<R>>,
    /// `[N]`.
    pub normals: Vec<V3<R>>,
}

impl<R: Number> ShapeGradient<R> {
    /// Zeros for a mesh of so many vertices.
    pub fn zeros(vertices: usize) -> Self {
        let zeros = vec![[R::default(); 3]; vertices];
        Self { positions: zeros.clone(), normals: zeros }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        let pairs = [(&mut self.positions, &other.positions), (&mut self.normals, &other.normals)];
        for (mine, others) in pairs {
            mine.iter_mut().zip(others).for_each(|(a, b)| *a = add(*a, *b));
        }
    }
}

/// Planes whose memory is used again by the next drawing of a view: to get new memory from the system takes as long as to fill it.
#[derive(Clone, Debug, Default)]
pub struct Planes<R> {
    pixels: Vec<Pixel<R>>,
    of_pixels: Vec<Pixel<R>>,
    plain: Vec<Pixel<R>>,
    of_plain: Vec<Pixel<R>>,
    cover: Cover,
}

/// Draws a mesh into planes.
pub fn draw<R: Number>(eye: &Eye, shape: &Shape<'_, R>, planes: Planes<R>) -> Drawing<R> {
    let rotation = eye.rotation.map(|row| row.map(R::from));
    let translation = eye.translation.map(R::from);
    let corners: Vec<V3<R>> = shape.positions.iter().map(|p| add(turned(&rotation, *p), translation)).collect();
    let Planes { mut pixels, of_pixels, mut plain, of_plain, cover } = planes;
    let cover = Cover::of(eye, &corners, shape.triangles, cover);
    cover::refill(&mut plain, cover.triangles.len(), Pixel::default());
    shade::shade(eye, shape, &corners, &cover, &mut plain);
    pixels.clone_from(&plain);
    let blends = antialias::blend(eye, shape, &corners, &cover, &plain, &mut pixels);
    Drawing { pixels, of_pixels, cover, corners, plain, blends, of_plain }
}

impl<R: Number> Drawing<R> {
    /// Derivatives with respect to the mesh of a number whose derivatives with respect to the pixels are `of_pixels`.
    pub fn backward(&mut self, eye: &Eye, shape: &Shape<'_, R>) -> ShapeGradient<R> {
        let mut gradient = ShapeGradient::zeros(shape.positions.len());
        let mut of_corners = vec![[R::default(); 3]; shape.positions.len()];
        let mut of_plain = std::mem::take(&mut self.of_plain);
        of_plain.clone_from(&self.of_pixels);
        for blend in &self.blends {
            blend.backward(eye, &self.corners, &self.plain, &self.of_pixels, &mut of_plain, &mut of_corners);
        }
        shade::backward(eye, shape, self, &of_plain, &mut of_corners, &mut gradient.normals);
        self.of_plain = of_plain;
        let rotation = eye.rotation.map(|row| row.map(R::from));
        for (position, corner) in gradient.positions.iter_mut().zip(&of_corners) {
            *position = turned_back(&rotation, *corner);
        }
        gradient
    }

    /// The planes, for the next drawing.
    pub fn into_planes(self) -> Planes<R> {
        let Self { pixels, of_pixels, cover, plain, of_plain, .. } = self;
        Planes { pixels, of_pixels, plain, of_plain, cover }
    }
}

/// A place seen along a ray `(u, v, 1)`: how far it is beside the ray at its own depth. `d·(b×c)` is the same for places so moved, and does not lose
/// the digits in which neighbouring vertices differ.
#[inline(always)]
fn beside<R: Number>(ray: V3<R>, place: V3<R>) -> V3<R> {
    [place[0] - ray[0] * place[2], place[1] - ray[1] * place[2], R::default()]
}

/// `d·(b×c)` for places beside the ray.
#[inline(always)]
fn turn<R: Number>(b: V3<R>, c: V3<R>) -> R {
    b[0] * c[1] - b[1] * c[0]
}

/// Six times the volume between the camera and a triangle: positive when it is seen from inside, as the ray and the normal point the same way.
#[inline(always)]
fn volume<R: Number>([a, b, c]: [V3<R>; 3]) -> R {
    dot(a, cross(b, c))
}

#[cfg(test)]
mod tests;
