//! Triangle meshes and the parametric surfaces that scenes are put together from.
//!
//! What is rendered is the mesh itself, so the mesh that is written is the exact ground truth. Every vertex
//! carries the smooth normal of the surface that it tessellates and a coordinate for its texture.

use std::f32::consts::{PI, TAU};

/// A vector in single precision: positions in metres, directions, linear colours.
pub(super) type V3 = nalgebra::Vector3<f32>;

/// A corner of triangles.
#[derive(Clone, Copy)]
pub(super) struct Vertex {
    pub(super) position: V3,
    /// Unit length, outwards.
    pub(super) normal: V3,
    /// Where its texture is evaluated: on solids the object's own coordinates, on faces metres along the face
    /// and the number of the face.
    pub(super) texture: V3,
    /// Linear light that arrives, filled in by `light::bake`.
    pub(super) light: V3,
    /// The part of the first light that is seen from here, filled in with `light`.
    pub(super) lit: f32,
}

/// Three vertices of one material.
#[derive(Clone, Copy)]
pub(super) struct Triangle {
    pub(super) vertices: [u32; 3],
    pub(super) material: u32,
}

/// Triangles over shared vertices.
#[derive(Clone, Default)]
pub(super) struct Mesh {
    pub(super) vertices: Vec<Vertex>,
    pub(super) triangles: Vec<Triangle>,
}

/// Where an object stands: turned first, then moved.
#[derive(Clone, Copy)]
pub(super) struct Place(nalgebra::Isometry3<f32>);

impl Place {
    /// At a point, unturned.
    pub(super) fn at(x: f32, y: f32, z: f32) -> Self {
        Self(nalgebra::Isometry3::translation(x, y, z))
    }

    /// Turned about its own vertical axis by an angle in radians.
    pub(super) fn turned_z(self, angle: f32) -> Self {
        self.turned(V3::z(), angle)
    }

    /// Turned about an axis of its own by an angle in radians.
    pub(super) fn turned(self, axis: V3, angle: f32) -> Self {
        let turn = nalgebra::UnitQuaternion::from_axis_angle(&nalgebra::Unit::new_normalize(axis), angle);
        Self(self.0 * turn)
    }

    /// Moved along its own axes.
    pub(super) fn moved(self, x: f32, y: f32, z: f32) -> Self {
        Self(self.0 * nalgebra::Translation3::new(x, y, z))
    }
}

impl Mesh {
    /// Adds a copy of `other`.
    pub(super) fn add(&mut self, other: &Self, place: &Place) {
        let base = self.vertices.len() as u32;
        self.vertices.extend(other.vertices.iter().map(|v| Vertex {
            position: place.0.transform_point(&v.position.into()).coords,
            normal: place.0.transform_vector(&v.normal),
            ..*v
        }));
        self.triangles.extend(
            other.triangles.iter().map(|t| Triangle { vertices: t.vertices.map(|i| i + base), material: t.material }),
        );
    }

    /// Adds the surface `point(u, v)` for u, v in [0, 1], cut into `[columns, rows]`; quads that have shrunk to
    /// an edge (at poles) become one triangle. The order of corners makes u × v the outside.
    fn add_patch(&mut self, [columns, rows]: [usize; 2], material: u32, point: impl Fn(f32, f32) -> Vertex) {
        let base = self.vertices.len() as u32;
        for row in 0..=rows {
            for column in 0..=columns {
                self.vertices.push(point(column as f32 / columns as f32, row as f32 / rows as f32));
            }
        }
        let stride = columns as u32 + 1;
        for row in 0..rows as u32 {
            for column in 0..columns as u32 {
                let a = base + row * stride + column;
                for vertices in [[a, a + 1, a + stride + 1], [a, a + stride + 1, a + stride]] {
                    let [p, q, r] = vertices.map(|i| self.vertices[i as usize].position);
                    if (q - p).cross(&(r - p)).norm_squared() > 1e-20 {
                        self.triangles.push(Triangle { vertices, material });
                    }
                }
            }
        }
    }
}

fn vertex(position: V3, normal: V3, texture: V3) -> Vertex {
    Vertex { position, normal, texture, light: V3::zeros(), lit: 0.0 }
}

/// A sphere about the origin; texture is the position.
pub(super) fn sphere(radius: f32, cuts: [usize; 2], material: u32) -> Mesh {
    star(cuts, material, |_| radius)
}

