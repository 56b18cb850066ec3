//! Reading a moving scene from a file: the segments of the moment, and nothing else.

use super::{PREFIX_BYTES, SegmentPage, VideoManifest};
use crate::scene::{MovingSplats, SplatCloud};
use crate::{DataError, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A moving scene on a disk. In memory are the segments of the last moment that was asked for.
#[derive(Debug)]
pub struct VideoFile {
    path: PathBuf,
    file: File,
    /// Where the pages begin.
    start: u64,
    length: u64,
    /// What it is, and where its segments lie.
    pub manifest: VideoManifest,
    /// By index of the segment.
    resident: HashMap<usize, MovingSplats>,
}

impl VideoFile {
    /// Opens a file and reads its manifest.
    ///
    /// # Errors
    /// When it is missing, no moving scene, damaged or cut off.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let unreadable = |e: std::io::Error| DataError::unreadable(&path, &e);
        let wrong = |reason: String| DataError::new(&path, reason).remedy("copy it again, or export the scene again");
        let mut file = File::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(DataError::new(&path, "is a folder, not a file").remedy("name a file in it"));
        }
        let length = metadata.len();
        let mut head = Vec::new();
        let mut read = |end: u64, head: &mut Vec<u8>| {
            let missing = end - head.len() as u64;
            (&mut file).take(missing).read_to_end(head).map_err(unreadable)
        };
        read(PREFIX_BYTES, &mut head)?;
        let start = VideoManifest::head_bytes(&head).map_err(wrong)?;
        if start > length {
            return Err(wrong("is damaged or cut off: its manifest does not fit into it".to_owned()));
        }
        read(start, &mut head)?;
        let manifest = VideoManifest::of_head(&head).map_err(wrong)?;
        let end = manifest.segments.iter().map(|segment| segment.range().iter().sum::<u64>()).max().unwrap_or(0);
        if end > length - start {
            let reason = format!("was cut off: it has {} of {} bytes", length, start.saturating_add(end));
            return Err(wrong(reason));
        }
        Ok(Self { path, file, start, length, manifest, resident: HashMap::new() })
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes before the pages.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Reads a segment by its index.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn read_segment(&mut self, index: usize) -> Result<MovingSplats> {
        let mut all = self.nothing();
        for page in self.manifest.segments[index].pages.clone() {
            append(&mut all, &self.read_page(&page)?);
        }
        Ok(all)
    }

    /// Reads a page of the manifest.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn read_page(&mut self, page: &SegmentPage) -> Result<MovingSplats> {
        let bytes = self.page_bytes(page)?;
        self.manifest.decode_page(page, &bytes).map_err(|e| {
            DataError::new(&self.path, format!("has a page at byte {} that {e}", self.start + page.offset))
                .remedy("copy it again, or export the scene again")
        })
    }

    /// Reads a page of the manifest as it is stored.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn page_bytes(&mut self, page: &SegmentPage) -> Result<Vec<u8>> {
        let mut bytes = vec![0; page.length() as usize];
        let read =
            self.file.seek(SeekFrom::Start(self.start + page.offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| DataError::unreadable(&self.path, &e))?;
        Ok(bytes)
    }

    /// The splats that are seen `seconds` after the first frame, in stored coordinates. Segments that are not looked at
    /// then are forgotten.
    ///
    /// # Errors
    /// When a segment is damaged.
    pub fn at(&mut self, seconds: f64) -> Result<SplatCloud> {
        let active = self.manifest.active(seconds);
        self.resident.retain(|index, _| active.contains(index));
        let (mut seen, mut part) = (self.nothing().splats, self.nothing().splats);
        for index in active {
            if !self.resident.contains_key(&index) {
                let segment = self.read_segment(index)?;
                self.resident.insert(index, segment);
            }
            if let Some(segment) = self.resident.get(&index) {
                segment.slice(0..segment.times.len(), seconds, &mut part);
                seen.append(&part);
            }
        }
        Ok(seen)
    }

    /// Splats that are in memory at the moment.
    pub fn resident_splats(&self) -> usize {
        self.resident.values().map(|segment| segment.times.len()).sum()
    }

    fn nothing(&self) -> MovingSplats {
        let mut splats = SplatCloud::with_capacity(0, self.manifest.sh_degree);
        splats.antialiased = self.manifest.antialiased;
        splats.scene_from_world = self.manifest.scene_from_world;
        MovingSplats { splats, times: Vec::new(), velocities: Vec::new(), time_variances: Vec::new() }
    }
}

fn append(all: &mut MovingSplats, part: &MovingSplats) {
    all.splats.append(&part.splats);
    all.times.extend(&part.times);
    all.velocities.extend(&part.velocities);
    all.time_variances.extend(&part.time_variances);
}
