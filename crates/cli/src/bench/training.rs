//! The cases that train: epochs of MNIST, a character model, and a step so small that only the host's part is left.

use super::case::{Case, Env, Measured, Unit, Work};
use super::{first_step, timing};
use crate::Result;
use crate::model::{self, CHARACTERS, CharModel, Network};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wgrad::data::{DeviceDataset, ImageDataset, Loader, Mnist, digits};
use wgrad::nn::{Adam, Compiled, Context, Sequential, compile, gradients};
use wgrad::{Device, Generator, Optimizer, Tensor};

/// Images in an epoch.
const EPOCH: usize = 60_000;
/// Parts of an epoch that are timed, each with one read of its last loss.
const PARTS: usize = 12;

/// All of them.
pub fn cases() -> Vec<Case> {
    let whole = |name, unit, measure| Case {
        name,
        unit,
        work: Work::Whole(measure),
    };
    vec![
        whole("mnist_mlp_b128_adam_1epoch", Unit::Samples, |env| {
            epoch(env, model::mlp, 128)
        }),
        whole("mnist_cnn_b64_adam_1epoch", Unit::Samples, |env| {
            epoch(env, model::cnn, 64)
        }),
        whole("char_lstm_b32_t64_h128_adam", Unit::Tokens, characters),
        whole("first_step_mlp", Unit::Seconds, first_step::measure),
        whole("step_overhead_mlp", Unit::Micros, overhead),
    ]
}

/// What a step changes: the network, its optimiser, its random numbers.
type State<M> = (M, Adam, Context);
type Function<M> = Box<dyn FnMut(&mut State<M>, &[Tensor]) -> wgrad::Result<Tensor>>;

/// A network in training, by a compiled step.
pub struct Trainer<M> {
    state: State<M>,
    step: Compiled<State<M>, Tensor, Function<M>>,
}

impl<M: Network> Trainer<M> {
    /// A step takes a batch and its targets.
    pub fn new(model: M) -> Trainer<M> {
        Trainer::on(model, |inputs| (inputs[0].clone(), inputs[1].clone()))
    }

    /// A step takes what `batch` makes a batch and its targets of.
    fn on(model: M, batch: impl Fn(&[Tensor]) -> (Tensor, Tensor) + 'static) -> Trainer<M> {
        let function = move |(model, adam, context): &mut State<M>, inputs: &[Tensor]| {
            let (x, y) = batch(inputs);
            let loss = model.loss(&x, &y, context);
            let gradients = gradients(&loss, model)?;
            adam.step(model, &gradients)?;
            context.next_step();
            Ok(loss)
        };
        Trainer {
            state: (model, Adam::new(1e-3), Context::train(0)),
            step: compile(Box::new(function)),
        }
    }

    /// One step. Reads nothing back: the loss is still on the device.
    pub fn step(&mut self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.step.call(&mut self.state, inputs)?)
    }
}

/// One epoch, or as much of it as the time allows. The value is the median of its parts.
fn epoch(
    env: &Env,
    build: fn(&mut Generator, &Device) -> Sequential,
    batch: usize,
) -> Result<Measured> {
    let (images, name) = dataset(env.options.data.as_deref())?;
    let (mean, std) = images.mean_std();
    let set = DeviceDataset::new(&images, env.device)?.normalized(mean.into(), std.into());
    let data = set.clone();
    let model = build(&mut Generator::new(1), env.device);
    let mut trainer = Trainer::on(model, move |inputs| data.gather(&inputs[0]));
    warm_up(&mut trainer, &set, batch)?;
    let mut loader = Loader::new(set, batch, 1)?;
    let steps = loader.batches_per_epoch();
    let part = steps.div_ceil(PARTS);
    let (mut seconds, mut done, mut loss) = (Vec::new(), 0, f32::NAN);
    let began = Instant::now();
    let (mut since, mut images_since, mut seen) = (Instant::now(), 0, 0);
    while let Some(index) = loader.next_index() {
        let last = trainer.step(&[&index])?;
        done += 1;
        images_since += index.numel();
        let over = began.elapsed().as_secs_f64() > env.options.epoch_seconds;
        if done % part == 0 || done == steps || over {
            loss = last.item::<f32>()?;
            seconds.push(since.elapsed().as_secs_f64() / images_since as f64);
            seen += images_since;
            (since, images_since) = (Instant::now(), 0);
        }
        if over {
            break;
        }
    }
    let whole = seen as f64 / began.elapsed().as_secs_f64();
    let mut measured = Measured::rate(1.0, &timing::of(&mut seconds, part));
    measured.note =
        format!("{done} of {steps} steps, {whole:.0} over all, last loss {loss:.3}, {name}");
    Ok(measured)
}

