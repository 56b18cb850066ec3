//! The anchors of a block, with their optimiser.

use super::config::Rates;
use super::voxels::Voxels;
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use tessera_kernels::adam::{self, AdamSettings, Moments};
use tessera_kernels::anchor_decoder::{AnchorDecoder, AnchorGradients, Anchors};

/// `[A, columns]` numbers that are learned.
#[derive(Debug)]
pub(super) struct Tensor {
    pub values: Vec<f32>,
    pub moments: Moments,
    columns: usize,
    /// `[A, columns]`, of the step at hand.
    gradient: Vec<f32>,
}

impl Tensor {
    fn new(values: Vec<f32>, columns: usize) -> Self {
        Self { moments: Moments::zeros(values.len()), columns, gradient: Vec::new(), values }
    }

    /// One step of Adam, counted from 1, down a gradient with a row for each of the `chosen` anchors; that of others is zero.
    fn descend(&mut self, chosen: &[u32], rows: &[f32], rate: f32, step: u64) {
        self.gradient.clear();
        self.gradient.resize(self.values.len(), 0.0);
        for (row, &anchor) in rows.chunks_exact(self.columns).zip(chosen) {
            self.gradient[anchor as usize * self.columns..][..self.columns].copy_from_slice(row);
        }
        adam::step(&mut self.values, &self.gradient, &mut self.moments, &AdamSettings::default(), rate, step);
    }

    fn push(&mut self, row: &[f32]) {
        self.values.extend_from_slice(row);
        self.moments.first.resize(self.values.len(), 0.0);
        self.moments.second.resize(self.values.len(), 0.0);
    }

    fn retain(&mut self, kept: &[bool]) {
        for values in [&mut self.values, &mut self.moments.first, &mut self.moments.second] {
            retain_rows(values, self.columns, kept);
        }
    }

    fn save<'a>(&'a self, name: &str, checkpoint: &mut CheckpointWriter<'a>) {
        let shape = [self.values.len() / self.columns, self.columns];
        checkpoint.f32(name, &shape, &self.values[..]);
        checkpoint.f32(&format!("adam.first.{name}"), &shape, &self.moments.first[..]);
        checkpoint.f32(&format!("adam.second.{name}"), &shape, &self.moments.second[..]);
    }

    fn load(&mut self, name: &str, anchors: usize, checkpoint: &CheckpointReader) -> Result<()> {
        self.values = checkpoint.f32(name)?;
        let (first, second) = (format!("adam.first.{name}"), format!("adam.second.{name}"));
        self.moments = Moments { first: checkpoint.f32(&first)?, second: checkpoint.f32(&second)? };
        let sizes = [self.values.len(), self.moments.first.len(), self.moments.second.len()];
        if sizes == [anchors * self.columns; 3] { Ok(()) } else { Err(checkpoint.unfit(name)) }
    }
}

/// Keeps the rows that are to be kept.
pub(super) fn retain_rows(values: &mut Vec<f32>, columns: usize, kept: &[bool]) {
    let mut to = 0;
    for from in (0..kept.len()).filter(|&row| kept[row]) {
        values.copy_within(from * columns..(from + 1) * columns, to * columns);
        to += 1;
    }
    values.truncate(to * columns);
}

/// The feature with which an anchor of this colour begins.
fn first_feature(decoder: AnchorDecoder, colour: [f32; 3]) -> Vec<f32> {
    let mut feature = vec![0.0; decoder.features];
    feature[..3].copy_from_slice(&colour.map(|c| 2.0 * c - 1.0));
    feature
}

/// The anchors of a block, in scene coordinates. They stay where they are; only what they become moves.
#[derive(Debug)]
pub(super) struct AnchorModel {
    decoder: AnchorDecoder,
    /// `[A, 3]`
    pub positions: Vec<f32>,
    pub offsets: Tensor,
    pub log_scaling: Tensor,
    pub features: Tensor,
}

impl AnchorModel {
    /// An anchor in each voxel. Features begin with the colour there.
    pub fn new(voxels: &Voxels, decoder: AnchorDecoder) -> Self {
        let count = voxels.places.len();
        let features = voxels.colours.iter().flat_map(|&colour| first_feature(decoder, colour)).collect();
        let log_scaling = voxels.spacing().into_iter().flat_map(|distance| [distance.ln(); 6]).collect();
        Self {
            decoder,
            positions: voxels.places.concat(),
            offsets: Tensor::new(vec![0.0; 3 * decoder.offsets * count], 3 * decoder.offsets),
            log_scaling: Tensor::new(log_scaling, 6),
            features: Tensor::new(features, decoder.features),
        }
    }

