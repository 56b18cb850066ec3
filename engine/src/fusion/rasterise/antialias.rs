//! Outlines between pixels.

use super::{CHANNELS, Cover, Eye, NOTHING, Pixel, Shape, beside, turn, volume};
use crate::fusion::vector::{Number, V3, accumulate, cross, dot};

/// An outline between the middles of two pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blend<R> {
    /// The pixel that shows the nearer triangle, and its neighbour.
    pub(super) pixels: [usize; 2],
    /// The ends of the edge.
    pub(super) ends: [u32; 2],
    /// How far from the one pixel's middle to the other's the edge passes, from 0 to 1.
    pub(super) share: R,
}

/// Smooths the outlines of `pixels`, which are the plain ones, and says where they were found, in the order of pixels.
pub(super) fn blend<R: Number>(
    eye: &Eye,
    shape: &Shape<'_, R>,
    corners: &[V3<R>],
    cover: &Cover,
    plain: &[Pixel<R>],
    pixels: &mut [Pixel<R>],
) -> Vec<Blend<R>> {
    let faces: Vec<bool> =
        shape.triangles.iter().map(|t| volume(t.map(|v| corners[v as usize])) < R::default()).collect();
    let is_outline = |t: usize| shape.neighbours[t].map(|n| faces[n as usize] != faces[t]);
    let (width, height) = (eye.rays.width, eye.rays.height);
    let [[left, top], [right, bottom]] = cover.bounds;
    let mut blends = Vec::new();
    for y in top.saturating_sub(1)..bottom {
        for x in left.saturating_sub(1)..right {
            let i = y * width + x;
            let beside = [(x + 1 < width).then_some(i + 1), (y + 1 < height).then_some(i + width)];
            for j in beside.into_iter().flatten() {
                if cover.triangles[i] == cover.triangles[j] {
                    continue;
                }
                let [near, far] = if cover.nearness[i] >= cover.nearness[j] { [i, j] } else { [j, i] };
                let t = cover.triangles[near] as usize;
                debug_assert!(cover.triangles[near] != NOTHING, "of two pixels the nearer one shows something");
                let is_outline = is_outline(t);
                if !is_outline.contains(&true) {
                    continue;
                }
                let edges = (0..3).filter(|k| is_outline[*k]);
                let edges = edges.map(|k| [shape.triangles[t][k], shape.triangles[t][(k + 1) % 3]]);
                let found = edges.filter_map(|ends| crossing(eye, corners, [near, far], ends));
                let nearest = found.fold(None, |best: Option<Blend<R>>, blend| match best {
                    Some(best) if best.share <= blend.share => Some(best),
                    _ => Some(blend),
                });
                if let Some(blend) = nearest {
                    blend.apply(plain, pixels);
                    blends.push(blend);
                }
            }
        }
    }
    blends
}

/// Whether an edge passes between the middles of two pixels.
fn crossing<R: Number>(eye: &Eye, corners: &[V3<R>], pixels: [usize; 2], ends: [u32; 2]) -> Option<Blend<R>> {
    let [a, b] = pixels.map(|pixel| eye.rays.ray::<R>(pixel));
    let [from, to] = ends.map(|v| corners[v as usize]);
    let through = cross(a, b);
    if dot(from, through) * dot(to, through) > R::default() {
        return None;
    }
    let [at_a, at_b] = [a, b].map(|ray| turn(beside(ray, from), beside(ray, to)));
    (at_a * at_b < R::default()).then(|| Blend { pixels, ends, share: at_a / (at_a - at_b) })
}

impl<R: Number> Blend<R> {
    /// The pixel that changes, and by which share of the difference from the far to the near one.
    fn change(&self) -> (usize, R) {
        let beyond = self.share - R::splat(0.5);
        (self.pixels[usize::from(beyond > R::default())], beyond)
    }

    fn apply(&self, plain: &[Pixel<R>], pixels: &mut [Pixel<R>]) {
        let (changed, by) = self.change();
        let [near, far] = self.pixels;
        (0..CHANNELS).for_each(|k| pixels[changed][k] = pixels[changed][k] + by * (plain[near][k] - plain[far][k]));
    }

    /// Adds derivatives with respect to the plain pixels and the corners.
    pub(super) fn backward(
        &self,
        eye: &Eye,
        corners: &[V3<R>],
        plain: &[Pixel<R>],
        of_pixels: &[Pixel<R>],
        of_plain: &mut [Pixel<R>],
        of_corners: &mut [V3<R>],
    ) {
        let (changed, by) = self.change();
        let [near, far] = self.pixels;
        let of_changed = of_pixels[changed];
        let mut of_share = R::default();
        for k in 0..CHANNELS {
            of_plain[near][k] = of_plain[near][k] + by * of_changed[k];
            of_plain[far][k] = of_plain[far][k] - by * of_changed[k];
            of_share = of_share + of_changed[k] * (plain[near][k] - plain[far][k]);
        }
        if of_share == R::default() {
            return;
        }
        let [a, b] = self.pixels.map(|pixel| eye.rays.ray::<R>(pixel));
        let [from, to] = self.ends.map(|v| corners[v as usize]);
        let [at_a, at_b] = [a, b].map(|ray| turn(beside(ray, from), beside(ray, to)));
        let over = (at_a - at_b).squared().recip();
        let (of_a, of_b) = (-of_share * at_b * over, of_share * at_a * over);
        // a·(from×to) changes with `from` by to×a and with `to` by a×from.
        for (ray, by) in [(a, of_a), (b, of_b)] {
            accumulate(&mut of_corners[self.ends[0] as usize], cross(beside(ray, to), ray), by);
            accumulate(&mut of_corners[self.ends[1] as usize], cross(ray, beside(ray, from)), by);
        }
    }
}
