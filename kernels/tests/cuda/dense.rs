//! Dense layers and what they do to rows.

use crate::scenes::fresh_rng;
use crate::stream;
use rand::{RngExt, rngs::StdRng};
use tessera_kernels::dense::cuda::{Dense, DeviceMatrix, DeviceRows, Part, Rows};
use tessera_kernels::dense::{Activation, Matrix, activate, activate_backward, normalise, normalise_backward, product};
use tessera_kernels::device::{Buffer, Device, Precision, Stream};

pub fn random(rng: &mut StdRng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0f32)).collect()
}

pub fn upload(device: &Device, values: &[f32]) -> Buffer<f32> {
    device.upload(values, "a test").expect("memory")
}

pub fn read(values: &Buffer<f32>, stream: &Stream) -> Vec<f32> {
    values.read(stream).expect("numbers")
}

/// Fails when a number is farther from the expected one than `bound`.
pub fn assert_near(name: &str, actual: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(actual.len(), expected.len(), "{name} has another size");
    for (i, (a, b)) in actual.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= bound, "{name}: number {i} is {a} and not {b}, off by more than {bound}");
    }
}

/// A product of random size, each matrix perhaps turned around, and what it is on the CPU.
fn random_product(device: &Device, rng: &mut StdRng, precision: Precision, round: fn(f32) -> f32) -> f32 {
    let stream = stream(device);
    let dense = Dense::new(device).expect("kernels");
    // Some are so long that blocks share their sums.
    let inner = if rng.random_bool(0.3) { rng.random_range(1000..1600) } else { rng.random_range(1..90) };
    let [rows, columns] = [rng.random_range(1..140), rng.random_range(1..140)];
    let [a, b] = [random(rng, rows * inner), random(rng, inner * columns)].map(|m| m.into_iter().map(round).collect());
    let (a, b): (Vec<f32>, Vec<f32>) = (a, b);
    let bias = rng.random_bool(0.5).then(|| random(rng, columns));
    let (turn_a, turn_b) = (rng.random_bool(0.5), rng.random_bool(0.5));
    let left = if turn_a { Matrix::new(&a, rows).turned() } else { Matrix::new(&a, inner) };
    let right = if turn_b { Matrix::new(&b, inner).turned() } else { Matrix::new(&b, columns) };
    let mut expected = bias.as_ref().map_or(vec![0.0; rows * columns], |bias| bias.repeat(rows));
    product(left, right, inner, columns, &mut expected);
    let (a, b, bias) = (upload(device, &a), upload(device, &b), bias.map(|bias| upload(device, &bias)));
    let left = if turn_a { DeviceMatrix::new(&a, rows).turned() } else { DeviceMatrix::new(&a, inner) };
    let right = if turn_b { DeviceMatrix::new(&b, inner).turned() } else { DeviceMatrix::new(&b, columns) };
    let out =
        dense.product(&stream, precision, [left, right], [rows, inner, columns], bias.as_ref()).expect("a product");
    // Sums of numbers below 1: a rounding of a sum below its length for each, of which those of both signs leave about the root.
    let bound = 4.0 * f32::EPSILON * (inner as f32 + 1.0);
    assert_near("a product", &read(&out, &stream), &expected, bound);
    bound
}

pub fn products_are_those_of_the_cpu(device: &Device) {
    let mut rng = fresh_rng();
    for _ in 0..4 {
        random_product(device, &mut rng, Precision::Single, |x| x);
    }
}

pub fn products_of_bf16_are_those_of_rounded_numbers(device: &Device) {
    let mut rng = fresh_rng();
    // Rounded before, so that only sums are rounded on the device.
    let round = |x: f32| f32::from_bits((x.to_bits() + 0x8000) & 0xffff_0000);
    for _ in 0..4 {
        random_product(device, &mut rng, Precision::Brain, round);
    }
}

