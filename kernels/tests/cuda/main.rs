//! Every CUDA kernel against the CPU: the same bodies on the emulator and, where there is one, on a GPU.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scenes.rs"]
mod scenes;
#[path = "../common/splat_renderer.rs"]
mod splat_renderer;

mod anchors;
mod attention;
mod attention_vectors;
mod dense;
mod fields;
mod gaussians_4d;
mod grids;
mod image_loss;
mod networks;
mod packed;
mod primitives;
mod rows;
mod sparse_conv;
mod splats;
mod surfaces;
mod training;

use tessera_kernels::device::{Device, Stream};

/// Runs each of these functions, which take a device, as a test on the emulator and on a GPU.
macro_rules! on_devices {
    ($($module:ident: $($test:ident)*;)*) => {
        mod emulator {$(
            mod $module {$(
                #[test]
                fn $test() {
                    crate::$module::$test(&tessera_emulator::device());
                }
            )*}
        )*}

        mod gpu {$(
            mod $module {$(
                #[test]
                #[ignore = "needs an NVIDIA GPU"]
                fn $test() {
                    crate::$module::$test(&tessera_emulator::gpu());
                }
            )*}
        )*}
    };
}

on_devices! {
    primitives: adam_steps_as_on_the_cpu rows_with_a_gradient_step_as_on_the_cpu sorts_are_stable_and_complete sums_are_exclusive
        points_project_as_on_the_cpu;
    anchors: decoded_anchors_are_those_of_the_cpu a_view_that_sees_no_anchor_has_no_splats_and_no_gradient;
    attention: attention_is_that_of_the_cpu attention_has_the_same_bits_each_time
        attention_in_bf16_is_that_of_the_cpu_but_for_roundings attention_in_bf16_rounds_what_it_is_given
        selected_blocks_are_those_of_the_cpu of_equal_blocks_the_first_are_selected;
    attention_vectors: spatial_attention_agrees_with_golden_vectors;
    dense: products_are_those_of_the_cpu products_of_bf16_are_those_of_rounded_numbers activations_and_norms_are_those_of_the_cpu
        rows_are_gathered_and_summed rows_are_modulated_by_sample;
    image_loss: losses_are_those_of_the_cpu;
    grids: encodings_are_those_of_the_cpu gradients_of_tables_are_those_of_the_cpu
        second_orders_are_those_of_the_cpu
        sizes_do_not_matter_to_sums_and_broken_numbers_are_seen;
    networks: networks_are_those_of_the_cpu products_are_about_as_exact_as_single_precision;
    surfaces: rays_find_the_steps_of_the_cpu cells_near_a_surface_are_found_from_coarse_to_fine opacities_are_those_of_the_cpu
        blended_rays_are_those_of_the_cpu;
    fields: decoders_are_those_of_the_cpu kernels_in_space_are_those_of_the_cpu costs_and_pixels_are_those_of_the_cpu;
    gaussians_4d: moments_are_drawn_as_on_the_cpu gradients_of_moments_are_those_of_the_cpu
        a_listed_descent_is_gradients_then_adam a_moment_without_room_is_not_trained_on an_empty_moment_changes_nothing;
    packed: a_packed_descent_is_gradients_then_packed_adam packed_rows_move_with_their_codes
        words_are_drawn_as_the_floats_that_they_hold packed_steps_have_the_same_bits_each_time;
    sparse_conv: convolutions_are_those_of_the_cpu means_of_children_are_sums_of_rows;
    splats: pictures_are_those_of_the_cpu gradients_are_those_of_the_cpu an_empty_scene_is_all_background
        splats_behind_the_camera_are_not_drawn broken_numbers_spoil_nothing
        the_order_of_blocks_changes_no_bit room_for_pairs_is_made_when_it_is_missing;
    training: a_descent_is_gradients_then_adam a_pass_without_room_is_not_trained_on
        splits_and_orders_move_whole_rows photos_arrive_as_the_host_unpacks_them the_filter_is_that_of_the_nearest_camera;
}

/// The device's stream for a test.
fn stream(device: &Device) -> Stream {
    device.stream().expect("a stream")
}

/// Fails when a value is farther from what is expected than `relative` times the largest one, and says which.
fn assert_close(name: &str, actual: &[f32], expected: &[f32], relative: f32) {
    assert_eq!(actual.len(), expected.len(), "{name} has another size");
    let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let worst = (0..actual.len()).max_by(|&i, &j| {
        let off = |k: usize| (actual[k] - expected[k]).abs();
        off(i).total_cmp(&off(j))
    });
    if let Some(i) = worst {
        let off = (actual[i] - expected[i]).abs();
        assert!(off <= relative * scale, "{name}[{i}] is {} instead of {}, largest {scale}", actual[i], expected[i]);
    }
}

/// Fails when a value is farther from what is expected than so many roundings of its terms, whose sizes add up to `sizes`, can take it; both may be off.
fn assert_rounded(name: &str, actual: &[f32], expected: &[f32], sizes: &[f32], roundings: usize) {
    assert_eq!((actual.len(), actual.len()), (expected.len(), sizes.len()), "{name} has another size");
    // A rounding is off by half an epsilon.
    let bound = roundings as f32 * f32::EPSILON;
    for i in 0..actual.len() {
        let (off, size) = ((actual[i] - expected[i]).abs(), sizes[i]);
        assert!(off <= bound * size, "{name}[{i}] is {} instead of {}, of terms of {size}", actual[i], expected[i]);
    }
}
