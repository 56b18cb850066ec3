//! Events of the window.

use super::commands::Sight;
use super::content::{Host, Options, Update};
use super::document::Document;
use super::edits::Combine;
use super::film::Film;
use super::graphics::Graphics;
use super::overlay::Gesture;
use super::recovery::Recovery;
use super::selection::Region;
use super::state::{Command, State, Tool};
use crate::ViewerError;
use crate::camera::{Button, Controls, Habit, Key, Modifiers, Navigator, Preset};
use crate::renderer::Style;
use egui::{Pos2, Rect};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::event::{ElementState, MouseButton, MouseScrollDelta, Touch, TouchPhase, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::keyboard::{KeyCode, PhysicalKey};
use winit::window::{Window, WindowId};

/// Between two looks for news of a training.
const NEWS_INTERVAL: Duration = Duration::from_millis(250);
/// Between two looks for pages of a streamed scene.
const PAGE_INTERVAL: Duration = Duration::from_millis(15);
/// Two clicks within this time and distance are a double click.
const DOUBLE_CLICK: (Duration, f64) = (Duration::from_millis(400), 6.0);

/// Opens the window and returns when it is closed.
///
/// # Errors
/// When there is no display or no graphics adapter.
pub fn run(options: Options, host: &mut dyn Host) -> Result<(), ViewerError> {
    let no_window = |error: winit::error::EventLoopError| ViewerError::NoWindow(error.to_string());
    let events = EventLoop::new().map_err(no_window)?;
    let mut app = App { options: Some(options), host, open: None, failure: None };
    events.run_app(&mut app).map_err(no_window)?;
    app.failure.map_or(Ok(()), Err)
}

struct App<'a> {
    options: Option<Options>,
    host: &'a mut dyn Host,
    open: Option<Session>,
    failure: Option<ViewerError>,
}

/// Everything behind an open window.
pub(super) struct Session {
    pub window: Arc<Window>,
    pub graphics: Graphics,
    pub document: Document,
    pub state: State,
    pub sight: Sight,
    pub controls: Controls,
    pub egui: egui_winit::State,
    pub gesture: Option<Gesture>,
    pub last_frame: Option<Instant>,
    /// A film that is being made.
    pub film: Option<Film>,
    /// What no panel covers, points.
    pub free: Rect,
    recovery: Recovery,
    updates: Option<Receiver<Update>>,
    modifiers: Modifiers,
    pointer: [f64; 2],
    /// On the picture.
    fingers: HashSet<u64>,
    pressed: Option<(Instant, [f64; 2])>,
    last_click: Option<(Instant, [f64; 2])>,
}

impl ApplicationHandler for App<'_> {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        let Some(options) = self.options.take() else { return };
        match Session::open(events, options) {
            Ok(session) => self.open = Some(session),
            Err(error) => {
                self.failure = Some(error);
                events.exit();
            }
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(session) = &mut self.open else { return };
        if matches!(event, WindowEvent::CloseRequested) {
            events.exit();
            return;
        }
        if matches!(event, WindowEvent::RedrawRequested) {
            if session.recovery.next().is_some() {
                return;
            }
            if let Err(error) = session.redraw(self.host)
                && !session.lose_device(&error)
            {
                self.failure = Some(error);
                events.exit();
            }
            return;
        }
        if session.recovery.next().is_some() {
            return;
        }
        // Whether it is for a panel is found out anew: what egui says of that is of the last frame, which may be long ago.
        let _ = session.egui.on_window_event(&session.window, &event);
        session.handle(&event);
        session.window.request_redraw();
    }

    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        let Some(session) = &mut self.open else { return };
        if let Some(at) = session.recovery.next() {
            if at <= Instant::now()
                && let Err(error) = session.replace_device()
            {
                self.failure = Some(error);
                events.exit();
            }
            let next = session.recovery.next().unwrap_or_else(Instant::now);
            return events.set_control_flow(ControlFlow::WaitUntil(next));
        }
        let flow = match (session.hear_pages(), session.hear_news()) {
            (true, _) => ControlFlow::WaitUntil(Instant::now() + PAGE_INTERVAL),
            (false, true) => ControlFlow::WaitUntil(Instant::now() + NEWS_INTERVAL),
            (false, false) => ControlFlow::Wait,
        };
        let flow = match (flow, session.state.notices.until()) {
            // What is said for a while is taken away then.
            (ControlFlow::Wait, Some(until)) if until > Instant::now() => ControlFlow::WaitUntil(until),
            (ControlFlow::Wait, Some(_)) => {
                session.state.notices.dismiss();
                session.window.request_redraw();
                flow
            }
            _ => flow,
        };
        events.set_control_flow(flow);
    }
}

