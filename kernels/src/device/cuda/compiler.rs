//! NVRTC: CUDA C++ to machine code, in memory.

use super::Version;
use crate::device::{DeviceError, HEADERS, Source};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::Path;

/// What kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Machine code of one GPU generation, such as 8.9.
    Machine(u32, u32),
    /// Machine code with what only this very generation has, such as 9.0a.
    MachineSpecific(u32, u32),
    /// PTX, which the driver translates for GPUs of this and later generations.
    Ptx(u32, u32),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(major, minor) => write!(f, "sm_{major}{minor}"),
            Self::MachineSpecific(major, minor) => write!(f, "sm_{major}{minor}a"),
            Self::Ptx(major, minor) => write!(f, "compute_{major}{minor}"),
        }
    }
}

/// A program that was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Machine code, or PTX with a zero at its end.
    pub image: Vec<u8>,
    /// What the compiler said: warnings.
    pub log: String,
}

/// Something that compiles: NVRTC, or a stand-in for it in tests.
pub trait Compile: Send + Sync {
    /// Its version.
    fn version(&self) -> Version;
    /// Generations that it knows, as 75 for 7.5, in ascending order.
    fn architectures(&self) -> &[u32];
    /// Compiles `text` with `headers` to include.
    ///
    /// # Errors
    /// The compiler's messages.
    fn compile(&self, source: &Source, headers: &[Source], options: &[String]) -> Result<Compiled, String>;
}

/// The options that all our kernels are compiled with. Denormal numbers are flushed, as on the CPU; division and square
/// root may be wrong by 2 units in the last place; everything else is as exact as the kernels ask for.
pub fn options(architecture: Architecture) -> Vec<String> {
    let common = ["--std=c++17", "--ftz=true", "--prec-div=false", "--prec-sqrt=false", "--generate-line-info"];
    let mut options = vec![format!("--gpu-architecture={architecture}")];
    options.extend(common.map(str::to_owned));
    options
}

/// Compiles one of our sources for an architecture.
///
/// # Errors
/// If the compiler refuses it.
pub fn compile_source(
    compiler: &dyn Compile,
    source: &Source,
    architecture: Architecture,
) -> Result<Compiled, DeviceError> {
    compiler.compile(source, &HEADERS, &options(architecture)).map_err(|log| {
        let first = log.lines().find(|line| line.contains("error")).or_else(|| log.lines().next());
        DeviceError::Compilation {
            source_name: source.name.to_owned(),
            version: compiler.version().to_string(),
            log: first.unwrap_or("it gives no reason").to_owned(),
        }
    })
}

/// The best that this compiler can make for a GPU: machine code if it knows the GPU's generation, else PTX of the newest
/// generation before.
///
/// # Errors
/// If it knows no generation that the GPU could run.
pub fn best_architecture(compiler: &dyn Compile, capability: (u32, u32)) -> Result<Architecture, DeviceError> {
    let (major, minor) = capability;
    let wanted = major * 10 + minor;
    let best = compiler.architectures().iter().copied().filter(|&known| known <= wanted).max();
    match best {
        Some(known) if known == wanted => Ok(Architecture::Machine(major, minor)),
        Some(known) => Ok(Architecture::Ptx(known / 10, known % 10)),
        None => Err(DeviceError::CompilerMismatch {
            version: compiler.version().to_string(),
            reason: format!(
                "it no longer knows GPUs of compute capability {major}.{minor}; \
                 get an older one with `pip install nvidia-cuda-nvrtc-cu12`"
            ),
        }),
    }
}

type Program = *mut c_void;
type Status = c_int;

/// NVRTC's functions, as `nvrtc.h` declares them.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
    architecture_count: unsafe extern "C" fn(*mut c_int) -> Status,
    architectures: unsafe extern "C" fn(*mut c_int) -> Status,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Status,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status,
    log_size: SizeFunction,
    log: TextFunction,
    ptx_size: SizeFunction,
    ptx: TextFunction,
    machine_code_size: SizeFunction,
    machine_code: TextFunction,
    explain: unsafe extern "C" fn(Status) -> *const c_char,
}

