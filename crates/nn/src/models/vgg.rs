//! VGG (Simonyan and Zisserman 2014): columns of convolutions of 3 by 3.

use super::{head, model};
use crate::init::{self, Fan};
use crate::{BatchNorm2d, Context, Conv2d, Dropout, MaxPool2d, Module, Relu, Sequential};
use wgrad_graph::{ConvOptions, Device, Generator, Tensor};

/// Channels of the convolutions; 0 is pooling.
type Columns = &'static [usize];

const VGG11: Columns = &[64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0];
const VGG13: Columns = &[
    64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0,
];
const VGG16: Columns = &[
    64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0,
];
const VGG19: Columns = &[
    64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0,
];

/// Convolutions, means over 7 by 7 windows, three linear maps.
#[derive(Module)]
#[module(crate = crate)]
pub struct Vgg {
    /// Convolutions, rectifiers and pooling.
    pub features: Sequential,
    /// Linear maps, rectifiers and dropout.
    pub classifier: Sequential,
}

macro_rules! depths {
    ($($(#[$doc:meta])* $plain:ident, $(#[$norm_doc:meta])* $norm:ident, $columns:ident;)*) => {
        impl Vgg {
            $($(#[$doc])*
            #[track_caller]
            pub fn $plain(num_classes: usize, rng: &mut Generator, device: &Device) -> Vgg {
                Vgg::of($columns, false, num_classes, rng, device)
            }

            $(#[$norm_doc])*
            #[track_caller]
            pub fn $norm(num_classes: usize, rng: &mut Generator, device: &Device) -> Vgg {
                Vgg::of($columns, true, num_classes, rng, device)
            })*
        }
    };
}

depths! {
    /// 8 convolutions.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, Module, models::Vgg};
    /// let device = Device::cpu();
    /// let mut net = Vgg::vgg11(1000, &mut Generator::new(0), &device);
    /// assert_eq!(net.num_parameters(), 132_863_336);
    /// let x = Tensor::ones(&[2, 3, 224, 224], DType::F32, &device);
    /// assert_eq!(net.forward(&x, &mut Context::eval()).shape(), [2, 1000]);
    /// ```
    vgg11,
    /// [`Vgg::vgg11`] with batch normalisation.
    vgg11_bn, VGG11;
    /// 10 convolutions.
    vgg13,
    /// [`Vgg::vgg13`] with batch normalisation.
    vgg13_bn, VGG13;
    /// 13 convolutions.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{Module, models::Vgg};
    /// let net = Vgg::vgg16(1000, &mut Generator::new(0), &Device::cpu());
    /// assert_eq!(net.num_parameters(), 138_357_544);
    /// ```
    vgg16,
    /// [`Vgg::vgg16`] with batch normalisation.
    vgg16_bn, VGG16;
    /// 16 convolutions.
    vgg19,
    /// [`Vgg::vgg19`] with batch normalisation.
    vgg19_bn, VGG19;
}

impl Vgg {
    #[track_caller]
    fn of(
        columns: Columns,
        norm: bool,
        num_classes: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> Vgg {
        let (mut features, mut from) = (Sequential::new(), 3);
        for &to in columns {
            if to == 0 {
                features = features.push(MaxPool2d::new(2));
                continue;
            }
            let options = ConvOptions::default().padding([1, 1]);
            let mut conv = Conv2d::new(from, to, [3, 3], options, rng, device);
            conv.weight = init::kaiming_normal(&[to, from, 3, 3], 0.0, Fan::Out, rng, device);
            conv.bias = Some(init::zeros(&[to], device));
            features = features.push(conv);
            if norm {
                features = features.push(BatchNorm2d::new(to, device));
            }
            features = features.push(Relu);
            from = to;
        }
        let classifier = Sequential::new()
            .push(head(512 * 7 * 7, 4096, rng, device))
            .push(Relu)
            .push(Dropout::new(0.5))
            .push(head(4096, 4096, rng, device))
            .push(Relu)
            .push(Dropout::new(0.5))
            .push(head(4096, num_classes, rng, device));
        Vgg {
            features,
            classifier,
        }
    }

    fn run(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.features.forward(x, cx);
        let x = x.adaptive_avg_pool2d([Some(7), Some(7)]).flatten(1, -1);
        self.classifier.forward(&x, cx)
    }
}

model!(Vgg);
