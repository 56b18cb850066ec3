// Sorted splats, nearest first, as quads around their ellipses. They are blended under what is already there:
// target += (1 - target.alpha) * source. A batch of quads is one instance, because instances are costly and vertices cheap.

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> arguments: Arguments;
@group(0) @binding(2) var<storage, read> ellipses: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> colours: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> keys: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

const BATCH: u32 = 4096u;
const MAX_ALPHA: f32 = 0.999;
const MIN_ALPHA: f32 = 1.0 / 255.0;

struct Corner {
    @builtin(position) position: vec4<f32>,
    // In standard deviations along the ellipse's axes.
    @location(0) offset: vec2<f32>,
    @location(1) @interpolate(flat, either) colour: vec4<f32>,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32, @builtin(instance_index) instance: u32) -> Corner {
    let place = instance * BATCH + (vertex >> 2u);
    if place >= arguments.count {
        return Corner(vec4<f32>(2.0, 2.0, 2.0, 1.0), vec2<f32>(0.0), vec4<f32>(0.0));
    }
    let slot = order[place];
    let ellipse = ellipses[slot];
    let packed = colours[slot];
    let colour = vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w));
    let z = bitcast<f32>((keys[place] << view.key_shift) + view.key_base);
    let along = ellipse.zw;
    let across = bitcast<f32>(packed.x) * normalize(vec2<f32>(-along.y, along.x));
    let reach = sqrt(2.0 * log(max(colour.a / MIN_ALPHA, 1.0)));
    let offset = reach * (2.0 * vec2<f32>(f32(vertex & 1u), f32((vertex >> 1u) & 1u)) - 1.0);
    let pixel = ellipse.xy + offset.x * along + offset.y * across;
    return Corner(pixel_to_clip(pixel, z), offset, colour);
}

@fragment
fn blend(at: Corner) -> @location(0) vec4<f32> {
    let alpha = min(at.colour.a * exp(-0.5 * dot(at.offset, at.offset)), MAX_ALPHA);
    return select(vec4<f32>(at.colour.rgb * alpha, alpha), vec4<f32>(0.0), alpha < MIN_ALPHA);
}
