//! Compiled steps do what the same function does when it runs each time, to the bit, and trace no more than they must.

use crate::devices;
use wgrad_graph::{Device, Error, Generator, Tensor};
use wgrad_nn::{
    Adam, BatchNorm1d, Context, Dropout, Kind, Layer, Linear, Module, Optimizer, RAdam, Sequential,
    Sgd, compile, gradients,
};

type State = (Sequential, Box<dyn Optimizer>, Context);

fn network(device: &Device) -> Sequential {
    let rng = &mut Generator::new(5);
    Sequential::new()
        .with("fc1", Linear::new(3, 8, rng, device))
        .with("norm", BatchNorm1d::new(8, device))
        .with("drop", Dropout::new(0.25))
        .with("fc2", Linear::new(8, 2, rng, device))
}

fn optimizer(name: &str) -> Box<dyn Optimizer> {
    match name {
        "adam" => Box::new(Adam::new(0.01).weight_decay(0.1)),
        "radam" => Box::new(RAdam::new(0.02)),
        _ => Box::new(Sgd::new(0.05).momentum(0.9).dampening(0.5)),
    }
}

fn step(state: &mut State, x: &[Tensor]) -> Result<Tensor, Error> {
    let (net, optimizer, cx) = state;
    let loss = net.forward(&x[0], cx).square().mean();
    let gradients = gradients(&loss, net)?;
    optimizer.step(net, &gradients)?;
    cx.next_step();
    Ok(loss)
}

fn batch(n: usize, size: usize, device: &Device) -> Tensor {
    let values: Vec<f32> = (0..size * 3)
        .map(|i| ((i * 7 + n * 13) % 11) as f32 * 0.3 - 1.0)
        .collect();
    Tensor::from_slice(&values, &[size, 3], device)
}

fn contents(state: &State) -> Vec<(String, Vec<f32>)> {
    let of = |(name, t): (String, Tensor)| (name, t.to_vec::<f32>().unwrap());
    state.state().into_iter().map(of).collect()
}

/// Learning rate changed on the way, a short batch now and then.
#[test]
fn a_compiled_step_is_the_step() {
    for device in devices() {
        for name in ["adam", "radam", "sgd"] {
            let fresh = || (network(&device), optimizer(name), Context::train(3));
            let (mut plain, mut compiled): (State, State) = (fresh(), fresh());
            let mut run = compile(step);
            for n in 0..12 {
                if n == 8 {
                    plain.1.set_lr(0.003);
                    compiled.1.set_lr(0.003);
                }
                let x = batch(n, if n % 4 == 3 { 4 } else { 6 }, &device);
                let want = step(&mut plain, std::slice::from_ref(&x)).unwrap();
                let got = run.call(&mut compiled, &[&x]).unwrap();
                assert_eq!(
                    got.item::<f32>().unwrap(),
                    want.item::<f32>().unwrap(),
                    "{name} step {n}"
                );
            }
            assert_eq!(contents(&compiled), contents(&plain), "{name} on {device}");
            assert_eq!(compiled.1.steps(), 12);
            assert_eq!(compiled.2, plain.2);
            assert_eq!(run.traces(), 3, "the first call and two shapes");
        }
    }
}

#[test]
fn who_holds_a_tensor_keeps_its_value() {
    let device = Device::cpu();
    let mut state: State = (network(&device), optimizer("adam"), Context::train(3));
    let mut run = compile(step);
    let x = batch(0, 6, &device);
    let mut held = Vec::new();
    for _ in 0..6 {
        run.call(&mut state, &[&x]).unwrap();
        let weight = state.0.parameters()[0].clone();
        let values = weight.to_vec::<f32>().unwrap();
        // Recorded now, computed after later steps.
        held.push((&weight * 2.0, weight, values));
    }
    for (twice, weight, values) in held {
        assert_eq!(weight.to_vec::<f32>().unwrap(), values);
        let twice = twice.to_vec::<f32>().unwrap();
        assert!(twice.iter().zip(&values).all(|(a, b)| *a == b * 2.0));
    }
}

