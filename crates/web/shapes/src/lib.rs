//! Times of single operations on a tab's processor: the lines that `wgrad bench --shapes` times, by the same code. It is a module
//! beside the page's, so that a build for each set of vector instructions is soon made. It must hold no operation.

use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;
use wgrad_graph::{DType, Device};
use wgrad_shapes::{Shape, Timer};

/// Seconds of a sample: a tab's clock may only move in tenths of a millisecond.
const SAMPLE: f64 = 5e-3;

#[wasm_bindgen]
extern "C" {
    /// Shows a message on the console as an error.
    #[wasm_bindgen(js_namespace = console)]
    fn error(message: &str);

    /// Milliseconds since some moment.
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}

/// Shows panics on the console; a trap alone names neither message nor place.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

/// Times one line of a file of shapes, for about `seconds` forward and as long with gradients. A run that takes more than `most`
/// seconds ends it.
///
/// Returns the JSON text `{"shape", "forward", "both", "line"}` with milliseconds and the line that holds them too, or
/// `{"shape", "skipped"}` with the reason.
#[wasm_bindgen]
pub fn time_shape(line: &str, seconds: f64, most: f64) -> String {
    time(line, seconds, most).to_string()
}

fn time(line: &str, seconds: f64, most: f64) -> Value {
    let shape = match Shape::parse(line) {
        Ok(shape) => shape,
        Err(error) => return json!({ "shape": line, "skipped": error.to_string() }),
    };
    let name = shape.short();
    let timer = Timer {
        now: &|| now() / 1000.0,
        wait: &|| Ok(()),
        seconds,
        sample: SAMPLE,
        most,
    };
    match timer.measure(shape, &Device::cpu(), DType::F32) {
        Ok(timed) => json!({
            "shape": name,
            "forward": timed.forward,
            "both": timed.both,
            "line": timed.shape.with_times(timed.forward, timed.both),
        }),
        Err(error) => json!({ "shape": name, "skipped": error.to_string() }),
    }
}
