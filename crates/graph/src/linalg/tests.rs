//! Derivatives of both orders against finite differences, the cpu against the reference, identities, errors at reading,
//! and how host steps are found and run.

use super::*;
use crate::ops::{Fill, Op};
use crate::{Device, GradcheckOptions, grad, gradcheck, vmap};

fn tensor(values: &[f64], shape: &[usize], device: &Device) -> Tensor {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    Tensor::from_slice(&values, shape, device)
}

/// Some matrices of a batch, with a strong diagonal.
fn matrices(shape: &[usize], device: &Device) -> Tensor {
    let (m, n) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let value = |at: usize| {
        let diagonal = if at / n % m == at % n {
            2.0 + (at % n) as f64
        } else {
            0.0
        };
        diagonal + ((at * 53 + 17) % 31) as f64 / 31.0 - 0.5
    };
    tensor(
        &(0..shape::numel(shape)).map(value).collect::<Vec<_>>(),
        shape,
        device,
    )
}

fn largest(t: &Tensor) -> f32 {
    t.abs().amax().item::<f32>().unwrap()
}

#[test]
fn every_sample_agrees_with_finite_differences_and_on_the_cpu() {
    for sample in samples() {
        let of = |device: &Device| -> (Tensor, Vec<Tensor>) {
            let leaf = |i: &crate::ops::SampleInput| {
                let Fill::Values(v) = &i.fill else {
                    panic!("{:?}", i.fill)
                };
                let count = shape::numel(&i.shape);
                tensor(
                    &v.iter().cycle().take(count).copied().collect::<Vec<_>>(),
                    &i.shape,
                    device,
                )
            };
            let leaves: Vec<Tensor> = sample.inputs.iter().map(leaf).collect();
            let y = Tensor::apply(
                sample.op.clone(),
                &leaves.iter().collect::<Vec<_>>(),
                device,
            );
            (y, leaves)
        };
        let (want, leaves) = of(&Device::reference());
        let (got, mine) = of(&Device::cpu());
        let all = |t: &Tensor| t.to_vec::<f32>().unwrap();
        for (g, w) in all(&got).iter().zip(all(&want)) {
            assert!(
                (g - w).abs() < 1e-4 * (1.0 + w.abs()),
                "{sample:?}: {g} {w}"
            );
        }
        if !sample.smooth || want.numel() == 0 {
            continue;
        }
        let inputs: Vec<&Tensor> = leaves.iter().collect();
        gradcheck(&want, &inputs, &GradcheckOptions::default())
            .unwrap_or_else(|e| panic!("{sample:?}: {e}"));
        let wanted = grad(&want.sum(), &inputs).unwrap();
        let given = grad(&got.sum(), &mine.iter().collect::<Vec<_>>()).unwrap();
        for (g, w) in given.iter().zip(&wanted) {
            for (g, w) in all(g).iter().zip(all(w)) {
                assert!(
                    (g - w).abs() < 1e-3 * (1.0 + w.abs()),
                    "gradient of {sample:?}: {g} {w}"
                );
            }
        }
    }
}

#[test]
fn symmetric_functions_agree_with_finite_differences() {
    let d = Device::reference();
    let x = matrices(&[2, 3, 3], &d);
    let symmetric = (&x + x.mt()) * 0.5 + x.identity(3) * 2.0;
    for which in [Triangle::Lower, Triangle::Upper] {
        let (values, vectors) = symmetric.eigh(which);
        for y in [
            symmetric.cholesky(which),
            values,
            vectors,
            symmetric.eigvalsh(which),
        ] {
            gradcheck(&y, &[&x], &GradcheckOptions::default()).unwrap();
        }
    }
}

#[test]
fn compositions_agree_with_finite_differences() {
    let d = Device::reference();
    let (a, b, wide) = (
        matrices(&[3, 3], &d),
        matrices(&[2, 3, 2], &d),
        matrices(&[2, 4], &d),
    );
    let tall = matrices(&[4, 2], &d);
    let options = GradcheckOptions::default();
    let (q, r) = wide.qr(false);
    let (_, full) = tall.qr(true);
    let both = [
        a.solve(&b),
        a.solve_right(&b.mt()),
        a.solve_triangular(&b, Triangle::Upper, true, true),
    ];
    for y in both {
        gradcheck(&y, &[&a, &b], &options).unwrap();
    }
    for y in [
        a.logdet(),
        a.matrix_power(-2),
        a.matrix_power(3),
        a.slogdet().1,
    ] {
        gradcheck(&y, &[&a], &options).unwrap();
    }
    for y in [q, r, wide.svd(true).1, wide.lstsq(&a.narrow(0, 0, 2), None)] {
        gradcheck(&y, &[&wide], &options).unwrap();
    }
    gradcheck(&full, &[&tall], &options).unwrap();
    for x in [&tall, &wide] {
        let (u, s, vt) = x.svd(true);
        let k = s.size(-1);
        // Products of both, for neither is without the other's signs.
        let whole = (u.narrow(-1, 0, k) * s.exp().unsqueeze(-2)).matmul(&vt.narrow(-2, 0, k));
        gradcheck(&whole, &[x], &options).unwrap();
        gradcheck(&u.narrow(-1, 0, k), &[x], &options).unwrap();
        gradcheck(&vt.narrow(-2, 0, k), &[x], &options).unwrap();
    }
    assert_eq!(
        grad(&tall.qr(true).0.sum(), &[&tall]).unwrap_err().kind(),
        ErrorKind::Gradient
    );
}

