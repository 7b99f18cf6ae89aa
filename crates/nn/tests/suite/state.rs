//! A compiled function's state: a call that fails or panics leaves it as it was, whatever the function did to it; what it
//! depends on is noticed; and nothing a function does is lost. Each case once, in `random_states` at random.

use crate::devices;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad_graph::{Device, Error, ErrorKind, Generator, Result, Tensor};
use wgrad_nn::{
    Adam, BatchNorm1d, Checkpointed, Context, Dropout, Host, Layer, Linear, Module, Optimizer,
    Sequential, compile, gradients,
};

/// Everything that a state shows, as text.
pub(crate) fn contents<S: Module>(state: &mut S) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (name, t) in state.state() {
        let bits: Vec<u32> = t
            .to_vec::<f32>()
            .unwrap()
            .iter()
            .map(|v| v.to_bits())
            .collect();
        all.push(format!("{name} {:?} {bits:?}", t.shape()));
    }
    state.visit_host(&mut |host| {
        if let Host::Tensor(t) = host {
            all.push(format!("{:?}", t.to_vec::<f32>().unwrap()));
        }
    });
    all.extend(numbers(state));
    all
}

/// What a state shows besides tensors, as text.
pub(crate) fn numbers<S: Module>(state: &mut S) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    state.visit_host(&mut |host| {
        all.push(match host {
            Host::Enter(name) => format!("{name}"),
            Host::Leave => String::new(),
            Host::Number(n) => n.to_string(),
            Host::Value(v) => v.show(),
            Host::Tensor(t) => format!("{:?}", t.shape()),
            Host::Generator(g) => format!("{:?}", g.state()),
            Host::Optimizer(o) => {
                let (lr, steps) = (o.learning_rate(), o.steps_taken());
                format!("{lr} {steps} {:?}", o.hyperparameters())
            }
            Host::Variable(v) => v.get().to_string(),
        });
    });
    all
}

pub(crate) fn linear(device: &Device) -> Linear {
    Linear::new(3, 2, &mut Generator::new(5), device)
}

pub(crate) fn x(device: &Device) -> Tensor {
    Tensor::from_slice(&crate::spread(12), &[4, 3], device)
}

pub(crate) fn train(optimizer: &mut Adam, net: &mut Linear, x: &Tensor) -> Result<Tensor> {
    let loss = Linear::forward(net, x).square().mean();
    let gradients = gradients(&loss, net)?;
    optimizer.step(net, &gradients)?;
    Ok(loss)
}

fn failure() -> Error {
    Error::new(ErrorKind::Value, "test", "as it was told")
}

#[test]
fn an_option_that_is_filled_before_a_failure_is_empty_again() {
    for device in devices() {
        let mut state: (Option<Tensor>, Linear) = (None, linear(&device));
        let before = contents(&mut state);
        let fails = Cell::new(true);
        let mut run = compile(
            |(hidden, net): &mut (Option<Tensor>, Linear), x: &[Tensor]| {
                let y = Linear::forward(net, &x[0]);
                let sum = match &*hidden {
                    Some(h) => &y + h,
                    None => y,
                };
                *hidden = Some(sum.clone());
                match fails.get() {
                    true => Err(failure()),
                    false => Ok(sum),
                }
            },
        );
        let x = x(&device);
        let error = run.call(&mut state, &[&x]).unwrap_err().to_string();
        assert!(error.contains("as it was told"), "{error}");
        assert_eq!(contents(&mut state), before);
        fails.set(false);
        let y = crate::values(&state.1.forward(&x));
        for n in 1..5 {
            let got = crate::values(&run.call(&mut state, &[&x]).unwrap());
            let want: Vec<f64> = y.iter().map(|y| y * f64::from(n)).collect();
            crate::close(&got, &want, 1e-5);
        }
        assert_eq!(run.traces(), 2, "without and with a hidden state");
        // Emptied from outside, and emptied inside before a failure.
        state.0 = None;
        let got = crate::values(&run.call(&mut state, &[&x]).unwrap());
        crate::close(&got, &y, 1e-5);
        let before = contents(&mut state);
        let mut empties = compile(|(hidden, _): &mut (Option<Tensor>, Linear), _: &[Tensor]| {
            *hidden = None;
            Err::<Tensor, _>(failure())
        });
        empties.call(&mut state, &[]).unwrap_err();
        assert_eq!(contents(&mut state), before);
    }
}

