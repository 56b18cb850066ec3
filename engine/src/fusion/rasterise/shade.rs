//! What pixels show of the triangles that they meet.

use super::{Cover, Drawing, Eye, NOTHING, Pixel, Shape, beside, turn};
use crate::fusion::vector::{Number, V3, accumulate, cross, dot};

/// The shares of a triangle's corners (beside the ray) where the ray meets it, and the sum that they were divided by.
#[inline(always)]
fn shares<R: Number>([a, b, c]: [V3<R>; 3]) -> ([R; 3], R) {
    let [of_a, of_b, of_c] = [turn(b, c), turn(c, a), turn(a, b)];
    let sum = of_a + of_b + of_c;
    let over = sum.recip();
    ([of_a * over, of_b * over, of_c * over], sum)
}

/// Normals between those of the corners, and 1, where there is something.
pub(super) fn shade<R: Number>(
    eye: &Eye,
    shape: &Shape<'_, R>,
    corners: &[V3<R>],
    cover: &Cover,
    pixels: &mut [Pixel<R>],
) {
    for i in cover.pixels(eye.rays.width).filter(|i| cover.triangles[*i] != NOTHING) {
        let t = shape.triangles[cover.triangles[i] as usize].map(|v| v as usize);
        let ray: V3<R> = eye.rays.ray(i);
        let (shares, _) = shares(t.map(|v| beside(ray, corners[v])));
        let mut normal = [R::default(); 3];
        (0..3).for_each(|k| accumulate(&mut normal, shape.normals[t[k]], shares[k]));
        pixels[i] = [normal[0], normal[1], normal[2], R::splat(1.0)];
    }
}

/// Adds derivatives with respect to corners (in the camera's space) and their normals.
pub(super) fn backward<R: Number>(
    eye: &Eye,
    shape: &Shape<'_, R>,
    drawing: &Drawing<R>,
    of_pixels: &[Pixel<R>],
    of_corners: &mut [V3<R>],
    of_normals: &mut [V3<R>],
) {
    let cover = &drawing.cover;
    for i in cover.pixels(eye.rays.width).filter(|i| cover.triangles[*i] != NOTHING) {
        let of_normal = [of_pixels[i][0], of_pixels[i][1], of_pixels[i][2]];
        if of_normal == [R::default(); 3] {
            continue;
        }
        let t = shape.triangles[cover.triangles[i] as usize].map(|v| v as usize);
        let ray: V3<R> = eye.rays.ray(i);
        let [a, b, c] = t.map(|v| beside(ray, drawing.corners[v]));
        let (shares, sum) = shares([a, b, c]);
        let of_shares = t.map(|v| dot(of_normal, shape.normals[v]));
        let mean = of_shares[0] * shares[0] + of_shares[1] * shares[1] + of_shares[2] * shares[2];
        let over = sum.recip();
        let of_volumes = of_shares.map(|of_share| (of_share - mean) * over);
        (0..3).for_each(|k| accumulate(&mut of_normals[t[k]], of_normal, shares[k]));
        // d·(b×c) changes with b by c×d and with c by d×b.
        let pairs = [[b, c], [c, a], [a, b]];
        for k in 0..3 {
            accumulate(&mut of_corners[t[(k + 1) % 3]], cross(pairs[k][1], ray), of_volumes[k]);
            accumulate(&mut of_corners[t[(k + 2) % 3]], cross(ray, pairs[k][0]), of_volumes[k]);
        }
    }
}
