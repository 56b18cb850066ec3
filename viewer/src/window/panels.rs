//! The side panel: statistics, quality, crop, selection, photos, path, files.

use super::document::Document;
use super::state::{Command, State, Tool};
use crate::camera::{Controls, Habit, Preset};
use crate::moving::Clock;
use crate::renderer::{FieldScene, Renderer};
use egui::{CollapsingHeader, DragValue, Slider, Ui};
use tessera_datasets::scene::SplatCloud;

/// What the panel knows besides its own state.
pub struct Panel<'a> {
    /// Changed in place.
    pub state: &'a mut State,
    /// Habits and speed.
    pub controls: &'a mut Controls,
    /// The open scene.
    pub document: &'a mut Document,
    /// For statistics.
    pub renderer: &'a Renderer,
    /// What is asked for.
    pub commands: &'a mut Vec<Command>,
}

impl Panel<'_> {
    /// All sections.
    pub fn show(&mut self, ui: &mut Ui) {
        egui::ScrollArea::vertical().show(ui, |ui| {
            // The longest row fits beside it.
            ui.spacing_mut().slider_width = 88.0;
            self.statistics(ui);
            section(ui, "View", true, |ui| self.view(ui));
            section(ui, "Quality", true, |ui| self.quality(ui));
            section(ui, "Crop", false, |ui| self.crop(ui));
            if self.document.content.cloud.is_some() || self.document.content.streamed.is_some() {
                section(ui, "Select and delete", false, |ui| self.selection(ui));
            }
            section(ui, "Measure", false, |ui| self.measure(ui));
            if !self.document.content.photos.is_empty() {
                section(ui, "Photos", false, |ui| self.photos(ui));
            }
            section(ui, "Camera path", false, |ui| self.path(ui));
            section(ui, "Files", false, |ui| self.files(ui));
        });
    }

    fn statistics(&mut self, ui: &mut Ui) {
        let load = self.renderer.load();
        ui.heading(&self.document.content.name);
        let splats = self.document.content.cloud.as_ref().map_or(0, SplatCloud::len);
        let deleted = self.document.edits.deleted().count();
        if splats > 0 {
            ui.label(format!("{} splats, {} MB", splats - deleted, load.bytes >> 20));
        }
        if let Some(streaming) = &mut self.document.streaming {
            ui.label(format!("{}, {} MB", streaming.status(), load.bytes >> 20));
        }
        if let Some(playback) = &self.document.playback {
            ui.label(playback.status(load.splats, load.bytes));
        }
        if let Some(mesh) = &self.document.content.mesh {
            let (points, triangles) = (mesh.positions.len(), mesh.triangles.len());
            ui.label(match triangles {
                0 => format!("{points} points"),
                _ => format!("{triangles} triangles, {points} vertices"),
            });
        }
        if let Some(field) = &self.document.content.field {
            ui.label(described(field));
        }
        ui.label(format!("{:.0} ms a frame while moving", self.state.times.milliseconds));
        ui.small(self.renderer.gpu().name());
    }

    fn view(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            ui.label("Mouse");
            let habits =
                [(Habit::Orbit, "Orbit"), (Habit::Blender, "Blender"), (Habit::Game, "Game"), (Habit::Map, "Map")];
            for (habit, name) in habits {
                ui.selectable_value(&mut self.controls.habit, habit, name);
            }
        });
        ui.horizontal_wrapped(|ui| {
            self.button(ui, "All", Command::FrameAll);
            self.button(ui, "Home", Command::Home);
            for (preset, name) in [
                (Preset::Front, "Front"),
                (Preset::Back, "Back"),
                (Preset::Left, "Left"),
                (Preset::Right, "Right"),
                (Preset::Top, "Top"),
                (Preset::Bottom, "Bottom"),
            ] {
                self.button(ui, name, Command::Look(preset));
            }
        });
        ui.add(Slider::new(&mut self.controls.speed, 0.05..=20.0).logarithmic(true).text("flight speed"));
        ui.checkbox(&mut self.state.help, "Explain the keys (F1)");
    }

    fn quality(&mut self, ui: &mut Ui) {
        let style = &mut self.state.style;
        let content = &self.document.content;
        let streamed = content.streamed.as_ref().map(|streamed| streamed.manifest.header.sh_degree);
        let moving = content.moving.as_ref().map(|moving| moving.manifest.sh_degree);
        let degree = content.cloud.as_ref().map(|cloud| cloud.sh_degree).or(streamed).or(moving).unwrap_or(0);
        if degree > 0 {
            style.sh_degree = style.sh_degree.min(degree);
            ui.add(Slider::new(&mut style.sh_degree, 0..=degree).text("SH degree"));
        }
        if let Some(streaming) = &mut self.document.streaming {
            let mut limits = streaming.limits();
            let budget = Slider::new(&mut limits.splats, 20_000..=10_000_000).logarithmic(true).text("splats at most");
            let error = Slider::new(&mut limits.screen_error, 0.25..=16.0).logarithmic(true).text("pixels of error");
            if ui.add(budget).changed() | ui.add(error).changed() {
                streaming.set_limits(limits);
            }
        }
        ui.add(Slider::new(&mut style.splat_scale, 0.05..=2.0).text("splat size"));
        ui.add(Slider::new(&mut style.point_size, 1.0..=12.0).text("point size"));
        ui.add(Slider::new(&mut self.state.resolution, 0.25..=1.0).text("resolution"));
        ui.checkbox(&mut self.state.adaptive, "coarser while moving, if slow");
        ui.horizontal(|ui| {
            ui.color_edit_button_rgb(&mut style.background);
            ui.label("background");
        });
        let mut is_depth = style.depth.is_some();
        if ui.checkbox(&mut is_depth, "depth instead of colour").changed() {
            style.depth = is_depth.then_some(2.0 * self.controls.extent as f32);
        }
        if let Some(depth) = &mut style.depth {
            let limit = 20.0 * self.controls.extent as f32;
            ui.add(Slider::new(depth, 1e-3 * limit..=limit).logarithmic(true).text("depth of white"));
        }
    }

    fn crop(&mut self, ui: &mut Ui) {
        let crop = &mut self.state.crop;
        ui.checkbox(&mut crop.on, "show only what is inside");
        let speed = 0.005 * self.controls.extent;
        for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
            ui.horizontal(|ui| {
                ui.label(name);
                let [low, high] = &mut crop.corners;
                ui.add(DragValue::new(&mut low[axis]).speed(speed));
                ui.label("to");
                ui.add(DragValue::new(&mut high[axis]).speed(speed));
                high[axis] = high[axis].max(low[axis]);
            });
        }
        if self.document.content.cloud.is_some() {
            self.button(ui, "Select what is outside", Command::SelectCropped);
        }
    }

    fn selection(&mut self, ui: &mut Ui) {
        if let Some(reason) = self.document.why_not_edited() {
            ui.label(reason);
            return;
        }
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.state.tool, Tool::Look, "Off");
            ui.selectable_value(&mut self.state.tool, Tool::BoxSelect, "Box (B)");
            ui.selectable_value(&mut self.state.tool, Tool::BrushSelect, "Brush (C)");
        });
        ui.small("Shift adds, Ctrl takes away");
        ui.add(Slider::new(&mut self.state.brush, 4.0..=200.0).logarithmic(true).text("brush"));
        // A button stands before the next ones.
        ui.spacing_mut().slider_width = 52.0;
        ui.horizontal(|ui| {
            let select = Command::SelectFaint(self.state.faint);
            self.button(ui, "Select", select);
            ui.add(Slider::new(&mut self.state.faint, 0.005..=0.5).logarithmic(true).text("fainter than"));
        });
        ui.horizontal(|ui| {
            let select = Command::SelectLarge(self.state.large);
            self.button(ui, "Select", select);
            ui.add(Slider::new(&mut self.state.large, 0.001..=1.0).logarithmic(true).text("larger than"))
                .on_hover_text("as a share of the scene's size");
        });
        ui.horizontal(|ui| {
            let select = Command::SelectFloaters(self.state.floaters);
            self.button(ui, "Select", select);
            ui.add(Slider::new(&mut self.state.floaters, 0.0..=1.0).text("floaters"));
        });
        ui.label(format!("{} selected", self.document.edits.selected().count()));
        ui.horizontal_wrapped(|ui| {
            self.button(ui, "Invert (I)", Command::Invert);
            self.button(ui, "None (Esc)", Command::SelectNone);
            self.button(ui, "Delete (X)", Command::Delete);
            self.button(ui, "Undo (Ctrl+Z)", Command::Undo);
            self.button(ui, "Redo (Ctrl+Y)", Command::Redo);
        });
    }

    fn measure(&mut self, ui: &mut Ui) {
        let mut on = self.state.tool == Tool::Measure;
        if ui.checkbox(&mut on, "click two places (M)").changed() {
            self.state.tool = if on { Tool::Measure } else { Tool::Look };
        }
        for pair in self.state.measured.chunks_exact(2) {
            ui.label(format!("{:.4}", distance(pair[0], pair[1])));
        }
        if !self.state.measured.is_empty() && ui.button("Forget all").clicked() {
            self.state.measured.clear();
        }
    }

    fn photos(&mut self, ui: &mut Ui) {
        let photos = &self.document.content.photos;
        let mut index = self.state.comparison.as_ref().map_or(0, |comparison| comparison.index);
        let changed = ui.add(Slider::new(&mut index, 0..=photos.len() - 1).text("photo")).changed();
        ui.small(&photos[index].name);
        if let Some(comparison) = &mut self.state.comparison {
            ui.add(Slider::new(&mut comparison.opacity, 0.0..=1.0).text("photo over scene"));
            ui.small("A lens's distortion is in the photo only.");
            if changed {
                self.commands.push(Command::Compare(index));
            }
            self.button(ui, "Leave the photo (Esc)", Command::EndCompare);
        } else if changed || ui.button("Compare with the photo").clicked() {
            self.commands.push(Command::Compare(index));
        }
    }

    fn path(&mut self, ui: &mut Ui) {
        ui.add(Slider::new(&mut self.state.keyframe_seconds, 0.1..=20.0).logarithmic(true).text("seconds between"));
        let keyframes = self.state.path.keyframes().to_vec();
        ui.horizontal_wrapped(|ui| {
            self.button(ui, "Add this view (K)", Command::AddKeyframe);
            if keyframes.len() > 1 {
                let name = if self.state.playing.is_some() { "Stop (P)" } else { "Play (P)" };
                self.button(ui, name, Command::Play);
            }
        });
        for (i, keyframe) in keyframes.iter().enumerate() {
            ui.horizontal(|ui| {
                ui.label(format!("{} at {:.1} s", i + 1, keyframe.time));
                self.button(ui, "remove", Command::RemoveKeyframe(i));
            });
        }
        if keyframes.len() > 1 {
            ui.add(Slider::new(&mut self.state.fps, 1..=120).text("pictures a second"));
            if name_and_button(ui, &mut self.state.path_name, "Save") {
                self.commands.push(Command::SavePath(self.state.path_name.trim().into()));
            }
            let kinds = egui::RichText::new(
                "NAME.mp4 is a video, NAME a folder of pictures, NAME.json cameras for tessera render",
            )
            .small();
            ui.add(egui::Label::new(kinds).wrap());
        }
    }

    fn files(&mut self, ui: &mut Ui) {
        ui.small("Drop a file on the window, or type its name.");
        if name_and_button(ui, &mut self.state.open_name, "Open") {
            self.commands.push(Command::Open(self.state.open_name.trim().into()));
        }
        if self.document.content.cloud.is_some() && name_and_button(ui, &mut self.state.save_name, "Save splats") {
            self.commands.push(Command::Save(self.state.save_name.trim().into()));
        }
        if name_and_button(ui, &mut self.state.picture_name, "Save picture") {
            self.commands.push(Command::SavePicture(self.state.picture_name.trim().into()));
        }
    }

    fn button(&mut self, ui: &mut Ui, name: &str, command: Command) {
        if ui.button(name).clicked() {
            self.commands.push(command);
        }
    }
}

