//! The protocol by which meshes of DTU scans are compared with what a scanner saw (Aanæs et al., "Large-Scale Data for Multiple-View Stereopsis", 2016),
//! as its evaluations in Python apply it since NeuS. Lengths are in the millimetres of the capture's own world.
//!
//! 1. Parts of the mesh that lie outside the object in some photo, by more than some pixels, are cut off ([`cut_to_masks`]).
//! 2. Points on it, a fifth of a millimetre apart, are thinned so that no two are nearer.
//! 3. Accuracy: the mean distance from such of them that lie where the scanner looked to its points.
//! 4. Completeness: the mean distance from the scanner's points above the table to the mesh's points.
//! 5. Distances of 20 mm and more do not count; the result is the mean of both.

use crate::frames::{FrameSet, TrainingFrame};
use crate::{Error, Result};
use nalgebra::{Point3, Vector3};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use tessera_datasets::DataError;
use tessera_datasets::camera::Similarity;
use tessera_datasets::format::{MatlabArray, read_matlab, read_mesh};
use tessera_datasets::scene::{Mesh, NearestPoints};

/// Between points on the mesh.
const SPACING: f32 = 0.2;
/// Distances from here on do not count.
const FAR: f32 = 20.0;
/// Points on the mesh count for completeness up to so far outside the box in which the scanner looked.
const MARGIN: f32 = 60.0;
/// Pixels by which masks grow, in photos of the width below.
const GROWTH: f64 = 24.0;
const WIDTH: f64 = 1600.0;

/// What the scanner saw of a scan, and where it looked.
#[derive(Clone, Debug)]
pub struct DtuReference {
    points: Vec<[f32; 3]>,
    /// `[x, y, z, 1]` above the table has a positive product with it.
    table: [f64; 4],
    /// Cells where it looked, x fastest.
    observed: Vec<bool>,
    shape: [usize; 3],
    /// The middle of the first cell, and the far corner of the box.
    corners: [[f32; 3]; 2],
    /// A cell's side.
    cell: f32,
}

/// What a comparison found, in millimetres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DtuReport {
    /// Mean distance from the mesh to the scanner's points.
    pub accuracy: f64,
    /// Mean distance from the scanner's points to the mesh.
    pub completeness: f64,
    /// The mean of both.
    pub chamfer: f64,
    /// Points on the mesh where the scanner looked, and the scanner's points above the table.
    pub points: [usize; 2],
}

impl DtuReference {
    /// Reads what belongs to a scan in a folder with `ObsMask` and `Points/stl`, as DTU's archives unpack into "MVS Data".
    ///
    /// # Errors
    /// When one of the three files is missing, damaged, or does not hold what it should.
    pub fn open(folder: &Path, scan: u32) -> Result<Self> {
        let inner = folder.join("MVS Data");
        let folder = if inner.is_dir() { &inner } else { folder };
        let remedy = "name the folder with ObsMask (of SampleSet.zip) and Points (of Points.zip) from DTU's page";
        let file = |name: String| {
            let path = folder.join(name);
            if path.is_file() { Ok(path) } else { Err(DataError::new(path, "does not exist").remedy(remedy)) }
        };
        let mask_file = file(format!("ObsMask/ObsMask{scan}_10.mat"))?;
        let plane_file = file(format!("ObsMask/Plane{scan}.mat"))?;
        let cloud = file(format!("Points/stl/stl{scan:03}_total.ply"))?;
        let (mut mask, mut plane) = (read_matlab(&mask_file)?, read_matlab(&plane_file)?);
        let unfit = |path: &Path, name: &str| {
            DataError::new(path, format!("has no array '{name}' of the shape that it should have"))
        };
        let observed = mask.remove("ObsMask").ok_or_else(|| unfit(&mask_file, "ObsMask"))?;
        let shape = <[usize; 3]>::try_from(observed.shape).map_err(|_| unfit(&mask_file, "ObsMask"))?;
        let numbers = |array: Option<MatlabArray>| array.map_or_else(Vec::new, |array| array.data);
        let bounds = <[f64; 6]>::try_from(numbers(mask.remove("BB"))).map_err(|_| unfit(&mask_file, "BB"))?;
        let [cell] = <[f64; 1]>::try_from(numbers(mask.remove("Res"))).map_err(|_| unfit(&mask_file, "Res"))?;
        let table = <[f64; 4]>::try_from(numbers(plane.remove("P"))).map_err(|_| unfit(&plane_file, "P"))?;
        if !(cell > 0.0 && bounds.iter().chain(&table).all(|x| x.is_finite())) {
            return Err(unfit(&mask_file, "Res").into());
        }
        Ok(Self {
            points: read_mesh(cloud)?.mesh.positions,
            table,
            observed: observed.data.iter().map(|x| *x != 0.0).collect(),
            shape,
            corners: std::array::from_fn(|row| std::array::from_fn(|axis| bounds[row + 2 * axis] as f32)),
            cell: cell as f32,
        })
    }

