//! What a function does to its state and reads from it takes effect in every call; what makes new plans, or none, is said.

use crate::devices;
use crate::state::{contents, linear, train, x};
use std::cell::Cell;
use wgrad_graph::{CustomOp, Device, Generator, Number, Result, Tensor};
use wgrad_nn::{
    Adam, BatchNorm1d, Context, Dropout, Gelu, Layer, Linear, Module, Optimizer, Relu, Variable,
    compile, gradients,
};

#[test]
fn a_layer_behind_a_box_is_watched() {
    let device = Device::cpu();
    let mut run = compile(|layer: &mut Box<dyn Layer>, x: &[Tensor]| {
        Ok(layer.forward(&x[0], &mut Context::eval()))
    });
    let x = x(&device);
    let mut layer: Box<dyn Layer> = Box::new(Relu);
    let relu = crate::values(&run.call(&mut layer, &[&x]).unwrap());
    layer = Box::new(Gelu);
    let gelu = crate::values(&run.call(&mut layer, &[&x]).unwrap());
    assert_eq!(relu, crate::values(&Relu.forward(&x)));
    assert_eq!(gelu, crate::values(&Gelu.forward(&x)));
}

#[test]
fn a_learning_rate_set_inside_takes_effect() {
    /// How the rate of call `n` is set.
    type Set = fn(&mut Adam, u64);
    let ways: [Set; 5] = [
        |adam, _| adam.set_lr(0.01),
        |adam, n| adam.set_lr(0.1 / (n / 3 + 1) as f64),
        |adam, n| adam.lr = 0.1 / (n / 3 + 1) as f64,
        |adam, _| adam.lr = 0.1,
        |adam, _| adam.set_lr(0.1 / (adam.steps() / 3 + 1) as f64),
    ];
    for device in devices() {
        for (way, set) in ways.iter().enumerate() {
            let fresh = || (Adam::new(0.1), linear(&device));
            let (mut plain, mut state) = (fresh(), fresh());
            let n = Cell::new(0);
            let mut run = compile(|(adam, net): &mut (Adam, Linear), x: &[Tensor]| {
                set(adam, n.get());
                train(adam, net, &x[0])
            });
            let x = x(&device);
            for call in 0..9 {
                n.set(call);
                if call == 5 {
                    plain.0.lr = 0.3;
                    state.0.lr = 0.3;
                }
                set(&mut plain.0, call);
                train(&mut plain.0, &mut plain.1, &x).unwrap();
                run.call(&mut state, &[&x]).unwrap();
                let (got, want) = (contents(&mut state), contents(&mut plain));
                assert_eq!(got, want, "way {way}, call {call}, {device}");
            }
        }
    }
}

#[test]
fn a_number_of_the_state_changed_inside_takes_effect() {
    for device in devices() {
        let step = |(net, norm, count): &mut (Linear, BatchNorm1d, usize), x: &[Tensor]| {
            *count += 1;
            norm.momentum = Some(1.0 / *count as f64);
            Ok(norm.forward(&Linear::forward(net, &x[0]), &mut Context::train(0)) * *count as f64)
        };
        let fresh = || (linear(&device), BatchNorm1d::new(2, &device), 0);
        let (mut plain, mut state) = (fresh(), fresh());
        let mut run = compile(step);
        let x = x(&device);
        for _ in 0..8 {
            let want = step(&mut plain, std::slice::from_ref(&x)).unwrap();
            let got = run.call(&mut state, &[&x]).unwrap();
            assert_eq!(crate::values(&got), crate::values(&want));
            assert_eq!(contents(&mut state), contents(&mut plain));
        }
    }
}

#[test]
fn two_generators_of_one_seed_are_two() {
    type Two = (Generator, Generator);
    let draws: [fn(&mut Two, &Device) -> Vec<Tensor>; 4] = [
        |(a, b), d| vec![a.uniform(&[2], d), b.uniform(&[2], d), b.normal(&[2], d)],
        |(a, b), d| {
            b.next_step();
            let first = b.uniform(&[3], d);
            a.next_step();
            vec![first, b.uniform(&[2], d), a.uniform(&[2], d)]
        },
        |(a, b), d| {
            std::mem::swap(a, b);
            vec![a.uniform(&[2], d)]
        },
        |(a, b), d| {
            let mut copy = a.clone();
            b.next_step();
            vec![
                copy.uniform(&[2], d),
                a.uniform(&[2], d),
                b.uniform(&[2], d),
            ]
        },
    ];
    for device in devices() {
        for (which, draw) in draws.iter().enumerate() {
            let fresh = || (Generator::new(0), Generator::new(0));
            let (mut plain, mut state): (Two, Two) = (fresh(), fresh());
            let mut run = compile(|two: &mut Two, _: &[Tensor]| Ok(draw(two, &device)));
            for _ in 0..6 {
                let want = draw(&mut plain, &device);
                let got = run.call(&mut state, &[]).unwrap();
                for (got, want) in got.iter().zip(&want) {
                    crate::close(&crate::values(got), &crate::values(want), 1e-5);
                }
                assert_eq!(state, plain, "draws {which}");
            }
        }
    }
}

