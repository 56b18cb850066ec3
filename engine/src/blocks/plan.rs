//! The plan: which cells there are, and which photos each block is trained on. It follows from the capture and the settings
//! alone, so that everybody who computes it gets the same.

use super::cells::{Cell, Mass, balanced_cells};
use super::config::{BlocksConfig, Division, MAX_BLOCKS};
use super::ground::Ground;
use super::sight::{Sight, points_seen_by};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use tessera_datasets::DataError;
use tessera_datasets::capture::{Capture, Frame, Split};
use tessera_datasets::format::{Existing, write_atomically};

/// The file in a run folder that holds its plan.
pub const PLAN_FILE: &str = "plan.json";
/// What the file says it is; the number grows when its meaning changes.
const FORMAT: &str = "tessera plan 1";
/// Photos for each block when no number of blocks is asked for.
const PHOTOS_A_BLOCK: usize = 60;
/// The part of the scene that maps show and margins are measured by leaves out this share on each side.
const STRAY: f64 = 0.02;

/// A large scene divided into blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// "tessera plan 1".
    pub format: String,
    /// The capture's name.
    pub capture: String,
    /// Photos of the capture.
    pub photos: usize,
    /// The plane in which it is divided, in the capture's world.
    pub ground: Ground,
    /// The corners on the ground, lowest and highest, between which nearly all of the scene lies.
    pub bounds: [[f64; 2]; 2],
    /// The blocks, those that are near each other mostly in a row.
    pub blocks: Vec<Block>,
    /// For each photo the number, from 0, of the block of which it sees most. Photos that see no points are missing: they are
    /// used by no block.
    pub seen_most: BTreeMap<String, usize>,
}

/// A part of the scene that is trained on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What it is there for: its splats are kept here and dropped elsewhere.
    pub cell: Cell,
    /// Sparse points in the cell, about.
    pub points: usize,
    /// The names of the photos that it is trained on.
    pub photos: Vec<String>,
    /// The names of the held-out photos that see more of it than of any other block.
    pub held_out: Vec<String>,
}

impl Plan {
    /// Divides a capture.
    ///
    /// # Errors
    /// When it has no photos to train on or no sparse points, or a block would have no photos.
    pub fn of(capture: &Capture, config: &BlocksConfig) -> Result<Self> {
        config.check()?;
        Self::divide(capture, &config.division, config.splats.test_every)
    }

