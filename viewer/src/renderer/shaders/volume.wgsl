// Radiance: density and colours along rays, as `engine/src/rbf/radiance` looks along them, blended behind what is there and in front of
// surfaces. Lengths are in sides of the scene's box, places too, from its lowest corner.

struct Volume {
    // Rows of the similarity from the world.
    from_world: array<vec4<f32>, 3>,
    // Between which distances rays are looked along where there are no bounds.
    low: vec3<f32>,
    near: f32,
    high: vec3<f32>,
    far: f32,
    // Length of a step in the box.
    step: f32,
    // Cells per side of `cells`.
    resolution: u32,
    // Whether the unit cube holds all of space, contracted, or the box alone.
    is_unbounded: u32,
    pad: u32,
}

@group(2) @binding(0) var<uniform> volume: Volume;
// One bit for each cell of the unit cube, x fastest: whether there may be something in it.
@group(2) @binding(1) var<storage, read> cells: array<u32>;
@group(3) @binding(0) var surface_depth: texture_depth_2d;

// For each harmonic red, green and blue; the first one has the density as well.
const HARMONICS: u32 = QUADS;
const STEPS: u32 = 16384u;
const MOST: f32 = 12.0;
const STOP: f32 = 1e-4;

struct Seen {
    @location(0) colour: vec4<f32>,
    // near / z where half of the light is stopped, 0 where more passes.
    @location(1) nearness: f32,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32) -> @builtin(position) vec4<f32> {
    let at = vec2<f32>(f32((vertex << 1u) & 2u), f32(vertex & 2u));
    return vec4<f32>(2.0 * at.x - 1.0, 1.0 - 2.0 * at.y, 0.0, 1.0);
}

fn largest(p: vec3<f32>) -> f32 {
    return max(max(abs(p.x), abs(p.y)), abs(p.z));
}

// From sides of the box to the unit cube.
fn to_cube(x: vec3<f32>) -> vec3<f32> {
    if volume.is_unbounded == 0u {
        return x;
    }
    let p = 2.0 * x - 1.0;
    let norm = max(largest(p), 1.0);
    return 0.25 * (2.0 - 1.0 / norm) / norm * p + 0.5;
}

// Length of a step at a place.
fn step_at(x: vec3<f32>) -> f32 {
    if volume.is_unbounded == 0u {
        return volume.step;
    }
    let growth = max(largest(2.0 * x - 1.0), 1.0);
    return volume.step * growth * growth;
}

fn is_occupied(cell: vec3<f32>) -> bool {
    let n = volume.resolution;
    let index = dot(vec3<u32>(cell), vec3<u32>(1u, n, n * n));
    return ((cells[index >> 5u] >> (index & 31u)) & 1u) != 0u;
}

// Real spherical harmonics in a direction, INRIA order and signs; those that the view does not want are zero.
fn harmonics(d: vec3<f32>) -> array<f32, HARMONICS> {
    var values: array<f32, 16>;
    let s = d * d;
    values[0] = 0.28209479177387814;
    if view.sh_degree >= 1u {
        values[1] = -0.4886025119029199 * d.y;
        values[2] = 0.4886025119029199 * d.z;
        values[3] = -0.4886025119029199 * d.x;
    }
    if view.sh_degree >= 2u {
        values[4] = 1.0925484305920792 * d.x * d.y;
        values[5] = -1.0925484305920792 * d.y * d.z;
        values[6] = 0.31539156525252005 * (2.0 * s.z - s.x - s.y);
        values[7] = -1.0925484305920792 * d.x * d.z;
        values[8] = 0.5462742152960396 * (s.x - s.y);
    }
    if view.sh_degree >= 3u {
        let f = 4.0 * s.z - s.x - s.y;
        values[9] = -0.5900435899266435 * d.y * (3.0 * s.x - s.y);
        values[10] = 2.890611442640554 * d.x * d.y * d.z;
        values[11] = -0.4570457994644658 * d.y * f;
        values[12] = 0.3731763325901154 * d.z * (2.0 * s.z - 3.0 * (s.x + s.y));
        values[13] = -0.4570457994644658 * d.x * f;
        values[14] = 1.445305721320277 * d.z * (s.x - s.y);
        values[15] = -0.5900435899266435 * d.x * (s.x - 3.0 * s.y);
    }
    var wanted: array<f32, HARMONICS>;
    for (var k = 0u; k < HARMONICS; k++) {
        wanted[k] = values[k];
    }
    return wanted;
}


