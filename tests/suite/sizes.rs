//! Sizes at which a kernel's loop would have more rounds than software adapters count (65,535 of an invocation), and
//! operations whose cost could explode: every family of reductions, scans, indices, windows, sorts, rows and products, at
//! sizes around and beyond 2^16, 2^20 and 2^24, on the GPU against the cpu. Results that are no sums are compared
//! exactly. `WGRAD_TEST_ALL=1` runs all sizes, also at minimum limits and with the kernels of a card.

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
        let two = Tensor::full(&[9_000_000, 2], 1.0, DType::F32, d) + wholes(&[1, 2], 2, d) * 0;
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

#[test]
fn scans_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    let shapes: [(&[usize], isize, bool); 8] = [
        (&[9_000_000], 0, false),
        (&[16, 100_000], 1, false),
        (&[100_000, 20], 0, false),
        (&[2, 65_537], 1, false),
        (&[32_769, 17], 0, true),
        (&[4100, 40_000], 1, true),
        (&[3, 1 << 20, 2], 1, true),
        (&[(1 << 24) + 1], 0, true),
    ];
    for (shape, dim, full) in shapes {
        let name = |what: &str| format!("{what} of {shape:?} along {dim}");
        let n = shape[dim as usize] as f64;
        cases.add(name("cummax, cumsum of integers"), full, EXACT, move |d| {
            let w = wholes(shape, 3, d);
            let x = w.cast(DType::F32);
            // The gradient runs from the end; whole numbers have exact sums.
            let back = gradient(&(x.cumsum(dim) * &x.stop_gradient()).sum(), &x);
            vec![
                (reals(shape, d) - wholes(shape, 50, d)).cummax(dim),
                w.cumsum(dim),
                back,
            ]
        });
        cases.add(
            name("cumsum"),
            full,
            near(1e-5, 3e-7 * n.sqrt() * 30.0),
            move |d| vec![reals(shape, d).cumsum(dim)],
        );
        cases.add(
            name("cumprod, logcumsumexp"),
            full,
            near(2e-4, 1e-6),
            move |d| {
                let x = reals(shape, d);
                vec![
                    (&x * (0.5 / n.sqrt()) + 1.0).cumprod(dim),
                    (x * 4.0).logcumsumexp(dim),
                ]
            },
        );
        cases.add(name("gradients"), full, near(5e-4, 1e-3), move |d| {
            let x = reals(shape, d);
            let g = wholes(shape, 3, d) - 1;
            let near_one = &x * (0.5 / n.sqrt()) + 1.0;
            vec![
                gradient(
                    &(near_one.cumprod(dim) * &g).mean_dims(&[dim], false).sum(),
                    &near_one,
                ),
                gradient(&(x.logcumsumexp(dim) * &g).sum(), &x),
            ]
        });
    }
    cases.run("scans");
}

#[test]
fn scatters_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    let shapes: [(&[usize], usize, bool); 9] = [
        (&[60_000], 1, false),
        (&[60_000], 7, false),
        (&[60_000], 60_000, false),
        (&[70_000], 5, false),
        (&[1 << 20], 300_000, true),
        (&[(1 << 20) + 5, 3], 11, true),
        (&[(1 << 24) + 3], 1000, true),
        (&[100_000, 9], 100_000, false),
        (&[40_000, 600], 3, true),
    ];
    for (shape, size, full) in shapes {
        // Whole numbers: sums are exact in any order.
        cases.add(
            format!("scatter_add of {shape:?} to {size}"),
            full,
            EXACT,
            move |d| {
                let mut to = shape.to_vec();
                to[0] = size;
                let zeros = Tensor::zeros(&to, DType::F32, d);
                let whole = wholes(shape, 9, d).cast(DType::F32);
                let reals = reals(shape, d);
                vec![
                    zeros.scatter_add(0, &wholes(shape, size, d), &whole),
                    zeros.scatter_add(0, &wholes(shape, size, d), &reals),
                ]
            },
        );
    }
    for (tokens, vocabulary, features, full) in [
        (131_072, 50_257, 8, false),
        (131_072, 3, 70, false),
        (300_000, 1000, 33, true),
        (1 << 20, 128_000, 4, true),
    ] {
        let name = format!("embedding gradient of {tokens} tokens, {vocabulary} words");
        cases.add(name, full, EXACT, move |d| {
            let weight = reals(&[vocabulary, features], d);
            let rows = wholes(&[tokens], vocabulary, d).embedding(&weight, None);
            vec![gradient(
                &(rows * reals(&[tokens, features], d)).sum(),
                &weight,
            )]
        });
    }
    cases.run("scatters");
}

