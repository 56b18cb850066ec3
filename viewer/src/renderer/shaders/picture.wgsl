// A part of a picture, drawn by its field: on a rectangle in the world, as finely as the view asks for.

struct Part {
    // Left, bottom, right, top in the plane z = 0.
    corners: vec4<f32>,
    // The part's size in its field's unit square.
    extent: vec2<f32>,
    // Pixels of the picture along the unit square.
    side: f32,
    pad: f32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(2) @binding(0) var<uniform> part: Part;

// Places that a pixel's colour is the mean of, along each axis, at most.
const MOST: u32 = 4u;
// A view in which pixels of picture and screen are equally large shows the picture's own.
const SLACK: f32 = 0.25;

struct Corner {
    @builtin(position) clip: vec4<f32>,
    @location(0) position: vec2<f32>,
    // In the unit square, downwards from the top left.
    @location(1) place: vec2<f32>,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32) -> Corner {
    let at = vec2<f32>(f32(vertex & 1u), f32(vertex >> 1u));
    let position = mix(part.corners.xy, part.corners.zw, vec2<f32>(at.x, 1.0 - at.y));
    return Corner(to_clip(to_camera(vec3<f32>(position, 0.0))), position, at * part.extent);
}

// Red, green, blue and opacity.
fn colour_at(place: vec2<f32>) -> vec4<f32> {
    // Within the middles of the outermost pixels, beyond which nothing was learned.
    let half_pixel = 0.5 / part.side;
    let found = ask(vec3<f32>(clamp(place, vec2<f32>(half_pixel), part.extent - half_pixel), 0.0))[0];
    let colour = vec4<f32>(found.rgb, select(1.0, found.a, OUTPUTS == 4u));
    return clamp(colour, vec4<f32>(0.0), vec4<f32>(1.0));
}

@fragment
fn shade(at: Corner) -> @location(0) vec4<f32> {
    let right = dpdx(at.place);
    let down = dpdy(at.place);
    if is_cropped(vec3<f32>(at.position, 0.0)) {
        discard;
    }
    // As many places as pixels of the picture lie under one of the screen, so that what is far does not glitter.
    let under = max(length(right), length(down)) * part.side;
    let n = clamp(u32(ceil(under - SLACK)), 1u, MOST);
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < n * n; i++) {
        let offset = (vec2<f32>(f32(i % n), f32(i / n)) + 0.5) / f32(n) - 0.5;
        let colour = colour_at(at.place + offset.x * right + offset.y * down);
        sum += vec4<f32>(colour.rgb * colour.a, colour.a);
    }
    let colour = sum / f32(n * n);
    // What is transparent shows the background.
    return vec4<f32>(colour.rgb + (1.0 - colour.a) * view.background.rgb, 1.0);
}
