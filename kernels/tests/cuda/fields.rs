//! The decoder of radial basis functions, kernels in space, and what samples cost.

use crate::rows::{columns, rows, upload};
use crate::scenes::fresh_rng;
use crate::{assert_close, assert_rounded, stream};
use rand::{Rng, RngExt};
use tessera_kernels::device::Device;
use tessera_kernels::hash_grid::cuda::{Batch, RowsIn, RowsOut};
use tessera_kernels::mlp::{Rows, blocks_for, from_blocks, to_blocks};
use tessera_kernels::rbf::cuda::{
    self, Cost, CostKind, Picture, PixelSamples, SpatialGradient, SpatialPairs, SpatialParameters,
};
use tessera_kernels::rbf::{
    Decoded, Decoder, KernelGradient, KernelParameters, KernelShape, Neighbours, Prepared, SpatialKernels,
};

fn random(rng: &mut impl Rng, len: usize, range: f32) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-range..range)).collect()
}

/// The sums of the sizes of the terms that outputs `[n, out]`, the gradient of features `[n, F]` and that of parameters are sums of: what rounding errors are
/// shares of.
fn sizes(of: &Decoder, parameters: &[f32], features: &[f32], upstream: &[f32]) -> [Vec<f32>; 3] {
    let at = |range: std::ops::Range<usize>, i: usize| f64::from(parameters[range.start + i]);
    let (width, outputs) = (of.features(), of.outputs());
    let mut sizes = [vec![0.0; upstream.len()], vec![0.0; features.len()], vec![0.0; parameters.len()]];
    for (i, (f, u)) in features.chunks_exact(width).zip(upstream.chunks_exact(outputs)).enumerate() {
        for (o, u) in u.iter().enumerate() {
            sizes[0][i * outputs + o] += at(of.biases(), o).abs();
            sizes[2][of.biases().start + o] += f64::from(u.abs());
        }
        for j in 0..of.kernels() {
            let scale = |d: usize| (0.5 * at(of.log_precisions(), j * width + d)).exp();
            let t = |d: usize| (scale(d) * (f64::from(f[d]) - at(of.centres(), j * width + d))).abs();
            // The relative error of a response is the absolute one of its exponent, which grows with it.
            let exponent = 0.5 * (0..width).map(|d| t(d).powi(2)).sum::<f64>();
            let phi = (1.0 + exponent) * (-exponent).exp();
            let mut gamma = 0.0;
            for (o, u) in u.iter().enumerate() {
                let weight = at(of.weights(), o * of.kernels() + j).abs();
                gamma += weight * phi * f64::from(u.abs());
                sizes[0][i * outputs + o] += weight * phi;
                sizes[2][of.weights().start + o * of.kernels() + j] += phi * f64::from(u.abs());
            }
            for d in 0..width {
                sizes[1][i * width + d] += gamma * scale(d) * t(d);
                sizes[2][of.centres().start + j * width + d] += gamma * scale(d) * t(d);
                sizes[2][of.log_precisions().start + j * width + d] += 0.5 * gamma * t(d).powi(2);
            }
        }
    }
    sizes.map(|sizes| sizes.into_iter().map(|size| size as f32).collect())
}

