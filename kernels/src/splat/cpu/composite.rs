//! Compositing front to back, a tile at a time.
//!
//! For a group of eight pixels and one splat: 2 multiply-adds for the exponent, 9 operations for 2^x, 8 for alpha and
//! transmittance, 3 multiply-adds for colour: about 22 vector operations, 4 loads and 4 stores, all in L1 cache. At two
//! vector operations a cycle that is 11 cycles for eight (splat, pixel) pairs.
//!
//! A finished pixel keeps its transmittance with a minus sign, so the state needs no flag of its own.

use super::tile::{HEIGHT, PIXELS, Plane, TileRect, WIDTH, touched_groups};
use super::tiles::Tiles;
use super::{Record, Shared, TileProgress};
use crate::simd::{Lanes, exp2, flush_denormals};
use crate::splat::{MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, RenderSettings, Rendering};
use rayon::prelude::*;
use tessera_camera::each;

/// Composites every tile into `rendering`.
pub(super) fn composite_all(
    tiles: &Tiles,
    records: &[Record],
    settings: &RenderSettings,
    rendering: &mut Rendering,
    progress: &mut Vec<TileProgress>,
) {
    let picture = Picture {
        stride: rendering.width,
        pixels: rendering.width * rendering.height,
        rgb: Shared::new(&mut rendering.rgb),
        transmittance: Shared::new(&mut rendering.transmittance),
        depth: settings.depth.then(|| Shared::new(&mut rendering.depth)),
        median_depth: settings.median_depth.then(|| Shared::new(&mut rendering.median_depth)),
        background: settings.background,
    };
    let composite = if settings.median_depth {
        composite_with_median
    } else if settings.depth {
        composite_with_depth
    } else {
        composite_colour
    };
    progress.resize(tiles.count(), TileProgress::default());
    progress.par_iter_mut().enumerate().for_each(|(index, progress)| {
        *progress = flush_denormals(|| composite(&tiles.rect(index), tiles.list(index).1, records, &picture));
    });
}

struct Picture {
    stride: usize,
    pixels: usize,
    rgb: Shared<f32>,
    transmittance: Shared<f32>,
    depth: Option<Shared<f32>>,
    median_depth: Option<Shared<f32>>,
    background: [f32; 3],
}

crate::dispatch! {
    fn composite_colour(tile: &TileRect, list: &[u32], records: &[Record], picture: &Picture) -> TileProgress = colour;
    fn composite_with_depth(tile: &TileRect, list: &[u32], records: &[Record], picture: &Picture) -> TileProgress = depth;
    fn composite_with_median(tile: &TileRect, list: &[u32], records: &[Record], picture: &Picture) -> TileProgress = median;
}

#[inline(always)]
fn colour<V: Lanes>(tile: &TileRect, list: &[u32], records: &[Record], picture: &Picture) -> TileProgress {
    composite_tile::<V, false, false>(tile, list, records, picture)
}

#[inline(always)]
fn depth<V: Lanes>(tile: &TileRect, list: &[u32], records: &[Record], picture: &Picture) -> TileProgress {
    composite_tile::<V, true, false>(tile, list, records, picture)
}

#[inline(always)]
fn median<V: Lanes>(tile: &TileRect, list: &[u32], records: &[Record], picture: &Picture) -> TileProgress {
    composite_tile::<V, true, true>(tile, list, records, picture)
}

/// The state of a tile's pixels.
struct State {
    transmittance: Plane,
    rgb: [Plane; 3],
    depth: Plane,
    median_depth: Plane,
}

#[inline(always)]
fn composite_tile<V: Lanes, const DEPTH: bool, const MEDIAN: bool>(
    tile: &TileRect,
    list: &[u32],
    records: &[Record],
    picture: &Picture,
) -> TileProgress {
    let mut state = State {
        transmittance: starting_transmittance(tile),
        rgb: [Plane::ZERO; 3],
        depth: Plane::ZERO,
        median_depth: Plane::ZERO,
    };
    let mut alive = tile.groups();
    let mut alive_groups: u32 = alive.iter().map(|row| row.count_ones()).sum();
    let mut progress = TileProgress::default();
    for &slot in list {
        if alive_groups == 0 {
            break;
        }
        progress.processed += 1;
        let record = &records[slot as usize];
        let touched = touched_groups::<V>(record, tile);
        let splat = Splat::<V>::new(record, tile);
        for row in 0..HEIGHT {
            let mut groups = touched[row] as u32 & alive[row];
            if groups == 0 {
                continue;
            }
            let exponent = splat.row(row);
            while groups != 0 {
                let group = groups.trailing_zeros() as usize;
                groups &= groups - 1;
                progress.groups += 1;
                let finished = blend::<V, DEPTH, MEDIAN>(&splat, &exponent, row * WIDTH + 8 * group, &mut state);
                if finished {
                    alive[row] &= !(1 << group);
                    alive_groups -= 1;
                }
            }
        }
    }
    store(tile, picture, &state);
    progress
}

