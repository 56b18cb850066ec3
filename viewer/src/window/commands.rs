//! Carrying out what panels and keys ask for.

use super::app::{Session, title};
use super::content::{Content, Host, Photo};
use super::document::Document;
use super::edits::Combine;
use super::film::Film;
use super::selection::{fainter_than, floaters, larger_than};
use super::state::{Command, Comparison, State};
use crate::camera::{Navigator, Rig};
use crate::renderer::{Renderer, Style, View};
use crate::streamed::Surroundings;
use nalgebra::{Unit, Vector3};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use tessera_datasets::image::Image8;

/// The camera, and what waits to be done with it.
pub(super) struct Sight {
    /// Moves by controls, commands and paths.
    pub navigator: Travel,
    /// Asked for and not yet done.
    pub commands: Vec<Command>,
    /// Places in the window that were clicked: to measure (true) or to turn about (false).
    pub clicks: Vec<([f64; 2], bool)>,
    /// Where it started.
    pub home: Rig,
    /// A photo that is being decoded.
    pub decoding: Option<(usize, Receiver<Result<Image8, String>>)>,
}

/// A navigator that is asked for when it is moved by hand.
pub(super) struct Travel(Navigator);

impl Travel {
    pub fn moved(&mut self) -> &mut Navigator {
        &mut self.0
    }

    pub fn rig(&self) -> &Rig {
        self.0.rig()
    }
}

impl Sight {
    /// Where the camera of a scene stands at first. It turns about what it is known to look at, else about the depth of the
    /// scene's middle, as far as that is ahead.
    pub fn of(content: &Content, surroundings: Option<Surroundings>) -> Self {
        let up = Unit::try_new(Vector3::from(content.up), 1e-9).unwrap_or_else(|| Unit::new_normalize(-Vector3::y()));
        let mut home = Rig::from_pose(&content.start, 1.0, content.fov, up);
        let guess = |around: Surroundings| {
            let radius = 0.5 * around.extent();
            home.depth_of(around.centre()).clamp(0.05 * radius, 4.0 * radius)
        };
        if let Some(distance) = content.distance.or(surroundings.map(guess)) {
            home = Rig::from_pose(&content.start, distance.max(1e-6), content.fov, up);
        }
        Self { navigator: Travel(Navigator::new(home)), commands: Vec::new(), clicks: Vec::new(), home, decoding: None }
    }
}

impl Session {
    /// Does everything that has been asked for.
    pub(super) fn carry_out(&mut self, host: &mut dyn Host) {
        for command in std::mem::take(&mut self.sight.commands) {
            // A film shows one scene from its beginning to its end.
            if self.film.is_some() && command != Command::StopFilming {
                continue;
            }
            if let Err(error) = self.perform(command, host) {
                self.state.notices.complain(error);
            }
        }
        self.receive_photo();
    }

    /// Makes some more pictures of the film, if there is one.
    pub(super) fn advance_film(&mut self) {
        let Some(mut film) = self.film.take() else { return };
        match film.advance(&mut self.document, &mut self.graphics.renderer) {
            Ok(false) => self.film = Some(film),
            Ok(true) => {
                let (path, (count, _)) = (film.path.clone(), film.progress());
                match film.finish() {
                    Ok(()) => self.say(format!("{count} pictures in {}", path.display())),
                    Err(error) => self.state.notices.complain(error),
                }
            }
            Err(error) => self.state.notices.complain(error),
        }
        self.state.filming = self.film.as_ref().map(Film::progress);
        self.window.request_redraw();
    }

