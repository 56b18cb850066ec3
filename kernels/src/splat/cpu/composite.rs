//! Compositing front to back, a tile at a time.
//!
//! For a group of eight pixels and one splat: 2 multiply-adds for the exponent, 9 operations for 2^x, 8 for alpha and
//! transmittance, 3 multiply-adds for colour: about 22 vector operations, 4 loads and 4 stores, all in L1 cache. At two
//! vector operations a cycle that is 11 cycles for eight (splat, pixel) pairs.
//!
//! A finished pixel keeps its transmittance with a minus sign, so the state needs no flag of its own.

use super::tile::{Coverage, PIXELS, Plane, TileRect, WIDTH};
use super::tiles::Tiles;
use super::{Record, Shared, TileProgress};
use crate::simd::{Lanes, exp2_fast, flush_denormals};
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
    let mut progress = TileProgress::default();
    for &slot in list {
        if alive == 0 {
            break;
        }
        progress.processed += 1;
        let record = &records[slot as usize];
        let coverage = Coverage::<V>::new(record, tile);
        let splat = Splat { rgb: each!(3, |k| V::all(record.rgb[k])), z: V::all(record.z) };
        let mut groups = coverage.groups & alive;
        progress.groups += groups.count_ones();
        while groups != 0 {
            let group = groups.trailing_zeros() as usize;
            groups &= groups - 1;
            let alpha = alpha_of(coverage.exponent(group).log2_alpha);
            if blend::<V, DEPTH, MEDIAN>(&splat, alpha, 8 * group, &mut state) {
                alive &= !(1 << group);
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

/// What a splat gives to a pixel that it covers fully.
struct Splat<V> {
    rgb: [V; 3],
    z: V,
}

/// Alpha, zero where it is too little to count.
#[inline(always)]
pub(super) fn alpha_of<V: Lanes>(log2_alpha: V) -> V {
    let counts = V::all(MIN_ALPHA.log2()).le(log2_alpha);
    // Far outside the splat the power is not even a number of the right size, but that does not count.
    exp2_fast(log2_alpha).min(V::all(MAX_ALPHA)).masked(counts)
}

/// Blends one splat into eight pixels; true when all of them are finished.
#[inline(always)]
fn blend<V: Lanes, const DEPTH: bool, const MEDIAN: bool>(
    splat: &Splat<V>,
    alpha: V,
    pixel: usize,
    state: &mut State,
) -> bool {
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
