//! Hash grids, networks with gradients of their gradients, and the blending of surfaces against golden vectors, on both kinds of SIMD lanes; all but
//! gradients of places and of blended rays on the emulator as well.

mod common;
#[path = "cuda/rows.rs"]
mod rows;

use common::{Case, for_each_case, for_each_case_named, for_each_case_of};
use rows::{columns, rows, upload};
use tessera_kernels::device::{Buffer, Device};
use tessera_kernels::hash_grid::cuda::{Batch, Grid, RowsIn, RowsOut, Upstream};
use tessera_kernels::hash_grid::{
    FEATURES, GridSpec, HashGrid, Interpolation, LevelScale, SampleGradients, product, transposed_product,
};
use tessera_kernels::mlp::cuda::{self, Pass};
use tessera_kernels::mlp::{Activations, Mlp, Rows, blocks_for, from_blocks, to_blocks};
use tessera_kernels::occupancy::MarchedRay;
use tessera_kernels::occupancy::cuda::DeviceRay;
use tessera_kernels::sdf_render::cuda::{Looks, Opacities, OpacitySettings};
use tessera_kernels::sdf_render::{AlphaPartials, Ray, RayGradient, alpha, blend, blend_backward};
use tessera_kernels::simd::{Backend, best_backend, select_backend};

/// Runs a test of a topic on all lanes that the machine has.
fn on_all_lanes(topic: &str, test: impl Fn(&Case)) {
    for (variant, backend) in [("portable", Backend::Portable), ("best", best_backend())] {
        select_backend(backend);
        for_each_case(topic, variant, &test);
    }
}

/// The grid of a case.
fn grid_of(case: &Case) -> HashGrid {
    HashGrid::new(&GridSpec {
        levels: case.size("levels"),
        log2_table: case.size("log2_table") as u32,
        base: case.size("base") as u32,
        growth: case.number("growth"),
        level_scale: match case.option("level_scale").as_str() {
            Some("fractional") => LevelScale::Fractional,
            _ => LevelScale::Integer,
        },
        interpolation: match case.option("interpolation").as_str() {
            Some("linear") => Interpolation::Linear,
            _ => Interpolation::Smoothstep,
        },
    })
}

#[test]
fn hash_grids_agree_in_first_and_second_order() {
    on_all_lanes("hash_grid", |case| {
        let grid = grid_of(case);
        for (l, level) in grid.levels().iter().enumerate() {
            assert_eq!(case.option("scales")[l].as_f64(), Some(f64::from(level.scale)), "scale of level {l}");
            assert_eq!(case.option("resolutions")[l].as_u64(), Some(u64::from(level.resolution)));
            assert_eq!(case.option("sizes")[l].as_u64(), Some(u64::from(level.size)));
            assert_eq!(case.option("offsets")[l].as_u64(), Some(level.offset as u64));
        }
        let second_order = case.name.ends_with("second_order");
        let params = case.f32_of("fractional_first_order", "params");
        let x = case.f32_of(&case.name.replace("second", "first"), "x");
        let (n, width) = (x.len() / 3, grid.width());
        let (x, rows, blocks) = (to_blocks(&x, 3), Rows::all(width), blocks_for(n));
        let mut encoding = vec![0.0; blocks * width * 16];
        let mut jacobian = vec![0.0; 3 * encoding.len()];
        grid.encode(&params, &x, grid.levels().len(), (&mut encoding, rows), Some(&mut jacobian));
        let mut gradients = vec![0.0; FEATURES * grid.entries()];
        let mut of_position = vec![0.0; x.len()];
        if second_order {
            let (u, v) = (to_blocks(&case.f32("u"), width), to_blocks(&case.f32("v_input_grad"), 3));
            transposed_product(&jacobian, &u, rows, width, &mut of_position);
            case.compare("input_grad", &from_blocks(&of_position, Rows::all(3), 3, n));
            let mut of_u = vec![0.0; encoding.len()];
            product(&jacobian, &v, width, (&mut of_u, rows));
            case.compare("d_u", &from_blocks(&of_u, rows, width, n));
            of_position.fill(0.0);
            grid.second_order_position_gradient(&params, &x, (&u, rows), &v, &mut of_position);
            let nothing = vec![0.0; encoding.len()];
            let through_jacobian = Some((&u[..], rows, &v[..]));
            let batch = SampleGradients { positions: &x, encoding: (&nothing, rows), through_jacobian };
            grid.accumulate(&[batch], grid.levels().len(), &mut gradients);
        } else {
            case.compare("encoding", &from_blocks(&encoding, rows, width, n));
            let v = to_blocks(&case.f32("v_encoding"), width);
            transposed_product(&jacobian, &v, rows, width, &mut of_position);
            let batch = SampleGradients { positions: &x, encoding: (&v, rows), through_jacobian: None };
            grid.accumulate(&[batch], grid.levels().len(), &mut gradients);
        }
        case.compare("d_x", &from_blocks(&of_position, Rows::all(3), 3, n));
        if case.has("d_params") {
            case.compare("d_params", &gradients);
        }
    });
}

