//! How far a mesh is from a reference: distances both ways between points on one surface and the other, and angles between their normals.

use crate::mesh_distance::{MeshDistance, normal_at};
use crate::meshing::depth::DepthPicture;
use crate::{Error, Result};
use nalgebra::{Point3, Vector3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tessera_datasets::camera::Similarity;
use tessera_datasets::scene::{Mesh, NearestPoints};
use tessera_kernels::camera_projection::View;

/// Points on each surface.
pub const POINTS: usize = 200_000;

/// What a comparison found. Lengths are in the units of the files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeometryReport {
    /// Mean distance from the mesh to the reference.
    pub accuracy: f64,
    /// Mean distance from the reference to the mesh.
    pub completeness: f64,
    /// The mean of both.
    pub chamfer: f64,
    /// The diagonal of the box around the reference.
    pub reference_size: f64,
    /// Distance below which a point counts as found, for precision, recall and F-score.
    pub threshold: f64,
    /// Share of the mesh near the reference.
    pub precision: f64,
    /// Share of the reference near the mesh.
    pub recall: f64,
    /// Their harmonic mean.
    pub f_score: f64,
    /// Mean angle between normals at points and at the nearest places of the other, both ways, in degrees; `None` when one of the two has no triangles.
    /// A normal lies between those of the triangle's vertices, or is that of the triangle if they have none.
    pub normal_degrees: Option<f64>,
}

/// Cameras, and how their scene lies in the world of the meshes.
#[derive(Clone, Copy, Debug)]
pub struct Cameras<'a> {
    /// In scene coordinates.
    pub views: &'a [View],
    /// From the world to the scene.
    pub scene_from_world: &'a Similarity,
}

/// Compares `mesh` with `reference`, each a mesh or a point cloud; `threshold` is by default half a percent of the reference's size. With cameras
/// only such points count that one of them sees; of a cloud, which hides nothing, all do.
///
/// # Errors
/// When one of them has no points, or none that is seen.
pub fn compare(
    mesh: &Mesh,
    reference: &Mesh,
    threshold: Option<f64>,
    cameras: Option<Cameras<'_>>,
) -> Result<GeometryReport> {
    let (mut ours, mut theirs) = (Points::on(mesh), Points::on(reference));
    if ours.0.is_empty() || theirs.0.is_empty() {
        return Err(Error::setting("there is nothing to compare: mesh or reference has no vertices"));
    }
    if let Some(cameras) = cameras {
        ours.keep_seen(mesh, cameras);
        theirs.keep_seen(reference, cameras);
        if ours.0.is_empty() || theirs.0.is_empty() {
            return Err(Error::setting(
                "the photos see nothing of the mesh or of the reference: compare a reference in the capture's coordinates",
            ));
        }
    }
    let [low, high] = reference.bounds().unwrap_or_default().map(|c| Vector3::from(c.map(f64::from)));
    let reference_size = (high - low).norm();
    let threshold = threshold.unwrap_or(0.005 * reference_size);
    let (to, back) = (ours.distances(&Surface::of(reference)), theirs.distances(&Surface::of(mesh)));
    let mean = |of: &[(f64, Option<f64>)]| of.iter().map(|(d, _)| d).sum::<f64>() / of.len() as f64;
    let near = |of: &[(f64, Option<f64>)]| of.iter().filter(|(d, _)| *d < threshold).count() as f64 / of.len() as f64;
    let angle =
        |of: &[(f64, Option<f64>)]| of.iter().map(|(_, a)| *a).sum::<Option<f64>>().map(|sum| sum / of.len() as f64);
    let (precision, recall) = (near(&to), near(&back));
    let (accuracy, completeness) = (mean(&to), mean(&back));
    Ok(GeometryReport {
        accuracy,
        completeness,
        chamfer: 0.5 * (accuracy + completeness),
        reference_size,
        threshold,
        precision,
        recall,
        f_score: 2.0 * precision * recall / (precision + recall).max(1e-12),
        normal_degrees: angle(&to).zip(angle(&back)).map(|(a, b)| 0.5 * (a + b)),
    })
}

