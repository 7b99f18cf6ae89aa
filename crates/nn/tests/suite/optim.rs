//! Optimisers against their formulas in f64, and steps that fail.

use super::{close, devices, values};
use wgrad_graph::{DType, Device, ErrorKind, Generator, Settings, Tensor};
use wgrad_nn::{Adam, AdamW, Embedding, Linear, Module, Optimizer, Sgd, gradients, loss};

const START: [f64; 3] = [1.0, -2.0, 0.5];
const A: [f64; 3] = [0.5, 1.0, 3.0];
const B: [f64; 3] = [1.0, 0.25, -2.0];
const STEPS: usize = 7;

/// The learning rate changes in the middle.
fn lr(step: usize) -> f64 {
    if step < 4 { 0.05 } else { 0.02 }
}

/// Minimises `Σ a p² + b p`, whose gradient is `2 a p + b`, and compares every step with `rule(step, lr, p, g)`, which
/// keeps its own moments by element.
pub(super) fn check<O: Optimizer>(
    make: impl Fn(f64) -> O,
    rule: impl Fn(&mut [f64; 3], i32, f64, f64, f64) -> f64,
) {
    for d in devices() {
        let tensor = |v: [f64; 3]| Tensor::new(&v.map(|x| x as f32), &d);
        let (a, b, mut p) = (tensor(A), tensor(B), tensor(START));
        let mut want = START;
        let mut moments = [[0.0; 3]; 3];
        let mut optimizer = make(lr(0));
        for step in 0..STEPS {
            optimizer.set_lr(lr(step));
            let loss = (&a * p.square() + &b * &p).sum();
            let g = gradients(&loss, &p).unwrap();
            optimizer.step(&mut p, &g).unwrap();
            for i in 0..3 {
                let g = 2.0 * A[i] * want[i] + B[i];
                want[i] = rule(&mut moments[i], step as i32 + 1, lr(step), want[i], g);
            }
            close(&values(&p), &want, 2e-6);
            assert_eq!(
                (optimizer.steps(), optimizer.lr()),
                (step as u64 + 1, lr(step))
            );
        }
    }
}

fn sgd(momentum: f64, dampening: f64, decay: f64, nesterov: bool) {
    check(
        |lr| {
            Sgd::new(lr)
                .momentum(momentum)
                .dampening(dampening)
                .weight_decay(decay)
                .nesterov(nesterov)
        },
        |m, step, lr, p, g| {
            let g = g + decay * p;
            m[0] = if step == 1 {
                g
            } else {
                momentum * m[0] + (1.0 - dampening) * g
            };
            let d = match (momentum != 0.0, nesterov) {
                (false, _) => g,
                (true, false) => m[0],
                (true, true) => g + momentum * m[0],
            };
            p - lr * d
        },
    );
}

#[test]
fn sgd_follows_its_formula() {
    sgd(0.0, 0.0, 0.0, false);
    sgd(0.0, 0.0, 0.1, false);
    sgd(0.9, 0.0, 0.0, false);
    sgd(0.9, 0.5, 0.1, false);
    sgd(0.9, 0.0, 0.1, true);
}

/// Adam's step, without what weight decay does to `p` and `g`.
fn adam(
    m: &mut [f64; 3],
    t: i32,
    lr: f64,
    p: f64,
    g: f64,
    [b1, b2, eps]: [f64; 3],
    amsgrad: bool,
) -> f64 {
    m[0] = b1 * m[0] + (1.0 - b1) * g;
    m[1] = b2 * m[1] + (1.0 - b2) * g * g;
    m[2] = m[2].max(m[1]);
    let v = if amsgrad { m[2] } else { m[1] };
    let m_hat = m[0] / (1.0 - b1.powi(t));
    p - lr * m_hat / ((v / (1.0 - b2.powi(t))).sqrt() + eps)
}

#[test]
fn adam_follows_its_formula() {
    check(Adam::new, |m, t, lr, p, g| {
        adam(m, t, lr, p, g, [0.9, 0.999, 1e-8], false)
    });
    check(
        |lr| {
            Adam::new(lr)
                .betas(0.5, 0.6)
                .eps(1e-3)
                .weight_decay(0.1)
                .amsgrad(true)
        },
        |m, t, lr, p, g| adam(m, t, lr, p, g + 0.1 * p, [0.5, 0.6, 1e-3], true),
    );
}