impl Session {
    fn open(events: &ActiveEventLoop, options: Options) -> Result<Self, ViewerError> {
        let Options { size, content, updates, sh_degree } = options;
        let attributes = Window::default_attributes()
            .with_title(title(&content.name))
            .with_inner_size(winit::dpi::PhysicalSize::new(size[0], size[1]));
        let window = events.create_window(attributes).map_err(|error| ViewerError::NoWindow(error.to_string()))?;
        let window = Arc::new(window);
        let mut graphics = Graphics::new(window.clone())?;
        let style = Style { background: content.background, sh_degree, ..Style::default() };
        let document = Document::open(content, &mut graphics.renderer);
        let limit = graphics.renderer.gpu().device.limits().max_texture_dimension_2d as usize;
        let context = egui::Context::default();
        let id = egui::ViewportId::ROOT;
        let egui = egui_winit::State::new(context, id, &window, Some(window.scale_factor() as f32), None, Some(limit));
        let mut session = Self {
            sight: Sight::of(&document.content, document.surroundings),
            window,
            graphics,
            document,
            state: State::new(style),
            controls: Controls::default(),
            egui,
            gesture: None,
            last_frame: None,
            film: None,
            free: Rect::NOTHING,
            recovery: Recovery::default(),
            updates,
            modifiers: Modifiers::default(),
            pointer: [0.0; 2],
            fingers: HashSet::new(),
            pressed: None,
            last_click: None,
        };
        session.measure_scene();
        session.choose_habit();
        session.window.request_redraw();
        Ok(session)
    }

    /// Nothing can be drawn; whether another device shall be asked for. Only the title can say so.
    fn lose_device(&mut self, error: &ViewerError) -> bool {
        tracing::warn!("{error}");
        self.film = None;
        self.state.filming = None;
        self.window.set_title("The graphics device was lost; looking for it again - Tessera");
        self.recovery.lost(Instant::now())
    }