pub fn decoders_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    // One of everything; a usual shape; parts of groups, tiles and steps of outputs, and more than one of each.
    for (features, kernels, outputs, n) in [(2, 4, 1, 1), (16, 32, 3, 160), (34, 36, 5, 300), (10, 68, 1, 700)] {
        let of = Decoder::new(features, kernels, outputs);
        let batch = Batch { samples: n, stride: n + 3 };
        let f = random(&mut rng, n * features, 1.0);
        let mut parameters = random(&mut rng, of.parameters(), 1.0);
        // So that far and near centres respond.
        parameters[of.log_precisions()].iter_mut().for_each(|beta| *beta -= (features as f32).ln() - 1.0);
        let upstream = random(&mut rng, n * outputs, 1.0);

        let (input, all) = (to_blocks(&f, features), Rows::all(features));
        let (mut prepared, mut decoded) = (Prepared::default(), Decoded::default());
        of.prepare(&parameters, &mut prepared);
        of.forward(&prepared, (&input, all), &mut decoded);
        let (mut of_features, mut gradient) = (vec![0.0; input.len()], vec![0.0; of.parameters()]);
        let of_outputs = to_blocks(&upstream, outputs);
        of.backward(&prepared, (&input, all), &mut decoded, &of_outputs, (&mut of_features, all), &mut gradient);

        let mut decoder = cuda::Decoder::new(device, of).expect("kernels");
        let (p, on_device) = (upload(device, &parameters), upload(device, &rows(&f, features, batch, 0)));
        let mut y = device.zeros::<f32>(outputs * batch.stride, "outputs").expect("memory");
        decoder.forward(&stream, &p, &on_device, batch, &mut y).expect("outputs");
        // An exponent is a sum of F squares of numbers with three roundings each; an exponential has four itself.
        let of_response = features + 6 + 4;
        let [of_y, of_v, of_g] = sizes(&of, &parameters, &f, &upstream);
        let expected = from_blocks(&decoded.outputs, Rows::all(outputs), outputs, n);
        let y = columns(&y.read(&stream).expect("a copy"), outputs, batch);
        assert_rounded("outputs", &y, &expected, &of_y, of_response + kernels);

        let u = upload(device, &rows(&upstream, outputs, batch, 0));
        let mut v = device.zeros::<f32>(features * batch.stride, "gradients").expect("memory");
        let mut g = device.buffer::<f32>(of.parameters(), "gradients").expect("memory");
        decoder.backward(&stream, (&p, &on_device, &u), batch, (&mut v, &mut g)).expect("gradients");
        let expected = from_blocks(&of_features, all, features, n);
        let of_terms = of_response + outputs + 8;
        let v_read = columns(&v.read(&stream).expect("a copy"), features, batch);
        assert_rounded("features", &v_read, &expected, &of_v, of_terms + kernels);
        let first = g.read(&stream).expect("a copy");
        assert_rounded("parameters", &first, &gradient, &of_g, of_terms + n);
        decoder.backward(&stream, (&p, &on_device, &u), batch, (&mut v, &mut g)).expect("gradients");
        let again = g.read(&stream).expect("a copy");
        assert!(first.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()), "another order, other bits");
    }
}

/// Kernels that overlap, with random ones near each place.
fn kernels(rng: &mut impl Rng, of: &SpatialKernels, count: usize, places: usize) -> (KernelParameters, Neighbours) {
    let shape = |rng: &mut _| match (of.shape, of.dimensions) {
        (KernelShape::ProductHat, _) => vec![RngExt::random_range(rng, 0.3..0.6f32)],
        // Diagonally dominant, so positive definite.
        (_, 2) => random_precision(rng, &[0, 2], 3),
        _ => random_precision(rng, &[0, 3, 5], 6),
    };
    let parameters = KernelParameters {
        centres: random(rng, count * of.dimensions, 1.0),
        shapes: (0..count).flat_map(|_| shape(rng)).collect(),
        weights: random(rng, count * of.features, 1.0),
    };
    // The last kernels are near nothing.
    let near = (0..places * of.neighbours).map(|_| rng.random_range(0..count as u32 - 2)).collect();
    (parameters, Neighbours::new(near, count))
}

fn random_precision(rng: &mut impl Rng, diagonal: &[usize], numbers: usize) -> Vec<f32> {
    let one = |n: usize| if diagonal.contains(&n) { rng.random_range(2.0..4.0) } else { rng.random_range(-0.8..0.8) };
    (0..numbers).map(one).collect()
}

