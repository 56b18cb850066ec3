//! Decoding on the CPU: tiles of anchors, each of which one thread takes through all three networks.

use super::packed::{Packing, input_width};
use super::{
    AnchorDecoder, AnchorGradients, Anchors, COVARIANCE, GaussianGradients, Gaussians, Gaze, Head, Keep, activate,
};
use crate::mlp::{Activations, BLOCK, Rows, blocks_for};
use crate::simd::flush_denormals;
use rayon::prelude::*;
use std::ops::Range;

/// Anchors that are decoded together: what they leave fits the second-level cache.
const TILE: usize = 256;
/// Gradients of the decoder that are summed apart, whatever the number of threads.
const GROUPS: usize = 16;

/// Decodes anchors and differentiates what came out. Keeps its buffers.
#[derive(Debug)]
pub struct Decoding {
    decoder: AnchorDecoder,
    packing: [Packing; 3],
    weights: [Vec<f32>; 3],
    tiles: Vec<Tile>,
    gaussians: Gaussians,
    /// Of each group.
    sums: Vec<[Vec<f32>; 3]>,
}

/// What some anchors became.
#[derive(Debug, Default)]
struct Tile {
    /// Which of the decoded anchors.
    anchors: Range<usize>,
    /// Which of the Gaussians that are kept.
    kept: Range<usize>,
    /// Of the three networks.
    layers: [Activations; 3],
    /// Their last layers after the activation.
    values: [Vec<f32>; 3],
    part: Gaussians,
}

/// What is decoded.
struct Input<'a> {
    decoder: AnchorDecoder,
    anchors: &'a Anchors<'a>,
    chosen: &'a [u32],
    gaze: Gaze<'a>,
}

impl Decoding {
    /// Gets ready for decoders of this shape.
    pub fn new(decoder: AnchorDecoder) -> Self {
        Self {
            packing: Head::ALL.map(|head| Packing::new(&decoder, head)),
            weights: Default::default(),
            tiles: Vec::new(),
            gaussians: Gaussians::default(),
            sums: Vec::new(),
            decoder,
        }
    }

    /// What the last pass made.
    pub fn gaussians(&self) -> &Gaussians {
        &self.gaussians
    }

    /// Decodes the anchors whose numbers are `chosen`, in this order, with a decoder's `parameters`.
    ///
    /// # Panics
    /// When lengths disagree or an anchor does not exist.
    pub fn forward(
        &mut self,
        parameters: &[f32],
        anchors: &Anchors<'_>,
        chosen: &[u32],
        gaze: Gaze<'_>,
        keep: Keep<'_>,
    ) -> &Gaussians {
        assert_eq!(parameters.len(), self.decoder.parameters(), "parameters of a decoder of this shape");
        for (packing, weights) in self.packing.iter().zip(&mut self.weights) {
            packing.pack(parameters, weights);
        }
        self.tiles.resize_with(chosen.len().div_ceil(TILE), Tile::default);
        let input = Input { decoder: self.decoder, anchors, chosen, gaze };
        input.check();
        let (packing, weights) = (&self.packing, &self.weights);
        self.tiles.par_iter_mut().enumerate().for_each(|(number, tile)| {
            tile.anchors = number * TILE..chosen.len().min((number + 1) * TILE);
            flush_denormals(|| tile.forward(&input, packing, weights, keep));
        });
        self.join(chosen.len());
        &self.gaussians
    }

    /// Puts the parts of all tiles in a row.
    fn join(&mut self, anchors: usize) {
        let all = &mut self.gaussians;
        for field in [&mut all.opacities, &mut all.means, &mut all.scales, &mut all.quats, &mut all.colours] {
            field.clear();
        }
        all.kept.clear();
        all.opacities.reserve(anchors * self.decoder.offsets);
        for Tile { part, kept, .. } in &mut self.tiles {
            *kept = all.kept.len()..all.kept.len() + part.kept.len();
            all.kept.extend_from_slice(&part.kept);
            all.opacities.extend_from_slice(&part.opacities);
            all.means.extend_from_slice(&part.means);
            all.scales.extend_from_slice(&part.scales);
            all.quats.extend_from_slice(&part.quats);
            all.colours.extend_from_slice(&part.colours);
        }
    }

