//! A scene that arrives page by page: what is fetched, what is on the graphics device and what is drawn.
//!
//! [`StreamedScene`] joins the tree's [`PageStream`] with a [`Renderer`]. It does no input and output: whoever drives it asks for
//! the next page to fetch and hands in its bytes, from a file or over a network.

use crate::renderer::{Page, PageId, Renderer, View};
use std::collections::HashMap;
use tessera_datasets::format::tiles::Manifest;
use tessera_datasets::scene::Bulk;
use tessera_datasets::scene::tile_tree::{LodView, PageStream, StreamLimits, StreamProblem};

/// Bytes to fetch: a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFetch {
    /// The node whose page it is.
    pub node: u32,
    /// The file, relative to the manifest.
    pub file: String,
    /// Of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// Where splats are, but for the outermost: what a first look shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surroundings {
    /// Lowest and highest corner.
    pub bounds: [[f32; 3]; 2],
    /// What is nearer to a camera is not drawn.
    pub near: f32,
}

/// A scene and its pages on the device.
#[derive(Debug)]
pub struct StreamedScene {
    manifest: Manifest,
    stream: PageStream,
    pages: HashMap<u32, PageId>,
    shown: Vec<u32>,
    is_hidden: bool,
    surroundings: Option<Surroundings>,
}

/// Share of splats on each side, along each axis, that a first look leaves out.
const OUTERMOST: f64 = 0.03;
/// Points by which it is found.
const SAMPLE: usize = 1 << 18;
/// Surfaces are drawn from this share of their size on.
const NEAR_SURFACES: f64 = 1e-3;
/// Longer than any pause between attempts, seconds.
const PATIENCE: f64 = 1e4;

impl StreamedScene {
    /// Nothing of it is there yet.
    pub fn new(manifest: Manifest, limits: StreamLimits) -> Self {
        let stream = PageStream::new(manifest.tree.clone(), limits);
        Self { manifest, stream, pages: HashMap::new(), shown: Vec::new(), is_hidden: false, surroundings: None }
    }

    /// Shows or hides all of it; it goes on to load.
    pub fn set_hidden(&mut self, hidden: bool, renderer: &mut Renderer) {
        self.is_hidden = hidden;
        for id in self.shown.iter().filter_map(|node| self.pages.get(node)) {
            renderer.set_visible(*id, !hidden);
        }
    }

    /// What is known of the scene without its pages.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The pages and their limits.
    pub fn stream(&mut self) -> &mut PageStream {
        &mut self.stream
    }

    /// Where most of it is, once the root's page has come.
    pub fn surroundings(&self) -> Option<Surroundings> {
        self.surroundings
    }

    /// Chooses what is drawn from here, and shows and hides pages; whether that has changed.
    pub fn update(&mut self, view: &View, renderer: &mut Renderer) -> bool {
        let lens = &view.camera.lens;
        let size = [view.camera.width, view.camera.height].map(f64::from);
        let lod_view = LodView::new(&view.camera_from_world, lens.focal, size);
        let cut = self.stream.update(&lod_view);
        if cut == self.shown {
            return false;
        }
        let set = |renderer: &mut Renderer, nodes: &[u32], visible| {
            for id in nodes.iter().filter_map(|node| self.pages.get(node)) {
                renderer.set_visible(*id, visible);
            }
        };
        set(renderer, &self.shown, false);
        set(renderer, cut, !self.is_hidden);
        self.shown = cut.to_vec();
        true
    }

    /// The page to fetch next, if there is one; `now` is in seconds.
    pub fn next_fetch(&mut self, now: f64, renderer: &mut Renderer) -> Option<PageFetch> {
        let request = self.stream.next_request(now);
        for node in self.stream.take_evicted() {
            if let Some(id) = self.pages.remove(&node) {
                renderer.remove_page(id);
            }
        }
        let node = request?.node;
        let place = self.manifest.pages[node as usize];
        let file = self.manifest.files[place.file as usize].clone();
        Some(PageFetch { node, file, offset: place.offset, length: place.length() })
    }

