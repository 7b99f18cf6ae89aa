//! Sizes at which a kernel's loop would have more rounds than software adapters count (65,535 of an invocation), and
//! operations whose cost could explode: every family of reductions, scans, indices, windows, sorts, rows and products, at
//! sizes around and beyond 2^16, 2^20 and 2^24, on the GPU against the cpu. Results that are no sums are compared
//! exactly. `WGRAD_TEST_ALL=1` runs all sizes, also at minimum limits and with the kernels of a card.

mod places;
mod points;
mod scans;

use crate::support::{
    Subject, all, differs, executors, gpu, gpu_as_card, gpu_minimum, open_gpu, report, values,
};
use std::time::Instant;
use wgrad::ops::Tolerance;
use wgrad::{
    ConvOptions, DType, Device, DeviceClass, ErrorKind, Generator, PoolOptions, Settings, Tensor,
    grad,
};

const EXACT: Tolerance = Tolerance {
    rtol: 0.0,
    atol: 0.0,
};

/// The GPU with the kernels of a card.
const CARD: &str = "gpu as a card";

const fn near(rtol: f64, atol: f64) -> Tolerance {
    Tolerance { rtol, atol }
}

type Compute = Box<dyn Fn(&Device) -> Vec<Tensor>>;

/// What is computed on the cpu and on each GPU.
struct Case {
    name: String,
    compute: Compute,
    tolerance: Tolerance,
    /// Whether it is left for the full sweep.
    full: bool,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(
        &mut self,
        name: impl Into<String>,
        full: bool,
        tolerance: Tolerance,
        compute: impl Fn(&Device) -> Vec<Tensor> + 'static,
    ) {
        self.0.push(Case {
            name: name.into(),
            compute: Box::new(compute),
            tolerance,
            full,
        });
    }

    /// Runs them, and fails with all that differ.
    fn run(self, what: &str) {
        let mut devices: Vec<Subject> = Vec::new();
        let mut push = |name, device: Option<Device>| {
            devices.extend(device.map(|device| Subject { name, device }));
        };
        push("gpu", gpu());
        if all() {
            push("gpu minimum", gpu_minimum());
            push(CARD, gpu_as_card());
        }
        if devices.is_empty() {
            return;
        }
        let (mut failures, mut count) = (Vec::new(), 0);
        for case in self.0.iter().filter(|case| all() || !case.full) {
            let results = |device: &Device| -> wgrad::Result<Vec<Vec<f64>>> {
                (case.compute)(device).iter().map(values).collect()
            };
            let want =
                results(&Device::cpu()).unwrap_or_else(|e| panic!("{}: cpu: {e}", case.name));
            // What suits a card takes minutes on a software adapter where there is much of it.
            for s in devices.iter().filter(|s| s.name != CARD || !case.full) {
                count += 1;
                let begun = Instant::now();
                let fault = match results(&s.device) {
                    Ok(got) => got.iter().zip(&want).enumerate().find_map(|(i, (g, w))| {
                        differs(g, w, case.tolerance).map(|m| format!("result {i}: {m}"))
                    }),
                    Err(e) => Some(e.to_string()),
                };
                println!("{} on {}: {:.1?}", case.name, s.name, begun.elapsed());
                failures.extend(fault.map(|m| format!("{} on {}: {m}", case.name, s.name)));
            }
        }
        report(what, count, &failures);
    }
}

/// A number of 64 bits for each place.
fn mix(i: usize) -> u64 {
    let z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 29)
}

/// Numbers between -1 and 1 with few bits, so that many repeat.
fn reals(shape: &[usize], device: &Device) -> Tensor {
    let n: usize = shape.iter().product();
    let v: Vec<f32> = (0..n)
        .map(|i| (mix(i) % 4001) as f32 / 2000.0 - 1.0)
        .collect();
    Tensor::from_slice(&v, shape, device)
}

/// Whole numbers below `most`.
fn wholes(shape: &[usize], most: usize, device: &Device) -> Tensor {
    let n: usize = shape.iter().product();
    let v: Vec<i32> = (0..n).map(|i| (mix(i) % most as u64) as i32).collect();
    Tensor::from_slice(&v, shape, device)
}

/// 2 and 0.5 in turns along a dimension, of either sign.
fn twos_and_halves(shape: &[usize], dim: usize, device: &Device) -> Tensor {
    let inner: usize = shape[dim + 1..].iter().product();
    let n: usize = shape.iter().product();
    let value = |i: usize| {
        let magnitude = [2.0f32, 0.5][i / inner % shape[dim] % 2];
        if mix(i).is_multiple_of(2) {
            magnitude
        } else {
            -magnitude
        }
    };
    let v: Vec<f32> = (0..n).map(value).collect();
    Tensor::from_slice(&v, shape, device)
}

