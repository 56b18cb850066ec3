//! Launches with typed arguments.

use super::{Address, Buffer, Device, DeviceError, Handle, Parameter, Signature, Stream};
use bytemuck::Pod;
use std::ffi::c_void;
use std::sync::Arc;

/// How many blocks of how many threads, and how much dynamic shared memory a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks along x, y, z; none at all if one of them is 0.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
}

impl Launch {
    /// At least `count` threads, in blocks of `block` along x.
    pub fn linear(count: usize, block: u32) -> Self {
        Self::blocks(count.div_ceil(block as usize).try_into().unwrap_or(u32::MAX), block)
    }

    /// `count` blocks of `block` threads along x.
    pub fn blocks(count: u32, block: u32) -> Self {
        Self { grid: [count, 1, 1], block: [block, 1, 1], shared_bytes: 0 }
    }

    /// A grid of blocks along x, y and z.
    pub fn grid(grid: [u32; 3], block: [u32; 3]) -> Self {
        Self { grid, block, shared_bytes: 0 }
    }

    /// With so many bytes of dynamic shared memory for each block.
    pub fn with_shared(self, bytes: usize) -> Self {
        Self { shared_bytes: bytes.try_into().unwrap_or(u32::MAX), ..self }
    }

    /// Threads of a block.
    pub fn threads(&self) -> u64 {
        self.block.iter().map(|&side| u64::from(side)).product()
    }

    fn is_empty(&self) -> bool {
        self.grid.contains(&0) || self.block.contains(&0)
    }
}

/// A type that kernels know under a name, with the same layout there.
///
/// Declare structures with [`device_struct!`](crate::device_struct).
pub trait Element: Pod + Send + Sync {
    /// Its name in CUDA: as in `cuda.cuh`, or the structure's own.
    const CUDA_NAME: &'static str;
}

macro_rules! elements {
    ($($ty:ty => $name:literal),* $(,)?) => {$(
        impl Element for $ty {
            const CUDA_NAME: &'static str = $name;
        }
    )*};
}

elements! {
    f32 => "float", f64 => "double", u8 => "u8", u16 => "u16", u32 => "u32", i32 => "i32", u64 => "u64", i64 => "i64",
    [f32; 2] => "float2", [f32; 3] => "float3", [f32; 4] => "float4",
    [u32; 2] => "uint2", [u32; 4] => "uint4", [u8; 4] => "uchar4",
}

/// Declares that a `#[repr(C)]` structure that is `Pod` has the same name and layout in a `.cu` file.
#[macro_export]
macro_rules! device_struct {
    ($($ty:ident),* $(,)?) => {$(
        impl $crate::device::Element for $ty {
            const CUDA_NAME: &'static str = stringify!($ty);
        }
    )*};
}

/// What a kernel can be given: numbers and structures by value, `&Buffer<T>` for `const T*`, `&mut Buffer<T>` for `T*`,
/// parts of buffers ([`Buffer::at`], [`Buffer::at_mut`]) likewise, and `None::<&Buffer<T>>` for a null pointer.
pub trait Argument {
    /// Adds itself, or says why it does not fit.
    #[doc(hidden)]
    fn add(&self, to: &mut Arguments<'_>);
}

impl<T: Element> Argument for T {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(self, T::CUDA_NAME, false, true);
    }
}

impl<T: Element> Argument for &Buffer<T> {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(&self.address(), T::CUDA_NAME, true, true);
    }
}

impl<T: Element> Argument for &mut Buffer<T> {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(&self.address(), T::CUDA_NAME, true, false);
    }
}

/// A buffer from some element on, to be read.
pub struct At<'a, T>(pub(super) Address, pub(super) std::marker::PhantomData<&'a T>);

/// A buffer from some element on, to be written.
pub struct AtMut<'a, T>(pub(super) Address, pub(super) std::marker::PhantomData<&'a mut T>);

impl<T: Element> Argument for At<'_, T> {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(&self.0, T::CUDA_NAME, true, true);
    }
}

impl<T: Element> Argument for AtMut<'_, T> {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(&self.0, T::CUDA_NAME, true, false);
    }
}

impl<T: Element> Argument for Option<&Buffer<T>> {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(&self.map_or(0, Buffer::address), T::CUDA_NAME, true, true);
    }
}

impl<T: Element> Argument for Option<&mut Buffer<T>> {
    fn add(&self, to: &mut Arguments<'_>) {
        to.push(&self.as_ref().map_or(0, |buffer| buffer.address()), T::CUDA_NAME, true, false);
    }
}

/// Bytes and number of arguments that a launch can have; CUDA's own limit on bytes is 4096.
const MAX_WORDS: usize = 256;
const MAX_ARGUMENTS: usize = 48;

/// The values of a launch, one after the other, compared with the kernel's signature while they are added.
#[doc(hidden)]
pub struct Arguments<'a> {
    signature: &'a Signature,
    values: [u64; MAX_WORDS],
    words: usize,
    starts: [usize; MAX_ARGUMENTS],
    count: usize,
    problem: Option<String>,
}

impl<'a> Arguments<'a> {
    fn new(signature: &'a Signature) -> Self {
        Self { signature, values: [0; MAX_WORDS], words: 0, starts: [0; MAX_ARGUMENTS], count: 0, problem: None }
    }

