//! The edges of a closed surface.

/// Edges of a closed surface in the order of their ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edges {
    /// `[E]`: the smaller and the larger end.
    pub ends: Vec<[u32; 2]>,
    /// `[E]`: the triangle that passes the edge from the smaller end to the larger one, and the one that passes it back; as three times the
    /// triangle plus the corner where the edge begins.
    pub sides: Vec<[u32; 2]>,
    /// `[M, 3]`: the edge that begins at each corner of a triangle.
    pub of_triangle: Vec<[u32; 3]>,
    /// `[N + 1]`: where the edges whose smaller end is a vertex begin.
    first: Vec<u32>,
}

impl Edges {
    /// The edges of triangles over `vertices` vertices; `None` unless two triangles meet at each edge, in opposite directions.
    pub fn of(triangles: &[[u32; 3]], vertices: usize) -> Option<Self> {
        let mut begin = vec![0u32; vertices + 1];
        let ends = |side: u32| {
            let (t, k) = (triangles[side as usize / 3], side as usize % 3);
            [t[k], t[(k + 1) % 3]]
        };
        let sides = 0..3 * triangles.len() as u32;
        for side in sides.clone() {
            let [a, b] = ends(side);
            begin[a.min(b) as usize + 1] += 1;
        }
        for v in 0..vertices {
            begin[v + 1] += begin[v];
        }
        let mut next = begin.clone();
        // The larger end and the side, by the smaller end.
        let mut sorted = vec![(0u32, 0u32); sides.len()];
        for side in sides {
            let [a, b] = ends(side);
            let place = &mut next[a.min(b) as usize];
            sorted[*place as usize] = (a.max(b), side);
            *place += 1;
        }
        let mut edges = Self { of_triangle: vec![[0; 3]; triangles.len()], ..Self::default() };
        for v in 0..vertices {
            edges.first.push(edges.ends.len() as u32);
            let at = &mut sorted[begin[v] as usize..begin[v + 1] as usize];
            at.sort_unstable();
            for pair in at.chunk_by(|a, b| a.0 == b.0) {
                let [(other, p), (_, q)] = *pair else { return None };
                let up = |side: u32| ends(side)[0] == v as u32;
                let [forth, back] = if up(p) { [p, q] } else { [q, p] };
                if !up(forth) || up(back) || other == v as u32 {
                    return None;
                }
                for side in [forth, back] {
                    edges.of_triangle[side as usize / 3][side as usize % 3] = edges.ends.len() as u32;
                }
                edges.ends.push([v as u32, other]);
                edges.sides.push([forth, back]);
            }
        }
        edges.first.push(edges.ends.len() as u32);
        Some(edges)
    }

    /// Whether two vertices have an edge.
    pub fn joins(&self, a: u32, b: u32) -> bool {
        let (low, high) = (a.min(b), a.max(b));
        let range = self.first[low as usize] as usize..self.first[low as usize + 1] as usize;
        self.ends[range].binary_search(&[low, high]).is_ok()
    }

    /// `[M]`: the triangle beyond each edge.
    pub fn neighbours(&self) -> Vec<[u32; 3]> {
        let beyond = |t: usize, edge: u32| {
            let [p, q] = self.sides[edge as usize].map(|side| side / 3);
            if p as usize == t { q } else { p }
        };
        self.of_triangle.iter().enumerate().map(|(t, edges)| edges.map(|edge| beyond(t, edge))).collect()
    }

    /// `[N]`: how many edges end at each vertex.
    pub fn degrees(&self) -> Vec<u32> {
        let mut degrees = vec![0; self.first.len() - 1];
        self.ends.iter().flatten().for_each(|&v| degrees[v as usize] += 1);
        degrees
    }
}

/// The triangles at each vertex.
pub struct Fans {
    first: Vec<u32>,
    triangles: Vec<u32>,
}

impl Fans {
    /// Of triangles over `vertices` vertices.
    pub fn of(triangles: &[[u32; 3]], vertices: usize) -> Self {
        let mut first = vec![0u32; vertices + 1];
        triangles.iter().flatten().for_each(|&v| first[v as usize + 1] += 1);
        for v in 0..vertices {
            first[v + 1] += first[v];
        }
        let mut next = first.clone();
        let mut at = vec![0; 3 * triangles.len()];
        for (t, corners) in triangles.iter().enumerate() {
            for &v in corners {
                at[next[v as usize] as usize] = t as u32;
                next[v as usize] += 1;
            }
        }
        Self { first, triangles: at }
    }

    /// The triangles at a vertex, ascending.
    pub fn at(&self, vertex: u32) -> &[u32] {
        &self.triangles[self.first[vertex as usize] as usize..self.first[vertex as usize + 1] as usize]
    }
}
