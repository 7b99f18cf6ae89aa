//! Special values through every function of one and two operands, against formulas in f64 that are rounded once;
//! derivatives at kinks, ties and saturated ends, which are PyTorch's; and numbers beside tensors.

use crate::support::{executors, report, values};
use wgrad::{DType, Device, PadMode, Tensor, bf16, f16, grad};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Zeros, small, ordinary, large, greatest, infinite, and no number; none that a GPU may take for 0.
const VALUES: [f64; 40] = [
    0.0, -0.0, 1.0, -1.0, 0.25, -0.5, 0.5, 1.5, -1.5, 2.0, -2.0, 2.5, -3.0, 3.0, 6.0, 7.25, 1e-3,
    -3e-7, 1e-30, -1e-30, 1.2e-38, 15.0, -25.0, 44.0, 87.0, -87.0, 88.7, 89.0, -89.4, 101.0,
    -103.0, 5e4, 3e9, -4e18, 1e30, -1e38, 3.4e38, INF, -INF, NAN,
];

type Unary = (&'static str, fn(&Tensor) -> Tensor, fn(f64) -> f64);

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p() + x * 0.0
}

/// `max` and `min` that pass NaN on.
fn hold(x: f64, low: f64, high: f64) -> f64 {
    if x.is_nan() { x } else { x.clamp(low, high) }
}

const UNARY: &[Unary] = &[
    ("exp", Tensor::exp, f64::exp),
    ("exp2", Tensor::exp2, f64::exp2),
    ("expm1", Tensor::expm1, f64::exp_m1),
    ("log", Tensor::log, f64::ln),
    ("log1p", Tensor::log1p, f64::ln_1p),
    ("log2", Tensor::log2, f64::log2),
    ("log10", Tensor::log10, f64::log10),
    ("sqrt", Tensor::sqrt, f64::sqrt),
    ("rsqrt", Tensor::rsqrt, |x| 1.0 / x.sqrt()),
    ("recip", Tensor::recip, f64::recip),
    ("square", Tensor::square, |x| x * x),
    ("cube", |x| x.powf(3.0), |x| x * x * x),
    ("abs", Tensor::abs, f64::abs),
    ("floor", Tensor::floor, f64::floor),
    ("ceil", Tensor::ceil, f64::ceil),
    ("round", Tensor::round, f64::round_ties_even),
    ("trunc", Tensor::trunc, f64::trunc),
    ("frac", Tensor::frac, |x| x - x.trunc()),
    ("sin", Tensor::sin, f64::sin),
    ("cos", Tensor::cos, f64::cos),
    ("sinh", Tensor::sinh, f64::sinh),
    ("cosh", Tensor::cosh, f64::cosh),
    ("tanh", Tensor::tanh, f64::tanh),
    ("asinh", Tensor::asinh, f64::asinh),
    ("acosh", Tensor::acosh, f64::acosh),
    ("atanh", Tensor::atanh, f64::atanh),
    ("asin", Tensor::asin, f64::asin),
    ("acos", Tensor::acos, f64::acos),
    ("atan", Tensor::atan, f64::atan),
    ("sigmoid", Tensor::sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
    ("relu", Tensor::relu, |x| if x <= 0.0 { 0.0 } else { x }),
    ("relu6", Tensor::relu6, |x| hold(x, 0.0, 6.0)),
    (
        "leaky_relu",
        |x| x.leaky_relu(0.5),
        |x| if x > 0.0 { x } else { x * 0.5 },
    ),
    (
        "elu",
        |x| x.elu(1.0),
        |x| if x > 0.0 { x } else { x.exp_m1() },
    ),
    ("softplus", Tensor::softplus, |x| {
        if x.is_infinite() {
            x.max(0.0)
        } else {
            softplus(x)
        }
    }),
    ("logsigmoid", Tensor::logsigmoid, |x| {
        if x.is_infinite() {
            x.min(0.0)
        } else {
            -softplus(-x)
        }
    }),
    ("softsign", Tensor::softsign, |x| x / (1.0 + x.abs())),
    ("hardsigmoid", Tensor::hardsigmoid, |x| {
        (hold(x, -3.0, 3.0) + 3.0) / 6.0
    }),
    ("hardswish", Tensor::hardswish, |x| {
        if x == INF {
            x
        } else {
            x * ((hold(x, -3.0, 3.0) + 3.0) / 6.0)
        }
    }),
    ("silu", Tensor::silu, |x| x / (1.0 + (-x).exp())),
    (
        "hardshrink",
        |x| x.hardshrink(0.5),
        |x| if x.abs() <= 0.5 { 0.0 } else { x },
    ),
    (
        "softshrink",
        |x| x.softshrink(0.5),
        |x| match x.abs() {
            _ if x.is_nan() => x,
            a if a <= 0.5 => 0.0,
            a => (a - 0.5).copysign(x),
        },
    ),
];

type Binary = (
    &'static str,
    fn(&Tensor, &Tensor) -> Tensor,
    fn(f64, f64) -> f64,
);

fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        NAN
    } else {
        a.max(b)
    }
}

