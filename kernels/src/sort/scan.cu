// Prefix sums over an array that one block goes through: sums of parts, a few thousand of them.

#include "sort/scan.cuh"

// Replaces each of the `len` numbers by the sum of those before it and writes the sum of all to `total`. One block; each
// thread takes one number at a time.
extern "C" __global__ void __launch_bounds__(1024) exclusive_sum(u32* values, u32 len,
                                                                u32* total) {
    __shared__ u32 scratch[32];
    u32 before_all = 0;
    for (u32 start = 0; start < len; start += blockDim.x) {
        u32 i = start + threadIdx.x;
        u32 sum;
        u32 before = block_exclusive_sum(i < len ? values[i] : 0, scratch, sum);
        if (i < len) {
            values[i] = before_all + before;
        }
        before_all += sum;
    }
    if (threadIdx.x == 0) {
        *total = before_all;
    }
}