/// The clock of a moving scene.
pub fn timeline(ui: &mut Ui, clock: &mut Clock) {
    ui.horizontal(|ui| {
        if ui.button(if clock.is_playing { "Pause" } else { "Play" }).on_hover_text("Space").clicked() {
            clock.toggle();
        }
        ui.add(DragValue::new(&mut clock.rate).range(-8.0..=8.0).speed(0.02).suffix(" times as fast"));
        ui.checkbox(&mut clock.is_looped, "loop");
        let (frame, frames) = clock.frame();
        ui.label(format!("frame {} of {frames}", frame + 1));
        let length = clock.length();
        ui.spacing_mut().slider_width = (ui.available_width() - 90.0).max(40.0);
        let slider = Slider::new(&mut clock.seconds, 0.0..=length.max(1e-3)).suffix(" s").fixed_decimals(2);
        if ui.add(slider).dragged() {
            clock.is_playing = false;
        }
    });
}

/// A field in a line.
fn described(field: &FieldScene) -> String {
    match field {
        FieldScene::Shape(shape) => format!("fitted shape, {} parameters", shape.field.parameters()),
        FieldScene::Volume(volume) => format!("fitted radiance, {} parameters", volume.field.parameters()),
        FieldScene::Picture(picture) => {
            let [width, height] = picture.size;
            let parameters: usize = picture.tiles.iter().map(|tile| tile.field.parameters()).sum();
            format!("fitted picture, {width}x{height}, {parameters} parameters")
        }
    }
}

/// A name to type and what is done with it; whether that is asked for.
fn name_and_button(ui: &mut Ui, name: &mut String, verb: &str) -> bool {
    let layout = egui::Layout::right_to_left(egui::Align::Center);
    let row = |ui: &mut Ui| {
        let is_clicked = ui.button(verb).clicked();
        ui.add(egui::TextEdit::singleline(name).desired_width(f32::INFINITY));
        is_clicked && !name.trim().is_empty()
    };
    ui.horizontal(|ui| ui.with_layout(layout, row).inner).inner
}

fn section(ui: &mut Ui, name: &str, open: bool, contents: impl FnOnce(&mut Ui)) {
    CollapsingHeader::new(name).default_open(open).show(ui, contents);
}

/// Between two places.
pub fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt()
}