pub fn activations_and_norms_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let dense = Dense::new(device).expect("kernels");
    let (rows, columns) = (rng.random_range(1..40), 8 * rng.random_range(1..12));
    let x: Vec<f32> = random(&mut rng, rows * columns).into_iter().map(|x| 4.0 * x).collect();
    let d = random(&mut rng, rows * columns);
    let (on, by) = (upload(device, &x), upload(device, &d));
    use Activation::{Gelu, GeluExact, Sigmoid, Silu, Tanh};
    for of in [Sigmoid, Silu, Gelu, GeluExact, Tanh] {
        let values = dense.activate(&stream, of, &on).expect("values");
        let slopes = dense.activate_backward(&stream, of, &on, &by).expect("slopes");
        // The CPU's own are within 3e-6 of what is exact.
        assert_near(&format!("{of:?}"), &read(&values, &stream), &activate(of, &x), 6e-6);
        assert_near(&format!("slopes of {of:?}"), &read(&slopes, &stream), &activate_backward(of, &x, &d), 6e-6);
    }
    let [values, scales] = dense.normalise(&stream, &on, columns, 1e-5).expect("rows");
    let back = dense.normalise_backward(&stream, [&values, &scales], columns, &by).expect("a gradient");
    let expected = normalise(&x, columns, 1e-5);
    // Numbers of variance 1, sums of up to 88 of them.
    assert_near("normalised rows", &read(&values, &stream), &expected.values, 2e-5);
    assert_near("their scales", &read(&scales, &stream), &expected.scales, 1e-5);
    let expected = normalise_backward([&expected.values, &expected.scales], columns, &d);
    let largest = expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    assert_near("their gradient", &read(&back, &stream), &expected, 4e-5 * largest);
    groups_are_normalised_as_rows(device, &dense, &x, &d, columns);
    let sums = dense.sum_columns(&stream, &on, Some(&by), columns).expect("sums");
    let column = |c: usize| x.iter().zip(&d).skip(c).step_by(columns).map(|(x, d)| x * d).sum::<f32>();
    assert_near("sums of columns", &read(&sums, &stream), &(0..columns).map(column).collect::<Vec<_>>(), 1e-4);
}

/// A sample of one row has groups that are rows.
fn groups_are_normalised_as_rows(device: &Device, dense: &Dense, x: &[f32], d: &[f32], columns: usize) {
    let stream = stream(device);
    let ends: Vec<u32> = (1..=(x.len() / columns) as u32).collect();
    let ends = device.upload(&ends, "a test").expect("memory");
    let (on, by) = (upload(device, x), upload(device, d));
    let [values, scales] = dense.normalise_groups(&stream, &on, [columns, 4], &ends, 1e-5).expect("groups");
    let back =
        dense.normalise_groups_backward(&stream, [&values, &scales], [columns, 4], &ends, &by).expect("a gradient");
    let expected = normalise(x, columns / 4, 1e-5);
    let largest_scale = expected.scales.iter().fold(1.0f32, |m, x| m.max(*x));
    assert_near("normalised groups", &read(&values, &stream), &expected.values, 2e-6 * largest_scale + 2e-5);
    let expected = normalise_backward([&expected.values, &expected.scales], columns / 4, d);
    let largest = expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    assert_near("the gradient of groups", &read(&back, &stream), &expected, 1e-4 * largest * largest_scale.max(1.0));
}

pub fn rows_are_gathered_and_summed(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let on = Rows::new(device).expect("kernels");
    let (few, many, columns) = (rng.random_range(1..30), rng.random_range(1..90), rng.random_range(1..40));
    let of_each: Vec<u32> = (0..many).map(|_| rng.random_range(0..few as u32)).collect();
    let rows = DeviceRows::new(device, &of_each, few).expect("memory");
    let (x, y) = (random(&mut rng, few * columns), random(&mut rng, many * columns));
    let gathered = on.gather(&stream, &upload(device, &x), &rows, columns, false).expect("rows");
    let expected: Vec<f32> = of_each.iter().flat_map(|row| &x[*row as usize * columns..][..columns]).copied().collect();
    assert_eq!(read(&gathered, &stream), expected, "gathered rows");
    let summed = on.sum(&stream, &upload(device, &y), &rows, columns, false).expect("rows");
    let mut expected = vec![0.0; few * columns];
    for (row, y) in of_each.iter().zip(y.chunks(columns)) {
        expected[*row as usize * columns..][..columns].iter_mut().zip(y).for_each(|(sum, y)| *sum += y);
    }
    assert_eq!(read(&summed, &stream), expected, "rows are summed in their order");
    let part = Part { values: &upload(device, &y), width: columns, first: columns / 2 };
    let taken = on.take_columns(&stream, part, columns - columns / 2).expect("columns");
    let expected: Vec<f32> = y.chunks(columns).flat_map(|row| &row[columns / 2..]).copied().collect();
    assert_eq!(read(&taken, &stream), expected, "columns of rows");
}

