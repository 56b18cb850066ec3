// Turns the number of visible splats into arguments of the sort's dispatches and of the draw.

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> visible_count: u32;
@group(0) @binding(2) var<storage, read_write> arguments: Arguments;

const BLOCK: u32 = 4096u;
const BATCH: u32 = 4096u;

@compute @workgroup_size(1)
fn main() {
    let count = min(visible_count, view.capacity);
    let batches = (count + BATCH - 1u) / BATCH;
    arguments.index_count = 6u * min(count, BATCH);
    arguments.instance_count = batches;
    arguments.first_index = 0u;
    arguments.base_vertex = 0u;
    arguments.first_instance = 0u;
    arguments.blocks = (count + BLOCK - 1u) / BLOCK;
    arguments.blocks_y = 1u;
    arguments.blocks_z = 1u;
    arguments.count = count;
    arguments.wanted = visible_count;
}
