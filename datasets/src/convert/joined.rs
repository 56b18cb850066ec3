//! Several scenes as one.

use crate::format::open_splats;
use crate::format::stream::{SplatHeader, SplatSource};
use crate::scene::{SplatCloud, SplatTransform};
use crate::{DataError, Result};
use std::path::PathBuf;

/// Opens scenes that follow each other, all where the first is stored: what lay in the same place of the captured world
/// lies in the same place again. The harmonics are of the highest degree among them.
pub(super) fn open_joined(inputs: &[PathBuf]) -> Result<Box<dyn SplatSource>> {
    let mut parts = inputs.iter().map(open_splats).collect::<Result<Vec<_>>>()?;
    let (Some(first), Some(path)) = (parts.first(), inputs.first()) else {
        return Err(DataError::new("", "no scene was named").remedy("name a scene's file"));
    };
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let mut header = first.header().clone();
    for (part, other) in parts.iter().zip(inputs).skip(1) {
        let part = part.header();
        if part.antialiased != header.antialiased {
            let [with, without] = if header.antialiased { [path, other] } else { [other, path] };
            let reason = format!("is to be drawn antialiased, and {} is not", without.display());
            return Err(DataError::new(with, reason).remedy("join scenes that are drawn alike"));
        }
        header.sh_degree = header.sh_degree.max(part.sh_degree);
        header.count = header.count.saturating_add(part.count);
    }
    let place = |part: Box<dyn SplatSource>| {
        let placed = header.scene_from_world * part.header().scene_from_world.inverse();
        let moves = part.header().scene_from_world != header.scene_from_world;
        let chunk = part.header().empty_cloud(0);
        Part { source: part, chunk, transform: moves.then(|| SplatTransform::new(&placed)) }
    };
    let mut parts: Vec<Part> = parts.into_iter().map(place).collect();
    parts.reverse();
    Ok(Box::new(Joined { header, skipped: 0, parts }))
}

struct Joined {
    header: SplatHeader,
    /// Of the parts that are at their end.
    skipped: u64,
    /// Those that are not at their end, the next one last.
    parts: Vec<Part>,
}

struct Part {
    source: Box<dyn SplatSource>,
    /// Of its own degree.
    chunk: SplatCloud,
    /// To where the first part is stored, unless it is there.
    transform: Option<SplatTransform>,
}

impl SplatSource for Joined {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        chunk.clear();
        while let Some(part) = self.parts.last_mut() {
            let is_alike = part.chunk.sh_degree == self.header.sh_degree;
            let next = if is_alike { &mut *chunk } else { &mut part.chunk };
            if part.source.next_chunk(next)? {
                if let Some(transform) = &part.transform {
                    transform.apply(next);
                }
                if !is_alike {
                    chunk.append_raised(&part.chunk);
                }
                return Ok(true);
            }
            self.skipped += part.source.skipped();
            self.parts.pop();
        }
        chunk.clear();
        Ok(false)
    }

    fn skip_invalid(&mut self) {
        self.parts.iter_mut().for_each(|part| part.source.skip_invalid());
    }

    fn skipped(&self) -> u64 {
        self.skipped + self.parts.iter().map(|part| part.source.skipped()).sum::<u64>()
    }
}
