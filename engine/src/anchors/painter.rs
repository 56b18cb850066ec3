//! Drawing what anchors become, from anywhere: of each block the anchors in its cell. Where several processes train, each decodes those of
//! its own blocks that a view sees, and rank 0 draws them all: what goes from one to the other is what is in the picture.

use super::crew::Order;
use super::drawing::DrawnSplats;
use super::model::AnchorModel;
use super::sight::seen;
use crate::blocks::Tint;
use crate::exchange::{Contents, Parcel, Ranks};
use crate::render::Painter;
use crate::{Error, Result};
use std::cell::RefCell;
use std::time::Instant;
use tessera_datasets::camera::Similarity;
use tessera_kernels::anchor_decoder::{AnchorDecoder, Decoding, Gaze, Keep};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::{Rasterizer, RenderSettings, Rendering};

/// A block as it is drawn.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// Which block, from 0.
    pub number: usize,
    pub model: &'a AnchorModel,
    /// Of its decoder.
    pub parameters: &'a [f32],
    /// The anchors in its cell.
    pub inside: Vec<u32>,
}

impl Part<'_> {
    /// Adds what a view sees of it.
    fn decode(&self, view: &View, decoding: &mut Decoding, splats: &mut DrawnSplats) {
        let chosen = seen(view, self.model, Some(&self.inside));
        let gaze = Gaze::From(view.position());
        splats.extend(decoding.forward(self.parameters, &self.model.anchors(), &chosen, gaze, Keep::Opaque));
    }
}

/// What a view sees of some blocks, for rank 0.
pub(super) fn decoded(parts: &[Part<'_>], decoding: &mut Decoding, view: &View) -> Vec<u8> {
    let mut parcel = Parcel::default();
    parcel.u64(parts.len() as u64);
    for part in parts {
        let mut splats = DrawnSplats::default();
        part.decode(view, decoding, &mut splats);
        parcel.u64(part.number as u64);
        splats.put(&mut parcel);
    }
    parcel.finish()
}

/// Decodes all blocks for each view.
#[derive(Debug)]
pub(super) struct AnchorPainter<'a> {
    parts: Vec<Part<'a>>,
    /// Of all blocks of the plan.
    tints: &'a [Tint],
    ranks: &'a RefCell<Ranks>,
    scene_from_world: Similarity,
    settings: RenderSettings,
    decoding: Decoding,
    splats: DrawnSplats,
    rasterizer: Rasterizer,
    failure: Option<Error>,
}

impl<'a> AnchorPainter<'a> {
    pub fn new(
        parts: Vec<Part<'a>>,
        tints: &'a [Tint],
        ranks: &'a RefCell<Ranks>,
        decoder: AnchorDecoder,
        scene_from_world: Similarity,
        settings: RenderSettings,
    ) -> Self {
        let (decoding, rasterizer) = (Decoding::new(decoder), Rasterizer::new());
        let (splats, failure) = (DrawnSplats::default(), None);
        Self { parts, tints, ranks, scene_from_world, settings, decoding, splats, rasterizer, failure }
    }

    /// Whether all blocks were in all pictures.
    ///
    /// # Errors
    /// When another rank was lost meanwhile.
    pub fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    /// What a view sees of all blocks, in the order of the plan.
    fn gather(&mut self, view: &View) -> Result<()> {
        let mut ranks = self.ranks.borrow_mut();
        if ranks.size() == 1 {
            for part in &self.parts {
                let before = self.splats.len();
                part.decode(view, &mut self.decoding, &mut self.splats);
                self.splats.tint(before, &self.tints[part.number]);
            }
            return Ok(());
        }
        ranks.tell(&Order::Draw(*view).to_bytes())?;
        let ours = decoded(&self.parts, &mut self.decoding, view);
        let theirs = ranks.collect(Instant::now())?;
        let mut blocks = Vec::new();
        for message in std::iter::once(&ours).chain(&theirs) {
            let mut contents = Contents::new(message);
            for _ in 0..contents.u64()? {
                let number = contents.u64()?;
                let mut splats = DrawnSplats::take(&mut contents)?;
                splats.tint(0, self.tints.get(number as usize).unwrap_or(&[1.0; 3]));
                blocks.push((number, splats));
            }
        }
        blocks.sort_by_key(|(number, _)| *number);
        blocks.into_iter().for_each(|(_, splats)| self.splats.append(splats));
        Ok(())
    }
}

impl Painter for AnchorPainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        &self.scene_from_world
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        self.splats.clear();
        if self.failure.is_none() {
            self.failure = self.gather(view).err();
        }
        self.settings.median_depth = median_depth;
        self.rasterizer.forward(&self.splats.splats(), view, &self.settings)
    }
}
