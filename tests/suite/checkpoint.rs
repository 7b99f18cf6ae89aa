//! Recomputation: gradients of every order, with respect to anything, are those of the function itself.

use crate::programs::build;
use crate::support::{Random, Subject, all, differs, executors, report, values};
use wgrad::ops::Tolerance;
use wgrad::{
    CustomOp, DType, Device, Generator, GradOptions, GradcheckOptions, Tensor, checkpoint, grad,
    grad_with, gradcheck, hvp, jvp, vmap,
};

fn subjects() -> Vec<Subject> {
    let mut list = executors();
    list.push(Subject {
        name: "reference",
        device: Device::reference(),
    });
    list
}

fn leaf(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    let mut rng = Random(seed);
    let n = shape.iter().product();
    let v: Vec<f32> = (0..n).map(|_| rng.uniform(-0.5, 0.5) as f32).collect();
    Tensor::from_slice(&v, shape, device)
}

fn bits(t: &Tensor) -> Vec<u32> {
    let v = t.to_vec::<f32>().expect("values");
    v.into_iter().map(f32::to_bits).collect()
}

/// Twelve layers with dropout, four in each checkpoint or none.
fn chain(x: &Tensor, weights: &[Tensor], kept: bool) -> Tensor {
    let mut rng = Generator::new(5);
    let mut x = x.clone();
    for part in weights.chunks(4) {
        let mut run = || {
            part.iter().fold(x.clone(), |x, w| {
                let mask = rng.bernoulli(0.8, &[6, 8], x.device()).cast(DType::F32);
                (x.matmul(w) * 2.0).tanh() * mask
            })
        };
        x = if kept { checkpoint(run) } else { run() };
    }
    x.square().sum()
}

#[test]
fn gradients_of_a_deep_chain_have_the_same_bits() {
    for s in subjects() {
        let x = leaf(&[6, 8], 1, &s.device);
        let weights: Vec<Tensor> = (0..12).map(|i| leaf(&[8, 8], 2 + i, &s.device)).collect();
        let mut inputs = vec![&x];
        inputs.extend(&weights);
        let (plain, kept) = (chain(&x, &weights, false), chain(&x, &weights, true));
        let want = grad(&plain, &inputs).unwrap();
        let got = grad(&kept, &inputs).unwrap();
        assert_eq!(bits(&plain), bits(&kept), "{}", s.name);
        for (n, (g, w)) in got.iter().zip(&want).enumerate() {
            assert!(bits(w).iter().any(|&b| b << 1 != 0), "a zero gradient");
            assert_eq!(bits(g), bits(w), "{}: gradient {n}", s.name);
        }
    }
}

/// The whole of a random program as a checkpoint, leaves included.
#[test]
fn random_programs_have_the_same_gradients() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut rng = Random(8);
    let device = Device::cpu();
    for n in 0..if all() { 200 } else { 30 } {
        let code: Vec<u32> = (0..4 + n % 16).map(|_| rng.word() as u32).collect();
        let options = GradOptions {
            allow_unused: true,
            ..Default::default()
        };
        let gradients = |(leaves, total): (Vec<Tensor>, Tensor)| {
            let list = grad_with(&total, &leaves.iter().collect::<Vec<_>>(), &options)?;
            list.iter().map(values).collect::<wgrad::Result<Vec<_>>>()
        };
        let half = code.len() / 2;
        let kept = checkpoint(|| {
            // Nested: the first half once more by itself.
            let inner = checkpoint(|| build(&code[..half], &device).1);
            let (leaves, total) = build(&code, &device);
            (leaves, total + inner * 0.0)
        });
        let (want, got) = (gradients(build(&code, &device)), gradients(kept));
        let (want, got) = (want.expect("gradients"), got.expect("gradients"));
        for (g, w) in got.iter().zip(&want) {
            count += 1;
            let tol = Tolerance {
                rtol: 1e-4,
                atol: 1e-5,
            };
            failures.extend(differs(g, w, tol).map(|m| format!("{code:?}: {m}")));
        }
    }
    report("gradients of checkpoints", count, &failures);
}