/// A body that every ray from its centre leaves once, at `radius(direction)`; texture is the position.
pub(super) fn star(cuts: [usize; 2], material: u32, radius: impl Fn(V3) -> f32) -> Mesh {
    let mut mesh = Mesh::default();
    let direction = |u: f32, v: f32| {
        let (longitude, polar) = (TAU * u, PI * v);
        V3::new(polar.sin() * longitude.cos(), polar.sin() * longitude.sin(), -polar.cos())
    };
    mesh.add_patch(cuts, material, |u, v| {
        // The seam and the poles are met at the same point from every side.
        let d = direction(if u == 1.0 || v == 0.0 || v == 1.0 { 0.0 } else { u }, v);
        let side = if d.z.abs() < 0.9 { V3::z() } else { V3::x() };
        let tangent = d.cross(&side).normalize();
        let bitangent = d.cross(&tangent);
        const STEP: f32 = 1e-2;
        let at = |d: V3| d.normalize() * radius(d.normalize());
        let along = |t: V3| at(d + t * STEP) - at(d - t * STEP);
        let position = d * radius(d);
        vertex(position, along(tangent).cross(&along(bitangent)).normalize(), position)
    });
    mesh
}

/// A ring about the z axis; texture is (metres around, metres around the tube, 0).
pub(super) fn torus(ring: f32, tube: f32, cuts: [usize; 2], material: u32) -> Mesh {
    let mut mesh = Mesh::default();
    mesh.add_patch(cuts, material, |u, v| {
        let (a, b) = (TAU * u, TAU * v);
        let outwards = V3::new(a.cos(), a.sin(), 0.0);
        let normal = outwards * b.cos() + V3::z() * b.sin();
        vertex(outwards * ring + normal * tube, normal, V3::new(a * ring, b * tube, 0.0))
    });
    mesh
}

/// What the texture coordinates of a surface of revolution are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum RevolutionTexture {
    /// The position.
    Solid,
    /// (turns around the axis in [0, 1], metres along the profile, radius).
    Wrapped,
}

/// A profile of (radius, height) points, turned about the z axis; outside is to the right of the profile's
/// direction. Rounded by a Catmull-Rom spline, with `cuts` around and along.
pub(super) fn revolution(profile: &[[f32; 2]], cuts: [usize; 2], material: u32, texture: RevolutionTexture) -> Mesh {
    let mut mesh = Mesh::default();
    mesh.add_patch(cuts, material, |u, v| {
        let [r, z] = spline(profile, v);
        let (before, after) = (spline(profile, (v - 1e-3).max(0.0)), spline(profile, (v + 1e-3).min(1.0)));
        let (dr, dz) = (after[0] - before[0], after[1] - before[1]);
        let a = if u == 1.0 { 0.0 } else { TAU * u };
        let position = V3::new(r * a.cos(), r * a.sin(), z);
        let normal = V3::new(dz * a.cos(), dz * a.sin(), -dr);
        let length = normal.norm();
        let normal = if length > 0.0 { normal / length } else { V3::z() };
        let coordinate = match texture {
            RevolutionTexture::Solid => position,
            RevolutionTexture::Wrapped => V3::new(u, z, r),
        };
        vertex(position, normal, coordinate)
    });
    mesh
}

/// Point `t` in [0, 1] of the curve through `points`.
fn spline(points: &[[f32; 2]], t: f32) -> [f32; 2] {
    let last = points.len() - 1;
    let x = t * last as f32;
    let i = (x as usize).min(last - 1);
    let x = x - i as f32;
    let (before, after) = (points[i.saturating_sub(1)], points[(i + 2).min(last)]);
    [0, 1].map(|k| {
        let (p0, p1, p2, p3) = (before[k], points[i][k], points[i + 1][k], after[k]);
        let (a, b) = (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3, 3.0 * (p1 - p2) + p3 - p0);
        0.5 * (2.0 * p1 + x * ((p2 - p0) + x * (a + x * b)))
    })
}

/// What the texture coordinates of a box are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum BoxTexture {
    /// The position.
    Solid,
    /// (metres right and up from the middle of the face, number of the face: -x, +x, -y, +y, -z, +z).
    Faces,
}

/// A box about the origin with quads of about `cell` metres.
pub(super) fn cuboid(size: [f32; 3], cell: f32, material: u32, texture: BoxTexture) -> Mesh {
    let mut mesh = Mesh::default();
    for face in 0..6 {
        let axis = face / 2;
        let normal = V3::ith(axis, if face % 2 == 1 { 1.0 } else { -1.0 });
        let up = if axis == 2 { V3::y() } else { V3::z() };
        let right = up.cross(&normal);
        let extent = |axis: V3| axis.abs().dot(&V3::from(size));
        let (width, height) = (extent(right), extent(up));
        let cuts = [width, height].map(|length| ((length / cell).ceil() as usize).clamp(1, 256));
        mesh.add_patch(cuts, material, |u, v| {
            let (x, y) = ((u - 0.5) * width, (v - 0.5) * height);
            let position = right * x + up * y + normal * (0.5 * size[axis]);
            let faces = V3::new(x, y, face as f32);
            vertex(position, normal, if texture == BoxTexture::Solid { position } else { faces })
        });
    }
    mesh
}

