//! A GPT that computes in bf16 with master weights in f32 beside the same in f32: the same batches, as low a loss.

use crate::support::{all, executors};
#[path = "../../examples/gpt/model.rs"]
#[allow(dead_code, reason = "here losses are computed in f32")]
mod model;

use model::{Gpt, Sizes};
use std::collections::BTreeSet;
use wgrad::nn::{AdamW, compile, gradients, in_precision};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

/// A text that is always there.
const TEXT: &str = include_str!("../../examples/gpt/model.rs");

/// A longer one, if it is there: what a small GPT learns of it settles, so that the end of two trainings can be compared. Of the
/// short one it learns every line by heart, faster or slower by chance.
fn long_text() -> Option<String> {
    let data = "../../shared/data/text/tinyshakespeare.txt";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(data);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("absent: {}", path.display());
    }
    text
}

/// Nats that the means of the last losses may be apart.
const APART: f64 = 0.03;

#[derive(Module)]
struct State {
    model: Gpt,
    optimizer: AdamW,
}

struct Run {
    text: String,
    width: usize,
    layers: usize,
    context: usize,
    batch: usize,
    steps: usize,
}

fn numbers(text: &str) -> (Vec<i32>, usize) {
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
    let number = |c| alphabet.binary_search(&c).unwrap_or(0) as i32;
    (text.chars().map(number).collect(), alphabet.len())
}

/// The losses of a training whose rate falls to nothing.
fn losses(run: &Run, dtype: DType, device: &Device) -> Vec<f64> {
    let (text, vocabulary) = numbers(&run.text);
    let sizes = Sizes {
        vocabulary,
        context: run.context,
        width: run.width,
        heads: 2,
        layers: run.layers,
    };
    let mut state = State {
        model: Gpt::new(sizes, &mut Generator::new(1), device),
        optimizer: AdamW::new(3e-3).betas(0.9, 0.99).weight_decay(0.1),
    };
    let mut step = compile(move |state: &mut State, x: &[Tensor]| {
        let n = x[0].size(1) - 1;
        let tokens = x[0].narrow(1, 0, n);
        let scores = in_precision(&mut state.model, dtype, |gpt| gpt.forward(&tokens));
        assert_eq!(scores.dtype(), dtype);
        let next = x[0].narrow(1, 1, n).flatten(0, 1);
        let scores = scores.cast(DType::F32).flatten(0, 1);
        let loss = scores.cross_entropy(&next, Reduction::Mean);
        let gradients = gradients(&loss, &state.model)?.clip_norm(1.0);
        state.optimizer.step(&mut state.model, &gradients)?;
        Ok(loss)
    });
    let mut rng = crate::support::Random(5);
    let row = run.context + 1;
    (0..run.steps)
        .map(|at| {
            let turn = std::f64::consts::PI * at as f64 / run.steps as f64;
            state.optimizer.lr = 3e-3 * (1.0 + turn.cos()) / 2.0;
            let starts = (0..run.batch).map(|_| rng.below(text.len() - row));
            let rows: Vec<i32> = starts.flat_map(|at| text[at..at + row].to_vec()).collect();
            let rows = Tensor::from_slice(&rows, &[run.batch, row], device);
            let loss = step.call(&mut state, &[&rows]).expect("a step");
            f64::from(loss.item::<f32>().expect("a loss"))
        })
        .collect()
}

#[test]
fn a_gpt_in_bf16_learns_as_in_f32() {
    let short = Run {
        text: TEXT.to_owned(),
        width: 32,
        layers: 2,
        context: 24,
        batch: 8,
        steps: 60,
    };
    let long = || {
        Some(Run {
            text: long_text()?,
            width: 128,
            layers: 4,
            context: 64,
            batch: 12,
            steps: 2000,
        })
    };
    for s in executors() {
        // The long form, and a GPU, where all is asked for.
        if s.name != "cpu" && !all() {
            continue;
        }
        let run = match all() && s.name == "cpu" {
            true => long(),
            false => None,
        };
        let run = run.as_ref().unwrap_or(&short);
        let [single, half] = [DType::F32, DType::BF16].map(|d| losses(run, d, &s.device));
        // The same batches at the end of both.
        let n = run.steps / 6;
        let last = |losses: &[f64]| losses[losses.len() - n..].iter().sum::<f64>() / n as f64;
        let (a, b) = (last(&single), last(&half));
        println!(
            "{}: from {:.3} to {a:.4} in f32, {b:.4} in bf16",
            s.name, single[0]
        );
        assert!(a < single[0] - 1.0, "{}: nothing is learnt", s.name);
        assert!((a - b).abs() < APART, "{}: {a} in f32, {b} in bf16", s.name);
    }
}
