//! Marching cubes: the zero level of numbers on a grid as triangles (Lorensen and Cline, 1987), brick by brick.
//!
//! Numbers below zero are inside. On a face of a cell whose corners alternate, the inside corners are cut off each by itself; neighbours
//! see the same face and decide the same, so the surface is closed wherever the grid goes on. The 256 cases are derived from that rule
//! (`table`). Vertices lie on edges of the grid, and an edge is the same in all bricks that touch it: [`weld`] joins them.

mod table;

use rayon::prelude::*;
use table::CASES;

/// The surface in one brick.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// Which edge of the whole grid each vertex lies on.
    pub edges: Vec<u64>,
    /// In cells of the whole grid.
    pub positions: Vec<[f32; 3]>,
    /// Indices of the piece's vertices, counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
}

/// The surface of a whole grid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surface {
    /// In cells of the grid.
    pub positions: Vec<[f32; 3]>,
    /// Indices of vertices, counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
}

/// The surface within a brick of `cells³` cells that begins at the cell `base` of the whole grid. `values` are those of its `(cells + 1)³`
/// corners, x fastest.
///
/// # Panics
/// When there is another number of values.
pub fn brick(values: &[f32], cells: usize, base: [u32; 3]) -> Piece {
    let corners = cells + 1;
    assert_eq!(values.len(), corners.pow(3), "a value for each corner");
    let mut piece = Piece::default();
    // For each corner, the vertices on the three edges that begin there.
    let mut on_edge = vec![[u32::MAX; 3]; values.len()];
    for cell in 0..cells.pow(3) {
        let at = [cell % cells, cell / cells % cells, cell / cells.pow(2)];
        let first = at[0] + corners * (at[1] + corners * at[2]);
        let corner = |c: usize| first + (c & 1) + corners * ((c >> 1 & 1) + corners * (c >> 2));
        let signs = (0..8).filter(|&c| values[corner(c)] < 0.0).fold(0, |signs, c| signs | 1 << c);
        for triangle in &CASES[signs] {
            let vertices = triangle.map(|edge| {
                let (start, axis) = (corner(edge.corner), edge.axis);
                if on_edge[start][axis] == u32::MAX {
                    on_edge[start][axis] = piece.positions.len() as u32;
                    let end = start + [1, corners, corners * corners][axis];
                    piece.add_vertex(start, axis, [values[start], values[end]], corners, base);
                }
                on_edge[start][axis]
            });
            piece.triangles.push(vertices);
        }
    }
    piece
}

impl Piece {
    fn add_vertex(&mut self, start: usize, axis: usize, [a, b]: [f32; 2], corners: usize, base: [u32; 3]) {
        let local = [start % corners, start / corners % corners, start / corners.pow(2)];
        let at: [u64; 3] = std::array::from_fn(|k| u64::from(base[k]) + local[k] as u64);
        // 20 bits a coordinate: a million cells a side.
        self.edges.push((((at[2] << 20 | at[1]) << 20 | at[0]) << 2) | axis as u64);
        let mut position = at.map(|x| x as f32);
        // Not quite to the ends, where vertices of several edges would coincide.
        position[axis] += (a / (a - b)).clamp(1e-3, 1.0 - 1e-3);
        self.positions.push(position);
    }
}

/// One surface of the pieces of a grid's bricks. Vertices are in the order of their edges, triangles in that of the pieces.
pub fn weld(pieces: &[Piece]) -> Surface {
    let mut all: Vec<(u64, [f32; 3])> =
        pieces.iter().flat_map(|p| p.edges.iter().copied().zip(p.positions.iter().copied())).collect();
    all.par_sort_by_key(|(edge, _)| *edge);
    all.dedup_by_key(|(edge, _)| *edge);
    let index = |edge: u64| all.partition_point(|(e, _)| *e < edge) as u32;
    let triangles = pieces.par_iter().flat_map_iter(|piece| {
        let global: Vec<u32> = piece.edges.iter().map(|&edge| index(edge)).collect();
        piece.triangles.iter().map(move |t| t.map(|v| global[v as usize]))
    });
    let triangles = triangles.collect();
    Surface { positions: all.into_iter().map(|(_, position)| position).collect(), triangles }
}

#[cfg(test)]
mod tests;