/// A tube of varying radius along a curve: `centre_and_radius(t)` for t in [0, 1]. Texture is (turns around,
/// t, radius).
pub(super) fn tube(cuts: [usize; 2], material: u32, centre_and_radius: impl Fn(f32) -> (V3, f32)) -> Mesh {
    let mut mesh = Mesh::default();
    mesh.add_patch(cuts, material, |u, v| {
        let (centre, radius) = centre_and_radius(v);
        let forward = centre_and_radius((v + 1e-2).min(1.0)).0 - centre_and_radius((v - 1e-2).max(0.0)).0;
        let forward = forward.normalize();
        let side = if forward.x.abs() < 0.9 { V3::x() } else { V3::y() };
        let right = (side - forward * forward.dot(&side)).normalize();
        let up = forward.cross(&right);
        let a = if u == 1.0 { 0.0 } else { TAU * u };
        let normal = right * a.cos() + up * a.sin();
        vertex(centre + normal * radius, normal, V3::new(u, v, radius))
    });
    mesh
}

/// A cylinder with round ends between two points; texture is (turns around, metres along, radius).
pub(super) fn capsule(from: V3, to: V3, radius: f32, cuts: [usize; 2], material: u32) -> Mesh {
    let axis = (to - from).normalize();
    let length = (to - from).norm();
    let total = length + 2.0 * radius;
    let mut mesh = tube(cuts, material, |t| {
        // Rows crowd towards the ends, where the radius changes fast.
        let s = (0.5 - 0.5 * (PI * t).cos()) * total - radius;
        let beyond = if s < 0.0 { -s } else { (s - length).max(0.0) };
        (from + axis * s, (radius * radius - beyond * beyond).max(1e-8).sqrt())
    });
    for v in &mut mesh.vertices {
        let s = (v.position - from).dot(&axis).clamp(0.0, length);
        v.normal = (v.position - (from + axis * s)).normalize();
        v.texture = V3::new(v.texture.x, (v.position - from).dot(&axis), radius);
    }
    mesh
}

/// The graph of `height(x, y)` over a square of half-size `half`; texture is the position.
pub(super) fn height_field(half: f32, cuts: usize, material: u32, height: impl Fn(f32, f32) -> f32) -> Mesh {
    let mut mesh = Mesh::default();
    let step = half / cuts as f32;
    mesh.add_patch([cuts, cuts], material, |u, v| {
        let (x, y) = ((2.0 * u - 1.0) * half, (2.0 * v - 1.0) * half);
        let slope_x = (height(x + step, y) - height(x - step, y)) / (2.0 * step);
        let slope_y = (height(x, y + step) - height(x, y - step)) / (2.0 * step);
        let position = V3::new(x, y, height(x, y));
        vertex(position, V3::new(-slope_x, -slope_y, 1.0).normalize(), position)
    });
    mesh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triangles_face_the_way_their_normals_point() {
        let profile = [[0.0, 0.0], [0.3, 0.0], [0.4, 0.3], [0.2, 0.6], [0.0, 0.7]];
        let shapes = [
            ("sphere", sphere(1.0, [24, 12], 0)),
            ("torus", torus(1.0, 0.3, [24, 12], 0)),
            ("cuboid", cuboid([1.0, 2.0, 3.0], 0.5, 0, BoxTexture::Faces)),
            ("revolution", revolution(&profile, [24, 24], 0, RevolutionTexture::Solid)),
            ("capsule", capsule(V3::zeros(), V3::new(0.3, 0.2, 1.0), 0.2, [16, 16], 0)),
            ("height field", height_field(2.0, 16, 0, |x, y| 0.3 * (x + 2.0 * y).sin())),
        ];
        for (name, mesh) in shapes {
            for t in &mesh.triangles {
                let [a, b, c] = t.vertices.map(|i| mesh.vertices[i as usize]);
                let flat = (b.position - a.position).cross(&(c.position - a.position)).normalize();
                let smooth = (a.normal + b.normal + c.normal).normalize();
                assert!(flat.dot(&smooth) > 0.6, "{name}: a triangle faces {flat:?}, its normals {smooth:?}");
            }
        }
    }
}
