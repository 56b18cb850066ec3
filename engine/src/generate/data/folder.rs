//! A folder of meshes.

use super::Sample;
use super::cache::{Cache, Key};
use crate::mesh_distance::MeshDistance;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use tessera_datasets::format::read_mesh;
use tessera_datasets::scene::Mesh;

/// The longest side of a mesh fills so much of the cube.
const FILLED: f64 = 0.9;
/// How meshes' names end.
const EXTENSIONS: [&str; 4] = ["ply", "obj", "off", "glb"];

/// Meshes' files with the numbers of their classes.
type Files = Vec<(u32, PathBuf)>;

/// Names of classes, and all meshes with the numbers of theirs, in the order of their names.
pub fn meshes(folder: &Path) -> Result<(Vec<String>, Files)> {
    let (mut own, folders) = listed(folder)?;
    let (mut classes, mut files) = (Vec::new(), Vec::new());
    for folder in folders {
        let (inside, _) = listed(&folder)?;
        if let (false, Some(name)) = (inside.is_empty(), folder.file_name()) {
            files.extend(inside.into_iter().map(|path| (classes.len() as u32, path)));
            classes.push(name.to_string_lossy().into_owned());
        }
    }
    if !own.is_empty() {
        files.extend(own.drain(..).map(|path| (classes.len() as u32, path)));
        classes.push("shape".to_owned());
    }
    if files.is_empty() {
        let reason = "holds no meshes, and no folders of such";
        return Err(Error::file(
            folder,
            reason,
            "put PLY, OBJ, OFF or GLB files there, each class in a folder of its own",
        ));
    }
    Ok((classes, files))
}

/// Meshes and folders in a folder, in the order of their names.
fn listed(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::read(folder, &e))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|e| Error::read(folder, &e))?.path());
    }
    paths.sort();
    let is_mesh = |path: &PathBuf| {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
    };
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|path| path.is_dir());
    Ok((files.into_iter().filter(is_mesh).collect(), folders))
}

/// A mesh in the middle of the cube, as it was kept or kept from now on.
pub fn kept_sample(label: u32, path: &Path, cache: &Cache<'_>) -> Result<Sample> {
    let key = Key::of(&std::fs::read(path).map_err(|e| Error::read(path, &e))?);
    if let Some(sample) = cache.get(key, label) {
        return Ok(sample);
    }
    let sample = sample(label, path)?;
    cache.put(key, &sample);
    Ok(sample)
}

/// A mesh in the middle of the cube.
fn sample(label: u32, path: &Path) -> Result<Sample> {
    let mesh = read_mesh(path)?.mesh;
    let remedy = "leave it out, or give it volume";
    let nothing = |reason: String| Error::file(path, format!("cannot be learned from: {reason}"), remedy);
    let bounds = mesh.bounds().ok_or_else(|| nothing("it has no vertices".to_owned()))?;
    let extent = (0..3).map(|k| f64::from(bounds[1][k]) - f64::from(bounds[0][k])).fold(0.0, f64::max);
    if !(extent > 0.0 && extent.is_finite()) {
        return Err(nothing("all its vertices are in one place, or one is not a number".to_owned()));
    }
    let to_cube = |p: &[f32; 3]| -> [f32; 3] {
        std::array::from_fn(|k| {
            let middle = 0.5 * (f64::from(bounds[0][k]) + f64::from(bounds[1][k]));
            ((f64::from(p[k]) - middle) * FILLED / extent + 0.5) as f32
        })
    };
    let positions = mesh.positions.iter().map(to_cube).collect();
    let in_cube = Mesh { positions, triangles: mesh.triangles, ..Mesh::default() };
    let distance = MeshDistance::new(&in_cube).map_err(|e| nothing(e.to_string()))?;
    let sample = Sample::new(label, |p| distance.signed(p));
    if !sample.fine.iter().any(|x| *x < 0.0) {
        let reason =
            "none of the places of a grid of 64³ is inside it: it is open, or thinner than a sixtieth of its size";
        return Err(nothing(reason.to_owned()));
    }
    Ok(sample)
}
