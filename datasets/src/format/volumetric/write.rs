//! Writing a moving scene.

use super::motion::{self, influence};
use super::{MAGIC, Precision, Segment, SegmentPage, VideoManifest};
use crate::format::quantise::sigmoid;
use crate::format::tiles::page::{encode_in_order, position_precision};
use crate::format::{AtomicFile, Existing};
use crate::scene::tile_tree::MAX_PAGE_SPLATS;
use crate::scene::{MovingSplats, Place, TimeHierarchy, VolumetricVideo, morton_order};
use crate::{DataError, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes a moving scene to `path`, cut into segments by `hierarchy`, and returns the manifest with the stated precision.
///
/// # Errors
/// When the scene contradicts itself or holds numbers that are not finite, there is a file that is to be kept, or the disk
/// refuses.
pub fn write_video(
    path: impl AsRef<Path>,
    video: &VolumetricVideo,
    hierarchy: &TimeHierarchy,
    existing: Existing,
) -> Result<VideoManifest> {
    let mut writer = VideoWriter::create(path.as_ref(), video, hierarchy, existing)?;
    let mut places: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
    for i in 0..video.len() {
        for place in hierarchy.kept_in(video.influence(i)) {
            places.entry(place).or_default().push(i as u32);
        }
    }
    let moving = video.moving_splats();
    for (place, ids) in places {
        writer.segment(place, &select(&moving, &ids))?;
    }
    writer.finish()
}

/// Writes a moving scene segment by segment: pages wait in a temporary file beside the scene's, so memory holds what the
/// caller has, and one page.
#[derive(Debug)]
pub struct VideoWriter {
    path: PathBuf,
    out: AtomicFile,
    waiting: File,
    offset: u64,
    manifest: VideoManifest,
}

impl VideoWriter {
    /// A scene at `path` that has no Gaussians yet. It is in all else as `like`, whose Gaussians are not looked at.
    ///
    /// # Errors
    /// When `like` contradicts itself, there is a file that is to be kept, or the disk refuses.
    pub fn create(path: &Path, like: &VolumetricVideo, hierarchy: &TimeHierarchy, existing: Existing) -> Result<Self> {
        if !like.is_consistent() {
            return Err(DataError::new(path, "is not written, because its splats contradict each other")
                .remedy("report this as a bug"));
        }
        let out = AtomicFile::create(path, existing)?;
        let waiting = tempfile::tempfile_in(crate::format::atomic::folder_of(path)).map_err(|e| out.unwritable(&e))?;
        let manifest = VideoManifest {
            splats: 0,
            sh_degree: like.sh_degree,
            antialiased: like.antialiased,
            scene_from_world: like.scene_from_world,
            timeline: like.timeline,
            hierarchy: *hierarchy,
            precision: Precision::default(),
            segments: Vec::new(),
        };
        Ok(Self { path: path.to_owned(), out, waiting, offset: 0, manifest })
    }

    /// Adds all splats of a place; places come in their order. Without splats nothing is added.
    ///
    /// # Errors
    /// When splats have numbers that are not finite, or the disk refuses.
    pub fn segment(&mut self, place: Place, splats: &MovingSplats) -> Result<()> {
        if splats.times.is_empty() {
            return Ok(());
        }
        if !is_finite(splats) {
            let reason = "is not written, because it has splats with numbers that are not finite";
            return Err(DataError::new(&self.path, reason).remedy("train it again with smaller learning rates"));
        }
        let pages = write_segment(&mut self.manifest, splats, &mut self.offset, &mut self.waiting);
        let pages = pages.map_err(|e| self.out.unwritable(&e))?;
        self.manifest.splats += splats.times.len() as u64;
        self.manifest.segments.push(Segment { place, pages });
        Ok(())
    }

    /// Completes the file: the manifest with the stated precision, which is returned, and the pages behind it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<VideoManifest> {
        let Self { mut out, mut waiting, offset, manifest, .. } = self;
        let json = manifest.to_json();
        out.put(&MAGIC)?;
        out.put(&(json.len() as u64).to_le_bytes())?;
        out.put(&json)?;
        let copied = waiting.seek(SeekFrom::Start(0)).and_then(|_| io::copy(&mut waiting.take(offset), &mut out));
        copied.map_err(|e| out.unwritable(&e))?;
        out.commit()?;
        Ok(manifest)
    }
}

