// From splats in the world to ellipses in the picture. The mathematics is that of `kernels/src/camera_projection`: EWA
// with a low-pass filter of 0.3 square pixels, compensated where the splats were trained so.
// Visible splats are compacted; their order is found by sorting `keys`.

struct Page {
    first: u32,
    count: u32,
    flags: u32,
    slab: u32,
}

struct Splat {
    mean: vec3<f32>,
    // Three 15-bit components and the number of the largest, then three 16-bit log scales.
    quat_scale: vec3<u32>,
    // f16 red and green; f16 blue, unorm16 opacity.
    colour: vec2<u32>,
    // What its opacity is multiplied by at this moment.
    weight: f32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read_write> visible_count: atomic<u32>;
@group(0) @binding(2) var<storage, read_write> ellipses: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> colours: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;

@group(1) @binding(0) var<storage, read> pages: array<Page>;
@group(1) @binding(1) var<storage, read> geometry: array<vec4<u32>>;
@group(1) @binding(2) var<storage, read> harmonics: array<u32>;
@group(1) @binding(3) var<storage, read> states: array<vec2<u32>>;
// x: words of harmonics for each splat; y: their degree; z: vectors of geometry for each splat, three when they move.
@group(1) @binding(4) var<uniform> slab: vec4<u32>;

const PAGE_ANTIALIASED: u32 = 1u;
const PAGE_HIGHLIGHTED: u32 = 2u;
const LOW_PASS: f32 = 0.3;
const MIN_COMPENSATION_SQUARED: f32 = 2.5e-5;
const MIN_ALPHA: f32 = 1.0 / 255.0;
// As in `camera::spacetime`: splats are trained without what they would show when they are fainter.
const MIN_TIME_WEIGHT: f32 = 0.05;
const MIN_LOG_SCALE: f32 = -24.0;
const LOG_SCALE_RANGE: f32 = 36.0;
const MAX_KEY: u32 = 0xffffffu;

var<workgroup> group_count: atomic<u32>;
var<workgroup> group_start: u32;

fn load(index: u32) -> Splat {
    let first = slab.z * index;
    let a = geometry[first];
    let b = geometry[first + 1u];
    var splat = Splat(bitcast<vec3<f32>>(a.xyz), vec3<u32>(a.w, b.x, b.y), b.zw, 1.0);
    if slab.z == 3u {
        let m = geometry[first + 2u];
        let since = view.time - bitcast<f32>(m.z);
        let spread = since * bitcast<f32>(m.w);
        splat.mean += since * vec3<f32>(unpack2x16float(m.x), unpack2x16float(m.y).x);
        splat.weight = exp(-0.5 * spread * spread);
    }
    return splat;
}

// The quaternion (w, x, y, z) from the three components that are not the largest.
fn unpack_quat(packed: vec3<u32>) -> vec4<f32> {
    let a = packed.x & 0x7fffu;
    let b = (packed.x >> 15u) & 0x7fffu;
    let c = (packed.x >> 30u) | ((packed.y & 0x1fffu) << 2u);
    let largest = (packed.y >> 13u) & 3u;
    let small = (vec3<f32>(vec3<u32>(a, b, c)) * (2.0 / 32767.0) - 1.0) * 0.70710678;
    let big = sqrt(max(0.0, 1.0 - dot(small, small)));
    switch largest {
        case 0u: { return vec4<f32>(big, small); }
        case 1u: { return vec4<f32>(small.x, big, small.y, small.z); }
        case 2u: { return vec4<f32>(small.x, small.y, big, small.z); }
        default: { return vec4<f32>(small, big); }
    }
}

fn unpack_scales(packed: vec3<u32>) -> vec3<f32> {
    let q = vec3<u32>(packed.y >> 16u, packed.z & 0xffffu, packed.z >> 16u);
    let logs = vec3<f32>(q) * (LOG_SCALE_RANGE / 65535.0) + MIN_LOG_SCALE;
    return exp(logs + view.background.w);
}

fn rotation(q: vec4<f32>) -> mat3x3<f32> {
    let w = q.x;
    let x = q.y;
    let y = q.z;
    let z = q.w;
    return mat3x3<f32>(
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
        2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
        2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y),
    );
}