    /// Asks for another device and hands everything over to it, with what was selected and deleted.
    ///
    /// # Errors
    /// When there is none after several attempts.
    fn replace_device(&mut self) -> Result<(), ViewerError> {
        self.graphics = match Graphics::new(self.window.clone()) {
            Ok(graphics) => graphics,
            Err(error) if self.recovery.failed(Instant::now()) => {
                tracing::warn!("{error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.recovery.succeeded();
        self.document.upload(&mut self.graphics.renderer);
        self.window.set_title(&title(&self.document.content.name));
        self.state.notices.complain("The graphics device was lost. Another was found; nothing is missing.".to_owned());
        // Panels send their textures again to a context that is new.
        let (context, id) = (egui::Context::default(), egui::ViewportId::ROOT);
        let memory = self.egui.egui_ctx().memory(Clone::clone);
        context.memory_mut(|now| *now = memory);
        let scale = Some(self.window.scale_factor() as f32);
        self.egui = egui_winit::State::new(context, id, &self.window, scale, None, None);
        if let Some(index) = self.state.comparison.as_ref().map(|comparison| comparison.index) {
            self.sight.commands.push(Command::Compare(index));
        }
        self.window.request_redraw();
        Ok(())
    }

    /// Shows pages that have come; whether there may be more.
    fn hear_pages(&mut self) -> bool {
        let mut is_waiting = false;
        if let Some(playback) = &mut self.document.playback {
            if playback.is_news() {
                self.window.request_redraw();
            }
            is_waiting = playback.is_waiting();
        }
        let Some(streaming) = &mut self.document.streaming else { return is_waiting };
        if streaming.is_news() || streaming.is_retry_due() {
            self.window.request_redraw();
        }
        streaming.is_waiting()
    }

    /// Takes what a training has sent; whether there may be more.
    fn hear_news(&mut self) -> bool {
        let Some(updates) = &self.updates else { return false };
        let mut splats = None;
        loop {
            match updates.try_recv() {
                // Only the newest are shown.
                Ok(Update::Splats(cloud)) => splats = Some(cloud),
                Ok(Update::Status(status)) => self.state.training = Some(status),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.updates = None;
                    let last = self.state.training.take().map_or_else(String::new, |status| format!("{status}; "));
                    self.state.training = Some(format!("{last}the training has ended"));
                    self.window.request_redraw();
                    break;
                }
            }
            self.window.request_redraw();
        }
        if let Some(cloud) = splats.filter(|_| self.film.is_none()) {
            let is_first = self.document.content.cloud.is_none();
            self.document.replace_splats(cloud, &mut self.graphics.renderer);
            self.measure_scene();
            // Only now is it known how far away the scene is.
            if is_first && *self.sight.navigator.rig() == self.sight.home {
                self.sight = Sight::of(&self.document.content, self.document.surroundings);
            }
        }
        self.updates.is_some()
    }

    fn handle(&mut self, event: &WindowEvent) {
        let is_for_panel = self.is_for_panel(self.points(self.pointer));
        let height = f64::from(self.graphics.size()[1]);
        match event {
            WindowEvent::Resized(size) => self.graphics.resize(size.width, size.height),
            WindowEvent::DroppedFile(path) => self.sight.commands.push(Command::Open(path.clone())),
            WindowEvent::Focused(false) => {
                self.controls.let_go();
                self.fingers.clear();
            }
            WindowEvent::ModifiersChanged(modifiers) => {
                let state = modifiers.state();
                self.modifiers = Modifiers {
                    shift: state.shift_key(),
                    ctrl: state.control_key() || state.super_key(),
                    alt: state.alt_key(),
                };
            }
            WindowEvent::CursorMoved { position, .. } => {
                let moved = [position.x - self.pointer[0], position.y - self.pointer[1]];
                self.pointer = [position.x, position.y];
                self.moved(moved, height);
            }
            WindowEvent::MouseInput { state: ElementState::Released, button, .. } => self.released(*button),
            WindowEvent::MouseInput { button, .. } if !is_for_panel => self.press(*button),
            WindowEvent::MouseWheel { delta, .. } if !is_for_panel => match *delta {
                MouseScrollDelta::LineDelta(columns, lines) => {
                    let navigator = self.sight.navigator.moved();
                    if lines != 0.0 {
                        self.controls.wheel(navigator, f64::from(lines));
                    }
                    if columns != 0.0 {
                        self.controls.wheel_sideways(navigator, f64::from(columns), self.modifiers, height);
                    }
                }
                MouseScrollDelta::PixelDelta(by) => {
                    let navigator = self.sight.navigator.moved();
                    self.controls.touchpad(navigator, [by.x, by.y], self.modifiers, height);
                }
            },
            WindowEvent::PinchGesture { delta, .. } if !is_for_panel => {
                self.controls.pinch(self.sight.navigator.moved(), 1.0 + delta);
            }
            WindowEvent::Touch(touch) => self.touch(touch, height),
            WindowEvent::KeyboardInput { event, .. } if !self.egui.egui_ctx().egui_wants_keyboard_input() => {
                if let PhysicalKey::Code(code) = event.physical_key {
                    self.key(code, event.state == ElementState::Pressed, event.repeat);
                }
            }
            _ => {}
        }
    }

    /// Fingers that begin on the picture move the camera, wherever they go then.
    fn touch(&mut self, touch: &Touch, height: f64) {
        let at = [touch.location.x, touch.location.y];
        if touch.phase == TouchPhase::Started && !self.is_for_panel(self.points(at)) {
            self.fingers.insert(touch.id);
        }
        let is_down = matches!(touch.phase, TouchPhase::Started | TouchPhase::Moved);
        if self.fingers.contains(&touch.id) {
            self.controls.touch(self.sight.navigator.moved(), touch.id, is_down.then_some(at), height);
        }
        if !is_down {
            self.fingers.remove(&touch.id);
        }
    }

    /// A place in the window, from pixels.
    fn points(&self, [x, y]: [f64; 2]) -> Pos2 {
        let scale = f64::from(self.egui.egui_ctx().pixels_per_point());
        Pos2::new((x / scale) as f32, (y / scale) as f32)
    }

    /// Whether what happens at a place belongs to a panel and not to the picture.
    fn is_for_panel(&self, at: Pos2) -> bool {
        let context = self.egui.egui_ctx();
        let is_covered = || context.layer_id_at(at).is_some_and(|layer| layer.order != egui::Order::Background);
        !self.free.contains(at) || is_covered() || context.egui_is_using_pointer()
    }

    fn press(&mut self, button: MouseButton) {
        let button = match button {
            MouseButton::Left => Button::Left,
            MouseButton::Middle => Button::Middle,
            MouseButton::Right => Button::Right,
            _ => return,
        };
        if button == Button::Left {
            match self.state.tool {
                Tool::BoxSelect => self.gesture = Some(Gesture::Box(self.points(self.pointer))),
                Tool::BrushSelect => self.gesture = Some(Gesture::Brush(vec![self.points(self.pointer)])),
                Tool::Measure => self.sight.clicks.push((self.pointer, true)),
                Tool::Look => self.pressed = Some((Instant::now(), self.pointer)),
            }
            if self.state.tool != Tool::Look {
                return;
            }
        }
        self.controls.press(button, self.modifiers);
    }

    fn moved(&mut self, moved: [f64; 2], height: f64) {
        let here = self.points(self.pointer);
        if let Some(Gesture::Brush(places)) = &mut self.gesture
            && places.last().is_none_or(|last| last.distance(here) > 0.25 * self.state.brush)
        {
            places.push(here);
        }
        if self.controls.drag(self.sight.navigator.moved(), moved, height) {
            self.state.playing = None;
        }
    }

    fn released(&mut self, button: MouseButton) {
        self.controls.release(match button {
            MouseButton::Middle => Button::Middle,
            MouseButton::Right => Button::Right,
            _ => Button::Left,
        });
        if button != MouseButton::Left {
            return;
        }
        if let Some(gesture) = self.gesture.take() {
            self.select(gesture);
        }
        let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) < DOUBLE_CLICK.1;
        if self.pressed.take().is_some_and(|(_, at)| near(at, self.pointer)) {
            let now = Instant::now();
            let again = self.last_click.is_some_and(|(then, at)| now - then < DOUBLE_CLICK.0 && near(at, self.pointer));
            self.last_click = (!again).then_some((now, self.pointer));
            if again {
                self.sight.clicks.push((self.pointer, false));
            }
        }
    }

    fn select(&mut self, gesture: Gesture) {
        let scale = self.egui.egui_ctx().pixels_per_point();
        let pixel = |at: Pos2| [at.x * scale, at.y * scale];
        let region = match gesture {
            Gesture::Box(from) => Region::Box(pixel(from), pixel(self.points(self.pointer))),
            Gesture::Brush(places) => Region::Brush(places.into_iter().map(pixel).collect(), self.state.brush * scale),
        };
        let combine = match self.modifiers {
            Modifiers { ctrl: true, .. } => Combine::Remove,
            Modifiers { shift: true, .. } => Combine::Add,
            _ => Combine::Replace,
        };
        let view = self.full_view();
        self.document.select_region(&view, &region, combine, &mut self.graphics.renderer);
    }

    fn key(&mut self, code: KeyCode, down: bool, repeated: bool) {
        let held = match code {
            KeyCode::KeyW | KeyCode::ArrowUp => Some(Key::Forward),
            KeyCode::KeyS | KeyCode::ArrowDown => Some(Key::Back),
            KeyCode::KeyA | KeyCode::ArrowLeft => Some(Key::Left),
            KeyCode::KeyD | KeyCode::ArrowRight => Some(Key::Right),
            KeyCode::KeyE | KeyCode::PageUp => Some(Key::Up),
            KeyCode::KeyQ | KeyCode::PageDown => Some(Key::Down),
            _ => None,
        };
        let is_shortcut = held.is_none() || self.modifiers.ctrl;
        if let Some(key) = held {
            self.controls.key(key, down && !self.modifiers.ctrl);
        }
        if is_shortcut && down && !repeated {
            self.shortcut(code);
        }
    }

    fn shortcut(&mut self, code: KeyCode) {
        let toggle = |tool: &mut Tool, wanted: Tool| *tool = if *tool == wanted { Tool::Look } else { wanted };
        let command = match code {
            KeyCode::KeyZ if self.modifiers.ctrl && self.modifiers.shift => Command::Redo,
            KeyCode::KeyZ if self.modifiers.ctrl => Command::Undo,
            KeyCode::KeyY if self.modifiers.ctrl => Command::Redo,
            KeyCode::KeyF => Command::FrameAll,
            KeyCode::Home => Command::Home,
            KeyCode::Digit1 => Command::Look(Preset::Front),
            KeyCode::Digit2 => Command::Look(Preset::Right),
            KeyCode::Digit3 => Command::Look(Preset::Top),
            KeyCode::Digit7 => Command::Look(Preset::Back),
            KeyCode::Digit8 => Command::Look(Preset::Left),
            KeyCode::Digit9 => Command::Look(Preset::Bottom),
            KeyCode::KeyI => Command::Invert,
            KeyCode::KeyX | KeyCode::Delete => Command::Delete,
            KeyCode::KeyK => Command::AddKeyframe,
            KeyCode::KeyP => Command::Play,
            KeyCode::Space => Command::PlayTime,
            KeyCode::Comma => Command::StepFrames(-1),
            KeyCode::Period => Command::StepFrames(1),
            KeyCode::KeyO if self.state.comparison.is_some() => Command::EndCompare,
            KeyCode::KeyO => Command::CompareNearest,
            KeyCode::KeyN => Command::ComparePast(if self.modifiers.shift { -1 } else { 1 }),
            KeyCode::KeyS if self.modifiers.ctrl => Command::Save(self.state.save_name.trim().into()),
            KeyCode::F12 if self.modifiers.ctrl => Command::SavePath(self.state.path_name.trim().into()),
            KeyCode::F12 => Command::SavePicture(self.state.picture_name.trim().into()),
            KeyCode::Escape => return self.escape(),
            KeyCode::KeyB | KeyCode::KeyC if self.document.why_not_edited().is_some() => Command::Delete,
            KeyCode::KeyB => return toggle(&mut self.state.tool, Tool::BoxSelect),
            KeyCode::KeyC => return toggle(&mut self.state.tool, Tool::BrushSelect),
            KeyCode::KeyM => return toggle(&mut self.state.tool, Tool::Measure),
            KeyCode::F1 => return self.state.help ^= true,
            KeyCode::Tab => return self.state.panel ^= true,
            KeyCode::BracketLeft => {
                return self.state.style.splat_scale = (self.state.style.splat_scale * 0.9).max(0.05);
            }
            KeyCode::BracketRight => {
                return self.state.style.splat_scale = (self.state.style.splat_scale / 0.9).min(2.0);
            }
            _ => return,
        };
        self.sight.commands.push(command);
    }

    /// Leaves the innermost thing that is open.
    fn escape(&mut self) {
        if self.film.is_some() {
            self.sight.commands.push(Command::StopFilming);
        } else if self.state.help {
            self.state.help = false;
        } else if self.state.comparison.is_some() {
            self.sight.commands.push(Command::EndCompare);
        } else if self.state.tool != Tool::Look {
            self.state.tool = Tool::Look;
        } else {
            self.sight.commands.push(Command::SelectNone);
        }
    }

    /// Adapts speeds and the crop box to a scene that has changed.
    pub(super) fn measure_scene(&mut self) {
        if let Some(around) = self.document.surroundings {
            self.controls.extent = around.extent();
            if !self.state.crop.on {
                self.state.crop.corners = around.bounds.map(|corner| corner.map(f64::from));
            }
        }
    }

    /// Pictures are shifted and not turned, until users choose otherwise.
    pub(super) fn choose_habit(&mut self) {
        let habit = &mut self.controls.habit;
        match (self.document.content.is_flat(), *habit) {
            (true, _) => *habit = Habit::Map,
            (false, Habit::Map) => *habit = Habit::default(),
            (false, _) => {}
        }
    }

    /// The navigator, for those who move it.
    pub(super) fn navigator(&mut self) -> &mut Navigator {
        self.sight.navigator.moved()
    }
}

/// Of the window.
pub(super) fn title(scene: &str) -> String {
    format!("{scene} - Tessera")
}
