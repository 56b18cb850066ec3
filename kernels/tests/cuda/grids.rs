//! Grids: encodings, their derivatives, gradients of tables.

use crate::rows::{rows, upload};
use crate::scenes::fresh_rng;
use crate::{assert_close, assert_rounded, stream};
use rand::{Rng, RngExt};
use tessera_kernels::device::Device;
use tessera_kernels::hash_grid::cuda::{Batch, Grid, RowsIn, RowsOut, Upstream};
use tessera_kernels::hash_grid::{
    FEATURES, FactorLevel, GridSpec, HashGrid, Interpolation, LevelScale, SampleGradients, product, transposed_product,
};
use tessera_kernels::mlp::{BLOCK, Rows, blocks_for, from_blocks, to_blocks};

/// More than one block of threads, and not whole ones.
const BATCH: Batch = Batch { samples: 300, stride: 310 };
/// Rows of others before those of the grid.
const FIRST: usize = 3;

/// Dense, shared by a hash, and repeating; straight and smooth; over squares and cubes.
fn grids() -> Vec<HashGrid> {
    let spec = |interpolation| GridSpec {
        levels: 4,
        log2_table: 9,
        base: 4,
        growth: 1.7,
        level_scale: LevelScale::Integer,
        interpolation,
    };
    let fractional = GridSpec { level_scale: LevelScale::Fractional, ..spec(Interpolation::Linear) };
    let factor = [(5, 1.0), (7, 2.6), (1, 3.0)].map(|(resolution, frequency)| FactorLevel { resolution, frequency });
    [2, 3]
        .into_iter()
        .flat_map(|dimensions| {
            [
                HashGrid::over(dimensions, &spec(Interpolation::Smoothstep)),
                HashGrid::over(dimensions, &fractional),
                HashGrid::factor(dimensions, &factor, Interpolation::Linear),
            ]
        })
        .collect()
}

/// `[N, D]`, some of them at or beyond the sides.
fn places(rng: &mut impl Rng, dimensions: usize) -> Vec<f32> {
    let mut places: Vec<f32> = (0..BATCH.samples * dimensions).map(|_| rng.random_range(-0.1..1.1)).collect();
    places[..2 * dimensions].fill(1.0);
    places[..dimensions].fill(0.0);
    places
}

fn random(rng: &mut impl Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub fn encodings_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    for of in grids() {
        let (d, width, n) = (of.dimensions(), of.width(), BATCH.samples);
        let (table, x) = (random(&mut rng, FEATURES * of.entries()), places(&mut rng, d));
        let upstream = random(&mut rng, n * width);
        let grid = Grid::new(device, &of).expect("kernels");
        let on_device = (&upload(device, &table), &upload(device, &rows(&x, d, BATCH, 0)));
        for active in [usize::MAX, 2] {
            let blocks = blocks_for(n);
            let (mut expected, mut jacobian) =
                (vec![0.0; blocks * width * BLOCK], vec![0.0; blocks * d * width * BLOCK]);
            let out = (&mut expected[..], Rows::all(width));
            of.encode(&table, &to_blocks(&x, d), active, out, Some(&mut jacobian));
            let expected = from_blocks(&expected, Rows::all(width), width, n);
            let jacobian = from_blocks(&jacobian, Rows::all(d * width), d * width, n);

            let mut out = device.zeros::<f32>((FIRST + width) * BATCH.stride, "encodings").expect("memory");
            let mut slopes = device.zeros::<f32>(d * width * BATCH.stride, "a Jacobian").expect("memory");
            let meant = RowsOut { matrix: &mut out, first: FIRST };
            grid.encode(&stream, on_device, BATCH, active, meant, Some(&mut slopes)).expect("encodings");
            // A handful of roundings of numbers below 1; derivatives are differences of them, times the scale.
            assert_close("encodings", &out.read(&stream).expect("a copy"), &rows(&expected, width, BATCH, FIRST), 1e-6);
            let slopes = slopes.read(&stream).expect("a copy");
            assert_close("Jacobians", &slopes, &rows(&jacobian, d * width, BATCH, 0), 2e-6);
            if active < of.levels().len() {
                continue;
            }
            let through = |i: usize, a: usize| -> f32 {
                let term = |f: usize| f64::from(jacobian[(i * width + f) * d + a]) * f64::from(upstream[i * width + f]);
                (0..width).map(term).sum::<f64>() as f32
            };
            let expected: Vec<f32> =
                (0..n).flat_map(|i| (0..d).map(move |a| (i, a))).map(|(i, a)| through(i, a)).collect();
            let u = upload(device, &rows(&upstream, width, BATCH, FIRST));
            let mut of_places = device.zeros::<f32>(d * BATCH.stride, "gradients").expect("memory");
            let meant = RowsIn { matrix: &u, first: FIRST };
            grid.position_gradient(&stream, on_device, BATCH, usize::MAX, meant, &mut of_places).expect("gradients");
            // At most eight such terms.
            let of_places = of_places.read(&stream).expect("a copy");
            assert_close("gradients of places", &of_places, &rows(&expected, d, BATCH, 0), 1e-5);
        }
    }
}