#[test]
fn a_list_that_grows_or_shrinks_works_and_is_put_back() {
    for device in devices() {
        let fresh = || vec![Some(linear(&device)), None];
        let (mut plain, mut state) = (fresh(), fresh());
        let fails = Cell::new(false);
        let step = |parts: &mut Vec<Option<Linear>>, x: &[Tensor]| {
            let last = parts.iter().flatten().last().ok_or_else(failure)?;
            let mut next = last.clone();
            next.weight = &next.weight * 0.5;
            let y = next.forward(&x[0]);
            parts.push(Some(next));
            if parts.len() > 4 {
                parts.remove(0);
                parts.remove(1);
            }
            match fails.get() {
                true => Err(failure()),
                false => Ok(y),
            }
        };
        let mut run = compile(step);
        let x = x(&device);
        for n in 0..8 {
            fails.set(true);
            let before = contents(&mut state);
            run.call(&mut state, &[&x]).unwrap_err();
            assert_eq!(contents(&mut state), before, "{n}");
            fails.set(false);
            let want = step(&mut plain, std::slice::from_ref(&x)).unwrap();
            let got = run.call(&mut state, &[&x]).unwrap();
            assert_eq!(crate::values(&got), crate::values(&want));
            assert_eq!(contents(&mut state), contents(&mut plain), "{n}");
        }
    }
}

#[test]
fn the_first_call_counts_no_step_if_it_fails() {
    for device in devices() {
        let fresh = || (Adam::new(0.1), linear(&device));
        let (mut plain, mut state) = (fresh(), fresh());
        let before = contents(&mut state);
        let (fails, calls) = (Cell::new(true), Cell::new(0));
        let mut run = compile(|(adam, net): &mut (Adam, Linear), x: &[Tensor]| {
            calls.set(calls.get() + 1);
            let loss = train(adam, net, &x[0])?;
            match fails.get() {
                true => Err(failure()),
                false => Ok(loss),
            }
        });
        let x = x(&device);
        run.call(&mut state, &[&x]).unwrap_err();
        assert_eq!(contents(&mut state), before);
        assert_eq!(state.0.steps(), 0);
        fails.set(false);
        for n in 1..4 {
            let want = train(&mut plain.0, &mut plain.1, &x).unwrap();
            let got = run.call(&mut state, &[&x]).unwrap();
            assert_eq!(crate::values(&got), crate::values(&want));
            assert_eq!(contents(&mut state), contents(&mut plain));
            assert_eq!(state.0.steps(), n);
        }
        if device.to_string() != "reference" {
            assert_eq!(
                (run.traces(), calls.get()),
                (1, 2),
                "one that failed, and one plan"
            );
        }
    }
}

#[test]
fn a_first_run_that_fails_leaves_no_moments() {
    let device = Device::cpu();
    let table = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
    let mut state = (Adam::new(0.1), table);
    let before = contents(&mut state);
    let mut run = compile(|(adam, table): &mut (Adam, Tensor), index: &[Tensor]| {
        let loss = table.index_select(0, &index[0]).square().sum();
        let gradients = gradients(&loss, table)?;
        adam.step(table, &gradients)?;
        Ok(loss)
    });
    let [good, bad] = [[0, 2], [1, 9]].map(|i| Tensor::new(&i, &device));
    let error = run.call(&mut state, &[&bad]).unwrap_err().to_string();
    assert!(error.contains("index"), "{error}");
    assert_eq!(contents(&mut state), before);
    run.call(&mut state, &[&good]).unwrap();
    assert_eq!((state.0.steps(), run.traces()), (1, 1));
}

