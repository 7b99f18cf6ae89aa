//! Parameter groups, freezing, clipping and accumulation: PyTorch's numbers over 50 steps, and every optimiser against
//! itself without groups.

use super::{close, devices, values};
use wgrad_graph::{DType, Device, Error, Result, Tensor, explain};
use wgrad_nn::optim::Optimizer;
use wgrad_nn::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Gradients, Kind, Linear, Module, NAdam, RAdam, RmsProp,
    Rprop, Sgd, compile, gradients, gradients_where, loss,
};

/// The numbers that PyTorch's side of these tests is made of.
pub(super) fn fill(shape: &[usize], salt: usize, d: &Device) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| ((i * 37 + salt * 11) % 23) as f32 - 11.0;
    let v: Vec<f32> = (0..n).map(|i| value(i) / 25.0).collect();
    Tensor::from_slice(&v, shape, d)
}

/// `Linear(5, 7)`, tanh, `Linear(7, 3)`.
pub(super) type Net = Vec<Linear>;

pub(super) fn net(d: &Device) -> Net {
    let layer = |to, from, salt| Linear {
        weight: fill(&[to, from], salt, d),
        bias: Some(fill(&[to], salt + 1, d)),
    };
    vec![layer(7, 5, 1), layer(3, 7, 3)]
}

/// Inputs `[8, 5]` and classes `[8]`.
pub(super) fn data(d: &Device) -> (Tensor, Tensor) {
    let x: Vec<f32> = (0..40)
        .map(|i| (((i * 29 + 7) % 31) as f32 - 15.0) / 16.0)
        .collect();
    let y: Vec<i32> = (0..8).map(|i| (i * 7 + 1) % 3).collect();
    (Tensor::from_slice(&x, &[8, 5], d), Tensor::new(&y, d))
}

pub(super) fn logits(net: &Net, x: &Tensor) -> Tensor {
    net[1].forward(&net[0].forward(x).tanh())
}

/// The factor of the inputs in step `i`.
pub(super) fn factor(i: usize) -> f64 {
    1.0 + (i % 3) as f64 * 0.25
}

/// Sums of the parameters, then of their squares.
pub(super) fn sums(net: &dyn Module) -> Vec<f64> {
    let p: Vec<Vec<f64>> = net.parameters().iter().map(values).collect();
    let sums = p.iter().map(|v| v.iter().sum::<f64>());
    let squares = p.iter().map(|v| v.iter().map(|x| x * x).sum::<f64>());
    sums.chain(squares).collect()
}

/// Trains for 50 steps, compiled or not, and compares losses 0, 9, 24 and 49 and the parameters' sums. `before` is called
/// before each step, `change` with its gradients.
pub(super) fn check50<O: Optimizer + Clone>(
    d: &Device,
    make: &dyn Fn() -> O,
    before: &dyn Fn(&mut O, usize),
    change: &'static (dyn Fn(Gradients) -> Result<Gradients> + Sync),
    (losses, parameters): ([f64; 4], [f64; 8]),
) {
    let (x, y) = data(d);
    for compiled in [false, true] {
        let mut state = (net(d), make());
        let step = |(net, optimizer): &mut (Net, O), x: &[Tensor]| {
            let loss = loss::cross_entropy(&logits(net, &x[0]), &x[1]);
            let g = change(gradients(&loss, net)?)?;
            optimizer.step(net, &g)?;
            Ok::<Tensor, Error>(loss)
        };
        let mut replayed = compile(step);
        let mut got = Vec::new();
        for i in 0..50 {
            before(&mut state.1, i);
            let x = &x * factor(i);
            let loss = match compiled {
                true => replayed.call(&mut state, &[&x, &y]).unwrap(),
                false => step(&mut state, &[x, y.clone()]).unwrap(),
            };
            if [0, 9, 24, 49].contains(&i) {
                got.extend(values(&loss));
            }
        }
        close(&got, &losses, 2e-5);
        close(&sums(&state.0), &parameters, 1e-4);
        if compiled && d.to_string() != "reference" {
            assert_eq!(replayed.traces(), 1);
        }
    }
}

fn adamw() -> AdamW {
    AdamW::new(0.02).weight_decay(0.1).group(
        "plain",
        |_, t| t.rank() < 2,
        |g| g.weight_decay(0.0).with_lr(0.01),
    )
}

/// Warm-up for the one group, a step for the other; the first group's rate is the optimiser's.
fn schedule<O: Optimizer>(o: &mut O, i: usize) {
    o.set_lr(if i < 10 {
        0.02 * (1 + i) as f64 / 10.0
    } else {
        0.02
    });
    o.set_group_lr("plain", if i < 20 { 0.01 } else { 0.005 })
        .unwrap();
}