fn log_add(a: f64, b: f64) -> f64 {
    let (long, short) = (greater(a, b), a.min(b));
    if a == b {
        a + 2f64.ln()
    } else {
        long + (short - long).exp().ln_1p()
    }
}

fn xlogy(a: f64, b: f64) -> f64 {
    if a == 0.0 && !b.is_nan() {
        0.0
    } else {
        a * b.ln()
    }
}

/// C's `pow` is Rust's.
const BINARY: &[Binary] = &[
    ("add", Tensor::add, |a, b| a + b),
    ("sub", Tensor::sub, |a, b| a - b),
    ("mul", Tensor::mul, |a, b| a * b),
    ("div", Tensor::div, |a, b| a / b),
    ("maximum", Tensor::maximum, greater),
    ("minimum", Tensor::minimum, |a, b| -greater(-a, -b)),
    ("fmax", Tensor::fmax, f64::max),
    ("fmin", Tensor::fmin, f64::min),
    ("copysign", Tensor::copysign, f64::copysign),
    ("atan2", Tensor::atan2, f64::atan2),
    ("hypot", Tensor::hypot, f64::hypot),
    ("logaddexp", Tensor::logaddexp, log_add),
    ("pow", Tensor::pow, f64::powf),
    ("xlogy", Tensor::xlogy, xlogy),
    ("eq", Tensor::eq, |a, b| f64::from(u8::from(a == b))),
    ("ne", Tensor::ne, |a, b| f64::from(u8::from(a != b))),
    ("lt", Tensor::lt, |a, b| f64::from(u8::from(a < b))),
    ("le", Tensor::le, |a, b| f64::from(u8::from(a <= b))),
    ("gt", Tensor::gt, |a, b| f64::from(u8::from(a > b))),
    ("ge", Tensor::ge, |a, b| f64::from(u8::from(a >= b))),
];

fn single(values: &[f64], device: &Device) -> Tensor {
    Tensor::new(
        &values.iter().map(|&v| v as f32).collect::<Vec<_>>(),
        device,
    )
}

/// Where a value departs from the one in f64, rounded to f32. A product with what f32 holds only as a subnormal may be 0.
fn departs(got: f64, want: f64) -> bool {
    let rounded = f64::from(want as f32);
    let close = (got - want).abs() <= 4e-6 * want.abs() + 2e-37;
    got != rounded && !(got.is_nan() && want.is_nan()) && !(got.is_finite() && close)
}

fn subjects() -> Vec<(&'static str, Device)> {
    let fast = executors().into_iter().map(|s| (s.name, s.device));
    fast.chain([
        ("reference", Device::reference()),
        ("exact", Device::exact()),
    ])
    .collect()
}

#[test]
fn functions_of_one_operand_at_special_values() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for (subject, device) in subjects() {
        for (name, f, formula) in UNARY {
            let got = values(&f(&single(&VALUES, &device))).unwrap();
            for (x, got) in VALUES.iter().map(|&v| f64::from(v as f32)).zip(got) {
                count += 1;
                if departs(got, formula(x)) {
                    failures.push(format!(
                        "{subject}: {name}({x}) is {got}, not {}",
                        formula(x)
                    ));
                }
            }
        }
    }
    report("one operand", count, &failures);
}

#[test]
fn functions_of_two_operands_at_special_values() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let pairs: Vec<(f64, f64)> = VALUES
        .iter()
        .flat_map(|&a| VALUES.map(|b| (a, b)))
        .collect();
    let side = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).collect::<Vec<_>>();
    for (subject, device) in subjects() {
        let (a, b) = (
            single(&side(|p| p.0), &device),
            single(&side(|p| p.1), &device),
        );
        for (name, f, formula) in BINARY {
            for (&(a, b), got) in pairs.iter().zip(values(&f(&a, &b)).unwrap()) {
                count += 1;
                let want = formula(f64::from(a as f32), f64::from(b as f32));
                if departs(got, want) {
                    failures.push(format!("{subject}: {name}({a}, {b}) is {got}, not {want}"));
                }
            }
        }
    }
    report("two operands", count, &failures);
}