/// A point on a surface, or of a cloud.
struct Point {
    place: [f32; 3],
    /// None in a cloud.
    normals: Option<Normals>,
}

/// As the surface is shaded, and of the triangle.
struct Normals {
    shaded: Vector3<f32>,
    flat: Vector3<f32>,
}

/// Points spread evenly over a surface.
struct Points(Vec<Point>);

impl Points {
    /// [`POINTS`] points on the triangles, at distances of equal area along them; the vertices of a point cloud.
    fn on(mesh: &Mesh) -> Self {
        if mesh.triangles.is_empty() {
            return Self(mesh.positions.iter().map(|&place| Point { place, normals: None }).collect());
        }
        let corners = |t: &[u32; 3]| t.map(|v| Vector3::from(mesh.positions[v as usize]));
        let area = |t: &[u32; 3]| {
            let [a, b, c] = corners(t);
            f64::from(0.5 * (b - a).cross(&(c - a)).norm())
        };
        let total: f64 = mesh.triangles.iter().map(area).sum();
        let mut points = Vec::with_capacity(POINTS);
        let mut passed = 0.0;
        for t in &mesh.triangles {
            passed += area(t) / total.max(f64::MIN_POSITIVE);
            let [a, b, c] = corners(t);
            let of_corners = (!mesh.normals.is_empty()).then(|| t.map(|v| Vector3::from(mesh.normals[v as usize])));
            while points.len() < (passed * POINTS as f64) as usize {
                // A sequence of low discrepancy in the square, folded to the triangle.
                let i = points.len() as f64;
                let (u, v) = ((0.754_877_666 * i).fract() as f32, (0.569_840_296 * i).fract() as f32);
                let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
                let place = a + u * (b - a) + v * (c - a);
                let normal = |corners| normal_at(&[a, b, c], corners, place);
                let normals = Normals { shaded: normal(of_corners.as_ref()), flat: normal(None) };
                points.push(Point { place: place.into(), normals: Some(normals) });
            }
        }
        Self(points)
    }

    /// Drops the points, on `mesh`, that no camera sees; a cloud, which hides nothing, stays.
    fn keep_seen(&mut self, mesh: &Mesh, Cameras { views, scene_from_world }: Cameras<'_>) {
        if mesh.triangles.is_empty() {
            return;
        }
        let in_scene = mesh.clone().transformed(scene_from_world);
        let turned = |n: &Normals| scene_from_world.isometry.rotation * n.flat.cast::<f64>();
        let of_scene = |point: &Point| {
            let place = (scene_from_world * Point3::from(point.place.map(f64::from))).coords;
            Some((place, turned(point.normals.as_ref()?)))
        };
        let points: Vec<Option<(Vector3<f64>, Vector3<f64>)>> = self.0.iter().map(of_scene).collect();
        let mut is_seen = vec![false; points.len()];
        for view in views {
            let picture = DepthPicture::of(view, &in_scene.positions, &in_scene.triangles);
            is_seen.par_iter_mut().zip(&points).for_each(|(seen, point)| {
                *seen = *seen || point.is_some_and(|(place, normal)| picture.sees(&place, &normal).is_some());
            });
        }
        let mut is_seen = is_seen.into_iter();
        self.0.retain(|_| is_seen.next() == Some(true));
    }

    /// For each point the distance to the nearest place of `other`, and the angle between their normals in degrees.
    fn distances(&self, other: &Surface) -> Vec<(f64, Option<f64>)> {
        let one = |point: &Point| {
            let (distance, normal) = other.nearest(point.place);
            let angle = |(a, b): (&Normals, [f32; 3])| {
                f64::from(a.shaded.dot(&Vector3::from(b)).clamp(-1.0, 1.0).acos()).to_degrees()
            };
            (f64::from(distance), point.normals.as_ref().zip(normal).map(angle))
        };
        self.0.par_iter().map(one).collect()
    }
}

/// What points are compared with: triangles, or the points of a cloud.
enum Surface {
    Triangles(MeshDistance),
    Points(NearestPoints),
}

