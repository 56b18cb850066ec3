//! What the web page runs: the renderer on a canvas, cameras, and a scene, still or moving, whose pages the page's script fetches.
//!
//! The script (`viewer/web/tessera.js`) owns the network, the clock and everything around the canvas. It calls
//! [`WebViewer::frame`] when something may have changed, asks [`WebViewer::next_fetch`] what to load, and hands in what came.

mod input;
mod mesh;
mod moving;

use crate::ViewerError;
use crate::camera::{Controls, Navigator, Rig};
use crate::renderer::{Gpu, Renderer, Style};
use crate::streamed::{PageFetch, StreamedScene, Surroundings};
use nalgebra::{Unit, Vector3};
use tessera_datasets::format::tiles::{Manifest, StartCamera};
use tessera_datasets::scene::tile_tree::{CutLimits, StreamLimits};
use wasm_bindgen::prelude::*;
use web_sys::HtmlCanvasElement;

/// Vertical angle of view at first, radians.
const FOV: f64 = 0.9;
/// By how much the tangent of that angle grows on the narrowest screens.
const MAX_WIDENING: f64 = 1.6;

/// A canvas with a scene.
#[wasm_bindgen]
pub struct WebViewer {
    surface: wgpu::Surface<'static>,
    format: wgpu::TextureFormat,
    size: [u32; 2],
    renderer: Renderer,
    scene: Option<StreamedScene>,
    /// A newer state of the scene, until it can be shown.
    next: Option<StreamedScene>,
    mesh: Option<mesh::Shown>,
    moving: Option<moving::Moving>,
    /// How many scenes there have been; pages are asked for with it.
    generation: u32,
    limits: StreamLimits,
    navigator: Navigator,
    /// Where the camera goes when it is sent home; known once a scene is.
    home: Option<Rig>,
    /// Whether a link said where to look from.
    is_placed: bool,
    controls: Controls,
    style: Style,
    last: Option<f64>,
    problems: Vec<String>,
}

/// A page to fetch.
#[wasm_bindgen(getter_with_clone)]
pub struct Fetch {
    /// The scene that wants it.
    pub generation: u32,
    /// The node whose page it is.
    pub node: u32,
    /// The file, relative to the manifest.
    pub file: String,
    /// Of the first byte.
    pub offset: f64,
    /// How many bytes.
    pub length: f64,
}

/// What is shown and what is still to come.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub struct Status {
    /// Splats drawn, or triangles or points; of meshes of several moments, whether one is shown.
    pub drawn: f64,
    /// How many there are in the scene; of meshes, moments.
    pub total: f64,
    /// Pages that the view needs.
    pub needed: u32,
    /// How many of them are there.
    pub there: u32,
    /// Whether nothing is missing but what was lost.
    pub complete: bool,
    /// Megabytes on the graphics device.
    pub megabytes: f64,
}

/// Hears of the loss of a device, even while nothing is drawn.
#[wasm_bindgen]
pub struct DeviceLoss(std::pin::Pin<Box<dyn Future<Output = String>>>);

#[wasm_bindgen]
impl DeviceLoss {
    /// Ends when the device has been lost: why.
    pub async fn heard(self) -> String {
        self.0.await
    }
}

#[wasm_bindgen]
impl WebViewer {
    /// Takes a canvas; `format` is what `navigator.gpu.getPreferredCanvasFormat()` says.
    ///
    /// # Errors
    /// Why the browser cannot draw on it, as a sentence.
    pub async fn open(canvas: HtmlCanvasElement, format: &str) -> Result<WebViewer, JsError> {
        let size = [canvas.width().max(1), canvas.height().max(1)];
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let surface = instance.create_surface(wgpu::SurfaceTarget::Canvas(canvas))?;
        let gpu = Gpu::new(&instance, Some(&surface)).await?;
        // Colours are sRGB-encoded already.
        let format = match format {
            "rgba8unorm" => wgpu::TextureFormat::Rgba8Unorm,
            _ => wgpu::TextureFormat::Bgra8Unorm,
        };
        let up = Unit::new_normalize(-Vector3::y());
        let rig = Rig { pivot: Vector3::zeros(), distance: 1.0, yaw: 0.0, pitch: 0.0, fov: FOV, up };
        let mut viewer = Self {
            surface,
            format,
            size: [0, 0],
            renderer: Renderer::new(&gpu),
            scene: None,
            next: None,
            mesh: None,
            moving: None,
            generation: 0,
            limits: StreamLimits::default(),
            navigator: Navigator::new(rig),
            home: None,
            is_placed: false,
            controls: Controls::default(),
            style: Style::default(),
            last: None,
            problems: Vec::new(),
        };
        viewer.resize(size[0], size[1]);
        Ok(viewer)
    }

