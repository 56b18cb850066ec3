// Gaussians in the space of features, as `kernels/src/rbf` has them. `decoder` has a row for each: two scales and shifts for every level
// (scale, shift, scale, shift), then its weights; and behind all of them the biases. `add_kernels` adds all of them.

const HALF_OF_LOG2_E: f32 = 0.72134752;
const ROW: u32 = LEVELS + QUADS;

fn add_kernel(
    j: u32,
    features: ptr<function, array<vec2<f32>, LEVELS>>,
    sums: ptr<function, array<vec4<f32>, QUADS>>,
) {
    var squared = 0.0;
    for (var l = 0u; l < LEVELS; l++) {
        let numbers = decoder[j * ROW + l];
        let t = (*features)[l] * numbers.xz + numbers.yw;
        squared += dot(t, t);
    }
    let response = exp2(-HALF_OF_LOG2_E * squared);
    for (var q = 0u; q < QUADS; q++) {
        (*sums)[q] += response * decoder[j * ROW + LEVELS + q];
    }
}

fn decoded(features: ptr<function, array<vec2<f32>, LEVELS>>) -> array<vec4<f32>, QUADS> {
    var sums: array<vec4<f32>, QUADS>;
    for (var q = 0u; q < QUADS; q++) {
        sums[q] = decoder[RESPONSES * ROW + q];
    }
    add_kernels(features, &sums);
    return sums;
}
