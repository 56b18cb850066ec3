//! From the sums over pixels back through colour and projection to the parameters, eight splats at a time.

use super::primitives::{GeometryGradient, Primitives, ShapeGradient};
use super::project::Shading;
use super::tiles::Tiles;
use super::{CHUNK, Record, Shared, TileSums};
use crate::camera_projection::{Footprint, FootprintGradient, View};
use crate::simd::{Lanes, flush_denormals};
use crate::splat::spherical_harmonics::{Y0, count, direction_gradient};
use crate::splat::{RenderSettings, SplatGradients};
use rayon::prelude::*;
use tessera_camera::each;

/// What the forward pass was given and found visible.
pub(super) struct Scene<'a> {
    pub splats: &'a Primitives<'a>,
    pub view: &'a View,
    pub settings: &'a RenderSettings,
    pub records: &'a [Record],
    pub visible: &'a [u32],
}

/// Fills all of `out` but the background's gradient.
pub(super) fn parameter_gradients(
    scene: &Scene<'_>,
    tiles: &Tiles,
    sums: &[TileSums],
    pose_sums: &mut Vec<[f32; 6]>,
    out: &mut SplatGradients,
) {
    let targets = Targets {
        means: Shared::new(&mut out.means),
        log_scales: Shared::new(&mut out.log_scales),
        quats: Shared::new(&mut out.quats),
        opacity_logits: Shared::new(&mut out.opacity_logits),
        covariances: Shared::new(&mut out.covariances),
        opacities: Shared::new(&mut out.opacities),
        has_covariances: !out.covariances.is_empty(),
        sh0: Shared::new(&mut out.sh0),
        sh_rest: Shared::new(&mut out.sh_rest),
        scores: Shared::new(&mut out.scores),
        mean2d_norms: Shared::new(&mut out.mean2d_norms),
        rest: 3 * (count(scene.splats.sh_degree) - 1),
    };
    pose_sums.resize(scene.visible.len(), [0.0; 6]);
    pose_sums.par_iter_mut().enumerate().for_each(|(chunk, pose)| {
        targets.clear(chunk * CHUNK..((chunk + 1) * CHUNK).min(scene.splats.len()));
        *pose = flush_denormals(|| chunk_gradients(scene, tiles, sums, chunk, &targets));
    });
    out.pose = std::array::from_fn(|i| pose_sums.iter().map(|p| f64::from(p[i])).sum::<f64>() as f32);
}

/// The gradient tensors; each chunk writes the rows of its own splats.
struct Targets {
    means: Shared<f32>,
    log_scales: Shared<f32>,
    quats: Shared<f32>,
    opacity_logits: Shared<f32>,
    covariances: Shared<f32>,
    opacities: Shared<f32>,
    /// Whether covariances have gradients and not scales and rotations.
    has_covariances: bool,
    sh0: Shared<f32>,
    sh_rest: Shared<f32>,
    scores: Shared<f32>,
    mean2d_norms: Shared<f32>,
    /// Width of a row of `sh_rest`.
    rest: usize,
}

impl Targets {
    fn clear(&self, splats: std::ops::Range<usize>) {
        let shapes = match self.has_covariances {
            false => [(&self.log_scales, 3), (&self.quats, 4), (&self.opacity_logits, 1)],
            true => [(&self.covariances, 6), (&self.opacities, 1), (&self.opacities, 1)],
        };
        let others =
            [(&self.means, 3), (&self.sh0, 3), (&self.sh_rest, self.rest), (&self.scores, 1), (&self.mean2d_norms, 1)];
        for (tensor, width) in shapes.into_iter().chain(others) {
            // SAFETY: chunks own disjoint ranges of splats.
            unsafe { tensor.range(splats.start * width, splats.len() * width) }.fill(0.0);
        }
    }
}

crate::dispatch! {
    fn chunk_gradients(
        scene: &Scene<'_>, tiles: &Tiles, sums: &[TileSums], chunk: usize, targets: &Targets,
    ) -> [f32; 6] = chunk_kernel;
}

