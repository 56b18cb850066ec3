//! The triangles of each of the 256 combinations of signs of a cell's corners.
//!
//! Bit 0 of a corner's number is x, bit 1 y, bit 2 z. On each face, seen from outside the cell, every run of inside corners is cut off by a
//! line from the edge where the run is entered to the edge where it is left. Each edge that is crossed belongs to two faces and is
//! entered on one and left on the other, so the lines join to closed loops; a loop becomes a fan of triangles.

use std::sync::LazyLock;

/// An edge of a cell: from a corner along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub corner: usize,
    pub axis: usize,
}

/// Triangles of a combination of signs; their corners lie on edges.
pub(super) type Case = Vec<[Edge; 3]>;

/// By the bits of the corners that are inside.
pub(super) static CASES: LazyLock<[Case; 256]> = LazyLock::new(|| std::array::from_fn(case));

/// The corners of each face, counter-clockwise seen from outside.
const FACES: [[usize; 4]; 6] = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]];

fn edge(a: usize, b: usize) -> Edge {
    Edge { corner: a & b, axis: (a ^ b).trailing_zeros() as usize }
}

fn case(inside: usize) -> Case {
    let is_inside = |corner: usize| inside >> corner & 1 == 1;
    let mut lines: Vec<[Edge; 2]> = Vec::new();
    for face in FACES {
        let next = |i: usize| (i + 1) % 4;
        for i in 0..4 {
            if is_inside(face[i]) || !is_inside(face[next(i)]) {
                continue;
            }
            let mut last = next(i);
            while is_inside(face[next(last)]) {
                last = next(last);
            }
            lines.push([edge(face[i], face[next(i)]), edge(face[last], face[next(last)])]);
        }
    }
    let mut triangles = Vec::new();
    while let Some([first, mut end]) = lines.pop() {
        let mut fan = vec![first];
        while end != first {
            fan.push(end);
            // Where one line ends, exactly one begins.
            let at = lines.iter().position(|line| line[0] == end).unwrap_or_else(|| unreachable!("an open loop"));
            end = lines.swap_remove(at)[1];
        }
        turn(&mut fan);
        triangles.extend((2..fan.len()).map(|i| [fan[0], fan[i - 1], fan[i]]));
    }
    triangles
}

/// Turns a loop so that the fan from its first place has as few lines within a face of the cell as there can be: the neighbour may have the same
/// line, and an edge would then have four triangles.
fn turn(fan: &mut Vec<Edge>) {
    let ends = |e: Edge| [e.corner, e.corner | 1 << e.axis];
    let share_a_face =
        |a: Edge, b: Edge| FACES.iter().any(|face| ends(a).iter().chain(&ends(b)).all(|corner| face.contains(corner)));
    let within_faces = |fan: &[Edge]| (2..fan.len() - 1).filter(|&i| share_a_face(fan[0], fan[i])).count();
    let turned = |by: usize| {
        let mut turned = fan.clone();
        turned.rotate_left(by);
        turned
    };
    if let Some(best) = (0..fan.len()).map(turned).min_by_key(|fan| within_faces(fan)) {
        *fan = best;
    }
}