fn grids_on_device(variant: &str, device: &Device) {
    let first_order = |name: &str| name.ends_with("first_order");
    for_each_case_named("hash_grid", variant, first_order, |case| {
        let (of, x) = (grid_of(case), case.f32("x"));
        let params = case.f32_of("fractional_first_order", "params");
        let (batch, width, stream) = (Batch::of(x.len() / 3), of.width(), device.stream().expect("a stream"));
        let mut grid = Grid::new(device, &of).expect("kernels");
        let (table, x) = (upload(device, &params), upload(device, &rows(&x, 3, batch, 0)));
        let zeros = |len: usize| device.zeros::<f32>(len, "a test").expect("memory");
        let mut encoding = zeros(width * batch.stride);
        let out = RowsOut { matrix: &mut encoding, first: 0 };
        grid.encode(&stream, (&table, &x), batch, usize::MAX, out, None).expect("encodings");
        case.compare("encoding", &columns(&encoding.read(&stream).expect("a copy"), width, batch));
        let upstream = upload(device, &rows(&case.f32("v_encoding"), width, batch, 0));
        let meant = RowsIn { matrix: &upstream, first: 0 };
        let (mut of_places, mut gradient) = (zeros(3 * batch.stride), zeros(FEATURES * of.entries()));
        grid.position_gradient(&stream, (&table, &x), batch, usize::MAX, meant, &mut of_places).expect("gradients");
        case.compare("d_x", &columns(&of_places.read(&stream).expect("a copy"), 3, batch));
        grid.table_gradient(&stream, &x, batch, usize::MAX, meant, &mut gradient).expect("gradients");
        if case.has("d_params") {
            case.compare("d_params", &gradient.read(&stream).expect("a copy"));
        }
    });
}