    /// As [`Plan::of`], of settings that have been checked. Every so many photos are held out, none if it is 0, where the capture
    /// does not say which.
    ///
    /// # Errors
    /// As there.
    pub fn divide(capture: &Capture, division: &Division, test_every: usize) -> Result<Self> {
        let (train, held_out) = capture.split_indices((test_every > 0).then_some(test_every));
        if train.is_empty() {
            let message = "no photos are left to train on; lower --test-every or give the capture more photos";
            return Err(Error::setting(message));
        }
        if capture.points.is_empty() {
            return Err(DataError::new(
                capture.files.root(),
                "has no sparse points, by which blocks know what photos see",
            )
            .remedy("let COLMAP make some, or train it as a whole with --method splats")
            .into());
        }
        let ground = Ground::of(capture);
        let sight = Sight::of(capture, &ground);
        let count = match division.blocks {
            0 => train.len().div_ceil(PHOTOS_A_BLOCK).min(MAX_BLOCKS),
            asked => asked,
        };
        let cells = balanced_cells(&masses(&sight, &train), count);
        let bounds = bounds(&sight);
        let chosen = Chosen::of(&sight, &cells, &bounds, division);
        let names = |photos: &[usize], belongs: &dyn Fn(usize) -> bool| -> Vec<String> {
            let of_block = photos.iter().filter(|&&photo| belongs(photo));
            of_block.map(|&photo| capture.frames[photo].name.clone()).collect()
        };
        let per_place = capture.points.len() as f64 / sight.places.len() as f64;
        let mut blocks = Vec::with_capacity(count);
        for (number, cell) in cells.into_iter().enumerate() {
            let photos = names(&train, &|photo| chosen.is_of(photo, number));
            if photos.is_empty() {
                return Err(Error::setting(format!(
                    "no photo sees block {} of {count}: the {} photos for training are too few for so many blocks; choose \
                     fewer with --blocks",
                    number + 1,
                    train.len()
                )));
            }
            let inside = sight.places.iter().filter(|place| cell.contains(**place)).count();
            let points = (inside as f64 * per_place).round() as usize;
            // A photo of which a block sees a corner says nothing about the block.
            let held_out = names(&held_out, &|photo| chosen.best[photo] == Some(number));
            blocks.push(Block { cell, points, photos, held_out });
        }
        let best = capture.frames.iter().zip(&chosen.best);
        let seen_most = best.filter_map(|(frame, best)| best.map(|block| (frame.name.clone(), block))).collect();
        let (format, photos) = (FORMAT.to_owned(), capture.frames.len());
        Ok(Self { format, capture: capture.name.clone(), photos, ground, bounds, blocks, seen_most })
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// When the file is missing or no plan.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::read(path, &e))?;
        let no_plan = |why: String| Error::file(path, format!("is no plan of blocks ({why})"), "make it anew");
        let plan: Self = serde_json::from_str(&text).map_err(|e| no_plan(e.to_string()))?;
        let is_sound = (1..=MAX_BLOCKS).contains(&plan.blocks.len()) && plan.format == FORMAT;
        if is_sound { Ok(plan) } else { Err(no_plan("it is of another version".to_owned())) }
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_json()?;
        Ok(write_atomically(path, Existing::Replace, |out| out.write_all(text.as_bytes()))?)
    }

    /// The plan as JSON.
    ///
    /// # Errors
    /// When a number in it is none.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| Error::setting(format!("the plan is no JSON: {e}")))
    }

    /// The block whose cell a place in the world lies in.
    pub fn block_at(&self, world: [f64; 3]) -> usize {
        let place = self.ground.place(world).0;
        self.blocks.iter().position(|block| block.cell.contains(place)).unwrap_or(0)
    }

    /// How far, along the ground, a place in the world is from the nearest border between two blocks.
    pub fn distance_to_border(&self, world: [f64; 3]) -> f64 {
        self.blocks[self.block_at(world)].cell.distance_to_neighbours(self.ground.place(world).0)
    }

    /// What a block is trained on: its photos, those held out that see it, and the points that they see.
    ///
    /// # Errors
    /// When the capture does not have a photo of the plan.
    pub fn part(&self, capture: &Capture, block: usize) -> Result<Capture> {
        let numbers: HashMap<&str, usize> =
            capture.frames.iter().enumerate().map(|(i, f)| (f.name.as_str(), i)).collect();
        let Block { photos, held_out, .. } = &self.blocks[block];
        let frames_of = |names: &[String], split: Split| -> Result<Vec<(usize, Frame)>> {
            let frame = |name: &String| {
                let index = numbers.get(name.as_str()).copied().ok_or_else(|| {
                    let reason = format!("does not have the photo {name}, which the plan names");
                    Error::file(capture.files.root(), reason, "start again with --force")
                })?;
                Ok((index, Frame { split: Some(split), ..capture.frames[index].clone() }))
            };
            names.iter().map(frame).collect()
        };
        let train = frames_of(photos, Split::Train)?;
        let seeing: Vec<Frame> = train.iter().map(|(_, frame)| frame.clone()).collect();
        let mut all = train;
        all.extend(frames_of(held_out, Split::Test)?);
        all.sort_by_key(|(index, _)| *index);
        Ok(capture.part(all.into_iter().map(|(_, frame)| frame).collect(), points_seen_by(&seeing, &capture.points)))
    }

    /// How many photos no block uses, because they see no sparse points.
    pub fn unused(&self) -> usize {
        self.photos - self.seen_most.len().min(self.photos)
    }

    /// How often photos are trained on: their number over all blocks by that of the photos.
    pub fn repetition(&self) -> f64 {
        let all: BTreeSet<&String> = self.blocks.iter().flat_map(|block| &block.photos).collect();
        self.blocks.iter().map(|block| block.photos.len()).sum::<usize>() as f64 / all.len().max(1) as f64
    }
}

