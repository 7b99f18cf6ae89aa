//! ResNet-18 as it is for images of 32 by 32: a first convolution of 3 by 3 and no pooling. Its weights are averaged over the
//! steps.

use super::super::case::Unit;
use super::images;
use super::step::{Model, Step, Trained, descend, plain};
use wgrad::nn::{Average, BatchNorm2d, Context, Conv2d, Linear, Sgd};
use wgrad::{ConvOptions, Device, Generator, Module, Optimizer, Reduction, Tensor};

pub const RESNET18: Model = Model {
    name: "resnet18_32_b16",
    unit: Unit::Samples,
    amount: images::BATCH,
    build,
    batch: images::batch,
};

#[derive(Clone, Module)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

#[derive(Clone, Module)]
struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    blocks: Vec<Block>,
    fc: Linear,
}

/// A convolution without bias that keeps the size but for its stride.
fn conv(
    [from, to]: [usize; 2],
    kernel: usize,
    stride: usize,
    rng: &mut Generator,
    device: &Device,
) -> Conv2d {
    let options = ConvOptions::default()
        .stride([stride; 2])
        .padding([kernel / 2; 2]);
    Conv2d::new(from, to, [kernel; 2], options, rng, device).without_bias()
}

impl Block {
    fn new([from, to]: [usize; 2], stride: usize, rng: &mut Generator, device: &Device) -> Block {
        let norm = || BatchNorm2d::new(to, device);
        Block {
            conv1: conv([from, to], 3, stride, rng, device),
            bn1: norm(),
            conv2: conv([to, to], 3, 1, rng, device),
            bn2: norm(),
            downsample: (from != to || stride != 1)
                .then(|| (conv([from, to], 1, stride, rng, device), norm())),
        }
    }

    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x), cx).relu();
        let y = self.bn2.forward(&self.conv2.forward(&y), cx);
        let around = match &mut self.downsample {
            Some((conv, norm)) => norm.forward(&conv.forward(x), cx),
            None => x.clone(),
        };
        (y + around).relu()
    }
}

impl ResNet {
    fn new(rng: &mut Generator, device: &Device) -> ResNet {
        let conv1 = conv([3, 64], 3, 1, rng, device);
        let (mut blocks, mut from) = (Vec::new(), 64);
        for (to, stride) in [(64, 1), (128, 2), (256, 2), (512, 2)] {
            blocks.push(Block::new([from, to], stride, rng, device));
            blocks.push(Block::new([to, to], 1, rng, device));
            from = to;
        }
        ResNet {
            conv1,
            bn1: BatchNorm2d::new(64, device),
            blocks,
            fc: Linear::new(from, images::CLASSES, rng, device),
        }
    }

    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let mut x = self.bn1.forward(&self.conv1.forward(x), cx).relu();
        for block in &mut self.blocks {
            x = block.forward(&x, cx);
        }
        self.fc.forward(&x.mean_dims(&[-2, -1], false))
    }
}

type Rest = (Sgd, Average<ResNet>, Context);

/// A cosine over 100 steps, down and up again.
fn cosine((sgd, ..): &mut Rest, step: u64) {
    let turn = std::f64::consts::PI * step as f64 / 100.0;
    sgd.set_lr(0.025 * (1.0 + turn.cos()));
}

fn build(device: &Device) -> Box<dyn Step> {
    let model = ResNet::new(&mut Generator::new(0), device);
    let average = Average::ema(model.clone(), 0.99);
    let sgd = images::sgd(5e-4).nesterov(true);
    let sgd = sgd.group("plain", plain, |g| g.weight_decay(0.0));
    let rest: Rest = (sgd, average, Context::train(0));
    let step = Trained::new(model, rest, |model, (sgd, average, cx), batch| {
        let scores = model.forward(&batch[0], cx);
        let loss = scores.cross_entropy(&batch[1], Reduction::Mean);
        let norm = descend(&loss, model, sgd)?;
        average.update(model)?;
        Ok(vec![loss, norm])
    });
    Box::new(step.scheduled(cosine))
}