#[inline(always)]
fn chunk_kernel<V: Lanes>(
    scene: &Scene<'_>,
    tiles: &Tiles,
    sums: &[TileSums],
    chunk: usize,
    targets: &Targets,
) -> [f32; 6] {
    let visible = scene.visible[chunk] as usize;
    let centre = scene.view.position();
    let mut pose = [V::all(0.0); 6];
    for first in (0..visible).step_by(8) {
        let slot = chunk * CHUNK + first;
        let lanes = (visible - first).min(8);
        let gathered = gather_sums(tiles, sums, slot, lanes);
        let ids: [u32; 8] = std::array::from_fn(|lane| scene.records[slot + lane.min(lanes - 1)].splat);
        let group = group_gradients::<V>(scene, centre, &ids, &gathered);
        // Lanes beyond the last splat carry zero sums, so they add nothing.
        for i in 0..6 {
            pose[i] = pose[i] + group.geometry.pose[i];
        }
        write_group(scene, targets, &ids, lanes, &group, &gathered);
    }
    let mut sums = [0.0; 6];
    for i in 0..6 {
        sums[i] = pose[i].sum();
    }
    sums
}

/// The sums of eight splats over all their tiles, one array for each kind of sum.
struct Gathered {
    s: [f32; 8],
    s_d: [[f32; 8]; 2],
    s_dd: [[f32; 8]; 3],
    rgb: [[f32; 8]; 3],
    z: [f32; 8],
    score: [f32; 8],
}

#[inline(always)]
fn gather_sums(tiles: &Tiles, sums: &[TileSums], slot: usize, lanes: usize) -> Gathered {
    let zero = [0.0; 8];
    let mut out = Gathered { s: zero, s_d: [zero; 2], s_dd: [zero; 3], rgb: [zero; 3], z: zero, score: zero };
    for lane in 0..lanes {
        let mut total = TileSums::default();
        for &place in tiles.places(slot + lane) {
            let part = &sums[place as usize];
            total.s += part.s;
            total.s_dx += part.s_dx;
            total.s_dy += part.s_dy;
            total.s_dx_dx += part.s_dx_dx;
            total.s_dx_dy += part.s_dx_dy;
            total.s_dy_dy += part.s_dy_dy;
            for channel in 0..3 {
                total.rgb[channel] += part.rgb[channel];
            }
            total.z += part.z;
            total.score += part.score;
        }
        out.s[lane] = total.s;
        out.s_d[0][lane] = total.s_dx;
        out.s_d[1][lane] = total.s_dy;
        out.s_dd[0][lane] = total.s_dx_dx;
        out.s_dd[1][lane] = total.s_dx_dy;
        out.s_dd[2][lane] = total.s_dy_dy;
        for channel in 0..3 {
            out.rgb[channel][lane] = total.rgb[channel];
        }
        out.z[lane] = total.z;
        out.score[lane] = total.score;
    }
    out
}

/// Gradients of eight splats.
struct Group<V> {
    geometry: GeometryGradient<V>,
    /// With respect to the colour before its clamp at zero.
    colour: [V; 3],
    basis: [V; 15],
    mean2d_norm: V,
}

#[inline(always)]
fn group_gradients<V: Lanes>(scene: &Scene<'_>, centre: [f32; 3], ids: &[u32; 8], sums: &Gathered) -> Group<V> {
    let (view, settings) = (scene.view, scene.settings);
    let load = V::from_array;
    let (dx, dy) = (load(sums.s_d[0]), load(sums.s_d[1]));
    let mut mean2d = [dx, dy];
    let mut geometry = scene.splats.project_backward(
        view,
        settings,
        ids,
        #[inline(always)]
        |f: &Footprint<V>| {
            let [a, b, c] = f.conic;
            mean2d = [a * dx + b * dy, b * dx + c * dy];
            let half = V::all(-0.5);
            FootprintGradient {
                mean2d,
                conic: [half * load(sums.s_dd[0]), -load(sums.s_dd[1]), half * load(sums.s_dd[2])],
                z: load(sums.z),
                opacity: load(sums.s) / f.opacity.max(V::all(1e-12)),
            }
        },
    );

    let degree = settings.active_sh_degree;
    let shading = Shading::<V>::new(scene.splats, centre, degree, ids);
    let zero = V::all(0.0);
    let colour: [V; 3] = each!(3, |k| load(sums.rgb[k]).masked(zero.lt(shading.colour[k])));
    let offset = offset_gradient(scene.splats, degree, ids, &shading, &colour);
    for i in 0..3 {
        geometry.mean[i] = geometry.mean[i] + offset[i];
        // The camera's centre moves by -Rᵀ ρ, so the offset by Rᵀ ρ.
        let r = each!(3, |k| V::all(view.rotation[i][k]));
        geometry.pose[i] = geometry.pose[i] + r[0] * offset[0] + r[1] * offset[1] + r[2] * offset[2];
    }
    let mean2d_norm = (mean2d[0] * mean2d[0] + mean2d[1] * mean2d[1]).sqrt();
    Group { geometry, colour, basis: shading.basis, mean2d_norm }
}

