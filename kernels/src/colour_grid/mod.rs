//! Colour transforms that vary over a picture and with luminance, one grid of them for each photo.
//!
//! A photo's grid is `[rows, columns, levels, 12]`: an affine transform `[3, 4]` at each corner. A pixel's transform is
//! interpolated between the eight corners around its place and its luminance (Rec. 601, clamped to [0, 1]), less one
//! transform that all photos share; `out = A rgb + b`. With one corner it is one transform for the whole picture.
//!
//! Wang et al., "Bilateral Guided Radiance Field Processing", 2024. What photos are given such transforms for, and the CPU's
//! code, is `appearance` in the engine; here is the device's, so that steps of training need no copy of a picture.

pub mod cuda;

/// How many corners a grid has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridSize {
    /// Down the picture.
    pub rows: usize,
    /// Across the picture.
    pub columns: usize,
    /// Over luminance.
    pub levels: usize,
}

impl GridSize {
    /// One transform for the whole picture.
    pub const WHOLE: Self = Self { rows: 1, columns: 1, levels: 1 };

    /// Corners of a grid.
    pub fn cells(self) -> usize {
        self.rows * self.columns * self.levels
    }
}

/// How far a grid goes down its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridStep {
    /// Adam's learning rate.
    pub rate: f32,
    /// Adam's decays.
    pub betas: [f32; 2],
    /// What keeps Adam's division finite.
    pub epsilon: f32,
    /// Weight of the total variation: the sum over the three axes of the mean squared difference of neighbours.
    pub total_variation: f32,
    /// Share of what all photos have in common beyond the identity that goes to the shared transform while each is seen once.
    pub drift_removal: f32,
}
