//! `bindgen FILE.wasm DIR` writes `DIR/lerac.js` and `DIR/lerac_bg.wasm`.

use std::env::args_os;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let [_, input, dir] = &args_os().collect::<Vec<_>>()[..] else {
        eprintln!("bindgen: expected a file of WebAssembly and a directory");
        return ExitCode::FAILURE;
    };
    let mut bindgen = Bindgen::new();
    let written = bindgen.input_path(input).out_name("lerac").web(true).map(|b| b.typescript(false).generate(dir));
    match written {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(fault)) | Err(fault) => {
            eprintln!("bindgen: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
