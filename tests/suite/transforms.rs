//! Forward mode, Hessian-vector products, batching, custom operations, and the tools that find culprits.

use crate::programs::build;
use crate::support::{Random, all, executors, report, values};
use wgrad::{
    ConvOptions, CustomOp, DType, Device, Generator, GradOptions, Randomness, Reduction, Tensor,
    checkpoint, find_departure, find_nonfinite, grad, grad_with, graph_dot, jvp, vmap, vmap_with,
};

fn random_like(t: &Tensor, rng: &mut Random) -> Tensor {
    let v: Vec<f32> = (0..t.numel())
        .map(|_| rng.uniform(-1.0, 1.0) as f32)
        .collect();
    Tensor::from_slice(&v, t.shape(), t.device())
}

/// `u · (J v) = (Jᵀ u) · v` for random programs and random `u`, `v`.
#[test]
fn jvp_and_vjp_agree_on_random_programs() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut rng = Random(4);
    for n in 0..if all() { 400 } else { 60 } {
        let code: Vec<u32> = (0..4 + n % 16).map(|_| rng.word() as u32).collect();
        let (leaves, total) = build(&code, &Device::reference());
        let inputs: Vec<&Tensor> = leaves.iter().collect();
        let y = total.tanh() * 2.0;
        let (u, v) = (
            random_like(&y, &mut rng),
            leaves
                .iter()
                .map(|x| random_like(x, &mut rng))
                .collect::<Vec<_>>(),
        );
        let forward = jvp(&y, &inputs, &v.iter().collect::<Vec<_>>()).map(|d| (d * &u).sum());
        let options = GradOptions {
            upstream: Some(u.clone()),
            allow_unused: true,
        };
        let backward = grad_with(&y, &inputs, &options);
        let (forward, backward) = match (forward, backward) {
            (Ok(f), Ok(b)) => (f, b),
            (Err(e), _) | (_, Err(e)) => {
                failures.push(format!("{code:?}: {e}"));
                continue;
            }
        };
        let backward = backward
            .iter()
            .zip(&v)
            .map(|(g, v)| (g * v).sum())
            .reduce(|a, b| a + b);
        let exact = |t: &Tensor| {
            wgrad::reference::Evaluator::exact()
                .evaluate(t)
                .map(|a| a.data[0])
        };
        let (f, b) = (exact(&forward).unwrap(), exact(&backward.unwrap()).unwrap());
        count += 1;
        if (f - b).abs() > 1e-8 * (1.0 + f.abs()) {
            failures.push(format!("{code:?}: forward {f}, backward {b}"));
        }
    }
    report("jvp against vjp", count, &failures);
}

/// Per-example gradients of a small convolutional network by one `vmap` equal a loop over the examples.
#[test]
fn per_example_gradients_equal_a_loop() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for s in executors() {
        let d = &s.device;
        let mut rng = Random(5);
        let mut leaf =
            |shape: &[usize]| random_like(&Tensor::zeros(shape, DType::F32, d), &mut rng);
        let (w1, b1, w2) = (leaf(&[3, 1, 3, 3]), leaf(&[3]), leaf(&[5, 3 * 16]));
        let x = leaf(&[4, 1, 8, 8]);
        let y = Tensor::new(&[1, 4, 0, 2], d);
        let loss = |x: &Tensor, y: &Tensor| {
            let h = x
                .unsqueeze(0)
                .conv2d(&w1, Some(&b1), &ConvOptions::default().padding([1, 1]))
                .relu();
            let h = h.max_pool2d(&wgrad::PoolOptions::new(2)).flatten(1, -1);
            h.linear(&w2, None)
                .cross_entropy(&y.reshape(&[1]), Reduction::Mean)
        };
        let weights = [&w1, &b1, &w2];
        let batched = vmap(|e| grad(&loss(&e[0], &e[1]), &weights), &[&x, &y]).unwrap();
        for i in 0..4 {
            let single = grad(&loss(&x.select(0, i), &y.select(0, i)), &weights).unwrap();
            for (b, one) in batched.iter().zip(&single) {
                let (got, want) = (values(&b.select(0, i)).unwrap(), values(one).unwrap());
                count += 1;
                let tol = wgrad::ops::Tolerance {
                    rtol: 1e-4,
                    atol: 1e-5,
                };
                failures.extend(
                    crate::support::differs(&got, &want, tol)
                        .map(|m| format!("{} example {i}: {m}", s.name)),
                );
            }
        }
    }
    report("per-example gradients", count, &failures);
}

