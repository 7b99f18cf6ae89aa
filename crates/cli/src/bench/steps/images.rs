//! Models for images that are those of `wgrad::nn::models`, sized for small images.

use super::super::case::Unit;
use super::step::{Model, Step, Trained, plain};
use wgrad::nn::models::{MobileNetV2, UNet, VisionTransformer, VisionTransformerConfig};
use wgrad::nn::{AdamW, Identity, Linear, Sequential, Sgd, init};
use wgrad::{Device, Generator, Reduction, Tensor};

/// Classes of images.
pub const CLASSES: usize = 10;
/// Images in a batch.
pub const BATCH: usize = 16;

/// Images of 32 by 32 with their classes.
pub fn batch(rng: &mut Generator, device: &Device) -> Vec<Tensor> {
    let x = rng.normal(&[BATCH, 3, 32, 32], device);
    vec![x, rng.integers(0, CLASSES as i32, &[BATCH], device)]
}

/// With momentum.
pub fn sgd(weight_decay: f64) -> Sgd {
    Sgd::new(0.05).momentum(0.9).weight_decay(weight_decay)
}

pub const MOBILENET: Model = Model {
    name: "mobilenetv2_32_b16",
    unit: Unit::Samples,
    amount: BATCH,
    build: mobilenet,
    batch,
};

/// Without dropout, which no other program draws alike.
fn mobilenet(device: &Device) -> Box<dyn Step> {
    let rng = &mut Generator::new(0);
    let mut model = MobileNetV2::new(CLASSES, rng, device);
    model.classifier = Sequential::new().push(Identity).push(Linear {
        weight: init::normal(&[CLASSES, 1280], 0.0, 0.01, rng, device),
        bias: Some(init::zeros(&[CLASSES], device)),
    });
    let sgd = sgd(4e-5).group("plain", plain, |g| g.weight_decay(0.0));
    Box::new(Trained::single(model, sgd, |model, batch, cx| {
        let scores = model.forward(&batch[0], cx);
        scores.cross_entropy(&batch[1], Reduction::Mean)
    }))
}

pub const UNET: Model = Model {
    name: "unet_64_b4",
    unit: Unit::Samples,
    amount: 4,
    build: unet,
    batch: |rng, device| {
        let x = rng.normal(&[4, 3, 64, 64], device);
        vec![x, rng.integers(0, 2, &[4, 64, 64], device)]
    },
};

fn unet(device: &Device) -> Box<dyn Step> {
    let model = UNet::new(3, 2, &mut Generator::new(0), device);
    let adam = AdamW::new(1e-4).weight_decay(0.01);
    let adam = adam.group("plain", plain, |g| g.weight_decay(0.0));
    Box::new(Trained::single(model, adam, |model, batch, cx| {
        let scores = model.forward(&batch[0], cx);
        scores.cross_entropy(&batch[1], Reduction::Mean)
    }))
}

pub const VIT: Model = Model {
    name: "vit_32_b16",
    unit: Unit::Samples,
    amount: BATCH,
    build: vit,
    batch,
};

fn vit(device: &Device) -> Box<dyn Step> {
    let config = VisionTransformerConfig {
        image_size: 32,
        patch_size: 4,
        num_layers: 6,
        num_heads: 3,
        hidden_dim: 192,
        mlp_dim: 768,
        num_classes: CLASSES,
        ..VisionTransformerConfig::default()
    };
    let model = VisionTransformer::new(&config, &mut Generator::new(0), device);
    let adam = AdamW::new(1e-3).weight_decay(0.05);
    let adam = adam.group("plain", plain, |g| g.weight_decay(0.0));
    Box::new(Trained::single(model, adam, |model, batch, cx| {
        let scores = model.forward(&batch[0], cx);
        scores.cross_entropy(&batch[1], Reduction::Mean)
    }))
}