/// The order of the elements is the order of the additions, however many elements there are and whichever way is taken.
#[test]
fn scatters_add_in_order_and_repeat_to_the_bit() {
    let (count, size) = (70_000, 3);
    for s in executors().into_iter().chain(card()) {
        let src: Vec<f32> = (0..count).map(|i| (mix(i) % 1000) as f32 * 0.001).collect();
        let to: Vec<i32> = (0..count).map(|i| (mix(i) >> 40) as i32 % size).collect();
        let mut want = vec![0.0f32; size as usize];
        src.iter()
            .zip(&to)
            .for_each(|(&x, &i)| want[i as usize] += x);
        let run = || {
            let zeros = Tensor::zeros(&[size as usize], DType::F32, &s.device);
            let index = Tensor::from_slice(&to, &[count], &s.device);
            let src = Tensor::from_slice(&src, &[count], &s.device);
            zeros
                .scatter_add(0, &index, &src)
                .to_vec::<f32>()
                .expect("sums")
        };
        assert_eq!(run(), want, "{}", s.name);
        assert_eq!(run(), want, "{}: again", s.name);
    }
}

fn card() -> Option<Subject> {
    gpu_as_card().map(|device| Subject { name: CARD, device })
}

#[test]
fn a_bad_index_is_found_wherever_it_stands() {
    // Devices of their own: an error is told to whoever reads next on a device.
    let open = |name, class| {
        let settings = Settings {
            class,
            ..Settings::default()
        };
        open_gpu(&settings).map(|device| Subject { name, device })
    };
    let mut list = vec![Subject {
        name: "cpu",
        device: Device::cpu_with(&Settings::default()),
    }];
    list.extend(open("gpu", None));
    list.extend(open(CARD, Some(DeviceClass::Discrete)));
    for s in list {
        let d = &s.device;
        for (n, place, bad) in [(100_000, 99_999, 7), (200_000, 131_071, -1), (70_000, 0, 9)] {
            let mut index = vec![3i32; n];
            index[place] = bad;
            let index = Tensor::from_slice(&index, &[n], d);
            let ones = Tensor::full(&[n], 1.0, DType::F32, d);
            let weight = reals(&[7, 2], d);
            let cases = [
                (
                    "scatter_add",
                    Tensor::zeros(&[7], DType::F32, d).scatter_add(0, &index, &ones),
                ),
                ("gather", reals(&[7], d).gather(0, &index).sum()),
                (
                    "embedding",
                    index.embedding(&weight, None).sum_dims(&[0], false),
                ),
            ];
            for (what, t) in cases {
                let e = t.to_vec::<f32>().expect_err(what);
                assert_eq!(e.kind(), ErrorKind::Index, "{what} on {}: {e}", s.name);
            }
            // The error is gone with what it belongs to.
            let fine = reals(&[7], d).sum().item::<f32>();
            assert!(fine.is_ok(), "{}: {fine:?}", s.name);
        }
    }
}

