//! Each layer against numbers computed by hand.

use super::{close, devices, spread, values};
use wgrad_graph::{ConvOptions, DType, Device, ErrorKind, Generator, Padding, PoolOptions, Tensor};
use wgrad_nn::{
    AvgPool2d, Context, Conv2d, Embedding, Flatten, Gelu, Identity, Layer, LayerNorm, LeakyRelu,
    Linear, MaxPool2d, Relu, Sigmoid, Softmax, Tanh, init,
};

#[test]
fn linear() {
    for d in devices() {
        let layer = Linear {
            weight: Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3], &d),
            bias: Some(Tensor::new(&[0.5f32, -1.0], &d)),
        };
        let x = Tensor::from_slice(&[1.0f32, 0.0, -1.0, 2.0, 1.0, 0.0], &[1, 2, 3], &d);
        let y = layer.forward(&x);
        assert_eq!(y.shape(), [1, 2, 2]);
        assert_eq!(values(&y), [-1.5, -3.0, 4.5, 12.0]);
        assert_eq!(
            values(&layer.without_bias().forward(&x)),
            [-2.0, -2.0, 4.0, 13.0]
        );
    }
}

#[test]
fn linear_starts_as_in_pytorch() {
    let layer = Linear::new(400, 50, &mut Generator::new(5), &Device::cpu());
    let (w, b) = (values(&layer.weight), values(layer.bias.as_ref().unwrap()));
    let bound = 1.0 / 20.0;
    assert!(w.iter().chain(&b).all(|v| v.abs() <= bound));
    assert!(b.iter().any(|v| v.abs() > bound / 2.0));
    let var = w.iter().map(|v| v * v).sum::<f64>() / w.len() as f64;
    assert!((var / (bound * bound / 3.0) - 1.0).abs() < 0.05, "{var}");
}

#[test]
fn linear_with_a_bad_input_is_an_error_at_the_reader() {
    let layer = Linear::new(3, 2, &mut Generator::new(0), &Device::cpu());
    let y = layer.forward(&Tensor::ones(&[4, 5], DType::F32, &Device::cpu()));
    assert_eq!(y.check().unwrap_err().kind(), ErrorKind::Shape);
}

