// Meshes: vertex colours, textures, and a light beside the camera.

struct Material {
    // sRGB-encoded factor.
    colour: vec4<f32>,
    // How much the light matters, 0 to 1.
    light: f32,
    pad0: f32,
    pad1: f32,
    pad2: f32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(1) @binding(0) var<uniform> material: Material;
@group(1) @binding(1) var picture: texture_2d<f32>;
@group(1) @binding(2) var picture_sampler: sampler;

struct Vertex {
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) uv: vec2<f32>,
    @location(3) colour: vec4<f32>,
}

struct Corner {
    @builtin(position) clip: vec4<f32>,
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) uv: vec2<f32>,
    @location(3) colour: vec3<f32>,
}

@vertex
fn corner(vertex: Vertex) -> Corner {
    let clip = to_clip(to_camera(vertex.position));
    return Corner(clip, vertex.position, vertex.normal, vertex.uv, vertex.colour.rgb);
}

@fragment
fn shade(at: Corner) -> @location(0) vec4<f32> {
    let texel = textureSample(picture, picture_sampler, at.uv);
    // Without normals, that of the triangle.
    let flat_normal = cross(dpdx(at.position), dpdy(at.position));
    let normal = select(at.normal, flat_normal, dot(at.normal, at.normal) < 1e-6);
    let towards = view.centre.xyz - at.position;
    let facing = abs(dot(normal, towards)) * inverseSqrt(max(dot(normal, normal) * dot(towards, towards), 1e-30));
    if is_cropped(at.position) || texel.a * material.colour.a < 0.5 {
        discard;
    }
    let lit = mix(1.0, 0.25 + 0.75 * facing, material.light);
    return vec4<f32>(texel.rgb * at.colour * material.colour.rgb * lit, 1.0);
}
