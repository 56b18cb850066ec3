// A network of two hidden layers, as `kernels/src/mlp` has it. `decoder` has the rows of the first and the second matrix, then a row of
// weights for each unit of the second layer.

const INPUTS: u32 = INPUT / 4u;
const UNITS: u32 = HIDDEN / 4u;
const SECOND: u32 = HIDDEN * INPUTS;
const LAST: u32 = SECOND + RESPONSES * UNITS;

fn decoded(features: ptr<function, array<vec2<f32>, LEVELS>>) -> array<vec4<f32>, QUADS> {
    var input: array<vec4<f32>, INPUTS>;
    for (var l = 0u; l < LEVELS; l++) {
        let f = (*features)[l];
        let before = input[l / 2u];
        input[l / 2u] = select(vec4<f32>(before.xy, f), vec4<f32>(f, 0.0, 0.0), l % 2u == 0u);
    }
    // Behind the features the input is one.
    let before = input[LEVELS / 2u];
    input[LEVELS / 2u] = select(vec4<f32>(before.xy, 1.0, 0.0), vec4<f32>(1.0, 0.0, 0.0, 0.0), LEVELS % 2u == 0u);
    var hidden: array<vec4<f32>, UNITS>;
    for (var j = 0u; j < HIDDEN; j++) {
        var sum = 0.0;
        for (var i = 0u; i < INPUTS; i++) {
            sum += dot(input[i], decoder[j * INPUTS + i]);
        }
        hidden[j / 4u][j % 4u] = max(sum, 0.0);
    }
    var sums: array<vec4<f32>, QUADS>;
    for (var j = 0u; j < RESPONSES; j++) {
        var sum = 0.0;
        for (var i = 0u; i < UNITS; i++) {
            sum += dot(hidden[i], decoder[SECOND + j * UNITS + i]);
        }
        for (var q = 0u; q < QUADS; q++) {
            sums[q] += max(sum, 0.0) * decoder[LAST + j * QUADS + q];
        }
    }
    return sums;
}
