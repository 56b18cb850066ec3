//! The decoder of radial basis functions and kernels in space against golden vectors: both kinds of SIMD lanes, the CUDA kernels on the emulator.

mod common;
#[path = "cuda/rows.rs"]
mod rows;

use common::{Case, for_each_case};
use rows::{columns, rows, upload};
use tessera_kernels::device::Device;
use tessera_kernels::hash_grid::cuda::{Batch, RowsIn, RowsOut};
use tessera_kernels::mlp::{Rows, blocks_for, from_blocks, to_blocks};
use tessera_kernels::rbf::cuda::{self, SpatialGradient, SpatialPairs, SpatialParameters};
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

/// A case's decoder with its parameters, and how many samples there are.
fn decoder_of(case: &Case) -> (Decoder, Vec<f32>, usize) {
    let [samples, features] = case.shape("features")[..] else { panic!("features are a matrix") };
    let [outputs, kernels] = case.shape("weight")[..] else { panic!("weights are a matrix") };
    let parameters = ["centres", "log_precision", "weight", "bias"].map(|name| case.f32(name)).concat();
    (Decoder::new(features, kernels, outputs), parameters, samples)
}

fn decoder(case: &Case) {
    let (of, parameters, samples) = decoder_of(case);
    let (features, kernels, outputs) = (of.features(), of.kernels(), of.outputs());
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
    compare_parameters(case, &of, &gradient);
}

fn compare_parameters(case: &Case, of: &Decoder, gradient: &[f32]) {
    case.compare("d_centres", &gradient[of.centres()]);
    case.compare("d_log_precision", &gradient[of.log_precisions()]);
    case.compare("d_weight", &gradient[of.weights()]);
    case.compare("d_bias", &gradient[of.biases()]);
}

/// What a case calls its kernels' shapes.
fn shape_name(case: &Case) -> &'static str {
    if case.has("precision") { "precision" } else { "inv_width" }
}

/// A case's kernels with their parameters, and which are near each place.
fn spatial_of(case: &Case) -> (SpatialKernels, KernelParameters, Neighbours) {
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
        KernelParameters { centres: case.f32("centres"), shapes: case.f32(shape_name(case)), weights: case.f32("w") };
    let indices = case.i32("idx").into_iter().map(|i| u32::try_from(i).expect("no negative index")).collect();
    (of, parameters, Neighbours::new(indices, case.shape("centres")[0]))
}

fn spatial(case: &Case) {
    let (of, parameters, neighbours) = spatial_of(case);
    let (places, features) = (case.f32("x"), of.features);
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
    case.compare(&format!("d_{}", shape_name(case)), &gradient.shapes);
    case.compare("d_w", &gradient.weights);
}

fn decoder_on_device(case: &Case, device: &Device) {
    let (of, parameters, samples) = decoder_of(case);
    let (batch, stream) = (Batch::of(samples), device.stream().expect("a stream"));
    let mut decoder = cuda::Decoder::new(device, of).expect("kernels");
    let parameters = upload(device, &parameters);
    let features = upload(device, &rows(&case.f32("features"), of.features(), batch, 0));
    let zeros = |len: usize| device.zeros::<f32>(len, "a test").expect("memory");
    let mut outputs = zeros(of.outputs() * samples);
    decoder.forward(&stream, &parameters, &features, batch, &mut outputs).expect("outputs");
    case.compare("phi", &columns(&decoder.responses().read(&stream).expect("a copy"), of.kernels(), batch));
    case.compare("y", &columns(&outputs.read(&stream).expect("a copy"), of.outputs(), batch));

    let upstream = upload(device, &rows(&case.f32("v_y"), of.outputs(), batch, 0));
    let (mut of_features, mut gradient) = (zeros(of.features() * samples), zeros(of.parameters()));
    let out = (&mut of_features, &mut gradient);
    decoder.backward(&stream, (&parameters, &features, &upstream), batch, out).expect("gradients");
    case.compare("d_features", &columns(&of_features.read(&stream).expect("a copy"), of.features(), batch));
    compare_parameters(case, &of, &gradient.read(&stream).expect("a copy"));
}

fn spatial_on_device(case: &Case, device: &Device) {
    let (of, parameters, neighbours) = spatial_of(case);
    let x = case.f32("x");
    let (batch, stream) = (Batch::of(x.len() / of.dimensions), device.stream().expect("a stream"));
    let mut kernels = cuda::SpatialKernels::new(device, &of).expect("kernels");
    let parameters = SpatialParameters::upload(device, &parameters).expect("memory");
    let (x, near) = (upload(device, &rows(&x, of.dimensions, batch, 0)), upload(device, neighbours.kernels()));
    let pairs = SpatialPairs { places: &x, neighbours: &near };
    let zeros = |len: usize| device.zeros::<f32>(len, "a test").expect("memory");
    let mut sums = zeros(of.features * batch.stride);
    kernels.forward(&stream, &parameters, pairs, batch, RowsOut { matrix: &mut sums, first: 0 }).expect("sums");
    case.compare("phi", &kernels.responses().read(&stream).expect("a copy"));
    case.compare("out", &columns(&sums.read(&stream).expect("a copy"), of.features, batch));

    let upstream = upload(device, &rows(&case.f32("v_out"), of.features, batch, 0));
    let (mut centres, mut shapes) = (zeros(parameters.centres.len()), zeros(parameters.shapes.len()));
    let (mut weights, mut places) = (zeros(parameters.weights.len()), zeros(x.len()));
    let moving = Some((&mut centres, &mut shapes));
    let gradient = SpatialGradient { moving, weights: &mut weights, places: Some(&mut places) };
    let of_sums = RowsIn { matrix: &upstream, first: 0 };
    kernels.backward(&stream, &parameters, pairs, batch, of_sums, gradient).expect("gradients");
    case.compare("d_x", &columns(&places.read(&stream).expect("a copy"), of.dimensions, batch));
    case.compare("d_centres", &centres.read(&stream).expect("a copy"));
    case.compare(&format!("d_{}", shape_name(case)), &shapes.read(&stream).expect("a copy"));
    case.compare("d_w", &weights.read(&stream).expect("a copy"));
}

fn check_on_device(variant: &str, device: &Device) {
    for_each_case("rbf_decoder", variant, |case| {
        if case.name.starts_with("decoder") { decoder_on_device(case, device) } else { spatial_on_device(case, device) }
    });
}

mod emulator {
    #[test]
    fn decoders_and_spatial_kernels_agree() {
        super::check_on_device("emulator", &tessera_emulator::device());
    }
}

mod gpu {
    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn decoders_and_spatial_kernels_agree() {
        super::check_on_device("GPU", &tessera_emulator::gpu());
    }
}