#[test]
fn groups_with_rates_and_clipping_train_as_pytorchs() {
    for d in devices() {
        check50(
            &d,
            &adamw,
            &schedule,
            &|g| Ok(g.clip_norm(0.25)),
            (
                [1.07818199, 0.80455316, 0.32373614, 0.04919852],
                [
                    7.04836338,
                    0.32930837,
                    2.20392550,
                    0.00637379,
                    12.89871638,
                    0.38656036,
                    12.71847069,
                    0.49350516,
                ],
            ),
        );
        check50(
            &d,
            &|| {
                let plain = |g: Sgd| g.momentum(0.0).with_lr(0.2);
                Sgd::new(0.1)
                    .momentum(0.9)
                    .group("plain", |_, t| t.rank() < 2, plain)
            },
            &|_, _| (),
            &|g| Ok(g.clip_norm(0.25)),
            (
                [1.07818199, 0.71486740, 0.19741614, 0.02536459],
                [
                    3.73302206,
                    0.21573573,
                    -0.08000000,
                    0.12000000,
                    14.12884984,
                    0.40439867,
                    18.80681908,
                    0.71000153,
                ],
            ),
        );
    }
}

#[test]
fn what_is_frozen_stays_and_the_rest_trains_as_pytorchs() {
    for d in devices() {
        check50(
            &d,
            &|| Adam::new(0.02),
            &|_, _| (),
            &|g| Ok(g.freeze(|name| name == "0.weight").clip_norm(0.25)),
            (
                [1.07818199, 0.93621761, 0.79038810, 0.56652358],
                [
                    0.16000000,
                    0.45274996,
                    0.69502298,
                    0.32016125,
                    2.42880000,
                    0.69026717,
                    14.29040887,
                    0.12290393,
                ],
            ),
        );
        let mut net = net(&d);
        let (x, y) = data(&d);
        let loss = loss::cross_entropy(&logits(&net, &x), &y);
        let g = gradients_where(&loss, &net, |name, _| name != "0.weight").unwrap();
        assert_eq!(g.names(), ["0.bias", "1.weight", "1.bias"]);
        let before = net.state();
        let mut adam = Adam::new(0.1);
        adam.step(&mut net, &g).unwrap();
        let same: Vec<bool> = before
            .iter()
            .zip(net.state())
            .map(|(a, b)| a.1.same(&b.1))
            .collect();
        assert_eq!(same, [true, false, false, false]);
        assert_eq!(adam.state().len(), 6);
        // Thawed, it gets moments; frozen again, it keeps them.
        let all = gradients(&loss_of(&net, &x, &y), &net).unwrap();
        adam.step(&mut net, &all).unwrap();
        assert_eq!(adam.state().len(), 8);
        let some = gradients(&loss_of(&net, &x, &y), &net)
            .unwrap()
            .freeze(|n| n.starts_with("0"));
        let kept = adam.state();
        adam.step(&mut net, &some).unwrap();
        let now = adam.state();
        assert_eq!(now.len(), 8);
        for ((name, a), (_, b)) in kept.iter().zip(&now) {
            assert_eq!(a.same(b), name.starts_with('0'), "{name}");
        }
    }
}

pub(super) fn loss_of(net: &Net, x: &Tensor, y: &Tensor) -> Tensor {
    loss::cross_entropy(&logits(net, x), y)
}

/// What a group makes of the hyperparameters.
type Change<O> = fn(O) -> O;

/// Two groups of one optimiser do what two optimisers do, one for each part: for every optimiser, compiled or not.
fn like_two<O: Optimizer + Clone>(
    make: fn(f64) -> O,
    grouped: fn(O, Change<O>) -> O,
    change: Change<O>,
) {
    let d = Device::cpu();
    let (x, y) = data(&d);
    for compiled in [false, true] {
        let mut state = (net(&d), grouped(make(0.05), change));
        let mut two = (net(&d), make(0.05), change(make(0.05)));
        let mut step = compile(|(net, optimizer): &mut (Net, O), x: &[Tensor]| {
            let loss = loss_of(net, &x[0], &x[1]);
            let g = gradients(&loss, net)?;
            optimizer.step(net, &g)?;
            Ok(loss)
        });
        for i in 0..8 {
            if i == 4 {
                state.1.set_lr(0.02);
                two.1.set_lr(0.02);
                let follows = state.1.group_lr("bias") == Some(0.02);
                if follows {
                    two.2.set_lr(0.02);
                }
            }
            let x = &x * factor(i);
            match compiled {
                true => drop(step.call(&mut state, &[&x, &y]).unwrap()),
                false => {
                    let g = gradients(&loss_of(&state.0, &x, &y), &state.0).unwrap();
                    state.1.step(&mut state.0, &g).unwrap();
                }
            }
            let g = gradients(&loss_of(&two.0, &x, &y), &two.0).unwrap();
            let (bias, weight) = g.split(|name, _| name.ends_with("bias"));
            two.1.step(&mut two.0, &weight).unwrap();
            two.2.step(&mut two.0, &bias).unwrap();
            for (a, b) in state.0.parameters().iter().zip(two.0.parameters()) {
                close(&values(a), &values(&b), 1e-6);
            }
        }
        let mut apart = [two.1.state(), two.2.state()].concat();
        apart.sort_by(|a, b| a.0.cmp(&b.0));
        let mut own = state.1.state();
        own.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(own.len(), apart.len());
        for ((name, a), (other, b)) in own.iter().zip(&apart) {
            assert_eq!(name, other);
            close(&values(a), &values(b), 1e-6);
        }
        // Saved moments are those of the groups, and load again.
        let mut again = grouped(make(0.05), change);
        again
            .load_moments(&state.1.state(), state.1.steps())
            .unwrap();
        let g = gradients(&loss_of(&state.0, &x, &y), &state.0).unwrap();
        again.step(&mut state.0, &g).unwrap();
    }
}

