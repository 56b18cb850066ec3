//! How Gaussians in space and time are split, relocated and grown: as splats are ([`crate::splats::density`]), with time as one
//! more axis along which one can be halved.

use super::model::VideoModel;
use crate::Result;
use crate::splats::density::{DEAD_OPACITY, Population, SPLIT_OFFSET, SPLIT_SHRINK, SPLIT_TRANSPARENCY};
use tessera_datasets::camera::spacetime::{SpacetimeShape, condition};

/// Gaussians as the density control sees them.
pub struct Evolving<'a> {
    /// They.
    pub model: &'a mut VideoModel,
    /// How long the scene lasts, in seconds.
    pub duration: f64,
    /// How long a frame lasts, in seconds.
    pub frame: f64,
    /// Size of the cameras' region in scene units.
    pub extent: f64,
}

impl Population for Evolving<'_> {
    fn count(&self) -> usize {
        self.model.len()
    }

    fn elsewhere(&self) -> usize {
        self.model.waiting()
    }

    fn find_living(&mut self, living: &mut Vec<bool>) -> Result<()> {
        living.clear();
        living.extend((0..self.model.len()).map(|i| self.is_alive(i)));
        Ok(())
    }

    fn split(&mut self, parents: &[usize], places: &[usize]) -> Result<()> {
        let rows = places.iter().map(|place| place + 1).fold(self.model.len(), usize::max);
        self.model.resize(rows);
        parents.iter().zip(places).for_each(|(&parent, &place)| self.split_one(parent, place));
        Ok(())
    }

    fn show_means(&mut self, show: &mut dyn FnMut(&[f32])) -> Result<()> {
        show(&self.model.means.values);
        Ok(())
    }

    fn permute(&mut self, order: &[u32]) -> Result<()> {
        self.model.permute(order);
        Ok(())
    }
}

impl Evolving<'_> {
    /// Those that never move and never end.
    pub fn resting(&self) -> Vec<usize> {
        (0..self.model.len()).filter(|&i| self.model.is_static(i)).collect()
    }

    /// How many are of no use.
    pub fn dead(&self) -> usize {
        (0..self.model.len()).filter(|&i| !self.is_alive(i)).count()
    }

    /// Whether a Gaussian is opaque enough, finite, and has influence on any frame.
    fn is_alive(&self, i: usize) -> bool {
        let model = &*self.model;
        let finite = |row: &[f32]| row.iter().all(|v| v.is_finite());
        let [from, to] = model.influence(i, 1.0);
        let opacity = 1.0 / (1.0 + (-model.opacity_logits.values[i]).exp());
        opacity >= DEAD_OPACITY
            && finite(model.means.row(i))
            && finite(model.log_scales.row(i))
            && from <= self.duration
            && to >= 0.0
    }

    /// The axis, of the Gaussian's four, along which it is too long first: lengths are compared as shares of the cameras' region
    /// and of the duration, of which a share ten times as large is fine enough.
    fn longest_axis(&self, i: usize) -> usize {
        const TIME_SHARE: f64 = 0.1;
        let model = &*self.model;
        let scales = model.log_scales.row(i);
        let space = (0..3).fold(0, |best, k| if scales[k] > scales[best] { k } else { best });
        let time_scale = f64::from(model.log_time_scales.values[i]).exp();
        let is_long = time_scale > self.frame
            && TIME_SHARE * time_scale / self.duration > f64::from(scales[space]).exp() / self.extent;
        if is_long && !model.is_static(i) { 3 } else { space }
    }

    /// Replaces a Gaussian by two halves along its longest axis, the second one at `place`.
    fn split_one(&mut self, parent: usize, place: usize) {
        let axis = self.longest_axis(parent);
        let is_static = self.model.is_static(parent);
        let model = &mut *self.model;
        let four = |row: &[f32]| std::array::from_fn::<f32, 4, _>(|k| row[k]);
        let seen = condition(&SpacetimeShape {
            log_scale: std::array::from_fn(|k| model.log_scales.row(parent)[k]),
            log_time_scale: model.log_time_scales.values[parent],
            left: four(model.left_quats.row(parent)),
            right: four(model.right_quats.row(parent)),
        });
        let offset: [f32; 4] = std::array::from_fn(|k| SPLIT_OFFSET * seen.scale[axis] * seen.rotation[k][axis]);
        let opacity = 1.0 / (1.0 + (-model.opacity_logits.values[parent]).exp());
        // Halves that follow each other in time hold back no light from each other.
        let share = if axis == 3 { 1.0 } else { SPLIT_TRANSPARENCY };
        let held_back = (1.0 - opacity).clamp(1e-6, 1.0 - 1e-6).powf(share).clamp(1e-6, 1.0 - 1e-6);
        model.opacity_logits.values[parent] = ((1.0 - held_back) / held_back).ln();
        let scale = match axis {
            3 => &mut model.log_time_scales.values[parent],
            _ => &mut model.log_scales.row_mut(parent)[axis],
        };
        *scale += SPLIT_SHRINK.ln();
        model.copy_gaussian(parent, place);
        for (row, sign) in [(parent, 1.0), (place, -1.0)] {
            for (mean, d) in model.means.row_mut(row).iter_mut().zip(offset) {
                *mean += sign * d;
            }
            if !is_static {
                model.times.values[row] += sign * offset[3];
            }
        }
    }
}
