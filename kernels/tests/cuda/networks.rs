//! Small networks: all passes of `mlp`.

use crate::rows::{columns, rows, upload};
use crate::scenes::fresh_rng;
use crate::{assert_close, stream};
use rand::{Rng, RngExt};
use tessera_kernels::device::Device;
use tessera_kernels::hash_grid::cuda::Batch;
use tessera_kernels::mlp::cuda::{self, Pass};
use tessera_kernels::mlp::{Activations, Mlp, Rows, from_blocks, to_blocks};

fn random(rng: &mut impl Rng, len: usize, range: f32) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-range..range)).collect()
}

/// The layers of the CPU's activations as rows.
fn in_rows(of: &Mlp, activations: &Activations, batch: Batch) -> Vec<Vec<f32>> {
    let layers = activations.layers.iter().zip(of.widths());
    layers
        .map(|(values, &width)| rows(&from_blocks(values, Rows::all(width), width, batch.samples), width, batch, 0))
        .collect()
}

pub fn networks_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    // A usual shape; parts of everything and more than one of each; three layers of one sample.
    for (widths, n) in [(&[32, 64, 4][..], 100), (&[36, 72, 68, 8], 300), (&[4, 12, 4, 4], 1)] {
        let (of, batch) = (Mlp::new(widths), Batch { samples: n, stride: n + 3 });
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let weights: Vec<f32> = (0..of.layers())
            .flat_map(|k| random(&mut rng, of.matrix(k).len(), (6.0 / widths[k] as f32).sqrt()))
            .collect();
        // Gradients are much smaller than activations.
        let tiny = 2.0f32.powi(-20);
        let (x, upstream) = (random(&mut rng, n * first, 1.0), random(&mut rng, n * last, tiny));
        let by_normals = random(&mut rng, n * first, tiny);
        let output = rng.random_range(0..last);

        let mut cpu: [Activations; 4] = std::array::from_fn(|_| Activations::default());
        cpu.iter_mut().for_each(|a| of.make_room(n.div_ceil(16), a));
        let [h, d, b, f] = &mut cpu;
        h.layers[0] = to_blocks(&x, first);
        of.forward(&weights, h);
        d.layers[widths.len() - 1] = to_blocks(&upstream, last);
        of.back(&weights, h, d, true);
        of.sensitivity(&weights, h, output, b);
        f.layers[0] = to_blocks(&by_normals, first);
        of.tangent(&weights, h, f);
        let mut expected = vec![0.0; of.weights()];
        of.weight_gradient(h, d, &mut expected);
        let first_order = expected.clone();
        of.second_order_weight_gradient(b, f, output, &mut expected);

        let mut network = cuda::Mlp::new(device, &of).expect("kernels");
        let w = upload(device, &weights);
        let room = || cuda::Activations::new(device, &of, widths.len(), batch.stride).expect("memory");
        let of_layer = |values: &[f32], layer: usize| {
            let mut out = room();
            out.layers[layer] = upload(device, &rows(values, widths[layer], batch, 0));
            out
        };
        let pass = Pass { batch, scale: 2.0f32.powi(18) };
        let read = |a: &cuda::Activations, layer: usize| {
            columns(&a.layers[layer].read(&stream).expect("a copy"), widths[layer], batch)
        };
        let of_cpu =
            |a: &Activations, layer: usize| from_blocks(&a.layers[layer], Rows::all(widths[layer]), widths[layer], n);
        // Each of up to three layers adds a few roundings of its terms, whose sizes add up to a few times the largest sum.
        let close = |name: &str, a: &[f32], b: &[f32]| assert_close(&format!("{name} of {widths:?}"), a, b, 1e-5);

        let mut on_device = of_layer(&x, 0);
        network.forward(&stream, &w, &mut on_device, batch).expect("a pass");
        for layer in 1..widths.len() {
            close("activations", &read(&on_device, layer), &of_cpu(h, layer));
        }
        // From here on with the CPU's activations: which units are active hangs on the last bit.
        for (buffer, values) in on_device.layers.iter_mut().zip(in_rows(&of, h, batch)) {
            *buffer = upload(device, &values);
        }
        let h = &on_device;
        let mut back = of_layer(&upstream, widths.len() - 1);
        network.back(&stream, &w, h, &mut back, pass).expect("a pass");
        let mut sensitivity = room();
        network.sensitivity(&stream, &w, h, output, &mut sensitivity, batch).expect("a pass");
        let mut tangent = of_layer(&by_normals, 0);
        network.tangent(&stream, &w, h, &mut tangent, pass).expect("a pass");
        for layer in 0..widths.len() - 1 {
            close("gradients", &read(&back, layer), &of_cpu(d, layer));
            close("sensitivities", &read(&sensitivity, layer), &of_cpu(b, layer));
            close("tangents", &read(&tangent, layer), &of_cpu(f, layer));
        }
        let mut gradient = upload(device, &vec![f32::NAN; of.weights()]);
        network.weight_gradient(&stream, h, &back, pass, &mut gradient).expect("a gradient");
        close("gradients of weights", &gradient.read(&stream).expect("a copy"), &first_order);
        let both = (&sensitivity, &tangent);
        network.second_order_weight_gradient(&stream, both, output, pass, &mut gradient).expect("a gradient");
        close("both orders", &gradient.read(&stream).expect("a copy"), &expected);
    }
}

pub fn products_are_about_as_exact_as_single_precision(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let (of, n) = (Mlp::new(&[32, 16]), 40);
    let batch = Batch::of(n);
    let network = cuda::Mlp::new(device, &of).expect("kernels");
    // Products of numbers of very different sizes, one pair in each row that matters.
    for power in [-22, -10, 0, 14] {
        let scale = 2.0f32.powi(power);
        let (weights, x) = (random(&mut rng, of.weights(), 1.0), random(&mut rng, n * 32, scale));
        let mut h = cuda::Activations::new(device, &of, 2, n).expect("memory");
        h.layers[0] = upload(device, &rows(&x, 32, batch, 0));
        network.forward(&stream, &upload(device, &weights), &mut h, batch).expect("a pass");
        let found = columns(&h.layers[1].read(&stream).expect("a copy"), 16, batch);
        for (i, x) in x.chunks_exact(32).enumerate() {
            for o in 0..16 {
                let terms = || weights[32 * o..][..32].iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                let (sum, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
                let off = (f64::from(found[16 * i + o]) - sum).abs();
                // Three terms of 2^-22 for what is left out, 2^-24 for each of up to 96 additions; numbers below 2^-14 have fewer bits: 2^-36 of 1.
                let bound = (3.0 * 2.0f64.powi(-22) + 96.0 * 2.0f64.powi(-24)) * size + 32.0 * 2.0f64.powi(-35);
                assert!(off <= bound, "2^{power}: {} instead of {sum}, of terms of {size}", found[16 * i + o]);
            }
        }
    }
}
