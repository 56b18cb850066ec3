//! Gaussian splats as files and viewers hold them.

use crate::camera::Similarity;
use std::ops::Range;

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

    /// Removes all splats and keeps what is said about them.
    pub fn clear(&mut self) {
        self.means.clear();
        self.log_scales.clear();
        self.quats.clear();
        self.opacity_logits.clear();
        self.sh0.clear();
        self.sh_rest.clear();
    }

    /// Adds the splats of a cloud of the same degree.
    pub fn append(&mut self, other: &Self) {
        self.append_range(other, 0..other.len());
    }

    /// Adds the splats with these indices of a cloud of the same degree.
    pub fn append_range(&mut self, other: &Self, range: Range<usize>) {
        assert_eq!(self.sh_degree, other.sh_degree, "clouds of one degree are joined");
        let values = 3 * Self::rest_coefficients(self.sh_degree);
        self.means.extend_from_slice(&other.means[range.clone()]);
        self.log_scales.extend_from_slice(&other.log_scales[range.clone()]);
        self.quats.extend_from_slice(&other.quats[range.clone()]);
        self.opacity_logits.extend_from_slice(&other.opacity_logits[range.clone()]);
        self.sh0.extend_from_slice(&other.sh0[range.clone()]);
        self.sh_rest.extend_from_slice(&other.sh_rest[range.start * values..range.end * values]);
    }

    /// Adds the splats of a cloud of the same or a lower degree: the coefficients that they lack are zero.
    pub fn append_raised(&mut self, lower: &Self) {
        let [to, from] = [self.sh_degree, lower.sh_degree].map(|degree| 3 * Self::rest_coefficients(degree));
        assert!(from <= to, "splats keep all of their coefficients");
        self.means.extend_from_slice(&lower.means);
        self.log_scales.extend_from_slice(&lower.log_scales);
        self.quats.extend_from_slice(&lower.quats);
        self.opacity_logits.extend_from_slice(&lower.opacity_logits);
        self.sh0.extend_from_slice(&lower.sh0);
        for i in 0..lower.len() {
            self.sh_rest.extend_from_slice(&lower.sh_rest[i * from..(i + 1) * from]);
            self.sh_rest.extend(std::iter::repeat_n(0.0, to - from));
        }
    }

    /// The splats with these indices, in this order.
    #[must_use]
    pub fn select(&self, indices: &[u32]) -> Self {
        let values = 3 * Self::rest_coefficients(self.sh_degree);
        let rest = |&i: &u32| self.sh_rest[i as usize * values..][..values].iter().copied();
        Self {
            sh_degree: self.sh_degree,
            means: indices.iter().map(|&i| self.means[i as usize]).collect(),
            log_scales: indices.iter().map(|&i| self.log_scales[i as usize]).collect(),
            quats: indices.iter().map(|&i| self.quats[i as usize]).collect(),
            opacity_logits: indices.iter().map(|&i| self.opacity_logits[i as usize]).collect(),
            sh0: indices.iter().map(|&i| self.sh0[i as usize]).collect(),
            sh_rest: indices.iter().flat_map(rest).collect(),
            antialiased: self.antialiased,
            scene_from_world: self.scene_from_world,
        }
    }

    /// Whether the arrays agree in length, as everything that takes a cloud expects.
    pub fn is_consistent(&self) -> bool {
        let n = self.len();
        self.sh_degree <= 3
            && [self.log_scales.len(), self.quats.len(), self.opacity_logits.len(), self.sh0.len()] == [n; 4]
            && self.sh_rest.len() == 3 * n * Self::rest_coefficients(self.sh_degree)
    }

    /// Coefficients per colour channel above degree 0: 0, 3, 8 or 15.
    pub fn rest_coefficients(sh_degree: u8) -> usize {
        (usize::from(sh_degree) + 1).pow(2) - 1
    }
}
