//! Loops against the same steps recorded one by one, on every executor.

mod rules;

use super::{ScanOptions, scan};
use crate::{
    DType, Device, GradOptions, GradcheckOptions, Settings, Tensor, checkpoint, grad, grad_with,
    gradcheck, hvp, jvp, vmap,
};

type Step<'a> = &'a dyn Fn(Vec<Tensor>, Vec<Tensor>) -> (Vec<Tensor>, Vec<Tensor>);

/// The reference and each executor, at its own and at minimum limits, fused and not.
fn devices() -> Vec<Device> {
    let minimum = Settings {
        minimum_limits: true,
        ..Settings::default()
    };
    let unfused = Settings {
        fuse: false,
        ..Settings::default()
    };
    let mut all = vec![Device::reference(), Device::cpu()];
    all.push(Device::cpu_with(&unfused));
    all.push(Device::cpu_with(&minimum));
    #[cfg(feature = "gpu")]
    for settings in [Settings::default(), minimum, unfused] {
        all.extend(Device::gpu_blocking(None, &settings));
    }
    all
}

fn values(t: &Tensor) -> Vec<f32> {
    t.cast(DType::F32)
        .to_vec()
        .unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn same(got: &Tensor, want: &Tensor, what: &str) {
    same_within(got, want, 1e-5, what);
}

#[track_caller]
fn same_within(got: &Tensor, want: &Tensor, tolerance: f32, what: &str) {
    got.check().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(
        (got.shape(), got.dtype()),
        (want.shape(), want.dtype()),
        "{what}"
    );
    let coarse = match got.dtype() {
        DType::F16 => tolerance.max(2e-3),
        DType::BF16 => tolerance.max(1.6e-2),
        _ => tolerance,
    };
    for (g, w) in values(got).iter().zip(values(want)) {
        let close = (g - w).abs() <= coarse * (1.0 + w.abs()) || (g.is_nan() && w.is_nan());
        assert!(close, "{what} on {}: {g} instead of {w}", got.device());
    }
}

/// Values between −1 and 1 that follow from a seed.
fn random(seed: u64, shape: &[usize], device: &Device) -> Tensor {
    let n = shape.iter().product::<usize>() as u64;
    let one = |i: u64| {
        let mut z = (seed << 32 | i).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let all: Vec<f32> = (0..n).map(one).collect();
    Tensor::from_slice(&all, shape, device)
}

/// The steps one by one.
fn unrolled(
    mut state: Vec<Tensor>,
    inputs: &[Tensor],
    (length, reverse): (usize, bool),
    step: Step,
) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut each: Vec<Vec<Tensor>> = Vec::new();
    for at in 0..length {
        let t = if reverse { length - 1 - at } else { at };
        let slices = inputs.iter().map(|x| x.select(0, t as isize)).collect();
        let (next, outputs) = step(state, slices);
        state = next;
        each.resize_with(outputs.len(), Vec::new);
        for (list, y) in each.iter_mut().zip(outputs) {
            list.push(y);
        }
    }
    let stacked = each.into_iter().map(|mut list| {
        if reverse {
            list.reverse();
        }
        Tensor::stack(&list.iter().collect::<Vec<_>>(), 0)
    });
    (state, stacked.collect())
}

/// A number that depends on every element of every float among these.
fn total(all: &[Tensor]) -> Tensor {
    let floats = all.iter().filter(|t| t.dtype().is_float());
    let part = |(i, t): (usize, &Tensor)| {
        let weights = random(900 + i as u64, t.shape(), t.device()) + 1.5;
        (t.cast(DType::F32) * weights).sum()
    };
    let parts = floats.enumerate().map(part);
    parts.reduce(|a, b| a + b).expect("a float")
}

/// Compares a loop with its steps: results, gradients, and gradients of gradients.
fn check(
    state: &[Tensor],
    inputs: &[Tensor],
    shared: &[Tensor],
    rounds: (usize, bool),
    step: Step,
) {
    // Both ways, half of the cases each.
    let options = ScanOptions {
        reverse: rounds.1,
        length: Some(rounds.0),
        keep_products: rounds.0 % 2 == 1,
        ..ScanOptions::default()
    };
    let (last, each) = scan(state.to_vec(), inputs.to_vec(), &options, step);
    let (want, want_each) = unrolled(state.to_vec(), inputs, rounds, step);
    let got = [last, each].concat();
    let what = format!("{rounds:?}");
    let all = [state, inputs, shared].concat();
    // What is rounded within a fused chain of halves and what is not may differ.
    let any = |dtype: DType| all.iter().any(|t| t.dtype() == dtype);
    let tolerance = match (any(DType::BF16), any(DType::F16)) {
        (true, _) => 4e-2,
        (false, true) => 5e-3,
        (false, false) => 1e-5,
    };
    let same = |got: &Tensor, want: &Tensor, what: &str| same_within(got, want, tolerance, what);
    if rounds.0 == 0 {
        for (g, w) in got.iter().zip(&want) {
            same(g, w, &what);
        }
        let rest = &got[want.len()..];
        assert!(
            rest.iter()
                .all(|t| t.shape()[0] == 0 && t.to_bytes_blocking().is_empty())
        );
        return;
    }
    let want = [want, want_each].concat();
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        same(g, w, &format!("result {i}, {what}"));
    }
    let leaves: Vec<&Tensor> = all.iter().filter(|t| t.dtype().is_float()).collect();
    if leaves.is_empty() {
        return;
    }
    let options = GradOptions {
        allow_unused: true,
        ..GradOptions::default()
    };
    let gradients = |all: &[Tensor]| grad_with(&total(all), &leaves, &options);
    let (g, w) = (
        gradients(&got).unwrap_or_else(|e| panic!("{e}")),
        gradients(&want).expect("unrolled"),
    );
    for (i, (g, w)) in g.iter().zip(&w).enumerate() {
        same(g, w, &format!("gradient {i}, {what}"));
    }
    let second = |all: &[Tensor]| grad_with(&total(all), &leaves, &options);
    let (g, w) = (
        second(&g).unwrap_or_else(|e| panic!("{e}")),
        second(&w).expect("unrolled"),
    );
    for (i, (g, w)) in g.iter().zip(&w).enumerate() {
        same(g, w, &format!("second gradient {i}, {what}"));
    }
}

