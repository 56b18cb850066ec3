//! The earth mover's distance: the mean length of the shortest one-to-one assignment of points to points.
//!
//! Found by the auction of Bertsekas (1988). Points of `a` bid for points of `b`; each takes the one that is cheapest by its distance and its
//! price, and raises the price by what the second cheapest would have cost more, and by ε. An auction that has begun with a large ε goes on from its
//! prices with a smaller one, which is far quicker than one with small steps alone. Afterwards the sum is at most ε a point more than the least.

use super::cloud::{Cloud, LANES};
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// The most by which the distance is too long, as a share of it; of clouds that are nearly the same, a hundred-thousandth of the longest distance instead.
pub const ACCURACY: f32 = 0.01;
/// By how much ε shrinks from auction to auction.
const SHRINK: f32 = 5.0;
/// Nobody has it.
const FREE: u32 = u32::MAX;

dispatch! {
    /// The mean length of the shortest one-to-one assignment, within [`ACCURACY`] above it. Both must have as many points, a multiple of eight.
    pub(super) fn earth_mover(a: &Cloud, b: &Cloud) -> f64 = earth_mover_kernel;
}

#[inline(always)]
fn earth_mover_kernel<V: Lanes>(a: &Cloud, b: &Cloud) -> f64 {
    let count = a.len();
    assert!(count == b.len() && count.is_multiple_of(LANES) && count > 0, "as many points, in whole groups");
    let distances = all_distances::<V>(a, b);
    let row = |i: usize| &distances[i * count..][..count];
    // No assignment is shorter than to the nearest ones.
    let least = (0..count).map(|i| row(i).iter().copied().fold(f32::MAX, f32::min)).sum::<f32>() / count as f32;
    let longest = distances.iter().copied().fold(0.0f32, f32::max);
    if longest == 0.0 {
        return 0.0;
    }
    let smallest = (ACCURACY * least).max(1e-5 * longest);
    let mut prices = vec![0.0f32; count];
    let mut values = vec![0.0f32; count];
    let mut step = (0.25 * longest).max(smallest);
    loop {
        let taken = auction::<V>(&distances, &mut prices, &mut values, step);
        if step <= smallest {
            return taken.iter().enumerate().map(|(j, i)| f64::from(row(*i as usize)[j])).sum::<f64>() / count as f64;
        }
        step = (step / SHRINK).max(smallest);
    }
}

/// Who has each point of `b` when all are sold.
#[inline(always)]
fn auction<V: Lanes>(distances: &[f32], prices: &mut [f32], values: &mut [f32], step: f32) -> Vec<u32> {
    let count = prices.len();
    let mut owners = vec![FREE; count];
    let mut waiting: Vec<u32> = (0..count as u32).rev().collect();
    while let Some(bidder) = waiting.pop() {
        let (best, margin) = cheapest::<V>(&distances[bidder as usize * count..][..count], prices, values);
        prices[best] += margin + step;
        let before = std::mem::replace(&mut owners[best], bidder);
        waiting.extend(Some(before).filter(|before| *before != FREE));
    }
    owners
}

/// The cheapest by distance and price, and how much more the second costs.
#[inline(always)]
fn cheapest<V: Lanes>(distances: &[f32], prices: &[f32], values: &mut [f32]) -> (usize, f32) {
    assert!(distances.len() == prices.len() && values.len() == prices.len() && prices.len().is_multiple_of(LANES));
    let (mut first, mut second) = (V::all(f32::MAX), V::all(f32::MAX));
    for j in (0..prices.len()).step_by(LANES) {
        // SAFETY: the assertion above: three slices of the same whole groups of lanes.
        let value = unsafe {
            let value = V::load(distances.as_ptr().add(j)) + V::load(prices.as_ptr().add(j));
            value.store(values.as_mut_ptr().add(j));
            value
        };
        second = second.min(first.max(value));
        first = first.min(value);
    }
    let (first, second) = (first.to_array(), second.to_array());
    let least = first.into_iter().fold(f32::MAX, f32::min);
    let of = first.iter().position(|x| *x == least).unwrap_or(0);
    let others = (0..LANES).filter(|lane| *lane != of).map(|lane| first[lane]);
    let next = others.chain([second[of]]).fold(f32::MAX, f32::min);
    let best = (of..values.len()).step_by(LANES).find(|j| values[*j] == least).unwrap_or(of);
    (best, if next < f32::MAX { next - least } else { 0.0 })
}

/// The distance of each point of `a` from each of `b`, row by row.
#[inline(always)]
fn all_distances<V: Lanes>(a: &Cloud, b: &Cloud) -> Vec<f32> {
    let count = b.len();
    let mut out = vec![0.0f32; a.len() * count];
    for (i, row) in out.chunks_exact_mut(count).enumerate() {
        let place = [0, 1, 2].map(|k| V::all(a.axes[k][i]));
        for j in (0..count).step_by(LANES) {
            let mut square = V::all(0.0);
            for k in 0..3 {
                // SAFETY: each axis of `b` has `count` numbers, and so does the row: whole groups of lanes.
                let d = unsafe { V::load(b.axes[k][j..].as_ptr()) } - place[k];
                square = d.mul_add(d, square);
            }
            // SAFETY: as above.
            unsafe { square.sqrt().store(row[j..].as_mut_ptr()) };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn cloud(rng: &mut Pcg64, count: usize) -> Cloud {
        Cloud { axes: [0, 1, 2].map(|_| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()) }
    }

    /// The least sum of distances over all orders of what is left.
    fn least(distances: &[f32], row: usize, left: &mut Vec<usize>) -> f64 {
        if left.is_empty() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for k in 0..left.len() {
            let j = left.swap_remove(k);
            best = best.min(f64::from(distances[row * LANES + j]) + least(distances, row + 1, left));
            left.push(j);
            let last = left.len() - 1;
            left.swap(k, last);
        }
        best
    }

    #[test]
    fn an_assignment_is_as_short_as_the_shortest_of_all() {
        let seed = tessera_test_seed::test_seed();
        let mut rng = Pcg64::seed_from_u64(seed);
        let (a, b) = (cloud(&mut rng, LANES), cloud(&mut rng, LANES));
        let distances: Vec<f32> = (0..LANES * LANES)
            .map(|ij| (0..3).map(|k| (a.axes[k][ij / LANES] - b.axes[k][ij % LANES]).powi(2)).sum::<f32>().sqrt())
            .collect();
        let exact = least(&distances, 0, &mut (0..LANES).collect()) / LANES as f64;
        let found = earth_mover(&a, &b);
        let slack = f64::from(ACCURACY) + 1e-5;
        assert!(
            found >= exact * (1.0 - 1e-5) && found <= exact * (1.0 + slack),
            "seed {seed}: {found}, and the shortest is {exact}"
        );
    }

    #[test]
    fn a_cloud_that_was_moved_is_as_far_as_it_was_moved() {
        let seed = tessera_test_seed::test_seed();
        let mut rng = Pcg64::seed_from_u64(seed);
        let a = cloud(&mut rng, 256);
        let mut b = a.clone();
        b.axes[1].iter_mut().for_each(|y| *y += 3.0);
        b.axes.iter_mut().for_each(|axis| axis.reverse());
        let found = earth_mover(&a, &b);
        assert!((found - 3.0).abs() < 3.0 * f64::from(ACCURACY), "seed {seed}: {found}");
        assert!(earth_mover(&a, &a) < 1e-4, "seed {seed}: a cloud is where it is");
    }
}