fn coefficient(first_word: u32, k: u32) -> vec3<f32> {
    let half = 3u * k;
    let word = first_word + (half >> 1u);
    let ab = unpack2x16float(harmonics[word]);
    let cd = unpack2x16float(harmonics[word + 1u]);
    if (half & 1u) == 0u {
        return vec3<f32>(ab, cd.x);
    }
    return vec3<f32>(ab.y, cd);
}

// Real spherical harmonics above degree 0, INRIA order and signs.
fn harmonic_colour(index: u32, d: vec3<f32>) -> vec3<f32> {
    let degree = min(view.sh_degree, slab.y);
    let at = index * slab.x;
    var c = vec3<f32>(0.0);
    if degree >= 1u {
        c += 0.4886025119029199 * (-d.y * coefficient(at, 0u) + d.z * coefficient(at, 1u) - d.x * coefficient(at, 2u));
    }
    if degree >= 2u {
        let s = d * d;
        c += 1.0925484305920792 * (d.x * d.y * coefficient(at, 3u) - d.y * d.z * coefficient(at, 4u));
        c += 0.31539156525252005 * (2.0 * s.z - s.x - s.y) * coefficient(at, 5u);
        c += -1.0925484305920792 * d.x * d.z * coefficient(at, 6u);
        c += 0.5462742152960396 * (s.x - s.y) * coefficient(at, 7u);
        if degree >= 3u {
            let f = 4.0 * s.z - s.x - s.y;
            c += -0.5900435899266435 * d.y * (3.0 * s.x - s.y) * coefficient(at, 8u);
            c += 2.890611442640554 * d.x * d.y * d.z * coefficient(at, 9u);
            c += -0.4570457994644658 * d.y * f * coefficient(at, 10u);
            c += 0.3731763325901154 * d.z * (2.0 * s.z - 3.0 * (s.x + s.y)) * coefficient(at, 11u);
            c += -0.4570457994644658 * d.x * f * coefficient(at, 12u);
            c += 1.445305721320277 * d.z * (s.x - s.y) * coefficient(at, 13u);
            c += -0.5900435899266435 * d.x * (s.x - 3.0 * s.y) * coefficient(at, 14u);
        }
    }
    return c;
}

struct Footprint {
    visible: bool,
    z: f32,
    opacity: f32,
    // Centre, then the longer half axis, one standard deviation long.
    ellipse: vec4<f32>,
    // Standard deviation across it.
    width: f32,
}

fn hidden() -> Footprint {
    return Footprint(false, 1.0, 0.0, vec4<f32>(0.0), 0.0);
}

