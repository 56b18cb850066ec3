//! Convolutions on sparse voxels and their resampling against golden vectors, with both kinds of SIMD lanes.

mod common;

use common::{Case, for_each_case};
use tessera_kernels::simd::{Backend, best_backend, select_backend};
use tessera_kernels::sparse_conv::{
    Convolution, Neighbours, Sites, copies_for_children, copies_for_children_backward, mean_of_children,
    mean_of_children_backward,
};

#[test]
fn sparse_convolutions_and_resampling_agree() {
    for (variant, backend) in [("portable", Backend::Portable), ("best", best_backend())] {
        select_backend(backend);
        for_each_case("sparse_conv", variant, |case| match case.name {
            "conv3" => convolution(case, true),
            "point_conv" => convolution(case, false),
            "down" => down(case),
            "up" => up(case),
            "block" => block(case),
            other => panic!("case {other} is not known"),
        });
    }
}

fn sites(case: &Case) -> Sites {
    let coordinates: Vec<[i32; 4]> = case.shared_i32("coords").as_chunks::<4>().0.to_vec();
    let sites = Sites::new(coordinates.clone());
    assert_eq!(sites.coordinates(), coordinates, "the vectors' sites are in order");
    sites
}

fn convolution(case: &Case, of_neighbours: bool) {
    let sites = sites(case);
    let (inputs, outputs) = (case.shape("x")[1], case.shape("y")[1]);
    let (of, neighbours) = if of_neighbours {
        let neighbours = sites.neighbours();
        assert_eq!(neighbours.rows(), case.shared_i32("neighbours"), "neighbours are others");
        (Convolution::of_neighbours(inputs, outputs), neighbours)
    } else {
        (Convolution::of_points(inputs, outputs), Neighbours::alone(sites.len()))
    };
    let (x, kernel) = (case.f32("x"), case.f32("kernel"));
    case.compare("y", &of.forward(&neighbours, &x, &kernel, &case.f32("bias")));
    let [by_input, by_kernel, by_bias] = of.backward(&neighbours, &x, &kernel, &case.f32("v_y"));
    case.compare("d_x", &by_input);
    case.compare("d_kernel", &by_kernel);
    case.compare("d_bias", &by_bias);
}

fn down(case: &Case) {
    let (parents, rows) = sites(case).parents();
    assert_eq!(parents.coordinates().as_flattened(), case.shared_i32("down_coords"), "parents are others");
    assert!(rows.iter().zip(case.shared_i32("down_parent")).all(|(a, b)| *a as i32 == b), "rows of parents are others");
    let channels = case.shape("x")[1];
    case.compare("y", &mean_of_children(&case.f32("x"), &rows, channels, parents.len()));
    case.compare("d_x", &mean_of_children_backward(&case.f32("v_y"), &rows, channels));
}

fn up(case: &Case) {
    assert_eq!(sites(case).children().as_flattened(), case.shared_i32("up_coords"), "children are others");
    let channels = case.shape("x")[1];
    case.compare("y", &copies_for_children(&case.f32("x"), channels));
    case.compare("d_x", &copies_for_children_backward(&case.f32("v_y"), channels));
}

/// `conv3(meanpool(silu(conv3(x))))`.
fn block(case: &Case) {
    let sites = sites(case);
    let (parents, rows) = sites.parents();
    let (fine, coarse) = (sites.neighbours(), parents.neighbours());
    let (x, k1, k2) = (case.f32("x"), case.f32("k1"), case.f32("k2"));
    let [_, inputs, middle] = case.shape("k1")[..] else { panic!("a kernel has three dimensions") };
    let (first, second) =
        (Convolution::of_neighbours(inputs, middle), Convolution::of_neighbours(middle, case.shape("k2")[2]));
    let before = first.forward(&fine, &x, &k1, &case.f32("b1"));
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    let after: Vec<f32> = before.iter().map(|v| v * sigmoid(*v)).collect();
    let pooled = mean_of_children(&after, &rows, middle, parents.len());
    case.compare("y", &second.forward(&coarse, &pooled, &k2, &case.f32("b2")));

    let [by_pooled, d_k2, d_b2] = second.backward(&coarse, &pooled, &k2, &case.f32("v_y"));
    let mut by_before = mean_of_children_backward(&by_pooled, &rows, middle);
    by_before.iter_mut().zip(&before).for_each(|(d, v)| *d *= sigmoid(*v) * (1.0 + v * (1.0 - sigmoid(*v))));
    let [d_x, d_k1, d_b1] = first.backward(&fine, &x, &k1, &by_before);
    for (name, gradient) in [("d_x", d_x), ("d_k1", d_k1), ("d_b1", d_b1), ("d_k2", d_k2), ("d_b2", d_b2)] {
        case.compare(name, &gradient);
    }
}
