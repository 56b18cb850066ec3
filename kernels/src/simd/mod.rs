//! SIMD lanes with run-time dispatch.
//!
//! Kernels are written once, over [`Lanes`], as `#[inline(always)]` functions. [`dispatch!`](crate::dispatch) instantiates such a
//! function for AVX2+FMA and for a portable array of eight numbers (which compilers turn into SSE2 or NEON code) and
//! chooses at run time. [`Lanes`] extends [`Real`](tessera_camera::Real), so the mathematics of a kernel can also run
//! on one `f32` or `f64`, which is how tests get their reference.

mod float_environment;
mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use float_environment::flush_denormals;
pub use lanes::{Lanes, cos, exp2, exp2_fast, sin};
pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::Avx2;

use std::sync::atomic::{AtomicU8, Ordering};

/// Which instances of the kernels run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Eight-number arrays: SSE2 or NEON, whatever the target's baseline has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
}

const UNDECIDED: u8 = 0;
const PORTABLE: u8 = 1;
const AVX2: u8 = 2;
static CHOICE: AtomicU8 = AtomicU8::new(UNDECIDED);

/// The best instances that this processor can run.
pub fn best_backend() -> Backend {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("lzcnt") {
            return Backend::Avx2;
        }
    }
    Backend::Portable
}

/// Chooses the instances for the whole process: how tests and benchmarks compare them. Asking for more than the
/// processor has gets the best that it has.
pub fn select_backend(wanted: Backend) {
    let choice = if wanted == Backend::Avx2 && best_backend() == Backend::Avx2 { AVX2 } else { PORTABLE };
    CHOICE.store(choice, Ordering::Relaxed);
}

/// The instances that run now.
#[inline]
pub fn backend() -> Backend {
    match CHOICE.load(Ordering::Relaxed) {
        AVX2 => Backend::Avx2,
        PORTABLE => Backend::Portable,
        _ => {
            select_backend(best_backend());
            backend()
        }
    }
}

/// Defines functions that run a generic kernel with the widest lanes that the processor has.
///
/// `dispatch! { fn name(arg: Type, ...) -> Ret = kernel; }` where `kernel<V: Lanes>(arg: Type, ...) -> Ret` is
/// `#[inline(always)]`, as is everything hot that it calls.
#[macro_export]
macro_rules! dispatch {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $kernel:ident;)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, clippy::allow_attributes)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
                #[allow(clippy::too_many_arguments, clippy::allow_attributes)]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $kernel::<$crate::simd::Avx2>($($arg),*)
                }
                if $crate::simd::backend() == $crate::simd::Backend::Avx2 {
                    // SAFETY: the processor has the features that the function enables.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $kernel::<$crate::simd::Portable>($($arg),*)
        }
    )*};
}
