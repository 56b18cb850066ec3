//! One frame: time passes, commands are done, the scene and the panels are drawn.

use super::app::Session;
use super::content::{Host, Photo};
use super::film::Film;
use super::panels::{Panel, distance, timeline};
use super::state::State;
use super::{notices, overlay};
use crate::ViewerError;
use crate::renderer::{CropBox, Style, View};
use egui::Rect;
use std::time::{Duration, Instant};

/// Width of the panel, points.
const PANEL: f32 = 316.0;
/// A picture is drawn where there are so many pixels at least.
const LEAST_FREE: f32 = 16.0;
/// Time that passes at most in a frame, seconds: after a pause nothing jumps.
const LONGEST_STEP: f64 = 0.1;

impl State {
    /// The crop box, whether it is in force or not.
    pub(super) fn crop_box(&self) -> CropBox {
        CropBox::aligned(self.crop.corners[0], self.crop.corners[1])
    }
}

impl Session {
    /// Draws a frame.
    pub(super) fn redraw(&mut self, host: &mut dyn Host) -> Result<(), ViewerError> {
        let moving = self.pass_time();
        self.carry_out(host);
        self.advance_film();
        let output = self.panels();
        let repaint =
            output.viewport_output.get(&egui::ViewportId::ROOT).map_or(Duration::MAX, |view| view.repaint_delay);
        self.egui.handle_platform_output(&self.window, output.platform_output.clone());
        let full = self.full_view();
        let share = if self.state.adaptive && moving { self.state.pace.share() } else { 1.0 };
        let resolution = self.state.resolution * share;
        let view = scaled(&full, resolution);
        self.document.advance(&view, &mut self.graphics.renderer);
        let context = self.egui.egui_ctx().clone();
        let filmed = self.film.as_ref().and_then(Film::shown);
        let (view, style) = filmed.unwrap_or_else(|| (view, self.style()));
        self.graphics.draw(&view, &style, &context, output)?;
        self.answer_clicks(&full, resolution)?;
        if moving || repaint < Duration::from_millis(20) {
            self.window.request_redraw();
        } else {
            self.last_frame = None;
            // Stands still: drawn once more in full.
            if share < 1.0 || repaint < Duration::from_secs(1) {
                self.window.request_redraw();
            }
        }
        Ok(())
    }

    /// Moves the camera; whether it still moves.
    fn pass_time(&mut self) -> bool {
        let now = Instant::now();
        let seconds = self.last_frame.map(|last| (now - last).as_secs_f64());
        self.last_frame = Some(now);
        if let Some(seconds) = seconds {
            let times = &mut self.state.times.milliseconds;
            *times += 0.2 * (1e3 * seconds - *times);
        }
        let moving = self.travel(seconds);
        if let (true, Some(seconds)) = (moving, seconds) {
            self.state.pace.note(1e3 * seconds);
        }
        moving
    }

    /// Goes on for so many seconds; whether that moves the camera.
    fn travel(&mut self, seconds: Option<f64>) -> bool {
        let step = seconds.unwrap_or(1.0 / 60.0).min(LONGEST_STEP);
        let fast = self.egui.egui_ctx().input(|input| input.modifiers.shift);
        let played = self.film.is_none() && self.document.playback.as_mut().is_some_and(|playback| playback.pass(step));
        let flying = self.controls.fly(self.sight.navigator.moved(), step, fast);
        if flying {
            self.state.playing = None;
        }
        if let Some(time) = self.state.playing {
            if let Some(rig) = self.state.path.at(time) {
                self.sight.navigator.moved().jump(rig);
            }
            let next = time + step;
            self.state.playing = (next < self.state.path.duration()).then_some(next);
            return true;
        }
        self.sight.navigator.moved().update(step) || flying || played
    }

    /// What the window shows, at its own resolution.
    pub(super) fn full_view(&self) -> View {
        let [width, height] = self.graphics.size();
        let free = self.free_pixels();
        let Some(photo) = self.compared() else {
            let mut view = self.sight.navigator.rig().view(width, height);
            view.camera.lens.centre = [f64::from(free.center().x), f64::from(free.center().y)];
            return view;
        };
        let rect = overlay::photo_rect(&photo.camera, free);
        let scale = f64::from(rect.width()) / f64::from(photo.camera.width);
        let mut camera = photo.camera;
        (camera.width, camera.height) = (width, height);
        camera.lens.focal = photo.camera.lens.focal.map(|f| f * scale);
        let corner = [f64::from(rect.min.x), f64::from(rect.min.y)];
        camera.lens.centre = std::array::from_fn(|k| photo.camera.lens.centre[k] * scale + corner[k]);
        View { camera, camera_from_world: photo.camera_from_world }
    }