/// The gradient with respect to mean minus camera centre through the direction in which colour is seen.
#[inline(always)]
fn offset_gradient<V: Lanes>(
    splats: &Primitives<'_>,
    degree: u8,
    ids: &[u32; 8],
    shading: &Shading<V>,
    colour: &[V; 3],
) -> [V; 3] {
    let rest = count(splats.sh_degree) - 1;
    let rows = ids.map(|i| 3 * rest as u32 * i);
    let mut weights = [V::all(0.0); 15];
    for k in 0..count(degree) - 1 {
        for channel in 0..3 {
            // SAFETY: as in `Shading::new`.
            let coefficient = unsafe { V::gather(splats.sh_rest.as_ptr(), rows, (3 * k + channel) as u32) };
            weights[k] = coefficient.mul_add(colour[channel], weights[k]);
        }
    }
    let n = shading.direction;
    let g = direction_gradient(degree, n, &weights);
    let along = g[0] * n[0] + g[1] * n[1] + g[2] * n[2];
    each!(3, |i| (g[i] - along * n[i]) * shading.inv_distance)
}

#[inline(always)]
fn write_group<V: Lanes>(
    scene: &Scene<'_>,
    targets: &Targets,
    ids: &[u32; 8],
    lanes: usize,
    group: &Group<V>,
    sums: &Gathered,
) {
    let geometry = &group.geometry;
    write_rows(&targets.means, 3, ids, lanes, &each!(3, |i| geometry.mean[i].to_array()));
    match geometry.shape {
        ShapeGradient::Turned { log_scale, quat, opacity_logit } => {
            write_rows(&targets.log_scales, 3, ids, lanes, &each!(3, |i| log_scale[i].to_array()));
            write_rows(&targets.quats, 4, ids, lanes, &each!(4, |i| quat[i].to_array()));
            write_rows(&targets.opacity_logits, 1, ids, lanes, &[opacity_logit.to_array()]);
        }
        ShapeGradient::Covariances { covariance, opacity } => {
            let [xx, xy, xz, yy, yz, zz] = covariance;
            let columns = [xx.to_array(), xy.to_array(), xz.to_array(), yy.to_array(), yz.to_array(), zz.to_array()];
            write_rows(&targets.covariances, 6, ids, lanes, &columns);
            write_rows(&targets.opacities, 1, ids, lanes, &[opacity.to_array()]);
        }
    }
    write_rows(&targets.scores, 1, ids, lanes, &[sums.score]);
    write_rows(&targets.mean2d_norms, 1, ids, lanes, &[group.mean2d_norm.to_array()]);
    write_rows(&targets.sh0, 3, ids, lanes, &each!(3, |i| (group.colour[i] * V::splat(Y0)).to_array()));
    let mut rest = [[0.0; 8]; 45];
    let active = count(scene.settings.active_sh_degree) - 1;
    for k in 0..active {
        for channel in 0..3 {
            rest[3 * k + channel] = (group.colour[channel] * group.basis[k]).to_array();
        }
    }
    write_rows(&targets.sh_rest, targets.rest, ids, lanes, &rest[..3 * active]);
}

/// Writes the first columns of eight rows of a tensor.
#[inline(always)]
fn write_rows(tensor: &Shared<f32>, width: usize, ids: &[u32; 8], lanes: usize, columns: &[[f32; 8]]) {
    for (lane, &id) in ids.iter().enumerate().take(lanes) {
        // SAFETY: each splat belongs to one chunk, and the row lies in the tensor.
        let row = unsafe { tensor.range(id as usize * width, columns.len()) };
        for (out, column) in row.iter_mut().zip(columns) {
            *out = column[lane];
        }
    }
}
