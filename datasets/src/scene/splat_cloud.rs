//! Gaussian splats as files and viewers hold them.

use crate::camera::Similarity;

/// A set of `N` anisotropic 3D Gaussians with view-dependent colour, in the file's world unless
/// `scene_from_world` says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct SplatCloud {
    /// Degree of the spherical harmonics, 0 to 3.
    pub sh_degree: u8,
    /// `[N, 3]`, world units.
    pub means: Vec<[f32; 3]>,
    /// `[N, 3]`, natural logarithm of the standard deviations in world units.
    pub log_scales: Vec<[f32; 3]>,
    /// `[N, 4]`, (w, x, y, z), of any length but zero.
    pub quats: Vec<[f32; 4]>,
    /// `[N]`, opacity before the sigmoid.
    pub opacity_logits: Vec<f32>,
    /// `[N, 3]`, the degree-0 coefficient of red, green and blue.
    pub sh0: Vec<[f32; 3]>,
    /// `[N, (sh_degree + 1)² - 1, 3]` flattened, INRIA order and signs.
    pub sh_rest: Vec<f32>,
    /// Whether the splats were trained with the antialiased (mip) low-pass filter and must be drawn with it.
    pub antialiased: bool,
    /// From the world in which the splats were captured to the one in which they are stored.
    pub scene_from_world: Similarity,
}

impl SplatCloud {
    /// An empty cloud with room for `n` splats.
    pub fn with_capacity(n: usize, sh_degree: u8) -> Self {
        Self {
            sh_degree,
            means: Vec::with_capacity(n),
            log_scales: Vec::with_capacity(n),
            quats: Vec::with_capacity(n),
            opacity_logits: Vec::with_capacity(n),
            sh0: Vec::with_capacity(n),
            sh_rest: Vec::with_capacity(n * Self::rest_coefficients(sh_degree) * 3),
            antialiased: false,
            scene_from_world: Similarity::identity(),
        }
    }

    /// Number of splats.
    pub fn len(&self) -> usize {
        self.means.len()
    }

    /// True when there are no splats.
    pub fn is_empty(&self) -> bool {
        self.means.is_empty()
    }

    /// Coefficients per colour channel above degree 0: 0, 3, 8 or 15.
    pub fn rest_coefficients(sh_degree: u8) -> usize {
        (usize::from(sh_degree) + 1).pow(2) - 1
    }

    /// Moves the splats back into the world in which they were captured. Spherical harmonics do not turn: only
    /// translation and scale are supported, which is all that a capture's normalisation uses.
    pub fn into_world(mut self) -> Self {
        let world_from_scene = self.scene_from_world.inverse();
        let log_scale = (world_from_scene.scaling()).ln() as f32;
        for mean in &mut self.means {
            let moved = world_from_scene * nalgebra::Point3::from(mean.map(f64::from));
            *mean = [moved.x as f32, moved.y as f32, moved.z as f32];
        }
        for scales in &mut self.log_scales {
            *scales = scales.map(|s| s + log_scale);
        }
        self.scene_from_world = Similarity::identity();
        self
    }
}
