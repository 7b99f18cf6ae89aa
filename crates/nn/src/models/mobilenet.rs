//! MobileNetV2 (Sandler et al. 2018): inverted residuals of depthwise convolutions.

use super::{conv, conv_norm, head, model};
use crate::{BatchNorm2d, Context, Dropout, Layer, Module, Relu6, Sequential};
use wgrad_graph::{Device, Generator, Tensor};

/// Expansion, depthwise convolution, projection, beside the identity where sizes stay.
#[derive(Module)]
#[module(crate = crate)]
struct InvertedResidual {
    conv: Sequential,
    residual: bool,
}

impl InvertedResidual {
    #[track_caller]
    fn new(
        [from, to]: [usize; 2],
        stride: usize,
        expansion: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> InvertedResidual {
        let hidden = from * expansion;
        let mut layers = Sequential::new();
        if expansion != 1 {
            layers = layers.push(conv_norm([from, hidden], 1, 1, 1, Relu6, (rng, device)));
        }
        let conv = layers
            .push(conv_norm(
                [hidden; 2],
                3,
                stride,
                hidden,
                Relu6,
                (rng, device),
            ))
            .push(conv([hidden, to], 1, 1, 1, rng, device))
            .push(BatchNorm2d::new(to, device));
        InvertedResidual {
            conv,
            residual: stride == 1 && from == to,
        }
    }
}

impl Layer for InvertedResidual {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let y = self.conv.forward(x, cx);
        if self.residual { x + y } else { y }
    }

    fn kind(&self) -> String {
        "InvertedResidual".to_string()
    }
}

/// A convolution, 17 inverted residuals, a convolution, a mean, a linear map.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Context, Module, models::MobileNetV2};
/// let device = Device::cpu();
/// let mut net = MobileNetV2::new(1000, &mut Generator::new(0), &device);
/// assert_eq!(net.num_parameters(), 3_504_872);
/// let x = Tensor::ones(&[2, 3, 224, 224], DType::F32, &device);
/// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 1000]);
/// ```
#[derive(Module)]
#[module(crate = crate)]
pub struct MobileNetV2 {
    /// All convolutions.
    pub features: Sequential,
    /// Dropout and a linear map.
    pub classifier: Sequential,
}

/// Expansion, channels, blocks and first stride of each stage.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

impl MobileNetV2 {
    /// With torchvision's initial distributions.
    #[track_caller]
    pub fn new(num_classes: usize, rng: &mut Generator, device: &Device) -> MobileNetV2 {
        let stem = conv_norm([3, 32], 3, 2, 1, Relu6, (rng, device));
        let (mut features, mut from) = (Sequential::new().push(stem), 32);
        for [expansion, to, blocks, first] in STAGES {
            for i in 0..blocks {
                let stride = if i == 0 { first } else { 1 };
                let block = InvertedResidual::new([from, to], stride, expansion, rng, device);
                features = features.push(block);
                from = to;
            }
        }
        MobileNetV2 {
            features: features.push(conv_norm([from, 1280], 1, 1, 1, Relu6, (rng, device))),
            classifier: Sequential::new().push(Dropout::new(0.2)).push(head(
                1280,
                num_classes,
                rng,
                device,
            )),
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.features.forward(x, cx).mean_dims(&[-2, -1], false);
        self.classifier.forward(&x, cx)
    }
}

model!(MobileNetV2);
