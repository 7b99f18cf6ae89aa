//! Layers in sequence: names, summary, errors that name the layer.

use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
use wgrad_nn::{
    BatchNorm2d, Context, Conv2d, Dropout, Embedding, Flatten, LayerInfo, Linear, MaxPool2d,
    Module, Relu, Sequential,
};

fn lenet(d: &Device) -> Sequential {
    let rng = &mut Generator::new(0);
    let block = Sequential::new()
        .with(
            "conv",
            Conv2d::new(1, 4, [3, 3], ConvOptions::default().padding([1, 1]), rng, d),
        )
        .with("norm", BatchNorm2d::new(4, d));
    Sequential::new()
        .with("block", block)
        .with("relu", Relu)
        .with("pool", MaxPool2d::new(2))
        .with("flatten", Flatten::default())
        .with("dropout", Dropout::new(0.25))
        .with("fc", Linear::new(4 * 4 * 4, 10, rng, d))
}

#[test]
fn state_names_are_paths() {
    let names: Vec<String> = lenet(&Device::cpu())
        .state()
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    let block = [
        "conv.weight",
        "conv.bias",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
    ];
    let want: Vec<String> = block.iter().map(|n| format!("block.{n}")).collect();
    assert_eq!(names[..6], want);
    assert_eq!(names[6..], ["fc.weight", "fc.bias"]);
}

#[test]
fn summary_needs_no_run() {
    let d = Device::cpu();
    let rows = lenet(&d).summary(&[7, 1, 8, 8], &d).unwrap();
    let row = |name: &str, kind: &str, shape: &[usize], parameters| LayerInfo {
        name: name.into(),
        kind: kind.into(),
        output_shape: shape.into(),
        parameters,
    };
    let want = [
        row("block", "Sequential(2)", &[7, 4, 8, 8], 40 + 8),
        row("relu", "Relu", &[7, 4, 8, 8], 0),
        row("pool", "MaxPool2d(2x2)", &[7, 4, 4, 4], 0),
        row("flatten", "Flatten", &[7, 64], 0),
        row("dropout", "Dropout(0.25)", &[7, 64], 0),
        row("fc", "Linear(64, 10)", &[7, 10], 650),
    ];
    assert_eq!(rows, want);
    let kinds: Vec<String> = lenet(&d).iter().map(|(_, l)| l.kind()).collect();
    assert_eq!(kinds[5], "Linear(64, 10)");
    // Larger than any memory: the shapes are known all the same.
    assert!(lenet(&d).summary(&[100_000, 1, 8, 8], &d).is_ok());
}

#[test]
fn summary_of_words() {
    let d = Device::cpu();
    let mut net = Sequential::new().with("words", Embedding::new(9, 4, &mut Generator::new(0), &d));
    let rows = net
        .summary_of(&Tensor::zeros(&[2, 5], DType::I32, &d))
        .unwrap();
    assert_eq!(rows[0].output_shape, [2, 5, 4]);
}

#[test]
fn an_error_names_its_layer() {
    let d = Device::cpu();
    let error = lenet(&d).summary(&[7, 1, 9, 12], &d).unwrap_err();
    assert!(error.to_string().contains("in layer \"fc\""), "{error}");
    let error = lenet(&d)
        .summary(&[7, 3, 8, 8], &d)
        .unwrap_err()
        .to_string();
    assert!(error.contains("in layer \"conv\""), "{error}");
}

#[test]
fn a_name_given_twice_is_an_error() {
    let d = Device::cpu();
    let mut net = Sequential::new().with("a", Relu).with("a", Relu);
    let y = net.forward(&Tensor::ones(&[1], DType::F32, &d), &mut Context::eval());
    assert!(
        y.check()
            .unwrap_err()
            .to_string()
            .contains("two layers are named \"a\"")
    );
    let mut identity = Sequential::new();
    assert!(identity.is_empty());
    assert_eq!(
        identity
            .forward(&Tensor::ones(&[1], DType::F32, &d), &mut Context::eval())
            .shape(),
        [1]
    );
}
