//! Which triangle a ray meets first: a bounding volume hierarchy, walked by packets of rays from one point.
//!
//! The rays of a packet start at the same point, as those of a camera or of a surface point that gathers light
//! do. Then a triangle test is three dot products per ray, and all [`LANES`] rays share every visited node.

use super::geometry::{Mesh, V3};
use crate::scene::box_tree::{Bounds, BoxNode, BoxTree, STACK_SIZE};

/// Rays per packet.
pub(super) const LANES: usize = 16;
/// One number per ray.
pub(super) type Lanes = [f32; LANES];
/// The triangle of a ray that meets nothing.
pub(super) const MISS: u32 = u32::MAX;

/// Slack on barycentric coordinates, so that rays don't slip between neighbours.
const EDGE_SLACK: f32 = 1e-5;

/// Rays `origin + t * direction` for t in (0, `t_max`]. Rays with negative `t_max` are idle.
pub(super) struct Packet {
    pub(super) origin: V3,
    pub(super) direction: [Lanes; 3],
    pub(super) t_max: Lanes,
}

impl Packet {
    /// Idle rays from one point.
    pub(super) fn new(origin: V3) -> Self {
        Self { origin, direction: [[1.0; LANES]; 3], t_max: [-1.0; LANES] }
    }

    /// Points ray `lane`, which ends at `t_max`.
    pub(super) fn set(&mut self, lane: usize, direction: V3, t_max: f32) {
        for axis in 0..3 {
            self.direction[axis][lane] = direction[axis];
        }
        self.t_max[lane] = t_max;
    }

    /// Direction of one ray.
    pub(super) fn direction(&self, lane: usize) -> V3 {
        V3::new(self.direction[0][lane], self.direction[1][lane], self.direction[2][lane])
    }
}

/// What each ray of a packet met: its distance, triangle and barycentric coordinates there.
pub(super) struct Hits {
    pub(super) t: Lanes,
    pub(super) triangle: [u32; LANES],
    pub(super) u: Lanes,
    pub(super) v: Lanes,
}

#[derive(Clone, Copy)]
struct Corner {
    vertex: V3,
    edge1: V3,
    edge2: V3,
    normal: V3,
}

/// The hierarchy over one mesh.
pub(super) struct Bvh {
    nodes: Vec<BoxNode>,
    corners: Vec<Corner>,
    triangles: Vec<u32>,
}

impl Bvh {
    /// Builds the hierarchy.
    pub(super) fn new(mesh: &Mesh) -> Self {
        let corners_of = |t: [u32; 3]| t.map(|i| mesh.vertices[i as usize].position);
        let boxes: Vec<Bounds> = mesh.triangles.iter().map(|t| Bounds::of(&corners_of(t.vertices))).collect();
        let BoxTree { nodes, order } = BoxTree::new(&boxes);
        let corners = order
            .iter()
            .map(|&t| {
                let [a, b, c] = corners_of(mesh.triangles[t as usize].vertices);
                let (edge1, edge2) = (b - a, c - a);
                Corner { vertex: a, edge1, edge2, normal: edge2.cross(&edge1) }
            })
            .collect();
        Self { nodes, corners, triangles: order }
    }

    /// The nearest hits.
    pub(super) fn nearest(&self, packet: &Packet) -> Hits {
        self.dispatch::<false>(packet)
    }

    /// Any hits: only whether `triangle` is [`MISS`] means something.
    pub(super) fn any(&self, packet: &Packet) -> Hits {
        self.dispatch::<true>(packet)
    }