#[test]
fn the_determinant_of_a_singular_matrix_has_two_derivatives() {
    let d = Device::reference();
    let x = tensor(&[1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 0.5, 1.0, -1.0], &[3, 3], &d);
    assert!(x.det().item::<f32>().unwrap().abs() < 1e-6);
    gradcheck(&x.det(), &[&x], &GradcheckOptions::default()).unwrap();
}

#[test]
fn decompositions_give_back_what_they_are_made_of() {
    let d = Device::cpu();
    for shape in [[2, 5, 3], [2, 3, 5], [1, 4, 4]] {
        let a = matrices(&shape, &d);
        for full in [false, true] {
            let (u, s, vt) = a.svd(full);
            let k = s.size(-1);
            let back = (u.narrow(-1, 0, k) * s.unsqueeze(-2)).matmul(&vt.narrow(-2, 0, k));
            assert!(largest(&(back - &a)) < 1e-5);
            assert!(largest(&(u.mt().matmul(&u) - u.identity(u.size(-1)))) < 1e-5);
            let (q, r) = a.qr(full);
            assert!(largest(&(q.matmul(&r) - &a)) < 1e-5);
            assert!(largest(&(q.mt().matmul(&q) - q.identity(q.size(-1)))) < 1e-5);
        }
        let p = a.pinv(&PinvOptions::default());
        assert!(largest(&(a.matmul(&p).matmul(&a) - &a)) < 1e-5);
        assert_eq!(
            a.matrix_rank(&PinvOptions::default())
                .to_vec::<i32>()
                .unwrap(),
            vec![shape[1].min(shape[2]) as i32; shape[0]]
        );
    }
    let l = matrices(&[3, 3], &d).matmul(&matrices(&[3, 3], &d).mt());
    let b = matrices(&[3, 2], &d);
    let x = l
        .cholesky(Triangle::Upper)
        .cholesky_solve(&b, Triangle::Upper);
    assert!(largest(&(l.matmul(&x) - &b)) < 1e-4);
    assert!(largest(&(l.eigvalsh(Triangle::Lower) - l.svdvals().flip(&[0]))) < 1e-4);
    let big = matrices(&[3, 3], &d) * 4.0;
    let halves = (&big * 0.5).matrix_exp();
    let whole = big.matrix_exp();
    assert!(largest(&((halves.matmul(&halves) - &whole) / largest(&whole))) < 1e-5);
}

#[test]
fn what_has_no_value_is_an_error_of_the_read_that_names_the_function() {
    for d in [Device::cpu(), Device::reference()] {
        let singular = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &[3, 3], &d);
        let nan = tensor(&[f64::NAN; 4], &[2, 2], &d);
        let scaled = tensor(&[1.0, 0.0, 0.0, 1e-20], &[2, 2], &d);
        let failing = [
            (singular.inv() + 1.0, "inv"),
            (singular.solve(&singular), "solve"),
            (singular.neg().cholesky(Triangle::Lower), "cholesky"),
            (nan.svdvals(), "svdvals"),
            (nan.eigh(Triangle::Lower).1, "eigh"),
        ];
        for (t, op) in failing {
            let e = t.to_vec::<f32>().unwrap_err();
            assert_eq!((e.op(), e.kind()), (op, ErrorKind::Value), "{e}");
            assert!(
                e.location().is_some_and(|l| l.file().ends_with("tests.rs")),
                "{e}"
            );
        }
        let (sign, log) = singular.zeros_like().slogdet();
        assert_eq!(sign.item::<f32>().unwrap(), 0.0);
        assert_eq!(log.item::<f32>().unwrap(), f32::NEG_INFINITY);
        assert!(scaled.inv().to_vec::<f32>().unwrap()[3] > 9e19);
        assert!(nan.det().item::<f32>().unwrap().is_nan());
    }
}

