//! Where anchors are added, and which are removed.

use super::config::AnchorsConfig;
use super::model::{AnchorModel, retain_rows};
use super::sky::FarAway;
use super::voxels::{middle, voxel_at};
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use rand::RngExt;
use rand_pcg::Pcg64;
use std::collections::HashSet;
use tessera_kernels::anchor_decoder::Gaussians;

/// Levels of voxels in which anchors are added, from coarse to fine.
const LEVELS: i32 = 3;
/// Voxels of the first level have so many times the side of those of the last.
const COARSEST: f32 = 16.0;
/// From level to level voxels are so many times smaller.
const FINER: f32 = 4.0;
/// Share of an interval's steps in which an anchor must have been seen before it is judged.
const SEEN_SHARE: f64 = 0.8;
/// Of that, what suffices for a Gaussian to have an anchor grow.
const GAUSSIAN_SHARE: f64 = 0.5;

/// What statistics are called in a checkpoint.
const NAMES: [&str; 4] = ["gradients", "counts", "opacities", "seen"];

/// What has been seen of a block's anchors since they were last judged.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    /// `[A, k]`, sum of the lengths of gradients by the projected mean, in halves of the picture.
    gradients: Vec<f32>,
    /// `[A, k]`, in how many steps.
    counts: Vec<f32>,
    /// `[A]`, sum of the opacities of all Gaussians.
    opacities: Vec<f32>,
    /// `[A]`, in how many steps the anchor was decoded.
    seen: Vec<f32>,
}

/// A place where an anchor is to be.
struct Seedling {
    voxel: [i32; 3],
    gradient: f32,
    parent: usize,
}

impl Statistics {
    /// Nothing seen of so many anchors with `k` Gaussians each.
    pub fn resize(&mut self, anchors: usize, k: usize) {
        self.gradients.resize(anchors * k, 0.0);
        self.counts.resize(anchors * k, 0.0);
        self.opacities.resize(anchors, 0.0);
        self.seen.resize(anchors, 0.0);
    }

    /// Adds what one step saw of the `chosen` anchors: `norms` are the lengths of gradients in pixels, `drawn` the Gaussians that
    /// were in the picture, and `pixels` is half of its longer side.
    pub fn observe(
        &mut self,
        chosen: &[u32],
        made: &Gaussians,
        norms: &[f32],
        drawn: impl Iterator<Item = usize>,
        pixels: f32,
    ) {
        let k = made.opacities.len() / chosen.len().max(1);
        for (&anchor, opacities) in chosen.iter().zip(made.opacities.chunks_exact(k.max(1))) {
            self.seen[anchor as usize] += 1.0;
            self.opacities[anchor as usize] += opacities.iter().map(|o| o.max(0.0)).sum::<f32>();
        }
        for gaussian in drawn {
            let slot = made.kept[gaussian] as usize;
            let at = chosen[slot / k] as usize * k + slot % k;
            self.gradients[at] += pixels * norms[gaussian];
            self.counts[at] += 1.0;
        }
    }

    /// Whether anchors are added and removed after `done` steps of a block.
    pub fn is_due(config: &AnchorsConfig, done: u64) -> bool {
        let share = done as f64 / config.steps as f64;
        done.is_multiple_of(config.refine_interval()) && share >= config.grow_from && share <= config.grow_until
    }

    /// All that is counted.
    pub fn fields(&self) -> [&Vec<f32>; 4] {
        [&self.gradients, &self.counts, &self.opacities, &self.seen]
    }

    /// The same, to be changed.
    pub fn fields_mut(&mut self) -> [&mut Vec<f32>; 4] {
        [&mut self.gradients, &mut self.counts, &mut self.opacities, &mut self.seen]
    }

