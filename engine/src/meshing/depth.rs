//! What a camera sees of a mesh: the depth of the nearest triangle in each pixel.

use crate::rays::SeenPlace;
use nalgebra::Vector3;
use tessera_kernels::camera_projection::View;

/// The least cosine between a surface's normal and the way to a camera that sees it well.
const LEAST_COSINE: f64 = 0.2;

/// Depths along a camera's axis.
#[derive(Clone, Debug)]
pub struct DepthPicture {
    view: View,
    /// `[H, W]`, infinite where nothing is.
    depth: Vec<f32>,
}

impl DepthPicture {
    /// What `view` sees of triangles in its world. Triangles that reach behind the camera or beyond its lens are left out.
    pub fn of(view: &View, positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Self {
        let project = |p: &[f32; 3]| -> Option<[f64; 3]> {
            let c: [f64; 3] = std::array::from_fn(|i| {
                (0..3).map(|k| f64::from(view.rotation[i][k]) * f64::from(p[k])).sum::<f64>()
                    + f64::from(view.translation[i])
            });
            let (u, v) = (c[0] / c[2], c[1] / c[2]);
            if c[2] <= 0.0 || u * u + v * v > f64::from(view.max_radius_squared) {
                return None;
            }
            let uv = view.lens.distort(u, v).uv;
            let pixel = |k: usize| view.lens.focal[k] * uv[k] + view.lens.centre[k];
            Some([pixel(0), pixel(1), 1.0 / c[2]])
        };
        let corners: Vec<Option<[f64; 3]>> = positions.iter().map(project).collect();
        let mut picture = Self { view: *view, depth: vec![f32::INFINITY; view.width * view.height] };
        for t in triangles {
            if let [Some(a), Some(b), Some(c)] = t.map(|v| corners[v as usize]) {
                picture.draw([a, b, c]);
            }
        }
        picture
    }

    /// Draws a triangle of pixels and inverse depths, which change evenly over a plane.
    fn draw(&mut self, [a, b, c]: [[f64; 3]; 3]) {
        let cross =
            |p: [f64; 2], q: [f64; 3], r: [f64; 3]| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
        let area = cross([a[0], a[1]], b, c);
        let range = |k: usize, side: usize| {
            let (low, high) = (a[k].min(b[k]).min(c[k]), a[k].max(b[k]).max(c[k]));
            let inside = |x: f64| x.clamp(0.0, side as f64) as usize;
            inside((low - 0.5).ceil())..inside((high - 0.5).floor() + 1.0)
        };
        if area.abs() < f64::MIN_POSITIVE {
            return;
        }
        for y in range(1, self.view.height) {
            for x in range(0, self.view.width) {
                let p = [x as f64 + 0.5, y as f64 + 0.5];
                let (of_a, of_b) = (cross(p, b, c) / area, cross(p, c, a) / area);
                let of_c = 1.0 - of_a - of_b;
                if of_a >= 0.0 && of_b >= 0.0 && of_c >= 0.0 {
                    let depth = (1.0 / (of_a * a[2] + of_b * b[2] + of_c * c[2])) as f32;
                    let nearest = &mut self.depth[y * self.view.width + x];
                    *nearest = nearest.min(depth);
                }
            }
        }
    }

    /// Where the camera sees a place on the mesh with a normal of length 1; `None` when it does not, or when something stands before it in that
    /// pixel or the next.
    pub fn sees(&self, place: &Vector3<f64>, normal: &Vector3<f64>) -> Option<SeenPlace> {
        let seen = SeenPlace::of(&self.view, place)?;
        let to_camera = Vector3::from(self.view.position().map(f64::from)) - place;
        let cosine = normal.dot(&to_camera) / to_camera.norm();
        if cosine.is_nan() || cosine < LEAST_COSINE {
            return None;
        }
        // A plane that is seen at a slant changes its depth from pixel to pixel.
        let slant = (1.0 - cosine * cosine).max(0.0).sqrt() / cosine;
        let pixel = seen.depth / self.view.lens.focal[0].min(self.view.lens.focal[1]);
        let allowed = seen.depth - pixel * (1.0 + 2.0 * slant);
        let [x, y] = seen.pixel.map(|x| x as usize);
        let rows = y.saturating_sub(1)..(y + 2).min(self.view.height);
        let columns = x.saturating_sub(1)..(x + 2).min(self.view.width);
        let around = rows.flat_map(|y| columns.clone().map(move |x| y * self.view.width + x));
        let mut nearest = around.map(|i| f64::from(self.depth[i]));
        nearest.all(|depth| depth >= allowed).then_some(seen)
    }
}
