//! Whether a scene still looks as it did: the same views of both, and how far they are apart.

use crate::Result;
use crate::metrics::{psnr, quantise};
use crate::render::{Painter, PathCamera, SplatPainter, of_frames, orbit, scene_of_cloud};
use serde::Serialize;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;

/// Views that are compared.
const VIEWS: usize = 6;
/// Their size in pixels, or the longest side of those that a photo's camera sees.
const SIZE: [u32; 2] = [480, 360];
/// Shines through alike where dark and bright splats are missing.
const BACKGROUND: [f32; 3] = [0.5; 3];

/// Pictures of a scene, to compare others with.
#[derive(Debug)]
pub struct ReferenceViews {
    cameras: Vec<PathCamera>,
    scene_from_world: Similarity,
    /// `[3, H, W]` each, rounded to 8 bits.
    pictures: Vec<Vec<f32>>,
}

/// How far a scene is from what it should look like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Of all pixels of all views, in dB.
    pub psnr: f64,
    /// Of the view that differs most, in dB.
    pub worst: f64,
    /// How many views were compared.
    pub views: usize,
}

impl ReferenceViews {
    /// Draws `cloud` from where photos of it were taken, or from all sides when there is no capture.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn new(cloud: SplatCloud, capture: Option<&Capture>) -> Result<Self> {
        let cameras = match capture.filter(|capture| !capture.frames.is_empty()) {
            Some(capture) => {
                let frames = capture.frames.len();
                let spread: Vec<usize> = (0..VIEWS.min(frames)).map(|i| i * frames / VIEWS.min(frames)).collect();
                of_frames(capture, &spread, Some(SIZE[0]))
            }
            None => orbit(&cloud, VIEWS, SIZE),
        };
        let scene_from_world = scene_of_cloud(&cloud);
        let pictures = draw(cloud, &cameras, &scene_from_world)?;
        Ok(Self { cameras, scene_from_world, pictures })
    }

    /// Draws `cloud` from the same places of the captured world, and compares.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn compare(&self, cloud: SplatCloud) -> Result<Verification> {
        let pictures = draw(cloud, &self.cameras, &self.scene_from_world)?;
        let psnrs: Vec<f64> = pictures.iter().zip(&self.pictures).map(|(a, b)| psnr(a, b, None)).collect();
        let pixels: usize = pictures.iter().map(Vec::len).sum();
        let squared = psnrs.iter().zip(&pictures).map(|(psnr, p)| p.len() as f64 * 10f64.powf(-psnr / 10.0));
        let mean_squared = squared.sum::<f64>() / pixels.max(1) as f64;
        let worst = psnrs.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(Verification { psnr: -10.0 * mean_squared.log10(), worst, views: psnrs.len() })
    }
}

fn draw(cloud: SplatCloud, cameras: &[PathCamera], scene_from_world: &Similarity) -> Result<Vec<Vec<f32>>> {
    let mut painter = SplatPainter::of(cloud, scene_from_world, BACKGROUND);
    let draw = |camera: &PathCamera| {
        let view = painter.view(&camera.camera, &camera.camera_from_world)?;
        let mut picture = painter.paint(&view).rgb.clone();
        quantise(&mut picture);
        Ok(picture)
    };
    cameras.iter().map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MAX_PSNR;
    use nalgebra::{Translation3, UnitQuaternion};
    use tessera_datasets::format::stream::collect;
    use tessera_datasets::synthetic::{Options, SceneKind, splats};

    fn made() -> SplatCloud {
        let mut source = splats(SceneKind::StillLife, &Options::default(), 3000, 1, &|_, _| {}).expect("splats");
        collect(&mut source).expect("nothing can fail")
    }

    #[test]
    fn the_same_scene_looks_the_same_and_another_does_not() {
        let views = ReferenceViews::new(made(), None).expect("drawn");
        let same = views.compare(made()).expect("drawn");
        assert_eq!((same.views, same.worst), (VIEWS, MAX_PSNR));
        assert!((same.psnr - MAX_PSNR).abs() < 1e-6, "{same:?}");
        let mut dark = made();
        dark.sh0.iter_mut().flatten().for_each(|c| *c -= 0.5);
        let darker = views.compare(dark).expect("drawn");
        assert!(darker.psnr < 30.0 && darker.worst <= darker.psnr, "{darker:?}");
    }

    #[test]
    fn a_scene_that_is_stored_elsewhere_looks_the_same() {
        let views = ReferenceViews::new(made(), None).expect("drawn");
        let turn = UnitQuaternion::from_euler_angles(0.5, 1.0, -2.0);
        let moved = made().transformed(&Similarity::from_parts(Translation3::new(5.0, -3.0, 1.0), turn, 2.5));
        let verified = views.compare(moved).expect("drawn");
        // Rounding moves splats by 1e-6 of the scene's size, so few pixels change by more than one step of 8 bits.
        assert!(verified.worst > 55.0, "{verified:?}");
    }
}
