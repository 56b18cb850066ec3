//! Coloured point clouds: `x y z`, and `red green blue` where there are any.

use super::header::Header;
use super::table::read_rows;
use crate::capture::Point;
use crate::format::input::Input;
use crate::format::{Existing, write_atomically};
use crate::{DataError, Result};
use std::io::BufRead;
use std::path::Path;

/// Reads points; those without colour are mid-grey. Faces and other properties are skipped.
///
/// # Errors
/// When the file is missing, truncated, no PLY, has no positions, or holds positions that are not finite.
pub fn read_points(path: impl AsRef<Path>) -> Result<Vec<Point>> {
    let path = path.as_ref();
    let mut input = Input::open(path)?;
    let length = input.length();
    read(&mut input, length, path)
}

/// [`read_points`] of a file in memory; `path` is for messages only.
///
/// # Errors
/// As [`read_points`].
pub fn parse_points(bytes: &[u8], path: &Path) -> Result<Vec<Point>> {
    read(&mut &bytes[..], bytes.len() as u64, path)
}

fn read(reader: &mut impl BufRead, length: u64, path: &Path) -> Result<Vec<Point>> {
    let header = Header::read(reader, path)?;
    let vertex = header.element("vertex", path)?;
    vertex.check_position(path)?;
    let mut wanted: Vec<String> = ["x", "y", "z"].map(String::from).into();
    let mut colour_scale = 1.0;
    let names = [["red", "green", "blue"], ["diffuse_red", "diffuse_green", "diffuse_blue"], ["r", "g", "b"]];
    if let Some(names) = names.iter().find(|names| names.iter().all(|name| vertex.has(name))) {
        wanted.extend(names.map(String::from));
        let real = vertex.properties.iter().any(|p| p.name == names[0] && p.scalar.is_real());
        colour_scale = if real { 255.0 } else { 1.0 };
    }
    let mut points = Vec::new();
    read_rows(reader, &header, "vertex", &wanted, length, path, |columns| {
        for row in 0..columns[0].len() {
            let position = [columns[0][row], columns[1][row], columns[2][row]];
            if position.iter().any(|v| !v.is_finite()) {
                let reason = format!("has a position that is not finite at point {}", points.len());
                return Err(DataError::new(path, reason).remedy("remove that point or export again"));
            }
            let colour = match columns {
                [_, _, _, red, green, blue] => {
                    [red, green, blue].map(|channel| (channel[row] * colour_scale).round() as u8)
                }
                _ => [128; 3],
            };
            points.push(Point { position, colour });
        }
        Ok(())
    })?;
    Ok(points)
}

/// Writes points, binary little endian, with positions in double precision.
///
/// # Errors
/// When the file is in the way and to be kept, or the disk refuses.
pub fn write_points(path: impl AsRef<Path>, points: &[Point], existing: Existing) -> Result<()> {
    write_atomically(path, existing, |out| {
        writeln!(out, "ply\nformat binary_little_endian 1.0\nelement vertex {}", points.len())?;
        writeln!(out, "property double x\nproperty double y\nproperty double z")?;
        writeln!(out, "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header")?;
        for point in points {
            for value in point.position {
                out.write_all(&value.to_le_bytes())?;
            }
            out.write_all(&point.colour)?;
        }
        Ok(())
    })
}