/// Both plans of an epoch: of full batches and of the short last one. The first call of a compiled step runs the
/// function itself, the second makes the plan.
fn warm_up<M: Network>(trainer: &mut Trainer<M>, set: &DeviceDataset, batch: usize) -> Result<()> {
    let indices: Vec<u32> = (0..batch as u32).collect();
    let short = set.len() % batch;
    let sizes = [batch, batch, short, batch];
    for &n in sizes.iter().filter(|n| **n > 0) {
        trainer.step(&[&set.index(&indices[..n])])?.item::<f32>()?;
    }
    Ok(())
}

/// MNIST where it is found, else digits drawn by code, as many and as large.
fn dataset(folder: Option<&Path>) -> Result<(ImageDataset, String)> {
    let variable = std::env::var_os("WGRAD_DATA").filter(|d| !d.is_empty());
    let wanted = folder
        .map(Path::to_path_buf)
        .or(variable.map(PathBuf::from));
    let beside = Some(PathBuf::from("../shared/data/mnist")).filter(|dir| dir.is_dir());
    match wanted.or(beside) {
        Some(dir) => Ok((Mnist::load(&dir)?.0, "MNIST".to_string())),
        None => {
            let (train, _) = digits::train_test(EPOCH, 1, 1);
            Ok((train, "built-in digits, not MNIST".to_string()))
        }
    }
}

/// 32 sequences of 64 tokens a step. The tokens are random: only the loss would tell.
fn characters(env: &Env) -> Result<Measured> {
    const SHAPE: [usize; 2] = [32, 64];
    let mut rng = Generator::new(2);
    let mut trainer = Trainer::new(CharModel::new(&mut rng, env.device));
    let batches = (0..8).map(|seed| tokens(seed, SHAPE, env.device));
    let batches: Vec<(Tensor, Tensor)> = batches.collect();
    let mut at = 0;
    let mut step = || {
        let (x, y) = &batches[at % batches.len()];
        at += 1;
        trainer.step(&[x, y])?;
        Ok(())
    };
    let timing = timing::measure(2.0 * env.options.seconds, &mut step, &|| env.wait())?;
    Ok(Measured::rate((SHAPE[0] * SHAPE[1]) as f64, &timing))
}

/// Tokens and those that follow them.
fn tokens(seed: u64, [batch, time]: [usize; 2], device: &Device) -> (Tensor, Tensor) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) % CHARACTERS as u64) as i32
    };
    let all: Vec<i32> = (0..batch * (time + 1)).map(|_| next()).collect();
    let rows = all.chunks(time + 1);
    let x: Vec<i32> = rows.clone().flat_map(|row| &row[..time]).copied().collect();
    let y: Vec<i32> = rows.flat_map(|row| &row[1..]).copied().collect();
    (
        Tensor::from_slice(&x, &[batch, time], device),
        Tensor::new(&y, device),
    )
}

/// Microseconds of the host for each step of a network of 16-32-10 on 16 samples. On a GPU the device works
/// meanwhile, and what is left to wait for after a few steps does not count.
fn overhead(env: &Env) -> Result<Measured> {
    const STEPS: usize = 20;
    let mut rng = Generator::new(3);
    let mut trainer = Trainer::new(model::small(&mut rng, env.device));
    let x = rng.uniform(&[16, 16], env.device).detach()?;
    let y = Tensor::new(&[1i32; 16], env.device);
    let mut seconds = Vec::new();
    let began = Instant::now();
    // The first batches warm up.
    for batch in 0.. {
        env.wait()?;
        let since = Instant::now();
        for _ in 0..STEPS {
            trainer.step(&[&x, &y])?;
        }
        if batch >= 5 {
            seconds.push(since.elapsed().as_secs_f64() / STEPS as f64);
        }
        if !seconds.is_empty() && began.elapsed().as_secs_f64() > env.options.seconds {
            break;
        }
    }
    let timing = timing::of(&mut seconds, STEPS);
    Ok(Measured {
        value: 1e6 * timing.median,
        low: 1e6 * timing.q1,
        high: 1e6 * timing.q3,
        note: timing.to_string(),
    })
}