    /// The photo that is compared.
    fn compared(&self) -> Option<&Photo> {
        self.state.comparison.as_ref().and_then(|comparison| self.document.photo(comparison.index))
    }

    /// What a saved picture shows: what the window does, without panels, or all that a photo does.
    pub(super) fn picture_view(&self) -> View {
        let [width, height] = self.graphics.size();
        match self.compared() {
            Some(photo) => View { camera: photo.camera, camera_from_world: photo.camera_from_world },
            None => self.sight.navigator.rig().view(width, height),
        }
    }

    /// The part of the window that no panel covers, pixels.
    pub(super) fn free_pixels(&self) -> Rect {
        let free = self.free * self.egui.egui_ctx().pixels_per_point();
        // Before the first frame, and in a window without room for the picture, it is all of it.
        if free.width() >= LEAST_FREE && free.height() >= LEAST_FREE {
            return free;
        }
        let [width, height] = self.graphics.size().map(|side| side as f32);
        Rect::from_min_size(egui::Pos2::ZERO, egui::Vec2::new(width, height))
    }

    /// How the scene is drawn now.
    pub(super) fn style(&self) -> Style {
        self.style_after(0.0)
    }

    /// How it is drawn after so many seconds, if it moves.
    pub(super) fn style_after(&self, seconds: f64) -> Style {
        let near = self.document.surroundings.map_or(Style::default().near, |around| around.near);
        let time = self.document.playback.as_ref().map_or(0.0, |playback| playback.clock.after(seconds).0 as f32);
        Style { near, time, crop: self.state.crop.on.then(|| self.state.crop_box()), ..self.state.style }
    }

    fn panels(&mut self) -> egui::FullOutput {
        let input = self.egui.take_egui_input(&self.window);
        let context = self.egui.egui_ctx().clone();
        let view = self.full_view();
        let was_free = self.free;
        let Self { state, controls, document, graphics, sight, gesture, free, .. } = self;
        let output = context.run_ui(input, |ui| {
            let points_per_pixel = 1.0 / ui.ctx().pixels_per_point();
            if state.panel {
                egui::Panel::right("panel").exact_size(PANEL).show(ui, |ui| {
                    let renderer = &graphics.renderer;
                    Panel { state, controls, document, renderer, commands: &mut sight.commands }.show(ui);
                });
            }
            if let Some(playback) = &mut document.playback {
                egui::Panel::bottom("timeline").show(ui, |ui| timeline(ui, &mut playback.clock));
            }
            *free = ui.available_rect_before_wrap();
            let painter = ui.ctx().layer_painter(egui::LayerId::background()).with_clip_rect(*free);
            let photo = state.comparison.as_ref().and_then(|comparison| document.photo(comparison.index));
            if let (Some(comparison), Some(photo)) = (&state.comparison, photo) {
                overlay::paint_photo(&painter, comparison, overlay::photo_rect(&photo.camera, *free));
            }
            if state.crop.on {
                overlay::paint_box(&painter, &view, points_per_pixel, state.crop.corners);
            }
            overlay::paint_distances(&painter, &view, points_per_pixel, &state.measured);
            overlay::paint_tools(&painter, state, gesture.as_ref(), ui.ctx().pointer_hover_pos());
            if state.help {
                overlay::help(ui.ctx(), &mut state.help);
            }
            let complaint = document.complaint.as_deref();
            notices::show(ui.ctx(), state, complaint, *free, &mut sight.commands);
        });
        if self.free != was_free {
            self.window.request_redraw();
        }
        output
    }

    /// Finds out what was clicked on, in the picture that has just been drawn.
    fn answer_clicks(&mut self, full: &View, resolution: f32) -> Result<(), ViewerError> {
        let clicks = std::mem::take(&mut self.sight.clicks);
        for (at, is_measured) in clicks {
            let pixel = at.map(|x| x as f32 * resolution);
            let Some(found) = self.graphics.renderer.pick(&scaled(full, resolution), pixel)? else {
                self.say("there is nothing".to_owned());
                continue;
            };
            if is_measured {
                self.state.measured.push(found.point);
                if let ([.., from, to], 0) = (self.state.measured.as_slice(), self.state.measured.len() % 2) {
                    self.say(format!("distance {:.4}", distance(*from, *to)));
                }
            } else {
                self.navigator().goal().focus(found.point);
            }
            self.window.request_redraw();
        }
        Ok(())
    }
}

/// The same view with fewer pixels.
fn scaled(view: &View, resolution: f32) -> View {
    let side = |pixels: u32| ((pixels as f32 * resolution).round() as u32).max(1);
    let camera = view.camera.resized(side(view.camera.width), side(view.camera.height));
    View { camera, ..*view }
}
