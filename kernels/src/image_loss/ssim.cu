// L1, SSIM and the gradient of their mix: `image_loss/mod.rs` says what is computed.
//
// Two passes over tiles of 16x16 pixels, a thread for each pixel. The first blurs the four moments and leaves S's three
// derivatives (36 bytes a pixel); the second blurs those and composes the gradient. Blurs are separable: a tile with its
// border of five pixels (26x26) is blurred along rows into 26x16, then along columns, 22 multiply-adds a value instead
// of 121. Shared memory: 12.1 KiB and 13.1 KiB. Per pixel and channel: 7 blurs of 22 multiply-adds with 1.6 times as
// many in the first direction, about 250 operations; 8 bytes read with a border (2.6 times), 12 written, 12 read with a
// border, 4 written: about 70 bytes, which is what limits it.
//
// Sums go block by block to `partials`, which `loss_values` adds up in a fixed order.

#include "image_loss/loss.cuh"

// The value of plane `plane` at (x, y), zero outside.
__device__ inline float pixel_or_zero(const float* plane, int x, int y, const LossShape& shape) {
    bool inside = x >= 0 && y >= 0 && x < shape.width && y < shape.height;
    return inside ? plane[y * shape.width + x] : 0.0f;
}

// Blurs a row of a tile: the window that begins at `row[x]`.
__device__ inline float window_of(const float* values, u32 stride) {
    float sum = values[5 * stride] * TAPS[5];
#pragma unroll
    for (int k = 0; k < 5; k++) {
        sum = fmaf(values[k * stride] + values[(10 - k) * stride], TAPS[k], sum);
    }
    return sum;
}

// S from the moments (mx, my, q, p), and `k` times its derivatives by mx, by q (doubled) and by p.
__device__ inline float similarity(float mx, float my, float q, float p, float k, float by[3]) {
    const float C1 = 1e-4f, C2 = 9e-4f;
    float product = mx * my;
    float squares = fmaf(mx, mx, my * my);
    float a = product + product + C1;
    float covariance = p - product;
    float b = covariance + covariance + C2;
    float c = squares + C1;
    float d = fmaxf(q - squares, 0.0f) + C2;
    float inverse = 1.0f / (c * d);
    float s = a * b * inverse;
    float inverse_c = inverse * d, inverse_d = inverse * c;
    float k2 = k + k, ks2 = k2 * s;
    float common = k2 * inverse;
    by[0] = common * my * (b - a) - ks2 * mx * (inverse_c - inverse_d);
    by[1] = -(ks2 * inverse_d);
    by[2] = common * a;
    return s;
}

