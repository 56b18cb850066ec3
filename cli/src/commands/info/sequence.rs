//! What is said about meshes of several moments.

use super::{bounds, bounds_text};
use crate::console::Console;
use crate::inputs::size_of;
use crate::report::{Facts, bytes, count};
use crate::sequences;
use anyhow::Result;
use serde_json::{Value, json};
use tessera_engine::datasets::format::MeshSequence;

/// Describes a sequence; one mesh is in memory at a time.
///
/// # Errors
/// When a mesh cannot be read.
pub fn about(sequence: &MeshSequence, console: &Console) -> Result<(Facts, Value)> {
    let (mut vertices, mut extents) = ([usize::MAX, 0], Vec::new());
    let (mut coloured, mut with_normals, mut textured) = (0, 0, 0);
    let read = sequences::each(sequence, None, "reading moments", console, |_, mesh| {
        let count = mesh.positions.len();
        vertices = [vertices[0].min(count), vertices[1].max(count)];
        extents.extend(mesh.bounds().into_iter().flatten().map(|corner| corner.map(f64::from)));
        coloured += usize::from(!mesh.colours.is_empty());
        with_normals += usize::from(!mesh.normals.is_empty());
        textured += usize::from(mesh.materials.iter().any(|material| material.texture.is_some()));
        Ok(())
    })?;
    let (moments, timeline) = (sequence.len(), sequence.timeline());
    let size: u64 = sequence.files().iter().map(|file| size_of(file)).sum();
    let extent = bounds(extents.into_iter());
    let range = |[least, most]: [usize; 2]| match least == most {
        true => count(most as u128),
        false => format!("{} to {}", count(least as u128), count(most as u128)),
    };
    let share = |some: usize| match some {
        0 => "no".to_owned(),
        all if all == moments => "yes".to_owned(),
        _ => format!("in {some} of {moments} moments"),
    };
    let mut facts = Facts::default();
    facts.add("meshes of several moments", sequence.path().display().to_string());
    facts.add("size", bytes(size));
    facts.add("moments", in_a_line(sequence));
    facts.add("triangles", format!("{} a moment", range(read.triangles)));
    facts.add("vertices", format!("{} a moment", range(vertices)));
    facts.add("normals", share(with_normals));
    facts.add("colours", share(coloured));
    facts.add("textures", share(textured));
    facts.add_some("vertices within", extent.map(bounds_text));
    let json = json!({
        "kind": "mesh sequence", "bytes": size, "moments": moments, "frames": timeline.frames, "frame_rate": timeline.frame_rate,
        "start": timeline.start, "seconds": sequence.end(), "triangles": read.triangles, "vertices": vertices,
        "normals": with_normals, "colours": coloured, "textures": textured, "bounds": extent,
    });
    Ok((facts, json))
}

/// How many moments there are, and when.
pub fn in_a_line(sequence: &MeshSequence) -> String {
    let (moments, timeline) = (sequence.len(), sequence.timeline());
    let frames = match timeline.frames as usize {
        same if same == moments => String::new(),
        frames => format!(" of {} frames", count(frames as u128)),
    };
    let (rate, seconds) = (timeline.frame_rate, sequence.end());
    format!("{}{frames}, {rate:.4} a second, {seconds:.3} s", count(moments as u128))
}
