//! U-Net (Ronneberger et al. 2015) with padded convolutions and batch normalisation, and transposed convolutions on the way
//! up. Parameters have the names of the well-known PyTorch implementation (milesial's).

use super::model;
use crate::{BatchNorm2d, Context, Conv2d, ConvTranspose2d, MaxPool2d, Module, Relu, Sequential};
use wgrad_graph::{ConvOptions, ConvTransposeOptions, Device, Generator, PadMode, Tensor};

/// Two convolutions of 3 by 3, each normalised and rectified.
#[derive(Module)]
#[module(crate = crate)]
struct DoubleConv {
    double_conv: Sequential,
}

impl DoubleConv {
    #[track_caller]
    fn new(from: usize, to: usize, rng: &mut Generator, device: &Device) -> DoubleConv {
        let mut layers = Sequential::new();
        for channels in [from, to] {
            let same = ConvOptions::default().padding([1, 1]);
            let conv = Conv2d::new(channels, to, [3, 3], same, rng, device).without_bias();
            layers = layers
                .push(conv)
                .push(BatchNorm2d::new(to, device))
                .push(Relu);
        }
        DoubleConv {
            double_conv: layers,
        }
    }
}

impl crate::Layer for DoubleConv {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        self.double_conv.forward(x, cx)
    }

    fn kind(&self) -> String {
        "DoubleConv".to_string()
    }
}

/// Half the size, twice the channels.
#[derive(Module)]
#[module(crate = crate)]
struct Down {
    maxpool_conv: Sequential,
}

impl Down {
    #[track_caller]
    fn new(from: usize, rng: &mut Generator, device: &Device) -> Down {
        let conv = DoubleConv::new(from, 2 * from, rng, device);
        Down {
            maxpool_conv: Sequential::new().push(MaxPool2d::new(2)).push(conv),
        }
    }
}

/// Twice the size, half the channels, joined with what came by.
#[derive(Module)]
#[module(crate = crate)]
struct Up {
    up: ConvTranspose2d,
    conv: DoubleConv,
}

impl Up {
    #[track_caller]
    fn new(from: usize, rng: &mut Generator, device: &Device) -> Up {
        let twice = ConvTransposeOptions::default().stride([2, 2]);
        Up {
            up: ConvTranspose2d::new(from, from / 2, [2, 2], twice, rng, device),
            conv: DoubleConv::new(from, from / 2, rng, device),
        }
    }

    fn run(&mut self, x: &Tensor, by: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.up.forward(x);
        // Sizes that do not divide lost an element on the way down.
        let sides: Vec<isize> = [-1, -2]
            .iter()
            .flat_map(|&d| {
                let less = by.size(d) as isize - x.size(d) as isize;
                [less / 2, less - less / 2]
            })
            .collect();
        let x = x.pad(&sides, PadMode::Constant(0.0));
        self.conv
            .double_conv
            .forward(&Tensor::cat(&[by, &x], 1), cx)
    }
}

/// Four halvings and four doublings, with connections between equal sizes: `[batch, n_channels, height, width]` to logits
/// `[batch, n_classes, height, width]` for each pixel. Sizes are at least 16.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Context, Module, models::UNet};
/// let device = Device::cpu();
/// let mut net = UNet::new(3, 2, &mut Generator::new(0), &device);
/// assert_eq!(net.num_parameters(), 31_037_698);
/// let x = Tensor::ones(&[1, 3, 50, 64], DType::F32, &device);
/// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [1, 2, 50, 64]);
/// ```
#[derive(Module)]
#[module(crate = crate)]
pub struct UNet {
    inc: DoubleConv,
    down1: Down,
    down2: Down,
    down3: Down,
    down4: Down,
    up1: Up,
    up2: Up,
    up3: Up,
    up4: Up,
    outc: OutConv,
}

/// To the classes.
#[derive(Module)]
#[module(crate = crate)]
struct OutConv {
    conv: Conv2d,
}

impl UNet {
    /// With 64 channels at the full size and PyTorch's default initial values.
    #[track_caller]
    pub fn new(n_channels: usize, n_classes: usize, rng: &mut Generator, device: &Device) -> UNet {
        UNet {
            inc: DoubleConv::new(n_channels, 64, rng, device),
            down1: Down::new(64, rng, device),
            down2: Down::new(128, rng, device),
            down3: Down::new(256, rng, device),
            down4: Down::new(512, rng, device),
            up1: Up::new(1024, rng, device),
            up2: Up::new(512, rng, device),
            up3: Up::new(256, rng, device),
            up4: Up::new(128, rng, device),
            outc: OutConv {
                conv: Conv2d::new(64, n_classes, [1, 1], ConvOptions::default(), rng, device),
            },
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x1 = self.inc.double_conv.forward(x, cx);
        let x2 = self.down1.maxpool_conv.forward(&x1, cx);
        let x3 = self.down2.maxpool_conv.forward(&x2, cx);
        let x4 = self.down3.maxpool_conv.forward(&x3, cx);
        let x5 = self.down4.maxpool_conv.forward(&x4, cx);
        let y = self.up1.run(&x5, &x4, cx);
        let y = self.up2.run(&y, &x3, cx);
        let y = self.up3.run(&y, &x2, cx);
        let y = self.up4.run(&y, &x1, cx);
        self.outc.conv.forward(&y)
    }
}

model!(UNet);
