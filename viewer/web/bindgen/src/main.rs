//! `tessera-web-bindgen IN.wasm FOLDER`: what `wasm-bindgen --target no-modules` does, without the many dependencies of its
//! command line. Plain scripts, and not modules, because browsers load no modules from files that were opened by a double click.

use std::env::args_os;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<_> = args_os().skip(1).collect();
    let [input, folder] = arguments.as_slice() else {
        eprintln!("usage: tessera-web-bindgen IN.wasm FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).out_name("tessera-viewer").typescript(false).omit_default_module_path(true);
    bindgen.remove_name_section(true).remove_producers_section(true);
    let made = bindgen.no_modules(true).and_then(|bindgen| bindgen.generate(folder));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
