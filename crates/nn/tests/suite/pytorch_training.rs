//! 50 steps of a GPT and of a ResNet with parameter groups, clipping, accumulation, averaged weights and a loss scale, against
//! PyTorch's, which `tests/pytorch/training.py` ran with the same weights and batches: an integer formula makes them.

use super::pytorch::{compare_measures, fill, numbers, weights};
use super::{devices, values};
use serde_json::Value;
use wgrad_graph::{ConvOptions, DType, Device, Generator, Result, Tensor};
use wgrad_nn::models::{Gpt2, Gpt2Config};
use wgrad_nn::{
    AdamW, Average, BatchNorm2d, Context, Conv2d, GradScaler, Gradients, Linear, Module, Optimizer,
    Sgd, compile, gradients, loss,
};

/// A network with the loss of a batch.
trait Subject: Module {
    fn loss(&mut self, x: &Tensor, y: &Tensor, cx: &mut Context) -> Tensor;
}

impl Subject for Gpt2 {
    fn loss(&mut self, x: &Tensor, y: &Tensor, cx: &mut Context) -> Tensor {
        loss::cross_entropy(&self.forward(x, cx).flatten(0, 1), y)
    }
}

fn gpt2(sizes: [usize; 5], d: &Device) -> Gpt2 {
    let [vocab_size, n_positions, n_embd, n_layer, n_head] = sizes;
    let config = Gpt2Config {
        vocab_size,
        n_positions,
        n_embd,
        n_layer,
        n_head,
        dropout: 0.0,
        ..Gpt2Config::default()
    };
    Gpt2::new(&config, &mut Generator::new(0), d)
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

fn conv([from, to]: [usize; 2], size: usize, stride: usize, d: &Device) -> Conv2d {
    let options = ConvOptions::default()
        .stride([stride; 2])
        .padding([size / 2; 2]);
    let rng = &mut Generator::new(0);
    Conv2d::new(from, to, [size; 2], options, rng, d).without_bias()
}

impl Block {
    fn new([from, to]: [usize; 2], stride: usize, d: &Device) -> Block {
        let shortcut = || (conv([from, to], 1, stride, d), BatchNorm2d::new(to, d));
        Block {
            conv1: conv([from, to], 3, stride, d),
            bn1: BatchNorm2d::new(to, d),
            conv2: conv([to; 2], 3, 1, d),
            bn2: BatchNorm2d::new(to, d),
            downsample: (from != to || stride != 1).then(shortcut),
        }
    }

    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x), cx).relu();
        let y = self.bn2.forward(&self.conv2.forward(&y), cx);
        match &mut self.downsample {
            Some((conv, bn)) => (y + bn.forward(&conv.forward(x), cx)).relu(),
            None => (y + x).relu(),
        }
    }
}

/// Three blocks, of 6, 8 and 8 channels.
#[derive(Module)]
#[module(crate = wgrad_nn)]
struct SmallResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    blocks: Vec<Block>,
    fc: Linear,
}

impl SmallResNet {
    fn new(d: &Device) -> SmallResNet {
        SmallResNet {
            conv1: conv([3, 6], 3, 1, d),
            bn1: BatchNorm2d::new(6, d),
            blocks: vec![
                Block::new([6, 6], 1, d),
                Block::new([6, 8], 2, d),
                Block::new([8, 8], 1, d),
            ],
            fc: Linear::new(8, 5, &mut Generator::new(0), d),
        }
    }
}

impl Subject for SmallResNet {
    fn loss(&mut self, x: &Tensor, y: &Tensor, cx: &mut Context) -> Tensor {
        let mut x = self.bn1.forward(&self.conv1.forward(x), cx).relu();
        for block in &mut self.blocks {
            x = block.forward(&x, cx);
        }
        loss::cross_entropy(&self.fc.forward(&x.mean_dims(&[2, 3], false)), y)
    }
}

/// The rows of step `i`: inputs, and the tokens after them.
fn text(i: usize, [batch, length, vocabulary]: [usize; 3], d: &Device) -> (Tensor, Tensor) {
    let token = |k: usize| ((k * 7 + k * k % 5 + i * 3) % vocabulary) as i32;
    let all: Vec<i32> = (0..batch * (length + 1)).map(token).collect();
    let rows = Tensor::from_slice(&all, &[batch, length + 1], d);
    let y = rows.narrow(1, 1, length).flatten(0, 1);
    (rows.narrow(1, 0, length), y)
}

