//! Products and sums over tiles of rows and lists of lanes.

use super::layout::LANES;
use crate::simd::Lanes;

/// Rows of a tile.
pub(super) const QUAD: usize = 4;
/// Groups of lanes that are looked at together.
pub(super) const SLOTS: usize = 16;
/// Numbers of a row of weights.
pub(super) const ROW: usize = SLOTS * LANES;

/// Eight rows of the other side, of which those from `from` to `to` are meant.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    /// The first of the eight.
    pub base: usize,
    pub from: u32,
    pub to: u32,
}

/// Goes through a list of ranges, a few slots at a time.
pub(super) struct Cursor<'a> {
    ranges: &'a [[u32; 2]],
    at: u32,
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub fn new(ranges: &'a [[u32; 2]]) -> Self {
        Self { ranges, at: ranges.first().map_or(0, |r| r[0]) }
    }

    /// The next slots; how many.
    #[inline(always)]
    pub fn next(&mut self, slots: &mut [Slot; SLOTS]) -> usize {
        let mut count = 0;
        while let Some(range) = self.ranges.first() {
            while self.at < range[1] {
                if count == SLOTS {
                    return count;
                }
                let base = self.at & !(LANES as u32 - 1);
                slots[count] = Slot { base: base as usize, from: self.at - base, to: (range[1] - base).min(8) };
                self.at = base + LANES as u32;
                count += 1;
            }
            self.ranges = &self.ranges[1..];
            self.at = self.ranges.first().map_or(0, |r| r[0]);
        }
        count
    }
}

/// The products of four rows with all rows of the slots, `[4, 128]`, `outside` where a lane is not meant.
///
/// # Safety
/// `rows` are four of `width` numbers, and `turned` holds all slots.
#[inline(always)]
pub(super) unsafe fn products<V: Lanes>(
    rows: *const f32,
    width: usize,
    turned: *const f32,
    slots: &[Slot],
    outside: f32,
    out: &mut [f32; QUAD * ROW],
) {
    let last = slots.len() - 1;
    for pair in (0..slots.len()).step_by(2) {
        let two = [slots[pair], slots[(pair + 1).min(last)]];
        let mut sums = [[V::all(0.0); 2]; QUAD];
        // SAFETY: as the caller promises.
        unsafe {
            let (a, b) = (turned.add(two[0].base * width), turned.add(two[1].base * width));
            for d in 0..width {
                let (a, b) = (V::load(a.add(d * LANES)), V::load(b.add(d * LANES)));
                for r in 0..QUAD {
                    let x = V::all(*rows.add(r * width + d));
                    sums[r][0] = x.mul_add(a, sums[r][0]);
                    sums[r][1] = x.mul_add(b, sums[r][1]);
                }
            }
        }
        for half in 0..2 {
            if pair + half > last {
                break;
            }
            let slot = two[half];
            let whole = slot.from == 0 && slot.to == LANES as u32;
            let lane = V::iota();
            let (from, to) = (V::all(slot.from as f32), V::all(slot.to as f32));
            for r in 0..QUAD {
                let mut value = sums[r][half];
                if !whole {
                    value = V::select(lane.lt(to), value, V::all(outside));
                    value = V::select(lane.lt(from), V::all(outside), value);
                }
                let at = r * ROW + (pair + half) * LANES;
                // SAFETY: there are `SLOTS` slots at most.
                unsafe { value.store(out.as_mut_ptr().add(at)) }
            }
        }
    }
}

/// `sums[r] = keep[r] sums[r] + Σ weights[r, row] rows[row]` over the rows of the slots that are meant.
///
/// # Safety
/// `sums` are four rows of `width` numbers, a multiple of eight, and `rows` holds all slots.
#[inline(always)]
pub(super) unsafe fn accumulate<V: Lanes>(
    weights: &[f32; QUAD * ROW],
    slots: &[Slot],
    rows: *const f32,
    width: usize,
    keep: [f32; QUAD],
    sums: *mut f32,
) {
    let mut first = 0;
    while first < width {
        // SAFETY: as the caller promises.
        unsafe {
            if first + 2 * LANES <= width {
                columns::<V, 2>(weights, slots, rows.add(first), width, keep, sums.add(first));
                first += 2 * LANES;
            } else {
                columns::<V, 1>(weights, slots, rows.add(first), width, keep, sums.add(first));
                first += LANES;
            }
        }
    }
}

/// [`accumulate`] of `8 C` columns.
#[inline(always)]
unsafe fn columns<V: Lanes, const C: usize>(
    weights: &[f32; QUAD * ROW],
    slots: &[Slot],
    rows: *const f32,
    width: usize,
    keep: [f32; QUAD],
    sums: *mut f32,
) {
    let mut own = [[V::all(0.0); C]; QUAD];
    // SAFETY: as the caller of `accumulate` promises; weights have a row for each slot's lane.
    unsafe {
        for r in 0..QUAD {
            for c in 0..C {
                own[r][c] = V::all(keep[r]) * V::load(sums.add(r * width + c * LANES));
            }
        }
        for (s, slot) in slots.iter().enumerate() {
            for lane in slot.from as usize..slot.to as usize {
                let row = rows.add((slot.base + lane) * width);
                let weight = weights.as_ptr().add(s * LANES + lane);
                let mut x = [V::all(0.0); C];
                for c in 0..C {
                    x[c] = V::load(row.add(c * LANES));
                }
                for r in 0..QUAD {
                    let w = V::all(*weight.add(r * ROW));
                    for c in 0..C {
                        own[r][c] = w.mul_add(x[c], own[r][c]);
                    }
                }
            }
        }
        for r in 0..QUAD {
            for c in 0..C {
                own[r][c].store(sums.add(r * width + c * LANES));
            }
        }
    }
}