#[test]
fn captured_tensors_and_tensors_from_inside_get_their_gradients() {
    let d = Device::cpu();
    let (x, w) = (leaf(&[3, 4], 1, &d), leaf(&[4, 2], 2, &d));
    let scale = w.exp(); // computed before, captured, not an argument of anything
    let index = Tensor::new(&[0, 2, 1], &d);
    let f = |inner: &mut Option<Tensor>| {
        let rows = x.gather(0, &index.unsqueeze(1).expand(&[3, 4]));
        let h = rows.matmul(&scale).sigmoid();
        *inner = Some(h.clone());
        (h.square().sum(), h.exp().sum())
    };
    let (mut from_plain, mut from_kept) = (None, None);
    let (a, b) = f(&mut from_plain);
    let (c, e) = checkpoint(|| f(&mut from_kept));
    let (plain, kept) = (a * b, c * e);
    let (from_plain, from_kept) = (from_plain.unwrap(), from_kept.unwrap());
    let want = grad(&plain, &[&x, &w, &scale, &from_plain]).unwrap();
    // All at once, then each alone: a tensor from inside turns the checkpoint off.
    let got = grad(&kept, &[&x, &w, &scale, &from_kept]).unwrap();
    for (n, t) in [&x, &w, &scale, &from_kept].into_iter().enumerate() {
        let alone = &grad(&kept, &[t]).unwrap()[0];
        for g in [&got[n], alone] {
            let (g, w) = (values(g).unwrap(), values(&want[n]).unwrap());
            assert!(w.iter().any(|v| *v != 0.0));
            let tol = Tolerance {
                rtol: 1e-5,
                atol: 1e-6,
            };
            assert_eq!(differs(&g, &w, tol), None, "input {n}");
        }
    }
}

#[test]
fn derivatives_of_higher_order_and_forward_mode() {
    let d = Device::reference();
    let (x, w) = (leaf(&[2, 3], 1, &d), leaf(&[3, 3], 2, &d));
    let f = |x: &Tensor| (x.matmul(&w).tanh().matmul(&w) * x).exp();
    let kept = checkpoint(|| f(&checkpoint(|| f(&x))));
    let plain = f(&f(&x));
    gradcheck(&kept, &[&x, &w], &GradcheckOptions::default()).unwrap();
    let (v, u) = (leaf(&[2, 3], 3, &d), leaf(&[3, 3], 4, &d));
    let tol = Tolerance {
        rtol: 1e-5,
        atol: 1e-6,
    };
    let both = |f: &dyn Fn(&Tensor) -> Vec<Tensor>| {
        for (k, p) in f(&kept).iter().zip(&f(&plain)) {
            let (k, p) = (values(k).unwrap(), values(p).unwrap());
            assert_eq!(differs(&k, &p, tol), None);
        }
    };
    both(&|y| vec![jvp(y, &[&x, &w], &[&v, &u]).unwrap()]);
    both(&|y| hvp(&y.sum(), &[&x, &w], &[&v, &u]).unwrap());
    both(&|y| {
        let first = grad(&y.sum(), &[&w]).unwrap();
        let second = grad(&first[0].square().sum(), &[&x]).unwrap();
        grad(&second[0].square().sum(), &[&w]).unwrap()
    });
}

#[test]
fn batching_within_and_around() {
    let d = Device::cpu();
    let (x, w) = (leaf(&[4, 3], 1, &d), leaf(&[3, 3], 2, &d));
    let f = |x: &Tensor| (x.unsqueeze(0).matmul(&w).tanh() * &w).square().sum();
    let each = |kept: bool| {
        let one = |x: &Tensor| if kept { checkpoint(|| f(x)) } else { f(x) };
        let inside = vmap(|e| grad(&one(&e[0]), &[&w, &e[0]]), &[&x]).unwrap();
        let whole = vmap(|e| Ok(vec![one(&e[0])]), &[&x]).unwrap();
        let outside = grad(&whole[0].sum(), &[&w, &x]).unwrap();
        let all = inside.iter().chain(&outside);
        all.map(|t| values(t).unwrap()).collect::<Vec<_>>()
    };
    for (k, p) in each(true).iter().zip(&each(false)) {
        let tol = Tolerance {
            rtol: 1e-5,
            atol: 1e-6,
        };
        assert_eq!(differs(k, p, tol), None);
    }
}

#[test]
fn mistakes_inside_are_told_and_only_asked_for_ones() {
    let d = Device::cpu();
    let (x, t) = (leaf(&[3], 1, &d), leaf(&[3], 2, &d));
    let op = CustomOp::new("opaque", "").cpu(|x, y, _| y.copy_from_slice(x[0].0));
    let y = checkpoint(|| (&x * op.apply(&[&t])).sum());
    assert!(grad(&y, &[&x]).is_ok(), "t is not asked for");
    let e = grad(&y, &[&t]).unwrap_err().to_string();
    assert!(
        e.contains("no derivative") && e.contains("checkpoint.rs"),
        "{e}"
    );
    assert!(grad(&y, &[&leaf(&[3], 3, &d)]).is_err(), "no path");
    let bad = checkpoint(|| x.matmul(&leaf(&[2, 2], 4, &d)));
    assert!(bad.check().is_err());
    // Nothing to recompute: the tensor itself.
    assert!(checkpoint(|| x.clone()).same(&x));
    let nothing = checkpoint(|| Tensor::ones(&[2], DType::F32, &d));
    assert_eq!(nothing.to_vec::<f32>().unwrap(), [1.0, 1.0]);
}