type SizeFunction = unsafe extern "C" fn(Program, *mut usize) -> Status;
type TextFunction = unsafe extern "C" fn(Program, *mut c_char) -> Status;

/// NVRTC, loaded.
pub struct Compiler {
    path: String,
    version: Version,
    architectures: Vec<u32>,
    functions: Functions,
    #[allow(dead_code, reason = "keeps the functions loaded")]
    library: Library,
}

impl Compiler {
    /// Loads NVRTC from a file, or by a name that the system's loader finds.
    ///
    /// # Errors
    /// A reason: it is not there, or it is not NVRTC.
    pub fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading NVRTC runs its constructors, which have no demands.
        let library = unsafe { Library::new(path) }.map_err(|error| reason(&error))?;
        // SAFETY: the functions have these types in `nvrtc.h`, unchanged since CUDA 11.2.
        let functions = unsafe {
            Functions {
                version: symbol(&library, "nvrtcVersion")?,
                architecture_count: symbol(&library, "nvrtcGetNumSupportedArchs")?,
                architectures: symbol(&library, "nvrtcGetSupportedArchs")?,
                create: symbol(&library, "nvrtcCreateProgram")?,
                destroy: symbol(&library, "nvrtcDestroyProgram")?,
                compile: symbol(&library, "nvrtcCompileProgram")?,
                log_size: symbol(&library, "nvrtcGetProgramLogSize")?,
                log: symbol(&library, "nvrtcGetProgramLog")?,
                ptx_size: symbol(&library, "nvrtcGetPTXSize")?,
                ptx: symbol(&library, "nvrtcGetPTX")?,
                machine_code_size: symbol(&library, "nvrtcGetCUBINSize")?,
                machine_code: symbol(&library, "nvrtcGetCUBIN")?,
                explain: symbol(&library, "nvrtcGetErrorString")?,
            }
        };
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: the pointers are to integers that live long enough; `list` has the length that NVRTC asked for.
        let architectures = unsafe {
            if (functions.version)(&mut major, &mut minor) != 0 || (functions.architecture_count)(&mut count) != 0 {
                return Err("it does not say its version".to_owned());
            }
            let mut list = vec![0; usize::try_from(count).unwrap_or(0)];
            if list.is_empty() || (functions.architectures)(list.as_mut_ptr()) != 0 {
                return Err("it does not say which GPUs it knows".to_owned());
            }
            list
        };
        let mut architectures: Vec<u32> = architectures.into_iter().filter_map(|known| known.try_into().ok()).collect();
        architectures.sort_unstable();
        let version = Version { major: major.try_into().unwrap_or(0), minor: minor.try_into().unwrap_or(0) };
        Ok(Self { path: path.to_string_lossy().into_owned(), version, architectures, functions, library })
    }

    /// Where it was found.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn explain(&self, status: Status) -> String {
        // SAFETY: NVRTC returns a string constant for any status.
        let text = unsafe { CStr::from_ptr((self.functions.explain)(status)) };
        text.to_string_lossy().into_owned()
    }

    /// What a pair of functions gives of a program: first the size, then the bytes.
    fn bytes(&self, program: Program, size: SizeFunction, get: TextFunction) -> Result<Vec<u8>, String> {
        let mut length = 0;
        // SAFETY: the program is alive, and the buffer has the size that NVRTC asked for.
        unsafe {
            let status = size(program, &mut length);
            if status != 0 {
                return Err(self.explain(status));
            }
            let mut bytes = vec![0u8; length];
            let status = get(program, bytes.as_mut_ptr().cast());
            if status == 0 { Ok(bytes) } else { Err(self.explain(status)) }
        }
    }
}

/// Why a library does not load.
pub(super) fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// A function of the library.
///
/// # Safety
/// It must have the type `F`.
unsafe fn symbol<F: Copy>(library: &Library, name: &str) -> Result<F, String> {
    // SAFETY: the caller says so.
    let found = unsafe { library.get::<F>(name) };
    found.map(|symbol| *symbol).map_err(|_| format!("it has no function {name}; NVRTC 11.2 or newer is needed"))
}