#[test]
fn wrong_arguments_give_invalid_tensors() {
    let d = Device::cpu();
    let (vector, wide) = (tensor(&[1.0, 2.0], &[2], &d), matrices(&[2, 3], &d));
    let square = matrices(&[2, 2], &d);
    let integers = Tensor::arange(4, &d).reshape(&[2, 2]);
    let wrong = [
        vector.det(),
        wide.inv(),
        wide.slogdet().1,
        wide.eigh(Triangle::Lower).0,
        vector.svd(false).2,
        vector.qr(true).1,
        vector.pinv(&PinvOptions::default()),
        integers.matrix_exp(),
        square.solve(&matrices(&[3, 2], &d)),
        square.solve(&Tensor::scalar(1.0, DType::F32, &d)),
        square.solve_right(&Tensor::scalar(1.0, DType::F32, &d)),
        square.lstsq(&matrices(&[3, 1], &d), None),
        vector.solve_triangular(&square, Triangle::Lower, false, false),
        square.solve_triangular(&vector, Triangle::Lower, true, false),
        vector.cholesky_solve(&square, Triangle::Lower),
        wide.matrix_power(2),
        vector.matrix_rank(&PinvOptions::default()),
    ];
    for (i, t) in wrong.iter().enumerate() {
        assert!(t.check().is_err(), "{i}");
    }
    let empty = Tensor::zeros(&[0, 3, 3], DType::F32, &d);
    assert_eq!(empty.inv().shape(), [0, 3, 3]);
    assert!(empty.inv().to_vec::<f32>().unwrap().is_empty());
    assert_eq!(
        Tensor::zeros(&[0, 0], DType::F32, &d)
            .det()
            .item::<f32>()
            .unwrap(),
        1.0
    );
    assert_eq!(
        Tensor::zeros(&[3, 0], DType::F32, &d)
            .matrix_rank(&PinvOptions::default())
            .item::<i32>()
            .unwrap(),
        0
    );
}

#[test]
fn host_steps_are_found_run_in_turn_and_batched() {
    let d = Device::cpu();
    let x = matrices(&[2, 3, 3], &d);
    let y = ((&x * 2.0).inv().exp()).det() + x.det();
    assert_eq!(y.host_steps(), ["inv", "det", "det"]);
    assert!((&x + 1.0).host_steps().is_empty());
    let text = crate::explain(&[&y]).unwrap();
    let counts = ["host step inv", "host step det"].map(|s| text.matches(s).count());
    assert_eq!(counts, [1, 2], "{text}");
    let waited = crate::block_on(async {
        crate::eval_async(&[&y]).await?;
        y.to_vec_async::<f32>().await
    });
    let want: Vec<f32> = (0..2)
        .map(|i| {
            let one = x.select(0, i);
            (((&one * 2.0).inv().exp()).det() + one.det())
                .item::<f32>()
                .unwrap()
        })
        .collect();
    let batched = vmap(|t| Ok(vec![t[0].inv().sum()]), &[&x]).unwrap();
    let each = (0..2).map(|i| x.select(0, i).inv().sum().item::<f32>().unwrap());
    for (g, w) in waited
        .unwrap()
        .iter()
        .zip(&want)
        .map(|(g, w)| (*g, *w))
        .chain(batched[0].to_vec::<f32>().unwrap().into_iter().zip(each))
    {
        assert!((g - w).abs() < 1e-4 * (1.0 + w.abs()), "{g} {w}");
    }
    assert!(matches!(x.inv().0.op, Op::Host(_)));
}

#[test]
fn matrices_without_elements_have_no_eigenvalues() {
    for device in [Device::cpu(), Device::reference()] {
        let x = Tensor::zeros(&[2, 0, 0], crate::DType::F32, &device);
        let (values, vectors) = x.eigh(Triangle::Lower);
        let slope = &grad(&x.eigvalsh(Triangle::Lower).sum(), &[&x]).unwrap()[0];
        for (t, shape) in [
            (&values, &[2, 0][..]),
            (&vectors, &[2, 0, 0]),
            (slope, &[2, 0, 0]),
        ] {
            assert_eq!(t.shape(), shape);
            assert_eq!(t.to_vec::<f32>().unwrap(), [0f32; 0]);
        }
    }
}

#[test]
fn norms_of_singular_values_follow_the_dimensions_named() {
    use crate::MatrixNorm::{MinusTwo, Nuclear, Two};
    let x = tensor(&[3.0, 0.0, 0.0, 0.0, -4.0, 0.0], &[2, 3], &Device::cpu());
    let of = |x: &Tensor, ord, dims| x.matrix_norm(ord, dims, false).to_vec::<f32>().unwrap();
    for (ord, want) in [(Nuclear, 7.0), (Two, 4.0), (MinusTwo, 3.0)] {
        assert!((of(&x, ord, [-2, -1])[0] - want).abs() < 1e-5, "{ord:?}");
        let batch = Tensor::stack(&[&x, &(&x * 2.0)], 1);
        assert_eq!(batch.matrix_norm(ord, [0, -1], true).shape(), [1, 2, 1]);
        let norms = of(&batch, ord, [2, 0]);
        assert!((norms[1] - 2.0 * want).abs() < 1e-4, "{ord:?}");
    }
    let slope = &grad(&x.matrix_norm(Nuclear, [0, 1], false), &[&x]).unwrap()[0];
    let off = slope - tensor(&[1.0, 0.0, 0.0, 0.0, -1.0, 0.0], &[2, 3], &Device::cpu());
    assert!(largest(&off) < 1e-5);
}
