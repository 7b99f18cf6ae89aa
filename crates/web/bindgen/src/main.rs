//! Turns the compiled `wgrad-web` module into the pair that a page can import: `wgrad_web.js` and
//! `wgrad_web_bg.wasm`. It is the `wasm-bindgen` command with the one mode that the page needs, pinned by the
//! lock file, so that nothing has to be installed. It must know nothing of wgrad.
//!
//! ```text
//! wgrad-web-bindgen <module.wasm> <output folder>
//! ```

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        eprintln!("usage: wgrad-web-bindgen <module.wasm> <output folder>");
        return ExitCode::FAILURE;
    };
    match bind(module, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wgrad-web-bindgen: {module}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bind(module: &str, folder: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .generate(folder)?;
    Ok(())
}
