//! The scene that is open: on the processor, on the graphics device, and what has been done to it.

use super::content::{Content, Photo};
use super::edits::{Combine, Edits};
use super::playback::Playback;
use super::selection::{Region, in_region};
use super::streaming::Streaming;
use crate::ViewerError;
use crate::renderer::{FieldId, MAX_PAGE, MeshData, Page, PageId, Renderer, SurfaceId, View};
use crate::streamed::Surroundings;
use tessera_datasets::scene::SplatCloud;

/// An open scene.
#[derive(Debug)]
pub struct Document {
    /// As it was opened.
    pub content: Content,
    /// Selection and deletion.
    pub edits: Edits,
    /// Why part of it is not shown.
    pub complaint: Option<String>,
    /// Pages that come as they are needed.
    pub streaming: Option<Streaming>,
    /// The clock and the segments of a scene that moves.
    pub playback: Option<Playback>,
    /// Where most of it is; none of an empty scene.
    pub surroundings: Option<Surroundings>,
    pages: Vec<PageId>,
    mesh: Option<SurfaceId>,
    field: Option<FieldId>,
}

impl Document {
    /// Hands a scene to the renderer. What does not fit is left out and complained about.
    pub fn open(content: Content, renderer: &mut Renderer) -> Self {
        let splats = content.cloud.as_ref().map_or(0, SplatCloud::len);
        let mut document = Self {
            edits: Edits::new(splats),
            surroundings: content.surroundings(),
            content,
            complaint: None,
            streaming: None,
            playback: None,
            pages: Vec::new(),
            mesh: None,
            field: None,
        };
        document.upload(renderer);
        document
    }

    /// Hands everything over again: the device is a new one.
    pub fn upload(&mut self, renderer: &mut Renderer) {
        self.pages.clear();
        (self.mesh, self.field) = (None, None);
        if let Err(error) = self.try_upload(renderer) {
            self.complaint = Some(format!("only a part is shown: {error}"));
        }
        let limits = self.streaming.as_mut().map(Streaming::limits);
        self.streaming = self.content.streamed.as_ref().map(|streamed| Streaming::open(streamed, renderer));
        if let (Some(streaming), Some(limits)) = (&mut self.streaming, limits) {
            streaming.set_limits(limits);
        }
        let now = self.playback.take();
        let splats = self.content.moving.as_ref().map(Playback::open);
        self.playback = splats.or_else(|| self.content.meshes.as_ref().map(Playback::of_meshes));
        if let (Some(playback), Some(now)) = (&mut self.playback, now) {
            playback.clock = now.clock;
        }
        self.mark(renderer);
    }

    /// Why nothing can be selected or deleted, if so.
    pub fn why_not_edited(&self) -> Option<String> {
        if self.content.cloud.is_some() {
            return None;
        }
        if self.content.streamed.is_some() {
            let name = &self.content.name;
            return Some(format!(
                "a streamed scene cannot be edited, because its pages hold every splat at several levels of detail; make a file \
                 of it (tessera convert {name} scene.ply), edit that, and convert it back"
            ));
        }
        if self.content.moving.is_some() {
            let name = &self.content.name;
            return Some(format!(
                "a moving scene cannot be edited; make a file of one of its frames (tessera convert {name} frame_%04d.ply \
                 --frames 0-0) and edit that"
            ));
        }
        Some("there are no splats to select or delete".to_owned())
    }

    /// Shows the pages that a view needs, as far as they have come.
    pub fn advance(&mut self, view: &View, renderer: &mut Renderer) {
        if let Some(playback) = &mut self.playback {
            playback.advance(renderer);
            self.complaint = playback.take_problem().or_else(|| self.complaint.take());
        }
        let Some(streaming) = &mut self.streaming else { return };
        streaming.advance(view, renderer);
        if let Some(problem) = streaming.take_problem() {
            self.complaint = Some(problem);
        }
    }