impl Tensor {
    fn to_bytes_blocking(&self) -> Vec<u8> {
        crate::block_on(self.to_bytes_async()).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// A gated cell with two states.
fn cell<'a>(
    w: &'a Tensor,
    b: &'a Tensor,
) -> impl Fn(Vec<Tensor>, Vec<Tensor>) -> (Vec<Tensor>, Vec<Tensor>) + 'a {
    move |state, x| {
        let gates = state[0].matmul(w) + &x[0] + b;
        let n = gates.size(-1) / 2;
        let (i, g) = (
            gates.narrow(-1, 0, n).sigmoid(),
            gates.narrow(-1, n, n).tanh(),
        );
        let c = &i * &state[1] + (1.0 - &i) * g;
        let h = c.tanh();
        (
            vec![h.clone(), c.clone()],
            vec![h, c.sum_dims(&[-1], false)],
        )
    }
}

#[test]
fn a_loop_is_its_steps() {
    for d in devices() {
        for rounds in [(0, false), (1, true), (2, false), (7, true), (7, false)] {
            let state = [random(1, &[2, 3], &d), random(2, &[2, 3], &d)];
            let x = [random(3, &[rounds.0, 2, 6], &d)];
            let (w, b) = (random(4, &[3, 6], &d), random(5, &[6], &d));
            check(&state, &x, &[w.clone(), b.clone()], rounds, &cell(&w, &b));
        }
    }
}

