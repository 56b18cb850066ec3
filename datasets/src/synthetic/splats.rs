//! Made splat scenes of any size: flat Gaussians on the surfaces of a synthetic scene, coloured as the photos show them.
//!
//! They stand in for large reconstructions in tests and benchmarks: a surface that splats cover closely, colours with
//! detail, harmonics that vary smoothly over the surface, no order in the file. Made chunk by chunk, so a scene
//! of any size needs the memory of a chunk. They are stored with y down, as splat files usually are.

use super::geometry::V3;
use super::noise::{noise, random};
use super::render::World;
use super::{Options, SceneKind, scenes};
use crate::camera::Similarity;
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion};
use rayon::prelude::*;
use std::f32::consts::{FRAC_PI_2, TAU};

/// More splats than any program that we know opens.
const MAX_SPLATS: u64 = 200_000_000;
/// The value of the degree-0 spherical harmonic.
const SH_0: f32 = 0.282_094_8;
/// Standard deviation along the surface in units of the distance between splats: neighbours overlap and leave no holes.
const COVERAGE: f32 = 0.6;
/// Standard deviation across the surface in the same units.
const THICKNESS: f32 = 0.06;

/// A splat scene that is made while it is read.
pub struct MadeSplats {
    header: SplatHeader,
    world: World,
    /// `[M]`, area of the triangles up to and including this one.
    area_up_to: Vec<f64>,
    /// Coprime to the count: multiplying by it visits the surface out of order.
    stride: u64,
    seed: u64,
    next: u64,
}

/// Makes `count` splats of the first time step of a scene, whose options are those of the photos.
///
/// # Errors
/// When there are none or too many, the degree is above 3, or an option is out of the range that [`Options`] states.
pub fn splats(
    kind: SceneKind,
    options: &Options,
    count: u64,
    sh_degree: u8,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<MadeSplats> {
    let problem = match (count, sh_degree) {
        (0, _) | (MAX_SPLATS.., _) => Some(format!("{count} splats can't be made: choose 1 to {MAX_SPLATS}")),
        (_, 4..) => Some(format!("harmonics of degree {sh_degree} can't be made: choose 0 to 3")),
        _ => options.problem(),
    };
    if let Some(problem) = problem {
        return Err(DataError::new(format!("synthetic {kind}"), problem));
    }
    let world = World::new(scenes::build(kind, options, 0), progress);
    let mut area = 0.0;
    let area_up_to = (0..world.mesh.triangles.len())
        .map(|triangle| {
            let [a, b, c] = corners(&world, triangle);
            area += 0.5 * f64::from((b - a).cross(&(c - a)).norm());
            area
        })
        .collect();
    // From z up to y down, as in `next_chunk`.
    let turn = UnitQuaternion::from_axis_angle(&nalgebra::Vector3::x_axis(), std::f64::consts::FRAC_PI_2);
    let scene_from_world = Similarity::from_parts(Translation3::identity(), turn, 1.0);
    let header = SplatHeader { count, sh_degree, antialiased: false, scene_from_world };
    Ok(MadeSplats { header, world, area_up_to, stride: coprime_stride(count), seed: options.seed, next: 0 })
}

/// A number without a common divisor with `count`, about 0.618 of it.
fn coprime_stride(count: u64) -> u64 {
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (count as f64 * 0.618_033_988_75) as u64;
    (golden.max(1)..).find(|&stride| divisor(stride, count) == 1).unwrap_or(1)
}

fn corners(world: &World, triangle: usize) -> [V3; 3] {
    world.mesh.triangles[triangle].vertices.map(|v| world.mesh.vertices[v as usize].position)
}

struct MadeSplat {
    mean: V3,
    log_scales: [f32; 3],
    quat: [f32; 4],
    opacity_logit: f32,
    sh0: [f32; 3],
    /// Of the surface, in its texture's metres: where harmonics are looked up.
    texture: V3,
}

impl MadeSplats {
    fn splat(&self, number: u64) -> MadeSplat {
        let total = self.area_up_to.last().copied().unwrap_or(0.0);
        let spacing = (total / self.header.count as f64).sqrt() as f32;
        let draw = |what: i32| random(number as i32, (number >> 31) as i32 ^ (self.seed as i32).wrapping_mul(97), what);
        let target = (number as f64 + f64::from(draw(0))) / self.header.count as f64 * total;
        let triangle = self.area_up_to.partition_point(|&area| area < target).min(self.area_up_to.len() - 1);
        let (u, v) = (draw(1), draw(2));
        let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
        let point = self.world.surface_point(triangle, [u, v], spacing);
        let stretch = (0.5 * (draw(3) - 0.5)).exp();
        let along = spacing * COVERAGE;
        MadeSplat {
            mean: point.position,
            log_scales: [along * stretch, along / stretch, spacing * THICKNESS].map(f32::ln),
            quat: lying_on(point.normal, TAU * draw(4)),
            opacity_logit: 1.0 + 5.0 * draw(5),
            sh0: point.colour.map(|c| (f32::from(c) / 255.0 - 0.5) / SH_0),
            texture: point.texture,
        }
    }

    /// Harmonics above degree 0: alike in all channels up to a tint, smooth over the surface, weaker in higher degrees.
    fn harmonics(&self, texture: V3, put: &mut impl FnMut(f32)) {
        for degree in 1..=i32::from(self.header.sh_degree) {
            for order in 0..=2 * degree {
                let shift = V3::new(13.7, 3.1, 7.9) * (10 * degree + order) as f32;
                let value = 0.08 / degree as f32 * noise(texture * 2.0 + shift);
                [1.0, 0.92, 0.85].into_iter().for_each(|tint| put(value * tint));
            }
        }
    }
}

/// A rotation that brings the z axis to `normal`, after a turn about it.
fn lying_on(normal: V3, turn: f32) -> [f32; 4] {
    let helper = if normal.z.abs() < 0.9 { V3::z() } else { V3::x() };
    let x = helper.cross(&normal).normalize();
    let frame = Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[x, normal.cross(&x), normal]));
    let turned = frame * Rotation3::from_axis_angle(&V3::z_axis(), turn);
    let q = UnitQuaternion::from_rotation_matrix(&turned);
    [q.w, q.i, q.j, q.k]
}

