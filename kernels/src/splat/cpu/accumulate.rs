//! The backward pass over pixels: a tile at a time, front to back again.
//!
//! With `D_i = v · c_i` the colour's share of the gradient, `Q_i = Σ_{j>i} w_j D_j + T_final (v · background - v_alpha)`
//! what lies behind splat `i`, `∂L/∂alpha_i = T_i D_i - Q_i / (1 - alpha_i)`. Since Σ over all splats is known from the
//! picture, going front to back needs one running value for each pixel and nothing stored by the forward pass.
//!
//! With `s = alpha ∂L/∂alpha`, every geometric gradient is a combination of Σ s, Σ s dx, Σ s dy, Σ s dx², Σ s dx dy and
//! Σ s dy². About 40 vector operations for eight (splat, pixel) pairs, 20 cycles.

use super::composite::{alpha_of, starting_transmittance};
use super::tile::{Coverage, Exponent, Plane, TileRect};
use super::{Composited, Record, Shared, TileSums};
use crate::simd::{Lanes, flush_denormals};
use crate::splat::{MAX_ALPHA, MIN_TRANSMITTANCE, Rendering, RenderingGradient};
use rayon::prelude::*;
use tessera_camera::each;

/// Fills `sums`, one for every entry of the tiles' lists.
pub(super) fn accumulate_all(
    composited: &Composited<'_>,
    rendering: &Rendering,
    gradient: &RenderingGradient<'_>,
    sums: &mut Vec<TileSums>,
) {
    let tiles = composited.tiles;
    sums.resize(tiles.instances(), TileSums::default());
    let sums = Shared::new(sums);
    let accumulate = if gradient.depth.is_some() { accumulate_with_depth } else { accumulate_colour };
    (0..tiles.count()).into_par_iter().for_each(|index| {
        let (start, list) = tiles.list(index);
        // SAFETY: the lists of different tiles occupy different places.
        let sums = unsafe { sums.range(start, list.len()) };
        let processed = composited.progress[index].processed as usize;
        sums[processed..].fill(TileSums::default());
        let tile = tiles.rect(index);
        flush_denormals(|| accumulate(&tile, &list[..processed], composited.records, rendering, gradient, sums));
    });
}

crate::dispatch! {
    fn accumulate_colour(
        tile: &TileRect, list: &[u32], records: &[Record], rendering: &Rendering, gradient: &RenderingGradient<'_>,
        sums: &mut [TileSums],
    ) = colour;
    fn accumulate_with_depth(
        tile: &TileRect, list: &[u32], records: &[Record], rendering: &Rendering, gradient: &RenderingGradient<'_>,
        sums: &mut [TileSums],
    ) = depth;
}

#[inline(always)]
fn colour<V: Lanes>(
    tile: &TileRect,
    list: &[u32],
    records: &[Record],
    rendering: &Rendering,
    gradient: &RenderingGradient<'_>,
    sums: &mut [TileSums],
) {
    accumulate_tile::<V, false>(tile, list, records, &mut State::new(tile, rendering, gradient), sums);
}

#[inline(always)]
fn depth<V: Lanes>(
    tile: &TileRect,
    list: &[u32],
    records: &[Record],
    rendering: &Rendering,
    gradient: &RenderingGradient<'_>,
    sums: &mut [TileSums],
) {
    accumulate_tile::<V, true>(tile, list, records, &mut State::new(tile, rendering, gradient), sums);
}

/// The state of a tile's pixels.
struct State {
    transmittance: Plane,
    /// Q: what lies behind the splats so far.
    behind: Plane,
    v_rgb: [Plane; 3],
    v_depth: Plane,
    score: Plane,
}

impl State {
    #[inline(always)]
    fn new(tile: &TileRect, rendering: &Rendering, gradient: &RenderingGradient<'_>) -> Self {
        let stride = rendering.width;
        let pixels = stride * rendering.height;
        let mut state = Self {
            transmittance: starting_transmittance(tile),
            behind: Plane::ZERO,
            v_rgb: [Plane::ZERO; 3],
            v_depth: Plane::ZERO,
            score: Plane::ZERO,
        };
        let mut staged = Plane::ZERO;
        for channel in 0..3 {
            tile.load(&gradient.rgb[channel * pixels..][..pixels], stride, &mut state.v_rgb[channel]);
            tile.load(&rendering.rgb[channel * pixels..][..pixels], stride, &mut staged);
            add_product(&mut state.behind, &state.v_rgb[channel], &staged, 1.0);
        }
        if let Some(v_depth) = gradient.depth {
            tile.load(v_depth, stride, &mut state.v_depth);
            tile.load(&rendering.depth, stride, &mut staged);
            add_product(&mut state.behind, &state.v_depth, &staged, 1.0);
        }
        if let Some(v_alpha) = gradient.alpha {
            let mut final_transmittance = Plane::ZERO;
            tile.load(v_alpha, stride, &mut staged);
            tile.load(&rendering.transmittance, stride, &mut final_transmittance);
            add_product(&mut state.behind, &final_transmittance, &staged, -1.0);
        }
        if let Some(score) = gradient.score {
            tile.load(score, stride, &mut state.score);
        }
        state
    }
}

