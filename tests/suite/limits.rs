//! What lies at the edges: more operands than a kernel binds, more groups than a grid has, nothing at all, NaN and
//! infinity.

use crate::support::{Random, Subject, check, cpu_minimum, executors, gpu_minimum, report};
use wgrad::ops::Tolerance;
use wgrad::{
    AttentionOptions, ConvOptions, DType, Device, ErrorKind, PoolOptions, Reduction, Tensor, eval,
    explain, grad,
};

const EXACT: Tolerance = Tolerance {
    rtol: 0.0,
    atol: 0.0,
};

fn minimum() -> Vec<Subject> {
    let mut list = vec![Subject {
        name: "cpu minimum",
        device: cpu_minimum(),
    }];
    list.extend(gpu_minimum().map(|device| Subject {
        name: "gpu minimum",
        device,
    }));
    list
}

/// executors and the reference
fn all_executors() -> Vec<Subject> {
    let mut list = executors();
    list.push(Subject {
        name: "reference",
        device: Device::reference(),
    });
    list
}

fn steps_of(text: &str) -> Vec<&str> {
    let begins = |line: &&str| {
        let first = line.split_whitespace().next();
        first.is_some_and(|w| w.parse::<usize>().is_ok())
    };
    text.lines().filter(begins).collect()
}

#[test]
fn an_expression_of_twenty_operands_fits_the_fewest_bindings() {
    for s in minimum() {
        let mut rng = Random(5);
        let mut leaf = || {
            let v: Vec<f32> = (0..300).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
            Tensor::from_slice(&v, &[20, 15], &s.device)
        };
        let leaves: Vec<Tensor> = (0..20).map(|_| leaf()).collect();
        let terms = leaves.chunks(2).map(|p| (&p[0] * &p[1]).tanh());
        let y = terms.reduce(|a, b| a + b).expect("terms");
        let text = explain(&[&y]).expect("a plan");
        let widest = text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("reads "))
            .map(|l| l.split_whitespace().count())
            .max();
        assert!(steps_of(&text).len() > 1, "{text}");
        assert!(widest.is_some_and(|n| (2..=6).contains(&n)), "{text}");
        let total = y.sum();
        let gradients = grad(&total, &leaves.iter().collect::<Vec<_>>()).expect("gradients");
        let mut all = vec![&y, &total];
        all.extend(&gradients);
        eval(&all).expect("a run");
        let close = Tolerance {
            rtol: 1e-5,
            atol: 1e-5,
        };
        for t in all {
            check(t, close).unwrap_or_else(|m| panic!("{}: {m}", s.name));
        }
    }
}

/// Scores of 144 MB, where WebGPU binds 128 MiB by default.
#[test]
fn attention_is_not_bound_by_what_its_scores_would_take() {
    const N: usize = 6000;
    for s in executors() {
        let mut rng = Random(7);
        let mut leaf = || {
            let v: Vec<f32> = (0..2 * N).map(|_| rng.uniform(-2.0, 2.0) as f32).collect();
            (Tensor::from_slice(&v, &[N, 2], &s.device), v)
        };
        let ((q, qs), (k, ks), (v, vs)) = (leaf(), leaf(), leaf());
        let options = AttentionOptions::default().is_causal(true);
        let y = q.scaled_dot_product_attention(&k, &v, &options);
        let g = grad(&y.sum(), &[&v]).expect("a gradient");
        let y = y.to_vec::<f32>().expect("a run");
        for i in [0, 1, 700, N / 2, N - 1] {
            let score = |j: usize| {
                let product = |d: usize| f64::from(qs[2 * i + d]) * f64::from(ks[2 * j + d]);
                (product(0) + product(1)) * 0.5f64.sqrt()
            };
            let weights: Vec<f64> = (0..=i).map(|j| score(j).exp()).collect();
            let total: f64 = weights.iter().sum();
            for d in 0..2 {
                let sum: f64 = (0..=i).map(|j| weights[j] * f64::from(vs[2 * j + d])).sum();
                let got = f64::from(y[2 * i + d]);
                assert!(
                    (got - sum / total).abs() < 1e-4,
                    "{}: row {i}: {got}",
                    s.name
                );
            }
        }
        // Every query shares out a weight of one.
        let g = g[0].to_vec::<f32>().expect("a run");
        let all: f64 = g.iter().map(|&g| f64::from(g)).sum();
        assert!((all - 2.0 * N as f64).abs() < 0.1, "{}: {all}", s.name);
    }
}

