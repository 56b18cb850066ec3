// Convolutions on sparse voxels; `convolution.rs` does the same.
//
// A block makes 64 sites by 64 outputs (`device/tile_product.cuh`), neighbour by neighbour: rows of neighbours are gathered while
// they are staged, and a neighbour that none of the 64 sites has costs a look. 2 K C_in C_out operations a site, of which on
// a surface about a third has a neighbour. The gradient by the input is the same with the kernel turned around; that by the kernel
// sums outer products of rows, part by part in order, so results have the same bits each time.

#include "device/tile_product.cuh"

// `sparse_conv/cuda.rs` fills it.
struct ConvolutionShape {
    u32 sites;
    // Neighbours of a site, 27 or 1.
    u32 of_each;
    u32 inputs;
    u32 outputs;
    // Sites of a part of a sum.
    u32 part;
};

// The kernel is [of_each, inputs, outputs]; TURNED: [of_each, outputs, inputs], from the last neighbour to the first.
template <bool BF16, bool TURNED>
__device__ __forceinline__ void convolve_tile(const ConvolutionShape& shape, const i32* neighbours, const float* x,
                                              const float* kernel, const float* bias, float* out) {
    __shared__ u32 memory[TILE_MEMORY];
    __shared__ i32 near[TILE];
    const u32 first_site = blockIdx.x * TILE, first_output = blockIdx.y * TILE;
    TileProduct<BF16> product;
    for (u32 k = 0; k < shape.of_each; ++k) {
        i32 own = -1;
        if (threadIdx.x < TILE) {
            const u32 site = first_site + threadIdx.x;
            if (site < shape.sites) own = neighbours[(u64)site * shape.of_each + k];
            near[threadIdx.x] = own;
        }
        if (!__syncthreads_or(own >= 0)) continue;
        const auto row = [&](u32 i, u32 c) { return near[i] >= 0 ? x[(u64)near[i] * shape.inputs + c] : 0.0f; };
        const auto column = [&](u32 c, u32 j) {
            const u32 o = first_output + j;
            if (o >= shape.outputs) return 0.0f;
            if constexpr (TURNED) {
                return kernel[((u64)(shape.of_each - 1 - k) * shape.outputs + o) * shape.inputs + c];
            } else {
                return kernel[((u64)k * shape.inputs + c) * shape.outputs + o];
            }
        };
        product.add(shape.inputs, true, TURNED, row, column, memory);
    }
    product.each([&](u32 i, u32 j, float sum) {
        const u32 site = first_site + i, o = first_output + j;
        if (site < shape.sites && o < shape.outputs) {
            out[(u64)site * shape.outputs + o] = bias != nullptr ? sum + bias[o] : sum;
        }
    });
}

// Blocks: tiles of inputs and of outputs along x, neighbours along y, parts of the sites along z.
template <bool BF16>
__device__ __forceinline__ void sum_outer_products(const ConvolutionShape& shape, const i32* neighbours, const float* x,
                                                   const float* by_out, float* by_kernel) {
    __shared__ u32 memory[TILE_MEMORY];
    const u32 tiles = (shape.outputs + TILE - 1) / TILE, k = blockIdx.y, begin = blockIdx.z * shape.part;
    const u32 first_input = blockIdx.x / tiles * TILE, first_output = blockIdx.x % tiles * TILE;
    const u32 sites = begin < shape.sites ? min(shape.part, shape.sites - begin) : 0;
    const auto row = [&](u32 i, u32 site) {
        const i32 near = neighbours[(u64)(begin + site) * shape.of_each + k];
        const u32 c = first_input + i;
        return near >= 0 && c < shape.inputs ? x[(u64)near * shape.inputs + c] : 0.0f;
    };
    const auto column = [&](u32 site, u32 j) {
        const u32 o = first_output + j;
        return o < shape.outputs ? by_out[(u64)(begin + site) * shape.outputs + o] : 0.0f;
    };
    TileProduct<BF16> product;
    product.add(sites, false, false, row, column, memory);
    by_kernel += ((u64)blockIdx.z * shape.of_each + k) * shape.inputs * shape.outputs;
    product.each([&](u32 i, u32 j, float sum) {
        const u32 c = first_input + i, o = first_output + j;
        if (c < shape.inputs && o < shape.outputs) by_kernel[(u64)c * shape.outputs + o] = sum;
    });
}

extern "C" __global__ void __launch_bounds__(128)
    convolve(ConvolutionShape shape, const i32* neighbours, const float* x, const float* kernel, const float* bias,
             float* out) {
    convolve_tile<false, false>(shape, neighbours, x, kernel, bias, out);
}

extern "C" __global__ void __launch_bounds__(128)
    convolve_bf16(ConvolutionShape shape, const i32* neighbours, const float* x, const float* kernel, const float* bias,
                  float* out) {
    convolve_tile<true, false>(shape, neighbours, x, kernel, bias, out);
}

// `inputs` are the outputs of the convolution and `outputs` its inputs.
extern "C" __global__ void __launch_bounds__(128)
    convolve_backward(ConvolutionShape shape, const i32* neighbours, const float* by_out, const float* kernel,
                      float* by_x) {
    convolve_tile<false, true>(shape, neighbours, by_out, kernel, nullptr, by_x);
}

extern "C" __global__ void __launch_bounds__(128)
    convolve_backward_bf16(ConvolutionShape shape, const i32* neighbours, const float* by_out, const float* kernel,
                           float* by_x) {
    convolve_tile<true, true>(shape, neighbours, by_out, kernel, nullptr, by_x);
}

extern "C" __global__ void __launch_bounds__(128)
    convolution_by_kernel(ConvolutionShape shape, const i32* neighbours, const float* x, const float* by_out,
                          float* by_kernel) {
    sum_outer_products<false>(shape, neighbours, x, by_out, by_kernel);
}

extern "C" __global__ void __launch_bounds__(128)
    convolution_by_kernel_bf16(ConvolutionShape shape, const i32* neighbours, const float* x, const float* by_out,
                               float* by_kernel) {
    sum_outer_products<true>(shape, neighbours, x, by_out, by_kernel);
}
