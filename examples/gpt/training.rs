//! The text on a device, the schedule, and the training step: AdamW in two groups, gradients clipped by their norm.

use crate::model::{Gpt, Sizes};
use std::collections::BTreeSet;
use wgrad::nn::{AdamW, Compiled, compile, gradients};
use wgrad::{Device, Generator, Module, Optimizer, Result, Tensor};

/// A text as numbers, the first nine tenths to train with.
pub struct Text {
    /// The characters, in the order of their numbers.
    pub alphabet: Vec<char>,
    train: Tensor,
    validation: Tensor,
}

impl Text {
    /// Numbers the characters of `text` by their order.
    pub fn new(text: &str, device: &Device) -> Text {
        let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
        let number = |c| alphabet.binary_search(&c).unwrap_or(0) as i32;
        let all: Vec<i32> = text.chars().map(number).collect();
        let (train, validation) = all.split_at(all.len() * 9 / 10);
        Text {
            train: Tensor::new(train, device),
            validation: Tensor::new(validation, device),
            alphabet,
        }
    }
}

/// Rows of `length` characters from each of `starts`.
fn rows(text: &Tensor, starts: &Tensor, length: usize) -> Tensor {
    let at = starts.unsqueeze(1) + Tensor::arange(length, text.device()).unsqueeze(0);
    let rows = starts.numel() as isize;
    text.index_select(0, &at.flatten(0, 1))
        .reshape(&[rows, length as isize])
}

/// What training changes.
#[derive(Module)]
pub struct State {
    /// What is trained.
    pub model: Gpt,
    optimizer: AdamW,
}

type Step = dyn FnMut(&mut State, &[Tensor]) -> Result<Tensor>;

/// A training run.
pub struct Trainer {
    /// Model and optimiser.
    pub state: State,
    text: Text,
    sizes: Sizes,
    batch: usize,
    steps: u64,
    done: u64,
    rng: Generator,
    step: Compiled<State, Tensor, Box<Step>>,
}

/// Linear warm-up over 100 steps to 1e-3, then a cosine down to 1e-4 at the end.
pub fn learning_rate(step: u64, steps: u64) -> f64 {
    if step < 100 {
        return 1e-3 * (0.01 + 0.99 * step as f64 / 100.0);
    }
    let share = (step - 100) as f64 / steps.saturating_sub(100).max(1) as f64;
    1e-4 + 0.5 * 9e-4 * (1.0 + (std::f64::consts::PI * share).cos())
}

impl Trainer {
    /// For `steps` steps of `batch` rows of a text, from a model.
    pub fn new(
        model: Gpt,
        sizes: Sizes,
        text: Text,
        batch: usize,
        steps: u64,
        seed: u64,
    ) -> std::result::Result<Trainer, String> {
        let shorter = text.validation.numel().min(text.train.numel());
        if shorter < sizes.context + 1 {
            let least = 10 * (sizes.context + 1);
            return Err(format!("a text needs {least} characters or more"));
        }
        let optimizer = AdamW::new(1e-3).betas(0.9, 0.99).weight_decay(0.1).group(
            "plain",
            |_, t| t.rank() < 2,
            |g| g.weight_decay(0.0),
        );
        let train = text.train.clone();
        let step: Box<Step> = Box::new(move |state: &mut State, inputs: &[Tensor]| {
            let loss = state
                .model
                .loss(&rows(&train, &inputs[0], sizes.context + 1));
            let gradients = gradients(&loss, &state.model)?.clip_norm(1.0);
            state.optimizer.step(&mut state.model, &gradients)?;
            Ok(loss)
        });
        Ok(Trainer {
            state: State { model, optimizer },
            text,
            sizes,
            batch,
            steps,
            done: 0,
            rng: Generator::new(seed),
            step: compile(step),
        })
    }

    /// One step with rows drawn anywhere in the training part, whose loss it gives.
    pub fn step(&mut self) -> Result<Tensor> {
        let device = self.text.train.device();
        let last = self.text.train.numel() - self.sizes.context;
        let starts = self.rng.integers(0, last as i32, &[self.batch], device);
        self.rng.next_step();
        self.step_from(&starts)
    }

    /// One step with the rows that begin at `starts`.
    pub fn step_from(&mut self, starts: &Tensor) -> Result<Tensor> {
        let lr = learning_rate(self.done, self.steps);
        self.state.optimizer.set_lr(lr);
        self.done += 1;
        self.step.call(&mut self.state, &[starts])
    }

    /// The mean loss over the whole validation part, in rows that follow each other.
    pub fn validation(&self) -> Result<f64> {
        let (text, context) = (&self.text.validation, self.sizes.context);
        let total = (text.numel() - 1) / context;
        let (mut sum, mut at) = (0.0, 0);
        while at < total {
            let n = (total - at).min(64);
            let starts = (at..at + n).map(|row| (row * context) as i32);
            let starts = Tensor::new(&starts.collect::<Vec<_>>(), text.device());
            let loss = self.state.model.loss(&rows(text, &starts, context + 1));
            sum += f64::from(loss.item::<f32>()?) * n as f64;
            at += n;
        }
        Ok(sum / total.max(1) as f64)
    }

    /// The characters of the text.
    pub fn alphabet(&self) -> &[char] {
        &self.text.alphabet
    }
}
