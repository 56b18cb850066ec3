// What the device itself decides about a frame's later dispatches and draws. Mirrors `uniforms::Arguments`.

struct Arguments {
    // Of the indexed draw.
    index_count: u32,
    instance_count: u32,
    first_index: u32,
    base_vertex: u32,
    first_instance: u32,
    // Of the sort's dispatches.
    blocks: u32,
    blocks_y: u32,
    blocks_z: u32,
    // Visible splats that are kept, and all of them.
    count: u32,
    wanted: u32,
}
