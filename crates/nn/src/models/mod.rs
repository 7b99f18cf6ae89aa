//! Ready models for images and texts, with the names of parameters of torchvision and Hugging Face, so that their weights
//! load, and their initial distributions. They compose layers of this crate and hold no arithmetic of their own.
//!
//! | model | input | parameters, 1000 classes |
//! |---|---|---|
//! | [`LeNet`] | `[batch, channels, 32, 32]` | 61,706 (10 classes, 1 channel) |
//! | [`AlexNet`] | `[batch, 3, 224, 224]` | 61,100,840 |
//! | [`Vgg::vgg11`], [`Vgg::vgg16`] | `[batch, 3, 224, 224]` | 132,863,336, 138,357,544 |
//! | [`ResNet::resnet18`], [`ResNet::resnet50`] | `[batch, 3, 224, 224]` | 11,689,512, 25,557,032 |
//! | [`MobileNetV2`] | `[batch, 3, 224, 224]` | 3,504,872 |
//! | [`EfficientNet::b0`] | `[batch, 3, 224, 224]` | 5,288,548 |
//! | [`EfficientNetLite::lite0`] | `[batch, 3, 224, 224]` | 4,652,008 |
//! | [`UNet`] | `[batch, channels, height, width]` | 31,037,698 (2 classes, 3 channels) |
//! | [`VisionTransformer`] | `[batch, 3, 224, 224]` | 86,567,656 |
//! | [`Gpt2`] | tokens `[batch, time]` | 124,439,808 |
//! | [`Bert`] | tokens `[batch, time]` | 109,482,240 |
//!
//! All for images but [`UNet`] end in logits `[batch, classes]`, for [`crate::loss::cross_entropy`]. The convolutional ones
//! take other sizes than 224, where five halvings leave something.

mod alexnet;
mod bert;
mod efficientnet;
mod efficientnet_lite;
mod gpt2;
mod lenet;
mod mobilenet;
mod resnet;
mod unet;
mod vgg;
mod vit;

pub use alexnet::AlexNet;
pub use bert::{Bert, BertConfig, BertOutput};
pub use efficientnet::EfficientNet;
pub use efficientnet_lite::EfficientNetLite;
pub use gpt2::{Gpt2, Gpt2Config};
pub use lenet::LeNet;
pub use mobilenet::MobileNetV2;
pub use resnet::ResNet;
pub use unet::UNet;
pub use vgg::Vgg;
pub use vit::{VisionTransformer, VisionTransformerConfig};

use crate::init::{self, Fan};
use crate::{BatchNorm2d, Conv2d, Layer, Linear, Sequential};
use wgrad_graph::{ConvOptions, Device, Generator};

/// Gives a model that has `run` its `forward`, with the caller's line, and makes it a layer.
macro_rules! model {
    ($name:ident) => {
        impl $name {
            /// The output for a batch of images.
            #[track_caller]
            pub fn forward(
                &mut self,
                x: &wgrad_graph::Tensor,
                cx: &mut crate::Context,
            ) -> wgrad_graph::Tensor {
                let place = std::panic::Location::caller();
                crate::layer::called_from(place, || self.run(x, cx))
            }
        }

        impl crate::Layer for $name {
            #[track_caller]
            fn forward(
                &mut self,
                x: &wgrad_graph::Tensor,
                cx: &mut crate::Context,
            ) -> wgrad_graph::Tensor {
                $name::forward(self, x, cx)
            }

            fn kind(&self) -> String {
                stringify!($name).to_string()
            }
        }
    };
}
use model;

/// A convolution that keeps the size but for its stride, without bias, drawn for rectifiers by fan-out.
#[track_caller]
fn conv(
    [from, to]: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    rng: &mut Generator,
    device: &Device,
) -> Conv2d {
    let side = (kernel.max(1) - 1) / 2;
    let options = ConvOptions::default()
        .stride([stride; 2])
        .padding([side; 2])
        .groups(groups);
    let mut conv = Conv2d::new(from, to, [kernel; 2], options, rng, device).without_bias();
    if conv.weight.check().is_ok() {
        let shape = conv.weight.shape().to_vec();
        conv.weight = init::kaiming_normal(&shape, 0.0, Fan::Out, rng, device);
    }
    conv
}

/// [`conv`], a batch normalisation and a non-linearity, named 0, 1 and 2.
#[track_caller]
fn conv_norm(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    activation: impl Layer + 'static,
    (rng, device): (&mut Generator, &Device),
) -> Sequential {
    Sequential::new()
        .push(conv(channels, kernel, stride, groups, rng, device))
        .push(BatchNorm2d::new(channels[1], device))
        .push(activation)
}

/// A linear map with normal weights of standard deviation 0.01 and a bias of zeros.
#[track_caller]
fn head(from: usize, to: usize, rng: &mut Generator, device: &Device) -> Linear {
    Linear {
        weight: init::normal(&[to, from], 0.0, 0.01, rng, device),
        bias: Some(init::zeros(&[to], device)),
    }
}

/// Implements [`crate::Module`] for a struct whose parts have names that are no field's: `"self.query" => query`.
macro_rules! named {
    ($t:ty { $($name:literal => $field:ident),* $(,)? }) => {
        impl crate::Module for $t {
            fn visit(
                &self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &wgrad_graph::Tensor),
            ) {
                $(self.$field.visit(&crate::join(path, $name), visitor);)*
            }

            fn visit_mut(
                &mut self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &mut wgrad_graph::Tensor),
            ) {
                $(self.$field.visit_mut(&crate::join(path, $name), visitor);)*
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
                $(
                    visitor(crate::Host::Enter(&$name));
                    self.$field.visit_host(visitor);
                    visitor(crate::Host::Leave);
                )*
            }

            fn duplicate(&self) -> Option<$t> {
                Some(self.clone())
            }
        }
    };
}
use named;