    fn dispatch<const ANY: bool>(&self, packet: &Packet) -> Hits {
        // AVX2 without FMA: the same operations in the same order, so every machine makes the same picture.
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.walk_avx2::<ANY>(packet) };
        }
        self.walk::<ANY>(packet)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn walk_avx2<const ANY: bool>(&self, packet: &Packet) -> Hits {
        self.walk::<ANY>(packet)
    }

    #[inline(always)]
    fn walk<const ANY: bool>(&self, packet: &Packet) -> Hits {
        let mut hits = Hits { t: packet.t_max, triangle: [MISS; LANES], u: [0.0; LANES], v: [0.0; LANES] };
        if self.triangles.is_empty() {
            return hits;
        }
        let inverse = packet.direction.map(|axis| axis.map(|d| 1.0 / if d.abs() < 1e-12 { 1e-12 } else { d }));
        let leading = [0, 1, 2].map(|axis| packet.direction[axis][0] < 0.0);
        let mut stack = [0u32; STACK_SIZE];
        let mut height = 1;
        while height > 0 {
            height -= 1;
            let node = &self.nodes[stack[height] as usize];
            if !box_is_met(&node.bounds, packet.origin, &inverse, &hits.t) {
                continue;
            }
            if node.count > 0 {
                for index in node.first..node.first + u32::from(node.count) {
                    self.meet::<ANY>(index as usize, packet, &mut hits);
                }
                if ANY && hits.t.iter().all(|&t| t < 0.0) {
                    return hits;
                }
            } else {
                let right_first = u32::from(leading[usize::from(node.axis)]);
                stack[height] = node.first + 1 - right_first;
                stack[height + 1] = node.first + right_first;
                height += 2;
            }
        }
        hits
    }

    #[inline(always)]
    fn meet<const ANY: bool>(&self, index: usize, packet: &Packet, hits: &mut Hits) {
        // Möller & Trumbore (1997), rearranged for rays that share their origin.
        let corner = &self.corners[index];
        let s = packet.origin - corner.vertex;
        let n = corner.normal;
        let across = corner.edge2.cross(&s);
        let along = s.cross(&corner.edge1);
        let height = corner.edge2.dot(&along);
        let triangle = self.triangles[index];
        let [dx, dy, dz] = &packet.direction;
        for lane in 0..LANES {
            let (x, y, z) = (dx[lane], dy[lane], dz[lane]);
            let inverse = 1.0 / (x * n.x + y * n.y + z * n.z);
            let u = (x * across.x + y * across.y + z * across.z) * inverse;
            let v = (x * along.x + y * along.y + z * along.z) * inverse;
            let t = height * inverse;
            let inside = (u >= -EDGE_SLACK) & (v >= -EDGE_SLACK) & (u + v <= 1.0 + EDGE_SLACK);
            let hit = inside & (t > 0.0) & (t < hits.t[lane]);
            hits.t[lane] = if hit { if ANY { -1.0 } else { t } } else { hits.t[lane] };
            hits.triangle[lane] = if hit { triangle } else { hits.triangle[lane] };
            hits.u[lane] = if hit { u } else { hits.u[lane] };
            hits.v[lane] = if hit { v } else { hits.v[lane] };
        }
    }
}

#[inline(always)]
fn box_is_met(bounds: &Bounds, origin: V3, inverse: &[Lanes; 3], t_max: &Lanes) -> bool {
    let (low, high) = (bounds.min - origin, bounds.max - origin);
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut near = [0.0f32; LANES];
    let mut far = *t_max;
    for axis in 0..3 {
        for lane in 0..LANES {
            let a = low[axis] * inverse[axis][lane];
            let b = high[axis] * inverse[axis][lane];
            near[lane] = larger(near[lane], smaller(a, b));
            far[lane] = smaller(far[lane], larger(a, b));
        }
    }
    let mut met = false;
    for lane in 0..LANES {
        // Slack for rounding: the box of a flat triangle has no thickness.
        met |= near[lane] <= far[lane] * (1.0 + 1e-6);
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::geometry::{self, Place};
    use rand::{RngExt, SeedableRng};

    #[test]
    fn the_hierarchy_finds_the_nearest_of_all_triangles() {
        let seed = 7;
        let mut rng = rand_pcg::Pcg32::seed_from_u64(seed);
        let mut mesh = Mesh::default();
        for i in 0..12 {
            let at = V3::new(rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
            let ball = geometry::sphere(0.3, [12, 8], 0);
            mesh.add(&ball, &Place::at(at.x, at.y, at.z).turned_z(i as f32));
        }
        let bvh = Bvh::new(&mesh);
        let mut brute = Bvh::new(&Mesh::default());
        let all = bvh.triangles.len();
        brute.triangles.clone_from(&bvh.triangles);
        brute.corners.clone_from(&bvh.corners);
        for _ in 0..200 {
            let mut packet = Packet::new(V3::new(rng.random_range(-2.0..2.0), rng.random_range(-2.0..2.0), 1.7));
            for lane in 0..LANES {
                let random = |rng: &mut rand_pcg::Pcg32| rng.random_range(-1.0f32..1.0);
                packet.set(lane, V3::new(random(&mut rng), random(&mut rng), random(&mut rng)), 10.0);
            }
            let walked = bvh.nearest(&packet);
            let mut expected = Hits { t: packet.t_max, triangle: [MISS; LANES], u: [0.0; LANES], v: [0.0; LANES] };
            for index in 0..all {
                brute.meet::<false>(index, &packet, &mut expected);
            }
            assert_eq!(walked.t, expected.t, "seed {seed}: the walk missed a nearer triangle");
            let any = bvh.any(&packet);
            for lane in 0..LANES {
                assert_eq!(any.triangle[lane] == MISS, walked.triangle[lane] == MISS, "seed {seed}: any-hit differs");
            }
        }
    }
}