    fn try_upload(&mut self, renderer: &mut Renderer) -> Result<(), ViewerError> {
        if let Some(mesh) = &self.content.mesh {
            self.mesh = Some(renderer.add_mesh(&MeshData::of(mesh)?)?);
        }
        if let Some(field) = &self.content.field {
            self.field = Some(renderer.add_field(field)?);
        }
        if let Some(cloud) = &self.content.cloud {
            for page in Page::all_of_cloud(cloud) {
                self.pages.push(renderer.add_page(&page?)?);
            }
        }
        Ok(())
    }

    /// Takes everything off the device.
    pub fn close(&mut self, renderer: &mut Renderer) {
        self.pages.drain(..).for_each(|page| renderer.remove_page(page));
        if let Some(mesh) = self.mesh.take() {
            renderer.remove_mesh(mesh);
        }
        if let Some(field) = self.field.take() {
            renderer.remove_field(field);
        }
        if let Some(streaming) = self.streaming.take() {
            streaming.close(renderer);
        }
        if let Some(playback) = self.playback.take() {
            playback.close(renderer);
        }
    }

    /// Replaces the splats, as a training goes on. Edits are forgotten.
    pub fn replace_splats(&mut self, cloud: SplatCloud, renderer: &mut Renderer) {
        self.pages.drain(..).for_each(|page| renderer.remove_page(page));
        self.edits = Edits::new(cloud.len());
        self.content.cloud = Some(cloud);
        self.surroundings = self.content.surroundings();
        self.complaint = None;
        if let Some(mesh) = self.mesh.take() {
            renderer.remove_mesh(mesh);
        }
        if let Some(field) = self.field.take() {
            renderer.remove_field(field);
        }
        self.upload(renderer);
    }

    /// Tells the renderer about selection and deletion.
    pub fn mark(&self, renderer: &mut Renderer) {
        for (i, &page) in self.pages.iter().enumerate() {
            let start = i * MAX_PAGE;
            renderer.set_marks(page, self.edits.deleted().words_from(start), self.edits.selected().words_from(start));
        }
    }

    /// Selects what is seen in a region.
    pub fn select_region(&mut self, view: &View, region: &Region, combine: Combine, renderer: &mut Renderer) {
        if let Some(cloud) = &self.content.cloud {
            let splats = in_region(cloud, view, region);
            self.edits.select(&splats, combine);
            self.mark(renderer);
        }
    }

    /// The splats that are left.
    pub fn edited_cloud(&self) -> Option<SplatCloud> {
        self.content.cloud.as_ref().map(|cloud| cloud.select(&self.edits.kept()))
    }

    /// A photo of the capture.
    pub fn photo(&self, index: usize) -> Option<&Photo> {
        self.content.photos.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renderer::{Gpu, Picture, Style};
    use crate::window::content::Streamed;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tessera_datasets::camera::{Camera, Pose};
    use tessera_datasets::format::tiles::{PageFiles, open_manifest};
    use tessera_datasets::format::write_splats;
    use tessera_datasets::scene::Mesh;

    /// A renderer, or none with a remark where there is no adapter.
    fn renderer() -> Option<Renderer> {
        crate::renderer::testing::gpu().map(|gpu| Renderer::new(&gpu))
    }

    /// A wall of coloured splats before a camera that looks along z. No two are equally far: those may be drawn in either order.
    fn cloud() -> SplatCloud {
        let mut cloud = SplatCloud::with_capacity(100, 0);
        for i in 0..100 {
            let (x, y) = ((i % 10) as f32, (i / 10) as f32);
            cloud.means.push([0.2 * x - 0.9, 0.2 * y - 0.9, 2.0 + 0.02 * i as f32]);
            cloud.log_scales.push([-2.3; 3]);
            cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
            cloud.opacity_logits.push(3.0);
            cloud.sh0.push([x / 5.0 - 1.0, y / 5.0 - 1.0, 0.5]);
        }
        cloud
    }

    fn content() -> Content {
        Content {
            name: "test".to_owned(),
            cloud: None,
            streamed: None,
            moving: None,
            meshes: None,
            mesh: None,
            field: None,
            photos: Vec::new(),
            background: [0.0; 3],
            start: Pose::identity(),
            distance: None,
            fov: 0.9,
            up: [0.0, -1.0, 0.0],
        }
    }

    fn view() -> View {
        View { camera: Camera::from_horizontal_fov(96, 96, 0.9), camera_from_world: Pose::identity() }
    }

    fn picture(renderer: &mut Renderer) -> Picture {
        renderer.picture(&view(), &Style::default()).expect("a picture")
    }

    /// Loses the device under a document: the sentence, and the same picture by another device.
    fn is_recovered(document: &mut Document, mut renderer: Renderer, before: &Picture) -> Renderer {
        renderer.gpu().device.destroy();
        let error = renderer.picture(&view(), &Style::default()).expect_err("there is nothing to draw with");
        assert!(matches!(error, ViewerError::DeviceLost(_)), "{error}");
        assert!(error.to_string().contains("graphics device was lost"), "{error}");
        let mut renderer = Renderer::new(&Gpu::headless().expect("another device"));
        document.upload(&mut renderer);
        wait_for_pages(document, &mut renderer);
        let after = picture(&mut renderer);
        let changed = after.rgb.iter().zip(&before.rgb).map(|(a, b)| a.abs_diff(*b)).filter(|d| *d > 0);
        let (count, most) = changed.fold((0, 0), |(count, most), d| (count + 1, d.max(most)));
        assert!(count == 0, "another picture: {count} of {} values differ, by up to {most}", after.rgb.len());
        renderer
    }

    fn wait_for_pages(document: &mut Document, renderer: &mut Renderer) {
        let begun = Instant::now();
        document.advance(&view(), renderer);
        while document.streaming.as_mut().is_some_and(Streaming::is_waiting) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the pages do not come");
            std::thread::sleep(Duration::from_millis(5));
            document.advance(&view(), renderer);
        }
    }