    /// Compares a mesh, in millimetres, with it.
    ///
    /// # Errors
    /// When there is nothing of the mesh where the scanner looked, or nothing of the scan above the table.
    pub fn compare(&self, mesh: &Mesh) -> Result<DtuReport> {
        let points = thinned(points_on(mesh));
        let [low, high] = self.corners;
        let near = |p: &[f32; 3]| (0..3).all(|k| p[k] >= low[k] - MARGIN && p[k] < high[k] + MARGIN);
        let points: Vec<[f32; 3]> = points.into_iter().filter(near).collect();
        let looked_at: Vec<[f32; 3]> = points.iter().copied().filter(|p| self.is_observed(*p)).collect();
        let above = |p: &[f32; 3]| {
            let sum: f64 = (0..3).map(|k| self.table[k] * f64::from(p[k])).sum();
            sum + self.table[3] > 0.0
        };
        let scanned: Vec<[f32; 3]> = self.points.iter().copied().filter(above).collect();
        if looked_at.is_empty() || scanned.is_empty() {
            return Err(Error::setting(
                "nothing of the mesh lies where the scanner looked: compare a mesh in the millimetres of DTU's cameras, and with its own scan",
            ));
        }
        let accuracy = mean_distance(&looked_at, &self.points);
        let completeness = mean_distance(&scanned, &points);
        let chamfer = 0.5 * (accuracy + completeness);
        Ok(DtuReport { accuracy, completeness, chamfer, points: [looked_at.len(), scanned.len()] })
    }

    fn is_observed(&self, place: [f32; 3]) -> bool {
        let cell: [f32; 3] = std::array::from_fn(|k| ((place[k] - self.corners[0][k]) / self.cell).round_ties_even());
        let [x, y, z] = cell.map(|x| x as usize);
        let inside = (0..3).all(|k| cell[k] >= 0.0 && cell[k] < self.shape[k] as f32);
        inside && self.observed[x + self.shape[0] * (y + self.shape[1] * z)]
    }
}

/// The mean of the distances that count from points to the nearest of others.
fn mean_distance(points: &[[f32; 3]], others: &[[f32; 3]]) -> f64 {
    let tree = NearestPoints::new(others);
    let distance = |place: &[f32; 3]| {
        let [(squared, _)] = tree.nearest_to::<1>(*place);
        squared.sqrt()
    };
    let distances: Vec<f32> = points.par_iter().map(distance).filter(|d| *d < FAR).collect();
    distances.iter().map(|d| f64::from(*d)).sum::<f64>() / distances.len().max(1) as f64
}

/// The vertices, and points inside of triangles on a lattice along two edges, about [`SPACING`] apart.
fn points_on(mesh: &Mesh) -> Vec<[f32; 3]> {
    let mut points = mesh.positions.clone();
    for triangle in &mesh.triangles {
        let [a, b, c] = triangle.map(|v| Vector3::from(mesh.positions[v as usize]));
        let (u, v) = (b - a, c - a);
        let (lengths, area) = ([u.norm(), v.norm()], u.cross(&v).norm());
        if area <= 0.0 {
            continue;
        }
        let between = SPACING * (lengths[0] * lengths[1] / area).sqrt();
        let [n, m] = lengths.map(|length| (length / between).floor());
        for i in 0..=n as usize {
            for j in 0..=m as usize {
                let (s, t) = ((i as f32 + 0.5) / n.max(1e-7), (j as f32 + 0.5) / m.max(1e-7));
                if s + t < 1.0 {
                    points.push((a + s * u + t * v).into());
                }
            }
        }
    }
    points
}

