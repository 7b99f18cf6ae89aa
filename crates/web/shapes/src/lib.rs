//! Times of single operations on a tab's processor: the lines that `wgrad bench --shapes` times, by the same code. It is a module
//! beside the page's, so that a build for each set of vector instructions is soon made. It must hold no operation.

use std::cell::RefCell;

use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;
use wgrad_graph::{DType, Device, Tensor};
use wgrad_shapes::{Shape, Timer};

/// Seconds of a sample: a tab's clock may only move in tenths of a millisecond.
const SAMPLE: f64 = 5e-3;

/// Which build this is, as its compiler knows it.
const BUILD: &str = if cfg!(target_feature = "relaxed-simd") {
    "relaxed-simd"
} else if cfg!(target_feature = "simd128") {
    "simd128"
} else {
    "scalar"
};

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

/// What became of a line.
#[wasm_bindgen]
pub struct Outcome {
    report: Value,
    results: Vec<f32>,
}

#[wasm_bindgen]
impl Outcome {
    /// The JSON text `{"shape", "build", "forward", "both", "line", "apart"}` with milliseconds, the line that holds them too,
    /// and how far the results are from those to be like, by the largest value of each tensor (null for not comparable); or
    /// `{"shape", "skipped"}` with the reason.
    #[wasm_bindgen(getter)]
    pub fn report(&self) -> String {
        self.report.to_string()
    }

    /// What was computed: the result, then the gradients and the result again. Can be taken once.
    #[wasm_bindgen(getter)]
    pub fn results(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.results)
    }
}

/// Times one line of a file of shapes, for about `seconds` forward and as long with gradients. A run that takes more than `most`
/// seconds ends it. What was computed is compared with `like`, another build's results, where that is not empty.
#[wasm_bindgen]
pub async fn time_shape(line: String, seconds: f64, most: f64, like: Vec<f32>) -> Outcome {
    let shape = match Shape::parse(&line) {
        Ok(shape) => shape,
        Err(error) => return skipped(&line, &error.to_string()),
    };
    let name = shape.short();
    let seen = RefCell::new(Vec::new());
    let timer = Timer {
        now: &|| now() / 1000.0,
        wait: &|| Ok(()),
        seen: &|results| seen.borrow_mut().extend_from_slice(results),
        seconds,
        sample: SAMPLE,
        most,
    };
    let timed = match timer.measure(shape, &Device::cpu(), DType::F32) {
        Ok(timed) => timed,
        Err(error) => return skipped(&name, &error.to_string()),
    };
    match read(&seen.into_inner()).await {
        Ok(results) => Outcome {
            report: json!({
                "shape": name,
                "build": BUILD,
                "forward": timed.forward,
                "both": timed.both,
                "line": timed.shape.with_times(timed.forward, timed.both),
                "apart": apart(&results, &like),
            }),
            results: results.concat(),
        },
        Err(error) => skipped(&name, &error.to_string()),
    }
}

fn skipped(name: &str, why: &str) -> Outcome {
    Outcome {
        report: json!({ "shape": name, "skipped": why }),
        results: Vec::new(),
    }
}

async fn read(tensors: &[Tensor]) -> wgrad_graph::Result<Vec<Vec<f32>>> {
    let mut all = Vec::new();
    for tensor in tensors {
        all.push(tensor.to_vec_async::<f32>().await?);
    }
    Ok(all)
}

/// The largest distance between two values, by the largest value of its tensor. NaN where one is in the way, or there are not as
/// many.
fn apart(results: &[Vec<f32>], like: &[f32]) -> f64 {
    let count: usize = results.iter().map(Vec::len).sum();
    if count != like.len() {
        return f64::NAN;
    }
    let (mut furthest, mut rest) = (0.0f64, like);
    for tensor in results {
        let (like, others) = rest.split_at(tensor.len());
        rest = others;
        let largest = like.iter().fold(1e-6f32, |most, x| most.max(x.abs()));
        for (&seen, &wanted) in tensor.iter().zip(like) {
            let distance = (f64::from(seen) - f64::from(wanted)).abs() / f64::from(largest);
            // NaN stays.
            if distance.is_nan() || distance > furthest {
                furthest = distance;
            }
        }
    }
    furthest
}
