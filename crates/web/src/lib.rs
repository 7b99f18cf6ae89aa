//! wgrad in a browser tab. The page calls [`run`], which runs every check of `checks` on the tab's WebGPU
//! device and returns the outcome as JSON. It builds for wasm32 only and must hold nothing but the page's own
//! glue: what is checked here lives in the crates below it.

mod checks;

use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;
use wgrad_device::{Gpu, OpenOptions};

/// Shows panics on the console; a trap alone names neither message nor place.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

/// Opens the tab's device twice, with all it offers and with WebGPU's minimum limits, and runs every check
/// on both.
///
/// Returns the JSON text `{"device": string, "checks": [{"name", "passed", "detail"}]}`, or
/// `{"error": string}` where the tab has no usable device.
#[wasm_bindgen]
pub async fn run() -> String {
    match run_all().await {
        Ok(report) => report.to_string(),
        Err(error) => json!({ "error": error.to_string() }).to_string(),
    }
}

async fn run_all() -> wgrad_device::Result<Value> {
    // A page does not choose: a tab on a machine without a GPU has a software adapter only.
    let full = OpenOptions {
        allow_software: true,
        ..OpenOptions::default()
    };
    let minimum = OpenOptions {
        minimum_limits: true,
        ..full.clone()
    };
    let mut outcomes = Vec::new();
    let gpu = Gpu::open(full).await?;
    outcomes.extend(checks_on(&gpu, "").await);
    outcomes.extend(checks_on(&Gpu::open(minimum).await?, ", minimum limits").await);
    let info = gpu.info();
    let device = format!("{} ({}) {:?}", info.name, info.backend, gpu.limits());
    Ok(json!({ "device": device, "checks": outcomes }))
}

async fn checks_on(gpu: &Gpu, suffix: &str) -> Vec<Value> {
    vec![
        entry("kernel", suffix, checks::kernel(gpu).await),
        entry("refused kernel", suffix, checks::refused_kernel(gpu).await),
    ]
}

fn entry(name: &str, suffix: &str, outcome: checks::Outcome) -> Value {
    let passed = outcome.is_ok();
    let (Ok(detail) | Err(detail)) = outcome;
    json!({ "name": format!("{name}{suffix}"), "passed": passed, "detail": detail })
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn error(message: &str);
}