    /// The gradient with respect to all that the last [`Decoding::forward`] was given, which must be given again, overwriting `out`.
    ///
    /// # Panics
    /// When lengths disagree.
    pub fn backward(
        &mut self,
        anchors: &Anchors<'_>,
        chosen: &[u32],
        gaze: Gaze<'_>,
        upstream: &GaussianGradients,
        out: &mut AnchorGradients,
    ) {
        let input = Input { decoder: self.decoder, anchors, chosen, gaze };
        let AnchorDecoder { features, offsets } = self.decoder;
        assert_eq!(upstream.opacities.len(), chosen.len() * offsets, "a gradient for each slot");
        assert_eq!(upstream.means.len(), 3 * self.gaussians.kept.len(), "a gradient for each Gaussian");
        let rows = [
            (&mut out.positions, 3),
            (&mut out.offsets, 3 * offsets),
            (&mut out.log_scaling, 6),
            (&mut out.features, features),
        ];
        for (field, columns) in rows {
            field.clear();
            field.resize(columns * chosen.len(), 0.0);
        }
        let tiles = self.tiles.len().div_ceil(GROUPS).max(1);
        let anchors = tiles * TILE;
        self.sums.resize_with(GROUPS, Default::default);
        let outputs = out
            .positions
            .par_chunks_mut(3 * anchors)
            .zip(out.offsets.par_chunks_mut(3 * offsets * anchors))
            .zip(out.log_scaling.par_chunks_mut(6 * anchors).zip(out.features.par_chunks_mut(features * anchors)));
        let (packing, weights, gaussians) = (&self.packing, &self.weights, &self.gaussians);
        let used = self.tiles.len().div_ceil(tiles);
        self.sums.truncate(used);
        outputs.zip(self.tiles.par_chunks(tiles)).zip(&mut self.sums).for_each(
            |((((positions, offsets), (log_scaling, features)), tiles), sums)| {
                let rows = RowGradients { positions, offsets, log_scaling, features };
                let group = Group { input: &input, packing, weights, gaussians, upstream };
                flush_denormals(|| group.backward(tiles, rows, sums));
            },
        );
        self.add_groups(&mut out.decoder);
    }

    fn add_groups(&self, gradient: &mut Vec<f32>) {
        gradient.clear();
        gradient.resize(self.decoder.parameters(), 0.0);
        for (number, packing) in self.packing.iter().enumerate() {
            let mut all = vec![0.0; packing.mlp.weights()];
            for sums in &self.sums {
                all.iter_mut().zip(&sums[number]).for_each(|(all, sum)| *all += sum);
            }
            packing.unpack(&all, gradient);
        }
    }
}

impl Input<'_> {
    fn check(&self) {
        let (count, AnchorDecoder { features, offsets }) = (self.anchors.positions.len() / 3, self.decoder);
        let Anchors { positions, offsets: places, log_scaling, features: given } = self.anchors;
        let sizes = [positions.len(), places.len(), log_scaling.len(), given.len()];
        assert_eq!(
            sizes,
            [3 * count, 3 * offsets * count, 6 * count, features * count],
            "the tensors of {count} anchors"
        );
        assert!(self.chosen.iter().all(|&a| (a as usize) < count), "an anchor that is not there");
        if let Gaze::Along(directions) = self.gaze {
            assert_eq!(directions.len(), 3 * self.chosen.len(), "a direction for each anchor");
        }
    }

    fn position(&self, i: usize) -> [f32; 3] {
        std::array::from_fn(|k| self.anchors.positions[3 * self.chosen[i] as usize + k])
    }

    /// e to the six logarithms of the anchor's scales.
    fn scaling(&self, i: usize) -> [f32; 6] {
        std::array::from_fn(|k| self.anchors.log_scaling[6 * self.chosen[i] as usize + k].exp())
    }

    fn offset(&self, i: usize, gaussian: usize) -> [f32; 3] {
        let at = 3 * (self.chosen[i] as usize * self.decoder.offsets + gaussian);
        std::array::from_fn(|k| self.anchors.offsets[at + k])
    }

    /// The direction in which the anchor is looked at, and the reciprocal of how far it is.
    fn direction(&self, i: usize) -> ([f32; 3], f32) {
        match self.gaze {
            Gaze::Along(directions) => (std::array::from_fn(|k| directions[3 * i + k]), 0.0),
            Gaze::From(centre) => {
                let x = self.position(i);
                let way: [f32; 3] = std::array::from_fn(|k| x[k] - centre[k]);
                let inverse = way.iter().map(|w| w * w).sum::<f32>().sqrt().max(1e-12).recip();
                (way.map(|w| w * inverse), inverse)
            }
        }
    }
}