pub fn rows_are_modulated_by_sample(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let on = Rows::new(device).expect("kernels");
    let (samples, columns) = (rng.random_range(1..5), rng.random_range(1..50));
    let of_rows: Vec<u32> = (0..rng.random_range(0..80)).map(|_| rng.random_range(0..samples as u32)).collect();
    let (x, h) = (random(&mut rng, of_rows.len() * columns), random(&mut rng, of_rows.len() * columns));
    let width = 3 * columns;
    let by = random(&mut rng, samples * width);
    let [on_x, on_h, on_by] = [&x, &h, &by].map(|values| upload(device, values));
    let known = DeviceRows::new(device, &of_rows, samples).expect("memory");
    let number = |row: usize, part: usize, c: usize| by[of_rows[row] as usize * width + part * columns + c];
    let each = |f: &dyn Fn(usize, usize, usize) -> f32| -> Vec<f32> {
        (0..x.len()).map(|e| f(e, e / columns, e % columns)).collect()
    };
    let part = |part: usize| Part { values: &on_by, width, first: part * columns };
    // A few roundings of numbers below 4.
    let check = |name: &str, actual: Buffer<f32>, expected: &[f32]| {
        assert_near(name, &read(&actual, &stream), expected, 2e-6);
    };
    let modulated = on.modulate(&stream, &on_x, part(1), &known).expect("rows");
    check("modulated", modulated, &each(&|e, r, c| x[e] * (1.0 + number(r, 2, c)) + number(r, 1, c)));
    let back = on.modulate_backward(&stream, &on_x, part(1), &known).expect("rows");
    check("modulated back", back, &each(&|e, r, c| x[e] * (1.0 + number(r, 2, c))));
    let gated = on.add_gated(&stream, Some(&on_x), &on_h, part(0), &known).expect("rows");
    check("gated", gated, &each(&|e, r, c| x[e] + number(r, 0, c) * h[e]));
    let gated = on.add_gated(&stream, None, &on_h, part(0), &known).expect("rows");
    check("gated alone", gated, &each(&|e, r, c| number(r, 0, c) * h[e]));
    let sums = on.sum_samples(&stream, &on_x, &[(0, None), (columns, Some(&on_h))], width, &known).expect("sums");
    let mut expected = vec![0.0; samples * width];
    for e in 0..x.len() {
        let own = &mut expected[of_rows[e / columns] as usize * width..];
        own[e % columns] += x[e];
        own[columns + e % columns] += x[e] * h[e];
    }
    assert_near("sums of samples", &read(&sums, &stream), &expected, 1e-5);
    rows_are_scaled(&on, &stream, [&x, &h], columns, device);
}

fn rows_are_scaled(on: &Rows, stream: &Stream, [x, h]: [&[f32]; 2], columns: usize, device: &Device) {
    let [on_x, on_h] = [x, h].map(|values| upload(device, values));
    if x.is_empty() {
        return;
    }
    let column = columns / 2;
    let scaled = on.scale_rows(stream, &on_x, Part { values: &on_h, width: columns, first: column }).expect("rows");
    let expected: Vec<f32> = x.iter().enumerate().map(|(e, x)| x * h[e / columns * columns + column]).collect();
    assert_eq!(read(&scaled, stream), expected, "rows times a number each");
    let products = on.row_products(stream, [&on_x, &on_h], columns, [2, 1]).expect("products");
    let of_row = |(x, h): (&[f32], &[f32])| [0.0, x.iter().zip(h).map(|(x, h)| x * h).sum::<f32>()];
    let expected: Vec<f32> = x.chunks(columns).zip(h.chunks(columns)).flat_map(of_row).collect();
    assert_near("products of rows", &read(&products, stream), &expected, 1e-5);
    let shifted = on.scale_columns(stream, &on_x, &upload(device, &h[..columns]), None).expect("rows");
    let expected: Vec<f32> = x.iter().enumerate().map(|(e, x)| x * h[e % columns]).collect();
    assert_eq!(read(&shifted, stream), expected, "columns times a number each");
    let long = on.normalise_lengths(stream, &on_x, &upload(device, &h[..columns]), columns, 1e-12).expect("rows");
    let of_row = |x: &[f32]| {
        let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        let scale = (columns as f32).sqrt() / length.max(1e-12);
        x.iter().zip(h).map(|(x, h)| x * scale * h).collect::<Vec<f32>>()
    };
    let expected: Vec<f32> = x.chunks(columns).flat_map(of_row).collect();
    assert_near("rows of one length", &read(&long, stream), &expected, 1e-5);
    let drawn = on.draw(stream, [&on_x, &on_h, &on_x]).expect("draws");
    let expected: Vec<f32> = x.iter().zip(h).map(|(x, h)| x + (0.5 * h).exp() * x).collect();
    assert_near("draws", &read(&drawn, stream), &expected, 2e-6);
    let back = on.draw_backward(stream, [&on_h, &on_x, &on_x]).expect("a gradient");
    let expected: Vec<f32> = x.iter().zip(h).map(|(x, h)| 0.5 * x * (0.5 * h).exp() * x).collect();
    assert_near("the gradient of draws", &read(&back, stream), &expected, 2e-6);
}