#[test]
fn a_panic_in_a_traced_function_leaves_the_state() {
    for device in devices() {
        let mut state = (
            Adam::new(0.1),
            linear(&device),
            Context::train(1),
            None::<Tensor>,
        );
        let before = contents(&mut state);
        let panics = Cell::new(true);
        let mut run = compile(
            |(adam, net, cx, seen): &mut (Adam, Linear, Context, Option<Tensor>), x: &[Tensor]| {
                let noise = cx.rng.normal(&[4, 3], x[0].device());
                cx.next_step();
                let loss = train(adam, net, &(&x[0] + noise))?;
                assert!(!panics.get(), "as it was told");
                *seen = Some(loss.clone());
                Ok(loss)
            },
        );
        let x = x(&device);
        let caught = catch_unwind(AssertUnwindSafe(|| run.call(&mut state, &[&x])));
        assert!(caught.is_err());
        assert_eq!(contents(&mut state), before);
        panics.set(false);
        for n in 1..4 {
            run.call(&mut state, &[&x]).unwrap();
            assert_eq!(state.0.steps(), n);
        }
    }
}

#[test]
fn a_state_that_is_moved_gives_the_right_value_on_its_new_device() {
    let others: Vec<Device> = devices()
        .into_iter()
        .filter(|d| *d != Device::cpu())
        .collect();
    for other in others {
        let mut run = compile(|w: &mut Tensor, _: &[Tensor]| Ok(&*w * 0.5));
        let mut w = Tensor::new(&[3.0f32], &Device::cpu());
        for device in [Device::cpu(), other.clone(), Device::cpu(), other] {
            w = w.to(&device).unwrap();
            for _ in 0..2 {
                let half = run.call(&mut w, &[]).unwrap();
                assert_eq!((half.device(), crate::values(&half)), (&device, vec![1.5]));
            }
        }
    }
}

#[test]
fn an_operand_on_another_device_is_an_error() {
    for other in devices().into_iter().filter(|d| *d != Device::cpu()) {
        let mut run = compile(|w: &mut Tensor, x: &[Tensor]| {
            *w = &*w + 1.0;
            Ok([&*w * &x[0], w.clone()])
        });
        let mut w = Tensor::new(&[3.0f32], &Device::cpu());
        let there = Tensor::new(&[2.0f32], &other);
        let here = there.to(&Device::cpu()).unwrap();
        for n in 1..4 {
            let error = run.call(&mut w, &[&there]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Device, "{error}");
            let [product, _] = run.call(&mut w, &[&here]).unwrap();
            assert_eq!(crate::values(&product), [2.0 * f64::from(3 + n)]);
        }
        // One that the function does not use, and one that it captures.
        let mut idle = compile(|w: &mut Tensor, _: &[Tensor]| Ok(&*w * 2.0));
        assert!(idle.call(&mut w, &[&there]).is_err());
        let captured = there.clone();
        let mut captures = compile(move |w: &mut Tensor, _: &[Tensor]| Ok(&*w * &captured));
        assert!(captures.call(&mut w, &[]).is_err());
        assert_eq!(crate::values(&w), [6.0]);
    }
}

/// A network whose numbers are changed from outside between calls.
fn numbered(device: &Device) -> (Sequential, BatchNorm1d, Checkpointed<Dropout>, Context) {
    let net = Sequential::new().with("fc", linear(device));
    let block = Checkpointed::new(Dropout::new(0.25));
    (net, BatchNorm1d::new(2, device), block, Context::train(3))
}

#[test]
fn numbers_that_change_between_calls_take_effect() {
    type State = (Sequential, BatchNorm1d, Checkpointed<Dropout>, Context);
    let step = |(net, norm, block, cx): &mut State, x: &[Tensor]| {
        let y = net.forward(&x[0], cx);
        let y = norm.forward(&y, cx);
        let y = block.forward(&y, cx);
        cx.next_step();
        Ok(y)
    };
    for device in devices() {
        let (mut plain, mut state) = (numbered(&device), numbered(&device));
        let mut run = compile(step);
        let x = x(&device);
        for n in 0..12 {
            for s in [&mut plain, &mut state] {
                match n {
                    2 => s.1.momentum = Some(0.5),
                    4 => s.2.layer.p = 0.75,
                    6 => s.3.training = false,
                    7 => s.1.eps = 0.5,
                    9 => s.3 = Context::train(9),
                    _ => {}
                }
            }
            let want = step(&mut plain, std::slice::from_ref(&x)).unwrap();
            let got = run.call(&mut state, &[&x]).unwrap();
            crate::close(&crate::values(&got), &crate::values(&want), 1e-6);
            let got: Vec<f64> = state
                .1
                .buffers()
                .iter()
                .flat_map(|(_, t)| crate::values(t))
                .collect();
            let want: Vec<f64> = plain
                .1
                .buffers()
                .iter()
                .flat_map(|(_, t)| crate::values(t))
                .collect();
            crate::close(&got, &want, 1e-6);
            assert_eq!(state.3, plain.3);
        }
    }
}

