//! Averages of weights, mixed precision and the loss scale, against PyTorch's numbers.

use super::groups::{Net, check50, data, factor, logits, loss_of, net, sums};
use super::{close, devices, values};
use wgrad_graph::{DType, Device, Result, Tensor};
use wgrad_nn::{
    Adam, AdamW, AdjustLr, Average, BatchNorm1d, Context, DeltaBarDelta, GradScaler, Gradients,
    Lamb, Linear, Lion, Module, Muon, Optimizer, Sgd, compile, gradients, in_precision, loss,
};

fn plain(_: &str, t: &Tensor) -> bool {
    t.rank() < 2
}

fn same(g: Gradients) -> Result<Gradients> {
    Ok(g)
}

#[test]
fn lion_lamb_and_delta_bar_delta_train_as_transcribed() {
    for d in devices() {
        check50(
            &d,
            &|| {
                Lion::new(0.01)
                    .weight_decay(0.1)
                    .group("plain", plain, |g| g.weight_decay(0.0))
            },
            &|_, _| (),
            &same,
            (
                [1.07818199, 0.79676867, 0.45460808, 0.14394124],
                [
                    6.91954830,
                    0.48000000,
                    1.49016536,
                    -0.18000000,
                    11.09419025,
                    0.23440000,
                    7.23703034,
                    0.77960000,
                ],
            ),
        );
        check50(
            &d,
            &|| {
                let change = |g: Lamb| g.weight_decay(0.0).with_lr(0.01);
                Lamb::new(0.02)
                    .weight_decay(0.1)
                    .group("plain", plain, change)
            },
            &|_, _| (),
            &same,
            (
                [1.07818199, 0.91933666, 0.66297411, 0.27784333],
                [
                    4.98437866, 0.15587823, 0.95537517, 0.06166481, 6.06288586, 0.42001453,
                    4.91160833, 0.34474047,
                ],
            ),
        );
        check50(
            &d,
            &|| {
                DeltaBarDelta::new(0.1)
                    .phi(0.2)
                    .kappa(0.1)
                    .group("plain", plain, |g| g.kappa(0.05))
            },
            &|_, _| (),
            &same,
            (
                [1.07818199, 0.76769038, 0.38920775, 0.10759788],
                [
                    3.27761221,
                    0.36951100,
                    -0.12912786,
                    0.13948233,
                    7.44034401,
                    0.36837125,
                    9.53961230,
                    0.51990680,
                ],
            ),
        );
    }
}

/// Muon for the matrices, AdamW for the biases, as two optimisers.
#[test]
fn muon_trains_as_pytorchs() {
    let other = Muon::new(0.02)
        .nesterov(false)
        .weight_decay(0.0)
        .adjust_lr(AdjustLr::MatchRmsAdamW);
    let cases = [
        (
            Muon::new(0.02),
            [1.07818199, 0.94910359, 0.79131462, 0.52218077],
            [
                0.61905488,
                0.62671345,
                -0.07237975,
                0.12746107,
                4.69744937,
                0.69666772,
                3.49705027,
                0.17081458,
            ],
        ),
        (
            other,
            [1.07818199, 0.99979920, 0.90991092, 0.72962542],
            [
                0.29459136,
                0.38139663,
                -0.08000000,
                0.10847599,
                3.23804888,
                1.20182353,
                2.42679677,
                0.20867484,
            ],
        ),
    ];
    for d in devices() {
        for (muon, losses, parameters) in &cases {
            let (x, y) = data(&d);
            let mut state = (net(&d), muon.clone(), AdamW::new(0.01));
            let mut step = compile(
                |(net, muon, adamw): &mut (Net, Muon, AdamW), x: &[Tensor]| {
                    let loss = loss_of(net, &x[0], &x[1]);
                    let (matrices, rest) = gradients(&loss, net)?.split(|_, g| g.rank() == 2);
                    muon.step(net, &matrices)?;
                    adamw.step(net, &rest)?;
                    Ok(loss)
                },
            );
            let mut got = Vec::new();
            for i in 0..50 {
                let loss = step.call(&mut state, &[&(&x * factor(i)), &y]).unwrap();
                if [0, 9, 24, 49].contains(&i) {
                    got.extend(values(&loss));
                }
            }
            close(&got, losses, 2e-4);
            close(&sums(&state.0), parameters, 1e-3);
        }
        let mut net = net(&d);
        let (x, y) = data(&d);
        let g = gradients(&loss_of(&net, &x, &y), &net).unwrap();
        let text = Muon::new(0.1).step(&mut net, &g).unwrap_err().to_string();
        assert!(text.contains("Muon updates matrices"), "{text}");
    }
}