/// One group of 64 more than a grid has in a dimension, and one element more.
const MANY: usize = 70_000 * 64 + 1;

#[test]
fn more_groups_than_a_grid_has_in_a_dimension() {
    for s in executors().into_iter().chain(minimum()) {
        let x = Tensor::arange(MANY, &s.device);
        let y = x.fmod(&Tensor::full(&[1], 1000.0, DType::I32, &s.device)) * 3 + 1;
        let got = y.to_vec::<i32>().expect("values");
        assert_eq!(got.len(), MANY);
        let wrong = (0..MANY).find(|&i| got[i] != (i % 1000) as i32 * 3 + 1);
        assert_eq!(wrong, None, "map on {}", s.name);
        let want: i64 = got.iter().map(|&v| i64::from(v)).sum();
        let total = y.sum().item::<i32>().expect("a sum");
        assert_eq!(total, want as i32, "sum on {} (it wraps)", s.name);
        // Rows of one element: as many results as there are elements.
        let rows = x.reshape(&[-1, 1]).sum_dims(&[1], false) + 1;
        let got = rows.to_vec::<i32>().expect("values");
        let wrong = (0..MANY).find(|&i| got[i] != i as i32 + 1);
        assert_eq!(wrong, None, "sum over rows on {}", s.name);
        // The greatest element is the last: nothing at the end is left out.
        assert_eq!(
            x.amax().item::<i32>().expect("a maximum"),
            MANY as i32 - 1,
            "{}",
            s.name
        );
    }
}

#[test]
fn a_tensor_beyond_what_the_device_binds_is_an_error() {
    let Some(device) = gpu_minimum() else { return };
    let limit = device
        .as_gpu()
        .map_or(0, |gpu| gpu.limits().max_binding_bytes);
    assert_eq!(limit, 128 << 20, "WebGPU's default");
    let n = (limit / 4 + 1) as usize;
    let bytes = (4 * n).to_string();
    let uploaded = Tensor::from_bytes(&vec![0; 4 * n], &[n], DType::F32, &device);
    let computed = (Tensor::zeros(&[n], DType::F32, &device) + Tensor::arange(n, &device)).exp();
    for (what, t) in [("uploaded", uploaded), ("computed", computed)] {
        let Err(e) = t.to_vec::<f32>() else {
            panic!("{what}: {n} elements were read")
        };
        let text = e.to_string();
        assert_eq!(e.kind(), ErrorKind::OutOfMemory, "{what}: {text}");
        assert!(
            text.contains(&bytes) && text.contains(&limit.to_string()),
            "{what}: {text} should name {bytes} and {limit}"
        );
    }
    let huge = Tensor::zeros(&[1 << 16, 1 << 16], DType::F32, &device);
    let e = huge.check().expect_err("2^32 elements");
    assert!(e.to_string().contains("65536"), "{e}");
    // The device is well.
    let two = Tensor::new(&[1.0f32], &device) + 1.0;
    assert_eq!(two.item::<f32>().expect("a number"), 2.0);
}

fn empty(shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_slice::<f32>(&[], shape, device)
}