    /// Takes the bytes of a page that was asked for. It can be drawn from the next update on; a damaged one is asked for again.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn arrived(&mut self, node: u32, bytes: &[u8], now: f64, renderer: &mut Renderer) -> Result<(), String> {
        self.decoded(node, DecodedPage::new(&self.manifest, node, bytes), now, renderer)
    }

    /// As [`Self::arrived`], with a page that was decoded elsewhere, or the reason why it could not be had.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decoded(
        &mut self,
        node: u32,
        page: Result<DecodedPage, String>,
        now: f64,
        renderer: &mut Renderer,
    ) -> Result<(), String> {
        let placed = page.and_then(|page| self.place(node, page, renderer));
        match &placed {
            Ok(()) => self.stream.arrived(node),
            Err(reason) => self.stream.failed(node, reason.clone(), now),
        }
        placed
    }

    fn place(&mut self, node: u32, decoded: DecodedPage, renderer: &mut Renderer) -> Result<(), String> {
        if node == 0 {
            self.surroundings = decoded.surroundings.map(|around| around.told(&self.manifest));
        }
        let id = renderer.add_page(&decoded.page).map_err(|error| error.to_string())?;
        renderer.set_visible(id, false);
        if let Some(old) = self.pages.insert(node, id) {
            renderer.remove_page(old);
        }
        Ok(())
    }

    /// Whether there is a picture to show.
    pub fn is_begun(&self) -> bool {
        !self.shown.is_empty()
    }

    /// The pages that were lost since this was asked last.
    pub fn take_problems(&mut self) -> Vec<StreamProblem> {
        self.stream.take_problems()
    }

    /// Fetches everything that a view needs, by `read`, and shows it.
    ///
    /// # Errors
    /// When not even the coarsest page can be had: why.
    pub fn complete(
        &mut self,
        view: &View,
        renderer: &mut Renderer,
        read: &dyn Fn(u32) -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        // Nobody waits here between attempts.
        let mut now = 0.0;
        loop {
            self.update(view, renderer);
            let Some(fetch) = self.next_fetch(now, renderer) else { break };
            now += PATIENCE;
            let decoded = read(fetch.node).and_then(|bytes| DecodedPage::new(&self.manifest, fetch.node, &bytes));
            let outcome = self.decoded(fetch.node, decoded, now, renderer);
            if fetch.node == 0 && self.stream.is_complete() {
                outcome?;
            }
        }
        Ok(())
    }

    /// Takes everything off the device.
    pub fn clear(self, renderer: &mut Renderer) {
        for id in self.pages.into_values() {
            renderer.remove_page(id);
        }
    }
}

impl Surroundings {
    /// Of splats' means, `[N, 3]`; `None` without any.
    pub fn of_splats(means: &[[f32; 3]]) -> Option<Self> {
        Some(Self { near: Bulk::of(means).near(), ..Self::of_surfaces(means)? })
    }

    /// Of vertices or points, `[N, 3]`; `None` without any.
    pub fn of_surfaces(points: &[[f32; 3]]) -> Option<Self> {
        let mut bounds = [[0.0; 3]; 2];
        let stride = points.len().div_ceil(SAMPLE).max(1);
        for axis in 0..3 {
            let mut values: Vec<f32> = points.iter().step_by(stride).map(|point| point[axis]).collect();
            values.sort_unstable_by(f32::total_cmp);
            let left_out = (OUTERMOST * values.len() as f64) as usize;
            bounds[0][axis] = *values.get(left_out)?;
            bounds[1][axis] = values[values.len() - 1 - left_out];
        }
        Some(Self::of_box(bounds))
    }

    /// When nothing but a box is known.
    pub fn of_box(bounds: [[f32; 3]; 2]) -> Self {
        let unknown = Self { bounds, near: 0.0 };
        Self { near: (NEAR_SURFACES * unknown.extent()) as f32, ..unknown }
    }

    /// With what a manifest knows better than the coarsest page of its scene, in which many small splats are few large ones.
    pub fn told(self, manifest: &Manifest) -> Self {
        Self { near: manifest.near.unwrap_or(self.near), ..self }
    }

    /// The box's diagonal.
    pub fn extent(&self) -> f64 {
        let [low, high] = self.bounds;
        (0..3).map(|k| (f64::from(high[k]) - f64::from(low[k])).powi(2)).sum::<f64>().sqrt().max(1e-6)
    }

    /// Its middle.
    pub fn centre(&self) -> [f64; 3] {
        let [low, high] = self.bounds;
        std::array::from_fn(|k| 0.5 * (f64::from(low[k]) + f64::from(high[k])))
    }
}

/// A page as the renderer takes it.
#[derive(Debug)]
pub struct DecodedPage {
    page: Page,
    /// Of its splats.
    surroundings: Option<Surroundings>,
}

impl DecodedPage {
    /// From the bytes of a node's page.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(manifest: &Manifest, node: u32, bytes: &[u8]) -> Result<Self, String> {
        let cloud = manifest.decode_page(node, bytes).map_err(|error| error.to_string())?;
        let page = Page::of_cloud(&cloud, 0..cloud.len()).map_err(|error| error.to_string())?;
        Ok(Self { page, surroundings: if node == 0 { Surroundings::of_splats(&cloud.means) } else { None } })
    }
}