/// Random numbers drawn inside `vmap`: an error, the same for all examples, or others for each.
#[test]
fn random_numbers_in_vmap_are_as_one_says() {
    for s in executors() {
        let d = &s.device;
        let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], d);
        // Noise in a value and in a gradient, within a checkpoint too.
        let noisy = |rng: &mut Generator, x: &Tensor| {
            let noise = checkpoint(|| x * rng.uniform(&[2], d));
            let mask = rng.bernoulli(0.5, &[2], d).cast(DType::F32);
            let y = (noise.square() * &mask + &mask).sum();
            let g = grad(&y, &[x])?;
            Ok(vec![noise, g[0].clone(), mask])
        };
        let batched = |how: Randomness| {
            let mut rng = Generator::new(4);
            let out = vmap_with(|e| noisy(&mut rng, &e[0]), &[&x], how)?;
            out.iter().map(values).collect::<Result<Vec<_>, _>>()
        };
        let error = batched(Randomness::Error).unwrap_err().to_string();
        assert!(
            error.contains("Randomness::Same") && error.contains("transforms.rs"),
            "{error}"
        );
        let mut rng = Generator::new(4);
        assert!(vmap(|e| noisy(&mut rng, &e[0]), &[&x]).is_err());
        let (same, different) = (
            batched(Randomness::Same).unwrap(),
            batched(Randomness::Different).unwrap(),
        );
        for i in 0..3 {
            let alone = noisy(&mut Generator::new(4), &x.select(0, i as isize)).unwrap();
            for (k, want) in alone.iter().map(|t| values(t).unwrap()).enumerate() {
                assert_eq!(
                    same[k][2 * i..2 * i + 2],
                    want,
                    "{} result {k}, example {i}",
                    s.name
                );
                if i == 0 {
                    assert_eq!(different[k][..2], want, "{} result {k}", s.name);
                }
            }
        }
        // The factors that the examples got are twelve numbers without pattern.
        let factors = |all: &[f64]| -> Vec<f64> {
            all.iter().zip(1..).map(|(v, x)| v / f64::from(x)).collect()
        };
        let drawn = factors(&different[0]);
        let mut sorted = drawn.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] > 1e-4), "{drawn:?}");
        assert!(drawn.iter().all(|u| (0.0..1.0).contains(u)));
        // Nested, and with numbers that were drawn before.
        let mut rng = Generator::new(4);
        let nested = vmap_with(
            |row| {
                vmap_with(
                    |e| Ok(vec![&e[0] + rng.uniform(&[], d)]),
                    &[&row[0]],
                    Randomness::Different,
                )
            },
            &[&x.zeros_like()],
            Randomness::Different,
        );
        let mut nested = values(&nested.unwrap()[0]).unwrap();
        nested.sort_by(f64::total_cmp);
        assert!(nested.windows(2).all(|w| w[0] < w[1]), "{nested:?}");
        let before = Generator::new(4).uniform(&[2], d);
        let shared = vmap(|e| Ok(vec![&e[0] * 0.0 + &before]), &[&x]).unwrap();
        assert_eq!(values(&shared[0]).unwrap()[2..4], values(&before).unwrap());
    }
}

