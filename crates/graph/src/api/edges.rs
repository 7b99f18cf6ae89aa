//! Tests of the edges: arguments that make no sense, derivatives at kinks, magnitudes that overflow in between.

use crate::{Device, MatrixNorm, PadMode, PoolOptions, Subscript, Tensor, grad};

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
        slope(&[0.0, 0.5, 1.0, 2.0], |x| x.clamp(0.0, 1.0)),
        [0.0, 1.0, 0.0, 0.0]
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

#[test]
fn rank_0_is_a_vector_where_a_dimension_is_named() {
    let device = Device::reference();
    let (x, zero) = (vector(&[5.0]).select(0, 0), Tensor::new(&[0, 0], &device));
    let scalar = zero.select(0, 0);
    let one = zero.narrow(0, 0, 1);
    assert_eq!(x.gather(0, &scalar).shape(), [0usize; 0]);
    assert_eq!(x.gather(-1, &zero).to_vec::<f32>().unwrap(), [5.0, 5.0]);
    assert_eq!(x.index_select(0, &one).item::<f32>().unwrap(), 5.0);
    assert_eq!(x.scatter_add(0, &scalar, &x).item::<f32>().unwrap(), 10.0);
    assert_eq!(x.index_add(0, &one, &x, 2.0).item::<f32>().unwrap(), 15.0);
    assert_eq!(x.index_fill(0, &one, 1.0).item::<f32>().unwrap(), 1.0);
    let bad = x.reshape(&[7]);
    let results = [
        bad.gather(0, &scalar),
        bad.scatter_add(0, &scalar, &x),
        bad.index_select(0, &one),
    ];
    assert!(results.iter().all(|t| t.check().is_err()));
}

#[test]
fn truth_values_and_integers_compute_as_in_pytorch() {
    let device = Device::reference();
    let (a, b) = (
        Tensor::new(&[true, true, false, false], &device),
        Tensor::new(&[true, false, true, false], &device),
    );
    assert_eq!(
        (&a + &b).to_vec::<bool>().unwrap(),
        [true, true, true, false]
    );
    assert_eq!(
        (&a * &b).to_vec::<bool>().unwrap(),
        [true, false, false, false]
    );
    let numbers = vector(&[0.0, -0.0, 2.0, f32::NAN]);
    assert_eq!(
        numbers.logical_not().to_vec::<bool>().unwrap(),
        [true, true, false, false]
    );
    let n = Tensor::new(&[-3, 0, 3], &device);
    assert_eq!(n.hardtanh(-0.5, 2.5).to_vec::<i32>().unwrap(), [0, 0, 2]);
    let m = Tensor::arange(4, &device).reshape(&[2, 2]);
    assert_eq!(m.matmul(&m).to_vec::<i32>().unwrap(), [2, 3, 6, 11]);
    assert!(m.matmul(&n).check().is_err());
    assert!(
        m.narrow(1, 0, 1)
            .matmul(&m.narrow(0, 0, 1).t())
            .check()
            .is_err()
    );
}

#[test]
fn divisions_by_zero_round_to_infinity() {
    let (a, b) = (
        vector(&[1.0, -1.0, 0.0, 7.0]),
        vector(&[0.0, 0.0, 0.0, -2.0]),
    );
    let got = a.floor_divide(&b).to_vec::<f32>().unwrap();
    assert_eq!(got[..2], [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(got[2].is_nan());
    assert_eq!(got[3], -4.0);
}

#[test]
fn odd_joins_and_pads_are_pytorchs() {
    let x = table();
    let nothing = Tensor::arange(0, x.device());
    assert_eq!(Tensor::cat(&[&nothing, &x], 1).shape(), [2, 3]);
    assert_eq!(Tensor::cat(&[&nothing, &nothing], 0).shape(), [0]);
    let row = Tensor::arange(4, x.device());
    // What was cut off does not come back.
    let circular = row.pad(&[-1, 2], PadMode::Circular);
    assert_eq!(circular.to_vec::<i32>().unwrap(), [1, 2, 3, 1, 2]);
    let last = Tensor::new(&[-1, 0], x.device());
    assert_eq!(
        row.take_along_dim(&last, 0).to_vec::<i32>().unwrap(),
        [3, 0]
    );
}

#[test]
fn the_second_derivative_of_gelu_survives_saturation() {
    let x = Tensor::new(&[4.9f32], &Device::cpu());
    let y = x.gelu_with(crate::GeluApproximation::Tanh);
    let first = &grad(&y, &[&x]).unwrap()[0];
    let second = grad(first, &[&x]).unwrap()[0].item::<f32>().unwrap();
    // By PyTorch in f64; 1 − sigmoid(2u) in f32 gives 0.
    assert!((second / -1.803_716e-5 - 1.0).abs() < 1e-3, "{second}");
}

#[test]
fn windows_whose_taps_miss_the_input_are_refused() {
    let options = PoolOptions::windows([2]).dilation([4]).padding([2]);
    let of = |n: usize| {
        Tensor::zeros(&[1, 1, n], crate::DType::F32, &Device::cpu()).max_pool1d(&options)
    };
    assert!(of(2).check().is_err());
    // One more element, and the second tap lies inside.
    assert_eq!(of(3).to_vec::<f32>().unwrap(), [0.0; 2]);
}