/// `sum += sign * a * b`
#[inline(always)]
fn add_product(sum: &mut Plane, a: &Plane, b: &Plane, sign: f32) {
    for ((sum, a), b) in sum.0.iter_mut().zip(&a.0).zip(&b.0) {
        *sum += sign * a * b;
    }
}

#[inline(always)]
fn accumulate_tile<V: Lanes, const DEPTH: bool>(
    tile: &TileRect,
    list: &[u32],
    records: &[Record],
    state: &mut State,
    sums: &mut [TileSums],
) {
    let mut alive = tile.groups();
    for (&slot, out) in list.iter().zip(sums) {
        let record = &records[slot as usize];
        let coverage = Coverage::<V>::new(record, tile);
        let splat = Splat { rgb: each!(3, |k| V::all(record.rgb[k])), z: V::all(record.z) };
        let mut total = Total::<V>::zero();
        let mut groups = coverage.groups & alive;
        while groups != 0 {
            let group = groups.trailing_zeros() as usize;
            groups &= groups - 1;
            if differentiate::<V, DEPTH>(&splat, &coverage.exponent(group), 8 * group, state, &mut total) {
                alive &= !(1 << group);
            }
        }
        *out = total.reduce();
    }
}

/// A splat's constants.
struct Splat<V> {
    rgb: [V; 3],
    z: V,
}

/// Sums over a tile, still one for each lane.
struct Total<V> {
    s: V,
    s_dx: V,
    s_dy: V,
    s_dx_dx: V,
    s_dx_dy: V,
    s_dy_dy: V,
    rgb: [V; 3],
    z: V,
    score: V,
}

impl<V: Lanes> Total<V> {
    #[inline(always)]
    fn zero() -> Self {
        let zero = V::all(0.0);
        Self {
            s: zero,
            s_dx: zero,
            s_dy: zero,
            s_dx_dx: zero,
            s_dx_dy: zero,
            s_dy_dy: zero,
            rgb: [zero; 3],
            z: zero,
            score: zero,
        }
    }

    #[inline(always)]
    fn reduce(&self) -> TileSums {
        let [red, green, blue] = self.rgb;
        let geometry = [self.s, self.s_dx, self.s_dy, self.s_dx_dx, self.s_dx_dy, self.s_dy_dy, red, green];
        let [s, s_dx, s_dy, s_dx_dx, s_dx_dy, s_dy_dy, red, green] = V::sum_each(geometry);
        TileSums {
            s,
            s_dx,
            s_dy,
            s_dx_dx,
            s_dx_dy,
            s_dy_dy,
            rgb: [red, green, blue.sum()],
            z: self.z.sum(),
            score: self.score.sum(),
            unused: 0.0,
        }
    }
}

/// Adds eight pixels' part to a splat's sums and steps them past it; true when all of them are finished.
#[inline(always)]
fn differentiate<V: Lanes, const DEPTH: bool>(
    splat: &Splat<V>,
    exponent: &Exponent<V>,
    pixel: usize,
    state: &mut State,
    total: &mut Total<V>,
) -> bool {
    let (dx, dy) = (exponent.dx, exponent.dy);
    let alpha = alpha_of(exponent.log2_alpha);
    // SAFETY: `pixel` is the first of a group of eight inside the tile.
    unsafe {
        let transmittance = state.transmittance.pointer().add(pixel);
        let before = V::load(transmittance);
        let weight = alpha * before;
        let after = before - weight;
        let stop = after.lt(V::all(MIN_TRANSMITTANCE));
        let weight = weight.masked(!stop);
        let kept = V::select(stop, before.negative_abs(), after);
        kept.store(transmittance);

        let v: [V; 3] = each!(3, |channel| V::load(state.v_rgb[channel].pointer().add(pixel)));
        let mut d = v[0].mul_add(splat.rgb[0], v[1].mul_add(splat.rgb[1], v[2] * splat.rgb[2]));
        for channel in 0..3 {
            total.rgb[channel] = weight.mul_add(v[channel], total.rgb[channel]);
        }
        if DEPTH {
            let v_depth = V::load(state.v_depth.pointer().add(pixel));
            d = v_depth.mul_add(splat.z, d);
            total.z = weight.mul_add(v_depth, total.z);
        }
        total.score = weight.mul_add(V::load(state.score.pointer().add(pixel)), total.score);

        let behind = state.behind.pointer().add(pixel);
        let rest = weight.neg_mul_add(d, V::load(behind));
        rest.store(behind);
        // s = alpha (T D - Q / (1 - alpha)) = w D - Q alpha / (1 - alpha); a capped alpha does not move.
        let one_less = V::all(1.0) - alpha;
        let s = (rest * alpha).neg_mul_add(one_less.fast_recip(), weight * d);
        let s = s.masked(!stop & alpha.lt(V::all(MAX_ALPHA)));
        let (s_dx, s_dy) = (s * dx, s * dy);
        total.s = total.s + s;
        total.s_dx = total.s_dx + s_dx;
        total.s_dy = total.s_dy + s_dy;
        total.s_dx_dx = s_dx.mul_add(dx, total.s_dx_dx);
        total.s_dx_dy = s_dx.mul_add(dy, total.s_dx_dy);
        total.s_dy_dy = s_dy.mul_add(dy, total.s_dy_dy);
        V::bits(kept.lt(V::all(0.0))) == 0xff
    }
}