#[test]
fn nothing_goes_through_every_layer() {
    for s in all_executors() {
        let d = &s.device;
        let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, d);
        let image = empty(&[0, 2, 6, 6], d);
        let conv = ConvOptions::default().padding([1, 1]);
        let cases = [
            (
                "linear",
                empty(&[0, 3], d).linear(&ones(&[4, 3]), Some(&ones(&[4]))),
                vec![0, 4],
            ),
            (
                "conv2d",
                image.conv2d(&ones(&[5, 2, 3, 3]), Some(&ones(&[5])), &conv),
                vec![0, 5, 6, 6],
            ),
            (
                "max_pool2d",
                image.max_pool2d(&PoolOptions::new(2)),
                vec![0, 2, 3, 3],
            ),
            (
                "avg_pool2d",
                image.avg_pool2d(&PoolOptions::new(2)),
                vec![0, 2, 3, 3],
            ),
            ("softmax", empty(&[0, 3], d).softmax(1), vec![0, 3]),
            ("softmax of none", empty(&[3, 0], d).softmax(1), vec![3, 0]),
            ("relu", empty(&[0], d).relu(), vec![0]),
            ("argmax", empty(&[0, 3], d).argmax(1, false), vec![0]),
            ("sort", empty(&[0], d).sort(0, false).0, vec![0]),
            ("cumsum", empty(&[2, 0], d).cumsum(1), vec![2, 0]),
            (
                "cat",
                Tensor::cat(&[&empty(&[0, 3], d), &empty(&[0, 3], d)], 0),
                vec![0, 3],
            ),
            (
                "index_select",
                ones(&[4, 3]).index_select(0, &Tensor::new::<i32>(&[], d)),
                vec![0, 3],
            ),
            (
                "sum over the rest",
                image.sum_dims(&[1, 2], false),
                vec![0, 6],
            ),
        ];
        for (name, t, shape) in cases {
            assert_eq!(t.shape(), shape, "{name} on {}: {:?}", s.name, t.check());
            let bytes = wgrad::block_on(t.to_bytes_async());
            assert_eq!(bytes.expect(name), Vec::<u8>::new(), "{name} on {}", s.name);
        }
    }
}

#[test]
fn reductions_of_nothing_are_neutral_elements() {
    for s in all_executors() {
        let d = &s.device;
        let image = empty(&[0, 2, 6, 6], d);
        assert_eq!(image.sum().item::<f32>().expect("a sum"), 0.0, "{}", s.name);
        assert!(
            image.mean().item::<f32>().expect("a mean").is_nan(),
            "{}",
            s.name
        );
        let columns = empty(&[0, 3], d).sum_dims(&[0], false);
        assert_eq!(columns.to_vec::<f32>().expect("sums"), [0.0; 3]);
        let columns = empty(&[0, 3], d).mean_dims(&[0], false);
        let means = columns.to_vec::<f32>().expect("means");
        assert!(means.len() == 3 && means.iter().all(|v| v.is_nan()));
        // No inner dimension: a product of nothing is 0.
        let product = empty(&[2, 0], d).matmul(&empty(&[0, 3], d));
        assert_eq!(product.to_vec::<f32>().expect("zeros"), [0.0; 6]);
        let most = empty(&[3, 0], d).logsumexp(1, false);
        let want = [f32::NEG_INFINITY; 3];
        assert_eq!(
            most.to_vec::<f32>().expect("logarithms"),
            want,
            "{}",
            s.name
        );
        assert!(
            empty(&[0, 3], d)
                .cross_entropy(&Tensor::new::<i32>(&[], d), Reduction::Mean)
                .item::<f32>()
                .expect("a loss")
                .is_nan()
        );
    }
}

#[test]
fn gradients_of_an_empty_batch_are_zeros() {
    for s in all_executors() {
        let d = &s.device;
        let x = empty(&[0, 2, 4, 4], d);
        let w = Tensor::ones(&[3, 2, 3, 3], DType::F32, d);
        let v = Tensor::ones(&[5, 12], DType::F32, d);
        let conv = ConvOptions::default().padding([1, 1]);
        let y = x.conv2d(&w, None, &conv).relu();
        let y = y.max_pool2d(&PoolOptions::new(2)).flatten(1, -1);
        let total = y.linear(&v, None).sum();
        let g = grad(&total, &[&x, &w, &v]).expect("gradients");
        assert_eq!(g[0].to_vec::<f32>().expect("nothing"), [0.0f32; 0]);
        assert_eq!(
            g[1].to_vec::<f32>().expect("zeros"),
            [0.0; 54],
            "{}",
            s.name
        );
        assert_eq!(
            g[2].to_vec::<f32>().expect("zeros"),
            [0.0; 60],
            "{}",
            s.name
        );
    }
}

