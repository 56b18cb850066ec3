//! One step of a block on a device.

use super::super::config::{AnchorsConfig, Rates};
use super::super::decoder::Student;
use super::super::sight::sight;
use super::super::{Block, render_settings};
use super::DeviceAnchors;
use crate::Result;
use crate::frames::TrainingFrame;
use crate::splats::machine::comparison::{fit, photo_of};
use tessera_kernels::anchor_decoder::cuda::Pull;
use tessera_kernels::colour_grid::cuda::Picture;
use tessera_kernels::image_loss::cuda::{ImagePair, Outputs, loss_values};
use tessera_kernels::image_loss::{LossSettings, LossValues, Padding};
use tessera_kernels::splat::cuda::RenderingGradient;

/// Numbers that a comparison finds.
pub(super) const VALUES: usize = 4;

impl DeviceAnchors {
    /// Leaves the gradients of a block's step on the device, and that by the decoder in `decoder`. Returns the step's loss with all that belongs to it, and
    /// what the comparison found.
    ///
    /// # Errors
    /// When the device has too little memory, or fails.
    pub fn differentiate(
        &mut self,
        frame: &TrainingFrame,
        (index, block): (usize, &mut Block),
        student: &Student,
        (config, weight, consistency): (&AnchorsConfig, f32, f32),
        decoder: &mut Vec<f32>,
    ) -> Result<(f64, LossValues)> {
        let (view, settings) = (&frame.view, render_settings(config.background));
        self.decoding.send(&student.parameters, (consistency > 0.0).then_some(&student.teacher))?;
        self.photos.put(&self.stream, &photo_of(frame, config.background))?;
        let there = &mut self.blocks[index];
        there.take_over(&self.stream, block)?;
        self.decoding.see(there.anchors(), sight(view))?;
        self.decoding.decode(there.anchors(), view)?;
        self.rasterizer.render(&self.decoding.splats(), view, &settings)?;
        self.compare(frame, (index, block), config, weight)?;
        let gradient = RenderingGradient { rgb: &self.v_rgb, alpha: None, depth: None, score: None };
        let (splats, of_splats) = (self.decoding.splats(), &mut self.of_splats);
        self.rasterizer.backward(&splats, view, &settings, &gradient, of_splats)?;
        let pull = Pull { volume: weight * config.volume_weight, consistency };
        let there = &mut self.blocks[index];
        self.decoding.differentiate(there.anchors(), of_splats, pull, &mut self.of_anchors)?;
        let half = 0.5 * view.width.max(view.height) as f32;
        self.decoding.observe(&self.rasterizer, of_splats, half, &mut there.observed)?;
        there.is_learned();
        let found = self.decoding.found(decoder)?;
        let values = loss_values(self.found.values()?, &loss_settings(config));
        let pulls = f64::from(pull.volume) * found.volume + f64::from(pull.consistency) * found.consistency;
        Ok((f64::from(weight * values.loss) + pulls, values))
    }

    /// Compares the picture with the photo, as the photo would have taken it. Leaves the gradient of `weight` times the loss by the picture.
    fn compare(
        &mut self,
        frame: &TrainingFrame,
        (index, block): (usize, &Block),
        config: &AnchorsConfig,
        weight: f32,
    ) -> Result<()> {
        let (width, height) = (frame.view.width, frame.view.height);
        let Self { device, stream, rasterizer, photos, loss, v_rgb, taken, values, found, decoding, blocks, .. } = self;
        fit(device, v_rgb, 3 * width * height)?;
        let drawn = Picture { rgb: &rasterizer.rendering().rgb, width, height };
        let transforms = &mut blocks[index].transforms;
        if let Some(transforms) = transforms {
            fit(device, taken, 3 * width * height)?;
            transforms.apply(frame.index, drawn, taken)?;
        }
        let image = if transforms.is_some() { &*taken } else { drawn.rgb };
        let pair = ImagePair { image, target: &photos.rgb, weight: photos.weight(), width, height };
        let outputs = Outputs { gradient: Some(&mut *v_rgb), ..Outputs::default() };
        loss.compare(stream, &pair, &loss_settings(config), outputs, values.at_mut(0))?;
        values.read_into(found, stream)?;
        if weight != 1.0 {
            decoding.scale(v_rgb, 3 * width * height, weight)?;
        }
        if let (Some(transforms), Some(appearance)) = (transforms, &block.appearance) {
            transforms.backward(frame.index, drawn, v_rgb)?;
            transforms.step(frame.index, &appearance.step_on_device(block.steps as f32 / config.steps as f32))?;
        }
        Ok(())
    }

    /// One step of a block's anchors, counted from 1, down the gradients that [`DeviceAnchors::differentiate`] left.
    ///
    /// # Errors
    /// When the device fails.
    pub fn descend(&mut self, index: usize, rates: &Rates, step: u64) -> Result<()> {
        Ok(self.blocks[index].descend(&self.stream, &self.adam, &self.of_anchors, rates, step)?)
    }
}

fn loss_settings(config: &AnchorsConfig) -> LossSettings {
    LossSettings { ssim_weight: config.ssim_weight, padding: Padding::Same }
}