/// The gradient of `Σ f(x)` by each operand.
fn slopes(device: &Device, x: &[&[f64]], f: impl Fn(&[Tensor]) -> Tensor) -> Vec<Vec<f64>> {
    let x: Vec<Tensor> = x.iter().map(|x| single(x, device)).collect();
    let y = f(&x).sum();
    let all = grad(&y, &x.iter().collect::<Vec<_>>()).unwrap();
    all.iter().map(|g| values(g).unwrap()).collect()
}

/// NaN equals NaN.
#[track_caller]
fn same(name: &str, got: &[Vec<f64>], want: &[&[f64]]) {
    let alike = |(g, w): (&f64, &f64)| g == w || (g.is_nan() && w.is_nan());
    let all = got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(g, w)| g.len() == w.len() && g.iter().zip(*w).all(alike));
    assert!(all, "{name}: {got:?}, not {want:?}");
}

#[test]
fn derivatives_at_bounds_are_pytorchs() {
    for (name, d) in subjects() {
        let of = |x: &[&[f64]], f: fn(&[Tensor]) -> Tensor| slopes(&d, x, f);
        let x = [-1.0, 0.0, 0.5, 1.0, 2.0, NAN, INF];
        same(
            name,
            &of(&[&x], |x| x[0].clamp(0.0, 1.0)),
            &[&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]],
        );
        same(
            name,
            &of(&[&x], |x| x[0].clamp_min(0.5)),
            &[&[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]],
        );
        same(name, &of(&[&x], |x| x[0].clamp(2.0, 1.0)), &[&[0.0; 7]]);
        same(
            name,
            &of(&[&x], |x| x[0].hardtanh(0.0, 1.0)),
            &[&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]],
        );
        // f32 moves the bound: 0.1 is above itself as it was meant, and strictly inside.
        same(
            name,
            &of(&[&[f64::from(0.1f32)]], |x| x[0].clamp(0.1, 1.0)),
            &[&[1.0]],
        );
        same(
            name,
            &of(&[&[f64::from(0.3f32)]], |x| x[0].clamp(0.1, 0.3)),
            &[&[0.0]],
        );
        let (low, high) = ([0.0, 0.0, 0.0, 2.0], [1.0; 4]);
        let bounded = of(&[&[0.0, 0.5, 1.0, 3.0], &low, &high], |x| {
            x[0].clamp_tensor(&x[1], &x[2])
        });
        same(
            name,
            &bounded,
            &[
                &[0.5, 1.0, 0.5, 0.0],
                &[0.5, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 0.5, 1.0],
            ],
        );
    }
}

#[test]
fn derivatives_of_scans_and_powers_at_ties_are_pytorchs() {
    for (name, d) in subjects() {
        let of = |x: &[&[f64]], f: fn(&[Tensor]) -> Tensor| slopes(&d, x, f);
        let ties = [1.0, 1.0, 0.0, 1.0, 2.0, 2.0];
        same(
            name,
            &of(&[&ties], |x| x[0].cummax(0)),
            &[&[1.0, 2.0, 0.0, 1.0, 1.0, 1.0]],
        );
        let falling = [3.0, 3.0, 1.0, 1.0, 2.0];
        same(
            name,
            &of(&[&falling], |x| x[0].cummin(0)),
            &[&[1.0, 1.0, 1.0, 2.0, 0.0]],
        );
        same(
            name,
            &of(&[&[1.0, NAN, 2.0, NAN, 3.0]], |x| x[0].cummax(0)),
            &[&[1.0, 2.0, 0.0, 2.0, 0.0]],
        );
        same(
            name,
            &of(&[&[0.0, -1.0, 3.0, NAN, INF]], |x| x[0].powf(0.0)),
            &[&[0.0; 5]],
        );
        same(
            name,
            &of(&[&[0.0, 2.0, 3.0]], |x| x[0].powf(3.0)),
            &[&[0.0, 12.0, 27.0]],
        );
    }
}

