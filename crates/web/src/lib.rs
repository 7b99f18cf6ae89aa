//! wgrad in a browser tab. The page calls [`run`], which runs every check of `checks` and every training run on the
//! tab's WebGPU device and returns the outcome as JSON. It builds for wasm32 only and must hold nothing but the
//! page's own glue: what is checked here lives in the crates below it.

mod checks;
mod page;
mod runs;

use checks::Outcome;
use runs::Runs;
use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;
use wgrad::{Device, Settings};
use wgrad_web_training::{CNN, MLP};

/// Shows panics on the console; a trap alone names neither message nor place.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| page::error(&panic.to_string())));
}

/// Opens the tab's device with all it offers and with WebGPU's minimum limits, and runs every check on both.
/// `expected` is the JSON text that `wgrad-web-expected` wrote.
///
/// Returns the JSON text `{"device": string, "checks": [{"name", "passed", "detail", "seconds"}],
/// "tables": [{"name", "columns": [{"place", "losses"}]}]}`, or `{"error": string}` where the tab has no usable
/// device.
#[wasm_bindgen]
pub async fn run(expected: String) -> String {
    match run_all(&expected).await {
        Ok(report) => report.to_string(),
        Err(error) => json!({ "error": error }).to_string(),
    }
}

async fn run_all(expected: &str) -> Result<Value, String> {
    let full = Settings::default();
    let minimum = Settings {
        minimum_limits: true,
        ..Settings::default()
    };
    let mut runs = Runs::new(expected)?;
    let mut report = Report::default();
    report.check("digits", async { runs.same_digits() }).await;
    report.check("operations, cpu", checks::operations()).await;
    let cpu = Device::cpu();
    let on_cpu = runs.check(&MLP, &cpu, "cpu, wasm");
    report.check("MLP, cpu", on_cpu).await;
    let device = checks_on(&full, "", &mut runs, &mut report).await?;
    checks_on(&minimum, ", minimum limits", &mut runs, &mut report).await?;
    let Report { checks } = report;
    Ok(json!({ "device": device, "checks": checks, "tables": runs.tables() }))
}

/// Runs every check on a device with these settings and describes the device.
async fn checks_on(
    settings: &Settings,
    suffix: &str,
    runs: &mut Runs,
    report: &mut Report,
) -> Result<String, String> {
    let device = Device::gpu_with(None, settings)
        .await
        .map_err(|error| error.to_string())?;
    let gpu = checks::gpu(&device)?.clone();
    let named = |name: &str| format!("{name}{suffix}");
    let place = named("WebGPU");
    let limits = async { checks::limits(&gpu, settings) };
    report.check(&named("limits"), limits).await;
    report.check(&named("kernel"), checks::kernel(&gpu)).await;
    let refused = checks::refused_kernel(&gpu);
    report.check(&named("refused kernel"), refused).await;
    for run in [MLP, CNN] {
        let training = runs.check(&run, &device, &place);
        report.check(&named(run.name), training).await;
    }
    let bad_index = checks::bad_index(&device);
    report.check(&named("bad index"), bad_index).await;
    // Browsers may keep the adapter's name to themselves.
    let described = format!("{} {}", gpu.info().backend, gpu.info().name);
    drop(gpu);
    let dropped = checks::dropped(device, settings);
    report.check(&named("dropped"), dropped).await;
    Ok(described.trim_end().to_owned())
}

/// The outcomes so far.
#[derive(Default)]
struct Report {
    checks: Vec<Value>,
}

impl Report {
    async fn check(&mut self, name: &str, check: impl Future<Output = Outcome>) {
        let begin = page::now();
        let outcome = check.await;
        let seconds = (page::now() - begin) / 1000.0;
        let passed = outcome.is_ok();
        let (Ok(detail) | Err(detail)) = outcome;
        self.checks
            .push(json!({ "name": name, "passed": passed, "detail": detail, "seconds": seconds }));
    }
}