    fn push<T: Pod>(&mut self, value: &T, element: &str, pointer: bool, constant: bool) {
        let bytes = bytemuck::bytes_of(value);
        let words = bytes.len().div_ceil(8);
        let place = self.count;
        self.count += 1;
        if place >= MAX_ARGUMENTS || self.words + words > MAX_WORDS {
            self.problem.get_or_insert_with(|| "it has too many arguments".to_owned());
            return;
        }
        match self.signature.parameters.get(place) {
            Some(parameter) if !fits(parameter, element, pointer, constant) => {
                self.problem.get_or_insert_with(|| {
                    let given = Parameter { element: element.to_owned(), pointer, constant };
                    format!("argument {} is {} and should be {}", place + 1, describe(&given), describe(parameter))
                });
            }
            _ => {}
        }
        let target = bytemuck::cast_slice_mut::<u64, u8>(&mut self.values[self.words..self.words + words]);
        target[..bytes.len()].copy_from_slice(bytes);
        self.starts[place] = self.words;
        self.words += words;
    }

    /// What does not fit the signature, if anything.
    fn problem(&mut self) -> Option<String> {
        let expected = self.signature.parameters.len();
        if self.count != expected {
            return Some(format!("it has {expected} parameters and was given {} arguments", self.count));
        }
        self.problem.take()
    }
}

fn fits(parameter: &Parameter, element: &str, pointer: bool, constant: bool) -> bool {
    // A buffer that is lent for reading cannot be given to a kernel that may write it.
    parameter.element == element && parameter.pointer == pointer && (!pointer || parameter.constant || !constant)
}

fn describe(parameter: &Parameter) -> String {
    let constant = if parameter.constant && parameter.pointer { "const " } else { "" };
    format!("{constant}{}{}", parameter.element, if parameter.pointer { "*" } else { "" })
}

/// A tuple of up to 32 arguments.
pub trait ArgumentList {
    /// Adds them in order.
    #[doc(hidden)]
    fn add_all(&self, to: &mut Arguments<'_>);
}

macro_rules! argument_lists {
    ($($name:ident)*) => {
        impl ArgumentList for () {
            fn add_all(&self, _: &mut Arguments<'_>) {}
        }
        argument_lists!(@ [] $($name)*);
    };
    (@ [$($done:ident)*]) => {};
    (@ [$($done:ident)*] $next:ident $($rest:ident)*) => {
        impl<$($done: Argument,)* $next: Argument> ArgumentList for ($($done,)* $next,) {
            #[allow(non_snake_case, clippy::allow_attributes)]
            fn add_all(&self, to: &mut Arguments<'_>) {
                let ($($done,)* $next,) = self;
                $($done.add(to);)*
                $next.add(to);
            }
        }
        argument_lists!(@ [$($done)* $next] $($rest)*);
    };
}

argument_lists!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Aa Ab Ac Ad Ae Af);

/// Some arguments of a longer list, which several kernels have in common.
pub struct Joined<T>(pub T);

impl<T: ArgumentList> Argument for Joined<T> {
    fn add(&self, to: &mut Arguments<'_>) {
        self.0.add_all(to);
    }
}

/// A kernel that is ready on a device.
#[derive(Clone)]
pub struct Kernel {
    pub(super) device: Device,
    pub(super) handle: Handle,
    pub(super) signature: Arc<Signature>,
}

impl Kernel {
    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.signature.name
    }

    /// Launches it; it runs after what the stream already has to do. Nothing happens if the grid is empty.
    ///
    /// # Errors
    /// If the arguments are not those of the kernel, or the device cannot launch so many threads or so much shared memory.
    /// Faults in the kernel itself are reported here by the emulator, by a GPU when something waits for it.
    pub fn launch(&self, stream: &Stream, launch: Launch, arguments: impl ArgumentList) -> Result<(), DeviceError> {
        let refuse = |reason| DeviceError::Launch { kernel: self.signature.name.clone(), reason };
        let mut values = Arguments::new(&self.signature);
        arguments.add_all(&mut values);
        if let Some(problem) = values.problem() {
            return Err(refuse(problem));
        }
        if launch.is_empty() {
            return Ok(());
        }
        if launch.threads() > 1024 || launch.block[2] > 64 {
            return Err(refuse(format!("a block of {:?} threads is larger than devices allow", launch.block)));
        }
        if launch.grid[1] > 65_535 || launch.grid[2] > 65_535 || launch.grid[0] > i32::MAX as u32 {
            return Err(refuse(format!("a grid of {:?} blocks is larger than devices allow", launch.grid)));
        }
        let most = self.device.properties().shared_memory_per_block;
        if launch.shared_bytes > most {
            let wanted = launch.shared_bytes;
            return Err(refuse(format!("a block needs {wanted} bytes of shared memory and can have {most}")));
        }
        let mut pointers = [std::ptr::null_mut::<c_void>(); MAX_ARGUMENTS];
        let base = values.values.as_mut_ptr();
        for (pointer, &start) in pointers.iter_mut().zip(&values.starts[..values.count]) {
            *pointer = base.wrapping_add(start).cast();
        }
        // SAFETY: the values have the types of the kernel's parameters, and the buffers are borrowed, so allocated; they
        // are freed only when the device is done with them.
        unsafe { self.device.backend().launch(self.handle, &launch, &mut pointers[..values.count], stream.handle()) }
    }
}