/// What training needs: no gradients of places.
fn networks_on_device(variant: &str, device: &Device) {
    const OUTPUTS: [&str; 9] = ["eikonal", "sdf", "features", "normal", "loss_part", "d_W0", "d_W1", "d_W2", "d_grid"];
    for_each_case_of("sdf_network", variant, Some(&OUTPUTS), |case| {
        const INPUT: usize = 12; // 3 + 8, padded
        let inputs = case.name.trim_end_matches("_eikonal_only");
        let (of, mlp, weights) = sdf_network(case, inputs, INPUT);
        let (table, x) = (case.f32_of(inputs, "grid"), case.f32_of(inputs, "x"));
        let (n, layers) = (x.len() / 3, mlp.layers());
        let (batch, stream) = (Batch::of(n), device.stream().expect("a stream"));
        let in_rows = |values: &[f32], width: usize| upload(device, &rows(values, width, batch, 0));
        let read = |buffer: &Buffer<f32>, width: usize| columns(&buffer.read(&stream).expect("a copy"), width, batch);
        let zeros = |width: usize| device.zeros::<f32>(width * n, "a test").expect("memory");
        let mut grid = Grid::new(device, &of).expect("kernels");
        let mut network = cuda::Mlp::new(device, &mlp).expect("kernels");
        let looks = Looks::new(device, 0, 0).expect("kernels");
        let room = || cuda::Activations::new(device, &mlp, layers + 1, n).expect("memory");
        let [mut h, mut d, mut b, mut f] = [room(), room(), room(), room()];
        let (weights, table, x) = (upload(device, &weights), upload(device, &table), in_rows(&x, 3));
        let (mut jacobian, mut normals) = (zeros(3 * of.width()), zeros(3));

        looks.place_rows(&stream, &x, batch, &mut h.layers[0]).expect("places");
        let out = RowsOut { matrix: &mut h.layers[0], first: 3 };
        grid.encode(&stream, (&table, &x), batch, 4, out, Some(&mut jacobian)).expect("encodings");
        network.forward(&stream, &weights, &mut h, batch).expect("a pass");
        network.sensitivity(&stream, &weights, &h, 0, &mut b, batch).expect("a pass");
        let of_encoding = RowsIn { matrix: &b.layers[0], first: 3 };
        grid.transposed_product(&stream, &jacobian, of_encoding, batch, &mut normals).expect("normals");
        looks.add_rows(&stream, &b.layers[0], batch, &mut normals).expect("normals");

        let (features, normals) = (read(&h.layers[layers], 16), read(&normals, 3));
        let length = |g: &[f32]| (g.iter().map(|x| x * x).sum::<f32>() + 1e-6).sqrt();
        let eikonal = normals.chunks(3).map(|g| (length(g) - 1.0).powi(2)).sum::<f32>() / n as f32;
        case.compare("eikonal", &[eikonal]);
        let only_eikonal = case.name != inputs;
        let eikonal_weight = if only_eikonal { case.f32("v_eikonal")[0] } else { 0.01 * case.f32("v_loss_part")[0] };
        let (mut v, mut upstream) = (vec![0.0; 3 * n], vec![0.0; 16 * n]);
        if !only_eikonal {
            case.compare("sdf", &features.chunks(16).map(|f| f[0] - 0.1).collect::<Vec<_>>());
            case.compare("features", &features);
            case.compare("normal", &normals);
            case.compare("loss_part", &[0.01 * eikonal]);
            (v, upstream) = (case.f32("v_normal"), case.f32("v_features"));
            upstream.chunks_mut(16).zip(case.f32("v_sdf")).for_each(|(u, v)| u[0] += v);
        }
        for (v, g) in v.chunks_mut(3).zip(normals.chunks(3)) {
            let factor = eikonal_weight * 2.0 * (1.0 - 1.0 / length(g)) / n as f32;
            v.iter_mut().zip(g).for_each(|(v, g)| *v += factor * g);
        }
        let (v, pass) = (in_rows(&v, 3), Pass { batch, scale: 16.0 });
        d.layers[layers] = in_rows(&upstream, 16);
        network.back(&stream, &weights, &h, &mut d, pass).expect("a pass");
        looks.copy_rows(&stream, &v, batch, &mut f.layers[0]).expect("tangents");
        let out = RowsOut { matrix: &mut f.layers[0], first: 3 };
        grid.product(&stream, &jacobian, &v, batch, out).expect("tangents");
        network.tangent(&stream, &weights, &h, &mut f, pass).expect("a pass");
        let mut gradient = device.zeros::<f32>(mlp.weights(), "a test").expect("memory");
        network.weight_gradient(&stream, &h, &d, pass, &mut gradient).expect("a gradient");
        network.second_order_weight_gradient(&stream, (&b, &f), 0, pass, &mut gradient).expect("a gradient");
        let gradient = gradient.read(&stream).expect("a copy");
        let first: Vec<f32> = gradient[mlp.matrix(0)].chunks(INPUT).flat_map(|row| row[..11].to_vec()).collect();
        case.compare("d_W0", &first);
        (1..layers).for_each(|k| case.compare(&format!("d_W{k}"), &gradient[mlp.matrix(k)]));
        let [encoding, u] = [&d, &b].map(|a| RowsIn { matrix: &a.layers[0], first: 3 });
        let mut of_table = device.zeros::<f32>(FEATURES * of.entries(), "a test").expect("memory");
        let upstream = Upstream { encoding, first_order: n, u, v: &v };
        grid.table_gradient_through(&stream, &x, batch, 4, &upstream, &mut of_table).expect("a gradient");
        case.compare("d_grid", &of_table.read(&stream).expect("a copy"));
    });
}

