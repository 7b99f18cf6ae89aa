//! Trains a multi-layer perceptron or a convolutional network on MNIST, or on built-in digits where no data is given,
//! and leaves a report of what it learned.

use pico_args::Arguments;
use std::path::{Path, PathBuf};
use wgrad::data::{DeviceDataset, ImageDataset, Loader, Mnist, digits};
use wgrad::nn::{Adam, Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential};
use wgrad::plot::Figure;
use wgrad::report::{Panels, Run};
use wgrad::train::{ConfusionMatrix, Every, RunFolder, Trainer};
use wgrad::{ConvOptions, DType, Device, Generator, Reduction, Tensor};

const HELP: &str = "\
--model mlp|cnn       784-256-128-10, or two convolutions and two linear layers [cnn]
--device NAME         cpu, gpu, gpu:<part of the adapter's name> or reference [the best there is]
--epochs N            passes over the training images [2]
--batch-size N        images in a step [64 for the cnn, 128 for the mlp]
--lr RATE             learning rate of Adam at the first step [0.001]
--decay none|linear   linear: from half the run on the rate falls to zero [linear]
--seed N              of the weights, the order of the images and the built-in digits [1]
--data DIR            MNIST's four IDX files, plain or gzip [WGRAD_DATA]
--download            fetches MNIST into your cache folder (needs the feature `download`)
--train-images N      how many to use [all; 24000 of the built-in digits]
--test-images N       how many to use [all; 4000 of the built-in digits]
--steps N             stops after this many steps in all
--checkpoint DIR      where checkpoints go, after each epoch
--checkpoint-every N  or after this many steps
--resume              goes on from the last checkpoint if it is there
--metrics DIR         where metrics.jsonl and report.html go [out/mnist]";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
fn network(model: &str, rng: &mut Generator, device: &Device) -> Result<Sequential> {
    let (net, same) = (Sequential::new(), ConvOptions::default().padding([1, 1]));
    Ok(match model {
        "mlp" => net
            .with("flatten", Flatten::default())
            .with("fc1", Linear::new(784, 256, rng, device))
            .with("relu1", Relu)
            .with("fc2", Linear::new(256, 128, rng, device))
            .with("relu2", Relu)
            .with("fc3", Linear::new(128, 10, rng, device)),
        "cnn" => net
            .with("conv1", Conv2d::new(1, 32, [3, 3], same, rng, device))
            .with("relu1", Relu)
            .with("pool1", MaxPool2d::new(2))
            .with("conv2", Conv2d::new(32, 64, [3, 3], same, rng, device))
            .with("relu2", Relu)
            .with("pool2", MaxPool2d::new(2))
            .with("flatten", Flatten::default())
            .with("fc1", Linear::new(3136, 128, rng, device))
            .with("relu3", Relu)
            .with("fc2", Linear::new(128, 10, rng, device)),
        other => return Err(format!("--model is mlp or cnn, not {other}").into()),
    })
}

/// Training and test images: of a folder, or drawn.
fn images(args: &mut Arguments, seed: u64) -> Result<(ImageDataset, ImageDataset)> {
    let folder: Option<PathBuf> = args.opt_value_from_str("--data")?;
    let folder = folder.or(std::env::var_os("WGRAD_DATA").map(PathBuf::from));
    #[cfg(feature = "download")]
    let folder = match args.contains("--download") {
        true => Some(wgrad::data::download::mnist(|_| {})?),
        false => folder,
    };
    let n: Option<usize> = args.opt_value_from_str("--train-images")?;
    let m: Option<usize> = args.opt_value_from_str("--test-images")?;
    let (train, test) = match folder {
        Some(folder) if !folder.as_os_str().is_empty() => Mnist::load(&folder)?,
        _ => digits::train_test(n.unwrap_or(24_000), m.unwrap_or(4_000), seed),
    };
    let cut = |set: ImageDataset, n: Option<usize>| set.truncated(n.unwrap_or(usize::MAX));
    Ok((cut(train, n), cut(test, m)))
}