/// The CPU's gradient of a table for places `[N, D]` and upstream numbers `[N, width]`, with sums over blocks of sixteen samples in double precision.
fn table_gradient(of: &HashGrid, places: &[f32], upstream: &[f32]) -> Vec<f32> {
    let (d, width) = (of.dimensions(), of.width());
    let mut sums = vec![0.0f64; FEATURES * of.entries()];
    for (places, upstream) in places.chunks(d * BLOCK).zip(upstream.chunks(width * BLOCK)) {
        let (positions, encoding) = (to_blocks(places, d), to_blocks(upstream, width));
        let encoding = (&encoding[..], Rows::all(width));
        let mut part = vec![0.0; sums.len()];
        let batch = SampleGradients { positions: &positions, encoding, through_jacobian: None };
        of.accumulate(&[batch], of.levels().len(), &mut part);
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(part));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

pub fn gradients_of_tables_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    for of in grids() {
        let (d, width) = (of.dimensions(), of.width());
        let (x, upstream) = (places(&mut rng, d), random(&mut rng, BATCH.samples * width));
        let expected = table_gradient(&of, &x, &upstream);
        // Weights are not negative.
        let sizes = table_gradient(&of, &x, &upstream.iter().map(|u| u.abs()).collect::<Vec<_>>());
        let mut grid = Grid::new(device, &of).expect("kernels");
        let (x, u) = (upload(device, &rows(&x, d, BATCH, 0)), upload(device, &rows(&upstream, width, BATCH, FIRST)));
        let mut gradient = device.buffer::<f32>(expected.len(), "a gradient").expect("memory");
        let mut compute = |active: usize| {
            let meant = RowsIn { matrix: &u, first: FIRST };
            grid.table_gradient(&stream, &x, BATCH, active, meant, &mut gradient).expect("a gradient");
            gradient.read(&stream).expect("a copy")
        };
        let first = compute(usize::MAX);
        // Sixteen samples with eight corners each, all of which may be one entry, are added in single precision by the CPU; weights have three roundings.
        assert_rounded("the table's gradient", &first, &expected, &sizes, 16 * 8 + 3);
        let again = compute(usize::MAX);
        assert!(first.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()), "another order, other bits");
        let coarse = compute(2);
        let end = FEATURES * of.levels()[2].offset;
        assert!(coarse[..end] == first[..end] && coarse[end..].iter().all(|g| *g == 0.0), "two levels are learned");
    }
}

pub fn sizes_do_not_matter_to_sums_and_broken_numbers_are_seen(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let of = &grids()[0];
    let (width, stride, x) = (of.width(), BATCH.stride, places(&mut rng, 2));
    let mut upstream = rows(&random(&mut rng, BATCH.samples * width), width, BATCH, 0);
    let mut grid = Grid::new(device, of).expect("kernels");
    let x = upload(device, &rows(&x, 2, BATCH, 0));
    let mut gradient = device.buffer::<f32>(FEATURES * of.entries(), "a gradient").expect("memory");
    let mut compute = |upstream: &[f32]| {
        let u = upload(device, upstream);
        let meant = RowsIn { matrix: &u, first: 0 };
        grid.table_gradient(&stream, &x, BATCH, usize::MAX, meant, &mut gradient).expect("a gradient");
        gradient.read(&stream).expect("a copy")
    };
    let expected = compute(&upstream);
    for power in [-90, 90] {
        let scale = 2.0f32.powi(power);
        let scaled: Vec<f32> = compute(&upstream.iter().map(|u| u * scale).collect::<Vec<_>>());
        let back: Vec<f32> = scaled.iter().map(|g| g / scale).collect();
        assert!(back == expected, "a power of two changes the gradient");
    }
    assert!(compute(&vec![0.0; upstream.len()]).iter().all(|g| *g == 0.0), "nothing upstream, no gradient");
    upstream[2 * stride + 7] = f32::NAN;
    upstream[5 * stride + 8] = f32::INFINITY;
    let broken = compute(&upstream);
    for (l, level) in of.levels().iter().enumerate() {
        let part = FEATURES * level.offset..FEATURES * (level.offset + level.size as usize);
        let is_broken = broken[part.clone()].iter().all(|g| g.is_nan());
        let is_whole = broken[part.clone()] == expected[part];
        assert!(if l == 1 || l == 2 { is_broken } else { is_whole }, "level {l}");
    }
    assert!(compute(&vec![1.0; upstream.len()]).iter().all(|g| g.is_finite()), "nothing stays behind");
}