// The first step, counted from where the ray begins, behind the empty cell around a place.
fn behind(place: vec3<f32>, cell: vec3<f32>, direction: vec3<f32>, t: f32, near: f32) -> f32 {
    let faces = (cell + select(vec3<f32>(0.0), vec3<f32>(1.0), direction > vec3<f32>(0.0))) / f32(volume.resolution);
    let ways = (faces - place) / oblique(direction);
    let way = min(min(ways.x, ways.y), ways.z);
    return ceil((t + max(way, 0.0) - near) / volume.step - 0.5);
}

@fragment
fn look(@builtin(position) at: vec4<f32>) -> Seen {
    let ray = ray_through(at.xy);
    var origin = vec3<f32>(0.0);
    var along = vec3<f32>(0.0);
    for (var k = 0u; k < 3u; k++) {
        let row = volume.from_world[k];
        origin[k] = dot(row.xyz, view.centre.xyz) + row.w;
        along[k] = dot(row.xyz, ray);
    }
    // Lengths along the direction for a unit of depth.
    let scale = length(along);
    let direction = along / scale;
    var passed = vec2<f32>(volume.near, volume.far);
    if volume.is_unbounded == 0u {
        passed = passage(origin, direction, volume.low, volume.high);
        passed.x = max(passed.x, 0.0);
    }
    let nearness = textureLoad(surface_depth, vec2<u32>(at.xy), 0);
    let surface = select(3.4e38, view.centre.w / nearness, nearness > 0.0);
    let shown = cropped(vec2<f32>(view.centre.w, surface), ray) * scale;
    let end = min(passed.y, shown.y);

    var basis = harmonics(direction);
    var sum = vec3<f32>(0.0);
    var transmittance = 1.0;
    var half_way = 0.0;
    let n = f32(volume.resolution);
    // Middles of steps: in bounds they are counted, so that they lie where they lie whatever is skipped.
    var count = 0.0;
    var t = passed.x + 0.5 * step_at(origin + passed.x * direction);
    var here = t;
    for (var i = 0u; i < STEPS && transmittance >= STOP; i++) {
        // Rays that are computed together pass through what is empty first, and ask the field together then.
        var in_cube = vec3<f32>(0.0);
        var length_of_step = 0.0;
        var is_seen = false;
        for (var k = 0u; k < STEPS && t < end && !is_seen; k++) {
            let place = origin + t * direction;
            in_cube = to_cube(place);
            length_of_step = step_at(place);
            let cell = clamp(floor(n * in_cube), vec3<f32>(0.0), vec3<f32>(n - 1.0));
            let is_full = is_occupied(cell);
            is_seen = is_full && t >= shown.x;
            here = t;
            if volume.is_unbounded != 0u {
                t += length_of_step;
            } else {
                count = select(max(behind(place, cell, direction, t, passed.x), count + 1.0), count + 1.0, is_full);
                t = passed.x + (count + 0.5) * volume.step;
            }
        }
        if !is_seen {
            break;
        }
        var found = ask(in_cube);
        var logits = vec3<f32>(0.0);
        for (var k = 0u; k < HARMONICS; k++) {
            logits += basis[k] * found[k].rgb;
        }
        // Densities are for a way of 1 in box coordinates, half a side.
        let alpha = 1.0 - exp(-2.0 * length_of_step * exp(min(found[0].w, MOST)));
        sum += transmittance * alpha / (1.0 + exp(-logits));
        transmittance *= 1.0 - alpha;
        half_way = select(half_way, here, half_way == 0.0 && transmittance <= 0.5);
    }
    if transmittance == 1.0 {
        discard;
    }
    let depth = half_way / scale;
    let has_depth = half_way > 0.0;
    var seen = vec4<f32>(sum, 1.0 - transmittance);
    if (view.flags & DEPTH_COLOURS) != 0u {
        seen = select(vec4<f32>(0.0), vec4<f32>(vec3<f32>(clamp(depth / view.depth_scale, 0.0, 1.0)), 1.0), has_depth);
    }
    return Seen(seen, select(0.0, view.centre.w / max(depth, 1e-30), has_depth));
}