#[test]
fn adamw_follows_its_formula() {
    let decayed = |decay: f64| move |lr: f64, p: f64| p * (1.0 - lr * decay);
    check(AdamW::new, |m, t, lr, p, g| {
        adam(m, t, lr, decayed(0.01)(lr, p), g, [0.9, 0.999, 1e-8], false)
    });
    check(
        |lr| {
            AdamW::new(lr)
                .betas(0.8, 0.9)
                .weight_decay(0.3)
                .amsgrad(true)
        },
        |m, t, lr, p, g| adam(m, t, lr, decayed(0.3)(lr, p), g, [0.8, 0.9, 1e-8], true),
    );
}

#[test]
fn the_first_step_of_adam_is_the_learning_rate() {
    let mut p = Tensor::new(&[1.0f32, 1.0], &Device::cpu());
    let loss = (&p * &Tensor::new(&[1e-3f32, 1e3], &Device::cpu())).sum();
    let g = gradients(&loss, &p).unwrap();
    Adam::new(0.1).step(&mut p, &g).unwrap();
    close(&values(&p), &[0.9, 0.9], 1e-5);
}

fn quadratic(model: &Linear) -> Tensor {
    let d = model.weight.device();
    let x = Tensor::from_slice(&[1.0f32, 2.0, -1.0, 0.5], &[2, 2], d);
    loss::mse(&model.forward(&x), &Tensor::ones(&[2, 1], DType::F32, d))
}

fn train(model: &mut Linear, optimizer: &mut dyn Optimizer, steps: usize) {
    for _ in 0..steps {
        let g = gradients(&quadratic(model), model).unwrap();
        optimizer.step(model, &g).unwrap();
    }
}

#[test]
fn a_resumed_run_is_the_same_run() {
    let d = Device::cpu();
    let make: [fn() -> Box<dyn Optimizer>; 3] = [
        || Box::new(Sgd::new(0.1).momentum(0.9).dampening(0.3)),
        || Box::new(Adam::new(0.1)),
        || Box::new(AdamW::new(0.1).amsgrad(true)),
    ];
    for make in make {
        let mut whole = Linear::new(2, 1, &mut Generator::new(4), &d);
        let mut half = whole.clone();
        train(&mut whole, make().as_mut(), 6);
        let mut first = make();
        train(&mut half, first.as_mut(), 3);
        let mut second = make();
        second.load_moments(&first.state(), first.steps()).unwrap();
        let mut resumed = Linear::new(2, 1, &mut Generator::new(5), &d);
        resumed.load_state(&half.state()).unwrap();
        train(&mut resumed, second.as_mut(), 3);
        assert_eq!(
            resumed.weight.to_vec::<f32>().unwrap(),
            whole.weight.to_vec::<f32>().unwrap()
        );
        assert_eq!(second.steps(), 6);
    }
}

#[test]
fn moments_are_named_by_parameter() {
    let mut model = Linear::new(2, 1, &mut Generator::new(4), &Device::cpu());
    let mut optimizer = Adam::new(0.1);
    train(&mut model, &mut optimizer, 1);
    let state = optimizer.state();
    let names: Vec<&str> = state.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(
        names,
        [
            "bias.exp_avg",
            "bias.exp_avg_sq",
            "weight.exp_avg",
            "weight.exp_avg_sq"
        ]
    );

    let mut other = Adam::new(0.1);
    let text = other.load_moments(&state[1..], 1).unwrap_err().to_string();
    assert!(text.contains("missing bias.exp_avg"), "{text}");
    let odd = [
        state.clone(),
        vec![("weight.other".to_string(), state[0].1.clone())],
    ]
    .concat();
    assert!(
        other
            .load_moments(&odd, 1)
            .unwrap_err()
            .to_string()
            .contains("unexpected weight.other")
    );
    assert_eq!((other.steps(), other.state().len()), (0, 0));
    // Shapes are known to the next step.
    let mut swapped = state.clone();
    swapped[0].1 = state[2].1.clone();
    other.load_moments(&swapped, 1).unwrap();
    let g = gradients(&quadratic(&model), &model).unwrap();
    let text = other.step(&mut model, &g).unwrap_err().to_string();
    assert!(
        text.contains("bias.exp_avg is f32[1, 2], not f32[1]"),
        "{text}"
    );
}

/// A cpu device whose bad indices no other test meets.
fn own_cpu() -> Device {
    Device::cpu_with(&Settings::default())
}

