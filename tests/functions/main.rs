//! Every function of tensors against PyTorch's numbers, forward and gradient, on every executor; and two tables in the
//! docs that are renewed by `WGRAD_BLESS=1`: what there is, and what PyTorch has. `expected.py` writes the numbers and
//! PyTorch's names with PyTorch.

mod cases;
mod names;
mod table;

use cases::{Case, cases};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wgrad::{DType, Device, GradOptions, Settings, Tensor, grad_with};

const SPECIAL: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.5,
    -2.5,
    3e38,
    -1e-38,
    88.5,
];

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("functions")
}

fn json(name: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(here().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The devices that are at hand, by the names of their executors.
fn devices() -> Vec<(&'static str, Device)> {
    let mut list = vec![("reference", Device::reference()), ("cpu", Device::cpu())];
    match Device::gpu_blocking(None, &Settings::default()) {
        Ok(gpu) => list.push(("gpu", gpu)),
        Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("no GPU: {e}")
        }
        Err(e) => println!("skipped: no adapter ({e})"),
    }
    list
}

/// Kind, divisor of indices and shape of an operand.
fn spec(text: &str) -> (char, i64, Vec<usize>) {
    let (kind, sizes) = text.split_once('[').unwrap();
    let sizes = sizes.trim_end_matches(']').split(',');
    let shape = sizes.filter(|s| !s.is_empty()).map(|s| s.parse().unwrap());
    let below = kind[1..].parse().unwrap_or(0);
    (kind.chars().next().unwrap(), below, shape.collect())
}

fn operand(text: &str, k: usize, device: &Device) -> Tensor {
    let (kind, below, shape) = spec(text);
    let n: usize = shape.iter().product();
    let index = (0..n).map(|i| (i + 3 * k) as i64);
    let whole = |f: fn(i64) -> i64| -> Vec<i32> { index.clone().map(|i| f(i) as i32).collect() };
    let over = |f: fn(i64) -> i64, by: f64| -> Vec<f32> {
        let values = whole(f);
        values
            .iter()
            .map(|&v| (f64::from(v) as f32) / by as f32)
            .collect()
    };
    let float = match kind {
        'f' => over(|i| (i * 7 + 3) % 23 - 11, 8.0),
        'p' => over(|i| (i * 7 + 3) % 23 + 1, 8.0),
        'q' => over(|i| (i * 7 + 3) % 23 - 11, 12.0),
        'd' => over(|i| (i * 37 + 5) % 211 - 105, 32.0),
        's' => index.map(|i| SPECIAL[(i * 5 % 12) as usize]).collect(),
        'i' => return Tensor::from_slice(&whole(|i| (i * 7 + 3) % 23 - 11), &shape, device),
        'n' => return Tensor::from_slice(&whole(|i| (i * 7 + 3) % 23), &shape, device),
        'b' => {
            let flags: Vec<bool> = index.map(|i| (i * 5) % 7 < 3).collect();
            return Tensor::from_slice(&flags, &shape, device);
        }
        _ => {
            let list: Vec<i32> = index.map(|i| ((i * 5 + 1) % below) as i32).collect();
            return Tensor::from_slice(&list, &shape, device);
        }
    };
    Tensor::from_slice(&float, &shape, device)
}

fn operands(case: &Case, device: &Device) -> Vec<Tensor> {
    let list = case.inputs.split_whitespace().enumerate();
    list.map(|(k, text)| operand(text, k, device)).collect()
}

/// The sum of the results, each element times a number of its own.
fn contracted(outputs: &[Tensor], device: &Device) -> Option<Tensor> {
    let mut total: Option<Tensor> = None;
    for y in outputs.iter().filter(|y| y.dtype().is_float()) {
        let factors = (0..y.numel() as i64).map(|i| (i * 5 % 7 - 3) as f32 / 2.0);
        let factors = Tensor::from_slice(&factors.collect::<Vec<_>>(), y.shape(), device);
        let part = (y * factors).sum();
        total = Some(match total {
            Some(t) => t + part,
            None => part,
        });
    }
    total
}

fn numbers(t: &Tensor) -> Result<Vec<f64>, String> {
    let values = match t.dtype() {
        DType::F32 => t
            .to_vec::<f32>()
            .map(|v| v.into_iter().map(f64::from).collect()),
        _ => t
            .cast(DType::I32)
            .to_vec::<i32>()
            .map(|v| v.into_iter().map(f64::from).collect()),
    };
    values.map_err(|e| e.to_string())
}

fn stored(list: &Value) -> Vec<f64> {
    let number = |v: &Value| match v.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(other) => panic!("{other}"),
        None => v.as_f64().unwrap(),
    };
    list.as_array().unwrap().iter().map(number).collect()
}

