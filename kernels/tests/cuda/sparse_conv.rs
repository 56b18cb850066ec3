//! Convolutions on sparse voxels.

use crate::dense::{assert_near, random, read, upload};
use crate::scenes::fresh_rng;
use crate::stream;
use rand::{RngExt, rngs::StdRng};
use tessera_kernels::dense::cuda::{Dense, DeviceRows, Rows};
use tessera_kernels::device::{Device, Precision};
use tessera_kernels::sparse_conv::cuda::{Convolutions, DeviceNeighbours};
use tessera_kernels::sparse_conv::{Convolution, Neighbours, Sites, mean_of_children, mean_of_children_backward};

fn random_sites(rng: &mut StdRng, count: usize) -> Sites {
    let mut at = || rng.random_range(0..7);
    Sites::new((0..count).map(|_| [at() % 2, at(), at(), at()]).collect())
}

pub fn convolutions_are_those_of_the_cpu(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let (convolutions, dense) = (Convolutions::new(device).expect("kernels"), Dense::new(device).expect("kernels"));
    for (precision, round) in [(Precision::Single, false), (Precision::Brain, true)] {
        for alone in [false, true] {
            let sites = random_sites(&mut rng, 90);
            let [inputs, outputs] = [rng.random_range(1..40), rng.random_range(1..80)];
            let (of, neighbours) = if alone {
                (Convolution::of_points(inputs, outputs), Neighbours::alone(sites.len()))
            } else {
                (Convolution::of_neighbours(inputs, outputs), sites.neighbours())
            };
            // Rounded before where the device rounds, so that only sums are rounded there.
            let rounded = |x: f32| if round { f32::from_bits((x.to_bits() + 0x8000) & 0xffff_0000) } else { x };
            let mut random = |len| random(&mut rng, len).into_iter().map(rounded).collect::<Vec<f32>>();
            let (x, kernel, d) = (random(sites.len() * inputs), random(of.weights()), random(sites.len() * outputs));
            let bias = random(outputs);
            let expected = of.forward(&neighbours, &x, &kernel, &bias);
            let [by_x, by_kernel, _] = of.backward(&neighbours, &x, &kernel, &d);
            let near = DeviceNeighbours::new(device, &neighbours).expect("memory");
            let [x, kernel, bias, d] = [&x, &kernel, &bias, &d].map(|values| upload(device, values));
            let out = convolutions.forward(&stream, precision, &of, &near, [&x, &kernel, &bias]).expect("sums");
            let back = convolutions.by_input(&stream, precision, &of, &near, [&kernel, &d]).expect("a gradient");
            let outer = convolutions.by_kernel(&stream, &dense, precision, &of, &near, [&x, &d]).expect("a gradient");
            // A rounding of a sum for each of its terms, which are below 1 and of both signs.
            let bound = |terms: usize| 4.0 * f32::EPSILON * (terms as f32 + 1.0);
            let name = |what: &str| format!("{what} of {of:?} in {precision}");
            assert_near(&name("sums"), &read(&out, &stream), &expected, bound(27 * inputs));
            assert_near(&name("the input's gradient"), &read(&back, &stream), &by_x, bound(27 * outputs));
            assert_near(&name("the kernel's gradient"), &read(&outer, &stream), &by_kernel, bound(sites.len()));
        }
    }
}

pub fn means_of_children_are_sums_of_rows(device: &Device) {
    let (mut rng, stream) = (fresh_rng(), stream(device));
    let rows = Rows::new(device).expect("kernels");
    let (parents, of_each) = random_sites(&mut rng, 120).parents();
    let channels = rng.random_range(1..20);
    let (x, d) = (random(&mut rng, of_each.len() * channels), random(&mut rng, parents.len() * channels));
    let known = DeviceRows::new(device, &of_each, parents.len()).expect("memory");
    let means = rows.sum(&stream, &upload(device, &x), &known, channels, true).expect("means");
    let expected = mean_of_children(&x, &of_each, channels, parents.len());
    // The CPU adds shares, the device shares a sum of at most eight numbers below 1.
    assert_near("means", &read(&means, &stream), &expected, 2e-6);
    let back = rows.gather(&stream, &upload(device, &d), &known, channels, true).expect("a gradient");
    assert_eq!(read(&back, &stream), mean_of_children_backward(&d, &of_each, channels), "shares of gradients");
}
