//! Ready models against torchvision's numbers, with the same weights, on the cpu.

use super::pytorch::{Build, One, check};
use serde_json::Value;
use wgrad_graph::Device;
use wgrad_nn::models::{
    AlexNet, EfficientNet, EfficientNetLite, LeNet, MobileNetV2, ResNet, UNet, Vgg,
};

/// The models whose weights take little time to fill.
const SMALL: [(&str, Build); 4] = [
    ("lenet", |rng, d| {
        Box::new(One(Box::new(LeNet::new(1, 10, rng, d))))
    }),
    ("mobilenet_v2", |rng, d| {
        Box::new(One(Box::new(MobileNetV2::new(1000, rng, d))))
    }),
    ("efficientnet_b0", |rng, d| {
        Box::new(One(Box::new(EfficientNet::b0(1000, rng, d))))
    }),
    ("efficientnet_lite0", |rng, d| {
        Box::new(One(Box::new(EfficientNetLite::lite0(1000, rng, d))))
    }),
];

const LARGE: [(&str, Build); 7] = [
    ("alexnet", |rng, d| {
        Box::new(One(Box::new(AlexNet::new(1000, rng, d))))
    }),
    ("vgg11", |rng, d| {
        Box::new(One(Box::new(Vgg::vgg11(1000, rng, d))))
    }),
    ("vgg16_bn", |rng, d| {
        Box::new(One(Box::new(Vgg::vgg16_bn(1000, rng, d))))
    }),
    ("resnet18", |rng, d| {
        Box::new(One(Box::new(ResNet::resnet18(1000, rng, d))))
    }),
    ("resnet18 train", |rng, d| {
        Box::new(One(Box::new(ResNet::resnet18(1000, rng, d))))
    }),
    ("resnet50", |rng, d| {
        Box::new(One(Box::new(ResNet::resnet50(1000, rng, d))))
    }),
    ("unet", |rng, d| {
        Box::new(One(Box::new(UNet::new(3, 2, rng, d))))
    }),
];

fn of(builds: &[(&str, Build)]) -> String {
    let cases: Value = serde_json::from_str(include_str!("../pytorch/models.json")).expect("JSON");
    let cases = cases.as_array().expect("a list").iter();
    let wanted = |c: &&Value| builds.iter().any(|(n, _)| c["name"].as_str() == Some(n));
    Value::from_iter(cases.filter(wanted).cloned()).to_string()
}

#[test]
fn small_models_agree_with_torchvision() {
    check(&of(&SMALL), &SMALL, &Device::cpu(), 2e-4);
}

/// Hundreds of millions of weights: 105 s in the long form.
#[test]
fn large_models_agree_with_torchvision() {
    if !std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1") {
        return println!("only the small models are compared unless WGRAD_TEST_ALL=1");
    }
    for build in LARGE {
        check(&of(&[build]), &[build], &Device::cpu(), 2e-4);
    }
}
