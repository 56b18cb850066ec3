//! How long the steps of a frame take.

use super::readback::{read, staging};
use super::uniforms::Arguments;
use super::{Renderer, Style, View};
use crate::ViewerError;
use std::time::{Duration, Instant};

/// Times of one frame. Every step is waited for, so they add up to a little more than a frame in flight takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTimes {
    /// From splats to ellipses.
    pub project: Duration,
    /// Of those that are visible.
    pub sort: Duration,
    /// Meshes, points, splats.
    pub draw: Duration,
    /// Visible splats.
    pub visible: u32,
}

impl FrameTimes {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.project + self.sort + self.draw
    }
}

impl Renderer {
    /// Draws a frame step by step and times each.
    ///
    /// # Errors
    /// When the device was lost, or the size is not possible.
    pub fn time_frame(&mut self, view: &View, style: &Style) -> Result<FrameTimes, ViewerError> {
        self.prepare(view, style)?;
        self.drawn = None;
        // What was written to buffers is not part of it.
        self.time(|_, _| {})?;
        let project = self.time(|this, encoder| this.splats.project(encoder, &this.pool, view, style.near))?;
        let sort = self.time(|this, encoder| this.splats.sort(encoder))?;
        let draw = self.time(|this, encoder| {
            this.draw_surfaces(encoder);
            this.draw_transparent(encoder);
        })?;
        Ok(FrameTimes { project, sort, draw, visible: self.visible()? })
    }

    fn time(&self, work: impl FnOnce(&Self, &mut wgpu::CommandEncoder)) -> Result<Duration, ViewerError> {
        let begin = Instant::now();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        work(self, &mut encoder);
        self.gpu.queue.submit([encoder.finish()]);
        let waited = self.gpu.device.poll(wgpu::PollType::wait_indefinitely());
        self.gpu.check()?;
        waited.map_err(|error| ViewerError::DeviceLost(error.to_string()))?;
        Ok(begin.elapsed())
    }

    fn visible(&self) -> Result<u32, ViewerError> {
        let size = size_of::<Arguments>() as u64;
        let copy = staging(&self.gpu, size);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(self.splats.sorted()[0], 0, &copy, 0, size);
        self.gpu.queue.submit([encoder.finish()]);
        let bytes = pollster::block_on(read(&self.gpu, &copy))?;
        Ok(bytemuck::pod_read_unaligned::<Arguments>(&bytes).wanted)
    }
}
