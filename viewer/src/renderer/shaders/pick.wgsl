// Which splats cover one pixel, and the depth of the surface there or of where radiance stops half of the light.

struct Hit {
    // In the order of depth.
    place: u32,
    // Slab and index.
    name: u32,
    alpha: f32,
    z: f32,
}

struct Hits {
    count: atomic<u32>,
    // z of the surface, 0 for none.
    surface: f32,
    pad0: u32,
    pad1: u32,
    hits: array<Hit>,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<uniform> pixel: vec4<f32>;
@group(0) @binding(2) var<storage, read> arguments: Arguments;
@group(0) @binding(3) var<storage, read> ellipses: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> colours: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> keys: array<u32>;
@group(0) @binding(6) var<storage, read> order: array<u32>;
@group(0) @binding(7) var surface_depth: texture_depth_2d;
@group(0) @binding(8) var<storage, read_write> found: Hits;
@group(0) @binding(9) var volume_depth: texture_2d<f32>;

const MAX_ALPHA: f32 = 0.999;
const MIN_ALPHA: f32 = 1.0 / 255.0;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    if id.x == 0u {
        let at = vec2<u32>(pixel.xy);
        // Where there is no radiance the texture has one pixel.
        let of_volume = textureLoad(volume_depth, min(at, textureDimensions(volume_depth) - 1u), 0).x;
        let nearness = max(textureLoad(surface_depth, at, 0), of_volume);
        found.surface = select(0.0, view.centre.w / nearness, nearness > 0.0);
    }
    for (var place = id.x; place < arguments.count; place += 256u * groups.x) {
        let slot = order[place];
        let ellipse = ellipses[slot];
        let packed = colours[slot];
        let along = ellipse.zw;
        let width = bitcast<f32>(packed.x);
        let d = pixel.xy - ellipse.xy;
        let u = dot(d, along) / dot(along, along);
        let v = dot(d, normalize(vec2<f32>(-along.y, along.x))) / width;
        let opacity = unpack2x16float(packed.w).y;
        let alpha = min(opacity * exp(-0.5 * (u * u + v * v)), MAX_ALPHA);
        if alpha >= MIN_ALPHA {
            let at = atomicAdd(&found.count, 1u);
            if at < arrayLength(&found.hits) {
                let z = bitcast<f32>((keys[place] << view.key_shift) + view.key_base);
                found.hits[at] = Hit(place, packed.y, alpha, z);
            }
        }
    }
}
