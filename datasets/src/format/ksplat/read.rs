//! Reading `.ksplat`, section by section and chunk by chunk.

use super::section::{Bucket, Section, Shared};
use super::{HEADER, SECTION_HEADER, float, short, word};
use crate::camera::Similarity;
use crate::format::input::{Input, bad_splat, truncated};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};

/// Splats that are read at once.
const PIECE: u64 = 4096;
/// The range of harmonics on level 2 when the file gives none.
const HARMONICS_RANGE: f32 = 1.5;

/// Opens a `.ksplat` file.
///
/// # Errors
/// When it is none, of an unknown version, or has sections that reach beyond its end.
pub(in crate::format) fn open_splats(mut input: Input) -> Result<Box<dyn SplatSource>> {
    let mut header = vec![0; HEADER];
    if input.length() < HEADER as u64 {
        return Err(DataError::new(input.path(), "is too short for a .ksplat file")
            .remedy("copy it again from its source, or name another file"));
    }
    input.fill(&mut header)?;
    let (major, minor, level) = (header[0], header[1], short(&header, 20));
    if major != 0 || minor == 0 || level > 2 {
        let reason =
            format!("is no .ksplat file of version 0.1 (it says {major}.{minor} and compression level {level})");
        return Err(DataError::new(input.path(), reason).remedy("export it again, or name another file"));
    }
    let limit = |at: usize, default: f32| match float(&header, at) {
        v if v == 0.0 || !v.is_finite() => default,
        v => v,
    };
    let shared = Shared::new(level, limit(36, -HARMONICS_RANGE), limit(40, HARMONICS_RANGE));
    let sections = sections(&mut input, u64::from(word(&header, 4)), &shared)?;
    let (count, claimed) = (sections.iter().map(|section| section.count).sum::<u64>(), u64::from(word(&header, 16)));
    if count != claimed {
        let reason = format!("claims {claimed} splats and has sections with {count}");
        return Err(DataError::new(input.path(), reason).remedy("export it again"));
    }
    let header = SplatHeader {
        count,
        sh_degree: sections.iter().map(|section| section.sh_degree).max().unwrap_or(0),
        antialiased: false,
        scene_from_world: Similarity::identity(),
    };
    Ok(Box::new(Source { input, header, shared, sections, section: 0, next: 0, given: 0, buckets: None }))
}

/// The sections that have splats.
fn sections(input: &mut Input, count: u64, shared: &Shared) -> Result<Vec<Section>> {
    let mut start = HEADER as u64 + count * SECTION_HEADER as u64;
    if start > input.length() {
        return Err(truncated(input.path()));
    }
    let mut sections = Vec::new();
    let mut header = vec![0; SECTION_HEADER];
    for _ in 0..count {
        input.fill(&mut header)?;
        if word(&header, 0) > 0 {
            let section = Section::parse(&header, start, shared, input)?;
            start = section.end();
            sections.push(section);
        }
    }
    Ok(sections)
}

struct Source {
    input: Input,
    header: SplatHeader,
    shared: Shared,
    sections: Vec<Section>,
    /// Which section comes next, and which of its splats.
    section: usize,
    next: u64,
    /// Splats that were given out.
    given: u64,
    /// Of the section that is being read, and which of them the next splat is in.
    buckets: Option<(Vec<Bucket>, usize)>,
}

impl SplatSource for Source {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        chunk.clear();
        while chunk.len() < CHUNK_SPLATS && self.section < self.sections.len() {
            self.append_piece(chunk)?;
        }
        Ok(!chunk.is_empty())
    }
}

impl Source {
    fn append_piece(&mut self, chunk: &mut SplatCloud) -> Result<()> {
        let section = &self.sections[self.section];
        let (buckets, bucket) = match &mut self.buckets {
            Some(buckets) => buckets,
            none => none.insert((section.buckets(&self.shared, &mut self.input)?, 0)),
        };
        let n = (section.count - self.next).min(PIECE).min((CHUNK_SPLATS - chunk.len()) as u64);
        self.input.go_to(section.splats_start + self.next * section.stride as u64)?;
        let mut bytes = vec![0; n as usize * section.stride];
        self.input.fill(&mut bytes)?;
        for row in bytes.chunks_exact(section.stride) {
            while buckets.get(*bucket).is_some_and(|bucket| bucket.end <= self.next) {
                *bucket += 1;
            }
            let centre = buckets.get(*bucket).map_or([0.0; 3], |bucket| bucket.centre);
            let appended = section.append(row, centre, &self.shared, chunk);
            appended.map_err(|what| bad_splat(self.input.path(), self.given, what))?;
            self.next += 1;
            self.given += 1;
        }
        if self.next == section.count {
            (self.section, self.next, self.buckets) = (self.section + 1, 0, None);
        }
        Ok(())
    }
}