    /// Adds and removes anchors after `done` steps of the block number `block`, if it is time to. `smallest` is the side of the smallest
    /// voxels, and nothing grows in the sky.
    pub fn refine(
        &mut self,
        model: &mut AnchorModel,
        config: &AnchorsConfig,
        (smallest, sky): (f32, Option<&FarAway>),
        block: usize,
        done: u64,
    ) {
        if !Self::is_due(config, done) {
            return;
        }
        let interval = config.refine_interval();
        let stream = (block as u128) << 64 | u128::from(done);
        let mut rng = Pcg64::new(u128::from(config.seed), stream);
        let judged = (SEEN_SHARE * interval as f64) as f32;
        let before = model.len();
        self.grow(model, config, (smallest, sky), judged * GAUSSIAN_SHARE as f32, &mut rng);
        let added = model.len() - before;
        self.prune(model, config, judged);
        tracing::debug!(block, done, added, removed = before + added - model.len(), anchors = model.len());
    }

    /// Adds anchors in voxels that have none, where Gaussians have large gradients.
    fn grow(
        &mut self,
        model: &mut AnchorModel,
        config: &AnchorsConfig,
        (smallest, sky): (f32, Option<&FarAway>),
        needed: f32,
        rng: &mut Pcg64,
    ) {
        let k = config.offsets;
        let mean: Vec<Option<f32>> =
            self.gradients.iter().zip(&self.counts).map(|(sum, n)| (*n > needed).then(|| sum / n)).collect();
        for level in 0..LEVELS {
            let threshold = config.grow_threshold * (0.5 * FINER).powi(level);
            let side = smallest * COARSEST / FINER.powi(level);
            let skipped = 0.5f32.powi(level + 1);
            let occupied: HashSet<[i32; 3]> = (0..model.len()).map(|a| voxel_at(model.position(a), side)).collect();
            let mut seedlings: Vec<Seedling> = Vec::new();
            for (slot, gradient) in mean.iter().enumerate().filter_map(|(slot, g)| Some((slot, (*g)?))) {
                if gradient < threshold || rng.random_range(0.0f32..1.0) <= skipped {
                    continue;
                }
                let parent = slot / k;
                if sky.is_some_and(|sky| sky.has(model.position(parent))) {
                    continue;
                }
                let voxel = voxel_at(model.mean(parent, slot % k), side);
                if !occupied.contains(&voxel) {
                    seedlings.push(Seedling { voxel, gradient, parent });
                }
            }
            plant(model, seedlings, side, config.max_anchors, config.features);
        }
        for (at, judged) in mean.iter().enumerate() {
            if judged.is_some() {
                (self.gradients[at], self.counts[at]) = (0.0, 0.0);
            }
        }
        self.resize(model.len(), k);
    }

    /// Removes anchors that are transparent.
    fn prune(&mut self, model: &mut AnchorModel, config: &AnchorsConfig, needed: f32) {
        let mut kept = vec![true; model.len()];
        for (anchor, kept) in kept.iter_mut().enumerate() {
            if self.seen[anchor] <= needed {
                continue;
            }
            *kept = self.opacities[anchor] >= config.min_opacity * self.seen[anchor];
            (self.opacities[anchor], self.seen[anchor]) = (0.0, 0.0);
        }
        // A block without anchors could never have any again.
        if !kept.contains(&true) {
            return;
        }
        model.retain(&kept);
        for (values, columns) in [
            (&mut self.gradients, config.offsets),
            (&mut self.counts, config.offsets),
            (&mut self.opacities, 1),
            (&mut self.seen, 1),
        ] {
            retain_rows(values, columns, &kept);
        }
    }

    /// Hands all over to a checkpoint.
    pub fn save<'a>(&'a self, prefix: &str, checkpoint: &mut CheckpointWriter<'a>) {
        for (name, values) in NAMES.into_iter().zip(self.fields()) {
            checkpoint.f32(&format!("{prefix}.{name}"), &[values.len()], &values[..]);
        }
    }

    /// Takes back what was saved of `anchors` anchors with `k` Gaussians each.
    pub fn load(&mut self, prefix: &str, anchors: usize, k: usize, checkpoint: &CheckpointReader) -> Result<()> {
        let lengths = [anchors * k, anchors * k, anchors, anchors];
        for ((name, values), len) in NAMES.into_iter().zip(self.fields_mut()).zip(lengths) {
            let name = format!("{prefix}.{name}");
            *values = checkpoint.f32(&name)?;
            if values.len() != len {
                return Err(checkpoint.unfit(&name));
            }
        }
        Ok(())
    }
}

