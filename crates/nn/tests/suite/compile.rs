//! Compiled steps do what the same function does when it runs each time, to the bit, and trace no more than they must.

use crate::devices;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad_graph::{CustomOp, Device, Error, Generator, Tensor};
#[cfg(feature = "gpu")]
use wgrad_graph::{DeviceClass, Settings};
use wgrad_nn::{
    Adam, BatchNorm1d, Context, Dropout, Kind, Linear, Module, Optimizer, RAdam, Sequential, Sgd,
    compile, gradients,
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
            assert_eq!(run.traces(), 2, "two shapes");
        }
    }
}

#[test]
fn who_holds_a_tensor_keeps_its_value() {
    devices().iter().for_each(held_tensors_keep_their_values);
}

fn held_tensors_keep_their_values(device: &Device) {
    let mut state: State = (network(device), optimizer("adam"), Context::train(3));
    let mut run = compile(step);
    let x = batch(0, 6, device);
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

/// What becomes of two tensors of a state.
type Update = fn(&Tensor, &Tensor) -> [Tensor; 2];

/// Updates that may and that must not take place where the tensors lie.
const UPDATES: &[(&str, Update)] = &[
    ("by itself", |p, m| [p * 0.5 + 1.0, m - 2.0]),
    ("by both", |p, m| {
        let m = m * 0.9 + p;
        [p - &m * 0.1, m]
    }),
    ("swapped", |p, m| [m.clone(), p.clone()]),
    ("crossed", |p, m| [m * 2.0, p * 3.0]),
    ("crossed in one", |p, m| [p + m * 0.5, m - p * 0.5]),
    ("transposed", |p, m| [p + p.t() * 0.5, m * 0.5]),
    ("flipped", |p, m| [p.flip(&[0]), m.flip(&[1]) * 0.5]),
    ("rows", |p, m| {
        [p.softmax(1), m / (m.square().sum_dims(&[1], true) + 1.0)]
    }),
    ("rows and more", |p, m| {
        let scaled = p * 0.5;
        let rest = &scaled - scaled.amax_dims(&[1], true);
        [rest.exp(), m * 0.5 + scaled]
    }),
    ("columns", |p, m| {
        [p - p.mean_dims(&[0], true), m.softmax(0)]
    }),
    ("scanned", |p, m| [p.cumsum(0) * 0.1, m.cumsum(1) * 0.1]),
    ("multiplied", |p, m| {
        [p.matmul(p) * 0.1, m.matmul(&p.t()) * 0.1]
    }),
    ("in pieces", |p, m| {
        let n = p.shape()[0] / 2;
        let halves = [p.narrow(0, n, n) * 0.5, p.narrow(0, 0, n) * 2.0];
        [Tensor::cat(&[&halves[0], &halves[1]], 0), m * 0.5]
    }),
    ("by others", |_, m| [m.matmul(m) * 0.1, m * 0.5]),
    ("broadcast", |p, m| {
        [
            p * p.select(0, 0).unsqueeze(0) * 0.1,
            m + m.select(1, 0).unsqueeze(1),
        ]
    }),
    ("picked", |p, m| {
        let n = p.shape()[0] as i32;
        let index: Vec<i32> = (0..n).rev().collect();
        let index = Tensor::new(&index, p.device());
        [p * 0.5, m.index_select(0, &index) + p]
    }),
];

/// What it returns reads the tensors before the update and after it.
fn updated(update: Update, state: &mut Vec<Tensor>) -> [Tensor; 2] {
    let (p, m) = (state[0].clone(), state[1].clone());
    let seen = &p + &m.t() * 2.0;
    let [new_p, new_m] = update(&p, &m);
    let compared = (&new_p - &p).square().sum() + new_m.sum();
    *state = vec![new_p, new_m];
    [seen, compared]
}

fn two(n: usize, device: &Device) -> Vec<Tensor> {
    let values = crate::spread(2 * n * n);
    let of = |v: &[f32]| Tensor::from_slice(v, &[n, n], device);
    values.chunks(n * n).map(of).collect()
}

/// A GPU with a card's kernels at the least limits.
#[cfg(feature = "gpu")]
fn a_card() -> Option<Device> {
    crate::gpu()?;
    let settings = Settings {
        class: Some(DeviceClass::Discrete),
        minimum_limits: true,
        ..Settings::default()
    };
    Some(Device::gpu_blocking(None, &settings).expect("a second device"))
}

#[cfg(not(feature = "gpu"))]
fn a_card() -> Option<Device> {
    None
}

#[test]
fn updates_in_place_are_the_updates() {
    for device in devices().into_iter().chain(a_card()) {
        for &(name, update) in UPDATES {
            for (n, reads) in [(8, false), (8, true), (66, false), (128, true)] {
                let (mut plain, mut compiled) = (two(n, &device), two(n, &device));
                let mut run = compile(move |state: &mut Vec<Tensor>, _| {
                    let [seen, compared] = updated(update, state);
                    Ok(if reads {
                        vec![seen, compared]
                    } else {
                        vec![seen]
                    })
                });
                for call in 0..4 {
                    let want = updated(update, &mut plain);
                    wgrad_graph::eval(&plain.iter().chain(&want).collect::<Vec<_>>()).unwrap();
                    let got = run.call(&mut compiled, &[]).unwrap();
                    let all = got.iter().zip(&want).chain(compiled.iter().zip(&plain));
                    for (got, want) in all {
                        let [got, want] = [got, want].map(crate::values);
                        crate::close(&got, &want, 1e-5);
                        assert!(got.iter().all(|x| x.is_finite()), "{name}, call {call}");
                    }
                }
            }
        }
    }
}

/// A table whose rows are looked up and trained.
fn look_up(state: &mut (Tensor, Sgd), index: &[Tensor]) -> Result<Tensor, Error> {
    let loss = state.0.index_select(0, &index[0]).square().sum();
    let gradients = gradients(&loss, &state.0)?;
    state.1.step(&mut state.0, &gradients)?;
    Ok(loss)
}

#[test]
fn a_bad_index_leaves_the_state() {
    let device = Device::cpu();
    let table = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
    let mut state = (table, Sgd::new(0.1).momentum(0.5));
    let mut run = compile(look_up);
    let [good, bad] = [[0, 2], [1, 9]].map(|i| Tensor::new(&i, &device));
    for _ in 0..3 {
        run.call(&mut state, &[&good]).unwrap();
    }
    let (table, moments) = (crate::values(&state.0), state.1.state());
    let moments: Vec<Vec<f64>> = moments.iter().map(|(_, t)| crate::values(t)).collect();
    for _ in 0..2 {
        let error = run.call(&mut state, &[&bad]).unwrap_err().to_string();
        assert!(error.contains("index"), "{error}");
        assert_eq!(crate::values(&state.0), table);
        let after = state.1.state();
        assert!(
            after
                .iter()
                .zip(&moments)
                .all(|((_, t), m)| crate::values(t) == *m)
        );
    }
    run.call(&mut state, &[&good]).unwrap();
    assert_ne!(crate::values(&state.0), table);
}

#[test]
fn a_panic_in_a_users_kernel_leaves_the_state() {
    let device = Device::cpu();
    let careful = CustomOp::new("careful", "").cpu(|x, y, _| {
        assert!(x[0].0[0] < 5.0, "too large");
        y.copy_from_slice(x[0].0);
    });
    let mut run = compile(move |state: &mut Vec<Tensor>, x: &[Tensor]| {
        let y = careful.apply(&[&x[0]]);
        state[0] = &state[0] + &y;
        Ok(y)
    });
    let mut state = vec![Tensor::new(&[1.0f32, 2.0], &device)];
    let [good, bad] = [1.0f32, 7.0].map(|x| Tensor::new(&[x, x], &device));
    run.call(&mut state, &[&good]).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| run.call(&mut state, &[&bad])));
    assert!(caught.is_err());
    assert_eq!(crate::values(&state[0]), [2.0, 3.0]);
    run.call(&mut state, &[&good]).unwrap();
    assert_eq!(crate::values(&state[0]), [3.0, 4.0]);
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