/// Points in random order, without those that have an earlier one nearer than [`SPACING`].
fn thinned(mut points: Vec<[f32; 3]>) -> Vec<[f32; 3]> {
    let mut rng = Pcg64::seed_from_u64(0);
    for i in (1..points.len()).rev() {
        points.swap(i, rng.random_range(0..=i));
    }
    let mut cells: HashMap<[i32; 3], Vec<[f32; 3]>> = HashMap::new();
    let cell_of = |p: &[f32; 3]| p.map(|x| (x / SPACING).floor() as i32);
    points.retain(|p| {
        let cell = cell_of(p);
        let near = |q: &[f32; 3]| (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f32>() < SPACING * SPACING;
        let around = (0..27).map(|i: i32| [cell[0] + i % 3 - 1, cell[1] + i / 3 % 3 - 1, cell[2] + i / 9 - 1]);
        let is_free = !around.filter_map(|cell| cells.get(&cell)).flatten().any(near);
        if is_free {
            cells.entry(cell).or_default().push(*p);
        }
        is_free
    });
    points
}

/// Drops the triangles of which some vertex lies outside the object in one of the photos, which say where it is: more than 24 pixels away in photos of
/// 1,600 pixels. Returns by how many photos.
///
/// # Errors
/// When a photo cannot be read.
pub fn cut_to_masks(mesh: &mut Mesh, frames: &FrameSet, scene_from_world: &Similarity) -> Result<usize> {
    let place = |p: &[f32; 3]| scene_from_world * Point3::from(p.map(f64::from));
    let places: Vec<Point3<f64>> = mesh.positions.iter().map(place).collect();
    let mut stays = vec![true; places.len()];
    let mut used = 0;
    for i in 0..frames.len() {
        let frame = frames.load(i, 1)?;
        if !frame.is_cut_out() {
            continue;
        }
        used += 1;
        let (view, camera) = (&frame.view, frames.camera_from_scene(i));
        let near = near_the_object(&frame);
        stays.par_iter_mut().zip(&places).for_each(|(stays, place)| {
            let seen = camera * place;
            if !*stays || seen.z <= 0.0 {
                return;
            }
            let [x, y] = view.lens.project::<f64>(seen.coords.into()).pixel;
            let inside = x >= 0.0 && y >= 0.0 && x < view.width as f64 && y < view.height as f64;
            *stays = !inside || near[x as usize + view.width * y as usize];
        });
    }
    mesh.triangles.retain(|triangle| triangle.iter().all(|&v| stays[v as usize]));
    // Points on the mesh begin with its vertices: those that are left.
    let mut kept = vec![false; stays.len()];
    mesh.triangles.iter().flatten().for_each(|&v| kept[v as usize] = true);
    let mut numbers = Vec::with_capacity(kept.len());
    let mut positions = Vec::new();
    for (position, kept) in mesh.positions.iter().zip(kept) {
        numbers.push(positions.len() as u32);
        positions.extend(kept.then_some(*position));
    }
    mesh.triangles.iter_mut().flatten().for_each(|v| *v = numbers[*v as usize]);
    *mesh = Mesh { positions, triangles: std::mem::take(&mut mesh.triangles), ..Mesh::default() };
    Ok(used)
}

/// Which pixels lie within so many pixels of the object, `[height, width]`.
fn near_the_object(frame: &TrainingFrame) -> Vec<bool> {
    let (width, height) = (frame.view.width, frame.view.height);
    let pixels = &frame.pixels;
    let is_object = |i: usize| match (&pixels.mask, pixels.image.has_alpha()) {
        (_, true) => pixels.image.data[4 * i + 3] > 127,
        (Some(mask), _) => mask.data[i] > 127,
        (None, false) => true,
    };
    let radius = GROWTH * width as f64 / WIDTH;
    let reach = radius.floor() as usize;
    // To the nearest pixel of the object in the same row.
    let mut along = vec![usize::MAX / 2; width * height];
    for row in 0..height {
        let line = &mut along[row * width..][..width];
        let mut last = usize::MAX / 2;
        for x in 0..width {
            last = if is_object(row * width + x) { 0 } else { last + 1 };
            line[x] = last;
        }
        last = usize::MAX / 2;
        for x in (0..width).rev() {
            last = if line[x] == 0 { 0 } else { last + 1 };
            line[x] = line[x].min(last);
        }
    }
    let within = |i: usize| {
        let (x, y) = (i % width, i / width);
        (y.saturating_sub(reach)..=(y + reach).min(height - 1)).any(|row| {
            let (dx, dy) = (along[row * width + x] as f64, row.abs_diff(y) as f64);
            dx * dx + dy * dy <= radius * radius
        })
    };
    (0..width * height).into_par_iter().map(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Split;
    use tessera_datasets::capture::Capture;
    use tessera_datasets::format::{Existing, write_mesh};
    use tessera_datasets::synthetic::{self, Options, SceneKind};

    /// A square of 20 mm at a height above the table, whose points lie on a lattice of 0.25 mm if it is a cloud.
    fn square(z: f32) -> Mesh {
        let corner = |x, y| [x, y, z];
        let positions = vec![corner(0.0, 0.0), corner(20.0, 0.0), corner(20.0, 20.0), corner(0.0, 20.0)];
        Mesh { positions, triangles: vec![[0, 1, 2], [0, 2, 3]], ..Mesh::default() }
    }

    fn scanned() -> Vec<[f32; 3]> {
        (0..81 * 81).map(|i| [0.25 * (i % 81) as f32, 0.25 * (i / 81) as f32, 0.0]).collect()
    }

    /// Looked at from 0 to 20 mm in x and y, and about the table in z.
    fn reference() -> DtuReference {
        DtuReference {
            points: scanned(),
            table: [0.0, 0.0, 1.0, 1.0],
            observed: vec![true; 11 * 11 * 11],
            shape: [11; 3],
            corners: [[0.0, 0.0, -10.0], [20.0, 20.0, 10.0]],
            cell: 2.0,
        }
    }

    #[test]
    fn a_square_above_what_was_scanned_is_as_far_as_it_is() {
        let report = reference().compare(&square(0.5)).expect("both are there");
        // From points of one lattice to another that is no coarser than 0.25: at most that far beside the nearest.
        let most = (0.5f64.powi(2) + 2.0 * 0.125f64.powi(2)).sqrt();
        assert!((0.5..most).contains(&report.accuracy), "{report:?}");
        assert!((0.5..0.54).contains(&report.completeness), "{report:?}");
        assert_eq!(report.chamfer, 0.5 * (report.accuracy + report.completeness));
    }

    #[test]
    fn what_lies_where_the_scanner_did_not_look_or_on_the_table_does_not_count() {
        let mut mesh = square(0.5);
        let far = square(8.0);
        mesh.positions.extend(far.positions.iter().map(|p| [p[0] + 30.0, p[1], p[2]]));
        mesh.triangles.extend([[4, 5, 6], [4, 6, 7]]);
        let mut reference = reference();
        // A second layer below the table, and a point that nothing is near.
        reference.points.extend(scanned().iter().map(|p| [p[0], p[1], -3.0]));
        reference.points.push([10.0, 10.0, 90.0]);
        let report = reference.compare(&mesh).expect("both are there");
        assert!(report.accuracy < 0.54 && report.completeness < 0.54, "{report:?}");
        assert_eq!(report.points[1], 81 * 81 + 1);
        assert!(reference.compare(&square(50.0)).is_err(), "it is where nothing was looked at");
    }

    #[test]
    fn points_are_as_far_apart_as_they_should_be() {
        let points = thinned(points_on(&square(0.0)));
        let tree = NearestPoints::new(&points);
        let nearest: Vec<f32> = (0..points.len()).map(|slot| tree.nearest::<1>(slot)[0].0.sqrt()).collect();
        assert!(nearest.iter().all(|d| (0.199..0.4).contains(d)), "some points are too near or alone");
    }

    #[test]
    fn what_lies_outside_the_object_in_some_photo_is_cut_off() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { width: 64, height: 48, views: Some(6), rgba: true, points: 50, ..Options::default() };
        synthetic::write(SceneKind::StillLife, &options, folder.path(), false, &|_, _| {}).expect("a capture");
        let capture = Capture::open(folder.path()).expect("what was written");
        let split = Split { test_every: 0, resolution: 0, image_cache_mb: 16 };
        let (frames, _) = FrameSet::split(&capture, &split).expect("photos");
        let mut mesh = read_mesh(folder.path().join("mesh.ply")).expect("what was written").mesh;
        let (true_triangles, [low, high]) = (mesh.triangles.len(), mesh.bounds().expect("it has vertices"));
        // In the air, at two corners of the box around it, which one photo shows beside the object.
        for corner in [0, 3] {
            let at = |k: usize| if corner >> k & 1 == 1 { high[k] } else { low[k] };
            let first = mesh.positions.len() as u32;
            mesh.positions.extend([0.0, 0.01, 0.02].map(|by| [at(0) + by, at(1), high[2] - by]));
            mesh.triangles.push([first, first + 1, first + 2]);
        }
        let used = cut_to_masks(&mut mesh, &frames, &capture.scene_from_world).expect("photos");
        assert_eq!(used, 6);
        let left = mesh.triangles.len();
        // Masks of so few pixels leave out parts that are finer than these.
        assert!(left <= true_triangles && left > true_triangles * 9 / 10, "{left} of {true_triangles} are left");
        let at_corner = |p: &&[f32; 3]| {
            let near = |k: usize| (p[k] - low[k]).abs().min((p[k] - high[k]).abs()) < 0.03;
            near(0) && near(1) && p[2] > high[2] - 0.03
        };
        let in_the_air = mesh.positions.iter().filter(at_corner).count() / 3;
        assert_eq!(in_the_air, 0, "triangles in the air are left");
    }

    /// A file with one array of doubles.
    fn matlab(arrays: &[(&str, &[i32], &[f64])]) -> Vec<u8> {
        let mut out = vec![0; 128];
        out[126..].copy_from_slice(b"IM");
        for (name, shape, data) in arrays {
            let mut body = Vec::new();
            let put = |out: &mut Vec<u8>, kind: u32, bytes: Vec<u8>| {
                out.extend([kind, bytes.len() as u32].into_iter().flat_map(u32::to_le_bytes));
                out.extend(&bytes);
                out.resize(out.len().next_multiple_of(8), 0);
            };
            put(&mut body, 6, vec![6, 0, 0, 0, 0, 0, 0, 0]);
            put(&mut body, 5, shape.iter().flat_map(|n| n.to_le_bytes()).collect());
            put(&mut body, 1, name.as_bytes().to_vec());
            put(&mut body, 9, data.iter().flat_map(|x| x.to_le_bytes()).collect());
            put(&mut out, 14, body);
        }
        out
    }

    #[test]
    fn a_scan_is_read_as_it_is_unpacked_and_what_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("MVS Data");
        let said = DtuReference::open(folder.path(), 24).expect_err("nothing is there").to_string();
        assert!(said.contains("ObsMask24_10.mat") && said.contains("SampleSet.zip"), "{said}");
        std::fs::create_dir_all(data.join("ObsMask")).expect("writable");
        std::fs::create_dir_all(data.join("Points/stl")).expect("writable");
        let bounds = [0.0, 20.0, 0.0, 20.0, -10.0, 10.0];
        let mask =
            matlab(&[("ObsMask", &[11, 11, 11], &[1.0; 1331]), ("BB", &[2, 3], &bounds), ("Res", &[1, 1], &[2.0])]);
        std::fs::write(data.join("ObsMask/ObsMask24_10.mat"), mask).expect("writable");
        let plane = matlab(&[("P", &[4, 1], &[0.0, 0.0, 1.0, 1.0])]);
        std::fs::write(data.join("ObsMask/Plane24.mat"), plane).expect("writable");
        let cloud = Mesh { positions: scanned(), ..Mesh::default() };
        write_mesh(data.join("Points/stl/stl024_total.ply"), &cloud, Existing::Replace).expect("writable");
        let read = DtuReference::open(folder.path(), 24).expect("all is there");
        let (ours, theirs) = (read.compare(&square(0.5)), reference().compare(&square(0.5)));
        assert_eq!(ours.expect("both are there"), theirs.expect("both are there"));
    }
}