#[test]
fn windows_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    cases.add(
        "gradient of max_pool2d [4, 8, 256, 256]",
        false,
        EXACT,
        |d| {
            let x = reals(&[4, 8, 256, 256], d);
            let y = x.max_pool2d(&PoolOptions::new(2));
            let g = gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &x);
            vec![y, g]
        },
    );
    let flat: [(&[usize], [usize; 2], [usize; 2], [usize; 2], bool); 5] = [
        (&[1, 2, 320, 310], [300, 300], [7, 3], [0, 0], false),
        (&[2, 2, 310, 300], [300, 300], [20, 20], [150, 100], true),
        (&[1, 1, 4, 70_000], [1, 66_000], [1, 999], [0, 5], false),
        (&[1, 1, 70_000, 4], [66_000, 2], [999, 1], [0, 0], true),
        (&[1, 3, 600, 600], [256, 257], [64, 64], [128, 0], true),
    ];
    for (shape, kernel, stride, padding, full) in flat {
        let options = PoolOptions::windows(kernel).stride(stride).padding(padding);
        let (o, p) = (options.clone(), options);
        cases.add(
            format!("max_pool2d {kernel:?} of {shape:?}"),
            full,
            EXACT,
            move |d| {
                let x = reals(shape, d);
                let y = x.max_pool2d(&o);
                let g = gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &x);
                vec![y, g]
            },
        );
        cases.add(
            format!("avg_pool2d {kernel:?} of {shape:?}"),
            full,
            near(2e-5, 1e-6),
            move |d| {
                let x = reals(shape, d) + 1.0;
                let y = x.avg_pool2d(&p);
                let g = gradient(&(&y * (wholes(y.shape(), 5, d) + 1)).sum(), &x);
                vec![y, g]
            },
        );
    }
    for (n, kernel, stride) in [(100_000, 90_000, 3000), (70_000, 20_000, 500)] {
        let options = PoolOptions::<1>::new(kernel).stride([stride]);
        cases.add(
            format!("pooling by {kernel} of {n}"),
            false,
            near(2e-5, 1e-6),
            move |d| {
                let x = reals(&[2, 1, n], d) + 1.0;
                vec![x.avg_pool1d(&options), x.max_pool1d(&options)]
            },
        );
    }
    cases.add(
        "pooling in three dimensions",
        false,
        near(2e-5, 1e-6),
        |d| {
            let x = reals(&[1, 2, 50, 48, 45], d) + 1.0;
            let options = PoolOptions::<3>::windows([45, 41, 40]).stride([2, 3, 5]);
            vec![
                x.avg_pool3d(&options),
                x.max_pool3d(&options.dilation([1, 1, 1])),
            ]
        },
    );
    cases.run("windows");
}

#[test]
fn sorts_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    let shapes: [(&[usize], bool); 7] = [
        (&[2, 1025], false),
        (&[3, 70_000], false),
        (&[1 << 20], false),
        (&[300, 3000], true),
        (&[20, 1_000_000], true),
        (&[3, 4_194_305], true),
        (&[(1 << 24) + 1], true),
    ];
    for (shape, full) in shapes {
        for descending in [false, true] {
            let name = format!("sort of {shape:?}, descending: {descending}");
            cases.add(name, full, EXACT, move |d| {
                // Many ties, both zeros, NaN and infinities: the order has to be stable.
                let w = wholes(shape, 5000, d);
                let x = w.cast(DType::F32) - 2500.0;
                let x = Tensor::where_(&w.eq_scalar(17.0), &x.full_like(f64::NAN), &x);
                let x = Tensor::where_(&w.eq_scalar(18.0), &x.full_like(f64::INFINITY), &x);
                let x = Tensor::where_(&w.eq_scalar(19.0), &(x.zeros_like() * -1.0), &x);
                let (values, order) = x.sort(-1, descending);
                vec![values, order, (w - 2500).argsort(-1, descending)]
            });
        }
    }
    cases.add("gradient of sort [3, 70000]", false, EXACT, |d| {
        let x = reals(&[3, 70_000], d);
        let (sorted, _) = x.sort(-1, false);
        vec![gradient(&(sorted * wholes(&[3, 70_000], 9, d)).sum(), &x)]
    });
    cases.run("sorts");
}

