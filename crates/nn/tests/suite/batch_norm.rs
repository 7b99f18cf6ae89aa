//! Batch normalisation: training, evaluation, running statistics and gradients.

use super::{close, devices, spread, values};
use wgrad_graph::reference::{Array, Evaluator};
use wgrad_graph::{DType, Device, ErrorKind, Tensor, grad};
use wgrad_nn::{BatchNorm1d, BatchNorm2d, Context, Module, Optimizer, Sgd, gradients};

const SHAPE: [usize; 4] = [3, 2, 2, 5];
const PER_CHANNEL: usize = 30;

/// The elements of a channel of an array of `SHAPE`, with their positions.
fn channel(x: &[f32], c: usize) -> Vec<(usize, f64)> {
    (0..x.len())
        .filter(|i| i / 10 % 2 == c)
        .map(|i| (i, f64::from(x[i])))
        .collect()
}

/// Mean and biased variance.
fn statistics(v: &[(usize, f64)]) -> (f64, f64) {
    let mean = v.iter().map(|(_, x)| x).sum::<f64>() / v.len() as f64;
    (
        mean,
        v.iter().map(|(_, x)| (x - mean).powi(2)).sum::<f64>() / v.len() as f64,
    )
}

/// A tensor that the layer has.
fn held(t: &Option<Tensor>) -> Tensor {
    t.clone().expect("the layer has it")
}

fn layer(d: &Device) -> BatchNorm2d {
    let mut norm = BatchNorm2d::new(2, d);
    norm.weight = Some(Tensor::new(&[1.5f32, -0.5], d));
    norm.bias = Some(Tensor::new(&[0.25f32, 1.0], d));
    norm
}

#[test]
fn training_uses_the_batch_and_moves_the_running_statistics() {
    let x = spread(60);
    for d in devices() {
        let mut norm = layer(&d);
        let cx = &mut Context::train(0);
        let (mut running_mean, mut running_var) = ([0.0; 2], [1.0; 2]);
        for _ in 0..3 {
            let y = norm.forward(&Tensor::from_slice(&x, &SHAPE, &d), cx);
            let mut want = vec![0.0; 60];
            for (c, (w, b)) in [(1.5, 0.25), (-0.5, 1.0)].into_iter().enumerate() {
                let v = channel(&x, c);
                let (mean, var) = statistics(&v);
                v.iter()
                    .for_each(|&(i, x)| want[i] = (x - mean) / (var + 1e-5).sqrt() * w + b);
                let n = PER_CHANNEL as f64;
                running_mean[c] = 0.9 * running_mean[c] + 0.1 * mean;
                running_var[c] = 0.9 * running_var[c] + 0.1 * var * n / (n - 1.0);
            }
            close(&values(&y), &want, 1e-5);
            close(&values(&held(&norm.running_mean)), &running_mean, 1e-6);
            close(&values(&held(&norm.running_var)), &running_var, 1e-6);
        }
    }
}

#[test]
fn evaluation_uses_the_running_statistics() {
    let x = spread(60);
    for d in devices() {
        let mut norm = layer(&d);
        norm.running_mean = Some(Tensor::new(&[0.5f32, -0.5], &d));
        norm.running_var = Some(Tensor::new(&[4.0f32, 0.25], &d));
        let before = norm.clone();
        let y = norm.forward(&Tensor::from_slice(&x, &SHAPE, &d), &mut Context::eval());
        let mut want = vec![0.0; 60];
        for (c, (m, v, w, b)) in [(0.5, 4.0, 1.5, 0.25), (-0.5, 0.25, -0.5, 1.0)]
            .into_iter()
            .enumerate()
        {
            channel(&x, c)
                .iter()
                .for_each(|&(i, x)| want[i] = (x - m) / f64::sqrt(v + 1e-5) * w + b);
        }
        close(&values(&y), &want, 1e-5);
        assert!(
            held(&norm.running_mean).same(&held(&before.running_mean))
                && held(&norm.running_var).same(&held(&before.running_var))
        );
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let d = Device::cpu();
    let x = Tensor::from_slice(&spread(60), &SHAPE, &d);
    let r = Tensor::from_slice(&spread(127)[67..], &SHAPE, &d);
    for cx in [&mut Context::train(0), &mut Context::eval()] {
        let mut norm = layer(&d);
        let loss = (norm.forward(&x, cx) * &r).sum();
        let inputs = [&x, &held(&norm.weight), &held(&norm.bias)];
        let gradients = grad(&loss, &inputs).unwrap();
        for (input, gradient) in inputs.into_iter().zip(&gradients) {
            let exact = Evaluator::exact().evaluate(gradient).unwrap();
            let start: Vec<f64> = values(input);
            let at = |i: usize, h: f64| {
                let mut data = start.clone();
                data[i] += h;
                let mut evaluator = Evaluator::exact();
                evaluator.replace(
                    input,
                    Array {
                        shape: input.shape().to_vec(),
                        dtype: DType::F32,
                        data,
                    },
                );
                evaluator.evaluate(&loss).unwrap().data[0]
            };
            let h = 1e-5;
            let want: Vec<f64> = (0..start.len())
                .map(|i| (at(i, h) - at(i, -h)) / (2.0 * h))
                .collect();
            close(&exact.data, &want, 1e-7);
            close(&values(gradient), &exact.data, 1e-4);
        }
    }
}

#[test]
fn one_dimension() {
    for d in devices() {
        let mut norm = BatchNorm1d::new(3, &d);
        let flat = Tensor::from_slice(&spread(12), &[4, 3], &d);
        let y = norm.forward(&flat, &mut Context::train(0));
        close(&values(&y.sum_dims(&[0], false)), &[0.0; 3], 1e-5);
        let long = Tensor::from_slice(&spread(24), &[2, 3, 4], &d);
        assert_eq!(
            norm.forward(&long, &mut Context::train(0)).shape(),
            [2, 3, 4]
        );
    }
}

#[test]
fn a_bad_input_leaves_the_statistics() {
    let d = Device::cpu();
    let mut norm = BatchNorm2d::new(2, &d);
    let before = norm.clone();
    let cx = &mut Context::train(0);
    for shape in [&[3usize, 4, 2, 2][..], &[3, 2], &[1, 2, 1, 1]] {
        let y = norm.forward(&Tensor::ones(shape, DType::F32, &d), cx);
        assert_eq!(y.check().unwrap_err().kind(), ErrorKind::Shape);
    }
    let invalid = Tensor::from_slice(&[1.0f32], &SHAPE, &d);
    assert_eq!(
        norm.forward(&invalid, cx).check().unwrap_err().op(),
        "from_slice"
    );
    assert!(
        held(&norm.running_mean).same(&held(&before.running_mean))
            && held(&norm.running_var).same(&held(&before.running_var))
    );
}

#[test]
fn a_step_makes_the_statistics_leaves() {
    for d in devices() {
        let mut norm = BatchNorm2d::new(2, &d);
        let x = Tensor::from_slice(&spread(60), &SHAPE, &d);
        let mut optimizer = Sgd::new(0.1);
        for _ in 0..2 {
            let loss = norm.forward(&x, &mut Context::train(0)).square().mean();
            assert_ne!(held(&norm.running_mean).op_name(), "input");
            let g = gradients(&loss, &norm).unwrap();
            optimizer.step(&mut norm, &g).unwrap();
            assert!(norm.state().iter().all(|(_, t)| t.op_name() == "input"));
        }
        let (mean, _) = statistics(&channel(&spread(60), 0));
        close(
            &values(&held(&norm.running_mean))[..1],
            &[0.19 * mean],
            1e-6,
        );
    }
}
