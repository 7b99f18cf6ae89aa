//! The networks, the data and the training step that several tests share.

use crate::support::open_gpu;
use std::path::PathBuf;
use std::sync::OnceLock;
use wgrad::data::{DeviceDataset, ImageDataset, Loader, Mnist, digits};
use wgrad::nn::{Adam, Context, Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential, gradients};
use wgrad::train::session::{capture, restore};
use wgrad::train::{Checkpoint, Counters};
use wgrad::{
    ConvOptions, Device, Generator, Optimizer, Reduction, Result, Settings, Tensor, block_on,
};

/// Two convolutions with pooling, then two linear layers; `size` is the side of an image.
pub struct CnnShape {
    pub size: usize,
    pub channels: [usize; 2],
    pub hidden: usize,
}

/// The network of the example.
pub const CNN: CnnShape = CnnShape {
    size: 28,
    channels: [32, 64],
    hidden: 128,
};

/// One of the same form that the reference can evaluate often.
pub const SMALL_CNN: CnnShape = CnnShape {
    size: 8,
    channels: [3, 4],
    hidden: 8,
};

impl CnnShape {
    /// The network with fresh weights.
    pub fn build(&self, seed: u64, device: &Device) -> Sequential {
        let rng = &mut Generator::new(seed);
        let same = ConvOptions::default().padding([1, 1]);
        let [c1, c2] = self.channels;
        let flat = c2 * (self.size / 4) * (self.size / 4);
        Sequential::new()
            .with("conv1", Conv2d::new(1, c1, [3, 3], same, rng, device))
            .with("relu1", Relu)
            .with("pool1", MaxPool2d::new(2))
            .with("conv2", Conv2d::new(c1, c2, [3, 3], same, rng, device))
            .with("relu2", Relu)
            .with("pool2", MaxPool2d::new(2))
            .with("flatten", Flatten::default())
            .with("fc1", Linear::new(flat, self.hidden, rng, device))
            .with("relu3", Relu)
            .with("fc2", Linear::new(self.hidden, 10, rng, device))
    }
}

/// 784-256-128-10.
pub fn mlp(seed: u64, device: &Device) -> Sequential {
    let rng = &mut Generator::new(seed);
    Sequential::new()
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(784, 256, rng, device))
        .with("relu1", Relu)
        .with("fc2", Linear::new(256, 128, rng, device))
        .with("relu2", Relu)
        .with("fc3", Linear::new(128, 10, rng, device))
}

/// The first training images: MNIST where `WGRAD_DATA` names it or it lies beside the checkout, else built-in digits.
pub fn images() -> &'static (ImageDataset, &'static str) {
    static DATA: OnceLock<(ImageDataset, &'static str)> = OnceLock::new();
    const N: usize = 4096;
    DATA.get_or_init(|| {
        let beside = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/data/mnist"
        ));
        let folder = std::env::var_os("WGRAD_DATA").map_or(beside, PathBuf::from);
        if folder.is_dir() {
            let (train, _) = Mnist::load(&folder).expect("MNIST is there and sound");
            (train.truncated(N), "MNIST")
        } else {
            (digits::generate(N, 1), "built-in digits")
        }
    })
}

/// The images on a device, normalised.
pub fn dataset(device: &Device) -> DeviceDataset {
    let (images, _) = images();
    let (mean, std) = images.mean_std();
    DeviceDataset::new(images, device)
        .expect("room for the images")
        .normalized(mean.into(), std.into())
}

/// A training run: model, Adam at 1e-3, batches.
pub struct Run {
    pub device: Device,
    pub model: Sequential,
    pub optimizer: Adam,
    pub context: Context,
    pub loader: Loader,
}

impl Run {
    pub fn new(model: Sequential, batch: usize, seed: u64, device: &Device) -> Run {
        Run {
            device: device.clone(),
            model,
            optimizer: Adam::new(1e-3),
            context: Context::train(seed),
            loader: Loader::new(dataset(device), batch, seed).expect("a loader"),
        }
    }

    pub fn cnn(seed: u64, device: &Device) -> Run {
        Run::new(CNN.build(seed, device), 64, seed, device)
    }

    pub fn next_batch(&mut self) -> (Tensor, Tensor) {
        loop {
            if let Some(batch) = self.loader.next_batch() {
                return batch;
            }
        }
    }

    /// The loss of a batch, not run yet.
    pub fn loss(&mut self, (x, y): &(Tensor, Tensor)) -> Tensor {
        let logits = self.model.forward(x, &mut self.context);
        logits.cross_entropy(y, Reduction::Mean)
    }

    /// One step; the loss is not read.
    pub fn step(&mut self) -> Result<Tensor> {
        let batch = self.next_batch();
        let loss = self.loss(&batch);
        let g = gradients(&loss, &self.model)?;
        self.optimizer.step(&mut self.model, &g)?;
        self.context.next_step();
        Ok(loss)
    }

    /// The losses of some steps.
    pub fn steps(&mut self, n: usize) -> Result<Vec<f32>> {
        (0..n).map(|_| self.step()?.item::<f32>()).collect()
    }

    pub fn capture(&self) -> Checkpoint {
        let counters = Counters::new();
        let run = capture(
            &self.model,
            &self.optimizer,
            &self.context,
            &self.device,
            &counters,
        );
        block_on(run).expect("a checkpoint")
    }

    pub fn restore(&mut self, checkpoint: &Checkpoint) {
        restore(
            checkpoint,
            &mut self.model,
            &mut self.optimizer,
            &mut self.context,
            &self.device,
        )
        .expect("the checkpoint fits");
    }
}

/// A cpu device that no other test uses.
pub fn own_cpu() -> Device {
    Device::cpu_with(&Settings::default())
}

/// A GPU device that no other test uses, where there is a GPU.
pub fn own_gpu() -> Option<Device> {
    open_gpu(&Settings::default())
}

/// Devices that no other test uses.
pub fn own_devices() -> Vec<Device> {
    std::iter::once(own_cpu()).chain(own_gpu()).collect()
}

/// The greatest difference by the greatest entry of `want`.
pub fn relative(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let differs = |(g, w): (&f32, &f32)| (f64::from(*g) - f64::from(*w)).abs();
    let worst = got.iter().zip(want).map(differs).fold(0.0f64, |m, d| {
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    });
    if worst == 0.0 { 0.0 } else { worst / largest }
}
