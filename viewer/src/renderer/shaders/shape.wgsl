// A signed distance function, traced in the fragments of its cube's far sides, so that the camera may be inside.

struct Shape {
    // The middle of the cube; w: its side.
    cube: vec4<f32>,
    // Width of a cell of the finest grid, in sides.
    finest: f32,
    // Cells per side of `cells`.
    resolution: u32,
    pad0: u32,
    pad1: u32,
}

@group(2) @binding(0) var<uniform> shape: Shape;
// The distance in the middle of each cell of a coarse grid, x fastest.
@group(2) @binding(1) var<storage, read> cells: array<f32>;

const STEPS: u32 = 512u;
// Shares of a distance that are gone at once. What is learned is only about a distance, the less so the farther away.
const STRIDE: f32 = 0.9;
const LONG_STRIDE: f32 = 0.8;
// A surface is where the distance is less than this share of a pixel, or of a cell of the finest grid.
const PIXEL_SHARE: f32 = 0.1;
const CELL_SHARE: f32 = 0.02;
// No step is shorter than this share of a pixel's width: rays along a surface would hardly come on.
const LEAST_STRIDE: f32 = 0.5;
// A ray goes on by so many times the distance at most when it is near enough.
const FARTHEST: f32 = 4.0;
const CUT_COLOUR: vec3<f32> = vec3<f32>(0.78, 0.42, 0.30);

// Two triangles for each side of a cube; bits are the corner's coordinates.
const CORNERS = array<u32, 36>(
    0u, 4u, 2u, 2u, 4u, 6u, 1u, 3u, 5u, 5u, 3u, 7u, 0u, 1u, 4u, 4u, 1u, 5u,
    2u, 6u, 3u, 3u, 6u, 7u, 0u, 2u, 1u, 1u, 2u, 3u, 4u, 5u, 6u, 6u, 5u, 7u,
);

struct Surface {
    @location(0) colour: vec4<f32>,
    @builtin(frag_depth) nearness: f32,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32) -> @builtin(position) vec4<f32> {
    var corners = CORNERS;
    let bits = vec3<u32>(corners[vertex]) >> vec3<u32>(0u, 1u, 2u);
    let at = vec3<f32>(bits & vec3<u32>(1u)) - 0.5;
    return to_clip(to_camera(shape.cube.xyz + shape.cube.w * at));
}

// What can be skipped around a place by the coarse grid alone; zero where the surface may be near.
fn free_around(place: vec3<f32>) -> f32 {
    let n = f32(shape.resolution);
    let cell = clamp(floor(place * n), vec3<f32>(0.0), vec3<f32>(n - 1.0));
    let index = dot(vec3<u32>(cell), vec3<u32>(1u, shape.resolution, shape.resolution * shape.resolution));
    let free = LONG_STRIDE * cells[index] - length(place - (cell + 0.5) / n);
    return select(0.0, free, free > 0.5 / n);
}

// The corner `k` of a tetrahedron, over which slopes are differences.
fn tetrahedron(k: u32) -> vec3<f32> {
    return vec3<f32>(vec3<u32>(k ^ (k >> 1u), k, k >> 1u) & vec3<u32>(1u)) * 2.0 - 1.0;
}

struct Met {
    // The depth at which a ray meets the surface, negative for never.
    z: f32,
    // Which way the distance grows there.
    slope: vec3<f32>,
}

// Follows a ray through the cube. `ray` is a unit of depth long and `length_of_ray` in sides; `pixel` is a pixel's width at the depth 1.
// The field is asked at one place of the code, for steps and for slopes, so that rays that are computed together do not wait for each other.
fn trace(origin: vec3<f32>, ray: vec3<f32>, passed: vec2<f32>, length_of_ray: f32, pixel: f32) -> Met {
    var met = Met(-1.0, vec3<f32>(0.0));
    var t = passed.x;
    var before = t;
    var distance_before = 0.0;
    // Corners of the tetrahedron that have been asked.
    var corner = 0u;
    for (var i = 0u; i < STEPS && corner < 4u; i++) {
        var place = vec3<f32>(0.0);
        if met.z < 0.0 {
            for (var k = 0u; k < STEPS && t <= passed.y; k++) {
                let free = free_around(origin + t * ray);
                if free <= 0.0 {
                    break;
                }
                before = t;
                distance_before = free;
                t += free / length_of_ray;
            }
            if t > passed.y {
                break;
            }
            place = origin + t * ray;
        } else {
            place = origin + met.z * ray + reach(pixel * met.z) * tetrahedron(corner);
        }
        let distance = ask(place)[0].x;
        if met.z >= 0.0 {
            met.slope += distance * tetrahedron(corner);
            corner++;
            continue;
        }
        if distance < max(PIXEL_SHARE * pixel * t, CELL_SHARE * shape.finest) {
            // Where a straight line through both distances meets zero, not far on where the ray grazes the surface.
            let on = (t - before) * distance / max(distance_before - distance, 1e-12);
            let most = FARTHEST * max(distance, 0.0) / length_of_ray;
            met.z = select(min(t + clamp(on, before - t, most), passed.y), t, t == passed.x);
            continue;
        }
        before = t;
        distance_before = distance;
        t += max(STRIDE * distance, LEAST_STRIDE * pixel * t) / length_of_ray;
    }
    return met;
}

// Over how much on each side slopes are differences where a pixel is so wide.
fn reach(pixel: f32) -> f32 {
    return 0.5 * max(shape.finest, pixel);
}

@fragment
fn shade(@builtin(position) at: vec4<f32>) -> Surface {
    let ray = ray_through(at.xy);
    let origin_in_cube = (view.centre.xyz - shape.cube.xyz) / shape.cube.w + 0.5;
    let ray_in_cube = ray / shape.cube.w;
    let pixel = 1.0 / (view.lens.x * shape.cube.w);
    let inside = passage(origin_in_cube, ray_in_cube, vec3<f32>(0.0), vec3<f32>(1.0));
    let passed = cropped(vec2<f32>(max(inside.x, view.centre.w), inside.y), ray);
    let met = trace(origin_in_cube, ray_in_cube, passed, length(ray_in_cube), pixel);
    if met.z < 0.0 {
        discard;
    }
    let facing = abs(dot(met.slope, ray)) * inverseSqrt(max(dot(met.slope, met.slope) * dot(ray, ray), 1e-30));
    // As a mesh without colours has it; where the crop box or the camera cuts into the solid, its inside is seen.
    let lit = vec3<f32>(0.25 + 0.75 * facing);
    let colour = select(lit, CUT_COLOUR, met.z <= passed.x);
    let depth = vec3<f32>(clamp(met.z / view.depth_scale, 0.0, 1.0));
    let shown = select(colour, depth, (view.flags & DEPTH_COLOURS) != 0u);
    return Surface(vec4<f32>(shown, 1.0), view.centre.w / met.z);
}
