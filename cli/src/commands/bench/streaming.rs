//! How much of a streamed scene must come before it is seen, and before it looks nearly as it will: part of `tessera bench --view`.
//!
//! The page fetches the same pages in the same order over a network. Here they are read from a disk, one after the other, and
//! pictures of what has come so far are compared with one of the whole scene.

use crate::published::write_tiles;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use tessera_engine::datasets::format::stream::CloudSource;
use tessera_engine::datasets::format::tiles::{self, MANIFEST, PageFiles};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::datasets::scene::tile_tree::StreamLimits;
use tessera_viewer::renderer::{Gpu, Picture, Renderer, Style, View};
use tessera_viewer::streamed::{PageFetch, StreamedScene};

/// Pictures are compared when so many times more bytes have come.
const GROWTH: f64 = 1.1;
/// Share of the last picture's quality, in decibels, that is nearly all of it.
const NEARLY: f64 = 0.95;

/// A moment while a scene arrives.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// That have come, the manifest's included.
    pub bytes: u64,
    /// Spent with reading, decoding and uploading.
    pub work: Duration,
    /// Of the picture, against the whole scene's, in dB.
    pub psnr: f64,
}

/// How a scene arrives.
#[derive(Clone, Copy, Debug)]
pub struct Streaming {
    /// The first picture.
    pub first: Moment,
    /// [`NEARLY`] of the last picture's quality; found to a tenth.
    pub nearly: Moment,
    /// Nothing more is wanted for this view.
    pub last: Moment,
    /// To divide the scene into pages and write them.
    pub preparation: Duration,
    /// Of the whole scene on the disk.
    pub scene_bytes: u64,
}

/// Streams `cloud` to a renderer of its own, as a desktop computer's page would, for one view. `whole` is that view of the cloud.
///
/// # Errors
/// When the disk refuses, or there is no room on the graphics device.
pub fn measure(gpu: &Gpu, cloud: &SplatCloud, view: &View, style: &Style, whole: &Picture) -> Result<Streaming> {
    let folder = tempfile::tempdir().context("there is no room for temporary files")?;
    let path = folder.path().join("scene.tiles");
    let begin = Instant::now();
    write_tiles(&mut CloudSource::new(cloud), &path, |_| {})?;
    let preparation = begin.elapsed();
    let manifest = tiles::open_manifest(&path)?;
    let mut bytes = fs::metadata(path.join(MANIFEST)).context("the manifest has vanished")?.len();
    let scene_bytes = bytes + manifest.pages.iter().map(|page| page.length()).sum::<u64>();
    let mut files = PageFiles::beside(&path);
    let mut renderer = Renderer::new(gpu);
    let mut scene = StreamedScene::new(manifest.clone(), StreamLimits::default());
    let mut moments: Vec<Moment> = Vec::new();
    let mut work = Duration::ZERO;
    let mut is_newer = false;
    scene.update(view, &mut renderer);
    loop {
        let begin = Instant::now();
        let fetch = scene.next_fetch(0.0, &mut renderer);
        if let Some(PageFetch { node, length, .. }) = fetch {
            let page = files.read(&manifest, node)?;
            scene.arrived(node, &page, 0.0, &mut renderer).map_err(anyhow::Error::msg)?;
            bytes += length;
        }
        is_newer |= scene.update(view, &mut renderer);
        work += begin.elapsed();
        let is_due = moments.last().is_none_or(|last| bytes as f64 >= GROWTH * last.bytes as f64);
        if is_newer && (is_due || fetch.is_none()) {
            let psnr = psnr(&renderer.picture(view, style)?, whole);
            moments.push(Moment { bytes, work, psnr });
            is_newer = false;
        }
        if fetch.is_none() {
            break;
        }
    }
    let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else {
        anyhow::bail!("the scene has no splats")
    };
    let nearly = moments.iter().find(|moment| moment.psnr >= NEARLY * last.psnr).copied().unwrap_or(last);
    Ok(Streaming { first, nearly, last, preparation, scene_bytes })
}

impl Streaming {
    /// For people.
    pub fn text(&self) -> String {
        let part = |moment: Moment, what: &str| {
            format!(
                "{:.2} MB for {what} ({:.1} dB, {:.2} s of work)",
                mb(moment.bytes),
                moment.psnr,
                moment.work.as_secs_f64()
            )
        };
        let (first, nearly) = (part(self.first, "the first picture"), part(self.nearly, "95 % of the last one's PSNR"));
        let last = part(self.last, "the last one");
        let scene = format!("of {:.1} MB, made in {:.1} s", mb(self.scene_bytes), self.preparation.as_secs_f64());
        format!("{first}, {nearly}, {last}, {scene}")
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let part = |moment: Moment| json!({ "bytes": moment.bytes, "work_seconds": moment.work.as_secs_f64(), "psnr": moment.psnr });
        json!({
            "first_picture": part(self.first), "nearly_last_picture": part(self.nearly), "last_picture": part(self.last),
            "scene_bytes": self.scene_bytes, "preparation_seconds": self.preparation.as_secs_f64(),
        })
    }
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Peak signal-to-noise ratio, at most 100 dB.
fn psnr(picture: &Picture, whole: &Picture) -> f64 {
    let squares = picture.rgb.iter().zip(&whole.rgb).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2));
    let error = squares.sum::<f64>() / picture.rgb.len().max(1) as f64;
    (10.0 * (255.0_f64.powi(2) / error).log10()).min(100.0)
}