#[test]
fn averages_are_pytorchs() {
    let ema = (
        0,
        Some(0.9),
        [
            1.04629193,
            0.26743442,
            -0.08000000,
            0.12000000,
            3.89001703,
            0.38662343,
            3.55095233,
            0.28542675,
        ],
    );
    let swa = (
        20,
        None,
        [
            0.90322877,
            0.25672940,
            -0.08000000,
            0.12000000,
            3.69161313,
            0.42125960,
            3.23019966,
            0.26731899,
        ],
    );
    type State = (Net, Sgd, Average<Net>);
    for d in devices() {
        for (start, decay, want) in [ema, swa] {
            for compiled in [false, true] {
                let (x, y) = data(&d);
                let average = match decay {
                    Some(decay) => Average::ema(net(&d), decay),
                    None => Average::swa(net(&d)),
                };
                let mut state = (net(&d), Sgd::new(0.1), average);
                let train = |(net, sgd, average): &mut State, x: &[Tensor], averages: bool| {
                    let loss = loss_of(net, &x[0], &x[1]);
                    let g = gradients(&loss, net)?;
                    sgd.step(net, &g)?;
                    if averages {
                        average.update(net)?;
                    }
                    Ok(loss)
                };
                let mut first = compile(move |s: &mut State, x: &[Tensor]| train(s, x, false));
                let mut then = compile(move |s: &mut State, x: &[Tensor]| train(s, x, true));
                for i in 0..50 {
                    let x = &x * factor(i);
                    match (compiled, i >= start) {
                        (false, averages) => train(&mut state, &[x, y.clone()], averages),
                        (true, false) => first.call(&mut state, &[&x, &y]),
                        (true, true) => then.call(&mut state, &[&x, &y]),
                    }
                    .unwrap();
                }
                close(&sums(&state.2.module), &want, 1e-4);
                assert_eq!(state.2.n_averaged().unwrap(), 50 - start as u64);
                assert_eq!(state.2.num_parameters(), 0, "buffers, all of them");
                if compiled && d.to_string() != "reference" {
                    assert_eq!(then.traces(), 1);
                }
                // A saved average goes on.
                let mut again = state.2.clone();
                again.load_state(&state.2.state()).unwrap();
                again.update(&state.0).unwrap();
            }
        }
    }
}

#[test]
fn averages_refuse_other_modules() {
    let d = Device::cpu();
    let mut average = Average::ema(net(&d), 1.5);
    let text = average.update(&net(&d)).unwrap_err().to_string();
    assert!(text.contains("a decay of 1.5"), "{text}");
    let mut average = Average::swa(net(&d));
    let mut other = net(&d);
    other.pop();
    let text = average.update(&other).unwrap_err().to_string();
    assert!(text.contains("the model has no 1.weight"), "{text}");
    other.push(Linear::new(7, 4, &mut wgrad_graph::Generator::new(0), &d));
    let text = average.update(&other).unwrap_err().to_string();
    assert!(text.contains("1.weight is f32[4, 7]"), "{text}");
    assert_eq!(average.n_averaged().unwrap(), 0);
    // Buffers are copied, ties stay.
    let w = Tensor::new(&[1.0f32], &d);
    let mut average = Average::ema((vec![w.clone(), w], BatchNorm1d::new(1, &d)), 0.5);
    let v = Tensor::new(&[3.0f32], &d);
    let mut norm = BatchNorm1d::new(1, &d);
    norm.forward(
        &Tensor::from_slice(&[0.0f32, 2.0], &[2, 1], &d),
        &mut Context::train(0),
    );
    let model = (vec![v.clone(), v], norm);
    average.update(&model).unwrap();
    average.update(&model).unwrap();
    assert!(average.module.0[0].same(&average.module.0[1]));
    close(&values(average.module.1.running_mean.as_ref().expect("tracked")), &[0.1], 1e-6);
    close(&values(&average.module.0[0]), &[3.0], 0.0);
}

