//! Fewer triangles with the same shape: edges shrink to points in the order of what that costs (Garland and Heckbert, "Surface simplification
//! using quadric error metrics", 1997).

use super::{Triangles, used};
use nalgebra::{Matrix3, Vector3};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

type V3 = Vector3<f64>;

/// How much more than a surface an open border resists being moved.
const BORDER: f64 = 10.0;
/// What an edge's squared length costs beside the distance from planes, so that flat places get triangles of even shape.
const EVENNESS: f64 = 1e-5;
/// How strongly a place is drawn to the middle of its edge where planes do not say where it should be.
const TO_THE_MIDDLE: f64 = 1e-4;
/// The least cosine between a triangle's normals before and after.
const LEAST_COSINE: f64 = 0.2;

/// The mesh with at most `faces` triangles, or as few as its shape allows. Open borders stay where they are, as far as that is possible.
pub fn simplified(
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    faces: usize,
    progress: super::Progress<'_>,
) -> Triangles {
    let mut mesh = Collapsing::new(positions, triangles);
    let (first, goal) = (triangles.len(), triangles.len().saturating_sub(faces));
    while mesh.left > faces {
        let Some(edge) = mesh.queue.pop() else { break };
        if mesh.collapse(&edge) && (first - mesh.left) % 4096 < 2 {
            progress((first - mesh.left).min(goal), goal);
        }
    }
    let triangles: Vec<[u32; 3]> = mesh.triangles.iter().flatten().copied().collect();
    let positions: Vec<[f32; 3]> = mesh.positions.iter().map(|p| p.cast::<f32>().into()).collect();
    used(&positions, &triangles)
}

/// A sum of squared distances from planes, each weighted by an area: `xᵀ a x + 2 bᵀ x + c`.
#[derive(Clone, Copy, Debug, Default)]
struct Quadric {
    a: Matrix3<f64>,
    b: V3,
    c: f64,
    /// The sum of the weights.
    weight: f64,
}

impl Quadric {
    fn plane(normal: V3, through: V3, weight: f64) -> Self {
        let d = -normal.dot(&through);
        Self { a: weight * normal * normal.transpose(), b: weight * d * normal, c: weight * d * d, weight }
    }

    fn add(&mut self, other: &Self) {
        self.a += other.a;
        self.b += other.b;
        self.c += other.c;
        self.weight += other.weight;
    }

    fn at(&self, x: &V3) -> f64 {
        (x.dot(&(self.a * x)) + 2.0 * self.b.dot(x) + self.c).max(0.0)
    }

    /// Where the sum is least, and what it is there.
    fn least(&self, [from, to]: [&V3; 2]) -> (V3, f64) {
        let middle = 0.5 * (from + to);
        let pull = TO_THE_MIDDLE * self.a.trace() / 3.0;
        let pulled = self.a + Matrix3::from_diagonal_element(pull);
        let least = pulled.cholesky().map(|solver| solver.solve(&(pull * middle - self.b)));
        let length = (to - from).norm();
        // Far from the edge it is not to be believed.
        let place = least.filter(|place| (place - middle).norm() <= 2.0 * length).unwrap_or(middle);
        (place, self.at(&place) + EVENNESS * self.weight * length * length)
    }
}

/// An edge that may shrink to a place.
#[derive(Clone, Copy, Debug)]
struct Edge {
    cost: f64,
    ends: [u32; 2],
    /// How often the ends had moved when this was found out.
    moves: [u32; 2],
    place: V3,
}

impl Ord for Edge {
    /// The cheapest edge is the greatest; of equal ones that of the smaller numbers.
    fn cmp(&self, other: &Self) -> Ordering {
        other.cost.total_cmp(&self.cost).then_with(|| other.ends.cmp(&self.ends))
    }
}

impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Edge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Edge {}

struct Collapsing {
    positions: Vec<V3>,
    quadrics: Vec<Quadric>,
    /// `None` when it is gone.
    triangles: Vec<Option<[u32; 3]>>,
    /// Triangles at each vertex, among them some that are gone.
    around: Vec<Vec<u32>>,
    /// How often each vertex was moved.
    moves: Vec<u32>,
    queue: BinaryHeap<Edge>,
    /// Triangles that are there.
    left: usize,
}