#[test]
fn products_with_long_sums_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (m, k, n, full) in [
        (2, 70_000, 3, false),
        (1, (1 << 20) + 3, 1, false),
        (33, 131_077, 40, false),
        (1, 1 << 24, 1, true),
        (5, 1 << 22, 2, true),
        (300, 65_540, 300, true),
    ] {
        let tolerance = near(1e-4, 6e-6 * (k as f64).sqrt());
        cases.add(format!("product {m}x{k}x{n}"), full, tolerance, move |d| {
            let (a, b) = (reals(&[m, k], d), reals(&[n, k], d));
            vec![
                a.matmul(&b.t()),
                a.matmul(&b.reshape(&[k as isize, n as isize])),
            ]
        });
    }
    let tolerance = near(1e-4, 5e-3);
    cases.add("convolution with 70,000 taps", false, tolerance, |d| {
        let (x, w) = (reals(&[2, 1, 70_004], d), reals(&[3, 1, 70_000], d));
        let y = x.conv1d(&w, None, &ConvOptions::default());
        let g = gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &w);
        vec![y, g]
    });
    // Such a gradient goes through all taps for each element.
    cases.add(
        "gradient of the input of 40,000 taps",
        true,
        tolerance,
        |d| {
            let (x, w) = (reals(&[1, 1, 40_004], d), reals(&[1, 1, 40_000], d));
            let y = x.conv1d(&w, None, &ConvOptions::default());
            vec![gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &x)]
        },
    );
    cases.add(
        "depthwise convolution with 190x190 taps",
        false,
        tolerance,
        |d| {
            let (x, w) = (reals(&[1, 2, 195, 193], d), reals(&[2, 1, 190, 190], d));
            let y = x.conv2d(&w, None, &ConvOptions::default().groups(2));
            let g = gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &w);
            vec![y, g]
        },
    );
    cases.add(
        "gradient of a weight over large maps",
        true,
        near(1e-4, 1e-2),
        |d| {
            let (x, w) = (reals(&[16, 2, 256, 256], d), reals(&[3, 2, 3, 3], d));
            let y = x.conv2d(&w, None, &ConvOptions::default().padding([1, 1]));
            vec![gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &w)]
        },
    );
    cases.add("convolution of 8192 channels", true, tolerance, |d| {
        let (x, w) = (reals(&[1, 8192, 5, 5], d), reals(&[2, 8192, 3, 3], d));
        vec![x.conv2d(&w, None, &ConvOptions::default())]
    });
    cases.run("products");
}

#[test]
fn rows_of_all_lengths_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (rows, length, full) in [
        (17, 20_001, false),
        (16, 65_536, false),
        (17, 65_533, true),
        (3, 300_000, false),
        (600, 40_000, true),
        (1, (1 << 24) + 1, true),
    ] {
        cases.add(
            format!("softmax and norms of {rows}x{length}"),
            full,
            near(1e-3, 1e-5),
            move |d| {
                let x = reals(&[rows, length], d) * 3.0;
                let norm = x.layer_norm(&[length], None, None, 1e-5);
                let y = x.log_softmax(-1);
                let g = gradient(
                    &(&y * wholes(&[rows, length], 3, d))
                        .mean_dims(&[-1], false)
                        .sum(),
                    &x,
                );
                vec![x.softmax(-1) * length as f64, y, norm, g * length as f64]
            },
        );
    }
    cases.run("rows");
}

#[test]
fn maps_draws_gathers_and_concatenations_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (n, full) in [
        (200_003, false),
        ((1 << 22) + 1, true),
        ((1 << 24) + 5, true),
    ] {
        cases.add(format!("draws of {n}"), full, EXACT, move |d| {
            let mut rng = Generator::new(3);
            let words = rng.words(&[n], d).cast(DType::I32);
            vec![rng.uniform(&[n], d), rng.bernoulli(0.3, &[n], d), words]
        });
        cases.add(
            format!("gathers and concatenations of {n}"),
            full,
            EXACT,
            move |d| {
                let x = wholes(&[n], 1 << 20, d);
                let picked = x.gather(0, &wholes(&[n], n, d));
                let long = Tensor::cat(&[&x, &picked, &x.narrow(0, 5, 70_000)], 0);
                vec![long.flip(&[0]).narrow(0, 3, n), picked]
            },
        );
        // Each element takes tens to thousands of rounds.
        cases.add(
            format!("gamma functions of {n}"),
            full,
            near(2e-5, 1e-5),
            move |d| {
                let x = reals(&[n.min(1 << 22)], d).abs() + 0.25;
                vec![
                    x.lgamma(),
                    x.digamma(),
                    x.polygamma(5),
                    x.polygamma(5).sum() / n as f64,
                ]
            },
        );
    }
    cases.run("maps");
}

