//! What is behind the box, as splats: in photos without masks the surface is seen before it.

use crate::Result;
use crate::frames::FrameSet;
use crate::rays::SceneBox;
use crate::render::SplatPainter;
use crate::train::{CheckpointReader, CheckpointWriter};
use tessera_datasets::camera::Similarity;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::camera_projection::View;

/// Splats around the box.
#[derive(Clone, Debug, PartialEq)]
pub struct Backdrop {
    cloud: SplatCloud,
}

impl Backdrop {
    /// What of `cloud`, in scene coordinates, lies outside the box.
    pub fn outside(mut cloud: SplatCloud, scene_box: &SceneBox) -> Self {
        let [low, high] = scene_box.corners;
        cloud.retain(|cloud, i| {
            let mean = cloud.means[i].map(f64::from);
            (0..3).any(|k| mean[k] < low[k] || mean[k] > high[k])
        });
        Self { cloud }
    }

    /// Something that draws it.
    pub fn painter(&self, background: [f32; 3]) -> SplatPainter {
        SplatPainter::new(&self.cloud, &self.cloud.scene_from_world, background)
    }

    /// Adds it to a checkpoint.
    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        let SplatCloud { means, log_scales, quats, opacity_logits, sh0, sh_rest, .. } = &self.cloud;
        let n = means.len();
        checkpoint.f32("backdrop.means", &[n, 3], means.as_flattened());
        checkpoint.f32("backdrop.log_scales", &[n, 3], log_scales.as_flattened());
        checkpoint.f32("backdrop.quats", &[n, 4], quats.as_flattened());
        checkpoint.f32("backdrop.opacity_logits", &[n], &opacity_logits[..]);
        checkpoint.f32("backdrop.sh0", &[n, 3], sh0.as_flattened());
        checkpoint.f32("backdrop.sh_rest", &[sh_rest.len()], &sh_rest[..]);
    }

    /// The one in a checkpoint, of a scene with this place in the world; `None` when it holds none.
    ///
    /// # Errors
    /// When a part is missing or does not fit.
    pub fn load(checkpoint: &CheckpointReader, scene_from_world: &Similarity) -> Result<Option<Self>> {
        let Some(&[n, 3]) = checkpoint.shape("backdrop.means") else { return Ok(None) };
        let rows = |name: &str| -> Result<Vec<[f32; 3]>> { Ok(checkpoint.f32(name)?.as_chunks::<3>().0.to_vec()) };
        let sh_rest = checkpoint.f32("backdrop.sh_rest")?;
        let degree = (0..=3u8).find(|d| 3 * n * SplatCloud::rest_coefficients(*d) == sh_rest.len());
        let cloud = SplatCloud {
            sh_degree: degree.ok_or_else(|| checkpoint.unfit("backdrop.sh_rest"))?,
            means: rows("backdrop.means")?,
            log_scales: rows("backdrop.log_scales")?,
            quats: checkpoint.f32("backdrop.quats")?.as_chunks::<4>().0.to_vec(),
            opacity_logits: checkpoint.f32("backdrop.opacity_logits")?,
            sh0: rows("backdrop.sh0")?,
            sh_rest,
            antialiased: false,
            scene_from_world: *scene_from_world,
        };
        if cloud.is_consistent() { Ok(Some(Self { cloud })) } else { Err(checkpoint.unfit("backdrop")) }
    }
}

/// The backdrop as each photo sees it, 8 bits a channel.
#[derive(Clone, Debug)]
pub struct BackdropPictures {
    pictures: Vec<Picture>,
}

#[derive(Clone, Debug)]
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl BackdropPictures {
    /// Draws those of all frames, smaller than the photos if they would otherwise need more than `megabytes`.
    pub fn of(backdrop: &Backdrop, frames: &FrameSet, background: [f32; 3], megabytes: usize) -> Self {
        let pixels: usize = frames.views().map(|v| v.width * v.height).sum();
        let reduction = (3.0 * pixels as f64 / (megabytes << 20) as f64).sqrt().ceil().max(1.0) as u32;
        let mut painter = backdrop.painter(background);
        let draw = |i: usize| {
            let view: View = frames.view(i, reduction);
            let plane = view.width * view.height;
            let drawn = &painter.paint(&view).rgb;
            let byte = |v: f32| (255.0 * v.clamp(0.0, 1.0) + 0.5) as u8;
            let rgb = (0..3 * plane).map(|at| byte(drawn[at % 3 * plane + at / 3])).collect();
            Picture { width: view.width, height: view.height, rgb }
        };
        Self { pictures: (0..frames.len()).map(draw).collect() }
    }

    /// What frame `i`, which has `size` pixels, sees at a pixel.
    pub fn at(&self, i: usize, [x, y]: [usize; 2], size: [usize; 2]) -> [f32; 3] {
        let picture = &self.pictures[i];
        let (x, y) = (x * picture.width / size[0], y * picture.height / size[1]);
        let at = 3 * (y * picture.width + x);
        std::array::from_fn(|k| f32::from(picture.rgb[at + k]) / 255.0)
    }
}