/// Opacities, which have one step for all samples on a device.
fn opacities_on_device(variant: &str, device: &Device) {
    let outputs = ["alpha", "d_alpha_d_f", "d_alpha_d_cos", "d_alpha_d_delta", "d_alpha_d_inv_s"];
    for_each_case_of("neus_alpha", variant, Some(&outputs), |case| {
        let [f, cos, delta] = ["f", "cos", "delta"].map(|name| case.f32(name));
        let (n, stream) = (f.len(), device.stream().expect("a stream"));
        let composite = case.name.starts_with("composite");
        let sharpness = if composite { (10.0 * case.f32("v")[0]).exp() } else { case.f32("inv_s")[0] };
        let opacities = Opacities::new(device).expect("kernels");
        // A ray along x, and normals as long along x as cosines are.
        let along = MarchedRay { origin: [0.0; 3], direction: [1.0, 0.0, 0.0], near_far: [0.0, 1.0] };
        let ray = upload(device, &[DeviceRay::new(Some(&along), 0.0)]);
        let normals: Vec<f32> = cos.iter().flat_map(|cos| [*cos, 0.0, 0.0]).collect();
        let batch = Batch::of(n);
        let (f, normals) = (upload(device, &f), upload(device, &rows(&normals, 3, batch, 0)));
        let ray_of = device.zeros::<u32>(n, "a test").expect("memory");
        let mut out = device.zeros::<f32>(5 * n, "a test").expect("memory");
        let mut steps = delta.clone();
        steps.sort_by(f32::total_cmp);
        steps.dedup();
        let mut found = vec![0.0; 5 * n];
        for step in steps {
            let anneal = case.number("anneal") as f32;
            let settings = OpacitySettings { sharpness, anneal, step, radius: 0.0 };
            let given = ((&f, &normals), (&ray, &ray_of));
            opacities.alphas(&stream, given.0, given.1, batch, settings, &mut out).expect("opacities");
            let of_step = columns(&out.read(&stream).expect("a copy"), 5, batch);
            let all = found.chunks_exact_mut(5).zip(of_step.chunks_exact(5)).zip(&delta);
            all.filter(|(_, delta)| **delta == step).for_each(|((found, of_step), _)| found.copy_from_slice(of_step));
        }
        let row = |k: usize| found.chunks_exact(5).map(|sample| sample[k]).collect::<Vec<f32>>();
        case.compare("alpha", &row(0));
        if !composite {
            let names = ["d_alpha_d_f", "d_alpha_d_cos", "d_alpha_d_delta", "d_alpha_d_inv_s"];
            names.iter().enumerate().for_each(|(k, name)| case.compare(name, &row(k + 1)));
        }
    });
}

mod emulator {
    #[test]
    fn hash_grids_agree_in_first_order() {
        super::grids_on_device("emulator", &tessera_emulator::device());
    }

    #[test]
    fn distance_networks_agree_through_the_normal() {
        super::networks_on_device("emulator", &tessera_emulator::fast_device());
    }

    #[test]
    fn opacities_agree() {
        super::opacities_on_device("emulator", &tessera_emulator::fast_device());
    }
}

