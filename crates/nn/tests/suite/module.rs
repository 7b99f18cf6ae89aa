//! The tree of tensors: names, loading, moving, ties, and the derive.

use super::devices;
use std::marker::PhantomData;
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};
use wgrad_nn::{BatchNorm2d, Kind, Linear, Module};

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Inner<M, T> {
    layer: M,
    #[module(skip)]
    _unused: Vec<u8>,
    _marker: PhantomData<T>,
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Pair(Linear, #[module(buffer)] Option<Tensor>);

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Unit;

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Net<const N: usize> {
    blocks: Vec<Pair>,
    inner: Inner<Linear, f32>,
    pair: (Tensor, [Tensor; N]),
    boxed: Box<dyn Module>,
    none: Option<Linear>,
    r#type: Tensor,
    unit: Unit,
    heads: usize,
}

fn net(device: &Device) -> Net<2> {
    let rng = &mut Generator::new(3);
    let one = || Tensor::ones(&[1], DType::F32, device);
    Net {
        blocks: vec![Pair(Linear::new(2, 1, rng, device), Some(one()))],
        inner: Inner {
            layer: Linear::new(1, 2, rng, device).without_bias(),
            _unused: Vec::new(),
            _marker: PhantomData,
        },
        pair: (one(), [one(), one()]),
        boxed: Box::new(BatchNorm2d::new(2, device)),
        none: None,
        r#type: one(),
        unit: Unit,
        heads: 4,
    }
}

#[test]
fn names_and_kinds_follow_the_fields() {
    let net = net(&Device::cpu());
    let mut seen = Vec::new();
    net.visit("", &mut |name, kind, _| seen.push((name.to_string(), kind)));
    let want = [
        ("blocks.0.0.weight", Kind::Parameter),
        ("blocks.0.0.bias", Kind::Parameter),
        ("blocks.0.1", Kind::Buffer),
        ("inner.layer.weight", Kind::Parameter),
        ("pair.0", Kind::Parameter),
        ("pair.1.0", Kind::Parameter),
        ("pair.1.1", Kind::Parameter),
        ("boxed.weight", Kind::Parameter),
        ("boxed.bias", Kind::Parameter),
        ("boxed.running_mean", Kind::Buffer),
        ("boxed.running_var", Kind::Buffer),
        ("type", Kind::Parameter),
    ];
    assert_eq!(seen, want.map(|(n, k)| (n.to_string(), k)));
    assert_eq!(net.num_parameters(), 2 + 1 + 2 + 1 + 2 + 4 + 1);
    assert_eq!(net.heads, 4);
    let buffers: Vec<String> = net.buffers().into_iter().map(|(n, _)| n).collect();
    assert_eq!(
        buffers,
        ["blocks.0.1", "boxed.running_mean", "boxed.running_var"]
    );
    assert_eq!(net.state().len(), 12);
}

#[test]
fn state_round_trips() {
    for device in devices() {
        let from = Linear::new(3, 2, &mut Generator::new(1), &device);
        let mut to = Linear::new(3, 2, &mut Generator::new(2), &device);
        assert_ne!(
            to.weight.to_vec::<f32>().unwrap(),
            from.weight.to_vec::<f32>().unwrap()
        );
        to.load_state(&from.state()).unwrap();
        assert_eq!(
            to.weight.to_vec::<f32>().unwrap(),
            from.weight.to_vec::<f32>().unwrap()
        );
    }
}

#[test]
fn a_bad_state_names_everything_and_changes_nothing() {
    let device = Device::cpu();
    let mut linear = Linear::new(3, 2, &mut Generator::new(1), &device);
    let before = linear.clone();
    let bad = [
        (
            "weight".to_string(),
            Tensor::zeros(&[3, 2], DType::F32, &device),
        ),
        (
            "scale".to_string(),
            Tensor::zeros(&[1], DType::F32, &device),
        ),
    ];
    let error = linear.load_state(&bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    let text = error.to_string();
    for part in [
        "weight is f32[3, 2], not f32[2, 3]",
        "missing bias",
        "unexpected scale",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(linear.weight.same(&before.weight));

    let twice = [before.state(), before.state()].concat();
    assert!(
        linear
            .load_state(&twice)
            .unwrap_err()
            .to_string()
            .contains("given twice")
    );
    let elsewhere = Linear::new(3, 2, &mut Generator::new(1), &Device::reference());
    assert!(
        linear
            .load_state(&elsewhere.state())
            .unwrap_err()
            .to_string()
            .contains("lives on reference")
    );
    let mut half = before.state();
    half[0].1 = half[0].1.cast(DType::F16);
    assert!(
        linear
            .load_state(&half)
            .unwrap_err()
            .to_string()
            .contains("f16")
    );
    half[0].1 = Tensor::from_slice(&[1.0f32], &[2], &device);
    assert!(
        linear
            .load_state(&half)
            .unwrap_err()
            .to_string()
            .contains("weight is invalid")
    );
    assert!(
        linear.weight.same(&before.weight)
            && linear.bias.unwrap().same(before.bias.as_ref().unwrap())
    );
}

#[test]
fn moving_keeps_values_and_ties() {
    let shared = Linear::new(2, 2, &mut Generator::new(1), &Device::cpu());
    let mut two = vec![shared.clone(), shared.clone()];
    assert_eq!(two.num_parameters(), 6);
    two.to_device(&Device::reference()).unwrap();
    assert_eq!(*two[0].weight.device(), Device::reference());
    assert!(two[0].weight.same(&two[1].weight));
    assert_eq!(
        two[0].weight.to_vec::<f32>().unwrap(),
        shared.weight.to_vec::<f32>().unwrap()
    );
}
