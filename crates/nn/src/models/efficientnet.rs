//! EfficientNet (Tan and Le 2019): inverted residuals with squeeze and excitation.

use super::{conv, conv_norm, model};
use crate::init::{self, Fan};
use crate::{
    BatchNorm2d, Context, Conv2d, DropPath, Dropout, Layer, Linear, Module, Sequential, Silu,
};
use wgrad_graph::{ConvOptions, Device, Generator, Tensor};

/// Scales channels by a function of their means (Hu et al. 2018).
#[derive(Clone, Module)]
#[module(crate = crate)]
struct SqueezeExcitation {
    fc1: Conv2d,
    fc2: Conv2d,
}

impl SqueezeExcitation {
    #[track_caller]
    fn new(channels: usize, squeezed: usize, rng: &mut Generator, device: &Device) -> Self {
        let mut point = |from, to| {
            let options = ConvOptions::default();
            let mut conv = Conv2d::new(from, to, [1, 1], options, rng, device);
            conv.weight = init::kaiming_normal(&[to, from, 1, 1], 0.0, Fan::Out, rng, device);
            conv.bias = Some(init::zeros(&[to], device));
            conv
        };
        SqueezeExcitation {
            fc1: point(channels, squeezed),
            fc2: point(squeezed, channels),
        }
    }
}

impl Layer for SqueezeExcitation {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, _: &mut Context) -> Tensor {
        let means = x.mean_dims(&[-2, -1], true);
        let scale = self.fc2.forward(&self.fc1.forward(&means).silu()).sigmoid();
        x * scale
    }

    fn kind(&self) -> String {
        "SqueezeExcitation".to_string()
    }
}

/// Sizes of a block.
#[derive(Clone, Copy)]
struct Shape {
    from: usize,
    to: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
}

/// Expansion, depthwise convolution, excitation, projection, beside the identity where sizes stay.
#[derive(Module)]
#[module(crate = crate)]
struct MbConv {
    block: Sequential,
    drop_path: Option<DropPath>,
}

impl MbConv {
    #[track_caller]
    fn new(shape: Shape, drop: f64, rng: &mut Generator, device: &Device) -> MbConv {
        let Shape {
            from,
            to,
            kernel,
            stride,
            expansion,
        } = shape;
        let hidden = from * expansion;
        let mut layers = Sequential::new();
        if expansion != 1 {
            layers = layers.push(conv_norm([from, hidden], 1, 1, 1, Silu, (rng, device)));
        }
        let deep = conv_norm([hidden; 2], kernel, stride, hidden, Silu, (rng, device));
        let block = layers
            .push(deep)
            .push(SqueezeExcitation::new(
                hidden,
                (from / 4).max(1),
                rng,
                device,
            ))
            .push(
                Sequential::new()
                    .push(conv([hidden, to], 1, 1, 1, rng, device))
                    .push(BatchNorm2d::new(to, device)),
            );
        MbConv {
            block,
            drop_path: (stride == 1 && from == to).then(|| DropPath::new(drop)),
        }
    }
}

impl Layer for MbConv {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let y = self.block.forward(x, cx);
        match &self.drop_path {
            Some(drop) => drop.forward(&y, cx) + x,
            None => y,
        }
    }

    fn kind(&self) -> String {
        "MbConv".to_string()
    }
}

/// A convolution, 16 blocks, a convolution, a mean, a linear map.
#[derive(Module)]
#[module(crate = crate)]
pub struct EfficientNet {
    /// All convolutions.
    pub features: Sequential,
    /// Dropout and a linear map.
    pub classifier: Sequential,
}

/// Expansion, kernel, first stride, channels and blocks of each stage of B0.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

impl EfficientNet {
    /// The smallest, with torchvision's initial distributions. Branches are dropped with a probability that grows with
    /// depth, to 0.2.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Module, models::EfficientNet};
    /// let device = Device::cpu();
    /// let mut net = EfficientNet::b0(1000, &mut Generator::new(0), &device);
    /// assert_eq!(net.num_parameters(), 5_288_548);
    /// let x = Tensor::ones(&[2, 3, 224, 224], DType::F32, &device);
    /// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 1000]);
    /// ```
    #[track_caller]
    pub fn b0(num_classes: usize, rng: &mut Generator, device: &Device) -> EfficientNet {
        let total: usize = STAGES.iter().map(|s| s[4]).sum();
        let stem = conv_norm([3, 32], 3, 2, 1, Silu, (rng, device));
        let (mut features, mut from, mut done) = (Sequential::new().push(stem), 32, 0);
        for [expansion, kernel, first, to, blocks] in STAGES {
            let mut stage = Sequential::new();
            for i in 0..blocks {
                let stride = if i == 0 { first } else { 1 };
                let shape = Shape {
                    from,
                    to,
                    kernel,
                    stride,
                    expansion,
                };
                let drop = 0.2 * done as f64 / total as f64;
                stage = stage.push(MbConv::new(shape, drop, rng, device));
                (from, done) = (to, done + 1);
            }
            features = features.push(stage);
        }
        let bound = 1.0 / (num_classes.max(1) as f64).sqrt();
        let head = Linear {
            weight: init::symmetric(&[num_classes, 1280], bound, rng, device),
            bias: Some(init::zeros(&[num_classes], device)),
        };
        EfficientNet {
            features: features.push(conv_norm([from, 1280], 1, 1, 1, Silu, (rng, device))),
            classifier: Sequential::new().push(Dropout::new(0.2)).push(head),
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.features.forward(x, cx).mean_dims(&[-2, -1], false);
        self.classifier.forward(&x, cx)
    }
}

model!(EfficientNet);
