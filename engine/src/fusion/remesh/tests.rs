use super::*;
use crate::fusion::tests::ball;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

/// A ball whose vertices were moved at random, which want edges of random lengths.
fn restless(rng: &mut Pcg32) -> Surface {
    let (positions, triangles) = ball(3);
    let vertex = |p: &V3<f32>| Vertex {
        position: p.map(|x| x + rng.random_range(-0.1..0.1)),
        length: rng.random_range(0.03..0.6),
        ..Vertex::default()
    };
    Surface { vertices: positions.iter().map(vertex).collect(), triangles }
}

/// Whether each vertex has one fan of triangles.
fn has_whole_fans(surface: &Surface) -> bool {
    let fans = Fans::of(&surface.triangles, surface.vertices.len());
    (0..surface.vertices.len() as u32).all(|v| {
        // From one neighbour to the next around the vertex.
        let next = |from: u32| {
            let of = |t: &u32| surface.triangles[*t as usize];
            fans.at(v)
                .iter()
                .map(of)
                .find_map(|t| (0..3).find(|k| t[*k] == v && t[(k + 1) % 3] == from).map(|k| t[(k + 2) % 3]))
        };
        let Some(first) = fans.at(v).first().map(|t| surface.triangles[*t as usize]) else { return false };
        let start = first[(0..3).find(|k| first[*k] == v).map_or(0, |k| (k + 1) % 3)];
        let (mut at, mut steps) = (start, 0);
        while let Some(other) = next(at) {
            (at, steps) = (other, steps + 1);
            if at == start || steps > fans.at(v).len() {
                break;
            }
        }
        at == start && steps == fans.at(v).len()
    })
}

#[test]
fn a_surface_stays_one_closed_ball_whatever_its_vertices_want() {
    let seed = tessera_test_seed::test_seed();
    let mut rng = Pcg32::seed_from_u64(seed);
    let mut surface = restless(&mut rng);
    for round in 0..8 {
        surface.remesh();
        let edges = Edges::of(&surface.triangles, surface.vertices.len());
        let edges = edges.unwrap_or_else(|| panic!("seed {seed}: the surface is open after round {round}"));
        let euler = surface.vertices.len() as i64 - edges.ends.len() as i64 + surface.triangles.len() as i64;
        assert_eq!(euler, 2, "seed {seed}: after round {round} it is no ball");
        assert!(has_whole_fans(&surface), "seed {seed}: after round {round} a vertex has two fans");
        assert!(edges.degrees().iter().all(|d| *d >= 3), "seed {seed}: a vertex has two neighbours");
        for vertex in &mut surface.vertices {
            vertex.position = vertex.position.map(|x| x + rng.random_range(-0.05..0.05));
            vertex.length = rng.random_range(0.05..0.8);
        }
    }
}

#[test]
fn edges_become_as_long_as_their_vertices_want() {
    let (positions, triangles) = ball(2);
    for wanted in [0.08f32, 0.7] {
        let vertex = |p: &V3<f32>| Vertex { position: *p, length: wanted, ..Vertex::default() };
        let mut surface = Surface { vertices: positions.iter().map(vertex).collect(), triangles: triangles.clone() };
        (0..12).for_each(|_| surface.remesh());
        let edges = surface.edges();
        let mean = edges.ends.iter().map(|e| surface.edge_length(*e)).sum::<f32>() / edges.ends.len() as f32;
        // Between a half and three halves of what is wanted nothing is done.
        assert!((0.5 * wanted..1.5 * wanted).contains(&mean), "edges are {mean} long, wanted were {wanted}");
        let degrees = edges.degrees();
        let even = degrees.iter().filter(|d| (5..=7).contains(*d)).count();
        assert!(even * 10 >= degrees.len() * 7, "{even} of {} vertices have five to seven neighbours", degrees.len());
    }
}

#[test]
fn a_tetrahedron_and_open_or_twisted_triangles_are_told_apart() {
    let tetrahedron = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]];
    let edges = Edges::of(&tetrahedron, 4).expect("a tetrahedron is closed");
    assert_eq!((edges.ends.len(), edges.joins(3, 1), edges.degrees()), (6, true, vec![3; 4]));
    assert_eq!(edges.neighbours()[0], [2, 3, 1], "beyond the edges 0-2, 2-1 and 1-0");
    assert_eq!(Edges::of(&tetrahedron[..3], 4), None, "one triangle is missing");
    let mut twisted = tetrahedron;
    twisted[3] = [1, 3, 2];
    assert_eq!(Edges::of(&twisted, 4), None, "one triangle looks inside");
    let mut surface = Surface {
        vertices: (0..4)
            .map(|i| Vertex {
                position: [i as f32, (i * i) as f32, (i * i * i) as f32],
                length: 1e3,
                ..Vertex::default()
            })
            .collect(),
        triangles: tetrahedron.to_vec(),
    };
    surface.remesh();
    assert_eq!(surface.triangles.len(), 4, "nothing smaller is closed");
}

#[test]
fn sheets_that_share_an_edge_are_parted() {
    // Two tetrahedra on either side of the edge 0-1.
    let [a, b] = [[2, 3], [4, 5]];
    let tetrahedron = |[p, q]: [u32; 2]| [[0, 1, p], [1, 0, q], [0, p, q], [1, q, p]];
    let triangles = [tetrahedron(a), tetrahedron(b)].concat();
    let positions =
        vec![[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]];
    assert_eq!(Edges::of(&triangles, 6), None, "four triangles meet at the edge");
    let (positions, triangles) = mended(positions, triangles);
    assert_eq!((positions.len(), triangles.len()), (8, 12));
    let edges = Edges::of(&triangles, positions.len()).expect("two triangles meet at each edge");
    assert_eq!(edges.ends.len(), 18);
}
