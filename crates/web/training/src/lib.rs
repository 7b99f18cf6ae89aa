//! The training runs of the page: the same source computes them natively, for the losses to expect, and in the tab.
//! It must be deterministic and must never wait: a tab cannot block.

use std::error::Error;

use wgrad_data::{DeviceDataset, ImageDataset, Loader, digits};
use wgrad_graph::{ConvOptions, Device, Generator, Reduction, Tensor};
use wgrad_nn::{Adam, Context, Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential};
use wgrad_nn::{Optimizer, gradients};

/// Of the digits, of the weights and of the order of the batches.
const SEED: u64 = 1;

/// The built-in digits that every run trains on: enough for the longest run without a second epoch.
pub fn training_digits() -> ImageDataset {
    digits::train_test(1280, 0, SEED).0
}

/// FNV-1a over pixels and labels: whether two targets draw the same digits.
pub fn checksum(dataset: &ImageDataset) -> u64 {
    let bytes = dataset.images().iter().chain(dataset.labels());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A short training run with Adam at a learning rate of 1e-3.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The network's name, which is also its key among the expected losses.
    pub name: &'static str,
    /// Number of steps, each with a batch of its own.
    pub steps: usize,
    /// Images in a batch.
    pub batch: usize,
    network: fn(&mut Generator, &Device) -> Sequential,
}

/// 784-256-128-10.
pub const MLP: Run = Run {
    name: "MLP",
    steps: 10,
    batch: 128,
    network: mlp,
};

/// Two convolutions with pooling, then two linear layers.
pub const CNN: Run = Run {
    name: "CNN",
    steps: 2,
    batch: 32,
    network: cnn,
};

/// Every run.
pub const RUNS: [Run; 2] = [MLP, CNN];

impl Run {
    /// Trains on `device`. One scalar a step, the loss before the step's update; nothing has been read back.
    ///
    /// # Errors
    /// The device refuses something; the dataset has fewer batches than there are steps.
    pub fn train(
        &self,
        dataset: &ImageDataset,
        device: &Device,
    ) -> Result<Vec<Tensor>, Box<dyn Error>> {
        let mut model = (self.network)(&mut Generator::new(SEED), device);
        let mut optimizer = Adam::new(1e-3);
        let mut context = Context::train(SEED);
        let (mean, std) = dataset.mean_std();
        let resident = DeviceDataset::new(dataset, device)?.normalized(mean.into(), std.into());
        let mut loader = Loader::new(resident, self.batch, SEED)?;
        let mut losses = Vec::new();
        for step in 0..self.steps {
            let batch = loader.next_batch();
            let (x, y) = batch.ok_or_else(|| format!("the epoch ends before step {step}"))?;
            let loss = model
                .forward(&x, &mut context)
                .cross_entropy(&y, Reduction::Mean);
            let gradients = gradients(&loss, &model)?;
            optimizer.step(&mut model, &gradients)?;
            context.next_step();
            losses.push(loss);
        }
        Ok(losses)
    }

    /// The losses of [`Run::train`], read back at the end, all at once.
    ///
    /// # Errors
    /// As [`Run::train`], or reading them fails.
    pub async fn losses(
        &self,
        dataset: &ImageDataset,
        device: &Device,
    ) -> Result<Vec<f32>, Box<dyn Error>> {
        let losses = self.train(dataset, device)?;
        let losses: Vec<&Tensor> = losses.iter().collect();
        Ok(Tensor::stack(&losses, 0).to_vec_async().await?)
    }
}

fn mlp(rng: &mut Generator, device: &Device) -> Sequential {
    Sequential::new()
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(784, 256, rng, device))
        .with("relu1", Relu)
        .with("fc2", Linear::new(256, 128, rng, device))
        .with("relu2", Relu)
        .with("fc3", Linear::new(128, 10, rng, device))
}

fn cnn(rng: &mut Generator, device: &Device) -> Sequential {
    let same = ConvOptions::default().padding([1, 1]);
    Sequential::new()
        .with("conv1", Conv2d::new(1, 32, [3, 3], same, rng, device))
        .with("relu1", Relu)
        .with("pool1", MaxPool2d::new(2))
        .with("conv2", Conv2d::new(32, 64, [3, 3], same, rng, device))
        .with("relu2", Relu)
        .with("pool2", MaxPool2d::new(2))
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(3136, 128, rng, device))
        .with("relu3", Relu)
        .with("fc2", Linear::new(128, 10, rng, device))
}