mod gpu {
    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn hash_grids_agree_in_first_order() {
        super::grids_on_device("GPU", &tessera_emulator::gpu());
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn distance_networks_agree_through_the_normal() {
        super::networks_on_device("GPU", &tessera_emulator::gpu());
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn opacities_agree() {
        super::opacities_on_device("GPU", &tessera_emulator::gpu());
    }
}

/// Columns of a `[out, columns]` matrix as a `[out, padded]` one.
fn padded(matrix: &[f32], columns: usize, padded: usize) -> Vec<f32> {
    let row = |r: &[f32]| r.iter().copied().chain(std::iter::repeat_n(0.0, padded - columns)).collect::<Vec<_>>();
    matrix.chunks_exact(columns).flat_map(row).collect()
}

/// Grid, network and weights of a case of "sdf_network", whose first layer has `input` inputs, the last of them filling.
fn sdf_network(case: &Case, inputs: &str, input: usize) -> (HashGrid, Mlp, Vec<f32>) {
    let grid = HashGrid::new(&GridSpec {
        levels: 4,
        log2_table: 10,
        base: 6,
        growth: 1.6,
        level_scale: LevelScale::Integer,
        interpolation: Interpolation::Linear,
    });
    let layers = if inputs == "one_hidden" { 2 } else { 3 };
    let widths = if layers == 2 { vec![input, 64, 16] } else { vec![input, 64, 64, 16] };
    let mlp = Mlp::new(&widths);
    let mut weights = padded(&case.f32_of(inputs, "W0"), 11, input);
    (1..layers).for_each(|k| weights.extend(case.f32_of(inputs, &format!("W{k}"))));
    (grid, mlp, weights)
}

#[test]
fn distance_networks_agree_through_the_normal() {
    on_all_lanes("sdf_network", |case| {
        const INPUT: usize = 12; // 3 + 8, padded
        let inputs = case.name.trim_end_matches("_eikonal_only");
        let input = |name: &str| case.f32_of(inputs, name);
        let (grid, mlp, weights) = sdf_network(case, inputs, INPUT);
        let layers = mlp.layers();
        let (table, x) = (input("grid"), input("x"));
        let (n, width) = (x.len() / 3, grid.width());
        let (x, blocks, encoded) = (to_blocks(&x, 3), blocks_for(n), Rows { rows: INPUT, first: 3 });

        let [mut h, mut d, mut b, mut f] = std::array::from_fn(|_| Activations::default());
        [&mut h, &mut d, &mut b, &mut f].into_iter().for_each(|a| mlp.make_room(blocks, a));
        let mut jacobian = vec![0.0; blocks * 3 * width * 16];
        for (block, x) in x.chunks_exact(48).enumerate() {
            h.layers[0][block * INPUT * 16..][..48].iter_mut().zip(x).for_each(|(h, x)| *h = x - 0.5);
        }
        grid.encode(&table, &x, 4, (&mut h.layers[0], encoded), Some(&mut jacobian));
        mlp.forward(&weights, &mut h);
        mlp.sensitivity(&weights, &h, 0, &mut b);
        let mut normal = vec![0.0; x.len()];
        transposed_product(&jacobian, &b.layers[0], encoded, width, &mut normal);
        add_position_rows(&b.layers[0], INPUT, &mut normal);

        let features = from_blocks(&h.layers[layers], Rows::all(16), 16, n);
        let sdf: Vec<f32> = features.chunks(16).map(|f| f[0] - 0.1).collect();
        let normals = from_blocks(&normal, Rows::all(3), 3, n);
        let length = |g: &[f32]| (g.iter().map(|x| x * x).sum::<f32>() + 1e-6).sqrt();
        let eikonal = normals.chunks(3).map(|g| (length(g) - 1.0).powi(2)).sum::<f32>() / n as f32;
        case.compare("eikonal", &[eikonal]);
        let only_eikonal = case.name != inputs;
        let eikonal_weight = if only_eikonal { case.f32("v_eikonal")[0] } else { 0.01 * case.f32("v_loss_part")[0] };
        let mut v_normal = vec![0.0; 3 * n];
        if !only_eikonal {
            case.compare("sdf", &sdf);
            case.compare("features", &features);
            case.compare("normal", &normals);
            case.compare("loss_part", &[0.01 * eikonal]);
            v_normal = case.f32("v_normal");
            let mut upstream = case.f32("v_features");
            upstream.chunks_mut(16).zip(case.f32("v_sdf")).for_each(|(u, v)| u[0] += v);
            d.layers[layers] = to_blocks(&upstream, 16);
        }
        for (v, g) in v_normal.chunks_mut(3).zip(normals.chunks(3)) {
            let factor = eikonal_weight * 2.0 * (1.0 - 1.0 / length(g)) / n as f32;
            v.iter_mut().zip(g).for_each(|(v, g)| *v += factor * g);
        }
        let v = to_blocks(&v_normal, 3);

        mlp.back(&weights, &h, &mut d, true);
        for (block, v) in v.chunks_exact(48).enumerate() {
            f.layers[0][block * INPUT * 16..][..48].copy_from_slice(v);
        }
        product(&jacobian, &v, width, (&mut f.layers[0], encoded));
        mlp.tangent(&weights, &h, &mut f);
        let mut gradient = vec![0.0; mlp.weights()];
        mlp.weight_gradient(&h, &d, &mut gradient);
        mlp.second_order_weight_gradient(&b, &f, 0, &mut gradient);
        let first: Vec<f32> = gradient[mlp.matrix(0)].chunks(INPUT).flat_map(|row| row[..11].to_vec()).collect();
        case.compare("d_W0", &first);
        (1..layers).for_each(|k| case.compare(&format!("d_W{k}"), &gradient[mlp.matrix(k)]));

        let mut of_table = vec![0.0; FEATURES * grid.entries()];
        let through_jacobian = Some((&b.layers[0][..], encoded, &v[..]));
        let batch = SampleGradients { positions: &x, encoding: (&d.layers[0], encoded), through_jacobian };
        grid.accumulate(&[batch], 4, &mut of_table);
        case.compare("d_grid", &of_table);
        let mut of_position = vec![0.0; x.len()];
        transposed_product(&jacobian, &d.layers[0], encoded, width, &mut of_position);
        add_position_rows(&d.layers[0], INPUT, &mut of_position);
        grid.second_order_position_gradient(&table, &x, (&b.layers[0], encoded), &v, &mut of_position);
        case.compare("d_x", &from_blocks(&of_position, Rows::all(3), 3, n));
    });
}

/// Adds the first three rows of `values`, `[blocks, rows, 16]`.
fn add_position_rows(values: &[f32], rows: usize, out: &mut [f32]) {
    for (out, values) in out.chunks_exact_mut(48).zip(values.chunks_exact(rows * 16)) {
        out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
    }
}

#[test]
fn opacities_and_blended_rays_agree() {
    on_all_lanes("neus_alpha", |case| {
        let [f, cos, delta] = ["f", "cos", "delta"].map(|name| case.f32(name));
        let n = f.len();
        let anneal = case.number("anneal") as f32;
        let composite = case.name.starts_with("composite");
        let sharpness = if composite { (10.0 * case.f32("v")[0]).exp() } else { case.f32("inv_s")[0] };
        let [mut alphas, mut by_f, mut by_cos, mut by_delta, mut by_s] = std::array::from_fn(|_| vec![0.0; n]);
        let partials =
            AlphaPartials { distance: &mut by_f, cosine: &mut by_cos, step: &mut by_delta, sharpness: &mut by_s };
        alpha([&f, &cos, &delta], sharpness, anneal, &mut alphas, partials);
        case.compare("alpha", &alphas);
        if !composite {
            case.compare("d_alpha_d_f", &by_f);
            case.compare("d_alpha_d_cos", &by_cos);
            case.compare("d_alpha_d_delta", &by_delta);
            case.compare("d_alpha_d_inv_s", &by_s);
            return;
        }
        let triples = |name: &str| case.f32(name).as_chunks::<3>().0.to_vec();
        let (rgb, background, offsets) = (triples("rgb"), triples("background"), case.i32("offsets"));
        let (v_colour, v_opacity, v_weights) = (triples("v_colour"), case.f32("v_opacity"), case.f32("v_weights"));
        let (mut colours, mut opacities, mut d_background) = (Vec::new(), Vec::new(), Vec::new());
        let (mut weights, mut d_alphas, mut d_rgb) = (vec![0.0; n], vec![0.0; n], vec![[0.0; 3]; n]);
        for (r, &background) in background.iter().enumerate() {
            let range = offsets[r] as usize..offsets[r + 1] as usize;
            let ray = Ray { alphas: &alphas[range.clone()], colours: &rgb[range.clone()], background };
            let blended = blend(&ray, &mut weights[range.clone()]);
            assert_eq!(case.option("stopped_rays")[r].as_bool(), Some(blended.transmittance == 0.0), "ray {r}");
            let upstream =
                RayGradient { colour: v_colour[r], opacity: v_opacity[r], weights: &v_weights[range.clone()] };
            let (weights, d_alphas) = (&weights[range.clone()], &mut d_alphas[range.clone()]);
            d_background.extend(blend_backward(&ray, &blended, weights, &upstream, d_alphas, &mut d_rgb[range]));
            colours.extend(blended.colour);
            opacities.push(blended.opacity);
        }
        case.compare("weights", &weights);
        case.compare("colour", &colours);
        case.compare("opacity", &opacities);
        case.compare("d_rgb", d_rgb.as_flattened());
        case.compare("d_background", &d_background);
        let times = |partials: &[f32]| partials.iter().zip(&d_alphas).map(|(p, d)| p * d).collect::<Vec<f32>>();
        case.compare("d_f", &times(&by_f));
        case.compare("d_cos", &times(&by_cos));
        case.compare("d_delta", &times(&by_delta));
        case.compare("d_v", &[10.0 * sharpness * times(&by_s).iter().sum::<f32>()]);
    });
}
