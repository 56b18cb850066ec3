//! Which splats touch which tile, nearest first.
//!
//! Splats are sorted by depth once; walking them in that order and appending each to the lists of its tiles leaves
//! every list sorted. To do so in parallel, the order is cut into fixed chunks, each counts its entries per tile, and
//! a scan turns the counts into places. The result does not depend on the number of threads.

use super::tile::{self, TileRect};
use super::{CHUNK, Record, Shared};
use crate::camera_projection::View;
use crate::sort::RadixSort;
use rayon::prelude::*;

/// Sorted splats in one unit of work.
const SORTED_CHUNK: usize = 2048;

#[derive(Debug, Default)]
pub(super) struct Tiles {
    sort: RadixSort,
    depths: Vec<u32>,
    /// Slots of visible splats, nearest first.
    order: Vec<u32>,
    chunks: Vec<Chunk>,
    /// Start of each tile's list, and the total.
    starts: Vec<u32>,
    /// Slots of the splats of every tile, nearest first.
    lists: Vec<u32>,
    /// Which part of which chunk's `places` belongs to the splat in each slot.
    places: Vec<PlaceRange>,
    picture: (usize, usize),
    across: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    /// Entries per tile, then the next free place in each tile's list.
    counts: Vec<u32>,
    /// The tile of every entry, then the place of every entry in `lists`.
    places: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct PlaceRange {
    chunk: u32,
    start: u32,
    len: u32,
}

impl Tiles {
    /// Sorts the visible splats and lists them for each tile of the picture.
    pub fn build(&mut self, view: &View, records: &mut [Record], visible: &[u32]) {
        self.picture = (view.width, view.height);
        self.across = view.width.div_ceil(tile::WIDTH);
        let tiles = self.across * view.height.div_ceil(tile::HEIGHT);
        self.sort_by_depth(records, visible);

        self.places.resize(records.len(), PlaceRange::default());
        let chunks = self.order.len().div_ceil(SORTED_CHUNK);
        if self.chunks.len() < chunks {
            self.chunks.resize_with(chunks, Chunk::default);
        }
        let places = Shared::new(&mut self.places);
        let across = self.across;
        let order = self.order.as_slice();
        self.chunks[..chunks].par_iter_mut().enumerate().for_each(|(index, chunk)| {
            chunk.counts.clear();
            chunk.counts.resize(tiles, 0);
            chunk.places.clear();
            for &slot in part_of(order, index) {
                let start = chunk.places.len() as u32;
                for_each_tile(&records[slot as usize], across, |tile| {
                    chunk.counts[tile as usize] += 1;
                    chunk.places.push(tile);
                });
                let range = PlaceRange { chunk: index as u32, start, len: chunk.places.len() as u32 - start };
                // SAFETY: a slot stands in the order once.
                unsafe { *places.at(slot as usize) = range };
            }
        });

        self.scan(tiles, chunks);
        let order = self.order.as_slice();
        let lists = Shared::new(&mut self.lists);
        self.chunks[..chunks].par_iter_mut().enumerate().for_each(|(index, chunk)| {
            let mut next = 0;
            for &slot in part_of(order, index) {
                // SAFETY: this chunk wrote the range of its own slots, and only reads it here.
                let len = unsafe { (*places.at(slot as usize)).len };
                for entry in &mut chunk.places[next..next + len as usize] {
                    let place = &mut chunk.counts[*entry as usize];
                    // SAFETY: the scan gave every (chunk, tile) a range of places of its own.
                    unsafe { *lists.at(*place as usize) = slot };
                    *entry = *place;
                    *place += 1;
                }
                next += len as usize;
            }
        });
    }

    fn sort_by_depth(&mut self, records: &[Record], visible: &[u32]) {
        self.depths.clear();
        self.order.clear();
        for (chunk, &n) in visible.iter().enumerate() {
            for slot in chunk * CHUNK..chunk * CHUNK + n as usize {
                // Depths are positive, so their bits sort as they do.
                self.depths.push(records[slot].z.to_bits());
                self.order.push(slot as u32);
            }
        }
        self.sort.sort_pairs(&mut self.depths, &mut self.order, 32);
    }