    /// Number of anchors.
    pub fn len(&self) -> usize {
        self.positions.len() / 3
    }

    /// As kernels take them.
    pub fn anchors(&self) -> Anchors<'_> {
        Anchors {
            positions: &self.positions,
            offsets: &self.offsets.values,
            log_scaling: &self.log_scaling.values,
            features: &self.features.values,
        }
    }

    /// Bytes of an anchor: parameters, two moments, a gradient, and what refinement counts.
    pub fn bytes(decoder: AnchorDecoder) -> usize {
        let learned = 3 * decoder.offsets + 6 + decoder.features;
        4 * (3 + 4 * learned + 2 * decoder.offsets + 2)
    }

    pub fn position(&self, anchor: usize) -> [f32; 3] {
        std::array::from_fn(|c| self.positions[3 * anchor + c])
    }

    /// Where a Gaussian of an anchor is.
    pub fn mean(&self, anchor: usize, gaussian: usize) -> [f32; 3] {
        let at = 3 * (anchor * self.decoder.offsets + gaussian);
        std::array::from_fn(|c| {
            let reach = self.log_scaling.values[6 * anchor + c].exp();
            self.positions[3 * anchor + c] + self.offsets.values[at + c] * reach
        })
    }

    /// How far from an anchor its Gaussians are seen, about.
    pub fn reach(&self, anchor: usize) -> f32 {
        /// Standard deviations at which a Gaussian ends.
        const EXTENT: f32 = 3.0;
        let scaling = &self.log_scaling.values[6 * anchor..][..6];
        let largest = |logs: &[f32]| logs.iter().copied().fold(f32::NEG_INFINITY, f32::max).exp();
        let row = 3 * self.decoder.offsets;
        let offset = self.offsets.values[anchor * row..][..row].iter().fold(0.0f32, |most, o| most.max(o.abs()));
        offset * largest(&scaling[..3]) + EXTENT * largest(&scaling[3..])
    }

    /// One step of Adam, counted from 1.
    pub fn descend(&mut self, chosen: &[u32], gradient: &AnchorGradients, rates: &Rates, step: u64) {
        self.offsets.descend(chosen, &gradient.offsets, rates.offsets, step);
        self.log_scaling.descend(chosen, &gradient.log_scaling, rates.scaling, step);
        self.features.descend(chosen, &gradient.features, rates.features, step);
    }

    /// Adds anchors in these colours that are about `spacing` from each other.
    pub fn add(&mut self, places: &[([f32; 3], [f32; 3])], spacing: f32) {
        for &(place, colour) in places {
            self.push(place, &first_feature(self.decoder, colour), spacing);
        }
    }

    /// Adds an anchor whose Gaussians begin at its place with the size of its voxel.
    pub fn push(&mut self, position: [f32; 3], feature: &[f32], cell: f32) {
        self.positions.extend_from_slice(&position);
        self.offsets.push(&vec![0.0; 3 * self.decoder.offsets]);
        self.log_scaling.push(&[cell.ln(); 6]);
        self.features.push(feature);
    }

    /// Removes the anchors that are not kept.
    pub fn retain(&mut self, kept: &[bool]) {
        retain_rows(&mut self.positions, 3, kept);
        [&mut self.offsets, &mut self.log_scaling, &mut self.features].into_iter().for_each(|t| t.retain(kept));
    }

    /// Hands all tensors to a checkpoint; names begin with `prefix`.
    pub fn save<'a>(&'a self, prefix: &str, checkpoint: &mut CheckpointWriter<'a>) {
        checkpoint.f32(&format!("{prefix}.positions"), &[self.len(), 3], &self.positions[..]);
        self.offsets.save(&format!("{prefix}.offsets"), checkpoint);
        self.log_scaling.save(&format!("{prefix}.log_scaling"), checkpoint);
        self.features.save(&format!("{prefix}.features"), checkpoint);
    }

    /// Takes back what [`AnchorModel::save`] handed over.
    pub fn load(&mut self, prefix: &str, checkpoint: &CheckpointReader) -> Result<()> {
        self.positions = checkpoint.f32(&format!("{prefix}.positions"))?;
        let anchors = self.len();
        self.offsets.load(&format!("{prefix}.offsets"), anchors, checkpoint)?;
        self.log_scaling.load(&format!("{prefix}.log_scaling"), anchors, checkpoint)?;
        self.features.load(&format!("{prefix}.features"), anchors, checkpoint)
    }
}
