// What every shader knows about the picture that is being made. Mirrors `uniforms::ViewUniform`.

struct View {
    // Rows of [R | t].
    camera_from_world: array<vec4<f32>, 3>,
    // Where the camera stands; w: distance of the near plane.
    centre: vec4<f32>,
    // fx, fy, cx, cy in pixels.
    lens: vec4<f32>,
    // u_min, v_min, u_max, v_max: the Jacobian is evaluated inside, so that splats far outside the picture stay bounded.
    jacobian_bounds: vec4<f32>,
    // Rows of the affine map that takes the crop box to [-1, 1]³.
    crop_from_world: array<vec4<f32>, 3>,
    // rgb behind everything; w: what splat sizes are multiplied by, as a logarithm.
    background: vec4<f32>,
    // rgb of selected splats; w: how strongly it covers their own colour.
    highlight: vec4<f32>,
    // Pixels.
    size: vec2<f32>,
    // Harmonics above this are ignored.
    sh_degree: u32,
    flags: u32,
    // Depth key = (bits of z - key_base) >> key_shift.
    key_base: u32,
    key_shift: u32,
    // How many splats can be visible at once.
    capacity: u32,
    // Diameter of points, pixels.
    point_size: f32,
    // The depth that a depth picture shows as one.
    depth_scale: f32,
    // The moment that is shown, seconds.
    time: f32,
    pad0: f32,
    pad1: f32,
}

const CROPPED: u32 = 1u;
const DEPTH_COLOURS: u32 = 2u;

fn to_camera(point: vec3<f32>) -> vec3<f32> {
    let p = vec4<f32>(point, 1.0);
    return vec3<f32>(
        dot(view.camera_from_world[0], p),
        dot(view.camera_from_world[1], p),
        dot(view.camera_from_world[2], p),
    );
}

fn is_cropped(point: vec3<f32>) -> bool {
    let p = vec4<f32>(point, 1.0);
    let q = vec3<f32>(
        dot(view.crop_from_world[0], p),
        dot(view.crop_from_world[1], p),
        dot(view.crop_from_world[2], p),
    );
    return (view.flags & CROPPED) != 0u && any(abs(q) > vec3<f32>(1.0));
}

// Clip coordinates of a point of the camera's frame; the depth buffer holds near / z.
fn to_clip(point: vec3<f32>) -> vec4<f32> {
    let pixel = view.lens.xy * point.xy + view.lens.zw * point.z;
    let ndc = 2.0 * pixel / view.size - point.z;
    return vec4<f32>(ndc.x, -ndc.y, view.centre.w, point.z);
}

// Clip coordinates of a pixel at a depth.
fn pixel_to_clip(pixel: vec2<f32>, z: f32) -> vec4<f32> {
    let ndc = 2.0 * pixel / view.size - 1.0;
    return vec4<f32>(ndc.x, -ndc.y, view.centre.w / z, 1.0);
}