/// Every class of f32, made of bits: quiet NaNs of both signs and another payload, infinities, zeros, the least and
/// the greatest.
const PATTERNS: [u32; 16] = [
    0x7fc0_0000, // NaN
    0xffc0_0000, // -NaN
    0x7fff_ffff, // NaN of another payload
    0x7f80_0001, // a signalling NaN
    0x7f80_0000, // inf
    0xff80_0000, // -inf
    0x0000_0000, // 0
    0x8000_0000, // -0
    0x3f80_0000, // 1
    0xbf80_0000, // -1
    0x7f7f_ffff, // the greatest
    0xff7f_ffff, // the least
    0x0080_0000, // the smallest normal
    0x42c8_0000, // 100
    0xc2c8_0000, // -100
    0x4000_0000, // 2
];

#[test]
fn nan_and_infinity_propagate() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for s in executors() {
        let n = PATTERNS.len();
        let bytes: Vec<u8> = PATTERNS.iter().flat_map(|p| p.to_le_bytes()).collect();
        let column = Tensor::from_bytes(&bytes, &[n, 1], DType::F32, &s.device);
        let row = Tensor::from_bytes(&bytes, &[1, n], DType::F32, &s.device);
        // All pairs, in memory: what is computed from them is not known when the kernels are made.
        let a = column.broadcast_to(&[n, n]);
        let b = row.broadcast_to(&[n, n]);
        let pairs = Tensor::stack(&[&a, &b], 2);
        let windows = pairs.reshape(&[n as isize, n as isize, 2, 1]);
        let cases = [
            ("relu", a.relu()),
            ("maximum", a.maximum(&b)),
            ("minimum", a.minimum(&b)),
            ("add", &a + &b),
            ("mul", &a * &b),
            ("exp", a.exp()),
            ("div", &a / &b),
            ("a number plus 0", &a + 0.0),
            ("a number times 0", &a * 0.0),
            ("a number times 1", &a * 1.0),
            ("a number times -1", &a * -1.0),
            ("a number over 0", &a / 0.0),
            ("a number over itself", &a / &a),
            ("0 over a number", 0.0 / &a),
            ("a number less itself", &a - &a),
            ("a number to the power 0", a.powf(0.0)),
            ("recip", a.recip()),
            ("sqrt", a.sqrt()),
            ("abs", a.abs()),
            ("cast", a.cast(DType::I32)),
            ("isnan", a.isnan()),
            ("eq", a.eq(&b)),
            ("ne", a.ne(&b)),
            ("lt", a.lt(&b)),
            ("le", a.le(&b)),
            ("gt", a.gt(&b)),
            ("ge", a.ge(&b)),
            ("clamp", a.clamp(-1.5, 1.5)),
            ("where", Tensor::where_(&a.gt(&b), &a, &b)),
            ("sum", pairs.sum_dims(&[2], false)),
            ("amax", pairs.amax_dims(&[2], false)),
            ("amin", pairs.amin_dims(&[2], false)),
            ("argmax", pairs.argmax(2, false)),
            (
                "max_pool2d",
                windows.max_pool2d(&PoolOptions::windows([2, 1])),
            ),
            ("sum of all", pairs.sum()),
            ("amax of all", pairs.amax()),
            ("matmul", row.matmul(&column)),
        ];
        eval(&cases.iter().map(|(_, t)| t).collect::<Vec<_>>()).expect("a run");
        for (name, t) in &cases {
            count += 1;
            let close = ["exp", "div", "recip", "sqrt", "a number over itself"];
            let tol = if close.contains(name) {
                Tolerance {
                    rtol: 1e-6,
                    atol: 0.0,
                }
            } else {
                EXACT
            };
            if let Err(m) = check(t, tol) {
                failures.push(format!("{name} on {}: {m}", s.name));
            }
        }
    }
    report("NaN and infinity", count, &failures);
}