#[test]
fn a_variable_changes_without_a_new_trace() {
    for device in devices() {
        let mut run = compile(|(beta, w): &mut (Variable, Tensor), x: &[Tensor]| {
            *w = &*w * &*beta + &x[0];
            Ok(&*beta / (&*w - &*beta))
        });
        let mut state = (Variable::new(0.5), Tensor::new(&[1.0f32], &device));
        let (mut w, x) = (1.0, Tensor::new(&[2.0f32], &device));
        for n in 0..10 {
            // Set, or another one in its place.
            let beta = f64::from(n) * 0.25 - 1.0;
            match n % 3 {
                0 => state.0 = Variable::new(beta),
                _ => state.0.set(beta),
            }
            let got = run.call(&mut state, &[&x]).unwrap();
            w = w * beta + 2.0;
            crate::close(&crate::values(&state.1), &[w], 1e-5);
            crate::close(&crate::values(&got), &[beta / (w - beta)], 1e-5);
        }
        assert_eq!(run.traces(), 1);
    }
}

#[test]
fn cells_are_read_when_a_plan_runs_or_the_function_runs_itself() {
    let device = Device::cpu();
    let x = Tensor::new(&[2.0f32], &device);
    let rate = Number::new(1.0);
    let mut tensor = compile(|_: &mut (), x: &[Tensor]| Ok(rate.like(&x[0]) * &x[0]));
    let mut host = compile(|_: &mut (), x: &[Tensor]| Ok(&x[0] * rate.get()));
    let mut variable = compile(|v: &mut Variable, x: &[Tensor]| {
        v.set(v.get() * 2.0);
        Ok(&x[0] * &*v)
    });
    let mut v = Variable::new(1.0);
    for n in 1..6 {
        rate.set(f64::from(n));
        for run in [tensor.call(&mut (), &[&x]), host.call(&mut (), &[&x])] {
            assert_eq!(crate::values(&run.unwrap()), [2.0 * f64::from(n)]);
        }
        let doubled = variable.call(&mut v, &[&x]).unwrap();
        assert_eq!(crate::values(&doubled), [2f64.powi(n + 1)]);
    }
    assert_eq!(tensor.traces(), 1);
}

/// Steps a module with plain descent's loss.
fn descend(optimizer: &mut dyn Optimizer, net: &mut Linear, x: &Tensor) -> Result<()> {
    let loss = Linear::forward(net, x).square().mean();
    let gradients = gradients(&loss, net)?;
    optimizer.step(net, &gradients)
}

#[test]
fn an_optimiser_refuses_a_second_module() {
    for device in devices() {
        let x = x(&device);
        for compiled in [false, true] {
            let mut adam = Adam::new(0.1);
            let (mut a, mut b) = (linear(&device), linear(&device));
            if compiled {
                let mut run = compile(|(adam, net): &mut (Adam, Linear), x: &[Tensor]| {
                    train(adam, net, &x[0])
                });
                let mut state = (adam, a);
                for _ in 0..2 {
                    run.call(&mut state, &[&x]).unwrap();
                }
                (adam, a) = state;
            } else {
                descend(&mut adam, &mut a, &x).unwrap();
            }
            let before = (contents(&mut adam), contents(&mut b));
            let error = descend(&mut adam, &mut b, &x).unwrap_err().to_string();
            assert!(error.contains("weight, bias"), "{error}");
            assert_eq!((contents(&mut adam), contents(&mut b)), before);
            // The first goes on, loaded, moved, changed by hand or replaced.
            let saved = a.state();
            descend(&mut adam, &mut a, &x).unwrap();
            a.load_state(&saved).unwrap();
            descend(&mut adam, &mut a, &x).unwrap();
            a.load_state(&b.state()).unwrap();
            descend(&mut adam, &mut a, &x).unwrap();
            let mut moved = [a];
            descend(&mut adam, &mut moved[0], &x).unwrap();
            (moved[0].weight, moved[0].bias) = (&moved[0].weight * 0.5, None);
            descend(&mut adam, &mut moved[0], &x).unwrap();
            moved[0] = b.clone();
            descend(&mut adam, &mut moved[0], &x).unwrap();
            // A copy goes on from the last step, but then there are two.
            let mut copy = moved[0].clone();
            descend(&mut adam, &mut moved[0], &x).unwrap();
            assert!(descend(&mut adam, &mut copy, &x).is_err());
            // One optimiser for each.
            let mut second = adam.clone();
            descend(&mut second, &mut copy, &x).unwrap();
            descend(&mut adam, &mut moved[0], &x).unwrap();
            assert!(descend(&mut second, &mut moved[0], &x).is_err());
        }
    }
}