/// The images of step `i`, whose classes show in their means.
fn images(i: usize, [batch, side, classes]: [usize; 3], d: &Device) -> (Tensor, Tensor) {
    let class = |k: usize| (k * 3 + i) % classes;
    let each = 3 * side * side;
    let noise = fill(&format!("images{}", i % 4), batch * each);
    let value = |(at, v): (usize, f64)| (v + class(at / each) as f64 / classes as f64) as f32;
    let x: Vec<f32> = noise.into_iter().enumerate().map(value).collect();
    let y: Vec<i32> = (0..batch).map(|k| class(k) as i32).collect();
    let x = Tensor::from_slice(&x, &[batch, 3, side, side], d);
    (x, Tensor::new(&y, d))
}

fn adamw() -> AdamW {
    adamw_at(1e-3)
}

/// At 1e-3 the large model's gradients leap to norms of 30, and rounding decides where it goes.
fn slow_adamw() -> AdamW {
    adamw_at(1e-4)
}

fn adamw_at(lr: f64) -> AdamW {
    AdamW::new(lr)
        .betas(0.9, 0.99)
        .eps(1e-6)
        .weight_decay(0.1)
        .group("plain", |_, t| t.rank() < 2, |g| g.weight_decay(0.0))
}

fn sgd() -> Sgd {
    Sgd::new(0.02)
        .momentum(0.9)
        .nesterov(true)
        .weight_decay(5e-4)
        .group("plain", |_, t| t.rank() < 2, |g| g.weight_decay(0.0))
}

/// Of the whole rate: ten steps of warm-up, then a cosine to a tenth.
fn rate(i: usize) -> f64 {
    if i < 10 {
        return (i + 1) as f64 / 10.0;
    }
    0.1 + 0.45 * (1.0 + (std::f64::consts::PI * (i as f64 - 10.0) / 40.0).cos())
}

/// What a run is made of.
struct Run<'a, S, O> {
    net: &'a dyn Fn(&Device) -> S,
    optimizer: fn() -> O,
    batch: &'a dyn Fn(usize, &Device) -> (Tensor, Tensor),
}

/// How a run differs from one batch in each step and no loss scale.
#[derive(Clone, Copy)]
struct Recipe {
    name: &'static str,
    micro: usize,
    overflows: &'static [usize],
}

const RECIPES: [Recipe; 3] = [
    Recipe {
        name: "groups",
        micro: 1,
        overflows: &[],
    },
    Recipe {
        name: "micro",
        micro: 4,
        overflows: &[],
    },
    Recipe {
        name: "scaler",
        micro: 1,
        overflows: &[7, 20, 21, 40],
    },
];

type State<S, O> = (S, O, GradScaler, Average<S>, Context);

/// One step with the inputs, the classes, and what the loss is multiplied by before gradients are taken.
fn step<S: Subject, O: Optimizer>(
    recipe: Recipe,
    (net, optimizer, scaler, average, cx): &mut State<S, O>,
    inputs: &[Tensor],
) -> Result<(Tensor, Tensor)> {
    let (x, y, factor) = (&inputs[0], &inputs[1], &inputs[2]);
    let (rows, labels) = (x.size(0) / recipe.micro, y.size(0) / recipe.micro);
    let mut parts = Vec::new();
    for at in 0..recipe.micro {
        let (x, y) = (
            x.narrow(0, at * rows, rows),
            y.narrow(0, at * labels, labels),
        );
        let loss = net.loss(&x, &y, cx);
        if recipe.overflows.is_empty() {
            parts.push(gradients(&loss, net)?);
            continue;
        }
        let g = scaler.gradients(&(&loss * factor), net)?.also(&loss);
        let (g, norm) = g.clip_grad_norm(1.0);
        scaler.step(optimizer, net, &g.also(&norm))?;
        average.update(net)?;
        return Ok((loss, norm));
    }
    let (g, norm) = Gradients::mean(&parts)?.clip_grad_norm(1.0);
    optimizer.step(net, &g.also(&norm))?;
    average.update(net)?;
    Ok((mean_loss(&parts)?, norm))
}

/// The mean of the parts' losses.
fn mean_loss(parts: &[Gradients]) -> Result<Tensor> {
    let losses: Vec<&Tensor> = parts.iter().map(Gradients::loss).collect();
    Ok(Tensor::stack(&losses, 0).mean())
}

