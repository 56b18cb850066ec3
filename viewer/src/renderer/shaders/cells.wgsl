// Distances in the middles of a coarse grid's cells, by which rays pass through what is empty.

@group(0) @binding(0) var<storage, read_write> cells: array<f32>;
// x: cells per side; y: the first cell of this dispatch.
@group(0) @binding(1) var<uniform> grid: vec4<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = grid.y + id.x;
    if index >= arrayLength(&cells) {
        return;
    }
    let n = grid.x;
    let cell = vec3<u32>(index % n, index / n % n, index / (n * n));
    cells[index] = ask((vec3<f32>(cell) + 0.5) / f32(n))[0].x;
}