/// A step of operations that numbers choose, on three states and two inputs.
fn program<'a>(
    code: &'a [u64],
    shared: &'a [Tensor],
) -> impl Fn(Vec<Tensor>, Vec<Tensor>) -> (Vec<Tensor>, Vec<Tensor>) + 'a {
    move |state, inputs| {
        let mut pool = [&state[..], &inputs[..], shared].concat();
        for word in code {
            let a = pool[(word >> 8) as usize % pool.len()].clone();
            let b = pool[(word >> 20) as usize % pool.len()].clone();
            pool.push(match word % 13 {
                0 => a.tanh() * &b,
                1 => a + b * 0.5,
                2 => a - b.sin(),
                3 => a.matmul(&b.t()).matmul(&b).tanh(),
                4 => a.t().softmax(-1).t() + b,
                5 => a.sum_dims(&[0], true) * 0.3 + b,
                6 => a.maximum(&b),
                7 => Tensor::where_(&a.gt_scalar(0.1), &a, &(&b * 0.25)),
                8 => a.flip(&[1]).sigmoid(),
                9 => a.cumsum(-1) * 0.3,
                10 => Tensor::cat(&[&b.narrow(0, 1, 2), &a.narrow(0, 0, 1)], 0),
                11 => a.transpose(0, 1).atan(),
                _ => a.square().mean_dims(&[1], true).expand(&[3, 3]) + b.exp() * 0.1,
            });
        }
        let n = pool.len();
        let next = [&pool[n - 1], &pool[n / 2], &pool[0]].map(|t| t.tanh());
        (
            next.to_vec(),
            vec![pool[n - 2].clone(), pool[n - 1].amax(), pool[1].clone()],
        )
    }
}

#[test]
fn random_programs_are_their_steps() {
    for d in devices() {
        for seed in 0..12 {
            let words = random(100 + seed, &[7], &Device::cpu())
                .to_vec::<f32>()
                .expect("words");
            let code: Vec<u64> = words
                .iter()
                .map(|w| w.to_bits().wrapping_mul(2_654_435_761) as u64)
                .collect();
            let r = |i: u64, shape: &[usize]| random(10 * seed + i, shape, &d);
            let state = [r(0, &[3, 3]), r(1, &[3, 3]), r(2, &[3, 3])];
            let length = 1 + seed as usize % 4;
            let inputs = [r(3, &[length, 3, 3]), r(4, &[length, 3, 3])];
            let shared = [r(5, &[3, 3]), r(6, &[3, 3])];
            let step = program(&code, &shared);
            check(&state, &inputs, &shared, (length, seed % 2 == 1), &step);
        }
    }
}