/// What differs, if anything does by more than rounding.
fn compared(got: &[f64], want: &[f64], whole: bool) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements for {}", got.len(), want.len()));
    }
    // Sums of large terms are judged by the largest.
    let size = want.iter().filter(|v| v.is_finite());
    let size = size.fold(0.0, |a: f64, b| a.max(b.abs())).min(1e3);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let near = (g - w).abs() <= 2e-6 * size + 3e-5 * w.abs();
        let same = g == w || (g.is_nan() && w.is_nan());
        // An f32 that was too great in between may be either.
        let edge = w.abs() > 3.4e38 && g.abs() > 3.3e38 && g.signum() == w.signum();
        // A GPU may flush what is below the least normal number.
        let tiny = w.abs() < 1.2e-38 && g.abs() < 1.2e-38;
        if !(same || (!whole && (near || edge || tiny))) {
            return Err(format!("element {i} is {g}, not {w}"));
        }
    }
    Ok(())
}

/// One case on one device: what is wrong with it.
fn check(case: &Case, want: &Value, device: &Device) -> Result<(), String> {
    let inputs = operands(case, device);
    let outputs = (case.run)(&inputs);
    let expected = want["out"].as_array().unwrap();
    if outputs.len() != expected.len() {
        return Err(format!("{} results for {}", outputs.len(), expected.len()));
    }
    for (k, (y, e)) in outputs.iter().zip(expected).enumerate() {
        y.check().map_err(|e| e.to_string())?;
        let shape: Vec<usize> = stored(&e[0]).into_iter().map(|n| n as usize).collect();
        if y.shape() != shape {
            return Err(format!(
                "result {k} has shape {:?}, not {shape:?}",
                y.shape()
            ));
        }
        compared(&numbers(y)?, &stored(&e[1]), !y.dtype().is_float())
            .map_err(|m| format!("result {k}: {m}"))?;
    }
    let Some(grads) = want.get("grad").and_then(Value::as_array) else {
        return Ok(());
    };
    let texts = case.inputs.split_whitespace();
    let smooth: Vec<&Tensor> = texts
        .zip(&inputs)
        .filter(|(text, x)| !text.starts_with('s') && x.dtype().is_float())
        .map(|(_, x)| x)
        .collect();
    let total = contracted(&outputs, device).ok_or("no float comes out")?;
    let options = GradOptions {
        allow_unused: true,
        ..Default::default()
    };
    let got = grad_with(&total, &smooth, &options).map_err(|e| e.to_string())?;
    for (k, (g, w)) in got.iter().zip(grads).enumerate() {
        let zeros = vec![0.0; g.numel()];
        let want = if w.is_null() { zeros } else { stored(w) };
        compared(&numbers(g)?, &want, false).map_err(|m| format!("gradient {k}: {m}"))?;
    }
    Ok(())
}

#[test]
fn functions_are_pytorchs() {
    let expected = json("expected.json");
    let mut wrong = Vec::new();
    let all = cases();
    for (name, device) in devices() {
        for case in &all {
            let key = format!("{}|{}|{}", case.name, case.torch, case.inputs);
            let Some(want) = expected.get(&key) else {
                wrong.push(format!("{key}: expected.json lacks it; run expected.py"));
                continue;
            };
            if let Err(m) = check(case, want, &device) {
                wrong.push(format!("{name}, {} of {}: {m}", case.torch, case.inputs));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{} cases", all.len());
}
