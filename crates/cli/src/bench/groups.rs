//! `wgrad bench --groups`: what parameter groups with clipping add to a training step. A step with two groups, clipped by the
//! norm of all gradients, and one with one group that is not clipped are timed in turns, so that a machine whose speed
//! changes slows both.

use crate::Result;
use std::time::Instant;
use wgrad::nn::models::{Gpt2, Gpt2Config, ResNet};
use wgrad::nn::{AdamW, Compiled, Context, Gradients, Sgd, compile, gradients};
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor};

/// Rounds, of which the median counts.
const ROUNDS: usize = 15;

type Step<M, O> = Compiled<(M, O, Context), Tensor, Box<StepFunction<M, O>>>;
type StepFunction<M, O> = dyn FnMut(&mut (M, O, Context), &[Tensor]) -> wgrad::Result<Tensor>;

/// A compiled step with its state.
struct Trained<M, O> {
    state: (M, O, Context),
    step: Step<M, O>,
}

impl<M: Module + 'static, O: Optimizer + 'static> Trained<M, O> {
    fn new(
        model: M,
        optimizer: O,
        loss: fn(&mut M, &[Tensor], &mut Context) -> Tensor,
        change: fn(Gradients) -> Gradients,
    ) -> Trained<M, O> {
        let step: Box<StepFunction<M, O>> = Box::new(move |(model, optimizer, cx), x| {
            let loss = loss(model, x, cx);
            let gradients = change(gradients(&loss, model)?);
            optimizer.step(model, &gradients)?;
            Ok(loss)
        });
        Trained {
            state: (model, optimizer, Context::train(0)),
            step: compile(step),
        }
    }

    /// Seconds of a step.
    fn time(&mut self, inputs: &[&Tensor], steps: usize) -> Result<f64> {
        let began = Instant::now();
        for _ in 0..steps {
            self.step.call(&mut self.state, inputs)?;
        }
        self.step.call(&mut self.state, inputs)?.item::<f32>()?;
        Ok(began.elapsed().as_secs_f64() / (steps + 1) as f64)
    }
}

fn plain(_: &str, t: &Tensor) -> bool {
    t.rank() < 2
}

fn unchanged(g: Gradients) -> Gradients {
    g
}

fn clipped(g: Gradients) -> Gradients {
    g.clip_norm(1.0)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Times both in turns and prints a line.
fn compare<M: Module + 'static, O: Optimizer + 'static>(
    name: &str,
    (mut one, mut groups): (Trained<M, O>, Trained<M, O>),
    inputs: &[&Tensor],
) -> Result<()> {
    // The first steps plan and touch memory.
    one.time(inputs, 2)?;
    groups.time(inputs, 2)?;
    let seconds = one.time(inputs, 1)?;
    let steps = (0.5 / seconds).clamp(1.0, 100.0) as usize;
    let (mut ones, mut both, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (one.time(inputs, steps)?, groups.time(inputs, steps)?);
        ones.push(a);
        both.push(b);
        ratios.push(b / a);
    }
    outln!(
        "{name:<12} {:>10.3} {:>10.3} {:>8.3}",
        1e3 * median(ones),
        1e3 * median(both),
        median(ratios)
    );
    Ok(())
}

fn gpt(device: &Device) -> Result<()> {
    let config = Gpt2Config {
        vocab_size: 65,
        n_positions: 64,
        n_embd: 128,
        n_layer: 4,
        n_head: 4,
        dropout: 0.0,
        ..Gpt2Config::default()
    };
    let model = || Gpt2::new(&config, &mut Generator::new(0), device);
    let loss = |model: &mut Gpt2, x: &[Tensor], cx: &mut Context| {
        let scores = model.forward(&x[0], cx).flatten(0, 1);
        scores.cross_entropy(&x[1].flatten(0, 1), Reduction::Mean)
    };
    let adamw = || AdamW::new(1e-3).weight_decay(0.1);
    let two = adamw().group("plain", plain, |g| g.weight_decay(0.0));
    let one = Trained::new(model(), adamw(), loss, unchanged);
    let groups = Trained::new(model(), two, loss, clipped);
    let rng = &mut Generator::new(1);
    let x = rng.integers(0, 65, &[12, 64], device).detach()?;
    let y = rng.integers(0, 65, &[12, 64], device).detach()?;
    compare("gpt", (one, groups), &[&x, &y])
}

fn resnet(device: &Device) -> Result<()> {
    let model = || ResNet::resnet18(10, &mut Generator::new(0), device);
    let loss = |model: &mut ResNet, x: &[Tensor], cx: &mut Context| {
        model
            .forward(&x[0], cx)
            .cross_entropy(&x[1], Reduction::Mean)
    };
    let sgd = || {
        Sgd::new(0.01)
            .momentum(0.9)
            .nesterov(true)
            .weight_decay(5e-4)
    };
    let two = sgd().group("plain", plain, |g| g.weight_decay(0.0));
    let one = Trained::new(model(), sgd(), loss, unchanged);
    let groups = Trained::new(model(), two, loss, clipped);
    let rng = &mut Generator::new(1);
    let x = rng.normal(&[16, 3, 64, 64], device).detach()?;
    let y = rng.integers(0, 10, &[16], device).detach()?;
    compare("resnet-18", (one, groups), &[&x, &y])
}

/// Prints a line for each model that the filter picks.
pub fn run(options: &super::Options) -> Result<()> {
    type Row = (&'static str, fn(&Device) -> Result<()>);
    let mut rows: Vec<Row> = vec![("gpt", gpt), ("resnet-18", resnet)];
    if let Some(filter) = &options.filter {
        rows.retain(|(name, _)| super::picks(filter, name));
    }
    if rows.is_empty() {
        return Err("no row has such a name; --list shows all of them".into());
    }
    if options.list {
        rows.iter().for_each(|(name, _)| outln!("{name}"));
        return Ok(());
    }
    let device = super::open(options)?;
    outln!("{device}: milliseconds of a step with one group, and with two groups and clipping");
    outln!("{:<12} {:>10} {:>10} {:>8}", "", "one", "groups", "ratio");
    rows.iter().try_for_each(|(_, row)| row(&device))
}
