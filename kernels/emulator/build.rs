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
    let cpp = here.join("cpp");
    let sources = here.parent().expect("the crate of kernels").join("src");
    println!("cargo::rerun-if-changed={}", cpp.display());
    println!("cargo::rerun-if-changed={}", sources.display());
    println!("cargo::rerun-if-changed={}", here.join("tests").display());
    println!("cargo::rerun-if-changed={}", here.join("stand_in").display());

    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).pic(true).debug(false).warnings(true).extra_warnings(true);
    let compiler = build.flag("-fno-exceptions").flag("-fno-strict-aliasing").flag("-ffp-contract=off").get_compiler();
    let compile = |input: &Path, output: &Path, more: &[&str]| {
        let mut command = compiler.to_command();
        command.arg("-I").arg(&cpp).arg("-I").arg(&sources).args(more).arg("-c").arg(input).arg("-o").arg(output);
        run(&mut command);
    };
    let object_of = |name: &str| {
        let object = out.join(name).with_extension("o");
        compile(&cpp.join(name), &object, &[]);
        object
    };
    let runtime = RUNTIME.map(object_of);
    let accounts = BUILDS.map(|(_, account, _)| object_of(account));
    for (source, library) in [("driver.cpp", "libcuda.so.1"), ("compiler.cpp", "libnvrtc.so.12")] {
        let object = out.join(source).with_extension("o");
        compile(&here.join("stand_in").join(source), &object, &[]);
        run(compiler.to_command().arg("-shared").arg(&object).arg("-ldl").arg("-o").arg(out.join(library)));
    }
    let mut table = String::from("[\n");
    let own = here.parent().expect("the crate of kernels");
    for path in cuda_files(&sources).into_iter().chain(cuda_files(&here.join("tests"))) {
        // As `Source::name`: below `kernels/src`, or for tests of the emulator below `kernels`.
        let below = path.strip_prefix(&sources).or_else(|_| path.strip_prefix(own)).expect("a file of ours");
        let name = below.to_string_lossy().replace('\\', "/");
        let stem = name.replace(['/', '.'], "_");
        let wrapper = out.join(format!("{stem}.cpp"));
        let text = std::fs::read_to_string(&path).expect("a readable kernel source");
        std::fs::write(&wrapper, wrap(&path, &text)).expect("a writable output folder");
        let libraries: Vec<String> = BUILDS
            .iter()
            .zip(&accounts)
            .map(|((build, _, flags), account)| {
                let object = out.join(format!("{stem}.{build}.o"));
                compile(&wrapper, &object, &[KERNEL_FLAGS.as_slice(), flags].concat());
                let library = out.join(format!("{stem}.{build}.so"));
                let mut link = compiler.to_command();
                run(link.arg("-shared").arg(&object).args(&runtime).arg(account).arg("-ldl").arg("-o").arg(&library));
                format!("{:?}", library.to_string_lossy())
            })
            .collect();
        table += &format!("    ({name:?}, [{}]),\n", libraries.join(", "));
    }
    table += "]\n";
    std::fs::write(out.join("libraries.rs"), table).expect("a writable output folder");
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

fn cuda_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(cuda_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "cu") {
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