/// By hand, so that the reference is not its own judge.
#[test]
fn nan_wins() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for s in all_executors() {
        let x = Tensor::from_slice(&[1.0, nan, -inf, inf], &[1, 1, 2, 2], &s.device);
        let read = |t: &Tensor| t.to_vec::<f32>().expect("values");
        let relu = read(&x.relu());
        assert!(relu[0] == 1.0 && relu[1].is_nan() && relu[2] == 0.0 && relu[3] == inf);
        assert!(read(&x.amax())[0].is_nan(), "{}", s.name);
        assert!(read(&x.amin())[0].is_nan(), "{}", s.name);
        assert!(read(&x.max_pool2d(&PoolOptions::new(2)))[0].is_nan());
        assert!(read(&x.sum())[0].is_nan(), "{}", s.name);
        let exp = read(&x.exp());
        assert!(exp[1].is_nan() && exp[2] == 0.0 && exp[3] == inf, "{exp:?}");
        assert_eq!(
            x.eq(&x).to_vec::<bool>().expect("truth"),
            [true, false, true, true]
        );
        assert_eq!(x.argmax(3, false).to_vec::<i32>().expect("places"), [1, 1]);
        let sums = read(&x.sum_dims(&[3], false));
        assert!(sums.iter().all(|v| v.is_nan()), "inf - inf: {sums:?}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_sized_by_them() {
    use wgrad::nn::{BatchNorm1d, Context, Conv2d, Lstm, RecurrentOptions};
    let (d, most) = (Device::cpu(), usize::MAX);
    let nothing = Tensor::zeros(&[2, 0, 3], DType::F32, &d);
    let image = Tensor::zeros(&[1, 1, 2, 2], DType::F32, &d);
    let mut rng = wgrad::Generator::new(0);
    let plain = ConvOptions::default();
    let deep = RecurrentOptions::default().num_layers(most);
    let lstm = |n: usize, options: &RecurrentOptions, rng: &mut wgrad::Generator| {
        let layer = Lstm::new(3, n, options, rng, &d);
        layer.forward(&nothing, None, &mut Context::eval()).0
    };
    let blocks = wgrad::UnfoldOptions::new([1 << 20, 1]).padding([1 << 20, 0]);
    let refused = [
        Tensor::zeros(&[0, most], DType::F32, &d),
        nothing.adaptive_avg_pool1d([Some(1 << 40)]),
        nothing
            .select(0, 0)
            .transpose(0, 1)
            .repeat_interleave_each(&[most, 1, 1], 0),
        nothing.unsqueeze(0).pixel_unshuffle(most),
        image.unfold2d(&blocks),
        image.avg_pool2d(&PoolOptions::windows([1 << 20, 1 << 20]).padding([1 << 19, 1 << 19])),
        image.conv2d(&image, None, &plain.stride([most, 1])),
        BatchNorm1d::new(most, &d).weight.expect("affine"),
        Conv2d::new(most, most, [most, most], plain, &mut rng, &d).weight,
        lstm(4, &deep, &mut rng),
        lstm(most, &RecurrentOptions::default(), &mut rng),
    ];
    for (i, t) in refused.iter().enumerate() {
        assert!(t.check().is_err(), "case {i} gives {:?}", t.shape());
    }
}

#[test]
fn forty_views_in_one_expression_have_names_that_are_no_types() {
    for Subject { name, device } in executors() {
        let values: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let x = Tensor::new(&values, &device);
        let parts = (0..40).map(|k| x.narrow(0, k, 8).cast(DType::I32));
        let total = parts.reduce(|a, b| a + b).unwrap();
        let want: Vec<i32> = (0..8).map(|i| 40 * i + 780).collect();
        assert_eq!(total.to_vec::<i32>().unwrap(), want, "{name}");
    }
}

#[test]
fn integers_divided_by_0_are_infinite() {
    for Subject { name, device } in executors() {
        let x = Tensor::new(&[-3, 5], &device) / 0;
        let want = [f32::NEG_INFINITY, f32::INFINITY];
        assert_eq!(x.to_vec::<f32>().unwrap(), want, "{name}");
    }
}