pub fn kernels_in_space_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let frequencies = |features: usize| (0..features).map(|f| 0.5 * (f + 1) as f32).collect::<Vec<f32>>();
    let of = |dimensions, features, neighbours, shape, normalised, frequencies| SpatialKernels {
        dimensions,
        features,
        neighbours,
        shape,
        normalised,
        frequencies,
    };
    for (of, count) in [
        (of(2, 16, 4, KernelShape::InverseQuadric, true, frequencies(16)), 21),
        (of(3, 40, 3, KernelShape::InverseQuadric, false, Vec::new()), 300),
        (of(3, 8, 16, KernelShape::ProductHat, true, Vec::new()), 7),
        (of(2, 128, 1, KernelShape::ProductHat, false, frequencies(128)), 5),
    ] {
        let (d, features, n, first) = (of.dimensions, of.features, 150, 2);
        let batch = Batch { samples: n, stride: n + 5 };
        let (parameters, neighbours) = kernels(&mut rng, &of, count, n);
        let (x, upstream) = (random(&mut rng, n * d, 1.0), random(&mut rng, n * features, 1.0));
        let (mut phi, mut sums) = (vec![0.0; n * of.neighbours], vec![0.0; blocks_for(n) * features * 16]);
        let all = Rows::all(features);
        of.forward(&parameters, &x, neighbours.kernels(), &mut phi, (&mut sums, all));
        let (mut gradient, mut of_places) = (KernelGradient::default(), vec![0.0; x.len()]);
        let of_sums = to_blocks(&upstream, features);
        let out = (&mut gradient, Some(&mut of_places[..]));
        of.backward(&parameters, &x, &neighbours, &phi, (&of_sums, all), out);

        let mut kernels = cuda::SpatialKernels::new(device, &of).expect("kernels");
        let p = SpatialParameters::upload(device, &parameters).expect("memory");
        let (x, near) = (upload(device, &rows(&x, d, batch, 0)), upload(device, neighbours.kernels()));
        let pairs = SpatialPairs { places: &x, neighbours: &near };
        let mut out = device.zeros::<f32>((first + features) * batch.stride, "sums").expect("memory");
        kernels.forward(&stream, &p, pairs, batch, RowsOut { matrix: &mut out, first }).expect("sums");
        // A dozen roundings; sines of arguments up to 64 have an error of 64 roundings of 6e-8 on top.
        assert_close("responses", &kernels.responses().read(&stream).expect("a copy"), &phi, 4e-6);
        let expected = from_blocks(&sums, all, features, n);
        assert_close("sums", &out.read(&stream).expect("a copy"), &rows(&expected, features, batch, first), 2e-5);

        let u = upload(device, &rows(&upstream, features, batch, first));
        let buffer = |len: usize| device.zeros::<f32>(len, "a gradient").expect("memory");
        let (mut centres, mut shapes) = (buffer(p.centres.len()), buffer(p.shapes.len()));
        let (mut weights, mut places) = (buffer(p.weights.len()), buffer(d * batch.stride));
        let meant = RowsIn { matrix: &u, first };
        let wanted = SpatialGradient {
            moving: Some((&mut centres, &mut shapes)),
            weights: &mut weights,
            places: Some(&mut places),
        };
        kernels.backward(&stream, &p, pairs, batch, meant, wanted).expect("gradients");
        let read = |buffer: &tessera_kernels::device::Buffer<f32>| buffer.read(&stream).expect("a copy");
        // Cosines are multiplied by frequencies, 128 of which are added up for a response.
        assert_close("places", &read(&places), &rows(&of_places, d, batch, 0), 5e-5);
        assert_close("centres", &read(&centres), &gradient.centres, 5e-5);
        assert_close("shapes", &read(&shapes), &gradient.shapes, 5e-5);
        assert_close("weights", &read(&weights), &gradient.weights, 5e-5);
        let expected = read(&weights);
        let wanted = SpatialGradient { moving: None, weights: &mut weights, places: None };
        kernels.backward(&stream, &p, pairs, batch, meant, wanted).expect("gradients");
        assert!(read(&weights) == expected, "weights alone have other gradients");
    }
}