impl Tile {
    fn forward(&mut self, input: &Input<'_>, packing: &[Packing; 3], weights: &[Vec<f32>; 3], keep: Keep<'_>) {
        let blocks = blocks_for(self.anchors.len());
        for (packing, layers) in packing.iter().zip(&mut self.layers) {
            packing.mlp.make_room(blocks, layers);
        }
        let [first, others @ ..] = &mut self.layers;
        fill_input(input, self.anchors.clone(), &mut first.layers[0]);
        for other in others {
            other.layers[0].copy_from_slice(&first.layers[0]);
        }
        for ((packing, weights), (layers, values)) in
            packing.iter().zip(weights).zip(self.layers.iter_mut().zip(&mut self.values))
        {
            packing.mlp.forward(weights, layers);
            values.resize(layers.layers[2].len(), 0.0);
        }
        let [opacity, covariance, colour] = &mut self.values;
        let raw = |head: usize| &self.layers[head].layers[2];
        activate::opacity(raw(0), opacity);
        activate::covariance(raw(1), packing[1].rows(), input.decoder.offsets, covariance);
        activate::colour(raw(2), colour);
        self.gather(input, packing, keep);
    }

    /// Writes the Gaussians that are kept one after the other.
    fn gather(&mut self, input: &Input<'_>, packing: &[Packing; 3], keep: Keep<'_>) {
        let (k, first) = (input.decoder.offsets, self.anchors.start);
        let rows = [0, 1, 2].map(|head| Rows::all(packing[head].rows()));
        let part = &mut self.part;
        for field in [&mut part.opacities, &mut part.means, &mut part.scales, &mut part.quats, &mut part.colours] {
            field.clear();
        }
        part.kept.clear();
        for i in 0..self.anchors.len() {
            let at = |gaussian: usize| rows[0].at(i / BLOCK, gaussian) + i % BLOCK;
            part.opacities.extend((0..k).map(|gaussian| self.values[0][at(gaussian)]));
        }
        let slots = (first * k) as u32..(self.anchors.end * k) as u32;
        match keep {
            Keep::Opaque => {
                part.kept.extend(slots.zip(&part.opacities).filter(|(_, o)| **o > 0.0).map(|(slot, _)| slot))
            }
            Keep::Slots(all) => {
                let range = all.partition_point(|s| *s < slots.start)..all.partition_point(|s| *s < slots.end);
                part.kept.extend_from_slice(&all[range]);
            }
        }
        let mut last = (usize::MAX, [0.0; 6], [0.0; 3]);
        for &slot in &part.kept {
            let (i, gaussian) = (slot as usize / k, slot as usize % k);
            if last.0 != i {
                last = (i, input.scaling(i), input.position(i));
            }
            let (_, scaling, position) = last;
            let (block, lane) = ((i - first) / BLOCK, (i - first) % BLOCK);
            let value = |head: usize, row: usize| self.values[head][rows[head].at(block, row) + lane];
            let offset = input.offset(i, gaussian);
            part.means.extend((0..3).map(|c| position[c] + offset[c] * scaling[c]));
            part.scales.extend((0..3).map(|c| scaling[3 + c] * value(1, COVARIANCE * gaussian + c)));
            part.quats.extend((3..COVARIANCE).map(|c| value(1, COVARIANCE * gaussian + c)));
            part.colours.extend((0..3).map(|c| value(2, 3 * gaussian + c)));
        }
    }
}

/// Features, directions and the 1 of the anchors as columns of blocks.
fn fill_input(input: &Input<'_>, anchors: Range<usize>, out: &mut [f32]) {
    let features = input.decoder.features;
    let rows = Rows::all(input_width(&input.decoder));
    out.fill(0.0);
    for (local, i) in anchors.enumerate() {
        let mut put = |row: usize, value: f32| out[rows.at(local / BLOCK, row) + local % BLOCK] = value;
        let given = &input.anchors.features[input.chosen[i] as usize * features..][..features];
        given.iter().enumerate().for_each(|(row, &value)| put(row, value));
        let (direction, _) = input.direction(i);
        direction.into_iter().enumerate().for_each(|(row, value)| put(features + row, value));
        put(features + 3, 1.0);
    }
}

/// Rows of the gradient that belong to the anchors of a group.
struct RowGradients<'a> {
    positions: &'a mut [f32],
    offsets: &'a mut [f32],
    log_scaling: &'a mut [f32],
    features: &'a mut [f32],
}

/// Some tiles on the way back.
struct Group<'a> {
    input: &'a Input<'a>,
    packing: &'a [Packing; 3],
    weights: &'a [Vec<f32>; 3],
    gaussians: &'a Gaussians,
    upstream: &'a GaussianGradients,
}