/// A GPU tells of a bad index with the result; the run's steps and draws do not count then.
#[test]
fn a_run_that_turns_out_to_have_failed_does_not_count() {
    type Looked = (Adam, Tensor, Generator);
    for device in devices()
        .into_iter()
        .filter(|d| d.to_string() != "reference")
    {
        let fresh = || -> Looked {
            let table = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
            (Adam::new(0.1), table, Generator::new(3))
        };
        let step = |(adam, table, rng): &mut Looked, index: &[Tensor]| {
            rng.next_step();
            let noise = rng.uniform(&[2], index[0].device());
            let loss = (table.index_select(0, &index[0]) * noise).square().sum();
            let gradients = gradients(&loss, table)?;
            adam.step(table, &gradients)?;
            Ok(loss)
        };
        let (mut plain, mut state) = (fresh(), fresh());
        let mut run = compile(step);
        let [good, bad] = [[0, 2], [1, 9]].map(|i| Tensor::new(&i, &device));
        for n in 1..6 {
            let want = step(&mut plain, std::slice::from_ref(&good)).unwrap();
            let got = run.call(&mut state, &[&good]).unwrap();
            crate::close(&crate::values(&got), &crate::values(&want), 1e-5);
            let before = contents(&mut state);
            for _ in 0..n % 3 {
                let failed = run.call(&mut state, &[&bad]).and_then(|t| t.item::<f32>());
                let error = failed.unwrap_err().to_string();
                assert!(
                    error.contains("index") && error.contains("state.rs"),
                    "{error}"
                );
                assert_eq!(contents(&mut state), before);
                assert_eq!((state.0.steps(), state.2.state()), (n, [3, n, 1]));
            }
        }
        // Several at once, before any is known.
        let results: Vec<_> = [&bad, &good, &bad, &good]
            .map(|index| run.call(&mut state, &[index]))
            .into_iter()
            .collect();
        let failed = results.into_iter().filter(|r| match r {
            Ok(t) => t.item::<f32>().is_err(),
            Err(_) => true,
        });
        assert_eq!(failed.count(), 2);
        assert_eq!((state.0.steps(), state.2.state()), (7, [3, 7, 1]));
    }
}

/// The same without compiling: a step that fails leaves parameters, moments and steps.
#[test]
fn a_step_that_fails_changes_nothing() {
    for device in devices() {
        let fresh = || {
            let table = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
            (Adam::new(0.1).amsgrad(true), table)
        };
        let step = |(adam, table): &mut (Adam, Tensor), index: &Tensor| {
            let loss = table.index_select(0, index).square().sum();
            let gradients = gradients(&loss, table)?;
            adam.step(table, &gradients)?;
            Ok(loss)
        };
        let (mut plain, mut state) = (fresh(), fresh());
        let [good, bad] = [[0, 2], [1, 9]].map(|i| Tensor::new(&i, &device));
        for n in 1..5 {
            step(&mut plain, &good).unwrap();
            step(&mut state, &good).unwrap();
            let before = contents(&mut state);
            for _ in 0..2 {
                let failed = step(&mut state, &bad).and_then(|t: Tensor| t.item::<f32>());
                let error = failed.unwrap_err().to_string();
                assert!(error.contains("index"), "{error}");
                assert_eq!(contents(&mut state), before);
                assert_eq!(state.0.steps(), n);
            }
            assert_eq!(contents(&mut state), contents(&mut plain));
        }
    }
}
