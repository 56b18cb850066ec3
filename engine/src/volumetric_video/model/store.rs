//! Checkpoints, and the Gaussians as data.

use super::VideoModel;
use super::berth::Berth;
use super::waiting::Waiting;
use crate::train::{CheckpointReader, CheckpointWriter};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tessera_datasets::scene::{Place, VolumetricVideo};

impl VideoModel {
    const NAMES: [&'static str; 9] = [
        "means",
        "times",
        "log_scales",
        "log_time_scales",
        "left_quats",
        "right_quats",
        "opacity_logits",
        "sh0",
        "sh_rest",
    ];

    /// All Gaussians as data, berth by berth, those on disk among them. `like` says what the scene is in all else. Harmonics
    /// that have stayed zero are left out.
    ///
    /// # Errors
    /// When those that wait on disk cannot be read.
    pub fn to_video(&self, like: &VolumetricVideo) -> Result<VolumetricVideo> {
        let mut video = like.clone();
        for berth in self.berths() {
            self.add_to(&mut video, &self.records_of(berth)?);
        }
        Ok(video)
    }

    /// Hands over all Gaussians segment by segment as files keep them ([`kept_in`]), in the order of places. Only one segment is
    /// in memory; meanwhile, those of all places wait in a file in `folder`. `like` is as in [`Self::to_video`].
    ///
    /// [`kept_in`]: tessera_datasets::scene::TimeHierarchy::kept_in
    ///
    /// # Errors
    /// When the disk refuses, or `take` fails.
    pub fn each_segment(
        &self,
        like: &VolumetricVideo,
        folder: &Path,
        take: &mut dyn FnMut(Place, &VolumetricVideo) -> Result<()>,
    ) -> Result<()> {
        let words = Self::words(self.sh_degree);
        let mut sorted: Waiting<Place> = Waiting::new(words, folder.to_owned());
        for berth in self.berths() {
            let records = self.records_of(berth)?;
            let mut part = like.clone();
            self.add_to(&mut part, &records);
            let mut by_place: BTreeMap<Place, Vec<f32>> = BTreeMap::new();
            for (i, record) in records.chunks_exact(words).enumerate() {
                // Where it belongs now: it has moved since it was given its berth.
                for place in self.hierarchy.kept_in(part.influence(i)) {
                    by_place.entry(place).or_default().extend_from_slice(record);
                }
            }
            by_place.iter().try_for_each(|(place, records)| sorted.put(*place, records))?;
        }
        for place in sorted.keys() {
            let mut part = like.clone();
            self.add_to(&mut part, &sorted.read(place)?);
            take(place, &part)?;
        }
        Ok(())
    }

    /// All berths that hold Gaussians, in memory or not, in their order.
    fn berths(&self) -> BTreeSet<Berth> {
        self.segments.iter().map(|(berth, _)| *berth).chain(self.waiting.keys()).collect()
    }

    fn add_to(&self, video: &mut VolumetricVideo, records: &[f32]) {
        let rest = self.sh_rest.columns();
        records.chunks_exact(Self::words(self.sh_degree)).for_each(|record| add_record(video, record, rest));
    }

    /// The records of a berth, in memory or not.
    fn records_of(&self, berth: Berth) -> Result<Vec<f32>> {
        let here = self.segments.binary_search_by_key(&berth, |(berth, _)| *berth);
        let mut records = here.map_or_else(|_| Vec::new(), |found| self.records(self.segments[found].1.clone()));
        records.extend(self.waiting.read(berth)?);
        Ok(records)
    }