#[test]
fn derivatives_at_ties_and_ends_are_pytorchs() {
    for (name, d) in subjects() {
        let of = |x: &[&[f64]], f: fn(&[Tensor]) -> Tensor| slopes(&d, x, f);
        let far = of(&[&[1.0, 0.5, -3.0, 0.0], &[-1e8, -1000.0, 1e4, 0.0]], |x| {
            x[0].logaddexp(&x[1])
        });
        same(name, &far, &[&[1.0, 1.0, 0.0, 0.5], &[0.0, 0.0, 1.0, 0.5]]);
        let ties = of(&[&[1.0, 1.0, NAN, 1.0], &[1.0, 2.0, 1.0, NAN]], |x| {
            x[0].fmax(&x[1])
        });
        same(name, &ties, &[&[0.5, 0.0, 0.0, 1.0], &[0.5, 1.0, 1.0, 0.0]]);
        same(
            name,
            &of(&[&[-0.5, 0.5, 0.25, 2.0, NAN]], |x| x[0].hardshrink(0.5)),
            &[&[0.0, 0.0, 0.0, 1.0, 0.0]],
        );
        same(
            name,
            &of(&[&[-3.0, 3.0, 4.0, INF]], |x| x[0].hardswish()),
            &[&[0.0, 1.0, 1.0, 1.0]],
        );
        same(
            name,
            &of(&[&[-4.0, -1e30]], |x| x[0].hardswish()),
            &[&[0.0, 0.0]],
        );
        same(name, &of(&[&[1.0, -1.0]], |x| x[0].asin()), &[&[INF, INF]]);
        same(
            name,
            &of(&[&[2.0, NAN, 1.0]], |x| x[0].median(0, false).0),
            &[&[0.0, 1.0, 0.0]],
        );
        let heads = [-INF, -INF, 1.0, -INF, 1.0];
        same(
            name,
            &of(&[&heads], |x| x[0].logcumsumexp(0)),
            &[&[NAN, NAN, 2.5, 0.0, 0.5]],
        );
    }
}

#[test]
fn statistics_of_extreme_values_do_not_overflow() {
    for (name, d) in subjects() {
        let of = |x: &[f64], f: fn(&Tensor) -> Tensor| values(&f(&single(x, &d))).unwrap()[0];
        let close = |got: f64, want: f64| (got / want - 1.0).abs() < 1e-5;
        let x = [1e30, -1e30, 1e30, 1.0];
        assert!(close(of(&x, |x| x.std(0)), 8.291_561_9e29), "{name}");
        assert!(
            close(
                of(&[1e-25, 3e-25, -2e-25, 0.0], |x| x.std(0)),
                1.802_775_6e-25
            ),
            "{name}"
        );
        assert!(of(&x, |x| x.var(0)) == INF, "{name}");
        assert!(
            close(of(&[3e38, 3e38, 2e38, 1e38], Tensor::mean), 2.25e38),
            "{name}"
        );
        assert!(
            close(of(&[3e38, NAN, 2e38], |x| x.nanmean(&[0], false)), 2.5e38),
            "{name}"
        );
        assert!(
            of(&[1.0, NAN, 3.0], |x| x.median(0, false).0).is_nan(),
            "{name}"
        );
        let g = slopes(&d, &[&[2e30, 1e30, -3e30, 0.0]], |x| x[0].std(1));
        assert!(
            g[0].iter().all(|v| v.is_finite()) && close(g[0][0], 0.308_606_7),
            "{name}: {g:?}"
        );
    }
}

/// The error of an invalid tensor names the number.
#[track_caller]
fn refused(t: &Tensor, number: &str) {
    let e = t
        .check()
        .expect_err("a number that does not fit")
        .to_string();
    assert!(e.contains(number) && e.contains("special.rs"), "{e}");
}

#[test]
fn numbers_become_elements_by_one_rule() {
    for (_, d) in subjects() {
        let (i, u) = (Tensor::new(&[1, 2], &d), Tensor::new(&[0u8, 5], &d));
        let h = Tensor::new(&[f16::from_f32(1.0), f16::from_f32(2.0)], &d);
        let mask = Tensor::new(&[true, false], &d);
        let at = Tensor::new(&[0], &d);
        // Towards zero, and the dtype stays, whichever way a number gets in.
        let filled = [
            i.masked_fill(&mask, 0.5),
            i.set_scalar(0, 0.5),
            i.index_fill(0, &at, 0.5),
            i.scatter_scalar(0, &at, 0.5),
            i.narrow(0, 1, 1).pad(&[1, 0], PadMode::Constant(0.5)),
        ];
        for t in &filled {
            assert_eq!(t.to_vec::<i32>().unwrap(), [0, 2]);
        }
        assert_eq!(
            Tensor::full(&[1], 2.7, DType::U8, &d)
                .to_vec::<u8>()
                .unwrap(),
            [2]
        );
        assert_eq!(
            Tensor::full(&[1], 0.5, DType::Bool, &d)
                .to_vec::<bool>()
                .unwrap(),
            [true]
        );
        for t in [
            Tensor::full(&[2], 300.0, DType::U8, &d),
            u.full_like(300.0),
            u.masked_fill(&mask, 300.0),
            u.set_scalar(0, 300.0),
            u.index_fill(0, &at, 300.0),
            u.scatter_scalar(0, &at, 300.0),
            u.pad(&[1, 1], PadMode::Constant(300.0)),
        ] {
            refused(&t, "300");
        }
        refused(&Tensor::full(&[2], -1.0, DType::U32, &d), "-1");
        refused(&h.masked_fill(&mask, -1e9), "-1000000000");
        refused(&h.pad(&[1, 1], PadMode::Constant(1e9)), "1000000000");
        refused(&Tensor::full(&[1], 1e39, DType::F32, &d), "1e39");
        refused(&i.masked_fill(&mask, f64::NAN), "NaN");
        assert_eq!(values(&h.masked_fill(&mask, -INF)).unwrap(), [-INF, 2.0]);
    }
}

