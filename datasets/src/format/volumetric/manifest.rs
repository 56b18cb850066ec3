//! What a moving scene is, and where its pages lie.

use super::{MAGIC, PREFIX_BYTES, motion};
use crate::camera::Similarity;
use crate::format::placement;
use crate::format::tiles::page::{self, PageError};
use crate::scene::tile_tree::MAX_PAGE_SPLATS;
use crate::scene::{MovingSplats, Place, TimeHierarchy, Timeline};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "tessera-moving-scene";
const VERSION: u32 = 1;
/// More levels than this would halve any segment to nothing.
const MOST_LEVELS: u8 = 24;
/// Larger manifests are not read: more than the segments of a day need.
const MAX_BYTES: u64 = 512 << 20;

/// A moving scene without its splats.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoManifest {
    /// Splats in all pages.
    pub splats: u64,
    /// Degree of the spherical harmonics, 0 to 3.
    pub sh_degree: u8,
    /// Whether it must be drawn with the low-pass filter with which it was trained.
    pub antialiased: bool,
    /// From the world in which it was captured to the one in which it is stored.
    pub scene_from_world: Similarity,
    /// Its frames.
    pub timeline: Timeline,
    /// How time is cut into segments.
    pub hierarchy: TimeHierarchy,
    /// How far decoded numbers are off at most.
    pub precision: Precision,
    /// The segments that hold anything, by place.
    pub segments: Vec<Segment>,
}

/// The largest differences between what was given and what is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// Stored units, of the splats at their own times.
    pub position: f64,
    /// Stored units that rounded velocities add within a splat's influence.
    pub drift: f64,
    /// Seconds.
    pub time: f64,
    /// Of natural logarithms of deviations in time.
    pub log_time_scale: f64,
    /// Degrees.
    pub rotation: f64,
    /// From 0 to 1.
    pub opacity: f64,
    /// Of degree-0 coefficients.
    pub colour: f64,
    /// Of coefficients above degree 0.
    pub harmonics: f64,
}

/// The pages of one place in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// When it is looked at.
    pub place: Place,
    /// One after the other in the file.
    pub pages: Vec<SegmentPage>,
}

/// Where a page lies and how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentPage {
    /// At most 65,536.
    pub splats: u32,
    /// Of the first byte, counted from the end of the manifest.
    pub offset: u64,
    /// Bytes of core, motion and harmonics, which follow each other.
    pub bytes: [u32; 3],
    /// CRC-32 of each.
    pub crc32: [u32; 3],
}

impl SegmentPage {
    /// Bytes of all parts.
    pub fn length(&self) -> u64 {
        self.bytes.iter().map(|&bytes| u64::from(bytes)).sum()
    }
}

impl Segment {
    /// Where its bytes begin, counted from the end of the manifest, and how many there are.
    pub fn range(&self) -> [u64; 2] {
        let first = self.pages.first().map_or(0, |page| page.offset);
        [first, self.pages.iter().map(SegmentPage::length).sum()]
    }
}

#[derive(Serialize, Deserialize)]
struct Raw {
    format: String,
    version: u32,
    #[serde(default)]
    generator: String,
    splats: u64,
    sh_degree: u8,
    #[serde(default)]
    antialiased: bool,
    /// Translation, quaternion (w, x, y, z), scale.
    scene_from_world: [f64; 8],
    timeline: RawTimeline,
    hierarchy: RawHierarchy,
    precision: Precision,
    segments: Vec<RawSegment>,
}

#[derive(Serialize, Deserialize)]
struct RawTimeline {
    start: f64,
    frame_rate: f64,
    frames: u32,
}

#[derive(Serialize, Deserialize)]
struct RawHierarchy {
    levels: u8,
    root_ticks: i64,
    tick: f64,
    shifted: bool,
}

#[derive(Serialize, Deserialize)]
struct RawSegment {
    /// Level and number; missing for the global bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<(u8, i64)>,
    pages: Vec<SegmentPage>,
}

impl VideoManifest {
    /// How many bytes of a file come before its pages, from at least the first [`PREFIX_BYTES`] of it.
    ///
    /// # Errors
    /// When that is the beginning of something else, as the end of a sentence.
    pub fn head_bytes(beginning: &[u8]) -> Result<u64, String> {
        let not_ours = || "is no moving scene of Tessera".to_owned();
        let prefix: &[u8; PREFIX_BYTES as usize] = beginning.first_chunk().ok_or_else(not_ours)?;
        let (magic, length) = prefix.split_at(MAGIC.len());
        let length = u64::from_le_bytes(length.try_into().map_err(|_| not_ours())?);
        match magic == MAGIC {
            false => Err(not_ours()),
            true if length > MAX_BYTES => Err("is damaged: its manifest is larger than any".to_owned()),
            true => Ok(PREFIX_BYTES + length),
        }
    }