    fn perform(&mut self, command: Command, host: &mut dyn Host) -> Result<(), String> {
        match command {
            Command::Open(path) => self.open_scene(host.open(&path)?),
            Command::Save(path) => self.save(host, &path)?,
            Command::SavePicture(path) => self.save_picture(host, &path)?,
            Command::SavePath(path) => self.save_path(host, &path)?,
            Command::FrameAll => {
                let [width, height] = self.graphics.size().map(f64::from);
                let free = self.free_pixels();
                if let Some(around) = self.document.surroundings {
                    let aspect = f64::from(free.width()).min(width) / height.max(1.0);
                    self.navigator().goal().frame(around.bounds, aspect);
                }
            }
            Command::Home => *self.sight.navigator.moved().goal() = self.sight.home,
            Command::Look(preset) => self.navigator().goal().set_preset(preset),
            Command::Compare(index) => self.compare(index),
            Command::CompareNearest => self.compare(self.nearest_photo().ok_or("there are no photos of this scene")?),
            Command::ComparePast(count) => {
                let (photos, shown) = (self.document.content.photos.len() as isize, self.state.comparison.as_ref());
                if let Some(index) = shown.map(|shown| (shown.index as isize + count).rem_euclid(photos)) {
                    self.compare(index as usize);
                }
            }
            Command::EndCompare => self.state.comparison = None,
            Command::AddKeyframe => {
                let rig = *self.sight.navigator.rig();
                self.state.path.push(rig, self.state.keyframe_seconds);
                let count = self.state.path.keyframes().len();
                self.say(format!("keyframe {count}"));
            }
            Command::RemoveKeyframe(index) => self.state.path.remove(index),
            Command::Play => {
                let can_play = self.state.path.keyframes().len() > 1 && self.state.playing.is_none();
                self.state.playing = can_play.then_some(0.0);
            }
            Command::PlayTime => {
                if let Some(playback) = &mut self.document.playback {
                    playback.clock.toggle();
                }
            }
            Command::StepFrames(frames) => {
                if let Some(playback) = &mut self.document.playback {
                    playback.clock.step(frames);
                }
            }
            Command::StopFilming => {
                self.film = None;
                self.state.filming = None;
                self.say("the film was given up; nothing of it is left".to_owned());
            }
            edit => self.edit(&edit)?,
        }
        Ok(())
    }

    fn edit(&mut self, command: &Command) -> Result<(), String> {
        if let Some(reason) = self.document.why_not_edited() {
            // Leaving a selection that nobody can have made is no reason to complain.
            return if *command == Command::SelectNone { Ok(()) } else { Err(reason) };
        }
        let Document { content, edits, .. } = &mut self.document;
        let Some(cloud) = &content.cloud else { return Ok(()) };
        match command {
            Command::SelectFaint(opacity) => edits.select(&fainter_than(cloud, *opacity), Combine::Replace),
            Command::SelectLarge(share) => {
                let size = share * self.controls.extent as f32;
                edits.select(&larger_than(cloud, size), Combine::Replace);
            }
            Command::SelectFloaters(strength) => edits.select(&floaters(cloud, *strength), Combine::Replace),
            Command::SelectCropped => {
                let crop = self.state.crop_box();
                let outside = |&i: &u32| !crop.contains(cloud.means[i as usize]);
                let splats: Vec<u32> = (0..cloud.len() as u32).filter(outside).collect();
                edits.select(&splats, Combine::Replace);
                // What is selected must be seen.
                self.state.crop.on = false;
            }
            Command::SelectNone => edits.select(&[], Combine::Replace),
            Command::Invert => edits.invert(),
            Command::Delete => edits.delete(),
            Command::Undo => drop(edits.undo()),
            Command::Redo => drop(edits.redo()),
            _ => return Ok(()),
        }
        self.document.mark(&mut self.graphics.renderer);
        Ok(())
    }

    fn open_scene(&mut self, content: Content) {
        self.document.close(&mut self.graphics.renderer);
        self.window.set_title(&title(&content.name));
        let style = Style { background: content.background, ..self.state.style };
        self.document = Document::open(content, &mut self.graphics.renderer);
        self.state = State { help: self.state.help, ..State::new(style) };
        self.sight = Sight::of(&self.document.content, self.document.surroundings);
        self.measure_scene();
        self.choose_habit();
    }

    fn save(&mut self, host: &mut dyn Host, path: &Path) -> Result<(), String> {
        if let Some(reason) = self.document.why_not_edited() {
            return Err(reason);
        }
        let cloud = self.document.edited_cloud().ok_or("there are no splats to save")?;
        host.save(&cloud, path)?;
        self.say(format!("{} splats in {}", cloud.len(), path.display()));
        Ok(())
    }

    fn save_picture(&mut self, host: &mut dyn Host, path: &Path) -> Result<(), String> {
        let (view, style) = (self.picture_view(), self.style());
        let image = picture(&mut self.graphics.renderer, &view, &style)?;
        host.save_picture(&image, path)?;
        self.say(format!("picture in {}", path.display()));
        Ok(())
    }