fn gradient(y: &Tensor, x: &Tensor) -> Tensor {
    grad(y, &[x]).expect("a gradient").swap_remove(0)
}

/// Shapes with about `n` elements, and the dimensions that are reduced: a long line, long columns of few and of several,
/// a long middle, both dimensions, and so many rows that a thread takes one.
fn layouts(n: usize) -> Vec<(Vec<usize>, Vec<isize>)> {
    let mut all = vec![
        (vec![n], vec![0]),
        (vec![n / 2, 2], vec![0]),
        (vec![n / 2, 2], vec![1]),
        (vec![n / 8, 8], vec![0]),
        (vec![2, n / 2], vec![1]),
        (vec![3, n / 9, 3], vec![1]),
        (vec![3, n / 6, 2], vec![0, 2]),
        (vec![n / 4, 4], vec![0, 1]),
    ];
    if n > 1 << 23 {
        all.push((vec![n / 200_001, 200_001], vec![1]));
        all.push((vec![520, n / 520], vec![1]));
    }
    all
}

const SIZES: [(usize, bool); 7] = [
    (65_530, true),
    (65_544, true),
    (200_008, false),
    ((1 << 20) + 8, true),
    (9_000_000, true),
    ((1 << 24) + 8, true),
    (33_000_000, true),
];

#[test]
fn reductions_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (n, full) in SIZES {
        for (shape, dims) in layouts(n) {
            let name = format!("reductions of {shape:?} over {dims:?}");
            let (s, d) = (shape.clone(), dims.clone());
            cases.add(name.clone(), full, EXACT, move |device| {
                let x = reals(&s, device);
                let i = wholes(&s, 1000, device);
                let mut out = vec![x.amax_dims(&d, false), x.amin_dims(&d, false)];
                out.push(i.sum_dims(&d, false));
                out.push(i.gt_scalar(998.0).any_dims(&d, false));
                out.push(i.gt_scalar(0.0).all_dims(&d, true));
                if let [dim] = d[..] {
                    out.push(x.argmax(dim, false));
                    out.push(x.argmin(dim, true));
                }
                out
            });
            let terms = shape.iter().product::<usize>() as f64;
            let tolerance = near(1e-5, 1e-6 * terms.sqrt());
            cases.add(name + ", sums", full, tolerance, move |device| {
                let x = reals(&shape, device);
                vec![
                    x.sum_dims(&dims, false),
                    (&x * &x).sum_dims(&dims, false),
                    x.logsumexp_dims(&dims, false),
                ]
            });
        }
    }
    cases.run("reductions");
}

#[test]
fn the_reductions_that_were_wrong_are_right() {
    for s in executors() {
        let d = &s.device;
        let ones = Tensor::full(&[33_000_000], 1.0, DType::F32, d);
        let stored = ones.cumsum(0).ge_scalar(0.0).cast(DType::F32);
        assert_eq!(
            stored.sum().item::<f32>().expect("a sum"),
            33_000_000.0,
            "{}",
            s.name
        );
        let two = Tensor::full(&[9_000_000, 2], 1.0, DType::F32, d);
        for (dims, want) in [(vec![0], vec![9e6f32; 2]), (vec![0, 1], vec![1.8e7])] {
            let got = two.sum_dims(&dims, false).to_vec::<f32>().expect("sums");
            assert_eq!(got, want, "{}: over {dims:?}", s.name);
        }
        let rows = two.sum_dims(&[1], false).to_vec::<f32>().expect("sums");
        assert!(rows.iter().all(|&v| v == 2.0), "{}: over rows", s.name);
        // The greatest comes last, and once more right behind 65,536.
        let x = Tensor::arange(200_000, d).cast(DType::F32);
        assert_eq!(
            x.argmax(0, false).item::<i32>().expect("a place"),
            199_999,
            "{}",
            s.name
        );
        let late = x.fmod(&Tensor::full(&[1], 65_537.0, DType::F32, d));
        assert_eq!(
            late.argmax(0, false).item::<i32>().expect("a place"),
            65_536,
            "{}",
            s.name
        );
    }
}

/// More points than one pass of parts can join.
#[test]
fn a_sum_of_two_to_the_thirty_points_is_joined_in_several_passes() {
    let Some(device) = gpu().filter(|_| all()) else {
        return;
    };
    let x = Tensor::new(&[1], &device).expand(&[1 << 30]);
    let total = x.sum().item::<i32>().expect("a sum");
    assert_eq!(total, 1 << 30);
}
