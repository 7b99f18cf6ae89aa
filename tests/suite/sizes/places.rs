//! What goes by indices, windows or order, at all sizes.

use super::*;

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
        let (o, p) = (options, options);
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