fn project(splat: Splat, antialiased: bool) -> Footprint {
    let p = to_camera(splat.mean);
    if p.z <= view.centre.w || splat.weight <= MIN_TIME_WEIGHT || is_cropped(splat.mean) {
        return hidden();
    }
    let uv = p.xy / p.z;
    let clamped = clamp(uv, view.jacobian_bounds.xy, view.jacobian_bounds.zw);
    let scale = view.lens.xy / p.z;
    let r0 = view.camera_from_world[0].xyz;
    let r1 = view.camera_from_world[1].xyz;
    let r2 = view.camera_from_world[2].xyz;
    // Rows of J R, then of T = J R Rq diag(s).
    let spin = rotation(unpack_quat(splat.quat_scale));
    let sizes = unpack_scales(splat.quat_scale);
    let t0 = ((scale.x * (r0 - clamped.x * r2)) * spin) * sizes;
    let t1 = ((scale.y * (r1 - clamped.y * r2)) * spin) * sizes;
    let across = cross(t0, t1);
    let det0 = dot(across, across);
    let xx0 = dot(t0, t0);
    let yy0 = dot(t1, t1);
    let xy = dot(t0, t1);
    let det = det0 + LOW_PASS * (xx0 + yy0) + LOW_PASS * LOW_PASS;
    var opacity = splat.weight * f32(splat.colour.y >> 16u) / 65535.0;
    if antialiased {
        opacity *= sqrt(max(det0 / det, MIN_COMPENSATION_SQUARED));
    }
    if opacity <= MIN_ALPHA {
        return hidden();
    }
    let xx = xx0 + LOW_PASS;
    let yy = yy0 + LOW_PASS;
    // Pixels whose centres lie where alpha reaches 1/255.
    let reach = 2.0 * log(opacity / MIN_ALPHA);
    let extent = sqrt(reach * vec2<f32>(xx, yy));
    let mean = view.lens.xy * uv + view.lens.zw;
    let first = ceil(max(mean - 0.5 - extent, vec2<f32>(0.0)));
    let last = floor(min(mean - 0.5 + extent, view.size - 1.0));
    if any(first > last) {
        return hidden();
    }
    // Eigenvectors of the covariance; the smaller eigenvalue from the determinant, without cancellation.
    let middle = 0.5 * (xx + yy);
    let half = 0.5 * (xx - yy);
    let spread = sqrt(half * half + xy * xy);
    let larger = middle + spread;
    var axis = select(vec2<f32>(xy, spread - half), vec2<f32>(spread + half, xy), half >= 0.0);
    let length_squared = dot(axis, axis);
    axis = select(vec2<f32>(1.0, 0.0), axis * inverseSqrt(length_squared), length_squared > 1e-30);
    return Footprint(true, p.z, opacity, vec4<f32>(mean, axis * sqrt(larger)), sqrt(det / larger));
}

fn depth_key(z: f32) -> u32 {
    let bits = bitcast<u32>(z);
    return min((max(bits, view.key_base) - view.key_base) >> view.key_shift, MAX_KEY);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let page = pages[group.y];
    let offset = group.x * 256u + lane;
    let index = page.first + offset;
    var footprint = hidden();
    var splat: Splat;
    var selected = (page.flags & PAGE_HIGHLIGHTED) != 0u;
    if offset < page.count {
        // x: deleted, y: selected; one bit for each of 32 splats.
        let state = states[index >> 5u];
        let bit = 1u << (index & 31u);
        selected |= (state.y & bit) != 0u;
        if (state.x & bit) == 0u {
            splat = load(index);
            footprint = project(splat, (page.flags & PAGE_ANTIALIASED) != 0u);
        }
    }
    var place = 0u;
    if footprint.visible {
        place = atomicAdd(&group_count, 1u);
    }
    workgroupBarrier();
    if lane == 0u {
        group_start = atomicAdd(&visible_count, atomicLoad(&group_count));
    }
    workgroupBarrier();
    let slot = group_start + place;
    if !footprint.visible || slot >= view.capacity {
        return;
    }
    let direction = normalize(splat.mean - view.centre.xyz);
    let base = vec3<f32>(unpack2x16float(splat.colour.x), unpack2x16float(splat.colour.y & 0xffffu).x);
    var colour = max(0.5 + 0.28209479177387814 * base + harmonic_colour(index, direction), vec3<f32>(0.0));
    if (view.flags & DEPTH_COLOURS) != 0u {
        colour = vec3<f32>(footprint.z / view.depth_scale);
    } else if selected {
        colour = mix(colour, view.highlight.rgb, view.highlight.w);
    }
    ellipses[slot] = footprint.ellipse;
    colours[slot] = vec4<u32>(
        bitcast<u32>(footprint.width),
        (page.slab << 22u) | index,
        pack2x16float(colour.rg),
        pack2x16float(vec2<f32>(colour.b, footprint.opacity)),
    );
    keys[slot] = depth_key(footprint.z);
}
