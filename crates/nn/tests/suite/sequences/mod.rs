//! Layers and losses for sequences and graphs against PyTorch's numbers, which `tests/torch_sequences.py` writes into
//! `tests/sequences.txt`: samples of the outputs, the loss, and the norm of every gradient.

mod attention;
mod graphs;
mod losses;
mod models;
mod recurrent;

use super::values;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use wgrad_graph::{Device, Tensor, eval, grad};
use wgrad_nn::Module;

/// The devices that the numbers are compared on.
fn devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(super::gpu()).collect()
}

/// Numbers n / 32768 without pattern: `lattice` of the script.
fn numbers(seed: usize, count: usize) -> Vec<f32> {
    let number = |i: usize| (i * 7919 + seed * 104_729 + 12_345) % 65_521 * 48_271 % 65_521;
    (0..count)
        .map(|i| (number(i) as f32 - 32_760.0) / 32_768.0)
        .collect()
}

fn lattice(seed: usize, shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_slice(&numbers(seed, shape.iter().product()), shape, device)
}

/// Gives every parameter the numbers of its place in the order of names, halved.
fn fill(model: &mut dyn Module, device: &Device) {
    fill_with(model, 0.5, device);
}

fn fill_with(model: &mut dyn Module, scale: f32, device: &Device) {
    let mut named = model.named_parameters();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    for (k, (_, t)) in named.iter_mut().enumerate() {
        let scaled: Vec<f32> = numbers(k, t.numel()).iter().map(|v| v * scale).collect();
        *t = Tensor::from_slice(&scaled, t.shape(), device);
    }
    model.load_state(&named).expect("the same names");
}

#[derive(Default)]
struct Case {
    loss: f64,
    count: usize,
    out: Vec<f64>,
    grads: BTreeMap<String, f64>,
    tokens: Vec<Vec<i32>>,
}

fn cases() -> &'static HashMap<String, Case> {
    static CASES: OnceLock<HashMap<String, Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let mut all: HashMap<String, Case> = HashMap::new();
        let mut name = String::new();
        for line in include_str!("../../sequences.txt").lines() {
            let mut words = line.split(' ');
            let kind = words.next();
            let rest: Vec<&str> = words.collect();
            let number = |text: &str| text.parse::<f64>().expect("a number");
            if kind == Some("case") {
                name = rest[0].to_string();
            }
            let case = all.entry(name.clone()).or_default();
            match kind {
                Some("loss") => case.loss = number(rest[0]),
                Some("out") => {
                    case.count = number(rest[0]) as usize;
                    case.out = rest[1..].iter().map(|text| number(text)).collect();
                }
                Some("grad") => {
                    case.grads.insert(rest[0].to_string(), number(rest[1]));
                }
                Some("tokens") => {
                    let row = rest.iter().map(|text| number(text) as i32);
                    case.tokens.push(row.collect());
                }
                _ => {}
            }
        }
        all
    })
}

/// Compares a model's outputs for inputs under their names, and all gradients, with the case of this name.
#[track_caller]
fn check(name: &str, model: &dyn Module, inputs: &[(&str, &Tensor)], outputs: &[&Tensor]) {
    let case = cases()
        .get(name)
        .unwrap_or_else(|| panic!("no case {name}"));
    let device = outputs[0].device();
    let mut loss = Tensor::new(&[0f32], device).sum();
    for (k, t) in outputs.iter().enumerate() {
        loss = loss + (*t * lattice(1000 + k, t.shape(), device)).sum();
    }
    let mut named = model.named_parameters();
    named.extend(inputs.iter().map(|(n, t)| (n.to_string(), (*t).clone())));
    let operands: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let grads = grad(&loss, &operands).unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
    eval(
        &grads
            .iter()
            .chain([&loss])
            .chain(outputs.iter().copied())
            .collect::<Vec<_>>(),
    )
    .unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
    let near = |what: &str, got: f64, want: f64| {
        assert!(
            (got - want).abs() <= 2e-5 * (1.0 + want.abs()),
            "{name} on {device}, {what}: {got}, not {want}"
        );
    };
    let flat: Vec<f64> = outputs.iter().flat_map(|t| values(t)).collect();
    assert_eq!(flat.len(), case.count, "{name}");
    for (i, want) in case.out.iter().enumerate() {
        near(
            &format!("output {i}"),
            flat[i * flat.len() / case.out.len()],
            *want,
        );
    }
    near("loss", values(&loss)[0], case.loss);
    let names: Vec<&str> = named.iter().map(|(n, _)| n.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, case.grads.keys().collect::<Vec<_>>(), "{name}");
    for (n, g) in names.iter().zip(&grads) {
        let norm = values(g).iter().map(|v| v * v).sum::<f64>().sqrt();
        near(&format!("gradient of {n}"), norm, case.grads[*n]);
    }
}
