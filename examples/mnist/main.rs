//! Trains a multi-layer perceptron or a convolutional network on MNIST, or on built-in digits where no data is given,
//! and leaves a picture of what it learned.
//!
//!     cargo run --release --example mnist -- --model cnn --epochs 1
//!
//! Nothing here is special to MNIST's size or to the device: the same program runs on the cpu and on any GPU.

mod evaluate;
mod model;
mod options;
mod picture;

use clap::Parser;
use evaluate::{Evaluation, evaluate};
use options::Options;
use std::time::Instant;
use wgrad::data::{Batches, DeviceDataset, ImageDataset, Loader, LoaderState};
use wgrad::nn::{Adam, Compiled, Context, Sequential, compile, gradients};
use wgrad::train::session::{capture, restore};
use wgrad::train::{
    Checkpoint, Counters, EndRecord, EpochRecord, MetricsWriter, Progress, RunningMean,
};
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() {
    if let Err(e) = run(&Options::parse()) {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    let device = match &options.device {
        Some(name) => Device::open_blocking(name)?,
        None => Device::best_blocking()?,
    };
    let (train, test, data) = options.dataset()?;
    println!("device  {device}");
    println!(
        "data    {data}: {} training and {} test images",
        train.len(),
        test.len()
    );
    let mut trainer = Trainer::new(options, &device, &train)?;
    println!("{}", trainer.summary()?);
    let (mean, std) = train.mean_std();
    let test_set = DeviceDataset::new(&test, &device)?.normalized(mean.into(), std.into());
    let began = Instant::now();
    while trainer.loader.epochs_done() < options.epochs && !trainer.stopped() {
        trainer.epoch(&test_set)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let result = evaluate(&mut trainer.state.model, &test_set)?;
    finish(options, &trainer, &result, &test, &data, seconds)
}

/// What training changes.
#[derive(Module)]
struct State {
    model: Sequential,
    optimizer: Adam,
    context: Context,
}

/// From the indices of a batch to its loss and the number of its hits.
type StepFunction = dyn FnMut(&mut State, &[Tensor]) -> wgrad::Result<(Tensor, Tensor)>;

/// A training run: what a checkpoint holds, and what is shown on the way.
struct Trainer<'a> {
    options: &'a Options,
    device: Device,
    state: State,
    train_step: Compiled<State, (Tensor, Tensor), Box<StepFunction>>,
    loader: Loader,
    step: u64,
    samples: u64,
    metrics: Option<MetricsWriter>,
    losses: Vec<f32>,
    epochs: Vec<EpochRecord>,
    training_seconds: f64,
}

impl<'a> Trainer<'a> {
    fn new(options: &'a Options, device: &Device, train: &ImageDataset) -> Result<Trainer<'a>> {
        let mut state = State {
            model: model::build(options.model, &mut Generator::new(options.seed), device),
            optimizer: Adam::new(options.lr),
            context: Context::train(options.seed),
        };
        let (mean, std) = train.mean_std();
        let dataset = DeviceDataset::new(train, device)?.normalized(mean.into(), std.into());
        let mut loader = Loader::new(dataset, options.batch_size(), options.seed)?;
        let mut step = 0;
        if let Some(path) = options.resumed() {
            let checkpoint = Checkpoint::load(path)?;
            let (counters, warning) = restore(
                &checkpoint,
                &mut state.model,
                &mut state.optimizer,
                &mut state.context,
                device,
            )?;
            if let Some(warning) = warning {
                eprintln!("warning: {warning}");
            }
            step = counters.get("step").copied().unwrap_or(0);
            loader.set_state(resumed_position(loader.state(), &counters))?;
            println!("resumed from {} at step {step}", path.display());
        }
        let resumed = options.resumed().is_some();
        let metrics = options.metrics.as_ref().map(|path| {
            if resumed {
                MetricsWriter::resume(path, step)
            } else {
                MetricsWriter::create(path)
            }
        });
        Ok(Trainer {
            options,
            device: device.clone(),
            state,
            train_step: compile(train_step(loader.dataset().clone())),
            loader,
            step,
            samples: 0,
            metrics: metrics.transpose()?,
            losses: Vec::new(),
            epochs: Vec::new(),
            training_seconds: 0.0,
        })
    }

    fn summary(&mut self) -> Result<wgrad::train::Summary> {
        let rows = self.state.model.summary(&[1, 1, 28, 28], &self.device)?;
        Ok(model::summary(rows))
    }

    fn stopped(&self) -> bool {
        self.options.steps.is_some_and(|n| self.step >= n)
    }

    /// One epoch, or what is left of it after a resume.
    fn epoch(&mut self, test: &DeviceDataset) -> Result<()> {
        let epoch = self.loader.epochs_done();
        let title = format!("epoch {}/{}", epoch + 1, self.options.epochs);
        let mut progress = Progress::new(title, self.loader.batches_per_epoch() as u64);
        let mut watch = Watch::default();
        let began = Instant::now();
        let first = self.samples;
        while let Some(index) = self.loader.next_index() {
            let (loss, correct) = self.step(&index)?;
            watch.push(loss, correct, index.numel());
            if watch.due() || self.checkpoint_due() {
                self.read(&mut watch)?;
                let done = self.position_in_epoch();
                progress.update(done, self.samples - first, watch.last, watch.accuracy());
            }
            if self.checkpoint_due() {
                self.save()?;
            }
            if self.stopped() {
                break;
            }
        }
        self.read(&mut watch)?;
        self.training_seconds += began.elapsed().as_secs_f64();
        progress.update(
            self.loader.batches_per_epoch() as u64,
            self.samples - first,
            watch.last,
            watch.accuracy(),
        );
        progress.finish();
        let result = evaluate(&mut self.state.model, test)?;
        self.record(epoch, &watch, &result, began.elapsed().as_secs_f64())?;
        self.save()
    }

    /// One step: one plan, one submission. Nothing is read back here.
    fn step(&mut self, index: &Tensor) -> Result<(Tensor, Tensor)> {
        let steps = self.options.epochs * self.loader.batches_per_epoch() as u64;
        let lr = self.options.lr_at(self.step, steps);
        self.state.optimizer.set_lr(lr);
        let outputs = self.train_step.call(&mut self.state, &[index])?;
        self.step += 1;
        self.samples += index.numel() as u64;
        Ok(outputs)
    }

    /// Fetches the losses of the last steps in one read.
    fn read(&mut self, watch: &mut Watch) -> Result<()> {
        let first = self.step + 1 - watch.pending.len() as u64;
        for (n, loss) in watch.read()?.into_iter().enumerate() {
            self.losses.push(loss);
            if let Some(metrics) = &mut self.metrics {
                metrics.step(first + n as u64, loss)?;
            }
        }
        Ok(())
    }

    /// BatchSampler of the epoch that are done. The loader has already gone on when the last one is.
    fn position_in_epoch(&self) -> u64 {
        let state = self.loader.state();
        state["position"].div_ceil(state["batch_size"].max(1))
    }

    fn record(
        &mut self,
        epoch: u64,
        watch: &Watch,
        result: &Evaluation,
        seconds: f64,
    ) -> Result<()> {
        let record = EpochRecord {
            epoch: epoch + 1,
            step: self.step,
            train_loss: watch.loss.value().map(|v| v as f32),
            train_accuracy: watch.accuracy(),
            test_loss: Some(result.loss as f32),
            test_accuracy: Some(result.accuracy()),
            seconds,
        };
        println!(
            "epoch {}: train loss {:.4}, train accuracy {:.2} %, test accuracy {:.2} % in {seconds:.1} s",
            epoch + 1,
            watch.loss.value().unwrap_or(f64::NAN),
            100.0 * watch.accuracy().unwrap_or(f64::NAN),
            100.0 * result.accuracy(),
        );
        if let Some(metrics) = &mut self.metrics {
            metrics.epoch(&record)?;
        }
        self.epochs.push(record);
        Ok(())
    }

    fn checkpoint_due(&self) -> bool {
        let every = self.options.checkpoint_every;
        self.options.checkpoint.is_some() && every > 0 && self.step.is_multiple_of(every)
    }

    fn save(&mut self) -> Result<()> {
        let Some(path) = &self.options.checkpoint else {
            return Ok(());
        };
        // First the lines, then the checkpoint: a resumed run cuts off lines that are too many, but cannot make up any.
        if let Some(metrics) = &mut self.metrics {
            metrics.flush()?;
        }
        let state = self.loader.state();
        let mut counters = Counters::new();
        counters.insert("step".into(), self.step);
        counters.insert("epoch".into(), state["epoch"]);
        counters.insert("position".into(), state["position"]);
        let captured = capture(
            &self.state.model,
            &self.state.optimizer,
            &self.state.context,
            &self.device,
            &counters,
        );
        wgrad::block_on(captured)?.save(path)?;
        Ok(())
    }
}

/// The step that is compiled: forward, backward and update, on a batch gathered from `data`.
fn train_step(data: DeviceDataset) -> Box<StepFunction> {
    Box::new(move |state, inputs| {
        let (x, y) = data.gather(&inputs[0]);
        let logits = state.model.forward(&x, &mut state.context);
        let loss = logits.cross_entropy(&y, Reduction::Mean);
        let correct = logits.argmax(1, false).eq(&y).sum();
        let gradients = gradients(&loss, &state.model)?.also(&correct);
        state.optimizer.step(&mut state.model, &gradients)?;
        state.context.next_step();
        Ok((loss, correct))
    })
}

/// Where the saved run's loader stood, for the dataset and batch size of this one.
fn resumed_position(mut state: LoaderState, counters: &Counters) -> LoaderState {
    for name in ["epoch", "position"] {
        state.insert(name.into(), counters.get(name).copied().unwrap_or(0));
    }
    state
}

/// Losses and counts that are still on the device, and the means of those that were read.
#[derive(Default)]
struct Watch {
    pending: Vec<(Tensor, Tensor, usize)>,
    since: Option<Instant>,
    loss: RunningMean,
    hits: RunningMean,
    last: Option<f32>,
}

impl Watch {
    fn push(&mut self, loss: Tensor, correct: Tensor, samples: usize) {
        self.since.get_or_insert_with(Instant::now);
        self.pending.push((loss, correct, samples));
    }

    /// Now and then, so that the device never waits for the reader.
    fn due(&self) -> bool {
        self.pending.len() >= 64 || self.since.is_some_and(|t| t.elapsed().as_millis() > 400)
    }

    fn accuracy(&self) -> Option<f64> {
        self.hits.value()
    }

    fn read(&mut self) -> Result<Vec<f32>> {
        self.since = None;
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let pending = std::mem::take(&mut self.pending);
        let losses =
            Tensor::stack(&pending.iter().map(|p| &p.0).collect::<Vec<_>>(), 0).to_vec::<f32>()?;
        let hits =
            Tensor::stack(&pending.iter().map(|p| &p.1).collect::<Vec<_>>(), 0).to_vec::<i32>()?;
        for ((loss, hits), (_, _, samples)) in losses.iter().zip(hits).zip(&pending) {
            self.loss.add_weighted(f64::from(*loss), *samples as f64);
            self.hits
                .add_weighted(f64::from(hits) / *samples as f64, *samples as f64);
        }
        self.last = losses.last().copied();
        Ok(losses)
    }
}

fn finish(
    options: &Options,
    trainer: &Trainer,
    result: &Evaluation,
    test: &ImageDataset,
    data: &str,
    seconds: f64,
) -> Result<()> {
    let rate = trainer.samples as f64 / trainer.training_seconds.max(1e-9);
    println!("\n{}", result.confusion);
    println!(
        "test accuracy {:.2} %, {rate:.0} samples/s",
        100.0 * result.accuracy()
    );
    if let Some(path) = &options.picture {
        picture::draw(path, trainer, result, test, data, rate)?;
        println!("picture {}", path.display());
    }
    if let Some(path) = &options.metrics {
        let mut metrics = MetricsWriter::append(path)?;
        metrics.end(&EndRecord {
            test_accuracy: Some(result.accuracy()),
            samples_per_second: rate,
            seconds,
            device: trainer.device.to_string(),
            data: data.to_string(),
        })?;
    }
    Ok(())
}
