//! Light that reaches the surfaces, computed once per vertex: sky with occlusion and one bounce, and soft shadows.
//!
//! Diffuse light does not depend on the view, so gathering it at the vertices makes pictures that agree with each
//! other exactly and costs nothing per pixel.

use super::bvh::{Bvh, LANES, MISS, Packet};
use super::geometry::{Mesh, V3, Vertex};
use super::texture::Material;
use rayon::prelude::*;
use std::f32::consts::TAU;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A ball that shines; the sun is one that is far away.
#[derive(Clone, Copy)]
pub(super) struct Light {
    pub(super) centre: V3,
    pub(super) radius: f32,
    /// Irradiance at one metre.
    pub(super) power: V3,
    /// Everything nearer to the centre casts no shadow: the lamp's own body.
    pub(super) clearance: f32,
}

impl Light {
    /// A sun in a direction, with the given irradiance, whose disc is `spread` radians in radius.
    pub(super) fn sun(towards: V3, irradiance: V3, spread: f32) -> Self {
        const DISTANCE: f32 = 2e4;
        let centre = towards.normalize() * DISTANCE;
        Self { centre, radius: spread * DISTANCE, power: irradiance * (DISTANCE * DISTANCE), clearance: 0.0 }
    }
}

/// Light from all around.
#[derive(Clone, Copy)]
pub(super) struct Sky {
    pub(super) zenith: V3,
    pub(super) horizon: V3,
    pub(super) ground: V3,
}

impl Sky {
    /// Light from a direction of unit length.
    pub(super) fn radiance(&self, direction: V3) -> V3 {
        let far = if direction.z >= 0.0 { self.zenith } else { self.ground };
        self.horizon.lerp(&far, direction.z.abs().sqrt())
    }
}

/// All light of a scene and how finely it is gathered.
pub(super) struct Lighting {
    pub(super) sky: Sky,
    pub(super) lights: Vec<Light>,
    /// Surfaces farther than this don't hide the sky, in metres. Rooms have light in spite of their walls.
    pub(super) reach: f32,
    /// Share of the sky's light that surfaces pass on.
    pub(super) bounce: f32,
    /// Rays to the sky per vertex, a multiple of [`LANES`].
    pub(super) sky_rays: usize,
    /// How far above the surface rays start, in metres.
    pub(super) offset: f32,
}

/// Fills in what light arrives at every vertex. `progress` hears how many are done.
pub(super) fn bake(
    mesh: &mut Mesh,
    bvh: &Bvh,
    materials: &[Material],
    lighting: &Lighting,
    progress: &(dyn Fn(usize, usize) + Sync),
) {
    const CHUNK: usize = 512;
    let hemisphere = cosine_directions(lighting.sky_rays);
    let done = AtomicUsize::new(0);
    let total = mesh.vertices.len();
    let baked: Vec<Vec<(V3, f32)>> = mesh
        .vertices
        .par_chunks(CHUNK)
        .map(|chunk| {
            let gathered = chunk
                .iter()
                .map(|vertex| {
                    let origin = vertex.position + vertex.normal * lighting.offset;
                    let (direct, lit) = direct(vertex, origin, bvh, lighting);
                    (direct + ambient(vertex.normal, origin, mesh, bvh, materials, lighting, &hemisphere), lit)
                })
                .collect();
            progress(done.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len(), total);
            gathered
        })
        .collect();
    for (vertex, (light, lit)) in mesh.vertices.iter_mut().zip(baked.into_iter().flatten()) {
        (vertex.light, vertex.lit) = (light, lit);
    }
}

/// Irradiance over π from the lights, and the part of the first one that is seen.
fn direct(vertex: &Vertex, origin: V3, bvh: &Bvh, lighting: &Lighting) -> (V3, f32) {
    let mut sum = V3::zeros();
    let mut first_seen = 0.0;
    for (index, light) in lighting.lights.iter().enumerate() {
        let to_light = light.centre - origin;
        let distance = to_light.norm();
        let cosine = to_light.dot(&vertex.normal) / distance;
        if cosine <= 0.0 {
            continue;
        }
        let [side, up] = frame(to_light / distance);
        let mut packet = Packet::new(origin);
        for lane in 0..LANES {
            let r = ((lane as f32 + 0.5) / LANES as f32).sqrt() * light.radius;
            let (sine, cosine) = (lane as f32 * GOLDEN_ANGLE).sin_cos();
            let t_max = 1.0 - light.clearance / distance;
            packet.set(lane, to_light + side * (r * cosine) + up * (r * sine), t_max);
        }
        let hits = bvh.any(&packet);
        let seen = hits.triangle.iter().filter(|&&t| t == MISS).count() as f32 / LANES as f32;
        sum += light.power * (seen * cosine / (distance * distance));
        if index == 0 {
            first_seen = seen;
        }
    }
    (sum, first_seen)
}

fn ambient(
    normal: V3,
    origin: V3,
    mesh: &Mesh,
    bvh: &Bvh,
    materials: &[Material],
    lighting: &Lighting,
    hemisphere: &[V3],
) -> V3 {
    let [side, up] = frame(normal);
    let mut sum = V3::zeros();
    for batch in hemisphere.chunks_exact(LANES) {
        let mut packet = Packet::new(origin);
        for (lane, d) in batch.iter().enumerate() {
            packet.set(lane, side * d.x + up * d.y + normal * d.z, lighting.reach);
        }
        let hits = bvh.nearest(&packet);
        for lane in 0..LANES {
            let sky = lighting.sky.radiance(packet.direction(lane));
            let Some(triangle) = mesh.triangles.get(hits.triangle[lane] as usize) else {
                sum += sky;
                continue;
            };
            let open = (hits.t[lane] / lighting.reach).min(1.0).powi(2);
            let met = &mesh.vertices[triangle.vertices[0] as usize];
            let material = &materials[triangle.material as usize];
            // Only the broad colour of what is met matters: fine detail averages out.
            let colour = material.pattern.colour(met.texture, met.normal, 0.5);
            let passed_on = lighting.sky.horizon.component_mul(&colour) * lighting.bounce;
            sum += sky * open + passed_on * (1.0 - open);
        }
    }
    sum / hemisphere.len() as f32
}

const GOLDEN_ANGLE: f32 = 2.399_963_2;

/// Directions about +z, denser towards it by the cosine, so that their mean is irradiance over π.
fn cosine_directions(count: usize) -> Vec<V3> {
    (0..count)
        .map(|i| {
            let r2 = (i as f32 + 0.5) / count as f32;
            let (sine, cosine) = (i as f32 * GOLDEN_ANGLE % TAU).sin_cos();
            V3::new(r2.sqrt() * cosine, r2.sqrt() * sine, (1.0 - r2).sqrt())
        })
        .collect()
}

/// Two directions that make a right-handed frame with a unit vector, smoothly except at -z (Duff et al. 2017).
fn frame(n: V3) -> [V3; 2] {
    let sign = 1.0f32.copysign(n.z);
    let a = -1.0 / (sign + n.z);
    let b = n.x * n.y * a;
    [V3::new(1.0 + sign * n.x * n.x * a, sign * b, -sign * n.x), V3::new(b, sign + n.y * n.y * a, -n.y)]
}