#[test]
fn the_third_trace_warns_of_what_changed() {
    let device = Device::cpu();
    let warnings = crate::warnings::of(|| {
        let mut state = (linear(&device), Dropout::new(0.1), Context::train(1));
        let mut run = compile(
            |(net, drop, cx): &mut (Linear, Dropout, Context), x: &[Tensor]| {
                Ok(drop.forward(&Linear::forward(net, &x[0]), cx))
            },
        );
        for n in 0..6 {
            state.1.p = 0.1 + f64::from(n) * 0.01;
            run.call(&mut state, &[&x(&device)]).unwrap();
        }
    });
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let words = ["third time", "1.p was 0.11 and is 0.12", "effects.rs"];
    assert!(
        words.iter().all(|w| warnings[0].contains(w)),
        "{warnings:?}"
    );
}

#[test]
fn a_function_that_cannot_be_replayed_says_why() {
    let device = Device::cpu();
    let warnings = crate::warnings::of(|| {
        let mut state = (Adam::new(0.1), linear(&device));
        let mut run = compile(|(adam, net): &mut (Adam, Linear), x: &[Tensor]| {
            adam.set_lr(0.2);
            train(adam, net, &x[0])
        });
        for _ in 0..6 {
            run.call(&mut state, &[&x(&device)]).unwrap();
        }
    });
    let words = |w: &String| w.contains("a learning rate is set") && w.contains("effects.rs");
    assert!(
        !warnings.is_empty() && warnings.iter().all(words),
        "{warnings:?}"
    );
}

#[test]
fn a_custom_operation_made_anew_has_one_plan_or_a_warning() {
    let device = Device::cpu();
    let x = Tensor::new(&[1.0f32, 2.0], &device);
    let scaled = |scale: Option<f32>| {
        let op = CustomOp::new("made_anew", "");
        let op = match scale {
            Some(s) => {
                op.cpu(move |x, y, _| y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = s * x))
            }
            None => op.cpu(|x, y, _| y.copy_from_slice(x[0].0)),
        };
        crate::values(&op.apply(&[&x]))
    };
    let none = crate::warnings::of(|| (0..9).for_each(|_| assert_eq!(scaled(None), [1.0, 2.0])));
    assert!(none.is_empty(), "{none:?}");
    let some = crate::warnings::of(|| {
        for n in 0..9u8 {
            assert_eq!(
                scaled(Some(f32::from(n))),
                [f64::from(n), 2.0 * f64::from(n)]
            );
        }
    });
    assert!(some.len() == 1 && some[0].contains("made_anew"), "{some:?}");
}

/// A function that no plan can stand for is called once in each call, the first ones too.
#[test]
fn a_function_runs_once_in_a_call() {
    for device in devices() {
        let calls = Cell::new(0);
        let mut state = (Adam::new(0.5), linear(&device), Vec::<Tensor>::new());
        let mut run = compile(
            |(adam, net, seen): &mut (Adam, Linear, Vec<Tensor>), x: &[Tensor]| {
                calls.set(calls.get() + 1);
                adam.lr = 0.5 / f64::from(calls.get());
                let loss = train(adam, net, &x[0])?;
                seen.push(loss.clone());
                Ok(loss)
            },
        );
        let x = x(&device);
        for n in 1..12 {
            let loss = run.call(&mut state, &[&x]).unwrap();
            assert_eq!(calls.get(), n);
            assert_eq!(
                (state.0.steps(), state.0.lr),
                (n as u64, 0.5 / f64::from(n))
            );
            assert_eq!(
                crate::values(&state.2[n as usize - 1]),
                crate::values(&loss)
            );
        }
        // And one that a plan can stand for is called once.
        let calls = Cell::new(0);
        let mut run = compile(|(adam, net): &mut (Adam, Linear), x: &[Tensor]| {
            calls.set(calls.get() + 1);
            train(adam, net, &x[0])
        });
        let mut state = (Adam::new(0.5), linear(&device));
        for n in 1..5 {
            state.0.set_lr(0.5 / f64::from(n));
            run.call(&mut state, &[&x]).unwrap();
        }
        let want = if device.to_string() == "reference" {
            4
        } else {
            1
        };
        assert_eq!((calls.get(), run.traces()), (want, 1));
    }
}
