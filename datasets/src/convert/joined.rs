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
        return Err(DataError::new("", "no scene was named"));
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
    Ok(Box::new(Joined { header, parts }))
}

struct Joined {
    header: SplatHeader,
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
                    append_raised(chunk, &part.chunk);
                }
                return Ok(true);
            }
            self.parts.pop();
        }
        chunk.clear();
        Ok(false)
    }
}

/// Adds splats of a lower degree: the coefficients that they lack are zero.
fn append_raised(chunk: &mut SplatCloud, lower: &SplatCloud) {
    let [width, lower_width] =
        [chunk.sh_degree, lower.sh_degree].map(|degree| 3 * SplatCloud::rest_coefficients(degree));
    chunk.means.extend_from_slice(&lower.means);
    chunk.log_scales.extend_from_slice(&lower.log_scales);
    chunk.quats.extend_from_slice(&lower.quats);
    chunk.opacity_logits.extend_from_slice(&lower.opacity_logits);
    chunk.sh0.extend_from_slice(&lower.sh0);
    for i in 0..lower.len() {
        chunk.sh_rest.extend_from_slice(&lower.sh_rest[i * lower_width..(i + 1) * lower_width]);
        chunk.sh_rest.extend(std::iter::repeat_n(0.0, width - lower_width));
    }
}
