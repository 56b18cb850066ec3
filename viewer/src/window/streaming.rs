//! The open scene when it is streamed: a thread reads and decodes pages, the window shows them as they come.

use super::content::{ReadPage, Streamed};
use crate::renderer::{Renderer, View};
use crate::streamed::{DecodedPage, StreamedScene};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;
use tessera_datasets::format::tiles::Manifest;
use tessera_datasets::scene::tile_tree::{CutLimits, StreamLimits};

/// A page that was asked for.
type Reply = (u32, Result<DecodedPage, String>);

/// A streamed scene in a window.
#[derive(Debug)]
pub struct Streaming {
    scene: StreamedScene,
    requests: Sender<u32>,
    replies: Receiver<Reply>,
    /// Replies that were seen and not yet taken.
    waiting: Vec<Reply>,
    begin: Instant,
}

impl Streaming {
    /// Begins to read a scene. The thread ends when this is dropped.
    pub fn open(streamed: &Streamed, renderer: &Renderer) -> Self {
        let (requests, asked) = channel();
        let (answer, replies) = channel();
        let (manifest, read) = (streamed.manifest.clone(), streamed.read.clone());
        std::thread::spawn(move || serve(&manifest, &read, &asked, &answer));
        let scene = StreamedScene::new(streamed.manifest.clone(), limits(renderer));
        Self { scene, requests, replies, waiting: Vec::new(), begin: Instant::now() }
    }

    /// Chooses what to draw for a view, shows what has come and asks for what is missing.
    pub fn advance(&mut self, view: &View, renderer: &mut Renderer) {
        let now = self.begin.elapsed().as_secs_f64();
        self.is_news();
        for (node, page) in self.waiting.drain(..) {
            // A page that fails is asked for again, and counted as a problem in the end.
            if let Err(reason) = self.scene.decoded(node, page, now, renderer) {
                tracing::warn!("page {node}: {reason}");
            }
        }
        self.scene.update(view, renderer);
        while let Some(fetch) = self.scene.next_fetch(now, renderer) {
            if self.requests.send(fetch.node).is_err() {
                break;
            }
        }
    }

    /// Whether pages have come that are not shown yet.
    pub fn is_news(&mut self) -> bool {
        self.waiting.extend(self.replies.try_iter());
        !self.waiting.is_empty()
    }

    /// Whether a page that failed may be asked for again.
    pub fn is_retry_due(&mut self) -> bool {
        let now = self.begin.elapsed().as_secs_f64();
        self.scene.stream().next_retry().is_some_and(|at| at <= now)
    }

    /// Whether the last view is still waiting for pages.
    pub fn is_waiting(&mut self) -> bool {
        !self.scene.stream().is_complete()
    }

    /// What may be drawn.
    pub fn limits(&mut self) -> CutLimits {
        self.scene.stream().limits().cut
    }

    /// Changes what may be drawn; twice as much is kept.
    pub fn set_limits(&mut self, cut: CutLimits) {
        let limits = *self.scene.stream().limits();
        self.scene.stream().set_limits(StreamLimits { cut, cached_splats: kept(&cut), ..limits });
    }

    /// How much of the scene is shown, in a line.
    pub fn status(&mut self) -> String {
        let total = self.scene.manifest().header.count;
        let stream = self.scene.stream();
        let (needed, there) = stream.progress();
        format!("{} of {total} splats, {there} of {needed} pages", stream.cut_splats())
    }

    /// Pages that were lost since this was asked last, in words.
    pub fn take_problem(&mut self) -> Option<String> {
        let problems = self.scene.take_problems();
        let last = problems.last()?;
        Some(format!("{} pages cannot be shown; page {}: {}", problems.len(), last.node, last.reason))
    }

    /// Takes everything off the device.
    pub fn close(self, renderer: &mut Renderer) {
        self.scene.clear(renderer);
    }
}

/// Reads pages until nobody asks any more.
fn serve(manifest: &Manifest, read: &ReadPage, asked: &Receiver<u32>, answer: &Sender<Reply>) {
    for node in asked {
        let page = read(node).and_then(|bytes| DecodedPage::new(manifest, node, &bytes));
        if answer.send((node, page)).is_err() {
            return;
        }
    }
}

/// What a device draws at a usable rate.
fn limits(renderer: &Renderer) -> StreamLimits {
    let limits = StreamLimits::default();
    if !renderer.gpu().is_software() {
        return limits;
    }
    let cut = CutLimits { splats: 250_000, screen_error: 2.0 };
    StreamLimits { cut, cached_splats: kept(&cut), ..limits }
}

fn kept(cut: &CutLimits) -> u64 {
    (2 * cut.splats).max(1 << 20)
}
