//! ResNet (He et al. 2016), with torchvision's stride in the 3 by 3 convolution of a bottleneck.

use super::{conv, model};
use crate::{BatchNorm2d, Context, Conv2d, Linear, Module, Sequential};
use wgrad_graph::{Device, Generator, PoolOptions, Tensor};

/// A block: two convolutions of 3 by 3, or a bottleneck of 1 by 1, 3 by 3 and 1 by 1, beside a shortcut.
#[derive(Module)]
#[module(crate = crate)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm2d>,
    downsample: Option<Sequential>,
}

impl Block {
    #[track_caller]
    fn new(
        from: usize,
        width: usize,
        stride: usize,
        bottleneck: bool,
        rng: &mut Generator,
        device: &Device,
    ) -> Block {
        let norm = |channels| BatchNorm2d::new(channels, device);
        let to = if bottleneck { 4 * width } else { width };
        let [(k1, s1), (k2, s2)] = match bottleneck {
            true => [(1, 1), (3, stride)],
            false => [(3, stride), (3, 1)],
        };
        let shortcut = stride != 1 || from != to;
        Block {
            conv1: conv([from, width], k1, s1, 1, rng, device),
            bn1: norm(width),
            conv2: conv([width, width], k2, s2, 1, rng, device),
            bn2: norm(width),
            conv3: bottleneck.then(|| conv([width, to], 1, 1, 1, rng, device)),
            bn3: bottleneck.then(|| norm(to)),
            downsample: shortcut.then(|| {
                Sequential::new()
                    .push(conv([from, to], 1, stride, 1, rng, device))
                    .push(norm(to))
            }),
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x), cx).relu();
        let mut y = self.bn2.forward(&self.conv2.forward(&y), cx);
        if let (Some(conv), Some(norm)) = (&self.conv3, &mut self.bn3) {
            y = norm.forward(&conv.forward(&y.relu()), cx);
        }
        let around = match &mut self.downsample {
            Some(downsample) => downsample.forward(x, cx),
            None => x.clone(),
        };
        (y + around).relu()
    }
}

/// A convolution, four groups of residual blocks, a mean, a linear map.
#[derive(Module)]
#[module(crate = crate)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    /// The last linear map.
    pub fc: Linear,
}

macro_rules! depths {
    ($($(#[$doc:meta])* $name:ident, $blocks:expr, $bottleneck:literal;)*) => {
        impl ResNet {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(num_classes: usize, rng: &mut Generator, device: &Device) -> ResNet {
                ResNet::of($blocks, $bottleneck, num_classes, rng, device)
            })*
        }
    };
}

depths! {
    /// 2 blocks in each group.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Module, models::ResNet};
    /// let device = Device::cpu();
    /// let mut net = ResNet::resnet18(1000, &mut Generator::new(0), &device);
    /// assert_eq!(net.num_parameters(), 11_689_512);
    /// let x = Tensor::ones(&[2, 3, 224, 224], DType::F32, &device);
    /// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 1000]);
    /// ```
    resnet18, [2, 2, 2, 2], false;
    /// 3, 4, 6 and 3 blocks.
    resnet34, [3, 4, 6, 3], false;
    /// 3, 4, 6 and 3 bottlenecks.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{Module, models::ResNet};
    /// let net = ResNet::resnet50(1000, &mut Generator::new(0), &Device::cpu());
    /// assert_eq!(net.num_parameters(), 25_557_032);
    /// ```
    resnet50, [3, 4, 6, 3], true;
    /// 3, 4, 23 and 3 bottlenecks.
    resnet101, [3, 4, 23, 3], true;
    /// 3, 8, 36 and 3 bottlenecks.
    resnet152, [3, 8, 36, 3], true;
}

impl ResNet {
    #[track_caller]
    fn of(
        blocks: [usize; 4],
        bottleneck: bool,
        num_classes: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> ResNet {
        let conv1 = conv([3, 64], 7, 2, 1, rng, device);
        let mut from = 64;
        let [layer1, layer2, layer3, layer4] = std::array::from_fn(|group| {
            let width = 64 << group;
            let first = if group == 0 { 1 } else { 2 };
            let block = |i| {
                let stride = if i == 0 { first } else { 1 };
                let block = Block::new(from, width, stride, bottleneck, rng, device);
                from = if bottleneck { 4 * width } else { width };
                block
            };
            (0..blocks[group]).map(block).collect()
        });
        ResNet {
            conv1,
            bn1: BatchNorm2d::new(64, device),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: Linear::new(from, num_classes, rng, device),
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.bn1.forward(&self.conv1.forward(x), cx).relu();
        let mut x = x.max_pool2d(&PoolOptions::new(3).stride([2, 2]).padding([1, 1]));
        let groups = [
            &mut self.layer1,
            &mut self.layer2,
            &mut self.layer3,
            &mut self.layer4,
        ];
        for block in groups.into_iter().flatten() {
            x = block.run(&x, cx);
        }
        self.fc.forward(&x.mean_dims(&[-2, -1], false))
    }
}

model!(ResNet);