/// A failed step must leave every tensor and the optimiser as they are; the next good one goes on.
#[test]
fn a_failed_step_changes_nothing() {
    let d = own_cpu();
    let mut model = Linear::new(2, 3, &mut Generator::new(4), &d);
    let mut optimizer = Sgd::new(0.1).momentum(0.9);
    let x = Tensor::ones(&[2, 2], DType::F32, &d);
    let good = |model: &Linear| loss::cross_entropy(&model.forward(&x), &Tensor::new(&[0, 2], &d));
    let g = gradients(&good(&model), &model).unwrap();
    optimizer.step(&mut model, &g).unwrap();
    let (before, moments) = (model.state(), optimizer.state());
    let unchanged = |model: &Linear, optimizer: &Sgd| {
        let same = |a: &[(String, Tensor)], b: &[(String, Tensor)]| {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.0 == y.0 && x.1.same(&y.1))
        };
        assert!(same(&model.state(), &before) && same(&optimizer.state(), &moments));
        assert_eq!(optimizer.steps(), 1);
    };

    let bad = loss::cross_entropy(&model.forward(&x), &Tensor::new(&[0, 3], &d));
    let g = gradients(&bad, &model).unwrap();
    assert_eq!(
        optimizer.step(&mut model, &g).unwrap_err().kind(),
        ErrorKind::Index
    );
    unchanged(&model, &optimizer);

    let invalid = Tensor::from_slice(&[1.0f32], &[2], &d);
    let g = gradients(&good(&model), &model).unwrap().also(&invalid);
    assert_eq!(
        optimizer.step(&mut model, &g).unwrap_err().op(),
        "from_slice"
    );
    unchanged(&model, &optimizer);

    let other = Linear::new(4, 3, &mut Generator::new(4), &d);
    let g = gradients(
        &other.forward(&Tensor::ones(&[2, 4], DType::F32, &d)).sum(),
        &other,
    )
    .unwrap();
    let text = optimizer.step(&mut model, &g).unwrap_err().to_string();
    assert!(
        text.contains("the gradient of weight is f32[3, 4], not f32[3, 2]"),
        "{text}"
    );
    unchanged(&model, &optimizer);

    let g = gradients(&good(&model), &model).unwrap();
    optimizer.set_lr(f64::NAN);
    assert_eq!(
        optimizer.step(&mut model, &g).unwrap_err().kind(),
        ErrorKind::Value
    );
    unchanged(&model, &optimizer);
    optimizer.set_lr(0.1);
    optimizer.step(&mut model, &g).unwrap();
    assert_eq!(optimizer.steps(), 2);
}

#[test]
fn numbers_out_of_range_are_errors() {
    let d = Device::cpu();
    let mut p = Tensor::new(&[1.0f32], &d);
    let g = gradients(&p.sum(), &p).unwrap();
    let bad: [Box<dyn Optimizer>; 5] = [
        Box::new(Sgd::new(-1.0)),
        Box::new(Sgd::new(0.1).nesterov(true)),
        Box::new(Sgd::new(0.1).momentum(0.9).dampening(0.1).nesterov(true)),
        Box::new(Adam::new(0.1).betas(1.0, 0.999)),
        Box::new(AdamW::new(f64::INFINITY)),
    ];
    for mut optimizer in bad {
        assert_eq!(
            optimizer.step(&mut p, &g).unwrap_err().kind(),
            ErrorKind::Value
        );
    }
    assert_eq!(values(&p), [1.0]);
}

#[test]
fn a_bad_word_number_fails_the_step() {
    let d = own_cpu();
    let mut table = Embedding::new(3, 2, &mut Generator::new(0), &d);
    let loss = table.forward(&Tensor::new(&[0, 3], &d)).sum();
    let g = gradients(&loss, &table).unwrap();
    let before = table.clone();
    assert_eq!(
        Sgd::new(0.1).step(&mut table, &g).unwrap_err().kind(),
        ErrorKind::Index
    );
    assert!(table.weight.same(&before.weight));
}

#[test]
fn extra_tensors_are_run_with_the_step() {
    for d in devices() {
        let mut model = Linear::new(2, 1, &mut Generator::new(4), &d);
        let loss = quadratic(&model);
        let g = gradients(&loss, &model).unwrap();
        let norm = g.global_norm();
        let expected = (values(&loss), values(&norm));
        let g = g.also(&norm);
        assert_eq!(g.extra().len(), 1);
        Sgd::new(0.1).step(&mut model, &g).unwrap();
        assert_eq!((values(g.loss()), values(&norm)), expected);
    }
}

#[test]
fn half_precision_parameters_stay_so() {
    for d in devices() {
        let mut p = Tensor::new(&[1.0f32, 2.0], &d).cast(DType::F16);
        let g = gradients(&p.square().sum(), &p).unwrap().clip_norm(1e6);
        Adam::new(0.25).eps(1e-3).step(&mut p, &g).unwrap();
        assert_eq!(p.dtype(), DType::F16);
        close(&values(&p.cast(DType::F32)), &[0.75, 1.75], 2e-3);
    }
}