/// The gradient of `Σ g · cumprod(x)` in f64, without a table and without dividing.
fn cumprod_gradient(x: &[f32], g: &[f32]) -> Vec<f64> {
    let n = x.len();
    let mut after = vec![0.0; n];
    for i in (0..n).rev() {
        let rest = if i + 1 < n {
            f64::from(x[i + 1]) * after[i + 1]
        } else {
            0.0
        };
        after[i] = f64::from(g[i]) + rest;
    }
    let mut before = 1.0;
    let each = x.iter().zip(after).map(|(&x, after)| {
        let gradient = before * after;
        before *= f64::from(x);
        gradient
    });
    each.collect()
}

#[test]
fn the_gradient_of_a_running_product_takes_linear_memory() {
    // A table of all pairs would take 1 GB for 2^14 elements, where a device binds 128 MiB, and 160 GB for 200,000.
    for s in executors()
        .into_iter()
        .chain(gpu_minimum().map(|device| Subject {
            name: "gpu minimum",
            device,
        }))
    {
        for n in [16_384, 200_000] {
            for zeros in [vec![], vec![n / 3], vec![n / 5, n / 2], vec![0, n - 1]] {
                let mut x: Vec<f32> = (0..n)
                    .map(|i| 1.0 + ((mix(i) % 201) as f32 - 100.0) / (200.0 * (n as f32).sqrt()))
                    .collect();
                zeros.iter().for_each(|&z| x[z] = 0.0);
                let g: Vec<f32> = (0..n).map(|i| (mix(i) % 5) as f32 - 1.0).collect();
                let t = Tensor::from_slice(&x, &[n], &s.device);
                let weighted = t.cumprod(0) * Tensor::from_slice(&g, &[n], &s.device);
                let got = values(&gradient(&weighted.sum(), &t)).expect("a gradient");
                let fault = differs(&got, &cumprod_gradient(&x, &g), near(2e-4, 1e-2));
                assert_eq!(fault, None, "{}: {n} with zeros at {zeros:?}", s.name);
            }
        }
    }
}

/// The second derivatives of `Σ_j g_j Π_(i ≤ j) x_i` leave two factors out.
#[test]
fn second_derivatives_of_running_products_are_right_with_zeros() {
    let g = [0.5, -1.0, 2.0, 0.25, 1.5];
    for x in [
        [1.5, -0.5, 2.0, 0.75, -1.25],
        [1.5, 0.0, 2.0, 0.75, -1.25],
        [1.5, 0.0, 2.0, 0.0, -1.25],
        [0.0, 0.0, 0.0, 2.0, 3.0],
    ] {
        let v = [1.0, -2.0, 0.5, 3.0, -1.0];
        let want: Vec<f64> = (0..5)
            .map(|i| {
                let mut sum = 0.0;
                for j in (0..5).filter(|&j| j >= i) {
                    for k in (0..=j).filter(|&k| k != i) {
                        let rest = (0..=j).filter(|&m| m != i && m != k).map(|m| x[m]);
                        sum += g[j] * v[k] * rest.product::<f64>();
                    }
                }
                sum
            })
            .collect();
        let list = executors().into_iter().chain([Subject {
            name: "reference",
            device: Device::reference(),
        }]);
        for s in list {
            let of = |v: &[f64]| {
                let v: Vec<f32> = v.iter().map(|&x| x as f32).collect();
                Tensor::from_slice(&v, &[5], &s.device)
            };
            let t = of(&x);
            let first = gradient(&(t.cumprod(0) * of(&g)).sum(), &t);
            let got = values(&gradient(&(first * of(&v)).sum(), &t)).expect("a gradient");
            assert_eq!(
                differs(&got, &want, near(1e-5, 1e-5)),
                None,
                "{}: {x:?}",
                s.name
            );
        }
    }
}