/// One for pixels in the picture, finished for those beyond its border.
pub(super) fn starting_transmittance(tile: &TileRect) -> Plane {
    let mut plane = Plane([-1.0; PIXELS]);
    for row in 0..tile.height {
        plane.0[row * WIDTH..][..tile.width].fill(1.0);
    }
    plane
}

/// A splat's constants within one tile.
pub(super) struct Splat<V> {
    /// Pixel centres of the first group of a row, relative to the mean.
    first_dx: V,
    a: V,
    b2: f32,
    c: f32,
    log2_opacity: f32,
    /// The first row's centre relative to the mean.
    first_dy: f32,
    pub rgb: [V; 3],
    pub z: V,
}

/// The exponent of alpha along one row: `constant - dx (a dx + b2 dy)`.
pub(super) struct RowExponent<V> {
    pub dy: f32,
    b2_dy: V,
    constant: V,
}

impl<V: Lanes> Splat<V> {
    #[inline(always)]
    pub fn new(record: &Record, tile: &TileRect) -> Self {
        Self {
            first_dx: V::iota() + V::all(tile.x as f32 + 0.5 - record.mean[0]),
            a: V::all(record.a),
            b2: record.b2,
            c: record.c,
            log2_opacity: record.log2_opacity,
            first_dy: tile.y as f32 + 0.5 - record.mean[1],
            rgb: each!(3, |k| V::all(record.rgb[k])),
            z: V::all(record.z),
        }
    }

    #[inline(always)]
    pub fn row(&self, row: usize) -> RowExponent<V> {
        let dy = self.first_dy + row as f32;
        RowExponent { dy, b2_dy: V::all(self.b2 * dy), constant: V::all(self.log2_opacity - self.c * dy * dy) }
    }

    /// Horizontal offsets and log2 of the uncapped alpha of the eight pixels from column `x` on.
    #[inline(always)]
    pub fn log2_alpha(&self, row: &RowExponent<V>, x: usize) -> (V, V) {
        let dx = self.first_dx + V::all(x as f32);
        let slope = self.a.mul_add(dx, row.b2_dy);
        (dx, (-slope).mul_add(dx, row.constant))
    }
}

/// Alpha, zero where it is too little to count.
#[inline(always)]
pub(super) fn alpha_of<V: Lanes>(log2_alpha: V) -> V {
    let counts = V::all(MIN_ALPHA.log2()).le(log2_alpha);
    exp2(log2_alpha.max(V::all(-100.0))).min(V::all(MAX_ALPHA)).masked(counts)
}

/// Blends one splat into eight pixels; true when all of them are finished.
#[inline(always)]
fn blend<V: Lanes, const DEPTH: bool, const MEDIAN: bool>(
    splat: &Splat<V>,
    row: &RowExponent<V>,
    pixel: usize,
    state: &mut State,
) -> bool {
    let (_, log2_alpha) = splat.log2_alpha(row, pixel % WIDTH);
    let alpha = alpha_of(log2_alpha);
    // SAFETY: `pixel` is the first of a group of eight inside the tile.
    unsafe {
        let pointer = state.transmittance.pointer().add(pixel);
        let before = V::load(pointer);
        let weight = alpha * before;
        let after = before - weight;
        let stop = after.lt(V::all(MIN_TRANSMITTANCE));
        let weight = weight.masked(!stop);
        let kept = V::select(stop, before.negative_abs(), after);
        kept.store(pointer);
        for channel in 0..3 {
            let pointer = state.rgb[channel].pointer().add(pixel);
            weight.mul_add(splat.rgb[channel], V::load(pointer)).store(pointer);
        }
        if DEPTH {
            let pointer = state.depth.pointer().add(pixel);
            weight.mul_add(splat.z, V::load(pointer)).store(pointer);
        }
        if MEDIAN {
            let half = V::all(0.5);
            let crosses = half.le(before) & after.lt(half) & !stop;
            let pointer = state.median_depth.pointer().add(pixel);
            V::select(crosses, splat.z, V::load(pointer)).store(pointer);
        }
        V::bits(kept.lt(V::all(0.0))) == 0xff
    }
}

/// Copies a finished tile into the picture, over the background.
#[inline(always)]
fn store(tile: &TileRect, picture: &Picture, state: &State) {
    for row in 0..tile.height {
        let start = (tile.y + row) * picture.stride + tile.x;
        let source = row * WIDTH..row * WIDTH + tile.width;
        // SAFETY: tiles do not overlap, and the rectangle lies within the picture.
        unsafe {
            let t = picture.transmittance.range(start, tile.width);
            for (out, value) in t.iter_mut().zip(&state.transmittance.0[source.clone()]) {
                *out = value.abs();
            }
            for channel in 0..3 {
                let out = picture.rgb.range(channel * picture.pixels + start, tile.width);
                let background = picture.background[channel];
                for ((out, value), t) in out.iter_mut().zip(&state.rgb[channel].0[source.clone()]).zip(&*t) {
                    *out = value + t * background;
                }
            }
            let planes = [(&picture.depth, &state.depth), (&picture.median_depth, &state.median_depth)];
            for (out, plane) in planes {
                if let Some(out) = out {
                    out.range(start, tile.width).copy_from_slice(&plane.0[source.clone()]);
                }
            }
        }
    }
}