pub fn second_orders_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let n = BATCH.samples;
    for of in grids().into_iter().filter(|of| of.dimensions() == 3) {
        let width = of.width();
        let (table, x) = (random(&mut rng, FEATURES * of.entries()), places(&mut rng, 3));
        let (u, v) = (random(&mut rng, n * width), random(&mut rng, n * 3));
        // The samples of rays come first, and others have no first order.
        let first_order = 200;
        let mut e = random(&mut rng, n * width);
        e[first_order * width..].fill(0.0);

        let (blocks, rows_of) = (blocks_for(n), Rows::all(width));
        let (mut encoding, mut jacobian) = (vec![0.0; blocks * width * BLOCK], vec![0.0; blocks * 3 * width * BLOCK]);
        let (positions, in_blocks) = (to_blocks(&x, 3), [to_blocks(&e, width), to_blocks(&u, width)]);
        let v_blocks = to_blocks(&v, 3);
        of.encode(&table, &positions, usize::MAX, (&mut encoding, rows_of), Some(&mut jacobian));
        let (mut along, mut transposed) = (vec![0.0; encoding.len()], vec![0.0; positions.len()]);
        product(&jacobian, &v_blocks, width, (&mut along, rows_of));
        transposed_product(&jacobian, &in_blocks[1], rows_of, width, &mut transposed);
        // Sums over blocks of sixteen samples, these in double precision, and the same of sizes: |e| + 2 s |u| |v|.
        let (mut expected, mut sizes) = (vec![0.0f64; table.len()], vec![0.0f64; table.len()]);
        for block in 0..blocks {
            let part = |values: &[f32], rows: usize| values[block * rows * BLOCK..][..rows * BLOCK].to_vec();
            let (x, e, u, v) =
                (part(&positions, 3), part(&in_blocks[0], width), part(&in_blocks[1], width), part(&v_blocks, 3));
            let sum = |out: &mut Vec<f64>, e: &[f32], u: &[f32], v: &[f32]| {
                let batch =
                    SampleGradients { positions: &x, encoding: (e, rows_of), through_jacobian: Some((u, rows_of, v)) };
                let mut gradient = vec![0.0; table.len()];
                of.accumulate(&[batch], usize::MAX, &mut gradient);
                out.iter_mut().zip(gradient).for_each(|(out, g)| *out += f64::from(g));
            };
            sum(&mut expected, &e, &u, &v);
            let mut size = e.clone();
            for i in 0..BLOCK {
                let all: f32 = (0..3).map(|a| v[a * BLOCK + i].abs()).sum();
                for f in 0..width {
                    size[f * BLOCK + i] =
                        e[f * BLOCK + i].abs() + 3.0 * of.levels()[f / FEATURES].scale * u[f * BLOCK + i].abs() * all;
                }
            }
            // All corners of a cell, not only those that the weights favour.
            for (l, level) in of.levels().iter().enumerate() {
                let most: f64 = (0..BLOCK)
                    .flat_map(|i| (0..FEATURES).map(move |f| (FEATURES * l + f) * BLOCK + i))
                    .map(|at| f64::from(size[at]))
                    .sum();
                let part = FEATURES * level.offset..FEATURES * (level.offset + level.size as usize);
                sizes[part].iter_mut().for_each(|s| *s += most);
            }
        }
        let mut grid = Grid::new(device, &of).expect("kernels");
        let [x, e, u, v] = [(&x, 3, 0), (&e, width, FIRST), (&u, width, FIRST), (&v, 3, 0)]
            .map(|(values, columns, first)| upload(device, &rows(values, columns, BATCH, first)));
        let mut compute = || {
            let mut gradient = upload(device, &vec![f32::NAN; table.len()]);
            let encoding = RowsIn { matrix: &e, first: FIRST };
            let upstream = Upstream { encoding, first_order, u: RowsIn { matrix: &u, first: FIRST }, v: &v };
            grid.table_gradient_through(&stream, &x, BATCH, usize::MAX, &upstream, &mut gradient).expect("a gradient");
            gradient.read(&stream).expect("a copy")
        };
        let (found, again) = (compute(), compute());
        assert!(found.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()), "another order, other bits");
        let [expected, sizes] =
            [expected, sizes].map(|values| values.into_iter().map(|x| x as f32).collect::<Vec<_>>());
        // A product of three weights, four additions, and sixteen samples that the CPU adds in single precision.
        assert_rounded("the table's gradient", &found, &expected, &sizes, 24);

        let t = upload(device, &table);
        let mut out = device.zeros::<f32>(width * BATCH.stride, "encodings").expect("memory");
        let mut slopes = device.zeros::<f32>(3 * width * BATCH.stride, "a Jacobian").expect("memory");
        let meant = RowsOut { matrix: &mut out, first: 0 };
        grid.encode(&stream, (&t, &x), BATCH, usize::MAX, meant, Some(&mut slopes)).expect("encodings");
        let mut normals = device.zeros::<f32>(3 * BATCH.stride, "products").expect("memory");
        let of_u = RowsIn { matrix: &u, first: FIRST };
        grid.transposed_product(&stream, &slopes, of_u, BATCH, &mut normals).expect("products");
        let expected = from_blocks(&transposed, Rows::all(3), 3, n);
        assert_close("Jᵀ u", &normals.read(&stream).expect("a copy"), &rows(&expected, 3, BATCH, 0), 1e-5);
        let meant = RowsOut { matrix: &mut out, first: 0 };
        grid.product(&stream, &slopes, &v, BATCH, meant).expect("products");
        let expected = from_blocks(&along, rows_of, width, n);
        assert_close("J v", &out.read(&stream).expect("a copy"), &rows(&expected, width, BATCH, 0), 1e-5);
    }
}