#[test]
fn state_replaced_from_outside_is_used() {
    let device = Device::cpu();
    let mut state: State = (network(&device), optimizer("adam"), Context::train(3));
    let mut run = compile(step);
    let x = batch(0, 6, &device);
    for _ in 0..3 {
        run.call(&mut state, &[&x]).unwrap();
    }
    let saved = state.0.state();
    let values: Vec<Vec<f32>> = saved.iter().map(|(_, t)| t.to_vec().unwrap()).collect();
    let (moments, steps, cx) = (state.1.state(), state.1.steps(), state.2.clone());
    let after: Vec<f32> = (0..3)
        .map(|_| run.call(&mut state, &[&x]).unwrap().item().unwrap())
        .collect();
    for ((_, t), v) in saved.iter().zip(&values) {
        assert_eq!(&t.to_vec::<f32>().unwrap(), v);
    }
    let traces = run.traces();
    state.0.load_state(&saved).unwrap();
    state.1.load_moments(&moments, steps).unwrap();
    state.2 = cx;
    let again: Vec<f32> = (0..3)
        .map(|_| run.call(&mut state, &[&x]).unwrap().item().unwrap())
        .collect();
    assert_eq!(again, after);
    assert_eq!(run.traces(), traces);
}

#[test]
fn what_is_built_in_is_watched() {
    let device = Device::cpu();
    let mut state: State = (network(&device), optimizer("sgd"), Context::train(3));
    let mut run = compile(|(net, _, cx): &mut State, x: &[Tensor]| Ok(net.forward(&x[0], cx)));
    let x = batch(0, 6, &device);
    run.call(&mut state, &[&x]).unwrap();
    let training = run
        .call(&mut state, &[&x])
        .unwrap()
        .to_vec::<f32>()
        .unwrap();
    state.2.training = false;
    let evaluating = run
        .call(&mut state, &[&x])
        .unwrap()
        .to_vec::<f32>()
        .unwrap();
    let mut eval = Context::eval();
    let want = state.0.forward(&x, &mut eval).to_vec::<f32>().unwrap();
    assert_ne!(training, evaluating);
    assert_eq!(evaluating, want);
}

#[test]
fn mistakes_are_errors_and_change_nothing() {
    let device = Device::cpu();
    let mut state: State = (network(&device), optimizer("adam"), Context::train(3));
    let mut run = compile(step);
    let x = batch(0, 6, &device);
    for _ in 0..2 {
        run.call(&mut state, &[&x]).unwrap();
    }
    let before = contents(&state);
    let wide = Tensor::ones(&[6, 4], wgrad_graph::DType::F32, &device);
    let error = run.call(&mut state, &[&wide]).unwrap_err().to_string();
    assert!(error.contains("fc1"), "{error}");
    state.1.set_lr(f64::NAN);
    assert!(
        run.call(&mut state, &[&x])
            .unwrap_err()
            .to_string()
            .contains("lr")
    );
    state.1.set_lr(0.01);
    assert_eq!(contents(&state), before);
    assert_eq!(state.1.steps(), 2);

    let mut outside = Generator::new(1);
    let mut draws =
        compile(
            |_: &mut (), x: &[Tensor]| Ok(&x[0] + outside.uniform(x[0].shape(), x[0].device())),
        );
    let error = draws.call(&mut (), &[&x]).unwrap_err().to_string();
    assert!(error.contains("generator"), "{error}");

    let mut reads = compile(|_: &mut (), x: &[Tensor]| {
        let peek = x[0].to_vec::<f32>()?;
        Ok(&x[0] * f64::from(peek[0]))
    });
    let error = reads.call(&mut (), &[&x]).unwrap_err().to_string();
    assert!(error.contains("compile"), "{error}");

    let table = Tensor::new(&[1.0f32, 2.0], &device);
    let mut picks = compile(move |_: &mut (), x: &[Tensor]| Ok(table.index_select(0, &x[0])));
    let good = Tensor::new(&[1, 0], &device);
    assert_eq!(
        picks
            .call(&mut (), &[&good])
            .unwrap()
            .to_vec::<f32>()
            .unwrap(),
        [2.0, 1.0]
    );
    let bad = Tensor::new(&[1, 7], &device);
    let error = picks.call(&mut (), &[&bad]).unwrap_err().to_string();
    assert!(error.contains("index"), "{error}");
    assert_eq!(
        picks
            .call(&mut (), &[&good])
            .unwrap()
            .to_vec::<f32>()
            .unwrap(),
        [2.0, 1.0]
    );
}

#[test]
fn optimisers_are_modules() {
    let device = Device::cpu();
    let mut state: State = (network(&device), optimizer("adam"), Context::train(3));
    let x = batch(0, 6, &device);
    step(&mut state, &[x]).unwrap();
    let mut kinds = Vec::new();
    state.1.visit("", &mut |name, kind, _| {
        kinds.push((name.to_string(), kind))
    });
    assert_eq!(kinds[0], ("fc1.bias.exp_avg".to_string(), Kind::Buffer));
    assert_eq!(kinds.len(), 2 * state.0.parameters().len());
}