    /// To wait for the loss of the device.
    pub fn device_loss(&self) -> DeviceLoss {
        DeviceLoss(Box::pin(self.renderer.gpu().loss()))
    }

    /// The graphics adapter in a few words.
    pub fn adapter(&self) -> String {
        let adapter = &self.renderer.gpu().adapter;
        match (adapter.name.as_str(), self.is_software()) {
            ("", true) => "WebGPU, by the processor".to_owned(),
            ("", false) => "WebGPU".to_owned(),
            (name, _) => name.to_owned(),
        }
    }

    /// Whether the processor draws.
    pub fn is_software(&self) -> bool {
        self.renderer.gpu().is_software()
    }

    /// The size of the canvas in its own pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let limit = self.renderer.gpu().device.limits().max_texture_dimension_2d;
        let size = [width.clamp(1, limit), height.clamp(1, limit)];
        if size == self.size {
            return;
        }
        self.size = size;
        let configuration = wgpu::SurfaceConfiguration {
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            format: self.format,
            color_space: wgpu::SurfaceColorSpace::default(),
            width: size[0],
            height: size[1],
            present_mode: wgpu::PresentMode::Fifo,
            desired_maximum_frame_latency: 2,
            alpha_mode: wgpu::CompositeAlphaMode::Opaque,
            view_formats: Vec::new(),
        };
        self.surface.configure(&self.renderer.gpu().device, &configuration);
    }

    /// What may be used: splats drawn, splats kept, error in pixels, pages on their way at a time.
    pub fn set_limits(&mut self, splats: f64, cached: f64, screen_error: f64, requests: usize) {
        let cut = CutLimits { splats: splats as u64, screen_error };
        self.limits = StreamLimits { cut, cached_splats: cached as u64, requests, ..self.limits };
        for scene in self.scene.iter_mut().chain(&mut self.next) {
            scene.stream().set_limits(self.limits);
        }
        if let Some(moving) = &mut self.moving {
            moving.set_limits(self.limits);
        }
    }

    /// What is behind the scene: red, green and blue, sRGB, 0 to 255.
    pub fn set_background(&mut self, red: f32, green: f32, blue: f32) {
        self.style.background = [red, green, blue].map(|value| value / 255.0);
    }

    /// Begins to load a scene from the bytes of its manifest; one that is shown stays until the new one can be.
    ///
    /// # Errors
    /// What is wrong with the manifest.
    pub fn set_scene(&mut self, manifest: &[u8]) -> Result<(), JsError> {
        let manifest = Manifest::parse(manifest).map_err(|reason| JsError::new(&reason))?;
        if let Some(abandoned) = self.next.take() {
            abandoned.clear(&mut self.renderer);
        }
        self.generation += 1;
        let mut next = StreamedScene::new(manifest, self.limits);
        // It does not show through the one that is seen.
        next.set_hidden(self.scene.is_some(), &mut self.renderer);
        self.next = Some(next);
        Ok(())
    }

    /// Lets time pass until `now` (seconds) and draws; whether the camera still moves, or the scene.
    ///
    /// # Errors
    /// When the device was lost.
    pub fn frame(&mut self, now: f64, fast: bool) -> Result<bool, JsError> {
        let passed = self.last.map_or(0.0, |last| now - last);
        let seconds = passed.clamp(0.0, 0.1);
        self.last = Some(now);
        let is_flying = self.controls.fly(&mut self.navigator, seconds, fast);
        let mut is_moving = self.navigator.update(seconds) || is_flying;
        if let Some(moving) = &mut self.moving {
            is_moving |= moving.advance(passed, &mut self.renderer);
            self.style.time = moving.clock.seconds as f32;
        }
        let view = self.navigator.rig().view(self.size[0], self.size[1]);
        if let Some(next) = &mut self.next {
            next.update(&view, &mut self.renderer);
            // What is seen is replaced at once by what is as fine.
            let is_ready = if self.scene.is_some() { next.stream().is_complete() } else { next.is_begun() };
            if is_ready {
                self.show_next();
            }
        }
        if let Some(scene) = &mut self.scene {
            scene.update(&view, &mut self.renderer);
        }
        self.note_problems();
        self.draw()?;
        Ok(is_moving)
    }

    /// Takes note of lost pages. Without the root's, the manifest says where the scene is.
    fn note_problems(&mut self) {
        let scenes = self.scene.iter_mut().chain(&mut self.next);
        let lost: Vec<_> = scenes.flat_map(StreamedScene::take_problems).collect();
        if lost.iter().any(|problem| problem.node == 0)
            && let Some(scene) = self.next.as_ref().or(self.scene.as_ref())
        {
            let manifest = scene.manifest();
            let bounds = manifest.tree.node(0).bounds;
            let around = Surroundings::of_box([bounds.low, bounds.high]).told(manifest);
            let (up, camera) = (manifest.up, manifest.camera);
            self.find_home(around, up, camera);
        }
        self.problems.extend(lost.into_iter().map(|problem| format!("page {}: {}", problem.node, problem.reason)));
        self.problems.extend(self.moving.iter_mut().flat_map(moving::Moving::take_problems));
    }

    /// Everything is drawn, as far as the device knows.
    fn draw(&mut self) -> Result<(), ViewerError> {
        use wgpu::CurrentSurfaceTexture::{Outdated, Suboptimal, Success};
        self.renderer.gpu().check()?;
        let view = self.navigator.rig().view(self.size[0], self.size[1]);
        let texture = match self.surface.get_current_texture() {
            Success(texture) | Suboptimal(texture) => texture,
            Outdated => {
                let [width, height] = std::mem::take(&mut self.size);
                self.resize(width, height);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let output = texture.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let gpu = self.renderer.gpu().clone();
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.renderer.draw(&mut encoder, &view, &self.style, &output, self.format)?;
        gpu.queue.submit([encoder.finish()]);
        gpu.queue.present(texture);
        Ok(())
    }

    /// Replaces the scene by its newer state, if anything of that has come.
    fn show_next(&mut self) {
        let Some(mut next) = self.next.take() else { return };
        if !next.is_begun() {
            return next.clear(&mut self.renderer);
        }
        next.set_hidden(false, &mut self.renderer);
        if let Some(around) = next.surroundings() {
            self.style.near = around.near;
        }
        if let Some(old) = self.scene.replace(next) {
            old.clear(&mut self.renderer);
        }
    }

    /// Whether a newer state of the scene is on its way.
    pub fn is_changing(&self) -> bool {
        self.next.is_some()
    }

    /// The page to fetch next, if there is any; `now` is in seconds.
    pub fn next_fetch(&mut self, now: f64) -> Option<Fetch> {
        let fetch = match &mut self.moving {
            Some(moving) => moving.next_fetch(now),
            None => self.next.as_mut().or(self.scene.as_mut())?.next_fetch(now, &mut self.renderer),
        };
        let PageFetch { node, file, offset, length } = fetch?;
        let generation = self.generation;
        Some(Fetch { generation, node, file, offset: offset as f64, length: length as f64 })
    }

    /// In how many seconds from `now` a page that failed may be asked for again, if one waits for that.
    pub fn seconds_to_retry(&mut self, now: f64) -> Option<f64> {
        let retry = match &self.moving {
            Some(moving) => moving.next_retry(),
            None => self.next.as_mut().or(self.scene.as_mut())?.stream().next_retry(),
        };
        Some((retry? - now).max(0.0))
    }

    /// A page has come.
    ///
    /// # Errors
    /// Why it cannot be used; it is asked for again a few times.
    pub fn arrived(&mut self, generation: u32, node: u32, bytes: &[u8], now: f64) -> Result<(), JsError> {
        if generation != self.generation {
            return Ok(());
        }
        if let Some(moving) = &mut self.moving {
            let outcome = moving.arrived(node, bytes, now, &mut self.renderer);
            if let Some(surroundings) = outcome.map_err(|reason| JsError::new(&reason))? {
                self.find_home(surroundings, None, None);
            }
            return Ok(());
        }
        let Some(scene) = self.next.as_mut().or(self.scene.as_mut()) else { return Ok(()) };
        let outcome = scene.arrived(node, bytes, now, &mut self.renderer);
        if let Some(surroundings) = scene.surroundings().filter(|_| node == 0) {
            let (up, camera) = (scene.manifest().up, scene.manifest().camera);
            self.find_home(surroundings, up, camera);
        }
        outcome.map_err(|reason| JsError::new(&reason))
    }

    /// A page could not be had.
    pub fn failed(&mut self, generation: u32, node: u32, reason: String, now: f64) {
        if let Some(moving) = self.moving.as_mut().filter(|_| generation == self.generation) {
            return moving.failed(node, &reason, now);
        }
        if let Some(scene) = self.current(generation) {
            scene.stream().failed(node, reason, now);
        }
    }

    /// A page is not waited for any more; it may be asked for again at once.
    pub fn cancelled(&mut self, generation: u32, node: u32) {
        if let Some(moving) = self.moving.as_mut().filter(|_| generation == self.generation) {
            return moving.cancelled(node);
        }
        if let Some(scene) = self.current(generation) {
            scene.stream().cancelled(node);
        }
    }

    /// Whether the view still needs a page that is on its way.
    pub fn is_needed(&mut self, generation: u32, node: u32) -> bool {
        if let Some(moving) = self.moving.as_ref().filter(|_| generation == self.generation) {
            return moving.is_needed(node);
        }
        self.current(generation).is_some_and(|scene| scene.stream().is_needed(node))
    }

    /// Gives lost pages a new chance.
    pub fn retry_all(&mut self) {
        if let Some(moving) = &mut self.moving {
            moving.retry_all();
        }
        if let Some(scene) = self.next.as_mut().or(self.scene.as_mut()) {
            scene.stream().retry_all();
        }
    }

    fn current(&mut self, generation: u32) -> Option<&mut StreamedScene> {
        if generation == self.generation { self.next.as_mut().or(self.scene.as_mut()) } else { None }
    }

    /// What was lost since this was asked last, in words.
    pub fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    /// What is shown.
    pub fn status(&mut self) -> Status {
        let meshes = self.moving.as_ref().map_or(0, moving::Moving::mesh_bytes);
        let megabytes = (self.renderer.load().bytes + meshes) as f64 / 1e6;
        if let Some(moving) = &self.moving {
            let (needed, there, drawn, total) = moving.progress();
            let (drawn, total, complete) = (drawn as f64, total as f64, needed == there);
            return Status { drawn, total, needed: needed as u32, there: there as u32, complete, megabytes };
        }
        let Some(scene) = &mut self.scene else {
            let (total, complete) = self.mesh.as_ref().map_or((0.0, false), |mesh| (mesh.count as f64, true));
            return Status { drawn: total, total, needed: 1, there: u32::from(complete), complete, megabytes };
        };
        let total = scene.manifest().header.count as f64;
        let stream = scene.stream();
        let ((needed, there), complete) = (stream.progress(), stream.is_complete());
        Status {
            drawn: stream.cut_splats() as f64,
            total,
            needed: needed as u32,
            there: there as u32,
            complete: complete && self.next.is_none(),
            megabytes,
        }
    }

    /// Whether nothing of the scene can be shown, because too much of it was lost.
    pub fn is_hopeless(&mut self) -> bool {
        if let Some(moving) = &self.moving {
            return moving.is_hopeless();
        }
        self.scene.is_none() && self.next.as_mut().is_some_and(|next| !next.is_begun() && next.stream().is_complete())
    }

    /// What `Status` counts.
    pub fn kind(&self) -> String {
        let still = self.mesh.as_ref().map_or("splats", |mesh| mesh.kind);
        self.moving.as_ref().map_or(still, moving::Moving::kind).to_owned()
    }
}

impl WebViewer {
    /// Where to look from at first, once it is known where the scene is.
    fn find_home(&mut self, surroundings: Surroundings, up: Option<[f32; 3]>, camera: Option<StartCamera>) {
        if self.home.is_some() {
            return;
        }
        let mut rig = *self.navigator.rig();
        if let Some([x, y, z]) = up {
            rig.up = Unit::new_normalize(Vector3::new(x, y, z).map(f64::from));
        }
        let extent = surroundings.extent();
        match camera {
            Some(camera) => {
                let [eye, target] = [camera.position, camera.target].map(|p| p.map(f64::from));
                let pose = crate::camera::looking_at(eye, target, rig.up.into_inner().into());
                let distance = (Vector3::from(target) - Vector3::from(eye)).norm().max(1e-6 * extent);
                // Where the picture is narrow, more is seen of what is beside the middle.
                let narrowness = (f64::from(self.size[1]) / f64::from(self.size[0])).clamp(1.0, MAX_WIDENING);
                let fov = 2.0 * (narrowness * (0.5 * f64::from(camera.fov_y)).tan()).atan();
                rig = Rig::from_pose(&pose, distance, fov, rig.up);
            }
            None => {
                // Fronts look along z.
                rig.yaw = std::f64::consts::PI;
                rig.pitch = -0.25;
                rig.frame(surroundings.bounds, f64::from(self.size[0]) / f64::from(self.size[1]));
            }
        }
        self.controls.extent = extent;
        self.style.near = surroundings.near;
        self.home = Some(rig);
        if !self.is_placed {
            self.navigator.jump(rig);
        }
    }
}