fn main() -> Result<()> {
    let mut args = Arguments::from_env();
    if args.contains("--help") {
        println!("{HELP}");
        return Ok(());
    }
    let device: Option<String> = args.opt_value_from_str("--device")?;
    let device = device.map_or_else(Device::best_blocking, |name| Device::open_blocking(&name))?;
    let seed = args.opt_value_from_str("--seed")?.unwrap_or(1);
    let (train, test) = images(&mut args, seed)?;
    let model: String = args.opt_value_from_str("--model")?.unwrap_or("cnn".into());
    let size = if model == "mlp" { 128 } else { 64 };
    let size = args.opt_value_from_str("--batch-size")?.unwrap_or(size);
    let epochs = args.opt_value_from_str("--epochs")?.unwrap_or(2);
    let lr = args.opt_value_from_str("--lr")?.unwrap_or(1e-3);
    let decay: Option<String> = args.opt_value_from_str("--decay")?;
    let steps = args.opt_value_from_str("--steps")?.unwrap_or(u64::MAX);
    let folder: Option<PathBuf> = args.opt_value_from_str("--checkpoint")?;
    let every = args.opt_value_from_str("--checkpoint-every")?;
    let resume = args.contains("--resume");
    let out: Option<PathBuf> = args.opt_value_from_str("--metrics")?;
    let out = out.unwrap_or("out/mnist".into());
    if let Some(odd) = args.finish().first() {
        return Err(format!("{odd:?} is no option; --help lists them").into());
    }
    let (mean, std) = train.mean_std();
    let loader = |set: &ImageDataset, size| -> Result<Loader> {
        let set = DeviceDataset::new(set, &device)?.normalized(mean.into(), std.into());
        Ok(Loader::new(set, size, seed)?)
    };
    let (batches, tests) = (loader(&train, size)?, loader(&test, 500)?.shuffle(false));
    let last = (epochs * train.len().div_ceil(size) as u64) as f64;
    let falls = match decay.as_deref() {
        None | Some("linear") => 2.0,
        Some("none") => 0.0,
        Some(other) => return Err(format!("--decay is none or linear, not {other}").into()),
    };
    let rate = move |step| lr * (2.0 - falls * step as f64 / last).min(1.0);
    let net = network(&model, &mut Generator::new(seed), &device)?;
    let run = RunFolder::new(&out).seed(seed).setting("model", model);
    let run = run.setting("lr", lr).setting("batch_size", size);
    let right = |out: &Tensor, y: &Tensor| out.argmax(1, false).eq(y).cast(DType::F32);
    let mut trainer = Trainer::supervised(net)
        .optimizer(Adam::new(lr))
        .seed(seed)
        .loss(|out, y| out.cross_entropy(y, Reduction::Mean))
        .metric("accuracy", |out, y| right(out, y).mean())
        .rate(|s| &mut s.optimizer, rate)
        .validate(tests.clone())
        .max_steps(steps)
        .log(run);
    if let Some(folder) = folder {
        let every = every.map_or(Every::Epochs(1), Every::Steps);
        trainer = trainer.checkpoint(folder, every, 0).resume(resume);
    }
    let fitted = trainer.fit(batches, epochs)?;
    report(&out, &test, &trainer.predict(tests)?)?;
    println!("{device}: {:.0} samples/s", fitted.samples_per_second());
    Ok(())
}

/// Prints the confusion matrix, and adds it to the run's report.
fn report(out: &Path, test: &ImageDataset, logits: &Tensor) -> Result<()> {
    let truth: Vec<i32> = test.labels().iter().map(|&l| l.into()).collect();
    let mut confusion = ConfusionMatrix::new(10);
    confusion.record_all(&truth, &logits.argmax(1, false).to_vec::<i32>()?)?;
    let right = 100.0 * confusion.accuracy().unwrap_or(0.0);
    println!("{confusion}\ntest accuracy {right:.2} %");
    let counts: Vec<u64> = (0..100).map(|i| confusion.count(i / 10, i % 10)).collect();
    let figure = Figure::new("").confusion(confusion.labels(), &counts);
    let panels = Panels::new().section("Test images");
    panels.figure("Confusion", &figure)?.write(out)?;
    Run::read(out)?.write_html()?;
    Ok(())
}
