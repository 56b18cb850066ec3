//! Meshes of several moments: where commands find them, and how they write them.

use crate::console::Console;
use crate::inputs::Run;
use crate::interrupt;
use crate::progress::Progress;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::Ordering;
use tessera_engine::datasets::format::{Existing, MeshFormat, MeshSequence, SequenceWriter};
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::surface::sequence::MESHES;
use tessera_viewer::moving::Moments;

/// The sequence at `path`: a run of a moving surface, a folder of meshes, or an animated glTF file. None of anything else.
///
/// # Errors
/// When it is damaged.
pub fn find(path: &Path, run: Option<&Run>) -> Result<Option<MeshSequence>> {
    let Some(run) = run else { return Ok(MeshSequence::find(path)?) };
    let meshes = run.folder.join(MESHES);
    Ok(if path.is_dir() && run.is_surface() && meshes.is_dir() { MeshSequence::find(&meshes)? } else { None })
}

/// Whether a file can hold a sequence, by its name.
pub fn can_hold(path: &Path) -> bool {
    matches!(MeshFormat::of(path), Some(MeshFormat::Glb | MeshFormat::Gltf))
}

/// When the meshes are seen, for viewers.
pub fn moments(sequence: &MeshSequence) -> Moments {
    Moments { seconds: sequence.seconds().to_vec(), end: sequence.end(), timeline: sequence.timeline() }
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    /// Moments.
    pub moments: usize,
    /// Fewest and most triangles of a moment.
    pub triangles: [usize; 2],
}

/// Hands over all meshes, or those of some moments, one at a time; says what of them could not be read, each thing once.
///
/// # Errors
/// When one cannot be read, as `take`, or because the user wants no more.
pub fn each(
    sequence: &MeshSequence,
    moments: Option<RangeInclusive<u32>>,
    what: &'static str,
    console: &Console,
    mut take: impl FnMut(usize, Mesh) -> Result<()>,
) -> Result<Written> {
    let moments = match moments {
        None => 0..sequence.len(),
        Some(asked) => {
            let end = *asked.end() as usize + 1;
            if end > sequence.len() {
                let (path, count) = (sequence.path().display(), sequence.len());
                bail!("{path}: has {count} moments, numbered from 0; --frames goes beyond");
            }
            *asked.start() as usize..end
        }
    };
    let mut progress = Progress::new(console, what);
    let (mut told, mut written) = (BTreeSet::new(), Written::default());
    let total = moments.len();
    let is_whole = interrupt::stoppable(|stop| -> Result<bool> {
        for moment in moments {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let read = sequence.read(moment)?;
            for warning in read.warnings {
                if told.insert(warning.clone()) {
                    progress.aside(|console| console.warn(format_args!("{}: {warning}", sequence.path().display())));
                }
            }
            let count = read.mesh.triangles.len();
            let [least, most] = if written.moments == 0 { [count; 2] } else { written.triangles };
            written.triangles = [least.min(count), most.max(count)];
            take(moment, read.mesh)?;
            written.moments += 1;
            progress.count(written.moments, total);
        }
        Ok(true)
    })?;
    drop(progress);
    if !is_whole {
        bail!("stopped after {} of {total} moments", written.moments);
    }
    Ok(written)
}

/// Writes moments as one animated glTF file, each mesh changed on the way; one is in memory at a time.
///
/// # Errors
/// As [`each`], or when the file is in the way or cannot be written.
pub fn animate(
    sequence: &MeshSequence,
    moments: Option<RangeInclusive<u32>>,
    output: &Path,
    existing: Existing,
    console: &Console,
    mut change: impl FnMut(Mesh) -> Mesh,
) -> Result<Written> {
    let mut writer = SequenceWriter::create(output, existing)?;
    let seconds = sequence.seconds();
    let (mut first, mut end, mut triangles) = (None, 0.0, [usize::MAX, 0]);
    let written = each(sequence, moments, "writing moments", console, |moment, mesh| {
        let begun = *first.get_or_insert(seconds[moment]);
        let mesh = change(mesh);
        let count = mesh.triangles.len();
        triangles = [triangles[0].min(count), triangles[1].max(count)];
        end = seconds.get(moment + 1).copied().unwrap_or(sequence.end()) - begun;
        Ok(writer.put(seconds[moment] - begun, &mesh)?)
    })?;
    writer.finish(end, sequence.timeline().start + first.unwrap_or(0.0))?;
    Ok(Written { triangles, ..written })
}
