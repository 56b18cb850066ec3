//! Drawing a cloud of splats as it is stored in files.

use crate::splats::NEAR;
use crate::{Error, Result};
use nalgebra::{Point3, Translation3, UnitQuaternion};
use tessera_datasets::camera::{Camera, Pose, Similarity};
use tessera_datasets::image::MAX_PIXELS;
use tessera_datasets::scene::{Bulk, SplatCloud, camera_from_scene};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{Rasterizer, RenderSettings, Rendering, Splats};

/// The longest side that the rasteriser can draw.
const MAX_SIDE: u32 = 65_535;

/// A cloud moved into a scene's coordinates and ready to be drawn there. It keeps the rasteriser's buffers.
#[derive(Debug)]
pub struct SplatPainter {
    cloud: SplatCloud,
    rasterizer: Rasterizer,
    /// How it is drawn; may be changed between pictures.
    pub settings: RenderSettings,
}

/// What can be drawn from anywhere.
pub trait Painter {
    /// From the world into the coordinates of the views that are drawn.
    fn scene_from_world(&self) -> &Similarity;

    /// Draws what the view sees: colours, transmittance, and median depth if that is asked for.
    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering;

    /// Draws what there is at this time of the capture from now on. Still scenes are always the same.
    ///
    /// # Errors
    /// When what there is cannot be read.
    fn set_time(&mut self, _capture_time: f64) -> Result<()> {
        Ok(())
    }

    /// The view of a camera that is placed in the world.
    ///
    /// # Errors
    /// When the picture has no pixels or too many.
    fn view(&self, camera: &Camera, camera_from_world: &Pose) -> Result<View> {
        let Camera { width, height, .. } = *camera;
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS || width.max(height) > MAX_SIDE {
            return Err(Error::setting(format!("a picture of {width}x{height} pixels cannot be rendered")));
        }
        Ok(View::new(camera, &camera_from_scene(self.scene_from_world(), camera_from_world)))
    }
}

impl Painter for SplatPainter {
    fn scene_from_world(&self) -> &Similarity {
        &self.cloud.scene_from_world
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        self.settings.median_depth = median_depth;
        self.paint(view)
    }
}

impl SplatPainter {
    /// Gets `cloud` ready. `scene_from_world` says in which coordinates it is drawn: centred and scaled, so that single
    /// precision suffices and [`NEAR`] fits, such as [`tessera_datasets::capture::Capture::scene_from_world`].
    pub fn new(cloud: &SplatCloud, scene_from_world: &Similarity, background: [f32; 3]) -> Self {
        Self::of(cloud.clone(), scene_from_world, background)
    }

    /// [`SplatPainter::new`] of a cloud that nobody else needs.
    pub fn of(cloud: SplatCloud, scene_from_world: &Similarity, background: [f32; 3]) -> Self {
        let settings = RenderSettings {
            active_sh_degree: cloud.sh_degree,
            antialiased: cloud.antialiased,
            background,
            near: NEAR,
            ..RenderSettings::default()
        };
        let cloud = cloud.into_scene(scene_from_world);
        Self { cloud, rasterizer: Rasterizer::new(), settings }
    }

    /// Draws what the view sees.
    pub fn paint(&mut self, view: &View) -> &Rendering {
        let cloud = &self.cloud;
        let splats = Splats {
            means: bytemuck::cast_slice(&cloud.means),
            log_scales: bytemuck::cast_slice(&cloud.log_scales),
            quats: bytemuck::cast_slice(&cloud.quats),
            opacity_logits: &cloud.opacity_logits,
            sh0: bytemuck::cast_slice(&cloud.sh0),
            sh_rest: &cloud.sh_rest,
            sh_degree: cloud.sh_degree,
            filter_3d: None,
        };
        self.rasterizer.forward(&splats, view, &self.settings)
    }
}

/// A centred, scaled world for a cloud of which nothing else is known, by its splats' median and median distance.
pub fn scene_of_cloud(cloud: &SplatCloud) -> Similarity {
    let Bulk { centre, distance } = Bulk::of(&cloud.means);
    let centre = cloud.scene_from_world.inverse() * Point3::from(centre);
    let scale = cloud.scene_from_world.scaling() / distance;
    Similarity::from_parts(Translation3::from(-scale * centre.coords), UnitQuaternion::identity(), scale)
}

/// The median, or 0 of nothing; the upper one of two middle values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}