#[test]
fn derivatives_are_finite_differences() {
    let d = Device::reference();
    let (w, b) = (random(4, &[3, 6], &d), random(5, &[6], &d));
    let (h, c, x) = (
        random(1, &[2, 3], &d),
        random(2, &[2, 3], &d),
        random(3, &[5, 2, 6], &d),
    );
    let options = ScanOptions {
        reverse: true,
        ..ScanOptions::default()
    };
    let (last, each) = scan(
        vec![h.clone(), c.clone()],
        vec![x.clone()],
        &options,
        cell(&w, &b),
    );
    let y = total(&[last, each].concat());
    gradcheck(&y, &[&h, &c, &x, &w, &b], &GradcheckOptions::default())
        .unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn forward_mode_and_hessians_are_those_of_the_steps() {
    for d in devices() {
        let (w, b) = (random(4, &[3, 6], &d), random(5, &[6], &d));
        let (h, c, x) = (
            random(1, &[2, 3], &d),
            random(2, &[2, 3], &d),
            random(3, &[4, 2, 6], &d),
        );
        let step = cell(&w, &b);
        let (a, ay) = scan(
            vec![h.clone(), c.clone()],
            vec![x.clone()],
            &ScanOptions::default(),
            &step,
        );
        let (b_, by) = unrolled(
            vec![h.clone(), c.clone()],
            std::slice::from_ref(&x),
            (4, false),
            &step,
        );
        let inputs = [&h, &x, &w];
        let way = [
            random(7, h.shape(), &d),
            random(8, x.shape(), &d),
            random(9, w.shape(), &d),
        ];
        let way: Vec<&Tensor> = way.iter().collect();
        for (got, want) in [(&a[0], &b_[0]), (&ay[0], &by[0]), (&ay[1], &by[1])] {
            let (got, want) = (jvp(got, &inputs, &way), jvp(want, &inputs, &way));
            same(&got.expect("jvp"), &want.expect("jvp"), "jvp");
        }
        let (got, want) = (total(&[a, ay].concat()), total(&[b_, by].concat()));
        let (got, want) = (
            hvp(&got, &inputs, &way).expect("hvp"),
            hvp(&want, &inputs, &way).expect("hvp"),
        );
        for (g, w) in got.iter().zip(&want) {
            same(g, w, "hvp");
        }
    }
}

#[test]
fn a_batch_of_loops_is_each_of_them() {
    for (d, keep_products) in devices()
        .into_iter()
        .flat_map(|d| [(d.clone(), false), (d, true)])
    {
        let (w, b) = (random(4, &[3, 6], &d), random(5, &[6], &d));
        let options = ScanOptions {
            keep_products,
            ..ScanOptions::default()
        };
        let x = random(3, &[5, 4, 2, 6], &d);
        let h = random(1, &[5, 2, 3], &d);
        let one = |h: &Tensor, x: &Tensor, w: &Tensor| {
            let c = h * 0.5;
            let (last, each) = scan(vec![h.clone(), c], vec![x.clone()], &options, cell(w, &b));
            let all = [last, each].concat();
            let g = grad(&total(&all), &[h, x, w]).unwrap_or_else(|e| panic!("{e}"));
            [all, g].concat()
        };
        // States and inputs of each example, or its weights alone.
        let got = vmap(|x| Ok(one(&x[0], &x[1], &w)), &[&h, &x]).unwrap_or_else(|e| panic!("{e}"));
        let ws = random(6, &[5, 3, 6], &d);
        let (h0, x0) = (h.select(0, 0), x.select(0, 0));
        let weights = vmap(|w| Ok(one(&h0, &x0, &w[0])), &[&ws]).unwrap_or_else(|e| panic!("{e}"));
        for i in 0..5 {
            let want = one(&h.select(0, i), &x.select(0, i), &w);
            for (got, want) in got.iter().zip(&want) {
                same(&got.select(0, i), want, "an example");
            }
            let want = one(&h0, &x0, &ws.select(0, i));
            for (got, want) in weights.iter().zip(&want) {
                same(&got.select(0, i), want, "an example's weights");
            }
        }
    }
}

#[test]
fn loops_stand_in_loops_and_checkpoints() {
    for d in devices() {
        let (w, h) = (random(4, &[3, 3], &d), random(1, &[3], &d));
        let x = random(3, &[3, 4, 3], &d);
        let inner = |state: Vec<Tensor>, x: Vec<Tensor>| {
            let go_on = |h: Tensor, x: Tensor| {
                let h = (h.unsqueeze(0).matmul(&w).squeeze(0) + x).tanh();
                (h.clone(), &h * &state[0])
            };
            let run = || {
                scan(
                    state[0].clone(),
                    x[0].clone(),
                    &ScanOptions::default(),
                    go_on,
                )
            };
            let (last, each) = checkpoint(run);
            (vec![last], vec![each])
        };
        let one = std::slice::from_ref::<Tensor>;
        check(one(&h), one(&x), one(&w), (3, true), &inner);
        // A checkpoint around it gives the same.
        let run = || {
            scan(
                vec![h.clone()],
                vec![x.clone()],
                &ScanOptions::default(),
                inner,
            )
        };
        let (plain, kept) = (run(), checkpoint(run));
        let gradients = |all: &(Vec<Tensor>, Vec<Tensor>)| {
            grad(&total(&[&all.0[..], &all.1].concat()), &[&h, &x, &w])
                .unwrap_or_else(|e| panic!("{e}"))
        };
        for (g, want) in gradients(&kept).iter().zip(gradients(&plain)) {
            same(g, &want, "through a checkpoint");
        }
    }
}
