//! The scene that is open: on the processor, on the graphics device, and what has been done to it.

use super::content::{Content, Photo};
use super::edits::{Combine, Edits};
use super::selection::{Region, in_region};
use super::streaming::Streaming;
use crate::ViewerError;
use crate::renderer::{MAX_PAGE, MeshData, Page, PageId, Renderer, SurfaceId, View};
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
    pages: Vec<PageId>,
    mesh: Option<SurfaceId>,
}

impl Document {
    /// Hands a scene to the renderer. What does not fit is left out and complained about.
    pub fn open(content: Content, renderer: &mut Renderer) -> Self {
        let splats = content.cloud.as_ref().map_or(0, SplatCloud::len);
        let edits = Edits::new(splats);
        let mut document = Self { content, edits, complaint: None, streaming: None, pages: Vec::new(), mesh: None };
        document.upload(renderer);
        document
    }

    /// Hands everything over again: the device is a new one.
    pub fn upload(&mut self, renderer: &mut Renderer) {
        self.pages.clear();
        self.mesh = None;
        if let Err(error) = self.try_upload(renderer) {
            self.complaint = Some(format!("only a part is shown: {error}"));
        }
        self.streaming = self.content.streamed.as_ref().map(|streamed| Streaming::open(streamed, renderer));
        self.mark(renderer);
    }

    /// The box around everything; of a streamed scene, around what is not there yet as well.
    pub fn bounds(&self, renderer: &Renderer) -> Option<[[f32; 3]; 2]> {
        let Some(streamed) = &self.content.streamed else { return renderer.bounds() };
        let root = &streamed.manifest.tree.node(0).bounds;
        Some([root.low, root.high])
    }

    /// Shows the pages that a view needs, as far as they have come.
    pub fn advance(&mut self, view: &View, renderer: &mut Renderer) {
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
        if let Some(streaming) = self.streaming.take() {
            streaming.close(renderer);
        }
    }

    /// Replaces the splats, as a training goes on. Edits are forgotten.
    pub fn replace_splats(&mut self, cloud: SplatCloud, renderer: &mut Renderer) {
        self.pages.drain(..).for_each(|page| renderer.remove_page(page));
        self.edits = Edits::new(cloud.len());
        self.content.cloud = Some(cloud);
        self.complaint = None;
        if let Some(mesh) = self.mesh.take() {
            renderer.remove_mesh(mesh);
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
