//! Layers against PyTorch's numbers, forward and gradient, with the same weights, inputs and cotangents: an integer formula
//! makes them here and in `tests/pytorch/layers.py`, which made the expected values.

use super::{devices, pytorch_cases};
use serde_json::Value;
use std::collections::BTreeMap;
use wgrad_graph::{DType, Device, Generator, Tensor, eval, grad};
use wgrad_nn::{Context, Layer, Module};

/// What a case runs: a module, and a function of its inputs.
pub trait Subject {
    /// The module, to be given weights and asked for its parameters.
    fn module(&mut self) -> &mut dyn Module;

    /// The output.
    fn run(&mut self, x: &[Tensor], cx: &mut Context) -> Tensor;
}

/// A layer, which takes one input.
pub struct One(pub Box<dyn Layer>);

impl Subject for One {
    fn module(&mut self) -> &mut dyn Module {
        &mut self.0
    }

    fn run(&mut self, x: &[Tensor], cx: &mut Context) -> Tensor {
        self.0.forward(&x[0], cx)
    }
}

/// A module with a function of its own.
pub struct With<M>(pub M, pub fn(&mut M, &[Tensor]) -> Tensor);

impl<M: Module> Subject for With<M> {
    fn module(&mut self) -> &mut dyn Module {
        &mut self.0
    }

    fn run(&mut self, x: &[Tensor], _: &mut Context) -> Tensor {
        (self.1)(&mut self.0, x)
    }
}

/// Makes a subject, of weights that do not matter.
pub type Build = fn(&mut Generator, &Device) -> Box<dyn Subject>;

/// The formula that both languages compute.
pub fn fill(name: &str, count: usize) -> Vec<f64> {
    let seed: u64 = name.bytes().map(u64::from).sum();
    (0..count as u64)
        .map(|i| ((i * 3571 + seed * 131 + 17) % 8191) as f64 / 8191.0 * 2.0 - 1.0)
        .collect()
}

fn initial(name: &str, shape: &[usize]) -> Vec<f32> {
    let rest: usize = shape.iter().skip(1).product();
    let positive = name.ends_with("running_var") || (shape.len() == 1 && name.ends_with("weight"));
    let value = |v: f64| match shape.len() {
        _ if positive => 1.0 + 0.5 * v,
        0 | 1 => v * 0.2,
        _ => v * (3.0 / rest as f64).sqrt(),
    };
    let values = fill(name, shape.iter().product());
    values.into_iter().map(|v| value(v) as f32).collect()
}

fn sizes(v: &Value) -> Vec<usize> {
    let list = v.as_array().expect("a list");
    list.iter()
        .map(|n| n.as_u64().expect("a size") as usize)
        .collect()
}

pub fn numbers(v: &Value) -> Vec<f64> {
    let list = v.as_array().expect("a list");
    list.iter().map(|n| n.as_f64().expect("a number")).collect()
}

fn input(k: usize, spec: &Value, device: &Device) -> Tensor {
    let shape = sizes(&spec["shape"]);
    let count = shape.iter().product();
    if let Some(range) = spec["index"].as_u64() {
        let index: Vec<i32> = (0..count as u64)
            .map(|i| ((i * 7 + 3) % range) as i32)
            .collect();
        return Tensor::from_slice(&index, &shape, device);
    }
    if spec["list"].is_array() {
        let list: Vec<i32> = numbers(&spec["list"])
            .into_iter()
            .map(|n| n as i32)
            .collect();
        return Tensor::from_slice(&list, &shape, device);
    }
    let values = fill(&format!("input{k}"), count);
    let values: Vec<f32> = values.into_iter().map(|v| (2.0 * v) as f32).collect();
    Tensor::from_slice(&values, &shape, device)
}

/// A tensor's norm, and its product with a cotangent of its own.
fn measures(name: &str, t: &Tensor) -> [f64; 2] {
    let values: Vec<f32> = t.to_vec().expect("values");
    let cotangent = fill(name, values.len());
    let squares = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let product = values
        .iter()
        .zip(&cotangent)
        .map(|(&v, c)| f64::from(v) * c)
        .sum();
    [squares.sqrt(), product]
}

/// The state of a module, by the formula.
pub fn weights(module: &dyn Module, device: &Device) -> Vec<(String, Tensor)> {
    module
        .state()
        .into_iter()
        .map(|(name, t)| match t.dtype() {
            DType::F32 => {
                let values = initial(&name, t.shape());
                let t = Tensor::from_slice(&values, t.shape(), device);
                (name, t)
            }
            _ => (name, t),
        })
        .collect()
}