impl Collapsing {
    fn new(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Self {
        let positions: Vec<V3> = positions.iter().map(|p| Vector3::from(*p).cast()).collect();
        let mut around = vec![Vec::new(); positions.len()];
        let mut quadrics = vec![Quadric::default(); positions.len()];
        let mut edges = Vec::with_capacity(3 * triangles.len());
        for (i, t) in triangles.iter().enumerate() {
            let doubled = doubled_area(t.map(|v| positions[v as usize]));
            let (normal, area) = (doubled.try_normalize(0.0).unwrap_or_else(V3::zeros), 0.5 * doubled.norm());
            for (k, &v) in t.iter().enumerate() {
                around[v as usize].push(i as u32);
                quadrics[v as usize].add(&Quadric::plane(normal, positions[v as usize], area));
                let next = t[(k + 1) % 3];
                edges.push(([v.min(next), v.max(next)], i as u32));
            }
        }
        edges.sort_unstable();
        let mut mesh = Self {
            moves: vec![0; positions.len()],
            triangles: triangles.iter().copied().map(Some).collect(),
            left: triangles.len(),
            queue: BinaryHeap::with_capacity(edges.len()),
            positions,
            quadrics,
            around,
        };
        for same in edges.chunk_by(|a, b| a.0 == b.0) {
            if let [(ends, triangle)] = same {
                mesh.hold_border(*ends, triangles[*triangle as usize]);
            }
        }
        edges.dedup_by_key(|(ends, _)| *ends);
        let found: Vec<Edge> = edges.iter().map(|(ends, _)| mesh.edge(*ends)).collect();
        mesh.queue = BinaryHeap::from(found);
        mesh
    }

    /// Lets the ends of an edge with one triangle resist leaving the plane through it that stands on the triangle.
    fn hold_border(&mut self, ends: [u32; 2], triangle: [u32; 3]) {
        let [a, b] = ends.map(|v| self.positions[v as usize]);
        let normal = doubled_area(triangle.map(|v| self.positions[v as usize])).cross(&(b - a));
        if let Some(normal) = normal.try_normalize(0.0) {
            let quadric = Quadric::plane(normal, a, BORDER * (b - a).norm_squared());
            ends.iter().for_each(|&v| self.quadrics[v as usize].add(&quadric));
        }
    }

    fn edge(&self, ends: [u32; 2]) -> Edge {
        let [u, v] = ends.map(|v| v as usize);
        let mut sum = self.quadrics[u];
        sum.add(&self.quadrics[v]);
        let (place, cost) = sum.least([&self.positions[u], &self.positions[v]]);
        Edge { cost, ends, moves: [self.moves[u], self.moves[v]], place }
    }

    /// Shrinks an edge, if it is as it was and the surface stays one. Returns whether it did.
    fn collapse(&mut self, edge: &Edge) -> bool {
        let [keep, gone] = edge.ends;
        let is_old = |v: u32, moves: u32| self.moves[v as usize] != moves;
        if is_old(keep, edge.moves[0]) || is_old(gone, edge.moves[1]) || !self.stays_whole(edge) {
            return false;
        }
        let moved = std::mem::take(&mut self.around[gone as usize]);
        for &t in &moved {
            let Some(corners) = &mut self.triangles[t as usize] else { continue };
            if corners.contains(&keep) {
                self.triangles[t as usize] = None;
                self.left -= 1;
            } else {
                corners.iter_mut().filter(|v| **v == gone).for_each(|v| *v = keep);
                self.around[keep as usize].push(t);
            }
        }
        let of_gone = self.quadrics[gone as usize];
        self.quadrics[keep as usize].add(&of_gone);
        self.positions[keep as usize] = edge.place;
        self.moves[keep as usize] += 1;
        self.moves[gone as usize] = u32::MAX;
        let triangles = &self.triangles;
        self.around[keep as usize].retain(|t| triangles[*t as usize].is_some());
        for neighbour in self.neighbours(keep) {
            let edge = self.edge([keep.min(neighbour), keep.max(neighbour)]);
            self.queue.push(edge);
        }
        true
    }

    /// Whether the surface is as connected after the edge has shrunk as before, and no triangle turns over or vanishes.
    fn stays_whole(&self, edge: &Edge) -> bool {
        let [u, v] = edge.ends;
        let (of_u, of_v) = (self.neighbours(u), self.neighbours(v));
        let common = of_u.iter().filter(|w| of_v.binary_search(w).is_ok()).count();
        let shared = self.corners_at(u).filter(|t| t.contains(&v)).count();
        // What both ends touch are the tips of their common triangles and nothing else, and something is left around them.
        if shared == 0 || common != shared || of_u.len() + of_v.len() < 2 + 2 * common + 1 {
            return false;
        }
        // An edge across the surface between two places on its border would pinch it.
        let is_on_border = |v: u32, neighbours: &[u32]| self.corners_at(v).count() < neighbours.len();
        if shared > 1 && is_on_border(u, &of_u) && is_on_border(v, &of_v) {
            return false;
        }
        let is_sound = |t: [u32; 3]| {
            let before = doubled_area(t.map(|w| self.positions[w as usize]));
            let moved = |w: u32| if w == u || w == v { edge.place } else { self.positions[w as usize] };
            let after = doubled_area(t.map(moved));
            let lengths = before.norm() * after.norm();
            after.norm() > 0.0 && before.dot(&after) >= LEAST_COSINE * lengths
        };
        let moving = self.corners_at(u).chain(self.corners_at(v));
        moving.filter(|t| !(t.contains(&u) && t.contains(&v))).all(is_sound)
    }

    fn corners_at(&self, v: u32) -> impl Iterator<Item = [u32; 3]> {
        self.around[v as usize].iter().filter_map(|t| self.triangles[*t as usize])
    }

    /// Ascending.
    fn neighbours(&self, v: u32) -> Vec<u32> {
        let mut all: Vec<u32> = self.corners_at(v).flatten().filter(|w| *w != v).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn doubled_area([a, b, c]: [V3; 3]) -> V3 {
    (b - a).cross(&(c - a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A ball of radius 1 as an octahedron that was divided a few times.
    fn ball(divisions: u32) -> Triangles {
        let mut positions: Vec<[f32; 3]> =
            vec![[1., 0., 0.], [-1., 0., 0.], [0., 1., 0.], [0., -1., 0.], [0., 0., 1.], [0., 0., -1.]];
        let mut triangles: Vec<[u32; 3]> =
            vec![[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]];
        for _ in 0..divisions {
            let mut middles: HashMap<[u32; 2], u32> = HashMap::new();
            let mut next = Vec::new();
            for t in &triangles {
                let m: [u32; 3] = std::array::from_fn(|k| {
                    let (a, b) = (t[k], t[(k + 1) % 3]);
                    *middles.entry([a.min(b), a.max(b)]).or_insert_with(|| {
                        let sum = Vector3::from(positions[a as usize]) + Vector3::from(positions[b as usize]);
                        positions.push(sum.normalize().into());
                        positions.len() as u32 - 1
                    })
                });
                next.extend([[t[0], m[0], m[2]], [m[0], t[1], m[1]], [m[2], m[1], t[2]], m]);
            }
            triangles = next;
        }
        (positions, triangles)
    }

    /// How many triangles are at each edge, by its ends in their order.
    fn edges(triangles: &[[u32; 3]]) -> HashMap<[u32; 2], usize> {
        let mut edges = HashMap::new();
        for t in triangles {
            (0..3).for_each(|k| *edges.entry([t[k], t[(k + 1) % 3]]).or_default() += 1);
        }
        edges
    }

    #[test]
    fn a_ball_of_few_triangles_is_closed_and_as_large_as_before() {
        let (positions, triangles) = ball(5);
        assert_eq!(triangles.len(), 8192);
        let (positions, triangles) = simplified(&positions, &triangles, 400, &mut |_, _| {});
        assert!(triangles.len() <= 400 && triangles.len() >= 390, "{} triangles", triangles.len());
        // Each edge is passed once in each direction, and a ball has V - E + F = 2.
        let edges = edges(&triangles);
        assert!(edges.iter().all(|([a, b], n)| *n == 1 && edges.contains_key(&[*b, *a])), "the ball is open");
        assert_eq!(positions.len() + triangles.len(), edges.len() / 2 + 2);
        // With 400 equal triangles an edge is 0.27 long and its middle 0.009 below a ball through its ends; places are best between.
        for p in &positions {
            let radius = Vector3::from(*p).norm();
            assert!((radius - 1.0).abs() < 0.01, "a corner lies at {radius}");
        }
    }

    #[test]
    fn a_flat_square_keeps_its_border() {
        let n = 20_u32;
        let positions: Vec<[f32; 3]> =
            (0..(n + 1) * (n + 1)).map(|i| [(i % (n + 1)) as f32, (i / (n + 1)) as f32, 3.0]).collect();
        let quad = |i: u32| {
            let a = i / n * (n + 1) + i % n;
            [[a, a + 1, a + n + 2], [a, a + n + 2, a + n + 1]]
        };
        let triangles: Vec<[u32; 3]> = (0..n * n).flat_map(quad).collect();
        let (positions, triangles) = simplified(&positions, &triangles, 40, &mut |_, _| {});
        assert!(triangles.len() <= 40, "{} triangles", triangles.len());
        let area: f64 = triangles
            .iter()
            .map(|t| 0.5 * doubled_area(t.map(|v| Vector3::from(positions[v as usize]).cast())).norm())
            .sum();
        // The corners' two borders hold them in their place.
        assert!((area / f64::from(n * n) - 1.0).abs() < 0.01, "the area is {area} instead of {}", n * n);
        assert!(positions.iter().all(|p| (p[2] - 3.0).abs() < 1e-5), "the square is no longer flat");
    }

    #[test]
    fn what_is_simple_enough_stays_as_it_is() {
        let (positions, triangles) = ball(1);
        let same = simplified(&positions, &triangles, 1000, &mut |_, _| {});
        assert_eq!(same, (positions, triangles));
        // A tetrahedron cannot lose a triangle.
        let corners = vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let faces = vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]];
        assert_eq!(simplified(&corners, &faces, 1, &mut |_, _| {}).1.len(), 4);
    }
}
