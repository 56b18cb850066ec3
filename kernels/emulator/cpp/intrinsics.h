// Arithmetic that CUDA has as functions. Approximate ones are computed exactly: tests allow for the difference.
#pragma once

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float rcbrtf(float x) { return 1.0f / std::cbrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __exp10f(float x) { return std::pow(10.0f, x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __log10f(float x) { return std::log10(x); }
inline float __sinf(float x) { return std::sin(x); }
inline float __cosf(float x) { return std::cos(x); }
inline float __tanf(float x) { return std::tan(x); }
inline void __sincosf(float x, float* sine, float* cosine) { *sine = std::sin(x), *cosine = std::cos(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __frsqrt_rn(float x) { return 1.0f / std::sqrt(x); }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float sinpif(float x) { return std::sin(x * 3.14159265358979324f); }
inline float cospif(float x) { return std::cos(x * 3.14159265358979324f); }
inline float normf3(float x, float y, float z) { return std::sqrt(x * x + y * y + z * z); }

// Conversions saturate, and NaN becomes 0, as on the device.
template <class To, class From>
inline To emulator_saturate(From x) {
    if (x != x) return 0;
    constexpr bool is_signed = std::is_signed_v<To>;
    constexpr double high = is_signed ? 2147483647.0 : 4294967295.0, low = is_signed ? -2147483648.0 : 0.0;
    const double wide = static_cast<double>(x);
    return static_cast<To>(wide > high ? high : (wide < low ? low : wide));
}
inline int __float2int_rn(float x) { return emulator_saturate<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return emulator_saturate<int>(std::trunc(x)); }
inline int __float2int_rd(float x) { return emulator_saturate<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return emulator_saturate<int>(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return emulator_saturate<unsigned>(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return emulator_saturate<unsigned>(std::trunc(x)); }
inline unsigned __float2uint_rd(float x) { return emulator_saturate<unsigned>(std::floor(x)); }
inline unsigned __float2uint_ru(float x) { return emulator_saturate<unsigned>(std::ceil(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

template <class To, class From>
inline To emulator_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline int __float_as_int(float x) { return emulator_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulator_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator_bits<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline unsigned __brev(unsigned x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const unsigned long long bytes = static_cast<unsigned long long>(high) << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned choice = selector >> 4 * i & 0xf;
        unsigned byte = bytes >> 8 * (choice & 7) & 0xff;
        if (choice & 8) byte = byte & 0x80 ? 0xff : 0;
        result |= byte << 8 * i;
    }
    return result;
}
inline unsigned __umulhi(unsigned x, unsigned y) {
    return static_cast<unsigned>(static_cast<unsigned long long>(x) * y >> 32);
}
inline int __mulhi(int x, int y) { return static_cast<int>(static_cast<long long>(x) * y >> 32); }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(x) * y >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
    return static_cast<unsigned>(both << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    const unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
    return static_cast<unsigned>(both >> (shift & 31));
}

// `min` and `max` as CUDA overloads them: a mixture of signed and unsigned is compared unsigned.
#define EMULATOR_MIN_MAX(result, left, right)                                                                      \
    inline result min(left x, right y) {                                                                           \
        return static_cast<result>(x) < static_cast<result>(y) ? static_cast<result>(x) : static_cast<result>(y);  \
    }                                                                                                              \
    inline result max(left x, right y) {                                                                           \
        return static_cast<result>(x) > static_cast<result>(y) ? static_cast<result>(x) : static_cast<result>(y);  \
    }
EMULATOR_MIN_MAX(int, int, int)
EMULATOR_MIN_MAX(unsigned, unsigned, unsigned)
EMULATOR_MIN_MAX(unsigned, int, unsigned)
EMULATOR_MIN_MAX(unsigned, unsigned, int)
EMULATOR_MIN_MAX(long, long, long)
EMULATOR_MIN_MAX(unsigned long, unsigned long, unsigned long)
EMULATOR_MIN_MAX(long long, long long, long long)
EMULATOR_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
inline float min(float x, float y) { return std::fmin(x, y); }
inline float max(float x, float y) { return std::fmax(x, y); }
inline double min(double x, double y) { return std::fmin(x, y); }
inline double max(double x, double y) { return std::fmax(x, y); }
inline double min(float x, double y) { return std::fmin(static_cast<double>(x), y); }
inline double min(double x, float y) { return std::fmin(x, static_cast<double>(y)); }
inline double max(float x, double y) { return std::fmax(static_cast<double>(x), y); }
inline double max(double x, float y) { return std::fmax(x, static_cast<double>(y)); }
using std::abs;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

// Loads and stores with hints for caches.
template <class T>
inline T __ldg(const T* address) { return *address; }
template <class T>
inline T __ldca(const T* address) { return *address; }
template <class T>
inline T __ldcg(const T* address) { return *address; }
template <class T>
inline T __ldcs(const T* address) { return *address; }
template <class T>
inline void __stcg(T* address, T value) { *address = value; }
template <class T>
inline void __stcs(T* address, T value) { *address = value; }

inline void __threadfence() { emulator::fence(); }
inline void __threadfence_block() {}
inline void __nanosleep(unsigned) {}
[[noreturn]] inline void __trap(SITE) { emulator::fault(site, "the kernel stopped itself with __trap"); }