macro_rules! like_two {
    ($($t:ident $change:expr;)*) => {$(
        like_two::<$t>($t::new, |o, change| o.group("bias", |name, _| name.ends_with("bias"), change), $change);
    )*};
}

#[test]
fn groups_are_optimisers_of_their_own() {
    like_two! {
        Sgd |g| g.momentum(0.5);
        Adam |g| g.amsgrad(true).betas(0.8, 0.9);
        AdamW |g| g.weight_decay(0.3);
        Adagrad |g| g.initial_accumulator_value(0.5).lr_decay(0.1);
        Adadelta |g| g.rho(0.5).with_lr(0.5);
        Adamax |g| g.betas(0.5, 0.9);
        NAdam |g| g.momentum_decay(0.1);
        RAdam |g| g.betas(0.5, 0.6);
        RmsProp |g| g.momentum(0.5).centered(true);
        Rprop |g| g.with_lr(0.01);
    }
}

#[test]
fn mistakes_with_groups_are_errors() {
    let d = Device::cpu();
    let mut net = net(&d);
    let (x, y) = data(&d);
    let g = gradients(&loss_of(&net, &x, &y), &net).unwrap();
    let all = |_: &str, _: &Tensor| true;
    let mut fails = |mut o: Adam, part: &str| {
        let text = o.step(&mut net, &g).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
        assert_eq!(o.steps(), 0);
    };
    fails(
        Adam::new(0.1).group("a", all, |g| g.with_lr(-1.0)),
        "group a: lr -1",
    );
    fails(
        Adam::new(0.1).group("a", all, |g| g).group("a", all, |g| g),
        "two groups have the name a",
    );
    fails(
        Adam::new(0.1).group("a", all, move |g| g.group("b", all, |g| g)),
        "the group a has groups of its own",
    );
    let mut o = Adam::new(0.1).group("a", all, |g| g);
    let text = o.set_group_lr("b", 0.1).unwrap_err().to_string();
    assert!(text.contains("no group b, only a"), "{text}");
    assert_eq!((o.group_lr("a"), o.group_lr("b")), (Some(0.1), None));
    o.set_lr(0.2);
    assert_eq!(o.groups(), [("a".to_string(), 0.2)]);
    o.set_group_lr("a", 0.3).unwrap();
    o.set_lr(0.4);
    assert_eq!((o.lr(), o.group_lr("a")), (0.4, Some(0.3)));
    // Gradients that are not the module's.
    let strange = Gradients::from_named(g.loss(), vec![("2.weight".into(), g[0].clone())]).unwrap();
    let text = o.step(&mut net, &strange).unwrap_err().to_string();
    assert!(text.contains("no parameter is called 2.weight"), "{text}");
    let twice = vec![
        ("a".to_string(), g[0].clone()),
        ("a".to_string(), g[0].clone()),
    ];
    assert!(Gradients::from_named(g.loss(), twice).is_err());
    let few = g.clone().freeze(|name| name == "0.bias");
    let text = few.add(&g).err().unwrap().to_string();
    assert!(text.contains("cannot be added"), "{text}");
    assert!(Gradients::mean(&[]).is_err());
}

