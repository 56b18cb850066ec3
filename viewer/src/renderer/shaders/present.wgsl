// The finished picture: splats over meshes and points over the background.

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var splats: texture_2d<f32>;
@group(0) @binding(2) var surfaces: texture_2d<f32>;

struct Corner {
    @builtin(position) clip: vec4<f32>,
    // From (0, 0) at the top left to (1, 1).
    @location(0) at: vec2<f32>,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32) -> Corner {
    let at = vec2<f32>(f32((vertex << 1u) & 2u), f32(vertex & 2u));
    return Corner(vec4<f32>(2.0 * at.x - 1.0, 1.0 - 2.0 * at.y, 0.0, 1.0), at);
}

fn colour_of(pixel: vec2<u32>) -> vec3<f32> {
    let front = textureLoad(splats, pixel, 0);
    let back = textureLoad(surfaces, pixel, 0);
    let behind = back.rgb * back.a + (1.0 - back.a) * view.background.rgb;
    return front.rgb + (1.0 - front.a) * behind;
}

// The output may have another size than the picture: a pixel shows the mean of those that it covers.
@fragment
fn present(corner: Corner) -> @location(0) vec4<f32> {
    let at = corner.at * view.size;
    let covered = max(round(vec2<f32>(dpdx(at.x), dpdy(at.y))), vec2<f32>(1.0));
    let first = vec2<u32>(clamp(floor(at - 0.5 * (covered - 1.0)), vec2<f32>(0.0), view.size - covered));
    let side = vec2<u32>(covered);
    var sum = vec3<f32>(0.0);
    for (var y = 0u; y < side.y; y++) {
        for (var x = 0u; x < side.x; x++) {
            sum += colour_of(first + vec2<u32>(x, y));
        }
    }
    return vec4<f32>(sum / (covered.x * covered.y), 1.0);
}