impl Group<'_> {
    fn backward(&self, tiles: &[Tile], mut rows: RowGradients<'_>, sums: &mut [Vec<f32>; 3]) {
        for (packing, sum) in self.packing.iter().zip(sums.iter_mut()) {
            sum.clear();
            sum.resize(packing.mlp.weights(), 0.0);
        }
        let first = tiles.first().map_or(0, |tile| tile.anchors.start);
        let mut d: [Activations; 3] = Default::default();
        for tile in tiles {
            for (packing, d) in self.packing.iter().zip(&mut d) {
                packing.mlp.make_room(blocks_for(tile.anchors.len()), d);
                d.layers[2].fill(0.0);
            }
            self.scatter(tile, first, &mut rows, &mut d);
            let [opacity, covariance, colour] = &mut d;
            activate::opacity_back(&tile.values[0], &mut opacity.layers[2]);
            let raw = &tile.layers[1].layers[2];
            let (width, gaussians) = (self.packing[1].rows(), self.input.decoder.offsets);
            activate::covariance_back(raw, &tile.values[1], width, gaussians, &mut covariance.layers[2]);
            activate::colour_back(&tile.values[2], &mut colour.layers[2]);
            for (head, packing) in self.packing.iter().enumerate() {
                let (h, d) = (&tile.layers[head], &mut d[head]);
                packing.mlp.back(&self.weights[head], h, d, true);
                packing.mlp.weight_gradient(h, d, &mut sums[head]);
            }
            self.differentiate_input(tile, first, &d, &mut rows);
        }
    }

    /// From the gradients of the Gaussians to those of the last layers' activations, and of what no network makes.
    fn scatter(&self, tile: &Tile, first: usize, rows: &mut RowGradients<'_>, d: &mut [Activations; 3]) {
        let k = self.input.decoder.offsets;
        let planes = [0, 1, 2].map(|head| Rows::all(self.packing[head].rows()));
        let upstream = self.upstream;
        let begin = tile.anchors.start;
        for (at, &v) in (begin * k..).zip(&upstream.opacities[begin * k..tile.anchors.end * k]) {
            let (local, gaussian) = (at / k - begin, at % k);
            d[0].layers[2][planes[0].at(local / BLOCK, gaussian) + local % BLOCK] = v;
        }
        let mut last = (usize::MAX, [0.0; 6]);
        for m in tile.kept.clone() {
            let slot = self.gaussians.kept[m] as usize;
            let (i, gaussian) = (slot / k, slot % k);
            if last.0 != i {
                last = (i, self.input.scaling(i));
            }
            let scaling = last.1;
            let (block, lane) = ((i - begin) / BLOCK, (i - begin) % BLOCK);
            let offset = self.input.offset(i, gaussian);
            let row = i - first;
            for c in 0..3 {
                let v_mean = upstream.means[3 * m + c];
                rows.positions[3 * row + c] += v_mean;
                rows.offsets[3 * (row * k + gaussian) + c] += v_mean * scaling[c];
                rows.log_scaling[6 * row + c] += v_mean * offset[c] * scaling[c];
                let v_scale = upstream.scales[3 * m + c];
                rows.log_scaling[6 * row + 3 + c] += v_scale * self.gaussians.scales[3 * m + c];
                d[1].layers[2][planes[1].at(block, COVARIANCE * gaussian + c) + lane] = v_scale * scaling[3 + c];
                d[2].layers[2][planes[2].at(block, 3 * gaussian + c) + lane] = upstream.colours[3 * m + c];
            }
            for c in 0..4 {
                let at = planes[1].at(block, COVARIANCE * gaussian + 3 + c) + lane;
                d[1].layers[2][at] = upstream.quats[4 * m + c];
            }
        }
    }

    /// From the gradients of the three networks' inputs to those of features and, through directions, of places.
    fn differentiate_input(&self, tile: &Tile, first: usize, d: &[Activations; 3], rows: &mut RowGradients<'_>) {
        let features = self.input.decoder.features;
        let planes = Rows::all(input_width(&self.input.decoder));
        for (local, i) in tile.anchors.clone().enumerate() {
            let v = |row: usize| -> f32 {
                let at = planes.at(local / BLOCK, row) + local % BLOCK;
                d.iter().map(|d| d.layers[0][at]).sum()
            };
            let row = i - first;
            for (column, out) in rows.features[row * features..][..features].iter_mut().enumerate() {
                *out = v(column);
            }
            let (direction, inverse) = self.input.direction(i);
            let v_direction: [f32; 3] = std::array::from_fn(|c| v(features + c));
            let along: f32 = (0..3).map(|c| direction[c] * v_direction[c]).sum();
            for c in 0..3 {
                rows.positions[3 * row + c] += (v_direction[c] - direction[c] * along) * inverse;
            }
        }
    }
}