/// Growth, fall, and steps that are left out, with Adam's own count of steps.
#[test]
fn the_loss_scale_goes_as_pytorchs() {
    let overflows = [0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0];
    let scales = [
        8.0, 8.0, 16.0, 8.0, 8.0, 8.0, 16.0, 16.0, 8.0, 4.0, 4.0, 4.0, 8.0,
    ];
    let want = [
        0.9000000, 0.8004122, 0.7015863, 0.7015863, 0.6039391, 0.5079637, 0.4142365, 0.3234208,
        0.3234208, 0.3234208, 0.2362638, 0.1535846, 0.0762492,
    ];
    type State = (Tensor, Adam, GradScaler);
    for d in devices() {
        for compiled in [false, true] {
            let scaler = GradScaler::new(&d).init_scale(8.0).growth_interval(3);
            let mut state = (Tensor::new(&[1.0f32], &d), Adam::new(0.1), scaler);
            let train = |(p, adam, scaler): &mut State, x: &[Tensor]| {
                let loss = (p.square() * &x[0]).sum();
                let g = scaler.gradients(&loss, p)?;
                scaler.step(adam, p, &g)?;
                Ok(loss)
            };
            let mut step = compile(train);
            for (i, &overflow) in overflows.iter().enumerate() {
                let x = Tensor::new(&[if overflow == 1 { f32::INFINITY } else { 1.0 }], &d);
                match compiled {
                    true => step.call(&mut state, &[&x]),
                    false => train(&mut state, &[x]),
                }
                .unwrap();
                close(&values(&state.0), &[want[i]], 2e-6);
                close(&values(&state.2.scale), &[scales[i]], 0.0);
                let skipped: usize = overflows[..=i].iter().sum();
                assert_eq!(state.1.steps(), (i + 1 - skipped) as u64);
            }
        }
    }
}

/// Master weights in f32 train as they would in f32, to the precision of f16.
#[test]
fn mixed_precision_trains_as_f32_does() {
    for d in devices() {
        let (x, y) = data(&d);
        let mut whole = (net(&d), Sgd::new(0.1));
        let mut mixed = (net(&d), Sgd::new(0.1), GradScaler::new(&d));
        type State = (Net, Sgd, GradScaler);
        let mut step = compile(|(net, sgd, scaler): &mut State, x: &[Tensor]| {
            let half = x[0].cast(DType::F16);
            let y = in_precision(net, DType::F16, |net| logits(net, &half));
            assert_eq!(y.dtype(), DType::F16);
            let loss = loss::cross_entropy(&y.cast(DType::F32), &x[1]);
            let g = scaler.gradients(&loss, net)?;
            scaler.step(sgd, net, &g)?;
            Ok(loss)
        });
        for i in 0..20 {
            let x = &x * factor(i);
            let loss = loss_of(&whole.0, &x, &y);
            let g = gradients(&loss, &whole.0).unwrap();
            whole.1.step(&mut whole.0, &g).unwrap();
            let half = step.call(&mut mixed, &[&x, &y]).unwrap();
            close(&values(&half), &values(&loss), 5e-3);
        }
        for (a, b) in mixed.0.parameters().iter().zip(whole.0.parameters()) {
            assert_eq!(a.dtype(), DType::F32);
            close(&values(a), &values(&b), 5e-3);
        }
        let scale = values(&mixed.2.scale)[0];
        assert!(scale.log2().fract() == 0.0 && scale >= 1024.0, "{scale}");
        assert_eq!(mixed.1.steps(), 20);
        // Running statistics stay in f32, and the module has its own parameters after a panic too.
        let mut norm = BatchNorm1d::new(5, &d);
        let own = norm.weight.clone().expect("a scale");
        let y = in_precision(&mut norm, DType::F16, |n| {
            n.forward(&x.cast(DType::F16), &mut Context::train(0))
        });
        assert_eq!(
            (y.dtype(), norm.running_mean.as_ref().map(Tensor::dtype)),
            (DType::F16, Some(DType::F32))
        );
        assert!(norm.weight.as_ref().is_some_and(|w| w.same(&own)));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            in_precision(&mut norm, DType::F16, |_| panic!("on purpose"))
        }));
        assert!(caught.is_err() && norm.weight.as_ref().is_some_and(|w| w.same(&own)));
        let unscaled = gradients(&y.cast(DType::F32).square().sum(), &norm).unwrap();
        let text = mixed.2.update(&unscaled).unwrap_err().to_string();
        assert!(text.contains("not unscaled by a scaler"), "{text}");
    }
}
