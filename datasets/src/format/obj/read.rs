//! Reading OBJ.

use super::{SCENE_FROM_WORLD, material};
use crate::format::corners::{Corner, Corners, NONE, fan};
use crate::format::mesh::ReadMesh;
use crate::format::placement;
use crate::scene::Material;
use crate::{DataError, Result};
use std::collections::HashMap;
use std::path::Path;

/// What was parsed, or what is wrong with a line.
type Parsed<T> = std::result::Result<T, String>;

/// Reads a mesh; without faces, a point cloud. Lines, curves and groups are skipped.
///
/// # Errors
/// When the file is missing, holds no vertices, or is damaged; the message names the line.
pub(in crate::format) fn read(path: &Path) -> Result<ReadMesh> {
    let bytes = std::fs::read(path).map_err(|e| DataError::unreadable(path, &e))?;
    parse(&bytes, path)
}

pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<ReadMesh> {
    // Names in other encodings than UTF-8 must not make a file unreadable.
    let text = String::from_utf8_lossy(bytes);
    let mut parser = Parser::default();
    let mut continued = String::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(begun) = line.strip_suffix('\\') {
            continued.push_str(begun);
            continued.push(' ');
            continue;
        }
        let line = if continued.is_empty() { line } else { &(std::mem::take(&mut continued) + line) };
        parser.line(line).map_err(|reason| {
            DataError::new(path, format!("has {reason} in line {}", number + 1)).remedy("export it again")
        })?;
    }
    parser.finish(path)
}

#[derive(Default)]
struct Parser {
    corners: Corners,
    /// One entry per position: red, green and blue as the file has them, where it has.
    colours: Vec<Option<[f32; 3]>>,
    libraries: Vec<String>,
    /// Materials in the order of their first use, and which one each triangle has.
    used: Vec<String>,
    current: Option<u32>,
    triangle_materials: Vec<Option<u32>>,
    scene_from_world: Option<crate::camera::Similarity>,
    polygon: Vec<Corner>,
}

impl Parser {
    /// Takes a line, or says what is wrong with it.
    fn line(&mut self, line: &str) -> Parsed<()> {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(numbers) = comment.trim().strip_prefix(SCENE_FROM_WORLD) {
                let words: Vec<&str> = numbers.split_whitespace().collect();
                self.scene_from_world = Some(placement::parse(&words).ok_or("a damaged placement")?);
            }
            return Ok(());
        }
        let mut words = line.split_whitespace();
        match words.next() {
            Some("v") => self.vertex(words)?,
            Some("vt") => {
                let numbers: Vec<f32> = numbers(words)?;
                let u = *numbers.first().ok_or("a texture coordinate without numbers")?;
                self.corners.uvs.push([u, 1.0 - numbers.get(1).copied().unwrap_or(0.0)]);
            }
            Some("vn") => match numbers(words)?[..] {
                [x, y, z] => self.corners.normals.push([x, y, z]),
                _ => return Err("a normal that is not three numbers".to_owned()),
            },
            Some("f") => self.face(words)?,
            Some("usemtl") => {
                let name = line[6..].trim();
                let known = self.used.iter().position(|used| used == name);
                let index = known.unwrap_or_else(|| {
                    self.used.push(name.to_owned());
                    self.used.len() - 1
                });
                self.current = Some(index as u32);
            }
            Some("mtllib") => self.libraries.push(line[6..].trim().to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn vertex<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Parsed<()> {
        let numbers = numbers(words)?;
        let (position, colour) = match numbers[..] {
            [x, y, z] | [x, y, z, _] => ([x, y, z], None),
            [x, y, z, red, green, blue] | [x, y, z, red, green, blue, _] => ([x, y, z], Some([red, green, blue])),
            _ => return Err(format!("a vertex of {} numbers", numbers.len())),
        };
        self.corners.positions.push(position);
        self.colours.push(colour);
        Ok(())
    }

    fn face<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Parsed<()> {
        let counts = [self.corners.positions.len(), self.corners.uvs.len(), self.corners.normals.len()];
        self.polygon.clear();
        for word in words {
            let mut corner = [NONE; 3];
            for (k, part) in word.split('/').take(3).enumerate().filter(|(k, part)| *k == 0 || !part.is_empty()) {
                corner[k] = index(part, counts[k]).ok_or_else(|| {
                    let shown: String = word.chars().take(30).collect();
                    format!("a face with the corner '{shown}'")
                })?;
            }
            self.polygon.push(corner);
        }
        let before = self.corners.triangles.len();
        self.corners.triangles.extend(fan(&self.polygon));
        self.triangle_materials.extend((before..self.corners.triangles.len()).map(|_| self.current));
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<ReadMesh> {
        if self.corners.positions.is_empty() {
            return Err(DataError::new(path, "is no OBJ file, or has no vertices").remedy("name a mesh"));
        }
        if let Some((what, index)) = self.corners.dangling() {
            let reason = format!("has a face that refers to {what} {}, which it does not have", u64::from(index) + 1);
            return Err(DataError::new(path, reason).remedy("export it again"));
        }
        if let Some(colours) = self.colours.iter().copied().collect::<Option<Vec<[f32; 3]>>>() {
            // From 0 to 1 by custom, from 0 to 255 in some files.
            let scale = if colours.iter().flatten().any(|c| *c > 1.0) { 1.0 } else { 255.0 };
            self.corners.colours = colours.iter().map(|colour| colour.map(|c| (c * scale).round() as u8)).collect();
        }
        let mut read = ReadMesh { mesh: self.corners.into_mesh(), warnings: Vec::new() };
        read.mesh.scene_from_world = self.scene_from_world.unwrap_or_else(crate::camera::Similarity::identity);
        self.libraries.iter().for_each(|library| material::read(library, path, &mut read));
        assign_materials(&mut read, &self.used, &self.triangle_materials);
        Ok(read)
    }
}

/// Keeps the materials that faces use, in the order of their first use.
fn assign_materials(read: &mut ReadMesh, used: &[String], of_triangles: &[Option<u32>]) {
    let defined = std::mem::take(&mut read.mesh.materials);
    if used.is_empty() {
        return;
    }
    let by_name: HashMap<&str, &Material> = defined.iter().map(|m| (m.name.as_str(), m)).collect();
    let material = |name: &String| by_name.get(name.as_str()).map_or_else(|| Material::named(name), |m| (*m).clone());
    read.mesh.materials = used.iter().map(material).collect();
    let bare = of_triangles.iter().any(Option::is_none);
    if bare {
        read.mesh.materials.push(Material::named("none"));
    }
    let last = read.mesh.materials.len() as u32 - 1;
    if last > 0 {
        read.mesh.triangle_materials = of_triangles.iter().map(|material| material.unwrap_or(last)).collect();
    }
}

fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> Parsed<Vec<f32>> {
    let number = |word: &str| {
        word.parse::<f32>().ok().filter(|v| v.is_finite()).ok_or_else(|| {
            let shown: String = word.chars().take(30).collect();
            format!("'{shown}' where a number belongs")
        })
    };
    // A comment may follow.
    words.take_while(|word| !word.starts_with('#')).map(number).collect()
}

/// From 1 on, or back from the latest one.
fn index(text: &str, count: usize) -> Option<u32> {
    let number: i64 = text.parse().ok()?;
    let index = if number < 0 { count as i64 + number } else { number - 1 };
    u32::try_from(index).ok().filter(|index| *index != NONE)
}
