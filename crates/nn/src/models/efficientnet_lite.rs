//! EfficientNet-Lite0 (Liu 2020): EfficientNet-B0 without excitation, with ReLU6, and padded as TensorFlow pads. Its names are
//! those of the published weights (`_conv_stem.weight`, `_blocks.0._depthwise_conv.weight` …).

use super::{model, named};
use crate::init::{self, Fan};
use crate::{BatchNorm2d, Context, Conv2d, DropPath, Dropout, Linear};
use wgrad_graph::{ConvOptions, Device, Generator, PadMode, Tensor};

/// A convolution without bias and without padding of its own.
#[track_caller]
fn conv(
    [from, to]: [usize; 2],
    [kernel, stride, groups]: [usize; 3],
    rng: &mut Generator,
    device: &Device,
) -> Conv2d {
    let options = ConvOptions::default().stride([stride; 2]).groups(groups);
    let mut conv = Conv2d::new(from, to, [kernel; 2], options, rng, device).without_bias();
    let shape = conv.weight.shape().to_vec();
    conv.weight = init::kaiming_normal(&shape, 0.0, Fan::Out, rng, device);
    conv
}

fn norm(channels: usize, device: &Device) -> BatchNorm2d {
    BatchNorm2d::new(channels, device)
        .eps(1e-3)
        .momentum(Some(0.01))
}

/// The convolution of `x`, padded so that a stride of `s` leaves `⌈n / s⌉` of `n`; what is odd goes behind.
#[track_caller]
fn same(conv: &Conv2d, x: &Tensor) -> Tensor {
    if x.rank() != 4 {
        return conv.forward(x);
    }
    let side = |dim: usize| {
        let (n, kernel) = (x.size(dim as isize), conv.weight.size(dim as isize));
        let stride = conv.options.stride[dim - 2];
        let needed = (n.div_ceil(stride).max(1) - 1) * stride + kernel;
        let total = needed.saturating_sub(n) as isize;
        [total / 2, total - total / 2]
    };
    let ([top, bottom], [left, right]) = (side(2), side(3));
    let x = match [left, right, top, bottom] {
        [0, 0, 0, 0] => x.clone(),
        sides => x.pad(&sides, PadMode::Constant(0.0)),
    };
    conv.forward(&x)
}

/// Expansion, depthwise convolution, projection, beside the identity where sizes stay.
#[derive(Clone)]
struct Block {
    expand_conv: Option<Conv2d>,
    bn0: Option<BatchNorm2d>,
    depthwise_conv: Conv2d,
    bn1: BatchNorm2d,
    project_conv: Conv2d,
    bn2: BatchNorm2d,
    drop_path: Option<DropPath>,
}

named!(Block {
    "_expand_conv" => expand_conv,
    "_bn0" => bn0,
    "_depthwise_conv" => depthwise_conv,
    "_bn1" => bn1,
    "_project_conv" => project_conv,
    "_bn2" => bn2,
    "drop_path" => drop_path,
});

impl Block {
    #[track_caller]
    fn new(
        [from, to]: [usize; 2],
        [expansion, kernel, stride]: [usize; 3],
        drop: f64,
        rng: &mut Generator,
        device: &Device,
    ) -> Block {
        let hidden = from * expansion;
        let wider = expansion != 1;
        Block {
            expand_conv: wider.then(|| conv([from, hidden], [1, 1, 1], rng, device)),
            bn0: wider.then(|| norm(hidden, device)),
            depthwise_conv: conv([hidden; 2], [kernel, stride, hidden], rng, device),
            bn1: norm(hidden, device),
            project_conv: conv([hidden, to], [1, 1, 1], rng, device),
            bn2: norm(to, device),
            drop_path: (stride == 1 && from == to).then(|| DropPath::new(drop)),
        }
    }

    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let mut y = x.clone();
        if let (Some(conv), Some(norm)) = (&self.expand_conv, &mut self.bn0) {
            y = norm.forward(&conv.forward(&y), cx).relu6();
        }
        y = same(&self.depthwise_conv, &y);
        y = self.bn1.forward(&y, cx).relu6();
        y = self.bn2.forward(&self.project_conv.forward(&y), cx);
        match &self.drop_path {
            Some(drop) => drop.forward(&y, cx) + x,
            None => y,
        }
    }
}

/// A convolution, 16 blocks, a convolution, a mean, a linear map.
#[derive(Clone)]
pub struct EfficientNetLite {
    conv_stem: Conv2d,
    bn0: BatchNorm2d,
    blocks: Vec<Block>,
    conv_head: Conv2d,
    bn1: BatchNorm2d,
    dropout: Dropout,
    fc: Linear,
}

named!(EfficientNetLite {
    "_conv_stem" => conv_stem,
    "_bn0" => bn0,
    "_blocks" => blocks,
    "_conv_head" => conv_head,
    "_bn1" => bn1,
    "dropout" => dropout,
    "_fc" => fc,
});

/// Expansion, kernel, first stride, channels and blocks of each stage.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

impl EfficientNetLite {
    /// The smallest. Images `[batch, 3, height, width]` were scaled to means of 0 and deviations of 1 by ImageNet's numbers where
    /// the published weights were trained.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Module, models::EfficientNetLite};
    /// let device = Device::cpu();
    /// let mut net = EfficientNetLite::lite0(1000, &mut Generator::new(0), &device);
    /// assert_eq!(net.num_parameters(), 4_652_008);
    /// let x = Tensor::ones(&[2, 3, 224, 224], DType::F32, &device);
    /// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 1000]);
    /// ```
    #[track_caller]
    pub fn lite0(num_classes: usize, rng: &mut Generator, device: &Device) -> EfficientNetLite {
        let total: usize = STAGES.iter().map(|s| s[4]).sum();
        let conv_stem = conv([3, 32], [3, 2, 1], rng, device);
        let (mut blocks, mut from) = (Vec::new(), 32);
        for [expansion, kernel, first, to, count] in STAGES {
            for i in 0..count {
                let stride = if i == 0 { first } else { 1 };
                let drop = 0.2 * blocks.len() as f64 / total as f64;
                let sizes = [expansion, kernel, stride];
                blocks.push(Block::new([from, to], sizes, drop, rng, device));
                from = to;
            }
        }
        EfficientNetLite {
            conv_stem,
            bn0: norm(32, device),
            blocks,
            conv_head: conv([from, 1280], [1, 1, 1], rng, device),
            bn1: norm(1280, device),
            dropout: Dropout::new(0.2),
            fc: super::head(1280, num_classes, rng, device),
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = same(&self.conv_stem, x);
        let mut x = self.bn0.forward(&x, cx).relu6();
        for block in &mut self.blocks {
            x = block.forward(&x, cx);
        }
        let x = self.bn1.forward(&self.conv_head.forward(&x), cx).relu6();
        let x = self.dropout.forward(&x.mean_dims(&[-2, -1], false), cx);
        self.fc.forward(&x)
    }
}

model!(EfficientNetLite);
