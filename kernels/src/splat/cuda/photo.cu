// Photos as they were uploaded, 8 bits a channel, become planes to compare with, as in `engine/src/target.rs`.
//
// A thread takes a pixel: 3 to 5 bytes read, 12 to 16 written. One byte for each channel crosses the bus and not four.

#include "device/cuda.cuh"

// What a mask's black means; 0 for no mask.
constexpr int MASK_IGNORE = 1;
constexpr int MASK_FOREGROUND = 2;

// `photo` is [height, width, channels]; `mask` is [height, width]. `weight` is written only for masks that say
// where nothing is known.
extern "C" __global__ void __launch_bounds__(256)
    unpack_photo(const u8* photo, int channels, const u8* mask, int mask_kind, float red, float green, float blue,
                 u32 pixels, float* rgb, float* weight) {
    u32 i = global_thread();
    if (i >= pixels) return;
    constexpr float SCALE = 255.0f;
    float masked = mask_kind != 0 ? (float)mask[i] / SCALE : 1.0f;
    float alpha = channels == 4 ? (float)photo[4 * (u64)i + 3] / SCALE : 1.0f;
    if (mask_kind == MASK_FOREGROUND) alpha *= masked;
    bool cut_out = channels == 4 || mask_kind == MASK_FOREGROUND;
    const float background[3] = {red, green, blue};
    for (int channel = 0; channel < 3; channel++) {
        float value = (float)photo[(u64)channels * i + min(channel, channels - 1)] / SCALE;
        rgb[channel * (u64)pixels + i] = cut_out ? alpha * value + (1.0f - alpha) * background[channel] : value;
    }
    if (mask_kind == MASK_IGNORE) weight[i] = masked;
}
