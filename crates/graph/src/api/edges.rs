//! Tests of the edges: arguments that make no sense, derivatives at kinks, magnitudes that overflow in between.

use crate::{Device, MatrixNorm, PadMode, Subscript, Tensor, grad};

fn table() -> Tensor {
    Tensor::arange(6, &Device::reference()).reshape(&[2, 3])
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::reference())
}

/// The gradient of the sum of `f(x)`.
fn slope(x: &[f32], f: impl Fn(&Tensor) -> Tensor) -> Vec<f32> {
    let x = vector(x);
    grad(&f(&x).sum(), &[&x]).unwrap()[0].to_vec().unwrap()
}

#[test]
fn arguments_without_sense_give_errors() {
    let (x, big) = (table(), isize::MAX);
    let wrong = [
        x.get(5),
        x.get((0, 0, 0)),
        x.slice(0, None, None, 0),
        x.slice(7, None, None, 1),
        x.set(5, &x),
        x.set(0, &Tensor::arange(2, x.device())),
        x.pad(&[1], PadMode::Replicate),
        x.pad(&[3, 0], PadMode::Reflect),
        x.pad(&[4, 0], PadMode::Circular),
        x.pad(&[-4, 0], PadMode::Constant(0.0)),
        x.pad(&[big, big], PadMode::Constant(1.0)),
        x.pad(&[big, big], PadMode::Replicate),
        x.roll(&[1, 2], &[0]),
        x.roll(&[1], &[2]),
        x.expand(&[3]),
        x.expand(&[-1, 2, 3]),
        x.unflatten(1, &[2, -1]),
        x.repeat(&[2]),
        x.repeat(&[usize::MAX, 2]),
        x.repeat_interleave(usize::MAX, 0),
        x.repeat_interleave_each(&[1], 0),
        x.diagonal(0, 1, 1),
        x.diag_embed(big, -2, -1),
        x.select(0, 0).tril(0),
        x.select(0, 0).trace(),
        x.glu(1),
        x.prelu(&vector(&[1.0, 2.0])),
        x.split(&[1, 3], 1).remove(0),
        x.chunk(0, 0).remove(0),
        x.topk(9, 0, true).0,
        x.kthvalue(0, 0, false).0,
        x.vector_norm(f64::NAN, &[0], false),
        x.matrix_norm(MatrixNorm::One, [0, 0], false),
        x.prod_dims(&[2], false),
        x.logsumexp_dims(&[0, 0], false),
        x.index_add(0, &Tensor::arange(3, x.device()), &x, 1.0),
        x.scatter_add(0, &x, &Tensor::arange(2, x.device())),
        x.take_along_dim(&Tensor::arange(2, x.device()), 0),
        vector(&[0.5]).embedding(&x, None),
        x.embedding(&x, Some(9)),
        Tensor::arange_step(0.0, 1.0, 0.0, x.device()),
    ];
    for (i, t) in wrong.iter().enumerate() {
        assert!(t.check().is_err(), "case {i} gives {t:?}");
    }
}

#[test]
fn ranges_are_pythons() {
    let x = Tensor::arange(5, &Device::reference());
    let part = |start, end, step| x.slice(0, start, end, step).to_vec::<i32>().unwrap();
    assert_eq!(part(Some(-2), None, 1), [3, 4]);
    assert_eq!(part(Some(-99), Some(99), 2), [0, 2, 4]);
    assert_eq!(part(None, None, -2), [4, 2, 0]);
    assert_eq!(part(Some(3), Some(0), -1), [3, 2, 1]);
    assert_eq!(part(Some(4), Some(2), 1), [0; 0]);
    assert_eq!(part(Some(1), None, isize::MAX), [1]);
    assert_eq!(part(None, None, isize::MIN), [4]);
    let reversed = Subscript::from(..).step_by(-2);
    let written = x.set(reversed, &Tensor::new(&[7, 8, 9], x.device()));
    assert_eq!(written.to_vec::<i32>().unwrap(), [9, 1, 8, 3, 7]);
}

#[test]
fn derivatives_at_kinks_are_pytorchs() {
    assert_eq!(
        slope(&[0.0, 1.0, 2.0], |x| x.clamp(0.0, 1.0)),
        [1.0, 1.0, 0.0]
    );
    assert_eq!(slope(&[0.0, 3.0, 6.0], Tensor::relu6), [0.0, 1.0, 0.0]);
    assert_eq!(slope(&[0.0], |x| x.leaky_relu(0.25)), [0.25]);
    assert_eq!(slope(&[0.0], |x| x.elu(2.0)), [2.0]);
    assert_eq!(slope(&[0.0], Tensor::softplus), [0.5]);
    assert_eq!(slope(&[0.0], Tensor::logsigmoid), [0.5]);
    assert_eq!(slope(&[2.0, 2.0], |x| x.std(1)), [0.0, 0.0]);
    assert_eq!(slope(&[0.0, 0.0], Tensor::norm), [0.0, 0.0]);
    assert_eq!(
        slope(&[0.0, 2.0], |x| x.vector_norm(0.5, &[0], false)),
        [0.0, 1.0]
    );
    assert_eq!(slope(&[0.0, 2.0, 3.0], Tensor::prod), [6.0, 0.0, 0.0]);
    assert_eq!(
        slope(&[f32::NEG_INFINITY; 2], |x| x.logsumexp(0, false)),
        [0.0, 0.0]
    );
    assert_eq!(
        slope(&[-1.0, 1.0], |x| x.remainder(&vector(&[3.0]))),
        [1.0, 1.0]
    );
}

#[test]
fn large_magnitudes_stay_finite_to_the_second_order() {
    let functions: [fn(&Tensor) -> Tensor; 9] = [
        Tensor::sigmoid,
        Tensor::softplus,
        Tensor::logsigmoid,
        Tensor::gelu,
        |x| x.gelu_with(crate::GeluApproximation::Tanh),
        Tensor::silu,
        Tensor::mish,
        Tensor::hardswish,
        |x| x.softplus_with(2.5, 20.0),
    ];
    let x = Tensor::new(&[-1e30f32, -1e4, -90.0, 90.0, 1e4, 1e30], &Device::cpu());
    for (i, f) in functions.iter().enumerate() {
        let first = &grad(&f(&x).sum(), &[&x]).unwrap()[0];
        let second = &grad(&(first * 2.0).sum(), &[&x]).unwrap()[0];
        for t in [&f(&x), first, second] {
            let values = t.to_vec::<f32>().unwrap();
            assert!(
                values.iter().all(|v| v.is_finite()),
                "function {i}: {values:?}"
            );
        }
    }
}