#[test]
fn numbers_beside_tensors_compare_as_numbers() {
    for (name, d) in subjects() {
        let numbers = [
            -INF,
            -1e10,
            -2147483649.0,
            -1.0,
            -0.5,
            0.0,
            0.5,
            1.0,
            4.5,
            5.0,
            254.5,
            255.0,
            256.0,
            1e5,
            2147483647.0,
            2147483648.0,
            4294967295.0,
            1e10,
            INF,
            NAN,
        ];
        let tensors = [
            Tensor::new(&[0u8, 5, 255], &d),
            Tensor::new(&[0u32, 5, u32::MAX], &d),
            Tensor::new(&[-5, 0, i32::MAX], &d),
            Tensor::new(&[16_777_216, 16_777_217, -1], &d),
            Tensor::new(&[true, false, true], &d),
            Tensor::new(&[f16::from_f32(0.5), f16::INFINITY, f16::NAN], &d),
            Tensor::new(&[bf16::from_f32(0.5), bf16::INFINITY, bf16::NAN], &d),
        ];
        for x in &tensors {
            let elements = values(x).unwrap();
            for n in numbers {
                let got = [
                    x.eq_scalar(n),
                    x.ne_scalar(n),
                    x.lt_scalar(n),
                    x.le_scalar(n),
                    x.gt_scalar(n),
                    x.ge_scalar(n),
                ];
                let want: [fn(&f64, &f64) -> bool; 6] = [
                    |a, b| a == b,
                    |a, b| a != b,
                    |a, b| a < b,
                    |a, b| a <= b,
                    |a, b| a > b,
                    |a, b| a >= b,
                ];
                for (k, (got, want)) in got.iter().zip(want).enumerate() {
                    let want: Vec<bool> = elements.iter().map(|e| want(e, &n)).collect();
                    assert_eq!(
                        got.to_vec::<bool>().unwrap(),
                        want,
                        "{name}: {} {elements:?}, {n}, {k}",
                        x.dtype()
                    );
                }
            }
        }
    }
}

#[test]
fn numbers_beside_tensors_clamp_and_add_as_numbers() {
    for (_, d) in subjects() {
        let clamped = |t: Tensor| values(&t).unwrap();
        assert_eq!(
            clamped(Tensor::new(&[0u32, 5], &d).clamp(-3.0, 2.0)),
            [0.0, 2.0]
        );
        let bytes = Tensor::new(&[0u8, 5], &d).clamp(-3.0, 2.0);
        assert_eq!((bytes.dtype(), clamped(bytes)), (DType::U8, vec![0.0, 2.0]));
        assert_eq!(
            clamped(Tensor::new(&[0u8, 200], &d).clamp(1.0, 300.0)),
            [1.0, 200.0]
        );
        assert_eq!(
            clamped(Tensor::new(&[1, 2], &d).clamp(0.5, 1.5)),
            [1.0, 1.5]
        );
        refused(&Tensor::new(&[0u8], &d).clamp(300.0, 400.0), "300");
        // Arithmetic does not wrap.
        refused(&(Tensor::new(&[0u32], &d) * -1.0), "-1");
        refused(&(Tensor::new(&[0], &d) + 3e9), "3000000000");
        assert_eq!(clamped(Tensor::new(&[250u8], &d) + 300.0), [550.0]);
        // Beside f16 a number keeps its precision, and the result is rounded once.
        let h = Tensor::new(&[f16::from_f32(1e-5)], &d) * 1e9;
        assert_eq!((h.dtype(), clamped(h)), (DType::F16, vec![10016.0]));
        let b = Tensor::new(&[bf16::from_f32(3.0)], &d) * 0.3;
        assert_eq!((b.dtype(), clamped(b)), (DType::BF16, vec![0.8984375]));
    }
}