/// What there is to learn: half of it is photos, where they look, and half of it points.
fn masses(sight: &Sight, photos: &[usize]) -> Vec<Mass> {
    let half = |places: Vec<[f64; 2]>| {
        let amount = 0.5 / places.len().max(1) as f64;
        places.into_iter().map(move |place| Mass { place, amount })
    };
    let footprints = photos.iter().filter_map(|&photo| sight.footprint(photo)).collect();
    half(footprints).chain(half(sight.seen_places().collect())).collect()
}

/// Between which corners nearly all of the places lie.
fn bounds(sight: &Sight) -> [[f64; 2]; 2] {
    let quantile = |axis: usize, share: f64| {
        let mut values: Vec<f64> = sight.places.iter().map(|place| place[axis]).collect();
        let index = (share * (values.len() - 1) as f64).round() as usize;
        *values.select_nth_unstable_by(index, f64::total_cmp).1
    };
    [STRAY, 1.0 - STRAY].map(|share| [0, 1].map(|axis| quantile(axis, share)))
}

/// Which photos belong to which blocks.
struct Chosen {
    /// For each photo, the share of what it sees that lies in each block's widened cell.
    shares: Vec<Vec<f64>>,
    /// For each block, the share from which on a photo belongs to it.
    needed: Vec<f64>,
    /// For each photo, the block of which it sees most.
    best: Vec<Option<usize>>,
}

impl Chosen {
    fn of(sight: &Sight, cells: &[Cell], bounds: &[[f64; 2]; 2], division: &Division) -> Self {
        let margin = |cell: &Cell| {
            let [low, high] = cell.within(*bounds);
            [0, 1].map(|axis| division.overlap * (high[axis] - low[axis]).max(0.0))
        };
        let widened: Vec<_> = cells.iter().map(|cell| (cell, margin(cell))).collect();
        let blocks_at = |place: &[f64; 2]| -> Vec<usize> {
            let holds = |(_, (cell, margin)): &(usize, &(&Cell, [f64; 2]))| cell.contains_widened(*place, *margin);
            widened.iter().enumerate().filter(holds).map(|(block, _)| block).collect()
        };
        let blocks: Vec<Vec<usize>> = sight.places.iter().map(blocks_at).collect();
        let shares: Vec<Vec<f64>> = sight
            .seen
            .iter()
            .map(|seen| {
                let mut counts = vec![0.0; cells.len()];
                seen.iter().flat_map(|&i| &blocks[i as usize]).for_each(|&block| counts[block] += 1.0);
                counts.into_iter().map(|count| count / seen.len().max(1) as f64).collect()
            })
            .collect();
        let most = |block: usize| shares.iter().map(|shares| shares[block]).fold(0.0, f64::max);
        // Of a small block every photo may show much else: then those count that show it best.
        let needed = (0..cells.len()).map(|block| division.min_share.min(0.5 * most(block))).collect();
        let best = |shares: &Vec<f64>| {
            let best = (0..cells.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b]).then(b.cmp(&a)));
            best.filter(|&block| shares[block] > 0.0)
        };
        let best = shares.iter().map(best).collect();
        Self { shares, needed, best }
    }

    fn is_of(&self, photo: usize, block: usize) -> bool {
        let share = self.shares[photo][block];
        self.best[photo] == Some(block) || (share > 0.0 && share >= self.needed[block])
    }
}