    /// Hands all tensors to a checkpoint.
    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        for (name, p) in Self::NAMES.into_iter().zip(self.parameters()) {
            let shape = [self.len(), p.columns()];
            let [first, second] = p.moments();
            checkpoint.f32(name, &shape, p.values.as_slice());
            checkpoint.f32(&format!("adam.first.{name}"), &shape, first);
            checkpoint.f32(&format!("adam.second.{name}"), &shape, second);
        }
        checkpoint.u32("adam.ages", &[self.len()], self.ages.as_slice());
        let ends: Vec<u32> = self.segments.iter().map(|(_, rows)| rows.end as u32).collect();
        let berths: Vec<u64> = self.segments.iter().flat_map(|(berth, _)| berth.to_words()).collect();
        checkpoint.u32("segments.ends", &[ends.len()], ends);
        checkpoint.u64("segments.berths", &[self.segments.len(), 4], berths);
        for (number, berth) in self.waiting.keys().enumerate() {
            let count = self.waiting.count(berth) * Self::words(self.sh_degree);
            checkpoint.f32_later(&waiting_name(number), count, move || self.waiting.read(berth));
        }
        let berths: Vec<u64> = self.waiting.keys().flat_map(Berth::to_words).collect();
        checkpoint.u64("waiting.berths", &[berths.len() / 4, 4], berths);
    }

    /// Takes all tensors from a checkpoint.
    ///
    /// # Errors
    /// When a tensor is missing or of another size than the settings say.
    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let damaged = |what: &str| {
            let remedy = "resume with the settings of the first run, or start again with --force";
            Error::setting(format!("the checkpoint's {what} does not fit this run; {remedy}"))
        };
        let rows = checkpoint.shape("opacity_logits").and_then(|s| s.first().copied()).unwrap_or(0);
        for (name, p) in Self::NAMES.into_iter().zip(self.parameters_mut()) {
            let columns = p.columns();
            let names = [name.to_owned(), format!("adam.first.{name}"), format!("adam.second.{name}")];
            for (tensor, plane) in names.into_iter().zip(p.planes()) {
                *plane = checkpoint.f32(&tensor)?;
                if plane.len() != rows * columns {
                    return Err(damaged(name));
                }
            }
        }
        self.ages = checkpoint.u32("adam.ages")?;
        let ends = checkpoint.u32("segments.ends")?;
        let berths = checkpoint.u64("segments.berths")?;
        let ascending = ends.is_sorted() && ends.last().is_none_or(|&end| end as usize == rows);
        if self.ages.len() != rows || berths.len() != 4 * ends.len() || !ascending {
            return Err(damaged("hierarchy"));
        }
        // Gaussians have moved since they were placed, so their places are part of the state.
        let starts = std::iter::once(0).chain(ends.iter().copied());
        self.segments = berths
            .as_chunks::<4>()
            .0
            .iter()
            .zip(starts.zip(&ends))
            .map(|(&berth, (start, &end))| (Berth::of_words(berth), start as usize..end as usize))
            .collect();
        self.waiting.clear();
        for (number, &berth) in checkpoint.u64("waiting.berths")?.as_chunks::<4>().0.iter().enumerate() {
            let records = checkpoint.f32(&waiting_name(number))?;
            if !records.len().is_multiple_of(Self::words(self.sh_degree)) {
                return Err(damaged("waiting segments"));
            }
            self.waiting.put(Berth::of_words(berth), &records)?;
        }
        Ok(())
    }
}

/// The tensor of a checkpoint with the records of a place that waits.
fn waiting_name(number: usize) -> String {
    format!("waiting.{number:06}")
}

/// Adds the Gaussian of a record.
fn add_record(video: &mut VolumetricVideo, record: &[f32], rest: usize) {
    let mut at = 0;
    let mut next = |columns: usize| {
        let values = &record[at..at + columns];
        // Two moments follow.
        at += 3 * columns;
        values
    };
    let three = |values: &[f32]| std::array::from_fn(|k| values[k]);
    let four = |values: &[f32]| std::array::from_fn(|k| values[k]);
    video.means.push(three(next(3)));
    video.times.push(next(1)[0]);
    video.log_scales.push(three(next(3)));
    video.log_time_scales.push(next(1)[0]);
    video.left_quats.push(four(next(4)));
    video.right_quats.push(four(next(4)));
    video.opacity_logits.push(next(1)[0]);
    video.sh0.push(three(next(3)));
    let harmonics = next(rest);
    if harmonics.iter().any(|&c| c != 0.0) {
        video.residual_rows.push(video.sh0.len() as u32 - 1);
        video.residuals.extend_from_slice(harmonics);
    }
}