/// All that differs from PyTorch's run by more than `tolerance`.
fn differences<S: Subject, O: Optimizer>(
    run: &Run<S, O>,
    recipe: Recipe,
    case: &Value,
    (d, compiled): (&Device, bool),
    tolerance: f64,
) -> Vec<String> {
    let filled = || {
        let mut net = (run.net)(d);
        let state = weights(&net, d);
        net.load_state(&state).expect("a state of its own");
        net
    };
    let scaler = GradScaler::new(d).init_scale(8.0).growth_interval(5);
    let average = Average::ema(filled(), 0.9);
    let cx = Context::train(0);
    let mut state: State<S, O> = (filled(), (run.optimizer)(), scaler, average, cx);
    let mut replayed = compile(move |s: &mut State<S, O>, x: &[Tensor]| step(recipe, s, x));
    let mut out = Vec::new();
    let (losses, norms) = (numbers(&case["losses"]), numbers(&case["norms"]));
    let scales = numbers(&case["scales"]);
    let base = state.1.lr();
    for i in 0..losses.len() {
        state.1.set_lr(base * rate(i));
        let (x, y) = (run.batch)(i, d);
        let overflows = recipe.overflows.contains(&i);
        let factor = if overflows { f64::INFINITY } else { 1.0 };
        let factor = Tensor::scalar(factor, DType::F32, d);
        let (loss, norm) = match compiled {
            true => replayed.call(&mut state, &[&x, &y, &factor]).unwrap(),
            false => step(recipe, &mut state, &[x, y, factor]).unwrap(),
        };
        let (loss, norm) = (values(&loss)[0], values(&norm)[0]);
        let close = |got: f64, want: f64| (got - want).abs() <= tolerance * (1.0 + want.abs());
        if !close(loss, losses[i]) {
            out.push(format!("loss {i} is {loss}, not {}", losses[i]));
        }
        if norm.is_finite() == overflows
            || (!overflows && (norm / norms[i] - 1.0).abs() > 10.0 * tolerance)
        {
            out.push(format!("norm {i} is {norm}, not {}", norms[i]));
        }
        if !recipe.overflows.is_empty() && values(&state.2.scale)[0] != scales[i] {
            out.push(format!("scale {i} is not {}", scales[i]));
        }
    }
    if compiled && d.to_string() != "reference" && replayed.traces() != 1 {
        out.push(format!("{} traces", replayed.traces()));
    }
    compare_measures(&case["state"], &state.0.state(), tolerance, &mut out);
    let mut averaged = Vec::new();
    compare_measures(
        &case["average"],
        &state.3.module.state(),
        tolerance,
        &mut averaged,
    );
    out.extend(averaged.into_iter().map(|text| format!("average: {text}")));
    out
}

fn check<S: Subject, O: Optimizer>(
    name: &str,
    run: &Run<S, O>,
    (devices, forms): (&[Device], &[bool]),
    tolerance: f64,
) {
    let cases: Value =
        serde_json::from_str(include_str!("../pytorch/training.json")).expect("JSON");
    let cases = cases.as_array().expect("a list");
    for recipe in RECIPES {
        let wanted = format!("{name} {}", recipe.name);
        let case = cases.iter().find(|c| c["name"] == wanted.as_str());
        let case = case.unwrap_or_else(|| panic!("PyTorch has no {wanted}"));
        for d in devices {
            for &compiled in forms {
                let wrong = differences(run, recipe, case, (d, compiled), tolerance);
                assert!(
                    wrong.is_empty(),
                    "{wanted} on {d}, compiled: {compiled}\n{}",
                    wrong.join("\n")
                );
            }
        }
    }
}

#[test]
fn a_gpt_trains_as_pytorchs() {
    let run = Run {
        net: &|d| gpt2([17, 8, 16, 2, 2], d),
        optimizer: adamw,
        batch: &|i, d| text(i, [8, 8, 17], d),
    };
    check("gpt", &run, (&devices(), &[true]), 2e-5);
    check("gpt", &run, (&[Device::cpu()], &[false]), 2e-5);
}

#[test]
fn a_resnet_trains_as_pytorchs() {
    let run = Run {
        net: &SmallResNet::new,
        optimizer: sgd,
        batch: &|i, d| images(i, [16, 8, 5], d),
    };
    check("resnet", &run, (&devices(), &[true]), 5e-5);
    check("resnet", &run, (&[Device::cpu()], &[false]), 5e-5);
}

/// The size of a whole model, in the long form. Not of ResNet-18: with weights by a formula its gradients have norms of 600, and a
/// rounding grows tenfold in each step.
#[test]
fn a_large_gpt_trains_as_pytorchs() {
    if !std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1") {
        return println!("only small models are trained unless WGRAD_TEST_ALL=1");
    }
    let run = Run {
        net: &|d| gpt2([65, 64, 128, 4, 4], d),
        optimizer: slow_adamw,
        batch: &|i, d| text(i, [12, 64, 65], d),
    };
    check("gpt large", &run, (&[Device::cpu()], &[true]), 1e-4);
}
