//! OFF (Object File Format of Geomview): meshes as text, read only. The variants with normals (`NOFF`) and colours (`COFF`)
//! are read as well, colours as bytes or as numbers from 0 to 1.

use super::corners::{Corners, NONE, fan};
use super::mesh::ReadMesh;
use crate::{DataError, Result};
use std::path::Path;

/// Reads a mesh.
///
/// # Errors
/// When the file is missing, is no OFF file, or is damaged.
pub(super) fn read(path: &Path) -> Result<ReadMesh> {
    let bytes = std::fs::read(path).map_err(|e| DataError::unreadable(path, &e))?;
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<ReadMesh> {
    let bad = |reason: String| DataError::new(path, reason).remedy("export it again");
    let text = String::from_utf8_lossy(bytes);
    let mut lines =
        text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|l| !l.is_empty());
    let first = lines.next().unwrap_or_default();
    let (kind, counts) = first.split_once(char::is_whitespace).unwrap_or((first, ""));
    let Some(prefix) = kind.strip_suffix("OFF").filter(|prefix| matches!(*prefix, "" | "C" | "N" | "CN" | "NC")) else {
        return Err(DataError::new(path, "is no OFF file that can be read").remedy("name a mesh in text form"));
    };
    let (has_normals, has_colours) = (prefix.contains('N'), prefix.contains('C'));
    let counts = if counts.trim().is_empty() { lines.next().unwrap_or_default() } else { counts };
    let counts: Vec<usize> = counts.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [vertices, faces, ..] = counts[..] else { return Err(bad("does not say how much it holds".to_owned())) };
    // A row takes two bytes at least.
    if vertices.saturating_add(faces) > bytes.len() {
        return Err(bad(format!("announces {vertices} vertices and {faces} faces, more than it has bytes")));
    }
    let mut corners = Corners::default();
    for number in 0..vertices {
        let line = lines.next().ok_or_else(|| bad(format!("ends after {number} of {vertices} vertices")))?;
        let numbers: Vec<f32> =
            line.split_whitespace().map_while(|w| w.parse().ok().filter(|v: &f32| v.is_finite())).collect();
        let &[x, y, z, ref rest @ ..] = &numbers[..] else {
            return Err(bad(format!("has no place for vertex {number}")));
        };
        corners.positions.push([x, y, z]);
        let (normal, colour) = rest.split_at(if has_normals { rest.len().min(3) } else { 0 });
        if has_normals {
            let &[x, y, z] = normal else { return Err(bad(format!("has no normal for vertex {number}"))) };
            corners.normals.push([x, y, z]);
        }
        if has_colours {
            let &[red, green, blue, ..] = colour else { return Err(bad(format!("has no colour for vertex {number}"))) };
            // Bytes are written without a point.
            let scale =
                if line.split_whitespace().nth_back(0).is_some_and(|word| word.contains('.')) { 255.0 } else { 1.0 };
            corners.colours.push([red, green, blue].map(|c| (c * scale).round() as u8));
        }
    }
    for number in 0..faces {
        let line = lines.next().ok_or_else(|| bad(format!("ends after {number} of {faces} faces")))?;
        let numbers: Vec<u32> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let polygon = numbers.split_first().and_then(|(&count, rest)| rest.get(..count as usize));
        let polygon = polygon.ok_or_else(|| bad(format!("has no corners for face {number}")))?;
        let corner = |vertex: u32| [vertex, NONE, if has_normals { vertex } else { NONE }];
        corners.triangles.extend(fan(polygon).map(|triangle| triangle.map(corner)));
    }
    if let Some((what, index)) = corners.dangling() {
        return Err(bad(format!("has a face that refers to {what} {index}, which it does not have")));
    }
    Ok(ReadMesh { mesh: corners.into_mesh(), warnings: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SQUARE: &str = "COFF # a square\n4 1 0\n0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n1 1 0 0 0 255 255\n\n0 1 0 9 9 9 255\n4 0 1 2 3\n";

    fn parsed(text: &str) -> Result<ReadMesh> {
        parse(text.as_bytes(), "a.off".as_ref())
    }

    #[test]
    fn polygons_and_colours_are_read() {
        let mesh = parsed(SQUARE).expect("a mesh").mesh;
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        assert_eq!((mesh.colours[1], mesh.positions[3]), ([0, 255, 0], [0.0, 1.0, 0.0]));
    }

    #[test]
    fn damaged_files_are_refused_in_one_sentence() {
        for (text, expected) in [
            ("", "is no OFF file"),
            ("OFF", "does not say"),
            ("OFF 4 1 0\n0 0 0", "ends after 1 of 4"),
            ("OFF 99999999 1 0\n", "more than it has bytes"),
            ("OFF 1 1 0\n0 0 0\n3 0 0 7\n", "refers to vertex 7"),
            ("OFF 1 1 0\n0 0 0\n3 0 0\n", "no corners for face 0"),
            ("OFF 1 0 0\n0 0 inf\n", "no place for vertex 0"),
        ] {
            let error = parsed(text).err().unwrap_or_else(|| panic!("'{text}' was read")).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn mutated_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
            let mut bytes = SQUARE.as_bytes().to_vec();
            edits.iter().for_each(|(at, value)| { let at = at.index(bytes.len()); bytes[at] = *value; });
            if let Ok(read) = parse(&bytes, "a.off".as_ref()) {
                prop_assert!(read.mesh.is_consistent());
            }
        }
    }
}