    #[test]
    fn after_a_lost_device_another_shows_the_same_with_all_that_was_edited() {
        let Some(mut renderer) = renderer() else { return };
        let positions = vec![[-0.9, -0.2, 1.5], [0.9, -0.2, 1.5], [0.0, 0.2, 1.5]];
        let mesh = Mesh { positions, triangles: vec![[0, 1, 2]], ..Mesh::default() };
        let content = Content { cloud: Some(cloud()), mesh: Some(mesh), ..content() };
        let mut document = Document::open(content, &mut renderer);
        let whole = picture(&mut renderer);
        let left = Region::Box([0.0, 0.0], [40.0, 96.0]);
        document.select_region(&view(), &left, Combine::Replace, &mut renderer);
        document.edits.delete();
        let top = Region::Box([0.0, 0.0], [96.0, 30.0]);
        document.select_region(&view(), &top, Combine::Replace, &mut renderer);
        let edited = picture(&mut renderer);
        assert!(edited != whole, "nothing was deleted");
        let mut renderer = is_recovered(&mut document, renderer, &edited);
        while document.edits.undo() {}
        document.mark(&mut renderer);
        assert!(picture(&mut renderer) == whole, "what was deleted can be brought back");
    }

    #[test]
    fn after_a_lost_device_the_pages_of_a_streamed_scene_come_again() {
        let Some(mut renderer) = renderer() else { return };
        let folder = tempfile::tempdir().expect("a folder");
        let tiles = folder.path().join("scene.tiles");
        write_splats(&tiles, &cloud(), false).expect("a streamed scene");
        let manifest = open_manifest(&tiles).expect("a manifest");
        let files = std::sync::Mutex::new(PageFiles::beside(&tiles));
        let pages = manifest.clone();
        let read = move |node| files.lock().expect("files").read(&pages, node).map_err(|error| error.to_string());
        let surroundings = Surroundings::of_splats(&cloud().means);
        let streamed = Streamed { manifest, surroundings, read: Arc::new(read) };
        let mut document = Document::open(Content { streamed: Some(streamed), ..content() }, &mut renderer);
        wait_for_pages(&mut document, &mut renderer);
        let before = picture(&mut renderer);
        assert!(before.rgb.iter().any(|&byte| byte > 100), "nothing is seen");
        is_recovered(&mut document, renderer, &before);
        assert!(document.why_not_edited().is_some_and(|reason| reason.contains("tessera convert test scene.ply")));
    }
}
