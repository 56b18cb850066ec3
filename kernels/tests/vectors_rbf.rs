//! The decoder of radial basis functions and kernels in space against golden vectors, on both kinds of SIMD lanes.

mod common;

use common::{Case, for_each_case};
use tessera_kernels::mlp::{Rows, blocks_for, from_blocks, to_blocks};
use tessera_kernels::rbf::{
    Decoded, Decoder, KernelGradient, KernelParameters, KernelShape, Neighbours, Prepared, SpatialKernels,
};
use tessera_kernels::simd::{Backend, best_backend, select_backend};

#[test]
fn decoders_and_spatial_kernels_agree() {
    for (variant, backend) in [("portable", Backend::Portable), ("best", best_backend())] {
        select_backend(backend);
        for_each_case("rbf_decoder", variant, |case| {
            if case.name.starts_with("decoder") { decoder(case) } else { spatial(case) }
        });
    }
}

fn decoder(case: &Case) {
    let [samples, features] = case.shape("features")[..] else { panic!("features are a matrix") };
    let [outputs, kernels] = case.shape("weight")[..] else { panic!("weights are a matrix") };
    let of = Decoder::new(features, kernels, outputs);
    let parameters = ["centres", "log_precision", "weight", "bias"].map(|name| case.f32(name)).concat();
    let (rows, blocks) = (Rows::all(features), blocks_for(samples));
    let input = to_blocks(&case.f32("features"), features);
    let (mut prepared, mut decoded) = (Prepared::default(), Decoded::default());
    of.prepare(&parameters, &mut prepared);
    of.forward(&prepared, (&input, rows), &mut decoded);
    case.compare("phi", &from_blocks(&decoded.responses, Rows::all(kernels), kernels, samples));
    case.compare("y", &from_blocks(&decoded.outputs, Rows::all(outputs), outputs, samples));

    let of_outputs = to_blocks(&case.f32("v_y"), outputs);
    let (mut of_features, mut gradient) = (vec![0.0; blocks * features * 16], vec![0.0; of.parameters()]);
    of.backward(&prepared, (&input, rows), &mut decoded, &of_outputs, (&mut of_features, rows), &mut gradient);
    case.compare("d_features", &from_blocks(&of_features, rows, features, samples));
    case.compare("d_centres", &gradient[of.centres()]);
    case.compare("d_log_precision", &gradient[of.log_precisions()]);
    case.compare("d_weight", &gradient[of.weights()]);
    case.compare("d_bias", &gradient[of.biases()]);
}

fn spatial(case: &Case) {
    let shape_name = if case.has("precision") { "precision" } else { "inv_width" };
    let features = case.shape("w")[1];
    let of = SpatialKernels {
        dimensions: 3,
        features,
        neighbours: case.shape("idx")[1],
        shape: if case.has("precision") { KernelShape::InverseQuadric } else { KernelShape::ProductHat },
        // Several frequencies act on normalised responses.
        normalised: !case.name.ends_with("plain"),
        frequencies: if case.has("m") { case.f32("m") } else { Vec::new() },
    };
    let parameters =
        KernelParameters { centres: case.f32("centres"), shapes: case.f32(shape_name), weights: case.f32("w") };
    let places = case.f32("x");
    let indices = case.i32("idx").into_iter().map(|i| u32::try_from(i).expect("no negative index")).collect();
    let neighbours = Neighbours::new(indices, case.shape("centres")[0]);
    let (count, rows) = (places.len() / 3, Rows::all(features));
    let mut responses = vec![0.0; neighbours.kernels().len()];
    let mut sums = vec![0.0; blocks_for(count) * features * 16];
    of.forward(&parameters, &places, neighbours.kernels(), &mut responses, (&mut sums, rows));
    case.compare("phi", &responses);
    case.compare("out", &from_blocks(&sums, rows, features, count));

    let of_sums = to_blocks(&case.f32("v_out"), features);
    let (mut gradient, mut of_places) = (KernelGradient::default(), vec![0.0; places.len()]);
    of.backward(&parameters, &places, &neighbours, &responses, (&of_sums, rows), (&mut gradient, Some(&mut of_places)));
    case.compare("d_x", &of_places);
    case.compare("d_centres", &gradient.centres);
    case.compare(&format!("d_{shape_name}"), &gradient.shapes);
    case.compare("d_w", &gradient.weights);
}
