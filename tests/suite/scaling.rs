//! Programs of very many operations, on a thread with half a mebibyte of stack: nothing that walks a graph or a plan
//! recurses, and nothing takes a time that grows much faster than the program. Passes alone are timed by
//! `passes::scaling` in `crates/graph`.

use crate::support::{self, Subject};
use std::time::{Duration, Instant};
use wgrad::nn::{Context, Lstm, RecurrentOptions, Sgd, compile, gradients};
use wgrad::{
    DType, Device, Generator, Module, Optimizer, Settings, Tensor, eval, explain, grad, graph_dot,
    jvp, vmap,
};

/// What a debug build may take for what a release build does in a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `f` on a thread of its own with a small stack.
fn on_small_stack(f: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 19);
    let thread = thread.spawn(f).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn within_patience<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = f();
    let took = began.elapsed();
    println!("{what}: {took:?}");
    assert!(took < PATIENCE, "{what} took {took:?}");
    result
}

fn own_cpu() -> Device {
    Device::cpu_with(&Settings::default())
}

fn leaf(values: &[f32], device: &Device) -> Tensor {
    Tensor::new(values, device)
}

/// `x ← x·a + b`, `n` times.
fn chain(n: usize, x: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    (0..n).fold(x.clone(), |t, _| t * a + b)
}

fn chained(n: usize, x: f32, a: f32, b: f32) -> f32 {
    (0..n).fold(x, |t, _| t * a + b)
}

fn operands(device: &Device) -> [Tensor; 3] {
    [[1.0, -2.0], [0.5, 0.999], [0.25, 0.5]].map(|v| leaf(&v, device))
}

fn close(got: f32, want: f32) -> bool {
    (got - want).abs() <= 1e-4 * (1.0 + want.abs())
}

#[test]
fn a_chain_of_two_hundred_thousand_operations_runs() {
    on_small_stack(|| {
        let n = 100_000;
        for device in [own_cpu(), support::cpu_unfused(), Device::reference()] {
            let [x, a, b] = operands(&device);
            let t = within_patience(&format!("{n} steps on {device}"), || {
                let t = chain(n, &x, &a, &b);
                t.to_vec::<f32>().expect("values")
            });
            assert!(close(t[0], chained(n, 1.0, 0.5, 0.25)), "{t:?}");
            assert!(close(t[1], chained(n, -2.0, 0.999, 0.5)), "{t:?}");
        }
    });
}

#[test]
fn a_compiled_chain_is_planned_whole() {
    on_small_stack(|| {
        let device = own_cpu();
        let [x, a, b] = operands(&device);
        let n = 50_000;
        let mut run = compile(move |_: &mut (), x: &[Tensor]| Ok(chain(n, &x[0], &x[1], &x[2])));
        let mut call = || run.call(&mut (), &[&x, &a, &b]).expect("it runs");
        let t = within_patience("first call", &mut call);
        let again = within_patience("replay", &mut call);
        let values = t.to_vec::<f32>().expect("values");
        assert!(close(values[1], chained(n, -2.0, 0.999, 0.5)), "{values:?}");
        assert_eq!(values, again.to_vec::<f32>().expect("values"));
    });
}

#[test]
fn chains_on_a_gpu_are_as_on_the_cpu() {
    on_small_stack(|| {
        for Subject { name, device } in support::executors() {
            let [x, a, b] = operands(&device);
            let n = 2_000;
            let t = chain(n, &x, &a, &b).to_vec::<f32>().expect("values");
            assert!(close(t[1], chained(n, -2.0, 0.999, 0.5)), "{name}: {t:?}");
        }
    });
}

