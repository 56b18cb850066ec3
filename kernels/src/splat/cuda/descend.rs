//! One step of training a set of splats on a device.

use super::tensor::DeviceMoments::{Full, Wide, Words};
use super::tensor::Tensor;
use super::trained::{Descent, Trained};
use super::{Pass, Rasterizer, RenderingGradient};
use crate::camera_projection::View;
use crate::device::{Buffer, DeviceError, Joined, Launch};
use crate::splat::RenderSettings;

impl Rasterizer {
    /// From the gradient of the picture that the last pass made of `trained` to one step of Adam, with decay, noise and
    /// scores, without gradients of parameters ever being stored. `pose`, `[6]`, receives that of the camera.
    ///
    /// # Errors
    /// When the device fails.
    pub fn descend(
        &mut self,
        trained: &mut Trained,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
        descent: &Descent,
        pose: Option<&mut Buffer<f32>>,
    ) -> Result<(), DeviceError> {
        let pass = Pass::new(&(&trained.splats()).into(), view, settings);
        self.accumulate(view, settings, gradient)?;
        let mut descent = *descent;
        descent.instance_capacity = self.instance_capacity() as u32;
        self.descend_harmonics(trained, &pass, descent)?;
        self.descend_splats(trained, &pass, descent, pose.is_some())?;
        if let Some(pose) = pose {
            let arguments = (&self.partials, pass.blocks() as u32, pose);
            self.kernels.sum_columns.launch(&self.stream, Launch::blocks(6, 256), arguments)?;
        }
        Ok(())
    }

    fn descend_harmonics(&mut self, trained: &mut Trained, pass: &Pass, descent: Descent) -> Result<(), DeviceError> {
        let &Pass { count, camera, degree, stored_degree, .. } = pass;
        let (kernels, numbers, [means, .., sh_rest]) = (&trained.kernels, &trained.numbers, &mut trained.tensors);
        let (stream, grid, v_offsets) = (&self.stream, pass.by_harmonics(), &mut self.v_offsets);
        let seen = Joined((&self.touched, &self.records, &self.sums, &self.counters));
        let common = Joined((&means.values, count, camera, degree, stored_degree, seen, descent));
        let Tensor { values, moments, .. } = sh_rest;
        match moments {
            Words(words) => {
                kernels.descend_packed_harmonics.launch(stream, grid, (common, numbers.as_ref(), words, v_offsets))
            }
            Full([first, second]) => {
                kernels.descend_harmonics.launch(stream, grid, (common, values, first, second, v_offsets))
            }
            Wide(_) => unreachable!("harmonics have no wide codes"),
        }
    }

    fn descend_splats(
        &mut self,
        trained: &mut Trained,
        pass: &Pass,
        descent: Descent,
        with_pose: bool,
    ) -> Result<(), DeviceError> {
        let &Pass { count, camera, shaping, .. } = pass;
        let (kernels, filter) = (&trained.kernels, trained.filtered.then_some(&trained.filter));
        let (stream, grid) = (&self.stream, pass.by_splat());
        let seen = Joined((&self.touched, &self.records, &self.v_offsets, &self.counters));
        let partials = with_pose.then_some(&mut self.partials);
        let changed = Joined((&mut self.sums, &mut trained.scores, partials));
        let common = Joined((filter, count, camera, shaping, seen, descent, trained.numbers.as_ref(), changed));
        let [means, log_scales, quats, opacity_logits, sh0, _] =
            trained.tensors.each_mut().map(|tensor| (&mut tensor.values, &mut tensor.moments));
        let values = Joined((means.0, log_scales.0, quats.0, opacity_logits.0, sh0.0));
        match [means.1, log_scales.1, quats.1, opacity_logits.1, sh0.1] {
            [Full([m, m2]), Full([l, l2]), Full([q, q2]), Full([o, o2]), Full([s, s2])] => {
                let (first, second) = (Joined((m, l, q, o, s)), Joined((m2, l2, q2, o2, s2)));
                kernels.descend_splats.launch(stream, grid, (values, first, second, common))
            }
            [Wide(m), Wide(l), Wide(q), Wide(o), Wide(s)] => {
                kernels.descend_packed_splats.launch(stream, grid, (values, Joined((m, l, q, o, s)), common))
            }
            _ => unreachable!("tensors of the geometry are kept alike"),
        }
    }
}