/// Every primitive's batch rule: `vmap` equals stacking.
#[test]
fn batch_rules_equal_stacking() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let d = Device::reference();
    for (n, sample) in wgrad::ops::Op::samples().iter().enumerate() {
        // A loop's own value is laid out for its picks, which are batched with it: `vmap` of `scan` in the graph's own tests.
        let is_loop = matches!(sample.op, wgrad::ops::Op::Loop(_));
        if sample.inputs.is_empty() || is_loop {
            continue;
        }
        let examples: Vec<Vec<Tensor>> = (0..3)
            .map(|i| crate::ops::operands(sample, (1000 * i + n) as u64, &d).0)
            .collect();
        let stacked: Vec<Tensor> = (0..sample.inputs.len())
            .map(|k| Tensor::stack(&examples.iter().map(|e| &e[k]).collect::<Vec<_>>(), 0))
            .collect();
        let apply =
            |x: &[Tensor]| Tensor::apply(sample.op.clone(), &x.iter().collect::<Vec<_>>(), &d);
        let batched = vmap(|x| Ok(vec![apply(x)]), &stacked.iter().collect::<Vec<_>>());
        let want: Vec<f64> = examples
            .iter()
            .flat_map(|e| values(&apply(e)).unwrap())
            .collect();
        count += 1;
        match batched.and_then(|b| values(&b[0])) {
            Ok(got) => {
                let tol = wgrad::ops::Tolerance {
                    rtol: 1e-6,
                    atol: 1e-6,
                };
                failures.extend(
                    crate::support::differs(&got, &want, tol)
                        .map(|m| format!("sample {n} {sample:?}: {m}")),
                );
            }
            Err(e) => failures.push(format!("sample {n} {sample:?}: {e}")),
        }
    }
    report("batch rules", count, &failures);
}

#[test]
fn a_planted_nan_is_found_and_named() {
    for s in executors() {
        let x = Tensor::new(&[4.0f32, 0.25, -1.0], &s.device);
        let y = ((&x * 2.0).sqrt() + 1.0).exp().sum();
        let culprit = find_nonfinite(&[&y]).unwrap().expect("a culprit");
        assert_eq!(
            (culprit.op, culprit.counts),
            ("sqrt", [1, 0, 3]),
            "{}",
            s.name
        );
        assert_eq!(culprit.ranges, [(-2.0, 8.0)]);
        assert!(
            culprit.location.file().ends_with("transforms.rs"),
            "{culprit}"
        );
        let fine = x.square().sqrt().sum();
        assert!(find_nonfinite(&[&fine]).unwrap().is_none());
    }
}

const WRONG: &str = "
    @group(0) @binding(0) var<storage, read> in_x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
        if id.x < arrayLength(&out_y) { out_y[id.x] = in_x[id.x] + 1.001; }
    }";

#[test]
fn a_planted_wrong_kernel_is_found_and_named() {
    let op = CustomOp::new("off_by_a_little", WRONG)
        .cpu(|x, y, _| y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = x + 1.001))
        .reference(|x, _| x[0].data.iter().map(|x| x + 1.0).collect());
    for s in executors() {
        let x = Tensor::new(&[0.5f32, 2.0], &s.device);
        let y = (op.apply(&[&x.exp()]) * 2.0).log().sum();
        let found = find_departure(&[&y], 1e-5).unwrap().expect("a departure");
        assert_eq!(found.op, "custom", "{}: {found}", s.name);
        assert!(found.location.file().ends_with("transforms.rs"), "{found}");
        assert!(
            find_departure(&[&x.exp().log().sum()], 1e-5)
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn custom_operations_run_everywhere_and_refuse_what_they_lack() {
    let op = CustomOp::new("plus_one", WRONG.replace("1.001", "1.0"))
        .cpu(|x, y, _| y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = x + 1.0));
    for device in executors()
        .into_iter()
        .map(|s| s.device)
        .chain([Device::reference()])
    {
        let x = Tensor::new(&[0.5f32, 2.0], &device);
        let y = op.apply(&[&(&x * 2.0)]);
        assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 5.0]);
        let e = grad(&y.sum(), &[&x]).unwrap_err().to_string();
        assert!(e.contains("custom") && e.contains("transforms.rs"), "{e}");
        let ints = Tensor::new(&[1, 2], &device);
        assert!(
            op.apply(&[&ints])
                .to_vec::<f32>()
                .unwrap_err()
                .to_string()
                .contains("plus_one")
        );
    }
}

#[test]
fn the_graph_is_drawn() {
    let x = Tensor::new(&[1.0f32, 2.0], &Device::reference());
    let dot = graph_dot(&[&(x.exp() + 1.0).sum()]);
    for word in ["exp", "add", "sum", "f32[2]", "transforms.rs", "->"] {
        assert!(dot.contains(word), "{word} in {dot}");
    }
}
