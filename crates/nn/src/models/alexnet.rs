//! AlexNet (Krizhevsky 2014, the one-column form that torchvision has).

use super::model;
use crate::{Context, Conv2d, Dropout, Linear, MaxPool2d, Module, Relu, Sequential};
use wgrad_graph::{ConvOptions, Device, Generator, PoolOptions, Tensor};

/// Five convolutions, means over 6 by 6 windows, three linear maps.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Context, Module, models::AlexNet};
/// let device = Device::cpu();
/// let mut net = AlexNet::new(1000, &mut Generator::new(0), &device);
/// assert_eq!(net.num_parameters(), 61_100_840);
/// let x = Tensor::ones(&[2, 3, 224, 224], DType::F32, &device);
/// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 1000]);
/// ```
#[derive(Module)]
#[module(crate = crate)]
pub struct AlexNet {
    /// Convolutions, rectifiers and pooling.
    pub features: Sequential,
    /// Linear maps, rectifiers and dropout.
    pub classifier: Sequential,
}

impl AlexNet {
    /// With PyTorch's default initial values.
    #[track_caller]
    pub fn new(num_classes: usize, rng: &mut Generator, device: &Device) -> AlexNet {
        let pool = || MaxPool2d::with(PoolOptions::new(3).stride([2, 2]));
        let mut conv = |from, to, kernel: usize, stride: usize, padding: usize| {
            let options = ConvOptions::default()
                .stride([stride; 2])
                .padding([padding; 2]);
            Conv2d::new(from, to, [kernel; 2], options, rng, device)
        };
        let features = Sequential::new()
            .push(conv(3, 64, 11, 4, 2))
            .push(Relu)
            .push(pool())
            .push(conv(64, 192, 5, 1, 2))
            .push(Relu)
            .push(pool())
            .push(conv(192, 384, 3, 1, 1))
            .push(Relu)
            .push(conv(384, 256, 3, 1, 1))
            .push(Relu)
            .push(conv(256, 256, 3, 1, 1))
            .push(Relu)
            .push(pool());
        let classifier = Sequential::new()
            .push(Dropout::new(0.5))
            .push(Linear::new(256 * 6 * 6, 4096, rng, device))
            .push(Relu)
            .push(Dropout::new(0.5))
            .push(Linear::new(4096, 4096, rng, device))
            .push(Relu)
            .push(Linear::new(4096, num_classes, rng, device));
        AlexNet {
            features,
            classifier,
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.features.forward(x, cx);
        let x = x.adaptive_avg_pool2d([Some(6), Some(6)]).flatten(1, -1);
        self.classifier.forward(&x, cx)
    }
}

model!(AlexNet);
