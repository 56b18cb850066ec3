// Between the encodings of samples and the networks: what else these are given, and what comes of what they say. `engine/src/surface/field.rs` does the same.
//
// Mapping: a thread takes a sample, with samples side by side; each number is read and written once. Of codes, a thread sums those of a ray, and another
// those of a photo in the order of rays.

#include "occupancy/ray.cuh"
#include "sdf_render/cuda/target.cuh"

// `sdf_render/cuda/look.rs` fills it.
struct LookShape {
    u32 samples;
    // From a row to the next.
    u32 stride;
    // The first row behind the encoding.
    u32 first;
    // Numbers of a photo's code.
    u32 code;
};

constexpr u32 HARMONICS = 16;

// Real spherical harmonics up to degree 3.
__device__ __forceinline__ void harmonics(const float (&d)[3], float (&out)[HARMONICS]) {
    const float x = d[0], y = d[1], z = d[2], xx = x * x, yy = y * y, zz = z * z;
    out[0] = 0.28209479f;
    out[1] = -0.48860251f * y;
    out[2] = 0.48860251f * z;
    out[3] = -0.48860251f * x;
    out[4] = 1.09254843f * x * y;
    out[5] = -1.09254843f * y * z;
    out[6] = 0.94617470f * zz - 0.31539157f;
    out[7] = -1.09254843f * x * z;
    out[8] = 0.54627422f * (xx - yy);
    out[9] = 0.59004359f * y * (yy - 3.0f * xx);
    out[10] = 2.89061144f * x * y * z;
    out[11] = 0.45704580f * y * (1.0f - 5.0f * zz);
    out[12] = 0.37317633f * z * (5.0f * zz - 3.0f);
    out[13] = 0.45704580f * x * (1.0f - 5.0f * zz);
    out[14] = 1.44530572f * z * (xx - yy);
    out[15] = 0.59004359f * x * (3.0f * yy - xx);
}

// The place, from the cube's middle, into the first three rows of the distance network's input.
extern "C" __global__ void __launch_bounds__(256)
    place_rows(const float* positions, u32 samples, u32 stride, float* input) {
    const u32 i = global_thread();
    if (i >= samples) return;
#pragma unroll
    for (u32 a = 0; a < 3; a++) input[(u64)a * stride + i] = positions[(u64)a * stride + i] - 0.5f;
}

// Adds three rows to three others.
extern "C" __global__ void __launch_bounds__(256) add_rows(const float* rows, u32 samples, u32 stride, float* to) {
    const u32 i = global_thread();
    if (i >= samples) return;
#pragma unroll
    for (u32 a = 0; a < 3; a++) to[(u64)a * stride + i] += rows[(u64)a * stride + i];
}

// Copies three rows.
extern "C" __global__ void __launch_bounds__(256) copy_rows(const float* rows, u32 samples, u32 stride, float* to) {
    const u32 i = global_thread();
    if (i >= samples) return;
#pragma unroll
    for (u32 a = 0; a < 3; a++) to[(u64)a * stride + i] = rows[(u64)a * stride + i];
}

// The rows of the colour network's input behind the encoding: harmonics of the direction, place, normal, and the code of the photo, `codes` [photos, code].
extern "C" __global__ void __launch_bounds__(256)
    look_rows(const DeviceRay* rays, const u32* ray_of, const RayTarget* targets, const float* codes,
              const float* positions, const float* normals, LookShape shape, float* input) {
    const u32 i = global_thread();
    if (i >= shape.samples) return;
    const u32 r = ray_of[i];
    const u64 stride = shape.stride;
    float* out = input + shape.first * stride + i;
    float of_direction[HARMONICS];
    harmonics(rays[r].direction, of_direction);
#pragma unroll
    for (u32 k = 0; k < HARMONICS; k++) out[k * stride] = of_direction[k];
#pragma unroll
    for (u32 a = 0; a < 3; a++) {
        out[(HARMONICS + a) * stride] = positions[a * stride + i] - 0.5f;
        out[(HARMONICS + 3 + a) * stride] = normals[a * stride + i];
    }
    const float* code = codes + (u64)targets[r].photo * shape.code;
    for (u32 k = 0; k < shape.code; k++) out[(HARMONICS + 6 + k) * stride] = code[k];
}

// Colours, [3, stride], from the colour network's outputs.
extern "C" __global__ void __launch_bounds__(256)
    colours_of(const float* outputs, u32 samples, u32 stride, float* colours) {
    const u32 i = global_thread();
    if (i >= samples) return;
#pragma unroll
    for (u32 k = 0; k < 3; k++) {
        const u64 at = (u64)k * stride + i;
        colours[at] = 1.0f / (1.0f + expf(-outputs[at]));
    }
}

// The gradient by those outputs from that by colours.
extern "C" __global__ void __launch_bounds__(256)
    through_sigmoid(const float* colours, const float* by_colours, u32 samples, u32 stride, float* by_outputs) {
    const u32 i = global_thread();
    if (i >= samples) return;
#pragma unroll
    for (u32 k = 0; k < 3; k++) {
        const u64 at = (u64)k * stride + i;
        by_outputs[at] = by_colours[at] * colours[at] * (1.0f - colours[at]);
    }
}

// The gradients of codes that each ray asks for, `sums` [code, rays], from that of the colour network's input. A thread takes a ray of the number that y
// says.
extern "C" __global__ void __launch_bounds__(128)
    code_of_rays(const u32* starts, u32 rays, const float* by_input, LookShape shape, float* sums) {
    const u32 r = global_thread();
    if (r >= rays) return;
    const float* row = by_input + (u64)(shape.first + HARMONICS + 6 + blockIdx.y) * shape.stride;
    float sum = 0.0f;
    for (u32 i = starts[r]; i < starts[r + 1]; i++) sum += row[i];
    sums[(u64)blockIdx.y * rays + r] = sum;
}

// The sums over the rays of each photo, `gradient` [photos, code]. A thread takes a number.
extern "C" __global__ void __launch_bounds__(128)
    code_of_photos(const RayTarget* targets, u32 rays, const float* sums, u32 photos, u32 code, float* gradient) {
    const u32 e = global_thread();
    if (e >= photos * code) return;
    float sum = 0.0f;
    for (u32 r = 0; r < rays; r++) {
        if (targets[r].photo == e / code) sum += sums[(u64)(e % code) * rays + r];
    }
    gradient[e] = sum;
}
