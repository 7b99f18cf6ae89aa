//! Plans as text against those kept in `snapshots/`, so that a change to a pass shows what it changes.
//! `WGRAD_BLESS=1` writes them anew.

use crate::models::{mlp, own_cpu};
use std::path::PathBuf;
use wgrad::nn::{Context, gradients};
use wgrad::{DType, Device, Module, Reduction, Tensor, explain, grad};

fn snapshot(name: &str, tensors: &[&Tensor]) {
    let got = explain(tensors).expect("a plan");
    let again = explain(tensors).expect("a plan");
    assert_eq!(got, again, "{name}: planning twice gives two plans");
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/suite/snapshots"))
        .join(format!("{name}.txt"));
    if std::env::var("WGRAD_BLESS").is_ok_and(|v| v == "1") {
        std::fs::write(&path, &got).expect("the snapshot can be written");
        return;
    }
    let want = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; WGRAD_BLESS=1 writes it", path.display()))
        .replace("\r\n", "\n");
    if got != want {
        let (n, (g, w)) = first_difference(&got, &want);
        panic!(
            "{name}: the plan has changed, at line {n}:\n- {w}\n+ {g}\n\
             --- {}\n{want}\n--- now (WGRAD_BLESS=1 accepts it)\n{got}",
            path.display()
        );
    }
}

fn first_difference<'a>(got: &'a str, want: &'a str) -> (usize, (&'a str, &'a str)) {
    let line = |text: &'a str, n: usize| text.lines().nth(n).unwrap_or("(no more lines)");
    let n = got.lines().zip(want.lines()).take_while(|(g, w)| g == w);
    let n = n.count();
    (n + 1, (line(got, n), line(want, n)))
}

/// Steps of the plan: lines that begin with a number.
fn steps(text: &str) -> usize {
    let number = |line: &&str| {
        let first = line.split_whitespace().next();
        first.is_some_and(|w| w.parse::<usize>().is_ok())
    };
    text.lines().filter(number).count()
}

fn leaf(shape: &[usize], device: &Device) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| i as f32 * 0.25 - 1.0).collect();
    Tensor::from_slice(&values, shape, device)
}

#[test]
fn an_element_wise_chain_is_one_kernel() {
    let device = own_cpu();
    let (x, y) = (leaf(&[8, 16], &device), leaf(&[16], &device));
    let z = ((&x * &y + 1.0).tanh() - x.exp() * 0.5).relu();
    assert_eq!(steps(&explain(&[&z]).expect("a plan")), 1);
    snapshot("chain", &[&z]);
}

#[test]
fn softmax() {
    let device = own_cpu();
    snapshot("softmax", &[&leaf(&[4, 32], &device).softmax(1)]);
}

#[test]
fn linear_with_relu_and_its_gradients() {
    let device = own_cpu();
    let (x, w) = (leaf(&[5, 6], &device), leaf(&[7, 6], &device));
    let b = leaf(&[7], &device);
    let y = x.linear(&w, Some(&b)).relu();
    let gradients = grad(&y.sum(), &[&x, &w, &b]).expect("gradients");
    let mut all = vec![&y];
    all.extend(&gradients);
    snapshot("linear_relu", &all);
}

#[test]
fn a_training_step_of_the_mlp() {
    let device = own_cpu();
    let mut model = mlp(1, &device);
    let x = leaf(&[4, 1, 28, 28], &device);
    let y = Tensor::new(&[3, 1, 4, 1], &device);
    let logits = model.forward(&x, &mut Context::train(0));
    let loss = logits.cross_entropy(&y, Reduction::Mean);
    let g = gradients(&loss, &model).expect("gradients");
    let lr = Tensor::scalar(0.1, DType::F32, &device);
    let new: Vec<Tensor> = model
        .parameters()
        .iter()
        .zip(g.of())
        .map(|(p, g)| p - g * &lr)
        .collect();
    let mut all = vec![&loss];
    all.extend(&new);
    snapshot("mlp_step", &all);
}

#[test]
fn explaining_runs_nothing_and_says_what_is_wrong() {
    let device = own_cpu();
    let x = leaf(&[3], &device);
    let y = x.exp();
    let text = explain(&[&y]).expect("a plan");
    assert_eq!(explain(&[&y]).expect("a plan"), text, "y has no value yet");
    assert_eq!(device.cached_plans(), 0);
    y.to_vec::<f32>().expect("values");
    assert_eq!(device.cached_plans(), 1);
    assert_eq!(explain(&[&y]).expect("nothing to do"), "");
    let wrong = x.reshape(&[2, 2]);
    assert!(explain(&[&wrong]).is_err());
    let oracle = leaf(&[3], &Device::reference());
    let text = explain(&[&oracle.exp()]).expect("a graph");
    assert!(text.contains("exp") && steps(&text) == 0, "{text}");
}