/// Complaints about what differs from PyTorch by more than `tolerance`, of the greatest value where there are several.
pub fn differences(case: &Value, build: Build, device: &Device, tolerance: f64) -> Vec<String> {
    let mut subject = build(&mut Generator::new(1), device);
    let mut out = Vec::new();
    let state = weights(subject.module(), device);
    if let Err(e) = subject.module().load_state(&state) {
        return vec![e.to_string()];
    }
    let count = subject.module().num_parameters() as u64;
    if Some(count) != case["parameters"].as_u64() {
        out.push(format!("{count} parameters, not {}", case["parameters"]));
    }
    let training = case["training"].as_bool().expect("a flag");
    let mut cx = if training {
        Context::train(1)
    } else {
        Context::eval()
    };
    let specs = case["inputs"].as_array().expect("inputs");
    let x: Vec<Tensor> = (0..specs.len())
        .map(|k| input(k, &specs[k], device))
        .collect();
    let mut named: Vec<(String, Tensor)> = Vec::new();
    for (k, x) in x
        .iter()
        .enumerate()
        .filter(|(_, x)| x.dtype() == DType::F32)
    {
        named.push((format!("input{k}"), x.clone()));
    }
    named.extend(subject.module().named_parameters());
    let y = subject.run(&x, &mut cx);
    if let Err(e) = y.check() {
        return vec![e.to_string()];
    }
    if y.shape() != sizes(&case["shape"]) {
        return vec![format!("shape {:?}, not {}", y.shape(), case["shape"])];
    }
    let cotangent: Vec<f32> = fill("cotangent", y.numel())
        .iter()
        .map(|&v| v as f32)
        .collect();
    let loss = (&y * Tensor::from_slice(&cotangent, y.shape(), device)).sum();
    let of: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let gradients = grad(&loss, &of).expect("gradients");
    let buffers = subject.module().buffers();
    let all = gradients
        .iter()
        .chain(buffers.iter().map(|(_, t)| t))
        .chain([&y, &loss]);
    eval(&all.collect::<Vec<_>>()).expect("a run");
    compare_samples(case, &y, tolerance, &mut out);
    let loss = f64::from(loss.item::<f32>().expect("a loss"));
    let want = case["loss"].as_f64().expect("a loss");
    let scale = y.numel() as f64 * f64::EPSILON.sqrt() + want.abs().max(1.0);
    if (loss - want).abs() > 4.0 * tolerance * scale {
        out.push(format!("loss {loss}, not {want}"));
    }
    let found: Vec<(String, Tensor)> = named
        .iter()
        .map(|(n, _)| n.clone())
        .zip(gradients)
        .collect();
    compare_measures(&case["gradients"], &found, tolerance, &mut out);
    let floats: Vec<(String, Tensor)> = buffers
        .into_iter()
        .filter(|(_, t)| t.dtype() == DType::F32)
        .collect();
    compare_measures(&case["buffers"], &floats, tolerance, &mut out);
    out
}

fn compare_samples(case: &Value, y: &Tensor, tolerance: f64, out: &mut Vec<String>) {
    let values: Vec<f32> = y.to_vec().expect("values");
    let want = numbers(&case["samples"]);
    let scale = want.iter().fold(0.1f64, |m, v| m.max(v.abs()));
    for (j, want) in want.iter().enumerate() {
        let got =
            f64::from(values[j * values.len() / case["samples"].as_array().map_or(1, Vec::len)]);
        if (got - want).abs() <= tolerance * scale {
            continue;
        }
        out.push(format!("output sample {j} is {got}, not {want}"));
        return;
    }
}

pub fn compare_measures(
    want: &Value,
    found: &[(String, Tensor)],
    tolerance: f64,
    out: &mut Vec<String>,
) {
    let want = want.as_object().expect("names");
    let found: BTreeMap<&str, &Tensor> = found.iter().map(|(n, t)| (n.as_str(), t)).collect();
    for name in want.keys().filter(|n| !found.contains_key(n.as_str())) {
        out.push(format!("{name} is missing"));
    }
    for (name, tensor) in found {
        let Some(pair) = want.get(name).map(numbers) else {
            out.push(format!("{name} is PyTorch's under no such name"));
            continue;
        };
        let got = measures(name, tensor);
        let allowed = 4.0 * tolerance * pair[0].max(1e-2);
        if (got[0] - pair[0]).abs() > allowed || (got[1] - pair[1]).abs() > allowed {
            out.push(format!("{name} has norm and product {got:?}, not {pair:?}"));
        }
    }
}

/// Runs every case of a file on a device; all that differs, with the case's name.
pub fn check(cases: &str, builds: &[(&str, Build)], device: &Device, tolerance: f64) {
    let cases: Value = serde_json::from_str(cases).expect("the cases are JSON");
    let cases = cases.as_array().expect("a list of cases");
    let names: Vec<&str> = cases
        .iter()
        .map(|c| c["name"].as_str().expect("a name"))
        .collect();
    for (name, _) in builds {
        assert!(names.contains(name), "PyTorch has no case {name:?}");
    }
    let mut wrong = Vec::new();
    for (case, name) in cases.iter().zip(&names) {
        match builds.iter().find(|(n, _)| n == name) {
            Some((_, build)) => {
                let found = differences(case, *build, device, tolerance);
                wrong.extend(found.into_iter().map(|d| format!("{name}: {d}")));
            }
            None => wrong.push(format!("{name}: nothing is built for it")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{device}, {} cases:\n{}",
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn layers_agree_with_pytorch() {
    for device in devices() {
        check(
            include_str!("../pytorch/layers.json"),
            &pytorch_cases::all(),
            &device,
            2e-5,
        );
    }
}