/// Sums of very many things, products in a row, views of views: each program and its gradients.
#[test]
fn wide_and_deep_programs_and_their_gradients_run() {
    let n = 5_000;
    type Program = fn(usize, &Tensor) -> Tensor;
    let programs: [(&str, Program); 6] = [
        ("a sum of many", |n, x| {
            let terms = (0..n).map(|i| x * (1.0 + i as f64 / n as f64));
            terms.reduce(|a, b| a + b).expect("terms") / n as f64
        }),
        ("a concatenation of many", |n, x| {
            let parts: Vec<Tensor> = (0..n).map(|i| x * (i as f64 / n as f64)).collect();
            Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0)
        }),
        ("products in a row", |n, x| {
            let w = Tensor::eye(4, DType::F32, x.device()) * 0.999;
            (0..n / 4).fold(x.clone(), |y, _| y.matmul(&w))
        }),
        ("views of views", |n, x| {
            (0..n).fold(x.clone(), |y, i| match i % 3 {
                0 => y.t(),
                1 => y.flip(&[0]),
                _ => y.reshape(&[4, 4]),
            })
        }),
        ("views and additions", |n, x| {
            let c = leaf(&[0.001, 0.002], x.device());
            (0..n).fold(x.clone(), |y, i| match i % 2 {
                0 => y.reshape(&[8, 2]) + &c,
                _ => y.reshape(&[2, 8]).t() * 0.9999,
            })
        }),
        ("everything twice", |n, x| {
            (0..n).fold(x.clone(), |y, _| (&y * y.sigmoid()) * 0.5 + &y * 0.5)
        }),
    ];
    for (what, program) in programs {
        on_small_stack(move || {
            let values: Vec<f32> = (0..16).map(|i| i as f32 / 8.0 - 1.0).collect();
            let results = [own_cpu(), Device::reference()].map(|device| {
                let x = Tensor::from_slice(&values, &[4, 4], &device);
                // The oracle takes its time for every element of every node.
                let n = if device == Device::reference() || what.contains("cat") {
                    n / 10
                } else {
                    n
                };
                let y = program(n, &x);
                let g = grad(&y.mean(), &[&x]).expect("a gradient");
                let all = within_patience(&format!("{what} on {device}"), || {
                    let text = explain(&[&y, &g[0]]).expect("a plan");
                    assert!(!text.is_empty());
                    eval(&[&y, &g[0]]).expect("it runs");
                    g[0].to_vec::<f32>().expect("values")
                });
                assert!(all.iter().all(|v| v.is_finite()), "{what}: {all:?}");
                // The same size on both, to be compared.
                let y = program(n.min(500), &x);
                let g = grad(&y.mean(), &[&x]).expect("a gradient");
                [
                    y.to_vec::<f32>().expect("values"),
                    g[0].to_vec::<f32>().expect("values"),
                ]
                .concat()
            });
            let same = results[0].iter().zip(&results[1]);
            assert!(
                same.clone()
                    .all(|(a, b)| (a - b).abs() < 2e-3 * (1.0 + b.abs())),
                "{what}: {:?}",
                same.collect::<Vec<_>>()
            );
        });
    }
}

#[test]
fn the_gradient_of_a_long_chain_and_what_is_made_of_it() {
    on_small_stack(|| {
        let device = own_cpu();
        let n = 20_000;
        let [x, _, _] = operands(&device);
        let a = leaf(&[0.9999, 0.99995], &device);
        let b = leaf(&[0.0, 0.0], &device);
        let want = |a: f32| chained(n, 1.0, a, 0.0);
        let y = chain(n, &x, &a, &b);
        let g = within_patience("gradient", || {
            let g = grad(&y.sum(), &[&x]).expect("a gradient");
            g[0].to_vec::<f32>().expect("values")
        });
        assert!(
            close(g[0], want(0.9999)) && close(g[1], want(0.99995)),
            "{g:?}"
        );
        let one = leaf(&[1.0, 1.0], &device);
        let d = within_patience("jvp", || {
            let d = jvp(&chain(n, &x, &a, &b), &[&x], &[&one]).expect("a derivative");
            d.to_vec::<f32>().expect("values")
        });
        assert!(close(d[0], want(0.9999)), "{d:?}");
        let v = within_patience("vmap", || {
            let v = vmap(
                |x| {
                    Ok(vec![chain(
                        n,
                        &x[0],
                        &a.narrow(0, 0, 1).squeeze(0),
                        &b.narrow(0, 0, 1).squeeze(0),
                    )])
                },
                &[&one],
            );
            v.expect("a batch")[0].to_vec::<f32>().expect("values")
        });
        assert!(close(v[0], want(0.9999)), "{v:?}");
        let texts = within_patience("texts", || {
            [
                explain(&[&y]).expect("a plan"),
                graph_dot(&[&y]),
                format!("{y:?}"),
            ]
        });
        assert!(texts[0].len() > n && texts[1].len() > n && texts[2].starts_with("Tensor("));
        within_patience("dropping", || drop((y, texts)));
    });
}

