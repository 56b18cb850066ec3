//! Pictures that show how good a scene is: photo, rendering and error side by side, and sheets of several pictures.

use crate::inputs::Scene;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::image::{Image8, ImageCache};
use tessera_engine::evaluate::{EvalOptions, split_indices};
use tessera_engine::frames::FrameSet;
use tessera_engine::render::{SplatPainter, beside, difference, from_planes, to_image};
use tessera_engine::target::Target;

/// Photos are looked at once each: there is no use in keeping many.
const CACHE_BYTES: usize = 256 << 20;

/// Photo, rendering and three times their difference of one view.
#[derive(Debug)]
pub struct Comparison {
    /// How many are made, this one included.
    pub done: usize,
    /// How many there will be.
    pub total: usize,
    /// The photo's name.
    pub name: String,
    /// The three side by side.
    pub image: Image8,
}

/// Compares the scene with at most `most` photos of those that `options` choose, and hands each comparison to `take`.
///
/// # Errors
/// When a photo cannot be read, or `take` fails.
pub fn compare(
    scene: &Scene,
    capture: &Capture,
    options: &EvalOptions,
    most: usize,
    take: &mut dyn FnMut(Comparison) -> Result<()>,
) -> Result<()> {
    let mut indices = split_indices(capture, options.split, options.test_every);
    indices.truncate(most);
    let cache = Arc::new(ImageCache::new(capture.files.clone(), CACHE_BYTES, options.max_side));
    let frames = FrameSet::new(capture, &indices, &cache, 1);
    let mut painter = SplatPainter::new(&scene.cloud, &capture.scene_from_world, options.background);
    let mut target = Target::default();
    for i in 0..frames.len() {
        let frame = frames.load(i, 1)?;
        target.fill(&frame.pixels, frame.mask_kind, options.background);
        let photo = from_planes(&target.rgb, target.width, target.height);
        let drawn = to_image(painter.paint(&frame.view));
        let error = difference(&photo, &drawn);
        let image = beside(&[photo, drawn, error]);
        take(Comparison { done: i + 1, total: frames.len(), name: frames.frame(i).name.clone(), image })?;
    }
    Ok(())
}

/// The name of a picture of a photo: `left/0001.jpg` as `left_0001.png`.
pub fn file_name(photo: &str) -> PathBuf {
    let stem = photo.rsplit_once('.').map_or(photo, |(stem, _)| stem);
    PathBuf::from(stem.replace(['/', '\\'], "_") + ".png")
}

/// Pictures of one width and depth below each other.
pub fn below(pictures: &[Image8]) -> Image8 {
    let (width, channels) = pictures.first().map_or((0, 3), |p| (p.width, p.channels));
    let fitting = || pictures.iter().filter(|p| (p.width, p.channels) == (width, channels));
    let data = fitting().flat_map(|p| p.data.iter().copied()).collect();
    Image8 { width, height: fitting().map(|p| p.height).sum(), channels, data }
}

/// Pictures of one size in rows of `columns`; those that fill no row are left out.
pub fn sheet(pictures: &[Image8], columns: usize) -> Image8 {
    let rows: Vec<_> = pictures.chunks_exact(columns.max(1)).map(beside).collect();
    below(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn photos_in_folders_become_plain_files() {
        assert_eq!(file_name("left/0001.jpg"), Path::new("left_0001.png"));
        assert_eq!(file_name("plain"), Path::new("plain.png"));
    }

    #[test]
    fn a_sheet_has_whole_rows() {
        let pictures: Vec<_> = (0..5).map(|value| Image8 { data: vec![value; 3], ..Image8::new(1, 1, 3) }).collect();
        let sheet = sheet(&pictures, 2);
        assert_eq!((sheet.width, sheet.height), (2, 2));
        assert_eq!(sheet.data, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
    }
}