    /// Turns counts into places: tile after tile, within a tile chunk after chunk.
    fn scan(&mut self, tiles: usize, chunks: usize) {
        self.starts.clear();
        let mut total = 0;
        for tile in 0..tiles {
            self.starts.push(total);
            for chunk in &mut self.chunks[..chunks] {
                let count = std::mem::replace(&mut chunk.counts[tile], total);
                total += count;
            }
        }
        self.starts.push(total);
        self.lists.resize(total as usize, 0);
    }

    pub fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub fn instances(&self) -> usize {
        self.lists.len()
    }

    pub fn rect(&self, tile: usize) -> TileRect {
        TileRect::new(tile, self.across, self.picture)
    }

    /// Where a tile's list starts, and the list.
    pub fn list(&self, tile: usize) -> (usize, &[u32]) {
        let (start, end) = (self.starts[tile] as usize, self.starts[tile + 1] as usize);
        (start, &self.lists[start..end])
    }

    /// The places in the lists at which the splat of a slot stands.
    pub fn places(&self, slot: usize) -> &[u32] {
        let range = self.places[slot];
        &self.chunks[range.chunk as usize].places[range.start as usize..][..range.len as usize]
    }

    pub fn allocated_bytes(&self) -> usize {
        let words: usize = self.chunks.iter().map(|c| c.counts.capacity() + c.places.capacity()).sum();
        4 * (words + self.depths.capacity() + self.order.capacity() + self.lists.capacity())
            + size_of::<PlaceRange>() * self.places.capacity()
    }
}

/// Calls `visit` with every tile in which the splat's alpha reaches 1/255, row of tiles by row of tiles.
#[inline]
fn for_each_tile(record: &Record, across: usize, mut visit: impl FnMut(u32)) {
    let [x0, x1] = record.columns.map(usize::from);
    let [y0, y1] = record.rows.map(usize::from);
    let columns = (x0 / tile::WIDTH, x1 / tile::WIDTH);
    let rows = (y0 / tile::HEIGHT, y1 / tile::HEIGHT);
    if columns.0 == columns.1 || rows.0 == rows.1 {
        for row in rows.0..=rows.1 {
            for column in columns.0..=columns.1 {
                visit((row * across + column) as u32);
            }
        }
        return;
    }
    let mean = record.mean;
    // The rightmost point of the ellipse lies at dy = -steepness * half extent.
    let determinant_over_a = record.narrowing * record.a;
    let half_extent = (record.half_width_squared * record.c / determinant_over_a).max(0.0).sqrt();
    let rightmost_dy = -0.5 * record.b2 / record.c * half_extent;
    for row in rows.0..=rows.1 {
        let top = (row * tile::HEIGHT).max(y0) as f32 + 0.5 - mean[1];
        let bottom = (row * tile::HEIGHT + tile::HEIGHT - 1).min(y1) as f32 + 0.5 - mean[1];
        let span = |dy: f32| {
            let half = (record.half_width_squared - record.narrowing * dy * dy).max(0.0).sqrt();
            (-record.shear * dy - half, -record.shear * dy + half)
        };
        let (a, b) = (span(top), span(bottom));
        let inside = |dy: f32| top <= dy && dy <= bottom;
        let left = if inside(-rightmost_dy) { -half_extent } else { a.0.min(b.0) };
        let right = if inside(rightmost_dy) { half_extent } else { a.1.max(b.1) };
        // A hundredth of a pixel against rounding.
        let first = (mean[0] + left - 0.51).max(x0 as f32) as usize / tile::WIDTH;
        let last = (mean[0] + right - 0.49).min(x1 as f32).max(0.0) as usize / tile::WIDTH;
        for column in first..=last {
            visit((row * across + column) as u32);
        }
    }
}

fn part_of(order: &[u32], chunk: usize) -> &[u32] {
    let start = chunk * SORTED_CHUNK;
    &order[start..(start + SORTED_CHUNK).min(order.len())]
}