/// A chain that is run on the way keeps whatever somebody holds, and its gradient is that of the whole.
#[test]
fn chains_that_are_run_on_the_way_are_those_that_are_not() {
    on_small_stack(|| {
        let device = own_cpu();
        let [x, a, b] = operands(&device);
        // More than are recorded without being run, and every thousandth is held.
        let n = 40_000;
        let (mut t, mut held) = (x.clone(), Vec::new());
        for i in 0..n {
            t = t * &a + &b;
            if i % 1000 == 999 {
                held.push(t.clone());
            }
        }
        let plans = device.cached_plans();
        assert!(plans > 0, "nothing was run on the way");
        for (i, t) in held.iter().enumerate() {
            let want = chained(1000 * (i + 1), -2.0, 0.999, 0.5);
            let got = t.to_vec::<f32>().expect("values");
            assert!(close(got[1], want), "{i}: {got:?}, {want}");
        }
        let g = grad(&t.sum(), &[&x, &b]).expect("gradients");
        let g: Vec<Vec<f32>> = g.iter().map(|g| g.to_vec().expect("values")).collect();
        let sum: f64 = (0..n).map(|i| 0.999f64.powi(i)).sum();
        assert!(close(g[0][1], 0.0) && close(g[1][1], sum as f32), "{g:?}");
        assert!(close(g[1][0], 2.0), "{g:?}");
    });
}

/// What fails far below is told once at the top, however long the chain above it is.
#[test]
fn errors_pass_through_long_chains() {
    on_small_stack(|| {
        let device = own_cpu();
        let [x, a, b] = operands(&device);
        let wrong = leaf(&[1.0, 2.0, 3.0], &device);
        let y = chain(100_000, &(&x + &wrong), &a, &b);
        let error = y.to_vec::<f32>().expect_err("shapes that do not fit");
        assert!(error.to_string().contains("add"), "{error}");
    });
}

fn lstm(steps: usize, layers: usize, both_ways: bool, device: &Device) -> (Tensor, Lstm) {
    let mut rng = Generator::new(3);
    let options = RecurrentOptions::default()
        .num_layers(layers)
        .bidirectional(both_ways);
    let lstm = Lstm::new(8, 8, &options, &mut rng, device);
    let x = rng
        .uniform(&[steps, 4, 8], device)
        .detach()
        .expect("values");
    eval(&lstm.parameters().iter().collect::<Vec<_>>()).expect("values");
    (x, lstm)
}

fn loss(lstm: &Lstm, x: &Tensor) -> Tensor {
    lstm.forward(x, None, &mut Context::eval())
        .0
        .square()
        .mean()
}

#[test]
fn a_long_lstm_is_planned_and_trains_compiled_and_not() {
    on_small_stack(|| {
        let device = own_cpu();
        let (x, mut plain) = lstm(512, 1, false, &device);
        let mut state = (plain.clone(), Sgd::new(0.1));
        let mut sgd = Sgd::new(0.1);
        let recorded = within_patience("recorded", || {
            let loss = loss(&plain, &x);
            let gradients = gradients(&loss, &plain).expect("gradients");
            sgd.step(&mut plain, &gradients).expect("a step");
            loss.item::<f32>().expect("a loss")
        });
        let mut step = compile(|(lstm, sgd): &mut (Lstm, Sgd), x: &[Tensor]| {
            let loss = loss(lstm, &x[0]);
            let gradients = gradients(&loss, lstm)?;
            sgd.step(lstm, &gradients)?;
            Ok(loss)
        });
        let compiled =
            within_patience("compiled", || step.call(&mut state, &[&x]).expect("a step"));
        assert_eq!(recorded, compiled.item::<f32>().expect("a loss"));
        for (a, b) in plain.parameters().iter().zip(state.0.parameters()) {
            let [a, b] = [a, &b].map(|t| t.to_vec::<f32>().expect("values"));
            assert!(
                a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6),
                "parameters differ"
            );
        }
    });
}

#[test]
fn lstms_of_many_steps_and_both_ways_are_planned() {
    for (steps, layers, both_ways) in [(2048, 1, false), (200, 2, true)] {
        on_small_stack(move || {
            let device = own_cpu();
            let (x, lstm) = lstm(steps, layers, both_ways, &device);
            let loss = loss(&lstm, &x);
            let gradients = gradients(&loss, &lstm).expect("gradients");
            let mut all = vec![&loss];
            all.extend(gradients.of());
            let text =
                within_patience(&format!("{steps} steps"), || explain(&all).expect("a plan"));
            assert!(text.contains("matmul"));
            assert_eq!(loss.dtype(), DType::F32);
        });
    }
}