impl Compile for Compiler {
    fn version(&self) -> Version {
        self.version
    }

    fn architectures(&self) -> &[u32] {
        &self.architectures
    }

    fn compile(&self, source: &Source, headers: &[Source], options: &[String]) -> Result<Compiled, String> {
        let c_string = |text: &str| CString::new(text).map_err(|_| "a source contains a zero byte".to_owned());
        let c_strings = |texts: &mut dyn Iterator<Item = &str>| texts.map(c_string).collect::<Result<Vec<_>, _>>();
        let pointers = |strings: &[CString]| strings.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (text, name) = (c_string(source.text)?, c_string(source.name)?);
        let header_texts = c_strings(&mut headers.iter().map(|header| header.text))?;
        let header_names = c_strings(&mut headers.iter().map(|header| header.name))?;
        let options = c_strings(&mut options.iter().map(String::as_str))?;
        let functions = &self.functions;
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: all strings live until the program is destroyed, and the counts are those of the lists.
        let status = unsafe {
            (functions.create)(
                &mut program,
                text.as_ptr(),
                name.as_ptr(),
                headers.len() as c_int,
                pointers(&header_texts).as_ptr(),
                pointers(&header_names).as_ptr(),
            )
        };
        if status != 0 {
            return Err(self.explain(status));
        }
        // SAFETY: as above.
        let status = unsafe { (functions.compile)(program, options.len() as c_int, pointers(&options).as_ptr()) };
        let log = self.bytes(program, functions.log_size, functions.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned();
        let machine = options.iter().any(|option| option.to_bytes().starts_with(b"--gpu-architecture=sm_"));
        let result = match (status, machine) {
            (0, true) => self.bytes(program, functions.machine_code_size, functions.machine_code),
            (0, false) => self.bytes(program, functions.ptx_size, functions.ptx),
            _ if log.is_empty() => Err(self.explain(status)),
            _ => Err(log.clone()),
        };
        // SAFETY: the program was created above and is not used again.
        unsafe { (functions.destroy)(&mut program) };
        Ok(Compiled { image: result?, log })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Knows(Vec<u32>);

    impl Compile for Knows {
        fn version(&self) -> Version {
            Version { major: 13, minor: 0 }
        }

        fn architectures(&self) -> &[u32] {
            &self.0
        }

        fn compile(&self, _: &Source, _: &[Source], _: &[String]) -> Result<Compiled, String> {
            Err("x.cu(3): note\nx.cu(4): error: expected a ;\n1 error detected".to_owned())
        }
    }

    #[test]
    fn a_gpu_gets_its_own_machine_code_or_ptx_of_an_older_one() {
        let compiler = Knows(vec![75, 80, 90, 120]);
        assert_eq!(best_architecture(&compiler, (8, 0)).expect("known"), Architecture::Machine(8, 0));
        assert_eq!(best_architecture(&compiler, (8, 9)).expect("an older one"), Architecture::Ptx(8, 0));
        assert_eq!(best_architecture(&compiler, (13, 1)).expect("an older one").to_string(), "compute_120");
        let error = best_architecture(&compiler, (7, 0)).expect_err("too old");
        assert!(
            error.to_string().contains("NVRTC 13.0 does not fit: it no longer knows GPUs of compute capability 7.0")
        );
    }

    #[test]
    fn a_refused_source_is_reported_with_the_first_error() {
        let source = &crate::device::SELF_TEST;
        let error = compile_source(&Knows(vec![75]), source, Architecture::Machine(7, 5)).expect_err("refused");
        assert!(error.to_string().ends_with("by NVRTC 13.0: x.cu(4): error: expected a ;"), "{error}");
    }

    #[test]
    fn what_is_no_nvrtc_is_refused() {
        let error = Compiler::load(Path::new("/no/such/libnvrtc.so")).err().expect("not there");
        assert!(error.contains("/no/such/libnvrtc.so"), "{error}");
        #[cfg(target_os = "linux")]
        {
            let error = Compiler::load(Path::new("libc.so.6")).err().expect("another library");
            assert!(error.contains("no function nvrtcVersion"), "{error}");
        }
    }
}
