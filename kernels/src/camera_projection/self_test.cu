// Projection of single points, by which the lenses are tested. A thread takes a point.

#include "camera_projection/ewa.cuh"

// `points` is [N, 3] in the camera's frame, `pixels` [N, 2], `jacobians` [N, 2, 3].
extern "C" __global__ void __launch_bounds__(256)
    project_points(const float* points, u32 count, Camera camera, float* pixels, float* jacobians) {
    u32 i = global_thread();
    if (i >= count) return;
    float inverse = 1.0f / points[3 * i + 2];
    float uv[2] = {points[3 * i] * inverse, points[3 * i + 1] * inverse};
    Distorted d = distort(camera, uv[0], uv[1]);
    for (int k = 0; k < 2; k++) {
        pixels[2 * i + k] = fmaf(camera.focal[k], d.uv[k], camera.centre[k]);
        jacobian_row(camera.focal[k] * inverse, d.jacobian[k], d.jacobian[k + 1], uv, jacobians + 6 * i + 3 * k);
    }
}