    fn save_path(&mut self, host: &mut dyn Host, path: &Path) -> Result<(), String> {
        let [width, height] = self.graphics.size();
        // Videos have even sides.
        let (width, height) = ((width & !1).max(2), (height & !1).max(2));
        if self.state.path.keyframes().len() < 2 {
            return Err("there is no camera path yet; add two views or more to it (K)".to_owned());
        }
        let rigs = self.state.path.frames(f64::from(self.state.fps));
        let views: Vec<View> = rigs.iter().map(|rig| rig.view(width, height)).collect();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            let cameras: Vec<_> = views.iter().map(|view| (view.camera, view.camera_from_world)).collect();
            host.save_cameras(&cameras, path)?;
            self.say(format!("{} cameras in {}", views.len(), path.display()));
            return Ok(());
        }
        let video = host.begin_video([width, height], self.state.fps, path)?;
        self.state.playing = None;
        self.state.notices.dismiss();
        let frames =
            views.iter().enumerate().map(|(i, view)| (*view, self.style_after(i as f64 / f64::from(self.state.fps))));
        self.film = Some(Film::new(path.to_owned(), frames.collect(), video));
        Ok(())
    }

    fn compare(&mut self, index: usize) {
        let Some(photo) = self.document.photo(index).cloned() else { return };
        if let (Some(playback), Some(time)) = (&mut self.document.playback, photo.time) {
            playback.clock.seek(time);
        }
        let (sender, receiver) = channel();
        let decode = photo.decode.clone();
        // The window may be closed before the photo is there.
        std::thread::spawn(move || drop(sender.send(decode())));
        let opacity = self.state.comparison.as_ref().map_or(0.5, |comparison| comparison.opacity);
        let distance = self.sight.navigator.rig().distance;
        let rig =
            Rig::from_pose(&photo.camera_from_world, distance, self.sight.navigator.rig().fov, self.sight.home.up);
        self.sight.navigator.moved().jump(rig);
        self.sight.decoding = Some((index, receiver));
        self.state.comparison = Some(Comparison { index, opacity, texture: None });
    }

    /// The photo whose camera is where the view's is and looks the same way, as nearly as there is one.
    fn nearest_photo(&self) -> Option<usize> {
        let rig = self.sight.navigator.rig();
        let unlike = |photo: &Photo| {
            let pose = photo.camera_from_world.inverse();
            let moved = (pose.translation.vector - rig.eye()).norm() / rig.distance;
            moved + (pose.rotation * Vector3::z() - rig.forward()).norm()
        };
        let photos = self.document.content.photos.iter().enumerate();
        photos.min_by(|(_, a), (_, b)| unlike(a).total_cmp(&unlike(b))).map(|(index, _)| index)
    }

    fn receive_photo(&mut self) {
        let Some((index, receiver)) = &self.sight.decoding else { return };
        let Ok(decoded) = receiver.try_recv() else {
            self.window.request_redraw();
            return;
        };
        let wanted = self.state.comparison.as_mut().filter(|comparison| comparison.index == *index);
        match (decoded, wanted) {
            (Ok(image), Some(comparison)) => {
                let size = [image.width as usize, image.height as usize];
                let pixels = match image.channels {
                    4 => egui::ColorImage::from_rgba_unmultiplied(size, &image.data),
                    _ => egui::ColorImage::from_rgb(size, &image.data),
                };
                let texture = self.egui.egui_ctx().load_texture("photo", pixels, egui::TextureOptions::LINEAR);
                comparison.texture = Some(texture);
            }
            (Err(error), _) => self.state.notices.complain(error),
            (Ok(_), None) => {}
        }
        self.sight.decoding = None;
    }

    pub(super) fn say(&mut self, message: String) {
        self.state.notices.say(message);
    }
}

/// A picture without panels.
pub(super) fn picture(renderer: &mut Renderer, view: &View, style: &Style) -> Result<Image8, String> {
    let picture = renderer.picture(view, style).map_err(|error| error.to_string())?;
    Ok(Image8 { width: picture.width, height: picture.height, channels: 3, data: picture.rgb })
}