impl SplatSource for MadeSplats {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let end = self.header.count.min(self.next + CHUNK_SPLATS as u64);
        let wide = |i: u64| (u128::from(i) * u128::from(self.stride) % u128::from(self.header.count)) as u64;
        let made: Vec<MadeSplat> = (self.next..end).into_par_iter().map(|i| self.splat(wide(i))).collect();
        let down = UnitQuaternion::from_axis_angle(&V3::x_axis(), FRAC_PI_2);
        chunk.clear();
        for splat in &made {
            chunk.means.push((down * splat.mean).into());
            chunk.log_scales.push(splat.log_scales);
            let [w, i, j, k] = splat.quat;
            let q = down.into_inner() * nalgebra::Quaternion::new(w, i, j, k);
            chunk.quats.push([q.w, q.i, q.j, q.k]);
            chunk.opacity_logits.push(splat.opacity_logit);
            chunk.sh0.push(splat.sh0);
            self.harmonics(splat.texture, &mut |value| chunk.sh_rest.push(value));
        }
        self.next = end;
        Ok(!chunk.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::stream::collect;

    fn made(count: u64, sh_degree: u8) -> SplatCloud {
        let mut source =
            splats(SceneKind::StillLife, &Options::default(), count, sh_degree, &|_, _| {}).expect("splats");
        collect(&mut source).expect("nothing can fail")
    }

    #[test]
    fn as_many_splats_come_as_were_asked_for_and_none_twice() {
        for count in [1, 2, 1000, CHUNK_SPLATS as u64 + 1] {
            let cloud = made(count, 1);
            assert!(cloud.is_consistent() && cloud.len() as u64 == count, "{count} became {}", cloud.len());
            let mut places: Vec<[u32; 3]> = cloud.means.iter().map(|m| m.map(f32::to_bits)).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len() as u64, count, "several splats in one place");
        }
    }

    #[test]
    fn splats_lie_flat_on_the_surface_that_the_photos_show() {
        let capture = super::super::generate(SceneKind::StillLife, &Options::default(), &|_, _| {}).expect("a capture");
        let surface = capture.surface(0);
        let cloud = made(500, 0);
        let stored_from_world = cloud.scene_from_world;
        let vertices: Vec<_> = surface.positions.iter().map(|p| nalgebra::Point3::from(p.map(f64::from))).collect();
        let longest = surface.triangles.iter().map(|t| {
            let [a, b, c] = t.map(|v| vertices[v as usize]);
            (a - b).norm().max((b - c).norm()).max((c - a).norm())
        });
        let longest = longest.fold(0.0, f64::max);
        for (i, mean) in cloud.means.iter().enumerate() {
            let at = stored_from_world.inverse() * nalgebra::Point3::from(mean.map(f64::from));
            let nearest = vertices.iter().map(|v| (v - at).norm()).fold(f64::MAX, f64::min);
            assert!(nearest <= longest, "splat {i} is {nearest} m from the surface");
            let [x, y, z] = cloud.log_scales[i];
            assert!(z < x && z < y, "splat {i} does not lie flat");
        }
    }
}
