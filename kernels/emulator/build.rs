//! Compiles every `.cu` file of `tessera-kernels` as C++: one shared library each, so that its `__shared__` variables are
//! the only thread-local storage in it.

use std::path::{Path, PathBuf};
use std::process::Command;

const RUNTIME: [&str; 4] = ["fiber.cpp", "memory.cpp", "runtime.cpp", "unchecked.cpp"];

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where output goes"));
    let cpp = here.join("cpp");
    let sources = here.parent().expect("the crate of kernels").join("src");
    println!("cargo::rerun-if-changed={}", cpp.display());
    println!("cargo::rerun-if-changed={}", sources.display());

    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).pic(true).debug(false).warnings(true).extra_warnings(true);
    let compiler = build.flag("-fno-exceptions").flag("-fno-strict-aliasing").flag("-ffp-contract=off").get_compiler();
    let compile = |input: &Path, output: &Path, more: &[&str]| {
        let mut command = compiler.to_command();
        command.arg("-I").arg(&cpp).arg("-I").arg(&sources).args(more).arg("-c").arg(input).arg("-o").arg(output);
        run(&mut command);
    };
    let runtime: Vec<PathBuf> = RUNTIME
        .iter()
        .map(|name| {
            let object = out.join(name).with_extension("o");
            compile(&cpp.join(name), &object, &[]);
            object
        })
        .collect();
    let mut table = String::from("[\n");
    for path in cuda_files(&sources) {
        let name = path.strip_prefix(&sources).expect("a file below src").to_string_lossy().replace('\\', "/");
        let stem = name.replace(['/', '.'], "_");
        let wrapper = out.join(format!("{stem}.cpp"));
        let text = std::fs::read_to_string(&path).expect("a readable kernel source");
        std::fs::write(&wrapper, wrap(&name, &text)).expect("a writable output folder");
        let object = out.join(format!("{stem}.o"));
        compile(&wrapper, &object, &["-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-parameter"]);
        let library = out.join(format!("{stem}.so"));
        run(compiler.to_command().arg("-shared").arg(&object).args(&runtime).arg("-o").arg(&library));
        table += &format!("    ({name:?}, {:?}),\n", library.to_string_lossy());
    }
    table += "]\n";
    std::fs::write(out.join("libraries.rs"), table).expect("a writable output folder");
}

/// A C++ file that contains the kernels and the table of them.
fn wrap(name: &str, text: &str) -> String {
    let kernels: Vec<String> = kernel_names(text).iter().map(|kernel| format!("EMULATOR_ENTRY({kernel})")).collect();
    format!(
        "#include \"cuda.h\"\nnamespace {{\n#include \"{name}\"\n}}\n\
         const emulator::Entry emulator_entries[] = {{{}, {{nullptr, nullptr, nullptr}}}};\n",
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
