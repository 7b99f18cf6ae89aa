//! A run that has everything at once: two optimisers with groups, accumulation over steps, averages, a loss scale, dropout,
//! a variable, schedules, a plateau, early stopping. And datasets that its loaders go through.

use std::path::Path;
use wgrad_data::{BatchSampler, BatchSamplerState, Batches, LoaderState};
use wgrad_graph::{DType, Device, Generator, Tensor};
use wgrad_nn::schedule::ReduceOnPlateau;
use wgrad_nn::{
    Accumulated, Adam, Average, Context, Dropout, GradScaler, Linear, Module, Sequential, Sgd,
    Tanh, Variable, in_precision,
};
use wgrad_train::{EarlyStopping, Every, Trainer};

pub const BATCHES: u64 = 7;

/// Rows of a fixed random table with the sampler's order, the last batch short.
pub struct Rows {
    sampler: BatchSampler,
    table: Tensor,
    /// A row that is not finite, from this batch on.
    pub poison: Option<u64>,
    given: u64,
}

impl Rows {
    pub fn new(device: &Device) -> Rows {
        Rows {
            sampler: BatchSampler::new(8 * BATCHES as usize - 3, 8, 11).expect("a sampler"),
            table: Generator::new(5).normal(&[8 * BATCHES as usize - 3, 4], device),
            poison: None,
            given: 0,
        }
    }
}

impl Batches for Rows {
    type Item = (Tensor, Tensor);

    fn next(&mut self) -> wgrad_data::Result<Option<(Tensor, Tensor)>> {
        let Some(index) = self.sampler.next_batch() else {
            return Ok(None);
        };
        let index: Vec<i32> = index.iter().map(|&i| i as i32).collect();
        let mut x = self
            .table
            .index_select(0, &Tensor::new(&index, self.table.device()));
        self.given += 1;
        if self.poison.is_some_and(|at| self.given >= at) {
            x = x * f64::NAN;
        }
        let y = x.sum_dims(&[1], true).tanh();
        Ok(Some((x, y)))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.sampler.batches_per_epoch())
    }

    fn state(&self) -> LoaderState {
        let state = self.sampler.state();
        let fields = [
            ("epoch", state.epoch),
            ("position", u64::from(state.position)),
            ("given", self.given),
        ];
        fields.map(|(n, v)| (n.to_owned(), v)).into()
    }

    fn set_state(&mut self, state: LoaderState) -> wgrad_data::Result<()> {
        self.given = state["given"];
        self.sampler = BatchSampler::from_state(BatchSamplerState {
            epoch: state["epoch"],
            position: state["position"] as u32,
            ..self.sampler.state()
        })?;
        Ok(())
    }
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct State {
    pub net: Sequential,
    pub adam: Adam,
    pub sums: Accumulated,
    /// Whether this step's sums are stepped with.
    pub update: bool,
    pub ema: Average<Sequential>,
    pub scaler: GradScaler,
    pub critic: Linear,
    pub sgd: Sgd,
    pub beta: Variable,
    pub cx: Context,
    /// What a step changes that is no part of the tree.
    #[module(skip)]
    pub seen: Tensor,
}

pub fn net(seed: u64, device: &Device) -> Sequential {
    let rng = &mut Generator::new(seed);
    Sequential::new()
        .with("in", Linear::new(4, 8, rng, device))
        .with("tanh", Tanh)
        .with("dropout", Dropout::new(0.2))
        .with("out", Linear::new(8, 1, rng, device))
}

pub fn state(seed: u64, device: &Device) -> State {
    let own = net(seed, device);
    State {
        adam: Adam::new(0.01).group(
            "bias",
            |name, _| name.ends_with("bias"),
            |g| g.with_lr(0.02),
        ),
        sums: Accumulated::new(&own),
        update: false,
        ema: Average::ema(net(seed, device), 0.9),
        scaler: GradScaler::new(device).growth_interval(3),
        critic: Linear::new(4, 1, &mut Generator::new(seed + 1), device),
        sgd: Sgd::new(0.05).momentum(0.9),
        beta: Variable::new(0.0),
        cx: Context::train(seed + 2),
        seen: Tensor::zeros(&[], DType::F32, device),
        net: own,
    }
}

/// A step with all of it. Gradients are added up over two steps.
pub fn step(
    s: &mut State,
    (x, y): (Tensor, Tensor),
) -> wgrad_graph::Result<[(&'static str, Tensor); 2]> {
    let half = x.cast(DType::F16);
    let cx = &mut s.cx;
    let out = in_precision(&mut s.net, DType::F16, |net| net.forward(&half, cx)).cast(DType::F32);
    let loss = (&out - &y).square().mean() + s.critic.forward(&x).mean() * &s.beta;
    let scaled = wgrad_nn::gradients(&s.scaler.scaled(&loss), &s.net)?;
    s.sums.add(&scaled)?;
    if s.update {
        let g = s.scaler.unscale(s.sums.mean(&loss)?).clip_norm(1.0);
        s.scaler.step(&mut s.adam, &mut s.net, &g)?;
        s.sums.reset();
        s.ema.update(&s.net)?;
    }
    let critic_loss = (s.critic.forward(&x) - out.stop_gradient()).square().mean();
    let g = wgrad_nn::gradients(&critic_loss, &s.critic)?;
    wgrad_nn::Optimizer::step(&mut s.sgd, &mut s.critic, &g)?;
    s.seen = &s.seen + x.mean();
    s.cx.next_step();
    Ok([("loss", loss), ("critic_loss", critic_loss)])
}

pub type Run = Trainer<'static, State, (Tensor, Tensor)>;

pub fn run(seed: u64, device: &Device) -> Run {
    Trainer::new(state(seed, device), step)
        .evaluation(|s: &mut State, (x, y)| {
            let out = s.ema.module.forward(&x, &mut Context::eval());
            Ok((out - y).square().mean())
        })
        .validate(Rows::new(device))
        .before_step(|s, at| {
            s.update = at.step() % 2 == 1;
            Ok(())
        })
        .rate(|s| &mut s.adam, |step| 0.01 / (1.0 + 0.1 * step as f64))
        .group_rate(
            |s| &mut s.adam,
            "bias",
            |step| 0.02 / (1.0 + 0.1 * step as f64),
        )
        .vary(|s| &mut s.beta, |step| 0.01 * (step % 5) as f64)
        .plateau(
            |s| &mut s.sgd,
            "validation_loss",
            ReduceOnPlateau::new(0.05).patience(0),
        )
        .callback(
            EarlyStopping::new("validation_loss")
                .patience(1000)
                .restore_best(false),
        )
        .quiet()
}

/// With checkpoints and a log below `folder`.
pub fn kept(run: Run, folder: &Path, every: u64) -> Run {
    run.checkpoint(folder.join("checkpoints"), Every::Steps(every), 2)
        .best("validation_loss", false)
        .log(folder.join("log"))
}

/// The run's file after its last step.
pub fn bytes(trainer: &mut Run, folder: &Path) -> Vec<u8> {
    let path = folder.join("compared.safetensors");
    trainer.save(&path).expect("written");
    std::fs::read(path).expect("a file")
}

/// The lines of a log, without times.
pub fn lines(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("log/metrics.jsonl")).expect("a log");
    assert!(text.ends_with('\n'));
    let mut lines: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l:?}")))
        .collect();
    for line in &mut lines {
        let object = line.as_object_mut().expect("an object");
        object.remove("seconds");
        object.remove("samples_per_second");
    }
    lines
}