    /// Understands all that comes before the pages of a file.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub fn of_head(head: &[u8]) -> Result<Self, String> {
        match Self::head_bytes(head)? == head.len() as u64 {
            true => Self::parse(&head[PREFIX_BYTES as usize..]),
            false => Err("was cut off in its manifest".to_owned()),
        }
    }

    /// Understands the bytes of a manifest.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| format!("has no valid manifest ({e})"))?;
        if raw.format != FORMAT || raw.version != VERSION {
            let (format, version) = (raw.format, raw.version);
            return Err(format!("is of the format {format:.40?}, version {version}, not {FORMAT}, version {VERSION}"));
        }
        if raw.sh_degree > 3 {
            return Err(format!("has spherical harmonics of degree {}", raw.sh_degree));
        }
        let scene_from_world =
            placement::from_numbers(raw.scene_from_world).ok_or("has a placement that is no similarity")?;
        let RawTimeline { start, frame_rate, frames } = raw.timeline;
        if !(start.is_finite() && frame_rate.is_finite() && frame_rate > 0.0 && frames > 0) {
            return Err("has a timeline without frames or rate".to_owned());
        }
        let RawHierarchy { levels, root_ticks, tick, shifted } = raw.hierarchy;
        // The shortest segments have whole ticks, and whole quarters when they are shifted.
        let divisor = 1i64 << (levels.clamp(1, MOST_LEVELS) - 1 + if shifted { 2 } else { 0 });
        let is_hierarchy = (1..=MOST_LEVELS).contains(&levels) && root_ticks > 0 && root_ticks % divisor == 0;
        if !is_hierarchy || root_ticks > 1 << 48 || !(tick.is_finite() && tick > 1e-9) {
            return Err("cuts time into impossible segments".to_owned());
        }
        let segments: Vec<Segment> = raw.segments.into_iter().map(RawSegment::segment).collect();
        check_segments(&segments, levels, raw.splats, raw.sh_degree)?;
        Ok(Self {
            splats: raw.splats,
            sh_degree: raw.sh_degree,
            antialiased: raw.antialiased,
            scene_from_world,
            timeline: Timeline { start, frame_rate, frames },
            hierarchy: TimeHierarchy { levels, root_ticks, tick, shifted },
            precision: raw.precision,
            segments,
        })
    }

    /// The manifest as it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        let Timeline { start, frame_rate, frames } = self.timeline;
        let TimeHierarchy { levels, root_ticks, tick, shifted } = self.hierarchy;
        let raw = Raw {
            format: FORMAT.to_owned(),
            version: VERSION,
            generator: format!("tessera {}", env!("CARGO_PKG_VERSION")),
            splats: self.splats,
            sh_degree: self.sh_degree,
            antialiased: self.antialiased,
            scene_from_world: placement::numbers(&self.scene_from_world),
            timeline: RawTimeline { start, frame_rate, frames },
            hierarchy: RawHierarchy { levels, root_ticks, tick, shifted },
            precision: self.precision,
            segments: self.segments.iter().map(RawSegment::of).collect(),
        };
        // Numbers and words only: nothing of it can fail.
        serde_json::to_vec(&raw).unwrap_or_default()
    }

    /// The segments that are looked at `seconds` after the first frame, as indices into [`Self::segments`]: the global bucket
    /// and at most one of each level.
    pub fn active(&self, seconds: f64) -> Vec<usize> {
        let find = |place| self.segments.binary_search_by(|segment| segment.place.cmp(&place)).ok();
        self.hierarchy.active(self.hierarchy.tick_at(seconds)).filter_map(find).collect()
    }

    /// Decodes a page from its bytes: all [`SegmentPage::length`] of them, or core and motion alone, which gives splats of
    /// degree 0.
    ///
    /// # Errors
    /// When the bytes are not those that were written.
    pub fn decode_page(&self, page: &SegmentPage, bytes: &[u8]) -> Result<MovingSplats, PageError> {
        let [core, motion, harmonics] = page.bytes.map(|length| length as usize);
        if bytes.len() != core + motion && bytes.len() != core + motion + harmonics {
            return Err(PageError::Length);
        }
        let (core, rest) = bytes.split_at(core);
        let (motion, harmonics) = rest.split_at(motion);
        let parts = [core, motion, harmonics];
        if parts.iter().zip(page.crc32).any(|(part, crc)| !part.is_empty() && crc32fast::hash(part) != crc) {
            return Err(PageError::Checksum);
        }
        let harmonics = (!harmonics.is_empty()).then_some(harmonics);
        let mut splats = page::decode(page.splats as usize, self.sh_degree, core, harmonics)?;
        splats.antialiased = self.antialiased;
        splats.scene_from_world = self.scene_from_world;
        motion::decode(splats, motion)
    }
}

impl RawSegment {
    fn segment(self) -> Segment {
        let place = self.segment.map_or(Place::Global, |(level, segment)| Place::Segment { level, segment });
        Segment { place, pages: self.pages }
    }

    fn of(segment: &Segment) -> Self {
        let place = match segment.place {
            Place::Global => None,
            Place::Segment { level, segment } => Some((level, segment)),
        };
        Self { segment: place, pages: segment.pages.clone() }
    }
}

fn check_segments(segments: &[Segment], levels: u8, splats: u64, sh_degree: u8) -> Result<(), String> {
    if !segments.is_sorted_by(|a, b| a.place < b.place) {
        return Err("has segments that are not in their order".to_owned());
    }
    let (mut end, mut counted) = (0u64, 0u64);
    for segment in segments {
        if matches!(segment.place, Place::Segment { level, .. } if level >= levels) {
            return Err(format!("has a segment below its {levels} levels"));
        }
        for page in &segment.pages {
            if page.splats == 0 || page.splats as usize > MAX_PAGE_SPLATS {
                return Err(format!("has a page of {} splats", page.splats));
            }
            if (page.bytes[2] > 0) != (sh_degree > 0) {
                return Err(format!("has harmonics that do not fit the degree {sh_degree}"));
            }
            if page.offset != end {
                return Err("has pages that do not follow each other".to_owned());
            }
            end = end.checked_add(page.length()).ok_or("has pages beyond all files")?;
            counted += u64::from(page.splats);
        }
    }
    if counted != splats {
        return Err(format!("announces {splats} splats and has pages for {counted}"));
    }
    Ok(())
}