/// One anchor for each voxel, as long as there is room; those with the largest gradients first. Its feature has the largest numbers
/// of those whose Gaussians lie there.
fn plant(model: &mut AnchorModel, mut seedlings: Vec<Seedling>, side: f32, most: usize, features: usize) {
    // Stable, so that parents stay in order.
    seedlings.sort_by_key(|seedling| seedling.voxel);
    let mut voxels: Vec<(f32, &[Seedling])> = seedlings
        .chunk_by(|a, b| a.voxel == b.voxel)
        .map(|group| (group.iter().map(|seedling| seedling.gradient).fold(0.0, f32::max), group))
        .collect();
    let room = most.saturating_sub(model.len());
    if voxels.len() > room {
        voxels.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1[0].voxel.cmp(&b.1[0].voxel)));
        voxels.truncate(room);
    }
    for (_, group) in voxels {
        let mut feature = vec![f32::NEG_INFINITY; features];
        for Seedling { parent, .. } in group {
            let of_parent = &model.features.values[parent * features..][..features];
            feature.iter_mut().zip(of_parent).for_each(|(most, value)| *most = most.max(*value));
        }
        model.push(middle(group[0].voxel, side), &feature, side);
    }
}

#[cfg(test)]
mod tests {
    use super::super::voxels::Voxels;
    use super::*;
    use rand::SeedableRng;

    fn model(places: &[[f32; 3]]) -> (AnchorModel, Statistics, AnchorsConfig) {
        let config = AnchorsConfig { steps: 100, features: 4, offsets: 1, ..AnchorsConfig::default() };
        let voxels = Voxels { cell: 0.1, places: places.to_vec(), colours: vec![[0.5; 3]; places.len()] };
        let mut model = AnchorModel::new(&voxels, config.decoder());
        model.log_scaling.values.fill(0.0);
        let mut statistics = Statistics::default();
        statistics.resize(model.len(), 1);
        (model, statistics, config)
    }

    #[test]
    fn anchors_grow_where_gradients_are_large_and_nothing_stands() {
        let (mut model, mut statistics, config) = model(&[[0.0; 3], [5.0, 0.0, 0.0]]);
        // One Gaussian each, 2.3 beside its anchor.
        model.offsets.values = vec![0.0, 2.3, 0.0, 0.0, 2.3, 0.0];
        (statistics.counts, statistics.seen) = (vec![100.0; 2], vec![100.0; 2]);
        (statistics.opacities, statistics.gradients) = (vec![50.0; 2], vec![1.0, 0.0]);
        let mut grown = 0;
        for seed in 0..8 {
            let mut rng = Pcg64::seed_from_u64(seed);
            statistics.gradients[0] = 1.0;
            statistics.counts[0] = 100.0;
            statistics.grow(&mut model, &config, (0.1, None), 2.0, &mut rng);
            grown = model.len() - 2;
        }
        assert!((1..=3).contains(&grown), "{grown} anchors, of one for each level of voxels at most");
        for anchor in 2..model.len() {
            let [x, y, z] = model.position(anchor);
            assert!(x.abs() < 0.9 && (y - 2.3).abs() < 0.9 && z.abs() < 0.9, "an anchor at {:?}", [x, y, z]);
        }
    }

    #[test]
    fn transparent_anchors_are_removed_once_they_have_been_seen_enough() {
        let (mut model, mut statistics, config) = model(&[[0.0; 3], [1.0; 3], [2.0; 3]]);
        statistics.seen = vec![50.0, 50.0, 1.0];
        statistics.opacities = vec![0.1, 20.0, 0.0];
        statistics.prune(&mut model, &config, 4.0);
        assert_eq!(model.positions, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!((statistics.seen, statistics.opacities), (vec![0.0, 1.0], vec![0.0; 2]));
    }
}