pub fn costs_and_pixels_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let (width, height, side, n) = (37u32, 20u32, 41u32, 600);
    let batch = Batch { samples: n, stride: n + 1 };
    let mut cost = Cost::new(device).expect("kernels");
    for (channels, k) in [(1, 0), (3, 4)] {
        let pixels = random(&mut rng, (width * height) as usize * channels, 1.0);
        let near: Vec<u32> = (0..(width * height) as usize * k).map(|i| i as u32).collect();
        let picture = Picture::new(device, (&pixels, channels), (width, side), &near).expect("memory");
        let chosen: Vec<u32> = (0..n).map(|_| rng.random_range(0..width * height)).collect();
        let buffer = |rows: usize| device.zeros::<f32>(rows * batch.stride, "samples").expect("memory");
        let (mut positions, mut wanted) = (buffer(2), buffer(channels));
        let mut neighbours = device.zeros::<u32>(n * k, "samples").expect("memory");
        let samples =
            PixelSamples { positions: &mut positions, wanted: &mut wanted, neighbours: Some(&mut neighbours) };
        picture.take(&stream, &upload(device, &chosen), batch, samples).expect("samples");
        let middle = |i: u32| [i % width, i / width].map(|c| (c as f32 + 0.5) / side as f32);
        let places: Vec<f32> = chosen.iter().flat_map(|&i| middle(i)).collect();
        assert_eq!(positions.read(&stream).expect("a copy"), rows(&places, 2, batch, 0), "the same bits");
        let targets: Vec<f32> =
            chosen.iter().flat_map(|&i| pixels[i as usize * channels..][..channels].to_vec()).collect();
        assert_eq!(wanted.read(&stream).expect("a copy"), rows(&targets, channels, batch, 0), "the same bits");
        let of_chosen: Vec<u32> = chosen.iter().flat_map(|&i| near[i as usize * k..][..k].to_vec()).collect();
        assert_eq!(neighbours.read(&stream).expect("a copy"), of_chosen, "the kernels near each pixel");

        let values = random(&mut rng, n * channels, 1.0);
        let y = upload(device, &rows(&values, channels, batch, 0));
        let (mut of_values, mut mean) = (buffer(channels), device.zeros::<f32>(2, "the cost").expect("memory"));
        for kind in [CostKind::Squared, CostKind::Relative { nearest: 0.05 }] {
            let out = (&mut of_values, mean.at_mut(1));
            cost.compare(&stream, kind, (&y, &wanted), (batch, channels), out.0, out.1).expect("a cost");
            let (share, c) = (1.0 / n as f64, channels as f64);
            let one = |i: usize| {
                let (wanted, d) = (f64::from(targets[i]), f64::from(values[i]) - f64::from(targets[i]));
                match kind {
                    CostKind::Squared => [d * d / c, 2.0 * d / c],
                    CostKind::Relative { nearest } => {
                        let scale = 1.0 / (wanted.abs() + f64::from(nearest)) / c;
                        [d.abs() * scale, d.signum() * scale]
                    }
                }
            };
            let expected = share * (0..values.len()).map(|i| one(i)[0]).sum::<f64>();
            let got = mean.read(&stream).expect("a copy")[1];
            // Sums of 256 in single precision, then in double.
            assert!((f64::from(got) - expected).abs() < 1e-6 * expected, "{kind:?}: {got} instead of {expected}");
            let expected: Vec<f32> = (0..values.len()).map(|i| (share * one(i)[1]) as f32).collect();
            let of_values = of_values.read(&stream).expect("a copy");
            assert_close("the cost's gradient", &of_values, &rows(&expected, channels, batch, 0), 1e-6);
        }
    }
}