/// A number in a group's hyperparameters is built into a plan; its rate is not.
#[test]
fn a_compiled_step_is_traced_anew_for_other_groups() {
    let d = Device::cpu();
    let (x, y) = data(&d);
    let mut state = (net(&d), adamw());
    let mut step = compile(|(net, optimizer): &mut (Net, AdamW), x: &[Tensor]| {
        let loss = loss_of(net, &x[0], &x[1]);
        let g = gradients(&loss, net)?;
        optimizer.step(net, &g)?;
        Ok(loss)
    });
    let mut run = |state: &mut (Net, AdamW)| {
        step.call(state, &[&x, &y]).unwrap();
        step.traces()
    };
    assert_eq!(run(&mut state), 1);
    state.1.set_group_lr("plain", 0.5).unwrap();
    assert_eq!(run(&mut state), 1);
    let moments = state.1.state();
    state.1 = adamw();
    state.1.load_moments(&moments, 2).unwrap();
    assert_eq!(run(&mut state), 2, "another predicate may say other things");
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    for d in devices() {
        let (x, y) = data(&d);
        let net = net(&d);
        let whole = gradients(&loss_of(&net, &x, &y), &net).unwrap();
        let parts: Vec<Gradients> = (0..4)
            .map(|i| {
                let part = |t: &Tensor| t.narrow(0, 2 * i, 2);
                gradients(&loss_of(&net, &part(&x), &part(&y)), &net).unwrap()
            })
            .collect();
        let mean = Gradients::mean(&parts).unwrap();
        mean.eval().unwrap();
        close(&values(mean.loss()), &values(whole.loss()), 1e-6);
        for ((name, a), b) in mean.iter().zip(whole.of()) {
            close(&values(a), &values(b), 1e-6);
            assert!(mean.get(name).unwrap().same(a));
        }
        let sum = parts[0].clone().add(&parts[1]).unwrap().scale(0.5);
        let two = gradients(&loss_of(&net, &x.narrow(0, 0, 4), &y.narrow(0, 0, 4)), &net).unwrap();
        close(&values(&sum[0]), &values(&two[0]), 1e-6);
        let scale = Tensor::new(&[8.0f32], &d);
        let scaled = gradients(&(loss_of(&net, &x, &y) * 8.0), &net)
            .unwrap()
            .unscale(&scale);
        close(&values(&scaled[2]), &values(&whole[2]), 1e-6);
        close(&values(scaled.loss()), &values(whole.loss()), 1e-6);
        assert_eq!(whole.get("2.weight").map(Tensor::shape), None);
    }
}

/// A parameter in two places is one: its gradient counts once in the norm, and freezing it by one name freezes it.
#[test]
fn tied_parameters_count_once() {
    let d = Device::cpu();
    let w = Tensor::new(&[3.0f32, 4.0], &d);
    let model = vec![w.clone(), w, Tensor::new(&[12.0f32], &d)];
    let loss = (model[0].square().sum() + model[2].square().sum()) * 0.5;
    let g = gradients(&loss, &model).unwrap();
    close(&values(&g.global_norm()), &[13.0], 1e-6);
    let ([a, b], norm) = {
        let (a, b) = g.clone().split(|name, _| name == "0");
        Gradients::clip_grad_norms([a, b], 1.3)
    };
    assert_eq!(
        (a.names(), b.names()),
        (
            &["0".to_string(), "1".to_string()][..],
            &["2".to_string()][..]
        )
    );
    close(&values(&norm), &[13.0], 1e-6);
    close(&values(&a[1]), &[0.3, 0.4], 1e-6);
    close(&values(&b[0]), &[1.2], 1e-6);
    assert_eq!(g.clone().freeze(|name| name == "1").names(), ["2"]);
    let mut calls = 0;
    let mapped = g.map(|_, g| {
        calls += 1;
        g.clamp(-3.5, 3.5)
    });
    assert_eq!(calls, 2);
    assert!(mapped[0].same(&mapped[1]));
    close(&values(&mapped[0]), &[3.0, 3.5], 0.0);
    let none = mapped.freeze(|_| true);
    assert!(none.is_empty());
    close(&values(&none.global_norm()), &[0.0], 0.0);
}

#[test]
fn what_is_frozen_is_not_computed() {
    let d = Device::cpu();
    let net = net(&d);
    let (x, y) = data(&d);
    let loss = loss_of(&net, &x, &y);
    let plan = |g: &Gradients| {
        let all: Vec<&Tensor> = g.of().iter().collect();
        explain(&all).unwrap().matches("= matmul(").count()
    };
    let all = gradients(&loss, &net).unwrap();
    let few = all.clone().freeze(|name| name.starts_with('0'));
    assert!(
        plan(&few) + 2 <= plan(&all),
        "{} {}",
        plan(&few),
        plan(&all)
    );
    let mut kinds = Vec::new();
    net.visit("", &mut |_, kind, t| kinds.push((kind, t.dtype())));
    assert_eq!(kinds, [(Kind::Parameter, DType::F32); 4]);
}
