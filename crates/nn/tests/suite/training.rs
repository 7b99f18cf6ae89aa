//! Small models that must learn.

use super::{close, devices, values};
use wgrad_graph::{Device, Generator, Tensor};
use wgrad_nn::{
    Adam, BatchNorm1d, Context, Dropout, Linear, Module, Optimizer, Sequential, Sgd, Tanh,
    gradients, loss,
};

#[test]
fn xor_is_learnt() {
    for d in devices() {
        let rng = &mut Generator::new(1);
        let mut net = Sequential::new()
            .with("hidden", Linear::new(2, 8, rng, &d))
            .with("tanh", Tanh)
            .with("out", Linear::new(8, 2, rng, &d));
        let x = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[4, 2], &d);
        let classes = Tensor::new(&[0, 1, 1, 0], &d);
        let mut optimizer = Adam::new(0.05);
        let cx = &mut Context::train(0);
        for _ in 0..150 {
            let loss = loss::cross_entropy(&net.forward(&x, cx), &classes);
            let g = gradients(&loss, &net).unwrap().clip_norm(5.0);
            optimizer.step(&mut net, &g).unwrap();
            cx.next_step();
        }
        let logits = net.forward(&x, &mut Context::eval());
        assert_eq!(
            logits.argmax(1, false).to_vec::<i32>().unwrap(),
            [0, 1, 1, 0]
        );
        assert!(
            loss::cross_entropy(&logits, &classes)
                .item::<f32>()
                .unwrap()
                < 0.1
        );
    }
}

#[test]
fn a_line_is_fitted() {
    for d in devices() {
        let mut model = Linear::new(2, 1, &mut Generator::new(0), &d);
        let x = Tensor::from_slice(
            &[0.0f32, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 0.5],
            &[5, 2],
            &d,
        );
        let y = x.matmul(&Tensor::from_slice(&[2.0f32, -3.0], &[2, 1], &d)) + 0.5;
        let mut optimizer = Sgd::new(0.1).momentum(0.9).nesterov(true);
        for _ in 0..200 {
            let loss = loss::mse(&model.forward(&x), &y);
            let g = gradients(&loss, &model).unwrap();
            optimizer.step(&mut model, &g).unwrap();
        }
        close(&values(&model.weight), &[2.0, -3.0], 1e-3);
        close(&values(model.bias.as_ref().unwrap()), &[0.5], 1e-3);
    }
}

/// With every layer that has state or chance in it, one seed is one run.
#[test]
fn a_seed_names_a_run() {
    let run = |seed: u64| {
        let d = Device::cpu();
        let rng = &mut Generator::new(seed);
        let mut net = Sequential::new()
            .with("fc1", Linear::new(3, 16, rng, &d))
            .with("norm", BatchNorm1d::new(16, &d))
            .with("dropout", Dropout::new(0.3))
            .with("fc2", Linear::new(16, 1, rng, &d));
        let mut optimizer = Adam::new(0.01);
        let mut cx = Context::train(seed);
        let x = rng.normal(&[8, 3], &d).detach().unwrap();
        let y = x.sum_dims(&[1], true);
        for _ in 0..10 {
            let loss = loss::mse(&net.forward(&x, &mut cx), &y);
            let g = gradients(&loss, &net).unwrap();
            optimizer.step(&mut net, &g).unwrap();
            cx.next_step();
        }
        net.state()
            .iter()
            .flat_map(|(_, t)| t.to_vec::<f32>().unwrap())
            .map(f32::to_bits)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