/// Cross-correlation with zero padding and groups, by its definition.
fn conv(
    x: &[f32],
    w: &[f32],
    b: &[f32],
    [c, h, wd]: [usize; 3],
    [o, k]: [usize; 2],
    opt: &ConvOptions<2>,
) -> Vec<f64> {
    let Padding::Both(padding) = opt.padding else {
        panic!("{:?} is not what these tests use", opt.padding)
    };
    let (ig, og) = (c / opt.groups, o / opt.groups);
    let out = |n: usize, d: usize| {
        (n + 2 * padding[d] - opt.dilation[d] * (k - 1) - 1) / opt.stride[d] + 1
    };
    let mut y = Vec::new();
    for f in 0..o {
        for i in 0..out(h, 0) {
            for j in 0..out(wd, 1) {
                let mut sum = f64::from(b[f]);
                for ch in 0..ig {
                    for u in 0..k {
                        for v in 0..k {
                            let r =
                                (i * opt.stride[0] + u * opt.dilation[0]).wrapping_sub(padding[0]);
                            let s =
                                (j * opt.stride[1] + v * opt.dilation[1]).wrapping_sub(padding[1]);
                            if r < h && s < wd {
                                let at = ((f / og * ig + ch) * h + r) * wd + s;
                                sum += f64::from(x[at])
                                    * f64::from(w[((f * ig + ch) * k + u) * k + v]);
                            }
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn conv2d() {
    let cases = [
        ConvOptions::<2>::default(),
        ConvOptions::default().padding([1, 1]).stride([2, 1]),
        ConvOptions::default()
            .groups(2)
            .dilation([1, 2])
            .padding([0, 2]),
    ];
    for d in devices() {
        for options in cases {
            let layer = Conv2d::new(4, 6, [3, 3], options, &mut Generator::new(1), &d);
            let x = spread(4 * 6 * 7);
            let y = layer.forward(&Tensor::from_slice(&x, &[1, 4, 6, 7], &d));
            let (w, b) = (
                layer.weight.to_vec::<f32>().unwrap(),
                layer.bias.as_ref().unwrap().to_vec::<f32>().unwrap(),
            );
            close(
                &values(&y),
                &conv(&x, &w, &b, [4, 6, 7], [6, 3], &options),
                1e-5,
            );
        }
    }
}

#[test]
fn pools() {
    for d in devices() {
        let x = Tensor::from_slice(
            &(0..16).map(|v| v as f32).collect::<Vec<_>>(),
            &[1, 1, 4, 4],
            &d,
        );
        assert_eq!(
            values(&MaxPool2d::new(2).forward(&x)),
            [5.0, 7.0, 13.0, 15.0]
        );
        assert_eq!(
            values(&AvgPool2d::new(2).forward(&x)),
            [2.5, 4.5, 10.5, 12.5]
        );
        let y = MaxPool2d::with(PoolOptions::new(3).stride([1, 1])).forward(&x);
        assert_eq!(values(&y), [10.0, 11.0, 14.0, 15.0]);
    }
}

#[test]
fn layer_norm() {
    for d in devices() {
        let layer = LayerNorm {
            normalized_shape: vec![2, 3],
            weight: Some(Tensor::from_slice(
                &[1.0f32, 2.0, -1.0, 0.5, 3.0, 1.0],
                &[2, 3],
                &d,
            )),
            bias: Some(Tensor::from_slice(
                &[0.0f32, 1.0, 0.0, 2.0, 0.0, -1.0],
                &[2, 3],
                &d,
            )),
            eps: 1e-5,
        };
        let x = spread(24);
        let y = layer.forward(&Tensor::from_slice(&x, &[4, 2, 3], &d));
        let (w, b) = (
            values(layer.weight.as_ref().unwrap()),
            values(layer.bias.as_ref().unwrap()),
        );
        let mut want = Vec::new();
        for row in x.chunks(6) {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / 6.0;
            let var = row
                .iter()
                .map(|&v| (f64::from(v) - mean).powi(2))
                .sum::<f64>()
                / 6.0;
            want.extend(
                row.iter()
                    .zip(w.iter().zip(&b))
                    .map(|(&v, (w, b))| (f64::from(v) - mean) / (var + 1e-5).sqrt() * w + b),
            );
        }
        close(&values(&y), &want, 1e-5);
        assert_eq!(
            layer
                .forward(&Tensor::ones(&[3], DType::F32, &d))
                .check()
                .unwrap_err()
                .op(),
            "layer_norm"
        );
    }
}

#[test]
fn embedding() {
    for d in devices() {
        let rows = [0.0f32, 1.0, 10.0, 11.0, 20.0, 21.0];
        let table = Embedding::from_pretrained(&Tensor::from_slice(&rows, &[3, 2], &d));
        let y = table.forward(&Tensor::from_slice(&[2, 0, 1, 1], &[2, 2], &d));
        assert_eq!(y.shape(), [2, 2, 2]);
        assert_eq!(values(&y), [20.0, 21.0, 0.0, 1.0, 10.0, 11.0, 10.0, 11.0]);
        let bytes = table.forward(&Tensor::new(&[1u8], &d));
        assert_eq!(values(&bytes), [10.0, 11.0]);
        let wrong = table.forward(&Tensor::new(&[1.0f32], &d));
        assert_eq!(wrong.check().unwrap_err().kind(), ErrorKind::DType);
    }
}

/// A layer's value through the trait, in evaluation.
fn at(mut layer: impl Layer, x: &Tensor) -> Vec<f64> {
    values(&Layer::forward(&mut layer, x, &mut Context::eval()))
}

#[test]
fn activations() {
    let x = [-3.0f64, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0];
    // x Φ(x), Φ to 16 digits from tables of the normal distribution.
    let gelu = [
        -0.004_049_694_095_146_5,
        -0.158_655_253_931_457_05,
        -0.154_268_769_362_929_5,
        0.0,
    ];
    let gelu = [
        &gelu[..],
        &[
            0.345_731_230_637_070_5,
            0.841_344_746_068_542_9,
            2.995_950_305_904_853,
        ],
    ]
    .concat();
    let of = |f: fn(f64) -> f64| x.map(f);
    for d in devices() {
        let t = Tensor::new(&x.map(|v| v as f32), &d);
        close(&at(Relu, &t), &of(|v| v.max(0.0)), 0.0);
        close(
            &at(LeakyRelu::default(), &t),
            &of(|v| if v > 0.0 { v } else { 0.01 * v }),
            1e-7,
        );
        close(&at(Sigmoid, &t), &of(|v| 1.0 / (1.0 + (-v).exp())), 1e-6);
        close(&at(Tanh, &t), &of(f64::tanh), 1e-6);
        close(&at(Gelu, &t), &gelu, 1e-6);
        close(&at(Identity, &t), &x, 0.0);
        let total: f64 = x.iter().map(|v| v.exp()).sum();
        close(
            &at(Softmax { dim: 0 }, &t),
            &x.map(|v| v.exp() / total),
            1e-6,
        );
        let image = Tensor::ones(&[2, 3, 4, 5], DType::F32, &d);
        assert_eq!(Flatten::default().forward(&image).shape(), [2, 60]);
        assert_eq!(
            Flatten {
                start_dim: 0,
                end_dim: 1
            }
            .forward(&image)
            .shape(),
            [6, 4, 5]
        );
    }
}

#[test]
fn initialisers_have_their_spread() {
    let d = Device::cpu();
    let rng = &mut Generator::new(9);
    let shape = [60, 20, 3, 3];
    let (fan_in, fan_out) = (180.0, 540.0);
    let check = |t: Tensor, mean: f64, std: f64| {
        let v = values(&t);
        let m = v.iter().sum::<f64>() / v.len() as f64;
        let s = (v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
        assert!(
            (m - mean).abs() < 0.05 * std.max(0.01) && (s / std - 1.0).abs() < 0.03,
            "{m} {s}, not {mean} {std}"
        );
    };
    check(
        init::uniform(&shape, -1.0, 3.0, rng, &d),
        1.0,
        4.0 / 12f64.sqrt(),
    );
    check(init::normal(&shape, 2.0, 0.5, rng, &d), 2.0, 0.5);
    check(
        init::kaiming_uniform(&shape, 0.0, init::Fan::In, rng, &d),
        0.0,
        (2.0f64 / fan_in).sqrt(),
    );
    check(
        init::kaiming_normal(&shape, 5f64.sqrt(), init::Fan::Out, rng, &d),
        0.0,
        (1.0f64 / (3.0 * fan_out)).sqrt(),
    );
    check(
        init::xavier_uniform(&shape, 2.0, rng, &d),
        0.0,
        2.0 * (2.0 / (fan_in + fan_out)).sqrt(),
    );
    check(
        init::xavier_normal(&shape, 1.0, rng, &d),
        0.0,
        (2.0 / (fan_in + fan_out)).sqrt(),
    );
    assert_eq!(
        init::xavier_normal(&[3], 1.0, rng, &d)
            .check()
            .unwrap_err()
            .op(),
        "xavier_normal"
    );
}
