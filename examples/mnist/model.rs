//! The two networks.

use clap::ValueEnum;
use wgrad::nn::{Conv2d, Flatten, LayerInfo, Linear, MaxPool2d, Relu, Sequential};
use wgrad::train::{Summary, SummaryRow};
use wgrad::{ConvOptions, Device, Generator};

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Mlp,
    Cnn,
}

impl Kind {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Mlp => "MLP",
            Kind::Cnn => "CNN",
        }
    }
}

/// A network with fresh weights.
pub fn build(kind: Kind, rng: &mut Generator, device: &Device) -> Sequential {
    match kind {
        Kind::Mlp => mlp(rng, device),
        Kind::Cnn => cnn(rng, device),
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

/// The table of layers.
pub fn summary(layers: Vec<LayerInfo>) -> Summary {
    let row = |l: LayerInfo| SummaryRow {
        name: l.name,
        kind: l.kind,
        output_shape: l.output_shape,
        parameters: l.parameters as u64,
        bytes: 4 * l.parameters as u64,
    };
    Summary {
        rows: layers.into_iter().map(row).collect(),
    }
}
