// Rays through pixels. They are a unit long along the camera's axis, so that distances along them are depths.

@group(0) @binding(0) var<uniform> view: View;

// Directions along axes are taken for slightly oblique ones.
fn oblique(ray: vec3<f32>) -> vec3<f32> {
    return select(ray, vec3<f32>(1e-12), abs(ray) < vec3<f32>(1e-12));
}

fn ray_through(pixel: vec2<f32>) -> vec3<f32> {
    let at = (pixel - view.lens.zw) / view.lens.xy;
    return at.x * view.camera_from_world[0].xyz + at.y * view.camera_from_world[1].xyz + view.camera_from_world[2].xyz;
}

// Where a ray enters and leaves a box.
fn passage(origin: vec3<f32>, ray: vec3<f32>, low: vec3<f32>, high: vec3<f32>) -> vec2<f32> {
    let a = (low - origin) / oblique(ray);
    let b = (high - origin) / oblique(ray);
    let near = min(a, b);
    let far = max(a, b);
    return vec2<f32>(max(max(near.x, near.y), near.z), min(min(far.x, far.y), far.z));
}

// What of a passage lies within the crop box, for a ray from the camera.
fn cropped(passed: vec2<f32>, ray: vec3<f32>) -> vec2<f32> {
    if (view.flags & CROPPED) == 0u {
        return passed;
    }
    var origin = vec3<f32>(0.0);
    var along = vec3<f32>(0.0);
    for (var k = 0u; k < 3u; k++) {
        let row = view.crop_from_world[k];
        origin[k] = dot(row.xyz, view.centre.xyz) + row.w;
        along[k] = dot(row.xyz, ray);
    }
    let inside = passage(origin, along, vec3<f32>(-1.0), vec3<f32>(1.0));
    return vec2<f32>(max(passed.x, inside.x), min(passed.y, inside.y));
}
