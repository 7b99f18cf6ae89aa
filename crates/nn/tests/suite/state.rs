//! A compiled function's state: a call that fails or panics leaves it as it was, whatever the function did to it; what it
//! depends on is noticed; and nothing a function does is lost. Each case once, in `random_states` at random.

use crate::devices;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad_graph::{CustomOp, Device, Error, ErrorKind, Generator, Number, Result, Tensor};
use wgrad_nn::{
    Adam, BatchNorm1d, Checkpointed, Context, Dropout, Gelu, Host, Layer, Linear, Module,
    Optimizer, Relu, Sequential, Variable, compile, gradients,
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

fn linear(device: &Device) -> Linear {
    Linear::new(3, 2, &mut Generator::new(5), device)
}

fn x(device: &Device) -> Tensor {
    Tensor::from_slice(&crate::spread(12), &[4, 3], device)
}

fn train(optimizer: &mut Adam, net: &mut Linear, x: &Tensor) -> Result<Tensor> {
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
                    2 => s.1.momentum = 0.5,
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
            norm.momentum = 1.0 / *count as f64;
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
            let mut moved = vec![a];
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
    let words = ["third time", "1.p was 0.11 and is 0.12", "state.rs"];
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
    let words = |w: &String| w.contains("a learning rate is set") && w.contains("state.rs");
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
