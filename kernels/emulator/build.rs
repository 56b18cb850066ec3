//! Compiles every `.cu` file of `tessera-kernels` as C++: one shared library each, so that its `__shared__` variables are
//! the only thread-local storage in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What every library contains.
const RUNTIME: [&str; 3] = ["fiber.cpp", "memory.cpp", "runtime.cpp"];

/// Two builds of each file: plain, and with an account of every access to memory (`cpp/checks.cpp`).
const BUILDS: [(&str, &str, &[&str]); 2] =
    [("plain", "unchecked.cpp", &[]), ("checked", "checks.cpp", &["-fsanitize=thread", "-g1", "-gdwarf-4"])];

/// Headers that only kernels include, and helpers that a kernel need not use, are no reason for warnings.
const KERNEL_FLAGS: [&str; 4] =
    ["-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-parameter", "-Wno-unused-variable"];

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where output goes"));
    let crate_of_kernels = here.parent().expect("the crate of kernels").to_owned();
    let sources = crate_of_kernels.join("src");
    // Not all of `src`: a change of Rust code is no reason to compile kernels anew. Whoever adds a kernel changes the list.
    let watched = [here.join("cpp"), here.join("stand_in"), sources.join("device/source.rs")];
    let kernels_and_headers = [&sources, &here.join("tests")].map(|folder| files_below(folder, &["cu", "cuh"]));
    for path in watched.into_iter().chain(kernels_and_headers.concat()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }

    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).pic(true).debug(false).warnings(true).extra_warnings(true);
    let compiler = build.flag("-fno-exceptions").flag("-fno-strict-aliasing").flag("-ffp-contract=off").get_compiler();
    let tools = Tools { compiler, includes: [here.join("cpp"), sources.clone()], out: out.clone() };
    let object_of = |name: &str| tools.compile(&here.join("cpp").join(name), name, &[]);
    let runtime = RUNTIME.map(object_of);
    let accounts = BUILDS.map(|(_, account, _)| object_of(account));
    let stand_ins =
        [("driver.cpp", "libcuda.so.1"), ("compiler.cpp", "libnvrtc.so.12"), ("gathering.cpp", "libnccl.so.2")];
    for (source, library) in stand_ins {
        let object = tools.compile(&here.join("stand_in").join(source), source, &[]);
        tools.link(&[object], library);
    }

    let mut kernels = files_below(&sources, &["cu"]);
    kernels.extend(files_below(&here.join("tests"), &["cu"]));
    let rows = in_parallel(&kernels, |path| {
        // As `Source::name`: below `kernels/src`, or for tests of the emulator below `kernels`.
        let below = path.strip_prefix(&sources).or_else(|_| path.strip_prefix(&crate_of_kernels));
        let name = below.expect("a file of ours").to_string_lossy().replace('\\', "/");
        let stem = name.replace(['/', '.'], "_");
        let wrapper = out.join(format!("{stem}.cpp"));
        let text = std::fs::read_to_string(path).expect("a readable kernel source");
        std::fs::write(&wrapper, wrap(path, &text)).expect("a writable output folder");
        let libraries = BUILDS.iter().zip(&accounts).map(|((build, _, flags), account)| {
            let flags = [KERNEL_FLAGS.as_slice(), flags].concat();
            let object = tools.compile(&wrapper, &format!("{stem}.{build}.cpp"), &flags);
            let objects = [std::slice::from_ref(&object), &runtime, std::slice::from_ref(account)].concat();
            format!("{:?}", tools.link(&objects, &format!("{stem}.{build}.so")).to_string_lossy())
        });
        format!("    ({name:?}, [{}]),\n", libraries.collect::<Vec<_>>().join(", "))
    });
    std::fs::write(out.join("libraries.rs"), format!("[\n{}]\n", rows.concat())).expect("a writable output folder");
}

/// The C++ compiler, where it finds headers, and where results go.
struct Tools {
    compiler: cc::Tool,
    includes: [PathBuf; 2],
    out: PathBuf,
}

impl Tools {
    /// Compiles a file to an object named after `name`.
    fn compile(&self, input: &Path, name: &str, flags: &[&str]) -> PathBuf {
        let object = self.out.join(name).with_extension("o");
        let mut command = self.compiler.to_command();
        command.args(self.includes.iter().flat_map(|folder| ["-I".as_ref(), folder.as_os_str()]));
        run(command.args(flags).arg("-c").arg(input).arg("-o").arg(&object));
        object
    }

    /// Links objects to a shared library.
    fn link(&self, objects: &[PathBuf], name: &str) -> PathBuf {
        let library = self.out.join(name);
        run(self.compiler.to_command().arg("-shared").args(objects).arg("-ldl").arg("-o").arg(&library));
        library
    }
}

/// What `work` makes of each path, in their order, by as many threads as cargo allows.
fn in_parallel(paths: &[PathBuf], work: impl Fn(&Path) -> String + Sync) -> Vec<String> {
    let jobs = std::env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1usize).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let worker = |first: usize| {
            scope.spawn(move || {
                let own = paths.iter().enumerate().skip(first).step_by(jobs);
                own.map(|(at, path)| (at, work(path))).collect::<Vec<_>>()
            })
        };
        let workers: Vec<_> = (0..jobs).map(worker).collect();
        let mut results: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().expect("its message")).collect();
        results.sort();
        results.into_iter().map(|(_, result)| result).collect()
    })
}

/// A C++ file that contains the kernels and the table of them.
fn wrap(path: &Path, text: &str) -> String {
    let kernels: Vec<String> = kernel_names(text).iter().map(|kernel| format!("EMULATOR_ENTRY({kernel})")).collect();
    format!(
        "#include \"cuda.h\"\nnamespace {{\n#include \"{}\"\n}}\n\
         const emulator::Entry emulator_entries[] = {{{}, {{nullptr, nullptr, nullptr}}}};\n",
        path.display(),
        kernels.join(", ")
    )
}

/// The names that follow `__global__ void` and perhaps `__launch_bounds__(...)`.
fn kernel_names(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("").to_owned() + "\n").collect();
    code.split("__global__")
        .skip(1)
        .filter_map(|rest| {
            let mut rest = rest.trim_start().strip_prefix("void")?.trim_start();
            if let Some(bounds) = rest.strip_prefix("__launch_bounds__") {
                let mut depth = 0;
                let end = bounds.find(|letter| {
                    depth += i32::from(letter == '(') - i32::from(letter == ')');
                    letter == ')' && depth == 0
                })?;
                rest = bounds[end + 1..].trim_start();
            }
            Some(rest.split('(').next()?.trim().to_owned())
        })
        .collect()
}

/// Files with one of these extensions, sorted.
fn files_below(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            found.extend(files_below(&path, extensions));
        } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("tests of the CUDA kernels need a C++ compiler (apt install g++): {command:?} cannot be run: {error}")
    });
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the C++ compiler refuses:\n{messages}");
    for line in messages.lines().filter(|line| line.contains("warning:")) {
        println!("cargo::warning={line}");
    }
}