impl Surface {
    fn of(mesh: &Mesh) -> Self {
        // A mesh whose triangles have no area is as good as its vertices.
        MeshDistance::new(mesh).map_or_else(|_| Self::Points(NearestPoints::new(&mesh.positions)), Self::Triangles)
    }

    fn nearest(&self, place: [f32; 3]) -> (f32, Option<[f32; 3]>) {
        match self {
            Self::Triangles(mesh) => {
                let (distance, normal) = mesh.nearest(place);
                (distance, Some(normal))
            }
            Self::Points(tree) => {
                let [(squared, _)] = tree.nearest_to::<1>(place);
                (squared.sqrt(), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of side 1 at a height.
    fn square(z: f32) -> Mesh {
        Mesh {
            positions: vec![[0.0, 0.0, z], [1.0, 0.0, z], [1.0, 1.0, z], [0.0, 1.0, z]],
            triangles: vec![[0, 1, 2], [0, 2, 3]],
            ..Mesh::default()
        }
    }

    #[test]
    fn parallel_squares_are_as_far_apart_as_they_are() {
        let report = compare(&square(0.0), &square(0.1), Some(0.05), None).expect("both have points");
        assert!((report.chamfer - 0.1).abs() < 1e-6, "{report:?}");
        assert_eq!((report.f_score, report.normal_degrees), (0.0, Some(0.0)));
        let same = compare(&square(0.0), &square(0.0), None, None).expect("both have points");
        // Places on a triangle are rounded.
        assert!(same.chamfer < 1e-6 && same.f_score == 1.0, "{same:?}");
    }

    #[test]
    fn normals_are_those_that_vertices_say_if_they_say_some() {
        // All vertices of a square say that it leans to one side, all those of the other one that it does not.
        let leaning = Mesh { normals: vec![[0.6, 0.0, 0.8]; 4], ..square(0.0) };
        let upright = Mesh { normals: vec![[0.0, 0.0, 1.0]; 4], ..square(0.0) };
        for (a, b) in [(&leaning, &upright), (&leaning, &square(0.0)), (&square(0.0), &leaning)] {
            let found =
                compare(a, b, None, None).expect("both have points").normal_degrees.expect("both have triangles");
            assert!((found - 0.6f64.asin().to_degrees()).abs() < 1e-3, "{found} degrees");
        }
    }

    #[test]
    fn what_no_camera_sees_does_not_count() {
        use nalgebra::Isometry3;
        use tessera_datasets::camera::Camera;
        // A second square far below the first, which hides it from a camera above, lies where the reference has none.
        let mut mesh = square(0.1);
        mesh.positions.extend(square(-3.0).positions.iter().map(|p| [0.4 + 0.2 * p[0], 0.4 + 0.2 * p[1], p[2]]));
        mesh.triangles.extend([[4, 5, 6], [4, 6, 7]]);
        let middle = Point3::new(0.5, 0.5, 0.0);
        let above = Isometry3::face_towards(&Point3::new(0.5, 0.5, 4.0), &middle, &Vector3::y()).inverse();
        let views = [View::new(&Camera::from_horizontal_fov(300, 300, 0.6), &above)];
        let cameras = Cameras { views: &views, scene_from_world: &Similarity::identity() };
        let seen = compare(&mesh, &square(0.0), None, Some(cameras)).expect("both are seen");
        assert!((seen.accuracy - 0.1).abs() < 1e-6, "what is hidden is 3 away and counts: {seen:?}");
        let all = compare(&mesh, &square(0.0), None, None).expect("both have points");
        assert!(all.accuracy > 0.15, "{all:?}");
    }

    #[test]
    fn clouds_have_distances_but_no_normals() {
        let cloud = Mesh { triangles: Vec::new(), ..square(0.25) };
        let report = compare(&square(0.0), &cloud, None, None).expect("both have points");
        assert!((report.completeness - 0.25).abs() < 1e-6 && report.normal_degrees.is_none(), "{report:?}");
        assert!(compare(&Mesh::default(), &cloud, None, None).is_err());
    }
}