fn write_segment(
    manifest: &mut VideoManifest,
    moving: &MovingSplats,
    offset: &mut u64,
    out: &mut impl Write,
) -> io::Result<Vec<SegmentPage>> {
    let frame = 1.0 / manifest.timeline.frame_rate;
    let order = morton_order(&moving.splats.means);
    let mut pages = Vec::with_capacity(order.len().div_ceil(MAX_PAGE_SPLATS));
    for ids in order.chunks(MAX_PAGE_SPLATS) {
        let part = select(moving, ids);
        let encoded = encode_in_order(&part.splats);
        let motion = motion::encode(&part, position_precision(&part.splats), frame);
        let parts = [encoded.core, motion, encoded.harmonics];
        let page = SegmentPage {
            splats: ids.len() as u32,
            offset: *offset,
            bytes: [0, 1, 2].map(|i| parts[i].len() as u32),
            crc32: [0, 1, 2].map(|i| crc32fast::hash(&parts[i])),
        };
        *offset += page.length();
        let bytes = parts.concat();
        out.write_all(&bytes)?;
        // What readers will see is what is measured.
        let decoded = manifest.decode_page(&page, &bytes).map_err(io::Error::other)?;
        manifest.precision = manifest.precision.largest(&Precision::between(&part, &decoded));
        pages.push(page);
    }
    Ok(pages)
}

fn select(moving: &MovingSplats, ids: &[u32]) -> MovingSplats {
    MovingSplats {
        splats: moving.splats.select(ids),
        times: ids.iter().map(|&i| moving.times[i as usize]).collect(),
        velocities: ids.iter().map(|&i| moving.velocities[i as usize]).collect(),
        time_variances: ids.iter().map(|&i| moving.time_variances[i as usize]).collect(),
    }
}

fn is_finite(moving: &MovingSplats) -> bool {
    let splats = &moving.splats;
    let vectors = splats.means.iter().chain(&splats.log_scales).chain(&splats.sh0).chain(&moving.velocities).flatten();
    let numbers = splats.opacity_logits.iter().chain(&splats.sh_rest).chain(splats.quats.iter().flatten());
    vectors.chain(numbers).chain(&moving.times).all(|v| v.is_finite()) && moving.time_variances.iter().all(|v| *v > 0.0)
}

impl Precision {
    fn largest(&self, other: &Self) -> Self {
        Self {
            position: self.position.max(other.position),
            drift: self.drift.max(other.drift),
            time: self.time.max(other.time),
            log_time_scale: self.log_time_scale.max(other.log_time_scale),
            rotation: self.rotation.max(other.rotation),
            opacity: self.opacity.max(other.opacity),
            colour: self.colour.max(other.colour),
            harmonics: self.harmonics.max(other.harmonics),
        }
    }

    /// Of the same splats before and after.
    fn between(before: &MovingSplats, after: &MovingSplats) -> Self {
        let (a, b) = (&before.splats, &after.splats);
        let vectors = |a: &[[f32; 3]], b: &[[f32; 3]]| a.iter().zip(b).map(|(a, b)| apart(a, b)).fold(0.0, f64::max);
        let numbers = |a: &mut dyn Iterator<Item = (f32, f32)>| {
            a.map(|(a, b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max)
        };
        let moving = || (0..before.times.len()).filter(|&i| before.time_variances[i].is_finite());
        let log = |variance: f32| 0.5 * f64::from(variance).ln();
        let mut opacities = a.opacity_logits.iter().zip(&b.opacity_logits).map(|(a, b)| (sigmoid(*a), sigmoid(*b)));
        Self {
            position: vectors(&a.means, &b.means),
            drift: moving()
                .map(|i| {
                    let reach = influence() * f64::from(before.time_variances[i]).sqrt();
                    apart(&before.velocities[i], &after.velocities[i]) * reach
                })
                .fold(0.0, f64::max),
            time: numbers(&mut moving().map(|i| (before.times[i], after.times[i]))),
            log_time_scale: moving()
                .map(|i| (log(before.time_variances[i]) - log(after.time_variances[i])).abs())
                .fold(0.0, f64::max),
            rotation: a.quats.iter().zip(&b.quats).map(|(a, b)| degrees(a, b)).fold(0.0, f64::max),
            opacity: numbers(&mut opacities),
            colour: vectors(&a.sh0, &b.sh0),
            harmonics: numbers(&mut a.sh_rest.iter().copied().zip(b.sh_rest.iter().copied())),
        }
    }
}

fn apart(a: &[f32; 3], b: &[f32; 3]) -> f64 {
    (0..3).map(|k| (f64::from(a[k]) - f64::from(b[k])).powi(2)).sum::<f64>().sqrt()
}

/// Between two rotations.
fn degrees(a: &[f32; 4], b: &[f32; 4]) -> f64 {
    let norm = |q: &[f32; 4]| q.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    2.0 * (dot.abs() / (norm(a) * norm(b))).clamp(0.0, 1.0).acos().to_degrees()
}