// The first pass. `derivatives` is [3 channels, 3, height, width], or null when no gradient is wanted; `errors`
// [height, width] and `map` [3, height, width] may be null. `partials` is [blocks, 4]: absolute, squared, similarity.
extern "C" __global__ void __launch_bounds__(256)
    ssim_map(const float* image, const float* target, const float* weight, LossShape shape, const LossScales* scales,
             float* derivatives, float* errors, float* map, float* partials) {
    __shared__ float tile[2][SPAN][SPAN];
    __shared__ float rows[4][SPAN][TILE];
    int thread = (int)threadIdx.x, tx = thread % TILE, ty = thread / TILE;
    int left = (int)blockIdx.x * TILE, top = (int)blockIdx.y * TILE;
    int x = left + tx, y = top + ty;
    bool inside = x < shape.width && y < shape.height;
    i64 pixels = (i64)shape.width * shape.height, at = (i64)y * shape.width + x;
    float w = !inside ? 0.0f : weight == nullptr ? 1.0f : weight[at];
    bool in_map = inside && x >= shape.map_border && y >= shape.map_border && x < shape.width - shape.map_border &&
                  y < shape.height - shape.map_border;
    float map_w = in_map ? w : 0.0f;
    float ssim_scale = scales->ssim;
    float absolute = 0.0f, squared = 0.0f, similar = 0.0f, error = 0.0f;
    for (int channel = 0; channel < 3; channel++) {
        const float* a = image + channel * pixels, *b = target + channel * pixels;
        __syncthreads();
        for (int i = thread; i < SPAN * SPAN; i += 256) {
            int column = i % SPAN, row = i / SPAN;
            tile[0][row][column] = pixel_or_zero(a, left + column - RADIUS, top + row - RADIUS, shape);
            tile[1][row][column] = pixel_or_zero(b, left + column - RADIUS, top + row - RADIUS, shape);
        }
        __syncthreads();
        for (int i = thread; i < SPAN * TILE; i += 256) {
            int column = i % TILE, row = i / TILE;
            float mx = 0.0f, my = 0.0f, q = 0.0f, p = 0.0f;
#pragma unroll
            for (int k = 0; k < 11; k++) {
                float va = tile[0][row][column + k], vb = tile[1][row][column + k];
                float tap = TAPS[k < 5 ? k : 10 - k];
                mx = fmaf(va, tap, mx);
                my = fmaf(vb, tap, my);
                q = fmaf(fmaf(va, va, vb * vb), tap, q);
                p = fmaf(va * vb, tap, p);
            }
            rows[0][row][column] = mx;
            rows[1][row][column] = my;
            rows[2][row][column] = q;
            rows[3][row][column] = p;
        }
        __syncthreads();
        float by[3];
        float s = similarity(window_of(&rows[0][ty][tx], TILE), window_of(&rows[1][ty][tx], TILE),
                             window_of(&rows[2][ty][tx], TILE), window_of(&rows[3][ty][tx], TILE), map_w * ssim_scale, by);
        if (inside) {
            float difference = tile[0][ty + RADIUS][tx + RADIUS] - tile[1][ty + RADIUS][tx + RADIUS];
            absolute += w * fabsf(difference);
            squared = fmaf(w * difference, difference, squared);
            similar = fmaf(s, map_w, similar);
            error += (1.0f - shape.ssim_weight) * fabsf(difference) + shape.ssim_weight * (1.0f - s);
            if (derivatives != nullptr) {
                for (int i = 0; i < 3; i++) {
                    derivatives[(3 * channel + i) * pixels + at] = by[i];
                }
            }
            if (map != nullptr) {
                map[channel * pixels + at] = s;
            }
        }
    }
    if (inside && errors != nullptr) {
        errors[at] = error * w * (1.0f / 3.0f);
    }
    write_partials(partials, absolute, squared, similar);
}

// The second pass. A block takes a tile of one channel.
extern "C" __global__ void __launch_bounds__(256)
    ssim_gradient(const float* image, const float* target, const float* weight, LossShape shape,
                  const LossScales* scales, const float* derivatives, float* gradient) {
    __shared__ float tile[3][SPAN][SPAN];
    __shared__ float rows[3][SPAN][TILE];
    int thread = (int)threadIdx.x, tx = thread % TILE, ty = thread / TILE;
    int left = (int)blockIdx.x * TILE, top = (int)blockIdx.y * TILE, channel = (int)blockIdx.z;
    i64 pixels = (i64)shape.width * shape.height;
    for (int i = thread; i < 3 * SPAN * SPAN; i += 256) {
        int plane = i / (SPAN * SPAN), within = i % (SPAN * SPAN), column = within % SPAN, row = within / SPAN;
        tile[plane][row][column] = pixel_or_zero(derivatives + (3 * channel + plane) * pixels, left + column - RADIUS,
                                                 top + row - RADIUS, shape);
    }
    __syncthreads();
    for (int i = thread; i < 3 * SPAN * TILE; i += 256) {
        int plane = i / (SPAN * TILE), within = i % (SPAN * TILE), column = within % TILE, row = within / TILE;
        rows[plane][row][column] = window_of(&tile[plane][row][column], 1);
    }
    __syncthreads();
    int x = left + tx, y = top + ty;
    if (x >= shape.width || y >= shape.height) {
        return;
    }
    float by_mx = window_of(&rows[0][ty][tx], TILE), by_q = window_of(&rows[1][ty][tx], TILE);
    float by_p = window_of(&rows[2][ty][tx], TILE);
    i64 at = (i64)y * shape.width + x;
    float a = image[channel * pixels + at], b = target[channel * pixels + at];
    float w = weight == nullptr ? 1.0f : weight[at];
    float similar = fmaf(a, by_q, fmaf(b, by_p, by_mx));
    gradient[channel * pixels + at] = similar + slope_of(shape, a - b, w * scales->pixel);
}
