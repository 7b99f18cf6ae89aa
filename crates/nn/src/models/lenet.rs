//! LeNet-5 (LeCun et al. 1998) in its usual modern form: rectifiers and max pooling.

use super::model;
use crate::{Context, Conv2d, Linear, Module};
use wgrad_graph::{ConvOptions, Device, Generator, PoolOptions, Tensor};

/// Two convolutions and three linear maps, for images of 32 by 32. Pad those of 28 by 28 by 2.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Context, Module, models::LeNet};
/// let device = Device::cpu();
/// let mut net = LeNet::new(1, 10, &mut Generator::new(0), &device);
/// assert_eq!(net.num_parameters(), 61_706);
/// let x = Tensor::ones(&[2, 1, 32, 32], DType::F32, &device);
/// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 10]);
/// ```
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct LeNet {
    /// To 6 channels.
    pub conv1: Conv2d,
    /// To 16 channels.
    pub conv2: Conv2d,
    /// To 120 features.
    pub fc1: Linear,
    /// To 84 features.
    pub fc2: Linear,
    /// To the classes.
    pub fc3: Linear,
}

impl LeNet {
    /// With PyTorch's default initial values.
    #[track_caller]
    pub fn new(
        in_channels: usize,
        num_classes: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> LeNet {
        let plain = ConvOptions::default();
        LeNet {
            conv1: Conv2d::new(in_channels, 6, [5, 5], plain, rng, device),
            conv2: Conv2d::new(6, 16, [5, 5], plain, rng, device),
            fc1: Linear::new(16 * 5 * 5, 120, rng, device),
            fc2: Linear::new(120, 84, rng, device),
            fc3: Linear::new(84, num_classes, rng, device),
        }
    }

    fn run(&mut self, x: &Tensor, _: &mut Context) -> Tensor {
        let halves = PoolOptions::new(2);
        let x = self.conv1.forward(x).relu().max_pool2d(&halves);
        let x = self.conv2.forward(&x).relu().max_pool2d(&halves);
        let x = self.fc1.forward(&x.flatten(1, -1)).relu();
        let x = self.fc2.forward(&x).relu();
        self.fc3.forward(&x)
    }
}

model!(LeNet);
