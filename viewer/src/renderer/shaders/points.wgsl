// Point clouds: squares of so many pixels. A batch of squares is one instance, as for splats.

@group(0) @binding(0) var<uniform> view: View;
// Position, and colour in 8 bits a channel.
@group(1) @binding(0) var<storage, read> points: array<vec4<u32>>;

const BATCH: u32 = 4096u;

struct Corner {
    @builtin(position) clip: vec4<f32>,
    @location(0) @interpolate(flat, either) colour: vec4<f32>,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32, @builtin(instance_index) instance: u32) -> Corner {
    let index = instance * BATCH + (vertex >> 2u);
    let nowhere = Corner(vec4<f32>(2.0, 2.0, 2.0, 1.0), vec4<f32>(0.0));
    if index >= arrayLength(&points) {
        return nowhere;
    }
    let point = points[index];
    let position = bitcast<vec3<f32>>(point.xyz);
    let p = to_camera(position);
    if p.z <= view.centre.w || is_cropped(position) {
        return nowhere;
    }
    let centre = view.lens.xy * p.xy / p.z + view.lens.zw;
    let offset = vec2<f32>(f32(vertex & 1u), f32((vertex >> 1u) & 1u)) - 0.5;
    return Corner(pixel_to_clip(centre + view.point_size * offset, p.z), unpack4x8unorm(point.w));
}

@fragment
fn shade(at: Corner) -> @location(0) vec4<f32> {
    return vec4<f32>(at.colour.rgb, 1.0);
}
